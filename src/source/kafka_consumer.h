/* One member of a consumer group: a handle for all kafka sources of the process that share brokers and group. It tells its owner what
 * was assigned and taken away, and reads nothing until the owner says from where: positions come with what recovery needs
 * (see pipeline/membership.h), never from the client library's own defaults.
 *
 *   partition queues ─▶ one queue per shard (kafka_feed) ─▶ readers of that shard's partitions        wakes the shard's eventfd
 *
 * All functions belong to the owner's thread, but for those of feeds and readers, which are the shard's, and where it is said. */
#pragma once

#include "flow/source.h"
#include "net/kafka_client.h"

enum {
    KAFKA_FEED_MAX_MESSAGES = 4096, /* taken from a shard's queue and not yet delivered to its readers */
    KAFKA_CALL_TIMEOUT_MS = 10 * 1000,
};

struct kafka_consumer;
struct kafka_feed;

/* A partition of one of the consumer's sources. `topic` lives as long as the consumer. */
struct kafka_partition {
    uint32_t source_index; /* in the configuration */
    const char *topic;
    int32_t partition;
};

struct kafka_consumer_options {
    const struct config *config;
    const uint32_t *source_indices; /* sources that share brokers and group */
    uint32_t source_count;
    const struct clock *clock;
    void *context;
    /* Called within kafka_consumer_poll(). revoked: before partitions are given up; what is durable should be committed before it
     * returns, unless `is_lost`: then another member may have them already. assigned: after the change. */
    void (*revoked)(void *context, bool is_lost);
    void (*assigned)(void *context);
};

/* Joins the group in the background. */
NODISCARD
enum status kafka_consumer_create(const struct kafka_consumer_options *options, struct kafka_consumer **out,
                                  struct error *error);
/* Leaves the group. Readers must have been closed. */
void kafka_consumer_destroy(struct kafka_consumer *consumer);
void kafka_consumer_poll(struct kafka_consumer *consumer, int64_t timeout_us);
/* Leaves the group in good order, which calls revoked(); at once when the brokers are away. */
void kafka_consumer_leave(struct kafka_consumer *consumer);

/* The name as it is used in assignments, which may be compared by pointer. */
const char *kafka_consumer_topic(struct kafka_consumer *consumer, const char *topic);
/* Generation (or epoch) of this member's assignment: grows with every change. */
int64_t kafka_consumer_generation(const struct kafka_consumer *consumer);
struct kafka_client *kafka_consumer_client(const struct kafka_consumer *consumer);

/* What is assigned at present, by topic and partition. Valid until the next poll. */
const struct kafka_partition *kafka_consumer_assignment(const struct kafka_consumer *consumer,
                                                        uint32_t *count);
/* All partitions that exist of the consumer's topics, as the brokers tell now, by topic and partition; valid until the next call.
 * STATUS_NOT_FOUND: a topic that is no pattern does not exist. */
NODISCARD
enum status kafka_consumer_partitions(struct kafka_consumer *consumer,
                                      const struct kafka_partition **partitions, uint32_t *count,
                                      struct error *error);

/* The same without asking, as they were told last. */
const struct kafka_partition *kafka_consumer_known(const struct kafka_consumer *consumer, uint32_t *count);

/* Positions of the group as the broker has them. */
struct kafka_position {
    struct kafka_partition id;
    int64_t offset;       /* committed, or to begin at; -1 = none */
    const char *metadata; /* as committed, "" = none; kafka_consumer_committed() puts it into its arena */
    int64_t low,
        high; /* first offset that exists, and one past the last; filled by kafka_consumer_bounds() */
};

NODISCARD
enum status kafka_consumer_committed(struct kafka_consumer *consumer, struct kafka_position *positions,
                                     uint32_t count, struct arena *arena, struct error *error);
NODISCARD
enum status kafka_consumer_bounds(struct kafka_consumer *consumer, struct kafka_position *positions,
                                  uint32_t count, struct error *error);
/* Commits positions[].offset with its metadata and waits for the broker, at most `timeout_us`. STATUS_CLOSED: this member is no longer of the group (a
 * later generation owns the partitions). STATUS_IO: the broker did not answer or refused. */
NODISCARD
enum status kafka_consumer_commit(struct kafka_consumer *consumer, const struct kafka_position *positions,
                                  uint32_t count, int64_t timeout_us, struct error *error);

/* What this member has done so far, and how it stands. Any thread. */
void kafka_consumer_figures(const struct kafka_consumer *consumer, struct kafka_member_figures *member,
                            struct kafka_figures *client);

/* One past the last record of an assigned partition, as the brokers told a second or two ago, whether it is read at present or not;
 * -1 = not known. Any thread. */
int64_t kafka_consumer_end(struct kafka_consumer *consumer, const char *topic, int32_t partition);

/* For transactional sinks. Freed by rd_kafka_consumer_group_metadata_destroy(). Any thread. */
rd_kafka_consumer_group_metadata_t *kafka_consumer_group(const struct kafka_consumer *consumer);

/* --- reading ------------------------------------------------------------------------------------------------------- */

/* The queue of a shard. `waker` is woken when the queue is no longer empty. */
struct kafka_feed *kafka_feed_create(struct kafka_consumer *consumer, const struct waker *waker);
void kafka_feed_destroy(struct kafka_feed *feed);
/* Forgets what was taken and not delivered. Only while the shard rests. */
void kafka_feed_clear(struct kafka_feed *feed);

/* Messages of a source that this shard has taken over, those included that were read again, and the bytes of their keys and values.
 * They outlive the readers. Any thread. */
void kafka_feed_fetched(const struct kafka_feed *feed, uint32_t source_index, uint64_t *messages,
                        uint64_t *bytes);

/* Nothing of the assigned partitions is fetched until they are started. */
void kafka_consumer_pause(struct kafka_consumer *consumer);
/* Reading goes on at `offset`, into the feed. STATUS_AGAIN: not assigned yet; later. */
NODISCARD
enum status kafka_consumer_start(struct kafka_consumer *consumer, const struct kafka_position *positions,
                                 struct kafka_feed *const *feeds, uint32_t count, struct error *error);
/* The reader of a started partition. Key and headers are put into batches only if the decoder `reads_metadata`; else the feed has them
 * for whoever asks, until any of its readers is read again. */
struct source_reader *kafka_reader_open(struct kafka_feed *feed, const struct kafka_partition *partition,
                                        bool reads_metadata);
/* Where the log ended at the last fetch; -1 = not known yet. Thread: the shard's. */
int64_t kafka_reader_log_end(const struct source_reader *reader);
/* The newest delivered record's own time; TIME_NONE before the first. For lag in seconds. Thread: the shard's. */
int64_t kafka_reader_newest_time_us(const struct source_reader *reader);
