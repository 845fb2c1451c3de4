/* emit_empty: keys that go on having records in windows without events of theirs. A key is known for the WINDOW_EMPTY_MAX windows
 * behind the last one in which it had an event on time; at most key_limit of them. For them it has a final record of nothing.
 *
 * What is known follows from events of windows that may be long gone, so the oldest offset goes back to them: after a restart
 * the same keys are known. */
#pragma once

#include "window/merged_window.h"

struct known_keys {
    const struct window_spec *spec;
    struct window_grid grid;
    struct pane_pool *pool;
    struct pane *keys;     /* rows without events */
    int64_t *last_ends_us; /* per row: end of the last window with an event of the key */
    uint32_t capacity;
    int64_t latest_us;     /* of them */
    struct pane **origins; /* by end: of windows that are gone, where their events are; without rows */
    uint32_t origin_count, origin_capacity;
};

void known_keys_init(struct known_keys *known, const struct window_spec *spec, struct pane_pool *pool);
void known_keys_deinit(struct known_keys *known);
void known_keys_reset(struct known_keys *known);
/* The rows of a pane of on-time events are known since its window. */
void known_keys_note(struct known_keys *known, const struct pane *pane);
/* The window of the pane is gone: where its events are is remembered. */
void known_keys_keep_origins(struct known_keys *known, const struct pane *pane);
/* End of the next window behind `closed_us` in which some key is known; TIME_MAX when there is none. */
int64_t known_keys_next_end(const struct known_keys *known, int64_t closed_us);
/* Final records of the known keys that have no events in the window, then forgets those whose time is over. */
void known_keys_write(struct known_keys *known, struct emission *emission,
                      const struct merged_window *window);
void known_keys_find_oldest(const struct known_keys *known, uint32_t partition, struct pane_origin *oldest);
size_t known_keys_memory_size(const struct known_keys *known);
