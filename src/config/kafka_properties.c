/* Most settings of librdkafka are the user's business. Those that weir relies on (who commits which offsets, that nothing is
 * acknowledged early) are not, and a setting that has a key of its own in weir's config would make the checks of that key
 * worthless. All others are tried on a configuration of the library itself, so that a slip of the pen is told by `weir check` and
 * not by the first connection. */
#include "config/kafka_properties.h"

#include <librdkafka/rdkafka.h>

#include "config/options.h"

struct alias {
    const char *other, *ours;
};

static const struct alias aliases[] = {
    {"metadata.broker.list", "bootstrap.servers"},
    {"max.in.flight", "max.in.flight.requests.per.connection"},
    {"sasl.mechanisms", "sasl.mechanism"},
    {"sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"},
    {"sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"},
    {"max.partition.fetch.bytes", "fetch.message.max.bytes"},
    {"queue.buffering.max.ms", "linger.ms"},
    {"message.send.max.retries", "retries"},
    {"compression.codec", "compression.type"},
    {"request.required.acks", "acks"},
    {"delivery.timeout.ms", "message.timeout.ms"},
    {"auto.commit.enable", "enable.auto.commit"},
};

#define ALWAYS                                                                             \
    (KAFKA_PROPERTY_OF_SOURCE | KAFKA_PROPERTY_OF_SINK | KAFKA_PROPERTY_OF_CLASSIC_GROUP | \
     KAFKA_PROPERTY_OF_CONSUMER_GROUP)
#define COMMITS                                                                                           \
    "weir commits an offset itself, and only after its effects are durable; with this, results could be " \
    "lost; remove it"
#define SERVER_SIDE                                                                                         \
    "with `group_protocol: consumer` the broker decides it (group.consumer.* of the broker, or consumer.* " \
    "of the group); remove it"

/* What weir relies on. */
static const struct {
    const char *name;
    unsigned use;
    const char *words; /* values that are allowed; NULL: none */
    const char *reason;
} refused[] = {
    {"bootstrap.servers", ALWAYS, NULL, "give `brokers` instead"},
    {"log.queue", ALWAYS, NULL, "log lines would be lost; remove it"},
    {"plugin.library.paths", ALWAYS, NULL, "weir does not load foreign code; remove it"},
    {"group.id", KAFKA_PROPERTY_OF_SOURCE, NULL, "give `group` instead"},
    {"group.protocol", KAFKA_PROPERTY_OF_SOURCE, NULL, "give `group_protocol` instead"},
    {"group.instance.id", KAFKA_PROPERTY_OF_SOURCE, NULL, "give `group_instance_id` instead"},
    {"enable.auto.commit", KAFKA_PROPERTY_OF_SOURCE, NULL, COMMITS},
    {"auto.commit.interval.ms", KAFKA_PROPERTY_OF_SOURCE, NULL, COMMITS},
    {"enable.auto.offset.store", KAFKA_PROPERTY_OF_SOURCE, NULL, COMMITS},
    {"auto.offset.reset", KAFKA_PROPERTY_OF_SOURCE, NULL,
     "give `start: earliest` or `start: latest` instead"},
    {"enable.partition.eof", KAFKA_PROPERTY_OF_SOURCE, NULL, "a stream has no end; remove it"},
    {"session.timeout.ms", KAFKA_PROPERTY_OF_CONSUMER_GROUP, NULL, SERVER_SIDE},
    {"heartbeat.interval.ms", KAFKA_PROPERTY_OF_CONSUMER_GROUP, NULL, SERVER_SIDE},
    {"partition.assignment.strategy", KAFKA_PROPERTY_OF_CONSUMER_GROUP, NULL, SERVER_SIDE},
    {"group.protocol.type", KAFKA_PROPERTY_OF_CONSUMER_GROUP, NULL, SERVER_SIDE},
    {"enable.idempotence", KAFKA_PROPERTY_OF_SINK, "true",
     "without idempotence results could be written twice or out of order; remove it"},
    {"acks", KAFKA_PROPERTY_OF_SINK, "all|-1",
     "a result that only the leader has is lost with the leader; remove it"},
    {"transactional.id", KAFKA_PROPERTY_OF_SINK, NULL,
     "give `transactional: true`, and `transactional_id` where the default does not fit"},
    {"delivery.report.only.error", KAFKA_PROPERTY_OF_SINK, NULL,
     "weir waits for every acknowledgement; remove it"},
};

