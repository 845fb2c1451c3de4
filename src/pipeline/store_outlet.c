/* The store's thread: everything that waits becomes one transaction (rows, dead letters, progress), so the slower the disk, the larger
 * the transactions. When the store says no (locked, disk full, failed fsync), the transaction is rolled back and the same items
 * are tried again; nothing is acknowledged that is not committed.
 *
 * Progress is written only up to a mark that every other sink has flushed. Marks that are not there yet wait in a short queue. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "pipeline/engine_internal.h"
#include "pipeline/membership.h"

struct store_outlet {
    struct outlet *outlet;
    struct engine *engine;
    struct outlet_item *items[OUTLET_COMMIT_BLOCKS];
    uint32_t item_count;
    struct progress_mark *marks[OUTLET_MAX_MARKS]; /* oldest first */
    uint32_t mark_count;
    bool is_stopping, was_well;
    int64_t next_expire_us;
};

/* --- marks -------------------------------------------------------------------------------------------------------- */

static void add_mark(struct store_outlet *self, struct progress_mark *mark)
{
    if (self->mark_count == OUTLET_MAX_MARKS)
        progress_mark_destroy(self->marks[--self->mark_count]);
    self->marks[self->mark_count++] = mark;
}

/* The epoch that every other sink has made durable. */
static uint64_t flushed_epoch(const struct engine *engine)
{
    uint64_t epoch = UINT64_MAX;
    for (uint32_t i = 1; i < engine->outlet_count; i++) {
        uint64_t other = atomic_load_explicit(&engine->outlets[i].durable_epoch, memory_order_acquire);
        if (other < epoch)
            epoch = other;
    }
    return epoch;
}

/* How many of the marks may be recorded. */
static uint32_t recordable_marks(const struct store_outlet *self)
{
    uint64_t epoch = flushed_epoch(self->engine);
    uint32_t count = 0;
    while (count < self->mark_count && self->marks[count]->epoch <= epoch)
        count++;
    return count;
}

static void forget_marks(struct store_outlet *self, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        progress_mark_destroy(self->marks[i]);
    self->mark_count -= count;
    memmove(self->marks, self->marks + count, sizeof *self->marks * self->mark_count);
}

/* --- one transaction ---------------------------------------------------------------------------------------------- */

static bool has_position(const struct progress_mark *mark, const struct partition_position *position)
{
    for (uint32_t i = 0; i < mark->position_count; i++) {
        const struct partition_position *other = &mark->positions[i];
        if (other->topic && other->source_index == position->source_index &&
            other->topic_partition == position->topic_partition && strcmp(other->topic, position->topic) == 0)
            return true;
    }
    return false;
}

/* Partitions of a group that others record from now on: what is here would look as new as the mark. */
static void forget_given_up(const struct engine *engine, struct arena *arena,
                            const struct progress_mark *mark, const struct progress_mark *before,
                            struct store_progress *progress)
{
    for (uint32_t i = 0; before && i < before->position_count; i++) {
        const struct partition_position *position = &before->positions[i];
        if (!position->topic || has_position(mark, position))
            continue;
        progress->positions[progress->position_count++] = (struct store_position){
            .source =
                arena_format(arena, "%s:%s", engine->source_names[position->source_index], position->topic),
            .partition = (uint32_t)position->topic_partition,
            .position = -1,
            .position_max_time_us = TIME_NONE,
            .base = -1,
            .base_watermark_us = TIME_NONE,
        };
    }
}

static enum status put_progress(struct engine *engine, const struct progress_mark *mark, struct error *error)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct store_progress progress = {.epoch = mark->epoch,
                                      .position_count = mark->position_count,
                                      .pipeline_count = engine->plan->pipeline_count};
    struct progress_mark *before = engine_durable(engine);
    uint32_t before_count = before ? before->position_count : 0;
    progress.positions =
        arena_allocate_zeroed(&arena, sizeof *progress.positions * (mark->position_count + before_count + 1));
    progress.pipelines =
        arena_allocate_zeroed(&arena, sizeof *progress.pipelines * (progress.pipeline_count + 1));
    for (uint32_t i = 0; i < mark->position_count; i++) {
        const struct partition_position *from = &mark->positions[i];
        const char *source = engine->source_names[from->source_index];
        progress.positions[i] = (struct store_position){
            .source = from->topic ? arena_format(&arena, "%s:%s", source, from->topic) : source,
            .partition = from->topic ? (uint32_t)from->topic_partition : from->partition,
            .position = from->position,
            .position_max_time_us = from->position_max_time_us,
            .base = from->base,
            .base_watermark_us = from->base_watermark_us,
        };
    }
    forget_given_up(engine, &arena, mark, before, &progress);
    progress_mark_destroy(before);
    for (uint32_t i = 0; i < progress.pipeline_count; i++) {
        progress.pipelines[i] = (struct store_pipeline_progress){
            .pipeline = engine->pipeline_names[i],
            .definition_hash = engine->plan->pipelines[i].definition_hash,
            .closed_through_us = mark->closed_through_us[i],
        };
    }
    enum status status = store_put_progress(engine->store, &progress, error);
    arena_deinit(&arena);
    return status;
}

