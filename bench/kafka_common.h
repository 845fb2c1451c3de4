/* What the Kafka programs of the benchmarks share: settings, a bare consumer, clocks. Anything unexpected ends the program. */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KAFKA_BATCH_MESSAGES = 1000, KAFKA_WAIT_MS = 100 };

static inline _Noreturn void kafka_fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static inline int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline void kafka_set(rd_kafka_conf_t *settings, const char *name, const char *value)
{
    char reason[256];
    if (rd_kafka_conf_set(settings, name, value, reason, sizeof reason) != RD_KAFKA_CONF_OK)
        kafka_fail(name, reason);
}

static inline rd_kafka_t *kafka_open(rd_kafka_type_t type, rd_kafka_conf_t *settings)
{
    char reason[256];
    rd_kafka_t *handle = rd_kafka_new(type, settings, reason, sizeof reason);
    if (!handle)
        kafka_fail("rd_kafka_new", reason);
    return handle;
}

/* A consumer in the way of many examples: no group, all partitions assigned at explicit offsets, one queue. `is_from_end`: what comes
 * from now on, at once; else all that is there, with fetches as large as a busy reader wants them. */
static inline rd_kafka_queue_t *kafka_consume(const char *brokers, const char *topic, int partitions,
                                              int is_from_end, rd_kafka_t **handle)
{
    static const char *const busy[][2] = {{"fetch.wait.max.ms", "50"},
                                          {"fetch.message.max.bytes", "1048576"},
                                          {"fetch.max.bytes", "16777216"},
                                          {"queued.min.messages", "50000"},
                                          {"queued.max.messages.kbytes", "65536"},
                                          {"fetch.queue.backoff.ms", "5"}};
    static const char *const prompt[][2] = {
        {"fetch.wait.max.ms", "10"}, {"fetch.queue.backoff.ms", "1"}, {"socket.nagle.disable", "true"}};
    rd_kafka_conf_t *settings = rd_kafka_conf_new();
    kafka_set(settings, "bootstrap.servers", brokers);
    kafka_set(settings, "group.id", "bare-consumer");
    kafka_set(settings, "enable.auto.commit", "false");
    for (size_t i = 0; i < sizeof busy / sizeof *busy && !is_from_end; i++)
        kafka_set(settings, busy[i][0], busy[i][1]);
    for (size_t i = 0; i < sizeof prompt / sizeof *prompt && is_from_end; i++)
        kafka_set(settings, prompt[i][0], prompt[i][1]);
    *handle = kafka_open(RD_KAFKA_CONSUMER, settings);
    rd_kafka_poll_set_consumer(*handle);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++) {
        int64_t low, high;
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(*handle, topic, i, &low, &high, 10000);
        if (code)
            kafka_fail(topic, rd_kafka_err2str(code));
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = is_from_end ? high : low;
    }
    rd_kafka_assign(*handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    return rd_kafka_queue_get_consumer(*handle);
}
