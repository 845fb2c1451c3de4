/* What is committed to Kafka beside the offset. The offset itself is B, where reading begins again; the rest of a position is its
 * metadata, a text so that people and other tools can read it:
 *
 *   weir1 EPOCH P LARGEST_TIME_BELOW_P WATERMARK_BEFORE_B PIPELINE=CLOSED_THROUGH ...
 *
 * times in µs, `-` for none; PIPELINE is a hash of the pipeline's name and definition, so that state of another definition is not
 * taken for this one's. An offset that somebody else has committed, a tool that resets the group for example, has no such text: then
 * it is the position. */
#pragma once

#include "pipeline/engine_internal.h"

enum { KAFKA_METADATA_MAX_SIZE = 4000 }; /* brokers take 4096 by default (offset.metadata.max.bytes) */

struct kafka_progress {
    uint64_t epoch;
    struct partition_position position; /* its source, partition and topic are the caller's */
    int64_t *closed_through_us;         /* [pipeline_count]; TIME_NONE where the text does not say */
};

/* Appends the text with a final 0. `membership`: pipelines of others are left out. Where not all find room, the earliest time of the
 * others stands for them: less is known to be closed, so some results are written again, which is harmless. */
void kafka_progress_write(struct buffer *out, const struct engine *engine,
                          const struct membership *membership, const struct progress_mark *mark,
                          const struct partition_position *position);
/* False when it is none of ours. `progress->closed_through_us` must have room. */
bool kafka_progress_read(const char *metadata, const struct engine *engine, int64_t base,
                         struct kafka_progress *progress);
