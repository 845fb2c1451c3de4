/* From rows to encoded records. See event_output.h. */
#include "pipeline/event_output.h"

#include <stdlib.h>

#include "base/memory.h"
#include "window/window.h"

enum { LIST_FIRST_CAPACITY = 8 };

/* --- lists --------------------------------------------------------------------------------------------------------- */

void output_list_add(struct output_list *list, struct output_block *block)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : LIST_FIRST_CAPACITY;
        list->blocks = memory_resize_array(list->blocks, list->capacity, sizeof *list->blocks);
    }
    list->blocks[list->count++] = block;
    list->size += block->text.size;
}

void output_list_deinit(struct output_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        output_block_release(list->blocks[i]);
    free(list->blocks);
    *list = (struct output_list){0};
}

void event_output_init(struct event_output *output, const struct plan *plan)
{
    output->plan = plan;
    output->open = memory_allocate_array(plan->pipeline_count + 1, sizeof *output->open);
}

void event_output_deinit(struct event_output *output)
{
    output_list_deinit(&output->list);
    free(output->open);
}

void event_output_take(struct event_output *output, struct output_list *list)
{
    *list = output->list;
    output->list = (struct output_list){0};
    for (uint32_t i = 0; i < output->plan->pipeline_count; i++)
        output->open[i] = NULL;
}

/* --- records ------------------------------------------------------------------------------------------------------- */

/* What the records of one batch are made of: the columns refer to the batch's bytes, which have stopped moving. */
struct record_maker {
    struct batch *batch;
    const struct plan_pipeline *pipeline;
    struct column keys[RESULT_MAX_KEYS], fields[RESULT_MAX_AGGREGATES];
    uint32_t key_count, field_count;
};

/* As the key of a result: `["FR"]`. */
static void write_key(const struct record_maker *maker, uint32_t row, struct buffer *out)
{
    for (uint32_t i = 0; i < maker->key_count; i++) {
        union value value = maker->keys[i].values[row];
        uint8_t kind = pane_key_canonical(maker->keys[i].kinds[row], &value);
        buffer_append_char(out, i ? ',' : '[');
        value_json(out, (enum value_kind)kind, value, maker->batch->bytes);
    }
    buffer_append_char(out, ']');
}

static void write_fields(const struct record_maker *maker, uint32_t row, struct buffer *out)
{
    for (uint32_t i = 0; i < maker->field_count; i++) {
        buffer_append_slice(out, maker->pipeline->field_names[i]);
        value_json(out, (enum value_kind)maker->fields[i].kinds[row], maker->fields[i].values[row],
                   maker->batch->bytes);
    }
    buffer_append_char(out, '}');
}

static void add_row(const struct record_maker *maker, uint32_t row, struct output_block *block)
{
    struct batch *batch = maker->batch;
    output_block_begin_row(block, batch->event_times_us[row]);
    struct slice own_key = {0};
    if (maker->key_count)
        write_key(maker, row, &block->text);
    else
        own_key = metadata_key(batch_record_metadata(batch, batch->row_records[row]));
    buffer_append_slice(&block->text, own_key);
    if (maker->key_count || own_key.data)
        output_block_end_key(block);
    if (maker->field_count)
        write_fields(maker, row, &block->text);
    else
        buffer_append_slice(&block->text, batch_record_text(batch, batch->row_records[row]));
    output_block_end_row(block);
}

static struct output_block *open_block(struct event_output *output, uint32_t pipeline_index)
{
    struct output_block *block = output->open[pipeline_index];
    if (block && !output_block_is_full(block))
        return block;
    block = output->open[pipeline_index] = output_block_create(pipeline_index);
    output_list_add(&output->list, block);
    return block;
}

void event_output_add(struct event_output *output, const struct plan_feed *feed, struct batch *batch,
                      const uint32_t *rows, uint32_t row_count)
{
    if (!row_count)
        return;
    struct record_maker maker = {
        .batch = batch,
        .pipeline = &output->plan->pipelines[feed->pipeline_index],
        .key_count = feed->key_count,
        .field_count = feed->input_count,
    };
    for (uint32_t i = 0; i < maker.key_count; i++)
        expr_evaluate(feed->keys[i], batch, &maker.keys[i]);
    for (uint32_t i = 0; i < maker.field_count; i++)
        expr_evaluate(feed->inputs[i], batch, &maker.fields[i]);
    for (uint32_t i = 0; i < row_count; i++) {
        struct output_block *block = open_block(output, feed->pipeline_index);
        size_t size_before = block->text.size;
        add_row(&maker, rows[i], block);
        output->list.size += block->text.size - size_before;
    }
}
