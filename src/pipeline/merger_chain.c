/* The merger and pipelines that read pipelines: what the records in open windows rest on, and how such windows come back.
 *
 * An open window of a pipeline that reads another holds records of windows that have closed and are gone. So B, from which a
 * restart reads again, has to lie before the events of those. They are noted when the windows close, and belong to the position as long as
 * the records are in an open window.
 *
 *   events ──▶ window of A closes ──▶ record in an open window of B          B: first event of the window of A
 *
 * After a restart A is built again from there up to P, then closed up to where it was, in silence towards sinks, but its records go to B
 * as they did before. A window of A that began before the first event that is read again comes back in part only: it can only
 * belong to a window of B that was closed, which is closed once more in silence as well.                                          */
#include <stdlib.h>

#include "base/memory.h"
#include "pipeline/engine_internal.h"

bool plan_pipeline_is_chained(const struct plan *plan, uint32_t pipeline_index)
{
    const struct config_pipeline *config = plan->pipelines[pipeline_index].config;
    return config->is_read || config->upstream_count;
}

void merger_recover_pipeline(struct merger *merger, uint32_t pipeline_index, int64_t closed_through_us)
{
    if (plan_pipeline_is_chained(merger->engine->plan, pipeline_index))
        merger->rebuilt_us[pipeline_index] = closed_through_us;
    else
        window_merger_recover(merger->windows[pipeline_index], closed_through_us);
}

void merger_go_live_pipeline(struct merger *merger, uint32_t pipeline_index)
{
    struct window_merger *windows = merger->windows[pipeline_index];
    int64_t until_us = merger->rebuilt_us[pipeline_index];
    window_merger_go_live(windows);
    if (until_us == TIME_NONE)
        return;
    merger->rebuilt_us[pipeline_index] = TIME_NONE;
    merger_note_bases(merger, pipeline_index, until_us);
    merger->is_muted = true;
    window_merger_advance(windows, until_us, CLOSED_BY_WATERMARK, merger->engine->clock);
    merger->is_muted = false;
    chain_pass(merger->chain, pipeline_index, CLOSED_BY_WATERMARK, false, true);
}

struct base_list {
    struct chain_base *bases;
    uint32_t count, capacity;
};

static void add_base(void *context, const struct chain_base *base)
{
    struct base_list *list = context;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 16;
        list->bases = memory_resize_array(list->bases, list->capacity, sizeof *list->bases);
    }
    list->bases[list->count++] = *base;
}

static void add_own_bases(const struct merger *merger, uint32_t pipeline_index,
                          const struct partition_position *position, struct base_list *list)
{
    const struct plan_source *source = &merger->engine->plan->sources[position->source_index];
    for (uint32_t f = 0; f < source->feed_count; f++) {
        if (source->feeds[f].pipeline_index != pipeline_index)
            continue;
        struct chain_base base = {.source_index = position->source_index, .partition = position->partition};
        base.offset = window_merger_oldest_offset(merger->windows[pipeline_index],
                                                  source->feeds[f].first_partition + position->partition,
                                                  &base.watermark_us);
        if (base.offset != INT64_MAX)
            add_base(list, &base);
    }
}

void merger_note_bases(struct merger *merger, uint32_t pipeline_index, int64_t target_us)
{
    if (!chain_is_read(merger->chain, pipeline_index))
        return;
    struct window_merger_stats stats = window_merger_stats(merger->windows[pipeline_index]);
    bool is_by_clock = merger->engine->plan->pipelines[pipeline_index].window.close_after_us > 0;
    if (!stats.open_windows || (!is_by_clock && stats.next_change_us && target_us < stats.next_change_us))
        return;
    struct base_list list = {0};
    for (uint32_t i = 0; i < merger->latest_count; i++) {
        const struct shard_update *update = merger->latest[i];
        for (uint32_t p = 0; update && p < update->position_count; p++)
            add_own_bases(merger, pipeline_index, &update->positions[p], &list);
    }
    chain_visit_bases(merger->chain, pipeline_index, add_base, &list);
    chain_note(merger->chain, pipeline_index, list.bases, list.count);
    free(list.bases);
}
