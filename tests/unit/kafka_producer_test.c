/* The plain producer: nothing that was sent is lost, whatever the broker says. */
#include "kafka_fixture.h"

#include <stdio.h>

#define TOPIC "results"

enum { FLUSH_US = 5000000 };

static struct mock mock;
static struct topic_records records;

static int setup(void **state)
{
    (void)state;
    mock_start(&mock);
    mock_create_topic(&mock, TOPIC, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    records_free(&records);
    mock_stop(&mock);
    return 0;
}

/* `more`: pairs of a setting and its value, then NULL. */
static struct kafka_producer *open_producer(const char *cut_header, const char *const *more)
{
    static struct kafka_settings settings;
    settings.count = 0;
    kafka_settings_set(&settings, "bootstrap.servers", mock.brokers, "test");
    kafka_settings_set(&settings, "enable.idempotence", "true", "test");
    kafka_settings_set(&settings, "message.timeout.ms", "0", "test");
    kafka_settings_set(&settings, "linger.ms", "5", "test");
    for (; more && *more; more += 2)
        kafka_settings_set(&settings, more[0], more[1], "test");
    struct kafka_producer_options options = {
        .settings = &settings, .name = "sink \"trail\"", .cut_header = cut_header};
    struct kafka_producer *producer = NULL;
    struct error error = {{0}};
    if (kafka_producer_create(&options, &producer, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return producer;
}

static void send_text(struct kafka_producer *producer, const char *key, const char *value)
{
    struct kafka_message message = {
        .topic = TOPIC, .partition = RD_KAFKA_PARTITION_UA, .key = slice_of(key), .value = slice_of(value)};
    struct error error = {{0}};
    if (kafka_producer_send(producer, &message, &error) != STATUS_OK)
        fail_msg("%s", error.text);
}

static void flush_well(struct kafka_producer *producer)
{
    struct error error = {{0}};
    if (kafka_producer_flush(producer, FLUSH_US, &error) != STATUS_OK)
        fail_msg("%s", error.text);
}

static void flush_badly(struct kafka_producer *producer, enum status want, const char *text)
{
    struct error error = {{0}};
    assert_int_equal(kafka_producer_flush(producer, FLUSH_US, &error), want);
    if (!strstr(error.text, text))
        fail_msg("\"%s\" is not in \"%s\"", text, error.text);
}

static void assert_counted(struct kafka_producer *producer, uint64_t messages, uint64_t bytes)
{
    struct kafka_producer_figures figures;
    kafka_producer_figures(producer, &figures);
    assert_int_equal(figures.messages, messages);
    assert_int_equal(figures.bytes, bytes);
}

static void message_arrives_with_key_headers_and_time(void **state)
{
    (void)state;
    struct kafka_producer *producer = open_producer(NULL, NULL);
    struct kafka_header headers[] = {{SLICE("weir.reason"), SLICE("too_deep")}, {SLICE("none"), {NULL, 0}}};
    struct kafka_message message = {.topic = TOPIC,
                                    .partition = RD_KAFKA_PARTITION_UA,
                                    .key = SLICE("[\"FR\"]"),
                                    .value = SLICE("{\"a\":1}"),
                                    .headers = headers,
                                    .header_count = 2,
                                    .time_ms = 1700000010000};
    struct error error;
    assert_int_equal(kafka_producer_send(producer, &message, &error), STATUS_OK);
    assert_counted(producer, 0, 0); /* nobody has acknowledged it */
    flush_well(producer);
    assert_counted(producer, 1, strlen("[\"FR\"]") + strlen("{\"a\":1}"));
    kafka_producer_destroy(producer);
    records_read(&records, mock.brokers, TOPIC, 1);
    assert_int_equal(records.count, 1);
    assert_string_equal(records.rows[0].key, "[\"FR\"]");
    assert_string_equal(records.rows[0].value, "{\"a\":1}");
    assert_int_equal(records.rows[0].time_ms, 1700000010000);
    assert_header(&records.rows[0], "weir.reason", "too_deep");
    assert_int_equal(rd_kafka_header_cnt(records.rows[0].headers), 2);
}

static void no_key_and_no_value_are_not_empty_ones(void **state)
{
    (void)state;
    struct kafka_producer *producer = open_producer(NULL, NULL);
    send_text(producer, NULL, NULL);
    send_text(producer, "", "");
    flush_well(producer);
    kafka_producer_destroy(producer);
    records_read(&records, mock.brokers, TOPIC, 1);
    assert_int_equal(records.count, 2);
    assert_null(records.rows[0].key);
    assert_null(records.rows[0].value);
    assert_non_null(records.rows[1].key);
    assert_non_null(records.rows[1].value);
}

static void flush_waits_for_a_broker_that_is_away_and_loses_nothing(void **state)
{
    (void)state;
    struct kafka_producer *producer = open_producer(NULL, NULL);
    struct error error = {{0}};
    rd_kafka_mock_broker_set_down(mock.cluster, BROKER);
    for (int i = 0; i < 100; i++)
        send_text(producer, "k", "v");
    assert_int_equal(kafka_producer_flush(producer, 200000, &error), STATUS_AGAIN);
    assert_true(strlen(error.text) > 0);
    rd_kafka_mock_broker_set_up(mock.cluster, BROKER);
    int64_t deadline_us = clock_monotonic_us(&clock_system) + DEADLINE_US;
    while (kafka_producer_flush(producer, FLUSH_US, &error) != STATUS_OK)
        assert_true(clock_monotonic_us(&clock_system) < deadline_us);
    kafka_producer_destroy(producer);
    records_read(&records, mock.brokers, TOPIC, 1);
    assert_int_equal(records.count, 100);
}

static void full_queue_is_told_and_empties(void **state)
{
    (void)state;
    const char *const small[] = {"queue.buffering.max.messages", "50", NULL};
    struct kafka_producer *producer = open_producer(NULL, small);
    struct kafka_message message = {.topic = TOPIC, .partition = 0, .value = SLICE("v")};
    struct error error = {{0}};
    enum status status = STATUS_OK;
    uint32_t sent = 0;
    rd_kafka_mock_broker_set_down(mock.cluster, BROKER);
    while ((status = kafka_producer_send(producer, &message, &error)) == STATUS_OK)
        sent++;
    assert_int_equal(status, STATUS_AGAIN);
    assert_int_equal(sent, 50);
    assert_non_null(strstr(error.text, "full"));
    rd_kafka_mock_broker_set_up(mock.cluster, BROKER);
    int64_t deadline_us = clock_monotonic_us(&clock_system) + DEADLINE_US;
    while (kafka_producer_send(producer, &message, &error) != STATUS_OK) {
        assert_true(clock_monotonic_us(&clock_system) < deadline_us);
        kafka_producer_poll(producer, 10000);
    }
    kafka_producer_destroy(producer);
}

static void refused_message_is_sent_whole_by_the_next_flush(void **state)
{
    (void)state;
    struct kafka_producer *producer = open_producer(NULL, NULL);
    struct kafka_header header = {SLICE("h"), SLICE("1")};
    struct kafka_message message = {.topic = TOPIC,
                                    .partition = RD_KAFKA_PARTITION_UA,
                                    .key = SLICE("k"),
                                    .value = SLICE("v"),
                                    .headers = &header,
                                    .header_count = 1,
                                    .time_ms = 1700000010000};
    struct error error = {{0}};
    mock_fail(&mock, PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1);
    assert_int_equal(kafka_producer_send(producer, &message, &error), STATUS_OK);
    flush_badly(producer, STATUS_INVALID, "topic \"results\" refuses records");
    assert_true(kafka_producer_trouble(producer, &error));
    assert_non_null(strstr(error.text, "writing (sinks)"));
    assert_counted(producer, 0, 0);
    flush_well(producer);
    assert_counted(producer, 1, 2);
    assert_false(kafka_producer_trouble(producer, &error));
    kafka_producer_destroy(producer);
    records_read(&records, mock.brokers, TOPIC, 1);
    assert_int_equal(records.count, 1);
    assert_string_equal(records.rows[0].key, "k");
    assert_string_equal(records.rows[0].value, "v");
    assert_int_equal(records.rows[0].time_ms, 1700000010000);
    assert_header(&records.rows[0], "h", "1");
}

static void missing_topic_is_told_and_its_message_sent_when_it_is_there(void **state)
{
    (void)state;
    const char *const soon[] = {"topic.metadata.propagation.max.ms", "100", NULL};
    struct kafka_producer *producer = open_producer(NULL, soon);
    struct error error = {{0}};
    rd_kafka_mock_topic_set_error(mock.cluster, TOPIC, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    send_text(producer, "k", "v");
    flush_badly(producer, STATUS_INVALID, "create it");
    rd_kafka_mock_topic_set_error(mock.cluster, TOPIC, RD_KAFKA_RESP_ERR_NO_ERROR);
    int64_t deadline_us = clock_monotonic_us(&clock_system) + DEADLINE_US;
    while (kafka_producer_flush(producer, 100000, &error) != STATUS_OK)
        assert_true(clock_monotonic_us(&clock_system) < deadline_us);
    kafka_producer_destroy(producer);
    records_read(&records, mock.brokers, TOPIC, 1);
    assert_int_equal(records.count, 1);
}

static void message_beyond_message_max_bytes_is_kept_and_told(void **state)
{
    (void)state;
    const char *const small[] = {"message.max.bytes", "2000", NULL};
    struct kafka_producer *producer = open_producer(NULL, small);
    char large[3001];
    memset(large, 'x', sizeof large - 1);
    large[3000] = 0;
    send_text(producer, "k", large);
    send_text(producer, "k", "small");
    flush_badly(producer, STATUS_INVALID, "max.message.bytes");
    flush_badly(producer, STATUS_INVALID, "1 kept");
    kafka_producer_destroy(producer);
    records_read(&records, mock.brokers, TOPIC, 1);
    assert_int_equal(records.count, 1);
    assert_string_equal(records.rows[0].value, "small");
}

static void neighbours_of_a_message_that_is_too_large_arrive(void **state)
{
    (void)state;
    struct kafka_producer *producer = open_producer(NULL, NULL);
    char value[16];
    mock_fail(&mock, PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 2);
    for (int i = 0; i < 10; i++) {
        snprintf(value, sizeof value, "%d", i);
        send_text(producer, "k", value);
    }
    flush_badly(producer, STATUS_INVALID, "max.message.bytes"); /* the request of all ten */
    flush_badly(producer, STATUS_INVALID, "1 kept"); /* alone: the second error meets one of them */
    flush_well(producer);
    kafka_producer_destroy(producer);
    records_read(&records, mock.brokers, TOPIC, 1);
    assert_int_equal(records.count, 10);
}

static void what_is_too_large_is_cut_when_that_is_allowed(void **state)
{
    (void)state;
    struct kafka_producer *producer = open_producer("weir.truncated", NULL);
    mock_fail(&mock, PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 3); /* as it is, alone, halved */
    send_text(producer, "key!", "0123456789abcdef");
    for (int i = 0; i < 3; i++)
        flush_badly(producer, STATUS_INVALID, "max.message.bytes");
    flush_well(producer);
    kafka_producer_destroy(producer);
    records_read(&records, mock.brokers, TOPIC, 1);
    assert_int_equal(records.count, 1);
    assert_string_equal(records.rows[0].value, "0123");
    assert_header(&records.rows[0], "weir.truncated", "16");
    assert_int_equal(rd_kafka_header_cnt(records.rows[0].headers), 1);
}

static void fatal_error_makes_a_new_handle_that_sends_all_again(void **state)
{
    (void)state;
    struct kafka_producer *producer = open_producer(NULL, NULL);
    struct error error = {{0}};
    mock_fail(&mock, INIT_PRODUCER_ID, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, 1);
    for (int i = 0; i < 100; i++)
        send_text(producer, "k", "v");
    int64_t deadline_us = clock_monotonic_us(&clock_system) + DEADLINE_US;
    uint32_t failures = 0;
    for (; kafka_producer_flush(producer, 500000, &error) != STATUS_OK; failures++)
        assert_true(clock_monotonic_us(&clock_system) < deadline_us);
    assert_true(failures > 0); /* or the error was not met */
    assert_counted(producer, 100, 200);
    kafka_producer_destroy(producer);
    records_read(&records, mock.brokers, TOPIC, 1);
    assert_int_equal(records.count, 100);
}

static void refused_messages_are_bounded(void **state)
{
    (void)state;
    const char *const small[] = {"message.max.bytes", "100000", NULL};
    struct kafka_producer *producer = open_producer(NULL, small);
    size_t size = 1024 * 1024;
    char *large = calloc(1, size + 1);
    memset(large, 'x', size);
    struct kafka_message message = {.topic = TOPIC, .partition = 0, .value = {large, size}};
    struct error error = {{0}};
    uint32_t count = 0;
    enum status status = STATUS_OK;
    while (count < 100 && (status = kafka_producer_send(producer, &message, &error)) == STATUS_OK)
        count++;
    assert_int_equal(status, STATUS_FULL);
    assert_int_equal(count, KAFKA_KEPT_MAX_SIZE / size);
    assert_non_null(strstr(error.text, "kept"));
    free(large);
    kafka_producer_destroy(producer);
}

static void unknown_setting_is_named(void **state)
{
    (void)state;
    static struct kafka_settings settings;
    kafka_settings_set(&settings, "no.such.setting", "1", "properties");
    struct kafka_producer_options options = {.settings = &settings, .name = "x"};
    struct kafka_producer *producer = NULL;
    struct error error = {{0}};
    assert_int_equal(kafka_producer_create(&options, &producer, &error), STATUS_INVALID);
    assert_null(producer);
    assert_non_null(strstr(error.text, "no.such.setting"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(message_arrives_with_key_headers_and_time),
        CASE(no_key_and_no_value_are_not_empty_ones),
        CASE(flush_waits_for_a_broker_that_is_away_and_loses_nothing),
        CASE(full_queue_is_told_and_empties),
        CASE(refused_message_is_sent_whole_by_the_next_flush),
        CASE(missing_topic_is_told_and_its_message_sent_when_it_is_there),
        CASE(message_beyond_message_max_bytes_is_kept_and_told),
        CASE(neighbours_of_a_message_that_is_too_large_arrive),
        CASE(what_is_too_large_is_cut_when_that_is_allowed),
        CASE(fatal_error_makes_a_new_handle_that_sends_all_again),
        CASE(refused_messages_are_bounded),
        cmocka_unit_test(unknown_setting_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
