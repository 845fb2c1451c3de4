/* From a tree and a batch to columns and rows. Every node is done for all wanted rows before the next: the two loops that matter
 * (comparisons of a column with a constant, arithmetic of two columns) are in expr_kernels.c, chosen by the kinds that occur; all
 * else goes row by row through the same functions that fold constants.
 *
 * A condition is not evaluated into a column of bools but narrows a list of rows: the right side of && looks only at rows that passed
 * the left side, that of || only at those that did not. */
#include <assert.h>

#include "expr/expr_kernels.h"

struct column expr_column_create(struct batch *batch)
{
    return (struct column){.kinds = arena_allocate(&batch->arena, batch->row_count ? batch->row_count : 1),
                           .values = arena_allocate(&batch->arena, (batch->row_count ? batch->row_count : 1) *
                                                                       sizeof(union value))};
}

static uint32_t *rows_create(struct batch *batch, uint32_t row_count)
{
    return arena_allocate(&batch->arena, (row_count ? row_count : 1) * sizeof(uint32_t));
}

uint32_t expr_rows_without(const uint32_t *rows, uint32_t row_count, const uint32_t *chosen,
                           uint32_t chosen_count, uint32_t *rest)
{
    uint32_t rest_count = 0;
    for (uint32_t i = 0, next = 0; i < row_count; i++) {
        uint32_t row = rows ? rows[i] : i;
        if (next < chosen_count && chosen[next] == row)
            next++;
        else
            rest[rest_count++] = row;
    }
    return rest_count;
}

/* Two ascending lists without a common row become one. */
static uint32_t merge_rows(const uint32_t *a, uint32_t a_count, const uint32_t *b, uint32_t b_count,
                           uint32_t *out)
{
    uint32_t i = 0, j = 0, count = 0;
    while (i < a_count || j < b_count)
        out[count++] = j == b_count || (i < a_count && a[i] < b[j]) ? a[i++] : b[j++];
    return count;
}

static struct operand constant_operand(const struct scalar *constant)
{
    return (struct operand){.is_constant = true, .constant = *constant};
}

static struct operand path_operand(const struct expr_node *node, const struct batch *batch)
{
    assert(node->column < batch->column_count);
    return (struct operand){.column = batch->columns[node->column]};
}

/* A list stands beside the function or operator that reads its elements from the tree; it has no value of its own. */
static struct operand list_operand(void)
{
    return constant_operand(&(struct scalar){.kind = VALUE_NULL});
}

/* Operators and functions without a loop of their own: one row at a time. */
static struct operand evaluate_rows(const struct expr_node *node, const struct operand *operands,
                                    struct batch *batch, const uint32_t *rows, uint32_t row_count)
{
    struct operand out = {.column = expr_column_create(batch)};
    struct scalar arguments[EXPR_MAX_ARGUMENTS], value;
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t row = rows ? rows[i] : i;
        for (uint32_t a = 0; a < node->child_count; a++)
            arguments[a] = operand_load(&operands[a], batch, row);
        expr_apply_row(node, arguments, &value);
        column_store(&out.column, row, &value);
    }
    return out;
}

static bool may_be_text(const struct expr_node *node, const struct operand *operands)
{
    uint32_t text = value_kind_bit(VALUE_STRING);
    return node->operation == OP_ADD &&
           (operand_kind_mask(&operands[0]) & operand_kind_mask(&operands[1]) & text);
}

static struct operand evaluate_operator(const struct expr_node *node, struct batch *batch,
                                        const uint32_t *rows, uint32_t row_count)
{
    struct operand operands[EXPR_MAX_ARGUMENTS];
    assert(node->child_count <= EXPR_MAX_ARGUMENTS);
    for (uint32_t i = 0; i < node->child_count; i++)
        operands[i] = expr_evaluate_node(node->children[i], batch, rows, row_count);
    if (may_be_text(node, operands))
        return expr_join_texts(operands, batch, rows, row_count);
    if (expr_function_is(node, "string"))
        return expr_make_texts(operands, batch, rows, row_count);
    struct operand out;
    if (expr_arithmetic_kernel(node->operation, operands, batch, rows, row_count, &out))
        return out;
    return evaluate_rows(node, operands, batch, rows, row_count);
}

static void copy_rows(const struct operand *from, struct batch *batch, const uint32_t *rows,
                      uint32_t row_count, struct column *to)
{
    struct column source = from->is_constant ? expr_repeat(&from->constant, batch) : from->column;
    for (uint32_t i = 0; i < row_count; i++) {
        to->kinds[rows[i]] = source.kinds[rows[i]];
        to->values[rows[i]] = source.values[rows[i]];
        to->kind_mask |= value_kind_bit(source.kinds[rows[i]]);
    }
}

/* Each side is evaluated only where it is wanted. null chooses like false. */
static struct operand evaluate_conditional(const struct expr_node *node, struct batch *batch,
                                           const uint32_t *rows, uint32_t row_count)
{
    uint32_t *chosen = rows_create(batch, row_count), *rest = rows_create(batch, row_count);
    uint32_t chosen_count = expr_select_node(node->children[0], batch, rows, row_count, chosen);
    uint32_t rest_count = expr_rows_without(rows, row_count, chosen, chosen_count, rest);
    struct operand out = {.column = expr_column_create(batch)};
    struct operand value = expr_evaluate_node(node->children[1], batch, chosen, chosen_count);
    copy_rows(&value, batch, chosen, chosen_count, &out.column);
    value = expr_evaluate_node(node->children[2], batch, rest, rest_count);
    copy_rows(&value, batch, rest, rest_count, &out.column);
    return out;
}

