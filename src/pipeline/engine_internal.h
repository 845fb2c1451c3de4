/* What the engine's threads share, and what each owns. For the engine's own files only.
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
#include "pipeline/chain.h"
#include "pipeline/engine.h"
#include "pipeline/ingest.h"
#include "pipeline/processor.h"
#include "source/kafka_consumer.h"
#include "store/store.h"

enum {
    SHARD_RING_UPDATES = 64, /* updates between a shard and the merger; then the shard waits: back-pressure */
    OUTLET_RING_ITEMS = 256, /* blocks between the merger and a sink; then the merger waits */
    OUTLET_QUEUE_MAX_SIZE =
        64 * 1024 * 1024,      /* bytes of blocks waiting for one sink; then the merger waits */
    OUTLET_COMMIT_BLOCKS = 64, /* blocks of one store transaction */
    OUTLET_MAX_MARKS =
        64, /* marks that wait for other sinks to flush; then the newest replaces its neighbour */
    TURN_MAX_BATCHES = 16, /* batches of one turn of a shard */
    TURN_MAX_OUTPUT_SIZE =
        256 *
        1024, /* bytes of events that go out, of one turn of a shard; the batch that goes beyond is the last */
    UPDATE_INTERVAL_US = 5 * 1000, /* a busy shard tells the merger its clocks at least this often */
    MARK_INTERVAL_US = 100 * 1000, /* between progress marks */
    SOURCE_RETRY_US = 500 * 1000,  /* after a source reported an error */
    SINK_RETRY_US = 250 * 1000,    /* after a sink reported an error */
    WAIT_STEP_US = 20 * 1000,      /* a waiting thread looks this often whether it should give up */
    SHARD_STALL_US =
        3 * 1000 * 1000, /* between two turns of a shard: it was stopped, and the sources were not silent */
    SHARD_SLEEP_MAX_US = 1000 * 1000, /* a shard looks for positions to release at least this often */
    RETENTION_INTERVAL_US = 60 * 1000 * 1000,
};

/* One partition of one source. Owned by its shard, but for the atomics. */
struct engine_partition {
    struct partition_state state;
    /* The partition of the same shard whose reader serves this one: itself, unless they are dealt the lines of one file.
     * Then that is the first of them, the others hang on it by next_sharer, and only its reader, batches and errors count. */
    struct engine_partition *leader, *next_sharer;
    struct kafka_partition kafka; /* topic NULL: not of a kafka source */
    /* NULL: another leads, or a slot of a kafka source that holds no partition at present */
    struct source_reader *reader;
    bool is_overtaken;            /* leader: the reader is past offsets that some sharer still waits for */
    bool is_kafka, is_own;        /* own: assigned to this process; else only its name is known */
    uint32_t shard_index;         /* never changes while there is a reader */
    struct batch *held;           /* realtime files: the batch that is read ahead; else NULL */
    bool holds_batch;             /* it is decoded and not yet due */
    int64_t realtime_origin_us;   /* monotonic clock minus event time of the first record */
    int64_t next_read_us;         /* monotonic; no use in looking earlier */
    int64_t replay_until;         /* offsets below were dealt with in an earlier life */
    int64_t expected_max_time_us; /* largest event time at replay_until, as recorded */
    bool is_resumable;            /* its log is still there after a restart */
    bool has_error;               /* the last read failed; tried again at next_read_us */
    int64_t newest_record_us;     /* own time of the newest record that was read, TIME_NONE; not of kafka */
    bool is_failed;               /* `on_bad: fail` has stopped it for good */
    _Atomic int64_t
        durable_base; /* B of the last committed mark; release by the store, acquire by the shard */
    int64_t released_base;
};

struct partition_position {
    uint32_t source_index, partition;
    const char *topic; /* NULL: not of a kafka source */
    int32_t topic_partition;
    int64_t position; /* P */
    int64_t position_max_time_us;
    int64_t base; /* B, as far as the operators know; INT64_MAX = they hold nothing */
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
    struct output_list outputs;           /* of pipelines without a window, whole with the positions */
    struct pipeline_clock *clocks;        /* [pipeline_count] */
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
    uint32_t partition_count;
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
    int64_t turn_us;        /* when the last turn began */
    uint32_t first_in_turn; /* partitions take turns in being first */
    int64_t next_flush_us;  /* open panes are flushed then, for pipelines that show early results */
    int64_t arrival_us;     /* of the newest event since the merger was last told; 0 = none */
    bool is_untold;         /* something has changed that the merger does not know yet */
    int64_t told_us;
    uint64_t told_state; /* what the merger was told of idle, ended and replayed partitions, as a hash */
    struct histogram decode_latency, window_latency;
    struct shard_published published;
    struct hub_input hub_input; /* events only */
    bool is_resting;            /* under engine->rest.lock */
};

