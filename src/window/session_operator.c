/* The shard's half of session windows: what session a row belongs to, judged by its own partition's sessions and watermark.
 *
 *   rows of a batch ─▶ find the key ─▶ in its newest session? ─ yes ─▶ widen it ─▶ one kernel per aggregate over all rows
 *                                            └─ no ─▶ place: join, begin, late, too late
 *
 * Every partition has a table of its own. A row of it has what has come since the last delivery; after that it stays as an interval, as
 * long as late events may ask for it. What goes to the merger, in the order of its becoming due:
 *
 *   hold      when the watermark reaches the beginning of a session that is still open: "wait for me before you close what I touch".
 *             hold_us has the beginning.
 *   session   when the watermark reaches its end (or that of its cell). hold_us has the hold that is left of this key and partition,
 *             TIME_MAX for none, TIME_NONE for no change.
 *   late      at once.
 *
 * So at any watermark the merger knows of everything that begins before it. */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "window/session_operator.h"

/* One row of a batch on its way. */
struct arrival {
    const struct window_rows *rows;
    struct partition_sessions *sessions;
    uint32_t row, anchor;
    int64_t time_us, end_us, watermark_us;
    int64_t gone_us; /* sessions that end at or before this are gone for it */
    int64_t link_us; /* > end_us: it is too far back to touch anything by itself */
};

static struct window_operator *session_create(const struct window_spec *spec)
{
    struct session_operator *op = memory_allocate(sizeof *op);
    op->spec = spec;
    op->pool = pane_pool_create(spec);
    op->partitions = memory_allocate_array(spec->partition_count, sizeof *op->partitions);
    for (uint32_t i = 0; i < spec->partition_count; i++)
        session_table_init(&op->partitions[i].table, op->pool);
    return &op->base;
}

static void session_destroy(struct window_operator *base)
{
    struct session_operator *op = (struct session_operator *)base;
    for (uint32_t i = 0; i < op->spec->partition_count; i++) {
        session_table_deinit(&op->partitions[i].table);
        origin_ledger_deinit(&op->partitions[i].origins);
    }
    pane_destroy(op->out);
    pane_pool_release(op->pool);
    free(op->partitions);
    free(op->used_rows);
    free(op->places);
    free(op->hashes);
    free(op->entries);
    free(op);
}

/* Events of sessions that have gone are built again and go again, at the merger: which session an event is in can depend on them. */
static void session_set_horizon(struct window_operator *base, int64_t closed_through_us)
{
    (void)base;
    (void)closed_through_us;
}

static void reserve_rows(struct session_operator *op, uint32_t row_count)
{
    if (row_count <= op->row_capacity)
        return;
    op->row_capacity = row_count;
    op->used_rows = memory_resize_array(op->used_rows, row_count, sizeof *op->used_rows);
    op->places = memory_resize_array(op->places, row_count, sizeof *op->places);
    op->hashes = memory_resize_array(op->hashes, row_count, sizeof *op->hashes);
    op->entries = memory_resize_array(op->entries, row_count, sizeof(char *));
}

/* --- states ------------------------------------------------------------------------------------------------------------- */

/* Rows that have a place by now get into the states, in the order of the log. */
static void run_kernels(struct session_operator *op, const struct window_rows *rows, struct pane *pane,
                        struct window_counts *counts)
{
    const struct window_spec *spec = op->spec;
    uint32_t first = op->done_count, count = op->used_count - first;
    op->done_count = op->used_count;
    for (uint32_t i = 0; i < count; i++)
        op->entries[first + i] = pane->rows + op->places[first + i];
    for (uint32_t a = 0; count > 0 && a < spec->aggregate_count; a++) {
        const struct window_aggregate *aggregate = &spec->aggregates[a];
        if (!pane->layout->sharers[a] || !aggregate->kind->add)
            continue;
        struct aggregate_input input = {
            .batch = rows->batch,
            .column = &rows->inputs[aggregate->input],
            .rows = op->used_rows + first,
            .entries = op->entries + first,
            .count = count,
            .state_offset = pane->layout->state_offsets[a],
            .pane = pane,
            .partition = rows->partition,
            .type_error_weight = pane->layout->sharers[a],
        };
        aggregate->kind->add(&input);
        counts->type_errors += input.type_errors;
    }
}

