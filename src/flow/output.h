/* Events that a pipeline without a window passes on, in blocks like results: made by the shard that read them, shared by the sinks
 * through a reference count, immutable once they have left the shard.
 *
 *   text:  [ key of row 0 | value of row 0 ][ key of row 1 | value of row 1 ] ...
 *            offset         offset + key_size                                                                       */
#pragma once

#include <stdatomic.h>

#include "base/buffer.h"
#include "flow/batch.h"

#define OUTPUT_NO_KEY UINT32_MAX /* as a size: the record has none, which is not an empty one */

enum {
    OUTPUT_BLOCK_ROWS_MAX = 4096,
    OUTPUT_BLOCK_SIZE_MAX = 256 * 1024, /* of text; the row that goes beyond is still in */
};

struct output_row {
    int64_t time_us; /* of the event */
    uint32_t offset, key_size, value_size;
};

struct output_block {
    atomic_uint reference_count; /* acq_rel on release, relaxed on acquire */
    uint32_t pipeline_index;
    uint64_t number; /* grows by one per block that the merger sends on; 0 = not yet */
    uint32_t row_count, row_capacity;
    struct output_row *rows;
    struct buffer text;
};

struct output_block *output_block_create(uint32_t pipeline_index);
struct output_block *output_block_acquire(struct output_block *block);
/* Frees it with the last reference. */
void output_block_release(struct output_block *block);

static inline bool output_block_is_full(const struct output_block *block)
{
    return block->row_count >= OUTPUT_BLOCK_ROWS_MAX || block->text.size >= OUTPUT_BLOCK_SIZE_MAX;
}

/* A row is put together in block->text: begin, then the key (if any) and end_key, then the value and end. */
void output_block_begin_row(struct output_block *block, int64_t time_us);
void output_block_end_key(struct output_block *block);
void output_block_end_row(struct output_block *block);

/* `data` NULL: none. */
static inline struct slice output_block_key(const struct output_block *block, uint32_t row)
{
    const struct output_row *at = &block->rows[row];
    if (at->key_size == OUTPUT_NO_KEY)
        return (struct slice){0};
    return (struct slice){at->key_size ? block->text.data + at->offset : "", at->key_size};
}

static inline struct slice output_block_value(const struct output_block *block, uint32_t row)
{
    const struct output_row *at = &block->rows[row];
    size_t key_size = at->key_size == OUTPUT_NO_KEY ? 0 : at->key_size;
    return (struct slice){block->text.data + at->offset + key_size, at->value_size};
}

/* Appends the row's value as one line with its end. An event that came on several lines is put on one: outside of JSON's strings line
 * ends mean nothing, inside there can be none. */
void output_block_append_line(struct buffer *out, const struct output_block *block, uint32_t row);

/* The block as bytes, for another process, and back. False: they are damaged. The rows are all of one message. */
void output_block_encode(struct buffer *out, const struct output_block *block);
NODISCARD
bool output_block_decode(struct slice bytes, uint32_t pipeline_index, struct output_block **out);
