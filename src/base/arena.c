/* Bump allocation in a list of blocks. A request larger than a block gets a block of its own. See arena.h. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

struct arena_block {
    struct arena_block *next;
    size_t size;
    _Alignas(16) char bytes[];
};

void arena_init(struct arena *arena, size_t block_size)
{
    *arena = (struct arena){.block_size = block_size ? block_size : ARENA_DEFAULT_BLOCK_SIZE};
}

void arena_deinit(struct arena *arena)
{
    for (struct arena_block *block = arena->first, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    arena_init(arena, arena->block_size);
}

static void use_block(struct arena *arena, struct arena_block *block)
{
    arena->current = block;
    arena->next = block ? block->bytes : NULL;
    arena->end = block ? block->bytes + block->size : NULL;
}

void arena_reset(struct arena *arena)
{
    use_block(arena, arena->first);
}

/* Moves on to the next kept block that is large enough, or puts a new one behind the current. */
static void grow(struct arena *arena, size_t size)
{
    struct arena_block *following = arena->current ? arena->current->next : arena->first;
    if (following && following->size >= size) {
        use_block(arena, following);
        return;
    }
    size_t block_size = size > arena->block_size ? size : arena->block_size;
    struct arena_block *block = memory_resize(NULL, sizeof *block + block_size);
    block->size = block_size;
    block->next = following;
    if (arena->current) {
        arena->current->next = block;
    } else {
        arena->first = block;
    }
    use_block(arena, block);
}

void *arena_allocate(struct arena *arena, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (!arena->next || size > (size_t)(arena->end - arena->next))
        grow(arena, size);
    void *result = arena->next;
    arena->next += size;
    return result;
}

void *arena_allocate_zeroed(struct arena *arena, size_t size)
{
    return memset(arena_allocate(arena, size), 0, size);
}

struct slice arena_copy(struct arena *arena, struct slice slice)
{
    char *copy = arena_allocate(arena, slice.size + 1);
    if (slice.size)
        memcpy(copy, slice.data, slice.size);
    copy[slice.size] = '\0';
    return (struct slice){copy, slice.size};
}

char *arena_copy_text(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(arena_allocate(arena, size), text, size);
}

char *arena_format(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = arena_allocate(arena, (size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return text;
}