/* The row takes an event: how far it reaches, and where reading must begin to build it again. */
static void take_event(const struct arrival *arrival, struct pane_row *row, struct session_span *span)
{
    if (row->event_count == 0) {
        span->first_offset = arrival->rows->batch->offsets[arrival->row];
        span->first_watermark_us = arrival->watermark_us;
        span->is_replay = 1;
        origin_ledger_add(&arrival->sessions->origins, span->first_offset, span->first_watermark_us);
    }
    span->is_replay = span->is_replay && arrival->rows->batch->is_replay;
    row->event_count++;
}

/* --- placing rows ------------------------------------------------------------------------------------------------------- */

/* The session of the row, when the event touches the row and the session is still held. */
static bool find_touched(const struct arrival *arrival, uint32_t index, bool with_late,
                         struct session_hull *hull)
{
    const struct pane *pane = arrival->sessions->table.pane;
    const struct session_span *span = session_span_at(pane, index);
    bool is_meant = span->layer == SESSION_ON_TIME || with_late;
    if (!span->is_used || !is_meant || span->end_us < arrival->time_us || span->start_us > arrival->end_us)
        return false;
    *hull = session_hull_of(span, with_late);
    session_hull_widen(hull, pane, arrival->anchor, with_late);
    return hull->end_us > arrival->gone_us;
}

/* Two rows of a layer and a cell have become one session. */
static void join_rows(struct session_operator *op, const struct arrival *arrival, uint32_t into,
                      uint32_t from, struct window_counts *counts)
{
    struct session_table *table = &arrival->sessions->table;
    run_kernels(op, arrival->rows, table->pane, counts);
    struct session_span *span = session_span_at(table->pane, into),
                        *other = session_span_at(table->pane, from);
    struct pane_row *row = pane_row_at(table->pane, into), *other_row = pane_row_at(table->pane, from);
    if (other_row->event_count > 0 && row->event_count > 0) {
        struct session_span *later = other->first_offset > span->first_offset ? other : span;
        origin_ledger_remove(&arrival->sessions->origins, later->first_offset);
    }
    bool takes_origin =
        other_row->event_count > 0 && (row->event_count == 0 || other->first_offset < span->first_offset);
    if (takes_origin) {
        span->first_offset = other->first_offset;
        span->first_watermark_us = other->first_watermark_us;
    }
    span->is_replay =
        (row->event_count == 0 || span->is_replay) && (other_row->event_count == 0 || other->is_replay);
    span->start_us = other->start_us < span->start_us ? other->start_us : span->start_us;
    span->end_us = other->end_us > span->end_us ? other->end_us : span->end_us;
    span->link_us = other->link_us < span->link_us ? other->link_us : span->link_us;
    span->link_end_us = other->link_end_us > span->link_end_us ? other->link_end_us : span->link_end_us;
    /* The smaller hold covers both. */
    if (other->hold_us != TIME_NONE && (span->hold_us == TIME_NONE || other->hold_us < span->hold_us))
        span->hold_us = other->hold_us;
    span->is_delivered = span->is_delivered || other->is_delivered;
    span->is_cut = span->is_cut || other->is_cut;
    span->is_late_cut = span->is_late_cut || other->is_late_cut;
    session_table_join(table, into, from);
    session_table_free(table, from);
}

