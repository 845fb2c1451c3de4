/* Handles of librdkafka: settings it refuses, trouble in words, and that trouble ends. The cluster is librdkafka's own mock. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "net/kafka_client.h"

/* Wants rdkafka.h before it. */
#include <librdkafka/rdkafka_mock.h>

#define SECOND INT64_C(1000000)

enum { PATIENCE_S = 30 };

struct fixture {
    struct arena arena;
    const char *brokers[3];
    struct config_kafka_source source;
    struct kafka_settings settings;
};

static struct fixture *create(const char *brokers)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    arena_init(&fixture->arena, ARENA_DEFAULT_BLOCK_SIZE);
    fixture->brokers[0] = arena_copy_text(&fixture->arena, brokers);
    fixture->source = (struct config_kafka_source){
        .connection = {.brokers = fixture->brokers, .broker_count = 1}, .group = "g", .buffer_size = 1 << 20};
    kafka_source_settings(&fixture->source, &fixture->arena, &fixture->settings);
    kafka_settings_set(&fixture->settings, "statistics.interval.ms", "100", "config");
    return fixture;
}

static void destroy(struct fixture *fixture)
{
    arena_deinit(&fixture->arena);
    free(fixture);
}

static struct kafka_client *open_client(struct fixture *fixture, bool is_consumer)
{
    struct error error;
    struct kafka_client *client;
    struct kafka_client_options options = {
        .is_consumer = is_consumer, .settings = &fixture->settings, .name = "source events"};
    if (kafka_client_create(&options, &client, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return client;
}

/* Polls until there is trouble with `part` in it, or with `part` NULL until there is none. */
static void wait_for(struct kafka_client *client, const char *part)
{
    struct error error = {"nothing was told"};
    int64_t end_us = clock_monotonic_us(&clock_system) + PATIENCE_S * SECOND;
    while (clock_monotonic_us(&clock_system) < end_us) {
        rd_kafka_poll(kafka_client_handle(client), 20);
        bool has_trouble = kafka_client_trouble(client, &error);
        if (part ? has_trouble && strstr(error.text, part) : !has_trouble)
            return;
    }
    fail_msg("want %s, got %s", part ? part : "no trouble", error.text);
}

/* An address at which nothing listens, and nothing will as long as the socket is open. */
static int closed_port(char *out, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_size = sizeof address;
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)&address, &address_size), 0);
    snprintf(out, size, "127.0.0.1:%d", ntohs(address.sin_port));
    return descriptor;
}

struct cluster {
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *mock;
};

static struct cluster start_cluster(int broker_count)
{
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    struct cluster cluster = {.owner = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason)};
    cluster.mock = rd_kafka_mock_cluster_new(cluster.owner, broker_count);
    assert_non_null(cluster.mock);
    return cluster;
}

static void stop_cluster(struct cluster *cluster)
{
    rd_kafka_mock_cluster_destroy(cluster->mock);
    rd_kafka_destroy(cluster->owner);
}

static void refused_setting_is_named_with_its_origin(void **state)
{
    (void)state;
    struct fixture *fixture = create("127.0.0.1:1");
    struct error error;
    struct kafka_client *client;
    struct kafka_client_options options = {.settings = &fixture->settings, .name = "sink out"};
    kafka_settings_set(&fixture->settings, "socket.timeout.ms", "soon", "properties");
    assert_int_equal(kafka_client_create(&options, &client, &error), STATUS_INVALID);
    assert_null(client);
    assert_non_null(
        strstr(error.text, "sink out: librdkafka refuses the setting `socket.timeout.ms` (from properties)"));
    kafka_settings_set(&fixture->settings, "socket.timeout.ms", "1000", "properties");
    kafka_settings_set(&fixture->settings, "no.such.thing", "1", "properties");
    assert_int_equal(kafka_client_create(&options, &client, &error), STATUS_INVALID);
    assert_non_null(strstr(error.text, "`no.such.thing`"));
    destroy(fixture);
}

static void refused_combination_is_told(void **state)
{
    (void)state;
    struct fixture *fixture = create("127.0.0.1:1");
    struct error error;
    struct kafka_client *client;
    struct kafka_client_options options = {
        .is_consumer = true, .settings = &fixture->settings, .name = "source s"};
    kafka_settings_set(&fixture->settings, "session.timeout.ms", "900000", "properties");
    assert_int_equal(kafka_client_create(&options, &client, &error), STATUS_INVALID);
    assert_non_null(strstr(error.text, "source s: librdkafka refuses the settings: "));
    assert_non_null(strstr(error.text, "max.poll.interval.ms"));
    destroy(fixture);
}

