/* The merger: one thread that owns the windows of every pipeline and is the only producer of all outlets and of the hub's results.
 *
 *   turn: updates of every shard → panes merged → pipeline watermarks → windows closed, revised → blocks to outlets and hub
 *         → now and then a mark behind them (progress.c)
 *
 * After a restart nothing is closed or shown until every shard has passed what was durable before. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "pipeline/engine_internal.h"
#include "pipeline/partials_message.h"

/* --- emission ----------------------------------------------------------------------------------------------------- */

static bool wants_json(const struct engine *engine, uint32_t pipeline_index)
{
    for (uint32_t i = 0; i < engine->outlet_count; i++) {
        if (engine->outlets[i].pipelines[pipeline_index] && engine->outlets[i].takes_json)
            return true;
    }
    return engine->io_waker && engine->config->pipelines[pipeline_index].to_live;
}

static void push_to_hub(struct merger *merger, struct result_block *block)
{
    struct ring *ring = &merger->hub_input.results;
    result_block_acquire(block);
    if (ring_push(ring, block))
        return;
    /* While stopping the server has already said goodbye: nobody makes room. */
    bool is_stopping = atomic_load_explicit(&merger->engine->should_stop, memory_order_acquire);
    if (!is_stopping && engine_push(merger->engine, ring, &merger->waker, block))
        return;
    result_block_release(block);
}

/* window_emit: numbers the rows and hands the block to everybody who is meant to have it. */
static void emit_block(void *context, struct result_block *block)
{
    struct merger *merger = context;
    struct engine *engine = merger->engine;
    uint32_t pipeline_index = block->shape->pipeline_index;
    chain_take(merger->chain, block);
    if (merger->is_muted) {
        merger->muted_counts[pipeline_index] += block->row_count;
        result_block_release(block);
        return;
    }
    block->first_sequence = merger->next_sequence;
    merger->next_sequence += block->row_count;
    block->emitted_us = clock_monotonic_us(engine->clock);
    block->arrival_us = merger->arrival_us;
    if (block->arrival_us)
        histogram_add(&merger->latency, block->emitted_us - block->arrival_us, block->row_count);
    if (wants_json(engine, pipeline_index))
        result_block_encode(block);
    for (uint32_t i = 0; i < engine->outlet_count; i++) {
        if (!engine->outlets[i].pipelines[pipeline_index])
            continue;
        struct outlet_item *item = outlet_item_create(OUTLET_RESULTS);
        item->results = result_block_acquire(block);
        if (engine->pipeline_memberships[pipeline_index])
            item->run = atomic_load_explicit(&engine->run, memory_order_relaxed);
        outlet_push(&engine->outlets[i], item);
    }
    if (engine->io_waker && engine->config->pipelines[pipeline_index].to_live)
        push_to_hub(merger, block);
    result_block_release(block);
}

void merger_init(struct merger *merger, struct engine *engine)
{
    const struct plan *plan = engine->plan;
    merger->engine = engine;
    waker_open(&merger->waker);
    pthread_mutex_init(&merger->lock, NULL);
    histogram_init(&merger->latency);
    hub_input_init(&merger->hub_input, engine->io_waker, &merger->waker);
    merger->latest_count = engine->shard_count + PARTIALS_MEMBERS_MAX;
    merger->latest = memory_allocate_array(merger->latest_count, sizeof *merger->latest);
    merger->share.members = memory_allocate_array(PARTIALS_MEMBERS_MAX, sizeof *merger->share.members);
    merger->published = memory_allocate_array(plan->pipeline_count + 1, sizeof *merger->published);
    merger->published_chain =
        memory_allocate_array(plan->pipeline_count + 1, sizeof *merger->published_chain);
    merger->windows = memory_allocate_array(plan->pipeline_count + 1, sizeof *merger->windows);
    merger->rebuilt_us = memory_allocate_array(plan->pipeline_count + 1, sizeof *merger->rebuilt_us);
    merger->muted_counts = memory_allocate_array(plan->pipeline_count + 1, sizeof *merger->muted_counts);
    for (uint32_t i = 0; i < plan->pipeline_count; i++) {
        merger->windows[i] = window_merger_create(&plan->pipelines[i].window, emit_block, merger);
        merger->rebuilt_us[i] = TIME_NONE;
        if (engine->pipelines[i].closed_through_us != TIME_NONE)
            merger_recover_pipeline(merger, i, engine->pipelines[i].closed_through_us);
        merger->published[i] = window_merger_stats(merger->windows[i]);
    }
    merger->chain = chain_create(plan, merger->windows);
}

