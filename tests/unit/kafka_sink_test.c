/* The sink for Kafka, and what transactional sinks share. */
#include "kafka_fixture.h"

#include <stdio.h>

#include "sink/kafka_transactions.h"
#include "sink/sink_kinds.h"

enum { PARTITIONS = 8, ROWS_MAX = 200, HOUR_MS = 3600 * 1000 };

static struct mock mock;
static struct topic_records records;
static const char *brokers[1];

static int setup(void **state)
{
    (void)state;
    mock_start(&mock);
    mock_create_topic(&mock, "results", PARTITIONS);
    mock_create_topic(&mock, "alerts", 1);
    brokers[0] = mock.brokers;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    records_free(&records);
    mock_stop(&mock);
    return 0;
}

/* A block as result_block_encode() leaves it, as far as a sink looks. */
struct encoded {
    struct result_block block;
    uint32_t offsets[ROWS_MAX + 1], key_offsets[ROWS_MAX + 1];
    int64_t ends_us[ROWS_MAX];
};

static void add_row(struct encoded *encoded, const char *key, int64_t end_ms)
{
    struct result_block *block = &encoded->block;
    uint32_t row = block->row_count++;
    assert_true(row < ROWS_MAX);
    buffer_format(&block->json, "{\"row\":%u}", row);
    buffer_append_text(&block->key_json, key);
    encoded->offsets[row + 1] = (uint32_t)block->json.size;
    encoded->key_offsets[row + 1] = (uint32_t)block->key_json.size;
    encoded->ends_us[row] = end_ms * 1000;
    block->json_offsets = encoded->offsets;
    block->key_json_offsets = encoded->key_offsets;
    block->window_ends_us = encoded->ends_us;
    block->first_sequence = 17;
}

static void encoded_free(struct encoded *encoded)
{
    buffer_deinit(&encoded->block.json);
    buffer_deinit(&encoded->block.key_json);
}

static struct config_sink describe(const char *name, const char *topic, bool is_transactional)
{
    return (struct config_sink){.name = name,
                                .kind = SINK_KAFKA,
                                .kafka = {.connection = {.brokers = brokers, .broker_count = 1},
                                          .topic = topic,
                                          .profile = KAFKA_LOW_LATENCY,
                                          .transactional = is_transactional}};
}

