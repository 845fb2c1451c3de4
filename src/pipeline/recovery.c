/* Where to go on: what the store recorded, put into the partitions and pipelines before the first record is read.
 *
 * A pipeline whose definition has changed starts anew at the present bases: its old results stay, and its windows are not silenced. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "pipeline/engine_internal.h"

static bool find_source(const struct config *config, const char *name, uint32_t *index)
{
    for (uint32_t i = 0; i < config->source_count; i++) {
        if (strcmp(config->sources[i].name, name) != 0)
            continue;
        *index = i;
        return true;
    }
    return false;
}

/* Positions of kafka sources are kept under "source:topic". They wait in engine->durable until the group has assigned the partitions. */
static bool restore_kafka(struct engine *engine, const struct store_position *position,
                          struct progress_mark *mark)
{
    const char *colon = strchr(position->source, ':');
    if (!colon)
        return false;
    for (uint32_t i = 0; i < engine->config->source_count; i++) {
        const char *name = engine->config->sources[i].name;
        if (strlen(name) != (size_t)(colon - position->source) ||
            strncmp(name, position->source, (size_t)(colon - position->source)) != 0)
            continue;
        if (position->position < 0)
            return true; /* given up: the group knows */
        mark->positions[mark->position_count++] = (struct partition_position){
            .source_index = i,
            .topic = arena_copy(&engine->plan->arena, slice_of(colon + 1)).data,
            .topic_partition = (int32_t)position->partition,
            .position = position->position,
            .position_max_time_us = position->position_max_time_us,
            .base = position->base,
            .base_watermark_us = position->base_watermark_us,
        };
    }
    return true;
}

static void restore_partition(struct engine *engine, const struct store_position *position)
{
    uint32_t source_index = 0;
    if (!find_source(engine->config, position->source, &source_index))
        return;
    struct engine_partition *partition = engine_find_partition(engine, source_index, position->partition);
    if (!partition || !partition->is_resumable) {
        if (!partition) {
            log_write(LOG_WARN, "engine",
                      "source %s has no partition %u any more: what was in its open windows is left out",
                      position->source, position->partition);
        }
        return;
    }
    const struct config_source *config = &engine->config->sources[source_index];
    partition->state.next_offset = position->base;
    partition->replay_until = position->position;
    partition->released_base = position->base;
    atomic_store_explicit(&partition->durable_base, position->base, memory_order_relaxed);
    if (position->base_watermark_us != TIME_NONE) {
        partition->state.watermark.max_event_time_us =
            position->base_watermark_us + config->max_out_of_orderness_us;
    }
}

static void restore_pipeline(struct engine *engine, const struct store_pipeline_progress *progress)
{
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++) {
        const struct plan_pipeline *pipeline = &engine->plan->pipelines[i];
        if (strcmp(pipeline->shape.pipeline, progress->pipeline) != 0)
            continue;
        if (!engine->pipelines[i].is_resumable)
            return;
        if (pipeline->definition_hash != progress->definition_hash) {
            log_write(
                LOG_WARN, "engine",
                "pipeline %s has changed since the last run: it starts anew, with windows as far as their events are still there",
                progress->pipeline);
            return;
        }
        engine->pipelines[i].closed_through_us = progress->closed_through_us;
        return;
    }
}

enum status recovery_load(struct engine *engine, struct error *error)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct store_progress progress = {0};
    enum status status = store_load_progress(engine->store, &arena, &progress, error);
    if (status == STATUS_OK) {
        engine->merger.epoch = progress.epoch;
        for (uint32_t i = 0; i < progress.pipeline_count; i++)
            restore_pipeline(engine, &progress.pipelines[i]);
        struct progress_mark *mark = memory_allocate(sizeof *mark);
        mark->epoch = progress.epoch;
        mark->positions = memory_allocate_array(progress.position_count + 1, sizeof *mark->positions);
        mark->closed_through_us =
            memory_allocate_array(engine->plan->pipeline_count + 1, sizeof *mark->closed_through_us);
        for (uint32_t i = 0; i < engine->plan->pipeline_count; i++)
            mark->closed_through_us[i] = engine->pipelines[i].closed_through_us;
        for (uint32_t i = 0; i < progress.position_count; i++) {
            if (!restore_kafka(engine, &progress.positions[i], mark))
                restore_partition(engine, &progress.positions[i]);
        }
        engine_set_durable(engine, mark);
    }
    int64_t replayed = 0;
    for (uint32_t i = 0; i < engine->partition_count; i++) {
        const struct engine_partition *partition = &engine->partitions[i];
        if (partition->replay_until > partition->state.next_offset) {
            replayed += partition->replay_until - partition->state.next_offset;
        }
    }
    if (replayed)
        health_report(engine->health, "engine", HEALTH_DEGRADED,
                      "recovering: %" PRId64 " events of open windows are read again", replayed);
    arena_deinit(&arena);
    return status;
}
