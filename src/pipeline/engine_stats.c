/* The engine as others see it: what shards and merger have published, added up on the asker's thread. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "pipeline/engine_internal.h"

static void add_source(struct engine *engine, const struct shard *shard, uint32_t source_index,
                       struct source_stats *into)
{
    const struct source_counts *from = &shard->published.sources[source_index];
    const struct plan_source *source = &engine->plan->sources[source_index];
    into->in += from->in;
    into->bad += from->bad;
    into->fast_documents += from->fast_documents;
    into->slow_documents += from->slow_documents;
    for (uint32_t i = 0; i < BAD_REASON_COUNT; i++)
        into->bad_by_reason[i] += from->bad_by_reason[i];
    for (uint32_t i = 0; i < source->feed_count; i++) {
        into->pipelines[i].used += from->feeds[i].used;
        into->pipelines[i].filtered += from->feeds[i].filtered;
        into->pipelines[i].too_late += from->feeds[i].too_late;
    }
}

static void init_source(const struct engine *engine, uint32_t source_index, struct stats_snapshot *snapshot,
                        struct source_stats *stats)
{
    static const char *const kinds[] = {[SOURCE_KAFKA] = "kafka",
                                        [SOURCE_HTTP] = "http",
                                        [SOURCE_FILE] = "file",
                                        [SOURCE_GENERATOR] = "generator"};
    const struct plan_source *source = &engine->plan->sources[source_index];
    stats->name = source->config->name;
    stats->kind = kinds[source->config->kind];
    stats->partitions =
        arena_allocate_zeroed(&snapshot->arena, sizeof *stats->partitions * source->partition_count);
    stats->pipeline_count = source->feed_count;
    stats->pipelines =
        arena_allocate_zeroed(&snapshot->arena, sizeof *stats->pipelines * (source->feed_count + 1));
    for (uint32_t i = 0; i < source->feed_count; i++)
        stats->pipelines[i].pipeline_index = source->feeds[i].pipeline_index;
    stats->ended = true;
}

static void add_shard(struct engine *engine, struct shard *shard, struct stats_snapshot *snapshot)
{
    pthread_mutex_lock(&shard->published.lock);
    for (uint32_t i = 0; i < engine->plan->source_count; i++)
        add_source(engine, shard, i, &snapshot->sources[i]);
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++) {
        snapshot->pipelines[i].late_accepted += shard->published.pipelines[i].late_accepted;
        snapshot->pipelines[i].type_errors += shard->published.pipelines[i].type_errors;
        snapshot->pipelines[i].overflow_events += shard->published.pipelines[i].overflow_events;
        snapshot->pipelines[i].results += shard->published.pipelines[i].events_out;
        snapshot->results_total += shard->published.pipelines[i].events_out;
    }
    for (uint32_t i = 0; i < shard->published.partition_count; i++) {
        struct source_stats *source = &snapshot->sources[shard->published.partitions[i].source_index];
        source->partitions[source->partition_count++] = shard->published.partitions[i];
        if (!shard->published.partitions[i].ended)
            source->ended = false;
    }
    pthread_mutex_unlock(&shard->published.lock);
}

static int compare_partitions(const void *a, const void *b)
{
    const struct partition_stats *x = a, *y = b;
    int order = x->topic && y->topic ? strcmp(x->topic, y->topic) : 0;
    return order ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static void sort_partitions(struct source_stats *source)
{
    qsort(source->partitions, source->partition_count, sizeof *source->partitions, compare_partitions);
}

/* Smallest watermark of the pipeline's partitions that still hold it back. */
static int64_t pipeline_watermark_us(const struct engine *engine, const struct stats_snapshot *snapshot,
                                     uint32_t pipeline_index)
{
    int64_t smallest_us = TIME_MAX;
    for (uint32_t s = 0; s < engine->plan->source_count; s++) {
        const struct plan_source *source = &engine->plan->sources[s];
        for (uint32_t f = 0; f < source->feed_count; f++) {
            if (source->feeds[f].pipeline_index != pipeline_index)
                continue;
            for (uint32_t p = 0; p < snapshot->sources[s].partition_count; p++) {
                const struct partition_stats *partition = &snapshot->sources[s].partitions[p];
                if (!partition->idle && !partition->ended && partition->watermark_us < smallest_us)
                    smallest_us = partition->watermark_us;
            }
        }
    }
    return smallest_us == TIME_MAX ? TIME_NONE : smallest_us;
}

