/* librdkafka answers administrative questions by events on a queue; here each is asked, awaited and turned into plain structs. */
#include "net/kafka_admin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

enum {
    ANSWER_MARGIN_MS = 2000, /* librdkafka's own timeout comes first, with the reason */
    COORDINATOR_PAUSE_US = 200 * 1000,
};

struct kafka_admin {
    struct kafka_client *client;
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue;
    int timeout_ms;
};

void kafka_admin_prepare(struct kafka_settings *settings)
{
    kafka_settings_set(settings, "group.id", "weir.admin", "weir");
    kafka_settings_set(settings, "enable.auto.commit", "false", "weir");
}

struct kafka_admin *kafka_admin_create(struct kafka_client *client, int64_t timeout_us)
{
    struct kafka_admin *admin = memory_allocate(sizeof *admin);
    admin->client = client;
    admin->handle = kafka_client_handle(client);
    admin->queue = rd_kafka_queue_new(admin->handle);
    admin->timeout_ms = (int)(timeout_us / 1000);
    return admin;
}

void kafka_admin_destroy(struct kafka_admin *admin)
{
    if (!admin)
        return;
    rd_kafka_queue_destroy(admin->queue);
    free(admin);
}

/* A timeout has a reason that the client knows better: brokers away, wrong password. */
static enum status fail(struct kafka_admin *admin, rd_kafka_resp_err_t code, const char *reason,
                        struct error *error)
{
    bool is_timeout = code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT;
    rd_kafka_poll(admin->handle, 0); /* serves the error callback */
    if (!is_timeout || !kafka_client_trouble(admin->client, error))
        kafka_error_text(code, reason ? reason : rd_kafka_err2str(code), error);
    return STATUS_IO;
}

static rd_kafka_AdminOptions_t *options_for(struct kafka_admin *admin, rd_kafka_admin_op_t operation)
{
    char reason[256];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(admin->handle, operation);
    rd_kafka_AdminOptions_set_request_timeout(options, admin->timeout_ms, reason, sizeof reason);
    return options;
}

/* A group's coordinator is only now being found, as in a cluster whose first group this is. */
static bool is_passing(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR || code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
           code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
}

/* The answer to what was just asked; to be destroyed. STATUS_AGAIN: the same question may be answered in a moment. */
static enum status await(struct kafka_admin *admin, rd_kafka_event_t **answer, struct error *error)
{
    *answer = rd_kafka_queue_poll(admin->queue, admin->timeout_ms + ANSWER_MARGIN_MS);
    if (!*answer)
        return fail(admin, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, error);
    if (!rd_kafka_event_error(*answer))
        return STATUS_OK;
    enum status status =
        fail(admin, rd_kafka_event_error(*answer), rd_kafka_event_error_string(*answer), error);
    rd_kafka_event_destroy(*answer);
    *answer = NULL;
    return status;
}

/* --- topics -------------------------------------------------------------------------------------------------------- */

static const int32_t *copy_ids(struct arena *arena, const int32_t *ids, int count)
{
    int32_t *copy = arena_allocate(arena, (size_t)(count ? count : 1) * sizeof *copy);
    if (count)
        memcpy(copy, ids, (size_t)count * sizeof *copy);
    return copy;
}

static int by_id(const void *left, const void *right)
{
    const struct kafka_partition_info *a = left, *b = right;
    return (a->id > b->id) - (a->id < b->id);
}

