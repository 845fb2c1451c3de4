/* What became of the records of a source: for the summary of a replay, and for what a test expects of counters. */
#pragma once

#include "pipeline/processor.h"

/* A partition that was read, each by a processor of its own. */
struct summary_partition {
    const struct partition_state *state;
    const struct processor *processor;
};

/* Appends `"NAME":{"counters":...,"bad_by_reason":...,"pipelines":...,"partitions":...}` to `json` and lines for people to `text`.
 * `partitions` may hold those of other sources too. */
void source_summary_write(const struct plan *plan, uint32_t source_index,
                          const struct summary_partition *partitions, uint32_t partition_count,
                          struct buffer *json, struct buffer *text);
