/* The merger's half of sliding windows. On-time rows stay in their panes, from which sliding_stack.c puts windows together in
 * the order in which they end; there is nothing per window until it closes or late rows come for it. What is late is
 * kept per window, since it is shown per window.
 *
 *   a pane of late rows, by its tag      gone           reached
 *   windows that it is in:     too late │      late     │     on time
 *   goes to:              their dropped │   their late  │  the stack, from the next window on                              */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "window/sliding_merger.h"

static void begin(struct sliding_merger *merger)
{
    merger->watermark_us = merger->finite_us = merger->closed_us = TIME_NONE;
    merger->cause = CLOSED_BY_WATERMARK;
    merger->stats.closed_through_us = TIME_NONE;
    merger->moved_us = merger->next_early_us = 0;
    merger->has_updates = merger->is_silent = false;
}

static struct window_merger *sliding_create(const struct window_spec *spec, window_emit emit, void *context)
{
    struct sliding_merger *merger = memory_allocate(sizeof *merger);
    merger->spec = spec;
    merger->grid = window_grid_of(spec);
    merger->pool = pane_pool_create(spec);
    merger->marks = pane_create(merger->pool, PANE_MARKS, TIME_NONE, 0);
    merger->changed = pane_create(merger->pool, PANE_ON_TIME, 0, 0);
    sliding_stack_init(&merger->stack, spec, merger->pool);
    emission_init(&merger->emission, spec, merger->pool, emit, context);
    begin(merger);
    return &merger->base;
}

static void forget_changed(struct sliding_merger *merger)
{
    pane_destroy(merger->changed);
    merger->changed = pane_create(merger->pool, PANE_ON_TIME, 0, 0);
}

static void sliding_reset(struct window_merger *base)
{
    struct sliding_merger *merger = (struct sliding_merger *)base;
    for (uint32_t i = 0; i < merger->window_count; i++)
        sliding_window_destroy(merger->windows[i]);
    merger->window_count = 0;
    merger->marks->mark_count = 0;
    sliding_stack_reset(&merger->stack);
    forget_changed(merger);
    begin(merger);
}

static void sliding_destroy(struct window_merger *base)
{
    struct sliding_merger *merger = (struct sliding_merger *)base;
    sliding_reset(base);
    sliding_stack_deinit(&merger->stack);
    free(merger->windows);
    free(merger->spans);
    pane_destroy(merger->marks);
    pane_destroy(merger->changed);
    emission_deinit(&merger->emission);
    pane_pool_release(merger->pool);
    free(merger);
}

static void count_gone(struct sliding_merger *merger, const struct pane *pane)
{
    for (uint32_t i = 0; !pane->is_replay && i < pane->row_count; i++)
        merger->stats.gone_events += pane_row_at(pane, i)->event_count;
}

static void sliding_add(struct window_merger *base, struct pane *pane, int64_t arrival_us)
{
    struct sliding_merger *merger = (struct sliding_merger *)base;
    (void)arrival_us;
    for (uint32_t i = 0; i < pane->mark_count; i++)
        pane_note_mark(merger->marks, pane->marks[i]);
    pane->mark_count = 0;
    bool is_taken = pane->kind == PANE_MARKS || pane->kind == PANE_DROPPED;
    if (pane->kind == PANE_LATE)
        is_taken = sliding_merge_late(merger, pane);
    if (pane->kind == PANE_LATE || pane->kind == PANE_DROPPED)
        sliding_merge_dropped(merger, pane);
    int64_t final_us = grid_final_end(&merger->grid, pane->start_us);
    bool has_rows = pane->kind == PANE_ON_TIME || pane->kind == PANE_LATE;
    if (has_rows && pane->reached_us < final_us && !sliding_is_gone(merger, final_us)) {
        sliding_note_closed(merger, pane);
        if (merger->spec->emit_every_us && (merger->closed_us == TIME_NONE || final_us > merger->closed_us))
            sliding_note_open(merger, pane);
        sliding_stack_add(&merger->stack, pane);
        return;
    }
    if (!is_taken)
        count_gone(merger, pane);
    pane_destroy(pane);
}

