/* Builds the threads in the order of the flow, and takes them down in the same order: first the shards, so that what
 * was read reaches the merger; then the merger, so that it reaches the sinks; then the sinks. See engine.h. */
#include "pipeline/engine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "pipeline/engine_internal.h"
#include "pipeline/membership.h"
#include "sink/kafka_transactions.h"

enum { ABANDON_TIMEOUT_US = 3 * 1000 * 1000 }; /* what a sink has begun may take so long after the deadline */
enum { FLUSH_INTERVAL_MIN_US = 10 * 1000, FLUSH_INTERVAL_MAX_US = 250 * 1000 };

bool engine_push(struct engine *engine, struct ring *ring, struct waker *waker, void *item)
{
    while (!engine_has_abandoned(engine)) {
        waker_prepare(waker);
        if (ring_push(ring, item)) {
            waker_cancel(waker);
            return true;
        }
        waker_wait(waker, WAIT_STEP_US);
    }
    return false;
}

/* --- building ----------------------------------------------------------------------------------------------------- */

/* Early results and wall-clock closes see what open panes hold only after a flush. */
static int64_t flush_interval_us(const struct config *config)
{
    int64_t interval_us = INT64_MAX;
    for (uint32_t i = 0; i < config->pipeline_count; i++) {
        const struct config_pipeline *pipeline = &config->pipelines[i];
        int64_t want_us = INT64_MAX;
        if (pipeline->emit_every_us)
            want_us = pipeline->emit_every_us / 4;
        if (pipeline->close_after_us && pipeline->close_after_us / 8 < want_us)
            want_us = pipeline->close_after_us / 8;
        if (want_us == INT64_MAX)
            continue;
        if (want_us > FLUSH_INTERVAL_MAX_US)
            want_us = FLUSH_INTERVAL_MAX_US;
        if (want_us < FLUSH_INTERVAL_MIN_US)
            want_us = FLUSH_INTERVAL_MIN_US;
        if (want_us < interval_us)
            interval_us = want_us;
    }
    return interval_us;
}

static bool has_source_kind(const struct config *config, enum source_kind kind)
{
    for (uint32_t i = 0; i < config->source_count; i++) {
        if (config->sources[i].kind == kind)
            return true;
    }
    return false;
}

static void name_everything(struct engine *engine)
{
    const struct config *config = engine->config;
    engine->source_names = memory_allocate_array(config->source_count + 1, sizeof *engine->source_names);
    engine->pipeline_names =
        memory_allocate_array(config->pipeline_count + 1, sizeof *engine->pipeline_names);
    for (uint32_t i = 0; i < config->source_count; i++)
        engine->source_names[i] = config->sources[i].name;
    for (uint32_t i = 0; i < config->pipeline_count; i++)
        engine->pipeline_names[i] = config->pipelines[i].name;
}

static void init_threads(struct engine *engine)
{
    const struct config *config = engine->config;
    engine->shards = memory_allocate_array(engine->shard_count, sizeof *engine->shards);
    merger_init(&engine->merger, engine);
    engine->hub_inputs = memory_allocate_array(engine->shard_count + 1, sizeof *engine->hub_inputs);
    engine->hub_inputs[0] = &engine->merger.hub_input;
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        shard_init(&engine->shards[i], engine, i);
        engine->hub_inputs[i + 1] = &engine->shards[i].hub_input;
    }
    engine->wants_events = memory_allocate_array(config->source_count + 1, sizeof *engine->wants_events);
}

static enum status open_parts(struct engine *engine, struct error *error)
{
    enum status status = store_open(engine->config->data_dir, &engine->store, error);
    if (status != STATUS_OK)
        return status;
    engine->boot_id = store_boot_id(engine->store);
    if (has_source_kind(engine->config, SOURCE_HTTP)) {
        status = event_log_open(engine->config, &engine->log, error);
        if (status != STATUS_OK)
            return status;
    }
    status = memberships_create(engine, error);
    if (status == STATUS_OK)
        status = recovery_load(engine, error);
    if (status != STATUS_OK)
        return status;
    engine->shard_count = engine->config->shards;
    if (engine->shard_count > engine->partition_count)
        engine->shard_count = engine->partition_count;
    if (!engine->shard_count)
        engine->shard_count = 1;
    engine_assign_shards(engine);
    init_threads(engine);
    status = engine_open_outlets(engine, error);
    if (status == STATUS_OK)
        status = engine_open_readers(engine, error);
    if (status == STATUS_OK)
        status = memberships_open(engine, error);
    return status;
}

