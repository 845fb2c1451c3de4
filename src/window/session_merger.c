/* The merger's half of session windows: partial sessions of all partitions, joined where they touch, closed by the pipeline watermark.
 *
 *   rows of a pane ─▶ find the key ─▶ join what touches ─▶ key is dirty ┐
 *   watermark ─▶ timers of rows that are due ───────────────────────────┴▶ settle the key: finals, updates, what is gone
 *
 * On-time and late rows of a key lie in two layers. The on-time layer alone says what closes when and what is in a final
 * record, so that does not depend on when late events come; both layers together say what a session is in the end:
 *
 *   on time   [ A ─────]            [ B ─────]          A and B close by themselves: two finals
 *   late               [ x ─────────]                   then they are one: an update with A's id, and B's id is merged away
 *
 * A hold stands for a session that its operator still has open: what it touches does not close. See session_operator.c. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "window/session_merger.h"

static struct window_merger *session_create(const struct window_spec *spec, window_emit emit, void *context)
{
    struct session_merger *merger = memory_allocate(sizeof *merger);
    merger->spec = spec;
    merger->pool = pane_pool_create(spec);
    merger->ledgers = memory_allocate_array(spec->partition_count, sizeof *merger->ledgers);
    merger->watermark_us = merger->finite_us = TIME_NONE;
    merger->stats.closed_through_us = TIME_NONE;
    session_table_init(&merger->table, merger->pool);
    session_output_init(&merger->output, spec, merger->pool, emit, context);
    return &merger->base;
}

static void session_destroy(struct window_merger *base)
{
    struct session_merger *merger = (struct session_merger *)base;
    for (uint32_t i = 0; i < merger->spec->partition_count; i++)
        origin_ledger_deinit(&merger->ledgers[i]);
    session_table_deinit(&merger->table);
    session_output_deinit(&merger->output);
    pane_pool_release(merger->pool);
    free(merger->ledgers);
    free(merger->nodes);
    free(merger->dirty);
    free(merger->early);
    free(merger->rows);
    free(merger);
}

static void mark_dirty(struct session_merger *merger, uint32_t anchor)
{
    struct pane_row *row = pane_row_at(merger->table.pane, anchor);
    if (row->is_changed)
        return;
    row->is_changed = 1;
    merger->dirty = session_push_index(merger->dirty, &merger->dirty_count, &merger->dirty_capacity, anchor);
}

static void mark_early(struct session_merger *merger, uint32_t anchor)
{
    struct session_span *span = session_span_at(merger->table.pane, anchor);
    if (!merger->spec->emit_every_us || span->is_early)
        return;
    span->is_early = 1;
    merger->early = session_push_index(merger->early, &merger->early_count, &merger->early_capacity, anchor);
}

/* --- origins ------------------------------------------------------------------------------------------------------------ */

static void add_origin(struct session_merger *merger, uint32_t *list, uint32_t partition, int64_t offset,
                       int64_t watermark_us)
{
    uint32_t index = merger->free_node;
    if (index) {
        merger->free_node = merger->nodes[index - 1].next;
    } else {
        if (merger->node_count == merger->node_capacity) {
            merger->node_capacity = merger->node_capacity ? merger->node_capacity * 2 : 64;
            merger->nodes = memory_resize_array(merger->nodes, merger->node_capacity, sizeof *merger->nodes);
        }
        index = ++merger->node_count;
    }
    merger->nodes[index - 1] = (struct origin_node){offset, partition, *list};
    *list = index;
    origin_ledger_add(&merger->ledgers[partition], offset, watermark_us);
}

static void free_origin(struct session_merger *merger, uint32_t *link)
{
    uint32_t index = *link;
    struct origin_node *node = &merger->nodes[index - 1];
    origin_ledger_remove(&merger->ledgers[node->partition], node->offset);
    *link = node->next;
    node->next = merger->free_node;
    merger->free_node = index;
}

