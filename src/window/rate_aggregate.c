/* rate(): events per second of the window, whole or still open; null where a window has no end. The row's own count is all it needs. */
#include "window/state_access.h"

static void rate_finish(const struct aggregate_finish *finish)
{
    for (uint32_t i = 0; i < finish->count; i++) {
        const struct pane_row *row = (const struct pane_row *)(const void *)finish->entries[i];
        int64_t start_us = finish->window_starts_us[i], end_us = finish->window_ends_us[i];
        if (end_us != TIME_MAX && end_us > start_us)
            finish_double(finish, i, (double)row->event_count * 1e6 / (double)(end_us - start_us));
        else
            finish_null(finish, i);
    }
}

const struct aggregate_kind rate_aggregate = {
    .name = "rate",
    .finish = rate_finish,
};
