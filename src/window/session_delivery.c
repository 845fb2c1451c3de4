/* What a shard sends to the merger of session windows, and when: see session_operator.c. */
#include "window/session_operator.h"

enum { OUT_TEXT_SIZE = 64 * 1024 * 1024 }; /* of what is taken at once */

/* What the merger is to hold for this partition and key when the row's own hold is over. */
static int64_t next_hold(const struct pane *pane, uint32_t index)
{
    int64_t hold_us = TIME_MAX;
    FOR_EACH_SESSION (pane, session_anchor(pane, index), i) {
        const struct session_span *span = session_span_at(pane, i);
        if (i != index && span->is_used && span->hold_us != TIME_NONE && span->hold_us < hold_us)
            hold_us = span->hold_us;
    }
    return hold_us;
}

static struct session_span *append_out(struct session_operator *op, uint32_t partition, uint32_t index)
{
    const struct pane *pane = op->partitions[partition].table.pane;
    struct pane *out = session_out(op);
    struct pane_row *row = pane_append_row(out, pane, pane_row_at(pane, index));
    struct session_span *span = session_span(out, row);
    *span = *session_span_at(pane, index);
    span->partition = partition;
    span->hold_us = TIME_NONE;
    return span;
}

/* What the row has gathered goes; the row stays as an interval. */
static void deliver(struct session_operator *op, uint32_t partition, uint32_t index, bool is_complete)
{
    struct partition_sessions *sessions = &op->partitions[partition];
    struct pane *pane = sessions->table.pane;
    struct session_span *span = session_span_at(pane, index), *sent = append_out(op, partition, index);
    struct pane_row *row = pane_row_at(pane, index);
    char *into = (char *)pane_row_at(op->out, op->out->row_count - 1);
    const char *from = (const char *)row;
    pane_merge_rows(op->out, &into, pane, &from, 1);
    if (is_complete && span->hold_us != TIME_NONE) {
        sent->hold_us = next_hold(pane, index);
        span->hold_us = TIME_NONE;
    }
    origin_ledger_remove(&sessions->origins, span->first_offset);
    pane_reset_states(pane, row);
    row->event_count = 0;
    row->type_errors = 0;
    span->is_delivered = 1;
}

/* hold_us: of the row; TIME_MAX = it has none any more. */
static void send_hold(struct session_operator *op, uint32_t partition, uint32_t index, int64_t hold_us)
{
    const struct pane *pane = op->partitions[partition].table.pane;
    struct session_span *sent = append_out(op, partition, index);
    int64_t others_us = next_hold(pane, index);
    sent->layer = SESSION_HOLD;
    sent->hold_us = others_us < hold_us ? others_us : hold_us;
    session_span_at(pane, index)->hold_us = hold_us == TIME_MAX ? TIME_NONE : hold_us;
}

/* A row without events is kept while its session may still be asked for. */
static void keep_or_free(struct session_operator *op, struct session_table *table, uint32_t index,
                         int64_t watermark_us)
{
    const struct session_span *span = session_span_at(table->pane, index);
    uint32_t anchor = session_anchor(table->pane, index);
    struct session_hull hull = session_hull_of(span, true);
    session_hull_widen(&hull, table->pane, anchor, true);
    int64_t gone_at_us = hull.end_us;
    /* Of a session that is cut what can still be touched by an event that is not gone by itself. */
    if (session_is_cut(op->spec, &hull) && span->end_us + op->spec->gap_us < hull.end_us)
        gone_at_us = span->end_us + op->spec->gap_us;
    gone_at_us = gone_at_us > TIME_MAX - op->spec->allowed_lateness_us
                     ? TIME_MAX
                     : gone_at_us + op->spec->allowed_lateness_us;
    if (gone_at_us > watermark_us) {
        session_table_set_timer(table, index, gone_at_us);
        return;
    }
    session_remember_cut(table->pane, index);
    session_table_free(table, index);
}

/* Holds go before what they hold: the merger might close it, or find that its session has gone. */
static void hold_others(struct session_operator *op, uint32_t partition, uint32_t index, int64_t watermark_us)
{
    const struct pane *pane = op->partitions[partition].table.pane;
    FOR_EACH_SESSION (pane, session_anchor(pane, index), i) {
        const struct session_span *span = session_span_at(pane, i);
        bool is_open = span->is_used && span->layer == SESSION_ON_TIME &&
                       (session_closes_at(span) > watermark_us || pane_row_at(pane, i)->event_count > 0);
        if (i != index && is_open && !session_is_announced(span))
            send_hold(op, partition, i, span->link_us);
    }
}

static void handle_due(struct session_operator *op, uint32_t partition, uint32_t index, int64_t watermark_us)
{
    struct session_table *table = &op->partitions[partition].table;
    const struct session_span *span = session_span_at(table->pane, index);
    if (span->layer == SESSION_ON_TIME && session_closes_at(span) > watermark_us) {
        if (session_needs_hold(op, table->pane, index) && !session_is_announced(span))
            send_hold(op, partition, index, span->link_us);
        session_table_set_timer(table, index, session_closes_at(span));
        return;
    }
    hold_others(op, partition, index, watermark_us);
    if (pane_row_at(table->pane, index)->event_count > 0)
        deliver(op, partition, index, true);
    else if (span->hold_us != TIME_NONE)
        send_hold(op, partition, index, TIME_MAX);
    keep_or_free(op, table, index, watermark_us);
}

/* Rows that are open: what they have so far. */
static void flush_rows(struct session_operator *op, uint32_t partition)
{
    const struct pane *pane = op->partitions[partition].table.pane;
    for (uint32_t i = 0; i < pane->row_count; i++) {
        if (session_span_at(pane, i)->is_used && pane_row_at(pane, i)->event_count > 0)
            deliver(op, partition, i, false);
    }
}

/* Then the rest waits for the next call. */
static bool is_full(const struct session_operator *op)
{
    return op->out && op->out->text.size > OUT_TEXT_SIZE;
}

struct pane *session_take(struct window_operator *base, int64_t watermark_us, bool flush_open)
{
    struct session_operator *op = (struct session_operator *)base;
    int64_t due_us = watermark_us > SESSION_DUE_AT_ONCE ? watermark_us : SESSION_DUE_AT_ONCE;
    for (uint32_t p = 0; p < op->spec->partition_count; p++) {
        struct session_table *table = &op->partitions[p].table;
        if (!table->pane)
            continue;
        for (uint32_t index; !is_full(op) && session_table_pop(table, due_us, &index);)
            handle_due(op, p, index, watermark_us);
        if (flush_open && !is_full(op))
            flush_rows(op, p);
        session_table_compact(table);
    }
    struct pane *out = op->out;
    op->out = NULL;
    return out;
}