/* Of each partition the smaller offset stays. */
static void merge_origins(struct session_merger *merger, uint32_t *into, uint32_t from)
{
    while (from) {
        struct origin_node *node = &merger->nodes[from - 1];
        uint32_t next = node->next, *link = into;
        while (*link && merger->nodes[*link - 1].partition != node->partition)
            link = &merger->nodes[*link - 1].next;
        if (*link && merger->nodes[*link - 1].offset <= node->offset) {
            free_origin(merger, &from);
        } else {
            if (*link)
                free_origin(merger, link);
            node->next = *into;
            *into = from;
        }
        from = next;
    }
}

/* --- rows of a key ------------------------------------------------------------------------------------------------------ */

void session_merger_free(struct session_merger *merger, uint32_t index)
{
    struct session_span *span = session_span_at(merger->table.pane, index);
    while (span->origins)
        free_origin(merger, &span->origins);
    merger->closed_count -= span->is_closed;
    merger->hold_count -= span->layer == SESSION_HOLD;
    session_table_free(&merger->table, index);
}

static void set_hold(struct session_merger *merger, uint32_t anchor, uint32_t partition, int64_t hold_us)
{
    const struct pane *pane = merger->table.pane;
    uint32_t found = UINT32_MAX;
    FOR_EACH_SESSION (pane, anchor, i) {
        const struct session_span *span = session_span_at(pane, i);
        if (span->is_used && span->layer == SESSION_HOLD && span->partition == partition)
            found = i;
    }
    if (hold_us == TIME_MAX) {
        if (found != UINT32_MAX)
            session_merger_free(merger, found);
        return;
    }
    if (found == UINT32_MAX) {
        found = session_table_add(&merger->table, anchor);
        merger->hold_count++;
    }
    struct session_span *span = session_span_at(merger->table.pane, found);
    span->layer = SESSION_HOLD;
    span->partition = partition;
    span->start_us = span->end_us = span->link_us = span->link_end_us = hold_us;
}

bool session_is_held(const struct session_merger *merger, uint32_t anchor, const struct session_hull *hull)
{
    const struct pane *pane = merger->table.pane;
    int64_t end_us = hull->link_end_us > hull->end_us ? hull->link_end_us : hull->end_us;
    if (merger->watermark_us == TIME_MAX)
        return false;
    FOR_EACH_SESSION (pane, anchor, i) {
        const struct session_span *span = session_span_at(pane, i);
        if (span->is_used && span->layer == SESSION_HOLD && span->link_us <= end_us)
            return true;
    }
    return false;
}

static void join_rows(struct session_merger *merger, uint32_t into, uint32_t from)
{
    struct session_table *table = &merger->table;
    struct session_span *span = session_span_at(table->pane, into),
                        *other = session_span_at(table->pane, from);
    int64_t start_us = other->start_us < span->start_us ? other->start_us : span->start_us;
    if (span->shown_us != TIME_NONE && other->shown_us != TIME_NONE) {
        /* One of the two goes now; the other when it turns out what the whole is called. */
        uint32_t later = other->shown_us > span->shown_us ? from : into;
        session_merge_away(merger, later, start_us);
    }
    bool is_other_shown = span->shown_us == TIME_NONE && other->shown_us != TIME_NONE;
    if (is_other_shown) {
        span->shown_us = other->shown_us;
        span->shown_revision = other->shown_revision;
        span->shown_events = other->shown_events;
        span->shown_end_us = other->shown_end_us;
    }
    session_table_join(table, into, from);
    merge_origins(merger, &span->origins, other->origins);
    other->origins = 0;
    span->start_us = start_us;
    span->end_us = other->end_us > span->end_us ? other->end_us : span->end_us;
    span->link_us = other->link_us < span->link_us ? other->link_us : span->link_us;
    span->link_end_us = other->link_end_us > span->link_end_us ? other->link_end_us : span->link_end_us;
    span->dropped += other->dropped;
    span->carried += other->carried;
    span->is_cut = span->is_cut || other->is_cut;
    span->is_late_cut = span->is_late_cut || other->is_late_cut;
    span->is_changed = span->is_changed || other->is_changed;
    merger->closed_count -= span->is_closed && !other->is_closed;
    span->is_closed = span->is_closed && other->is_closed;
    session_merger_free(merger, from);
}

