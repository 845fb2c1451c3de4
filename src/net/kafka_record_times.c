/* When the first record behind a group's committed offset was written: that record is read. Brokers can look up an offset for a time but not
 * a time for an offset, so there is no cheaper way; one record per partition is asked for, in small fetches. */
#include <string.h>

#include "base/clock.h"
#include "net/kafka_admin.h"

static struct kafka_partition_info *find(struct kafka_topics *topics, const char *name, int32_t id)
{
    for (uint32_t t = 0; t < topics->topic_count; t++) {
        if (strcmp(topics->topics[t].name, name) != 0)
            continue;
        for (uint32_t p = 0; p < topics->topics[t].partition_count; p++) {
            if (topics->topics[t].partitions[p].id == id)
                return &topics->topics[t].partitions[p];
        }
    }
    return NULL;
}

static bool is_behind(const struct kafka_partition_info *partition)
{
    return partition->leader >= 0 && partition->committed != KAFKA_OFFSET_NONE &&
           partition->committed < partition->latest;
}

static rd_kafka_topic_partition_list_t *places_behind(const struct kafka_topics *topics)
{
    rd_kafka_topic_partition_list_t *places = rd_kafka_topic_partition_list_new(16);
    for (uint32_t t = 0; t < topics->topic_count; t++) {
        for (uint32_t p = 0; p < topics->topics[t].partition_count; p++) {
            const struct kafka_partition_info *partition = &topics->topics[t].partitions[p];
            if (!is_behind(partition))
                continue;
            /* What was deleted by age cannot be read any more: the first that is left tells how far behind the group is. */
            rd_kafka_topic_partition_list_add(places, topics->topics[t].name, partition->id)->offset =
                partition->committed < partition->earliest ? partition->earliest : partition->committed;
        }
    }
    return places;
}

/* True when the message says all that its partition has to say. */
static bool take_message(struct kafka_topics *topics, const rd_kafka_message_t *message)
{
    struct kafka_partition_info *partition =
        message->rkt ? find(topics, rd_kafka_topic_name(message->rkt), message->partition) : NULL;
    bool is_over = !message->err || message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
    if (!partition || !is_over || partition->committed_time_ms != -1)
        return false;
    rd_kafka_timestamp_type_t type;
    partition->committed_time_ms = message->err ? 0 : rd_kafka_message_timestamp(message, &type);
    return true;
}

static void stop_partition(rd_kafka_t *handle, const rd_kafka_message_t *message)
{
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(one, rd_kafka_topic_name(message->rkt), message->partition);
    rd_kafka_pause_partitions(handle, one);
    rd_kafka_topic_partition_list_destroy(one);
}

static void read_times(rd_kafka_t *handle, struct kafka_topics *topics, int wanted, int64_t timeout_us)
{
    int64_t end_us = clock_monotonic_us(&clock_system) + timeout_us;
    while (wanted > 0) {
        int64_t left_us = end_us - clock_monotonic_us(&clock_system);
        if (left_us <= 0)
            break;
        rd_kafka_message_t *message = rd_kafka_consumer_poll(handle, (int)(left_us / 1000) + 1);
        if (!message)
            continue;
        if (take_message(topics, message)) {
            stop_partition(handle, message);
            wanted--;
        }
        rd_kafka_message_destroy(message);
    }
}

/* Only transaction markers were left: nothing waits, and 0 was kept for that. */
static void forget_ends(struct kafka_topics *topics)
{
    for (uint32_t t = 0; t < topics->topic_count; t++) {
        for (uint32_t p = 0; p < topics->topics[t].partition_count; p++) {
            struct kafka_partition_info *partition = &topics->topics[t].partitions[p];
            partition->committed_time_ms =
                partition->committed_time_ms > 0 ? partition->committed_time_ms : -1;
        }
    }
}

enum status kafka_read_record_times(const struct kafka_settings *settings, struct kafka_topics *topics,
                                    int64_t timeout_us, struct error *error)
{
    rd_kafka_topic_partition_list_t *places = places_behind(topics);
    enum status status = STATUS_OK;
    if (places->cnt) {
        struct kafka_settings own = *settings;
        kafka_settings_set(&own, "group.id", "weir.topics",
                           "weir"); /* never joined, nothing is committed to it */
        kafka_settings_set(&own, "enable.auto.commit", "false", "weir");
        kafka_settings_set(&own, "auto.offset.reset", "earliest", "weir");
        kafka_settings_set(&own, "enable.partition.eof", "true", "weir");
        kafka_settings_set(&own, "fetch.message.max.bytes", "65536", "weir");
        kafka_settings_set(&own, "queued.min.messages", "1", "weir");
        const struct kafka_client_options options = {.is_consumer = true, .settings = &own, .name = "topics"};
        struct kafka_client *client = NULL;
        status = kafka_client_create(&options, &client, error);
        if (status == STATUS_OK) {
            rd_kafka_t *handle = kafka_client_handle(client);
            rd_kafka_poll_set_consumer(handle);
            rd_kafka_assign(handle, places);
            read_times(handle, topics, places->cnt, timeout_us);
            kafka_client_destroy(client);
        }
    }
    forget_ends(topics);
    rd_kafka_topic_partition_list_destroy(places);
    return status;
}