static enum status sliding_decode(struct window_merger *base, const struct pane_codec *codec,
                                  struct slice message, struct pane **pane, struct error *error)
{
    struct sliding_merger *merger = (struct sliding_merger *)base;
    return pane_decode(merger->pool, codec, message, pane, error);
}

/* --- records ------------------------------------------------------------------------------------------------------------ */

/* The keys of these rows of `pane`, as they are in the window; with `late`, the rows are late rows and are added. */
static void write_window_rows(struct sliding_merger *merger, const struct merged_window *window,
                              const struct pane *pane, const struct pane_row *const *rows, uint32_t count,
                              bool is_late)
{
    struct pane *scratch = emission_scratch(&merger->emission);
    struct emission_sums *sums = &merger->sums;
    for (uint32_t i = 0; i < count; i++)
        pane_append_row(scratch, pane, rows[i]);
    sliding_stack_sum(&merger->stack, window->end_us, pane, rows, count, scratch);
    for (uint32_t i = 0; i < count; i++) {
        struct pane_row *row = pane_row_at(scratch, i);
        sums->on_time[i] = row->event_count;
        sums->late_accepted[i] = is_late ? rows[i]->event_count : 0;
        merger->into[i] = (char *)row;
        merger->from[i] = (const char *)rows[i];
    }
    if (is_late)
        pane_merge_rows(scratch, merger->into, pane, merger->from, count);
    sums->count = count;
    emission_write_sums(&merger->emission, window, sums);
}

static void write_updates(struct sliding_merger *merger, struct merged_window *window)
{
    const struct pane_row *rows[EMISSION_ROWS];
    struct change_list *changes = &window->late_changes;
    if (change_list_is_empty(changes))
        return;
    merger->sums.emit = EMIT_UPDATE;
    merger->sums.watermark_us = window->watermark_us;
    merger->sums.cause = window->cause;
    emission_expect(&merger->emission, changes->count);
    for (uint32_t first = 0; first < changes->count; first += EMISSION_ROWS) {
        uint32_t left = changes->count - first, count = left < EMISSION_ROWS ? left : EMISSION_ROWS;
        for (uint32_t i = 0; i < count; i++)
            rows[i] = pane_row_at(window->late, changes->rows[first + i]);
        write_window_rows(merger, window, window->late, rows, count, true);
    }
    change_list_clear(changes, window->late);
}

static void write_finals(struct sliding_merger *merger, const struct merged_window *window)
{
    struct emission_sums *sums = &merger->sums;
    struct pane *scratch = emission_scratch(&merger->emission);
    uint32_t next = 0;
    emission_expect(&merger->emission, merger->stack.live_count);
    while ((sums->count = sliding_stack_read(&merger->stack, &next, scratch, EMISSION_ROWS)) > 0) {
        for (uint32_t i = 0; i < sums->count; i++) {
            sums->on_time[i] = pane_row_at(scratch, i)->event_count;
            sums->late_accepted[i] = 0;
        }
        sums->emit = EMIT_FINAL;
        sums->watermark_us = window->watermark_us;
        sums->cause = window->cause;
        emission_write_sums(&merger->emission, window, sums);
    }
}

/* --- closing ------------------------------------------------------------------------------------------------------------ */

static void close_window(struct sliding_merger *merger, int64_t end_us, enum close_cause cause)
{
    merger->closed_us = end_us;
    struct merged_window *window = sliding_make_window(merger, end_us);
    sliding_window_close(merger, window, cause);
    sliding_stack_advance(&merger->stack, end_us);
    write_finals(merger, window);
    write_updates(merger, window);
    if (end_us > merger->stats.closed_through_us && merger->watermark_us >= end_us)
        merger->stats.closed_through_us = end_us;
}

/* End of the window that closes next; TIME_MAX for none. */
static int64_t next_end(const struct sliding_merger *merger)
{
    int64_t end_us = sliding_stack_next_end(&merger->stack, merger->closed_us);
    uint32_t index =
        merger->closed_us == TIME_NONE ? 0 : sliding_search_window(merger, merger->closed_us + 1);
    if (index < merger->window_count && merger->windows[index]->end_us < end_us)
        end_us = merger->windows[index]->end_us;
    return end_us;
}

