/* The only C++ of the project: simdjson has no C interface, and <charconv> has no equal in C.
 *
 * Of simdjson this uses the first stage, which finds every structural character, checks UTF-8 and the insides of strings with
 * the best instructions the machine has, and its string unescaping. The second stage is ours, because simdjson's own has
 * other ideas than weir: it refuses numbers beyond the range of a double and integers beyond 64 bits, and it stops at its
 * depth limit before it knows whether the document is JSON at all. On-demand would be no help: it is compiled for the
 * oldest machine, and lazy.
 *
 * Nodes lie flat in one array in document order. A container is found again from inside through `next` of its BEGIN, which
 * holds the index of the enclosing container until its end is met. */
#include "base/native.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wundef"
#include <simdjson.h>
#pragma GCC diagnostic pop

#include "base/json_text.h"

extern "C" {
#include "base/memory.h"
}

static_assert(NATIVE_JSON_PADDING >= simdjson::SIMDJSON_PADDING,
              "the text must be readable as far as simdjson reads");

size_t native_double_format(double value, char *out)
{
    const double exact_integers = 9007199254740992.0; /* 2^53 */
    char *end = out + NATIVE_DOUBLE_TEXT_SIZE;
    if (std::fabs(value) < exact_integers && value == std::trunc(value) &&
        !(value == 0 && std::signbit(value))) {
        return static_cast<size_t>(std::to_chars(out, end, static_cast<int64_t>(value)).ptr - out);
    }
    return static_cast<size_t>(std::to_chars(out, end, value).ptr - out);
}

/* Larger exponents are all alike: no text is long enough to make up for them. */
constexpr long exponent_bound = 1000000000;

/* Whether a number that from_chars calls out of range is too large rather than too small: the decimal exponent of its
 * first digit that is not 0 tells. */
static bool overflows(const char *text, const char *end)
{
    long exponent = 0;
    bool seen_point = false, seen_digit = false;
    for (; text < end && *text != 'e' && *text != 'E'; text++) {
        if (*text == '.') {
            seen_point = true;
        } else if (*text >= '0' && *text <= '9') {
            seen_digit = seen_digit || *text != '0';
            exponent += seen_digit && !seen_point;
            exponent -= !seen_digit && seen_point;
        }
    }
    bool is_negative = false;
    long written = 0;
    for (; text < end; text++) {
        is_negative = is_negative || *text == '-';
        if (*text >= '0' && *text <= '9' && written < exponent_bound)
            written = written * 10 + (*text - '0');
    }
    return exponent + (is_negative ? -written : written) > 0;
}

bool native_double_parse(const char *text, size_t size, double *out)
{
    const char *end = text + size;
    double value = 0;
    auto result = std::from_chars(text, end, value);
    if (result.ptr != end || result.ec == std::errc::invalid_argument || size == 0)
        return false;
    if (result.ec == std::errc::result_out_of_range) {
        value = overflows(text, end) ? std::numeric_limits<double>::infinity() : 0.0;
        if (*text == '-')
            value = -value;
    }
    *out = value;
    return true;
}

namespace
{

constexpr uint32_t no_parent = UINT32_MAX;
/* What a parser keeps between documents; one large document does not stay paid for. */
constexpr size_t kept_document_size = 64 * 1024;

const char *stage_one_message(simdjson::error_code error)
{
    switch (error) {
    case simdjson::EMPTY: return "no JSON text";
    case simdjson::UTF8_ERROR: return "bad UTF-8";
    case simdjson::UNCLOSED_STRING: return "a string is not closed";
    case simdjson::UNESCAPED_CHARS: return "a control character in a string";
    default: return "not JSON";
    }
}

} // namespace

struct native_json {
    size_t max_document_size;
    size_t capacity; /* document size that the buffers are made for */
    std::unique_ptr<simdjson::internal::dom_parser_implementation> stages;
    native_json_node *nodes;
    uint32_t node_count;
    uint32_t node_capacity;
    uint32_t parent; /* innermost open container, no_parent outside the root */
    unsigned depth, deepest;
    const char *text;
    const char *message;
    const uint32_t *indexes, *indexes_end;
    uint8_t *strings, *next_string; /* unescaped strings */

    void prepare(size_t size);
    void begin(const char *document_text);
    bool parse_root();
    bool parse_lone_scalar(size_t size);

  private:
    bool fail(const char *reason)
    {
        message = reason;
        return false;
    }
    char peek() const
    {
        return indexes < indexes_end ? text[*indexes] : '\0';
    }
    native_json_node *add(native_json_event event, uint32_t offset)
    {
        native_json_node *node = &nodes[node_count++];
        node->event = event;
        node->offset = offset;
        node->next = node_count;
        return node;
    }
    void open(native_json_event event);
    bool close();
    bool parse_string(native_json_event event);
    bool parse_number(const char *begin, uint32_t offset);
    bool parse_literal(const char *begin, uint32_t offset);
    bool parse_scalar();
    bool parse_key();
    bool parse_after_value(bool *done);
};