/* --- merging ------------------------------------------------------------------------------------------------------------ */

/* True when the session that it would end up in is not held any more. */
static bool is_gone(const struct session_merger *merger, uint32_t anchor, const struct session_span *span)
{
    if (merger->watermark_us == TIME_NONE)
        return false;
    struct session_hull hull = session_hull_of(span, true);
    session_hull_widen(&hull, merger->table.pane, anchor, true);
    bool is_held = session_is_held(merger, anchor, &hull);
    bool is_cut = session_is_cut(merger->spec, &hull);
    return session_part_gone_at(merger, is_cut, is_held ? TIME_MAX : hull.end_us, span->cell_end_us) <=
           merger->watermark_us;
}

static bool touches(const struct session_span *a, const struct session_span *b)
{
    return a->link_us <= b->link_end_us && b->link_us <= a->link_end_us;
}

/* The row of its layer and cell that takes it: those that it touches, joined. UINT32_MAX when there is none. */
static uint32_t find_row(struct session_merger *merger, uint32_t anchor, const struct session_span *span)
{
    const struct pane *pane = merger->table.pane;
    uint32_t found = UINT32_MAX;
    for (uint32_t i = anchor, next; i != UINT32_MAX; i = next) {
        next = session_next(pane, i);
        const struct session_span *row = session_span_at(pane, i);
        if (!row->is_used || row->layer != span->layer || row->cell_end_us != span->cell_end_us ||
            !touches(row, span))
            continue;
        if (found == UINT32_MAX)
            found = i;
        else
            join_rows(merger, found, i);
    }
    return found;
}

static uint32_t add_row(struct session_merger *merger, uint32_t anchor, const struct session_span *span)
{
    uint32_t index = session_table_add(&merger->table, anchor);
    struct session_span *row = session_span_at(merger->table.pane, index);
    row->layer = span->layer;
    row->start_us = span->start_us;
    row->end_us = span->end_us;
    row->link_us = span->link_us;
    row->link_end_us = span->link_end_us;
    row->cell_end_us = span->cell_end_us;
    row->shown_us = TIME_NONE;
    row->closing_watermark_us = TIME_NONE;
    return index;
}

static void count_gone(struct session_merger *merger, const struct session_span *span,
                       const struct pane_row *row)
{
    if (!span->is_replay)
        merger->stats.gone_events += row->event_count;
}

/* Events that were not taken are in the receipt of the session that they would have been in. */
static void note_dropped(struct session_merger *merger, uint32_t anchor, const struct session_span *span,
                         const struct pane_row *row)
{
    const struct pane *pane = merger->table.pane;
    FOR_EACH_SESSION (pane, anchor, i) {
        struct session_span *other = session_span_at(pane, i);
        if (!other->is_used || other->layer == SESSION_HOLD || other->cell_end_us != span->cell_end_us ||
            !touches(other, span))
            continue;
        other->dropped += row->event_count;
        return;
    }
}

static void merge_session(struct session_merger *merger, const struct pane *from, const struct pane_row *row,
                          uint32_t anchor)
{
    const struct session_span *span = session_span(from, row);
    uint32_t index = find_row(merger, anchor, span);
    if (index == UINT32_MAX) {
        const struct session_span *first = session_span_at(merger->table.pane, anchor);
        if (is_gone(merger, anchor, span) || first->chain_count >= SESSION_CHAIN_MAX) {
            count_gone(merger, span, row);
            return;
        }
        index = add_row(merger, anchor, span);
    }
    struct pane *pane = merger->table.pane;
    struct session_span *into = session_span_at(pane, index);
    into->start_us = span->start_us < into->start_us ? span->start_us : into->start_us;
    into->end_us = span->end_us > into->end_us ? span->end_us : into->end_us;
    into->link_us = span->link_us < into->link_us ? span->link_us : into->link_us;
    into->link_end_us = span->link_end_us > into->link_end_us ? span->link_end_us : into->link_end_us;
    into->is_changed = into->is_changed || !(span->is_replay && merger->is_silent);
    /* On-time events have opened it again, even if it closes at once. */
    if (span->layer == SESSION_ON_TIME && into->end_us > merger->watermark_us)
        session_set_closed(merger, into, false);
    char *to = (char *)pane_row_at(pane, index);
    const char *source = (const char *)row;
    pane_merge_rows(pane, &to, from, &source, 1);
    uint32_t origin = 0;
    add_origin(merger, &origin, span->partition, span->first_offset, span->first_watermark_us);
    merge_origins(merger, &into->origins, origin);
    mark_early(merger, anchor);
}

