/* Dead letters in a topic: the record as it came, and why it is there. */
#include "kafka_fixture.h"

#include "flow/record_metadata.h"
#include "sink/kafka_dead_letters.h"

static struct mock mock;
static struct topic_records records;
static const char *brokers[1];

static int setup(void **state)
{
    (void)state;
    mock_start(&mock);
    mock_create_topic(&mock, "events.dlq", 1);
    mock_create_topic(&mock, "morgue", 1);
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

static struct config_source describe(const char *dead_letter_topic)
{
    return (struct config_source){.name = "clicks",
                                  .kind = SOURCE_KAFKA,
                                  .kafka = {.connection = {.brokers = brokers, .broker_count = 1},
                                            .dead_letter_topic = dead_letter_topic}};
}

static struct kafka_dead_letters *open_letters(const struct config_source *source)
{
    struct kafka_dead_letters *letters = NULL;
    struct error error = {{0}};
    if (kafka_dead_letters_open(source, &letters, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return letters;
}

static struct dead_letter bad_record(struct slice metadata)
{
    return (struct dead_letter){.offset = 1234,
                                .time_us = 1700000010000999,
                                .reason = "bad_json",
                                .topic = "events",
                                .topic_partition = 3,
                                .detail = SLICE("at byte 7"),
                                .raw = {"{\"a\":\0,", 7},
                                .metadata = metadata};
}

static void write_and_flush(struct kafka_dead_letters *letters, const struct dead_letter *letter)
{
    struct error error = {{0}};
    int64_t deadline_us = clock_monotonic_us(&clock_system) + DEADLINE_US;
    while (kafka_dead_letters_write(letters, letter, &error) != STATUS_OK) {
        if (clock_monotonic_us(&clock_system) > deadline_us)
            fail_msg("%s", error.text);
    }
    while (kafka_dead_letters_flush(letters, &error) != STATUS_OK) {
        if (clock_monotonic_us(&clock_system) > deadline_us)
            fail_msg("%s", error.text);
    }
}

static void letter_is_the_record_and_says_why(void **state)
{
    (void)state;
    char metadata[128];
    struct record_header trace = {SLICE("trace"), SLICE("t1")};
    size_t key_size = metadata_key_size(SLICE("user-1"));
    metadata_write_key(metadata, SLICE("user-1"));
    metadata_write_header(metadata + key_size, &trace);
    struct config_source source = describe(NULL);
    struct kafka_dead_letters *letters = open_letters(&source);
    struct dead_letter letter = bad_record((struct slice){metadata, key_size + metadata_header_size(&trace)});
    write_and_flush(letters, &letter);
    kafka_dead_letters_close(letters);
    records_read(&records, mock.brokers, "events.dlq", 1);
    assert_int_equal(records.count, 1);
    const struct topic_record *record = &records.rows[0];
    assert_string_equal(record->key, "user-1");
    assert_int_equal(record->value_size, 7);
    assert_memory_equal(record->value, "{\"a\":\0,", 7);
    assert_header(record, "trace", "t1");
    assert_header(record, "weir.source", "clicks");
    assert_header(record, "weir.reason", "bad_json");
    assert_header(record, "weir.detail", "at byte 7");
    assert_header(record, "weir.topic", "events");
    assert_header(record, "weir.partition", "3");
    assert_header(record, "weir.offset", "1234");
    assert_header(record, "weir.time", "1700000010000");
    assert_int_equal(rd_kafka_header_cnt(record->headers), 8);
}

static void record_without_key_and_headers_stays_so(void **state)
{
    (void)state;
    struct config_source source = describe(NULL);
    struct kafka_dead_letters *letters = open_letters(&source);
    struct dead_letter letter = bad_record((struct slice){NULL, 0});
    letter.detail = (struct slice){NULL, 0};
    write_and_flush(letters, &letter);
    kafka_dead_letters_close(letters);
    records_read(&records, mock.brokers, "events.dlq", 1);
    assert_int_equal(records.count, 1);
    assert_null(records.rows[0].key);
    assert_int_equal(rd_kafka_header_cnt(records.rows[0].headers), 6);
}

static void configured_topic_takes_all(void **state)
{
    (void)state;
    struct config_source source = describe("morgue");
    struct kafka_dead_letters *letters = open_letters(&source);
    struct dead_letter letter = bad_record((struct slice){NULL, 0});
    write_and_flush(letters, &letter);
    letter.topic = "other";
    write_and_flush(letters, &letter);
    kafka_dead_letters_close(letters);
    records_read(&records, mock.brokers, "morgue", 1);
    assert_int_equal(records.count, 2);
    assert_header(&records.rows[1], "weir.topic", "other");
}

static void letter_that_the_topic_does_not_take_whole_is_cut(void **state)
{
    (void)state;
    struct config_source source = describe(NULL);
    struct kafka_dead_letters *letters = open_letters(&source);
    struct dead_letter letter = bad_record((struct slice){NULL, 0});
    mock_fail(&mock, PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 2);
    write_and_flush(letters, &letter);
    kafka_dead_letters_close(letters);
    records_read(&records, mock.brokers, "events.dlq", 1);
    assert_int_equal(records.count, 1);
    assert_int_equal(records.rows[0].value_size, 3);
    assert_header(&records.rows[0], "weir.truncated", "7");
    assert_header(&records.rows[0], "weir.reason", "bad_json");
}

static void flush_fails_while_the_topic_refuses(void **state)
{
    (void)state;
    struct config_source source = describe(NULL);
    struct kafka_dead_letters *letters = open_letters(&source);
    struct dead_letter letter = bad_record((struct slice){NULL, 0});
    struct error error = {{0}};
    mock_fail(&mock, PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1);
    assert_int_equal(kafka_dead_letters_write(letters, &letter, &error), STATUS_OK);
    assert_int_equal(kafka_dead_letters_flush(letters, &error), STATUS_INVALID);
    assert_non_null(strstr(error.text, "dead letters of source \"clicks\""));
    assert_non_null(strstr(error.text, "events.dlq"));
    assert_true(kafka_dead_letters_trouble(letters, &error));
    write_and_flush(letters, &letter);
    kafka_dead_letters_close(letters);
    records_read(&records, mock.brokers, "events.dlq", 1);
    assert_int_equal(records.count, 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(letter_is_the_record_and_says_why),   CASE(record_without_key_and_headers_stays_so),
        CASE(configured_topic_takes_all),          CASE(letter_that_the_topic_does_not_take_whole_is_cut),
        CASE(flush_fails_while_the_topic_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
