/* What is known without asking a database: pipelines, sources, clients, statistics, health. */
#include <string.h>

#include "config/options.h"
#include "flow/event_time.h"
#include "serve/api_internal.h"

#define JSON_TYPE "application/json"

static void write_text_or_null(struct buffer *out, const char *text)
{
    if (text)
        buffer_json_string(out, slice_of(text));
    else
        buffer_append_text(out, "null");
}

/* Microseconds to milliseconds, downwards; the marks for "none" and "ended" have no time. */
static void write_time(struct buffer *out, int64_t time_us)
{
    if (time_us == TIME_NONE || time_us == TIME_MAX)
        buffer_append_text(out, "null");
    else
        buffer_json_int(out, event_time_floor(time_us, 1000) / 1000);
}

static void write_comma(struct buffer *out, uint32_t index)
{
    if (index > 0)
        buffer_append_char(out, ',');
}

/* --- pipelines --- */

/* "user = user_id, score = 100 * hits, each event where ..." */
static void append_fields(struct buffer *text, const struct config_pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->select_count; i++)
        buffer_format(text, "%s%s = %s", i ? ", " : "", pipeline->selects[i].name,
                      pipeline->selects[i].value.text);
    buffer_append_text(text, pipeline->select_count ? " of each event" : "each event");
}

static void describe_window(struct buffer *text, struct arena *arena, const struct config_window *window)
{
    switch (window->kind) {
    case CONFIG_WINDOW_TUMBLING:
        buffer_format(text, ", every %s", duration_text(arena, window->size_us));
        break;
    case CONFIG_WINDOW_SLIDING:
        buffer_format(text, ", of the last %s, every %s", duration_text(arena, window->size_us),
                      duration_text(arena, window->slide_us));
        break;
    case CONFIG_WINDOW_SESSION:
        buffer_format(text, ", per session with gaps of at most %s", duration_text(arena, window->gap_us));
        break;
    case CONFIG_WINDOW_GLOBAL: buffer_append_text(text, ", since the beginning"); break;
    }
}

/* One sentence: orders = count(), revenue = sum(amount) by country, every 10 s where amount > 0. */
static void write_description(struct buffer *out, const struct config_pipeline *pipeline)
{
    struct buffer text = {0};
    struct arena arena;
    arena_init(&arena, 0);
    if (!pipeline->has_window)
        append_fields(&text, pipeline);
    for (uint32_t i = 0; i < pipeline->aggregate_count; i++)
        buffer_format(&text, "%s%s = %s", i ? ", " : "", pipeline->aggregates[i].name,
                      pipeline->aggregates[i].value.text);
    for (uint32_t i = 0; i < pipeline->key_count; i++)
        buffer_format(&text, "%s%s", i ? ", " : " by ", pipeline->keys[i].name);
    if (pipeline->has_window)
        describe_window(&text, &arena, &pipeline->window);
    if (pipeline->where.text)
        buffer_format(&text, " where %s", pipeline->where.text);
    buffer_json_string(out, buffer_slice(&text));
    arena_deinit(&arena);
    buffer_deinit(&text);
}

static void write_destinations(struct buffer *out, const struct config *config,
                               const struct config_pipeline *pipeline)
{
    const char *names[2 + CONFIG_MAX_SINKS];
    uint32_t count = 0;
    if (pipeline->to_store)
        names[count++] = "store";
    if (pipeline->to_live)
        names[count++] = "live";
    for (uint32_t i = 0; i < pipeline->sink_count; i++)
        names[count++] = config->sinks[pipeline->sinks[i]].name;
    buffer_append_text(out, ",\"to\":[");
    for (uint32_t i = 0; i < count; i++) {
        write_comma(out, i);
        buffer_json_string(out, slice_of(names[i]));
    }
    buffer_append_char(out, ']');
}

static void write_named_texts(struct buffer *out, const char *key, const struct config_named_text *texts,
                              uint32_t count)
{
    buffer_format(out, ",\"%s\":[", key);
    for (uint32_t i = 0; i < count; i++) {
        write_comma(out, i);
        buffer_append_text(out, "{\"name\":");
        buffer_json_string(out, slice_of(texts[i].name));
        buffer_append_text(out, ",\"expression\":");
        buffer_json_string(out, slice_of(texts[i].value.text));
        buffer_append_char(out, '}');
    }
    buffer_append_char(out, ']');
}

