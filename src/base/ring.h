/* A bounded queue of pointers from one thread to one other (SPSC). Capacity is a power of two. The producer may be
 * handed from thread to thread only with a happens-before edge of the caller's making. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/waker.h"

struct ring {
    void **slots;
    size_t mask;
    struct waker *consumer; /* woken by ring_push; may be NULL */
    struct waker *producer; /* woken by ring_pop when the ring was full; may be NULL */
    /* Padding, not alignment: rings sit in structs on the heap, and head and tail must only not share a cache line. */
    char padding_before[64];
    atomic_size_t head; /* next to pop; written by the consumer, release; acquire by the producer */
    char padding_between[64 - sizeof(atomic_size_t)];
    atomic_size_t tail; /* next to push; written by the producer, release; acquire by the consumer */
    atomic_bool producer_waits;
};

void ring_init(struct ring *ring, size_t capacity, struct waker *consumer, struct waker *producer);
/* Does not free what is still in it. */
void ring_deinit(struct ring *ring);
/* False when full; then the producer is woken once there is room again. Producer thread. */
bool ring_push(struct ring *ring, void *item);
/* Waits for room as long as it takes. The ring must have a producer waker that only this thread sleeps on. */
void ring_push_wait(struct ring *ring, void *item);
/* NULL when empty. Consumer thread. */
void *ring_pop(struct ring *ring);
/* Waits for an item at most `timeout_us` (<0: for ever); NULL when none came. The ring must have a consumer waker. */
void *ring_pop_wait(struct ring *ring, int64_t timeout_us);
/* How many are in it: exact for the two threads' own side, a snapshot for others. */
size_t ring_count(const struct ring *ring);
