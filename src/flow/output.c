/* Blocks of events that are passed on. As a message: [ rows 4 | 0 4 ][ time 8, key size 4, value size 4 ]* [ text ], little endian. */
#include "flow/output.h"

#include <stdlib.h>

#include "base/memory.h"

enum { FIRST_CAPACITY = 64 };

struct wire_head {
    uint32_t row_count, unused;
};
struct wire_row {
    int64_t time_us;
    uint32_t key_size, value_size;
};
_Static_assert(sizeof(struct wire_head) == 8 && sizeof(struct wire_row) == 16, "as drawn");

struct output_block *output_block_create(uint32_t pipeline_index)
{
    struct output_block *block = memory_allocate(sizeof *block);
    atomic_init(&block->reference_count, 1);
    block->pipeline_index = pipeline_index;
    return block;
}

struct output_block *output_block_acquire(struct output_block *block)
{
    atomic_fetch_add_explicit(&block->reference_count, 1, memory_order_relaxed);
    return block;
}

void output_block_release(struct output_block *block)
{
    if (!block || atomic_fetch_sub_explicit(&block->reference_count, 1, memory_order_acq_rel) != 1)
        return;
    buffer_deinit(&block->text);
    free(block->rows);
    free(block);
}

void output_block_begin_row(struct output_block *block, int64_t time_us)
{
    if (block->row_count == block->row_capacity) {
        block->row_capacity = block->row_capacity ? 2 * block->row_capacity : FIRST_CAPACITY;
        block->rows = memory_resize_array(block->rows, block->row_capacity, sizeof *block->rows);
    }
    block->rows[block->row_count] = (struct output_row){
        .time_us = time_us, .offset = (uint32_t)block->text.size, .key_size = OUTPUT_NO_KEY};
}

void output_block_end_key(struct output_block *block)
{
    struct output_row *row = &block->rows[block->row_count];
    row->key_size = (uint32_t)(block->text.size - row->offset);
}

void output_block_end_row(struct output_block *block)
{
    struct output_row *row = &block->rows[block->row_count++];
    size_t key_size = row->key_size == OUTPUT_NO_KEY ? 0 : row->key_size;
    row->value_size = (uint32_t)(block->text.size - row->offset - key_size);
}

void output_block_append_line(struct buffer *out, const struct output_block *block, uint32_t row)
{
    size_t start = out->size;
    buffer_append_slice(out, output_block_value(block, row));
    for (char *at = out->data + start, *end = out->data + out->size; at < end; at++)
        *at = *at == '\n' || *at == '\r' ? ' ' : *at;
    buffer_append_char(out, '\n');
}

void output_block_encode(struct buffer *out, const struct output_block *block)
{
    struct wire_head head = {.row_count = block->row_count};
    buffer_append(out, &head, sizeof head);
    for (uint32_t i = 0; i < block->row_count; i++) {
        const struct output_row *row = &block->rows[i];
        struct wire_row wire = {row->time_us, row->key_size, row->value_size};
        buffer_append(out, &wire, sizeof wire);
    }
    buffer_append_slice(out, buffer_slice(&block->text));
}

bool output_block_decode(struct slice bytes, uint32_t pipeline_index, struct output_block **out)
{
    struct wire_head head;
    if (bytes.size < sizeof head)
        return false;
    memcpy(&head, bytes.data, sizeof head);
    size_t rows_size = (size_t)head.row_count * sizeof(struct wire_row), at = sizeof head + rows_size;
    if (rows_size > bytes.size - sizeof head)
        return false;
    struct output_block *block = output_block_create(pipeline_index);
    block->rows = memory_allocate_array((size_t)head.row_count + 1, sizeof *block->rows);
    block->row_count = block->row_capacity = head.row_count;
    size_t left = bytes.size - at, used = 0;
    bool is_whole = left <= UINT32_MAX;
    for (uint32_t i = 0; i < head.row_count && is_whole; i++) {
        struct wire_row wire;
        memcpy(&wire, bytes.data + sizeof head + i * sizeof wire, sizeof wire);
        block->rows[i] = (struct output_row){wire.time_us, (uint32_t)used, wire.key_size, wire.value_size};
        used += (wire.key_size == OUTPUT_NO_KEY ? 0 : (size_t)wire.key_size) + wire.value_size;
        is_whole = used <= left;
    }
    if (!is_whole || used != left) {
        output_block_release(block);
        return false;
    }
    buffer_append(&block->text, bytes.data + at, left);
    *out = block;
    return true;
}