static void write_window(struct buffer *out, const struct config_pipeline *pipeline)
{
    if (!pipeline->has_window) {
        buffer_append_text(out, ",\"window\":null");
        return;
    }
    const struct config_window *window = &pipeline->window;
    bool is_aligned = window->kind == CONFIG_WINDOW_TUMBLING || window->kind == CONFIG_WINDOW_SLIDING;
    buffer_format(out, ",\"window\":{\"kind\":\"%s\"", config_window_kind_name(window->kind));
    if (is_aligned)
        buffer_format(out, ",\"size_ms\":%lld", (long long)(window->size_us / 1000));
    if (window->kind == CONFIG_WINDOW_SLIDING)
        buffer_format(out, ",\"slide_ms\":%lld", (long long)(window->slide_us / 1000));
    if (is_aligned)
        buffer_format(out, ",\"offset_ms\":%lld", (long long)(window->offset_us / 1000));
    if (window->kind == CONFIG_WINDOW_SESSION)
        buffer_format(out, ",\"gap_ms\":%lld,\"max_duration_ms\":%lld", (long long)(window->gap_us / 1000),
                      (long long)(window->max_duration_us / 1000));
    buffer_append_char(out, '}');
}

static void write_lateness(struct buffer *out, const struct config_pipeline *pipeline)
{
    static const char *const late[] = {[LATE_UPDATE] = "update", [LATE_DROP] = "drop", [LATE_DLQ] = "dlq"};
    buffer_format(out, ",\"late\":\"%s\",\"allowed_lateness_ms\":%lld", late[pipeline->late],
                  (long long)(pipeline->allowed_lateness_us / 1000));
}

static void write_definition(struct buffer *out, const struct config *config,
                             const struct config_pipeline *pipeline)
{
    buffer_append_text(out, ",\"from\":[");
    for (uint32_t i = 0; i < pipeline->source_count; i++) {
        write_comma(out, i);
        buffer_json_string(out, slice_of(config->sources[pipeline->sources[i]].name));
    }
    for (uint32_t i = 0; i < pipeline->upstream_count; i++) {
        write_comma(out, i);
        buffer_json_string(out, slice_of(config->pipelines[pipeline->upstreams[i]].name));
    }
    buffer_append_char(out, ']');
    write_window(out, pipeline);
    buffer_append_text(out, ",\"key\":[");
    for (uint32_t i = 0; i < pipeline->key_count; i++) {
        write_comma(out, i);
        buffer_json_string(out, slice_of(pipeline->keys[i].name));
    }
    buffer_append_char(out, ']');
    write_named_texts(out, "aggregates", pipeline->aggregates, pipeline->aggregate_count);
    if (!pipeline->has_window)
        write_named_texts(out, "select", pipeline->selects, pipeline->select_count);
    buffer_append_text(out, ",\"where\":");
    write_text_or_null(out, pipeline->where.text);
    if (pipeline->has_window)
        write_lateness(out, pipeline);
    write_destinations(out, config, pipeline);
}

static void write_pipeline(struct buffer *out, struct api *api, uint32_t index)
{
    const struct config *config = api->options.config;
    const struct config_pipeline *pipeline = &config->pipelines[index];
    const struct stats_snapshot *snapshot = api_snapshot(api, NULL);
    static const struct pipeline_stats none = {.watermark_us = TIME_NONE};
    const struct pipeline_stats *stats =
        index < snapshot->pipeline_count ? &snapshot->pipelines[index] : &none;
    buffer_append_text(out, "{\"name\":");
    buffer_json_string(out, slice_of(pipeline->name));
    buffer_append_text(out, ",\"description\":");
    write_description(out, pipeline);
    write_definition(out, config, pipeline);
    buffer_format(out,
                  ",\"counters\":{\"used\":%llu,\"filtered\":%llu,\"too_late\":%llu,\"late_accepted\":%llu,"
                  "\"type_errors\":%llu,\"overflow_events\":%llu,\"results\":%llu},\"open_windows\":%llu,"
                  "\"held_windows\":%llu,\"keys\":%llu,\"memory_bytes\":%llu,\"watermark\":",
                  (unsigned long long)stats->used, (unsigned long long)stats->filtered,
                  (unsigned long long)stats->too_late, (unsigned long long)stats->late_accepted,
                  (unsigned long long)stats->type_errors, (unsigned long long)stats->overflow_events,
                  (unsigned long long)stats->results, (unsigned long long)stats->open_windows,
                  (unsigned long long)stats->held_windows, (unsigned long long)stats->keys,
                  (unsigned long long)stats->memory_size);
    write_time(out, stats->watermark_us);
    buffer_append_char(out, '}');
}