static void file_of_tls_that_is_not_there_is_told_with_its_key(void **state)
{
    (void)state;
    struct fixture *fixture = create("127.0.0.1:1");
    struct error error;
    struct kafka_client *client;
    struct kafka_client_options options = {
        .is_consumer = true, .settings = &fixture->settings, .name = "source s"};
    fixture->source.connection.tls = true;
    fixture->source.connection.tls_ca = "no/such/ca.pem";
    kafka_source_settings(&fixture->source, &fixture->arena, &fixture->settings);
    assert_int_equal(kafka_client_create(&options, &client, &error), STATUS_INVALID);
    assert_non_null(strstr(error.text, "; give a PEM file in `tls.ca`"));
    destroy(fixture);
}

static void broker_that_is_away_is_trouble_in_words(void **state)
{
    (void)state;
    char address[32];
    int descriptor = closed_port(address, sizeof address);
    struct fixture *fixture = create(address);
    for (int is_consumer = 0; is_consumer < 2; is_consumer++) {
        struct kafka_client *client = open_client(fixture, is_consumer);
        wait_for(client, "nothing listens at the broker's address");
        wait_for(client, address);
        wait_for(client, "correct `brokers`");
        assert_false(kafka_client_is_fatal(client));
        int64_t start_us = clock_monotonic_us(&clock_system);
        kafka_client_destroy(client);
        assert_true(clock_monotonic_us(&clock_system) - start_us < PATIENCE_S * SECOND);
    }
    destroy(fixture);
    close(descriptor);
}

static void trouble_with_connections_ends_when_a_broker_is_back(void **state)
{
    (void)state;
    struct cluster cluster = start_cluster(1);
    struct fixture *fixture = create(rd_kafka_mock_cluster_bootstraps(cluster.mock));
    struct kafka_client *client = open_client(fixture, true);
    for (int i = 0; i < 2; i++) {
        rd_kafka_mock_broker_set_down(cluster.mock, 1);
        wait_for(client, "broker");
        rd_kafka_mock_broker_set_up(cluster.mock, 1);
        wait_for(client, NULL);
    }
    kafka_client_destroy(client);
    destroy(fixture);
    stop_cluster(&cluster);
}

/* What the broker's end of the connection does when its port wants TLS and gets none. */
static void *hang_up_on_all(void *argument)
{
    int listener = *(int *)argument, connection;
    char bytes[256];
    while ((connection = accept(listener, NULL, NULL)) >= 0) {
        (void)!read(connection, bytes, sizeof bytes);
        close(connection);
    }
    return NULL;
}

static void port_that_hangs_up_is_told_as_one(void **state)
{
    (void)state;
    char address[32];
    int listener = closed_port(address, sizeof address);
    assert_int_equal(listen(listener, 8), 0);
    pthread_t thread = thread_start("hang_up", hang_up_on_all, &listener);
    struct fixture *fixture = create(address);
    struct kafka_client *client = open_client(fixture, true);
    wait_for(client, "its port probably wants `tls`");
    kafka_client_destroy(client);
    destroy(fixture);
    shutdown(listener, SHUT_RDWR);
    thread_join(thread);
    close(listener);
}

static void one_broker_of_two_that_is_away_is_no_trouble(void **state)
{
    (void)state;
    char address[32];
    int descriptor = closed_port(address, sizeof address);
    struct cluster cluster = start_cluster(1);
    struct fixture *fixture = create(rd_kafka_mock_cluster_bootstraps(cluster.mock));
    fixture->brokers[1] = address;
    fixture->source.connection.broker_count = 2;
    kafka_source_settings(&fixture->source, &fixture->arena, &fixture->settings);
    struct kafka_client *client = open_client(fixture, true);
    const struct rd_kafka_metadata *metadata;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(
            rd_kafka_metadata(kafka_client_handle(client), 1, NULL, &metadata, PATIENCE_S * 1000),
            RD_KAFKA_RESP_ERR_NO_ERROR);
        rd_kafka_metadata_destroy(metadata);
        rd_kafka_poll(kafka_client_handle(client), 20);
    }
    assert_false(kafka_client_trouble(client, NULL));
    kafka_client_destroy(client);
    destroy(fixture);
    stop_cluster(&cluster);
    close(descriptor);
}