static void merge_row(struct session_merger *merger, const struct pane *from, const struct pane_row *row,
                      uint32_t anchor)
{
    const struct session_span *span = session_span(from, row);
    if (span->layer == SESSION_ON_TIME || span->layer == SESSION_LATE)
        merge_session(merger, from, row, anchor);
    else if (span->layer == SESSION_DROPPED)
        note_dropped(merger, anchor, span, row);
    if (span->hold_us != TIME_NONE)
        set_hold(merger, anchor, span->partition, span->hold_us);
    mark_dirty(merger, anchor);
}

static void session_add(struct window_merger *base, struct pane *pane, int64_t arrival_us)
{
    struct session_merger *merger = (struct session_merger *)base;
    (void)arrival_us;
    struct pane *into = session_table_pane(&merger->table);
    for (uint32_t first = 0, count; first < pane->row_count; first += count) {
        count = pane->row_count - first < MERGE_ROWS ? pane->row_count - first : MERGE_ROWS;
        for (uint32_t i = 0; i < count; i++)
            merger->indices[i] = first + i;
        uint64_t used = merger->table.used_count, limit = merger->spec->key_limit;
        struct key_lookup lookup = {.hashes = merger->hashes,
                                    .new_row_limit = used < limit ? limit - used : 0};
        pane_find_rows_of(into, pane, merger->indices, count, &lookup, merger->into);
        merger->stats.overflow_events += lookup.overflowed;
        for (uint32_t i = 0; i < count; i++)
            merger->anchors[i] = session_row_index(into, merger->into[i]);
        for (uint32_t i = 0; i < count; i++)
            merge_row(merger, pane, pane_row_at(pane, first + i), merger->anchors[i]);
    }
    pane_destroy(pane);
}

static enum status session_decode(struct window_merger *base, const struct pane_codec *codec,
                                  struct slice message, struct pane **pane, struct error *error)
{
    struct session_merger *merger = (struct session_merger *)base;
    return pane_decode(merger->pool, codec, message, pane, error);
}

/* Indices are others after a compaction. */
static void compact(struct session_merger *merger)
{
    struct pane *before = merger->table.pane;
    session_table_compact(&merger->table);
    struct pane *pane = merger->table.pane;
    if (pane == before || !merger->early_count)
        return;
    merger->early_count = 0;
    for (uint32_t i = 0; i < pane->row_count; i++) {
        if (session_span_at(pane, i)->is_early)
            merger->early = session_push_index(merger->early, &merger->early_count, &merger->early_capacity,
                                               session_anchor(pane, i));
    }
}

static void settle_dirty(struct session_merger *merger)
{
    for (uint32_t i = 0; i < merger->dirty_count; i++) {
        pane_row_at(merger->table.pane, merger->dirty[i])->is_changed = 0;
        session_settle_key(merger, merger->dirty[i]);
    }
    merger->dirty_count = 0;
}

static void session_advance(struct window_merger *base, int64_t watermark_us, enum close_cause cause,
                            const struct clock *clock)
{
    struct session_merger *merger = (struct session_merger *)base;
    (void)clock;
    if (merger->is_silent)
        return;
    bool has_moved = watermark_us > merger->watermark_us;
    if (has_moved) {
        merger->watermark_us = watermark_us;
        merger->cause = cause;
    }
    if (has_moved && watermark_us != TIME_MAX)
        merger->finite_us = merger->stats.closed_through_us = watermark_us;
    if (!merger->table.pane || (!has_moved && !merger->dirty_count))
        return;
    settle_dirty(merger);
    for (uint32_t row; session_table_pop(&merger->table, merger->watermark_us, &row);)
        session_settle_key(merger, session_anchor(merger->table.pane, row));
    session_output_flush(&merger->output, merger->table.pane);
    compact(merger);
}

