/* What librdkafka is given: the guide's numbers, which value goes before which, and that the library takes all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>

#include "config/kafka_settings.h"

/* The numbers of the performance guide, high_throughput and low_latency. */
struct guide_row {
    const char *name, *values[2];
};

static const struct guide_row guide_producer[] = {
    {"batch_size", {"65536", "1"}},
    {"linger_ms", {"10", "0"}},
    {"buffer_memory", {"134217728", 0}},
    {"compression_type", {"lz4", "none"}},
    {"acks", {"1", "1"}},
    {"enable_idempotence", {"false", 0}},
    {"retries", {"3", "0"}},
    {"retry_backoff_ms", {"100", 0}},
    {"send_buffer_bytes", {"131072", 0}},
    {"receive_buffer_bytes", {"65536", 0}},
    {"tcp_nagle", {0, "false"}},
};

static const struct guide_row guide_consumer[] = {
    {"fetch_min_bytes", {"65536", "1"}},
    {"fetch_max_wait_ms", {"500", "0"}},
    {"max_poll_records", {"5000", "100"}},
    {"receive_buffer_bytes", {"262144", 0}},
    {"send_buffer_bytes", {"131072", 0}},
    {"enable_auto_commit", {"false", "true"}},
    {"auto_commit_interval_ms", {"1000", "100"}},
    {"session_timeout_ms", {"45000", "10000"}},
    {"heartbeat_interval_ms", {"15000", "3000"}},
    {"partition_assignment_strategy", {"RoundRobinAssignor", 0}},
};

static const char *brokers[] = {"127.0.0.1:1", "[::1]:1"};

struct fixture {
    struct arena arena;
    struct config_kafka_source source;
    struct config_kafka_sink sink;
    struct kafka_settings settings;
};

static struct fixture *create(void)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    arena_init(&fixture->arena, ARENA_DEFAULT_BLOCK_SIZE);
    fixture->source = (struct config_kafka_source){
        .connection = {.brokers = brokers, .broker_count = 2}, .group = "g", .buffer_size = 64 << 20};
    fixture->sink =
        (struct config_kafka_sink){.connection = {.brokers = brokers, .broker_count = 1}, .topic = "t"};
    return fixture;
}

static void destroy(struct fixture *fixture)
{
    arena_deinit(&fixture->arena);
    free(fixture);
}

static const struct kafka_setting *row_of(const struct fixture *fixture, const char *name)
{
    for (uint32_t i = 0; i < fixture->settings.count; i++)
        if (strcmp(fixture->settings.rows[i].name, name) == 0)
            return &fixture->settings.rows[i];
    return NULL;
}

static void assert_row(const struct fixture *fixture, const char *name, const char *value, const char *origin)
{
    const struct kafka_setting *row = row_of(fixture, name);
    if (!row || strcmp(row->value, value) != 0 || strcmp(row->origin, origin) != 0)
        fail_msg("want %s=%s of %s, got %s of %s", name, value, origin, row ? row->value : "nothing",
                 row ? row->origin : "nobody");
}

static bool equal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void assert_guide(const struct guide_row *wanted, size_t count, const struct kafka_profile_row *rows,
                         uint32_t row_count)
{
    size_t found = 0;
    for (uint32_t i = 0; i < row_count; i++) {
        if (!rows[i].guide_name)
            continue;
        assert_true(found < count);
        assert_string_equal(rows[i].guide_name, wanted[found].name);
        for (int profile = 0; profile < 2; profile++)
            if (!equal(rows[i].guide[profile], wanted[found].values[profile]))
                fail_msg("%s: the guide has %s, the table %s", wanted[found].name,
                         wanted[found].values[profile], rows[i].guide[profile]);
        found++;
    }
    assert_int_equal(found, count);
}

static void profiles_hold_the_numbers_of_the_guide(void **state)
{
    (void)state;
    assert_guide(guide_producer, sizeof guide_producer / sizeof *guide_producer, kafka_producer_profile,
                 kafka_producer_profile_count);
    assert_guide(guide_consumer, sizeof guide_consumer / sizeof *guide_consumer, kafka_consumer_profile,
                 kafka_consumer_profile_count);
}

/* Spelled differently in the guide, and meaning the same. */
static bool means_the_same(const char *name, const char *guide, const char *value)
{
    if (strcmp(name, "buffer_memory") == 0)
        return strtol(guide, NULL, 10) == 1024 * strtol(value, NULL, 10);
    if (strcmp(name, "tcp_nagle") == 0)
        return strcmp(guide, value) != 0;
    return strcmp(guide, value) == 0;
}