static void init_histograms(struct engine *engine)
{
    histogram_init(&engine->accept_latency);
    histogram_init(&engine->store_latency);
    histogram_init(&engine->socket_latency);
    histogram_init(&engine->end_to_end_latency);
    histogram_init(&engine->stored_latency);
}

struct engine *engine_create(const struct engine_options *options, struct config_errors *errors,
                             struct error *error)
{
    struct plan *plan = plan_create(options->config, NULL, errors);
    if (!plan)
        return NULL;
    struct engine *engine = memory_allocate(sizeof *engine);
    engine->config = options->config;
    engine->plan = plan;
    engine->health = options->health;
    engine->clock = options->clock;
    engine->io_waker = options->io_waker;
    engine->started_us = clock_monotonic_us(engine->clock);
    engine->flush_interval_us = flush_interval_us(engine->config);
    engine->ledger = ledger_create();
    init_histograms(engine);
    name_everything(engine);
    engine_rest_init(engine);
    pthread_mutex_init(&engine->durable_lock, NULL);
    pthread_mutex_init(&engine->failure_lock, NULL);
    atomic_init(&engine->is_replaying, true);
    engine_init_partitions(engine);
    if (open_parts(engine, error) != STATUS_OK) {
        engine_destroy(engine);
        return NULL;
    }
    if (engine->log) {
        engine->ingest = ingest_create(engine->config, engine->log, engine->health, &engine->accept_latency,
                                       engine->io_waker);
    }
    return engine;
}

void engine_destroy(struct engine *engine)
{
    if (!engine)
        return;
    if (engine->ingest)
        ingest_destroy(engine->ingest);
    for (uint32_t i = 0; i < engine->partition_count; i++) {
        struct engine_partition *partition = &engine->partitions[i];
        if (partition->reader)
            partition->reader->operations->close(partition->reader);
        if (partition->held)
            batch_destroy(partition->held);
    }
    for (uint32_t i = 0; i < engine->outlet_count; i++)
        outlet_deinit(&engine->outlets[i]);
    kafka_transactions_destroy(engine->transactions);
    memberships_destroy(engine);
    if (engine->shards) {
        for (uint32_t i = 0; i < engine->shard_count; i++)
            shard_deinit(&engine->shards[i]);
        merger_deinit(&engine->merger);
    }
    if (engine->log)
        event_log_close(engine->log);
    if (engine->store)
        store_close(engine->store);
    ledger_destroy(engine->ledger);
    progress_mark_destroy(engine->durable);
    pthread_mutex_destroy(&engine->durable_lock);
    pthread_mutex_destroy(&engine->failure_lock);
    engine_rest_deinit(engine);
    free(engine->outlets);
    free(engine->shards);
    free(engine->hub_inputs);
    free(engine->wants_events);
    free(engine->partitions);
    free(engine->first_partitions);
    free(engine->pipelines);
    free(engine->source_names);
    free(engine->pipeline_names);
    plan_destroy(engine->plan);
    free(engine);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

void engine_start(struct engine *engine)
{
    engine->outlets[0].thread = thread_start("weir-store", store_outlet_main, &engine->outlets[0]);
    for (uint32_t i = 1; i < engine->outlet_count; i++) {
        engine->outlets[i].thread = thread_start("weir-sink", outlet_main, &engine->outlets[i]);
    }
    engine->merger.thread = thread_start("weir-merger", merger_main, &engine->merger);
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        engine->shards[i].thread = thread_start("weir-shard", shard_main, &engine->shards[i]);
    }
    memberships_start(engine);
}

/* Nobody waits for room any more: what is not durable by now is read again after the next start. */
static void abandon(struct engine *engine)
{
    if (atomic_exchange(&engine->should_abandon, true))
        return;
    log_write(LOG_WARN, "engine",
              "stopping without waiting for every sink; what they lack is made again after the next start");
    for (uint32_t i = 0; i < engine->shard_count; i++)
        waker_wake(&engine->shards[i].waker);
    waker_wake(&engine->merger.waker);
    for (uint32_t i = 0; i < engine->outlet_count; i++)
        waker_wake(&engine->outlets[i].waker);
}

