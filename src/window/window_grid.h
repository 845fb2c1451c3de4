/* Where windows that are cut the same way for all keys begin and end, and the panes that they are put together from.
 *
 *   windows of 6 every 4     ├───────────┤       ├──
 *                        ────────┤   ├───────────┤
 *   panes of 2           ┼───┼───┼───┼───┼───┼───┼───
 *
 * A pane is the greatest common divisor of size and slide, so no window begins or ends inside one. Tumbling windows slide by
 * their size and have one pane each. */
#pragma once

#include "window/window.h"

struct window_grid {
    int64_t size_us, slide_us, offset_us, pane_us;
};

static inline int64_t grid_floor(int64_t time_us, int64_t step_us, int64_t offset_us)
{
    int64_t remainder = (time_us - offset_us) % step_us;
    return time_us - (remainder < 0 ? remainder + step_us : remainder);
}

static inline struct window_grid window_grid_of(const struct window_spec *spec)
{
    struct window_grid grid = {spec->size_us, spec->size_us, spec->offset_us, spec->size_us};
    if (spec->kind != WINDOW_SLIDING)
        return grid;
    grid.slide_us = spec->slide_us;
    for (int64_t rest = spec->slide_us; rest;) {
        int64_t next = grid.pane_us % rest;
        grid.pane_us = rest;
        rest = next;
    }
    return grid;
}

static inline int64_t grid_pane_start(const struct window_grid *grid, int64_t time_us)
{
    return grid_floor(time_us, grid->pane_us, grid->offset_us);
}

/* The greatest window end that the time has reached; TIME_NONE stays. */
static inline int64_t grid_last_end(const struct window_grid *grid, int64_t time_us)
{
    return time_us == TIME_NONE ? TIME_NONE
                                : grid_floor(time_us, grid->slide_us, grid->offset_us + grid->size_us);
}

/* The ends of the first and of the last window that a pane is in. When windows do not meet, a pane between them is in none:
 * its first end is then behind its last. */
static inline int64_t grid_first_end(const struct window_grid *grid, int64_t pane_start_us)
{
    return grid_last_end(grid, pane_start_us + grid->pane_us - 1) + grid->slide_us;
}

static inline int64_t grid_final_end(const struct window_grid *grid, int64_t pane_start_us)
{
    return grid_floor(pane_start_us, grid->slide_us, grid->offset_us) + grid->size_us;
}
