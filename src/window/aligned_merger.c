/* The merger's half: windows by start, their panes merged by key, closed by the pipeline watermark and held for the allowed
 * lateness. The first pane of a window becomes the window's table as it is; only further ones are merged row by row.
 *
 *   closed through              watermark
 *   ───┬───────────┬───────────┬────┴──────┬───────────▶ event time
 *      │   gone    │   held    │   open    │   open
 *                  ◀─ allowed lateness ─▶                                                                              */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "window/known_keys.h"
#include "window/merged_window.h"

enum { MERGE_ROWS = 1024 };

struct aligned_merger {
    struct window_merger base;
    const struct window_spec *spec;
    struct pane_pool *pool;
    struct emission emission;
    struct merged_window **windows; /* by start */
    uint32_t window_count, window_capacity;
    struct known_keys known; /* emit_empty */
    int64_t closed_us;       /* emit_empty: end of the last window that closed */
    struct pane *marks;      /* crossing marks of all partitions */
    int64_t watermark_us;   /* windows that end at or before it are closed; TIME_MAX after the end of input */
    int64_t finite_us;      /* the last watermark that was a time */
    enum close_cause cause; /* of the last move */
    int64_t next_change_us; /* no window closes or goes before the watermark reaches this */
    bool has_updates;       /* some closed window has changes to show */
    bool is_silent;         /* recovering */
    uint64_t open_key_count;
    int64_t moved_us;                 /* monotonic clock when the watermark last moved */
    int64_t next_early_us;            /* monotonic */
    struct window_merger_stats stats; /* counters only; the rest is counted when asked */

    uint32_t indices[MERGE_ROWS];
    uint64_t hashes[MERGE_ROWS];
    char *into[MERGE_ROWS];
    const char *from[MERGE_ROWS];
};

static struct window_merger *aligned_create(const struct window_spec *spec, window_emit emit, void *context)
{
    struct aligned_merger *merger = memory_allocate(sizeof *merger);
    merger->spec = spec;
    merger->pool = pane_pool_create(spec);
    merger->marks = pane_create(merger->pool, PANE_MARKS, TIME_NONE, 0);
    merger->watermark_us = merger->finite_us = merger->closed_us = TIME_NONE;
    merger->next_change_us = TIME_MAX;
    if (spec->emit_empty)
        known_keys_init(&merger->known, spec, merger->pool);
    merger->stats.closed_through_us = TIME_NONE;
    emission_init(&merger->emission, spec, merger->pool, emit, context);
    return &merger->base;
}

static void merged_window_destroy(struct merged_window *window)
{
    pane_destroy(window->on_time);
    pane_destroy(window->late);
    pane_destroy(window->dropped);
    free(window->on_time_changes.rows);
    free(window->late_changes.rows);
    free(window);
}

static void aligned_destroy(struct window_merger *base)
{
    struct aligned_merger *merger = (struct aligned_merger *)base;
    for (uint32_t i = 0; i < merger->window_count; i++)
        merged_window_destroy(merger->windows[i]);
    free(merger->windows);
    pane_destroy(merger->marks);
    known_keys_deinit(&merger->known);
    emission_deinit(&merger->emission);
    pane_pool_release(merger->pool);
    free(merger);
}

/* --- windows ------------------------------------------------------------------------------------------------------------ */

/* Largest event time that still fits, instead of an overflow. */
static int64_t gone_at(const struct aligned_merger *merger, int64_t end_us)
{
    return end_us > TIME_MAX - merger->spec->allowed_lateness_us ? TIME_MAX
                                                                 : end_us + merger->spec->allowed_lateness_us;
}

