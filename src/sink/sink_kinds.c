/* One line per kind of sink. See sink_kinds.h. */
#include "sink/sink_kinds.h"

#include "sink/sink_internal.h"

enum status sink_open(const struct config_sink *config, struct kafka_transactions *transactions,
                      struct sink **out, struct error *error)
{
    *out = NULL;
    switch (config->kind) {
    case SINK_FILE: return file_sink_open(config, out, error);
    case SINK_CONSOLE: *out = console_sink_open(); break;
    case SINK_BLACKHOLE: *out = blackhole_sink_open(); break;
    case SINK_KAFKA: return kafka_sink_open(config, transactions, out, error);
    }
    return STATUS_OK;
}

void sink_append_lines(struct buffer *out, const struct result_block *block)
{
    for (uint32_t row = 0; row < block->row_count; row++) {
        buffer_append_slice(out, result_block_json(block, row));
        buffer_append_char(out, '\n');
    }
}

void sink_append_output_lines(struct buffer *out, const struct output_block *block)
{
    for (uint32_t row = 0; row < block->row_count; row++)
        output_block_append_line(out, block, row);
}