void api_answer_pipelines(struct api *api, const struct api_query *query, struct api_response *response)
{
    (void)query;
    api_list_begin(response);
    for (uint32_t i = 0; i < api->options.config->pipeline_count; i++) {
        write_comma(&response->body, i);
        write_pipeline(&response->body, api, i);
    }
    api_list_end(response, (struct slice){0}, "");
}

void api_answer_pipeline(struct api *api, const struct api_query *query, struct api_response *response)
{
    uint32_t index = api_find_pipeline(api, query->path_value, response);
    if (index == UINT32_MAX)
        return;
    api_ok(response, JSON_TYPE);
    write_pipeline(&response->body, api, index);
    buffer_append_char(&response->body, '\n');
}

/* --- sources --- */

static void write_place(struct buffer *out, const struct config_source *source)
{
    static const char *const kinds[] = {[SOURCE_KAFKA] = "kafka",
                                        [SOURCE_HTTP] = "http",
                                        [SOURCE_FILE] = "file",
                                        [SOURCE_GENERATOR] = "generator"};
    buffer_append_text(out, "{\"name\":");
    buffer_json_string(out, slice_of(source->name));
    buffer_format(out, ",\"kind\":\"%s\"", kinds[source->kind]);
    /* Names of sources need no escapes in a URL. */
    if (source->kind == SOURCE_HTTP)
        buffer_format(out, ",\"ingest_url\":\"/api/v1/sources/%s/events\"", source->name);
    if (source->time.text) {
        buffer_append_text(out, ",\"time\":");
        buffer_json_string(out, slice_of(source->time.text));
    }
}

static void write_verdicts(struct buffer *out, const struct config *config, const struct source_stats *stats)
{
    buffer_format(out, ",\"counters\":{\"in\":%llu,\"bad\":%llu},\"bad_by_reason\":{",
                  (unsigned long long)stats->in, (unsigned long long)stats->bad);
    for (uint32_t i = 0, written = 0; i < BAD_REASON_COUNT; i++) {
        if (stats->bad_by_reason[i] == 0)
            continue;
        write_comma(out, written++);
        buffer_format(out, "\"%s\":%llu", bad_reason_name((enum bad_reason)i),
                      (unsigned long long)stats->bad_by_reason[i]);
    }
    buffer_append_text(out, "},\"pipelines\":{");
    for (uint32_t i = 0; i < stats->pipeline_count; i++) {
        const struct source_pipeline_stats *feed = &stats->pipelines[i];
        write_comma(out, i);
        buffer_json_string(out, slice_of(config->pipelines[feed->pipeline_index].name));
        buffer_format(out, ":{\"used\":%llu,\"filtered\":%llu,\"too_late\":%llu}",
                      (unsigned long long)feed->used, (unsigned long long)feed->filtered,
                      (unsigned long long)feed->too_late);
    }
}

/* In records and in seconds of their own time; negative: unknown. */
static void write_lag(struct buffer *out, int64_t lag, int64_t lag_us)
{
    if (lag < 0)
        buffer_append_text(out, "null");
    else
        buffer_json_int(out, lag);
    buffer_append_text(out, ",\"lag_seconds\":");
    if (lag_us < 0)
        buffer_append_text(out, "null");
    else
        buffer_json_double(out, (double)lag_us / MICROSECONDS_PER_SECOND);
}

static void write_partitions(struct buffer *out, const struct source_stats *stats, int64_t now_us)
{
    buffer_append_text(out, "},\"partitions\":[");
    for (uint32_t i = 0; i < stats->partition_count; i++) {
        const struct partition_stats *partition = &stats->partitions[i];
        write_comma(out, i);
        buffer_append_char(out, '{');
        if (partition->topic) {
            buffer_append_text(out, "\"topic\":");
            buffer_json_string(out, slice_of(partition->topic));
            buffer_append_char(out, ',');
        }
        buffer_format(out, "\"partition\":%u,\"offset\":%lld,\"watermark\":", partition->partition,
                      (long long)partition->offset);
        write_time(out, partition->watermark_us);
        buffer_format(out, ",\"idle\":%s,\"lag\":", partition->idle ? "true" : "false");
        write_lag(out, partition->lag, stats_partition_lag_us(partition, now_us));
        buffer_append_char(out, '}');
    }
    buffer_append_text(out, "],\"lag\":");
    write_lag(out, stats_source_lag(stats), stats_source_lag_us(stats, now_us));
    buffer_format(out, ",\"ended\":%s,\"paused\":%s", stats->ended ? "true" : "false",
                  stats->paused ? "true" : "false");
}

