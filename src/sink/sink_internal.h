/* The kinds of sinks, for their list. Only the sources of this folder include it. */
#pragma once

#include "base/buffer.h"
#include "config/config.h"
#include "flow/sink.h"
#include "sink/kafka_transactions.h"

NODISCARD
enum status file_sink_open(const struct config_sink *config, struct sink **out, struct error *error);
struct sink *console_sink_open(void);
struct sink *blackhole_sink_open(void);
NODISCARD
enum status kafka_sink_open(const struct config_sink *config, struct kafka_transactions *transactions,
                            struct sink **out, struct error *error);

/* Appends the block's records to `out`, one per line. */
void sink_append_lines(struct buffer *out, const struct result_block *block);
void sink_append_output_lines(struct buffer *out, const struct output_block *block);
