/* A window as the merger holds it, and what writes its results. On-time and late events stay apart, so that revision 0 can be
 * told at any time; an update puts the two together for the keys that changed. */
#pragma once

#include "window/window_internal.h"

enum { EMISSION_ROWS = 256 /* rows that are gathered at once */ };

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
/* Records of rows that are put together already: `rows` of emission_scratch(), with what is on time and late in them. */
struct emission_sums {
    uint64_t on_time[EMISSION_ROWS], late_accepted[EMISSION_ROWS];
    uint32_t count;
    enum emit_kind emit;
    int64_t watermark_us;
    enum close_cause cause;
};
void emission_write_sums(struct emission *emission, const struct merged_window *window,
                         const struct emission_sums *sums);
/* A pane for rows of such records, without a table; emission_write_sums makes it empty again. */
struct pane *emission_scratch(struct emission *emission);
/* Final records of keys without events: rows of a pane that have none. */
void emission_write_empty(struct emission *emission, const struct merged_window *window,
                          const struct pane *pane, const uint32_t *indices, uint32_t count);
/* Early records of the on-time rows with these indices. */
void emission_write_early(struct emission *emission, const struct merged_window *window, const uint32_t *rows,
                          uint32_t count, int64_t watermark_us, enum close_cause cause);
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
/* A row of the pane, once. */
void change_list_add(struct change_list *list, struct pane *pane, struct pane_row *row);
void change_list_clear(struct change_list *list, struct pane *pane);

/* Smallest watermark with which a partition first reached the end; `otherwise_us` where no mark tells. */
int64_t marks_closing_watermark(const struct pane *marks, int64_t end_us, int64_t otherwise_us);
/* Those up to the time, which no window can ask for any more: one that is still to come ends later. */
void marks_forget(struct pane *marks, int64_t through_us);
