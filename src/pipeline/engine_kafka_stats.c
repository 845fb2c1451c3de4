/* The kafka clients of the process as others see them: groups, then the producers of sinks and of dead letters. The clients live as long
 * as the engine, so the asker's thread may look at them. */
#include "net/kafka_producer.h"
#include "pipeline/membership_internal.h"
#include "sink/kafka_dead_letters.h"
#include "sink/sink_kinds.h"

static struct kafka_client_stats *add_client(struct stats_snapshot *snapshot, enum kafka_role role,
                                             const char *name, const struct kafka_figures *figures)
{
    struct kafka_client_stats *client = &snapshot->kafka_clients[snapshot->kafka_client_count++];
    struct kafka_figures *copy = arena_allocate(&snapshot->arena, sizeof *copy);
    *copy = *figures;
    *client = (struct kafka_client_stats){.role = role, .name = name, .figures = copy};
    return client;
}

static void add_fetched(const struct engine *engine, const struct membership *membership,
                        uint32_t source_index, struct source_stats *stats)
{
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        uint64_t messages, bytes;
        kafka_feed_fetched(membership->feeds[i], source_index, &messages, &bytes);
        stats->fetched_messages += messages;
        stats->fetched_bytes += bytes;
    }
}

/* A shard that is waiting for room publishes nothing, and fetches nothing: what has come to the log meanwhile waits as well. */
static void refresh_lag(const struct membership *membership, struct source_stats *source)
{
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct partition_stats *partition = &source->partitions[i];
        int64_t end =
            kafka_consumer_end(membership->consumer, partition->topic, (int32_t)partition->partition);
        if (end < 0 || end <= partition->log_end)
            continue;
        int64_t grown = end - partition->offset;
        if (partition->lag >= 0 && partition->log_end >= 0)
            grown = partition->lag + end - partition->log_end;
        partition->lag = grown > 0 ? grown : 0;
    }
}

static void add_member(const struct engine *engine, const struct membership *membership,
                       struct stats_snapshot *snapshot)
{
    struct kafka_figures figures;
    struct kafka_member_figures member;
    kafka_consumer_figures(membership->consumer, &member, &figures);
    struct kafka_client_stats *client =
        add_client(snapshot, KAFKA_ROLE_CONSUMER, membership->group, &figures);
    client->member = member;
    for (uint32_t i = 0; i < membership->source_count; i++) {
        struct source_stats *source = &snapshot->sources[membership->source_indices[i]];
        source->client = client;
        refresh_lag(membership, source);
        add_fetched(engine, membership, membership->source_indices[i], source);
    }
}

static void add_producer(struct stats_snapshot *snapshot, enum kafka_role role, const char *name,
                         struct kafka_producer *producer)
{
    struct kafka_producer_figures figures;
    kafka_producer_figures(producer, &figures);
    struct kafka_client_stats *client = add_client(snapshot, role, name, &figures.client);
    client->produced_messages = figures.messages;
    client->produced_bytes = figures.bytes;
}

/* Sinks of one transaction share an outlet and its producer. */
static void add_outlet(const struct outlet *outlet, struct stats_snapshot *snapshot)
{
    struct kafka_producer *producer = outlet->target_count ? sink_producer(outlet->targets[0].sink) : NULL;
    if (producer)
        add_producer(snapshot, KAFKA_ROLE_SINK, outlet->name, producer);
    for (uint32_t i = 0; outlet->letters && i < outlet->engine->config->source_count; i++) {
        if (outlet->letters[i])
            add_producer(snapshot, KAFKA_ROLE_DEAD_LETTERS, outlet->engine->config->sources[i].name,
                         kafka_dead_letters_producer(outlet->letters[i]));
    }
}

void engine_add_kafka(struct engine *engine, struct stats_snapshot *snapshot)
{
    size_t count = engine->membership_count + engine->outlet_count + engine->config->source_count;
    snapshot->kafka_clients =
        arena_allocate_zeroed(&snapshot->arena, sizeof *snapshot->kafka_clients * (count + 1));
    for (uint32_t i = 0; i < engine->membership_count; i++)
        add_member(engine, engine->memberships[i], snapshot);
    for (uint32_t i = 0; i < engine->outlet_count; i++)
        add_outlet(&engine->outlets[i], snapshot);
}
