/* The functions of the language: one table that the check, the messages and the evaluation read. A function looks at one row;
 * what makes text (string(), + on strings) is done by expr_evaluate.c, which knows where text goes. */
#include <math.h>
#include <stdio.h>

#include "base/native.h"
#include "expr/expr_internal.h"
#include "flow/event_time.h"

static void set_null(struct scalar *out)
{
    *out = (struct scalar){.kind = VALUE_NULL};
}

static void set_bool(struct scalar *out, bool value)
{
    *out = (struct scalar){.kind = VALUE_BOOL, .i = value};
}

static void set_int(struct scalar *out, int64_t value)
{
    *out = (struct scalar){.kind = VALUE_INT, .i = value};
}

static void set_finite(struct scalar *out, double value)
{
    if (isfinite(value))
        *out = (struct scalar){.kind = VALUE_DOUBLE, .d = value};
    else
        set_null(out);
}

static int64_t count_code_points(struct slice text)
{
    int64_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return count;
}

static void apply_size(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    int64_t size = -1;
    if (node->children[0]->operation == OP_LIST)
        size = node->children[0]->child_count;
    else if (arguments->kind == VALUE_STRING)
        size = count_code_points(arguments->text);
    else if (arguments->kind == VALUE_JSON)
        size = expr_json_size(arguments->text);
    if (size < 0)
        set_null(out);
    else
        set_int(out, size);
}

static void apply_has(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    (void)node;
    set_bool(out, arguments->kind != VALUE_NULL);
}

static bool both_strings(const struct scalar *arguments, struct scalar *out)
{
    if (arguments[0].kind == VALUE_STRING && arguments[1].kind == VALUE_STRING)
        return true;
    set_null(out);
    return false;
}

static void apply_starts_with(const struct expr_node *node, const struct scalar *arguments,
                              struct scalar *out)
{
    (void)node;
    if (!both_strings(arguments, out))
        return;
    struct slice text = arguments[0].text, part = arguments[1].text;
    set_bool(out, part.size <= text.size && slice_equal((struct slice){text.data, part.size}, part));
}

static void apply_ends_with(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    (void)node;
    if (!both_strings(arguments, out))
        return;
    struct slice text = arguments[0].text, part = arguments[1].text;
    set_bool(out, part.size <= text.size &&
                      slice_equal((struct slice){text.data + (text.size - part.size), part.size}, part));
}

static void apply_contains(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    (void)node;
    if (!both_strings(arguments, out))
        return;
    struct slice text = arguments[0].text, part = arguments[1].text;
    set_bool(out,
             part.size == 0 || (text.size && memmem(text.data, text.size, part.data, part.size) != NULL));
}

static void apply_matches(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    if (arguments->kind == VALUE_STRING)
        set_bool(out, regex_search(node->regex, arguments->text.data, arguments->text.size));
    else
        set_null(out);
}

/* -?[0-9]+ and nothing else. */
static bool parse_integer(struct slice text, int64_t *out)
{
    bool is_negative = text.size && text.data[0] == '-';
    if (text.size == is_negative)
        return false;
    int64_t value = 0;
    for (size_t i = is_negative; i < text.size; i++) {
        int digit = text.data[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value))
            return false;
    }
    if (!is_negative && value == INT64_MIN)
        return false;
    *out = is_negative ? value : -value;
    return true;
}

static void apply_int(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    (void)node;
    int64_t value;
    set_null(out);
    switch (arguments->kind) {
    case VALUE_INT: *out = *arguments; return;
    case VALUE_DOUBLE:
        if (arguments->d >= -0x1p63 && arguments->d < 0x1p63)
            set_int(out, (int64_t)arguments->d);
        return;
    case VALUE_STRING:
        if (parse_integer(arguments->text, &value))
            set_int(out, value);
        return;
    case VALUE_TIMESTAMP: set_int(out, event_time_floor(arguments->i, 1000000) / 1000000); return;
    case VALUE_DURATION: set_int(out, arguments->i / 1000000); return;
    default: return;
    }
}

static size_t skip_digits(struct slice text, size_t at)
{
    while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9')
        at++;
    return at;
}

/* JSON's grammar of a number, with leading zeros allowed. */
static bool is_number_text(struct slice text)
{
    size_t at = text.size && text.data[0] == '-', digits = skip_digits(text, at);
    if (digits == at)
        return false;
    at = digits;
    if (at < text.size && text.data[at] == '.') {
        digits = skip_digits(text, ++at);
        if (digits == at)
            return false;
        at = digits;
    }
    if (at < text.size && (text.data[at] | 0x20) == 'e') {
        at++;
        at += at < text.size && (text.data[at] == '+' || text.data[at] == '-');
        digits = skip_digits(text, at);
        if (digits == at)
            return false;
        at = digits;
    }
    return at == text.size;
}