static enum status put_item(const struct engine *engine, const struct outlet_item *item, struct error *error)
{
    if (item->kind == OUTLET_RESULTS)
        return store_put_results(engine->store, item->results, error);
    if (item->kind != OUTLET_DEAD_LETTERS)
        return STATUS_OK;
    return store_put_dead_letters(engine->store, item->dead_letters, engine->source_names,
                                  engine->pipeline_names, clock_wall_us(engine->clock), error);
}

static enum status write_transaction(const struct store_outlet *self, const struct progress_mark *mark,
                                     struct error *error)
{
    enum status status = store_begin(self->engine->store, error);
    if (status != STATUS_OK)
        return status;
    for (uint32_t i = 0; status == STATUS_OK && i < self->item_count; i++) {
        status = put_item(self->engine, self->items[i], error);
    }
    if (status == STATUS_OK && mark)
        status = put_progress(self->engine, mark, error);
    if (status == STATUS_OK)
        status = store_commit(self->engine->store, error);
    if (status != STATUS_OK)
        store_rollback(self->engine->store);
    return status;
}

/* After the commit: latency, and the shards may let go of what lies before the bases. */
static void note_commit(struct store_outlet *self, const struct progress_mark *mark)
{
    struct engine *engine = self->engine;
    int64_t now_us = clock_monotonic_us(engine->clock);
    for (uint32_t i = 0; i < self->item_count; i++) {
        const struct outlet_item *item = self->items[i];
        if (item->kind == OUTLET_DEAD_LETTERS) {
            atomic_fetch_add_explicit(&engine->dead_letter_count, item->dead_letters->letter_count,
                                      memory_order_relaxed);
        }
        if (item->kind != OUTLET_RESULTS)
            continue;
        const struct result_block *block = item->results;
        histogram_add(&engine->store_latency, now_us - block->emitted_us, block->row_count);
        if (block->arrival_us)
            histogram_add(&engine->stored_latency, now_us - block->arrival_us, block->row_count);
        atomic_fetch_add_explicit(&engine->store_row_count, block->row_count, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&engine->store_commit_count, 1, memory_order_relaxed);
    if (mark)
        engine_set_durable(engine, progress_mark_copy(mark, engine->plan->pipeline_count));
    for (uint32_t i = 0; mark && i < mark->position_count; i++) {
        if (mark->positions[i].topic)
            continue; /* the broker keeps what it keeps */
        struct engine_partition *partition =
            engine_find_partition(engine, mark->positions[i].source_index, mark->positions[i].partition);
        assert(partition);
        atomic_store_explicit(&partition->durable_base, mark->positions[i].base, memory_order_release);
    }
}

/* Rows before the newest mark that was taken are in the store. */
static void note_stored(const struct store_outlet *self)
{
    if (!self->mark_count)
        return;
    atomic_store_explicit(&self->engine->stored_epoch, self->marks[self->mark_count - 1]->epoch,
                          memory_order_release);
    for (uint32_t i = 1; i < self->engine->outlet_count; i++) {
        if (self->engine->outlets[i].membership)
            waker_wake(&self->engine->outlets[i].waker);
    }
}

/* Rows of a group's partitions are written only while this process is a member of it for sure: one that was stopped for a while may
 * have been replaced, and not know yet. */
static bool may_write(const struct store_outlet *self)
{
    for (uint32_t i = 0; i < self->item_count; i++) {
        const struct outlet_item *item = self->items[i];
        if (!item->run || item->kind != OUTLET_RESULTS)
            continue;
        struct membership *membership =
            self->engine->pipeline_memberships[item->results->shape->pipeline_index];
        if (!membership_is_current(membership, item->run))
            return false;
    }
    return true;
}

/* Results and marks of runs that have been dropped; a newer run may have sent some, too. Dead letters are true of any run. */
static void drop_items(struct store_outlet *self)
{
    uint64_t dropped = atomic_load_explicit(&self->engine->dropped_run, memory_order_acquire);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->item_count; i++) {
        struct outlet_item *item = self->items[i];
        if (item->kind == OUTLET_RESULTS && item->run && item->run <= dropped)
            outlet_item_destroy(item);
        else
            self->items[kept++] = item;
    }
    self->item_count = kept;
    kept = 0;
    for (uint32_t i = 0; i < self->mark_count; i++) {
        struct progress_mark *mark = self->marks[i];
        if (mark->run && mark->run <= dropped)
            progress_mark_destroy(mark);
        else
            self->marks[kept++] = mark;
    }
    self->mark_count = kept;
}

