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
    case OUTLET_DEAD_LETTERS: dead_letter_block_destroy(item->dead_letters); break;
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

void outlet_init(struct outlet *outlet, struct engine *engine, const char *name, struct sink *sink)
{
    outlet->engine = engine;
    outlet->name = name;
    outlet->sink = sink;
    outlet->takes_json = sink ? sink->operations->needs_json : true;
    if (sink) {
        snprintf(outlet->health_name, sizeof outlet->health_name, "sink.%s", name);
    } else {
        snprintf(outlet->health_name, sizeof outlet->health_name, "store");
    }
    waker_open(&outlet->waker);
    ring_init(&outlet->items, OUTLET_RING_ITEMS, &outlet->waker, &engine->merger.waker);
    outlet->pipelines = memory_allocate_array(engine->plan->pipeline_count + 1, sizeof *outlet->pipelines);
}

void outlet_deinit(struct outlet *outlet)
{
    for (void *item; (item = ring_pop(&outlet->items));)
        outlet_item_destroy(item);
    ring_deinit(&outlet->items);
    waker_close(&outlet->waker);
    free(outlet->pipelines);
    if (outlet->sink)
        sink_close(outlet->sink);
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

/* Calls the sink until it succeeds; false when the engine gives up. */
static bool try_sink(struct outlet *outlet, const struct result_block *block, bool *was_well)
{
    for (;;) {
        struct error error = {{0}};
        enum status status =
            block ? sink_write(outlet->sink, block, &error) : sink_flush(outlet->sink, &error);
        if (status == STATUS_OK) {
            if (!*was_well)
                health_report(outlet->engine->health, outlet->health_name, HEALTH_OK, NULL);
            *was_well = true;
            return true;
        }
        health_report(outlet->engine->health, outlet->health_name, HEALTH_DEGRADED, "%s", error.text);
        *was_well = false;
        if (engine_has_abandoned(outlet->engine))
            return false;
        waker_prepare(&outlet->waker);
        waker_wait(&outlet->waker, SINK_RETRY_US);
    }
}

/* True to go on. */
static bool handle(struct outlet *outlet, const struct outlet_item *item, bool *was_well)
{
    switch (item->kind) {
    case OUTLET_RESULTS: return try_sink(outlet, item->results, was_well);
    case OUTLET_MARK:
        if (!try_sink(outlet, NULL, was_well))
            return false;
        atomic_store_explicit(&outlet->durable_epoch, item->mark->epoch, memory_order_release);
        waker_wake(&outlet->engine->outlets[0].waker);
        return true;
    case OUTLET_STOP: try_sink(outlet, NULL, was_well); return false;
    case OUTLET_DEAD_LETTERS: break; /* only the store gets them */
    }
    return true;
}

void *outlet_main(void *argument)
{
    struct outlet *outlet = argument;
    bool goes_on = true, was_well = true;
    while (goes_on) {
        struct outlet_item *item = ring_pop_wait(&outlet->items, WAIT_STEP_US * 10);
        if (!item) {
            goes_on = !engine_has_abandoned(outlet->engine);
            continue;
        }
        atomic_fetch_sub_explicit(&outlet->queued_size, outlet_item_size(item), memory_order_relaxed);
        goes_on = handle(outlet, item, &was_well);
        outlet_item_destroy(item);
    }
    /* The store must not wait for a sink that has ended. */
    atomic_store_explicit(&outlet->has_ended, true, memory_order_release);
    waker_wake(&outlet->engine->outlets[0].waker);
    return NULL;
}
