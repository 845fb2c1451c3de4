/* The group's side of a kafka source: subscription, assignment, committed positions. See kafka_consumer.h. */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/kafka_internal.h"

enum { POLL_QUANTUM_MS = 100, WAKE_TIMEOUT_MS = 1000 };

static const int64_t FAR_TIME_MS = (int64_t)1 << 52; /* the offsets of records that are younger: none */

/* --- topics and sources -------------------------------------------------------------------------------------------- */

static bool topic_matches(const char *wanted, const char *topic)
{
    if (wanted[0] != '^')
        return strcmp(wanted, topic) == 0;
    regex_t pattern;
    if (regcomp(&pattern, wanted, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool matches = regexec(&pattern, topic, 0, NULL, 0) == 0;
    regfree(&pattern);
    return matches;
}

/* The source that a topic belongs to: the first that names it. */
static bool find_source(const struct kafka_consumer *consumer, const char *topic, uint32_t *source_index)
{
    for (uint32_t s = 0; s < consumer->source_count; s++) {
        const struct config_kafka_source *source =
            &consumer->config->sources[consumer->source_indices[s]].kafka;
        for (uint32_t t = 0; t < source->topic_count; t++) {
            if (!topic_matches(source->topics[t], topic))
                continue;
            *source_index = consumer->source_indices[s];
            return true;
        }
    }
    return false;
}

const char *kafka_consumer_intern(struct kafka_consumer *consumer, const char *topic)
{
    for (uint32_t i = 0; i < consumer->topic_count; i++) {
        if (strcmp(consumer->topics[i], topic) == 0)
            return consumer->topics[i];
    }
    if (consumer->topic_count == consumer->topic_capacity) {
        consumer->topic_capacity = consumer->topic_capacity ? consumer->topic_capacity * 2 : 8;
        consumer->topics =
            memory_resize_array(consumer->topics, consumer->topic_capacity, sizeof *consumer->topics);
    }
    return consumer->topics[consumer->topic_count++] = memory_copy_text(topic, strlen(topic));
}

static int compare_partitions(const void *a, const void *b)
{
    const struct kafka_partition *x = a, *y = b;
    if (x->source_index != y->source_index)
        return x->source_index < y->source_index ? -1 : 1;
    int order = strcmp(x->topic, y->topic);
    return order ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static void partition_list_add(struct kafka_partition_list *list, const struct kafka_partition *partition)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 16;
        list->items = memory_resize_array(list->items, list->capacity, sizeof *list->items);
    }
    list->items[list->count++] = *partition;
}

static void partition_list_sort(struct kafka_partition_list *list)
{
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, compare_partitions);
}

/* --- assignment ---------------------------------------------------------------------------------------------------- */

/* Takes over what the library holds as assigned. */
static void refresh_assignment(struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    consumer->assignment.count = 0;
    if (rd_kafka_assignment(consumer->handle, &list) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        atomic_store_explicit(&consumer->assigned_count, 0, memory_order_relaxed);
        return;
    }
    for (int i = 0; i < list->cnt; i++) {
        struct kafka_partition partition = {.topic = kafka_consumer_intern(consumer, list->elems[i].topic),
                                            .partition = list->elems[i].partition};
        if (find_source(consumer, partition.topic, &partition.source_index))
            partition_list_add(&consumer->assignment, &partition);
    }
    partition_list_sort(&consumer->assignment);
    atomic_store_explicit(&consumer->assigned_count, consumer->assignment.count, memory_order_relaxed);
    rd_kafka_topic_partition_list_destroy(list);
}

/* Into a queue that nobody reads, so that nothing of them reaches the group's own queue. */
static void forward(struct kafka_consumer *consumer, const char *topic, int32_t partition,
                    rd_kafka_queue_t *queue)
{
    rd_kafka_queue_t *from = rd_kafka_queue_get_partition(consumer->handle, topic, partition);
    if (!from)
        return;
    rd_kafka_queue_forward(from, queue);
    rd_kafka_queue_destroy(from);
}