/* A point in the stream of blocks at which everything caused by the offsets before each position has been sent. */
struct progress_mark {
    uint64_t epoch;
    uint64_t run; /* of the memberships together: positions of kafka sources are those of this run */
    struct partition_position *positions; /* of all resumable partitions */
    uint32_t position_count;
    int64_t *closed_through_us; /* [pipeline_count] */
};

enum outlet_item_kind { OUTLET_RESULTS, OUTLET_OUTPUT, OUTLET_DEAD_LETTERS, OUTLET_MARK, OUTLET_STOP };

struct outlet_item {
    enum outlet_item_kind kind;
    uint64_t run; /* 0: nothing that came from a kafka source is in it */
    union {
        struct result_block *results;
        struct output_block *output;
        struct dead_letter_block *dead_letters;
        struct progress_mark *mark;
    };
};

/* One sink of an outlet. */
struct outlet_target {
    struct sink *sink;
    bool *pipelines; /* [pipeline_count] which it is meant for */
};

struct outlet;
struct kafka_dead_letters;

/* A thread that writes to one sink, to all sinks of one transaction, to dead-letter topics, or to the store. */
struct outlet {
    struct engine *engine;
    const char *name;
    char health_name[HEALTH_NAME_SIZE];
    struct outlet_target *targets;
    uint32_t target_count;
    struct kafka_dead_letters *
        *letters; /* [source_count] of the dead letters' outlet; NULL entries: other sources */
    struct membership *membership; /* of a transactional outlet: whose offsets it commits */
    uint64_t written_run;          /* the same: of what it has written since its last commit; 0 = nothing */
    int64_t committed_us;          /* the same: monotonic clock of the last commit */
    /* Deals with one item, for as long as it takes; false when the outlet ends. */
    bool (*handle)(struct outlet *outlet, struct outlet_item *item);
    bool takes_json, is_well;
    pthread_t thread;
    struct waker waker;
    struct ring items;
    _Atomic size_t queued_size;     /* relaxed: of the blocks in the ring */
    _Atomic uint64_t durable_epoch; /* release after the flush; acquire by the store's outlet */
    atomic_bool has_ended;          /* release by its thread, acquire by the store's outlet */
    bool *pipelines;                /* [pipeline_count] which some target is meant for */
};

/* What the engine knows of a pipeline beyond its plan. */
struct engine_pipeline {
    bool
        is_resumable; /* some source of it will be read on after a restart; else its windows close at shutdown */
    int64_t closed_through_us; /* recovered; TIME_NONE */
};

/* Another process whose panes are merged here. */
struct remote_member {
    char instance[17];
    uint64_t sequence;           /* of the last message that was taken */
    _Atomic uint64_t to_be_told; /* the same, for the membership, which acknowledges it; relaxed */
    struct shard_update *coming; /* what was taken and waits for the positions behind it; NULL = nothing */
};

/* What the merger does about the windows that several processes share. Changes only while the merger rests. */
struct merger_share {
    struct membership *membership; /* NULL: no windows are shared */
    struct partials *partials;
    bool is_leader; /* merges what others send; else sends what its shards have */
    int64_t round;
    uint64_t sequence;             /* sender: of the last message */
    _Atomic uint64_t acknowledged; /* sender; release by the membership, acquire by the merger */
    atomic_bool may_go_live;       /* sender: the leader says that all have caught up; the same */
    struct remote_member *members; /* leader: [PARTIALS_MEMBERS_MAX] */
    uint32_t member_count;
    struct buffer message;
};