static struct sink *open_sink(const struct config_sink *config, struct kafka_transactions *transactions)
{
    struct sink *sink = NULL;
    struct error error = {{0}};
    if (sink_open(config, transactions, &sink, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return sink;
}

/* Until the sink takes it: as an outlet does. */
static void write_well(struct sink *sink, const struct encoded *encoded)
{
    struct error error = {{0}};
    int64_t deadline_us = clock_monotonic_us(&clock_system) + DEADLINE_US;
    while (sink_write(sink, &encoded->block, &error) != STATUS_OK) {
        if (clock_monotonic_us(&clock_system) > deadline_us)
            fail_msg("%s", error.text);
    }
}

static void flush_well(struct sink *sink)
{
    struct error error = {{0}};
    int64_t deadline_us = clock_monotonic_us(&clock_system) + DEADLINE_US;
    while (sink_flush(sink, &error) != STATUS_OK) {
        if (clock_monotonic_us(&clock_system) > deadline_us)
            fail_msg("%s", error.text);
    }
}

static enum sink_commit commit(struct sink *sink)
{
    struct error error = {{0}};
    enum sink_commit outcome;
    int64_t deadline_us = clock_monotonic_us(&clock_system) + DEADLINE_US;
    while ((outcome = sink->operations->commit(sink, NULL, 0, NULL, &error)) == SINK_COMMIT_AGAIN)
        assert_true(clock_monotonic_us(&clock_system) < deadline_us);
    return outcome;
}

static void record_has_key_and_end_of_window(void **state)
{
    (void)state;
    struct config_sink config = describe("trail", "results", false);
    struct sink *sink = open_sink(&config, NULL);
    struct encoded encoded = {0};
    add_row(&encoded, "[\"FR\"]", 1700000010000);
    write_well(sink, &encoded);
    flush_well(sink);
    sink_close(sink);
    records_read(&records, mock.brokers, "results", PARTITIONS);
    assert_int_equal(records.count, 1);
    assert_string_equal(records.rows[0].key, "[\"FR\"]");
    assert_string_equal(records.rows[0].value, "{\"row\":0}");
    assert_int_equal(records.rows[0].time_ms, 1700000010000);
    encoded_free(&encoded);
}

static void record_of_a_window_that_is_still_open_has_the_present_time(void **state)
{
    (void)state;
    struct config_sink config = describe("trail", "results", false);
    struct sink *sink = open_sink(&config, NULL);
    struct encoded encoded = {0};
    int64_t now_ms = clock_wall_us(&clock_system) / 1000;
    add_row(&encoded, "[\"FR\"]", now_ms + HOUR_MS);
    write_well(sink, &encoded);
    flush_well(sink);
    sink_close(sink);
    records_read(&records, mock.brokers, "results", PARTITIONS);
    assert_int_equal(records.count, 1);
    assert_true(records.rows[0].time_ms >= now_ms);
    assert_true(records.rows[0].time_ms < now_ms + HOUR_MS);
    encoded_free(&encoded);
}

static void add_event(struct output_block *block, int64_t time_ms, const char *key, const char *value)
{
    output_block_begin_row(block, time_ms * 1000);
    if (key) {
        buffer_append_text(&block->text, key);
        output_block_end_key(block);
    }
    buffer_append_text(&block->text, value);
    output_block_end_row(block);
}

static void event_has_its_own_bytes_key_and_time(void **state)
{
    (void)state;
    struct config_sink config = describe("trail", "alerts", false);
    struct sink *sink = open_sink(&config, NULL);
    struct output_block *block = output_block_create(0);
    struct error error = {{0}};
    int64_t now_ms = clock_wall_us(&clock_system) / 1000;
    block->number = 1;
    add_event(block, 1700000010000, "k", "{\n\"a\": 1}");
    add_event(block, -5, NULL, "{}");
    add_event(block, now_ms + HOUR_MS, "", "{\"b\":2}");
    assert_int_equal(sink_write_output(sink, block, &error), STATUS_OK);
    flush_well(sink);
    sink_close(sink);
    output_block_release(block);
    records_read(&records, mock.brokers, "alerts", 1);
    assert_int_equal(records.count, 3);
    assert_string_equal(records.rows[0].key, "k");
    assert_string_equal(records.rows[0].value, "{\n\"a\": 1}");
    assert_int_equal(records.rows[0].time_ms, 1700000010000);
    assert_null(records.rows[1].key);
    assert_int_equal(records.rows[1].time_ms, 1);
    assert_string_equal(records.rows[2].key, "");
    assert_true(records.rows[2].time_ms >= now_ms && records.rows[2].time_ms < now_ms + HOUR_MS);
}

/* Hashes from the tests of Kafka's Java client: murmur2 of these texts is -973932308, -790332482 and -985981536. */
static void key_has_the_partition_that_java_gives_it(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int32_t hash;
    } cases[] = {{"21", -973932308}, {"foobar", -790332482}, {"a-little-bit-long-string", -985981536}};
    struct config_sink config = describe("trail", "results", false);
    struct sink *sink = open_sink(&config, NULL);
    struct encoded encoded = {0};
    for (size_t i = 0; i < 3; i++)
        add_row(&encoded, cases[i].key, 1700000010000);
    write_well(sink, &encoded);
    flush_well(sink);
    sink_close(sink);
    records_read(&records, mock.brokers, "results", PARTITIONS);
    assert_int_equal(records.count, 3);
    for (uint32_t row = 0; row < 3; row++) {
        for (size_t i = 0; i < 3; i++) {
            if (strcmp(records.rows[row].key, cases[i].key) == 0)
                assert_int_equal(records.rows[row].partition, (cases[i].hash & 0x7fffffff) % PARTITIONS);
        }
    }
    encoded_free(&encoded);
}

static void block_that_found_no_room_goes_on_where_it_stopped(void **state)
{
    (void)state;
    struct config_named_text small = {.name = "queue.buffering.max.messages", .value = {.text = "50"}};
    struct config_sink config = describe("trail", "results", false);
    config.kafka.connection.properties = &small;
    config.kafka.connection.property_count = 1;
    struct sink *sink = open_sink(&config, NULL);
    struct encoded encoded = {0};
    struct error error = {{0}};
    for (int i = 0; i < ROWS_MAX; i++)
        add_row(&encoded, "[\"FR\"]", 1700000010000);
    rd_kafka_mock_broker_set_down(mock.cluster, BROKER);
    assert_int_equal(sink_write(sink, &encoded.block, &error), STATUS_AGAIN);
    assert_non_null(strstr(error.text, "its queue is full"));
    rd_kafka_mock_broker_set_up(mock.cluster, BROKER);
    write_well(sink, &encoded);
    flush_well(sink);
    sink_close(sink);
    records_read(&records, mock.brokers, "results", PARTITIONS);
    assert_int_equal(records.count, ROWS_MAX);
    encoded_free(&encoded);
}

static void sinks_of_one_cluster_are_one_transaction(void **state)
{
    (void)state;
    struct config_sink first = describe("a", "results", true), second = describe("b", "alerts", true);
    struct kafka_transactions *transactions = kafka_transactions_create("1");
    struct sink *a = open_sink(&first, transactions), *b = open_sink(&second, transactions);
    struct encoded encoded = {0};
    assert_ptr_equal(a->operations->transaction(a), b->operations->transaction(b));
    add_row(&encoded, "[\"FR\"]", 1700000010000);
    rd_kafka_mock_start_request_tracking(mock.cluster);
    write_well(a, &encoded);
    write_well(b, &encoded);
    assert_int_equal(commit(a), SINK_COMMITTED);
    size_t count = 0;
    uint32_t ends = 0;
    rd_kafka_mock_request_t **requests = rd_kafka_mock_get_requests(mock.cluster, &count);
    for (size_t i = 0; i < count; i++)
        ends += rd_kafka_mock_request_api_key(requests[i]) == END_TRANSACTION;
    rd_kafka_mock_request_destroy_array(requests, count);
    assert_int_equal(ends, 1);
    sink_close(a);
    sink_close(b);
    kafka_transactions_destroy(transactions);
    records_read(&records, mock.brokers, "results", PARTITIONS);
    assert_int_equal(records.count, 1);
    records_free(&records);
    records_read(&records, mock.brokers, "alerts", 1);
    assert_int_equal(records.count, 1);
    encoded_free(&encoded);
}

static void block_is_written_from_its_beginning_after_an_abort(void **state)
{
    (void)state;
    struct config_sink config = describe("a", "alerts", true);
    struct config_named_text small = {.name = "queue.buffering.max.messages", .value = {.text = "50"}};
    config.kafka.connection.properties = &small;
    config.kafka.connection.property_count = 1;
    struct kafka_transactions *transactions = kafka_transactions_create("1");
    struct sink *sink = open_sink(&config, transactions);
    struct encoded one = {0}, many = {0};
    struct error error = {{0}};
    add_row(&one, "[\"FR\"]", 1700000010000);
    for (int i = 0; i < ROWS_MAX; i++)
        add_row(&many, "[\"FR\"]", 1700000010000);
    write_well(sink, &one); /* the transaction is open now */
    assert_int_equal(commit(sink), SINK_COMMITTED);
    write_well(sink, &one);
    rd_kafka_mock_broker_set_down(mock.cluster, BROKER);
    assert_int_equal(sink_write(sink, &many.block, &error), STATUS_AGAIN);
    sink->operations->abort(sink);
    rd_kafka_mock_broker_set_up(mock.cluster, BROKER);
    write_well(sink, &many);
    assert_int_equal(commit(sink), SINK_COMMITTED);
    sink_close(sink);
    kafka_transactions_destroy(transactions);
    records_read(&records, mock.brokers, "alerts", 1);
    /* The mock cluster shows aborted records as well, so at least all rows of the block must be behind the first. */
    uint32_t first_rows = 0;
    for (uint32_t i = 0; i < records.count; i++)
        first_rows += strcmp(records.rows[i].value, "{\"row\":0}") == 0;
    assert_true(records.count > ROWS_MAX);
    assert_true(first_rows >= 2);
    assert_string_equal(records.rows[records.count - ROWS_MAX].value, "{\"row\":0}");
    encoded_free(&one);
    encoded_free(&many);
}

static void one_transaction_with_two_settings_is_refused(void **state)
{
    (void)state;
    struct config_sink first = describe("a", "results", true), second = describe("b", "alerts", true);
    second.kafka.compression = KAFKA_COMPRESSION_ZSTD;
    struct kafka_transactions *transactions = kafka_transactions_create("1");
    struct sink *a = open_sink(&first, transactions), *b = NULL;
    struct error error = {{0}};
    assert_int_equal(sink_open(&second, transactions, &b, &error), STATUS_INVALID);
    assert_non_null(strstr(error.text, "\"a\" and \"b\""));
    assert_non_null(strstr(error.text, "compression"));
    sink_close(a);
    kafka_transactions_destroy(transactions);
}

static void transactional_sink_alone_is_refused(void **state)
{
    (void)state;
    struct config_sink config = describe("a", "results", true);
    struct sink *sink = NULL;
    struct error error = {{0}};
    assert_int_equal(sink_open(&config, NULL, &sink, &error), STATUS_INVALID);
    assert_non_null(strstr(error.text, "sink \"a\""));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(record_has_key_and_end_of_window),
        CASE(record_of_a_window_that_is_still_open_has_the_present_time),
        CASE(event_has_its_own_bytes_key_and_time),
        CASE(key_has_the_partition_that_java_gives_it),
        CASE(block_that_found_no_room_goes_on_where_it_stopped),
        CASE(sinks_of_one_cluster_are_one_transaction),
        CASE(block_is_written_from_its_beginning_after_an_abort),
        CASE(one_transaction_with_two_settings_is_refused),
        CASE(transactional_sink_alone_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
