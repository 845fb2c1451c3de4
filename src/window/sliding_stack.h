/* Sliding windows out of panes, with work per window that does not depend on how many panes it has: two stacks.
 *
 *   window that closes now              ├───────────────────────────────────┤
 *   panes             ├─────┼─────┼─────┼─────┼─────┼─────┼─────┼─────┼─────┼─────┼─────┤
 *                     held for lateness │     front       ▲      back       │    to come
 *                                       │sums from here to│one sum per key  │
 *                                         the boundary
 *
 * The front knows for each row of its panes the sum of its key from that pane to the boundary, so what leaves at the left is simply
 * forgotten and nothing is ever subtracted; the back has one running sum per key. A window is one sum of each. When the front is
 * used up the boundary moves to the end of the window. Rows that come late for earlier windows belong mostly to the newest panes, so while
 * there are such rows the boundary moves to the middle only: behind it they are simply added. Those that belong before the boundary
 * are extra: they are added to each window by themselves until the boundary moves. A row is merged three times in its life, four times with late rows.
 *
 * Memory: a row of a pane has 20 bytes more for the key and the place of the next sum, and a second row for the sum while it
 * is in the front; a key has one row more for the back. So at most two and a half times the rows of the panes. */
#pragma once

#include "window/window_internal.h"

struct held_pane;

/* A row of a held pane. */
struct row_place {
    struct held_pane *held; /* NULL: none */
    uint32_t row;
};

struct held_pane {
    struct pane *pane;
    uint32_t
        *keys; /* [row_count] the row's key in stack->keys; NULL: no window that may close needs the pane */
    struct pane *sums; /* in the front: for each row, all of its key from here to the boundary; else NULL */
    struct row_place *next; /* in the front: where the next sum of the row's key is */
    uint32_t key_capacity;
    int64_t seen_us; /* by a clock, monotonic; 0 = not yet */
    bool is_extra;   /* applied, before the boundary, and not in the front */
    bool
        is_applied; /* part of the windows that close; else its rows are late for the next one, or still to come */
};

struct sliding_stack {
    const struct window_spec *spec;
    struct window_grid grid;
    struct pane_pool *pool;
    struct held_pane **panes; /* by start, then by what its rows are late for */
    uint32_t count, capacity;
    uint32_t first_open;        /* panes before it are held for lateness only */
    struct held_pane **waiting; /* not applied yet */
    uint32_t waiting_count, waiting_capacity;
    int64_t start_us, end_us; /* of the last window that was put together */
    int64_t boundary_us;      /* where the back begins */

    struct pane *keys;       /* a row per key; its states are the back sum */
    struct row_place *heads; /* per key: its first sum in the front */
    uint32_t *references;    /* per key: rows of panes from first_open on */
    uint32_t key_capacity;
    uint64_t live_count; /* keys with references */

    struct pane *extra;   /* sums of applied panes that are before the boundary and not in the front */
    uint32_t *extra_rows; /* per key: row of extra + 1 */
    uint32_t extra_capacity;
    bool has_late;        /* rows that were late for earlier windows have come since the boundary moved */
    uint32_t extra_count; /* panes that are extra */
    uint64_t extra_work;  /* rows merged into extra since the boundary moved */
    uint64_t overflow_events;

    uint32_t *indices; /* scratch, SLIDING_MERGE_ROWS each */
    uint64_t *hashes;
    char **into;
    const char **from;
};

enum { SLIDING_MERGE_ROWS = 1024 };

void sliding_stack_init(struct sliding_stack *stack, const struct window_spec *spec, struct pane_pool *pool);
void sliding_stack_deinit(struct sliding_stack *stack);
/* Forgets all panes. */
void sliding_stack_reset(struct sliding_stack *stack);
/* Takes a pane. Its rows are on time for windows that end later than pane->reached_us. */
void sliding_stack_add(struct sliding_stack *stack, struct pane *pane);
/* Index of the first pane that is not before this one, by start and what its rows are late for. */
uint32_t sliding_stack_search(const struct sliding_stack *stack, const struct pane *pane);
/* True when a pane that is on time for the window that ends there is held. */
bool sliding_stack_covers(const struct sliding_stack *stack, int64_t end_us);
/* End of the first window behind `after_us` that has a pane; TIME_MAX when there is none. */
int64_t sliding_stack_next_end(const struct sliding_stack *stack, int64_t after_us);
/* Goes on to the window that ends there, which is later than the last one. */
void sliding_stack_advance(struct sliding_stack *stack, int64_t end_us);
/* Keys from *next on that have rows in the window, at most `limit`: rows at the end of `sums`, which has none yet. Returns how
 * many; 0 at the end. */
uint32_t sliding_stack_read(struct sliding_stack *stack, uint32_t *next, struct pane *sums, uint32_t limit);
/* The on-time sums of the window that ends there, open or not, of the keys of `rows` of pane `of`: added to the rows of `sums`. */
void sliding_stack_sum(struct sliding_stack *stack, int64_t end_us, const struct pane *of,
                       const struct pane_row *const *rows, uint32_t count, struct pane *sums);
/* When the clock first looked at a pane of the window that ends there; panes it had not looked at yet are looked at now. */
int64_t sliding_stack_seen(struct sliding_stack *stack, int64_t end_us, int64_t now_us);
/* Lets go of panes whose last window had been gone by then. */
void sliding_stack_forget(struct sliding_stack *stack, int64_t watermark_us);
size_t sliding_stack_memory_size(const struct sliding_stack *stack);
