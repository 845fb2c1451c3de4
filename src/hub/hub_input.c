/* The way from the producers' threads to the hub: two rings, and blocks of raw events. */
#include <stdlib.h>

#include "base/memory.h"
#include "hub/hub.h"

struct event_block *event_block_create(const char *source, const struct batch *batch, const uint32_t *rows,
                                       uint32_t row_count)
{
    struct event_block *block = memory_allocate(sizeof *block);
    *block = (struct event_block){.source = source,
                                  .source_index = batch->source_index,
                                  .partition = batch->partition,
                                  .event_count = row_count,
                                  .arrival_us = batch->arrival_us};
    block->texts = memory_allocate_array(row_count, sizeof *block->texts);
    block->offsets = memory_allocate_array(row_count, sizeof *block->offsets);
    block->event_times_us = memory_allocate_array(row_count, sizeof *block->event_times_us);
    size_t size = 0;
    for (uint32_t i = 0; i < row_count; i++)
        size += batch_record_text(batch, batch->row_records[rows[i]]).size;
    buffer_reserve(&block->bytes, size);
    for (uint32_t i = 0; i < row_count; i++) {
        struct slice text = batch_record_text(batch, batch->row_records[rows[i]]);
        block->texts[i] = (struct slice){block->bytes.data + block->bytes.size, text.size};
        buffer_append_slice(&block->bytes, text);
        block->offsets[i] = batch->offsets[rows[i]];
        block->event_times_us[i] = batch->event_times_us[rows[i]];
    }
    return block;
}

void event_block_destroy(struct event_block *block)
{
    if (!block)
        return;
    buffer_deinit(&block->bytes);
    free(block->texts);
    free(block->offsets);
    free(block->event_times_us);
    free(block);
}

void hub_input_init(struct hub_input *input, struct waker *consumer, struct waker *producer)
{
    ring_init(&input->results, HUB_INPUT_CAPACITY, consumer, producer);
    ring_init(&input->events, HUB_INPUT_CAPACITY, consumer, NULL);
    atomic_init(&input->dropped_events, 0);
}

void hub_input_deinit(struct hub_input *input)
{
    for (struct result_block *block; (block = ring_pop(&input->results));)
        result_block_release(block);
    for (struct event_block *block; (block = ring_pop(&input->events));)
        event_block_destroy(block);
    ring_deinit(&input->results);
    ring_deinit(&input->events);
}

void hub_input_push_events(struct hub_input *input, struct event_block *block)
{
    if (ring_push(&input->events, block))
        return;
    atomic_fetch_add_explicit(&input->dropped_events, block->event_count, memory_order_relaxed);
    event_block_destroy(block);
}
