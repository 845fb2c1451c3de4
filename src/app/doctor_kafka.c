/* What weir doctor asks of a Kafka cluster, as an administrator's client that joins no group: a look must not move partitions, and a
 * transactional id must not be taken from a process that runs. Rights come with the answers (authorized operations), so they are
 * known without a record being read or written. */
#include <regex.h>
#include <stdlib.h>

#include "app/doctor.h"
#include "base/clock.h"
#include "net/kafka_client.h"

enum {
    DOCTOR_KAFKA_MAX_US = 10 * MICROSECONDS_PER_SECOND, /* that one request may take */
    DOCTOR_REASON_US = MICROSECONDS_PER_SECOND,         /* that the reason may come after the failure */
    DOCTOR_STEP_MS = 200,                               /* between looks at what has gone wrong */
};

/* One source or sink that is looked at. */
struct patient {
    struct doctor_report *report;
    const char *kind, *name; /* "source", "events" */
    struct kafka_client *client;
    rd_kafka_t *handle;
    rd_kafka_queue_t *answers;
};

static void fail(const struct patient *patient, const char *about, rd_kafka_resp_err_t code,
                 const char *reason)
{
    struct error error;
    if (!kafka_client_trouble(patient->client, &error))
        kafka_error_text(code, reason, &error);
    doctor_add(patient->report, DOCTOR_FAIL, patient->kind, "%s: %s: %s", patient->name, about, error.text);
}

/* Waits until brokers answer. NULL after a failure was added. */
static const struct rd_kafka_metadata *connect_to(const struct patient *patient)
{
    const struct rd_kafka_metadata *metadata = NULL;
    int64_t now_us, end_us = clock_monotonic_us(&clock_system) + DOCTOR_KAFKA_MAX_US;
    bool has_failed = false;
    rd_kafka_resp_err_t code;
    do {
        code = rd_kafka_metadata(patient->handle, 1, NULL, &metadata, DOCTOR_STEP_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            return metadata;
        rd_kafka_poll(patient->handle, DOCTOR_STEP_MS);
        now_us = clock_monotonic_us(&clock_system);
        if (kafka_client_trouble(patient->client, NULL) && end_us > now_us + DOCTOR_REASON_US &&
            !has_failed) {
            has_failed = true;
            end_us = now_us + DOCTOR_REASON_US;
        }
    } while (now_us < end_us);
    fail(patient, "no connection", code, NULL);
    return NULL;
}

/* The answer to a request that was sent, or NULL after a failure was added. */
static rd_kafka_event_t *wait_for_answer(const struct patient *patient, const char *about)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(patient->answers, DOCTOR_KAFKA_MAX_US / 1000 + 1000);
    rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return event;
    rd_kafka_poll(patient->handle, 0);
    fail(patient, about, code, event ? rd_kafka_event_error_string(event) : NULL);
    if (event)
        rd_kafka_event_destroy(event);
    return NULL;
}

static rd_kafka_AdminOptions_t *create_options(const struct patient *patient, rd_kafka_admin_op_t operation)
{
    char reason[256];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(patient->handle, operation);
    /* Values from constants cannot be refused. */
    (void)rd_kafka_AdminOptions_set_request_timeout(options, DOCTOR_KAFKA_MAX_US / 1000, reason,
                                                    sizeof reason);
    rd_kafka_error_destroy(rd_kafka_AdminOptions_set_include_authorized_operations(options, 1));
    return options;
}

/* True also when the broker does not say. */
static bool may(const rd_kafka_AclOperation_t *operations, size_t count, rd_kafka_AclOperation_t wanted)
{
    for (size_t i = 0; i < count; i++)
        if (operations[i] == wanted)
            return true;
    return count == 0;
}

static void add_topic(const struct patient *patient, const rd_kafka_TopicDescription_t *topic,
                      bool is_written)
{
    struct doctor_report *report = patient->report;
    size_t partition_count, right_count, leaderless = 0;
    const char *name = rd_kafka_TopicDescription_name(topic);
    const rd_kafka_TopicPartitionInfo_t **partitions =
        rd_kafka_TopicDescription_partitions(topic, &partition_count);
    const rd_kafka_AclOperation_t *rights =
        rd_kafka_TopicDescription_authorized_operations(topic, &right_count);
    for (size_t i = 0; i < partition_count; i++)
        leaderless += rd_kafka_TopicPartitionInfo_leader(partitions[i]) == NULL;
    if (!may(rights, right_count, is_written ? RD_KAFKA_ACL_OPERATION_WRITE : RD_KAFKA_ACL_OPERATION_READ))
        doctor_add(report, DOCTOR_FAIL, patient->kind,
                   "%s: the user may not %s topic `%s`; let the cluster's administrator allow it",
                   patient->name, is_written ? "write to" : "read", name);
    else if (leaderless > 0)
        doctor_add(report, DOCTOR_WARN, patient->kind,
                   "%s: %zu of %zu partitions of topic `%s` have no leader; start the brokers that are away",
                   patient->name, leaderless, partition_count, name);
    else
        doctor_add(report, DOCTOR_OK, patient->kind, "%s: topic `%s` has %zu partition%s", patient->name,
                   name, partition_count, partition_count == 1 ? "" : "s");
}

