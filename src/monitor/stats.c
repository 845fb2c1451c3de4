/* The snapshot as the one JSON object that the page and /api/v1/stats read. What is not known is null: a rate without an
 * earlier snapshot, a percentile of nothing, the watermark of a source that has seen no event. */
#include "monitor/stats.h"

#include <assert.h>

const char *latency_stage_name(enum latency_stage stage)
{
    static const char *const names[LATENCY_STAGE_COUNT] = {
        [LATENCY_ACCEPT] = "accept",         [LATENCY_DECODE] = "decode", [LATENCY_WINDOW] = "window",
        [LATENCY_MERGE] = "merge",           [LATENCY_STORE] = "store",   [LATENCY_SOCKET] = "socket",
        [LATENCY_END_TO_END] = "end_to_end",
    };
    assert((unsigned)stage < LATENCY_STAGE_COUNT);
    return names[stage];
}

void stats_snapshot_init(struct stats_snapshot *snapshot)
{
    memset(snapshot, 0, sizeof *snapshot);
    arena_init(&snapshot->arena, ARENA_DEFAULT_BLOCK_SIZE);
    for (int stage = 0; stage < LATENCY_STAGE_COUNT; stage++)
        histogram_init(&snapshot->latency[stage]);
}

void stats_snapshot_deinit(struct stats_snapshot *snapshot)
{
    arena_deinit(&snapshot->arena);
}

int64_t stats_source_watermark_us(const struct source_stats *source)
{
    int64_t active_us = TIME_MAX, idle_us = TIME_MAX;
    for (uint32_t i = 0; i < source->partition_count; i++) {
        const struct partition_stats *partition = &source->partitions[i];
        int64_t *smallest_us = partition->idle ? &idle_us : &active_us;
        if (partition->idle && partition->watermark_us == TIME_NONE)
            continue;
        if (partition->watermark_us < *smallest_us)
            *smallest_us = partition->watermark_us;
    }
    int64_t watermark_us = active_us == TIME_MAX ? idle_us : active_us;
    return watermark_us == TIME_MAX ? TIME_NONE : watermark_us;
}

int64_t stats_source_lag(const struct source_stats *source)
{
    int64_t lag = 0;
    for (uint32_t i = 0; i < source->partition_count; i++) {
        if (source->partitions[i].lag < 0)
            return -1;
        lag += source->partitions[i].lag;
    }
    return lag;
}

int64_t stats_partition_lag_us(const struct partition_stats *partition, int64_t now_us)
{
    if (partition->lag == 0)
        return 0;
    if (partition->lag < 0 || partition->newest_record_us == TIME_NONE)
        return -1;
    int64_t age_us = now_us - partition->newest_record_us;
    return age_us > 0 ? age_us : 0;
}

int64_t stats_source_lag_us(const struct source_stats *source, int64_t now_us)
{
    int64_t largest_us = 0;
    for (uint32_t i = 0; i < source->partition_count; i++) {
        int64_t lag_us = stats_partition_lag_us(&source->partitions[i], now_us);
        if (lag_us < 0)
            return -1;
        if (lag_us > largest_us)
            largest_us = lag_us;
    }
    return largest_us;
}

const char *kafka_role_name(enum kafka_role role)
{
    static const char *const names[] = {"consumer", "sink", "dead_letters"};
    assert((unsigned)role < sizeof names / sizeof *names);
    return names[role];
}

static void write_name(struct buffer *out, const char *name)
{
    if (out->data[out->size - 1] != '{')
        buffer_append_char(out, ',');
    buffer_json_string(out, slice_of(name));
    buffer_append_char(out, ':');
}

static void write_count(struct buffer *out, const char *name, uint64_t value)
{
    write_name(out, name);
    buffer_format(out, "%llu", (unsigned long long)value);
}

/* Per second between the snapshots; a counter that went back belongs to another life and says nothing. */
static void write_rate(struct buffer *out, const char *name, uint64_t now, uint64_t before,
                       int64_t elapsed_us)
{
    write_name(out, name);
    if (elapsed_us <= 0 || now < before)
        buffer_append_text(out, "null");
    else
        buffer_json_double(out, (double)(now - before) * MICROSECONDS_PER_SECOND / (double)elapsed_us);
}

/* Milliseconds since 1970, rounded down. */
static int64_t milliseconds(int64_t time_us)
{
    return time_us / 1000 - (time_us % 1000 < 0);
}

static void write_watermark(struct buffer *out, int64_t watermark_us, int64_t now_us)
{
    write_name(out, "watermark");
    if (watermark_us == TIME_NONE || watermark_us == TIME_MAX) {
        buffer_append_text(out, "null,\"watermark_delay_ms\":null");
        return;
    }
    int64_t delay_us = now_us - watermark_us;
    buffer_json_int(out, milliseconds(watermark_us));
    buffer_format(out, ",\"watermark_delay_ms\":%lld", (long long)(delay_us > 0 ? delay_us / 1000 : 0));
}