static void assert_reasons(const struct kafka_profile_row *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (int profile = 0; profile < 2; profile++) {
            const char *guide = rows[i].guide[profile], *value = rows[i].value[profile];
            if (guide && (!value || !means_the_same(rows[i].guide_name, guide, value)) && !rows[i].reason)
                fail_msg("%s: weir uses %s instead of %s, and does not say why", rows[i].guide_name,
                         value ? value : "nothing", guide);
        }
}

static void every_value_that_is_not_the_guides_has_a_reason(void **state)
{
    (void)state;
    assert_reasons(kafka_producer_profile, kafka_producer_profile_count);
    assert_reasons(kafka_consumer_profile, kafka_consumer_profile_count);
}

static void source_gets_its_profile(void **state)
{
    (void)state;
    struct fixture *fixture = create();
    kafka_source_settings(&fixture->source, &fixture->arena, &fixture->settings);
    assert_row(fixture, "bootstrap.servers", "127.0.0.1:1,[::1]:1", "config");
    assert_row(fixture, "fetch.min.bytes", "65536", "profile high_throughput");
    assert_row(fixture, "fetch.wait.max.ms", "500", "profile high_throughput");
    assert_row(fixture, KAFKA_SETTING_POLL_RECORDS, "5000", "profile high_throughput");
    assert_row(fixture, "session.timeout.ms", "45000", "profile high_throughput");
    assert_row(fixture, "heartbeat.interval.ms", "15000", "profile high_throughput");
    assert_row(fixture, "partition.assignment.strategy", "cooperative-sticky", "weir");
    assert_row(fixture, "queued.max.messages.kbytes", "65536", "config");
    assert_row(fixture, "isolation.level", "read_committed", "weir");
    assert_row(fixture, "auto.offset.reset", "error", "weir");
    fixture->source.profile = KAFKA_LOW_LATENCY;
    kafka_source_settings(&fixture->source, &fixture->arena, &fixture->settings);
    assert_row(fixture, "fetch.min.bytes", "1", "profile low_latency");
    assert_row(fixture, KAFKA_SETTING_POLL_RECORDS, "100", "profile low_latency");
    assert_row(fixture, "session.timeout.ms", "10000", "profile low_latency");
    assert_row(fixture, "heartbeat.interval.ms", "3000", "profile low_latency");
    assert_row(fixture, "enable.auto.commit", "false", "weir");
    assert_string_equal(row_of(fixture, "enable.auto.commit")->guide, "true");
    assert_non_null(row_of(fixture, "enable.auto.commit")->reason);
    destroy(fixture);
}

static void member_of_a_consumer_group_leaves_the_session_to_the_broker(void **state)
{
    (void)state;
    struct fixture *fixture = create();
    fixture->source.group_protocol = KAFKA_CONSUMER;
    kafka_source_settings(&fixture->source, &fixture->arena, &fixture->settings);
    assert_row(fixture, "group.protocol", "consumer", "config");
    assert_null(row_of(fixture, "session.timeout.ms"));
    assert_null(row_of(fixture, "heartbeat.interval.ms"));
    assert_null(row_of(fixture, "partition.assignment.strategy"));
    destroy(fixture);
}

static void no_producer_gives_up_a_result(void **state)
{
    (void)state;
    struct fixture *fixture = create();
    for (int profile = 0; profile < 2; profile++) {
        fixture->sink.profile = (enum kafka_profile)profile;
        kafka_sink_settings(&fixture->sink, NULL, &fixture->arena, &fixture->settings);
        assert_row(fixture, "acks", "all", "weir");
        assert_row(fixture, "retries", "2147483647", "weir");
        assert_row(fixture, "enable.idempotence", "true", "weir");
        assert_row(fixture, "message.timeout.ms", "0", "weir");
        assert_row(fixture, "queue.buffering.max.kbytes", "131072",
                   profile ? "weir" : "profile high_throughput");
        assert_string_equal(row_of(fixture, "acks")->guide, "1");
    }
    assert_row(fixture, "linger.ms", "0", "profile low_latency");
    assert_row(fixture, "compression.type", "none", "profile low_latency");
    assert_row(fixture, "socket.nagle.disable", "true", "profile low_latency");
    kafka_sink_settings(NULL, &fixture->source.connection, &fixture->arena, &fixture->settings);
    assert_row(fixture, "acks", "all", "weir");
    assert_row(fixture, "bootstrap.servers", "127.0.0.1:1,[::1]:1", "config");
    destroy(fixture);
}

