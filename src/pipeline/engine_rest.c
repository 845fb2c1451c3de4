/* A moment of rest: partitions come and go, and windows are emptied, only while no shard and no merger runs.
 *
 *   asker                     shards                           merger
 *   shards_should_rest ─────▶ last update to the merger
 *                             rest                             merges what is in the rings
 *   merger_should_rest ──────────────────────────────────────▶ closes what can be closed, mark, rest
 *   changes what it likes
 *   both flags off ─────────▶ go on ─────────────────────────▶ goes on
 *
 * Outlets do not rest: blocks that were sent keep their way. */
#include <time.h>

#include "base/memory.h"
#include "pipeline/engine_internal.h"

void engine_rest_init(struct engine *engine)
{
    pthread_mutex_init(&engine->rest.lock, NULL);
    pthread_mutex_init(&engine->rest.owner, NULL);
    pthread_cond_init(&engine->rest.changed, NULL);
}

void engine_rest_deinit(struct engine *engine)
{
    pthread_mutex_destroy(&engine->rest.lock);
    pthread_mutex_destroy(&engine->rest.owner);
    pthread_cond_destroy(&engine->rest.changed);
}

static bool should_stop(const struct engine *engine)
{
    return atomic_load_explicit(&engine->should_stop, memory_order_acquire);
}

void engine_rest_here(struct engine *engine, bool *is_resting, const atomic_bool *should_rest)
{
    pthread_mutex_lock(&engine->rest.lock);
    *is_resting = true;
    pthread_cond_broadcast(&engine->rest.changed);
    while (atomic_load_explicit(should_rest, memory_order_acquire) && !should_stop(engine))
        pthread_cond_wait(&engine->rest.changed, &engine->rest.lock);
    *is_resting = false;
    pthread_mutex_unlock(&engine->rest.lock);
}

void engine_rest_stop(struct engine *engine)
{
    pthread_mutex_lock(&engine->rest.lock);
    pthread_cond_broadcast(&engine->rest.changed);
    pthread_mutex_unlock(&engine->rest.lock);
}

static bool all_shards_rest(const struct engine *engine)
{
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        if (!engine->shards[i].is_resting)
            return false;
    }
    return true;
}

struct asker {
    void (*meanwhile)(void *context);
    void *context;
};

static void wait_a_step(struct engine *engine, const struct asker *asker)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WAIT_STEP_US * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    int result = pthread_cond_timedwait(&engine->rest.changed, &engine->rest.lock, &until);
    if (result == 0 || !asker->meanwhile)
        return;
    pthread_mutex_unlock(&engine->rest.lock);
    asker->meanwhile(asker->context);
    pthread_mutex_lock(&engine->rest.lock);
}

/* With the lock held. False when the engine stops meanwhile. */
static bool wait_for(struct engine *engine, bool for_merger, const struct asker *asker)
{
    while (!should_stop(engine)) {
        if (for_merger ? engine->merger.is_resting : all_shards_rest(engine))
            return true;
        wait_a_step(engine, asker);
    }
    return false;
}

static void set_flags(struct engine *engine, bool shards, bool merger)
{
    atomic_store_explicit(&engine->rest.shards_should_rest, shards, memory_order_release);
    atomic_store_explicit(&engine->rest.merger_should_rest, merger, memory_order_release);
}

bool engine_rest_begin(struct engine *engine, void (*meanwhile)(void *context), void *context)
{
    const struct asker asker = {meanwhile, context};
    pthread_mutex_lock(&engine->rest.owner);
    pthread_mutex_lock(&engine->rest.lock);
    set_flags(engine, true, false);
    for (uint32_t i = 0; i < engine->shard_count; i++)
        waker_wake(&engine->shards[i].waker);
    bool rests = wait_for(engine, false, &asker);
    if (rests) {
        set_flags(engine, true, true);
        waker_wake(&engine->merger.waker);
        rests = wait_for(engine, true, &asker);
    }
    if (!rests)
        set_flags(engine, false, false);
    pthread_cond_broadcast(&engine->rest.changed);
    pthread_mutex_unlock(&engine->rest.lock);
    if (!rests)
        pthread_mutex_unlock(&engine->rest.owner);
    return rests;
}

void engine_rest_end(struct engine *engine)
{
    struct merger *merger = &engine->merger;
    for (uint32_t i = 0; i < merger->latest_count; i++) {
        shard_update_destroy(merger->latest[i]);
        merger->latest[i] = NULL;
    }
    for (uint32_t i = 0; i < engine->shard_count; i++)
        shard_take_partitions(&engine->shards[i]);
    progress_mark_destroy(merger->last_mark);
    merger->last_mark = NULL;
    merger->is_live = false;
    atomic_store_explicit(&engine->is_live, false, memory_order_release);
    atomic_store_explicit(&engine->is_replaying, true, memory_order_release);
    pthread_mutex_lock(&engine->rest.lock);
    set_flags(engine, false, false);
    pthread_cond_broadcast(&engine->rest.changed);
    pthread_mutex_unlock(&engine->rest.lock);
    pthread_mutex_unlock(&engine->rest.owner);
}

void engine_reset_pipeline(struct engine *engine, uint32_t pipeline_index)
{
    for (uint32_t i = 0; i < engine->shard_count; i++)
        processor_reset_pipeline(&engine->shards[i].processor, pipeline_index);
    window_merger_reset(engine->merger.windows[pipeline_index]);
    chain_reset(engine->merger.chain, pipeline_index);
    engine->merger.rebuilt_us[pipeline_index] = TIME_NONE;
}
