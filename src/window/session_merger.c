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
#include "flow/event_time.h"
#include "window/origin_ledger.h"
#include "window/session_output.h"
#include "window/session_table.h"

enum { MERGE_ROWS = 1024 };

/* Where reading must begin to build a row again, for each partition that is in it. */
struct origin_node {
    int64_t offset;
    uint32_t partition;
    uint32_t next; /* index + 1; also of free ones */
};

/* What lies in one cell of a session, or all of a session that is not cut. */
struct session_part {
    struct session_hull hull; /* of the session */
    int64_t start_us, end_us; /* of the record */
    int64_t closes_us;        /* TIME_MAX while it is held */
    int64_t session_closes_us, cell_end_us;
    bool is_cut;
    uint32_t first, count; /* in merger->rows */
};

struct session_merger {
    struct window_merger base;
    const struct window_spec *spec;
    struct pane_pool *pool;
    struct session_output output;
    struct session_table table;
    struct origin_ledger *ledgers; /* [partition_count] */
    struct origin_node *nodes;
    uint32_t node_count, node_capacity, free_node;
    uint32_t *dirty; /* anchors of keys to settle; their rows are marked is_changed */
    uint32_t dirty_count, dirty_capacity;
    uint32_t *early; /* anchors of keys with open sessions to show; marked is_early */
    uint32_t early_count, early_capacity;
    int64_t watermark_us; /* sessions that end at or before it are closed; TIME_MAX after the end of input */
    int64_t finite_us;    /* the last watermark that was a time */
    enum close_cause cause;
    bool is_silent; /* recovering */
    int64_t next_early_us;
    uint64_t closed_count, hold_count; /* rows */
    struct window_merger_stats stats;

    /* Scratch of one key. */
    uint32_t *rows;
    uint32_t row_count, row_capacity;
    int64_t next_due_us;

    uint32_t indices[MERGE_ROWS], anchors[MERGE_ROWS];
    uint64_t hashes[MERGE_ROWS];
    char *into[MERGE_ROWS];
};

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

static int64_t gone_at(const struct session_merger *merger, int64_t end_us)
{
    return end_us > TIME_MAX - merger->spec->allowed_lateness_us ? TIME_MAX
                                                                 : end_us + merger->spec->allowed_lateness_us;
}

static uint32_t *push_index(uint32_t *list, uint32_t *count, uint32_t *capacity, uint32_t index)
{
    if (*count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 64;
        list = memory_resize_array(list, *capacity, sizeof *list);
    }
    list[(*count)++] = index;
    return list;
}

static void mark_dirty(struct session_merger *merger, uint32_t anchor)
{
    struct pane_row *row = pane_row_at(merger->table.pane, anchor);
    if (row->is_changed)
        return;
    row->is_changed = 1;
    merger->dirty = push_index(merger->dirty, &merger->dirty_count, &merger->dirty_capacity, anchor);
}