static void properties_go_before_keys_before_the_profile_before_weir(void **state)
{
    (void)state;
    struct fixture *fixture = create();
    struct config_named_text properties[] = {
        {"linger.ms", {.text = "7"}},
        {"compression.codec", {.text = "gzip"}}, /* the other name of compression.type */
        {"client.id", {.text = "mine"}},
        {"socket.timeout.ms", {.text = "9000"}},
    };
    fixture->sink.compression = KAFKA_COMPRESSION_ZSTD;
    kafka_sink_settings(&fixture->sink, NULL, &fixture->arena, &fixture->settings);
    assert_row(fixture, "compression.type", "zstd", "config");
    assert_row(fixture, "linger.ms", "10", "profile high_throughput");
    assert_row(fixture, "client.id", "weir", "weir");
    uint32_t count = fixture->settings.count;
    fixture->sink.connection.properties = properties;
    fixture->sink.connection.property_count = 4;
    kafka_sink_settings(&fixture->sink, NULL, &fixture->arena, &fixture->settings);
    assert_row(fixture, "compression.type", "gzip", "properties");
    assert_row(fixture, "linger.ms", "7", "properties");
    assert_row(fixture, "client.id", "mine", "properties");
    assert_row(fixture, "socket.timeout.ms", "9000", "properties");
    assert_int_equal(fixture->settings.count, count + 1);
    assert_string_equal(kafka_settings_get(&fixture->settings, "queue.buffering.max.ms"), "7");
    destroy(fixture);
}

static void heartbeat_and_poll_interval_follow_the_session(void **state)
{
    (void)state;
    struct fixture *fixture = create();
    fixture->source.session_timeout_us = 6000000;
    kafka_source_settings(&fixture->source, &fixture->arena, &fixture->settings);
    assert_row(fixture, "session.timeout.ms", "6000", "config");
    assert_row(fixture, "heartbeat.interval.ms", "2000", "config");
    fixture->source.session_timeout_us = INT64_C(1800) * 1000000;
    kafka_source_settings(&fixture->source, &fixture->arena, &fixture->settings);
    assert_row(fixture, "heartbeat.interval.ms", "15000", "profile high_throughput");
    assert_row(fixture, "max.poll.interval.ms", "1800000", "config");
    struct config_named_text property = {"heartbeat.interval.ms", {.text = "5000"}};
    fixture->source.connection.properties = &property;
    fixture->source.connection.property_count = 1;
    fixture->source.session_timeout_us = 6000000;
    kafka_source_settings(&fixture->source, &fixture->arena, &fixture->settings);
    assert_row(fixture, "heartbeat.interval.ms", "5000", "properties");
    destroy(fixture);
}

static void connection_says_how_it_is_secured(void **state)
{
    (void)state;
    struct fixture *fixture = create();
    struct config_kafka_connection *connection = &fixture->source.connection;
    kafka_connection_settings(connection, &fixture->arena, &fixture->settings);
    assert_row(fixture, "security.protocol", "plaintext", "config");
    connection->tls = true;
    connection->tls_ca = "ca.pem";
    connection->sasl = KAFKA_SASL_SCRAM_SHA_512;
    connection->sasl_username = "u";
    connection->sasl_password = "p";
    kafka_connection_settings(connection, &fixture->arena, &fixture->settings);
    assert_row(fixture, "security.protocol", "sasl_ssl", "config");
    assert_row(fixture, "sasl.mechanism", "SCRAM-SHA-512", "config");
    assert_row(fixture, "ssl.ca.location", "ca.pem", "config");
    assert_true(row_of(fixture, "sasl.password")->is_secret);
    assert_false(row_of(fixture, "sasl.username")->is_secret);
    assert_null(row_of(fixture, "enable.ssl.certificate.verification"));
    connection->tls = false;
    connection->sasl = KAFKA_SASL_OAUTHBEARER;
    connection->oauth_token_url = "https://a";
    connection->oauth_client_secret = "s";
    kafka_connection_settings(connection, &fixture->arena, &fixture->settings);
    assert_row(fixture, "security.protocol", "sasl_plaintext", "config");
    assert_row(fixture, "sasl.oauthbearer.method", "oidc", "weir");
    assert_true(row_of(fixture, "sasl.oauthbearer.client.secret")->is_secret);
    destroy(fixture);
}