static void forget_windows(struct sliding_merger *merger)
{
    if (merger->watermark_us == TIME_NONE)
        return;
    uint32_t gone = 0;
    while (gone < merger->window_count && sliding_is_gone(merger, merger->windows[gone]->end_us))
        sliding_window_destroy(merger->windows[gone++]);
    merger->window_count -= gone;
    if (gone)
        memmove(merger->windows, merger->windows + gone, merger->window_count * sizeof *merger->windows);
    sliding_stack_forget(&merger->stack, merger->watermark_us);
    if (merger->watermark_us != TIME_MAX)
        marks_forget(merger->marks, merger->watermark_us - merger->spec->allowed_lateness_us);
}

/* Updates of closed windows, then those that close, in the order of their ends; so records of a window come together. */
static void settle(struct sliding_merger *merger)
{
    for (uint32_t i = 0; merger->has_updates && i < merger->window_count; i++) {
        if (merger->windows[i]->is_closed)
            write_updates(merger, merger->windows[i]);
    }
    merger->has_updates = false;
    for (int64_t end_us; (end_us = next_end(merger)) <= merger->watermark_us && end_us != TIME_MAX;)
        close_window(merger, end_us, merger->cause);
    forget_windows(merger);
    emission_flush(&merger->emission);
}

static void sliding_advance(struct window_merger *base, int64_t watermark_us, enum close_cause cause,
                            const struct clock *clock)
{
    struct sliding_merger *merger = (struct sliding_merger *)base;
    if (merger->is_silent)
        return;
    if (watermark_us > merger->watermark_us) {
        merger->watermark_us = watermark_us;
        merger->cause = cause;
        merger->moved_us = merger->spec->close_after_us ? clock_monotonic_us(clock) : 0;
        if (watermark_us != TIME_MAX)
            merger->finite_us = merger->stats.closed_through_us = watermark_us;
    }
    settle(merger);
}

/* --- by the clock ------------------------------------------------------------------------------------------------------- */

/* Keys whose change touches the window. */
static void write_early(struct sliding_merger *merger, int64_t end_us)
{
    const struct merged_window none = {.start_us = end_us - merger->grid.size_us, .end_us = end_us};
    const struct merged_window *window = sliding_find_window(merger, end_us);
    const struct pane_row *rows[EMISSION_ROWS];
    uint32_t count = 0;
    merger->sums.emit = EMIT_EARLY;
    merger->sums.watermark_us = merger->finite_us;
    merger->sums.cause = CLOSED_BY_WALL_CLOCK;
    for (uint32_t i = 0; i < merger->changed->row_count; i++) {
        if (merger->spans[i].from_us <= end_us && end_us <= merger->spans[i].to_us)
            rows[count++] = pane_row_at(merger->changed, i);
        if (count && (count == EMISSION_ROWS || i + 1 == merger->changed->row_count)) {
            emission_expect(&merger->emission, merger->changed->row_count);
            write_window_rows(merger, window ? window : &none, merger->changed, rows, count, false);
            count = 0;
        }
    }
}

/* Returns when open windows with changes want to be shown. */
static int64_t tick_early(struct sliding_merger *merger, int64_t now_us)
{
    if (!merger->changed->row_count)
        return INT64_MAX;
    if (now_us < merger->next_early_us)
        return merger->next_early_us;
    int64_t last_us = TIME_NONE;
    for (uint32_t i = 0; i < merger->changed->row_count; i++)
        last_us = merger->spans[i].to_us > last_us ? merger->spans[i].to_us : last_us;
    for (int64_t end_us = sliding_stack_next_end(&merger->stack, merger->closed_us); end_us <= last_us;
         end_us = sliding_stack_next_end(&merger->stack, end_us))
        write_early(merger, end_us);
    forget_changed(merger);
    merger->next_early_us = now_us + merger->spec->emit_every_us;
    return INT64_MAX;
}

/* Returns when the next window closes if the watermark stands still. */
static int64_t tick_close_after(struct sliding_merger *merger, int64_t now_us)
{
    for (int64_t end_us; (end_us = next_end(merger)) != TIME_MAX;) {
        int64_t since_us = sliding_stack_seen(&merger->stack, end_us, now_us);
        since_us = since_us > merger->moved_us ? since_us : merger->moved_us;
        if (since_us + merger->spec->close_after_us > now_us)
            return since_us + merger->spec->close_after_us;
        close_window(merger, end_us, CLOSED_BY_WALL_CLOCK);
    }
    return INT64_MAX;
}

