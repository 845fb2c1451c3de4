/* Profiles follow the performance guide. Where a value of the guide would lose or double what weir promises (acks=1, three retries,
 * automatic commits), weir keeps its promise; the table then holds both values, and the reason is shown wherever the setting is.
 *
 * The other rows are weir's. They leave librdkafka's defaults where these are good; each says why it is not one of them. */
#include "config/kafka_settings.h"

#include <assert.h>
#include <stdlib.h>

#include "config/kafka_properties.h"

#define SAME(value)  \
    {                \
        value, value \
    }

/* clang-format off */
const struct kafka_profile_row kafka_consumer_profile[] = {
    /* guide: name, high_throughput, low_latency; librdkafka: name, high_throughput, low_latency; why they differ */
    {"fetch_min_bytes", {"65536", "1"}, "fetch.min.bytes", {"65536", "1"}, NULL, false},
    {"fetch_max_wait_ms", {"500", "0"}, "fetch.wait.max.ms", {"500", "10"},
     "with fetch.min.bytes 1 the broker answers at the first byte whatever the wait is; with 0 a consumer that has nothing to read asked 6,500 times a second (with 10: 88)", false},
    {"max_poll_records", {"5000", "100"}, KAFKA_SETTING_POLL_RECORDS, {"5000", "100"}, NULL, false},
    {"receive_buffer_bytes", {"262144", NULL}, "socket.receive.buffer.bytes", {"262144", NULL}, NULL, false},
    {"send_buffer_bytes", {"131072", NULL}, "socket.send.buffer.bytes", {"131072", NULL}, NULL, false},
    {"enable_auto_commit", {"false", "true"}, "enable.auto.commit", SAME("false"),
     "an offset that is committed before its effects are durable loses them in a crash", false},
    {"auto_commit_interval_ms", {"1000", "100"}, NULL, SAME(NULL),
     "weir commits offsets itself, when their effects are durable", false},
    {"session_timeout_ms", {"45000", "10000"}, "session.timeout.ms", {"45000", "10000"}, NULL, true},
    {"heartbeat_interval_ms", {"15000", "3000"}, "heartbeat.interval.ms", {"15000", "3000"}, NULL, true},
    {"partition_assignment_strategy", {"RoundRobinAssignor", NULL}, "partition.assignment.strategy", SAME("cooperative-sticky"),
     "partitions that stay where they are go on during a rebalance", true},
    {NULL, SAME(NULL), "fetch.queue.backoff.ms", {"5", "1"}, NULL, false},
};

const struct kafka_profile_row kafka_producer_profile[] = {
    {"batch_size", {"65536", "1"}, "batch.size", SAME("65536"),
     "one message per request makes the broker the limit and latency grow without bound; with linger.ms 0 a batch is what waited for the request before", false},
    {"linger_ms", {"10", "0"}, "linger.ms", {"10", "0"}, NULL, false},
    {"buffer_memory", {"134217728", NULL}, "queue.buffering.max.kbytes", SAME("131072"), NULL, false},
    {"compression_type", {"lz4", "none"}, "compression.type", {"lz4", "none"}, NULL, false},
    {"acks", {"1", "1"}, "acks", SAME("all"), "a result that only the leader has is lost with the leader", false},
    {"enable_idempotence", {"false", NULL}, "enable.idempotence", SAME("true"),
     "without it a retry can write a result twice, or out of order", false},
    {"retries", {"3", "0"}, "retries", SAME("2147483647"),
     "a result is not given up because a broker is away for minutes", false},
    {"retry_backoff_ms", {"100", NULL}, "retry.backoff.ms", {"100", NULL}, NULL, false},
    {"send_buffer_bytes", {"131072", NULL}, "socket.send.buffer.bytes", {"131072", NULL}, NULL, false},
    {"receive_buffer_bytes", {"65536", NULL}, "socket.receive.buffer.bytes", {"65536", NULL}, NULL, false},
    {"tcp_nagle", {NULL, "false"}, "socket.nagle.disable", {NULL, "true"}, NULL, false},
};

