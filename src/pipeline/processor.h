/* What happens to a batch between reader and merger: decode, judge, select, add to panes or to what goes out. A processor belongs to one thread and
 * holds the operators of every pipeline for the partitions it is given: all of a shard's when live, exactly one in replay
 * (so that the order of additions, and with it every bit of a sum, does not depend on the number of shards). */
#pragma once

#include "decode/decoder.h"
#include "flow/dead_letter.h"
#include "flow/watermark.h"
#include "monitor/stats.h"
#include "pipeline/event_output.h"
#include "pipeline/plan.h"

/* The state of one source partition, owned by the thread that reads it. */
struct partition_state {
    uint32_t source_index, partition;
    bool is_dealt; /* a file with partition_by: one reader serves all its partitions of a shard */
    bool is_ended;
    bool is_idle;
    struct watermark watermark;
    int64_t next_offset;      /* first offset not yet processed */
    int64_t last_record_us;   /* monotonic clock at the newest record, or when reading began */
    int64_t max_time_seen_us; /* monotonic clock when the largest event time arrived */
};

/* Counters of one source in this life of the process (replayed batches were counted in an earlier one); `feeds` in the
 * order of the plan's feeds. Their sum holds at every batch boundary:
 * in = bad + used + filtered + too_late, per feed. */
struct feed_counts {
    uint64_t used, filtered, too_late;
};
struct source_counts {
    uint64_t in, bad;
    uint64_t bad_by_reason[BAD_REASON_COUNT];
    uint64_t fast_documents, slow_documents;
    struct feed_counts *feeds;
};
struct pipeline_counts {
    uint64_t late_accepted, type_errors, overflow_events;
    uint64_t events_out; /* of a pipeline without a window */
};

struct processor {
    const struct plan *plan;
    struct decoder **decoders;              /* [source_count], made at first use */
    struct window_operator **operators;     /* [pipeline_count], made at first use */
    struct event_output output;             /* taken by the owner */
    struct source_counts *sources;          /* [source_count] */
    struct pipeline_counts *pipelines;      /* [pipeline_count] */
    struct dead_letter_block *dead_letters; /* NULL while there are none; taken by the owner */
    bool keeps_dead_letters;                /* replay counts them only */
};

void processor_init(struct processor *processor, const struct plan *plan, bool keeps_dead_letters);
void processor_deinit(struct processor *processor);

/* The operator of a pipeline in this processor. */
struct window_operator *processor_operator(struct processor *processor, uint32_t pipeline_index);

/* Forgets what the pipeline's operator holds. */
void processor_reset_pipeline(struct processor *processor, uint32_t pipeline_index);

/* Decodes the batch that the partition's reader has filled. */
void processor_decode(struct processor *processor, const struct partition_state *partition,
                      struct batch *batch);
/* Judges the bad records of the decoded batch. On a bad record of a source with `on_bad: fail`: STATUS_INVALID, `error`
 * says which, and the batch must not be applied. */
NODISCARD
enum status processor_judge(struct processor *processor, struct batch *batch, struct error *error);
/* Counts the decoded batch, moves the watermark, and adds its rows to the panes of every pipeline of its source, or to what
 * goes out where it has no window. */
void processor_apply(struct processor *processor, struct partition_state *partition, struct batch *batch);
