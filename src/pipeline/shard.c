/* A shard: one thread that owns whole partitions, from the reader to the panes. It shares nothing but its ring to the merger and
 * the counters that it publishes.
 *
 *   turn: each partition in turn: read → decode → apply;  then tell the merger;  then sleep if there was nothing
 *
 * The merger is told at once when there are panes, dead letters or a change of state, otherwise every few milliseconds: an
 * update per batch would wake the merger for nothing. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "pipeline/engine_internal.h"

void shard_init(struct shard *shard, struct engine *engine, uint32_t index)
{
    const struct plan *plan = engine->plan;
    shard->engine = engine;
    shard->index = index;
    waker_open(&shard->waker);
    ring_init(&shard->updates, SHARD_RING_UPDATES, &engine->merger.waker, &shard->waker);
    processor_init(&shard->processor, plan, true);
    shard->batch = batch_create();
    shard->partitions = memory_allocate_array(engine->partition_count + 1, sizeof *shard->partitions);
    histogram_init(&shard->decode_latency);
    histogram_init(&shard->window_latency);
    hub_input_init(&shard->hub_input, engine->io_waker, NULL);
    pthread_mutex_init(&shard->published.lock, NULL);
    shard->published.sources =
        memory_allocate_array(plan->source_count + 1, sizeof *shard->published.sources);
    for (uint32_t i = 0; i < plan->source_count; i++) {
        shard->published.sources[i].feeds =
            memory_allocate_array(plan->sources[i].feed_count + 1, sizeof(struct feed_counts));
    }
    shard->published.pipelines =
        memory_allocate_array(plan->pipeline_count + 1, sizeof *shard->published.pipelines);
    shard->published.partitions =
        memory_allocate_array(engine->partition_count + 1, sizeof *shard->published.partitions);
    shard_take_partitions(shard);
}

void shard_take_partitions(struct shard *shard)
{
    struct engine *engine = shard->engine;
    pthread_mutex_lock(&shard->published.lock);
    shard->partition_count = shard->published.partition_count = 0;
    for (uint32_t i = 0; i < engine->partition_count; i++) {
        struct engine_partition *partition = &engine->partitions[i];
        if (partition->is_kafka && !partition->reader)
            continue;
        if (partition->shard_index == shard->index)
            shard->partitions[shard->partition_count++] = partition;
    }
    shard->first_in_turn = 0;
    pthread_mutex_unlock(&shard->published.lock);
}

void shard_deinit(struct shard *shard)
{
    for (void *update; (update = ring_pop(&shard->updates));)
        shard_update_destroy(update);
    ring_deinit(&shard->updates);
    hub_input_deinit(&shard->hub_input);
    waker_close(&shard->waker);
    for (uint32_t i = 0; i < shard->engine->plan->source_count; i++)
        free(shard->published.sources[i].feeds);
    free(shard->published.sources);
    free(shard->published.pipelines);
    free(shard->published.partitions);
    pthread_mutex_destroy(&shard->published.lock);
    processor_deinit(&shard->processor);
    batch_destroy(shard->batch);
    free(shard->partitions);
}

/* --- counters ---------------------------------------------------------------------------------------------------- */

static void publish_source(const struct shard *shard, uint32_t source_index, struct source_counts *into)
{
    const struct source_counts *from = &shard->processor.sources[source_index];
    struct feed_counts *feeds = into->feeds;
    *into = *from;
    into->feeds = feeds;
    memcpy(feeds, from->feeds, sizeof *feeds * shard->engine->plan->sources[source_index].feed_count);
}