struct plain_row {
    const char *name, *value;
};

static const struct plain_row connection_rows[] = {
    {"client.id", "weir"},
    {"socket.keepalive.enable", "true"},                /* a broker behind a dead firewall rule is noticed */
    {"broker.address.family", "any"},
    {"reconnect.backoff.ms", "100"},
    {"reconnect.backoff.max.ms", "2000"},               /* the default of 10 s is a pause after the broker is back */
    {"topic.metadata.refresh.interval.ms", "30000"},    /* new partitions and topics of a pattern; the default is 5 min */
    {"log.connection.close", "true"}, /* seen by kafka_client: the only hint at a port that wants TLS; shown when debugging */
};

static const struct plain_row consumer_rows[] = {
    {"enable.auto.offset.store", "false"},              /* stored when durable, not when handed over */
    {"auto.offset.reset", "error"},                     /* weir starts at explicit offsets, and a lost one must be told */
    {"enable.partition.eof", "false"},
    {"isolation.level", "read_committed"},
    {"check.crcs", "true"},                             /* a damaged record must not become a wrong result */
    {"allow.auto.create.topics", "false"},              /* a topic that is misspelled is told, not made */
    {"max.poll.interval.ms", "300000"},
    {"queued.min.messages", "50000"},
    {"statistics.interval.ms", "1000"},                 /* lag and the state of brokers */
};

static const struct plain_row producer_rows[] = {
    {"message.timeout.ms", "0"},                        /* never given up */
    {"max.in.flight.requests.per.connection", "5"},     /* what idempotence allows; more would also keep batches small */
    {"queue.buffering.max.messages", "0"},              /* the limit is in bytes */
    {"message.max.bytes", "8388608"},                   /* the broker's limit decides, not the client's of 1 MB */
    {"statistics.interval.ms", "5000"}, /* the state of brokers, also while nothing is sent */
    {"partitioner", "murmur2_random"},                  /* a key goes where Java's producers send it */
};
/* clang-format on */

const uint32_t kafka_consumer_profile_count = sizeof kafka_consumer_profile / sizeof *kafka_consumer_profile;
const uint32_t kafka_producer_profile_count = sizeof kafka_producer_profile / sizeof *kafka_producer_profile;

static const char *const from_weir = "weir", *const from_config = "config",
                         *const from_properties = "properties";
static const char *const from_profile[] = {"profile high_throughput", "profile low_latency"};

static struct kafka_setting *find(struct kafka_settings *settings, const char *name)
{
    for (uint32_t i = 0; i < settings->count; i++)
        if (strcmp(settings->rows[i].name, name) == 0)
            return &settings->rows[i];
    return NULL;
}

void kafka_settings_set(struct kafka_settings *settings, const char *name, const char *value,
                        const char *origin)
{
    const char *ours = kafka_property_name(name);
    struct kafka_setting *row = find(settings, ours);
    if (!row) {
        assert(settings->count < KAFKA_SETTINGS_MAX);
        row = &settings->rows[settings->count++];
    }
    *row = (struct kafka_setting){
        .name = ours, .value = value, .origin = origin, .is_secret = kafka_property_is_secret(ours)};
}

const char *kafka_settings_get(const struct kafka_settings *settings, const char *name)
{
    const char *ours = kafka_property_name(name);
    for (uint32_t i = 0; i < settings->count; i++)
        if (strcmp(settings->rows[i].name, ours) == 0)
            return settings->rows[i].value;
    return NULL;
}

bool kafka_setting_is_for_librdkafka(const struct kafka_setting *setting)
{
    return strncmp(setting->name, "weir.", strlen("weir.")) != 0;
}

/* An option of the config: absent is NULL. */
static void set_given(struct kafka_settings *settings, const char *name, const char *value)
{
    if (value)
        kafka_settings_set(settings, name, value, from_config);
}

