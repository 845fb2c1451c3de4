/* Loops over columns, for expr_evaluate.c. `rows` NULL: all rows 0..row_count-1. Results lie in the batch's arena, text in its side area. */
#pragma once

#include "expr/expr_internal.h"

/* Room for all rows of the batch, nothing filled. */
struct column expr_column_create(struct batch *batch);
/* Sets row `row`; never text. */
static inline void column_store(struct column *column, uint32_t row, const struct scalar *value)
{
    column->kinds[row] = (uint8_t)value->kind;
    column->values[row].i = value->i;
    column->kind_mask |= value_kind_bit(value->kind);
}

/* OP_ADD ... OP_REMAINDER where both operands hold integers only, or doubles only; false when it is another case. */
bool expr_arithmetic_kernel(enum expr_operation operation, const struct operand operands[2],
                            struct batch *batch, const uint32_t *rows, uint32_t row_count,
                            struct operand *out);
/* Rows for which the comparison is true; `selected` may be `rows`. */
uint32_t expr_select_kernel(enum expr_operation operation, const struct operand operands[2],
                            const struct batch *batch, const uint32_t *rows, uint32_t row_count,
                            uint32_t *selected);
/* a + b where texts may occur; what is no pair of texts is added as numbers or times. */
struct operand expr_join_texts(const struct operand operands[2], struct batch *batch, const uint32_t *rows,
                               uint32_t row_count);
/* string(x) */
struct operand expr_make_texts(const struct operand *operand, struct batch *batch, const uint32_t *rows,
                               uint32_t row_count);
