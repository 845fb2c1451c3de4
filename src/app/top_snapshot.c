/* Members that are missing become NAN, so that a newer or older server can be looked at as well. */
#include "app/top_snapshot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json_find.h"

enum { TOP_DEPTH_MAX = 16 };

/* Where in which answer we are. */
struct place {
    const struct native_json_document *document;
    const struct native_json_node *object;
};

static double number(struct place place, const char *name)
{
    return json_find_number(place.document, place.object, name, (double)NAN);
}

static struct place member(struct place place, const char *name)
{
    return (struct place){place.document, json_find(place.document, place.object, name)};
}

static void copy_text(char *out, size_t size, struct slice text)
{
    snprintf(out, size, "%.*s", SLICE_ARG(text));
}

static void copy_name(char out[TOP_NAME_SIZE], const struct native_json_node *key)
{
    copy_text(out, TOP_NAME_SIZE, (struct slice){key->value.text, key->size});
}

static void read_stages(struct place stats, struct top_snapshot *out)
{
    struct place latency = member(stats, "latency");
    for (const struct native_json_node *key = json_first(latency.object);
         key && out->stage_count < TOP_STAGES_MAX; key = json_next(latency.document, key)) {
        struct top_stage *stage = &out->stages[out->stage_count++];
        struct place place = {latency.document, key + 1};
        copy_name(stage->name, key);
        stage->p50_us = number(place, "p50_us");
        stage->p95_us = number(place, "p95_us");
        stage->p99_us = number(place, "p99_us");
        stage->max_us = number(place, "max_us");
        stage->count = number(place, "count");
    }
}

static void read_member(struct place kafka, struct top_source *source)
{
    copy_text(source->group, sizeof source->group, json_find_text(kafka.document, kafka.object, "group"));
    source->is_joined = json_find_true(kafka.document, kafka.object, "joined");
    source->partitions = number(kafka, "partitions");
    source->rebalances = number(kafka, "rebalances");
    source->fetched = number(kafka, "fetched_messages");
    source->fetch_rate = number(kafka, "fetch_rate");
    source->round_trip_us = number(kafka, "round_trip_us");
}

static void read_producers(struct place stats, struct top_snapshot *out)
{
    const struct native_json_node *list = json_find(stats.document, stats.object, "kafka_producers");
    if (!list || list->event != NATIVE_JSON_ARRAY_BEGIN)
        return;
    for (const struct native_json_node *node = json_first(list);
         node && out->producer_count < TOP_PRODUCERS_MAX; node = json_next(stats.document, node)) {
        struct top_producer *producer = &out->producers[out->producer_count++];
        struct place place = {stats.document, node};
        copy_text(producer->name, sizeof producer->name, json_find_text(stats.document, node, "name"));
        copy_text(producer->role, sizeof producer->role, json_find_text(stats.document, node, "role"));
        producer->rate = number(place, "produce_rate");
        producer->messages = number(place, "produced_messages");
        producer->round_trip_us = number(place, "round_trip_us");
    }
}

static void read_sources(struct place stats, struct top_snapshot *out)
{
    struct place sources = member(stats, "sources");
    for (const struct native_json_node *key = json_first(sources.object);
         key && out->source_count < TOP_SOURCES_MAX; key = json_next(sources.document, key)) {
        struct top_source *source = &out->sources[out->source_count++];
        struct place place = {sources.document, key + 1};
        copy_name(source->name, key);
        source->in = number(place, "in");
        source->bad = number(place, "bad");
        source->rate = number(place, "rate");
        source->lag = number(place, "lag");
        source->lag_seconds = number(place, "lag_seconds");
        source->delay_ms = number(place, "watermark_delay_ms");
        read_member(member(place, "kafka"), source);
        source->is_ended = json_find_true(place.document, place.object, "ended");
    }
}

/* Per second since the snapshot before; a server that was started anew begins again at 0 and has none yet. */
static double rate_since(double now, double before, double elapsed_s)
{
    return elapsed_s > 0 && now >= before ? (now - before) / elapsed_s : (double)NAN;
}

static const struct top_pipeline *find_pipeline(const struct top_snapshot *snapshot, const char *name)
{
    for (uint32_t i = 0; snapshot && i < snapshot->pipeline_count; i++) {
        if (strcmp(snapshot->pipelines[i].name, name) == 0)
            return &snapshot->pipelines[i];
    }
    return NULL;
}