static void set_rows(struct kafka_settings *settings, const struct plain_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        kafka_settings_set(settings, rows[i].name, rows[i].value, from_weir);
}

#define SET_ROWS(settings, rows) set_rows(settings, rows, sizeof(rows) / sizeof *(rows))

static void set_profile(struct kafka_settings *settings, const struct kafka_profile_row *rows, uint32_t count,
                        enum kafka_profile profile, bool is_classic)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct kafka_profile_row *row = &rows[i];
        const char *guide = row->guide[profile], *value = row->value[profile];
        if (!row->name || !value || (row->is_of_classic_group && !is_classic))
            continue;
        bool is_the_guides = guide && !(row->reason && strcmp(guide, value) != 0);
        kafka_settings_set(settings, row->name, value, is_the_guides ? from_profile[profile] : from_weir);
        if (guide && !is_the_guides) {
            find(settings, row->name)->guide = guide;
            find(settings, row->name)->reason = row->reason;
        }
    }
}

static const char *join(struct arena *arena, const char **texts, uint32_t count)
{
    const char *all = "";
    for (uint32_t i = 0; i < count; i++)
        all = arena_format(arena, "%s%s%s", all, i ? "," : "", texts[i]);
    return all;
}

static void set_tls(struct kafka_settings *settings, const struct config_kafka_connection *connection)
{
    set_given(settings, "ssl.ca.location", connection->tls_ca);
    set_given(settings, "ssl.certificate.location", connection->tls_certificate);
    set_given(settings, "ssl.key.location", connection->tls_key);
    set_given(settings, "ssl.key.password", connection->tls_key_password);
    if (!connection->tls_insecure_skip_verify)
        return;
    kafka_settings_set(settings, "enable.ssl.certificate.verification", "false", from_config);
    kafka_settings_set(settings, "ssl.endpoint.identification.algorithm", "none", from_config);
}

