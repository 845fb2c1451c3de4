/* Heap allocation that cannot fail: memory that is bounded by named limits and still not there means that the
 * machine cannot run the configured job, so the process says so and stops (recovery makes that safe). */
#pragma once

#include <stddef.h>

/* Zeroed. Free with free(). */
void *memory_allocate(size_t size) __attribute__((malloc, returns_nonnull));
void *memory_allocate_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* As realloc; the new part is not zeroed. */
void *memory_resize(void *old, size_t size) __attribute__((returns_nonnull));
void *memory_resize_array(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
/* A NUL-terminated copy. */
char *memory_copy_text(const char *data, size_t size) __attribute__((malloc, returns_nonnull));
/* Says that so many bytes were refused and stops the process: for limits that are not the machine's. */
void memory_refuse(size_t size) __attribute__((noreturn));
/* Bytes of the process that are resident now, from /proc; 0 where that is not there. Control thread. */
size_t memory_resident_size(void);
