/* The thread behind a sink: takes what the merger sends, in order, and tries again for as long as the sink says no. Nothing is
 * dropped: a sink that stays silent fills its queue, then the merger waits, then the shards, then the sources; /health says why.
 *
 * A mark behind the blocks means: flush. When that has worked, the mark's epoch is durable here, and the store may
 * record the progress that it stands for (store_outlet.c). */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "pipeline/engine_internal.h"

struct outlet_item *outlet_item_create(enum outlet_item_kind kind)
{
    struct outlet_item *item = memory_allocate(sizeof *item);
    item->kind = kind;
    return item;
}

void outlet_item_destroy(struct outlet_item *item)
{
    if (!item)
        return;
    switch (item->kind) {
    case OUTLET_RESULTS: result_block_release(item->results); break;
    case OUTLET_OUTPUT: output_block_release(item->output); break;
    case OUTLET_DEAD_LETTERS: dead_letter_block_release(item->dead_letters); break;
    case OUTLET_MARK: progress_mark_destroy(item->mark); break;
    case OUTLET_STOP: break;
    }
    free(item);
}

enum { RESULT_ROW_SIZE = 128 }; /* bytes of a row's columns, roughly */

size_t outlet_item_size(const struct outlet_item *item)
{
    switch (item->kind) {
    case OUTLET_RESULTS:
        return item->results->bytes.size + item->results->json.size +
               (size_t)item->results->row_count * RESULT_ROW_SIZE;
    case OUTLET_OUTPUT: return item->output->text.size + item->output->row_count * sizeof(struct output_row);
    case OUTLET_DEAD_LETTERS: {
        size_t size = 0;
        for (uint32_t i = 0; i < item->dead_letters->letter_count; i++) {
            const struct dead_letter *letter = &item->dead_letters->letters[i];
            size += letter->raw.size + letter->metadata.size;
        }
        return size;
    }
    case OUTLET_MARK:
    case OUTLET_STOP: break;
    }
    return 0;
}

bool outlet_item_is_dropped(const struct engine *engine, const struct outlet_item *item)
{
    return item->run && item->run <= atomic_load_explicit(&engine->dropped_run, memory_order_acquire);
}

void outlet_init(struct outlet *outlet, struct engine *engine, const char *name, const char *health_prefix)
{
    outlet->engine = engine;
    outlet->name = name;
    outlet->is_well = true;
    snprintf(outlet->health_name, sizeof outlet->health_name, "%s%s", health_prefix, name);
    waker_open(&outlet->waker);
    ring_init(&outlet->items, OUTLET_RING_ITEMS, &outlet->waker, &engine->merger.waker);
    outlet->pipelines = memory_allocate_array(engine->plan->pipeline_count + 1, sizeof *outlet->pipelines);
}

void outlet_add_sink(struct outlet *outlet, struct sink *sink, uint32_t sink_index)
{
    const struct config *config = outlet->engine->config;
    outlet->targets = memory_resize_array(outlet->targets, outlet->target_count + 1, sizeof *outlet->targets);
    struct outlet_target *target = &outlet->targets[outlet->target_count++];
    target->sink = sink;
    target->pipelines = memory_allocate_array(config->pipeline_count + 1, sizeof *target->pipelines);
    outlet->takes_json |= sink->operations->needs_json;
    for (uint32_t i = 0; i < config->pipeline_count; i++) {
        for (uint32_t s = 0; s < config->pipelines[i].sink_count; s++) {
            if (config->pipelines[i].sinks[s] == sink_index)
                outlet->pipelines[i] = target->pipelines[i] = true;
        }
    }
}

void outlet_deinit(struct outlet *outlet)
{
    for (void *item; (item = ring_pop(&outlet->items));)
        outlet_item_destroy(item);
    ring_deinit(&outlet->items);
    waker_close(&outlet->waker);
    for (uint32_t i = 0; i < outlet->target_count; i++) {
        sink_close(outlet->targets[i].sink);
        free(outlet->targets[i].pipelines);
    }
    letter_outlet_close(outlet);
    free(outlet->targets);
    free(outlet->pipelines);
}

/* Bytes have no waker of their own: the merger looks again every few milliseconds, which only a full queue costs. */
static bool wait_for_bytes(struct outlet *outlet)
{
    while (atomic_load_explicit(&outlet->queued_size, memory_order_relaxed) > OUTLET_QUEUE_MAX_SIZE) {
        if (engine_has_abandoned(outlet->engine))
            return false;
        waker_prepare(&outlet->engine->merger.waker);
        waker_wait(&outlet->engine->merger.waker, WAIT_STEP_US / 4);
    }
    return true;
}

