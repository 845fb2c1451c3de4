/* Tight loops for the two shapes that nearly all work has: a column compared with a constant, and arithmetic of numbers of one kind. They
 * are chosen once per batch by the kinds that occur (kind_mask); null is a kind like the others and tested per row. What fits no loop is
 * done by the functions of expr_operators.c, and gives the same. */
#include <math.h>

#include "expr/expr_kernels.h"

static bool holds_only(const struct operand *operand, enum value_kind kind)
{
    return !(operand_kind_mask(operand) & ~(value_kind_bit(kind) | value_kind_bit(VALUE_NULL)));
}

/* --- comparisons with a constant ---------------------------------------------------------------------------------- */

/* Selects without a branch: every row is written, the count moves on when it is wanted. */
#define SELECT_WHERE(condition)                \
    for (uint32_t i = 0; i < row_count; i++) { \
        uint32_t row = rows ? rows[i] : i;     \
        bool is_wanted = (condition);          \
        selected[count] = row;                 \
        count += is_wanted;                    \
    }                                          \
    return count

/* `!=` holds for null too: null equals only null. */
#define SELECT_BY_OPERATION(is_kind, value, constant)                        \
    switch (operation) {                                                     \
    case OP_EQUAL: SELECT_WHERE((is_kind) & ((value) == (constant)));        \
    case OP_NOT_EQUAL: SELECT_WHERE(!((is_kind) & ((value) == (constant)))); \
    case OP_LESS: SELECT_WHERE((is_kind) & ((value) < (constant)));          \
    case OP_LESS_EQUAL: SELECT_WHERE((is_kind) & ((value) <= (constant)));   \
    case OP_GREATER: SELECT_WHERE((is_kind) & ((value) > (constant)));       \
    default: SELECT_WHERE((is_kind) & ((value) >= (constant)));              \
    }

static uint32_t select_ints(enum expr_operation operation, const struct column *column, int64_t constant,
                            const uint32_t *rows, uint32_t row_count, uint32_t *selected)
{
    const uint8_t *kinds = column->kinds;
    const union value *values = column->values;
    uint32_t count = 0;
    SELECT_BY_OPERATION(kinds[row] != VALUE_NULL, values[row].i, constant)
}

static uint32_t select_doubles(enum expr_operation operation, const struct column *column, double constant,
                               const uint32_t *rows, uint32_t row_count, uint32_t *selected)
{
    const uint8_t *kinds = column->kinds;
    const union value *values = column->values;
    uint32_t count = 0;
    SELECT_BY_OPERATION(kinds[row] != VALUE_NULL, values[row].d, constant)
}

/* == and != of strings; most rows are told apart by their size. */
static uint32_t select_texts(bool is_equal_wanted, const struct column *column, struct slice constant,
                             const struct batch *batch, const uint32_t *rows, uint32_t row_count,
                             uint32_t *selected)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t row = rows ? rows[i] : i;
        bool is_equal =
            column->kinds[row] == VALUE_STRING && column->values[row].s.size == constant.size &&
            memcmp(batch->bytes + column->values[row].s.offset, constant.data, constant.size) == 0;
        selected[count] = row;
        count += is_equal == is_equal_wanted;
    }
    return count;
}

static enum expr_operation mirrored(enum expr_operation operation)
{
    switch (operation) {
    case OP_LESS: return OP_GREATER;
    case OP_LESS_EQUAL: return OP_GREATER_EQUAL;
    case OP_GREATER: return OP_LESS;
    case OP_GREATER_EQUAL: return OP_LESS_EQUAL;
    default: return operation;
    }
}

enum { EXACT_BITS = 53 };

/* The constant as a double if that is exact, so that doubles can be compared with it. */
static bool exact_double(const struct scalar *constant, double *out)
{
    *out = scalar_is_number(constant) ? scalar_double(constant) : 0;
    return constant->kind == VALUE_DOUBLE ||
           (constant->kind == VALUE_INT && constant->i >= -(INT64_C(1) << EXACT_BITS) &&
            constant->i <= INT64_C(1) << EXACT_BITS);
}

static uint32_t select_any(enum expr_operation operation, const struct operand operands[2],
                           const struct batch *batch, const uint32_t *rows, uint32_t row_count,
                           uint32_t *selected)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t row = rows ? rows[i] : i;
        struct scalar a = operand_load(&operands[0], batch, row), b = operand_load(&operands[1], batch, row),
                      result;
        expr_compare(operation, &a, &b, &result);
        selected[count] = row;
        count += result.kind == VALUE_BOOL && result.i;
    }
    return count;
}

uint32_t expr_select_kernel(enum expr_operation operation, const struct operand operands[2],
                            const struct batch *batch, const uint32_t *rows, uint32_t row_count,
                            uint32_t *selected)
{
    bool is_mirrored = operands[0].is_constant;
    const struct operand *column = &operands[is_mirrored], *other = &operands[!is_mirrored];
    if (column->is_constant || !other->is_constant)
        return select_any(operation, operands, batch, rows, row_count, selected);
    const struct scalar *constant = &other->constant;
    enum expr_operation direct = is_mirrored ? mirrored(operation) : operation;
    double number;
    if (constant->kind == VALUE_INT && holds_only(column, VALUE_INT))
        return select_ints(direct, &column->column, constant->i, rows, row_count, selected);
    if (exact_double(constant, &number) && holds_only(column, VALUE_DOUBLE))
        return select_doubles(direct, &column->column, number, rows, row_count, selected);
    if (constant->kind == VALUE_STRING && (operation == OP_EQUAL || operation == OP_NOT_EQUAL))
        return select_texts(operation == OP_EQUAL, &column->column, constant->text, batch, rows, row_count,
                            selected);
    return select_any(operation, operands, batch, rows, row_count, selected);
}

