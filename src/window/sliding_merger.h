/* What the files of sliding mergers share. */
#pragma once

#include "window/merged_window.h"
#include "window/sliding_stack.h"

/* The open windows in which a key has changed: those that end from the first to the last of these times. */
struct change_span {
    int64_t from_us, to_us;
};

struct sliding_merger {
    struct window_merger base;
    const struct window_spec *spec;
    struct window_grid grid;
    struct pane_pool *pool;
    struct emission emission;
    struct emission_sums sums; /* scratch */
    struct sliding_stack stack;
    struct merged_window **windows; /* by start: those that are closed and held, and those with late rows */
    uint32_t window_count, window_capacity;
    struct pane *marks;              /* crossing marks of all partitions */
    int64_t watermark_us, finite_us; /* as it is, TIME_MAX after the end of input; the last that was a time */
    int64_t closed_us;               /* windows that end at or before it are closed */
    enum close_cause cause;          /* of the last move */
    bool has_updates, is_silent;     /* some closed window has changes to show; recovering */
    int64_t moved_us, next_early_us; /* monotonic */
    struct pane *changed;            /* emit.every: keys that changed since they were shown */
    struct change_span *spans;       /* [changed->row_count] */
    uint32_t span_capacity;
    struct window_merger_stats stats; /* counters only */
    uint32_t indices[SLIDING_MERGE_ROWS];
    uint64_t hashes[SLIDING_MERGE_ROWS];
    char *into[SLIDING_MERGE_ROWS];
    const char *from[SLIDING_MERGE_ROWS];
};

/* Nothing of the window that ends there is kept any more. */
bool sliding_is_gone(const struct sliding_merger *merger, int64_t end_us);
/* Index of the first window that does not end before it. */
uint32_t sliding_search_window(const struct sliding_merger *merger, int64_t end_us);
struct merged_window *sliding_find_window(const struct sliding_merger *merger, int64_t end_us);
struct merged_window *sliding_make_window(struct sliding_merger *merger, int64_t end_us);
void sliding_window_close(struct sliding_merger *merger, struct merged_window *window,
                          enum close_cause cause);
void sliding_window_destroy(struct merged_window *window);

/* Windows that the rows are late for; false when all of them are gone. */
bool sliding_merge_late(struct sliding_merger *merger, const struct pane *pane);
/* Windows that are there and count what was too late for them. */
void sliding_merge_dropped(struct sliding_merger *merger, const struct pane *pane);
/* Closed windows that the rows are on time for: a partition was passed over, or the clock closed them. */
void sliding_note_closed(struct sliding_merger *merger, const struct pane *pane);
/* Open windows that the rows change, for emit.every. */
void sliding_note_open(struct sliding_merger *merger, const struct pane *pane);