/* False: the thread does not come back. */
static bool join_until(struct engine *engine, pthread_t thread, int64_t deadline_us)
{
    if (thread_join_within(thread, deadline_us - clock_monotonic_us(engine->clock)))
        return true;
    abandon(engine);
    return thread_join_within(thread, deadline_us + ABANDON_TIMEOUT_US - clock_monotonic_us(engine->clock));
}

bool engine_stop(struct engine *engine, int64_t deadline_us)
{
    atomic_store_explicit(&engine->should_stop, true, memory_order_release);
    engine_rest_stop(engine);
    for (uint32_t i = 0; i < engine->shard_count; i++)
        waker_wake(&engine->shards[i].waker);
    bool all_ended = true;
    for (uint32_t i = 0; i < engine->shard_count; i++)
        all_ended &= join_until(engine, engine->shards[i].thread, deadline_us);
    all_ended &= join_until(engine, engine->merger.thread, deadline_us);
    for (uint32_t i = engine->outlet_count; i-- > 0;)
        all_ended &= join_until(engine, engine->outlets[i].thread, deadline_us);
    memberships_stop(engine);
    for (uint32_t i = 0; i < engine->membership_count; i++)
        all_ended &= join_until(engine, membership_thread(engine->memberships[i]), deadline_us);
    return all_ended;
}

/* --- what others ask ---------------------------------------------------------------------------------------------- */

bool engine_is_live(const struct engine *engine)
{
    return atomic_load_explicit(&engine->is_live, memory_order_acquire) && memberships_are_joined(engine);
}

bool engine_has_failed(struct engine *engine, struct error *error)
{
    pthread_mutex_lock(&engine->failure_lock);
    *error = engine->failure;
    pthread_mutex_unlock(&engine->failure_lock);
    return error->text[0] != '\0';
}

void engine_fail(struct engine *engine, const struct error *error)
{
    pthread_mutex_lock(&engine->failure_lock);
    engine->failure = *error;
    pthread_mutex_unlock(&engine->failure_lock);
}

struct ingest *engine_ingest(struct engine *engine)
{
    return engine->ingest;
}

struct hub_input **engine_hub_inputs(struct engine *engine, uint32_t *count)
{
    *count = engine->shard_count + 1;
    return engine->hub_inputs;
}

void engine_want_events(struct engine *engine, uint32_t source_index, bool wanted)
{
    atomic_store_explicit(&engine->wants_events[source_index], wanted, memory_order_relaxed);
}

struct histogram *engine_socket_latency(struct engine *engine, enum latency_stage stage)
{
    return stage == LATENCY_END_TO_END ? &engine->end_to_end_latency : &engine->socket_latency;
}

uint64_t engine_boot_id(const struct engine *engine)
{
    return engine->boot_id;
}

void engine_check(const struct config *config, struct config_errors *errors, struct buffer *out)
{
    struct plan *plan = plan_create(config, NULL, errors);
    if (!plan)
        return;
    for (uint32_t i = 0; i < plan->pipeline_count; i++) {
        if (!plan->pipelines[i].has_window) {
            buffer_format(out, "pipeline %s: no window, so nothing of it is held\n",
                          plan->pipelines[i].shape.pipeline);
            continue;
        }
        size_t sketch_size = window_key_sketch_bound(&plan->pipelines[i].window);
        size_t key_size = window_key_memory_bound(&plan->pipelines[i].window) - sketch_size;
        uint64_t key_limit = plan->pipelines[i].window.key_limit;
        buffer_format(out, "pipeline %s: at most %" PRIu64 " keys x %zu bytes = %.1f MiB",
                      plan->pipelines[i].shape.pipeline, key_limit, key_size,
                      (double)key_limit * (double)key_size / (1024.0 * 1024.0));
        if (sketch_size)
            buffer_format(out, ", and up to %.0f KiB more for each key with many different values",
                          (double)sketch_size / 1024.0);
        buffer_append_char(out, '\n');
    }
    plan_destroy(plan);
}
