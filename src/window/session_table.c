/* Rows, chains and timers of sessions. See session_table.h. */
#include "window/session_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { TEXT_SLACK_SIZE = 1024 * 1024, CACHE_LINE_SIZE = 64 };

void session_table_init(struct session_table *table, struct pane_pool *pool)
{
    *table = (struct session_table){.pool = pool};
}

void session_table_deinit(struct session_table *table)
{
    pane_destroy(table->pane);
    pane_destroy(table->scratch);
    session_timers_deinit(&table->timers);
    *table = (struct session_table){0};
}

struct pane *session_table_pane(struct session_table *table)
{
    enum { STEPS_PER_GAP = 16 };
    if (table->pane)
        return table->pane;
    table->pane = pane_create(table->pool, PANE_ON_TIME, 0, 0);
    session_timers_init(&table->timers, table->pane->layout->spec->gap_us / STEPS_PER_GAP);
    return table->pane;
}

/* --- rows --------------------------------------------------------------------------------------------------------------- */

static void clear_row(struct pane *pane, uint32_t index)
{
    struct pane_row *row = pane_row_at(pane, index);
    row->event_count = 0;
    row->type_errors = 0;
    pane_reset_states(pane, row);
}

uint32_t session_table_add(struct session_table *table, uint32_t anchor)
{
    struct pane *pane = table->pane;
    uint32_t index = anchor;
    struct session_span *first = session_span_at(pane, anchor);
    if (first->is_used) {
        index = pane->row_count;
        pane_append_twin(pane, anchor);
        first = session_span_at(pane, anchor);
        session_span_at(pane, index)->next = first->next;
        first->next = index + 1;
    } else {
        clear_row(pane, anchor);
    }
    struct session_span *span = session_span_at(pane, index);
    *span = (struct session_span){.anchor = index == anchor ? 0 : anchor + 1,
                                  .next = span->next,
                                  .newest = span->newest,
                                  .chain_count = span->chain_count,
                                  .hold_us = TIME_NONE,
                                  .due_us = TIME_NONE,
                                  .is_used = true};
    session_span_at(pane, anchor)->chain_count++;
    table->used_count++;
    return index;
}

/* The on-time session that begins last. */
static void find_newest(struct pane *pane, uint32_t anchor)
{
    uint32_t newest = 0;
    int64_t start_us = TIME_NONE;
    FOR_EACH_SESSION (pane, anchor, i) {
        const struct session_span *span = session_span_at(pane, i);
        if (!span->is_used || span->layer != SESSION_ON_TIME || span->start_us <= start_us)
            continue;
        start_us = span->start_us;
        newest = i + 1;
    }
    session_span_at(pane, anchor)->newest = newest;
}

void session_table_find_newest(struct session_table *table, uint32_t anchor)
{
    find_newest(table->pane, anchor);
}

void session_table_free(struct session_table *table, uint32_t index)
{
    struct pane *pane = table->pane;
    struct session_span *span = session_span_at(pane, index);
    uint32_t anchor = session_anchor(pane, index);
    span->is_used = 0;
    span->due_us = TIME_NONE;
    table->used_count--;
    session_span_at(pane, anchor)->chain_count--;
    if (index != anchor) {
        uint32_t before = anchor;
        while (session_span_at(pane, before)->next != index + 1)
            before = session_next(pane, before);
        session_span_at(pane, before)->next = span->next;
    }
    if (session_span_at(pane, anchor)->newest == index + 1)
        find_newest(pane, anchor);
}

/* Through another pane, since text that is copied within one would move under its reader. */
void session_table_join(struct session_table *table, uint32_t into, uint32_t from)
{
    struct pane *pane = table->pane;
    if (!table->scratch)
        table->scratch = pane_create(table->pool, PANE_EARLY, 0, 0);
    struct pane *scratch = table->scratch;
    char *between = (char *)pane_append_row(scratch, pane, pane_row_at(pane, from));
    const char *source = (const char *)pane_row_at(pane, from);
    pane_merge_rows(scratch, &between, pane, &source, 1);
    char *to = (char *)pane_row_at(pane, into);
    source = between;
    pane_merge_rows(pane, &to, scratch, &source, 1);
    pane_clear_rows(scratch);
}

/* --- sessions of a key -------------------------------------------------------------------------------------------------- */

void session_hull_widen(struct session_hull *hull, const struct pane *pane, uint32_t anchor, bool with_late)
{
    for (bool has_grown = true; has_grown;) {
        has_grown = false;
        FOR_EACH_SESSION (pane, anchor, i) {
            const struct session_span *span = session_span_at(pane, i);
            if (!session_is_in(span, hull, with_late))
                continue;
            struct session_hull before = *hull, other = session_hull_of(span, with_late);
            session_hull_add(hull, &other);
            has_grown = has_grown || before.start_us != hull->start_us || before.end_us != hull->end_us ||
                        before.link_us != hull->link_us || before.link_end_us != hull->link_end_us ||
                        before.is_cut != hull->is_cut;
        }
    }
}

