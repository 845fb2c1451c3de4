/* The snapshot for Prometheus: text format 0.0.4, and OpenMetrics 1.0, which differ in how counters are named in TYPE lines
 * and in the end mark. The samples of a family stand together, as both formats want. */
#include "monitor/stats.h"

#include <stddef.h>

struct writer {
    struct buffer *out;
    const struct stats_snapshot *snapshot;
    bool is_openmetrics;
    const char *name; /* of the family under way, without the suffix of counters */
    const char *suffix;
    bool has_label;
};

enum family_kind { FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_HISTOGRAM, FAMILY_INFO };

/* HELP and TYPE. A counter is named without `_total` here; samples get it. */
static void family(struct writer *writer, const char *name, enum family_kind kind, const char *help)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram", "info"};
    static const char *const suffixes[] = {"_total", "", "", "_info"};
    writer->name = name;
    writer->suffix = suffixes[kind];
    const char *typed_suffix = writer->is_openmetrics ? "" : writer->suffix;
    const char *kind_name = kind == FAMILY_INFO && !writer->is_openmetrics ? "gauge" : kinds[kind];
    buffer_format(writer->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, typed_suffix, help, name,
                  typed_suffix, kind_name);
}

static void begin_sample(struct writer *writer)
{
    buffer_append_text(writer->out, writer->name);
    buffer_append_text(writer->out, writer->suffix);
    writer->has_label = false;
}

static void label(struct writer *writer, const char *name, const char *value)
{
    struct buffer *out = writer->out;
    buffer_format(out, "%c%s=\"", writer->has_label ? ',' : '{', name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            buffer_append_char(out, '\\');
        if (*value == '\n')
            buffer_append_text(out, "\\n");
        else
            buffer_append_char(out, *value);
    }
    buffer_append_char(out, '"');
    writer->has_label = true;
}

static void label_number(struct writer *writer, const char *name, uint32_t value)
{
    char text[16];
    size_t at = sizeof text;
    text[--at] = '\0';
    do
        text[--at] = (char)('0' + value % 10);
    while (value /= 10);
    label(writer, name, text + at);
}

static void value_count(struct writer *writer, uint64_t value)
{
    buffer_format(writer->out, "%s %llu\n", writer->has_label ? "}" : "", (unsigned long long)value);
}

static void value_seconds(struct writer *writer, int64_t value_us)
{
    buffer_append_text(writer->out, writer->has_label ? "} " : " ");
    buffer_json_double(writer->out, (double)value_us / MICROSECONDS_PER_SECOND);
    buffer_append_char(writer->out, '\n');
}

/* One sample without labels. */
static void single(struct writer *writer, const char *name, enum family_kind kind, const char *help,
                   uint64_t value)
{
    family(writer, name, kind, help);
    begin_sample(writer);
    value_count(writer, value);
}

static void outcome(struct writer *writer, const char *source, const char *pipeline, const char *name,
                    uint64_t value)
{
    begin_sample(writer);
    label(writer, "source", source);
    label(writer, "pipeline", pipeline);
    label(writer, "outcome", name);
    value_count(writer, value);
}

static void write_events(struct writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    family(
        writer, "weir_events", FAMILY_COUNTER,
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

static void write_source_counts(struct writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    family(writer, "weir_source_events", FAMILY_COUNTER, "Events that came in.");
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        begin_sample(writer);
        label(writer, "source", snapshot->sources[i].name);
        value_count(writer, snapshot->sources[i].in);
    }
    family(writer, "weir_bad_events", FAMILY_COUNTER, "Events that could not be used, by reason.");
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        for (enum bad_reason reason = 0; reason < BAD_REASON_COUNT; reason++) {
            begin_sample(writer);
            label(writer, "source", snapshot->sources[i].name);
            label(writer, "reason", bad_reason_name(reason));
            value_count(writer, snapshot->sources[i].bad_by_reason[reason]);
        }
    }
    family(writer, "weir_decoded_documents", FAMILY_COUNTER,
           "Events by the path that decoded them: remembered shape or full parser.");
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        for (int is_slow = 0; is_slow < 2; is_slow++) {
            begin_sample(writer);
            label(writer, "source", snapshot->sources[i].name);
            label(writer, "path", is_slow ? "full" : "shape");
            value_count(writer,
                        is_slow ? snapshot->sources[i].slow_documents : snapshot->sources[i].fast_documents);
        }
    }
}