/* Buffers for a document of `size` bytes. */
void native_json::prepare(size_t size)
{
    bool is_enough = stages && size <= capacity;
    bool is_wasteful = capacity > kept_document_size && size <= kept_document_size;
    if (is_enough && !is_wasteful)
        return;
    capacity = size <= kept_document_size ? kept_document_size : size;
    stages.reset();
    /* Its depth limit is of its second stage, which is not used. */
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, 1, stages))
        std::abort();
    std::free(strings);
    /* An unescaped string is no longer than its escaped form; simdjson writes whole vectors. */
    strings = static_cast<uint8_t *>(memory_allocate(capacity + simdjson::SIMDJSON_PADDING));
    std::free(nodes);
    nodes = nullptr;
    node_capacity = 0;
}

/* After the first stage: every structural character becomes at most one node. */
void native_json::begin(const char *document_text)
{
    uint32_t count = stages->n_structural_indexes;
    if (count > node_capacity) {
        node_capacity = count < 128 ? 256 : 2 * count;
        std::free(nodes);
        nodes = static_cast<native_json_node *>(memory_resize_array(nullptr, node_capacity, sizeof *nodes));
    }
    text = document_text;
    indexes = stages->structural_indexes.get();
    indexes_end = indexes + count;
    node_count = 0;
    next_string = strings;
    parent = no_parent;
    depth = deepest = 0;
    message = nullptr;
}

void native_json::open(native_json_event event)
{
    native_json_node *node = add(event, *indexes++);
    node->next = parent;
    parent = node_count - 1;
    if (++depth > deepest)
        deepest = depth;
}

bool native_json::close()
{
    native_json_node *begin = &nodes[parent];
    bool is_object = begin->event == NATIVE_JSON_OBJECT_BEGIN;
    if (peek() != (is_object ? '}' : ']'))
        return fail("a comma or closing bracket is missing");
    add(is_object ? NATIVE_JSON_OBJECT_END : NATIVE_JSON_ARRAY_END, *indexes);
    begin->size = *indexes + 1 - begin->offset;
    parent = begin->next;
    begin->next = node_count;
    indexes++;
    depth--;
    return true;
}

bool native_json::parse_string(native_json_event event)
{
    native_json_node *node = add(event, *indexes);
    const char *begin = text + *indexes++ + 1;
    const char *end = json_skip_unescaped(begin);
    if (*end == '"') {
        node->value.text = begin;
        node->size = static_cast<uint32_t>(end - begin);
        node->is_escaped = false;
        return true;
    }
    uint8_t *string_end = stages->parse_string(reinterpret_cast<const uint8_t *>(begin), next_string);
    if (!string_end)
        return fail("a bad escape in a string");
    node->value.text = reinterpret_cast<const char *>(next_string);
    node->size = static_cast<uint32_t>(string_end - next_string);
    node->is_escaped = true;
    next_string = string_end;
    return true;
}

/* Whether a number or word may end before `c`. NUL is not among them: inside a document it is an error. */
static bool ends_scalar(char c)
{
    return json_is_space(c) || c == ',' || c == ']' || c == '}' || c == ':';
}

bool native_json::parse_number(const char *begin, uint32_t offset)
{
    json_number number;
    const char *end = json_parse_number(begin, &number);
    if (!end || !ends_scalar(*end))
        return fail("a bad number");
    native_json_node *node =
        add(number.kind == JSON_NUMBER_INT ? NATIVE_JSON_INT : NATIVE_JSON_DOUBLE, offset);
    node->size = static_cast<uint32_t>(end - begin);
    if (number.kind == JSON_NUMBER_INT) {
        node->value.integer = number.integer;
    } else {
        node->value.number = number.real;
    }
    return true;
}

bool native_json::parse_literal(const char *begin, uint32_t offset)
{
    native_json_event event = *begin == 't'   ? NATIVE_JSON_TRUE
                              : *begin == 'f' ? NATIVE_JSON_FALSE
                                              : NATIVE_JSON_NULL;
    const char *word = event == NATIVE_JSON_TRUE ? "true" : event == NATIVE_JSON_FALSE ? "false" : "null";
    size_t size = event == NATIVE_JSON_FALSE ? 5 : 4;
    if (std::memcmp(begin, word, size) != 0 || !ends_scalar(begin[size]))
        return fail("not a JSON value");
    add(event, offset)->size = static_cast<uint32_t>(size);
    return true;
}

