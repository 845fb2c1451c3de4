/* See kafka_transactions.h. Two sinks are of one cluster when their `brokers` are written alike. */
#include "sink/kafka_transactions.h"

#include <stdlib.h>

#include "base/memory.h"

struct shared_producer {
    struct shared_producer *next;
    struct arena arena;
    struct kafka_settings settings;
    const char *sink_name; /* the first of its sinks */
    const char *prefix;
    struct kafka_producer *producer;
    uint32_t user_count;
};

struct kafka_transactions {
    char *instance;
    struct shared_producer *first;
};

struct kafka_transactions *kafka_transactions_create(const char *instance)
{
    struct kafka_transactions *transactions = memory_allocate(sizeof *transactions);
    transactions->instance = memory_copy_text(instance, strlen(instance));
    return transactions;
}

static void destroy_shared(struct shared_producer *shared)
{
    kafka_producer_destroy(shared->producer);
    arena_deinit(&shared->arena);
    free(shared);
}

void kafka_transactions_destroy(struct kafka_transactions *transactions)
{
    if (!transactions)
        return;
    for (struct shared_producer *shared; (shared = transactions->first);) {
        transactions->first = shared->next;
        destroy_shared(shared);
    }
    free(transactions->instance);
    free(transactions);
}

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static const struct kafka_setting *other_setting(const struct kafka_settings *a,
                                                 const struct kafka_settings *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (!is_same_text(a->rows[i].value, kafka_settings_get(b, a->rows[i].name)))
            return &a->rows[i];
    }
    return NULL;
}

static const char *prefix_of(const struct config_sink *sink, struct arena *arena)
{
    return sink->kafka.transactional_id ? arena_copy_text(arena, sink->kafka.transactional_id)
                                        : arena_format(arena, "weir.%s", sink->name);
}

/* One transaction has one set of settings. A prefix that is not given is the first sink's. */
static enum status check_alike(const struct shared_producer *shared, const struct kafka_settings *settings,
                               const struct config_sink *sink, struct error *error)
{
    const struct kafka_setting *other = other_setting(&shared->settings, settings);
    if (!other)
        other = other_setting(settings, &shared->settings);
    bool has_other_prefix =
        sink->kafka.transactional_id && strcmp(sink->kafka.transactional_id, shared->prefix) != 0;
    if (!other && !has_other_prefix)
        return STATUS_OK;
    error_set(
        error,
        "sinks \"%s\" and \"%s\" write into one transaction, since they are transactional and have the "
        "same brokers, but differ in %s; give both the same profile, compression, transactional_id, and "
        "properties",
        shared->sink_name, sink->name, other ? other->name : "transactional_id");
    return STATUS_INVALID;
}

static struct shared_producer *find(const struct kafka_transactions *transactions, const char *brokers)
{
    for (struct shared_producer *shared = transactions->first; shared; shared = shared->next) {
        if (is_same_text(kafka_settings_get(&shared->settings, "bootstrap.servers"), brokers))
            return shared;
    }
    return NULL;
}

static enum status start(struct kafka_transactions *transactions, struct shared_producer *shared,
                         const struct config_sink *sink, struct error *error)
{
    shared->sink_name = arena_copy_text(&shared->arena, sink->name);
    shared->prefix = prefix_of(sink, &shared->arena);
    struct kafka_producer_options options = {
        .settings = &shared->settings,
        .name = arena_format(&shared->arena, "sink \"%s\"", sink->name),
        .transactional_id = arena_format(&shared->arena, "%s.%s", shared->prefix, transactions->instance)};
    return kafka_producer_create(&options, &shared->producer, error);
}

enum status kafka_transactions_acquire(struct kafka_transactions *transactions,
                                       const struct config_sink *sink, struct kafka_producer **out,
                                       struct error *error)
{
    struct shared_producer *fresh = memory_allocate(sizeof *fresh);
    arena_init(&fresh->arena, 0);
    kafka_sink_settings(&sink->kafka, &sink->kafka.connection, &fresh->arena, &fresh->settings);
    struct shared_producer *shared =
        find(transactions, kafka_settings_get(&fresh->settings, "bootstrap.servers"));
    enum status status =
        shared ? check_alike(shared, &fresh->settings, sink, error) : start(transactions, fresh, sink, error);
    if (status == STATUS_OK && !shared) {
        shared = fresh;
        fresh = NULL;
        shared->next = transactions->first;
        transactions->first = shared;
    }
    if (status == STATUS_OK) {
        shared->user_count++;
        *out = shared->producer;
    }
    if (fresh)
        destroy_shared(fresh);
    return status;
}

void kafka_transactions_release(struct kafka_transactions *transactions, struct kafka_producer *producer)
{
    for (struct shared_producer **link = &transactions->first; *link; link = &(*link)->next) {
        struct shared_producer *shared = *link;
        if (shared->producer != producer)
            continue;
        if (--shared->user_count == 0) {
            *link = shared->next;
            destroy_shared(shared);
        }
        return;
    }
}
