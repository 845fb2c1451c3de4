/* Panes between processes. Processes of one consumer group each have some partitions; the panes they take from their operators
 * travel as messages to the process that merges the pipeline.
 *
 *   operator ─ window_operator_take ─▶ pane_encode, pane_encoder_next ─▶ messages ─▶ window_merger_decode ─▶ window_merger_add
 *
 * A message is a pane of its own: rows of one pane are spread over as many as it needs. Adding all messages of a pane, in the
 * order of sending, does what adding the pane would have done. Marks and origins go first, since a window that is made by a late
 * pane asks for the marks at once, and since rows must never be in a merger that does not know from where to read them
 * again; messages with rows repeat the origins while they are few. Marks and origins may come twice without harm, rows may not.
 * The message that tells the merger of this sender's watermark must follow those of the panes taken before. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "window/window.h"

enum {
    /* A message ends before the row that would make it longer, so a longer one has a single row. */
    PANE_MESSAGE_SIZE_MAX = 512 * 1024,
};

/* A pane and its values from first() and last() name partitions by an index over all partitions of the pipeline's sources, which
 * another process may count differently. The sender's map makes numbers of them that all processes agree on, the receiver's makes
 * its own indices of these: PANE_PARTITION_UNKNOWN for a partition it does not know. NULL: they stay as they are. Indices of all
 * processes must be in the same order, or first() and last() decide ties differently. */
#define PANE_PARTITION_UNKNOWN UINT32_MAX
struct pane_partition_map {
    uint32_t (*map)(void *context, uint32_t partition);
    void *context;
};

/* What both sides must know. */
struct pane_codec {
    uint64_t definition_hash; /* of the pipeline: only panes of equal definitions can be merged */
    struct pane_partition_map partitions;
    size_t message_size_max; /* sender: less than PANE_MESSAGE_SIZE_MAX; 0 = that */
};

/* Makes the messages of one pane after the other; keeps the memory of the last message. One thread at a time. */
struct pane_encoder {
    struct pane_codec codec;
    const struct pane *pane;
    struct buffer message;
    uint32_t next_mark, next_origin, next_row;
    bool is_done;
};

void pane_encoder_init(struct pane_encoder *encoder, const struct pane_codec *codec);
void pane_encoder_deinit(struct pane_encoder *encoder);

/* Starts with a pane, which must stay as it is until its last message is made. The encoder does not own it. */
void pane_encode(struct pane_encoder *encoder, const struct pane *pane);
/* The next message, valid until the next call; false when there is none. Every pane has at least one. */
bool pane_encoder_next(struct pane_encoder *encoder, struct slice *message);

/* A pane of this message for window_merger_add(). Any bytes may come: STATUS_INVALID, with the reason, for what is no undamaged
 * message of this version and pipeline; nothing is allocated beyond a fixed multiple of the message's size and the limit above. */
NODISCARD
enum status window_merger_decode(struct window_merger *merger, const struct pane_codec *codec,
                                 struct slice message, struct pane **pane, struct error *error);
