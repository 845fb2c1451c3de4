/* The transactional producer: what each class of error does to a transaction. That aborted results are not seen, and that offsets
 * go with the results, a real broker has to show (tests/integration); the mock cluster shows them all. */
#include "kafka_fixture.h"

#define TOPIC "results"

static struct mock mock;
static struct kafka_producer *producer;
static rd_kafka_consumer_group_metadata_t *group;
static const struct sink_offset offset = {
    .topic = "events", .partition = 0, .offset = 42, .metadata = "{\"w\":1}"};

static int setup(void **state)
{
    (void)state;
    mock_start(&mock);
    mock_create_topic(&mock, TOPIC, 1);
    mock_create_topic(&mock, "events", 1);
    static struct kafka_settings settings;
    settings.count = 0;
    kafka_settings_set(&settings, "bootstrap.servers", mock.brokers, "test");
    kafka_settings_set(&settings, "enable.idempotence", "true", "test");
    struct kafka_producer_options options = {
        .settings = &settings, .name = "sink \"trail\"", .transactional_id = "weir.trail.1"};
    struct error error = {{0}};
    if (kafka_producer_create(&options, &producer, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    group = rd_kafka_consumer_group_metadata_new("weir");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kafka_producer_destroy(producer);
    rd_kafka_consumer_group_metadata_destroy(group);
    mock_stop(&mock);
    return 0;
}

static enum status send_one(struct error *error)
{
    struct kafka_message message = {
        .topic = TOPIC, .partition = RD_KAFKA_PARTITION_UA, .key = SLICE("k"), .value = SLICE("v")};
    return kafka_producer_send(producer, &message, error);
}

/* Until the transaction could be started. */
static void send_well(void)
{
    struct error error = {{0}};
    int64_t deadline_us = clock_monotonic_us(&clock_system) + DEADLINE_US;
    enum status status;
    while ((status = send_one(&error)) == STATUS_CLOSED && clock_monotonic_us(&clock_system) < deadline_us)
        kafka_producer_poll(producer, 10000);
    if (status != STATUS_OK)
        fail_msg("%s", error.text);
}

static enum sink_commit commit_until_decided(struct error *error)
{
    int64_t deadline_us = clock_monotonic_us(&clock_system) + DEADLINE_US;
    enum sink_commit outcome;
    while ((outcome = kafka_producer_commit(producer, &offset, 1, group, error)) == SINK_COMMIT_AGAIN)
        assert_true(clock_monotonic_us(&clock_system) < deadline_us);
    return outcome;
}

/* What came before has not spoilt the next transaction. */
static void assert_next_one_commits(void)
{
    struct error error = {{0}};
    send_well();
    if (commit_until_decided(&error) != SINK_COMMITTED)
        fail_msg("%s", error.text);
}

/* The mock cluster keeps no offsets of transactions, but tells which requests it got. */
static uint32_t count_requests(int16_t type)
{
    size_t count = 0;
    uint32_t found = 0;
    rd_kafka_mock_request_t **requests = rd_kafka_mock_get_requests(mock.cluster, &count);
    for (size_t i = 0; i < count; i++)
        found += rd_kafka_mock_request_api_key(requests[i]) == type;
    rd_kafka_mock_request_destroy_array(requests, count);
    return found;
}

static uint64_t counted(void)
{
    struct kafka_producer_figures figures;
    kafka_producer_figures(producer, &figures);
    return figures.messages;
}

static void commit_takes_results_and_offsets(void **state)
{
    (void)state;
    struct error error = {{0}};
    static struct topic_records records;
    rd_kafka_mock_start_request_tracking(mock.cluster);
    send_well();
    send_well();
    assert_int_equal(commit_until_decided(&error), SINK_COMMITTED);
    assert_int_equal(counted(), 2);
    assert_int_equal(count_requests(COMMIT_OFFSETS), 1);
    assert_int_equal(count_requests(END_TRANSACTION), 1);
    records_read(&records, mock.brokers, TOPIC, 1);
    assert_int_equal(records.count, 2);
    records_free(&records);
    assert_next_one_commits();
}

static void offsets_alone_are_committed_as_well(void **state)
{
    (void)state;
    struct error error = {{0}};
    rd_kafka_mock_start_request_tracking(mock.cluster);
    assert_int_equal(commit_until_decided(&error), SINK_COMMITTED);
    assert_int_equal(count_requests(COMMIT_OFFSETS), 1);
    assert_int_equal(count_requests(END_TRANSACTION), 1);
}

static void nothing_to_commit_needs_no_broker(void **state)
{
    (void)state;
    struct error error = {{0}};
    rd_kafka_mock_broker_set_down(mock.cluster, BROKER);
    assert_int_equal(kafka_producer_commit(producer, NULL, 0, NULL, &error), SINK_COMMITTED);
}

static void send_is_refused_while_brokers_are_away_and_works_after(void **state)
{
    (void)state;
    struct error error = {{0}};
    rd_kafka_mock_broker_set_down(mock.cluster, BROKER);
    assert_int_equal(send_one(&error), STATUS_CLOSED);
    assert_non_null(strstr(error.text, "sink \"trail\""));
    rd_kafka_mock_broker_set_up(mock.cluster, BROKER);
    assert_next_one_commits();
}

static void id_that_is_not_allowed_is_told_and_tried_again(void **state)
{
    (void)state;
    struct error error = {{0}};
    mock_fail(&mock, INIT_PRODUCER_ID, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 1);
    assert_int_equal(send_one(&error), STATUS_CLOSED);
    assert_non_null(strstr(error.text, "cannot start transactions"));
    assert_next_one_commits();
}

static void assert_aborted_by(int16_t request, rd_kafka_resp_err_t code, enum sink_commit want)
{
    struct error error = {{0}};
    send_well();
    mock_fail(&mock, request, code, 1);
    assert_int_equal(commit_until_decided(&error), want);
    assert_true(strlen(error.text) > 0);
    assert_int_equal(kafka_producer_abort_count(producer), 1);
    assert_next_one_commits();
    assert_int_equal(kafka_producer_abort_count(producer), 1);
}

static void member_that_lost_its_partitions_is_fenced(void **state)
{
    (void)state;
    assert_aborted_by(COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, SINK_COMMIT_FENCED);
}

static void member_that_is_unknown_is_fenced(void **state)
{
    (void)state;
    assert_aborted_by(COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, SINK_COMMIT_FENCED);
}

static void static_member_that_was_replaced_is_fenced(void **state)
{
    (void)state;
    assert_aborted_by(COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, SINK_COMMIT_FENCED);
}

static void offsets_that_are_not_allowed_abort(void **state)
{
    (void)state;
    assert_aborted_by(COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, SINK_COMMIT_ABORTED);
}

static void producer_that_was_taken_over_aborts(void **state)
{
    (void)state;
    assert_aborted_by(END_TRANSACTION, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, SINK_COMMIT_ABORTED);
}

static void transaction_that_the_broker_does_not_know_aborts(void **state)
{
    (void)state;
    assert_aborted_by(END_TRANSACTION, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, SINK_COMMIT_ABORTED);
}

static void passing_errors_are_waited_out(void **state)
{
    (void)state;
    struct error error = {{0}};
    send_well();
    mock_fail(&mock, COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, 1);
    mock_fail(&mock, END_TRANSACTION, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, 2);
    assert_int_equal(commit_until_decided(&error), SINK_COMMITTED);
    assert_int_equal(kafka_producer_abort_count(producer), 0);
}

static void refused_message_aborts(void **state)
{
    (void)state;
    struct error error = {{0}};
    mock_fail(&mock, PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1);
    send_well();
    assert_int_equal(kafka_producer_flush(producer, DEADLINE_US, &error), STATUS_IO);
    assert_non_null(strstr(error.text, "must be aborted"));
    assert_int_equal(send_one(&error), STATUS_IO);
    assert_int_equal(commit_until_decided(&error), SINK_COMMIT_ABORTED);
    assert_non_null(strstr(error.text, "refuses records"));
    assert_false(kafka_producer_trouble(producer, &error));
    assert_int_equal(counted(), 0);
    assert_next_one_commits();
    assert_int_equal(counted(), 1); /* what was aborted is not counted with it */
}

static void aborted_transaction_leaves_room_for_the_next(void **state)
{
    (void)state;
    send_well();
    kafka_producer_abort(producer);
    assert_int_equal(kafka_producer_abort_count(producer), 1);
    kafka_producer_abort(producer); /* none is open: nothing happens */
    assert_int_equal(kafka_producer_abort_count(producer), 1);
    assert_next_one_commits();
}

static void late_answer_to_a_commit_is_waited_for(void **state)
{
    (void)state;
    struct error error = {{0}};
    send_well();
    rd_kafka_mock_broker_push_request_error_rtts(mock.cluster, BROKER, END_TRANSACTION, 1,
                                                 RD_KAFKA_RESP_ERR_NO_ERROR, KAFKA_COMMIT_WAIT_MS + 1000);
    assert_int_equal(kafka_producer_commit(producer, &offset, 1, group, &error), SINK_COMMIT_AGAIN);
    assert_int_equal(send_one(&error), STATUS_IO); /* only commit or abort may follow */
    assert_int_equal(commit_until_decided(&error), SINK_COMMITTED);
    assert_next_one_commits();
}

static void brokers_that_go_away_before_the_commit_leave_it_open(void **state)
{
    (void)state;
    struct error error = {{0}};
    send_well();
    rd_kafka_mock_broker_set_down(mock.cluster, BROKER);
    assert_int_equal(kafka_producer_commit(producer, &offset, 1, group, &error), SINK_COMMIT_AGAIN);
    rd_kafka_mock_broker_set_up(mock.cluster, BROKER);
    assert_int_equal(commit_until_decided(&error), SINK_COMMITTED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(commit_takes_results_and_offsets),
        CASE(offsets_alone_are_committed_as_well),
        CASE(nothing_to_commit_needs_no_broker),
        CASE(send_is_refused_while_brokers_are_away_and_works_after),
        CASE(id_that_is_not_allowed_is_told_and_tried_again),
        CASE(member_that_lost_its_partitions_is_fenced),
        CASE(member_that_is_unknown_is_fenced),
        CASE(static_member_that_was_replaced_is_fenced),
        CASE(offsets_that_are_not_allowed_abort),
        CASE(producer_that_was_taken_over_aborts),
        CASE(transaction_that_the_broker_does_not_know_aborts),
        CASE(passing_errors_are_waited_out),
        CASE(refused_message_aborts),
        CASE(aborted_transaction_leaves_room_for_the_next),
        CASE(late_answer_to_a_commit_is_waited_for),
        CASE(brokers_that_go_away_before_the_commit_leave_it_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