/* The offset does not matter, since reading starts with a seek; it must only be a plain number, for which the library asks no broker. */
static void take_partitions(struct kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = 0;
        forward(consumer, list->elems[i].topic, list->elems[i].partition, consumer->waiting_room);
    }
    bool is_cooperative = strcmp(rd_kafka_rebalance_protocol(consumer->handle), "COOPERATIVE") == 0;
    rd_kafka_error_t *error = NULL;
    if (is_cooperative)
        error = rd_kafka_incremental_assign(consumer->handle, list);
    else
        rd_kafka_assign(consumer->handle, list);
    if (error)
        rd_kafka_error_destroy(error);
    else
        rd_kafka_pause_partitions(consumer->handle, list);
}

static void give_up_partitions(struct kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
    bool is_cooperative = strcmp(rd_kafka_rebalance_protocol(consumer->handle), "COOPERATIVE") == 0;
    rd_kafka_error_t *error = NULL;
    if (is_cooperative)
        error = rd_kafka_incremental_unassign(consumer->handle, list);
    else
        rd_kafka_assign(consumer->handle, NULL);
    if (error)
        rd_kafka_error_destroy(error);
}

static void count_one(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void on_rebalance(rd_kafka_t *handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list,
                         void *context)
{
    struct kafka_consumer *consumer = context;
    count_one(&consumer->rebalance_count);
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        take_partitions(consumer, list);
        refresh_assignment(consumer);
        consumer->assigned(consumer->owner);
        return;
    }
    bool is_lost = rd_kafka_assignment_lost(handle) != 0;
    consumer->revoked(consumer->owner, is_lost);
    give_up_partitions(consumer, list);
    refresh_assignment(consumer);
    consumer->assigned(consumer->owner);
}

