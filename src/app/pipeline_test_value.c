/* Values of a test file against JSON that came out. Only what the file gives is compared. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/pipeline_test.h"
#include "base/json_find.h"
#include "base/memory.h"
#include "flow/event_time.h"

enum { PATH_MAX_SIZE = 512, ACTUAL_MAX_SIZE = RECORD_MAX_SIZE, ACTUAL_MAX_DEPTH = 1000 };
#define RELATIVE_TOLERANCE 1e-9
#define ABSOLUTE_TOLERANCE 1e-12 /* what is left of 0.1 + 0.2 - 0.3 */

/* --- from YAML -------------------------------------------------------------------------------------------------------- */

static bool has_digits(const char **at)
{
    const char *start = *at;
    while (**at >= '0' && **at <= '9')
        (*at)++;
    return *at > start;
}

/* JSON's grammar of numbers; `*is_integer` when it has neither fraction nor exponent. */
static bool is_number(const char *text, bool *is_integer)
{
    *is_integer = true;
    text += *text == '-';
    const char *start = text;
    if (!has_digits(&text) || (*start == '0' && text > start + 1))
        return false;
    if (*text == '.') {
        *is_integer = false;
        text++;
        if (!has_digits(&text))
            return false;
    }
    if (*text == 'e' || *text == 'E') {
        *is_integer = false;
        text++;
        text += *text == '+' || *text == '-';
        if (!has_digits(&text))
            return false;
    }
    return !*text;
}

static bool is_word(const struct node *value)
{
    bool is_integer;
    return value->is_plain && (strcmp(value->text, "true") == 0 || strcmp(value->text, "false") == 0 ||
                               is_number(value->text, &is_integer));
}

static void write_map(struct buffer *out, const struct node *map, bool leaves_out)
{
    const char *separator = "";
    buffer_append_char(out, '{');
    for (const struct node *child = map->first; child; child = child->next) {
        if (leaves_out && strncmp(child->key, "at_", 3) == 0)
            continue;
        buffer_append_text(out, separator);
        buffer_json_string(out, slice_of(child->key));
        buffer_append_char(out, ':');
        test_value_write(out, child, false);
        separator = ",";
    }
    buffer_append_char(out, '}');
}

void test_value_write(struct buffer *out, const struct node *value, bool leaves_out)
{
    if (value->kind == NODE_MAP) {
        write_map(out, value, leaves_out);
    } else if (value->kind == NODE_LIST) {
        buffer_append_char(out, '[');
        for (const struct node *child = value->first; child; child = child->next) {
            test_value_write(out, child, false);
            buffer_append_text(out, child->next ? "," : "");
        }
        buffer_append_char(out, ']');
    } else if (node_is_null(value)) {
        buffer_append_text(out, "null");
    } else if (is_word(value)) {
        buffer_append_text(out, value->text);
    } else {
        buffer_json_string(out, slice_of(value->text));
    }
}

/* --- what came out ---------------------------------------------------------------------------------------------------- */

struct test_actual *test_actual_create(struct slice json)
{
    struct test_actual *actual = memory_allocate(sizeof *actual);
    char *text = memory_allocate(json.size + NATIVE_JSON_PADDING);
    memcpy(text, json.data, json.size);
    actual->text = (struct slice){text, json.size};
    actual->parser = native_json_create(ACTUAL_MAX_SIZE);
    if (native_json_parse(actual->parser, text, json.size, ACTUAL_MAX_DEPTH, &actual->document) !=
        NATIVE_JSON_OK)
        actual->document.node_count = 0;
    return actual;
}

void test_actual_destroy(struct test_actual *actual)
{
    native_json_destroy(actual->parser);
    free((char *)(uintptr_t)actual->text.data);
    free(actual);
}

/* --- comparing ---------------------------------------------------------------------------------------------------------- */

struct comparison {
    const struct test_actual *actual;
    struct buffer *text, *json;
    uint32_t count;
    char path[PATH_MAX_SIZE];
    size_t path_size;
};

static struct slice raw_text(const struct comparison *comparison, const struct native_json_node *node)
{
    const char *start = comparison->actual->text.data + node->offset;
    const char *end = comparison->actual->text.data + comparison->actual->text.size;
    if (node->event != NATIVE_JSON_STRING && node->event != NATIVE_JSON_KEY)
        return (struct slice){start, node->size};
    const char *at = start + 1; /* a string's size is that of its content */
    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    return (struct slice){start, (size_t)(at + 1 - start)};
}

/* `actual` NULL: there is no such member. */
static void differ(struct comparison *comparison, const struct node *expected,
                   const struct native_json_node *actual)
{
    if (comparison->count++ >= TEST_DIFFERENCES_MAX)
        return;
    struct slice path = {comparison->path, comparison->path_size};
    struct buffer wanted = {0};
    test_value_write(&wanted, expected, false);
    struct slice got = actual ? raw_text(comparison, actual) : SLICE("nothing");
    if (comparison->text)
        buffer_format(comparison->text, "      > %-24.*s expected %.*s, got %.*s\n", SLICE_ARG(path),
                      SLICE_ARG(buffer_slice(&wanted)), SLICE_ARG(got));
    if (comparison->json) {
        buffer_append_text(comparison->json, comparison->count > 1 ? ",{\"path\":" : "{\"path\":");
        buffer_json_string(comparison->json, path);
        buffer_format(comparison->json, ",\"expected\":%.*s,\"actual\":%.*s,\"line\":%u}",
                      SLICE_ARG(buffer_slice(&wanted)), SLICE_ARG(actual ? got : SLICE("null")),
                      expected->place.line);
    }
    buffer_deinit(&wanted);
}

