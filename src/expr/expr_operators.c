/* Operators on single values. Arithmetic never gives NaN, an infinity or a wrapped integer: such a result is null, as is any
 * operand of a wrong kind. Equality is total (null equals null, different kinds differ); order exists within numbers,
 * strings, times and durations, and is null elsewhere. */
#include <math.h>

#include "expr/expr_internal.h"

static void set_int(struct scalar *out, bool has_overflowed, int64_t value, enum value_kind kind)
{
    *out = has_overflowed ? (struct scalar){.kind = VALUE_NULL} : (struct scalar){.kind = kind, .i = value};
}

static void set_double(struct scalar *out, double value)
{
    *out = isfinite(value) ? (struct scalar){.kind = VALUE_DOUBLE, .d = value}
                           : (struct scalar){.kind = VALUE_NULL};
}

/* Plain integers, and the integers inside times and durations. */
static void integer_arithmetic(enum expr_operation operation, int64_t a, int64_t b, enum value_kind kind,
                               struct scalar *out)
{
    int64_t result = 0;
    bool has_overflowed = true;
    switch (operation) {
    case OP_ADD: has_overflowed = __builtin_add_overflow(a, b, &result); break;
    case OP_SUBTRACT: has_overflowed = __builtin_sub_overflow(a, b, &result); break;
    case OP_MULTIPLY: has_overflowed = __builtin_mul_overflow(a, b, &result); break;
    case OP_DIVIDE:
    case OP_REMAINDER:
        if (b == 0 || (a == INT64_MIN && b == -1))
            break;
        has_overflowed = false;
        result = operation == OP_DIVIDE ? a / b : a % b;
        break;
    default: break;
    }
    set_int(out, has_overflowed, result, kind);
}

static void double_arithmetic(enum expr_operation operation, double a, double b, struct scalar *out)
{
    switch (operation) {
    case OP_ADD: set_double(out, a + b); return;
    case OP_SUBTRACT: set_double(out, a - b); return;
    case OP_MULTIPLY: set_double(out, a * b); return;
    case OP_DIVIDE: set_double(out, b == 0 ? NAN : a / b); return;
    case OP_REMAINDER: set_double(out, fmod(a, b)); return;
    default: *out = (struct scalar){.kind = VALUE_NULL}; return;
    }
}

/* time - time, time +- duration, duration + time, duration +- duration. */
static void time_arithmetic(enum expr_operation operation, const struct scalar *a, const struct scalar *b,
                            struct scalar *out)
{
    *out = (struct scalar){.kind = VALUE_NULL};
    bool a_is_time = a->kind == VALUE_TIMESTAMP, b_is_time = b->kind == VALUE_TIMESTAMP;
    if ((!a_is_time && a->kind != VALUE_DURATION) || (!b_is_time && b->kind != VALUE_DURATION))
        return;
    if (operation == OP_ADD && !(a_is_time && b_is_time))
        integer_arithmetic(operation, a->i, b->i, a_is_time || b_is_time ? VALUE_TIMESTAMP : VALUE_DURATION,
                           out);
    if (operation == OP_SUBTRACT && (a_is_time || !b_is_time))
        integer_arithmetic(operation, a->i, b->i, a_is_time && !b_is_time ? VALUE_TIMESTAMP : VALUE_DURATION,
                           out);
}

void expr_arithmetic(enum expr_operation operation, const struct scalar *a, const struct scalar *b,
                     struct scalar *out)
{
    if (a->kind == VALUE_INT && b->kind == VALUE_INT)
        integer_arithmetic(operation, a->i, b->i, VALUE_INT, out);
    else if (scalar_is_number(a) && scalar_is_number(b))
        double_arithmetic(operation, scalar_double(a), scalar_double(b), out);
    else
        time_arithmetic(operation, a, b, out);
}

/* Exact, though most 64-bit integers have no double: the double is brought to the integers, not the other way. */
static int compare_int_with_double(int64_t a, double b)
{
    if (b >= 0x1p63)
        return -1;
    if (b < -0x1p63)
        return 1;
    double whole = trunc(b);
    int64_t b_whole = (int64_t)whole;
    if (a != b_whole)
        return a < b_whole ? -1 : 1;
    return (b < whole) - (b > whole);
}