static void publish(struct shard *shard)
{
    struct shard_published *published = &shard->published;
    const struct plan *plan = shard->engine->plan;
    pthread_mutex_lock(&published->lock);
    for (uint32_t i = 0; i < plan->source_count; i++)
        publish_source(shard, i, &published->sources[i]);
    memcpy(published->pipelines, shard->processor.pipelines,
           sizeof *published->pipelines * plan->pipeline_count);
    for (uint32_t i = 0; i < shard->partition_count; i++) {
        const struct engine_partition *partition = shard->partitions[i];
        struct partition_stats *stats = &published->partitions[i];
        struct source_reader *reader = partition->leader->reader;
        int64_t end = reader->operations->end_offset(reader);
        stats->source_index = partition->state.source_index;
        stats->topic = partition->kafka.topic;
        stats->partition =
            partition->is_kafka ? (uint32_t)partition->kafka.partition : partition->state.partition;
        stats->offset = partition->state.next_offset;
        stats->watermark_us = watermark_us(&partition->state.watermark);
        stats->idle = partition->state.is_idle;
        stats->ended = partition->state.is_ended;
        stats->lag = end < 0 ? -1 : end > stats->offset ? end - stats->offset : 0;
        stats->log_end = partition->is_kafka ? kafka_reader_log_end(partition->reader) : -1;
        stats->newest_record_us = partition->is_kafka ? kafka_reader_newest_time_us(partition->reader)
                                                      : partition->newest_record_us;
    }
    published->partition_count = shard->partition_count;
    pthread_mutex_unlock(&published->lock);
}

/* --- the loop ---------------------------------------------------------------------------------------------------- */

/* Reads a batch from each of some partitions. True when there was anything; `*next_us`: when to look again. */
static bool read_turn(struct shard *shard, int64_t now_us, int64_t *next_us)
{
    bool has_read = false;
    uint32_t count = shard->partition_count, batches = 0;
    bool has_room = true;
    for (uint32_t i = 0; i < count && batches < TURN_MAX_BATCHES && has_room; i++) {
        struct engine_partition *partition = shard->partitions[(shard->first_in_turn + i) % count];
        shard_release_partition(partition);
        if (shard_read_partition(shard, partition, now_us)) {
            has_read = true;
            batches++;
            has_room = shard->processor.output.list.size < TURN_MAX_OUTPUT_SIZE;
        } else if (partition->next_read_us < *next_us) {
            *next_us = partition->next_read_us;
        }
    }
    if (count)
        shard->first_in_turn = (shard->first_in_turn + 1) % count;
    return has_read;
}

/* Smallest time at which a partition turns idle; sets those whose time has come. */
static int64_t judge_idle(struct shard *shard, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    for (uint32_t i = 0; i < shard->partition_count; i++) {
        int64_t idle_at_us = shard_judge_idle(shard, shard->partitions[i], now_us);
        if (idle_at_us < next_us)
            next_us = idle_at_us;
    }
    return next_us;
}

/* Time that passed while nothing was read is not idleness of the sources. */
static void forgive(struct shard *shard, int64_t time_us)
{
    for (uint32_t i = 0; i < shard->partition_count; i++)
        shard->partitions[i]->state.last_record_us += time_us;
}

static bool push_update(struct shard *shard, struct shard_update *update)
{
    if (ring_push(&shard->updates, update))
        return true;
    int64_t before_us = clock_monotonic_us(shard->engine->clock);
    bool is_pushed = engine_push(shard->engine, &shard->updates, &shard->waker, update);
    shard->turn_us = clock_monotonic_us(shard->engine->clock);
    forgive(shard, shard->turn_us - before_us);
    return is_pushed;
}

/* What others would want to know at once; the rest can wait for UPDATE_INTERVAL_US. */
static uint64_t state_of(const struct shard *shard)
{
    uint64_t state = 1;
    for (uint32_t i = 0; i < shard->partition_count; i++) {
        const struct engine_partition *partition = shard->partitions[i];
        bool is_live = partition->state.next_offset >= partition->replay_until;
        state =
            state * 31 + (uint64_t)(partition->state.is_ended * 4 + partition->state.is_idle * 2 + is_live);
    }
    return state;
}

