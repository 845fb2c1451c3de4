/* Expressions that make text: string(x), + of two strings, constants that become a column. Text goes to the batch's side area, which may move
 * when it grows, so slices into the batch are taken again after every reservation. */
#include <math.h>
#include <stdio.h>

#include "base/native.h"
#include "expr/expr_kernels.h"
#include "flow/event_time.h"

static size_t format_duration(int64_t duration_us, char out[EXPR_NUMBER_TEXT_SIZE])
{
    uint64_t magnitude = duration_us < 0 ? 0 - (uint64_t)duration_us : (uint64_t)duration_us;
    unsigned fraction = (unsigned)(magnitude % 1000000);
    int size = snprintf(out, EXPR_NUMBER_TEXT_SIZE, "%s%llu", duration_us < 0 ? "-" : "",
                        (unsigned long long)(magnitude / 1000000));
    if (fraction) {
        size += snprintf(out + size, EXPR_NUMBER_TEXT_SIZE - (size_t)size, ".%06u", fraction);
        while (out[size - 1] == '0')
            size--;
    }
    out[size] = 's';
    return (size_t)size + 1;
}

size_t expr_format_scalar(const struct scalar *value, char out[EXPR_NUMBER_TEXT_SIZE])
{
    struct buffer text = {.data = out,
                          .capacity = EXPR_NUMBER_TEXT_SIZE}; /* large enough for all below: it never grows */
    switch (value->kind) {
    case VALUE_BOOL: buffer_append_text(&text, value->i ? "true" : "false"); break;
    case VALUE_INT: return (size_t)snprintf(out, EXPR_NUMBER_TEXT_SIZE, "%lld", (long long)value->i);
    case VALUE_DOUBLE: return isfinite(value->d) ? native_double_format(value->d, out) : 0;
    case VALUE_TIMESTAMP: event_time_format(&text, value->i); break;
    case VALUE_DURATION: return format_duration(value->i, out);
    default: break;
    }
    return text.size;
}

/* Copies text that does not lie in the batch. False when the side area is full. */
static bool put_text(struct batch *batch, struct slice text, struct text_reference *out)
{
    *out = (struct text_reference){0};
    if (text.size > EXPR_MAX_TEXT_RESULT_SIZE || batch->side_size + text.size > EXPR_MAX_SIDE_SIZE)
        return false;
    *out = (struct text_reference){batch_reserve_side(batch, text.size), (uint32_t)text.size};
    if (text.size)
        memcpy(batch->bytes + out->offset, text.data, text.size);
    return true;
}

static void store_text(struct column *column, uint32_t row, bool is_there, struct text_reference text)
{
    column->kinds[row] = is_there ? VALUE_STRING : VALUE_NULL;
    column->values[row].s = text;
    column->kind_mask |= value_kind_bit(column->kinds[row]);
}

struct column expr_repeat(const struct scalar *constant, struct batch *batch)
{
    struct column column = expr_column_create(batch);
    struct text_reference text = {0};
    bool is_text = constant->kind == VALUE_STRING,
         is_there = is_text && put_text(batch, constant->text, &text);
    for (uint32_t row = 0; row < batch->row_count; row++)
        if (is_text)
            store_text(&column, row, is_there, text);
        else
            column_store(&column, row, constant);
    return column;
}

/* Joins the row's two strings; the operands are loaded again behind the reservation. */
static bool join_row(const struct operand operands[2], struct batch *batch, uint32_t row,
                     struct text_reference *out)
{
    struct scalar a = operand_load(&operands[0], batch, row), b = operand_load(&operands[1], batch, row);
    size_t size = a.text.size + b.text.size;
    if (size > EXPR_MAX_TEXT_RESULT_SIZE || batch->side_size + size > EXPR_MAX_SIDE_SIZE)
        return false;
    *out = (struct text_reference){batch_reserve_side(batch, size), (uint32_t)size};
    a = operand_load(&operands[0], batch, row);
    b = operand_load(&operands[1], batch, row);
    char *place = batch->bytes + out->offset;
    if (a.text.size)
        memcpy(place, a.text.data, a.text.size);
    if (b.text.size)
        memcpy(place + a.text.size, b.text.data, b.text.size);
    return true;
}

struct operand expr_join_texts(const struct operand operands[2], struct batch *batch, const uint32_t *rows,
                               uint32_t row_count)
{
    struct operand out = {.column = expr_column_create(batch)};
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t row = rows ? rows[i] : i;
        struct scalar a = operand_load(&operands[0], batch, row), b = operand_load(&operands[1], batch, row),
                      sum;
        struct text_reference text = {0};
        if (a.kind == VALUE_STRING && b.kind == VALUE_STRING) {
            bool is_there = join_row(operands, batch, row, &text);
            store_text(&out.column, row, is_there, text);
        } else {
            expr_arithmetic(OP_ADD, &a, &b, &sum);
            column_store(&out.column, row, &sum);
        }
    }
    return out;
}

struct operand expr_make_texts(const struct operand *operand, struct batch *batch, const uint32_t *rows,
                               uint32_t row_count)
{
    struct operand out = {.column = expr_column_create(batch)};
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t row = rows ? rows[i] : i;
        struct text_reference text = {0};
        struct scalar value = operand_load(operand, batch, row);
        if (value.kind == VALUE_STRING && !operand->is_constant) {
            store_text(&out.column, row, true, operand->column.values[row].s);
            continue;
        }
        char number[EXPR_NUMBER_TEXT_SIZE];
        size_t size = expr_format_scalar(&value, number);
        bool is_there = size && put_text(batch, (struct slice){number, size}, &text);
        store_text(&out.column, row, is_there, text);
    }
    return out;
}