static void apply_double(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    (void)node;
    double value;
    set_null(out);
    if (scalar_is_number(arguments))
        set_finite(out, scalar_double(arguments));
    else if (arguments->kind == VALUE_DURATION)
        set_finite(out, (double)arguments->i / 1e6);
    else if (arguments->kind == VALUE_TIMESTAMP)
        set_finite(out, (double)arguments->i / 1e6);
    else if (arguments->kind == VALUE_STRING && is_number_text(arguments->text) &&
             native_double_parse(arguments->text.data, arguments->text.size, &value))
        set_finite(out, value);
}

static void apply_timestamp(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    (void)node;
    int64_t time_us = 0;
    enum status status = STATUS_INVALID;
    switch (arguments->kind) {
    case VALUE_TIMESTAMP: *out = *arguments; return;
    case VALUE_STRING: status = event_time_from_text(arguments->text, &time_us); break;
    case VALUE_INT: status = event_time_from_int(arguments->i, TIME_UNIT_AUTO, &time_us); break;
    case VALUE_DOUBLE: status = event_time_from_double(arguments->d, TIME_UNIT_AUTO, &time_us); break;
    default: break;
    }
    *out = status == STATUS_OK ? (struct scalar){.kind = VALUE_TIMESTAMP, .i = time_us}
                               : (struct scalar){.kind = VALUE_NULL};
}

struct duration_unit {
    const char *name;
    double size_us;
};

static const struct duration_unit *find_unit(struct slice text)
{
    static const struct duration_unit units[] = {{"ns", 1e-3},   {"us", 1},     {"\xC2\xB5s", 1}, {"ms", 1e3},
                                                 {"d", 86400e6}, {"h", 3600e6}, {"m", 60e6},      {"s", 1e6}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct slice name = slice_of(units[i].name);
        if (text.size >= name.size && memcmp(text.data, name.data, name.size) == 0)
            return &units[i];
    }
    return NULL;
}

/* 1h30m, 1.5s, -250ms: each part a decimal number and a unit. */
static bool parse_duration(struct slice text, int64_t *duration_us)
{
    bool is_negative = text.size && text.data[0] == '-';
    size_t at = is_negative;
    double total_us = 0;
    if (at == text.size)
        return false;
    while (at < text.size) {
        size_t end = skip_digits(text, at);
        if (end == at)
            return false;
        if (end < text.size && text.data[end] == '.')
            end = skip_digits(text, end + 1);
        double count;
        if (text.data[end - 1] == '.' || !native_double_parse(text.data + at, end - at, &count))
            return false;
        const struct duration_unit *unit = find_unit((struct slice){text.data + end, text.size - end});
        if (!unit)
            return false;
        total_us += count * unit->size_us;
        at = end + strlen(unit->name);
    }
    if (!(total_us < 0x1p63))
        return false;
    *duration_us = (int64_t)(is_negative ? -total_us : total_us);
    return true;
}

static void apply_duration(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    (void)node;
    int64_t duration_us;
    if (arguments->kind == VALUE_DURATION)
        *out = *arguments;
    else if (arguments->kind == VALUE_STRING && parse_duration(arguments->text, &duration_us))
        *out = (struct scalar){.kind = VALUE_DURATION, .i = duration_us};
    else
        set_null(out);
}

static void apply_log(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    (void)node;
    set_finite(out, scalar_is_number(arguments) ? log(scalar_double(arguments)) : NAN);
}

static void apply_sqrt(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    (void)node;
    set_finite(out, scalar_is_number(arguments) ? sqrt(scalar_double(arguments)) : NAN);
}

static void apply_abs(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    (void)node;
    if (arguments->kind == VALUE_INT && arguments->i != INT64_MIN)
        set_int(out, arguments->i < 0 ? -arguments->i : arguments->i);
    else
        set_finite(out, arguments->kind == VALUE_DOUBLE ? fabs(arguments->d) : NAN);
}

static void apply_floor(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    (void)node;
    if (arguments->kind == VALUE_INT)
        *out = *arguments;
    else
        set_finite(out, arguments->kind == VALUE_DOUBLE ? floor(arguments->d) : NAN);
}

static void apply_ceil(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    (void)node;
    if (arguments->kind == VALUE_INT)
        *out = *arguments;
    else
        set_finite(out, arguments->kind == VALUE_DOUBLE ? ceil(arguments->d) : NAN);
}

/* Keeps the kind of the winner; of equal ones the first. */
static void pick(const struct expr_node *node, const struct scalar *arguments, enum expr_operation better,
                 struct scalar *out)
{
    const struct scalar *best = arguments;
    for (uint32_t i = 0; i < node->child_count; i++) {
        struct scalar wins;
        if (!scalar_is_number(&arguments[i])) {
            set_null(out);
            return;
        }
        expr_compare(better, &arguments[i], best, &wins);
        if (wins.i)
            best = &arguments[i];
    }
    *out = *best;
}