const struct kafka_partition *kafka_consumer_assignment(const struct kafka_consumer *consumer,
                                                        uint32_t *count)
{
    *count = consumer->assignment.count;
    return consumer->assignment.items;
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

static enum status subscribe(struct kafka_consumer *consumer, struct error *error)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(8);
    for (uint32_t s = 0; s < consumer->source_count; s++) {
        const struct config_kafka_source *source =
            &consumer->config->sources[consumer->source_indices[s]].kafka;
        for (uint32_t t = 0; t < source->topic_count; t++)
            rd_kafka_topic_partition_list_add(topics, source->topics[t], RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t code = rd_kafka_subscribe(consumer->handle, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return STATUS_OK;
    kafka_error_text(code, rd_kafka_err2str(code), error);
    return STATUS_INVALID;
}

/* The library's limit is per queue, and there is one for each shard; what `properties` say is taken as it is. */
static void share_budget(const struct config_source *source, uint32_t shard_count, struct arena *arena,
                         struct kafka_settings *settings)
{
    static const char *const name = "queued.max.messages.kbytes";
    enum { LEAST_KBYTES = 256 };
    for (uint32_t i = 0; i < source->kafka.connection.property_count; i++) {
        if (strcmp(source->kafka.connection.properties[i].name, name) == 0)
            return;
    }
    uint64_t kbytes = source->kafka.buffer_size / 1024 / (shard_count ? shard_count : 1);
    kafka_settings_set(
        settings, name,
        arena_format(arena, "%llu", (unsigned long long)(kbytes < LEAST_KBYTES ? LEAST_KBYTES : kbytes)),
        "weir");
}

enum status kafka_consumer_create(const struct kafka_consumer_options *options, struct kafka_consumer **out,
                                  struct error *error)
{
    struct kafka_consumer *consumer = memory_allocate(sizeof *consumer);
    consumer->config = options->config;
    consumer->clock = options->clock;
    consumer->owner = options->context;
    consumer->revoked = options->revoked;
    consumer->assigned = options->assigned;
    consumer->source_count = options->source_count;
    consumer->source_indices =
        memory_allocate_array(options->source_count + 1, sizeof *consumer->source_indices);
    memcpy(consumer->source_indices, options->source_indices,
           sizeof *consumer->source_indices * options->source_count);

    const struct config_source *first = &options->config->sources[options->source_indices[0]];
    struct arena arena;
    arena_init(&arena, 0);
    struct kafka_settings settings = {.count = 0};
    kafka_source_settings(&first->kafka, &arena, &settings);
    share_budget(first, options->config->shards, &arena, &settings);
    /* The end of a partition is told, so that reading up to a position ends although the last records below it are gone. */
    kafka_settings_set(&settings, "enable.partition.eof", "true", "weir");
    const char *name = arena_format(&arena, "source %s", first->name);
    const struct kafka_client_options client_options = {
        .is_consumer = true,
        .settings = &settings,
        .name = name,
        .context = consumer,
        .rebalance = on_rebalance,
    };
    enum status status = kafka_client_create(&client_options, &consumer->client, error);
    arena_deinit(&arena);
    if (status == STATUS_OK) {
        consumer->handle = kafka_client_handle(consumer->client);
        consumer->waiting_room = rd_kafka_queue_new(consumer->handle);
        kafka_ends_init(consumer);
        rd_kafka_poll_set_consumer(consumer->handle);
        status = subscribe(consumer, error);
    }
    if (status != STATUS_OK) {
        kafka_consumer_destroy(consumer);
        return status;
    }
    *out = consumer;
    return STATUS_OK;
}

void kafka_consumer_leave(struct kafka_consumer *consumer)
{
    if (consumer->has_left || !consumer->handle)
        return;
    consumer->has_left = true;
    struct error trouble;
    if (!kafka_client_trouble(consumer->client, &trouble))
        rd_kafka_consumer_close(consumer->handle);
    consumer->assignment.count = 0;
    atomic_store_explicit(&consumer->assigned_count, 0, memory_order_relaxed);
}

void kafka_consumer_destroy(struct kafka_consumer *consumer)
{
    if (!consumer)
        return;
    kafka_consumer_leave(consumer);
    kafka_ends_deinit(consumer);
    if (consumer->waiting_room)
        rd_kafka_queue_destroy(consumer->waiting_room);
    kafka_client_destroy(consumer->client);
    for (uint32_t i = 0; i < consumer->topic_count; i++)
        free(consumer->topics[i]);
    free(consumer->topics);
    free(consumer->assignment.items);
    free(consumer->known.items);
    free(consumer->source_indices);
    free(consumer);
}

/* Partitions have queues of their own, so what comes here is the group's business and errors. */
void kafka_consumer_poll(struct kafka_consumer *consumer, int64_t timeout_us)
{
    kafka_ends_poll(consumer);
    rd_kafka_message_t *message = rd_kafka_consumer_poll(
        consumer->handle, (int)(timeout_us / 1000 < POLL_QUANTUM_MS ? timeout_us / 1000 : POLL_QUANTUM_MS));
    if (!message)
        return;
    if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
        kafka_client_note(consumer->client, message->err, rd_kafka_message_errstr(message));
    rd_kafka_message_destroy(message);
}

const char *kafka_consumer_topic(struct kafka_consumer *consumer, const char *topic)
{
    return kafka_consumer_intern(consumer, topic);
}

int64_t kafka_consumer_generation(const struct kafka_consumer *consumer)
{
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(consumer->handle);
    if (!group)
        return -1;
    int64_t generation = rd_kafka_consumer_group_metadata_generation_id(group);
    rd_kafka_consumer_group_metadata_destroy(group);
    return generation;
}

struct kafka_client *kafka_consumer_client(const struct kafka_consumer *consumer)
{
    return consumer->client;
}

void kafka_consumer_figures(const struct kafka_consumer *consumer, struct kafka_member_figures *member,
                            struct kafka_figures *client)
{
    kafka_client_figures(consumer->client, client);
    member->is_member = client->is_member;
    member->assigned_count = atomic_load_explicit(&consumer->assigned_count, memory_order_relaxed);
    member->rebalance_count = atomic_load_explicit(&consumer->rebalance_count, memory_order_relaxed);
    member->commit_count = atomic_load_explicit(&consumer->commit_count, memory_order_relaxed);
    member->commit_failure_count =
        atomic_load_explicit(&consumer->commit_failure_count, memory_order_relaxed);
    member->commit_time_us = atomic_load_explicit(&consumer->commit_time_us, memory_order_relaxed);
}

rd_kafka_consumer_group_metadata_t *kafka_consumer_group(const struct kafka_consumer *consumer)
{
    return rd_kafka_consumer_group_metadata(consumer->handle);
}

/* --- what the brokers know ----------------------------------------------------------------------------------------- */

static enum status fail(rd_kafka_resp_err_t code, struct error *error)
{
    kafka_error_text(code, rd_kafka_err2str(code), error);
    bool is_out =
        code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION || code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
        code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID || code == RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH ||
        code == RD_KAFKA_RESP_ERR_FENCED_MEMBER_EPOCH || code == RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST;
    return is_out ? STATUS_CLOSED : STATUS_IO;
}

/* A topic that was named and is not there is worth an error; a pattern may match none. */
static enum status check_named(const struct kafka_consumer *consumer,
                               const struct rd_kafka_metadata *metadata, struct error *error)
{
    for (uint32_t s = 0; s < consumer->source_count; s++) {
        const struct config_kafka_source *source =
            &consumer->config->sources[consumer->source_indices[s]].kafka;
        for (uint32_t t = 0; t < source->topic_count; t++) {
            bool is_there = source->topics[t][0] == '^';
            for (int m = 0; m < metadata->topic_cnt && !is_there; m++)
                is_there = strcmp(metadata->topics[m].topic, source->topics[t]) == 0 &&
                           metadata->topics[m].partition_cnt > 0;
            if (is_there)
                continue;
            error_set(
                error,
                "topic \"%s\" does not exist on the brokers; create it (weir topics create %s), or mend "
                "`topics`; waiting for it",
                source->topics[t], source->topics[t]);
            return STATUS_NOT_FOUND;
        }
    }
    return STATUS_OK;
}

enum status kafka_consumer_partitions(struct kafka_consumer *consumer,
                                      const struct kafka_partition **partitions, uint32_t *count,
                                      struct error *error)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(consumer->handle, 1, NULL, &metadata, KAFKA_CALL_TIMEOUT_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return fail(code, error);
    consumer->known.count = 0;
    for (int t = 0; t < metadata->topic_cnt; t++) {
        struct kafka_partition partition;
        if (!find_source(consumer, metadata->topics[t].topic, &partition.source_index))
            continue;
        partition.topic = kafka_consumer_intern(consumer, metadata->topics[t].topic);
        for (int p = 0; p < metadata->topics[t].partition_cnt; p++) {
            partition.partition = p;
            partition_list_add(&consumer->known, &partition);
        }
    }
    enum status status = check_named(consumer, metadata, error);
    rd_kafka_metadata_destroy(metadata);
    partition_list_sort(&consumer->known);
    *partitions = consumer->known.items;
    *count = consumer->known.count;
    return status;
}

const struct kafka_partition *kafka_consumer_known(const struct kafka_consumer *consumer, uint32_t *count)
{
    *count = consumer->known.count;
    return consumer->known.items;
}

static rd_kafka_topic_partition_list_t *list_of(const struct kafka_position *positions, uint32_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (uint32_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_t *item =
            rd_kafka_topic_partition_list_add(list, positions[i].id.topic, positions[i].id.partition);
        item->offset = positions[i].offset;
    }
    return list;
}

enum status kafka_consumer_committed(struct kafka_consumer *consumer, struct kafka_position *positions,
                                     uint32_t count, struct arena *arena, struct error *error)
{
    if (!count)
        return STATUS_OK;
    rd_kafka_topic_partition_list_t *list = list_of(positions, count);
    rd_kafka_resp_err_t code = rd_kafka_committed(consumer->handle, list, KAFKA_CALL_TIMEOUT_MS);
    for (uint32_t i = 0; i < count && !code; i++) {
        const rd_kafka_topic_partition_t *item = &list->elems[i];
        if (item->err)
            code = item->err;
        positions[i].offset = item->offset < 0 ? -1 : item->offset;
        positions[i].metadata =
            arena_copy(arena, (struct slice){item->metadata ? item->metadata : "", item->metadata_size}).data;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code ? fail(code, error) : STATUS_OK;
}

enum status kafka_consumer_bounds(struct kafka_consumer *consumer, struct kafka_position *positions,
                                  uint32_t count, struct error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
            consumer->handle, positions[i].id.topic, positions[i].id.partition, &positions[i].low,
            &positions[i].high, KAFKA_CALL_TIMEOUT_MS);
        if (code)
            return fail(code, error);
    }
    return STATUS_OK;
}

struct commit_answer {
    bool is_there;
    rd_kafka_resp_err_t code;
};

static void on_commit(rd_kafka_t *handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *offsets,
                      void *context)
{
    (void)handle;
    struct commit_answer *answer = context;
    answer->is_there = true;
    answer->code = code;
    for (int i = 0; offsets && i < offsets->cnt && !answer->code; i++)
        answer->code = offsets->elems[i].err;
}

/* A queue of its own, since the blocking call would wait for as long as the brokers are away. */
static rd_kafka_resp_err_t commit_and_wait(struct kafka_consumer *consumer,
                                           const rd_kafka_topic_partition_list_t *list, int64_t timeout_us)
{
    struct commit_answer answer = {false, RD_KAFKA_RESP_ERR__TIMED_OUT};
    rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->handle);
    int64_t deadline_us = clock_monotonic_us(consumer->clock) + timeout_us, left_us = timeout_us;
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(consumer->handle, list, queue, on_commit, &answer);
    while (!code && !answer.is_there && left_us > 0) {
        rd_kafka_queue_poll_callback(queue, (int)(left_us / 1000) + 1);
        left_us = deadline_us - clock_monotonic_us(consumer->clock);
    }
    rd_kafka_queue_destroy(queue);
    return code ? code : answer.code;
}

enum status kafka_consumer_commit(struct kafka_consumer *consumer, const struct kafka_position *positions,
                                  uint32_t count, int64_t timeout_us, struct error *error)
{
    if (!count)
        return STATUS_OK;
    rd_kafka_topic_partition_list_t *list = list_of(positions, count);
    for (uint32_t i = 0; i < count; i++) {
        list->elems[i].metadata_size = strlen(positions[i].metadata);
        list->elems[i].metadata = malloc(list->elems[i].metadata_size + 1);
        if (!list->elems[i].metadata)
            abort();
        memcpy(list->elems[i].metadata, positions[i].metadata, list->elems[i].metadata_size + 1);
    }
    int64_t before_us = clock_monotonic_us(consumer->clock);
    rd_kafka_resp_err_t code = commit_and_wait(consumer, list, timeout_us);
    rd_kafka_topic_partition_list_destroy(list);
    count_one(code ? &consumer->commit_failure_count : &consumer->commit_count);
    if (!code)
        atomic_fetch_add_explicit(&consumer->commit_time_us, clock_monotonic_us(consumer->clock) - before_us,
                                  memory_order_relaxed);
    return code ? fail(code, error) : STATUS_OK;
}

/* --- starting and pausing ------------------------------------------------------------------------------------------ */

void kafka_consumer_pause(struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    if (rd_kafka_assignment(consumer->handle, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    rd_kafka_pause_partitions(consumer->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* The library's threads for brokers sleep up to a second, and a partition that goes on does not wake them; a question to each leader
 * does. Its answer does not matter. */
static void wake_leaders(struct kafka_consumer *consumer, const struct kafka_position *positions,
                         uint32_t count)
{
    rd_kafka_topic_partition_list_t *list = list_of(positions, count);
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = FAR_TIME_MS;
    rd_kafka_offsets_for_times(consumer->handle, list, WAKE_TIMEOUT_MS);
    rd_kafka_topic_partition_list_destroy(list);
}

enum status kafka_consumer_start(struct kafka_consumer *consumer, const struct kafka_position *positions,
                                 struct kafka_feed *const *feeds, uint32_t count, struct error *error)
{
    if (!count)
        return STATUS_OK;
    rd_kafka_topic_partition_list_t *list = list_of(positions, count);
    for (uint32_t i = 0; i < count; i++)
        forward(consumer, positions[i].id.topic, positions[i].id.partition, feeds[i]->queue);
    enum status status = STATUS_OK;
    rd_kafka_error_t *failure = rd_kafka_seek_partitions(consumer->handle, list, KAFKA_CALL_TIMEOUT_MS);
    rd_kafka_resp_err_t code = failure ? rd_kafka_error_code(failure) : RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < list->cnt && !code; i++)
        code = list->elems[i].err;
    if (failure)
        rd_kafka_error_destroy(failure);
    if (code) {
        kafka_error_text(code, rd_kafka_err2str(code), error);
        status = STATUS_AGAIN;
    } else {
        rd_kafka_resume_partitions(consumer->handle, list);
        wake_leaders(consumer, positions, count);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}
