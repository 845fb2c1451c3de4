/* What kafka_consumer.c, kafka_feed.c and kafka_ends.c share. For these alone. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "source/kafka_consumer.h"

struct kafka_partition_list {
    struct kafka_partition *items;
    uint32_t count, capacity;
};

/* One past the last record of a partition, as the brokers told not long ago. */
struct kafka_end {
    const char *topic;
    int32_t partition;
    int64_t offset;
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

    struct {
        rd_kafka_queue_t *answers;
        bool is_asked;
        int64_t next_us;
        pthread_mutex_t lock;    /* for what follows: the owner's thread writes, anyone reads */
        struct kafka_end *items; /* by topic and partition */
        uint32_t count;
    } ends;
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
    /* Records of the batch that was read last, in its order, kept for their keys and headers. */
    rd_kafka_message_t *delivered[BATCH_MAX_ROWS];
    uint32_t delivered_count;
};

/* kafka_ends.c. The owner's thread; init once the handle is there, deinit also without it. */
void kafka_ends_init(struct kafka_consumer *consumer);
void kafka_ends_deinit(struct kafka_consumer *consumer);
/* Takes an answer that is there, and asks when it is time. */
void kafka_ends_poll(struct kafka_consumer *consumer);

/* The same pointer for the same name, as long as the consumer lives. */
const char *kafka_consumer_intern(struct kafka_consumer *consumer, const char *topic);