/* Of too many sessions of a key the oldest that waits for late events only goes. */
static bool make_room(struct session_table *table, uint32_t anchor)
{
    const struct pane *pane = table->pane;
    if (session_span_at(pane, anchor)->chain_count < SESSION_CHAIN_MAX)
        return true;
    uint32_t oldest = UINT32_MAX;
    FOR_EACH_SESSION (pane, anchor, i) {
        const struct session_span *span = session_span_at(pane, i);
        bool is_idle = span->is_used && pane_row_at(pane, i)->event_count == 0 && span->hold_us == TIME_NONE;
        if (is_idle && (oldest == UINT32_MAX || span->end_us < session_span_at(pane, oldest)->end_us))
            oldest = i;
    }
    if (oldest == UINT32_MAX)
        return false;
    session_table_free(table, oldest);
    return true;
}

/* The row of this layer that takes the event: those that it touches in its cell, joined, or a new one; UINT32_MAX when
 * there is no room for it. */
static uint32_t find_row(struct session_operator *op, const struct arrival *arrival, enum session_layer layer,
                         struct window_counts *counts)
{
    struct session_table *table = &arrival->sessions->table;
    int64_t cell_end_us = session_cell_end(op->spec, arrival->time_us);
    uint32_t found = UINT32_MAX;
    for (uint32_t i = arrival->anchor, next; i != UINT32_MAX; i = next) {
        next = session_next(table->pane, i);
        const struct session_span *span = session_span_at(table->pane, i);
        struct session_hull hull;
        if (span->layer != layer || span->cell_end_us != cell_end_us ||
            !find_touched(arrival, i, layer == SESSION_LATE, &hull))
            continue;
        if (found == UINT32_MAX)
            found = i;
        else
            join_rows(op, arrival, found, i, counts);
    }
    if (found != UINT32_MAX || !make_room(table, arrival->anchor))
        return found;
    found = session_table_add(table, arrival->anchor);
    struct session_span *span = session_span_at(table->pane, found);
    span->layer = (uint8_t)layer;
    span->start_us = arrival->time_us;
    span->end_us = arrival->end_us;
    span->link_us = TIME_MAX;
    span->link_end_us = TIME_NONE;
    span->cell_end_us = cell_end_us;
    return found;
}

static void widen(const struct arrival *arrival, const struct session_hull *hull, struct session_span *span)
{
    /* An event that is too far back to touch anything by itself goes wherever its session goes. */
    bool is_alone = arrival->link_us <= arrival->end_us;
    int64_t link_us = is_alone ? arrival->link_us : hull->link_us;
    int64_t link_end_us = is_alone ? arrival->end_us : hull->link_end_us;
    span->start_us = arrival->time_us < span->start_us ? arrival->time_us : span->start_us;
    span->end_us = arrival->end_us > span->end_us ? arrival->end_us : span->end_us;
    span->link_us = link_us < span->link_us ? link_us : span->link_us;
    span->link_end_us = link_end_us > span->link_end_us ? link_end_us : span->link_end_us;
}

/* When a key has more than one row, the merger must know of those that are open before it closes what they may touch. */
static void hold_open_sessions(struct session_table *table, uint32_t anchor)
{
    FOR_EACH_SESSION (table->pane, anchor, i) {
        const struct session_span *span = session_span_at(table->pane, i);
        if (span->is_used && span->layer == SESSION_ON_TIME && span->hold_us == TIME_NONE &&
            pane_row_at(table->pane, i)->event_count > 0)
            session_table_set_timer(
                table, i, span->link_us > SESSION_DUE_AT_ONCE ? span->link_us : SESSION_DUE_AT_ONCE);
    }
}

static uint32_t place_on_time(struct session_operator *op, const struct arrival *arrival,
                              const struct session_hull *hull, struct window_counts *counts)
{
    struct session_table *table = &arrival->sessions->table;
    uint32_t index = find_row(op, arrival, SESSION_ON_TIME, counts);
    if (index == UINT32_MAX)
        return index;
    struct session_span *span = session_span_at(table->pane, index);
    widen(arrival, hull, span);
    if (session_needs_hold(op, table->pane, index) && !session_is_announced(span))
        session_table_set_timer(table, index,
                                span->link_us > SESSION_DUE_AT_ONCE ? span->link_us : SESSION_DUE_AT_ONCE);
    else if (span->due_us == TIME_NONE)
        session_table_set_timer(table, index, session_closes_at(span));
    if (session_span_at(table->pane, arrival->anchor)->chain_count > 1)
        hold_open_sessions(table, arrival->anchor);
    session_table_find_newest(table, arrival->anchor);
    return index;
}