static void mark_early(struct session_merger *merger, uint32_t anchor)
{
    struct session_span *span = session_span_at(merger->table.pane, anchor);
    if (!merger->spec->emit_every_us || span->is_early)
        return;
    span->is_early = 1;
    merger->early = push_index(merger->early, &merger->early_count, &merger->early_capacity, anchor);
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

static void free_row(struct session_merger *merger, uint32_t index)
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
            free_row(merger, found);
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

/* True when an operator has an open session that touches it. */
static bool is_held_by(const struct session_merger *merger, uint32_t anchor, const struct session_hull *hull)
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

/* --- records ------------------------------------------------------------------------------------------------------------ */

/* Ids have milliseconds. */
static bool is_same_id(int64_t a_us, int64_t b_us)
{
    return event_time_floor(a_us, 1000) == event_time_floor(b_us, 1000);
}

/* The record with which the row went out is no result any more: its session has become a part of one that begins elsewhere. */
static void merge_away(struct session_merger *merger, uint32_t index, int64_t into_start_us)
{
    struct session_span *span = session_span_at(merger->table.pane, index);
    int64_t shown_us = span->shown_us;
    span->shown_us = TIME_NONE;
    if (shown_us == TIME_NONE || is_same_id(shown_us, into_start_us))
        return;
    span->shown_revision++;
    span->shown_events = 0;
    if (merger->is_silent)
        return;
    struct session_record record = {
        .start_us = shown_us,
        .end_us = span->end_us,
        .watermark_us = span->is_closed ? span->closing_watermark_us : merger->finite_us,
        .merged_into_us = into_start_us,
        .revision = span->shown_revision,
        .row = session_output_sum(&merger->output, merger->table.pane, NULL, 0, index),
        .is_scratch = true,
        .emit = EMIT_UPDATE,
        .cause = span->is_closed ? (enum close_cause)span->cause : merger->cause,
    };
    session_output_add(&merger->output, merger->table.pane, &record);
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
        merge_away(merger, later, start_us);
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
    free_row(merger, from);
}

static void set_closed(struct session_merger *merger, struct session_span *span, bool is_closed)
{
    merger->closed_count += is_closed && !span->is_closed;
    merger->closed_count -= !is_closed && span->is_closed;
    span->is_closed = is_closed;
}

/* --- merging ------------------------------------------------------------------------------------------------------------ */

/* When nothing can come any more for what lies in a cell of a session that ends at end_us (TIME_MAX: nobody knows when). What is cut for
 * all partitions together can be whole for one, and reach into the next cell that far. */
static int64_t part_gone_at(const struct session_merger *merger, bool is_cut, int64_t end_us,
                            int64_t cell_end_us)
{
    int64_t reach_us = cell_end_us + merger->spec->max_duration_us + 2 * merger->spec->gap_us;
    return gone_at(merger, is_cut && reach_us < end_us ? reach_us : end_us);
}

/* True when the session that it would end up in is not held any more. */
static bool is_gone(const struct session_merger *merger, uint32_t anchor, const struct session_span *span)
{
    if (merger->watermark_us == TIME_NONE)
        return false;
    struct session_hull hull = session_hull_of(span, true);
    session_hull_widen(&hull, merger->table.pane, anchor, true);
    bool is_held = is_held_by(merger, anchor, &hull);
    bool is_cut = session_is_cut(merger->spec, &hull);
    return part_gone_at(merger, is_cut, is_held ? TIME_MAX : hull.end_us, span->cell_end_us) <=
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
        set_closed(merger, into, false);
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

/* --- parts of sessions -------------------------------------------------------------------------------------------------- */

static void note_due(struct session_merger *merger, int64_t due_us)
{
    if (due_us > merger->watermark_us && due_us < merger->next_due_us)
        merger->next_due_us = due_us;
}

/* The session that row `first` is in; its rows go to merger->rows. */
static struct session_part find_session(struct session_merger *merger, uint32_t anchor, uint32_t first,
                                        bool with_late)
{
    const struct pane *pane = merger->table.pane;
    const struct session_span *span = session_span_at(pane, first);
    struct session_part session = {.hull = session_hull_of(span, with_late)};
    session_hull_widen(&session.hull, pane, anchor, with_late);
    merger->row_count = 0;
    FOR_EACH_SESSION (pane, anchor, i) {
        const struct session_span *other = session_span_at(pane, i);
        if (session_is_in(other, &session.hull, with_late))
            merger->rows = push_index(merger->rows, &merger->row_count, &merger->row_capacity, i);
    }
    session.count = merger->row_count;
    const struct session_hull *hull = &session.hull;
    bool is_held = is_held_by(merger, anchor, hull);
    int64_t reaches_us =
        is_held && merger->watermark_us >= hull->end_us ? merger->watermark_us + 1 : hull->end_us;
    session.is_cut = hull->is_cut || reaches_us - hull->start_us > merger->spec->max_duration_us;
    session.start_us = hull->start_us;
    session.end_us = hull->end_us;
    session.closes_us = session.session_closes_us = is_held ? TIME_MAX : hull->end_us;
    if (is_held && !session.is_cut)
        note_due(merger, hull->start_us + merger->spec->max_duration_us);
    return session;
}

static int compare_cells(const void *a, const void *b, void *context)
{
    const struct pane *pane = context;
    const struct session_span *x = session_span_at(pane, *(const uint32_t *)a);
    const struct session_span *y = session_span_at(pane, *(const uint32_t *)b);
    if (x->cell_end_us != y->cell_end_us)
        return x->cell_end_us < y->cell_end_us ? -1 : 1;
    return (x->start_us > y->start_us) - (x->start_us < y->start_us);
}

/* The part that begins with row `first` of a session; a session that is not cut is one part. */
static struct session_part find_part(struct session_merger *merger, const struct session_part *session,
                                     uint32_t first)
{
    const struct pane *pane = merger->table.pane;
    struct session_part part = *session;
    if (!session->is_cut)
        return part;
    int64_t cell_end_us = session_span_at(pane, merger->rows[first])->cell_end_us;
    part.cell_end_us = cell_end_us;
    part.first = first;
    part.count = 0;
    part.start_us = TIME_MAX;
    part.end_us = TIME_NONE;
    for (uint32_t i = first; i < merger->row_count; i++) {
        const struct session_span *span = session_span_at(pane, merger->rows[i]);
        if (span->cell_end_us != cell_end_us)
            break;
        part.count++;
        part.start_us = span->start_us < part.start_us ? span->start_us : part.start_us;
        part.end_us = span->end_us > part.end_us ? span->end_us : part.end_us;
    }
    part.end_us = part.end_us < cell_end_us ? part.end_us : cell_end_us;
    part.closes_us = session->closes_us < cell_end_us ? session->closes_us : cell_end_us;
    return part;
}

/* --- settling: finals --------------------------------------------------------------------------------------------------- */

static struct session_record part_record(struct session_merger *merger, const struct session_part *part)
{
    const struct pane *pane = merger->table.pane;
    struct session_record record = {.start_us = part->start_us,
                                    .end_us = part->end_us,
                                    .watermark_us = TIME_NONE,
                                    .merged_into_us = TIME_NONE};
    for (uint32_t i = 0; i < part->count; i++) {
        uint32_t index = merger->rows[part->first + i];
        const struct session_span *span = session_span_at(pane, index);
        uint64_t count = pane_row_at(pane, index)->event_count;
        record.on_time += span->layer == SESSION_ON_TIME ? count : 0;
        record.late_accepted += span->layer == SESSION_LATE ? count : 0;
        record.late_dropped += span->dropped;
        if (i > 0 && span->closing_watermark_us <= record.watermark_us)
            continue;
        record.watermark_us = span->closing_watermark_us;
        record.cause = (enum close_cause)span->cause;
    }
    return record;
}

static void write_record(struct session_merger *merger, const struct session_part *part,
                         struct session_record *record)
{
    const struct pane *pane = merger->table.pane;
    record->row = merger->rows[part->first];
    record->is_scratch = part->count > 1;
    if (record->is_scratch)
        record->row = session_output_sum(&merger->output, pane, merger->rows + part->first, part->count,
                                         merger->rows[part->first]);
    session_output_add(&merger->output, pane, record);
}

/* The record of this id that replaces all others that went out. */
struct shown {
    uint32_t revision;
    uint64_t events;
    int64_t end_us; /* TIME_NONE: it was merged away, or none went out */
};

static struct shown find_shown(const struct session_merger *merger, const struct session_part *part)
{
    const struct pane *pane = merger->table.pane;
    struct shown shown = {.end_us = TIME_NONE};
    for (uint32_t i = 0; i < part->count; i++) {
        const struct session_span *span = session_span_at(pane, merger->rows[part->first + i]);
        bool is_alive = span->shown_us != TIME_NONE;
        if (!is_same_id(is_alive ? span->shown_us : span->start_us, part->start_us) ||
            span->shown_revision < shown.revision ||
            (span->shown_revision == shown.revision && span->shown_events < shown.events))
            continue;
        shown = (struct shown){span->shown_revision, span->shown_events,
                               is_alive ? span->shown_end_us : TIME_NONE};
    }
    return shown;
}

/* What is shown of the part is called by its start; other names are merged away. */
static void set_shown(struct session_merger *merger, const struct session_part *part, uint32_t revision,
                      uint64_t events)
{
    const struct pane *pane = merger->table.pane;
    struct shown shown = find_shown(merger, part);
    if (revision > shown.revision || (revision == shown.revision && events >= shown.events))
        shown = (struct shown){revision, events, part->end_us};
    for (uint32_t i = 0; i < part->count; i++)
        merge_away(merger, merger->rows[part->first + i], part->start_us);
    for (uint32_t i = 0; i < part->count; i++) {
        struct session_span *span = session_span_at(pane, merger->rows[part->first + i]);
        if (span->start_us != part->start_us)
            continue;
        span->shown_us = part->start_us;
        span->shown_revision = shown.revision;
        span->shown_events = shown.events;
        span->shown_end_us = shown.end_us;
        return;
    }
}

/* On-time rows only. */
static void settle_final(struct session_merger *merger, const struct session_part *part)
{
    const struct pane *pane = merger->table.pane;
    bool is_closed = merger->watermark_us != TIME_NONE && part->closes_us <= merger->watermark_us;
    bool was_closed = true, is_changed = false;
    for (uint32_t i = 0; i < part->count; i++) {
        const struct session_span *span = session_span_at(pane, merger->rows[part->first + i]);
        was_closed = was_closed && span->is_closed;
        is_changed = is_changed || span->is_changed || span->is_part_shown != part->is_cut;
    }
    if (!is_closed && part->closes_us != TIME_MAX)
        note_due(merger, part->closes_us);
    /* What is cut for all partitions together can be whole for one: on-time events of it may come when the part has been closed. And
     * what was shown as a whole can be joined to more and be cut then. */
    bool is_again = is_closed && part->is_cut && is_changed;
    if (is_closed == was_closed && !is_again)
        return;
    for (uint32_t i = 0; i < part->count; i++) {
        struct session_span *span = session_span_at(pane, merger->rows[part->first + i]);
        set_closed(merger, span, is_closed);
        span->cause = (uint8_t)merger->cause;
        span->closing_watermark_us = merger->finite_us;
        span->is_changed = span->is_changed && (!is_closed || merger->is_silent);
        span->is_part_shown = part->is_cut;
    }
    if (!is_closed)
        return;
    struct session_record record = part_record(merger, part);
    record.emit = EMIT_FINAL;
    if (!merger->is_silent)
        write_record(merger, part, &record);
    if (part->end_us > merger->stats.closed_through_us && merger->watermark_us == TIME_MAX)
        merger->stats.closed_through_us = part->end_us;
    set_shown(merger, part, 0, record.on_time);
}

/* --- settling: both layers ---------------------------------------------------------------------------------------------- */

/* Late events of the whole session, also of parts that are not held any more. */
static uint32_t late_revision(const struct session_merger *merger)
{
    const struct pane *pane = merger->table.pane;
    uint64_t count = 0;
    for (uint32_t i = 0; i < merger->row_count; i++) {
        const struct session_span *span = session_span_at(pane, merger->rows[i]);
        count += span->carried;
        count += span->layer == SESSION_LATE ? pane_row_at(pane, merger->rows[i])->event_count : 0;
    }
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

/* While recovering: what is new since then is told later. */
static bool has_changes(const struct session_merger *merger)
{
    for (uint32_t i = 0; i < merger->row_count; i++) {
        if (session_span_at(merger->table.pane, merger->rows[i])->is_changed)
            return true;
    }
    return false;
}

static bool has_open_rows(const struct session_merger *merger, const struct session_part *part)
{
    for (uint32_t i = 0; i < part->count; i++) {
        const struct session_span *span = session_span_at(merger->table.pane, merger->rows[part->first + i]);
        if (span->layer == SESSION_ON_TIME && !span->is_closed)
            return true;
    }
    return false;
}

/* Shows what the part is now, unless that is what was shown. The revision is the number of late events; only when a session is cut
 * differently than before can that be too small to replace what was shown. */
static void update_part(struct session_merger *merger, const struct session_part *part, uint32_t revision)
{
    const struct pane *pane = merger->table.pane;
    for (uint32_t i = 0; i < part->count; i++) {
        struct session_span *span = session_span_at(pane, merger->rows[part->first + i]);
        span->is_changed = false;
        if (span->layer == SESSION_ON_TIME || span->is_closed)
            continue;
        set_closed(merger, span, true);
        span->cause = (uint8_t)merger->cause;
        span->closing_watermark_us = merger->finite_us;
    }
    struct shown shown = find_shown(merger, part);
    struct session_record record = part_record(merger, part);
    uint64_t events = record.on_time + record.late_accepted;
    if (shown.end_us == part->end_us && shown.events == events)
        revision = shown.revision;
    else if (revision < shown.revision ||
             (revision == shown.revision && events <= shown.events && shown.events))
        revision = shown.revision + 1;
    record.emit = EMIT_UPDATE;
    record.revision = revision;
    if (!merger->is_silent && (shown.end_us != part->end_us || shown.events != events))
        write_record(merger, part, &record);
    set_shown(merger, part, revision, events);
}

/* The part is not held any more. What is left of a session that is cut remembers it. */
static void forget_part(struct session_merger *merger, const struct session_part *part)
{
    const struct pane *pane = merger->table.pane;
    uint64_t late_count = 0;
    for (uint32_t i = 0; i < part->count; i++) {
        uint32_t index = merger->rows[part->first + i];
        const struct session_span *span = session_span_at(pane, index);
        late_count += span->carried;
        late_count += span->layer == SESSION_LATE ? pane_row_at(pane, index)->event_count : 0;
        session_remember_cut(pane, index);
    }
    for (uint32_t i = 0; i < part->count; i++)
        free_row(merger, merger->rows[part->first + i]);
    uint32_t next = part->first + part->count;
    if (next < merger->row_count)
        session_span_at(pane, merger->rows[next])->carried += late_count;
}

static void settle_both(struct session_merger *merger, const struct session_part *part, uint32_t revision)
{
    if (part->closes_us > merger->watermark_us || has_open_rows(merger, part)) {
        if (part->closes_us != TIME_MAX)
            note_due(merger, part->closes_us);
        return;
    }
    if (!merger->is_silent || !has_changes(merger))
        update_part(merger, part, revision);
    if (merger->is_silent)
        return;
    int64_t gone_us = part_gone_at(merger, part->is_cut, part->session_closes_us, part->cell_end_us);
    if (gone_us <= merger->watermark_us)
        forget_part(merger, part);
    else
        note_due(merger, gone_us);
}

/* --- settling a key ----------------------------------------------------------------------------------------------------- */

/* Calls settle_final or settle_both for every part of every session of the layers. */
static void settle_layers(struct session_merger *merger, uint32_t anchor, bool with_late)
{
    const struct pane *pane = merger->table.pane;
    FOR_EACH_SESSION (pane, anchor, i)
        session_span_at(pane, i)->is_settled = 0;
    for (uint32_t i = anchor, next; i != UINT32_MAX; i = next) {
        next = session_next(pane, i);
        const struct session_span *span = session_span_at(pane, i);
        bool is_meant = span->is_used && !span->is_settled &&
                        (span->layer == SESSION_ON_TIME || (with_late && span->layer == SESSION_LATE));
        if (!is_meant)
            continue;
        struct session_part session = find_session(merger, anchor, i, with_late);
        if (session.is_cut && session.count > 1)
            qsort_r(merger->rows, merger->row_count, sizeof *merger->rows, compare_cells, merger->table.pane);
        for (uint32_t r = 0; r < merger->row_count; r++)
            session_span_at(pane, merger->rows[r])->is_settled = 1;
        uint32_t revision = late_revision(merger);
        for (uint32_t first = 0; first < merger->row_count;) {
            struct session_part part = find_part(merger, &session, first);
            first += part.count;
            if (with_late)
                settle_both(merger, &part, revision);
            else
                settle_final(merger, &part);
        }
        /* Rows that have gone are not in the chain any more. */
        if (!session_span_at(pane, i)->is_used)
            next = anchor;
    }
}

static void settle_key(struct session_merger *merger, uint32_t anchor)
{
    struct pane *pane = merger->table.pane;
    if (!session_span_at(pane, anchor)->chain_count)
        return;
    merger->next_due_us = TIME_MAX;
    settle_layers(merger, anchor, false);
    settle_layers(merger, anchor, true);
    FOR_EACH_SESSION (pane, anchor, i) {
        if (!session_span_at(pane, i)->is_used)
            continue;
        if (merger->next_due_us != TIME_MAX)
            session_table_set_timer(&merger->table, i, merger->next_due_us);
        return;
    }
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
            merger->early = push_index(merger->early, &merger->early_count, &merger->early_capacity,
                                       session_anchor(pane, i));
    }
}

static void settle_dirty(struct session_merger *merger)
{
    for (uint32_t i = 0; i < merger->dirty_count; i++) {
        pane_row_at(merger->table.pane, merger->dirty[i])->is_changed = 0;
        settle_key(merger, merger->dirty[i]);
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
        settle_key(merger, session_anchor(merger->table.pane, row));
    session_output_flush(&merger->output, merger->table.pane);
    compact(merger);
}

/* --- by the clock ------------------------------------------------------------------------------------------------------- */

/* Early records of the open sessions of a key. */
static void show_early(struct session_merger *merger, uint32_t anchor)
{
    const struct pane *pane = merger->table.pane;
    FOR_EACH_SESSION (pane, anchor, i)
        session_span_at(pane, i)->is_settled = 0;
    FOR_EACH_SESSION (pane, anchor, i) {
        const struct session_span *span = session_span_at(pane, i);
        if (!span->is_used || span->is_settled || span->layer != SESSION_ON_TIME)
            continue;
        struct session_part session = find_session(merger, anchor, i, false);
        if (session.is_cut && session.count > 1)
            qsort_r(merger->rows, merger->row_count, sizeof *merger->rows, compare_cells, merger->table.pane);
        for (uint32_t first = 0; first < merger->row_count;) {
            struct session_part part = find_part(merger, &session, first);
            first += part.count;
            bool is_new = false;
            for (uint32_t r = 0; r < part.count; r++) {
                struct session_span *row = session_span_at(pane, merger->rows[part.first + r]);
                is_new = is_new || (row->is_changed && !row->is_closed);
                row->is_changed = row->is_closed && row->is_changed;
                row->is_settled = 1;
            }
            if (!is_new)
                continue;
            struct session_record record = part_record(merger, &part);
            record.emit = EMIT_EARLY;
            record.watermark_us = merger->finite_us;
            record.cause = CLOSED_BY_WALL_CLOCK;
            write_record(merger, &part, &record);
            set_shown(merger, &part, 0, 0);
        }
    }
}

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
        show_early(merger, merger->early[i]);
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
        settle_key(merger, i);
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
