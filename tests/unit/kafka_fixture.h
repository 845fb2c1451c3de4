/* A mock cluster of one broker, and a reader of its topics. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/kafka_producer.h"

/* Request types of Kafka's protocol, for error injection. */
enum { PRODUCE = 0, INIT_PRODUCER_ID = 22, ADD_PARTITIONS = 24, END_TRANSACTION = 26, COMMIT_OFFSETS = 28 };
enum { BROKER = 1, DEADLINE_US = 30 * MICROSECONDS_PER_SECOND, RECORDS_MAX = 4096 };

struct mock {
    rd_kafka_t *handle;
    rd_kafka_mock_cluster_t *cluster;
    const char *brokers;
};

static inline void mock_start(struct mock *mock)
{
    char text[512];
    mock->handle = rd_kafka_new(RD_KAFKA_PRODUCER, NULL, text, sizeof text);
    assert_non_null(mock->handle);
    mock->cluster = rd_kafka_mock_cluster_new(mock->handle, BROKER);
    assert_non_null(mock->cluster);
    mock->brokers = rd_kafka_mock_cluster_bootstraps(mock->cluster);
}

static inline void mock_stop(struct mock *mock)
{
    rd_kafka_mock_cluster_destroy(mock->cluster);
    rd_kafka_destroy(mock->handle);
}

static inline void mock_create_topic(struct mock *mock, const char *topic, int partitions)
{
    assert_int_equal(rd_kafka_mock_topic_create(mock->cluster, topic, partitions, 1), 0);
}

/* The next `count` requests of that type fail so. */
static inline void mock_fail(struct mock *mock, int16_t request, rd_kafka_resp_err_t code, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rd_kafka_mock_push_request_errors(mock->cluster, request, 1, code);
}

struct topic_record {
    char *key, *value; /* NULL: none */
    size_t value_size;
    int32_t partition;
    int64_t time_ms;
    rd_kafka_headers_t *headers;
};

struct topic_records {
    struct topic_record rows[RECORDS_MAX];
    uint32_t count;
};

static inline char *copy_bytes(const void *data, size_t size)
{
    if (!data)
        return NULL;
    char *copy = calloc(1, size + 1);
    memcpy(copy, data, size);
    return copy;
}

static inline void records_add(struct topic_records *records, rd_kafka_message_t *message)
{
    assert_true(records->count < RECORDS_MAX);
    struct topic_record *record = &records->rows[records->count++];
    rd_kafka_timestamp_type_t type;
    *record = (struct topic_record){.key = copy_bytes(message->key, message->key_len),
                                    .value = copy_bytes(message->payload, message->len),
                                    .value_size = message->len,
                                    .partition = message->partition,
                                    .time_ms = rd_kafka_message_timestamp(message, &type)};
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(message, &headers) == 0)
        record->headers = rd_kafka_headers_copy(headers);
}

/* All that the topic's `partitions` hold now. */
static inline void records_read(struct topic_records *records, const char *brokers, const char *topic,
                                int partitions)
{
    char text[512];
    memset(records, 0, sizeof *records);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof text);
    rd_kafka_conf_set(conf, "group.id", "reader", text, sizeof text);
    rd_kafka_conf_set(conf, "enable.partition.eof", "true", text, sizeof text);
    rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    assert_non_null(reader);
    rd_kafka_poll_set_consumer(reader);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    assert_int_equal(rd_kafka_assign(reader, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    int64_t deadline_us = clock_monotonic_us(&clock_system) + DEADLINE_US;
    for (int ended = 0; ended < partitions;) {
        assert_true(clock_monotonic_us(&clock_system) < deadline_us);
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, 100);
        if (!message)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            ended++;
        if (!message->err)
            records_add(records, message);
        rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
}

static inline void records_free(struct topic_records *records)
{
    for (uint32_t i = 0; i < records->count; i++) {
        free(records->rows[i].key);
        free(records->rows[i].value);
        if (records->rows[i].headers)
            rd_kafka_headers_destroy(records->rows[i].headers);
    }
    records->count = 0;
}

static inline void assert_header(const struct topic_record *record, const char *name, const char *want)
{
    const void *value = NULL;
    size_t size = 0;
    assert_non_null(record->headers);
    assert_int_equal(rd_kafka_header_get_last(record->headers, name, &value, &size), 0);
    assert_int_equal(size, strlen(want));
    assert_memory_equal(value, want, size);
}