static int by_name(const void *left, const void *right)
{
    const struct kafka_topic_info *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static void copy_topic(struct arena *arena, const rd_kafka_metadata_topic_t *from,
                       struct kafka_topic_info *to)
{
    *to = (struct kafka_topic_info){.name = arena_copy_text(arena, from->topic),
                                    .partition_count = (uint32_t)from->partition_cnt};
    to->partitions = arena_allocate_zeroed(arena, (to->partition_count + 1) * sizeof *to->partitions);
    for (uint32_t i = 0; i < to->partition_count; i++) {
        const rd_kafka_metadata_partition_t *partition = &from->partitions[i];
        to->partitions[i] = (struct kafka_partition_info){
            .id = partition->id,
            .leader = partition->leader,
            .replicas = copy_ids(arena, partition->replicas, partition->replica_cnt),
            .replica_count = (uint32_t)partition->replica_cnt,
            .in_sync = copy_ids(arena, partition->isrs, partition->isr_cnt),
            .in_sync_count = (uint32_t)partition->isr_cnt,
            .earliest = KAFKA_OFFSET_NONE,
            .latest = KAFKA_OFFSET_NONE,
            .newest_time_ms = -1,
            .committed = KAFKA_OFFSET_NONE,
            .committed_time_ms = -1,
        };
    }
    qsort(to->partitions, to->partition_count, sizeof *to->partitions, by_id);
}

static bool is_wanted(const char *topic, const char *const *names, size_t name_count)
{
    for (size_t i = 0; i < name_count; i++) {
        if (strcmp(names[i], topic) == 0)
            return true;
    }
    return !name_count && strncmp(topic, "__", 2) != 0; /* __consumer_offsets and its like */
}

static const struct kafka_topic_info *find_topic(const struct kafka_topics *topics, const char *name)
{
    const struct kafka_topic_info key = {.name = name};
    return topics->topic_count
               ? bsearch(&key, topics->topics, topics->topic_count, sizeof *topics->topics, by_name)
               : NULL;
}

static enum status copy_topics(const rd_kafka_metadata_t *metadata, const char *const *names,
                               size_t name_count, struct kafka_topics *out, struct error *error)
{
    uint64_t partition_count = 0;
    out->broker_count = (uint32_t)metadata->broker_cnt;
    out->topics = arena_allocate_zeroed(&out->arena, (size_t)(metadata->topic_cnt + 1) * sizeof *out->topics);
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const rd_kafka_metadata_topic_t *topic = &metadata->topics[i];
        if (topic->err || !is_wanted(topic->topic, names, name_count))
            continue;
        copy_topic(&out->arena, topic, &out->topics[out->topic_count++]);
        partition_count += (uint64_t)topic->partition_cnt;
    }
    qsort(out->topics, out->topic_count, sizeof *out->topics, by_name);
    if (partition_count > KAFKA_ADMIN_PARTITIONS_MAX) {
        error_set(
            error,
            "the topics have %llu partitions, more than the %d that are looked at at once; name some topics",
            (unsigned long long)partition_count, KAFKA_ADMIN_PARTITIONS_MAX);
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < name_count; i++) {
        if (find_topic(out, names[i]))
            continue;
        error_set(error, "the cluster has no topic \"%s\"; weir topics list shows what it has", names[i]);
        return STATUS_NOT_FOUND;
    }
    return STATUS_OK;
}

enum status kafka_admin_read_topics(struct kafka_admin *admin, const char *const *names, size_t name_count,
                                    struct kafka_topics *out, struct error *error)
{
    /* All topics are asked for: asking for one by its name may create it. */
    const rd_kafka_metadata_t *metadata = NULL;
    memset(out, 0, sizeof *out);
    arena_init(&out->arena, ARENA_DEFAULT_BLOCK_SIZE);
    rd_kafka_resp_err_t code = rd_kafka_metadata(admin->handle, 1, NULL, &metadata, admin->timeout_ms);
    enum status status =
        code ? fail(admin, code, NULL, error) : copy_topics(metadata, names, name_count, out, error);
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    if (status != STATUS_OK)
        kafka_topics_deinit(out);
    return status;
}

void kafka_topics_deinit(struct kafka_topics *topics)
{
    arena_deinit(&topics->arena);
    memset(topics, 0, sizeof *topics);
}

/* --- settings ------------------------------------------------------------------------------------------------------ */

static void take_config(struct kafka_topics *topics, struct kafka_topic_info *topic, const char *name,
                        const char *value)
{
    const struct {
        const char *name;
        const char **target;
    } kept[] = {{"cleanup.policy", &topic->cleanup_policy},
                {"retention.ms", &topic->retention_ms},
                {"retention.bytes", &topic->retention_bytes},
                {"min.insync.replicas", &topic->min_insync}};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (strcmp(name, kept[i].name) == 0 && value)
            *kept[i].target = arena_copy_text(&topics->arena, value);
    }
}

