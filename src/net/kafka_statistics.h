/* What librdkafka's statistics say of a client's connections and its group, kept for /metrics. The library hands them out as JSON
 * every few seconds (statistics.interval.ms); each text holds the round trips of the time since the one before, which are added up
 * here. Without them, or when a text is not what is expected, the figures stay as they are. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KAFKA_BROKER_NAME_SIZE = 128,     /* a longer name is cut */
    KAFKA_FIGURES_BROKERS_MAX = 64,   /* connections of one client; further ones are left out */
    KAFKA_BROKERS_MAX_SIZE = 1 << 20, /* bytes of the text about brokers; a longer one is left out */
};

/* One connection. A broker may have several: for requests ("127.0.0.1:9092/1"), from the list of addresses
 * ("127.0.0.1:9092/bootstrap"), and for the group's business ("GroupCoordinator"). */
struct kafka_broker_figures {
    char name[KAFKA_BROKER_NAME_SIZE];
    uint64_t answer_count;  /* round trips since the client was made ... */
    int64_t answer_time_us; /* ... and the time that they took together */
    int64_t p50_us, p99_us; /* of the newest interval in which there were any; -1 = none yet */
};

struct kafka_figures {
    bool is_known;         /* there were statistics */
    bool is_member;        /* of its group, with its partitions settled; false for producers */
    uint32_t broker_count; /* those that have answered anything */
    struct kafka_broker_figures brokers[KAFKA_FIGURES_BROKERS_MAX];
};

/* A member of a group: what it has done so far, and how it stands. */
struct kafka_member_figures {
    bool is_member;           /* of the group, and no rebalance is under way */
    uint32_t assigned_count;  /* partitions */
    uint64_t rebalance_count; /* times that partitions were given or taken away */
    uint64_t commit_count, commit_failure_count;
    int64_t commit_time_us; /* that the commits which were taken needed together */
};

struct kafka_statistics;

struct kafka_statistics *kafka_statistics_create(void);
void kafka_statistics_destroy(struct kafka_statistics *statistics);
/* One text of librdkafka. One thread at a time. */
void kafka_statistics_add(struct kafka_statistics *statistics, const char *json, size_t size);
/* Any thread. */
void kafka_statistics_figures(struct kafka_statistics *statistics, struct kafka_figures *out);

/* Median round trip at present; -1 = not known. For a member of a group that of its coordinator, since fetches wait at the broker for
 * records that are still to come; for others that of the slowest connection. */
int64_t kafka_figures_round_trip_us(const struct kafka_figures *figures);