static struct operand evaluate_in_list(const struct expr_node *node, struct batch *batch,
                                       const uint32_t *rows, uint32_t row_count)
{
    const struct expr_node *list = node->children[1];
    struct operand needle = expr_evaluate_node(node->children[0], batch, rows, row_count);
    struct operand *elements = arena_allocate(&batch->arena, (list->child_count + 1) * sizeof *elements);
    for (uint32_t i = 0; i < list->child_count; i++)
        elements[i] = expr_evaluate_node(list->children[i], batch, rows, row_count);
    struct operand out = {.column = expr_column_create(batch)};
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t row = rows ? rows[i] : i;
        struct scalar wanted = operand_load(&needle, batch, row), found = {.kind = VALUE_BOOL};
        for (uint32_t e = 0; e < list->child_count && !found.i; e++) {
            struct scalar element = operand_load(&elements[e], batch, row);
            found.i = expr_equal(&wanted, &element);
        }
        column_store(&out.column, row, &found);
    }
    return out;
}

static struct operand evaluate_in(const struct expr_node *node, struct batch *batch, const uint32_t *rows,
                                  uint32_t row_count)
{
    if (node->children[1]->operation == OP_LIST)
        return evaluate_in_list(node, batch, rows, row_count);
    struct operand needle = expr_evaluate_node(node->children[0], batch, rows, row_count);
    struct operand list = expr_evaluate_node(node->children[1], batch, rows, row_count);
    struct operand out = {.column = expr_column_create(batch)};
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t row = rows ? rows[i] : i;
        struct scalar wanted = operand_load(&needle, batch, row), haystack = operand_load(&list, batch, row);
        struct scalar found = {.kind = VALUE_NULL};
        if (haystack.kind == VALUE_JSON)
            found = (struct scalar){.kind = VALUE_BOOL, .i = expr_json_contains(haystack.text, &wanted)};
        column_store(&out.column, row, &found);
    }
    return out;
}

struct operand expr_evaluate_node(const struct expr_node *node, struct batch *batch, const uint32_t *rows,
                                  uint32_t row_count)
{
    switch (node->operation) {
    case OP_CONSTANT: return constant_operand(&node->constant);
    case OP_PATH: return path_operand(node, batch);
    case OP_LIST: return list_operand();
    case OP_CONDITIONAL: return evaluate_conditional(node, batch, rows, row_count);
    case OP_IN: return evaluate_in(node, batch, rows, row_count);
    default: return evaluate_operator(node, batch, rows, row_count);
    }
}

/* Rows where a value that is there already is the bool `wanted`. */
static uint32_t select_bools(const struct operand *operand, const uint32_t *rows, uint32_t row_count,
                             bool wanted, uint32_t *selected)
{
    uint32_t count = 0;
    if (operand->is_constant &&
        (operand->constant.kind != VALUE_BOOL || (operand->constant.i != 0) != wanted))
        return 0;
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t row = rows ? rows[i] : i;
        selected[count] = row;
        count += operand->is_constant ||
                 (operand->column.kinds[row] == VALUE_BOOL && (operand->column.values[row].i != 0) == wanted);
    }
    return count;
}

static uint32_t select_or(const struct expr_node *node, struct batch *batch, const uint32_t *rows,
                          uint32_t row_count, uint32_t *selected)
{
    uint32_t *left = rows_create(batch, row_count), *rest = rows_create(batch, row_count);
    uint32_t left_count = expr_select_node(node->children[0], batch, rows, row_count, left);
    uint32_t rest_count = expr_rows_without(rows, row_count, left, left_count, rest);
    rest_count = expr_select_node(node->children[1], batch, rest, rest_count, rest);
    return merge_rows(left, left_count, rest, rest_count, selected);
}

static uint32_t select_comparison(const struct expr_node *node, struct batch *batch, const uint32_t *rows,
                                  uint32_t row_count, uint32_t *selected)
{
    struct operand operands[2];
    for (uint32_t i = 0; i < 2; i++)
        operands[i] = expr_evaluate_node(node->children[i], batch, rows, row_count);
    return expr_select_kernel(node->operation, operands, batch, rows, row_count, selected);
}

uint32_t expr_select_node(const struct expr_node *node, struct batch *batch, const uint32_t *rows,
                          uint32_t row_count, uint32_t *selected)
{
    struct operand operand;
    switch (node->operation) {
    case OP_AND:
        row_count = expr_select_node(node->children[0], batch, rows, row_count, selected);
        return expr_select_node(node->children[1], batch, selected, row_count, selected);
    case OP_OR: return select_or(node, batch, rows, row_count, selected);
    case OP_NOT:
        operand = expr_evaluate_node(node->children[0], batch, rows, row_count);
        return select_bools(&operand, rows, row_count, false, selected);
    case OP_EQUAL:
    case OP_NOT_EQUAL:
    case OP_LESS:
    case OP_LESS_EQUAL:
    case OP_GREATER:
    case OP_GREATER_EQUAL: return select_comparison(node, batch, rows, row_count, selected);
    default:
        operand = expr_evaluate_node(node, batch, rows, row_count);
        return select_bools(&operand, rows, row_count, true, selected);
    }
}
