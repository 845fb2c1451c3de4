/* Windows of a sliding merger that are more than panes, since they are closed and held or have late rows, and how rows come to
 * them. See sliding_merger.c. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "window/sliding_merger.h"

void sliding_window_destroy(struct merged_window *window)
{
    pane_destroy(window->late);
    pane_destroy(window->dropped);
    free(window->late_changes.rows);
    free(window);
}

/* --- windows ------------------------------------------------------------------------------------------------------------ */

bool sliding_is_gone(const struct sliding_merger *merger, int64_t end_us)
{
    if (merger->watermark_us == TIME_MAX || merger->watermark_us == TIME_NONE)
        return merger->watermark_us == TIME_MAX;
    return end_us <= merger->watermark_us - merger->spec->allowed_lateness_us;
}

uint32_t sliding_search_window(const struct sliding_merger *merger, int64_t end_us)
{
    uint32_t low = 0, high = merger->window_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (merger->windows[middle]->end_us < end_us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct merged_window *sliding_find_window(const struct sliding_merger *merger, int64_t end_us)
{
    uint32_t index = sliding_search_window(merger, end_us);
    bool is_found = index < merger->window_count && merger->windows[index]->end_us == end_us;
    return is_found ? merger->windows[index] : NULL;
}

void sliding_window_close(struct sliding_merger *merger, struct merged_window *window, enum close_cause cause)
{
    window->is_closed = true;
    window->cause = cause;
    window->watermark_us = marks_closing_watermark(merger->marks, window->end_us, merger->finite_us);
}

struct merged_window *sliding_make_window(struct sliding_merger *merger, int64_t end_us)
{
    struct merged_window *window = sliding_find_window(merger, end_us);
    if (window)
        return window;
    window = memory_allocate(sizeof *window);
    window->start_us = end_us - merger->grid.size_us;
    window->end_us = end_us;
    if (end_us <= merger->closed_us)
        sliding_window_close(merger, window, merger->cause);
    uint32_t index = sliding_search_window(merger, end_us);
    if (merger->window_count == merger->window_capacity) {
        merger->window_capacity = merger->window_capacity ? merger->window_capacity * 2 : 8;
        merger->windows =
            memory_resize_array(merger->windows, merger->window_capacity, sizeof(struct merged_window *));
    }
    memmove(&merger->windows[index + 1], &merger->windows[index],
            (merger->window_count - index) * sizeof(struct merged_window *));
    merger->windows[index] = window;
    merger->window_count++;
    return window;
}

/* The first end of a window of the pane that is later than `after_us` and not gone. */
static int64_t first_end_behind(const struct sliding_merger *merger, const struct pane *pane,
                                int64_t after_us)
{
    int64_t end_us = grid_first_end(&merger->grid, pane->start_us);
    if (merger->watermark_us != TIME_NONE && merger->watermark_us != TIME_MAX &&
        merger->watermark_us - merger->spec->allowed_lateness_us > after_us)
        after_us = merger->watermark_us - merger->spec->allowed_lateness_us;
    if (after_us >= end_us)
        end_us = grid_last_end(&merger->grid, after_us) + merger->grid.slide_us;
    return end_us;
}

/* --- rows that are late ------------------------------------------------------------------------------------------------- */

/* Finds or makes rows of `into` for rows [first, first + count): merger->into, and merger->from beside. */
static void find_rows(struct sliding_merger *merger, struct pane *into, const struct pane *pane,
                      uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        merger->indices[i] = first + i;
        merger->from[i] = (const char *)pane_row_at(pane, first + i);
    }
    uint64_t used = into->row_count - (into->overflow_row != 0);
    struct key_lookup lookup = {.hashes = merger->hashes,
                                .new_row_limit =
                                    used < merger->spec->key_limit ? merger->spec->key_limit - used : 0};
    pane_find_rows_of(into, pane, merger->indices, count, &lookup, merger->into);
    merger->stats.overflow_events += lookup.overflowed;
}

/* Adds the rows to the side; with `changes`, notes them there, also when they are only on time (`is_merged` false). */
static void merge_into(struct sliding_merger *merger, struct pane **side, struct change_list *changes,
                       const struct pane *pane, bool is_merged)
{
    if (!*side)
        *side = pane_create(merger->pool, PANE_LATE, pane->start_us, 0);
    for (uint32_t first = 0; first < pane->row_count; first += SLIDING_MERGE_ROWS) {
        uint32_t left = pane->row_count - first,
                 count = left < SLIDING_MERGE_ROWS ? left : SLIDING_MERGE_ROWS;
        find_rows(merger, *side, pane, first, count);
        if (is_merged)
            pane_merge_rows(*side, merger->into, pane, merger->from, count);
        for (uint32_t i = 0; changes && i < count; i++)
            change_list_add(changes, *side, (struct pane_row *)(void *)merger->into[i]);
    }
    for (uint32_t i = 0; is_merged && i < pane->origin_count; i++)
        pane_note_origin(*side, &pane->origins[i]);
}

bool sliding_merge_late(struct sliding_merger *merger, const struct pane *pane)
{
    int64_t end_us = first_end_behind(merger, pane, pane->gone_us);
    bool is_taken = false;
    for (; end_us <= pane->reached_us && !sliding_is_gone(merger, end_us); end_us += merger->grid.slide_us) {
        struct merged_window *window = sliding_make_window(merger, end_us);
        bool is_noted = !window->is_closed || !pane->is_replay;
        merge_into(merger, &window->late, is_noted ? &window->late_changes : NULL, pane, true);
        merger->has_updates = merger->has_updates || (window->is_closed && is_noted);
        is_taken = true;
    }
    return is_taken;
}

void sliding_merge_dropped(struct sliding_merger *merger, const struct pane *pane)
{
    int64_t end_us = first_end_behind(merger, pane, TIME_NONE);
    for (; end_us <= pane->gone_us && !sliding_is_gone(merger, end_us); end_us += merger->grid.slide_us) {
        if (sliding_find_window(merger, end_us) || sliding_stack_covers(&merger->stack, end_us)) {
            struct merged_window *window = sliding_make_window(merger, end_us);
            if (!window->dropped)
                window->dropped = pane_create(merger->pool, PANE_DROPPED, window->start_us, 0);
            for (uint32_t i = 0; i < pane->row_count; i++) {
                find_rows(merger, window->dropped, pane, i, 1);
                struct pane_row *row = (struct pane_row *)(void *)merger->into[0];
                row->event_count += pane_row_at(pane, i)->event_count;
            }
        }
    }
}

void sliding_note_closed(struct sliding_merger *merger, const struct pane *pane)
{
    if (merger->closed_us == TIME_NONE || pane->is_replay)
        return;
    int64_t end_us = first_end_behind(merger, pane, pane->reached_us),
            final_us = grid_final_end(&merger->grid, pane->start_us);
    for (; end_us <= final_us && end_us <= merger->closed_us; end_us += merger->grid.slide_us) {
        struct merged_window *window = sliding_make_window(merger, end_us);
        merge_into(merger, &window->late, &window->late_changes, pane, false);
        merger->has_updates = true;
    }
}

void sliding_note_open(struct sliding_merger *merger, const struct pane *pane)
{
    int64_t from_us = first_end_behind(merger, pane, pane->reached_us),
            to_us = grid_final_end(&merger->grid, pane->start_us);
    for (uint32_t first = 0; first < pane->row_count; first += SLIDING_MERGE_ROWS) {
        uint32_t left = pane->row_count - first,
                 count = left < SLIDING_MERGE_ROWS ? left : SLIDING_MERGE_ROWS;
        uint32_t known = merger->changed->row_count;
        find_rows(merger, merger->changed, pane, first, count);
        if (merger->span_capacity < merger->changed->row_count) {
            merger->span_capacity = merger->changed->row_capacity;
            merger->spans = memory_resize_array(merger->spans, merger->span_capacity, sizeof *merger->spans);
        }
        for (; known < merger->changed->row_count; known++)
            merger->spans[known] = (struct change_span){TIME_MAX, TIME_NONE};
        for (uint32_t i = 0; i < count; i++) {
            struct change_span *span =
                &merger->spans[(size_t)(merger->into[i] - merger->changed->rows) / pane->layout->row_size];
            span->from_us = from_us < span->from_us ? from_us : span->from_us;
            span->to_us = to_us > span->to_us ? to_us : span->to_us;
        }
    }
}