static void take_configs(struct kafka_topics *topics, const rd_kafka_event_t *answer)
{
    size_t resource_count = 0;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *)answer), &resource_count);
    for (size_t i = 0; i < resource_count; i++) {
        struct kafka_topic_info *topic =
            (struct kafka_topic_info *)find_topic(topics, rd_kafka_ConfigResource_name(resources[i]));
        size_t entry_count = 0;
        const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[i], &entry_count);
        for (size_t e = 0; topic && e < entry_count; e++)
            take_config(topics, topic, rd_kafka_ConfigEntry_name(entries[e]),
                        rd_kafka_ConfigEntry_value(entries[e]));
    }
}

enum status kafka_admin_read_configs(struct kafka_admin *admin, struct kafka_topics *topics,
                                     struct error *error)
{
    if (!topics->topic_count)
        return STATUS_OK;
    rd_kafka_ConfigResource_t **resources = memory_allocate_array(topics->topic_count, sizeof(void *));
    for (uint32_t i = 0; i < topics->topic_count; i++)
        resources[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics->topics[i].name);
    rd_kafka_AdminOptions_t *options = options_for(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_DescribeConfigs(admin->handle, resources, topics->topic_count, options, admin->queue);
    rd_kafka_event_t *answer = NULL;
    enum status status = await(admin, &answer, error);
    if (status == STATUS_OK) {
        take_configs(topics, answer);
        rd_kafka_event_destroy(answer);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy_array(resources, topics->topic_count);
    free(resources);
    return status;
}

/* --- offsets ------------------------------------------------------------------------------------------------------- */

static struct kafka_partition_info *find_partition(const struct kafka_topics *topics, const char *name,
                                                   int32_t id)
{
    const struct kafka_topic_info *topic = find_topic(topics, name);
    const struct kafka_partition_info key = {.id = id};
    return topic && topic->partition_count
               ? bsearch(&key, topic->partitions, topic->partition_count, sizeof *topic->partitions, by_id)
               : NULL;
}

static void take_offset(const struct kafka_topics *topics, rd_kafka_OffsetSpec_t what,
                        const rd_kafka_ListOffsetsResultInfo_t *info)
{
    const rd_kafka_topic_partition_t *place = rd_kafka_ListOffsetsResultInfo_topic_partition(info);
    struct kafka_partition_info *partition = find_partition(topics, place->topic, place->partition);
    if (!partition || place->err)
        return;
    if (what == RD_KAFKA_OFFSET_SPEC_EARLIEST)
        partition->earliest = place->offset;
    else if (what == RD_KAFKA_OFFSET_SPEC_LATEST)
        partition->latest = place->offset;
    else
        partition->newest_time_ms = rd_kafka_ListOffsetsResultInfo_timestamp(info);
}

/* Asks one kind of offset of all partitions that have a leader: those without would hold up the answer. */
static enum status list_offsets(struct kafka_admin *admin, struct kafka_topics *topics,
                                rd_kafka_OffsetSpec_t what, struct error *error)
{
    rd_kafka_topic_partition_list_t *places = rd_kafka_topic_partition_list_new(16);
    for (uint32_t t = 0; t < topics->topic_count; t++) {
        for (uint32_t p = 0; p < topics->topics[t].partition_count; p++) {
            const struct kafka_partition_info *partition = &topics->topics[t].partitions[p];
            if (partition->leader >= 0)
                rd_kafka_topic_partition_list_add(places, topics->topics[t].name, partition->id)->offset =
                    what;
        }
    }
    enum status status = STATUS_OK;
    if (places->cnt) {
        rd_kafka_AdminOptions_t *options = options_for(admin, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
        rd_kafka_ListOffsets(admin->handle, places, options, admin->queue);
        rd_kafka_event_t *answer = NULL;
        status = await(admin, &answer, error);
        if (status == STATUS_OK) {
            size_t count = 0;
            const rd_kafka_ListOffsetsResultInfo_t **infos =
                rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(answer), &count);
            for (size_t i = 0; i < count; i++)
                take_offset(topics, what, infos[i]);
            rd_kafka_event_destroy(answer);
        }
        rd_kafka_AdminOptions_destroy(options);
    }
    rd_kafka_topic_partition_list_destroy(places);
    return status;
}

enum status kafka_admin_read_offsets(struct kafka_admin *admin, struct kafka_topics *topics,
                                     struct error *error)
{
    static const rd_kafka_OffsetSpec_t kinds[] = {RD_KAFKA_OFFSET_SPEC_EARLIEST, RD_KAFKA_OFFSET_SPEC_LATEST,
                                                  RD_KAFKA_OFFSET_SPEC_MAX_TIMESTAMP};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && status == STATUS_OK; i++)
        status = list_offsets(admin, topics, kinds[i], error);
    return status;
}

/* --- groups -------------------------------------------------------------------------------------------------------- */

static void take_group(const struct kafka_topics *topics, const rd_kafka_topic_partition_list_t *places)
{
    for (int i = 0; places && i < places->cnt; i++) {
        const rd_kafka_topic_partition_t *place = &places->elems[i];
        struct kafka_partition_info *partition = find_partition(topics, place->topic, place->partition);
        if (partition && !place->err && place->offset >= 0)
            partition->committed = place->offset;
    }
}

static enum status check_group(struct kafka_admin *admin, rd_kafka_event_t *answer,
                               const struct kafka_topics *topics, struct error *error)
{
    size_t count = 0;
    const rd_kafka_group_result_t **results = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(answer), &count);
    const rd_kafka_error_t *reason = count ? rd_kafka_group_result_error(results[0]) : NULL;
    rd_kafka_resp_err_t code = reason ? rd_kafka_error_code(reason) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && count)
        take_group(topics, rd_kafka_group_result_partitions(results[0]));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
        return STATUS_OK;
    enum status status = fail(admin, code, rd_kafka_error_string(reason), error);
    return is_passing(code) ? STATUS_AGAIN : status;
}