struct merger {
    struct engine *engine;
    struct merger_share share;
    pthread_t thread;
    struct waker waker;
    struct window_merger **windows; /* [pipeline_count] */
    struct chain *chain;            /* NULL: no pipeline reads another */
    /* [pipeline_count] of pipelines that have a part in the chain: their windows up to this time were dealt with in an earlier life. They are
     * built again and closed without being shown, since records of them may belong to open windows below. TIME_NONE: nothing to do. */
    int64_t *rebuilt_us;
    uint64_t *muted_counts; /* [pipeline_count] results that were not shown for that reason */
    bool is_muted;
    bool is_resting; /* under engine->rest.lock */
    /* [shard_count + PARTIALS_MEMBERS_MAX] without panes: clocks and positions of the newest update of each shard, then of each other
     * member of the group whose panes are merged here. */
    struct shard_update **latest;
    uint32_t latest_count;
    uint64_t next_sequence, epoch;
    uint64_t output_count; /* blocks of events sent on, to number them */
    int64_t next_mark_us, next_publish_us;
    struct progress_mark *last_mark; /* as sent, to see whether anything has changed */
    bool is_live;
    int64_t now_us;     /* of this turn */
    int64_t arrival_us; /* newest event behind what this turn emits; 0 = it is the clock's doing */
    struct histogram latency;
    pthread_mutex_t lock;                  /* guards published */
    struct window_merger_stats *published; /* [pipeline_count] */
    struct feed_counts *published_chain;   /* [pipeline_count] of pipelines that read others */
    struct hub_input hub_input;
};

/* Shards, then the merger, lay down their work for a moment, so that another thread may change what they own: which partitions
 * there are, and what the windows hold. */
struct engine_rest {
    pthread_mutex_t lock; /* guards the flags of rest, is_resting of shards and merger */
    pthread_cond_t changed;
    pthread_mutex_t owner;                              /* one at a time asks for rest */
    atomic_bool shards_should_rest, merger_should_rest; /* release by the asker, acquire by those who rest */
};

struct membership;

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
    uint32_t *first_partitions;        /* [source_count] index of partition 0 of the source */
    struct engine_pipeline *pipelines; /* [plan->pipeline_count] */
    int64_t flush_interval_us; /* between flushes of open panes; INT64_MAX = nobody asks for early results */
    const char **source_names, **pipeline_names; /* by index */
    struct shard *shards;
    uint32_t shard_count;
    struct merger merger;
    struct outlet *outlets; /* the store's is the first, when there is one */
    uint32_t outlet_count;
    struct hub_input **hub_inputs; /* merger's, then each shard's */

    atomic_bool *wants_events; /* [source_count] relaxed: a turn more or less does not matter */
    atomic_bool
        is_live; /* everything durable has been rebuilt; release by the merger, acquire by whoever asks */
    /* Partitions that have reached what was durable wait there until all have: then windows hold exactly what they held, and
     * nothing that was shown is shown again. Release by the merger and who sets it, acquire by the shards. */
    atomic_bool is_replaying;
    atomic_bool should_stop;    /* release by engine_stop, acquire by shards */
    atomic_bool should_abandon; /* the deadline has passed: nobody waits for room any more */

    struct histogram accept_latency, store_latency, socket_latency, end_to_end_latency;
    struct histogram stored_latency; /* end to end, to the store: stands in while nobody listens */
    _Atomic uint64_t dead_letter_count, store_row_count, store_commit_count; /* relaxed statistics */

    struct ledger *ledger;

    struct engine_rest rest;
    char instance
        [17]; /* names this data_dir for good; among the members of a group and in transactional ids */
    struct kafka_transactions *transactions; /* what transactional sinks share; NULL = there are none */
    _Atomic uint64_t
        stored_epoch; /* rows before this mark are in the store; release by its outlet, acquire by others */
    struct outlet *letter_outlet; /* NULL: no dead-letter topic */
    bool has_transactional_sink;  /* which commits the offsets with its results */
    pthread_mutex_t failure_lock;
    struct error failure;            /* why the engine cannot go on; empty while it can */
    struct membership **memberships; /* one for each consumer group that this process is a member of */
    uint32_t membership_count;
    struct membership **pipeline_memberships; /* [pipeline_count] whose partitions feed it; NULL = none's */
    _Atomic uint64_t run; /* counts the times that partitions of kafka sources were taken up; relaxed */
    _Atomic uint64_t
        dropped_run; /* what came of this run and earlier ones is not to be written any more: another process
                                   * has taken over. Release by the membership, acquire by the outlets. */
    pthread_mutex_t durable_lock;
    struct progress_mark *durable; /* the newest recorded mark, also of an earlier life; NULL = none */
};

/* shard.c */
void shard_init(struct shard *shard, struct engine *engine, uint32_t index);
/* Shares out the partitions that there are. While the shards rest, or before they run. */
void shard_take_partitions(struct shard *shard);
void shard_deinit(struct shard *shard);
void *shard_main(void *shard);

