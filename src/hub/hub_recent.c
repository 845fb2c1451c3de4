/* The last result blocks, kept by reference: missed rows of a client that was away for a moment cost no copy and no query. */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "hub/hub_internal.h"

void hub_recent_init(struct hub_recent *recent)
{
    *recent = (struct hub_recent){0};
}

static struct recent_block *block_at(const struct hub_recent *recent, uint32_t index)
{
    return &recent->blocks[(recent->first + index) & (recent->capacity - 1)];
}

void hub_recent_deinit(struct hub_recent *recent)
{
    for (uint32_t i = 0; i < recent->count; i++)
        result_block_release(block_at(recent, i)->block);
    free(recent->blocks);
    *recent = (struct hub_recent){0};
}

static size_t block_size(const struct result_block *block)
{
    size_t row_size = 9 * sizeof(int64_t) + 4 * sizeof(uint32_t) +
                      (block->shape->key_count + block->shape->value_count) * (sizeof(union value) + 1);
    return sizeof *block + block->row_count * row_size + block->bytes.capacity + block->json.capacity +
           block->key_json.capacity;
}

static void grow(struct hub_recent *recent)
{
    uint32_t capacity = recent->capacity ? 2 * recent->capacity : 64;
    struct recent_block *blocks = memory_allocate_array(capacity, sizeof *blocks);
    for (uint32_t i = 0; i < recent->count; i++)
        blocks[i] = *block_at(recent, i);
    free(recent->blocks);
    recent->blocks = blocks;
    recent->first = 0;
    recent->capacity = capacity;
}

static void evict(struct hub_recent *recent, const bool *pipeline_is_stored)
{
    struct recent_block *oldest = block_at(recent, 0);
    struct result_block *block = oldest->block;
    recent->size -= oldest->size;
    recent->first_sequence = block->first_sequence + block->row_count;
    if (!pipeline_is_stored || pipeline_is_stored[block->shape->pipeline_index]) {
        recent->has_evicted_stored = true;
        recent->evicted_stored = recent->first_sequence - 1;
    }
    recent->first = (recent->first + 1) & (recent->capacity - 1);
    recent->count--;
    result_block_release(block);
}

void hub_recent_add(struct hub_recent *recent, struct result_block *block, const bool *pipeline_is_stored)
{
    if (recent->count == recent->capacity)
        grow(recent);
    struct recent_block added = {.block = result_block_acquire(block), .size = block_size(block)};
    recent->count++;
    *block_at(recent, recent->count - 1) = added;
    recent->size += added.size;
    while (recent->size > HUB_RECENT_SIZE_MAX && recent->count > 1)
        evict(recent, pipeline_is_stored);
}

bool hub_recent_find(const struct hub_recent *recent, uint64_t sequence, const struct result_block **block,
                     uint32_t *row)
{
    uint32_t low = 0, high = recent->count; /* the first block that ends behind the sequence */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct result_block *candidate = block_at(recent, middle)->block;
        if (candidate->first_sequence + candidate->row_count > sequence)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == recent->count)
        return false;
    *block = block_at(recent, low)->block;
    *row = sequence > (*block)->first_sequence ? (uint32_t)(sequence - (*block)->first_sequence) : 0;
    return true;
}
