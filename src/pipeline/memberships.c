/* The consumer groups of this process: which sources belong to which, and their life with the engine's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "pipeline/membership_internal.h"

enum { LEASE_MAX_US = 20 * 1000 * 1000, LEASE_DIVISOR = 2 };

bool membership_has_source(const struct membership *membership, uint32_t source_index)
{
    for (uint32_t i = 0; i < membership->source_count; i++) {
        if (membership->source_indices[i] == source_index)
            return true;
    }
    return false;
}

struct kafka_consumer *membership_consumer(const struct membership *membership)
{
    return membership->consumer;
}

/* --- who belongs to whom ------------------------------------------------------------------------------------------- */

static bool same_brokers(const struct config_kafka_connection *a, const struct config_kafka_connection *b)
{
    if (a->broker_count != b->broker_count)
        return false;
    for (uint32_t i = 0; i < a->broker_count; i++) {
        if (strcmp(a->brokers[i], b->brokers[i]) != 0)
            return false;
    }
    return true;
}

static struct membership *find_membership(const struct engine *engine,
                                          const struct config_kafka_source *source)
{
    for (uint32_t i = 0; i < engine->membership_count; i++) {
        struct membership *membership = engine->memberships[i];
        const struct config_kafka_source *other =
            &engine->config->sources[membership->source_indices[0]].kafka;
        if (strcmp(other->group, source->group) == 0 && same_brokers(&other->connection, &source->connection))
            return membership;
    }
    return NULL;
}

static struct membership *membership_of_source(const struct engine *engine, uint32_t source_index)
{
    for (uint32_t i = 0; i < engine->membership_count; i++) {
        if (membership_has_source(engine->memberships[i], source_index))
            return engine->memberships[i];
    }
    return NULL;
}

/* A proof of membership holds for half of the time after which the group gives a silent member's partitions to others. */
static int64_t lease_us(const struct config_kafka_source *source)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct kafka_settings settings = {.count = 0};
    kafka_source_settings(source, &arena, &settings);
    const char *text = kafka_settings_get(&settings, "session.timeout.ms");
    int64_t session_us = text ? strtoll(text, NULL, 10) * 1000 : LEASE_MAX_US;
    arena_deinit(&arena);
    int64_t lease = session_us / LEASE_DIVISOR;
    return lease < LEASE_MAX_US ? lease : LEASE_MAX_US;
}

static void add_source(struct engine *engine, uint32_t source_index)
{
    const struct config_kafka_source *source = &engine->config->sources[source_index].kafka;
    struct membership *membership = find_membership(engine, source);
    if (!membership) {
        membership = engine->memberships[engine->membership_count++] = memory_allocate(sizeof *membership);
        membership->engine = engine;
        pthread_mutex_init(&membership->commit_lock, NULL);
        membership->group = source->group;
        membership->lease_us = lease_us(source);
        membership->source_indices =
            memory_allocate_array(engine->config->source_count, sizeof *membership->source_indices);
        snprintf(membership->health_name, sizeof membership->health_name, "kafka.%s", source->group);
    }
    membership->source_indices[membership->source_count++] = source_index;
}

/* Pipelines that share sources stand and fall together, so all that hang on a group's sources are its own; a source of another kind that
 * feeds one of them as well is taken up anew with it. */
static enum status share_pipelines(struct engine *engine, struct error *error)
{
    for (uint32_t k = 0; k < engine->plan->pipeline_count; k++) {
        uint32_t i = engine->plan->order[k];
        const struct config_pipeline *pipeline = &engine->config->pipelines[i];
        struct membership *owner = NULL;
        bool has_other = false;
        for (uint32_t u = 0; u < pipeline->upstream_count; u++) {
            struct membership *membership = engine->pipeline_memberships[pipeline->upstreams[u]];
            owner = membership ? membership : owner;
            has_other |= !membership;
        }
        for (uint32_t s = 0; s < pipeline->source_count; s++) {
            struct membership *membership = membership_of_source(engine, pipeline->sources[s]);
            has_other |= !membership;
            if (membership && owner && owner != membership) {
                error_set(
                    error,
                    "pipeline %s reads from two consumer groups (%s and %s): windows over both could not be "
                    "recovered together; give its kafka sources the same brokers and `group`",
                    pipeline->name, owner->group, membership->group);
                return STATUS_INVALID;
            }
            owner = membership ? membership : owner;
        }
        if (owner && has_other) {
            error_set(
                error,
                "pipeline %s reads from kafka and from a source of another kind: their positions could not be "
                "recovered together; give it the kafka sources alone, or send the other events to a topic",
                pipeline->name);
            return STATUS_INVALID;
        }
        engine->pipeline_memberships[i] = owner;
    }
    return STATUS_OK;
}

/* Runs are counted, and given up, for all kafka sources together. */
static enum status check_single(const struct engine *engine, struct error *error)
{
    if (engine->membership_count <= 1)
        return STATUS_OK;
    const struct config *config = engine->config;
    const struct membership *first = engine->memberships[0], *second = engine->memberships[1];
    error_set(
        error,
        "sources %s and %s belong to two consumer groups (%s and %s): one process can be a member of one; "
        "give them the same brokers and `group`, or run a process for each",
        config->sources[first->source_indices[0]].name, config->sources[second->source_indices[0]].name,
        first->group, second->group);
    return STATUS_INVALID;
}

enum status memberships_create(struct engine *engine, struct error *error)
{
    const struct config *config = engine->config;
    engine->memberships = memory_allocate_array(config->source_count + 1, sizeof(struct membership *));
    engine->pipeline_memberships =
        memory_allocate_array(engine->plan->pipeline_count + 1, sizeof(struct membership *));
    for (uint32_t i = 0; i < config->source_count; i++) {
        if (config->sources[i].kind == SOURCE_KAFKA)
            add_source(engine, i);
    }
    enum status status = share_pipelines(engine, error);
    return status == STATUS_OK ? check_single(engine, error) : status;
}

enum status memberships_open(struct engine *engine, struct error *error)
{
    for (uint32_t i = 0; i < engine->membership_count; i++) {
        struct membership *membership = engine->memberships[i];
        enum status status = membership_open(membership, error);
        if (status != STATUS_OK) {
            error_prefix(error, "source %s", engine->config->sources[membership->source_indices[0]].name);
            return status;
        }
    }
    return STATUS_OK;
}

void memberships_start(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->membership_count; i++)
        engine->memberships[i]->thread = thread_start("weir-kafka", membership_main, engine->memberships[i]);
}

void memberships_stop(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->membership_count; i++)
        atomic_store_explicit(&engine->memberships[i]->should_leave, true, memory_order_release);
}

pthread_t membership_thread(const struct membership *membership)
{
    return membership->thread;
}

void memberships_destroy(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->membership_count; i++) {
        struct membership *membership = engine->memberships[i];
        for (uint32_t s = 0; membership->feeds && s < engine->shard_count; s++)
            kafka_feed_destroy(membership->feeds[s]);
        cluster_destroy(membership);
        retention_check_destroy(membership);
        kafka_consumer_destroy(membership->consumer);
        progress_mark_destroy(membership->started);
        progress_mark_destroy(membership->transacted);
        pthread_mutex_destroy(&membership->commit_lock);
        free(membership->feeds);
        free(membership->source_indices);
        free(membership);
    }
    free(engine->memberships);
    free(engine->pipeline_memberships);
}

bool memberships_are_joined(const struct engine *engine)
{
    for (uint32_t i = 0; i < engine->membership_count; i++) {
        if (!atomic_load_explicit(&engine->memberships[i]->is_joined, memory_order_acquire))
            return false;
    }
    return true;
}
