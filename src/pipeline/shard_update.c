/* What a shard tells the merger: the panes that are complete, how far its partitions have come, and the positions that recovery needs.
 * The update is built after the panes were taken, so a position B that leaves a pane out is always behind that pane in the ring. */
#include <stdlib.h>

#include "base/memory.h"
#include "pipeline/engine_internal.h"

void shard_update_destroy(struct shard_update *update)
{
    if (!update)
        return;
    for (uint32_t i = 0; i < update->pane_count; i++) {
        if (update->panes[i].pane)
            pane_destroy(update->panes[i].pane);
    }
    output_list_deinit(&update->outputs);
    if (update->dead_letters)
        dead_letter_block_release(update->dead_letters);
    free(update->panes);
    free(update->clocks);
    free(update->positions);
    free(update);
}

static void fill_clocks(const struct shard *shard, struct pipeline_clock *clocks)
{
    const struct plan *plan = shard->engine->plan;
    for (uint32_t i = 0; i < plan->pipeline_count; i++) {
        clocks[i] = pipeline_clock_none();
    }
    for (uint32_t i = 0; i < shard->partition_count; i++) {
        const struct partition_state *state = &shard->partitions[i]->state;
        const struct plan_source *source = &plan->sources[state->source_index];
        for (uint32_t f = 0; f < source->feed_count; f++)
            pipeline_clock_add_partition(&clocks[source->feeds[f].pipeline_index], state);
    }
}

void shard_update_add_pane(struct shard_update *update, uint32_t pipeline_index, struct pane *pane)
{
    if (update->pane_count == update->pane_capacity) {
        update->pane_capacity = update->pane_capacity ? update->pane_capacity * 2 : 8;
        update->panes = memory_resize_array(update->panes, update->pane_capacity, sizeof *update->panes);
    }
    update->panes[update->pane_count++] = (struct update_pane){pipeline_index, pane};
}

static bool flushes_at_end(const struct engine *engine, uint32_t pipeline_index)
{
    return !engine->pipelines[pipeline_index].is_resumable;
}

/* Windows of a pipeline that others read are closed when all is read again, whatever held a partition's watermark back: by then the
 * merger has to have everything. */
static bool flushes_while_replaying(const struct engine *engine, uint32_t pipeline_index)
{
    return engine->config->pipelines[pipeline_index].is_read &&
           atomic_load_explicit(&engine->is_replaying, memory_order_acquire);
}

static void take_panes(struct shard *shard, struct shard_update *update, bool flush_open, bool is_last)
{
    for (uint32_t i = 0; i < shard->engine->plan->pipeline_count; i++) {
        struct window_operator *operator= shard->processor.operators[i];
        if (!operator)
            continue;
        bool flush = flush_open || (is_last && flushes_at_end(shard->engine, i)) ||
                     flushes_while_replaying(shard->engine, i);
        for (struct pane *pane;
             (pane = window_operator_take(operator, update->clocks[i].active_us, flush));) {
            shard_update_add_pane(update, i, pane);
        }
    }
}

static struct partition_position partition_position(const struct shard *shard,
                                                    const struct engine_partition *partition)
{
    const struct partition_state *state = &partition->state;
    const struct plan_source *source = &shard->engine->plan->sources[state->source_index];
    struct partition_position position = {
        .source_index = state->source_index,
        .partition = state->partition,
        .topic = partition->kafka.topic,
        .topic_partition = partition->kafka.partition,
        .position = state->next_offset,
        .position_max_time_us = state->watermark.max_event_time_us,
        .base = INT64_MAX,
        .base_watermark_us = TIME_NONE,
    };
    for (uint32_t f = 0; f < source->feed_count; f++) {
        const struct window_operator *operator= shard->processor.operators[source->feeds[f].pipeline_index];
        if (!operator)
            continue;
        int64_t before_us = TIME_NONE;
        int64_t oldest =
            window_operator_oldest_offset(operator, source->feeds[f].first_partition + state->partition,
                                          &before_us);
        if (oldest >= position.base)
            continue;
        position.base = oldest;
        position.base_watermark_us = before_us;
    }
    return position;
}

static void fill_positions(const struct shard *shard, struct shard_update *update)
{
    update->positions = memory_allocate_array(shard->partition_count + 1, sizeof *update->positions);
    for (uint32_t i = 0; i < shard->partition_count; i++) {
        const struct engine_partition *partition = shard->partitions[i];
        if (!partition->is_resumable)
            continue;
        update->positions[update->position_count++] = partition_position(shard, partition);
    }
}

struct shard_update *shard_update_create(struct shard *shard, bool flush_open, bool is_last)
{
    struct shard_update *update = memory_allocate(sizeof *update);
    update->shard_index = shard->index;
    update->arrival_us = shard->arrival_us;
    update->is_last = is_last;
    update->is_live = update->is_ended = true;
    for (uint32_t i = 0; i < shard->partition_count; i++) {
        const struct engine_partition *partition = shard->partitions[i];
        if (partition->state.next_offset < partition->replay_until)
            update->is_live = false;
        if (!partition->state.is_ended)
            update->is_ended = false;
    }
    update->clocks = memory_allocate_array(shard->engine->plan->pipeline_count + 1, sizeof *update->clocks);
    fill_clocks(shard, update->clocks);
    take_panes(shard, update, flush_open, is_last);
    fill_positions(shard, update);
    event_output_take(&shard->processor.output, &update->outputs);
    update->dead_letters = shard->processor.dead_letters;
    shard->processor.dead_letters = NULL;
    return update;
}
