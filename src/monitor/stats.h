/* A snapshot of what the engine is doing, filled by pipeline/engine.c on the asker's thread from counters that their
 * owners publish, and rendered here: as `data.metrics` and /api/v1/stats (JSON) and as /metrics (Prometheus, OpenMetrics). */
#pragma once

#include "base/buffer.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "flow/batch.h"
#include "net/kafka_statistics.h"

enum latency_stage {
    LATENCY_ACCEPT, /* request body complete → durable in the event log (http) */
    LATENCY_DECODE, /* batch read → decoded */
    LATENCY_WINDOW, /* decoded → added to panes, and panes handed on */
    LATENCY_MERGE,  /* newest event's arrival → result emitted */
    LATENCY_STORE,  /* result emitted → committed */
    LATENCY_SOCKET, /* result emitted → written to the sockets */
    LATENCY_END_TO_END, /* newest event's arrival → written to the sockets (to the store while nobody listens) */
    LATENCY_STAGE_COUNT
};
const char *latency_stage_name(enum latency_stage stage); /* "accept" ... "end_to_end" */

struct partition_stats {
    uint32_t source_index;
    const char *topic; /* kafka; else NULL */
    uint32_t partition;
    int64_t offset;       /* next offset to process; 0 before the first */
    int64_t watermark_us; /* TIME_NONE before the first event */
    bool idle, ended;
    int64_t lag;     /* records behind the end of the log; -1 unknown */
    int64_t log_end; /* kafka: where the log ended when lag was taken; -1 unknown */
    int64_t
        newest_record_us; /* own time of the newest record that was read; TIME_NONE: none, or it has none */
};

struct source_pipeline_stats {
    uint32_t pipeline_index;
    uint64_t used, filtered, too_late;
};

/* A kafka client of the process: its membership in a group, or the producer of a sink or of a source's dead letters. */
enum kafka_role { KAFKA_ROLE_CONSUMER, KAFKA_ROLE_SINK, KAFKA_ROLE_DEAD_LETTERS };
const char *kafka_role_name(enum kafka_role role); /* "consumer", "sink", "dead_letters" */

struct kafka_client_stats {
    enum kafka_role role;
    const char *name; /* of the group, of the sink (the first of a transaction's), of the source */
    const struct kafka_figures *figures;        /* connections */
    struct kafka_member_figures member;         /* consumers */
    uint64_t produced_messages, produced_bytes; /* producers */
};

struct source_stats {
    const char *name, *kind;
    const struct kafka_client_stats *client;  /* whose partitions it has; NULL: not of kafka */
    uint64_t fetched_messages, fetched_bytes; /* kafka: taken from brokers, also again */
    uint64_t in, bad;
    uint64_t bad_by_reason[BAD_REASON_COUNT];
    uint64_t fast_documents, slow_documents;
    struct partition_stats *partitions;
    uint32_t partition_count;
    struct source_pipeline_stats *pipelines;
    uint32_t pipeline_count;
    bool ended, paused;
};

struct pipeline_stats {
    const char *name;
    uint64_t used, filtered, too_late, late_accepted, type_errors, results, overflow_events;
    uint64_t open_windows, held_windows, keys, memory_size;
    int64_t watermark_us; /* TIME_NONE unknown */
};

struct stats_snapshot {
    struct arena arena; /* everything the snapshot points to */
    int64_t wall_us, uptime_us;
    uint64_t boot_id;
    struct source_stats *sources;
    uint32_t source_count;
    struct pipeline_stats *pipelines;
    uint32_t pipeline_count;
    struct kafka_client_stats *kafka_clients;
    uint32_t kafka_client_count;
    struct histogram_summary latency_minute[LATENCY_STAGE_COUNT]; /* the last minute */
    struct histogram latency[LATENCY_STAGE_COUNT];                /* since start */
    uint64_t dead_letters, store_rows, store_commits;
    uint64_t results_total;
    size_t memory_size; /* resident bytes */
    uint32_t shards;
    /* Filled by serve from the hub before rendering. */
    uint32_t clients, subscriptions;
    uint64_t deliveries, delivered_bytes, slow_consumers, events_dropped;
};

/* The smallest watermark of partitions that are neither idle nor ended: TIME_NONE while one of them has seen no event. Of the
 * idle ones that have seen an event when there are no others; else TIME_NONE. */
int64_t stats_source_watermark_us(const struct source_stats *source);
/* Records of all partitions behind the end of their logs; -1 when one of them does not know. */
int64_t stats_source_lag(const struct source_stats *source);
/* How old the newest record is that was read, by its own time: so far behind are the results. 0 when no record waits; -1 unknown: its
 * lag is, or nothing was read yet, or its records have no time of their own (files). */
int64_t stats_partition_lag_us(const struct partition_stats *partition, int64_t now_us);
/* The largest of its partitions; -1 when one of them does not know. */
int64_t stats_source_lag_us(const struct source_stats *source, int64_t now_us);

void stats_snapshot_init(struct stats_snapshot *snapshot);
void stats_snapshot_deinit(struct stats_snapshot *snapshot);

/* Rates need two snapshots: `before` may be NULL (rates are then null). One JSON object as in docs/API.md. */
void stats_write_json(struct buffer *out, const struct stats_snapshot *now,
                      const struct stats_snapshot *before);
/* Prometheus text 0.0.4, or OpenMetrics 1.0 (ends with # EOF). */
void stats_write_metrics(struct buffer *out, const struct stats_snapshot *now, bool openmetrics);
