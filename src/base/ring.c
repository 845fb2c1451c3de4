/* Single-producer single-consumer ring; indices grow without wrapping and are masked on use. See ring.h. */
#include "base/ring.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

void ring_init(struct ring *ring, size_t capacity, struct waker *consumer, struct waker *producer)
{
    assert(capacity && (capacity & (capacity - 1)) == 0);
    ring->slots = memory_allocate_array(capacity, sizeof *ring->slots);
    ring->mask = capacity - 1;
    ring->consumer = consumer;
    ring->producer = producer;
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->producer_waits, false);
}

void ring_deinit(struct ring *ring)
{
    free(ring->slots);
    ring->slots = NULL;
}

static bool is_full(struct ring *ring, size_t tail)
{
    return tail - atomic_load_explicit(&ring->head, memory_order_acquire) > ring->mask;
}

bool ring_push(struct ring *ring, void *item)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (is_full(ring, tail)) {
        atomic_store(&ring->producer_waits, true); /* seq_cst, partner: the exchange in ring_pop */
        atomic_thread_fence(memory_order_seq_cst);
        if (is_full(ring, tail))
            return false;
    }
    ring->slots[tail & ring->mask] = item;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    if (ring->consumer)
        waker_wake(ring->consumer);
    return true;
}

void *ring_pop(struct ring *ring)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == atomic_load_explicit(&ring->tail, memory_order_acquire))
        return NULL;
    void *item = ring->slots[head & ring->mask];
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&ring->producer_waits, memory_order_relaxed) &&
        atomic_exchange(&ring->producer_waits, false) && ring->producer) {
        waker_wake(ring->producer);
    }
    return item;
}

size_t ring_count(const struct ring *ring)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    return atomic_load_explicit(&ring->tail, memory_order_acquire) - head;
}

void ring_push_wait(struct ring *ring, void *item)
{
    while (!ring_push(ring, item)) {
        waker_prepare(ring->producer);
        if (ring_push(ring, item)) {
            waker_cancel(ring->producer);
            return;
        }
        waker_wait(ring->producer, -1);
    }
}

void *ring_pop_wait(struct ring *ring, int64_t timeout_us)
{
    void *item = ring_pop(ring);
    if (item)
        return item;
    waker_prepare(ring->consumer);
    item = ring_pop(ring);
    if (item) {
        waker_cancel(ring->consumer);
        return item;
    }
    waker_wait(ring->consumer, timeout_us);
    return ring_pop(ring);
}
