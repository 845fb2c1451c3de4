/* What session_operator.c, which places events, and session_delivery.c, which sends to the merger what is due, share. */
#pragma once

#include "window/origin_ledger.h"
#include "window/session_table.h"

#define SESSION_DUE_AT_ONCE (TIME_NONE + 1)

struct partition_sessions {
    struct session_table table;
    struct origin_ledger origins; /* of what has not been delivered */
};

struct session_operator {
    struct window_operator base;
    const struct window_spec *spec;
    struct pane_pool *pool;
    struct partition_sessions *partitions; /* [partition_count] */
    struct pane *out;                      /* what goes with the next take */

    /* Scratch for one batch. Places are offsets in pane->rows, which may move. */
    uint32_t row_capacity;
    uint32_t used_count, done_count; /* rows that have a place; those of them that are in the states */
    uint32_t *used_rows;
    size_t *places;
    uint64_t *hashes;
    char **entries;
};

/* What goes with the next take. */
static inline struct pane *session_out(struct session_operator *op)
{
    if (!op->out)
        op->out = pane_create(op->pool, PANE_SESSIONS, 0, 0);
    return op->out;
}

/* The merger must know of an open session when another one may touch it that it has. */
static inline bool session_needs_hold(const struct session_operator *op, const struct pane *pane,
                                      uint32_t index)
{
    const struct session_span *span = session_span_at(pane, index);
    uint32_t anchor = session_anchor(pane, index);
    return op->spec->partition_count > 1 || span->is_delivered || span->is_late_cut || anchor != index ||
           session_span_at(pane, anchor)->next;
}

/* The merger has a hold for it. */
static inline bool session_is_announced(const struct session_span *span)
{
    return span->hold_us != TIME_NONE && span->hold_us <= span->link_us;
}

/* When it is complete, as far as its partition knows. */
static inline int64_t session_closes_at(const struct session_span *span)
{
    return span->end_us < span->cell_end_us ? span->end_us : span->cell_end_us;
}

/* The operation of the kind of operator. */
struct pane *session_take(struct window_operator *base, int64_t watermark_us, bool flush_open);
