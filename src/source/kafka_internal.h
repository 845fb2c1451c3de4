/* What kafka_consumer.c and kafka_feed.c share. For these two alone. */
#pragma once

#include <stdatomic.h>

#include "source/kafka_consumer.h"

struct kafka_partition_list {
    struct kafka_partition *items;
    uint32_t count, capacity;
};

struct kafka_consumer {
    const struct config *config;
    const struct clock *clock;
    uint32_t *source_indices;
    uint32_t source_count;
    void *owner;
    void (*revoked)(void *context, bool is_lost);
    void (*assigned)(void *context);

    struct kafka_client *client;
    rd_kafka_t *handle;
    rd_kafka_queue_t *waiting_room; /* of partitions that are assigned and not started */
    struct kafka_partition_list assignment, known;
    char **topics; /* interned names */
    uint32_t topic_count, topic_capacity;
    /* Relaxed statistics: the owner's thread writes, anyone reads. */
    _Atomic uint64_t rebalance_count, commit_count, commit_failure_count;
    _Atomic int64_t commit_time_us;
    _Atomic uint32_t assigned_count;
    bool has_left;
};

struct kafka_reader;

/* Of one source; relaxed, the shard's thread alone writes. */
struct kafka_fetch_count {
    _Atomic uint64_t messages, bytes;
};

/* One per shard; the shard's thread alone uses it. */
struct kafka_feed {
    struct kafka_consumer *consumer;
    rd_kafka_queue_t *queue;
    struct kafka_reader *readers; /* linked by next_reader */
    uint32_t stashed_count;
    struct kafka_fetch_count *fetched; /* [consumer->source_count] */
    rd_kafka_message_t *taken[KAFKA_FEED_MAX_MESSAGES];
};

/* The same pointer for the same name, as long as the consumer lives. */
const char *kafka_consumer_intern(struct kafka_consumer *consumer, const char *topic);