static void remember_cut(const struct pane *pane, uint32_t index, bool with_late)
{
    uint32_t anchor = session_anchor(pane, index);
    struct session_hull hull = session_hull_of(session_span_at(pane, index), with_late);
    session_hull_widen(&hull, pane, anchor, with_late);
    if (!session_is_cut(pane->layout->spec, &hull))
        return;
    FOR_EACH_SESSION (pane, anchor, i) {
        struct session_span *span = session_span_at(pane, i);
        if (!session_is_in(span, &hull, with_late))
            continue;
        span->is_late_cut = true;
        span->is_cut = span->is_cut || !with_late;
    }
}

void session_remember_cut(const struct pane *pane, uint32_t index)
{
    if (session_span_at(pane, index)->layer == SESSION_ON_TIME)
        remember_cut(pane, index, false);
    remember_cut(pane, index, true);
}

/* --- timers ------------------------------------------------------------------------------------------------------------- */

/* The old one stays where it is; that it is not the row's any more shows when it comes. */
void session_table_set_timer(struct session_table *table, uint32_t index, int64_t due_us)
{
    struct session_span *span = session_span_at(table->pane, index);
    if (span->due_us == due_us)
        return;
    span->due_us = due_us;
    session_timers_set(&table->timers, due_us, index);
}

static bool fetch_due(struct session_table *table, int64_t watermark_us)
{
    table->due_count = table->next_due = 0;
    while (table->due_count < SESSION_DUE_MAX &&
           session_timers_take(&table->timers, watermark_us, &table->due[table->due_count])) {
        const char *row = (const char *)pane_row_at(table->pane, table->due[table->due_count++].row);
        for (size_t at = 0; at < table->pane->layout->row_size; at += CACHE_LINE_SIZE)
            __builtin_prefetch(row + at, 1);
    }
    return table->due_count > 0;
}

bool session_table_pop(struct session_table *table, int64_t watermark_us, uint32_t *index)
{
    while (table->next_due < table->due_count || fetch_due(table, watermark_us)) {
        struct session_timer timer = table->due[table->next_due++];
        struct session_span *span = session_span_at(table->pane, timer.row);
        if (!span->is_used || span->due_us != timer.due_us)
            continue;
        span->due_us = TIME_NONE;
        *index = timer.row;
        return true;
    }
    return false;
}

/* --- compaction --------------------------------------------------------------------------------------------------------- */

/* The row of the key of `row` in the new pane: its anchor, or a row behind it. */
static uint32_t copy_row(struct session_table *table, struct pane *pane, uint32_t row, uint32_t *anchor)
{
    struct pane *old = table->pane;
    uint32_t index;
    if (*anchor == UINT32_MAX) {
        uint64_t hash;
        char *entry;
        struct key_lookup lookup = {.hashes = &hash, .new_row_limit = UINT64_MAX};
        pane_find_rows_of(pane, old, &row, 1, &lookup, &entry);
        index = *anchor = session_row_index(pane, entry);
    } else {
        index = pane->row_count;
        pane_append_twin(pane, *anchor);
    }
    char *into = (char *)pane_row_at(pane, index);
    const char *from = (const char *)pane_row_at(old, row);
    pane_merge_rows(pane, &into, old, &from, 1);
    struct session_span *span = session_span_at(pane, index);
    *span = *session_span_at(old, row);
    span->anchor = index == *anchor ? 0 : *anchor + 1;
    span->next = span->newest = span->chain_count = 0;
    session_span_at(pane, *anchor)->chain_count++;
    if (index != *anchor) {
        struct session_span *first = session_span_at(pane, *anchor);
        span->next = first->next;
        first->next = index + 1;
    }
    pane_row_at(pane, index)->is_changed = 0;
    return index;
}

void session_table_compact(struct session_table *table)
{
    struct pane *old = table->pane;
    if (!old || table->next_due < table->due_count)
        return;
    uint32_t free_count = old->row_count - table->used_count;
    bool has_free_rows = free_count > SESSION_TABLE_SLACK_ROWS && free_count > table->used_count;
    bool has_old_text =
        free_count > table->used_count / 4 && old->text.size > TEXT_SLACK_SIZE + 2 * table->text_floor;
    bool has_old_timers = table->timers.count > SESSION_TABLE_SLACK_ROWS + 4 * (uint64_t)table->used_count;
    if (!has_free_rows && !has_old_text && !has_old_timers)
        return;
    struct pane *pane = pane_create(table->pool, PANE_ON_TIME, 0, table->used_count);
    struct pane *before = old;
    session_timers_clear(&table->timers);
    for (uint32_t i = 0; i < old->row_count; i++) {
        uint32_t anchor = UINT32_MAX;
        /* Free rows of a chain are not in it any more, so what is no anchor is met from its anchor. */
        if (session_span_at(old, i)->anchor)
            continue;
        FOR_EACH_SESSION (old, i, row) {
            if (!session_span_at(old, row)->is_used)
                continue;
            uint32_t index = copy_row(table, pane, row, &anchor);
            int64_t due_us = session_span_at(pane, index)->due_us;
            if (due_us != TIME_NONE)
                session_timers_set(&table->timers, due_us, index);
        }
        if (anchor != UINT32_MAX)
            find_newest(pane, anchor);
    }
    table->pane = pane;
    table->text_floor = pane->text.size;
    pane_destroy(before);
}

size_t session_table_memory_size(const struct session_table *table)
{
    return (table->pane ? pane_memory_size(table->pane) : 0) + session_timers_memory_size(&table->timers);
}
