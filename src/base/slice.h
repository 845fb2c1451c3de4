/* A view of bytes that somebody else owns. Not NUL-terminated; may be empty, then `data` may be NULL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *data;
    size_t size;
};

#define SLICE(literal)   ((struct slice){("" literal), sizeof(literal) - 1})
/* For printf: printf("%.*s", SLICE_ARG(slice)) */
#define SLICE_ARG(slice) (int)(slice).size, (slice).data

static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_equal_text(struct slice a, const char *b)
{
    return slice_equal(a, slice_of(b));
}

/* Byte order; a prefix comes first. <0, 0, >0 as memcmp. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}
