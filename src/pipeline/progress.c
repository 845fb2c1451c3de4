/* Marks: how far everything is, as of a point in the stream of blocks.
 *
 *   B ............ P ............ end of log
 *   first offset   first offset whose effects
 *   still held     have not been sent
 *
 * B is the smaller of what the shard's operators hold (as of its newest update) and what the merger's windows hold; with
 * nothing held it is P. What pipelines hold that read others goes back to the events behind their records (merger_chain.c). */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "pipeline/engine_internal.h"
#include "pipeline/membership.h"

/* Bases of a chain, to be put under one position after the other. */
struct chained {
    struct partition_position *positions;
    uint32_t count;
};

static void lower_base(void *context, const struct chain_base *base)
{
    const struct chained *chained = context;
    for (uint32_t i = 0; i < chained->count; i++) {
        struct partition_position *position = &chained->positions[i];
        if (position->source_index != base->source_index || position->partition != base->partition ||
            base->offset >= position->base)
            continue;
        position->base = base->offset;
        position->base_watermark_us = base->watermark_us;
    }
}

static struct partition_position with_merger_base(const struct merger *merger,
                                                  struct partition_position position)
{
    const struct plan_source *source = &merger->engine->plan->sources[position.source_index];
    const struct config_source *config = source->config;
    for (uint32_t f = 0; f < source->feed_count; f++) {
        const struct plan_feed *feed = &source->feeds[f];
        int64_t before_us = TIME_NONE;
        int64_t oldest = window_merger_oldest_offset(merger->windows[feed->pipeline_index],
                                                     feed->first_partition + position.partition, &before_us);
        if (oldest >= position.base)
            continue;
        position.base = oldest;
        position.base_watermark_us = before_us;
    }
    if (position.base < position.position)
        return position;
    position.base = position.position;
    position.base_watermark_us = position.position_max_time_us == TIME_NONE
                                     ? TIME_NONE
                                     : position.position_max_time_us - config->max_out_of_orderness_us;
    return position;
}

/* Its panes go to another process. */
static bool is_sent(const struct engine *engine, const struct partition_position *position)
{
    const struct merger_share *share = &engine->merger.share;
    return position->topic && share->membership && !share->is_leader &&
           membership_has_source(share->membership, position->source_index);
}

struct progress_mark *progress_mark_create(const struct merger *merger)
{
    const struct engine *engine = merger->engine;
    struct progress_mark *mark = memory_allocate(sizeof *mark);
    mark->run = atomic_load_explicit(&engine->run, memory_order_relaxed);
    mark->positions = memory_allocate_array(engine->partition_count + 1, sizeof *mark->positions);
    for (uint32_t i = 0; i < merger->latest_count; i++) {
        const struct shard_update *update = merger->latest[i];
        for (uint32_t p = 0; update && p < update->position_count; p++) {
            if (is_sent(engine, &update->positions[p]))
                continue; /* the leader records it */
            mark->positions[mark->position_count++] = with_merger_base(merger, update->positions[p]);
        }
    }
    struct chained chained = {mark->positions, mark->position_count};
    chain_visit_bases(merger->chain, UINT32_MAX, lower_base, &chained);
    mark->closed_through_us =
        memory_allocate_array(engine->plan->pipeline_count + 1, sizeof *mark->closed_through_us);
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++) {
        int64_t closed_us = window_merger_stats(merger->windows[i]).closed_through_us;
        /* At the end of input nothing is held, so a horizon has nothing to say; and the file may grow. */
        mark->closed_through_us[i] = closed_us == TIME_MAX ? TIME_NONE : closed_us;
    }
    return mark;
}

bool progress_mark_equal(const struct progress_mark *a, const struct progress_mark *b,
                         uint32_t pipeline_count)
{
    if (a->position_count != b->position_count)
        return false;
    for (uint32_t i = 0; i < a->position_count; i++) {
        const struct partition_position *x = &a->positions[i], *y = &b->positions[i];
        if (x->position != y->position || x->base != y->base)
            return false;
    }
    return memcmp(a->closed_through_us, b->closed_through_us,
                  sizeof *a->closed_through_us * pipeline_count) == 0;
}

struct progress_mark *progress_mark_copy(const struct progress_mark *mark, uint32_t pipeline_count)
{
    struct progress_mark *copy = memory_allocate(sizeof *copy);
    *copy = *mark;
    copy->positions = memory_allocate_array(mark->position_count + 1, sizeof *copy->positions);
    memcpy(copy->positions, mark->positions, sizeof *copy->positions * mark->position_count);
    copy->closed_through_us = memory_allocate_array(pipeline_count + 1, sizeof *copy->closed_through_us);
    memcpy(copy->closed_through_us, mark->closed_through_us,
           sizeof *copy->closed_through_us * pipeline_count);
    return copy;
}

void progress_mark_destroy(struct progress_mark *mark)
{
    if (!mark)
        return;
    free(mark->positions);
    free(mark->closed_through_us);
    free(mark);
}

/* --- what is recorded ----------------------------------------------------------------------------------------------- */

void engine_set_durable(struct engine *engine, struct progress_mark *mark)
{
    pthread_mutex_lock(&engine->durable_lock);
    struct progress_mark *before = engine->durable;
    engine->durable = mark;
    pthread_mutex_unlock(&engine->durable_lock);
    progress_mark_destroy(before);
}

struct progress_mark *engine_durable(struct engine *engine)
{
    pthread_mutex_lock(&engine->durable_lock);
    struct progress_mark *copy =
        engine->durable ? progress_mark_copy(engine->durable, engine->plan->pipeline_count) : NULL;
    pthread_mutex_unlock(&engine->durable_lock);
    return copy;
}
