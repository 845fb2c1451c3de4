/* Bytes that go to many sockets: built once, counted, freed when the last socket has written them. I/O thread only, so
 * the count needs no atomics. */
#pragma once

#include <stdint.h>

#include "base/buffer.h"

struct frame {
    uint32_t reference_count;
    bool is_borrowed; /* the bytes belong to somebody who outlives everything */
    size_t size;
    const char *data;
};

/* Takes the buffer's bytes over and leaves it empty. One reference. */
struct frame *frame_from_buffer(struct buffer *buffer);
/* Constant bytes that live as long as the process. One reference. */
struct frame *frame_borrow(const void *data, size_t size);
struct frame *frame_acquire(struct frame *frame);
void frame_release(struct frame *frame);
