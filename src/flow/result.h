/* Results travel in blocks: column-wise from the merger, encoded to JSON at most once, shared by every sink and by
 * the push hub through a reference count. Immutable once the merger has let go of it. */
#pragma once

#include <stdatomic.h>

#include "base/buffer.h"
#include "flow/batch.h"

enum { RESULT_MAX_KEYS = 16, RESULT_MAX_AGGREGATES = 64, RESULT_BLOCK_ROWS = 4096 };

enum emit_kind { EMIT_EARLY, EMIT_FINAL, EMIT_UPDATE };
enum close_cause {
    CLOSED_BY_WATERMARK,
    CLOSED_BY_IDLE,
    CLOSED_BY_WALL_CLOCK,
    CLOSED_BY_END_OF_INPUT,
    CLOSED_BY_SHUTDOWN
};
const char *emit_kind_name(enum emit_kind kind);      /* "early" "final" "update" */
const char *close_cause_name(enum close_cause cause); /* "watermark" "idle" ... */

/* What is the same for all results of a pipeline. Lives as long as the process. */
struct result_shape {
    const char *pipeline;
    uint32_t pipeline_index;
    uint32_t key_count;
    const char *key_names[RESULT_MAX_KEYS];
    uint32_t value_count;
    const char *value_names[RESULT_MAX_AGGREGATES];
};

/* A value of a key or an aggregate; strings point into the block's bytes. */
struct result_column {
    uint8_t *kinds;
    union value *values;
};

struct result_block {
    atomic_uint reference_count; /* acq_rel on release, relaxed on acquire */
    const struct result_shape *shape;
    uint32_t row_count, capacity;
    uint64_t first_sequence; /* of row 0; grows by one per row over all pipelines since `boot` */
    int64_t emitted_us;      /* monotonic clock at emission */
    int64_t arrival_us; /* monotonic arrival of the newest event that caused it; 0 = caused by the clock */

    /* [row_count] each, room for `capacity` */
    int64_t *window_starts_us, *window_ends_us; /* TIME_MAX → null: a window without an end */
    uint8_t *emits;                             /* enum emit_kind */
    uint8_t *causes;                            /* enum close_cause; meaningless while early */
    uint32_t *revisions;
    uint64_t *on_time, *late_accepted, *late_dropped, *type_errors;
    int64_t *watermarks_us; /* TIME_NONE → null */
    uint64_t *key_hashes;
    /* Start of the window that this one has become a part of: the id is no result any more. TIME_NONE for what is one; NULL when
     * all are. */
    int64_t *merged_into_us;
    struct result_column keys[RESULT_MAX_KEYS];
    struct result_column values[RESULT_MAX_AGGREGATES];

    struct buffer bytes; /* text that key and value columns refer to */
    /* Encoded form; empty until result_block_encode(). Record r is json[json_offsets[r], json_offsets[r + 1]). The
     * key array text (`["FR"]`) of r is at key_json_offsets likewise in `key_json`. */
    struct buffer json, key_json;
    uint32_t *json_offsets, *key_json_offsets;
};

/* Room for `capacity` rows, row_count 0, one reference. */
struct result_block *result_block_create(const struct result_shape *shape, uint32_t capacity);
struct result_block *result_block_acquire(struct result_block *block);
/* Says of the row, which was written last, that its window has become a part of another. Others are then TIME_NONE. */
void result_block_set_merged(struct result_block *block, uint32_t row, int64_t into_start_us);
static inline bool result_block_is_merged(const struct result_block *block, uint32_t row)
{
    return block->merged_into_us && block->merged_into_us[row] != TIME_NONE;
}
/* Frees it with the last reference. */
void result_block_release(struct result_block *block);
/* Encodes every row as the record of the spec (section 6), once; the merger does this before it shares the block, and
 * only when somebody will read text. */
void result_block_encode(struct result_block *block);

static inline struct slice result_block_json(const struct result_block *block, uint32_t row)
{
    return (struct slice){block->json.data + block->json_offsets[row],
                          block->json_offsets[row + 1] - block->json_offsets[row]};
}

static inline struct slice result_block_key_json(const struct result_block *block, uint32_t row)
{
    return (struct slice){block->key_json.data + block->key_json_offsets[row],
                          block->key_json_offsets[row + 1] - block->key_json_offsets[row]};
}

/* Order in which a record replaces another of the same id: closed over early, then revision, then events in it. */
static inline uint64_t result_block_event_count(const struct result_block *block, uint32_t row)
{
    return block->on_time[row] + block->late_accepted[row];
}

/* JSON text of one value (numbers shortest round-trip; NaN, infinities and null → null; VALUE_JSON as it is). */
void value_json(struct buffer *out, enum value_kind kind, union value value, const char *bytes);
