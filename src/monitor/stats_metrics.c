/* The snapshot for Prometheus: families in the order of the answer. */
#include "monitor/metrics_text.h"

#include <stddef.h>

static void outcome(struct metrics_writer *writer, const char *source, const char *pipeline, const char *name,
                    uint64_t value)
{
    metrics_begin(writer);
    metrics_label(writer, "source", source);
    metrics_label(writer, "pipeline", pipeline);
    metrics_label(writer, "outcome", name);
    metrics_count(writer, value);
}

static void write_events(struct metrics_writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    metrics_family(
        writer, "weir_events", METRICS_COUNTER,
        "Events by what became of them in each pipeline of a source; the outcomes add up to the events of the source.");
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        const struct source_stats *source = &snapshot->sources[i];
        if (source->pipeline_count == 0)
            outcome(writer, source->name, "", "bad", source->bad);
        for (uint32_t j = 0; j < source->pipeline_count; j++) {
            const struct source_pipeline_stats *counts = &source->pipelines[j];
            const char *pipeline = snapshot->pipelines[counts->pipeline_index].name;
            outcome(writer, source->name, pipeline, "used", counts->used);
            outcome(writer, source->name, pipeline, "filtered", counts->filtered);
            outcome(writer, source->name, pipeline, "too_late", counts->too_late);
            outcome(writer, source->name, pipeline, "bad", source->bad);
        }
    }
}

static void write_source_counts(struct metrics_writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    metrics_family(writer, "weir_source_events", METRICS_COUNTER, "Events that came in.");
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        metrics_begin(writer);
        metrics_label(writer, "source", snapshot->sources[i].name);
        metrics_count(writer, snapshot->sources[i].in);
    }
    metrics_family(writer, "weir_bad_events", METRICS_COUNTER, "Events that could not be used, by reason.");
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        for (enum bad_reason reason = 0; reason < BAD_REASON_COUNT; reason++) {
            metrics_begin(writer);
            metrics_label(writer, "source", snapshot->sources[i].name);
            metrics_label(writer, "reason", bad_reason_name(reason));
            metrics_count(writer, snapshot->sources[i].bad_by_reason[reason]);
        }
    }
    metrics_family(writer, "weir_decoded_documents", METRICS_COUNTER,
                   "Events by the path that decoded them: remembered shape or full parser.");
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        for (int is_slow = 0; is_slow < 2; is_slow++) {
            metrics_begin(writer);
            metrics_label(writer, "source", snapshot->sources[i].name);
            metrics_label(writer, "path", is_slow ? "full" : "shape");
            metrics_count(writer, is_slow ? snapshot->sources[i].slow_documents
                                          : snapshot->sources[i].fast_documents);
        }
    }
}

/* One family with a sample per partition; those whose value is not known are left out. */
static void write_partitions(struct metrics_writer *writer, const char *name, const char *help,
                             bool (*write)(struct metrics_writer *, const struct partition_stats *,
                                           bool is_asked))
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    metrics_family(writer, name, METRICS_GAUGE, help);
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        const struct source_stats *source = &snapshot->sources[i];
        for (uint32_t j = 0; j < source->partition_count; j++) {
            if (!write(writer, &source->partitions[j], true))
                continue;
            metrics_begin(writer);
            metrics_label(writer, "source", source->name);
            if (source->partitions[j].topic)
                metrics_label(writer, "topic", source->partitions[j].topic);
            metrics_label_number(writer, "partition", source->partitions[j].partition);
            write(writer, &source->partitions[j], false);
        }
    }
}

static bool write_lag(struct metrics_writer *writer, const struct partition_stats *partition, bool is_asked)
{
    if (!is_asked)
        metrics_count(writer, (uint64_t)partition->lag);
    return partition->lag >= 0;
}

static bool write_lag_seconds(struct metrics_writer *writer, const struct partition_stats *partition,
                              bool is_asked)
{
    int64_t lag_us = stats_partition_lag_us(partition, writer->snapshot->wall_us);
    if (!is_asked)
        metrics_seconds(writer, lag_us);
    return lag_us >= 0;
}

/* Totals, for alerts and for autoscaling; sources whose lag is not known are left out. */
static void write_source_lags(struct metrics_writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    for (int is_time = 0; is_time < 2; is_time++) {
        metrics_family(writer, is_time ? "weir_source_lag_seconds" : "weir_source_lag_records", METRICS_GAUGE,
                       is_time ? "Largest lag in time of the source's partitions."
                               : "Records of a source that wait, in all its partitions.");
        for (uint32_t i = 0; i < snapshot->source_count; i++) {
            const struct source_stats *source = &snapshot->sources[i];
            int64_t lag = is_time ? stats_source_lag_us(source, snapshot->wall_us) : stats_source_lag(source);
            if (lag < 0)
                continue;
            metrics_begin(writer);
            metrics_label(writer, "source", source->name);
            if (is_time)
                metrics_seconds(writer, lag);
            else
                metrics_count(writer, (uint64_t)lag);
        }
    }
}