static void set_sasl(struct kafka_settings *settings, const struct config_kafka_connection *connection)
{
    static const char *const mechanisms[] = {NULL, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"};
    set_given(settings, "sasl.mechanism", mechanisms[connection->sasl]);
    set_given(settings, "sasl.username", connection->sasl_username);
    set_given(settings, "sasl.password", connection->sasl_password);
    if (!connection->oauth_token_url)
        return;
    kafka_settings_set(settings, "sasl.oauthbearer.method", "oidc", from_weir);
    set_given(settings, "sasl.oauthbearer.token.endpoint.url", connection->oauth_token_url);
    set_given(settings, "sasl.oauthbearer.client.id", connection->oauth_client_id);
    set_given(settings, "sasl.oauthbearer.client.secret", connection->oauth_client_secret);
    set_given(settings, "sasl.oauthbearer.scope", connection->oauth_scope);
}

static void set_connection(struct kafka_settings *settings, const struct config_kafka_connection *connection,
                           struct arena *arena)
{
    static const char *const protocols[2][2] = {{"plaintext", "ssl"}, {"sasl_plaintext", "sasl_ssl"}};
    bool has_sasl = connection->sasl != KAFKA_SASL_NONE;
    kafka_settings_set(settings, "bootstrap.servers",
                       join(arena, connection->brokers, connection->broker_count), from_config);
    kafka_settings_set(settings, "security.protocol", protocols[has_sasl][connection->tls], from_config);
    set_tls(settings, connection);
    set_sasl(settings, connection);
}

static void set_properties(struct kafka_settings *settings, const struct config_kafka_connection *connection)
{
    for (uint32_t i = 0; i < connection->property_count; i++)
        kafka_settings_set(settings, connection->properties[i].name, connection->properties[i].value.text,
                           from_properties);
}

/* Fetches hold at most a quarter of the buffer, so that several partitions are under way at a time. */
static void set_buffer(struct kafka_settings *settings, uint64_t buffer_size, struct arena *arena)
{
    enum { LEAST = 1024 * 1024, MOST = 16 * 1024 * 1024 };
    uint64_t fetch_size = buffer_size / 4 < LEAST ? LEAST : buffer_size / 4 > MOST ? MOST : buffer_size / 4;
    kafka_settings_set(settings, "queued.max.messages.kbytes",
                       arena_format(arena, "%llu", (unsigned long long)(buffer_size / 1024)), from_config);
    kafka_settings_set(settings, "fetch.max.bytes",
                       arena_format(arena, "%llu", (unsigned long long)fetch_size), from_config);
    kafka_settings_set(settings, "fetch.message.max.bytes", arena_format(arena, "%d", LEAST), from_weir);
}

/* Neighbours of the session timeout that would contradict it follow it, unless they were given. */
static void fit_to_session(struct kafka_settings *settings, struct arena *arena)
{
    struct kafka_setting *session = find(settings, "session.timeout.ms");
    struct kafka_setting *heartbeat = find(settings, "heartbeat.interval.ms");
    struct kafka_setting *poll = find(settings, "max.poll.interval.ms");
    long session_ms = session ? strtol(session->value, NULL, 10) : 0;
    if (session && heartbeat && heartbeat->origin != from_properties &&
        strtol(heartbeat->value, NULL, 10) > session_ms / 3)
        kafka_settings_set(settings, heartbeat->name, arena_format(arena, "%ld", session_ms / 3),
                           session->origin);
    if (session && poll->origin != from_properties && strtol(poll->value, NULL, 10) < session_ms)
        kafka_settings_set(settings, poll->name, session->value, session->origin);
}

void kafka_source_settings(const struct config_kafka_source *source, struct arena *arena,
                           struct kafka_settings *out)
{
    bool is_classic = source->group_protocol == KAFKA_CLASSIC;
    out->count = 0;
    SET_ROWS(out, connection_rows);
    SET_ROWS(out, consumer_rows);
    set_profile(out, kafka_consumer_profile, kafka_consumer_profile_count, source->profile, is_classic);
    set_connection(out, &source->connection, arena);
    kafka_settings_set(out, "group.id", source->group, from_config);
    kafka_settings_set(out, "group.protocol", is_classic ? "classic" : "consumer", from_config);
    set_given(out, "group.instance.id", source->group_instance_id);
    if (source->session_timeout_us > 0)
        kafka_settings_set(out, "session.timeout.ms",
                           arena_format(arena, "%lld", (long long)(source->session_timeout_us / 1000)),
                           from_config);
    set_buffer(out, source->buffer_size, arena);
    set_properties(out, &source->connection);
    fit_to_session(out, arena);
}

void kafka_sink_settings(const struct config_kafka_sink *sink,
                         const struct config_kafka_connection *connection, struct arena *arena,
                         struct kafka_settings *out)
{
    static const char *const compressions[] = {NULL, "none", "gzip", "snappy", "lz4", "zstd"};
    const struct config_kafka_connection *used = sink ? &sink->connection : connection;
    out->count = 0;
    SET_ROWS(out, connection_rows);
    SET_ROWS(out, producer_rows);
    set_profile(out, kafka_producer_profile, kafka_producer_profile_count,
                sink ? sink->profile : KAFKA_HIGH_THROUGHPUT, false);
    set_connection(out, used, arena);
    if (sink)
        set_given(out, "compression.type", compressions[sink->compression]);
    /* What a process that died or stands still has left open keeps the next owner of its partitions waiting for so long. A transaction
     * that a slow store outlasts is aborted and made again. */
    if (sink && sink->transactional)
        kafka_settings_set(out, "transaction.timeout.ms", "15000", from_weir);
    set_properties(out, used);
}

void kafka_connection_settings(const struct config_kafka_connection *connection, struct arena *arena,
                               struct kafka_settings *out)
{
    out->count = 0;
    SET_ROWS(out, connection_rows);
    set_connection(out, connection, arena);
    set_properties(out, connection);
}