/* shard_read.c */
/* Reads, decodes and applies at most one batch of the partition and of those that share its reader. False: there was none, and partition->next_read_us says when to look again. */
bool shard_read_partition(struct shard *shard, struct engine_partition *partition, int64_t now_us);
/* Tells the reader what will never be asked for again. */
void shard_release_partition(struct engine_partition *partition);
/* Marks the partition idle when its time has come; else returns when that will be. */
int64_t shard_judge_idle(const struct shard *shard, struct engine_partition *partition, int64_t now_us);

/* shard_update.c */
struct shard_update *shard_update_create(struct shard *shard, bool flush_open, bool is_last);
void shard_update_destroy(struct shard_update *update);
/* Takes the pane. */
void shard_update_add_pane(struct shard_update *update, uint32_t pipeline_index, struct pane *pane);

/* merger.c */
void merger_init(struct merger *merger, struct engine *engine);
void merger_deinit(struct merger *merger);
void *merger_main(void *merger);

/* engine_rest.c */
/* Asks all shards and then the merger to rest, and waits until they do: what the shards had has been merged, and the blocks and a mark
 * have been sent. `meanwhile` (or NULL) is called now and then until that is so, for what they may be waiting for. False: the engine stops;
 * nothing rests and nothing is to be ended. */
bool engine_rest_begin(struct engine *engine, void (*meanwhile)(void *context), void *context);
/* Forgets what the merger knows of the shards: they tell it anew. Only while all rest. */
void engine_rest_end(struct engine *engine);
/* A shard or the merger: lies down until it is over. */
void engine_rest_here(struct engine *engine, bool *is_resting, const atomic_bool *should_rest);
/* Empties a pipeline's windows and those of its operators. Only while all rest. */
void engine_reset_pipeline(struct engine *engine, uint32_t pipeline_index);
/* The engine stops: nobody rests any longer. */
void engine_rest_stop(struct engine *engine);
void engine_rest_init(struct engine *engine);
void engine_rest_deinit(struct engine *engine);

/* merger_output.c */
/* Hands the block to every sink of its pipeline; takes it. */
void merger_emit_output(struct merger *merger, struct output_block *block);
/* The same for all that the update has, or sends it to the leader. */
void merger_pass_outputs(struct merger *merger, struct shard_update *update);

/* merger_partials.c: windows that several processes share */
/* Sends the panes of shared pipelines that the update has to the leader, and takes them out of it. */
void merger_send_panes(struct merger *merger, struct shard_update *update);
/* Sends a block of events to the leader, which writes it; takes it. */
void merger_send_output(struct merger *merger, struct output_block *block);
/* Tells the leader how far the shards are, when anything has been sent or has changed. */
void merger_send_update(struct merger *merger);
/* Forgets what members have sent without positions behind it. Before the windows are emptied. */
void merger_forget_coming(struct merger *merger);
/* Merges what other members have sent. True when there was anything. */
bool merger_receive(struct merger *merger);

/* merger.c */
/* The clocks of a pipeline over all shards and members. */
/* merger_chain.c. Windows up to closed_through_us were dealt with in an earlier life. Thread: the merger's, or while it rests. */
void merger_recover_pipeline(struct merger *merger, uint32_t pipeline_index, int64_t closed_through_us);
/* Replay is over: the pipeline's windows go on from here. In plan->order. */
void merger_go_live_pipeline(struct merger *merger, uint32_t pipeline_index);
/* Before its watermark moves to `target_us`, or a clock closes windows. */
void merger_note_bases(struct merger *merger, uint32_t pipeline_index, int64_t target_us);
/* Whether the pipeline reads others or is read. */
bool plan_pipeline_is_chained(const struct plan *plan, uint32_t pipeline_index);
struct pipeline_clock merger_pipeline_clock(const struct merger *merger, uint32_t pipeline_index);
/* A mark behind all that was sent; waits until it is recorded. False when the engine gives up. */
bool merger_make_durable(struct merger *merger);

/* progress.c */
/* The mark for what the merger has done so far. */
struct progress_mark *progress_mark_create(const struct merger *merger);
bool progress_mark_equal(const struct progress_mark *a, const struct progress_mark *b,
                         uint32_t pipeline_count);