/* The session that the event would end up in, of those that are still held. */
static struct session_hull hull_of(const struct arrival *arrival, bool with_late)
{
    const struct pane *pane = arrival->sessions->table.pane;
    struct session_hull hull = {arrival->time_us, arrival->end_us, TIME_MAX, TIME_NONE, false};
    if (arrival->link_us <= arrival->end_us) {
        hull.link_us = arrival->link_us;
        hull.link_end_us = arrival->end_us;
    }
    FOR_EACH_SESSION (pane, arrival->anchor, i) {
        struct session_hull touched;
        if (find_touched(arrival, i, with_late, &touched))
            session_hull_add(&hull, &touched);
    }
    session_hull_widen(&hull, pane, arrival->anchor, with_late);
    return hull;
}

static uint32_t place_late(struct session_operator *op, const struct arrival *arrival,
                           const struct session_hull *hull, struct window_counts *counts)
{
    struct session_table *table = &arrival->sessions->table;
    hold_open_sessions(table, arrival->anchor);
    uint32_t index = find_row(op, arrival, SESSION_LATE, counts);
    if (index == UINT32_MAX)
        return index;
    struct session_span *span = session_span_at(table->pane, index);
    widen(arrival, hull, span);
    session_table_set_timer(table, index, SESSION_DUE_AT_ONCE);
    counts->late_accepted++;
    return index;
}

/* The receipt of the session, while it is there, counts what was not taken. */
static void note_dropped(struct session_operator *op, const struct arrival *arrival,
                         const struct session_hull *hull)
{
    const struct pane *pane = arrival->sessions->table.pane;
    struct pane *out = session_out(op);
    struct pane_row *row = pane_append_row(out, pane, pane_row_at(pane, arrival->anchor));
    row->event_count = 1;
    *session_span(out, row) =
        (struct session_span){.start_us = arrival->time_us,
                              .end_us = hull->end_us,
                              .link_us = hull->link_us,
                              .cell_end_us = session_cell_end(op->spec, arrival->time_us),
                              .hold_us = TIME_NONE,
                              .first_offset = arrival->rows->batch->offsets[arrival->row],
                              .first_watermark_us = arrival->watermark_us,
                              .partition = arrival->rows->partition,
                              .layer = SESSION_DROPPED,
                              .is_used = 1,
                              .is_replay = arrival->rows->batch->is_replay};
}

/* The row for an event that is not simply in the newest session of its key; UINT32_MAX when it is too late. */
static uint32_t place(struct session_operator *op, const struct arrival *arrival,
                      struct window_counts *counts)
{
    const struct window_spec *spec = op->spec;
    int64_t cell_end_us = session_cell_end(spec, arrival->time_us);
    struct session_hull hull = hull_of(arrival, false);
    if (arrival->watermark_us < session_part_end(spec, &hull, cell_end_us))
        return place_on_time(op, arrival, &hull, counts);
    hull = hull_of(arrival, true);
    if (session_part_end(spec, &hull, cell_end_us) <= arrival->gone_us)
        return UINT32_MAX;
    if (spec->late == WINDOW_LATE_UPDATE)
        return place_late(op, arrival, &hull, counts);
    note_dropped(op, arrival, &hull);
    return UINT32_MAX;
}