static void read_pipelines(struct place stats, const struct top_snapshot *before, struct top_snapshot *out)
{
    double elapsed_s = before ? (out->time_ms - before->time_ms) / 1000 : 0;
    struct place pipelines = member(stats, "pipelines");
    for (const struct native_json_node *key = json_first(pipelines.object);
         key && out->pipeline_count < TOP_PIPELINES_MAX; key = json_next(pipelines.document, key)) {
        struct top_pipeline *pipeline = &out->pipelines[out->pipeline_count++];
        struct place place = {pipelines.document, key + 1};
        copy_name(pipeline->name, key);
        pipeline->used = number(place, "used");
        pipeline->filtered = number(place, "filtered");
        pipeline->late_accepted = number(place, "late_accepted");
        pipeline->too_late = number(place, "too_late");
        pipeline->results = number(place, "results");
        pipeline->keys = number(place, "keys");
        pipeline->open_windows = number(place, "open_windows");
        pipeline->delay_ms = number(place, "watermark_delay_ms");
        const struct top_pipeline *earlier = find_pipeline(before, pipeline->name);
        pipeline->used_rate =
            rate_since(pipeline->used, earlier ? earlier->used : 0, earlier ? elapsed_s : 0);
        pipeline->result_rate =
            rate_since(pipeline->results, earlier ? earlier->results : 0, earlier ? elapsed_s : 0);
    }
}

static void read_stats(struct place stats, const struct top_snapshot *before, struct top_snapshot *out)
{
    out->time_ms = number(stats, "time");
    out->uptime_s = number(stats, "uptime_s");
    out->event_rate = number(stats, "events_per_second");
    out->event_total = number(stats, "events_total");
    out->result_rate = number(stats, "results_per_second");
    out->result_total = number(stats, "results_total");
    out->bad_total = number(stats, "bad_total");
    out->late_total = number(stats, "late_total");
    out->too_late_total = number(stats, "too_late_total");
    out->filtered_total = number(stats, "filtered_total");
    out->memory_size = number(stats, "memory_bytes");
    out->client_count = number(stats, "clients");
    read_stages(stats, out);
    read_sources(stats, out);
    read_producers(stats, out);
    read_pipelines(stats, before, out);
}

static void read_health(struct place health, struct top_snapshot *out)
{
    copy_text(out->status, sizeof out->status, json_find_text(health.document, health.object, "status"));
    copy_text(out->version, sizeof out->version, json_find_text(health.document, health.object, "version"));
    struct place components = member(health, "components");
    for (const struct native_json_node *key = json_first(components.object);
         key && out->component_count < TOP_COMPONENTS_MAX; key = json_next(components.document, key)) {
        struct slice status = json_find_text(health.document, key + 1, "status");
        if (slice_equal_text(status, "ok"))
            continue;
        struct top_component *component = &out->components[out->component_count++];
        copy_name(component->name, key);
        copy_text(component->status, sizeof component->status, status);
        copy_text(component->reason, sizeof component->reason,
                  json_find_text(health.document, key + 1, "reason"));
    }
}

/* Parses and hands on; a parser holds one document at a time, so both are taken one after the other. */
static enum status parse(struct native_json *json, struct slice text, const char *what, const char *must_have,
                         struct native_json_document *document, struct error *error)
{
    if (native_json_parse(json, text.data, text.size, TOP_DEPTH_MAX, document) == NATIVE_JSON_OK &&
        json_find(document, document->nodes, must_have))
        return STATUS_OK;
    error_set(error, "%s is not what weir answers; does another program listen there?", what);
    return STATUS_INVALID;
}

enum status top_snapshot_read(struct native_json *json, struct slice stats, struct slice health,
                              const struct top_snapshot *before, struct top_snapshot *out,
                              struct error *error)
{
    struct native_json_document document;
    memset(out, 0, sizeof *out);
    enum status status = parse(json, stats, "/api/v1/stats", "events_total", &document, error);
    if (status != STATUS_OK)
        return status;
    read_stats((struct place){&document, document.nodes}, before, out);
    status = parse(json, health, "/health", "status", &document, error);
    if (status == STATUS_OK)
        read_health((struct place){&document, document.nodes}, out);
    return status;
}