static void apply_min(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    pick(node, arguments, OP_LESS, out);
}

static void apply_max(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    pick(node, arguments, OP_GREATER, out);
}

static const struct expr_function functions[] = {
    {"has", CALL_FUNCTION, 1, 1, EXPR_ANY, EXPR_BOOL, "has(path)", apply_has},
    {"size", CALL_FUNCTION | CALL_METHOD, 1, 1, EXPR_ANY, EXPR_INT, "size(x)", apply_size},
    {"startsWith", CALL_METHOD, 2, 2, EXPR_STRING, EXPR_BOOL, "x.startsWith(\"text\")", apply_starts_with},
    {"endsWith", CALL_METHOD, 2, 2, EXPR_STRING, EXPR_BOOL, "x.endsWith(\"text\")", apply_ends_with},
    {"contains", CALL_METHOD, 2, 2, EXPR_STRING, EXPR_BOOL, "x.contains(\"text\")", apply_contains},
    {"matches", CALL_METHOD, 2, 2, EXPR_STRING, EXPR_BOOL, "x.matches(\"pattern\")", apply_matches},
    {"int", CALL_FUNCTION, 1, 1, EXPR_ANY, EXPR_INT, "int(x)", apply_int},
    {"double", CALL_FUNCTION, 1, 1, EXPR_ANY, EXPR_DOUBLE, "double(x)", apply_double},
    {"string", CALL_FUNCTION, 1, 1, EXPR_ANY, EXPR_STRING, "string(x)", NULL},
    {"timestamp", CALL_FUNCTION, 1, 1, EXPR_ANY, EXPR_TIMESTAMP, "timestamp(x)", apply_timestamp},
    {"duration", CALL_FUNCTION, 1, 1, EXPR_STRING, EXPR_DURATION, "duration(\"1h30m\")", apply_duration},
    {"log", CALL_FUNCTION, 1, 1, EXPR_NUMBER, EXPR_DOUBLE, "log(x)", apply_log},
    {"sqrt", CALL_FUNCTION, 1, 1, EXPR_NUMBER, EXPR_DOUBLE, "sqrt(x)", apply_sqrt},
    {"abs", CALL_FUNCTION, 1, 1, EXPR_NUMBER, EXPR_ANY, "abs(x)", apply_abs},
    {"min", CALL_FUNCTION, 2, EXPR_MAX_ARGUMENTS, EXPR_NUMBER, EXPR_ANY, "min(x, y)", apply_min},
    {"max", CALL_FUNCTION, 2, EXPR_MAX_ARGUMENTS, EXPR_NUMBER, EXPR_ANY, "max(x, y)", apply_max},
    {"floor", CALL_FUNCTION, 1, 1, EXPR_NUMBER, EXPR_ANY, "floor(x)", apply_floor},
    {"ceil", CALL_FUNCTION, 1, 1, EXPR_NUMBER, EXPR_ANY, "ceil(x)", apply_ceil},
};

enum { FUNCTION_COUNT = sizeof functions / sizeof *functions };

const struct expr_function *expr_function_find(struct slice name)
{
    for (size_t i = 0; i < FUNCTION_COUNT; i++)
        if (slice_equal_text(name, functions[i].name))
            return &functions[i];
    return NULL;
}

static unsigned smallest(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

/* Edit distance that ignores case, over one row of the matrix. `b` is a name of the table, at most 15 bytes. */
static unsigned edit_distance(struct slice a, const char *b)
{
    unsigned row[16];
    size_t size = strlen(b);
    for (unsigned j = 0; j <= size; j++)
        row[j] = j;
    for (unsigned i = 0; i < a.size; i++) {
        unsigned diagonal = row[0];
        row[0] = i + 1;
        for (unsigned j = 0; j < size; j++) {
            unsigned cost = diagonal + ((a.data[i] | 0x20) != (b[j] | 0x20));
            diagonal = row[j + 1];
            row[j + 1] = smallest(cost, row[j] + 1, diagonal + 1);
        }
    }
    return row[size];
}

const char *expr_function_suggest(struct slice name)
{
    const char *best = NULL;
    unsigned best_distance = name.size > 4 ? 4 : (unsigned)name.size;
    for (size_t i = 0; i < FUNCTION_COUNT; i++) {
        unsigned distance = edit_distance(name, functions[i].name);
        if (distance < best_distance) {
            best_distance = distance;
            best = functions[i].name;
        }
    }
    return best;
}

bool expr_function_is(const struct expr_node *node, const char *name)
{
    return node->operation == OP_CALL && node->function && strcmp(node->function->name, name) == 0;
}