void progress_mark_destroy(struct progress_mark *mark);
struct progress_mark *progress_mark_copy(const struct progress_mark *mark, uint32_t pipeline_count);
/* Notes the mark as recorded; takes it. Any thread. */
void engine_set_durable(struct engine *engine, struct progress_mark *mark);
/* A copy, or NULL. Any thread. */
struct progress_mark *engine_durable(struct engine *engine);

/* outlet.c */
void outlet_init(struct outlet *outlet, struct engine *engine, const char *name, const char *health_prefix);
/* Takes the sink. */
void outlet_add_sink(struct outlet *outlet, struct sink *sink, uint32_t sink_index);
/* Tells the sink's trouble, waits, and says whether to try again. */
bool outlet_should_retry(struct outlet *outlet, const struct error *error);
void outlet_is_well(struct outlet *outlet);
/* The pipeline of an item with results or events. */
uint32_t outlet_item_pipeline(const struct outlet_item *item);
/* Writes results or events to a sink, once. */
enum status outlet_write_to(struct sink *sink, const struct outlet_item *item, struct error *error);
void outlet_set_durable(struct outlet *outlet, uint64_t epoch);
void outlet_deinit(struct outlet *outlet);
void *outlet_main(void *outlet);
/* Merger: waits for room; drops the item when the engine gives up. */
void outlet_push(struct outlet *outlet, struct outlet_item *item);
struct outlet_item *outlet_item_create(enum outlet_item_kind kind);
void outlet_item_destroy(struct outlet_item *item);
size_t outlet_item_size(const struct outlet_item *item);
/* It came of partitions that another process has taken over: not to be written. */
bool outlet_item_is_dropped(const struct engine *engine, const struct outlet_item *item);

/* transaction_outlet.c, letter_outlet.c: outlet->handle */
bool transaction_outlet_handle(struct outlet *outlet, struct outlet_item *item);
bool letter_outlet_handle(struct outlet *outlet, struct outlet_item *item);
/* The outlet of all dead-letter topics; `*is_needed` false when no source has one. */
NODISCARD
enum status letter_outlet_open(struct outlet *outlet, struct engine *engine, bool *is_needed,
                               struct error *error);
void letter_outlet_close(struct outlet *outlet);
/* Nothing has come for a while. */
void letter_outlet_idle(struct outlet *outlet);

/* engine_kafka_stats.c: the kafka clients of the process, and what of them belongs to sources. */
void engine_add_kafka(struct engine *engine, struct stats_snapshot *snapshot);

/* engine_outlets.c */
NODISCARD
enum status engine_open_outlets(struct engine *engine, struct error *error);

/* store_outlet.c */
void *store_outlet_main(void *outlet);

/* recovery.c: positions, watermarks and horizons as the store knows them. Before the readers are opened. */
NODISCARD
enum status recovery_load(struct engine *engine, struct error *error);

/* engine_sources.c */
void engine_init_partitions(struct engine *engine);
/* Says which shard owns each partition that is not a kafka source's, and which share a reader. Once the number of shards is known. */
void engine_assign_shards(struct engine *engine);
NODISCARD
enum status engine_open_readers(struct engine *engine, struct error *error);
/* Opens a shared reader anew where its sharers go on. Shard. */
NODISCARD
enum status engine_reopen_reader(struct engine *engine, struct engine_partition *leader, struct error *error);

/* ledger.c: latencies of the last minute, as differences of histograms that are copied every ten seconds. Any thread. */
struct ledger *ledger_create(void);
void ledger_destroy(struct ledger *ledger);
void ledger_fill(struct ledger *ledger, struct engine *engine, struct stats_snapshot *snapshot);

/* engine.c */
/* Waits on `waker`, which the ring's producer sleeps on, for room; false when the engine gives up waiting (then
 * the item is still the caller's). */
NODISCARD
bool engine_push(struct engine *engine, struct ring *ring, struct waker *waker, void *item);
/* Any thread: the partitions do not move. */
struct engine_partition *engine_find_partition(const struct engine *engine, uint32_t source_index,
                                               uint32_t partition);
/* True when the pipeline's windows are another process's at present: its panes are sent there. */
static inline bool engine_sends_pipeline(const struct engine *engine, uint32_t pipeline_index)
{
    const struct merger_share *share = &engine->merger.share;
    return share->membership && !share->is_leader &&
           engine->pipeline_memberships[pipeline_index] == share->membership;
}
static inline bool engine_has_abandoned(const struct engine *engine)
{
    return atomic_load_explicit(&engine->should_abandon, memory_order_relaxed);
}