static void write_microseconds(struct buffer *out, const char *name, bool is_known, double value_us)
{
    write_name(out, name);
    if (is_known)
        buffer_json_double(out, value_us);
    else
        buffer_append_text(out, "null");
}

static void write_latency(struct buffer *out, enum latency_stage stage,
                          const struct histogram_summary *summary)
{
    bool is_known = summary->count > 0;
    write_name(out, latency_stage_name(stage));
    buffer_append_char(out, '{');
    write_microseconds(out, "p50_us", is_known, (double)summary->p50_us);
    write_microseconds(out, "p95_us", is_known, (double)summary->p95_us);
    write_microseconds(out, "p99_us", is_known, (double)summary->p99_us);
    write_microseconds(out, "p999_us", is_known, (double)summary->p999_us);
    write_microseconds(out, "mean_us", is_known, summary->mean_us);
    write_microseconds(out, "min_us", is_known, (double)summary->min_us);
    write_microseconds(out, "max_us", is_known, (double)summary->max_us);
    write_count(out, "count", summary->count);
    buffer_append_char(out, '}');
}

/* What the sources or pipelines of a snapshot add up to. */
struct totals {
    uint64_t in, bad, late_accepted, too_late, filtered;
};

static struct totals totals_of(const struct stats_snapshot *snapshot)
{
    struct totals totals = {0};
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        totals.in += snapshot->sources[i].in;
        totals.bad += snapshot->sources[i].bad;
    }
    for (uint32_t i = 0; i < snapshot->pipeline_count; i++) {
        totals.late_accepted += snapshot->pipelines[i].late_accepted;
        totals.too_late += snapshot->pipelines[i].too_late;
        totals.filtered += snapshot->pipelines[i].filtered;
    }
    return totals;
}

static const struct source_stats *find_source(const struct stats_snapshot *snapshot, const char *name)
{
    for (uint32_t i = 0; snapshot && i < snapshot->source_count; i++)
        if (strcmp(snapshot->sources[i].name, name) == 0)
            return &snapshot->sources[i];
    return NULL;
}

/* Negative: unknown. */
static void write_seconds(struct buffer *out, const char *name, int64_t time_us)
{
    write_name(out, name);
    if (time_us < 0)
        buffer_append_text(out, "null");
    else
        buffer_json_double(out, (double)time_us / MICROSECONDS_PER_SECOND);
}

static void write_round_trip(struct buffer *out, const struct kafka_figures *figures)
{
    int64_t round_trip_us = kafka_figures_round_trip_us(figures);
    write_microseconds(out, "round_trip_us", round_trip_us >= 0, (double)round_trip_us);
}

/* A source's share of the group's client, and what is the group's as a whole. */
static void write_member(struct buffer *out, const struct source_stats *source,
                         const struct source_stats *before, int64_t elapsed_us)
{
    const struct kafka_client_stats *client = source->client;
    buffer_append_char(out, '{');
    write_name(out, "group");
    buffer_json_string(out, slice_of(client->name));
    write_name(out, "joined");
    buffer_json_bool(out, client->member.is_member);
    write_count(out, "partitions", source->partition_count);
    write_count(out, "rebalances", client->member.rebalance_count);
    write_count(out, "fetched_messages", source->fetched_messages);
    write_count(out, "fetched_bytes", source->fetched_bytes);
    write_rate(out, "fetch_rate", source->fetched_messages, before ? before->fetched_messages : 0,
               before ? elapsed_us : 0);
    write_round_trip(out, client->figures);
    buffer_append_char(out, '}');
}

static const struct kafka_client_stats *find_client(const struct stats_snapshot *snapshot,
                                                    const struct kafka_client_stats *client)
{
    for (uint32_t i = 0; snapshot && i < snapshot->kafka_client_count; i++) {
        const struct kafka_client_stats *other = &snapshot->kafka_clients[i];
        if (other->role == client->role && strcmp(other->name, client->name) == 0)
            return other;
    }
    return NULL;
}

static void write_producer(struct buffer *out, const struct kafka_client_stats *client,
                           const struct kafka_client_stats *before, int64_t elapsed_us)
{
    buffer_append_text(out, "{\"role\":");
    buffer_json_string(out, slice_of(kafka_role_name(client->role)));
    write_name(out, "name");
    buffer_json_string(out, slice_of(client->name));
    write_count(out, "produced_messages", client->produced_messages);
    write_count(out, "produced_bytes", client->produced_bytes);
    write_rate(out, "produce_rate", client->produced_messages, before ? before->produced_messages : 0,
               before ? elapsed_us : 0);
    write_round_trip(out, client->figures);
    buffer_append_char(out, '}');
}