bool native_json::parse_scalar()
{
    if (indexes == indexes_end)
        return fail("the text ends too early");
    uint32_t offset = *indexes;
    const char *begin = text + offset;
    if (*begin == '"')
        return parse_string(NATIVE_JSON_STRING);
    indexes++;
    /* The last token of a container is its end; a leaf in its place may touch what lies behind the document. */
    if (indexes == indexes_end)
        return fail("the text ends too early");
    return *begin == '-' || json_is_digit(*begin) ? parse_number(begin, offset)
                                                  : parse_literal(begin, offset);
}

bool native_json::parse_key()
{
    if (peek() != '"')
        return fail("a key is missing");
    if (!parse_string(NATIVE_JSON_KEY))
        return false;
    if (peek() != ':')
        return fail("a colon is missing");
    indexes++;
    return true;
}

/* After a value: closes what ends here. `*done` when that was the root. */
bool native_json::parse_after_value(bool *done)
{
    while (depth > 0 && peek() != ',') {
        if (!close())
            return false;
    }
    *done = depth == 0;
    if (*done)
        return indexes == indexes_end || fail("text after the JSON value");
    indexes++;
    return nodes[parent].event == NATIVE_JSON_ARRAY_BEGIN || parse_key();
}

bool native_json::parse_root()
{
    for (bool done = false; !done;) {
        bool opened = peek() == '{' || peek() == '[';
        if (opened) {
            bool is_object = peek() == '{';
            open(is_object ? NATIVE_JSON_OBJECT_BEGIN : NATIVE_JSON_ARRAY_BEGIN);
            if (peek() != (is_object ? '}' : ']')) {
                if (is_object && !parse_key())
                    return false;
                continue;
            }
        } else if (!parse_scalar()) {
            return false;
        }
        if (!parse_after_value(&done))
            return false;
    }
    return true;
}

/* A number or word that is the whole document may touch the bytes behind it, so it is judged in a copy. */
bool native_json::parse_lone_scalar(size_t size)
{
    uint32_t offset = *indexes;
    if (indexes + 1 != indexes_end)
        return fail("text after the JSON value");
    std::memcpy(strings, text + offset, size - offset);
    strings[size - offset] = ' ';
    const char *begin = reinterpret_cast<const char *>(strings);
    return *begin == '-' || json_is_digit(*begin) ? parse_number(begin, offset)
                                                  : parse_literal(begin, offset);
}

native_json *native_json_create(size_t max_document_size)
{
    void *memory = memory_allocate(sizeof(native_json));
    native_json *json = new (memory) native_json();
    json->max_document_size = max_document_size;
    return json;
}

void native_json_destroy(native_json *json)
{
    if (!json)
        return;
    std::free(json->nodes);
    std::free(json->strings);
    json->~native_json();
    std::free(json);
}

native_json_result native_json_parse(native_json *json, const char *text, size_t size, unsigned max_depth,
                                     native_json_document *document)
{
    *document = native_json_document{};
    if (size > json->max_document_size) {
        document->message = "the text is too large";
        return NATIVE_JSON_TOO_BIG;
    }
    json->prepare(size);
    simdjson::error_code error =
        json->stages->stage1(reinterpret_cast<const uint8_t *>(text), size, simdjson::stage1_mode::regular);
    if (error) {
        document->message = stage_one_message(error);
        return NATIVE_JSON_NOT_JSON;
    }
    json->begin(text);
    char first = text[*json->indexes];
    bool ok =
        first == '{' || first == '[' || first == '"' ? json->parse_root() : json->parse_lone_scalar(size);
    document->nodes = json->nodes;
    document->node_count = json->node_count;
    document->message = json->message;
    if (!ok)
        return NATIVE_JSON_NOT_JSON;
    if (json->deepest > max_depth) {
        document->message = "nested too deeply";
        return NATIVE_JSON_TOO_DEEP;
    }
    return NATIVE_JSON_OK;
}

native_json_result native_json_visit(native_json *json, const char *text, size_t size, unsigned max_depth,
                                     bool (*visit)(void *context, const native_json_token *token),
                                     void *context, const char **message)
{
    native_json_document document;
    native_json_result result = native_json_parse(json, text, size, max_depth, &document);
    if (message)
        *message = document.message;
    if (result)
        return result;
    for (uint32_t i = 0; i < document.node_count; i++) {
        const native_json_node *node = &document.nodes[i];
        native_json_token token = {};
        token.event = node->event;
        token.raw_offset = node->offset;
        if (node->event == NATIVE_JSON_KEY || node->event == NATIVE_JSON_STRING) {
            token.text = node->value.text;
            token.size = node->size;
        } else if (node->event == NATIVE_JSON_INT) {
            token.integer = node->value.integer;
        } else if (node->event == NATIVE_JSON_DOUBLE) {
            token.number = node->value.number;
        }
        if (!visit(context, &token))
            return NATIVE_JSON_STOPPED;
    }
    return NATIVE_JSON_OK;
}