/* `missing` is what it means that the topic is not there; NULL: nothing works without it. */
static void check_topic(const struct patient *patient, const char *name, bool is_written, const char *missing)
{
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(&name, 1);
    rd_kafka_AdminOptions_t *options = create_options(patient, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    rd_kafka_DescribeTopics(patient->handle, topics, options, patient->answers);
    rd_kafka_event_t *event = wait_for_answer(patient, name);
    size_t count = 0;
    const rd_kafka_TopicDescription_t **found =
        event ? rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &count)
              : NULL;
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(found[i]);
        rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
        if (!code)
            add_topic(patient, found[i], is_written);
        else if (missing && code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            doctor_add(patient->report, DOCTOR_WARN, patient->kind, "%s: topic `%s` does not exist: %s",
                       patient->name, name, missing);
        else
            fail(patient, name, code, NULL);
    }
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_TopicCollection_destroy(topics);
}

static void check_pattern(const struct patient *patient, const char *pattern,
                          const struct rd_kafka_metadata *metadata)
{
    regex_t compiled;
    int count = 0;
    if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return; /* the config's check has told */
    for (int i = 0; i < metadata->topic_cnt; i++)
        count += regexec(&compiled, metadata->topics[i].topic, 0, NULL, 0) == 0;
    regfree(&compiled);
    doctor_add(patient->report, count > 0 ? DOCTOR_OK : DOCTOR_WARN, patient->kind,
               "%s: %d topic%s %s `%s`%s", patient->name, count, count == 1 ? "" : "s",
               count == 1 ? "matches" : "match", pattern,
               count > 0 ? "" : "; they are looked for again while weir runs");
}

static void add_group(const struct patient *patient, const struct config_kafka_source *source,
                      const rd_kafka_ConsumerGroupDescription_t *group)
{
    struct doctor_report *report = patient->report;
    size_t right_count;
    const rd_kafka_AclOperation_t *rights =
        rd_kafka_ConsumerGroupDescription_authorized_operations(group, &right_count);
    rd_kafka_consumer_group_state_t state = rd_kafka_ConsumerGroupDescription_state(group);
    rd_kafka_consumer_group_type_t type = rd_kafka_ConsumerGroupDescription_type(group);
    size_t members = rd_kafka_ConsumerGroupDescription_member_count(group);
    bool is_consumer_type = type == RD_KAFKA_CONSUMER_GROUP_TYPE_CONSUMER;
    if (!may(rights, right_count, RD_KAFKA_ACL_OPERATION_READ))
        doctor_add(report, DOCTOR_FAIL, patient->kind,
                   "%s: the user may not use group `%s`; let the cluster's administrator allow reading it",
                   patient->name, source->group);
    else if (state == RD_KAFKA_CONSUMER_GROUP_STATE_DEAD || state == RD_KAFKA_CONSUMER_GROUP_STATE_UNKNOWN)
        doctor_add(report, DOCTOR_OK, patient->kind, "%s: group `%s` is new and begins at the %s record",
                   patient->name, source->group,
                   source->start == KAFKA_START_EARLIEST ? "earliest" : "latest");
    else if (members > 0 && type != RD_KAFKA_CONSUMER_GROUP_TYPE_UNKNOWN &&
             is_consumer_type != (source->group_protocol == KAFKA_CONSUMER))
        doctor_add(
            report, DOCTOR_WARN, patient->kind,
            "%s: the %zu member%s of group `%s` use the %s protocol; give `group_protocol: %s` here too, or "
            "another `group`",
            patient->name, members, members == 1 ? "" : "s", source->group,
            is_consumer_type ? "consumer" : "classic", is_consumer_type ? "consumer" : "classic");
    else
        doctor_add(report, DOCTOR_OK, patient->kind, "%s: group `%s` has %zu member%s now", patient->name,
                   source->group, members, members == 1 ? "" : "s");
}