/* Integers are exact: times in milliseconds are so large that a relative tolerance would let a window be another one. */
static bool equal_numbers(const char *expected, bool is_integer, const struct native_json_node *actual)
{
    if (is_integer && actual->event == NATIVE_JSON_INT) {
        char text[NATIVE_DOUBLE_TEXT_SIZE];
        snprintf(text, sizeof text, "%lld", (long long)actual->value.integer);
        return strcmp(text, strcmp(expected, "-0") == 0 ? "0" : expected) == 0;
    }
    double wanted = 0,
           got = actual->event == NATIVE_JSON_INT ? (double)actual->value.integer : actual->value.number;
    if (!native_double_parse(expected, strlen(expected), &wanted))
        return false;
    double larger = fabs(wanted) > fabs(got) ? fabs(wanted) : fabs(got);
    return wanted == got || fabs(wanted - got) <= RELATIVE_TOLERANCE * larger + ABSOLUTE_TOLERANCE;
}

/* Results hold times as milliseconds; a test may write them as text. */
static bool is_time(const struct comparison *comparison)
{
    static const char *const names[] = {"window_start", "window_end", "receipt.watermark"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_equal_text((struct slice){comparison->path, comparison->path_size}, names[i]))
            return true;
    }
    return false;
}

static bool equal_scalars(const struct comparison *comparison, const struct node *expected,
                          const struct native_json_node *actual)
{
    bool is_integer = false;
    int64_t time_us;
    if (node_is_null(expected))
        return actual->event == NATIVE_JSON_NULL;
    if (expected->is_plain && strcmp(expected->text, "true") == 0)
        return actual->event == NATIVE_JSON_TRUE;
    if (expected->is_plain && strcmp(expected->text, "false") == 0)
        return actual->event == NATIVE_JSON_FALSE;
    bool is_got_number = actual->event == NATIVE_JSON_INT || actual->event == NATIVE_JSON_DOUBLE;
    if (expected->is_plain && is_number(expected->text, &is_integer))
        return is_got_number && equal_numbers(expected->text, is_integer, actual);
    if (actual->event == NATIVE_JSON_INT && is_time(comparison) &&
        event_time_from_text(slice_of(expected->text), &time_us) == STATUS_OK)
        return event_time_floor(time_us, MICROSECONDS_PER_MILLISECOND) / MICROSECONDS_PER_MILLISECOND ==
               actual->value.integer;
    return actual->event == NATIVE_JSON_STRING &&
           slice_equal_text((struct slice){actual->value.text, actual->size}, expected->text);
}

static void compare(struct comparison *comparison, const struct node *expected,
                    const struct native_json_node *actual);

/* A step into a member, or an element when `name` is NULL. Returns the size to go back to; a path that grows too long stays as it is. */
static size_t enter(struct comparison *comparison, const char *name, size_t index)
{
    size_t before = comparison->path_size, room = PATH_MAX_SIZE - before;
    char *to = comparison->path + before;
    int size =
        name ? snprintf(to, room, "%s%s", before ? "." : "", name) : snprintf(to, room, "[%zu]", index);
    if (size > 0 && (size_t)size < room)
        comparison->path_size += (size_t)size;
    return before;
}

static void compare_members(struct comparison *comparison, const struct node *expected,
                            const struct native_json_node *actual)
{
    for (const struct node *child = expected->first; child; child = child->next) {
        size_t before = enter(comparison, child->key, 0);
        const struct native_json_node *member = json_find(&comparison->actual->document, actual, child->key);
        if (member)
            compare(comparison, child, member);
        else if (!node_is_null(child)) /* null and missing are the same */
            differ(comparison, child, NULL);
        comparison->path_size = before;
    }
}

static void compare_elements(struct comparison *comparison, const struct node *expected,
                             const struct native_json_node *actual)
{
    size_t count = 0;
    for (const struct native_json_node *element = json_first(actual); element;
         element = json_next(&comparison->actual->document, element))
        count++;
    if (count != expected->child_count) {
        differ(comparison, expected, actual);
        return;
    }
    const struct native_json_node *element = json_first(actual);
    size_t index = 0;
    for (const struct node *child = expected->first; child; child = child->next) {
        size_t before = enter(comparison, NULL, index++);
        compare(comparison, child, element);
        comparison->path_size = before;
        element = json_next(&comparison->actual->document, element);
    }
}

/* As deep as the expectation is, which is at most CONFIG_MAX_DEPTH. */
static void compare(struct comparison *comparison, const struct node *expected,
                    const struct native_json_node *actual)
{
    if (expected->kind == NODE_MAP && actual->event == NATIVE_JSON_OBJECT_BEGIN)
        compare_members(comparison, expected, actual);
    else if (expected->kind == NODE_LIST && actual->event == NATIVE_JSON_ARRAY_BEGIN)
        compare_elements(comparison, expected, actual);
    else if (expected->kind != NODE_SCALAR || !equal_scalars(comparison, expected, actual))
        differ(comparison, expected, actual);
}

uint32_t test_value_compare(const struct node *expected, const struct test_actual *actual,
                            struct buffer *text, struct buffer *json)
{
    struct comparison comparison = {.actual = actual, .text = text, .json = json};
    if (actual->document.node_count)
        compare(&comparison, expected, actual->document.nodes);
    else
        differ(&comparison, expected, NULL);
    if (text && comparison.count > TEST_DIFFERENCES_MAX)
        buffer_format(text, "      > and %u more\n", comparison.count - TEST_DIFFERENCES_MAX);
    return comparison.count;
}