/* One family with a sample per partition; those whose value is not known are left out. */
static void write_partitions(struct writer *writer, const char *name, const char *help,
                             bool (*write)(struct writer *, const struct partition_stats *, bool is_asked))
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    family(writer, name, FAMILY_GAUGE, help);
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        const struct source_stats *source = &snapshot->sources[i];
        for (uint32_t j = 0; j < source->partition_count; j++) {
            if (!write(writer, &source->partitions[j], true))
                continue;
            begin_sample(writer);
            label(writer, "source", source->name);
            label_number(writer, "partition", source->partitions[j].partition);
            write(writer, &source->partitions[j], false);
        }
    }
}

static bool write_lag(struct writer *writer, const struct partition_stats *partition, bool is_asked)
{
    if (!is_asked)
        value_count(writer, (uint64_t)partition->lag);
    return partition->lag >= 0;
}

static bool write_offset(struct writer *writer, const struct partition_stats *partition, bool is_asked)
{
    if (!is_asked)
        value_count(writer, (uint64_t)partition->offset);
    return partition->offset >= 0;
}

static bool write_idle(struct writer *writer, const struct partition_stats *partition, bool is_asked)
{
    if (!is_asked)
        value_count(writer, partition->idle);
    return true;
}

static bool write_partition_watermark(struct writer *writer, const struct partition_stats *partition,
                                      bool is_asked)
{
    if (!is_asked)
        value_seconds(writer, partition->watermark_us);
    return partition->watermark_us != TIME_NONE && partition->watermark_us != TIME_MAX;
}

/* Where the numbers of a pipeline are in its struct, so that a row is all a family needs. */
static const struct {
    const char *name, *help;
    enum family_kind kind;
    size_t offset;
} pipeline_families[] = {
    {"weir_late_events", "Late events that were accepted.", FAMILY_COUNTER,
     offsetof(struct pipeline_stats, late_accepted)},
    {"weir_type_errors", "Values that an aggregate skipped because of their type.", FAMILY_COUNTER,
     offsetof(struct pipeline_stats, type_errors)},
    {"weir_results", "Result records that were emitted.", FAMILY_COUNTER,
     offsetof(struct pipeline_stats, results)},
    {"weir_overflow_events", "Events whose key went to the overflow group.", FAMILY_COUNTER,
     offsetof(struct pipeline_stats, overflow_events)},
    {"weir_open_windows", "Windows that are open.", FAMILY_GAUGE,
     offsetof(struct pipeline_stats, open_windows)},
    {"weir_held_windows", "Closed windows that are kept for late events.", FAMILY_GAUGE,
     offsetof(struct pipeline_stats, held_windows)},
    {"weir_keys", "Keys in open and held windows.", FAMILY_GAUGE, offsetof(struct pipeline_stats, keys)},
    {"weir_pipeline_memory_bytes", "Memory of a pipeline's windows.", FAMILY_GAUGE,
     offsetof(struct pipeline_stats, memory_size)},
};

static void write_pipelines(struct writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    for (size_t f = 0; f < sizeof pipeline_families / sizeof *pipeline_families; f++) {
        family(writer, pipeline_families[f].name, pipeline_families[f].kind, pipeline_families[f].help);
        for (uint32_t i = 0; i < snapshot->pipeline_count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&snapshot->pipelines[i] + pipeline_families[f].offset, sizeof value);
            begin_sample(writer);
            label(writer, "pipeline", snapshot->pipelines[i].name);
            value_count(writer, value);
        }
    }
}

