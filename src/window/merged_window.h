/* A window as the merger holds it, and what writes its results. On-time and late events stay apart, so that revision 0 can be
 * told at any time; an update puts the two together for the keys that changed. */
#pragma once

#include "window/window_internal.h"

/* Rows that changed since they were last shown. */
struct change_list {
    uint32_t *rows;
    uint32_t count, capacity;
    bool has_all; /* every row */
};

struct merged_window {
    int64_t start_us, end_us;
    struct pane *on_time, *late, *dropped; /* NULL while there is none */
    struct change_list on_time_changes, late_changes;
    bool is_closed;
    enum close_cause cause;
    int64_t watermark_us;  /* of the receipt, once closed */
    int64_t first_seen_us; /* monotonic; 0 = not looked at by a clock yet */
};

/* Builds blocks and hands them on when full, or when emission_flush says so. */
struct emission {
    const struct window_spec *spec;
    struct pane_pool *pool;
    window_emit emit;
    void *context;
    struct result_block *block;
    uint32_t block_capacity;
    struct pane *scratch; /* rows of updates: on-time and late put together */
    uint64_t result_count;
};

void emission_init(struct emission *emission, const struct window_spec *spec, struct pane_pool *pool,
                   window_emit emit, void *context);
void emission_deinit(struct emission *emission);
/* How many rows are to come, so that blocks are made no larger than needed. */
void emission_expect(struct emission *emission, uint64_t row_count);
/* One record of revision 0 for every row of the on-time pane. */
void emission_write_finals(struct emission *emission, const struct merged_window *window);
/* Early records of the on-time rows with these indices. */
void emission_write_early(struct emission *emission, const struct merged_window *window, const uint32_t *rows,
                          uint32_t count, int64_t watermark_us);
/* Updates of all keys in the change lists. */
void emission_write_updates(struct emission *emission, const struct merged_window *window);
void emission_flush(struct emission *emission);

/* The parts of it, for whoever fills rows of its own: a block with room for a row at least, and the columns of rows of one
 * pane, [first, first + count). */
struct result_block *emission_block(struct emission *emission);
void emission_write_keys(struct result_block *block, uint32_t first, const struct pane *pane,
                         const char *const *entries, uint32_t count);
void emission_write_values(struct result_block *block, uint32_t first, const struct pane *pane,
                           const char *const *entries, uint32_t count);

static inline bool change_list_is_empty(const struct change_list *list)
{
    return !list->has_all && list->count == 0;
}
