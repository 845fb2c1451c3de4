/* What decoding costs with simdjson used directly, as the peer of `weir bench decode`.
 *
 *     simdjson_decode ondemand|walk FILE [ROUNDS]
 *
 * Both take the same three fields (timestamp, user_id, properties.amount) of every line into columns.
 * `ondemand` stops at those and checks nothing else, simdjson's fastest way. `walk` visits every value, unescapes every
 * string, parses every number and refuses duplicate keys, which is what a strict decoder promises.
 * Prints one JSON line; the CPU time is that of the best round, so that a busy neighbour does not count. */
#include <simdjson.h>
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

using namespace simdjson;

namespace
{
enum { ROUNDS_DEFAULT = 5, DEPTH_MAX = 64 };

struct columns {
    std::vector<int64_t> timestamps;
    std::vector<double> amounts;
    std::vector<uint32_t> user_ends; /* end of each user id in `users` */
    std::string users;

    void clear()
    {
        timestamps.clear();
        amounts.clear();
        user_ends.clear();
        users.clear();
    }
    void append(int64_t timestamp, std::string_view user, double amount)
    {
        timestamps.push_back(timestamp);
        amounts.push_back(amount);
        users.append(user);
        user_ends.push_back(static_cast<uint32_t>(users.size()));
    }
};

/* The fields wanted, found while a document is walked. */
struct row {
    int64_t timestamp = 0;
    double amount = 0;
    std::string_view user;
    int found = 0;
};

bool extract(ondemand::document &document, row &out)
{
    ondemand::object object;
    return document.get_object().get(object) == SUCCESS &&
           object.find_field_unordered("user_id").get_string().get(out.user) == SUCCESS &&
           object.find_field_unordered("timestamp").get_int64().get(out.timestamp) == SUCCESS &&
           object.find_field_unordered("properties").find_field("amount").get_double().get(out.amount) ==
               SUCCESS;
}

bool walk_value(ondemand::value value, int depth, std::string_view parent, std::string_view name, row &out);

bool walk_object(ondemand::object object, int depth, std::string_view name, row &out)
{
    std::string_view keys[64];
    size_t key_count = 0;
    for (auto field : object) {
        std::string_view key;
        ondemand::value value;
        if (field.unescaped_key().get(key) != SUCCESS || field.value().get(value) != SUCCESS ||
            key_count == 64)
            return false;
        for (size_t i = 0; i < key_count; i++)
            if (keys[i] == key)
                return false;
        keys[key_count++] = key;
        if (!walk_value(value, depth + 1, name, key, out))
            return false;
    }
    return true;
}

bool walk_number(ondemand::value value, std::string_view parent, std::string_view name, row &out)
{
    ondemand::number number;
    if (value.get_number().get(number) != SUCCESS)
        return false;
    if (parent.empty() && name == "timestamp" && number.is_int64()) {
        out.timestamp = number.get_int64();
        out.found++;
    } else if (parent == "properties" && name == "amount") {
        out.amount = number.as_double();
        out.found++;
    }
    return true;
}

bool walk_value(ondemand::value value, int depth, std::string_view parent, std::string_view name, row &out)
{
    ondemand::json_type type;
    if (depth > DEPTH_MAX || value.type().get(type) != SUCCESS)
        return false;
    switch (type) {
    case ondemand::json_type::object: {
        ondemand::object object;
        return value.get_object().get(object) == SUCCESS && walk_object(object, depth, name, out);
    }
    case ondemand::json_type::array: {
        ondemand::array array;
        if (value.get_array().get(array) != SUCCESS)
            return false;
        for (auto element : array) {
            ondemand::value item;
            if (element.get(item) != SUCCESS || !walk_value(item, depth + 1, name, "", out))
                return false;
        }
        return true;
    }
    case ondemand::json_type::number: return walk_number(value, parent, name, out);
    case ondemand::json_type::string: {
        std::string_view text;
        if (value.get_string().get(text) != SUCCESS)
            return false;
        if (parent.empty() && name == "user_id") {
            out.user = text;
            out.found++;
        }
        return true;
    }
    case ondemand::json_type::boolean: {
        bool truth;
        return value.get_bool().get(truth) == SUCCESS;
    }
    case ondemand::json_type::null: return value.is_null();
    }
    return false;
}

bool walk(ondemand::document &document, row &out)
{
    ondemand::object object;
    return document.get_object().get(object) == SUCCESS && walk_object(object, 0, "", out) &&
           document.current_location().error() == OUT_OF_BOUNDS && out.found == 3;
}

double cpu_seconds()
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::vector<std::string_view> split_lines(const padded_string &text)
{
    std::vector<std::string_view> lines;
    const char *position = text.data();
    const char *end = position + text.size();
    while (position < end) {
        const void *found = memchr(position, '\n', static_cast<size_t>(end - position));
        const char *line_end = found == nullptr ? end : static_cast<const char *>(found);
        lines.emplace_back(position, static_cast<size_t>(line_end - position));
        position = line_end + 1;
    }
    return lines;
}

double run_round(bool whole, const std::vector<std::string_view> &lines, const char *readable_end,
                 columns &out)
{
    ondemand::parser parser;
    out.clear();
    double start = cpu_seconds();
    for (std::string_view line : lines) {
        ondemand::document document;
        row found;
        auto readable = static_cast<size_t>(readable_end - line.data());
        if (parser.iterate(padded_string_view(line.data(), line.size(), readable)).get(document) != SUCCESS ||
            !(whole ? walk(document, found) : extract(document, found))) {
            fprintf(stderr, "simdjson_decode: bad document: %.*s\n", static_cast<int>(line.size()),
                    line.data());
            exit(1);
        }
        out.append(found.timestamp, found.user, found.amount);
    }
    return cpu_seconds() - start;
}
} // namespace

int main(int argc, char **argv)
{
    if (argc < 3 || (strcmp(argv[1], "ondemand") != 0 && strcmp(argv[1], "walk") != 0)) {
        fprintf(stderr, "usage: simdjson_decode ondemand|walk FILE [ROUNDS]\n");
        return 2;
    }
    bool whole = strcmp(argv[1], "walk") == 0;
    int rounds = argc > 3 ? atoi(argv[3]) : ROUNDS_DEFAULT;
    padded_string text;
    if (padded_string::load(argv[2]).get(text) != SUCCESS) {
        fprintf(stderr, "simdjson_decode: cannot read %s\n", argv[2]);
        return 1;
    }
    std::vector<std::string_view> lines = split_lines(text);
    columns out;
    double best = 1e9;
    for (int i = 0; i < rounds; i++) {
        double seconds = run_round(whole, lines, text.data() + text.size() + SIMDJSON_PADDING, out);
        best = seconds < best ? seconds : best;
    }
    double amount_sum = 0;
    for (double amount : out.amounts)
        amount_sum += amount;
    printf(
        "{\"mode\":\"%s\",\"events\":%zu,\"cpu_seconds\":%.6f,\"ns_per_event\":%.1f,\"amount_sum\":%.2f}\n",
        argv[1], lines.size(), best, best * 1e9 / static_cast<double>(lines.size()), amount_sum);
    return 0;
}
