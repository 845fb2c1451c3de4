/* What the engine's threads share, and what each owns. Only pipeline/*.c includes this.
 *
 *   shard ──shard_update──▶ merger ──outlet_item──▶ outlets (store, file, console, ...)
 *                                  └─result_block──▶ hub input 0      shards ──event_block──▶ hub inputs 1..
 *
 * The merger is the only producer of every outlet. So a mark that it sends after a block is behind the block
 * everywhere, and "all effects of the offsets before P" is simply what it sent before the mark. */
#pragma once

#include "base/thread.h"
#include "flow/sink.h"
#include "flow/source.h"
#include "pipeline/engine.h"
#include "pipeline/ingest.h"
#include "pipeline/processor.h"
#include "store/store.h"

enum {
    SHARD_RING_UPDATES = 64,          /* updates between a shard and the merger; then the shard waits: back-pressure */
    OUTLET_RING_ITEMS = 256,          /* blocks between the merger and a sink; then the merger waits */
    OUTLET_COMMIT_BLOCKS = 64,        /* blocks of one store transaction */
    MARK_INTERVAL_US = 100 * 1000,    /* between progress marks */
    SOURCE_RETRY_US = 500 * 1000,     /* after a source reported an error */
    SINK_RETRY_US = 250 * 1000,       /* after a sink reported an error */
    WAIT_STEP_US = 100 * 1000,        /* a waiting producer looks this often whether it should give up */
    MINUTE_SLOTS = 6,                 /* the last minute of the latency ledger, in steps of ten seconds */
    RETENTION_INTERVAL_US = 60 * 1000 * 1000,
};

/* One partition of one source. Owned by its shard, but for the atomics. */
struct engine_partition {
    struct partition_state state;
    struct source_reader *reader;
    struct batch *held;            /* realtime files: the record that is not yet due; else NULL */
    int64_t realtime_origin_us;    /* monotonic clock minus event time of the first record */
    int64_t next_read_us;          /* monotonic; no use in looking earlier */
    int64_t replay_until;          /* offsets below were dealt with in an earlier life */
    int64_t expected_max_time_us;  /* largest event time at replay_until, as recorded */
    bool is_resumable;             /* its log is still there after a restart */
    bool has_error;
    _Atomic int64_t durable_base;  /* B of the last committed mark; release by the store, acquire by the shard */
    int64_t released_base;
};

/* How far a shard's partitions of one pipeline have come. */
struct pipeline_clock {
    int64_t active_us;  /* smallest watermark of partitions that are neither idle nor ended; TIME_MAX when there are none */
    int64_t all_us;     /* the same with the idle ones */
    int64_t ahead_us;   /* largest watermark of any partition, TIME_NONE when none has seen an event ... */
    int64_t ahead_seen_us; /* ... and the monotonic clock when its event arrived */
    bool has_partitions;
};

struct partition_position {
    uint32_t source_index, partition;
    int64_t position;              /* P */
    int64_t position_max_time_us;
    int64_t base;                  /* B, as far as the operators know; INT64_MAX = they hold nothing */
    int64_t base_watermark_us;
};

struct update_pane {
    uint32_t pipeline_index;
    struct pane *pane;
};

/* What one turn of a shard's loop has for the merger. */
struct shard_update {
    uint32_t shard_index;
    int64_t arrival_us; /* newest event behind the panes */
    struct update_pane *panes;
    uint32_t pane_count, pane_capacity;
    struct pipeline_clock *clocks; /* [pipeline_count] */
    struct partition_position *positions; /* the shard's partitions */
    uint32_t position_count;
    struct dead_letter_block *dead_letters;
    bool is_live;  /* the shard has caught up with what was durable before the start */
    bool is_ended; /* every partition has ended */
    bool is_last;  /* the shard has stopped */
};

/* The counters of a shard as others see them: copied after each turn, under the lock, so that sums hold. */
struct shard_published {
    pthread_mutex_t lock;
    struct source_counts *sources;
    struct pipeline_counts *pipelines;
    struct partition_stats *partitions; /* in the order of shard->partitions */
};

struct shard {
    struct engine *engine;
    uint32_t index;
    pthread_t thread;
    struct waker waker;
    struct ring updates;
    struct processor processor;
    struct batch *batch;
    struct engine_partition **partitions;
    uint32_t partition_count;
    uint32_t first_in_turn; /* partitions take turns in being first */
    int64_t next_flush_us;  /* open panes are flushed then, for pipelines that show early results */
    bool was_live;
    struct histogram decode_latency, window_latency;
    struct shard_published published;
    struct hub_input hub_input; /* events only */
};

