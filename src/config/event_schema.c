/* What several files need to know of rules: how numbers and constants compare, and how they read in a message. */
#include "config/event_schema.h"

#include <math.h>
#include <stdio.h>

#include "base/native.h"

const char *event_schema_title(struct arena *arena, const struct event_schema *schema)
{
    return arena_format(arena, "%s@%u", schema->name, schema->version);
}

/* An integer against a double, without rounding the integer: doubles of 2^63 and beyond are out of its range, all others
 * have a whole part that is an int64. */
static int compare_mixed(int64_t integer, double real)
{
    const double beyond = 9223372036854775808.0; /* 2^63 */
    if (real >= beyond)
        return -1;
    if (real < -beyond)
        return 1;
    int64_t whole = (int64_t)real;
    if (integer != whole)
        return integer < whole ? -1 : 1;
    double fraction = real - (double)whole;
    return (fraction < 0) - (fraction > 0);
}

int event_number_compare(struct event_number a, struct event_number b)
{
    if (a.is_integer && b.is_integer)
        return (a.integer > b.integer) - (a.integer < b.integer);
    if (a.is_integer)
        return compare_mixed(a.integer, b.real);
    if (b.is_integer)
        return -compare_mixed(b.integer, a.real);
    return (a.real > b.real) - (a.real < b.real);
}

const char *event_number_text(struct arena *arena, struct event_number number)
{
    if (number.is_integer)
        return arena_format(arena, "%lld", (long long)number.integer);
    if (!isfinite(number.real))
        return number.real > 0 ? "a number beyond 1e308" : "a number below -1e308";
    char text[NATIVE_DOUBLE_TEXT_SIZE];
    size_t size = native_double_format(number.real, text);
    return arena_copy(arena, (struct slice){text, size}).data;
}

const char *event_types_text(struct arena *arena, unsigned types)
{
    static const struct {
        unsigned type;
        const char *name;
    } names[] = {
        {EVENT_TYPE_STRING, "string"},   {EVENT_TYPE_NUMBER, "number"}, {EVENT_TYPE_INTEGER, "integer"},
        {EVENT_TYPE_BOOLEAN, "boolean"}, {EVENT_TYPE_OBJECT, "object"}, {EVENT_TYPE_ARRAY, "array"},
        {EVENT_TYPE_NULL, "null"},
    };
    if (types == EVENT_TYPE_ALL)
        return "anything";
    const char *text = "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool is_said = names[i].type == EVENT_TYPE_INTEGER && types & EVENT_TYPE_NUMBER;
        if (types & names[i].type && !is_said)
            text = arena_format(arena, "%s%s%s", text, *text ? " or " : "", names[i].name);
    }
    return text;
}

static bool constants_equal(const struct event_constant *a, const struct event_constant *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case EVENT_TYPE_NULL: return true;
    case EVENT_TYPE_BOOLEAN: return a->boolean == b->boolean;
    case EVENT_TYPE_NUMBER: return event_number_compare(a->number, b->number) == 0;
    default: return slice_equal(a->text, b->text);
    }
}

bool event_constants_have(const struct event_constant *constants, uint32_t count,
                          const struct event_constant *value)
{
    for (uint32_t i = 0; i < count; i++)
        if (constants_equal(&constants[i], value))
            return true;
    return false;
}

const char *event_constant_text(struct arena *arena, const struct event_constant *constant)
{
    switch (constant->type) {
    case EVENT_TYPE_NULL: return "null";
    case EVENT_TYPE_BOOLEAN: return constant->boolean ? "true" : "false";
    case EVENT_TYPE_NUMBER: return event_number_text(arena, constant->number);
    default: return arena_format(arena, "\"%.*s\"", SLICE_ARG(constant->text));
    }
}