const char *kafka_property_name(const char *name)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(aliases[i].other, name) == 0)
            return aliases[i].ours;
    return name;
}

bool kafka_property_is_secret(const char *name)
{
    static const char *const parts[] = {"password", "passphrase", "secret", "key.pem", "oauthbearer.config"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(name, parts[i]))
            return true;
    return false;
}

static bool is_one_of(const char *words, const char *value)
{
    size_t size = strlen(value);
    for (const char *at = words; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strncmp(at, value, size) == 0 && (at[size] == '|' || at[size] == '\0'))
            return true;
    return false;
}

/* librdkafka has them apart: kept partitions go on in a cooperative rebalance, and stop in an eager one. */
static bool mixes_assignors(const char *value)
{
    return strstr(value, "cooperative-sticky") && (strstr(value, "range") || strstr(value, "roundrobin"));
}

static const char *nearest_name(const char *name, struct arena *arena)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_conf_t *topic_conf = rd_kafka_topic_conf_new();
    size_t count = 0, topic_count = 0;
    const char **pairs = rd_kafka_conf_dump(conf, &count);
    const char **topic_pairs = rd_kafka_topic_conf_dump(topic_conf, &topic_count);
    size_t alias_count = sizeof aliases / sizeof *aliases;
    size_t capacity = count + topic_count + 2 * alias_count;
    const char **names = arena_allocate(arena, capacity * sizeof *names);
    size_t name_count = 0;
    for (size_t i = 0; i + 1 < count; i += 2)
        names[name_count++] = arena_copy_text(arena, pairs[i]);
    for (size_t i = 0; i + 1 < topic_count; i += 2)
        names[name_count++] = arena_copy_text(arena, topic_pairs[i]);
    for (size_t i = 0; i < alias_count; i++) {
        names[name_count++] = aliases[i].other;
        names[name_count++] = aliases[i].ours;
    }
    rd_kafka_conf_dump_free(pairs, count);
    rd_kafka_conf_dump_free(topic_pairs, topic_count);
    rd_kafka_conf_destroy(conf);
    rd_kafka_topic_conf_destroy(topic_conf);
    return suggest(name, names, name_count);
}

/* What the library says to it. */
static enum kafka_property_verdict try_property(const char *name, const char *value, struct arena *arena,
                                                struct error *reason)
{
    char text[512] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, text, sizeof text);
    rd_kafka_conf_destroy(conf);
    if (result == RD_KAFKA_CONF_OK)
        return KAFKA_PROPERTY_OK;
    if (result == RD_KAFKA_CONF_INVALID) {
        error_set(reason, "librdkafka refuses it: %s", kafka_property_is_secret(name) ? "wrong value" : text);
        return KAFKA_PROPERTY_WRONG_VALUE;
    }
    const char *near = nearest_name(name, arena);
    if (near)
        error_set(reason, "librdkafka has no such setting; did you mean `%s`?", near);
    else
        error_set(reason, "librdkafka has no such setting; its CONFIGURATION.md lists them");
    return KAFKA_PROPERTY_WRONG_NAME;
}

enum kafka_property_verdict kafka_property_check(const char *name, const char *value, unsigned use,
                                                 struct arena *arena, struct error *reason)
{
    const char *ours = kafka_property_name(name);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (strcmp(refused[i].name, ours) != 0 || !(refused[i].use & use))
            continue;
        if (refused[i].words && is_one_of(refused[i].words, value))
            continue;
        error_set(reason, "%s", refused[i].reason);
        return refused[i].words ? KAFKA_PROPERTY_WRONG_VALUE : KAFKA_PROPERTY_WRONG_NAME;
    }
    if (strcmp(ours, "partition.assignment.strategy") == 0 && mixes_assignors(value)) {
        error_set(reason,
                  "`%s` mixes a cooperative and an eager strategy; give one, and the same to all "
                  "members of the group",
                  value);
        return KAFKA_PROPERTY_WRONG_VALUE;
    }
    return try_property(name, value, arena, reason);
}
