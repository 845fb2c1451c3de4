/* A shard and one of its partitions, or those that are dealt the lines of one file: read a batch, decode it, show it to
 * subscribers, add it to the panes.
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

/* A partition that another one reads for has nothing to hold. */
static void hold(const struct engine_partition *partition)
{
    struct source_reader *reader = partition->reader;
    if (reader && reader->operations->hold)
        reader->operations->hold(reader);
}

static void fail_partition(struct engine *engine, struct engine_partition *partition,
                           const struct error *error)
{
    partition->is_failed = true;
    hold(partition);
    report_source(engine, partition, HEALTH_DOWN, error->text);
}

/* A reader that several share starts at the smallest of their positions, so it does not notice a file that is too short for another. */
static bool is_cut_off(const struct engine_partition *partition)
{
    if (!partition->state.is_dealt)
        return false;
    struct source_reader *reader = partition->leader->reader;
    return reader->operations->end_offset(reader) < partition->state.next_offset;
}

static void end_partition(struct engine *engine, struct engine_partition *partition)
{
    if (is_cut_off(partition)) {
        struct error error;
        error_set(
            &error,
            "partition %u was to go on at line %" PRId64
            ", but the file has fewer; was it replaced by a shorter one? put the old one back, or use a new data_dir",
            partition->state.partition, partition->state.next_offset);
        fail_partition(engine, partition, &error);
        return;
    }
    if (partition->state.next_offset < partition->replay_until)
        report_lost_log(engine, partition);
    partition->state.is_ended = true;
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

static void decode_batch(struct shard *shard, const struct engine_partition *partition, struct batch *batch)
{
    int64_t before_us = clock_monotonic_us(shard->engine->clock);
    processor_decode(&shard->processor, &partition->state, batch);
    histogram_add(&shard->decode_latency, clock_monotonic_us(shard->engine->clock) - before_us,
                  batch->record_count);
}

static void apply_batch(struct shard *shard, struct engine_partition *partition, struct batch *batch)
{
    struct error error = {{0}};
    if (processor_judge(&shard->processor, batch, &error) != STATUS_OK) {
        fail_partition(shard->engine, partition, &error);
        return;
    }
    show_events(shard, batch);
    int64_t before_us = clock_monotonic_us(shard->engine->clock);
    processor_apply(&shard->processor, &partition->state, batch);
    int64_t now_us = clock_monotonic_us(shard->engine->clock);
    histogram_add(&shard->window_latency, now_us - before_us, batch->row_count + batch->bad_count);
    partition->state.last_record_us = now_us;
    partition->state.is_idle = false;
    if (!batch->is_replay && batch->arrival_us > shard->arrival_us)
        shard->arrival_us = batch->arrival_us;
}

/* --- dealing the lines of one file ---------------------------------------------------------------------------------- */

/* Orders the rows by partition and, within each, by offset. `ends[p]`: one past the last row of partition p. */
static uint32_t *arrange_by_partition(const struct plan_source *source, struct batch *batch)
{
    uint32_t count = batch->row_count;
    uint32_t *ends = arena_allocate_zeroed(&batch->arena, sizeof *ends * (source->partition_count + 1));
    uint32_t *owners = arena_allocate(&batch->arena, sizeof *owners * (count + 1));
    uint32_t *order = arena_allocate(&batch->arena, sizeof *order * (count + 1));
    for (uint32_t row = 0; row < count; row++) {
        owners[row] = plan_partition_of(source, batch, row);
        ends[owners[row] + 1]++;
    }
    for (uint32_t p = 1; p <= source->partition_count; p++)
        ends[p] += ends[p - 1];
    for (uint32_t row = 0; row < count; row++)
        order[ends[owners[row]]++] = row; /* the start of each partition moves to its end */
    batch_arrange_rows(batch, order);
    return ends;
}

/* What is bad has no key and belongs to partition 0, which is the first to be dealt to; but not what is below the offset at
 * which it goes on. */
static void keep_own_bad(const struct engine_partition *partition, struct batch *batch)
{
    uint32_t known = 0;
    if (partition->state.partition != 0) {
        batch->bad_count = 0;
        return;
    }
    while (known < batch->bad_count &&
           batch->records[batch->bad[known].record_index].offset < partition->state.next_offset)
        known++;
    batch->bad_count -= known;
    memmove(batch->bad, batch->bad + known, sizeof *batch->bad * batch->bad_count);
}

/* Applies rows [first, end) to the partition. */
static void deal_rows(struct shard *shard, struct engine_partition *partition, struct batch *batch,
                      uint32_t first, uint32_t end)
{
    uint32_t row_count = batch->row_count;
    while (first < end && batch->offsets[first] < partition->state.next_offset)
        first++;
    batch->partition = partition->state.partition;
    keep_own_bad(partition, batch);
    batch_show_rows(batch, first, end - first);
    apply_batch(shard, partition, batch);
    batch_show_rows(batch, -(int64_t)first, row_count);
}

/* While some of the partitions replay, the others wait at their positions, as all partitions do until the engine is live. */
static void deal_batch(struct shard *shard, struct engine_partition *leader, struct batch *batch)
{
    const uint32_t *ends =
        arrange_by_partition(&shard->engine->plan->sources[leader->state.source_index], batch);
    int64_t last_offset = batch->records[batch->record_count - 1].offset;
    for (struct engine_partition *sharer = leader; sharer; sharer = sharer->next_sharer) {
        uint32_t partition = sharer->state.partition;
        if (sharer->is_failed || sharer->state.is_ended)
            continue;
        bool is_waiting = batch->is_replay && sharer->state.next_offset >= sharer->replay_until;
        if (is_waiting && last_offset >= sharer->state.next_offset)
            leader->is_overtaken = true;
        if (is_waiting || last_offset < sharer->state.next_offset)
            sharer->state.last_record_us = clock_monotonic_us(shard->engine->clock); /* it is we who wait */
        else
            deal_rows(shard, sharer, batch, partition ? ends[partition - 1] : 0, ends[partition]);
    }
}

static void finish_batch(struct shard *shard, struct engine_partition *leader, struct batch *batch)
{
    if (leader->state.is_dealt)
        deal_batch(shard, leader, batch);
    else
        apply_batch(shard, leader, batch);
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

/* Who gets the first row of the batch; NULL: nobody here. */
static struct engine_partition *first_owner(const struct engine *engine, struct engine_partition *leader,
                                            const struct batch *batch)
{
    if (!batch->row_count)
        return NULL;
    if (!leader->state.is_dealt)
        return leader;
    uint32_t source_index = leader->state.source_index;
    struct engine_partition *owner = engine_find_partition(
        engine, source_index, plan_partition_of(&engine->plan->sources[source_index], batch, 0));
    return owner->leader == leader && !owner->is_failed ? owner : NULL;
}

/* Realtime files: event time passes as the clock does. Returns when the batch of one record is due. */
static int64_t batch_due_us(const struct engine *engine, struct engine_partition *leader,
                            const struct batch *batch, int64_t now_us)
{
    struct engine_partition *partition = first_owner(engine, leader, batch);
    if (!partition || batch->is_replay || batch->offsets[0] < partition->state.next_offset)
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

/* Where the batch must end because a replay does; INT64_MAX when none is going on. */
static int64_t replay_end(const struct engine_partition *leader)
{
    int64_t end = INT64_MAX;
    for (const struct engine_partition *sharer = leader; sharer; sharer = sharer->next_sharer) {
        bool is_replay = !sharer->is_failed && sharer->state.next_offset < sharer->replay_until;
        if (is_replay && sharer->replay_until < end)
            end = sharer->replay_until;
    }
    return end;
}

static void end_sharers(struct engine *engine, struct engine_partition *leader)
{
    for (struct engine_partition *sharer = leader; sharer; sharer = sharer->next_sharer) {
        bool is_waiting = leader->is_overtaken && sharer->state.next_offset >= sharer->replay_until;
        if (!sharer->is_failed && !is_waiting)
            end_partition(engine, sharer);
    }
}

/* Reports the trouble of a reader when it begins and when it ends. */
static void note_error(const struct engine *engine, struct engine_partition *partition, bool is_error,
                       const struct error *error, int64_t now_us)
{
    if (is_error)
        partition->next_read_us = now_us + SOURCE_RETRY_US;
    if (is_error != partition->has_error) {
        report_source(engine, partition, is_error ? HEALTH_DEGRADED : HEALTH_OK, error->text);
        partition->has_error = is_error;
    }
}

static enum status read_batch(struct shard *shard, struct engine_partition *partition, struct batch *batch,
                              int64_t now_us)
{
    struct engine *engine = shard->engine;
    int64_t end_offset = replay_end(partition);
    bool is_replay = end_offset != INT64_MAX;
    struct error error = {{0}};
    batch_reset(batch);
    batch->source_index = partition->state.source_index;
    batch->partition = partition->state.partition;
    batch->is_replay = is_replay;
    partition->next_read_us = INT64_MAX;
    enum status status = source_read(partition->reader, engine->config->batch_size, end_offset, batch,
                                     &partition->next_read_us, &error);
    if (status == STATUS_OK && batch->record_count)
        partition->newest_record_us = batch->records[batch->record_count - 1].time_us;
    if (status == STATUS_END)
        end_sharers(engine, partition);
    if (status == STATUS_AGAIN && is_replay && partition->next_read_us == INT64_MAX)
        report_lost_log(engine, partition);
    if (status == STATUS_NOT_FOUND && is_replay) {
        partition->state.next_offset = partition->replay_until;
        partition->next_read_us = now_us;
        status = STATUS_AGAIN;
    }
    bool is_error = status != STATUS_OK && status != STATUS_AGAIN && status != STATUS_END;
    note_error(engine, partition, is_error, &error, now_us);
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
        decode_batch(shard, partition, partition->held);
        partition->holds_batch = true;
    }
    int64_t due_us = batch_due_us(shard->engine, partition, partition->held, now_us);
    if (due_us > now_us) {
        partition->next_read_us = due_us;
        return false;
    }
    partition->held->arrival_us = now_us;
    finish_batch(shard, partition, partition->held);
    partition->holds_batch = false;
    return true;
}

/* Whether none of those that share the partition's reader wants more. */
static bool is_over(const struct engine_partition *leader)
{
    for (const struct engine_partition *sharer = leader; sharer; sharer = sharer->next_sharer) {
        if (!sharer->state.is_ended && !sharer->is_failed)
            return false;
    }
    return true;
}

/* After the replay: to the offset at which the first of the sharers goes on. False: not now. */
static bool go_back(struct shard *shard, struct engine_partition *leader, int64_t now_us)
{
    struct error error = {{0}};
    bool is_open = engine_reopen_reader(shard->engine, leader, &error) == STATUS_OK;
    note_error(shard->engine, leader, !is_open, &error, now_us);
    leader->is_overtaken = !is_open;
    return is_open;
}

bool shard_read_partition(struct shard *shard, struct engine_partition *partition, int64_t now_us)
{
    if (partition->leader != partition || is_over(partition)) {
        partition->next_read_us = INT64_MAX;
        return false;
    }
    if (partition->has_error && now_us < partition->next_read_us)
        return false;
    if (replay_end(partition) == INT64_MAX &&
        atomic_load_explicit(&shard->engine->is_replaying, memory_order_acquire)) {
        partition->next_read_us = INT64_MAX;
        for (struct engine_partition *sharer = partition; sharer; sharer = sharer->next_sharer)
            sharer->state.last_record_us = now_us; /* it is we who wait */
        hold(partition);
        return false;
    }
    if (partition->is_overtaken && replay_end(partition) == INT64_MAX && !go_back(shard, partition, now_us))
        return false;
    if (is_realtime(shard->engine, partition))
        return read_realtime(shard, partition, now_us);
    if (read_batch(shard, partition, shard->batch, now_us) != STATUS_OK)
        return false;
    decode_batch(shard, partition, shard->batch);
    finish_batch(shard, partition, shard->batch);
    return true;
}

void shard_release_partition(struct engine_partition *partition)
{
    int64_t base = atomic_load_explicit(&partition->durable_base, memory_order_acquire);
    if (base <= partition->released_base)
        return;
    partition->released_base = base;
    if (partition->reader && partition->reader->operations->release)
        partition->reader->operations->release(partition->reader, base);
}

int64_t shard_judge_idle(const struct shard *shard, struct engine_partition *partition, int64_t now_us)
{
    if (partition->state.is_ended || partition->state.is_idle)
        return INT64_MAX;
    int64_t idle_at_us = partition->state.last_record_us +
                         shard->engine->config->sources[partition->state.source_index].idle_timeout_us;
    if (partition->leader->holds_batch)
        return INT64_MAX; /* it is we who wait */
    if (now_us >= idle_at_us && partition->state.next_offset >= partition->replay_until) {
        partition->state.is_idle = true;
        return INT64_MAX;
    }
    return idle_at_us > now_us ? idle_at_us : now_us + IDLE_STEP_US;
}
