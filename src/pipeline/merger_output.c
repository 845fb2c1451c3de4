/* Events of pipelines without a window on their way through the merger: nothing is held, so all there is to do is to keep the order. A
 * block goes to the outlets before the positions of its update are known here, so a mark never has a P whose events it is ahead of.
 *
 * Where several processes share the work, the leader writes for all of them, as it does with windows: the block goes to it before the
 * update that has its positions. So each event is written by whoever commits the offset behind it, and a transaction holds both. */
#include "pipeline/engine_internal.h"

void merger_emit_output(struct merger *merger, struct output_block *block)
{
    struct engine *engine = merger->engine;
    uint32_t pipeline_index = block->pipeline_index;
    block->number = ++merger->output_count;
    for (uint32_t i = 0; i < engine->outlet_count; i++) {
        if (!engine->outlets[i].pipelines[pipeline_index])
            continue;
        struct outlet_item *item = outlet_item_create(OUTLET_OUTPUT);
        item->output = output_block_acquire(block);
        if (engine->pipeline_memberships[pipeline_index])
            item->run = atomic_load_explicit(&engine->run, memory_order_relaxed);
        outlet_push(&engine->outlets[i], item);
    }
    output_block_release(block);
}

void merger_pass_outputs(struct merger *merger, struct shard_update *update)
{
    for (uint32_t i = 0; i < update->outputs.count; i++) {
        struct output_block *block = update->outputs.blocks[i];
        if (engine_sends_pipeline(merger->engine, block->pipeline_index))
            merger_send_output(merger, block);
        else
            merger_emit_output(merger, block);
    }
    update->outputs.count = 0;
    output_list_deinit(&update->outputs);
}
