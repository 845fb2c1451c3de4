/* Compiles an expression and evaluates it over events given as JSON lines; values come back as text: JSON, but times as t:… and durations as
 * d:… microseconds. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decode/decoder.h"
#include "expr/expr.h"

struct evaluation {
    struct schema schema;
    struct expr *expr;
    struct expr_error error;
    struct batch *batch;
    struct column column;
};

static inline struct batch *decode_lines(const struct schema *schema, const char *const *lines,
                                         uint32_t count)
{
    struct batch *batch = batch_create();
    for (uint32_t i = 0; i < count; i++)
        batch_append(batch, slice_of(lines[i]), i, 1);
    struct decoder *decoder = decoder_create(&(struct decoder_options){
        .schema = schema, .time_column = UINT32_MAX, .max_future_skew_us = INT64_MAX, .use_shapes = false});
    decoder_run(decoder, batch);
    decoder_destroy(decoder);
    assert_int_equal(batch->bad_count, 0);
    assert_int_equal(batch->row_count, count);
    return batch;
}

/* The expression must compile. */
static inline struct evaluation evaluate_lines(struct slice text, enum expr_type want,
                                               const char *const *lines, uint32_t count)
{
    struct evaluation out = {0};
    schema_init(&out.schema);
    if (expr_compile(text, &out.schema, want, &out.expr, &out.error) != STATUS_OK)
        fail_msg("%.*s: at %zu: %s", SLICE_ARG(text), out.error.offset, out.error.message);
    out.batch = decode_lines(&out.schema, lines, count);
    expr_evaluate(out.expr, out.batch, &out.column);
    return out;
}

static inline void evaluation_end(struct evaluation *evaluation)
{
    batch_destroy(evaluation->batch);
    expr_destroy(evaluation->expr);
    schema_deinit(&evaluation->schema);
}

static inline void append_value(struct buffer *out, const struct batch *batch, const struct column *column,
                                uint32_t row)
{
    union value value = column->values[row];
    assert_true(column->kind_mask & value_kind_bit(column->kinds[row]));
    switch ((enum value_kind)column->kinds[row]) {
    case VALUE_BOOL: buffer_json_bool(out, value.i != 0); return;
    case VALUE_INT: buffer_json_int(out, value.i); return;
    case VALUE_DOUBLE: buffer_json_double(out, value.d); return;
    case VALUE_STRING: buffer_json_string(out, batch_text(batch, value.s)); return;
    case VALUE_JSON: buffer_append_slice(out, batch_text(batch, value.s)); return;
    case VALUE_TIMESTAMP:
        buffer_append_text(out, "t:");
        event_time_format(out, value.i);
        return;
    case VALUE_DURATION: buffer_format(out, "d:%lld", (long long)value.i); return;
    default: buffer_append_text(out, "null"); return;
    }
}
