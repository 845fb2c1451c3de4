/* What a decoder made of a batch, as text: one line per record, so that two decodings can be compared or read. */
#pragma once

#include <assert.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "flow/batch.h"

static inline void batch_text_value(struct buffer *out, const struct batch *batch, uint32_t column,
                                    uint32_t row)
{
    union value value = batch->columns[column].values[row];
    switch ((enum value_kind)batch->columns[column].kinds[row]) {
    case VALUE_NULL: buffer_append_text(out, " null"); break;
    case VALUE_BOOL: buffer_append_text(out, value.i ? " true" : " false"); break;
    case VALUE_INT: buffer_format(out, " %lld", (long long)value.i); break;
    case VALUE_DOUBLE: buffer_format(out, " %a", value.d); break;
    case VALUE_STRING:
        buffer_append_char(out, ' ');
        buffer_json_string(out, batch_text(batch, value.s));
        break;
    case VALUE_JSON:
        buffer_append_text(out, " =");
        buffer_append_slice(out, batch_text(batch, value.s));
        break;
    default: abort(); /* JSON has no other */
    }
}

/* Also holds the batch to its contract: rows in order, masks that name exactly the kinds that are there. */
static inline void batch_text_append(struct buffer *out, const struct batch *batch)
{
    uint32_t row = 0, bad = 0;
    for (uint32_t i = 0; i < batch->record_count; i++) {
        if (row < batch->row_count && batch->row_records[row] == i) {
            assert(batch->offsets[row] == batch->records[i].offset);
            buffer_format(out, "%lld", (long long)batch->event_times_us[row]);
            for (uint32_t c = 0; c < batch->column_count; c++)
                batch_text_value(out, batch, c, row);
            row++;
        } else if (bad < batch->bad_count && batch->bad[bad].record_index == i) {
            const struct bad_record *why = &batch->bad[bad++];
            assert(why->detail);
            buffer_format(out, "%s: %s", bad_reason_name(why->reason), why->detail);
        } else {
            buffer_append_text(out, "blank");
        }
        buffer_append_char(out, '\n');
    }
    assert(row == batch->row_count && bad == batch->bad_count);
    for (uint32_t c = 0; c < batch->column_count; c++) {
        uint32_t mask = 0;
        for (row = 0; row < batch->row_count; row++)
            mask |= value_kind_bit((enum value_kind)batch->columns[c].kinds[row]);
        assert(mask == batch->columns[c].kind_mask);
    }
}