static void trouble_that_is_noted_stays_until_all_is_well(void **state)
{
    (void)state;
    struct cluster cluster = start_cluster(1);
    struct fixture *fixture = create(rd_kafka_mock_cluster_bootstraps(cluster.mock));
    struct kafka_client *client = open_client(fixture, true);
    struct error error;
    const struct rd_kafka_metadata *metadata;
    kafka_client_note(client, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "Subscribed topic not available: t");
    /* A broker that is up does not make the topic. */
    assert_int_equal(rd_kafka_metadata(kafka_client_handle(client), 1, NULL, &metadata, PATIENCE_S * 1000),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_metadata_destroy(metadata);
    for (int i = 0; i < 10; i++)
        rd_kafka_poll(kafka_client_handle(client), 50);
    assert_true(kafka_client_trouble(client, &error));
    assert_non_null(
        strstr(error.text, "the topic does not exist (Subscribed topic not available: t); create it"));
    kafka_client_well(client);
    assert_false(kafka_client_trouble(client, &error));
    kafka_client_destroy(client);
    destroy(fixture);
    stop_cluster(&cluster);
}

static void fatal_error_is_known_and_told(void **state)
{
    (void)state;
    struct cluster cluster = start_cluster(1);
    struct fixture *fixture = create(rd_kafka_mock_cluster_bootstraps(cluster.mock));
    struct kafka_client *client = open_client(fixture, true);
    assert_false(kafka_client_is_fatal(client));
    rd_kafka_test_fatal_error(kafka_client_handle(client), RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
                              "for the test");
    assert_true(kafka_client_is_fatal(client));
    wait_for(client, "another process came with the same group_instance_id");
    kafka_client_destroy(client);
    destroy(fixture);
    stop_cluster(&cluster);
}

static void count_statistics(const char *json, size_t size, void *context)
{
    assert_true(size > 0 && json[0] == '{');
    ++*(int *)context;
}

static void statistics_reach_their_owner(void **state)
{
    (void)state;
    struct cluster cluster = start_cluster(1);
    struct fixture *fixture = create(rd_kafka_mock_cluster_bootstraps(cluster.mock));
    int count = 0;
    struct error error;
    struct kafka_client *client;
    struct kafka_client_options options = {
        .settings = &fixture->settings, .name = "x", .context = &count, .statistics = count_statistics};
    assert_int_equal(kafka_client_create(&options, &client, &error), STATUS_OK);
    int64_t end_us = clock_monotonic_us(&clock_system) + PATIENCE_S * SECOND;
    while (count < 2 && clock_monotonic_us(&clock_system) < end_us)
        rd_kafka_poll(kafka_client_handle(client), 20);
    assert_true(count >= 2);
    kafka_client_destroy(client);
    destroy(fixture);
    stop_cluster(&cluster);
}

static void errors_have_words_and_a_remedy(void **state)
{
    (void)state;
    static const struct {
        rd_kafka_resp_err_t code;
        const char *reason, *part;
    } cases[] = {
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, "invalid credentials", "check mechanism, username and password"},
        {RD_KAFKA_RESP_ERR__SSL, "certificate verify failed: unable", "`tls.ca`"},
        {RD_KAFKA_RESP_ERR__SSL, "wrong version number", "that the broker's port speaks TLS"},
        {RD_KAFKA_RESP_ERR__RESOLVE, NULL, "the name of the broker is unknown"},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "", "may not use the topic"},
        {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, NULL, "`group`"},
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, NULL, "max.message.bytes"},
        {RD_KAFKA_RESP_ERR__TRANSPORT, "might be caused by incorrect security.protocol configuration",
         "wants `tls` or `sasl`"},
        {RD_KAFKA_RESP_ERR__TRANSPORT, "Disconnected (after 2ms in state APIVERSION_QUERY)", "wants `tls`"},
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, "Failed to acquire SASL OAUTHBEARER token", "token_url"},
        {RD_KAFKA_RESP_ERR_INVALID_REQUEST, "because", "(because)"},
        {RD_KAFKA_RESP_ERR_INVALID_REQUEST, NULL, "Broker: Invalid request"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error;
        kafka_error_text(cases[i].code, cases[i].reason, &error);
        if (!strstr(error.text, cases[i].part))
            fail_msg("want %s, got %s", cases[i].part, error.text);
    }
}

int main(void)
{
    log_configure(LOG_FORMAT_PRETTY, LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_setting_is_named_with_its_origin),
        cmocka_unit_test(refused_combination_is_told),
        cmocka_unit_test(file_of_tls_that_is_not_there_is_told_with_its_key),
        cmocka_unit_test(broker_that_is_away_is_trouble_in_words),
        cmocka_unit_test(trouble_with_connections_ends_when_a_broker_is_back),
        cmocka_unit_test(port_that_hangs_up_is_told_as_one),
        cmocka_unit_test(one_broker_of_two_that_is_away_is_no_trouble),
        cmocka_unit_test(trouble_that_is_noted_stays_until_all_is_well),
        cmocka_unit_test(fatal_error_is_known_and_told),
        cmocka_unit_test(statistics_reach_their_owner),
        cmocka_unit_test(errors_have_words_and_a_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