/* A point in the stream of blocks at which everything caused by the offsets before each position has been sent. */
struct progress_mark {
    uint64_t epoch;
    struct partition_position *positions; /* of all resumable partitions */
    uint32_t position_count;
    int64_t *closed_through_us; /* [pipeline_count] */
};

enum outlet_item_kind { OUTLET_RESULTS, OUTLET_DEAD_LETTERS, OUTLET_MARK, OUTLET_STOP };

struct outlet_item {
    enum outlet_item_kind kind;
    union {
        struct result_block *results;
        struct dead_letter_block *dead_letters;
        struct progress_mark *mark;
    };
};

/* A thread that writes to one sink, or to the store. */
struct outlet {
    struct engine *engine;
    const char *name;
    char health_name[HEALTH_NAME_SIZE];
    struct sink *sink; /* NULL: this is the store's */
    bool takes_json;
    pthread_t thread;
    struct waker waker;
    struct ring items;
    _Atomic uint64_t durable_epoch; /* release after the flush; acquire by the store's outlet */
    bool *pipelines;                /* [pipeline_count] which it is meant for */
};

struct merger {
    struct engine *engine;
    pthread_t thread;
    struct waker waker;
    struct window_merger **windows;      /* [pipeline_count] */
    struct shard_update **latest;        /* [shard_count] without panes: clocks and positions of the newest update */
    uint64_t next_sequence, epoch;
    int64_t next_mark_us;
    bool is_changed;  /* since the last mark */
    bool is_live;
    int64_t arrival_us; /* of what is being merged */
    uint32_t emitting_pipeline;
    struct histogram latency;
    pthread_mutex_t lock;                /* guards published */
    struct window_merger_stats *published; /* [pipeline_count] */
    struct hub_input hub_input;
};

struct engine {
    const struct config *config;
    struct plan *plan;
    struct health *health;
    const struct clock *clock;
    struct waker *io_waker;
    uint64_t boot_id;
    int64_t started_us;

    struct event_log *log; /* NULL without http sources */
    struct ingest *ingest;
    struct store *store;

    struct engine_partition *partitions; /* of all sources, by source then partition */
    uint32_t partition_count;
    struct shard *shards;
    uint32_t shard_count;
    struct merger merger;
    struct outlet *outlets; /* the store's is the first, when there is one */
    uint32_t outlet_count;
    struct hub_input **hub_inputs; /* merger's, then each shard's */

    atomic_bool *wants_events; /* [source_count] relaxed: a turn more or less does not matter */
    atomic_bool should_stop;   /* release by engine_stop, acquire by shards */
    atomic_bool should_abandon; /* the deadline has passed: nobody waits for room any more */
    atomic_bool is_finished;   /* files have ended and are durable; release by the merger's last outlet */
    _Atomic uint64_t finished_epoch; /* epoch whose mark covers the end of all files; 0 = not there yet */

    struct histogram accept_latency, store_latency, socket_latency, end_to_end_latency;
    _Atomic uint64_t dead_letter_count, store_row_count, store_commit_count; /* relaxed statistics */

    pthread_mutex_t ledger_lock;
    struct histogram (*minute_slots)[LATENCY_STAGE_COUNT]; /* [MINUTE_SLOTS] totals as they were */
    int64_t minute_slot_us; /* when the newest was taken */
    uint32_t minute_slot_count, minute_slot_next;
};

/* shard.c */
void shard_init(struct shard *shard, struct engine *engine, uint32_t index);
void shard_deinit(struct shard *shard);
void *shard_main(void *shard);

/* merger.c */
void merger_init(struct merger *merger, struct engine *engine);
void merger_deinit(struct merger *merger);
void *merger_main(void *merger);
void shard_update_destroy(struct shard_update *update);

/* outlet.c */
void outlet_init(struct outlet *outlet, struct engine *engine, const char *name, struct sink *sink);
void outlet_deinit(struct outlet *outlet);
void *outlet_main(void *outlet);
void outlet_item_destroy(struct outlet_item *item);
void progress_mark_destroy(struct progress_mark *mark);

/* store_outlet.c */
void store_outlet_run(struct outlet *outlet);

/* recovery.c: positions, watermarks and horizons as the store knows them. Before the threads start. */
NODISCARD enum status recovery_load(struct engine *engine, struct error *error);

/* engine.c */
/* Waits for room in the ring; false when the engine gives up waiting (then the item is still the caller's). */
NODISCARD bool engine_push(struct engine *engine, struct ring *ring, void *item);
