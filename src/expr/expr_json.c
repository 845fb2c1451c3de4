/* Looks into the raw text of an array or object that a field holds. The decoder has checked the text, so it is closed and valid;
 * these walkers stay inside its bounds all the same. */
#include "base/json_text.h"
#include "base/utf8.h"
#include "expr/expr_internal.h"

/* End of the string whose opening quote is at `at`, behind its closing quote. */
static size_t skip_string(struct slice json, size_t at)
{
    for (at++; at < json.size && json.data[at] != '"'; at++)
        if (json.data[at] == '\\')
            at++;
    return at < json.size ? at + 1 : json.size;
}

/* End of the value at `at`: the next comma or closing bracket of the same level. */
static size_t skip_value(struct slice json, size_t at)
{
    unsigned depth = 0;
    while (at < json.size) {
        char c = json.data[at];
        if (c == '"') {
            at = skip_string(json, at);
            continue;
        }
        if (depth == 0 && (c == ',' || c == ']' || c == '}'))
            break;
        depth += c == '[' || c == '{';
        depth -= c == ']' || c == '}';
        at++;
    }
    return at;
}

static size_t skip_space(struct slice json, size_t at)
{
    while (at < json.size && json_is_space(json.data[at]))
        at++;
    return at;
}

/* Steps over the elements of an array or the members of an object. */
struct json_walk {
    struct slice json;
    size_t at;
};

static bool walk_next(struct json_walk *walk, struct slice *element)
{
    size_t start = skip_space(walk->json, walk->at);
    if (start >= walk->json.size || walk->json.data[start] == ']' || walk->json.data[start] == '}')
        return false;
    size_t end = skip_value(walk->json, start);
    walk->at = end + (end < walk->json.size && walk->json.data[end] == ',');
    while (end > start && json_is_space(walk->json.data[end - 1]))
        end--;
    *element = (struct slice){walk->json.data + start, end - start};
    return true;
}

int64_t expr_json_size(struct slice json)
{
    if (!json.size || (json.data[0] != '[' && json.data[0] != '{'))
        return -1;
    struct json_walk walk = {json, 1};
    struct slice element;
    int64_t size = 0;
    while (walk_next(&walk, &element))
        size++;
    return size;
}

static uint32_t read_hex4(const char *text)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)text[i] | 0x20u;
        value = value << 4 | ((c >= 'a' ? c - 'a' + 10 : c - '0') & 0xF);
    }
    return value;
}

/* Character of the escape at `at` (a backslash) as UTF-8; moves `at` behind it. */
static size_t decode_escape(struct slice inside, size_t *at, char out[4])
{
    static const char simple[] = "n\nt\tr\rb\bf\f";
    char c = *at + 1 < inside.size ? inside.data[*at + 1] : '\\';
    if (c != 'u' || *at + 6 > inside.size) {
        *at += 2;
        out[0] = c;
        for (size_t i = 0; i + 1 < sizeof simple; i += 2)
            if (c == simple[i])
                out[0] = simple[i + 1];
        return 1;
    }
    uint32_t code_point = read_hex4(inside.data + *at + 2);
    *at += 6;
    if (code_point >= 0xD800 && code_point < 0xDC00 && *at + 6 <= inside.size) {
        code_point = 0x10000 + ((code_point & 0x3FF) << 10) + (read_hex4(inside.data + *at + 2) & 0x3FF);
        *at += 6;
    }
    return utf8_encode(code_point, out);
}

/* `inside` is what stands between the quotes. */
static bool string_equals(struct slice inside, struct slice text)
{
    size_t at = 0, matched = 0;
    while (at < inside.size) {
        char character[4] = {inside.data[at]};
        size_t size = 1;
        if (inside.data[at] == '\\')
            size = decode_escape(inside, &at, character);
        else
            at++;
        if (text.size - matched < size || memcmp(text.data + matched, character, size) != 0)
            return false;
        matched += size;
    }
    return matched == text.size;
}

static bool element_equals(struct slice element, const struct scalar *value)
{
    struct scalar scalar = {.kind = VALUE_NULL};
    struct json_number number;
    switch (element.data[0]) {
    case '"':
        return value->kind == VALUE_STRING && element.size >= 2 &&
               string_equals((struct slice){element.data + 1, element.size - 2}, value->text);
    case '[':
    case '{': return value->kind == VALUE_JSON && slice_equal(element, value->text);
    case 't':
    case 'f': scalar = (struct scalar){.kind = VALUE_BOOL, .i = element.data[0] == 't'}; break;
    case 'n': break;
    default:
        if (!scalar_is_number(value) || !json_parse_number(element.data, &number))
            return false;
        scalar = number.kind == JSON_NUMBER_INT ? (struct scalar){.kind = VALUE_INT, .i = number.integer}
                                                : (struct scalar){.kind = VALUE_DOUBLE, .d = number.real};
        break;
    }
    return expr_equal(&scalar, value);
}

bool expr_json_contains(struct slice json, const struct scalar *value)
{
    if (!json.size || json.data[0] != '[')
        return false;
    struct json_walk walk = {json, 1};
    struct slice element;
    while (walk_next(&walk, &element))
        if (element.size && element_equals(element, value))
            return true;
    return false;
}
