/* What weir's commands ask of a Kafka cluster and tell it: topics, their settings and offsets, offsets of groups. Every call waits for the
 * brokers, at most its timeout. One thread. */
#pragma once

#include "base/arena.h"
#include "net/kafka_client.h"

enum { KAFKA_ADMIN_PARTITIONS_MAX = 100000 /* that are looked at in one run */ };

#define KAFKA_OFFSET_NONE (-1) /* not known, or nothing committed */

struct kafka_partition_info {
    int32_t id, leader; /* leader -1: none at present */
    const int32_t *replicas, *in_sync;
    uint32_t replica_count, in_sync_count;
    int64_t earliest, latest; /* kafka_admin_read_offsets() */
    int64_t newest_time_ms;   /* of the newest record by its timestamp; -1 = none */
    int64_t committed;        /* kafka_admin_read_group() */
    int64_t
        committed_time_ms; /* kafka_read_record_times(): of the first record that the group has not read; -1 = none */
};

struct kafka_topic_info {
    const char *name;
    struct kafka_partition_info *partitions; /* by id */
    uint32_t partition_count;
    const char *cleanup_policy, *retention_ms, *retention_bytes,
        *min_insync; /* kafka_admin_read_configs(); NULL = unknown */
};

struct kafka_topics {
    struct arena arena;
    uint32_t broker_count;
    struct kafka_topic_info *topics; /* by name */
    uint32_t topic_count;
};

struct kafka_admin;

/* Settings of the client that the functions below want: `settings` with a group.id that is never joined. */
void kafka_admin_prepare(struct kafka_settings *settings);
/* `client` outlives it; it is a consumer with a group.id: librdkafka 2.15.1 crashes when a group's coordinator has moved and the handle
 * that asks for offsets has no group of its own. */
struct kafka_admin *kafka_admin_create(struct kafka_client *client, int64_t timeout_us);
void kafka_admin_destroy(struct kafka_admin *admin);

/* Topics of these names, or all but Kafka's own when `name_count` is 0. STATUS_NOT_FOUND: there is none of a name. */
NODISCARD
enum status kafka_admin_read_topics(struct kafka_admin *admin, const char *const *names, size_t name_count,
                                    struct kafka_topics *out, struct error *error);
void kafka_topics_deinit(struct kafka_topics *topics);
NODISCARD
enum status kafka_admin_read_configs(struct kafka_admin *admin, struct kafka_topics *topics,
                                     struct error *error);
NODISCARD
enum status kafka_admin_read_offsets(struct kafka_admin *admin, struct kafka_topics *topics,
                                     struct error *error);
/* What `group` has committed. A group that does not exist has committed nothing. */
NODISCARD
enum status kafka_admin_read_group(struct kafka_admin *admin, const char *group, struct kafka_topics *topics,
                                   struct error *error);
/* Commits for a group without members: each partition of `topics` whose `committed` is not KAFKA_OFFSET_NONE. */
NODISCARD
enum status kafka_admin_write_group(struct kafka_admin *admin, const char *group,
                                    const struct kafka_topics *topics, struct error *error);

struct kafka_new_topic {
    const char *name;
    int32_t partitions;  /* -1 = as the broker is configured */
    int32_t replication; /* -1 = likewise */
    const struct config_named_text *configs;
    uint32_t config_count;
};
/* STATUS_BUSY: a topic of that name exists. */
NODISCARD
enum status kafka_admin_create_topic(struct kafka_admin *admin, const struct kafka_new_topic *topic,
                                     struct error *error);

/* Reads, with a consumer of its own made of `settings`, the first record at or behind each partition's committed offset that has any,
 * and sets committed_time_ms. What does not come within the timeout stays -1. */
NODISCARD
enum status kafka_read_record_times(const struct kafka_settings *settings, struct kafka_topics *topics,
                                    int64_t timeout_us, struct error *error);
