/* One system call per flush in the common case: all that a loop turn queued for a client leaves in one sendmsg
 * (a write costs microseconds, a byte fractions of a nanosecond). See outbox.h. */
#include "net/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/memory.h"

static struct frame *frame_at(const struct outbox *outbox, uint32_t index)
{
    return outbox->frames[(outbox->first + index) & (outbox->capacity - 1)];
}

void outbox_deinit(struct outbox *outbox)
{
    for (uint32_t i = 0; i < outbox->count; i++)
        frame_release(frame_at(outbox, i));
    free(outbox->frames);
    *outbox = (struct outbox){0};
}

static void grow(struct outbox *outbox)
{
    uint32_t capacity = outbox->capacity ? outbox->capacity * 2 : 4;
    struct frame **frames = memory_allocate_array(capacity, sizeof *frames);
    for (uint32_t i = 0; i < outbox->count; i++)
        frames[i] = frame_at(outbox, i);
    free(outbox->frames);
    outbox->frames = frames;
    outbox->first = 0;
    outbox->capacity = capacity;
}

void outbox_push(struct outbox *outbox, struct frame *frame)
{
    if (frame->size == 0) {
        frame_release(frame);
        return;
    }
    if (outbox->count == outbox->capacity)
        grow(outbox);
    outbox->frames[(outbox->first + outbox->count++) & (outbox->capacity - 1)] = frame;
    outbox->size += frame->size;
}

static void take_written(struct outbox *outbox, size_t written)
{
    outbox->size -= written;
    outbox->written_size += written;
    written += outbox->first_offset;
    while (outbox->count > 0 && written >= frame_at(outbox, 0)->size) {
        written -= frame_at(outbox, 0)->size;
        frame_release(frame_at(outbox, 0));
        outbox->first = (outbox->first + 1) & (outbox->capacity - 1);
        outbox->count--;
    }
    outbox->first_offset = written;
}

enum status outbox_flush(struct outbox *outbox, int descriptor)
{
    while (outbox->count > 0) {
        struct iovec vectors[OUTBOX_VECTOR_COUNT];
        size_t offset = outbox->first_offset;
        size_t offered = 0;
        uint32_t count = 0;
        for (; count < outbox->count && count < OUTBOX_VECTOR_COUNT; count++) {
            struct frame *frame = frame_at(outbox, count);
            vectors[count].iov_base = (void *)(uintptr_t)(frame->data + offset);
            vectors[count].iov_len = frame->size - offset;
            offered += frame->size - offset;
            offset = 0;
        }
        struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
        ssize_t sent = sendmsg(descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? STATUS_AGAIN : STATUS_CLOSED;
        }
        take_written(outbox, (size_t)sent);
        if ((size_t)sent < offered)
            return STATUS_AGAIN;
    }
    return STATUS_OK;
}

void outbox_clear(struct outbox *outbox)
{
    uint32_t kept = outbox->first_offset > 0 ? 1 : 0;
    for (uint32_t i = kept; i < outbox->count; i++) {
        outbox->size -= frame_at(outbox, i)->size;
        frame_release(frame_at(outbox, i));
    }
    outbox->count = kept;
}
