/* Shared bytes on their way out. See frame.h. */
#include "net/frame.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

struct frame *frame_from_buffer(struct buffer *buffer)
{
    struct frame *frame = memory_allocate(sizeof *frame);
    *frame = (struct frame){.reference_count = 1, .size = buffer->size, .data = buffer->data};
    *buffer = (struct buffer){0};
    return frame;
}

struct frame *frame_borrow(const void *data, size_t size)
{
    struct frame *frame = memory_allocate(sizeof *frame);
    *frame = (struct frame){.reference_count = 1, .is_borrowed = true, .size = size, .data = data};
    return frame;
}

struct frame *frame_acquire(struct frame *frame)
{
    assert(frame->reference_count > 0);
    frame->reference_count++;
    return frame;
}

void frame_release(struct frame *frame)
{
    assert(frame->reference_count > 0);
    if (--frame->reference_count > 0)
        return;
    if (!frame->is_borrowed)
        free((void *)(uintptr_t)frame->data);
    free(frame);
}