static uint32_t search_window(const struct aligned_merger *merger, int64_t start_us)
{
    uint32_t low = 0, high = merger->window_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (merger->windows[middle]->start_us < start_us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct merged_window *find_window(const struct aligned_merger *merger, int64_t start_us)
{
    uint32_t index = search_window(merger, start_us);
    bool is_found = index < merger->window_count && merger->windows[index]->start_us == start_us;
    return is_found ? merger->windows[index] : NULL;
}

static struct merged_window *make_window(struct aligned_merger *merger, const struct pane *pane)
{
    struct merged_window *window = find_window(merger, pane->start_us);
    if (window)
        return window;
    window = memory_allocate(sizeof *window);
    window->start_us = pane->start_us;
    window->end_us = pane->end_us;
    window->is_closed = pane->end_us <= merger->watermark_us;
    if (window->is_closed) {
        window->cause = merger->cause;
        window->watermark_us = marks_closing_watermark(merger->marks, pane->end_us, merger->finite_us);
    }
    int64_t change_us = window->is_closed ? gone_at(merger, window->end_us) : window->end_us;
    if (change_us < merger->next_change_us)
        merger->next_change_us = change_us;
    if (merger->window_count == merger->window_capacity) {
        merger->window_capacity = merger->window_capacity ? merger->window_capacity * 2 : 8;
        merger->windows =
            memory_resize_array(merger->windows, merger->window_capacity, sizeof(struct merged_window *));
    }
    uint32_t index = search_window(merger, pane->start_us);
    memmove(&merger->windows[index + 1], &merger->windows[index],
            (merger->window_count - index) * sizeof(struct merged_window *));
    merger->windows[index] = window;
    merger->window_count++;
    return window;
}

static uint64_t key_count(const struct pane *pane)
{
    return pane ? pane->row_count - (pane->overflow_row != 0) : 0;
}

/* --- merging ------------------------------------------------------------------------------------------------------------ */

static uint64_t new_key_limit(const struct aligned_merger *merger, const struct merged_window *window,
                              const struct pane *into)
{
    uint64_t used = window->is_closed || into != window->on_time ? key_count(into) : merger->open_key_count;
    return used < merger->spec->key_limit ? merger->spec->key_limit - used : 0;
}

/* Adds rows [first, first + count) of the pane, count <= MERGE_ROWS; merger->into has where they went. */
static void merge_rows(struct aligned_merger *merger, const struct merged_window *window, struct pane *into,
                       const struct pane *pane, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        merger->indices[i] = first + i;
        merger->from[i] = (const char *)pane_row_at(pane, first + i);
    }
    struct key_lookup lookup = {.hashes = merger->hashes,
                                .new_row_limit = new_key_limit(merger, window, into)};
    uint64_t keys_before = key_count(into);
    pane_find_rows_of(into, pane, merger->indices, count, &lookup, merger->into);
    pane_merge_rows(into, merger->into, pane, merger->from, count);
    merger->stats.overflow_events += lookup.overflowed;
    if (!window->is_closed && into == window->on_time)
        merger->open_key_count += key_count(into) - keys_before;
}

static void merge_origins(struct pane *into, const struct pane *pane)
{
    for (uint32_t i = 0; i < pane->origin_count; i++)
        pane_note_origin(into, &pane->origins[i]);
}

/* Puts the pane into *side of the window; takes it. With `changes` its rows are noted there. */
static void merge_pane(struct aligned_merger *merger, struct merged_window *window, struct pane **side,
                       struct change_list *changes, struct pane *pane)
{
    bool is_counted = pane->kind == PANE_ON_TIME && !window->is_closed;
    bool fits = !is_counted || merger->open_key_count + key_count(pane) <= merger->spec->key_limit;
    if (!*side && fits) {
        *side = pane;
        if (is_counted)
            merger->open_key_count += key_count(pane);
        if (changes)
            changes->has_all = true;
        return;
    }
    if (!*side)
        *side = pane_create(merger->pool, pane->kind, pane->start_us, 0);
    for (uint32_t first = 0; first < pane->row_count; first += MERGE_ROWS) {
        uint32_t count = pane->row_count - first < MERGE_ROWS ? pane->row_count - first : MERGE_ROWS;
        merge_rows(merger, window, *side, pane, first, count);
        for (uint32_t i = 0; changes && i < count; i++) {
            if (pane_row_at(pane, first + i)->event_count > 0)
                change_list_add(changes, *side, (struct pane_row *)(void *)merger->into[i]);
        }
    }
    merge_origins(*side, pane);
    pane_destroy(pane);
}

/* Row by row, since a key may come several times and each time is a result. */
static void merge_early(struct aligned_merger *merger, struct merged_window *window, struct pane *pane)
{
    bool is_shown = !window->is_closed && !pane->is_replay && !merger->is_silent;
    bool is_noted = window->is_closed && !pane->is_replay;
    if (!window->on_time)
        window->on_time = pane_create(merger->pool, PANE_ON_TIME, pane->start_us, 0);
    emission_expect(&merger->emission, pane->row_count);
    for (uint32_t i = 0; i < pane->row_count; i++) {
        merge_rows(merger, window, window->on_time, pane, i, 1);
        struct pane_row *row = (struct pane_row *)(void *)merger->into[0];
        uint32_t index =
            (uint32_t)((size_t)(merger->into[0] - window->on_time->rows) / pane->layout->row_size);
        if (is_shown)
            emission_write_early(&merger->emission, window, &index, 1, merger->finite_us,
                                 CLOSED_BY_WALL_CLOCK);
        if (is_noted)
            change_list_add(&window->on_time_changes, window->on_time, row);
    }
    merger->has_updates = merger->has_updates || is_noted;
    emission_flush(&merger->emission);
    merge_origins(window->on_time, pane);
    pane_destroy(pane);
}

static void merge_dropped(struct aligned_merger *merger, struct pane *pane)
{
    struct merged_window *window = find_window(merger, pane->start_us);
    if (window)
        merge_pane(merger, window, &window->dropped, NULL, pane);
    else
        pane_destroy(pane);
}

static void count_gone(struct aligned_merger *merger, struct pane *pane)
{
    for (uint32_t i = 0; !pane->is_replay && i < pane->row_count; i++)
        merger->stats.gone_events += pane_row_at(pane, i)->event_count;
    pane_destroy(pane);
}

static void aligned_add(struct window_merger *base, struct pane *pane, int64_t arrival_us)
{
    struct aligned_merger *merger = (struct aligned_merger *)base;
    (void)arrival_us;
    for (uint32_t i = 0; i < pane->mark_count; i++)
        pane_note_mark(merger->marks, pane->marks[i]);
    pane->mark_count = 0;
    if (pane->kind == PANE_MARKS) {
        pane_destroy(pane);
        return;
    }
    if (pane->kind == PANE_DROPPED) {
        merge_dropped(merger, pane);
        return;
    }
    if (merger->watermark_us != TIME_NONE && gone_at(merger, pane->end_us) <= merger->watermark_us) {
        if (merger->spec->emit_empty && pane->kind == PANE_ON_TIME && pane->is_replay) {
            known_keys_note(&merger->known, pane);
            known_keys_keep_origins(&merger->known, pane);
        }
        count_gone(merger, pane);
        return;
    }
    struct merged_window *window = make_window(merger, pane);
    if (merger->spec->emit_empty && pane->kind == PANE_ON_TIME && window->is_closed)
        known_keys_note(&merger->known, pane);
    if (pane->kind == PANE_EARLY) {
        merge_early(merger, window, pane);
        return;
    }
    bool is_late = pane->kind == PANE_LATE;
    /* Of an open window: what late rows there are is shown after its final records; on-time rows, by emit.every. */
    bool is_noted = window->is_closed
                        ? !pane->is_replay
                        : is_late || merger->spec->emit_every_us > 0 || merger->spec->kind == WINDOW_GLOBAL;
    merger->has_updates = merger->has_updates || (window->is_closed && is_noted);
    struct change_list *changes = is_late ? &window->late_changes : &window->on_time_changes;
    merge_pane(merger, window, is_late ? &window->late : &window->on_time, is_noted ? changes : NULL, pane);
}

static enum status aligned_decode(struct window_merger *base, const struct pane_codec *codec,
                                  struct slice message, struct pane **pane, struct error *error)
{
    struct aligned_merger *merger = (struct aligned_merger *)base;
    return pane_decode(merger->pool, codec, message, pane, error);
}

/* --- closing ------------------------------------------------------------------------------------------------------------ */

static void write_updates(struct aligned_merger *merger, struct merged_window *window)
{
    if (change_list_is_empty(&window->on_time_changes) && change_list_is_empty(&window->late_changes))
        return;
    emission_write_updates(&merger->emission, window);
    change_list_clear(&window->on_time_changes, window->on_time);
    change_list_clear(&window->late_changes, window->late);
}

static void write_early(struct aligned_merger *merger, struct merged_window *window, enum close_cause cause)
{
    struct change_list *changes = &window->on_time_changes;
    uint32_t count = changes->has_all ? window->on_time->row_count : changes->count;
    emission_expect(&merger->emission, count);
    for (uint32_t first = 0, part; first < count; first += part) {
        part = count - first < MERGE_ROWS ? count - first : MERGE_ROWS;
        for (uint32_t i = 0; i < part; i++)
            merger->indices[i] = changes->has_all ? first + i : changes->rows[first + i];
        emission_write_early(&merger->emission, window, merger->indices, part, merger->finite_us, cause);
    }
    change_list_clear(changes, window->on_time);
}

/* Of the keys that have no events in a window that closes. */
static void write_empty(struct aligned_merger *merger, const struct merged_window *window)
{
    if (window->on_time)
        known_keys_note(&merger->known, window->on_time);
    known_keys_write(&merger->known, &merger->emission, window);
    if (window->end_us > merger->closed_us)
        merger->closed_us = window->end_us;
}

/* Windows that end before this, of which nothing came, but in which keys are known. */
static void close_empty(struct aligned_merger *merger, int64_t until_us, enum close_cause cause)
{
    if (!merger->spec->emit_empty)
        return;
    for (int64_t end_us; (end_us = known_keys_next_end(&merger->known, merger->closed_us)) < until_us;) {
        struct merged_window empty = {
            .start_us = end_us - merger->spec->size_us, .end_us = end_us, .is_closed = true, .cause = cause};
        empty.watermark_us = marks_closing_watermark(merger->marks, end_us, merger->finite_us);
        write_empty(merger, &empty);
    }
}

static void close_window(struct aligned_merger *merger, struct merged_window *window, enum close_cause cause)
{
    window->is_closed = true;
    /* A global window does not close, but at the end nothing must be left unshown. */
    if (merger->spec->kind == WINDOW_GLOBAL) {
        if (window->on_time)
            write_early(merger, window, cause);
        return;
    }
    window->cause = cause;
    window->watermark_us = marks_closing_watermark(merger->marks, window->end_us, merger->finite_us);
    merger->open_key_count -= key_count(window->on_time);
    change_list_clear(&window->on_time_changes, window->on_time);
    emission_write_finals(&merger->emission, window);
    if (merger->spec->emit_empty)
        write_empty(merger, window);
    write_updates(merger, window);
}

static void move_watermark(struct aligned_merger *merger, int64_t watermark_us, enum close_cause cause,
                           int64_t now_us)
{
    if (watermark_us <= merger->watermark_us)
        return;
    merger->watermark_us = watermark_us;
    merger->cause = cause;
    merger->moved_us = now_us;
    if (watermark_us != TIME_MAX) {
        merger->finite_us = watermark_us;
        merger->stats.closed_through_us = watermark_us;
    }
}

/* Closes, revises and forgets windows; in order of time, so records of a window come together. */
static void settle_windows(struct aligned_merger *merger, enum close_cause cause)
{
    uint32_t kept = 0;
    merger->next_change_us = TIME_MAX;
    for (uint32_t i = 0; i < merger->window_count; i++) {
        struct merged_window *window = merger->windows[i];
        if (!window->is_closed && window->end_us <= merger->watermark_us) {
            close_empty(merger, window->end_us, cause);
            close_window(merger, window, cause);
            if (window->end_us > merger->stats.closed_through_us && window->end_us != TIME_MAX)
                merger->stats.closed_through_us = window->end_us;
        } else if (window->is_closed) {
            write_updates(merger, window);
        }
        if (window->is_closed && gone_at(merger, window->end_us) <= merger->watermark_us) {
            if (merger->spec->emit_empty && window->on_time)
                known_keys_keep_origins(&merger->known, window->on_time);
            merged_window_destroy(window);
            continue;
        }
        int64_t change_us = window->is_closed ? gone_at(merger, window->end_us) : window->end_us;
        if (change_us < merger->next_change_us)
            merger->next_change_us = change_us;
        merger->windows[kept++] = window;
    }
    merger->window_count = kept;
    merger->has_updates = false;
    if (merger->watermark_us != TIME_MAX)
        close_empty(merger, merger->watermark_us + 1, cause);
    int64_t next_empty_us =
        merger->spec->emit_empty ? known_keys_next_end(&merger->known, merger->closed_us) : TIME_MAX;
    if (next_empty_us < merger->next_change_us)
        merger->next_change_us = next_empty_us;
    if (merger->watermark_us != TIME_MAX)
        marks_forget(merger->marks, merger->watermark_us - merger->spec->allowed_lateness_us);
    emission_flush(&merger->emission);
}

static void aligned_advance(struct window_merger *base, int64_t watermark_us, enum close_cause cause,
                            const struct clock *clock)
{
    struct aligned_merger *merger = (struct aligned_merger *)base;
    if (merger->is_silent)
        return;
    if (watermark_us > merger->watermark_us)
        move_watermark(merger, watermark_us, cause,
                       merger->spec->close_after_us ? clock_monotonic_us(clock) : 0);
    if (merger->has_updates ||
        (merger->watermark_us != TIME_NONE && merger->watermark_us >= merger->next_change_us))
        settle_windows(merger, merger->cause);
}

/* --- by the clock ------------------------------------------------------------------------------------------------------- */

/* Returns when open windows with changes want to be shown. */
static int64_t tick_early(struct aligned_merger *merger, int64_t now_us)
{
    bool is_due = now_us >= merger->next_early_us, has_changes = false;
    for (uint32_t i = 0; i < merger->window_count; i++) {
        struct merged_window *window = merger->windows[i];
        if (window->is_closed || change_list_is_empty(&window->on_time_changes))
            continue;
        has_changes = true;
        if (is_due)
            write_early(merger, window, CLOSED_BY_WALL_CLOCK);
    }
    if (has_changes && is_due)
        merger->next_early_us = now_us + merger->spec->emit_every_us;
    return has_changes && !is_due ? merger->next_early_us : INT64_MAX;
}

/* Returns when the next window closes if the watermark stands still. */
static int64_t tick_close_after(struct aligned_merger *merger, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    for (uint32_t i = 0; i < merger->window_count; i++) {
        struct merged_window *window = merger->windows[i];
        if (window->is_closed)
            continue;
        if (!window->first_seen_us)
            window->first_seen_us = now_us;
        int64_t since_us =
            window->first_seen_us > merger->moved_us ? window->first_seen_us : merger->moved_us;
        int64_t due_us = since_us + merger->spec->close_after_us;
        if (due_us <= now_us) {
            close_empty(merger, window->end_us, CLOSED_BY_WALL_CLOCK);
            close_window(merger, window, CLOSED_BY_WALL_CLOCK);
            /* The watermark may be far away, or never come: what it would settle is to be looked at again. */
            merger->next_change_us = TIME_NONE;
        } else if (due_us < next_us) {
            next_us = due_us;
        }
    }
    return next_us;
}

static int64_t aligned_tick(struct window_merger *base, const struct clock *clock)
{
    struct aligned_merger *merger = (struct aligned_merger *)base;
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

static void aligned_reset(struct window_merger *base)
{
    struct aligned_merger *merger = (struct aligned_merger *)base;
    for (uint32_t i = 0; i < merger->window_count; i++)
        merged_window_destroy(merger->windows[i]);
    merger->window_count = 0;
    merger->marks->mark_count = 0;
    merger->watermark_us = merger->finite_us = merger->closed_us = TIME_NONE;
    if (merger->spec->emit_empty)
        known_keys_reset(&merger->known);
    merger->cause = CLOSED_BY_WATERMARK;
    merger->next_change_us = TIME_MAX;
    merger->has_updates = merger->is_silent = false;
    merger->open_key_count = 0;
    merger->moved_us = merger->next_early_us = 0;
    merger->stats.closed_through_us = TIME_NONE;
}

/* --- recovery and statistics -------------------------------------------------------------------------------------------- */

static void aligned_recover(struct window_merger *base, int64_t closed_through_us)
{
    struct aligned_merger *merger = (struct aligned_merger *)base;
    merger->is_silent = true;
    merger->watermark_us = merger->finite_us = merger->closed_us = closed_through_us;
    merger->stats.closed_through_us = closed_through_us;
}

static void aligned_go_live(struct window_merger *base)
{
    struct aligned_merger *merger = (struct aligned_merger *)base;
    merger->is_silent = false;
}

static int64_t aligned_oldest_offset(const struct window_merger *base, uint32_t partition,
                                     int64_t *watermark_us)
{
    const struct aligned_merger *merger = (const struct aligned_merger *)base;
    struct pane_origin oldest = {partition, INT64_MAX, TIME_NONE};
    for (uint32_t i = 0; i < merger->window_count; i++) {
        pane_find_oldest(merger->windows[i]->on_time, partition, &oldest);
        pane_find_oldest(merger->windows[i]->late, partition, &oldest);
    }
    known_keys_find_oldest(&merger->known, partition, &oldest);
    *watermark_us = oldest.watermark_us;
    return oldest.offset;
}

static struct window_merger_stats aligned_stats(const struct window_merger *base)
{
    const struct aligned_merger *merger = (const struct aligned_merger *)base;
    struct window_merger_stats stats = merger->stats;
    stats.results = merger->emission.result_count;
    stats.next_change_us = merger->next_change_us;
    stats.memory_size =
        sizeof *merger + pane_memory_size(merger->marks) + known_keys_memory_size(&merger->known);
    /* So that event time goes on with the clock until they have been shown. */
    if (merger->spec->emit_empty && known_keys_next_end(&merger->known, merger->closed_us) != TIME_MAX)
        stats.open_windows++;
    for (uint32_t i = 0; i < merger->window_count; i++) {
        const struct merged_window *window = merger->windows[i];
        const struct pane *sides[] = {window->on_time, window->late, window->dropped};
        stats.open_windows += !window->is_closed;
        stats.held_windows += window->is_closed;
        stats.keys += key_count(window->on_time);
        stats.memory_size += sizeof *window;
        for (size_t s = 0; s < sizeof sides / sizeof sides[0]; s++)
            stats.memory_size += sides[s] ? pane_memory_size(sides[s]) : 0;
    }
    return stats;
}

const struct window_merger_kind aligned_merger_kind = {
    .create = aligned_create,
    .destroy = aligned_destroy,
    .add = aligned_add,
    .decode = aligned_decode,
    .advance = aligned_advance,
    .tick = aligned_tick,
    .reset = aligned_reset,
    .recover = aligned_recover,
    .go_live = aligned_go_live,
    .oldest_offset = aligned_oldest_offset,
    .stats = aligned_stats,
};
