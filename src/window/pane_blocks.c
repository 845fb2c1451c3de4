/* Blocks of memory for the states of a pane. See pane_blocks.h. */
#include "window/pane_blocks.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { FIRST_CAPACITY_UNITS = 32 };

static void make_room(struct pane_blocks *blocks, uint64_t units)
{
    uint64_t capacity = blocks->capacity_units ? blocks->capacity_units : FIRST_CAPACITY_UNITS;
    while (capacity < units)
        capacity *= 2;
    if (capacity > UINT32_MAX)
        capacity = UINT32_MAX;
    if (units > capacity)
        memory_refuse(units * PANE_BLOCK_UNIT_SIZE);
    blocks->data = memory_resize_array(blocks->data, capacity, PANE_BLOCK_UNIT_SIZE);
    blocks->capacity_units = (uint32_t)capacity;
}

uint32_t pane_blocks_take(struct pane_blocks *blocks, uint32_t size_class)
{
    assert(size_class < PANE_BLOCK_CLASSES);
    uint32_t block = blocks->free_blocks[size_class], unit_count = UINT32_C(1) << size_class;
    if (block) {
        memcpy(&blocks->free_blocks[size_class], pane_blocks_at(blocks, block), sizeof block);
    } else {
        uint32_t used = blocks->used_units ? blocks->used_units : 1;
        if ((uint64_t)used + unit_count > blocks->capacity_units)
            make_room(blocks, (uint64_t)used + unit_count);
        block = used;
        blocks->used_units = used + unit_count;
    }
    memset(pane_blocks_at(blocks, block), 0, (size_t)PANE_BLOCK_UNIT_SIZE << size_class);
    return block;
}

void pane_blocks_give(struct pane_blocks *blocks, uint32_t block, uint32_t size_class)
{
    if (!block)
        return;
    memcpy(pane_blocks_at(blocks, block), &blocks->free_blocks[size_class], sizeof block);
    blocks->free_blocks[size_class] = block;
}

uint32_t pane_blocks_grow(struct pane_blocks *blocks, uint32_t block, uint32_t size_class)
{
    uint32_t larger = pane_blocks_take(blocks, size_class + 1);
    memcpy(pane_blocks_at(blocks, larger), pane_blocks_at(blocks, block),
           (size_t)PANE_BLOCK_UNIT_SIZE << size_class);
    pane_blocks_give(blocks, block, size_class);
    return larger;
}

void pane_blocks_clear(struct pane_blocks *blocks)
{
    blocks->used_units = 0;
    memset(blocks->free_blocks, 0, sizeof blocks->free_blocks);
}

void pane_blocks_deinit(struct pane_blocks *blocks)
{
    free(blocks->data);
    *blocks = (struct pane_blocks){0};
}