static void write_producers(struct buffer *out, const struct stats_snapshot *now,
                            const struct stats_snapshot *before, int64_t elapsed_us)
{
    buffer_append_text(out, ",\"kafka_producers\":[");
    for (uint32_t i = 0, written = 0; i < now->kafka_client_count; i++) {
        const struct kafka_client_stats *client = &now->kafka_clients[i];
        if (client->role == KAFKA_ROLE_CONSUMER)
            continue;
        if (written++)
            buffer_append_char(out, ',');
        write_producer(out, client, find_client(before, client), elapsed_us);
    }
    buffer_append_char(out, ']');
}

static void write_source(struct buffer *out, const struct source_stats *source,
                         const struct source_stats *before, int64_t now_us, int64_t elapsed_us)
{
    int64_t lag = stats_source_lag(source);
    write_name(out, source->name);
    buffer_append_char(out, '{');
    write_count(out, "in", source->in);
    write_count(out, "bad", source->bad);
    write_rate(out, "rate", source->in, before ? before->in : 0, before ? elapsed_us : 0);
    write_name(out, "lag");
    if (lag >= 0)
        buffer_json_int(out, lag);
    else
        buffer_append_text(out, "null");
    write_seconds(out, "lag_seconds", stats_source_lag_us(source, now_us));
    write_watermark(out, stats_source_watermark_us(source), now_us);
    write_name(out, "ended");
    buffer_json_bool(out, source->ended);
    if (source->client) {
        write_name(out, "kafka");
        write_member(out, source, before, elapsed_us);
    }
    buffer_append_char(out, '}');
}

static void write_pipeline(struct buffer *out, const struct pipeline_stats *pipeline, int64_t now_us)
{
    write_name(out, pipeline->name);
    buffer_append_char(out, '{');
    write_count(out, "used", pipeline->used);
    write_count(out, "filtered", pipeline->filtered);
    write_count(out, "too_late", pipeline->too_late);
    write_count(out, "late_accepted", pipeline->late_accepted);
    write_watermark(out, pipeline->watermark_us, now_us);
    write_count(out, "open_windows", pipeline->open_windows);
    write_count(out, "keys", pipeline->keys);
    write_count(out, "results", pipeline->results);
    buffer_append_char(out, '}');
}

static void write_totals(struct buffer *out, const struct stats_snapshot *now,
                         const struct stats_snapshot *before, int64_t elapsed_us)
{
    struct totals totals = totals_of(now), earlier = before ? totals_of(before) : (struct totals){0};
    write_rate(out, "events_per_second", totals.in, earlier.in, elapsed_us);
    write_count(out, "events_total", totals.in);
    write_rate(out, "results_per_second", now->results_total, before ? before->results_total : 0, elapsed_us);
    write_count(out, "results_total", now->results_total);
    write_count(out, "bad_total", totals.bad);
    write_count(out, "late_total", totals.late_accepted);
    write_count(out, "too_late_total", totals.too_late);
    write_count(out, "filtered_total", totals.filtered);
}

void stats_write_json(struct buffer *out, const struct stats_snapshot *now,
                      const struct stats_snapshot *before)
{
    /* Uptime and not the wall clock: nobody sets it back. */
    bool is_same_life = before && before->boot_id == now->boot_id;
    int64_t elapsed_us = is_same_life ? now->uptime_us - before->uptime_us : 0;
    buffer_append_char(out, '{');
    write_name(out, "time");
    buffer_json_int(out, milliseconds(now->wall_us));
    write_name(out, "uptime_s");
    buffer_json_int(out, now->uptime_us / MICROSECONDS_PER_SECOND);
    write_totals(out, now, before, elapsed_us);
    write_name(out, "latency");
    buffer_append_char(out, '{');
    write_latency(out, LATENCY_END_TO_END, &now->latency_minute[LATENCY_END_TO_END]);
    for (enum latency_stage stage = LATENCY_ACCEPT; stage < LATENCY_END_TO_END; stage++)
        write_latency(out, stage, &now->latency_minute[stage]);
    buffer_append_text(out, "},\"sources\":{");
    for (uint32_t i = 0; i < now->source_count; i++)
        write_source(out, &now->sources[i], find_source(before, now->sources[i].name), now->wall_us,
                     elapsed_us);
    buffer_append_text(out, "},\"pipelines\":{");
    for (uint32_t i = 0; i < now->pipeline_count; i++)
        write_pipeline(out, &now->pipelines[i], now->wall_us);
    buffer_append_char(out, '}');
    write_producers(out, now, before, elapsed_us);
    write_count(out, "memory_bytes", now->memory_size);
    write_count(out, "clients", now->clients);
    buffer_append_char(out, '}');
}
