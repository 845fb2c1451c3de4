/* What becomes of the sessions of a key when it has changed or is due: see session_merger.c.
 *
 *   on-time rows ─▶ sessions ─▶ parts ─▶ closed? ─▶ final
 *   all rows     ─▶ sessions ─▶ parts ─▶ closed, and not what was shown? ─▶ update; ids that are none any more are merged away
 *                                      └▶ gone? ─▶ forgotten                                                              */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "flow/event_time.h"
#include "window/session_merger.h"

/* --- records ------------------------------------------------------------------------------------------------------------ */

/* Ids have milliseconds. */
static bool is_same_id(int64_t a_us, int64_t b_us)
{
    return event_time_floor(a_us, 1000) == event_time_floor(b_us, 1000);
}

void session_merge_away(struct session_merger *merger, uint32_t index, int64_t into_start_us)
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
            merger->rows = session_push_index(merger->rows, &merger->row_count, &merger->row_capacity, i);
    }
    session.count = merger->row_count;
    const struct session_hull *hull = &session.hull;
    bool is_held = session_is_held(merger, anchor, hull);
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
        session_merge_away(merger, merger->rows[part->first + i], part->start_us);
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
    bool was_closed = true, is_changed = false, has_new = false;
    for (uint32_t i = 0; i < part->count; i++) {
        const struct session_span *span = session_span_at(pane, merger->rows[part->first + i]);
        was_closed = was_closed && span->is_closed;
        has_new = has_new || span->is_changed;
        is_changed = is_changed || span->is_changed || span->is_part_shown != part->is_cut;
    }
    if (!is_closed && part->closes_us != TIME_MAX)
        note_due(merger, part->closes_us);
    /* After a restart: its final record, which may have gone out, is not what it is now. */
    if (merger->is_silent && is_closed && has_new) {
        set_shown(merger, part, 0, 0);
        return;
    }
    /* What is cut for all partitions together can be whole for one: on-time events of it may come when the part has been closed. And
     * what was shown as a whole can be joined to more and be cut then. */
    bool is_again = is_closed && part->is_cut && is_changed;
    if (is_closed == was_closed && !is_again)
        return;
    for (uint32_t i = 0; i < part->count; i++) {
        struct session_span *span = session_span_at(pane, merger->rows[part->first + i]);
        session_set_closed(merger, span, is_closed);
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
        session_set_closed(merger, span, true);
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
        session_merger_free(merger, merger->rows[part->first + i]);
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
    int64_t gone_us = session_part_gone_at(merger, part->is_cut, part->session_closes_us, part->cell_end_us);
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

void session_settle_key(struct session_merger *merger, uint32_t anchor)
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

void session_show_early(struct session_merger *merger, uint32_t anchor)
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
