/* What librdkafka is given for a source, a sink or an administrative command: one resolved row per setting, with its origin. The
 * guide's profiles are one table in kafka_settings.c. Precedence: properties > explicit keys > profile > weir's own rows; what weir
 * itself relies on (no auto-commit, offsets stored by hand, ...) cannot be overridden: config_check refuses it in `properties`. */
#pragma once

#include "config/config.h"

enum { KAFKA_SETTINGS_MAX = 192 };

/* Records that one poll hands over at most, as the profile says. The only row whose name librdkafka does not know. */
#define KAFKA_SETTING_POLL_RECORDS "weir.poll.records"

struct kafka_setting {
    const char *name, *value;
    const char *origin; /* "weir", "profile high_throughput", "config", "properties" */
    const char *guide;  /* what the profile has in the guide where weir uses another value, because ... */
    const char *reason; /* NULL when the guide's value is used, or has none, or was overridden */
    bool is_secret;     /* shown as *** */
};

struct kafka_settings {
    struct kafka_setting rows[KAFKA_SETTINGS_MAX];
    uint32_t count;
};

/* A row of a profile; arrays are by enum kafka_profile. */
struct kafka_profile_row {
    const char *guide_name;
    const char *guide[2];     /* NULL: the guide does not say */
    const char *name;         /* of librdkafka; NULL: it has no such setting */
    const char *value[2];     /* what weir uses; NULL: left to librdkafka */
    const char *reason;       /* where a value differs from the guide's */
    bool is_of_classic_group; /* with `group_protocol: consumer` the broker decides it */
};

extern const struct kafka_profile_row kafka_consumer_profile[], kafka_producer_profile[];
extern const uint32_t kafka_consumer_profile_count, kafka_producer_profile_count;

/* Texts that are made live in `arena`; others in the config. Any thread. */
void kafka_source_settings(const struct config_kafka_source *source, struct arena *arena,
                           struct kafka_settings *out);
/* A producer: of a sink, or with `sink` NULL one of weir's own (dead letters, partials) for `connection`: idempotent, acks=all. The
 * transactional.id is not among them: it is the producer's own. */
void kafka_sink_settings(const struct config_kafka_sink *sink,
                         const struct config_kafka_connection *connection, struct arena *arena,
                         struct kafka_settings *out);
/* The connection alone: admin commands, a consumer without a group. */
void kafka_connection_settings(const struct config_kafka_connection *connection, struct arena *arena,
                               struct kafka_settings *out);
/* Replaces the row of that name, or adds one. `name`, `value` and `origin` must live as long as the settings. */
void kafka_settings_set(struct kafka_settings *settings, const char *name, const char *value,
                        const char *origin);
/* NULL when there is none. */
const char *kafka_settings_get(const struct kafka_settings *settings, const char *name);
/* False for rows that are weir's own business and not librdkafka's. */
bool kafka_setting_is_for_librdkafka(const struct kafka_setting *setting);