/* Until the store says yes or the engine gives up. */
static void commit(struct store_outlet *self)
{
    /* What waits for other sinks may have been dropped meanwhile; then they have not written it either. */
    drop_items(self);
    while (!may_write(self))
        drop_items(self);
    uint32_t mark_count = recordable_marks(self);
    if (!self->item_count && !mark_count) {
        note_stored(self);
        return;
    }
    const struct progress_mark *mark = mark_count ? self->marks[mark_count - 1] : NULL;
    for (;;) {
        struct error error = {{0}};
        if (write_transaction(self, mark, &error) == STATUS_OK)
            break;
        health_report(self->engine->health, "store", HEALTH_DEGRADED, "%s", error.text);
        self->was_well = false;
        if (engine_has_abandoned(self->engine))
            return;
        waker_prepare(&self->outlet->waker);
        waker_wait(&self->outlet->waker, SINK_RETRY_US);
    }
    if (!self->was_well)
        health_report(self->engine->health, "store", HEALTH_OK, NULL);
    self->was_well = true;
    note_commit(self, mark);
    note_stored(self);
    forget_marks(self, mark_count);
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static void release_items(struct store_outlet *self)
{
    for (uint32_t i = 0; i < self->item_count; i++)
        outlet_item_destroy(self->items[i]);
    self->item_count = 0;
}

static void take_item(struct store_outlet *self, struct outlet_item *item)
{
    atomic_fetch_sub_explicit(&self->outlet->queued_size, outlet_item_size(item), memory_order_relaxed);
    if (outlet_item_is_dropped(self->engine, item)) {
        outlet_item_destroy(item);
        return;
    }
    switch (item->kind) {
    case OUTLET_RESULTS:
    case OUTLET_DEAD_LETTERS: self->items[self->item_count++] = item; return;
    case OUTLET_MARK:
        add_mark(self, item->mark);
        item->mark = NULL;
        break;
    case OUTLET_OUTPUT: break; /* for other outlets */
    case OUTLET_STOP: self->is_stopping = true; break;
    }
    outlet_item_destroy(item);
}

static void expire(struct store_outlet *self)
{
    struct engine *engine = self->engine;
    int64_t now_us = clock_monotonic_us(engine->clock);
    if (now_us < self->next_expire_us)
        return;
    const struct config_store *config = &engine->config->store;
    bool has_more = false;
    struct error error = {{0}};
    enum status status =
        store_expire(engine->store, clock_wall_us(engine->clock), config->results_retention_us,
                     config->dead_letters_retention_us, &has_more, &error);
    if (status != STATUS_OK)
        log_write(LOG_WARN, "store", "old rows were not deleted: %s", error.text);
    self->next_expire_us = now_us + (has_more ? RETENTION_INTERVAL_US / 60 : RETENTION_INTERVAL_US);
}

/* At the end the last marks wait until the other sinks have flushed them, or have ended. */
static void finish(struct store_outlet *self)
{
    for (;;) {
        bool all_ended = true;
        for (uint32_t i = 1; i < self->engine->outlet_count; i++) {
            all_ended &= atomic_load_explicit(&self->engine->outlets[i].has_ended, memory_order_acquire);
        }
        commit(self);
        if (!self->mark_count || all_ended || engine_has_abandoned(self->engine))
            return;
        waker_prepare(&self->outlet->waker);
        waker_wait(&self->outlet->waker, WAIT_STEP_US);
    }
}

void *store_outlet_main(void *argument)
{
    struct outlet *outlet = argument;
    struct store_outlet self = {.outlet = outlet, .engine = outlet->engine, .was_well = true};
    health_report(self.engine->health, "store", HEALTH_OK, NULL);
    while (!self.is_stopping && !engine_has_abandoned(self.engine)) {
        struct outlet_item *item =
            ring_pop_wait(&outlet->items, self.mark_count ? WAIT_STEP_US : RETENTION_INTERVAL_US / 60);
        while (item) {
            take_item(&self, item);
            item =
                self.item_count < OUTLET_COMMIT_BLOCKS && !self.is_stopping ? ring_pop(&outlet->items) : NULL;
        }
        commit(&self);
        release_items(&self);
        expire(&self);
    }
    finish(&self);
    release_items(&self);
    forget_marks(&self, self.mark_count);
    return NULL;
}
