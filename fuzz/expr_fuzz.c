/* Any text as an expression over a few fixed events, and as a call. What compiles must give the same for a row whether it is evaluated in a batch
 * or alone, and as a condition what it is as a value; what does not must say where and why. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "decode/decoder.h"
#include "expr/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const events[] = {
    "{\"a\":1,\"b\":2.5,\"c\":\"hello\",\"d\":[1,\"x\",{\"k\":null}],\"e\":true,\"f\":{\"g\":\"\xC3\xA9\"},\"t\":\"2026-11-23T18:00:00Z\"}",
    "{\"a\":-9223372036854775808,\"b\":1e999,\"c\":\"\",\"d\":{},\"e\":false,\"t\":1700000000000}",
    "{}",
    "{\"a\":\"1\",\"b\":7,\"c\":null,\"d\":\"10s\",\"e\":0,\"f\":[]}",
};
enum { EVENT_COUNT = sizeof events / sizeof *events };

static struct batch *decode(const struct schema *schema, uint32_t first, uint32_t count)
{
    struct batch *batch = batch_create();
    for (uint32_t i = 0; i < count; i++)
        batch_append(batch, slice_of(events[first + i]), i, 1);
    struct decoder *decoder = decoder_create(&(struct decoder_options){
        .schema = schema, .time_column = UINT32_MAX, .max_future_skew_us = INT64_MAX});
    decoder_run(decoder, batch);
    decoder_destroy(decoder);
    assert(batch->row_count == count);
    return batch;
}

static bool same_value(const struct batch *a, const struct column *a_column, uint32_t a_row,
                       const struct batch *b, const struct column *b_column)
{
    uint8_t kind = a_column->kinds[a_row];
    if (kind != b_column->kinds[0])
        return false;
    if (kind == VALUE_STRING || kind == VALUE_JSON)
        return slice_equal(batch_text(a, a_column->values[a_row].s), batch_text(b, b_column->values[0].s));
    return kind == VALUE_NULL || a_column->values[a_row].i == b_column->values[0].i;
}

static void evaluate(const struct expr *expr, const struct schema *schema)
{
    struct batch *all = decode(schema, 0, EVENT_COUNT);
    struct column all_column, column;
    expr_evaluate(expr, all, &all_column);
    uint32_t selected[EVENT_COUNT], next = 0;
    uint32_t count = expr_select(expr, all, NULL, EVENT_COUNT, selected);
    for (uint32_t row = 0; row < EVENT_COUNT; row++) {
        struct batch *one = decode(schema, row, 1);
        expr_evaluate(expr, one, &column);
        assert(same_value(all, &all_column, row, one, &column));
        bool is_true = column.kinds[0] == VALUE_BOOL && column.values[0].i;
        assert((next < count && selected[next] == row) == is_true);
        next += is_true;
        batch_destroy(one);
    }
    batch_destroy(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct schema schema;
    struct expr *expr;
    struct expr_error error;
    struct expr_call call;
    schema_init(&schema);
    if (expr_compile(text, &schema, EXPR_ANY, &expr, &error) == STATUS_OK)
        evaluate(expr, &schema);
    else
        assert(!expr && error.message[0] && error.offset <= size);
    expr_destroy(expr);
    if (expr_split_call(text, &call, &error) == STATUS_OK)
        assert(call.argument_count <= EXPR_MAX_ARGUMENTS && call.function.size);
    else
        assert(error.message[0] && error.offset <= size);
    schema_deinit(&schema);
    return 0;
}
