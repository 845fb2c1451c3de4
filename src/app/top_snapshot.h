/* What `weir top` knows of a server: the answers of /api/v1/stats and /health as numbers. What the server does not know is NAN. */
#pragma once

#include "base/error.h"
#include "base/native.h"
#include "base/slice.h"

enum {
    TOP_NAME_SIZE = 68, /* a name of a config, or as much of it as is shown */
    TOP_REASON_SIZE = 256,
    TOP_SOURCES_MAX = 64,
    TOP_PIPELINES_MAX = 256,
    TOP_COMPONENTS_MAX = 64, /* those that are not well */
    TOP_STAGES_MAX = 16,
    TOP_PRODUCERS_MAX = 64,
};

struct top_source {
    char name[TOP_NAME_SIZE];
    double in, bad, rate, lag, lag_seconds, delay_ms;
    bool is_ended;
    char group[TOP_NAME_SIZE]; /* kafka; else empty */
    bool is_joined;
    double partitions, rebalances, fetched, fetch_rate, round_trip_us;
};

/* A sink of kafka, or the dead letters of a source. */
struct top_producer {
    char name[TOP_NAME_SIZE], role[16];
    double rate, messages, round_trip_us;
};

struct top_pipeline {
    char name[TOP_NAME_SIZE];
    double used, filtered, late_accepted, too_late, results, keys, open_windows, delay_ms;
    double used_rate, result_rate; /* since the snapshot before */
};

struct top_stage {
    char name[TOP_NAME_SIZE];
    double p50_us, p95_us, p99_us, max_us, count;
};

struct top_component {
    char name[TOP_NAME_SIZE], status[16], reason[TOP_REASON_SIZE];
};

struct top_snapshot {
    char version[32], status[16];
    double time_ms, uptime_s;
    double event_rate, event_total, result_rate, result_total;
    double bad_total, late_total, too_late_total, filtered_total;
    double memory_size, client_count;
    struct top_stage stages[TOP_STAGES_MAX]; /* the first is end_to_end */
    uint32_t stage_count;
    struct top_source sources[TOP_SOURCES_MAX];
    uint32_t source_count;
    struct top_pipeline pipelines[TOP_PIPELINES_MAX];
    uint32_t pipeline_count;
    struct top_producer producers[TOP_PRODUCERS_MAX];
    uint32_t producer_count;
    struct top_component components[TOP_COMPONENTS_MAX];
    uint32_t component_count;
};

/* `stats` and `health` are the bodies, with NATIVE_JSON_PADDING readable bytes behind them. `before` may be NULL: then rates of
 * pipelines are not known. STATUS_INVALID: they are not what weir answers. */
NODISCARD
enum status top_snapshot_read(struct native_json *json, struct slice stats, struct slice health,
                              const struct top_snapshot *before, struct top_snapshot *out,
                              struct error *error);
