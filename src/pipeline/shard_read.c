/* A shard and one of its partitions: read a batch, decode it, show it to subscribers, add it to the panes.
 *
 * After a restart the offsets between B and P come first (see ARCHITECTURE.md, "Recovery"). Their batches are cut exactly at P and marked
 * as replay: they rebuild panes, and nothing of them is counted, shown or dead-lettered a second time. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "pipeline/engine_internal.h"

static void report_source(const struct engine *engine, const struct engine_partition *partition,
                          enum health_state state, const char *reason)
{
    char name[HEALTH_NAME_SIZE];
    snprintf(name, sizeof name, "source.%s", engine->config->sources[partition->state.source_index].name);
    health_report(engine->health, name, state, state == HEALTH_OK ? NULL : "%s", reason);
}

/* The log ends before the position that was recorded for it: a file was replaced by a shorter one, or a log was deleted. */
static void report_lost_log(struct engine *engine, struct engine_partition *partition)
{
    log_write(LOG_WARN, "engine",
              "source %s, partition %u: its log ends at offset %" PRId64 ", but results up to offset %" PRId64
              " are stored; was the file or log replaced? going on from here",
              engine->config->sources[partition->state.source_index].name, partition->state.partition,
              partition->state.next_offset, partition->replay_until);
    partition->replay_until = partition->state.next_offset;
}

static void end_partition(struct engine *engine, struct engine_partition *partition)
{
    if (partition->state.next_offset < partition->replay_until)
        report_lost_log(engine, partition);
    partition->state.is_ended = true;
}

static void hold(const struct engine_partition *partition)
{
    if (partition->reader->operations->hold)
        partition->reader->operations->hold(partition->reader);
}

static void fail_partition(struct engine *engine, struct engine_partition *partition,
                           const struct error *error)
{
    partition->is_failed = true;
    hold(partition);
    report_source(engine, partition, HEALTH_DOWN, error->text);
}

/* Rows of a batch that a subscriber may want to see, copied. */
static void show_events(struct shard *shard, struct batch *batch)
{
    if (batch->is_replay || !batch->row_count)
        return;
    if (!atomic_load_explicit(&shard->engine->wants_events[batch->source_index], memory_order_relaxed))
        return;
    uint32_t *rows = arena_allocate(&batch->arena, sizeof *rows * batch->row_count);
    for (uint32_t i = 0; i < batch->row_count; i++)
        rows[i] = i;
    const char *source = shard->engine->config->sources[batch->source_index].name;
    hub_input_push_events(&shard->hub_input, event_block_create(source, batch, rows, batch->row_count));
}

static bool decode_batch(struct shard *shard, struct engine_partition *partition, struct batch *batch)
{
    struct error error = {{0}};
    int64_t before_us = clock_monotonic_us(shard->engine->clock);
    if (processor_decode(&shard->processor, &partition->state, batch, &error) != STATUS_OK) {
        fail_partition(shard->engine, partition, &error);
        return false;
    }
    histogram_add(&shard->decode_latency, clock_monotonic_us(shard->engine->clock) - before_us,
                  batch->record_count);
    return true;
}

static void apply_batch(struct shard *shard, struct engine_partition *partition, struct batch *batch)
{
    show_events(shard, batch);
    int64_t before_us = clock_monotonic_us(shard->engine->clock);
    processor_apply(&shard->processor, &partition->state, batch);
    int64_t now_us = clock_monotonic_us(shard->engine->clock);
    histogram_add(&shard->window_latency, now_us - before_us, batch->record_count);
    partition->state.last_record_us = now_us;
    partition->state.is_idle = false;
    if (!batch->is_replay && batch->arrival_us > shard->arrival_us)
        shard->arrival_us = batch->arrival_us;
}

/* Realtime files: event time passes as the clock does. Returns when the batch is due. */
static int64_t batch_due_us(struct engine_partition *partition, const struct batch *batch, int64_t now_us)
{
    if (!batch->row_count || batch->is_replay)
        return now_us;
    if (partition->realtime_origin_us == TIME_NONE)
        partition->realtime_origin_us = now_us - batch->event_times_us[0];
    return partition->realtime_origin_us + batch->event_times_us[0];
}

static bool is_realtime(const struct engine *engine, const struct engine_partition *partition)
{
    const struct config_source *source = &engine->config->sources[partition->state.source_index];
    return source->kind == SOURCE_FILE && source->file.rate == FILE_RATE_REALTIME;
}

