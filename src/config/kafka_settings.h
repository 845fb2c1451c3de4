/* What librdkafka is given for a source, a sink or an administrative command: one resolved row per setting, with its origin. The
 * guide's profiles are one table in kafka_settings.c. Precedence: properties > explicit keys > profile > weir's own rows; what weir
 * itself relies on (no auto-commit, offsets stored by hand, ...) cannot be overridden: config_check refuses it in `properties`. */
#pragma once

#include "config/config.h"

enum { KAFKA_SETTINGS_MAX = 192 };

struct kafka_setting {
    const char *name, *value;
    const char *origin; /* "weir", "profile high_throughput", "config", "properties" */
    bool is_secret;     /* shown as *** */
};

struct kafka_settings {
    struct kafka_setting rows[KAFKA_SETTINGS_MAX];
    uint32_t count;
};

/* Texts that are made live in `arena`. Any thread. */
void kafka_source_settings(const struct config_kafka_source *source, struct arena *arena,
                           struct kafka_settings *out);
/* A producer: of a sink, or with `sink` NULL one of weir's own (dead letters, partials) for `connection`: idempotent, acks=all. */
void kafka_sink_settings(const struct config_kafka_sink *sink,
                         const struct config_kafka_connection *connection, struct arena *arena,
                         struct kafka_settings *out);
/* The connection alone: admin commands, a consumer without a group. */
void kafka_connection_settings(const struct config_kafka_connection *connection, struct arena *arena,
                               struct kafka_settings *out);
/* Replaces the row of that name, or adds one. */
void kafka_settings_set(struct kafka_settings *settings, const char *name, const char *value,
                        const char *origin);
/* NULL when there is none. */
const char *kafka_settings_get(const struct kafka_settings *settings, const char *name);