void merger_deinit(struct merger *merger)
{
    merger_forget_coming(merger);
    chain_destroy(merger->chain);
    for (uint32_t i = 0; i < merger->engine->plan->pipeline_count; i++)
        window_merger_destroy(merger->windows[i]);
    for (uint32_t i = 0; i < merger->latest_count; i++)
        shard_update_destroy(merger->latest[i]);
    free(merger->share.members);
    buffer_deinit(&merger->share.message);
    progress_mark_destroy(merger->last_mark);
    hub_input_deinit(&merger->hub_input);
    free(merger->windows);
    free(merger->rebuilt_us);
    free(merger->muted_counts);
    free(merger->latest);
    free(merger->published);
    free(merger->published_chain);
    pthread_mutex_destroy(&merger->lock);
    waker_close(&merger->waker);
}

/* --- merging ------------------------------------------------------------------------------------------------------ */

static void send_dead_letters(struct engine *engine, struct shard_update *update)
{
    if (!update->dead_letters)
        return;
    if (engine->letter_outlet) {
        struct outlet_item *copy = outlet_item_create(OUTLET_DEAD_LETTERS);
        copy->dead_letters = dead_letter_block_acquire(update->dead_letters);
        outlet_push(engine->letter_outlet, copy);
    }
    struct outlet_item *item = outlet_item_create(OUTLET_DEAD_LETTERS);
    item->dead_letters = update->dead_letters;
    update->dead_letters = NULL;
    outlet_push(&engine->outlets[0], item);
}

static void merge_update(struct merger *merger, struct shard_update *update)
{
    bool has_letters = update->dead_letters != NULL;
    merger_send_panes(merger, update);
    for (uint32_t i = 0; i < update->pane_count; i++) {
        struct update_pane *pane = &update->panes[i];
        if (!pane->pane)
            continue;
        window_merger_add(merger->windows[pane->pipeline_index], pane->pane, update->arrival_us);
        pane->pane = NULL;
    }
    if (update->arrival_us > merger->arrival_us)
        merger->arrival_us = update->arrival_us;
    merger_pass_outputs(merger, update);
    send_dead_letters(merger->engine, update);
    /* The leader may commit what it is told next, so the letters must not be lost after that. */
    if (has_letters && merger->share.membership && !merger->share.is_leader && !merger_make_durable(merger)) {
        shard_update_destroy(update);
        return;
    }
    shard_update_destroy(merger->latest[update->shard_index]);
    merger->latest[update->shard_index] = update;
}

/* One update of each shard, so that none runs far ahead of the others. */
static bool merge_updates(struct merger *merger)
{
    bool has_merged = false;
    for (uint32_t i = 0; i < merger->engine->shard_count; i++) {
        struct shard_update *update = ring_pop(&merger->engine->shards[i].updates);
        if (!update)
            continue;
        merge_update(merger, update);
        has_merged = true;
    }
    if (has_merged)
        merger_send_update(merger);
    return merger_receive(merger) || has_merged;
}

/* --- watermarks --------------------------------------------------------------------------------------------------- */

struct pipeline_clock merger_pipeline_clock(const struct merger *merger, uint32_t pipeline_index)
{
    struct pipeline_clock clock = pipeline_clock_none();
    for (uint32_t i = 0; i < merger->latest_count; i++) {
        if (merger->latest[i])
            pipeline_clock_add(&clock, &merger->latest[i]->clocks[pipeline_index]);
    }
    return clock;
}

/* By records, then by the clock; then those go on that read its results. Returns when the pipeline wants to be looked at again without an
 * update. */
