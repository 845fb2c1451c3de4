/* Sources and sinks of Kafka as the config has them: every key, secrets from files, and that no secret is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"

#define SECOND INT64_C(1000000)

static struct config *load_with(const char *text, const struct config_override *overrides, uint32_t count)
{
    struct config_errors errors;
    config_errors_init(&errors, "weir.yaml");
    struct config *config = config_load("weir.yaml", text, overrides, count, &errors);
    if (!config)
        fail_msg("%.*s", (int)errors.text.size, errors.text.data);
    config_errors_deinit(&errors);
    return config;
}

static struct config *load(const char *text)
{
    return load_with(text, NULL, 0);
}

/* A file with that text; the caller unlinks it. */
static void write_file(char *path, const char *text)
{
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    close(descriptor);
}

static void every_kafka_option_is_read(void **state)
{
    (void)state;
    char path[] = "/tmp/config_kafka_test_XXXXXX", text[2048];
    write_file(path, "two\nlines\n");
    snprintf(
        text, sizeof text,
        "sources:\n"
        "  s:\n"
        "    kafka:\n"
        "      {brokers: \"[::1]:9092\", topics: [a, '^b.*'], group: g, profile: high_throughput, start: latest,\n"
        "       group_instance_id: one, session_timeout: 6s, buffer_size: 1MiB, partials_topic: p, dead_letter_topic: '',\n"
        "       tls: {ca: ca.pem, certificate: c.pem, key: k.pem, key_password: x, insecure_skip_verify: true},\n"
        "       sasl: {mechanism: Scram-SHA-512, username: u, password_file: %s},\n"
        "       properties: {socket.timeout.ms: 10000, client.rack: r1}}\n"
        "  c: {kafka: {brokers: b:1, topics: c, group_protocol: consumer, tls: true,\n"
        "      sasl: {mechanism: OAUTHBEARER, token_url: 'https://a/t', client_id: i, client_secret: j, scope: k}}}\n"
        "sinks:\n"
        "  k: {kafka: {brokers: ['b:1', 'a:1'], topic: out, profile: low_latency, compression: none,\n"
        "      transactional: true, transactional_id: id}}\n"
        "  l: {kafka: {brokers: b:1, topic: out, compression: zstd, tls: false}}\n",
        path);
    struct config *config = load(text);
    const struct config_kafka_source *s = &config->sources[0].kafka, *c = &config->sources[1].kafka;
    const struct config_kafka_sink *k = &config->sinks[0].kafka, *l = &config->sinks[1].kafka;
    assert_string_equal(s->connection.brokers[0], "[::1]:9092");
    assert_string_equal(s->topics[1], "^b.*");
    assert_string_equal(s->group_instance_id, "one");
    assert_int_equal(s->start, KAFKA_START_LATEST);
    assert_int_equal(s->session_timeout_us, 6 * SECOND);
    assert_int_equal(s->buffer_size, 1 << 20);
    assert_string_equal(s->partials_topic, "p");
    assert_string_equal(s->dead_letter_topic, "");
    assert_true(s->connection.tls && s->connection.tls_insecure_skip_verify);
    assert_string_equal(s->connection.tls_ca, "ca.pem");
    assert_string_equal(s->connection.tls_certificate, "c.pem");
    assert_string_equal(s->connection.tls_key, "k.pem");
    assert_string_equal(s->connection.tls_key_password, "x");
    assert_int_equal(s->connection.sasl, KAFKA_SASL_SCRAM_SHA_512);
    assert_string_equal(s->connection.sasl_username, "u");
    assert_string_equal(s->connection.sasl_password, "two\nlines");
    assert_int_equal(s->connection.property_count, 2);
    assert_string_equal(s->connection.properties[0].name, "socket.timeout.ms");
    assert_string_equal(s->connection.properties[0].value.text, "10000");
    assert_int_equal(c->group_protocol, KAFKA_CONSUMER);
    assert_true(c->connection.tls && !c->connection.tls_ca);
    assert_true(!c->partials_topic && !c->dead_letter_topic && !c->group_instance_id &&
                c->session_timeout_us == 0);
    assert_int_equal(c->connection.sasl, KAFKA_SASL_OAUTHBEARER);
    assert_string_equal(c->connection.oauth_token_url, "https://a/t");
    assert_string_equal(c->connection.oauth_client_id, "i");
    assert_string_equal(c->connection.oauth_client_secret, "j");
    assert_string_equal(c->connection.oauth_scope, "k");
    assert_int_equal(config->sinks[0].kind, SINK_KAFKA);
    assert_string_equal(k->topic, "out");
    assert_int_equal(k->profile, KAFKA_LOW_LATENCY);
    assert_int_equal(k->compression, KAFKA_COMPRESSION_NONE);
    assert_true(k->transactional && k->connection.broker_count == 2);
    assert_string_equal(k->transactional_id, "id");
    assert_int_equal(l->compression, KAFKA_COMPRESSION_ZSTD);
    assert_true(!l->transactional && !l->transactional_id && !l->connection.tls);
    config_destroy(config);
    unlink(path);
}

