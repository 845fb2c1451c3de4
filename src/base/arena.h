/* A bump allocator: many small allocations with one lifetime (a batch, a request, a parsed config).
 * Blocks are kept over arena_reset(), so after warm-up nothing is asked of the heap. One thread at a time. */
#pragma once

#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *first;   /* all blocks, oldest first */
    struct arena_block *current; /* the one that is being filled */
    char *next;
    char *end;
    size_t block_size;
};

enum { ARENA_DEFAULT_BLOCK_SIZE = 16 * 1024 };

void arena_init(struct arena *arena, size_t block_size);
void arena_deinit(struct arena *arena);
/* Forgets every allocation, keeps the blocks. */
void arena_reset(struct arena *arena);

/* Aligned to 16 bytes, not zeroed. Never NULL. */
void *arena_allocate(struct arena *arena, size_t size) __attribute__((returns_nonnull));
/* The same, zeroed. */
void *arena_allocate_zeroed(struct arena *arena, size_t size) __attribute__((returns_nonnull));
/* A NUL-terminated copy; the slice leaves the NUL out. */
struct slice arena_copy(struct arena *arena, struct slice slice);
char *arena_copy_text(struct arena *arena, const char *text);
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
