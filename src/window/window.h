/* Event-time windows in two halves. A `window_operator` per shard and pipeline puts rows into panes (slices of time), column
 * by column; what is complete travels as a `pane` to the pipeline's `window_merger`, which merges panes of all
 * shards by key, closes windows by the pipeline watermark, keeps them for the allowed lateness and emits results.
 *
 *   shard 0: operator ── panes ──┐
 *   shard 1: operator ── panes ──┴─▶ merger ── result_block ─▶ sinks, hub
 *
 * What makes results independent of shards, batches and interleaving: an event is on time or late by its own
 * partition's watermark alone; on-time and late events of a window travel in different panes; the `final` record (revision 0)
 * holds exactly the on-time events of all partitions; late ones follow as `update`, revision = late events accepted. */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "flow/batch.h"
#include "flow/result.h"
#include "flow/watermark.h"

enum window_kind { WINDOW_TUMBLING, WINDOW_SLIDING, WINDOW_SESSION, WINDOW_GLOBAL };

enum window_late { WINDOW_LATE_UPDATE, WINDOW_LATE_DROP, WINDOW_LATE_DLQ };

struct aggregate_kind; /* see window_internal.h: one file per aggregate */

/* One aggregate of a pipeline. */
struct window_aggregate {
    const struct aggregate_kind *kind;
    int32_t input;    /* index of its input among window_rows.inputs, -1 for count() */
    double parameter; /* of kinds that have one: p of percentile(x, p) */
};

/* Finds "sum", "count", ... ; NULL when there is none, or when it takes another number of arguments; `error` says which. */
const struct aggregate_kind *aggregate_kind_find(struct slice name, uint32_t argument_count,
                                                 struct error *error);

/* The constant that is the last argument of percentile() and top(). False for a kind that has one when the text is no number in
 * its range; `error` says what it should be. */
NODISCARD
bool aggregate_kind_read_parameter(const struct aggregate_kind *kind, struct slice text, double *parameter,
                                   struct error *error);

/* True for sum, mean, min, max, ...: a statically typed input that is no number is a configuration error. */
bool aggregate_kind_wants_number(const struct aggregate_kind *kind);

/* The longest session there is: one that nobody limits is cut at multiples of this, about 27 years. */
#define SESSION_DURATION_MAX_US (INT64_C(10000) * 24 * 3600 * 1000000)

struct window_spec {
    const struct result_shape *shape; /* names; key_count */
    enum window_kind kind;
    int64_t size_us, offset_us;      /* tumbling, sliding */
    int64_t slide_us;                /* sliding */
    int64_t gap_us, max_duration_us; /* session; the second at most SESSION_DURATION_MAX_US */
    int64_t allowed_lateness_us;
    enum window_late late;
    uint64_t emit_count;    /* early result of a key after every so many of its events; 0 = off */
    int64_t emit_every_us;  /* early results by wall clock; 0 = off */
    int64_t close_after_us; /* 0 = off */
    bool emit_empty;        /* final records of known keys in windows without events of theirs; tumbling */
    uint64_t key_limit;     /* keys in open windows; beyond: the overflow group */
    struct window_aggregate aggregates[RESULT_MAX_AGGREGATES];
    uint32_t aggregate_count;
    uint32_t input_count;
    uint32_t partition_count; /* of all sources of the pipeline together */
    uint64_t hash_seed;
};

/* How long events are needed behind the end of their window and its lateness. */
int64_t window_memory_us(bool emit_empty, int64_t size_us);

/* Integral doubles are integers and what is not finite is null: the kind that a key of this kind has, its value changed with it. */
uint8_t pane_key_canonical(uint8_t kind, union value *value);

/* Rows of one batch for one pipeline. `partition` is an index over all partitions of the pipeline's sources. */
struct window_rows {
    const struct batch *batch;
    const uint32_t *rows; /* ascending, those that passed `where` */
    uint32_t row_count;
    const int64_t *watermarks_us; /* [batch->row_count] the partition's watermark just before each row */
    int64_t watermark_after_us;   /* the partition's watermark after the batch */
    const struct column *keys;    /* [key_count] over all rows of the batch */
    const struct column *inputs;  /* [input_count] */
    uint32_t partition;
};

struct window_counts {
    uint64_t used, too_late, late_accepted, type_errors, overflow_events;
    uint64_t uncovered; /* in no window, since those do not meet */
};