/* On-time events whose window was already gone (only after a pause of their partition): the shard took them for used. */
static void move_gone(struct stats_snapshot *snapshot, uint32_t pipeline_index, uint64_t gone)
{
    for (uint32_t s = 0; s < snapshot->source_count; s++) {
        struct source_stats *source = &snapshot->sources[s];
        for (uint32_t f = 0; f < source->pipeline_count && gone; f++) {
            struct source_pipeline_stats *feed = &source->pipelines[f];
            if (feed->pipeline_index != pipeline_index)
                continue;
            uint64_t moved = gone < feed->used ? gone : feed->used;
            feed->used -= moved;
            feed->too_late += moved;
            gone -= moved;
        }
    }
}

static void add_merger(struct engine *engine, struct stats_snapshot *snapshot)
{
    pthread_mutex_lock(&engine->merger.lock);
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++) {
        const struct window_merger_stats *from = &engine->merger.published[i];
        struct pipeline_stats *into = &snapshot->pipelines[i];
        into->results += from->results;
        into->open_windows = from->open_windows;
        into->held_windows = from->held_windows;
        into->keys = from->keys;
        into->memory_size = from->memory_size;
        into->overflow_events += from->overflow_events;
        snapshot->results_total += from->results;
        into->used += engine->merger.published_chain[i].used;
        into->filtered += engine->merger.published_chain[i].filtered;
        into->too_late += engine->merger.published_chain[i].too_late;
        move_gone(snapshot, i, from->gone_events);
    }
    pthread_mutex_unlock(&engine->merger.lock);
}

static void sum_pipelines(const struct engine *engine, struct stats_snapshot *snapshot)
{
    for (uint32_t s = 0; s < snapshot->source_count; s++) {
        for (uint32_t f = 0; f < snapshot->sources[s].pipeline_count; f++) {
            const struct source_pipeline_stats *feed = &snapshot->sources[s].pipelines[f];
            struct pipeline_stats *pipeline = &snapshot->pipelines[feed->pipeline_index];
            pipeline->used += feed->used;
            pipeline->filtered += feed->filtered;
            pipeline->too_late += feed->too_late;
        }
    }
    for (uint32_t i = 0; i < snapshot->pipeline_count; i++) {
        snapshot->pipelines[i].watermark_us = pipeline_watermark_us(engine, snapshot, i);
    }
}

void engine_snapshot(struct engine *engine, struct stats_snapshot *snapshot)
{
    const struct plan *plan = engine->plan;
    snapshot->wall_us = clock_wall_us(engine->clock);
    snapshot->uptime_us = clock_monotonic_us(engine->clock) - engine->started_us;
    snapshot->boot_id = engine->boot_id;
    snapshot->shards = engine->shard_count;
    snapshot->memory_size = memory_resident_size();
    snapshot->source_count = plan->source_count;
    snapshot->pipeline_count = plan->pipeline_count;
    snapshot->sources =
        arena_allocate_zeroed(&snapshot->arena, sizeof *snapshot->sources * (plan->source_count + 1));
    snapshot->pipelines =
        arena_allocate_zeroed(&snapshot->arena, sizeof *snapshot->pipelines * (plan->pipeline_count + 1));
    for (uint32_t i = 0; i < plan->source_count; i++)
        init_source(engine, i, snapshot, &snapshot->sources[i]);
    for (uint32_t i = 0; i < plan->pipeline_count; i++)
        snapshot->pipelines[i].name = plan->pipelines[i].shape.pipeline;
    for (uint32_t i = 0; i < engine->shard_count; i++)
        add_shard(engine, &engine->shards[i], snapshot);
    for (uint32_t i = 0; i < plan->source_count; i++)
        sort_partitions(&snapshot->sources[i]);
    engine_add_kafka(engine, snapshot);
    add_merger(engine, snapshot);
    sum_pipelines(engine, snapshot);
    ledger_fill(engine->ledger, engine, snapshot);
    snapshot->dead_letters = atomic_load_explicit(&engine->dead_letter_count, memory_order_relaxed);
    snapshot->store_rows = atomic_load_explicit(&engine->store_row_count, memory_order_relaxed);
    snapshot->store_commits = atomic_load_explicit(&engine->store_commit_count, memory_order_relaxed);
}
