/* Bad and too-late records on their way to the dead-letter stream, in blocks like results. */
#pragma once

#include <stdatomic.h>

#include "flow/batch.h"

struct dead_letter {
    uint32_t source_index;
    uint32_t partition;
    int64_t offset;
    int64_t time_us;          /* wall clock when it was judged; the record's own time when it has one */
    const char *reason;       /* bad_reason_name(), or "too_late" */
    uint32_t pipeline_index;  /* UINT32_MAX unless the judgement is a pipeline's (too_late) */
    const char *topic;        /* in the block's arena; NULL: the source has none */
    uint32_t topic_partition; /* within the topic */
    /* In the block's arena. `metadata`: key and headers (record_metadata.h), empty when it has neither. */
    struct slice detail, raw, metadata;
};

struct dead_letter_block {
    atomic_uint reference_count; /* acq_rel on release, relaxed on acquire */
    struct arena arena;
    struct dead_letter *letters;
    uint32_t letter_count, letter_capacity;
};

struct dead_letter_block *dead_letter_block_create(void);
/* Another reference; what is shared is not added to any more. */
struct dead_letter_block *dead_letter_block_acquire(struct dead_letter_block *block);
/* Frees it with the last reference. */
void dead_letter_block_release(struct dead_letter_block *block);
/* Copies texts and bytes into the block. */
void dead_letter_block_add(struct dead_letter_block *block, const struct dead_letter *letter);
