/* Sessions of many keys, as the operator and the merger of session windows hold them.
 *
 *   pane->slots ─▶ anchor row of a key ─ next ─▶ row ─ next ─▶ row          one row per session (and layer) of the key
 *                  [ header | key | span | states ]
 *   timers: what is to be done with a row, and when
 *
 * All rows are in one pane, so kernels run over rows of any key at once. The anchor is the row that the table finds; it may be
 * vacant. Rows that are free stay where they are until a compaction copies what is in use to a new pane, which also gives back the text of
 * keys that have gone. Rows move when rows are added: between calls they are known by index.
 *
 * What links sessions. An event at t with the watermark w of its partition before it covers [t, t + gap). A session whose end is at or
 * before w - allowed_lateness is gone for it, so for others it covers [link, t + gap), link = max(t, w - lateness + 1 us).
 * Sessions that touch by these intervals are one. That follows from each partition's log alone, and neither from the order in which partial sessions
 * meet nor from what somebody has forgotten by then.
 *
 * What max_duration cuts. Its multiples since the epoch divide time into cells, and a row never goes over a border: a session that does
 * has a row on each side, which touch. A session that turns out to be longer than max_duration is cut at all borders
 * within it; one that is not is put together again. So where it is cut follows from its events, in whatever order they came.
 *
 *       cell             cell             cell
 *   ├────────────────┼────────────────┼────────────────┤
 *        [ row ──────][── row ]                              shorter than max_duration: one session
 *        [ row ──────][────── row ─────][── row ]            longer: three                                               */
#pragma once

#include <stddef.h>

#include "window/session_timers.h"
#include "window/window_internal.h"

enum {
    SESSION_CHAIN_MAX = 1024, /* sessions of one key that are held in one place; then the oldest go */
    SESSION_DUE_MAX = 64,     /* timers that are taken at once, so that the misses of their rows overlap */
    SESSION_TABLE_SLACK_ROWS = 1024, /* free rows that are never worth a compaction */
};

enum session_layer {
    SESSION_ON_TIME,
    SESSION_LATE,
    SESSION_DROPPED, /* travels only: counts events that were not taken */
    SESSION_HOLD, /* a partition has an open session of the key that begins at link_us; nothing else is set */
};

/* At the end of each row, at layout->span_offset; what nearly every event reads comes first. Fields of the operator's rows and of rows
 * on their way, and those of the merger's rows, which are never both of use. */
struct session_span {
    int64_t start_us, end_us; /* earliest event; latest event + gap */
    int64_t link_end_us;      /* with link_us: what it covers for others; nothing when link_us is larger */
    int64_t cell_end_us;
    uint32_t newest;        /* of an anchor: index + 1 of the on-time session that begins last; 0 = none */
    uint8_t layer;          /* enum session_layer */
    uint8_t cause;          /* merger: enum close_cause */
    bool is_used : 1;       /* else the row is free, or a vacant anchor */
    bool is_replay : 1;     /* operator: of events from before the restart only */
    bool is_delivered : 1;  /* operator: a part of it has gone to the merger */
    bool is_closed : 1;     /* merger: its final record has gone out */
    bool is_changed : 1;    /* merger: since its last record */
    bool is_part_shown : 1; /* merger: its final record was that of a part */
    bool is_settled : 1;    /* merger: scratch */
    bool is_early : 1;      /* merger: in the list of early results */
    /* Its session is longer than max_duration, though what is left of it may not be: that of on-time events; that with late ones. */
    bool is_cut : 1;
    bool is_late_cut : 1;

    int64_t link_us;
    int64_t due_us;        /* of its timer; TIME_NONE = none */
    uint32_t anchor, next; /* indices + 1; anchor 0 = it is one itself */
    uint32_t chain_count;  /* of an anchor: rows in use */
    uint32_t partition;    /* operator; holds */
    union {
        struct {
            int64_t
                hold_us; /* the hold that was sent; on the way: see session_operator.c; TIME_NONE = none */
            int64_t first_offset,
                first_watermark_us; /* first event in the row, and the watermark before it */
        };
        struct {
            int64_t shown_us; /* the start with which its last record went out; TIME_NONE = none did */
            int64_t shown_end_us;
            uint64_t shown_events;
            uint32_t shown_revision;
            uint32_t origins;             /* list; 0 = empty */
            int64_t closing_watermark_us; /* of its receipt */
            uint64_t dropped;             /* events not taken */
            uint64_t carried;             /* late events of parts of the session that are not held any more */
        };
    };
};
#define SESSION_SPAN_HOT_SIZE offsetof(struct session_span, link_us)

struct session_table {
    struct pane_pool *pool;
    struct pane *pane;    /* NULL until a key comes */
    struct pane *scratch; /* a row on its way to another row of the same pane */
    struct session_timers timers;
    struct session_timer
        due[SESSION_DUE_MAX]; /* timers that have been taken, and whose rows are being fetched */
    uint32_t due_count, next_due;
    uint32_t used_count; /* rows in use */
    size_t text_floor;   /* bytes of text after the last compaction */
};