static void write_watermarks(struct writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    for (int is_delay = 0; is_delay < 2; is_delay++) {
        family(writer, is_delay ? "weir_watermark_delay_seconds" : "weir_watermark_timestamp_seconds",
               FAMILY_GAUGE,
               is_delay ? "How far event time is behind the wall clock."
                        : "Event time up to which windows are closed.");
        for (uint32_t i = 0; i < snapshot->pipeline_count; i++) {
            int64_t watermark_us = snapshot->pipelines[i].watermark_us;
            int64_t delay_us = 0;
            if (watermark_us == TIME_NONE || watermark_us == TIME_MAX)
                continue;
            if (snapshot->wall_us > watermark_us)
                delay_us = snapshot->wall_us - watermark_us;
            begin_sample(writer);
            label(writer, "pipeline", snapshot->pipelines[i].name);
            value_seconds(writer, is_delay ? delay_us : watermark_us);
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

static void write_stage(struct writer *writer, enum latency_stage stage)
{
    const struct histogram *histogram = &writer->snapshot->latency[stage];
    uint64_t all = atomic_load_explicit(&histogram->count, memory_order_relaxed), below = 0;
    writer->suffix = "_bucket";
    for (size_t i = 0; i <= sizeof latency_buckets / sizeof *latency_buckets; i++) {
        bool is_last = i == sizeof latency_buckets / sizeof *latency_buckets;
        if (!is_last)
            below = histogram_count_at_most(histogram, latency_buckets[i].limit_us);
        else if (all < below)
            all = below; /* the writer was between a bucket and the count */
        begin_sample(writer);
        label(writer, "stage", latency_stage_name(stage));
        label(writer, "le", is_last ? "+Inf" : latency_buckets[i].text);
        value_count(writer, is_last ? all : below);
    }
    writer->suffix = "_sum";
    begin_sample(writer);
    label(writer, "stage", latency_stage_name(stage));
    value_seconds(writer, atomic_load_explicit(&histogram->sum_us, memory_order_relaxed));
    writer->suffix = "_count";
    begin_sample(writer);
    label(writer, "stage", latency_stage_name(stage));
    value_count(writer, all);
}

static void write_latencies(struct writer *writer)
{
    family(writer, "weir_latency_seconds", FAMILY_HISTOGRAM,
           "Time that events and results spend in each stage, since the start.");
    for (enum latency_stage stage = 0; stage < LATENCY_STAGE_COUNT; stage++)
        write_stage(writer, stage);
}

static void write_process(struct writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    single(writer, "weir_dead_letters", FAMILY_COUNTER, "Events that went to the dead-letter stream.",
           snapshot->dead_letters);
    single(writer, "weir_store_rows", FAMILY_COUNTER, "Rows written to the store.", snapshot->store_rows);
    single(writer, "weir_store_commits", FAMILY_COUNTER, "Transactions of the store.",
           snapshot->store_commits);
    single(writer, "weir_clients", FAMILY_GAUGE, "WebSocket clients.", snapshot->clients);
    single(writer, "weir_subscriptions", FAMILY_GAUGE, "Subscriptions of WebSocket clients.",
           snapshot->subscriptions);
    single(writer, "weir_deliveries", FAMILY_COUNTER, "Messages delivered to WebSocket clients.",
           snapshot->deliveries);
    single(writer, "weir_delivered_bytes", FAMILY_COUNTER, "Bytes delivered to WebSocket clients.",
           snapshot->delivered_bytes);
    single(writer, "weir_slow_consumers", FAMILY_COUNTER,
           "WebSocket clients closed because they read too slowly.", snapshot->slow_consumers);
    single(writer, "weir_live_events_dropped", FAMILY_COUNTER,
           "Events not offered to subscribers because the hub was behind.", snapshot->events_dropped);
    single(writer, "weir_shards", FAMILY_GAUGE, "Worker threads.", snapshot->shards);
    single(writer, "process_resident_memory_bytes", FAMILY_GAUGE, "Resident memory of the process.",
           snapshot->memory_size);
    family(writer, "weir_uptime_seconds", FAMILY_GAUGE, "Time since the start.");
    begin_sample(writer);
    value_seconds(writer, snapshot->uptime_us);
    family(writer, "weir_build", FAMILY_INFO, "The running version.");
    begin_sample(writer);
    label(writer, "version", WEIR_VERSION);
    value_count(writer, 1);
}

void stats_write_metrics(struct buffer *out, const struct stats_snapshot *now, bool openmetrics)
{
    struct writer writer = {.out = out, .snapshot = now, .is_openmetrics = openmetrics};
    write_events(&writer);
    write_source_counts(&writer);
    write_partitions(&writer, "weir_partition_lag_records", "Records behind the end of a partition's log.",
                     write_lag);
    write_partitions(&writer, "weir_partition_offset", "Next offset to process.", write_offset);
    write_partitions(&writer, "weir_partition_idle", "1 while a partition does not hold back the watermark.",
                     write_idle);
    write_partitions(&writer, "weir_partition_watermark_timestamp_seconds", "Watermark of a partition.",
                     write_partition_watermark);
    write_pipelines(&writer);
    write_watermarks(&writer);
    write_latencies(&writer);
    write_process(&writer);
    if (openmetrics)
        buffer_append_text(out, "# EOF\n");
}
