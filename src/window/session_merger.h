/* What session_merger.c, which joins partial sessions, and session_settle.c, which closes and shows them, share. */
#pragma once

#include "base/memory.h"
#include "window/origin_ledger.h"
#include "window/session_output.h"
#include "window/session_table.h"

enum { MERGE_ROWS = 1024 };

/* Where reading must begin to build a row again, for each partition that is in it. */
struct origin_node {
    int64_t offset;
    uint32_t partition;
    uint32_t next; /* index + 1; also of free ones */
};

/* What lies in one cell of a session, or all of a session that is not cut. */
struct session_part {
    struct session_hull hull; /* of the session */
    int64_t start_us, end_us; /* of the record */
    int64_t closes_us;        /* TIME_MAX while it is held */
    int64_t session_closes_us, cell_end_us;
    bool is_cut;
    uint32_t first, count; /* in merger->rows */
};

struct session_merger {
    struct window_merger base;
    const struct window_spec *spec;
    struct pane_pool *pool;
    struct session_output output;
    struct session_table table;
    struct origin_ledger *ledgers; /* [partition_count] */
    struct origin_node *nodes;
    uint32_t node_count, node_capacity, free_node;
    uint32_t *dirty; /* anchors of keys to settle; their rows are marked is_changed */
    uint32_t dirty_count, dirty_capacity;
    uint32_t *early; /* anchors of keys with open sessions to show; marked is_early */
    uint32_t early_count, early_capacity;
    int64_t watermark_us; /* sessions that end at or before it are closed; TIME_MAX after the end of input */
    int64_t finite_us;    /* the last watermark that was a time */
    enum close_cause cause;
    bool is_silent; /* recovering */
    int64_t next_early_us;
    uint64_t closed_count, hold_count; /* rows */
    struct window_merger_stats stats;

    /* Scratch of one key. */
    uint32_t *rows;
    uint32_t row_count, row_capacity;
    int64_t next_due_us;

    uint32_t indices[MERGE_ROWS], anchors[MERGE_ROWS];
    uint64_t hashes[MERGE_ROWS];
    char *into[MERGE_ROWS];
};

/* The row goes, with its origins. */
void session_merger_free(struct session_merger *merger, uint32_t index);
/* True when an operator has an open session that touches it. */
bool session_is_held(const struct session_merger *merger, uint32_t anchor, const struct session_hull *hull);
/* Closes, shows and forgets what is due of the key whose anchor this is. */
void session_settle_key(struct session_merger *merger, uint32_t anchor);
/* Early records of the open sessions of a key. */
void session_show_early(struct session_merger *merger, uint32_t anchor);
/* The record with which the row went out is no result any more: its session has become a part of one that begins elsewhere. */
void session_merge_away(struct session_merger *merger, uint32_t index, int64_t into_start_us);

static inline int64_t session_gone_at(const struct session_merger *merger, int64_t end_us)
{
    return end_us > TIME_MAX - merger->spec->allowed_lateness_us ? TIME_MAX
                                                                 : end_us + merger->spec->allowed_lateness_us;
}

/* When nothing can come any more for what lies in a cell of a session that ends at end_us (TIME_MAX: nobody knows when). What is cut for
 * all partitions together can be whole for one, and reach into the next cell that far. */
static inline int64_t session_part_gone_at(const struct session_merger *merger, bool is_cut, int64_t end_us,
                                           int64_t cell_end_us)
{
    int64_t reach_us = cell_end_us + merger->spec->max_duration_us + 2 * merger->spec->gap_us;
    return session_gone_at(merger, is_cut && reach_us < end_us ? reach_us : end_us);
}

static inline void session_set_closed(struct session_merger *merger, struct session_span *span,
                                      bool is_closed)
{
    merger->closed_count += is_closed && !span->is_closed;
    merger->closed_count -= !is_closed && span->is_closed;
    span->is_closed = is_closed;
}

static inline uint32_t *session_push_index(uint32_t *list, uint32_t *count, uint32_t *capacity,
                                           uint32_t index)
{
    if (*count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 64;
        list = memory_resize_array(list, *capacity, sizeof *list);
    }
    list[(*count)++] = index;
    return list;
}
