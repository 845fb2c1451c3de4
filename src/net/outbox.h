/* What one socket still has to write: a queue of shared frames, sent with as few system calls as there are
 * socket buffers to fill. It counts bytes; the limit is its owner's to keep. */
#pragma once

#include "base/status.h"
#include "net/frame.h"

enum { OUTBOX_VECTOR_COUNT = 64 }; /* frames per writev */

struct outbox {
    struct frame **frames; /* circular */
    uint32_t first, count, capacity;
    size_t first_offset;   /* bytes of the first frame that are written already */
    size_t size;           /* bytes that are not written yet */
    uint64_t written_size; /* since the beginning */
};

void outbox_deinit(struct outbox *outbox);
/* Takes over one reference. Empty frames are dropped. */
void outbox_push(struct outbox *outbox, struct frame *frame);
/* Writes what the socket takes. STATUS_OK: all; STATUS_AGAIN: the socket is full; STATUS_CLOSED: the other side is gone. */
NODISCARD
enum status outbox_flush(struct outbox *outbox, int descriptor);
/* Forgets what is queued, except a frame that is half written. */
void outbox_clear(struct outbox *outbox);