/* Rates are those of /api/v1/stats. */
static void write_member(struct buffer *out, const struct source_stats *stats)
{
    const struct kafka_member_figures *member = &stats->client->member;
    int64_t round_trip_us = kafka_figures_round_trip_us(stats->client->figures);
    buffer_append_text(out, ",\"kafka\":{\"group\":");
    buffer_json_string(out, slice_of(stats->client->name));
    buffer_format(
        out,
        ",\"joined\":%s,\"group_partitions\":%u,\"rebalances\":%llu,\"commits\":%llu,"
        "\"commit_failures\":%llu,\"fetched_messages\":%llu,\"fetched_bytes\":%llu,\"round_trip_us\":",
        member->is_member ? "true" : "false", member->assigned_count,
        (unsigned long long)member->rebalance_count, (unsigned long long)member->commit_count,
        (unsigned long long)member->commit_failure_count, (unsigned long long)stats->fetched_messages,
        (unsigned long long)stats->fetched_bytes);
    if (round_trip_us < 0)
        buffer_append_text(out, "null}");
    else
        buffer_format(out, "%lld}", (long long)round_trip_us);
}

static void write_source(struct buffer *out, struct api *api, uint32_t index)
{
    const struct config *config = api->options.config;
    const struct stats_snapshot *snapshot = api_snapshot(api, NULL);
    static const struct source_stats none;
    const struct source_stats *stats = index < snapshot->source_count ? &snapshot->sources[index] : &none;
    write_place(out, &config->sources[index]);
    write_verdicts(out, config, stats);
    write_partitions(out, stats, snapshot->wall_us);
    if (stats->client)
        write_member(out, stats);
    buffer_append_char(out, '}');
}

void api_answer_sources(struct api *api, const struct api_query *query, struct api_response *response)
{
    (void)query;
    api_list_begin(response);
    for (uint32_t i = 0; i < api->options.config->source_count; i++) {
        write_comma(&response->body, i);
        write_source(&response->body, api, i);
    }
    api_list_end(response, (struct slice){0}, "");
}

void api_answer_source(struct api *api, const struct api_query *query, struct api_response *response)
{
    uint32_t index = api_find_source(api, query->path_value, response);
    if (index == UINT32_MAX)
        return;
    api_ok(response, JSON_TYPE);
    write_source(&response->body, api, index);
    buffer_append_char(&response->body, '\n');
}

/* --- clients, alerts, statistics --- */

void api_answer_clients(struct api *api, const struct api_query *query, struct api_response *response)
{
    (void)query;
    const struct stats_snapshot *snapshot = api_snapshot(api, NULL);
    struct buffer counts = {0};
    buffer_format(
        &counts,
        ",\"counters\":{\"clients\":%u,\"subscriptions\":%u,\"deliveries\":%llu,\"delivered_bytes\":%llu,"
        "\"slow_consumers\":%llu,\"events_dropped\":%llu}",
        snapshot->clients, snapshot->subscriptions, (unsigned long long)snapshot->deliveries,
        (unsigned long long)snapshot->delivered_bytes, (unsigned long long)snapshot->slow_consumers,
        (unsigned long long)snapshot->events_dropped);
    buffer_append_char(&counts, '\0');
    api_list_begin(response);
    if (api->options.write_clients)
        api->options.write_clients(api->options.context, &response->body);
    api_list_end(response, (struct slice){0}, counts.data);
    buffer_deinit(&counts);
}

/* There are no alert rules yet, so nothing can fire. */
void api_answer_alerts(struct api *api, const struct api_query *query, struct api_response *response)
{
    (void)api;
    (void)query;
    api_list_begin(response);
    api_list_end(response, (struct slice){0}, "");
}

void api_answer_stats(struct api *api, const struct api_query *query, struct api_response *response)
{
    (void)query;
    api_ok(response, JSON_TYPE);
    api_write_metrics(api, &response->body);
    buffer_append_char(&response->body, '\n');
}
