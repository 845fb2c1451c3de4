/* What the files of batch mode share. Only replay.c and replay_summary.c include this. */
#pragma once

#include "base/ring.h"
#include "base/thread.h"
#include "flow/source.h"
#include "pipeline/chain.h"
#include "pipeline/processor.h"
#include "pipeline/replay.h"
#include "pipeline/replay_output.h"

/* One input file: a partition with a processor of its own. */
struct replay_partition {
    const struct replay_input *input;
    struct partition_state state;
    struct source_reader *reader;
    struct processor processor;
};

struct replay_shard {
    struct replay *replay;
    uint32_t index;
    pthread_t thread;
    struct waker waker; /* the shard sleeps here when its ring is full */
    struct ring rounds;
    struct error error;
};

struct replay {
    const struct replay_options *options;
    struct plan *plan;
    struct replay_partition *partitions;
    uint32_t partition_count;
    struct replay_shard *shards;
    uint32_t shard_count;
    struct waker waker;             /* the main thread sleeps here */
    struct window_merger **mergers; /* [pipeline_count] */
    struct chain *chain;            /* NULL: no pipeline reads another */
    struct replay_output *output;
    atomic_bool should_stop; /* relaxed: set by the main thread after a failure, seen sooner or later */
    atomic_uint_fast64_t record_count; /* relaxed: for the progress line only */
};

/* replay_summary.c: the counters of every source and pipeline on stderr, as JSON or for people. */
void replay_write_summary(const struct replay *replay, int64_t wall_us, int64_t cpu_us);