/* --- arithmetic --------------------------------------------------------------------------------------------------- */

/* Operands by stride: a constant is read again and again from one place. */
struct numbers {
    const union value *values;
    const uint8_t *kinds;
    uint32_t stride;
    union value constant;
    uint8_t constant_kind;
};

static void numbers_init(struct numbers *numbers, const struct operand *operand)
{
    numbers->stride = !operand->is_constant;
    numbers->constant.i = operand->is_constant ? operand->constant.i : 0;
    numbers->constant_kind = operand->is_constant ? (uint8_t)operand->constant.kind : VALUE_NULL;
    numbers->values = operand->is_constant ? &numbers->constant : operand->column.values;
    numbers->kinds = operand->is_constant ? &numbers->constant_kind : operand->column.kinds;
}

/* result: an expression over x and y, the two numbers; is_null: when there is none. */
#define COMPUTE(type, member, kind, result_text, is_null_text)                             \
    for (uint32_t i = 0; i < row_count; i++) {                                             \
        uint32_t row = rows ? rows[i] : i, a_row = row * a.stride, b_row = row * b.stride; \
        type x = a.values[a_row].member, y = b.values[b_row].member, result = 0;           \
        bool is_null = a.kinds[a_row] == VALUE_NULL || b.kinds[b_row] == VALUE_NULL;       \
        if (!is_null) {                                                                    \
            is_null = (is_null_text);                                                      \
            result = (result_text);                                                        \
        }                                                                                  \
        uint8_t kind_here = is_null ? VALUE_NULL : (kind);                                 \
        column->kinds[row] = kind_here;                                                    \
        column->values[row].member = result;                                               \
        column->kind_mask |= 1u << kind_here;                                              \
    }                                                                                      \
    return true

static bool compute_ints(enum expr_operation operation, struct numbers a, struct numbers b,
                         const uint32_t *rows, uint32_t row_count, struct column *column)
{
    int64_t wrapped = 0;
    switch (operation) {
    case OP_ADD: COMPUTE(int64_t, i, VALUE_INT, wrapped, __builtin_add_overflow(x, y, &wrapped));
    case OP_SUBTRACT: COMPUTE(int64_t, i, VALUE_INT, wrapped, __builtin_sub_overflow(x, y, &wrapped));
    case OP_MULTIPLY: COMPUTE(int64_t, i, VALUE_INT, wrapped, __builtin_mul_overflow(x, y, &wrapped));
    default: return false;
    }
}

static bool compute_doubles(enum expr_operation operation, struct numbers a, struct numbers b,
                            const uint32_t *rows, uint32_t row_count, struct column *column)
{
    double raw = 0;
    switch (operation) {
    case OP_ADD: COMPUTE(double, d, VALUE_DOUBLE, raw, !isfinite(raw = x + y));
    case OP_SUBTRACT: COMPUTE(double, d, VALUE_DOUBLE, raw, !isfinite(raw = x - y));
    case OP_MULTIPLY: COMPUTE(double, d, VALUE_DOUBLE, raw, !isfinite(raw = x * y));
    case OP_DIVIDE: COMPUTE(double, d, VALUE_DOUBLE, raw, y == 0 || !isfinite(raw = x / y));
    default: return false;
    }
}

bool expr_arithmetic_kernel(enum expr_operation operation, const struct operand operands[2],
                            struct batch *batch, const uint32_t *rows, uint32_t row_count,
                            struct operand *out)
{
    bool is_loop =
        operation == OP_ADD || operation == OP_SUBTRACT || operation == OP_MULTIPLY || operation == OP_DIVIDE;
    if (!is_loop)
        return false;
    bool is_int =
        holds_only(&operands[0], VALUE_INT) && holds_only(&operands[1], VALUE_INT) && operation != OP_DIVIDE;
    /* A constant beside doubles is brought to a double once; expr_arithmetic() would do the same for every row. */
    struct operand doubles[2] = {operands[0], operands[1]};
    bool has_double_column = false;
    for (int i = 0; i < 2; i++) {
        has_double_column |= !doubles[i].is_constant;
        if (doubles[i].is_constant && doubles[i].constant.kind == VALUE_INT)
            doubles[i].constant = (struct scalar){.kind = VALUE_DOUBLE, .d = (double)doubles[i].constant.i};
    }
    bool is_double = !is_int && has_double_column && holds_only(&doubles[0], VALUE_DOUBLE) &&
                     holds_only(&doubles[1], VALUE_DOUBLE);
    if (!is_int && !is_double)
        return false;
    struct numbers a, b;
    numbers_init(&a, is_int ? &operands[0] : &doubles[0]);
    numbers_init(&b, is_int ? &operands[1] : &doubles[1]);
    *out = (struct operand){.column = expr_column_create(batch)};
    return is_int ? compute_ints(operation, a, b, rows, row_count, &out->column)
                  : compute_doubles(operation, a, b, rows, row_count, &out->column);
}