static void tell_merger(struct shard *shard, int64_t now_us, bool is_last)
{
    bool flush_open = now_us >= shard->next_flush_us;
    if (flush_open)
        shard->next_flush_us = now_us + shard->engine->flush_interval_us;
    struct shard_update *update = shard_update_create(shard, flush_open, is_last);
    uint64_t state = state_of(shard);
    bool is_urgent = update->pane_count || update->outputs.count || update->dead_letters || is_last ||
                     state != shard->told_state;
    if (!is_urgent && now_us < shard->told_us + UPDATE_INTERVAL_US) {
        shard_update_destroy(update);
        shard->is_untold = true;
        return;
    }
    shard->told_state = state;
    shard->told_us = now_us;
    shard->is_untold = false;
    shard->arrival_us = 0;
    if (!push_update(shard, update))
        shard_update_destroy(update);
}

static void sleep_until(struct shard *shard, int64_t now_us, int64_t until_us)
{
    int64_t limit_us = now_us + SHARD_SLEEP_MAX_US;
    waker_wait(&shard->waker, (until_us < limit_us ? until_us : limit_us) - now_us);
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The waker is prepared before the sources are asked, so a record that comes after the answer wakes the shard. */
static void run_turn(struct shard *shard)
{
    struct engine *engine = shard->engine;
    int64_t now_us = clock_monotonic_us(engine->clock);
    int64_t next_us = INT64_MAX;
    if (shard->turn_us && now_us - shard->turn_us > SHARD_STALL_US)
        forgive(shard, now_us - shard->turn_us);
    shard->turn_us = now_us;
    waker_prepare(&shard->waker);
    bool has_read = read_turn(shard, now_us, &next_us);
    int64_t idle_at_us = judge_idle(shard, now_us);
    bool should_tell = has_read || now_us >= shard->next_flush_us || state_of(shard) != shard->told_state ||
                       (shard->is_untold && now_us >= shard->told_us + UPDATE_INTERVAL_US);
    if (should_tell)
        tell_merger(shard, clock_monotonic_us(engine->clock), false);
    if (should_tell || !has_read) /* the log may have got a new end without a record to read */
        publish(shard);
    next_us = earliest(next_us, earliest(idle_at_us, shard->next_flush_us));
    if (shard->is_untold)
        next_us = earliest(next_us, shard->told_us + UPDATE_INTERVAL_US);
    now_us = clock_monotonic_us(engine->clock);
    /* Telling may have slept on the same waker and used up a wake that was meant for the sources. */
    bool may_sleep = !has_read && !should_tell && next_us > now_us;
    may_sleep = may_sleep && !atomic_load_explicit(&engine->rest.shards_should_rest, memory_order_acquire);
    if (may_sleep && !atomic_load_explicit(&engine->should_stop, memory_order_acquire)) {
        sleep_until(shard, now_us, next_us);
    } else {
        waker_cancel(&shard->waker);
    }
}

/* What is complete goes to the merger; the rest may be taken away. */
static void rest(struct shard *shard)
{
    struct engine *engine = shard->engine;
    shard->told_state = 0;
    tell_merger(shard, clock_monotonic_us(engine->clock), false);
    publish(shard);
    engine_rest_here(engine, &shard->is_resting, &engine->rest.shards_should_rest);
    shard->told_state = 0;
    shard->is_untold = true;
    shard->told_us = 0;
    shard->turn_us = 0;
}

void *shard_main(void *argument)
{
    struct shard *shard = argument;
    int64_t now_us = clock_monotonic_us(shard->engine->clock);
    shard->next_flush_us = shard->engine->flush_interval_us == INT64_MAX ? INT64_MAX : now_us;
    for (uint32_t i = 0; i < shard->partition_count; i++) {
        shard->partitions[i]->state.last_record_us = shard->partitions[i]->state.max_time_seen_us = now_us;
    }
    while (!atomic_load_explicit(&shard->engine->should_stop, memory_order_acquire)) {
        if (atomic_load_explicit(&shard->engine->rest.shards_should_rest, memory_order_acquire))
            rest(shard);
        else
            run_turn(shard);
    }
    tell_merger(shard, clock_monotonic_us(shard->engine->clock), true);
    publish(shard);
    return NULL;
}