static int64_t sliding_tick(struct window_merger *base, const struct clock *clock)
{
    struct sliding_merger *merger = (struct sliding_merger *)base;
    if (merger->is_silent || (!merger->spec->emit_every_us && !merger->spec->close_after_us))
        return INT64_MAX;
    int64_t now_us = clock_monotonic_us(clock), next_us = INT64_MAX;
    if (merger->spec->close_after_us)
        next_us = tick_close_after(merger, now_us);
    if (merger->spec->emit_every_us) {
        int64_t early_us = tick_early(merger, now_us);
        next_us = early_us < next_us ? early_us : next_us;
    }
    emission_flush(&merger->emission);
    return next_us;
}

/* --- recovery and statistics -------------------------------------------------------------------------------------------- */

static void sliding_recover(struct window_merger *base, int64_t closed_through_us)
{
    struct sliding_merger *merger = (struct sliding_merger *)base;
    merger->is_silent = true;
    merger->watermark_us = merger->finite_us = merger->closed_us = closed_through_us;
    merger->stats.closed_through_us = closed_through_us;
}

static void sliding_go_live(struct window_merger *base)
{
    struct sliding_merger *merger = (struct sliding_merger *)base;
    merger->is_silent = false;
}

static int64_t sliding_oldest_offset(const struct window_merger *base, uint32_t partition,
                                     int64_t *watermark_us)
{
    const struct sliding_merger *merger = (const struct sliding_merger *)base;
    struct pane_origin oldest = {partition, INT64_MAX, TIME_NONE};
    for (uint32_t i = 0; i < merger->stack.count; i++)
        pane_find_oldest(merger->stack.panes[i]->pane, partition, &oldest);
    for (uint32_t i = 0; i < merger->window_count; i++)
        pane_find_oldest(merger->windows[i]->late, partition, &oldest);
    *watermark_us = oldest.watermark_us;
    return oldest.offset;
}

/* Windows between the last that closed and the last of the newest pane; those without events are counted with them. */
static uint64_t open_window_count(const struct sliding_merger *merger)
{
    const struct sliding_stack *stack = &merger->stack;
    if (stack->first_open == stack->count)
        return 0;
    int64_t last_us = grid_final_end(&merger->grid, stack->panes[stack->count - 1]->pane->start_us);
    int64_t next_us = next_end(merger);
    return next_us > last_us ? 0 : (uint64_t)((last_us - next_us) / merger->grid.slide_us) + 1;
}

static struct window_merger_stats sliding_stats(const struct window_merger *base)
{
    const struct sliding_merger *merger = (const struct sliding_merger *)base;
    struct window_merger_stats stats = merger->stats;
    stats.results = merger->emission.result_count;
    stats.overflow_events += merger->stack.overflow_events;
    stats.keys = merger->stack.live_count;
    stats.open_windows = open_window_count(merger);
    stats.next_change_us = next_end(merger);
    stats.memory_size = sizeof *merger + pane_memory_size(merger->marks) + pane_memory_size(merger->changed) +
                        merger->span_capacity * sizeof *merger->spans +
                        sliding_stack_memory_size(&merger->stack);
    for (uint32_t i = 0; i < merger->window_count; i++) {
        const struct merged_window *window = merger->windows[i];
        stats.held_windows += window->is_closed;
        stats.memory_size += sizeof *window + (window->late ? pane_memory_size(window->late) : 0) +
                             (window->dropped ? pane_memory_size(window->dropped) : 0);
    }
    return stats;
}

const struct window_merger_kind sliding_merger_kind = {
    .create = sliding_create,
    .destroy = sliding_destroy,
    .add = sliding_add,
    .decode = sliding_decode,
    .advance = sliding_advance,
    .tick = sliding_tick,
    .reset = sliding_reset,
    .recover = sliding_recover,
    .go_live = sliding_go_live,
    .oldest_offset = sliding_oldest_offset,
    .stats = sliding_stats,
};