static inline struct session_span *session_span(const struct pane *pane, const struct pane_row *row)
{
    return (struct session_span *)(void *)((const char *)row + pane->layout->span_offset);
}

static inline struct session_span *session_span_at(const struct pane *pane, uint32_t index)
{
    return session_span(pane, pane_row_at(pane, index));
}

static inline uint32_t session_row_index(const struct pane *pane, const char *row)
{
    return (uint32_t)((size_t)(row - pane->rows) / pane->layout->row_size);
}

static inline uint32_t session_anchor(const struct pane *pane, uint32_t index)
{
    uint32_t anchor = session_span_at(pane, index)->anchor;
    return anchor ? anchor - 1 : index;
}

/* Next row of a key; start with its anchor. UINT32_MAX after the last. */
static inline uint32_t session_next(const struct pane *pane, uint32_t index)
{
    return session_span_at(pane, index)->next - 1;
}
#define FOR_EACH_SESSION(pane, anchor, index) \
    for (uint32_t index = (anchor); index != UINT32_MAX; index = session_next(pane, index))

/* How far the sessions that touch something reach; begin with what touches. */
struct session_hull {
    int64_t start_us, end_us, link_us, link_end_us;
    bool is_cut;
};
/* Where the cell of an event ends. */
static inline int64_t session_cell_end(const struct window_spec *spec, int64_t time_us)
{
    int64_t duration_us = spec->max_duration_us;
    int64_t remainder = time_us % duration_us;
    return time_us - remainder + (remainder < 0 ? 0 : duration_us);
}
static inline struct session_hull session_hull_of(const struct session_span *span, bool with_late)
{
    bool is_cut = span->is_cut || (with_late && span->is_late_cut);
    return (struct session_hull){span->start_us, span->end_us, span->link_us, span->link_end_us, is_cut};
}
static inline void session_hull_add(struct session_hull *hull, const struct session_hull *other)
{
    hull->start_us = other->start_us < hull->start_us ? other->start_us : hull->start_us;
    hull->end_us = other->end_us > hull->end_us ? other->end_us : hull->end_us;
    hull->link_us = other->link_us < hull->link_us ? other->link_us : hull->link_us;
    hull->link_end_us = other->link_end_us > hull->link_end_us ? other->link_end_us : hull->link_end_us;
    hull->is_cut = hull->is_cut || other->is_cut;
}
/* Of the rows of a key, those in use of one layer or of both that the hull touches. */
static inline bool session_is_in(const struct session_span *span, const struct session_hull *hull,
                                 bool with_late)
{
    return span->is_used && (span->layer == SESSION_ON_TIME || (with_late && span->layer == SESSION_LATE)) &&
           span->link_us <= hull->link_end_us && span->link_end_us >= hull->link_us;
}
static inline bool session_is_cut(const struct window_spec *spec, const struct session_hull *hull)
{
    return hull->is_cut || hull->end_us - hull->start_us > spec->max_duration_us;
}
/* Widens the hull to all rows of the key that are in one session with what it is: on-time rows, or late ones too. */
void session_hull_widen(struct session_hull *hull, const struct pane *pane, uint32_t anchor, bool with_late);
/* A part of its session goes: what is left remembers when that is cut. */
void session_remember_cut(const struct pane *pane, uint32_t index);
/* When the part of a session that lies in the cell ends. */
static inline int64_t session_part_end(const struct window_spec *spec, const struct session_hull *hull,
                                       int64_t cell_end_us)
{
    return session_is_cut(spec, hull) && cell_end_us < hull->end_us ? cell_end_us : hull->end_us;
}

void session_table_init(struct session_table *table, struct pane_pool *pool);
void session_table_deinit(struct session_table *table);
/* The table's pane, made if there is none. */
struct pane *session_table_pane(struct session_table *table);

/* A row in use for the key of the anchor: no events, no timer, times unset. May move rows. */
uint32_t session_table_add(struct session_table *table, uint32_t anchor);
/* The row is free. What is in it stays readable until a row is added. */
void session_table_free(struct session_table *table, uint32_t index);
/* The starts of the key's sessions have changed: which on-time one begins last is to be found again. */
void session_table_find_newest(struct session_table *table, uint32_t anchor);
/* Adds the states and counts of row `from` to row `into`; spans are the caller's. */
void session_table_join(struct session_table *table, uint32_t into, uint32_t from);

/* Replaces the timer of the row. */
void session_table_set_timer(struct session_table *table, uint32_t index, int64_t due_us);
/* The next row whose timer is due at watermark_us; the timer is gone then. */
bool session_table_pop(struct session_table *table, int64_t watermark_us, uint32_t *index);

/* Copies what is in use when enough is not. Rows get other indices. */
void session_table_compact(struct session_table *table);
size_t session_table_memory_size(const struct session_table *table);