/* Made for real: some combinations are refused only then. */
static void assert_accepted(const struct kafka_settings *settings, rd_kafka_type_t type,
                            const char *transactional_id)
{
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    for (uint32_t i = 0; i < settings->count; i++) {
        const struct kafka_setting *row = &settings->rows[i];
        if (kafka_setting_is_for_librdkafka(row) &&
            rd_kafka_conf_set(conf, row->name, row->value, reason, sizeof reason) != RD_KAFKA_CONF_OK)
            fail_msg("%s=%s: %s", row->name, row->value, reason);
    }
    if (transactional_id)
        assert_int_equal(rd_kafka_conf_set(conf, "transactional.id", transactional_id, reason, sizeof reason),
                         RD_KAFKA_CONF_OK);
    rd_kafka_t *handle = rd_kafka_new(type, conf, reason, sizeof reason);
    if (!handle)
        fail_msg("%s", reason);
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void librdkafka_takes_every_row(void **state)
{
    (void)state;
    struct fixture *fixture = create();
    static const int64_t sessions[] = {0, 1000000, INT64_C(3600) * 1000000};
    static const uint64_t sizes[] = {1 << 20, 64 << 20, 1 << 30};
    for (int profile = 0; profile < 2; profile++) {
        fixture->source.profile = fixture->sink.profile = (enum kafka_profile)profile;
        for (int i = 0; i < 3; i++) {
            fixture->source.group_protocol = KAFKA_CLASSIC;
            fixture->source.session_timeout_us = sessions[i];
            fixture->source.buffer_size = sizes[i];
            kafka_source_settings(&fixture->source, &fixture->arena, &fixture->settings);
            assert_accepted(&fixture->settings, RD_KAFKA_CONSUMER, NULL);
        }
        fixture->source.session_timeout_us = 0;
        fixture->source.group_protocol = KAFKA_CONSUMER;
        kafka_source_settings(&fixture->source, &fixture->arena, &fixture->settings);
        assert_accepted(&fixture->settings, RD_KAFKA_CONSUMER, NULL);
        for (int compression = 0; compression <= KAFKA_COMPRESSION_ZSTD; compression++) {
            fixture->sink.compression = (enum kafka_compression)compression;
            fixture->sink.transactional = compression % 2;
            kafka_sink_settings(&fixture->sink, NULL, &fixture->arena, &fixture->settings);
            assert_accepted(&fixture->settings, RD_KAFKA_PRODUCER, compression % 2 ? "id" : NULL);
        }
    }
    kafka_connection_settings(&fixture->source.connection, &fixture->arena, &fixture->settings);
    assert_accepted(&fixture->settings, RD_KAFKA_CONSUMER, NULL);
    assert_accepted(&fixture->settings, RD_KAFKA_PRODUCER, NULL);
    destroy(fixture);
}

static void librdkafka_takes_every_mechanism(void **state)
{
    (void)state;
    struct fixture *fixture = create();
    struct config_kafka_connection *connection = &fixture->source.connection;
    connection->sasl_username = "u";
    connection->sasl_password = "p";
    connection->tls_insecure_skip_verify = true;
    for (int sasl = KAFKA_SASL_NONE; sasl <= KAFKA_SASL_OAUTHBEARER; sasl++) {
        connection->sasl = (enum kafka_sasl)sasl;
        connection->tls = sasl % 2;
        if (sasl == KAFKA_SASL_OAUTHBEARER) {
            connection->oauth_token_url = "http://127.0.0.1:1/token";
            connection->oauth_client_id = connection->oauth_client_secret = connection->oauth_scope = "x";
        }
        kafka_connection_settings(connection, &fixture->arena, &fixture->settings);
        assert_accepted(&fixture->settings, RD_KAFKA_PRODUCER, NULL);
    }
    destroy(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles_hold_the_numbers_of_the_guide),
        cmocka_unit_test(every_value_that_is_not_the_guides_has_a_reason),
        cmocka_unit_test(source_gets_its_profile),
        cmocka_unit_test(member_of_a_consumer_group_leaves_the_session_to_the_broker),
        cmocka_unit_test(no_producer_gives_up_a_result),
        cmocka_unit_test(properties_go_before_keys_before_the_profile_before_weir),
        cmocka_unit_test(heartbeat_and_poll_interval_follow_the_session),
        cmocka_unit_test(connection_says_how_it_is_secured),
        cmocka_unit_test(librdkafka_takes_every_row),
        cmocka_unit_test(librdkafka_takes_every_mechanism),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