static void variable_adds_to_a_tls_that_is_only_switched_on(void **state)
{
    (void)state;
    const char *text = "sources: {s: {kafka: {brokers: b:1, topics: t, tls: true}}}\n";
    setenv("WEIR_SOURCES__S__KAFKA__TLS__CA", "ca.pem", 1);
    struct config *config = load(text);
    assert_true(config->sources[0].kafka.connection.tls);
    assert_string_equal(config->sources[0].kafka.connection.tls_ca, "ca.pem");
    config_destroy(config);
    unsetenv("WEIR_SOURCES__S__KAFKA__TLS__CA");
    struct config_override off[] = {{"sources.s.kafka.tls", "false"}};
    config = load_with(text, off, 1);
    assert_false(config->sources[0].kafka.connection.tls);
    config_destroy(config);
}

static void secret_file_loses_one_newline_and_no_more(void **state)
{
    (void)state;
    static const struct {
        const char *content, *secret;
    } cases[] = {{"a", "a"}, {"a\n", "a"}, {"a\r\n", "a"}, {"a\n\n", "a\n"}, {" a ", " a "}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[] = "/tmp/config_kafka_test_XXXXXX", text[512];
        write_file(path, cases[i].content);
        snprintf(text, sizeof text,
                 "sources: {s: {kafka: {brokers: b:1, topics: t, tls: true, sasl: {mechanism: oauthbearer,\n"
                 "  token_url: http://a, client_id: c, client_secret_file: %s}}}}\n",
                 path);
        struct config *config = load(text);
        assert_string_equal(config->sources[0].kafka.connection.oauth_client_secret, cases[i].secret);
        config_destroy(config);
        unlink(path);
    }
}

static void what_is_hardly_meant_is_warned_of(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"sources: {s: {kafka: {brokers: b:1, topics: t, sasl: {mechanism: PLAIN, username: u, password: p}}}}\n",
         "1:11: warning: `s` sends its password unencrypted"},
        {"sources: {s: {kafka: {brokers: b:1, topics: t, tls: {insecure_skip_verify: true}}}}\n",
         "1:11: warning: `s` does not check who the brokers are"},
        {"sources: {s: {kafka: {brokers: b:1, topics: [a, t]}}}\n"
         "pipelines: {p: {from: s, window: {tumbling: 1s}, aggregates: {n: count()}, to: k}}\n"
         "sinks: {k: {kafka: {brokers: b:1, topic: t}}}\n",
         "2:13: warning: `p` writes its results to topic `t`, which it also reads"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_errors errors;
        config_errors_init(&errors, "f");
        struct config *config = config_load("f", cases[i].text, NULL, 0, &errors);
        buffer_append_char(&errors.text, '\0');
        assert_non_null(config);
        if (!strstr(errors.text.data, cases[i].part))
            fail_msg("want %s\ngot  %s", cases[i].part, errors.text.data);
        config_destroy(config);
        config_errors_deinit(&errors);
    }
}

static void show_has_no_secret_and_reads_back(void **state)
{
    (void)state;
    char path[] = "/tmp/config_kafka_test_XXXXXX";
    write_file(
        path,
        "sources:\n"
        "  s: {kafka: {brokers: b:1, topics: [a], tls: {key: k, certificate: c, key_password: hunter2},\n"
        "      sasl: {mechanism: plain, username: user, password: hunter2},\n"
        "      properties: {ssl.keystore.password: hunter2, client.rack: r1}}}\n"
        "  u: {kafka: {brokers: b:1, topics: [b], tls: true}}\n"
        "sinks: {k: {kafka: {brokers: b:1, topic: o}}}\n");
    for (int as_json = 0; as_json < 2; as_json++) {
        struct config_errors errors;
        struct buffer out = {0};
        config_errors_init(&errors, path);
        assert_int_equal(config_show(path, NULL, 0, as_json, &out, &errors), STATUS_OK);
        buffer_append_char(&out, '\0');
        assert_null(strstr(out.data, "hunter2"));
        assert_non_null(strstr(out.data, "***"));
        assert_non_null(strstr(out.data, "client.rack"));
        assert_non_null(strstr(out.data, as_json ? "\"kafka_settings\": {" : "# sources.s:\n"));
        assert_non_null(strstr(out.data, as_json ? "\"sinks.k\": {" : "# sinks.k:\n"));
        assert_non_null(strstr(out.data, "a result that only the leader has is lost with the leader"));
        if (!as_json) {
            struct config *config = load(out.data);
            assert_true(config->sources[0].kafka.connection.tls && config->sources[1].kafka.connection.tls);
            assert_false(config->sinks[0].kafka.connection.tls);
            assert_int_equal(config->sources[0].kafka.connection.sasl, KAFKA_SASL_PLAIN);
            assert_int_equal(config->sources[0].kafka.connection.property_count, 2);
            assert_int_equal(config->sources[0].kafka.buffer_size, 64 << 20);
            config_destroy(config);
        }
        buffer_deinit(&out);
        config_errors_deinit(&errors);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kafka_option_is_read),
        cmocka_unit_test(variable_adds_to_a_tls_that_is_only_switched_on),
        cmocka_unit_test(secret_file_loses_one_newline_and_no_more),
        cmocka_unit_test(what_is_hardly_meant_is_warned_of),
        cmocka_unit_test(show_has_no_secret_and_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