static int64_t advance_pipeline(struct merger *merger, uint32_t pipeline_index)
{
    const struct plan_pipeline *pipeline = &merger->engine->plan->pipelines[pipeline_index];
    struct window_merger *windows = merger->windows[pipeline_index];
    if (!pipeline->has_window || engine_sends_pipeline(merger->engine, pipeline_index))
        return INT64_MAX;
    enum close_cause cause;
    struct pipeline_clock time = pipeline->config->upstream_count
                                     ? chain_clock(merger->chain, pipeline_index)
                                     : merger_pipeline_clock(merger, pipeline_index);
    merger_note_bases(merger, pipeline_index, pipeline_clock_target_us(&time, merger->now_us));
    int64_t next_us = pipeline_clock_advance(&time, windows, merger->engine->clock, merger->now_us,
                                             &merger->arrival_us, &cause);
    merger->arrival_us = 0;
    int64_t tick_us = window_merger_tick(windows, merger->engine->clock);
    chain_pass(merger->chain, pipeline_index, cause, time.has_partitions && time.all_us == TIME_MAX, false);
    int64_t below_us = chain_next_us(merger->chain, pipeline_index, &time, merger->now_us);
    next_us = tick_us < next_us ? tick_us : next_us;
    return below_us < next_us ? below_us : next_us;
}

static int64_t advance_all(struct merger *merger)
{
    int64_t next_us = INT64_MAX, arrival_us = merger->arrival_us;
    for (uint32_t i = 0; i < merger->engine->plan->pipeline_count; i++) {
        merger->arrival_us = arrival_us;
        int64_t again_us = advance_pipeline(merger, merger->engine->plan->order[i]);
        if (again_us < next_us)
            next_us = again_us;
    }
    merger->arrival_us = 0;
    return next_us;
}

/* --- progress ----------------------------------------------------------------------------------------------------- */

static void send_mark(struct merger *merger, struct progress_mark *mark)
{
    struct engine *engine = merger->engine;
    mark->epoch = ++merger->epoch;
    for (uint32_t i = engine->outlet_count; i-- > 1;) {
        struct outlet_item *item = outlet_item_create(OUTLET_MARK);
        item->mark = progress_mark_copy(mark, engine->plan->pipeline_count);
        item->run = mark->run;
        outlet_push(&engine->outlets[i], item);
    }
    struct outlet_item *item = outlet_item_create(OUTLET_MARK);
    item->run = mark->run;
    item->mark = mark;
    outlet_push(&engine->outlets[0], item);
}

static void mark_progress(struct merger *merger, bool now)
{
    if (!now && merger->now_us < merger->next_mark_us)
        return;
    merger->next_mark_us = merger->now_us + MARK_INTERVAL_US;
    struct progress_mark *mark = progress_mark_create(merger);
    if (merger->last_mark &&
        progress_mark_equal(mark, merger->last_mark, merger->engine->plan->pipeline_count)) {
        progress_mark_destroy(mark);
        return;
    }
    progress_mark_destroy(merger->last_mark);
    merger->last_mark = progress_mark_create(merger);
    send_mark(merger, mark);
}

bool merger_make_durable(struct merger *merger)
{
    struct engine *engine = merger->engine;
    progress_mark_destroy(merger->last_mark);
    merger->last_mark = NULL;
    merger->now_us = clock_monotonic_us(engine->clock);
    mark_progress(merger, true);
    uint64_t run = atomic_load_explicit(&engine->run, memory_order_relaxed);
    for (;;) {
        struct progress_mark *durable = engine_durable(engine);
        bool is_done = durable && durable->epoch >= merger->epoch;
        progress_mark_destroy(durable);
        if (is_done)
            return true;
        if (engine_has_abandoned(engine) ||
            run <= atomic_load_explicit(&engine->dropped_run, memory_order_acquire))
            return false;
        waker_prepare(&merger->waker);
        waker_wait(&merger->waker, WAIT_STEP_US / 4);
    }
}

static void publish(struct merger *merger, bool now)
{
    if (!now && merger->now_us < merger->next_publish_us)
        return;
    merger->next_publish_us = merger->now_us + UPDATE_INTERVAL_US;
    pthread_mutex_lock(&merger->lock);
    for (uint32_t i = 0; i < merger->engine->plan->pipeline_count; i++) {
        merger->published[i] = window_merger_stats(merger->windows[i]);
        merger->published[i].results -= merger->muted_counts[i];
        merger->published_chain[i] = chain_counts(merger->chain, i);
    }
    pthread_mutex_unlock(&merger->lock);
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static bool all_updates(const struct merger *merger, uint32_t count, size_t flag_offset)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct shard_update *update = merger->latest[i];
        if (!update || !*((const bool *)update + flag_offset))
            return false;
    }
    return true;
}

/* Nobody waits for other members. */
static bool all_shards_have_stopped(const struct merger *merger)
{
    return all_updates(merger, merger->engine->shard_count, offsetof(struct shard_update, is_last));
}

