/* Allocation that stops the process when the machine has no memory left. See memory.h. */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void memory_refuse(size_t size)
{
    fprintf(stderr, "weir: out of memory: %zu bytes were refused; lower engine.memory_limit or key_limit\n",
            size);
    abort();
}

static void *check(void *pointer, size_t size)
{
    if (!pointer)
        memory_refuse(size);
    return pointer;
}

void *memory_allocate(size_t size)
{
    return check(calloc(1, size ? size : 1), size);
}

void *memory_allocate_array(size_t count, size_t size)
{
    return check(calloc(count ? count : 1, size ? size : 1), size);
}

void *memory_resize(void *old, size_t size)
{
    return check(realloc(old, size ? size : 1), size);
}

void *memory_resize_array(void *old, size_t count, size_t size)
{
    return check(reallocarray(old, count ? count : 1, size ? size : 1), size);
}

char *memory_copy_text(const char *data, size_t size)
{
    char *copy = check(malloc(size + 1), size + 1);
    if (size)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

size_t memory_resident_size(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    unsigned long total = 0, resident = 0;
    int fields = fscanf(file, "%lu %lu", &total, &resident);
    fclose(file);
    return fields == 2 ? resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}