static void check_group(const struct patient *patient, const struct config_kafka_source *source)
{
    rd_kafka_AdminOptions_t *options = create_options(patient, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    const char *name = source->group;
    rd_kafka_DescribeConsumerGroups(patient->handle, &name, 1, options, patient->answers);
    rd_kafka_event_t *event = wait_for_answer(patient, name);
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **groups =
        event ? rd_kafka_DescribeConsumerGroups_result_groups(
                    rd_kafka_event_DescribeConsumerGroups_result(event), &count)
              : NULL;
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *error = rd_kafka_ConsumerGroupDescription_error(groups[i]);
        rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
        if (code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
            doctor_add(patient->report, DOCTOR_OK, patient->kind,
                       "%s: group `%s` is new and begins at the %s record", patient->name, name,
                       source->start == KAFKA_START_EARLIEST ? "earliest" : "latest");
        else if (code)
            fail(patient, name, code, rd_kafka_error_string(error));
        else
            add_group(patient, source, groups[i]);
    }
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
}

static void add_cluster(const struct patient *patient, const struct rd_kafka_metadata *metadata)
{
    char id[128] = "";
    char *cluster = rd_kafka_clusterid(patient->handle, 0);
    if (cluster)
        snprintf(id, sizeof id, "cluster %.100s, ", cluster);
    if (cluster)
        rd_kafka_mem_free(patient->handle, cluster);
    doctor_add(patient->report, DOCTOR_OK, patient->kind, "%s: connected, %s%d broker%s, %d topic%s",
               patient->name, id, metadata->broker_cnt, metadata->broker_cnt == 1 ? "" : "s",
               metadata->topic_cnt, metadata->topic_cnt == 1 ? "" : "s");
}

/* The client alone; its first connection is made when it is asked something. */
static bool open_patient(struct patient *patient, const struct config_kafka_connection *connection,
                         const char *group)
{
    struct arena arena;
    struct error error;
    struct kafka_settings settings;
    char name[128];
    arena_init(&arena, ARENA_DEFAULT_BLOCK_SIZE);
    kafka_connection_settings(connection, &arena, &settings);
    /* librdkafka 2.15.1 needs a group of its own to find a group's coordinator; it is never joined. */
    kafka_settings_set(&settings, "group.id", group, "weir");
    kafka_settings_set(&settings, "allow.auto.create.topics", "false", "weir");
    snprintf(name, sizeof name, "%s %s", patient->kind, patient->name);
    const struct kafka_client_options options = {
        .is_consumer = true, .settings = &settings, .name = name, .is_quiet = true};
    bool is_open = kafka_client_create(&options, &patient->client, &error) == STATUS_OK;
    if (!is_open)
        doctor_add(patient->report, DOCTOR_FAIL, patient->kind, "%s", error.text);
    arena_deinit(&arena);
    if (!is_open)
        return false;
    patient->handle = kafka_client_handle(patient->client);
    patient->answers = rd_kafka_queue_new(patient->handle);
    return true;
}

static void close_patient(struct patient *patient)
{
    rd_kafka_queue_destroy(patient->answers);
    kafka_client_destroy(patient->client);
}

static void check_dead_letters(const struct patient *patient, const struct config_kafka_source *source)
{
    static const char *const missing =
        "dead letters go there, unless its brokers make topics by themselves; create it, or give "
        "`dead_letter_topic: \"\"` to keep them in the store alone";
    char name[512];
    if (source->dead_letter_topic) {
        if (*source->dead_letter_topic)
            check_topic(patient, source->dead_letter_topic, true, missing);
        return;
    }
    for (uint32_t i = 0; i < source->topic_count; i++) {
        snprintf(name, sizeof name, "%s.dlq", source->topics[i]);
        if (source->topics[i][0] != '^')
            check_topic(patient, name, true, missing);
    }
}

void doctor_check_kafka_source(struct doctor_report *report, const struct config_source *source)
{
    struct patient patient = {.report = report, .kind = "source", .name = source->name};
    const struct config_kafka_source *kafka = &source->kafka;
    if (!open_patient(&patient, &kafka->connection, kafka->group))
        return;
    const struct rd_kafka_metadata *metadata = connect_to(&patient);
    if (metadata) {
        add_cluster(&patient, metadata);
        for (uint32_t i = 0; i < kafka->topic_count; i++)
            if (kafka->topics[i][0] == '^')
                check_pattern(&patient, kafka->topics[i], metadata);
            else
                check_topic(&patient, kafka->topics[i], false, NULL);
        if (source->on_bad == ON_BAD_DLQ)
            check_dead_letters(&patient, kafka);
        check_group(&patient, kafka);
        rd_kafka_metadata_destroy(metadata);
    }
    close_patient(&patient);
}

void doctor_check_kafka_sink(struct doctor_report *report, const struct config_sink *sink)
{
    struct patient patient = {.report = report, .kind = "sink", .name = sink->name};
    if (!open_patient(&patient, &sink->kafka.connection, "weir-doctor"))
        return;
    const struct rd_kafka_metadata *metadata = connect_to(&patient);
    if (metadata) {
        add_cluster(&patient, metadata);
        check_topic(&patient, sink->kafka.topic, true, NULL);
        rd_kafka_metadata_destroy(metadata);
    }
    close_patient(&patient);
}