static void try_to_go_live(struct merger *merger)
{
    const struct merger_share *share = &merger->share;
    uint32_t count = merger->engine->shard_count + share->member_count;
    if (merger->is_live || !all_updates(merger, count, offsetof(struct shard_update, is_live)))
        return;
    if (share->membership && !share->is_leader &&
        !atomic_load_explicit(&share->may_go_live, memory_order_acquire))
        return;
    merger->is_live = true;
    atomic_store_explicit(&merger->engine->is_replaying, false, memory_order_release);
    for (uint32_t i = 0; i < merger->engine->shard_count; i++)
        waker_wake(&merger->engine->shards[i].waker);
    for (uint32_t i = 0; i < merger->engine->plan->pipeline_count; i++)
        merger_go_live_pipeline(merger, merger->engine->plan->order[i]);
    health_report(merger->engine->health, "engine", HEALTH_OK, NULL);
    atomic_store_explicit(&merger->engine->is_live, true, memory_order_release);
}

static bool should_rest(const struct merger *merger)
{
    return atomic_load_explicit(&merger->engine->rest.merger_should_rest, memory_order_acquire);
}

static bool has_updates(const struct merger *merger)
{
    if (should_rest(merger))
        return true;
    for (uint32_t i = 0; i < merger->engine->shard_count; i++) {
        if (ring_count(&merger->engine->shards[i].updates))
            return true;
    }
    return engine_has_abandoned(merger->engine);
}

static void sleep_until(struct merger *merger, int64_t until_us)
{
    int64_t now_us = clock_monotonic_us(merger->engine->clock);
    if (until_us <= now_us)
        return;
    waker_prepare(&merger->waker);
    if (has_updates(merger)) {
        waker_cancel(&merger->waker);
    } else {
        waker_wait(&merger->waker, until_us == INT64_MAX ? -1 : until_us - now_us);
    }
}

static void run_turn(struct merger *merger)
{
    merger->arrival_us = 0;
    bool has_merged = merge_updates(merger);
    merger->now_us = clock_monotonic_us(merger->engine->clock);
    try_to_go_live(merger);
    /* What other processes have to say does not come by way of the rings, for which the waker is made. */
    int64_t next_us = merger->share.membership ? merger->now_us + MARK_INTERVAL_US : INT64_MAX;
    if (merger->is_live) {
        next_us = advance_all(merger);
        mark_progress(merger, false);
        if (merger->next_mark_us < next_us)
            next_us = merger->next_mark_us;
    }
    publish(merger, !has_merged);
    if (!has_merged)
        sleep_until(merger, next_us);
}

/* All that the shards had is merged, and what came of it sent, with a mark behind it. */
static void rest(struct merger *merger)
{
    while (merge_updates(merger))
        ;
    merger->now_us = clock_monotonic_us(merger->engine->clock);
    try_to_go_live(merger);
    if (merger->is_live) {
        advance_all(merger);
        mark_progress(merger, true);
    }
    publish(merger, true);
    engine_rest_here(merger->engine, &merger->is_resting, &merger->engine->rest.merger_should_rest);
}

/* Windows of sources that do not come back would be lost: they close as they are. */
static void close_for_shutdown(struct merger *merger)
{
    merger->now_us = clock_monotonic_us(merger->engine->clock);
    if (!merger->is_live || engine_has_abandoned(merger->engine))
        return;
    advance_all(merger);
    for (uint32_t k = 0; k < merger->engine->plan->pipeline_count; k++) {
        uint32_t i = merger->engine->plan->order[k];
        if (merger->engine->pipelines[i].is_resumable)
            continue;
        window_merger_advance(merger->windows[i], TIME_MAX, CLOSED_BY_SHUTDOWN, merger->engine->clock);
        chain_pass(merger->chain, i, CLOSED_BY_SHUTDOWN, true, false);
    }
    mark_progress(merger, true);
}

void *merger_main(void *argument)
{
    struct merger *merger = argument;
    while (!all_shards_have_stopped(merger) && !engine_has_abandoned(merger->engine)) {
        if (should_rest(merger))
            rest(merger);
        else
            run_turn(merger);
    }
    close_for_shutdown(merger);
    publish(merger, true);
    for (uint32_t i = 0; i < merger->engine->outlet_count; i++) {
        outlet_push(&merger->engine->outlets[i], outlet_item_create(OUTLET_STOP));
    }
    return NULL;
}
