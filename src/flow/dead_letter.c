/* Blocks of dead letters own what they carry, so the batch can be used again at once. */
#include "flow/dead_letter.h"

#include <stdlib.h>

#include "base/memory.h"

enum { FIRST_CAPACITY = 16 };

struct dead_letter_block *dead_letter_block_create(void)
{
    struct dead_letter_block *block = memory_allocate(sizeof *block);
    atomic_init(&block->reference_count, 1);
    arena_init(&block->arena, 0);
    return block;
}

struct dead_letter_block *dead_letter_block_acquire(struct dead_letter_block *block)
{
    atomic_fetch_add_explicit(&block->reference_count, 1, memory_order_relaxed);
    return block;
}

void dead_letter_block_release(struct dead_letter_block *block)
{
    if (!block || atomic_fetch_sub_explicit(&block->reference_count, 1, memory_order_acq_rel) > 1)
        return;
    arena_deinit(&block->arena);
    free(block->letters);
    free(block);
}

void dead_letter_block_add(struct dead_letter_block *block, const struct dead_letter *letter)
{
    if (block->letter_count == block->letter_capacity) {
        block->letter_capacity = block->letter_capacity ? 2 * block->letter_capacity : FIRST_CAPACITY;
        block->letters = memory_resize_array(block->letters, block->letter_capacity, sizeof *block->letters);
    }
    struct dead_letter *copy = &block->letters[block->letter_count++];
    *copy = *letter;
    copy->detail = arena_copy(&block->arena, letter->detail);
    copy->raw = arena_copy(&block->arena, letter->raw);
    copy->metadata = arena_copy(&block->arena, letter->metadata);
    if (letter->topic)
        copy->topic = arena_copy(&block->arena, slice_of(letter->topic)).data;
}