static enum status read_batch(struct shard *shard, struct engine_partition *partition, struct batch *batch,
                              int64_t now_us)
{
    struct engine *engine = shard->engine;
    bool is_replay = partition->state.next_offset < partition->replay_until;
    struct error error = {{0}};
    batch_reset(batch);
    batch->source_index = partition->state.source_index;
    batch->partition = partition->state.partition;
    batch->is_replay = is_replay;
    partition->next_read_us = INT64_MAX;
    enum status status =
        source_read(partition->reader, engine->config->batch_size,
                    is_replay ? partition->replay_until : INT64_MAX, batch, &partition->next_read_us, &error);
    if (status == STATUS_OK && batch->record_count)
        partition->newest_record_us = batch->records[batch->record_count - 1].time_us;
    if (status == STATUS_END)
        end_partition(engine, partition);
    if (status == STATUS_AGAIN && is_replay && partition->next_read_us == INT64_MAX)
        report_lost_log(engine, partition);
    if (status == STATUS_NOT_FOUND && is_replay) {
        partition->state.next_offset = partition->replay_until;
        partition->next_read_us = now_us;
        status = STATUS_AGAIN;
    }
    bool is_error = status != STATUS_OK && status != STATUS_AGAIN && status != STATUS_END;
    if (is_error)
        partition->next_read_us = now_us + SOURCE_RETRY_US;
    if (is_error != partition->has_error) {
        report_source(engine, partition, is_error ? HEALTH_DEGRADED : HEALTH_OK, error.text);
        partition->has_error = is_error;
    }
    return status;
}

/* The batch that is read ahead is kept until it is due. */
static bool read_realtime(struct shard *shard, struct engine_partition *partition, int64_t now_us)
{
    if (!partition->held)
        partition->held = batch_create();
    if (!partition->holds_batch) {
        if (read_batch(shard, partition, partition->held, now_us) != STATUS_OK)
            return false;
        if (!decode_batch(shard, partition, partition->held))
            return false;
        partition->holds_batch = true;
    }
    int64_t due_us = batch_due_us(partition, partition->held, now_us);
    if (due_us > now_us) {
        partition->next_read_us = due_us;
        return false;
    }
    partition->held->arrival_us = now_us;
    apply_batch(shard, partition, partition->held);
    partition->holds_batch = false;
    return true;
}

bool shard_read_partition(struct shard *shard, struct engine_partition *partition, int64_t now_us)
{
    if (partition->state.is_ended || partition->is_failed) {
        partition->next_read_us = INT64_MAX;
        return false;
    }
    if (partition->has_error && now_us < partition->next_read_us)
        return false;
    if (partition->state.next_offset >= partition->replay_until &&
        atomic_load_explicit(&shard->engine->is_replaying, memory_order_acquire)) {
        partition->next_read_us = INT64_MAX;
        partition->state.last_record_us = now_us; /* it is we who wait */
        hold(partition);
        return false;
    }
    if (is_realtime(shard->engine, partition))
        return read_realtime(shard, partition, now_us);
    if (read_batch(shard, partition, shard->batch, now_us) != STATUS_OK)
        return false;
    if (!decode_batch(shard, partition, shard->batch))
        return false;
    apply_batch(shard, partition, shard->batch);
    return true;
}

void shard_release_partition(struct engine_partition *partition)
{
    int64_t base = atomic_load_explicit(&partition->durable_base, memory_order_acquire);
    if (base <= partition->released_base)
        return;
    partition->released_base = base;
    if (partition->reader->operations->release)
        partition->reader->operations->release(partition->reader, base);
}

int64_t shard_judge_idle(const struct shard *shard, struct engine_partition *partition, int64_t now_us)
{
    if (partition->state.is_ended || partition->state.is_idle)
        return INT64_MAX;
    int64_t idle_at_us = partition->state.last_record_us +
                         shard->engine->config->sources[partition->state.source_index].idle_timeout_us;
    if (partition->holds_batch)
        return INT64_MAX; /* it is we who wait */
    if (now_us >= idle_at_us && partition->state.next_offset >= partition->replay_until) {
        partition->state.is_idle = true;
        return INT64_MAX;
    }
    return idle_at_us > now_us ? idle_at_us : now_us + IDLE_STEP_US;
}
