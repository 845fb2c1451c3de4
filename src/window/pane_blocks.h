/* Memory of a pane for states that do not fit into its rows: lists of values, tables, counters.
 *
 *   data:  [ unit 0, unused ][ block ][ block        ][ block ] ... room      a block is 32 bytes times a power of two
 *
 * A state names its block by the number of the block's first unit, which stays when the memory moves; 0 is no block. What is given
 * back waits in a list of its size for the next that is taken, so a state that grows leaves its old block to others. Nothing is asked
 * of the heap for an event: the memory doubles when it is full, and stays with the pane when the pane is used again. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    PANE_BLOCK_UNIT_SIZE = 32,
    PANE_BLOCK_CLASSES = 12, /* sizes: 32 bytes to PANE_BLOCK_MAX_SIZE */
    PANE_BLOCK_MAX_SIZE = PANE_BLOCK_UNIT_SIZE << (PANE_BLOCK_CLASSES - 1),
};
/* What the 32 bits of a block's number can tell apart; at more than that the process stops, as where the machine has no more. */
#define PANE_BLOCKS_MAX_SIZE ((size_t)UINT32_MAX * PANE_BLOCK_UNIT_SIZE)

struct pane_blocks {
    char *data;
    uint32_t used_units, capacity_units;
    uint32_t free_blocks
        [PANE_BLOCK_CLASSES]; /* the first of each size; a free block begins with the number of the next */
};

/* A zeroed block of PANE_BLOCK_UNIT_SIZE << size_class bytes, aligned to 16. Addresses of blocks are void afterwards. */
uint32_t pane_blocks_take(struct pane_blocks *blocks, uint32_t size_class);
void pane_blocks_give(struct pane_blocks *blocks, uint32_t block, uint32_t size_class);
/* A block of the next size instead of this one, the content at its beginning, the rest zero. */
uint32_t pane_blocks_grow(struct pane_blocks *blocks, uint32_t block, uint32_t size_class);
/* All blocks are gone, the memory stays. */
void pane_blocks_clear(struct pane_blocks *blocks);
void pane_blocks_deinit(struct pane_blocks *blocks);

static inline void *pane_blocks_at(const struct pane_blocks *blocks, uint32_t block)
{
    return blocks->data + (size_t)block * PANE_BLOCK_UNIT_SIZE;
}

static inline size_t pane_blocks_memory_size(const struct pane_blocks *blocks)
{
    return (size_t)blocks->capacity_units * PANE_BLOCK_UNIT_SIZE;
}

/* Up to where blocks have been taken: what a copy of them all must have. */
static inline size_t pane_blocks_used_size(const struct pane_blocks *blocks)
{
    return (size_t)blocks->used_units * PANE_BLOCK_UNIT_SIZE;
}

/* The smallest class with room for so many bytes. */
static inline uint32_t pane_block_class(size_t size)
{
    uint32_t size_class = 0;
    while ((size_t)PANE_BLOCK_UNIT_SIZE << size_class < size)
        size_class++;
    return size_class;
}