/* --- by the clock ------------------------------------------------------------------------------------------------------- */

static int64_t session_tick(struct window_merger *base, const struct clock *clock)
{
    struct session_merger *merger = (struct session_merger *)base;
    if (merger->is_silent || !merger->early_count)
        return INT64_MAX;
    int64_t now_us = clock_monotonic_us(clock);
    if (now_us < merger->next_early_us)
        return merger->next_early_us;
    for (uint32_t i = 0; i < merger->early_count; i++) {
        session_span_at(merger->table.pane, merger->early[i])->is_early = 0;
        session_show_early(merger, merger->early[i]);
    }
    merger->early_count = 0;
    merger->next_early_us = now_us + merger->spec->emit_every_us;
    session_output_flush(&merger->output, merger->table.pane);
    return INT64_MAX;
}

/* --- recovery and statistics -------------------------------------------------------------------------------------------- */

static void session_reset(struct window_merger *base)
{
    struct session_merger *merger = (struct session_merger *)base;
    session_table_deinit(&merger->table);
    session_table_init(&merger->table, merger->pool);
    for (uint32_t i = 0; i < merger->spec->partition_count; i++)
        origin_ledger_deinit(&merger->ledgers[i]);
    merger->node_count = merger->free_node = 0;
    merger->dirty_count = merger->early_count = 0;
    merger->watermark_us = merger->finite_us = merger->stats.closed_through_us = TIME_NONE;
    merger->cause = CLOSED_BY_WATERMARK;
    merger->is_silent = false;
    merger->next_early_us = 0;
    merger->closed_count = merger->hold_count = 0;
}

static void session_recover(struct window_merger *base, int64_t closed_through_us)
{
    struct session_merger *merger = (struct session_merger *)base;
    merger->is_silent = true;
    merger->watermark_us = merger->finite_us = merger->stats.closed_through_us = closed_through_us;
}

/* What is closed by now, and of events from before the restart only, was shown then. */
static void session_go_live(struct window_merger *base)
{
    struct session_merger *merger = (struct session_merger *)base;
    const struct pane *pane = merger->table.pane;
    for (uint32_t i = 0; merger->is_silent && pane && i < pane->row_count; i++) {
        const struct session_span *span = session_span_at(pane, i);
        if (span->anchor || !span->chain_count)
            continue;
        session_settle_key(merger, i);
        mark_dirty(merger, i);
    }
    merger->is_silent = false;
}

static int64_t session_oldest_offset(const struct window_merger *base, uint32_t partition,
                                     int64_t *watermark_us)
{
    const struct session_merger *merger = (const struct session_merger *)base;
    return origin_ledger_oldest(&merger->ledgers[partition], watermark_us);
}

static struct window_merger_stats session_stats(const struct window_merger *base)
{
    const struct session_merger *merger = (const struct session_merger *)base;
    struct window_merger_stats stats = merger->stats;
    uint64_t sessions = merger->table.used_count - merger->hold_count;
    stats.results = merger->output.emission.result_count;
    stats.held_windows = merger->closed_count;
    stats.open_windows = sessions - merger->closed_count;
    stats.keys = merger->table.used_count;
    stats.memory_size = sizeof *merger + session_table_memory_size(&merger->table) +
                        merger->node_capacity * sizeof *merger->nodes;
    return stats;
}

const struct window_merger_kind session_merger_kind = {
    .create = session_create,
    .destroy = session_destroy,
    .add = session_add,
    .decode = session_decode,
    .advance = session_advance,
    .tick = session_tick,
    .reset = session_reset,
    .recover = session_recover,
    .go_live = session_go_live,
    .oldest_offset = session_oldest_offset,
    .stats = session_stats,
};
