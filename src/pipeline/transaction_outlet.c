/* The outlet of transactional sinks: results or events, and the offsets of the events behind them, become visible together.
 *
 *   merger ─▶ blocks ─▶ mark ─▶        written since the last commit      store: rows before the mark are there
 *                         └─▶ wait for the store ─▶ commit(offsets of the mark) ─▶ the mark is durable here
 *
 * The store comes first: what the group has committed is where a restart begins, so the store must never lack what lies before. It may have
 * more, which is written again with the same content. */
#include <stdlib.h>

#include "base/memory.h"
#include "pipeline/kafka_progress.h"
#include "pipeline/membership.h"

enum {
    TRANSACTION_INTERVAL_US = 100 * 1000
}; /* marks that come sooner share a transaction, as long as more is waiting */

static struct sink *first_sink(const struct outlet *outlet)
{
    return outlet->targets[0].sink;
}

static bool is_dropped(const struct outlet *outlet, uint64_t run)
{
    return run <= atomic_load_explicit(&outlet->engine->dropped_run, memory_order_acquire);
}

/* What was written of a run that has ended otherwise must not become visible with the next. */
static void undo_dropped(struct outlet *outlet)
{
    if (!outlet->written_run || !is_dropped(outlet, outlet->written_run))
        return;
    first_sink(outlet)->operations->abort(first_sink(outlet));
    outlet->written_run = 0;
}

static bool wait_for_store(const struct outlet *outlet, const struct progress_mark *mark)
{
    struct outlet *self = (struct outlet *)outlet;
    while (atomic_load_explicit(&outlet->engine->stored_epoch, memory_order_acquire) < mark->epoch) {
        if (engine_has_abandoned(outlet->engine) || is_dropped(outlet, mark->run))
            return false;
        waker_prepare(&self->waker);
        waker_wait(&self->waker, WAIT_STEP_US / 4);
    }
    return true;
}

/* The offsets of a mark with their metadata, in `texts`. */
static struct sink_offset *offsets_of(const struct outlet *outlet, const struct progress_mark *mark,
                                      struct buffer *texts, uint32_t *count)
{
    struct sink_offset *offsets = memory_allocate_array(mark->position_count + 1, sizeof *offsets);
    size_t *starts = memory_allocate_array(mark->position_count + 1, sizeof *starts);
    *count = 0;
    for (uint32_t i = 0; i < mark->position_count; i++) {
        const struct partition_position *position = &mark->positions[i];
        if (!position->topic)
            continue;
        starts[*count] = texts->size;
        kafka_progress_write(texts, outlet->engine, outlet->membership, mark, position);
        offsets[(*count)++] = (struct sink_offset){
            .topic = position->topic, .partition = position->topic_partition, .offset = position->base};
    }
    for (uint32_t i = 0; i < *count; i++)
        offsets[i].metadata = texts->data + starts[i];
    free(starts);
    return offsets;
}

static enum sink_commit commit_once(struct outlet *outlet, const struct progress_mark *mark,
                                    const rd_kafka_consumer_group_metadata_t *group, struct error *error)
{
    struct buffer texts = {0};
    uint32_t count;
    struct sink_offset *offsets = offsets_of(outlet, mark, &texts, &count);
    struct sink *sink = first_sink(outlet);
    enum sink_commit result = sink->operations->commit(sink, offsets, count, group, error);
    buffer_deinit(&texts);
    free(offsets);
    return result;
}

/* The group's generation is looked up before the run: a run that is dropped after that belongs to this generation, and its partitions
 * get a new owner only in the next, so the brokers refuse what would come too late. */
static enum sink_commit commit_if_current(struct outlet *outlet, const struct progress_mark *mark,
                                          bool *is_over, struct error *error)
{
    rd_kafka_consumer_group_metadata_t *group = kafka_consumer_group(membership_consumer(outlet->membership));
    enum sink_commit result = SINK_COMMIT_AGAIN;
    *is_over = is_dropped(outlet, mark->run);
    if (!*is_over)
        result = commit_once(outlet, mark, group, error);
    if (group)
        rd_kafka_consumer_group_metadata_destroy(group);
    return result;
}

/* False when the engine gives up. `*is_done`: the mark is committed. */
static bool commit_until_decided(struct outlet *outlet, const struct progress_mark *mark, bool *is_done)
{
    for (;;) {
        struct error error = {{0}};
        bool is_over;
        enum sink_commit result = commit_if_current(outlet, mark, &is_over, &error);
        if (is_over) {
            undo_dropped(outlet);
            return true;
        }
        switch (result) {
        case SINK_COMMITTED: *is_done = true; return true;
        case SINK_COMMIT_AGAIN:
            if (!outlet_should_retry(outlet, &error))
                return false;
            break;
        case SINK_COMMIT_ABORTED:
        case SINK_COMMIT_FENCED:
            outlet->written_run = 0;
            membership_go_back(outlet->membership, mark->run, error.text);
            return true;
        }
    }
}

/* False when the engine gives up. */
static bool commit(struct outlet *outlet, const struct progress_mark *mark)
{
    if (!wait_for_store(outlet, mark))
        return !engine_has_abandoned(outlet->engine);
    bool is_done = false;
    membership_commit_begins(outlet->membership);
    bool goes_on = commit_until_decided(outlet, mark, &is_done);
    membership_commit_ends(outlet->membership, is_done ? mark : NULL);
    if (!is_done)
        return goes_on;
    outlet->written_run = 0;
    outlet->committed_us = clock_monotonic_us(outlet->engine->clock);
    outlet_is_well(outlet);
    outlet_set_durable(outlet, mark->epoch);
    return true;
}

/* A write that the open transaction does not survive is the end of the run as well. */
static bool write(struct outlet *outlet, const struct outlet_item *item)
{
    outlet->written_run = item->run;
    for (uint32_t i = 0; i < outlet->target_count; i++) {
        struct outlet_target *target = &outlet->targets[i];
        if (!target->pipelines[outlet_item_pipeline(item)])
            continue;
        for (;;) {
            struct error error = {{0}};
            enum status status = outlet_write_to(target->sink, item, &error);
            if (status == STATUS_OK)
                break;
            if (status == STATUS_IO) {
                target->sink->operations->abort(target->sink);
                outlet->written_run = 0;
                membership_go_back(outlet->membership, item->run, error.text);
                return true;
            }
            if (!outlet_should_retry(outlet, &error))
                return false;
            if (is_dropped(outlet, item->run))
                return true;
        }
    }
    outlet_is_well(outlet);
    return true;
}

bool transaction_outlet_handle(struct outlet *outlet, struct outlet_item *item)
{
    undo_dropped(outlet);
    if (outlet_item_is_dropped(outlet->engine, item))
        return true;
    switch (item->kind) {
    case OUTLET_RESULTS:
    case OUTLET_OUTPUT: return write(outlet, item);
    case OUTLET_MARK: {
        int64_t since_us = clock_monotonic_us(outlet->engine->clock) - outlet->committed_us;
        if (since_us < TRANSACTION_INTERVAL_US && ring_count(&outlet->items) > 0)
            return true;
        return commit(outlet, item->mark);
    }
    case OUTLET_STOP:
    case OUTLET_DEAD_LETTERS: break;
    }
    return item->kind != OUTLET_STOP;
}