static bool write_offset(struct metrics_writer *writer, const struct partition_stats *partition,
                         bool is_asked)
{
    if (!is_asked)
        metrics_count(writer, (uint64_t)partition->offset);
    return partition->offset >= 0;
}

static bool write_idle(struct metrics_writer *writer, const struct partition_stats *partition, bool is_asked)
{
    if (!is_asked)
        metrics_count(writer, partition->idle);
    return true;
}

static bool write_partition_watermark(struct metrics_writer *writer, const struct partition_stats *partition,
                                      bool is_asked)
{
    if (!is_asked)
        metrics_seconds(writer, partition->watermark_us);
    return partition->watermark_us != TIME_NONE && partition->watermark_us != TIME_MAX;
}

/* Where the numbers of a pipeline are in its struct, so that a row is all a family needs. */
static const struct {
    const char *name, *help;
    enum metrics_kind kind;
    size_t offset;
} pipeline_families[] = {
    {"weir_late_events", "Late events that were accepted.", METRICS_COUNTER,
     offsetof(struct pipeline_stats, late_accepted)},
    {"weir_type_errors", "Values that an aggregate skipped because of their type.", METRICS_COUNTER,
     offsetof(struct pipeline_stats, type_errors)},
    {"weir_results", "Result records that were emitted.", METRICS_COUNTER,
     offsetof(struct pipeline_stats, results)},
    {"weir_overflow_events", "Events whose key went to the overflow group.", METRICS_COUNTER,
     offsetof(struct pipeline_stats, overflow_events)},
    {"weir_open_windows", "Windows that are open.", METRICS_GAUGE,
     offsetof(struct pipeline_stats, open_windows)},
    {"weir_held_windows", "Closed windows that are kept for late events.", METRICS_GAUGE,
     offsetof(struct pipeline_stats, held_windows)},
    {"weir_keys", "Keys in open and held windows.", METRICS_GAUGE, offsetof(struct pipeline_stats, keys)},
    {"weir_pipeline_memory_bytes", "Memory of a pipeline's windows.", METRICS_GAUGE,
     offsetof(struct pipeline_stats, memory_size)},
};

static void write_pipelines(struct metrics_writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    for (size_t f = 0; f < sizeof pipeline_families / sizeof *pipeline_families; f++) {
        metrics_family(writer, pipeline_families[f].name, pipeline_families[f].kind,
                       pipeline_families[f].help);
        for (uint32_t i = 0; i < snapshot->pipeline_count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&snapshot->pipelines[i] + pipeline_families[f].offset, sizeof value);
            metrics_begin(writer);
            metrics_label(writer, "pipeline", snapshot->pipelines[i].name);
            metrics_count(writer, value);
        }
    }
}

static void write_watermarks(struct metrics_writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    for (int is_delay = 0; is_delay < 2; is_delay++) {
        metrics_family(writer, is_delay ? "weir_watermark_delay_seconds" : "weir_watermark_timestamp_seconds",
                       METRICS_GAUGE,
                       is_delay ? "How far event time is behind the wall clock."
                                : "Event time up to which windows are closed.");
        for (uint32_t i = 0; i < snapshot->pipeline_count; i++) {
            int64_t watermark_us = snapshot->pipelines[i].watermark_us;
            int64_t delay_us = 0;
            if (watermark_us == TIME_NONE || watermark_us == TIME_MAX)
                continue;
            if (snapshot->wall_us > watermark_us)
                delay_us = snapshot->wall_us - watermark_us;
            metrics_begin(writer);
            metrics_label(writer, "pipeline", snapshot->pipelines[i].name);
            metrics_seconds(writer, is_delay ? delay_us : watermark_us);
        }
    }
}

static const struct {
    const char *text; /* canonical floats of OpenMetrics */
    int64_t limit_us;
} latency_buckets[] = {
    {"0.0001", 100},    {"0.00025", 250},   {"0.0005", 500},    {"0.001", 1000},      {"0.0025", 2500},
    {"0.005", 5000},    {"0.01", 10000},    {"0.025", 25000},   {"0.05", 50000},      {"0.1", 100000},
    {"0.25", 250000},   {"0.5", 500000},    {"1.0", 1000000},   {"2.5", 2500000},     {"5.0", 5000000},
    {"10.0", 10000000}, {"30.0", 30000000}, {"60.0", 60000000}, {"300.0", 300000000},
};