/* Nearly all rows: in the newest session of the key, or just behind it; nothing else of the key can be touched by that. */
static inline bool extend_newest(const struct arrival *arrival, struct pane *pane, size_t *place)
{
    struct pane_row *row = (struct pane_row *)(void *)(pane->rows + *place);
    struct session_span *span = session_span(pane, row);
    if (!span->newest)
        return false;
    size_t newest = (size_t)(span->newest - 1) * pane->layout->row_size;
    if (newest != *place) {
        row = (struct pane_row *)(void *)(pane->rows + newest);
        span = session_span(pane, row);
    }
    bool is_inside = arrival->time_us >= span->start_us && arrival->time_us <= span->end_us &&
                     arrival->time_us < span->cell_end_us &&
                     arrival->watermark_us < session_closes_at(span) && row->event_count > 0;
    if (!is_inside)
        return false;
    if (arrival->end_us > span->end_us)
        span->end_us = span->link_end_us = arrival->end_us;
    *place = newest;
    take_event(arrival, row, span);
    return true;
}

static void place_row(struct session_operator *op, struct arrival *arrival, struct pane *pane,
                      size_t place_of_key, struct window_counts *counts, uint32_t *too_late,
                      uint32_t *too_late_count)
{
    if (!extend_newest(arrival, pane, &place_of_key)) {
        size_t row_size = pane->layout->row_size;
        arrival->anchor = (uint32_t)(place_of_key / row_size);
        uint32_t index = place(op, arrival, counts);
        if (index == UINT32_MAX) {
            too_late[(*too_late_count)++] = arrival->row;
            counts->too_late++;
            return;
        }
        place_of_key = index * row_size;
        take_event(arrival, pane_row_at(pane, index), session_span_at(pane, index));
    }
    counts->used++;
    op->places[op->used_count] = place_of_key;
    op->used_rows[op->used_count++] = arrival->row;
}

static uint64_t key_room(const struct session_operator *op)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < op->spec->partition_count; i++)
        used += op->partitions[i].table.used_count;
    return used < op->spec->key_limit ? op->spec->key_limit - used : 0;
}

static void session_add(struct window_operator *base, const struct window_rows *rows,
                        struct window_counts *counts, uint32_t *too_late, uint32_t *too_late_count)
{
    struct session_operator *op = (struct session_operator *)base;
    assert(rows->partition < op->spec->partition_count);
    *too_late_count = 0;
    reserve_rows(op, rows->row_count);
    struct partition_sessions *sessions = &op->partitions[rows->partition];
    struct pane *pane = session_table_pane(&sessions->table);
    struct key_lookup lookup = {
        .batch = rows->batch, .keys = rows->keys, .hashes = op->hashes, .new_row_limit = key_room(op)};
    pane_find_rows(pane, &lookup, rows->rows, rows->row_count, op->entries);
    counts->overflow_events += lookup.overflowed;
    for (uint32_t i = 0; i < rows->row_count; i++)
        op->places[i] = (size_t)(op->entries[i] - pane->rows);
    op->used_count = op->done_count = 0;
    struct arrival arrival = {.rows = rows, .sessions = sessions};
    for (uint32_t i = 0; i < rows->row_count; i++) {
        uint32_t row = rows->rows[i];
        int64_t watermark_us = rows->watermarks_us[row], time_us = rows->batch->event_times_us[row];
        arrival.row = row;
        arrival.time_us = time_us;
        arrival.end_us = time_us + op->spec->gap_us;
        arrival.watermark_us = watermark_us;
        arrival.gone_us =
            watermark_us == TIME_NONE ? TIME_NONE : watermark_us - op->spec->allowed_lateness_us;
        arrival.link_us = arrival.gone_us < time_us ? time_us : arrival.gone_us + 1;
        place_row(op, &arrival, pane, op->places[i], counts, too_late, too_late_count);
    }
    run_kernels(op, rows, pane, counts);
}

static int64_t session_oldest_offset(const struct window_operator *base, uint32_t partition,
                                     int64_t *watermark_us)
{
    const struct session_operator *op = (const struct session_operator *)base;
    return origin_ledger_oldest(&op->partitions[partition].origins, watermark_us);
}

const struct window_operator_kind session_operator_kind = {
    .create = session_create,
    .destroy = session_destroy,
    .add = session_add,
    .take = session_take,
    .oldest_offset = session_oldest_offset,
    .set_horizon = session_set_horizon,
};