void outlet_push(struct outlet *outlet, struct outlet_item *item)
{
    struct engine *engine = outlet->engine;
    size_t size = outlet_item_size(item);
    if (wait_for_bytes(outlet)) {
        atomic_fetch_add_explicit(&outlet->queued_size, size, memory_order_relaxed);
        if (ring_push(&outlet->items, item) ||
            engine_push(engine, &outlet->items, &engine->merger.waker, item))
            return;
        atomic_fetch_sub_explicit(&outlet->queued_size, size, memory_order_relaxed);
    }
    outlet_item_destroy(item);
}

bool outlet_should_retry(struct outlet *outlet, const struct error *error)
{
    health_report(outlet->engine->health, outlet->health_name, HEALTH_DEGRADED, "%s", error->text);
    outlet->is_well = false;
    if (engine_has_abandoned(outlet->engine))
        return false;
    waker_prepare(&outlet->waker);
    waker_wait(&outlet->waker, SINK_RETRY_US);
    return true;
}

void outlet_is_well(struct outlet *outlet)
{
    if (!outlet->is_well)
        health_report(outlet->engine->health, outlet->health_name, HEALTH_OK, NULL);
    outlet->is_well = true;
}

void outlet_set_durable(struct outlet *outlet, uint64_t epoch)
{
    atomic_store_explicit(&outlet->durable_epoch, epoch, memory_order_release);
    waker_wake(&outlet->engine->outlets[0].waker);
}

uint32_t outlet_item_pipeline(const struct outlet_item *item)
{
    return item->kind == OUTLET_OUTPUT ? item->output->pipeline_index : item->results->shape->pipeline_index;
}

enum status outlet_write_to(struct sink *sink, const struct outlet_item *item, struct error *error)
{
    return item->kind == OUTLET_OUTPUT ? sink_write_output(sink, item->output, error)
                                       : sink_write(sink, item->results, error);
}

/* Calls the sink until it succeeds; false when the engine gives up. Without an item it is flushed. */
static bool try_sink(struct outlet *outlet, struct sink *sink, const struct outlet_item *item)
{
    for (;;) {
        struct error error = {{0}};
        enum status status = item ? outlet_write_to(sink, item, &error) : sink_flush(sink, &error);
        if (status == STATUS_OK) {
            outlet_is_well(outlet);
            return true;
        }
        if (!outlet_should_retry(outlet, &error))
            return false;
    }
}

/* Writes the item to every target that it is meant for; false when the engine gives up. */
static bool write(struct outlet *outlet, const struct outlet_item *item)
{
    for (uint32_t i = 0; i < outlet->target_count; i++) {
        struct outlet_target *target = &outlet->targets[i];
        if (target->pipelines[outlet_item_pipeline(item)] && !try_sink(outlet, target->sink, item))
            return false;
    }
    return true;
}

static bool flush(struct outlet *outlet)
{
    for (uint32_t i = 0; i < outlet->target_count; i++) {
        if (!try_sink(outlet, outlet->targets[i].sink, NULL))
            return false;
    }
    return true;
}

static bool plain_handle(struct outlet *outlet, struct outlet_item *item)
{
    if (outlet_item_is_dropped(outlet->engine, item))
        return true;
    switch (item->kind) {
    case OUTLET_RESULTS:
    case OUTLET_OUTPUT: return write(outlet, item);
    case OUTLET_MARK:
        if (!flush(outlet))
            return false;
        outlet_set_durable(outlet, item->mark->epoch);
        return true;
    case OUTLET_STOP: flush(outlet); return false;
    case OUTLET_DEAD_LETTERS: break; /* others get them */
    }
    return true;
}

static void serve_idle(struct outlet *outlet)
{
    for (uint32_t i = 0; i < outlet->target_count; i++) {
        struct sink *sink = outlet->targets[i].sink;
        if (sink->operations->idle)
            sink->operations->idle(sink);
    }
    letter_outlet_idle(outlet);
}

void *outlet_main(void *argument)
{
    struct outlet *outlet = argument;
    bool goes_on = true;
    serve_idle(outlet);
    while (goes_on) {
        struct outlet_item *item = ring_pop_wait(&outlet->items, WAIT_STEP_US * 10);
        if (!item) {
            serve_idle(outlet);
            goes_on = !engine_has_abandoned(outlet->engine);
            continue;
        }
        atomic_fetch_sub_explicit(&outlet->queued_size, outlet_item_size(item), memory_order_relaxed);
        goes_on = outlet->handle ? outlet->handle(outlet, item) : plain_handle(outlet, item);
        outlet_item_destroy(item);
    }
    /* The store must not wait for a sink that has ended. */
    atomic_store_explicit(&outlet->has_ended, true, memory_order_release);
    waker_wake(&outlet->engine->outlets[0].waker);
    return NULL;
}