static void write_stage(struct metrics_writer *writer, enum latency_stage stage)
{
    const struct histogram *histogram = &writer->snapshot->latency[stage];
    uint64_t all = atomic_load_explicit(&histogram->count, memory_order_relaxed), below = 0;
    for (size_t i = 0; i <= sizeof latency_buckets / sizeof *latency_buckets; i++) {
        bool is_last = i == sizeof latency_buckets / sizeof *latency_buckets;
        if (!is_last)
            below = histogram_count_at_most(histogram, latency_buckets[i].limit_us);
        else if (all < below)
            all = below; /* the writer was between a bucket and the count */
        metrics_begin_part(writer, "_bucket");
        metrics_label(writer, "stage", latency_stage_name(stage));
        metrics_label(writer, "le", is_last ? "+Inf" : latency_buckets[i].text);
        metrics_count(writer, is_last ? all : below);
    }
    metrics_begin_part(writer, "_sum");
    metrics_label(writer, "stage", latency_stage_name(stage));
    metrics_seconds(writer, atomic_load_explicit(&histogram->sum_us, memory_order_relaxed));
    metrics_begin_part(writer, "_count");
    metrics_label(writer, "stage", latency_stage_name(stage));
    metrics_count(writer, all);
}

static void write_latencies(struct metrics_writer *writer)
{
    metrics_family(writer, "weir_latency_seconds", METRICS_HISTOGRAM,
                   "Time that events and results spend in each stage, since the start.");
    for (enum latency_stage stage = 0; stage < LATENCY_STAGE_COUNT; stage++)
        write_stage(writer, stage);
}

static void write_process(struct metrics_writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    metrics_single(writer, "weir_dead_letters", METRICS_COUNTER,
                   "Events that went to the dead-letter stream.", snapshot->dead_letters);
    metrics_single(writer, "weir_store_rows", METRICS_COUNTER, "Rows written to the store.",
                   snapshot->store_rows);
    metrics_single(writer, "weir_store_commits", METRICS_COUNTER, "Transactions of the store.",
                   snapshot->store_commits);
    metrics_single(writer, "weir_clients", METRICS_GAUGE, "WebSocket clients.", snapshot->clients);
    metrics_single(writer, "weir_subscriptions", METRICS_GAUGE, "Subscriptions of WebSocket clients.",
                   snapshot->subscriptions);
    metrics_single(writer, "weir_deliveries", METRICS_COUNTER, "Messages delivered to WebSocket clients.",
                   snapshot->deliveries);
    metrics_single(writer, "weir_delivered_bytes", METRICS_COUNTER, "Bytes delivered to WebSocket clients.",
                   snapshot->delivered_bytes);
    metrics_single(writer, "weir_slow_consumers", METRICS_COUNTER,
                   "WebSocket clients closed because they read too slowly.", snapshot->slow_consumers);
    metrics_single(writer, "weir_live_events_dropped", METRICS_COUNTER,
                   "Events not offered to subscribers because the hub was behind.", snapshot->events_dropped);
    metrics_single(writer, "weir_shards", METRICS_GAUGE, "Worker threads.", snapshot->shards);
    metrics_single(writer, "process_resident_memory_bytes", METRICS_GAUGE, "Resident memory of the process.",
                   snapshot->memory_size);
    metrics_family(writer, "weir_uptime_seconds", METRICS_GAUGE, "Time since the start.");
    metrics_begin(writer);
    metrics_seconds(writer, snapshot->uptime_us);
    metrics_family(writer, "weir_build", METRICS_INFO, "The running version.");
    metrics_begin(writer);
    metrics_label(writer, "version", WEIR_VERSION);
    metrics_count(writer, 1);
}

void stats_write_metrics(struct buffer *out, const struct stats_snapshot *now, bool openmetrics)
{
    struct metrics_writer writer = {.out = out, .snapshot = now, .is_openmetrics = openmetrics};
    write_events(&writer);
    write_source_counts(&writer);
    write_partitions(&writer, "weir_partition_lag_records", "Records behind the end of a partition's log.",
                     write_lag);
    write_partitions(&writer, "weir_partition_lag_seconds",
                     "Age of the newest record that was read, by its own time; 0 when no record waits.",
                     write_lag_seconds);
    write_source_lags(&writer);
    write_partitions(&writer, "weir_partition_offset", "Next offset to process.", write_offset);
    write_partitions(&writer, "weir_partition_idle", "1 while a partition does not hold back the watermark.",
                     write_idle);
    write_partitions(&writer, "weir_partition_watermark_timestamp_seconds", "Watermark of a partition.",
                     write_partition_watermark);
    metrics_write_kafka(&writer);
    write_pipelines(&writer);
    write_watermarks(&writer);
    write_latencies(&writer);
    write_process(&writer);
    if (openmetrics)
        buffer_append_text(out, "# EOF\n");
}
