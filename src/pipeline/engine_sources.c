/* From the plan to partitions with readers. */
#include "base/memory.h"
#include "pipeline/engine_internal.h"
#include "source/source_kinds.h"

struct engine_partition *engine_find_partition(const struct engine *engine, uint32_t source_index,
                                               uint32_t partition)
{
    if (partition >= engine->plan->sources[source_index].partition_count)
        return NULL;
    return &engine->partitions[engine->first_partitions[source_index] + partition];
}

static void init_partition(struct engine *engine, uint32_t source_index, uint32_t number,
                           struct engine_partition *partition)
{
    const struct config_source *source = &engine->config->sources[source_index];
    partition->state.source_index = source_index;
    partition->state.partition = number;
    partition->leader = partition;
    partition->is_kafka = source->kind == SOURCE_KAFKA;
    partition->state.is_dealt =
        source->kind == SOURCE_FILE && source->partition_by.text && source->partitions > 1;
    partition->state.watermark = (struct watermark){source->max_out_of_orderness_us, TIME_NONE};
    partition->realtime_origin_us = partition->newest_record_us = TIME_NONE;
    partition->is_resumable = source_is_resumable(source);
}

void engine_init_partitions(struct engine *engine)
{
    const struct plan *plan = engine->plan;
    engine->first_partitions =
        memory_allocate_array(plan->source_count + 1, sizeof *engine->first_partitions);
    for (uint32_t i = 0; i < plan->source_count; i++) {
        engine->first_partitions[i] = engine->partition_count;
        engine->partition_count += plan->sources[i].partition_count;
    }
    engine->partitions = memory_allocate_array(engine->partition_count + 1, sizeof *engine->partitions);
    engine->pipelines = memory_allocate_array(plan->pipeline_count + 1, sizeof *engine->pipelines);
    for (uint32_t i = 0; i < plan->pipeline_count; i++)
        engine->pipelines[i].closed_through_us = TIME_NONE;
    for (uint32_t i = 0; i < plan->source_count; i++) {
        const struct plan_source *source = &plan->sources[i];
        for (uint32_t p = 0; p < source->partition_count; p++) {
            init_partition(engine, i, p, &engine->partitions[engine->first_partitions[i] + p]);
        }
        for (uint32_t f = 0; f < source->feed_count; f++) {
            engine->pipelines[source->feeds[f].pipeline_index].is_resumable |=
                source_is_resumable(source->config);
        }
    }
    for (uint32_t k = 0; k < plan->pipeline_count; k++) {
        const struct config_pipeline *pipeline = plan->pipelines[plan->order[k]].config;
        for (uint32_t u = 0; u < pipeline->upstream_count; u++)
            engine->pipelines[plan->order[k]].is_resumable |=
                engine->pipelines[pipeline->upstreams[u]].is_resumable;
    }
}

/* What one reader has taken from a pipe no other gets, so a pipe has one reader in all. Of a file every shard has one: each
 * decodes all lines, but the windows are divided, and by many keys they cost more than decoding. */
static uint32_t shard_of(const struct engine *engine, uint32_t index)
{
    const struct engine_partition *partition = &engine->partitions[index];
    if (partition->is_kafka)
        return partition->shard_index; /* dealt out anew whenever partitions are taken up */
    bool is_pipe = partition->state.is_dealt && !partition->is_resumable;
    return (is_pipe ? engine->first_partitions[partition->state.source_index] : index) % engine->shard_count;
}

/* Joins the partition to an earlier one of the same file and shard, when there is one. */
static void share_reader(struct engine *engine, uint32_t index)
{
    struct engine_partition *partition = &engine->partitions[index];
    for (uint32_t i = engine->first_partitions[partition->state.source_index]; i < index; i++) {
        struct engine_partition *last = &engine->partitions[i];
        if (last->shard_index != partition->shard_index)
            continue;
        partition->leader = last;
        while (last->next_sharer)
            last = last->next_sharer;
        last->next_sharer = partition;
        return;
    }
}

void engine_assign_shards(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->partition_count; i++) {
        struct engine_partition *partition = &engine->partitions[i];
        if (partition->is_kafka)
            continue;
        partition->shard_index = shard_of(engine, i);
        if (partition->state.is_dealt)
            share_reader(engine, i);
    }
}

/* Partitions that share a reader may have to go on at different offsets: it starts at the smallest. */
static int64_t start_offset(const struct engine_partition *leader)
{
    int64_t smallest = leader->state.next_offset;
    for (const struct engine_partition *sharer = leader->next_sharer; sharer; sharer = sharer->next_sharer) {
        if (sharer->state.next_offset < smallest)
            smallest = sharer->state.next_offset;
    }
    return smallest;
}

static enum status open_reader(struct engine *engine, struct engine_partition *partition, struct error *error)
{
    const struct source_reader_request request = {
        .source = &engine->config->sources[partition->state.source_index],
        .source_index = partition->state.source_index,
        .partition = partition->state.partition,
        .position = {.offset = start_offset(partition)},
        .clock = engine->clock,
        .waker = &engine->shards[partition->shard_index].waker,
        .log = engine->log,
    };
    if (request.source->kind == SOURCE_HTTP) {
        event_log_skip_to(engine->log, request.source_index, request.partition, partition->replay_until);
    }
    enum status status = source_reader_open(&request, &partition->reader, error);
    if (status != STATUS_OK)
        error_prefix(error, "source %s", request.source->name);
    return status;
}

enum status engine_open_readers(struct engine *engine, struct error *error)
{
    for (uint32_t i = 0; i < engine->partition_count; i++) {
        struct engine_partition *partition = &engine->partitions[i];
        if (partition->leader != partition || partition->is_kafka)
            continue; /* of kafka's the group decides which, and when */
        enum status status = open_reader(engine, partition, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status engine_reopen_reader(struct engine *engine, struct engine_partition *leader, struct error *error)
{
    struct source_reader *before = leader->reader;
    enum status status = open_reader(engine, leader, error);
    if (status == STATUS_OK)
        before->operations->close(before);
    else
        leader->reader = before;
    return status;
}
