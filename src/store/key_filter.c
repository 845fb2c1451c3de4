/* key.country=FR over stored records. The records are our own JSON, written by result_block_encode(), so names and strings are escaped in
 * exactly one way and raw text can be compared with raw text; nothing is parsed but the brackets. */
#include "base/json_text.h"
#include "store/store_internal.h"

static struct slice add_text(struct buffer *texts, struct slice text, bool is_quoted)
{
    size_t start = texts->size;
    if (is_quoted)
        buffer_json_string(texts, text);
    else
        buffer_append_slice(texts, text);
    return (struct slice){.size = texts->size - start};
}

void key_filter_init(struct key_filter *filter, const struct store_results_query *query)
{
    *filter = (struct key_filter){.condition_count = query->key_count};
    for (uint32_t i = 0; i < query->key_count; i++) {
        filter->conditions[i].name = add_text(&filter->texts, query->key[i].name, true);
        filter->conditions[i].quoted = add_text(&filter->texts, query->key[i].value, true);
        filter->conditions[i].plain = add_text(&filter->texts, query->key[i].value, false);
    }
    const char *next = filter->texts.data;
    for (uint32_t i = 0; i < query->key_count; i++) {
        struct slice *parts[] = {&filter->conditions[i].name, &filter->conditions[i].quoted,
                                 &filter->conditions[i].plain};
        for (size_t part = 0; part < 3; part++) {
            parts[part]->data = next;
            next += parts[part]->size;
        }
        /* The text of a value never begins with a quote unless the value is a string, and that is `quoted`. */
        if (parts[2]->size && parts[2]->data[0] == '"')
            parts[2]->size = 0;
    }
}

void key_filter_deinit(struct key_filter *filter)
{
    buffer_deinit(&filter->texts);
}

/* End of the value at `at`: behind a string or a closing bracket, or at what follows a bare word. */
static const char *skip_value(const char *at, const char *end)
{
    unsigned depth = 0;
    do {
        if (*at == '"') {
            for (at++; at < end && *at != '"'; at++)
                at += *at == '\\';
            at++;
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (*at == '}' || *at == ']') {
            if (depth)
                depth--;
            at++;
        } else if (depth) {
            at++;
        } else {
            while (at < end && *at != ',' && *at != '}' && *at != ']')
                at++;
        }
    } while (depth && at < end);
    return at < end ? at : end;
}

/* The member at `at` of an object: "name":value. Returns what is behind the comma or bracket. */
static const char *read_member(const char *at, const char *end, struct slice *name, struct slice *value)
{
    const char *name_end = skip_value(at, end);
    *name = (struct slice){at, (size_t)(name_end - at)};
    const char *start = name_end < end ? name_end + 1 : end;
    const char *value_end = start < end ? skip_value(start, end) : end;
    *value = (struct slice){start, (size_t)(value_end - start)};
    return value_end < end ? value_end + 1 : end;
}

static bool find_member(struct slice object, struct slice wanted, struct slice *value)
{
    const char *end = object.data + object.size;
    struct slice name;
    for (const char *at = object.data + 1; at < end && *at == '"';) {
        at = read_member(at, end, &name, value);
        if (slice_equal(name, wanted))
            return true;
    }
    return false;
}

bool key_filter_passes(const struct key_filter *filter, struct slice record)
{
    struct slice key, value;
    if (!record.size || !find_member(record, SLICE("\"key\""), &key) || !key.size)
        return filter->condition_count == 0;
    for (uint32_t i = 0; i < filter->condition_count; i++) {
        if (!find_member(key, filter->conditions[i].name, &value))
            return false;
        bool is_plain = filter->conditions[i].plain.size && slice_equal(value, filter->conditions[i].plain);
        if (!is_plain && !slice_equal(value, filter->conditions[i].quoted))
            return false;
    }
    return true;
}