struct window_operator;
struct pane; /* a slice of time with keys and accumulators; one owner; freed by whoever ends up with it */

struct window_operator *window_operator_create(const struct window_spec *spec);
void window_operator_destroy(struct window_operator *op);

/* Adds the rows. `too_late` receives the indices of rows that were too late (room for row_count); *too_late_count
 * how many. counts is added to. Thread: the shard. */
void window_operator_add(struct window_operator *op, const struct window_rows *rows,
                         struct window_counts *counts, uint32_t *too_late, uint32_t *too_late_count);

/* Hands out what can go to the merger: on-time panes whose end <= watermark_us (the smallest watermark over this shard's
 * partitions; TIME_MAX at the end of input), all late panes, and, with `flush_open`, what open panes have gathered since the last flush
 * (early results, close_after, shutdown). Call until it returns NULL; the order is the order to merge in. */
struct pane *window_operator_take(struct window_operator *op, int64_t watermark_us, bool flush_open);

/* Smallest offset (and the partition's watermark before it) per partition that still sits in a pane of the
 * operator; INT64_MAX when none. For the recovery position B. */
int64_t window_operator_oldest_offset(const struct window_operator *op, uint32_t partition,
                                      int64_t *watermark_us);

/* During recovery: rows of windows that end (with lateness) at or before this were dealt with in an earlier life and are ignored. */
void window_operator_set_horizon(struct window_operator *op, int64_t closed_through_us);

void pane_destroy(struct pane *pane);
size_t pane_memory_size(const struct pane *pane);

struct window_merger;

/* Called with full or last blocks; takes the reference. Records of a window come together, in no order of keys. */
typedef void (*window_emit)(void *context, struct result_block *block);

struct window_merger *window_merger_create(const struct window_spec *spec, window_emit emit, void *context);
void window_merger_destroy(struct window_merger *merger);

/* Merges a pane and owns it from now on. Late panes for a window that is gone are counted in merger counters as gone.
 * `is_replay`: rebuild state without emitting for windows at or below the recovered watermark. */
void window_merger_add(struct window_merger *merger, struct pane *pane, int64_t arrival_us);

/* The pipeline watermark has reached watermark_us: closes windows (by end; finals, then the updates of late events), emits pending updates, forgets windows
 * past their lateness. `cause` is noted in the receipts of windows that close now. `crossing` receipts: the watermark of a final
 * is min over partitions of the first watermark that reached the end, which panes carry; `watermark_us` where none does. */
void window_merger_advance(struct window_merger *merger, int64_t watermark_us, enum close_cause cause,
                           const struct clock *clock);
/* Early results of keys that changed since the last call (emit.every), wall-clock closes (close_after). Returns the monotonic time
 * of the next call, INT64_MAX for none. */
int64_t window_merger_tick(struct window_merger *merger, const struct clock *clock);

/* Forgets all windows and the watermark, as when the pipeline is taken up anew from earlier positions; counters go on. */
void window_merger_reset(struct window_merger *merger);

/* After a restart: windows ending at or before this had been closed already; replayed panes for them are merged silently. */
void window_merger_recover(struct window_merger *merger, int64_t closed_through_us);
/* Replay is over: silence ends. */
void window_merger_go_live(struct window_merger *merger);

/* As window_operator_oldest_offset, over all windows still held. */
int64_t window_merger_oldest_offset(const struct window_merger *merger, uint32_t partition,
                                    int64_t *watermark_us);

/* The last state of every window that is still open or held, as result blocks ordered by window start and key; for replay's
 * --keep-open nothing is closed by it. */
struct window_merger_stats {
    uint64_t open_windows, held_windows, keys, gone_events, results, memory_size, overflow_events;
    int64_t closed_through_us; /* the watermark up to which windows were closed; TIME_NONE before the first */
    int64_t next_change_us;    /* no watermark before it closes a window; 0: not known */
};
struct window_merger_stats window_merger_stats(const struct window_merger *merger);

/* Upper bound in bytes for one key in one window of this pipeline, or in all sliding windows together (weir check): all of it, and the
 * part of that which only keys with many different values come to need. */
size_t window_key_memory_bound(const struct window_spec *spec);
size_t window_key_sketch_bound(const struct window_spec *spec);

/* Orders keys: by position; null < bool < number < string < JSON; numbers by value, strings by bytes. */
int result_key_compare(const struct result_block *a, uint32_t row_a, const struct result_block *b,
                       uint32_t row_b);