static enum status ask_group(struct kafka_admin *admin, const char *group, const struct kafka_topics *topics,
                             struct error *error)
{
    rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new(group, NULL);
    rd_kafka_AdminOptions_t *options = options_for(admin, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_ListConsumerGroupOffsets(admin->handle, &request, 1, options, admin->queue);
    rd_kafka_event_t *answer = NULL;
    enum status status = await(admin, &answer, error);
    if (status == STATUS_OK) {
        status = check_group(admin, answer, topics, error);
        rd_kafka_event_destroy(answer);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
    return status;
}

enum status kafka_admin_read_group(struct kafka_admin *admin, const char *group, struct kafka_topics *topics,
                                   struct error *error)
{
    for (uint32_t t = 0; t < topics->topic_count; t++) {
        for (uint32_t p = 0; p < topics->topics[t].partition_count; p++)
            topics->topics[t].partitions[p].committed = KAFKA_OFFSET_NONE;
    }
    int64_t end_us = clock_monotonic_us(&clock_system) + (int64_t)admin->timeout_ms * 1000;
    enum status status;
    while ((status = ask_group(admin, group, topics, error)) == STATUS_AGAIN &&
           clock_monotonic_us(&clock_system) < end_us)
        usleep(COORDINATOR_PAUSE_US);
    return status == STATUS_AGAIN ? STATUS_IO : status;
}

/* The group as a whole, or the first partition, was refused. */
static enum status check_written(struct kafka_admin *admin, rd_kafka_event_t *answer, struct error *error)
{
    size_t count = 0;
    const rd_kafka_group_result_t **results = rd_kafka_AlterConsumerGroupOffsets_result_groups(
        rd_kafka_event_AlterConsumerGroupOffsets_result(answer), &count);
    const rd_kafka_error_t *reason = count ? rd_kafka_group_result_error(results[0]) : NULL;
    if (reason)
        return fail(admin, rd_kafka_error_code(reason), rd_kafka_error_string(reason), error);
    const rd_kafka_topic_partition_list_t *places =
        count ? rd_kafka_group_result_partitions(results[0]) : NULL;
    for (int i = 0; places && i < places->cnt; i++) {
        if (places->elems[i].err)
            return fail(admin, places->elems[i].err, NULL, error);
    }
    return STATUS_OK;
}

static enum status tell_group(struct kafka_admin *admin, const char *group,
                              const rd_kafka_topic_partition_list_t *places, struct error *error)
{
    rd_kafka_AlterConsumerGroupOffsets_t *request = rd_kafka_AlterConsumerGroupOffsets_new(group, places);
    rd_kafka_AdminOptions_t *options = options_for(admin, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
    rd_kafka_AlterConsumerGroupOffsets(admin->handle, &request, 1, options, admin->queue);
    rd_kafka_event_t *answer = NULL;
    enum status status = await(admin, &answer, error);
    if (status == STATUS_OK) {
        status = check_written(admin, answer, error);
        rd_kafka_event_destroy(answer);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_AlterConsumerGroupOffsets_destroy(request);
    return status;
}

enum status kafka_admin_write_group(struct kafka_admin *admin, const char *group,
                                    const struct kafka_topics *topics, struct error *error)
{
    rd_kafka_topic_partition_list_t *places = rd_kafka_topic_partition_list_new(16);
    for (uint32_t t = 0; t < topics->topic_count; t++) {
        for (uint32_t p = 0; p < topics->topics[t].partition_count; p++) {
            const struct kafka_partition_info *partition = &topics->topics[t].partitions[p];
            if (partition->committed != KAFKA_OFFSET_NONE)
                rd_kafka_topic_partition_list_add(places, topics->topics[t].name, partition->id)->offset =
                    partition->committed;
        }
    }
    int64_t end_us = clock_monotonic_us(&clock_system) + (int64_t)admin->timeout_ms * 1000;
    enum status status = STATUS_OK;
    while (places->cnt && (status = tell_group(admin, group, places, error)) == STATUS_AGAIN &&
           clock_monotonic_us(&clock_system) < end_us)
        usleep(COORDINATOR_PAUSE_US);
    rd_kafka_topic_partition_list_destroy(places);
    return status == STATUS_AGAIN ? STATUS_IO : status;
}

/* --- new topics ---------------------------------------------------------------------------------------------------- */

static enum status check_created(struct kafka_admin *admin, rd_kafka_event_t *answer, struct error *error)
{
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer), &count);
    rd_kafka_resp_err_t code = count ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
    if (!code)
        return STATUS_OK;
    const char *reason = count ? rd_kafka_topic_result_error_string(results[0]) : NULL;
    if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        error_set(error, "it exists already");
        return STATUS_BUSY;
    }
    return fail(admin, code, reason, error);
}

enum status kafka_admin_create_topic(struct kafka_admin *admin, const struct kafka_new_topic *topic,
                                     struct error *error)
{
    char reason[256];
    rd_kafka_NewTopic_t *request =
        rd_kafka_NewTopic_new(topic->name, topic->partitions, topic->replication, reason, sizeof reason);
    if (!request) {
        error_set(error, "%s", reason);
        return STATUS_INVALID;
    }
    for (uint32_t i = 0; i < topic->config_count; i++)
        rd_kafka_NewTopic_set_config(request, topic->configs[i].name, topic->configs[i].value.text);
    rd_kafka_AdminOptions_t *options = options_for(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    /* So that the answer comes when the brokers have made it. */
    rd_kafka_AdminOptions_set_operation_timeout(options, admin->timeout_ms, reason, sizeof reason);
    rd_kafka_CreateTopics(admin->handle, &request, 1, options, admin->queue);
    rd_kafka_event_t *answer = NULL;
    enum status status = await(admin, &answer, error);
    if (status == STATUS_OK) {
        status = check_created(admin, answer, error);
        rd_kafka_event_destroy(answer);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(request);
    return status;
}