static int compare_numbers(const struct scalar *a, const struct scalar *b)
{
    if (a->kind == VALUE_INT && b->kind == VALUE_INT)
        return (a->i > b->i) - (a->i < b->i);
    if (a->kind == VALUE_INT)
        return compare_int_with_double(a->i, b->d);
    if (b->kind == VALUE_INT)
        return -compare_int_with_double(b->i, a->d);
    return (a->d > b->d) - (a->d < b->d);
}

bool expr_equal(const struct scalar *a, const struct scalar *b)
{
    if (scalar_is_number(a) && scalar_is_number(b))
        return compare_numbers(a, b) == 0;
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_NULL: return true;
    case VALUE_STRING:
    case VALUE_JSON: return slice_equal(a->text, b->text);
    default: return a->i == b->i;
    }
}

static bool order_holds(enum expr_operation operation, int order)
{
    switch (operation) {
    case OP_LESS: return order < 0;
    case OP_LESS_EQUAL: return order <= 0;
    case OP_GREATER: return order > 0;
    default: return order >= 0;
    }
}

void expr_compare(enum expr_operation operation, const struct scalar *a, const struct scalar *b,
                  struct scalar *out)
{
    *out = (struct scalar){.kind = VALUE_BOOL};
    if (operation == OP_EQUAL || operation == OP_NOT_EQUAL) {
        out->i = expr_equal(a, b) == (operation == OP_EQUAL);
        return;
    }
    int order = 0;
    if (scalar_is_number(a) && scalar_is_number(b))
        order = compare_numbers(a, b);
    else if (a->kind == VALUE_STRING && b->kind == VALUE_STRING)
        order = slice_compare(a->text, b->text);
    else if (a->kind == b->kind && (a->kind == VALUE_TIMESTAMP || a->kind == VALUE_DURATION))
        order = (a->i > b->i) - (a->i < b->i);
    else
        out->kind = VALUE_NULL;
    out->i = order_holds(operation, order);
}

/* Three-valued: what the other operand decides alone is decided, else null stays null. */
static void logic(enum expr_operation operation, const struct scalar *a, const struct scalar *b,
                  struct scalar *out)
{
    bool deciding = operation == OP_OR;
    bool a_known = a->kind == VALUE_BOOL, b_known = b->kind == VALUE_BOOL;
    if ((a_known && (a->i != 0) == deciding) || (b_known && (b->i != 0) == deciding))
        *out = (struct scalar){.kind = VALUE_BOOL, .i = deciding};
    else
        *out = a_known && b_known ? (struct scalar){.kind = VALUE_BOOL, .i = !deciding}
                                  : (struct scalar){.kind = VALUE_NULL};
}

static void negate(const struct scalar *a, struct scalar *out)
{
    struct scalar zero = {.kind = a->kind, .i = 0};
    if (a->kind == VALUE_DOUBLE)
        set_double(out, -a->d);
    else if (a->kind == VALUE_INT || a->kind == VALUE_DURATION)
        integer_arithmetic(OP_SUBTRACT, zero.i, a->i, a->kind, out);
    else
        *out = (struct scalar){.kind = VALUE_NULL};
}

void expr_apply_row(const struct expr_node *node, const struct scalar *arguments, struct scalar *out)
{
    switch (node->operation) {
    case OP_NOT:
        *out = arguments->kind == VALUE_BOOL ? (struct scalar){.kind = VALUE_BOOL, .i = !arguments->i}
                                             : (struct scalar){.kind = VALUE_NULL};
        return;
    case OP_NEGATE: negate(arguments, out); return;
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
    case OP_DIVIDE:
    case OP_REMAINDER: expr_arithmetic(node->operation, &arguments[0], &arguments[1], out); return;
    case OP_EQUAL:
    case OP_NOT_EQUAL:
    case OP_LESS:
    case OP_LESS_EQUAL:
    case OP_GREATER:
    case OP_GREATER_EQUAL: expr_compare(node->operation, &arguments[0], &arguments[1], out); return;
    case OP_AND:
    case OP_OR: logic(node->operation, &arguments[0], &arguments[1], out); return;
    case OP_CALL: node->function->apply(node, arguments, out); return;
    default: *out = (struct scalar){.kind = VALUE_NULL}; return;
    }
}
