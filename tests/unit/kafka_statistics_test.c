/* librdkafka's statistics: what is kept of them, and that nothing of what may be wrong with them does harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "net/kafka_statistics.h"

/* As librdkafka writes a connection and the rest, shortened. */
#define BROKER(name, cnt, sum, p50, p99)                                                       \
    "\"" name "\": { \"name\":\"" name                                                         \
    "\", \"nodeid\":1, \"state\":\"UP\", \"rtt\": { \"min\":1, \"sum\":" sum ", \"p50\": " p50 \
    ", \"p99\": " p99 ", \"outofrange\": 0, \"cnt\":" cnt " }, \"throttle\": { \"cnt\":0 },"   \
    " \"toppars\":{ \"a}-0\": { \"topic\":\"a}\", \"partition\":0} } }"
#define HEAD   "{ \"name\": \"rdkafka#consumer-1\", \"type\": \"consumer\", \"brokers\":{ "
#define TOPICS " }, \"topics\":{ \"t\": { \"partitions\":{ \"0\": { \"brokers\": 1, \"cgrp\": 2} } } } "
#define GROUP(state, join)                                                             \
    ", \"cgrp\": { \"state\": \"" state "\", \"stateage\": 1, \"join_state\": \"" join \
    "\", \"rebalance_age\": 1,"                                                        \
    " \"rebalance_cnt\": 2, \"rebalance_reason\": \"\", \"assignment_size\": 3 }"
#define TAIL ", \"tx\":12, \"rxmsgs\":7}"

static struct kafka_figures figures_of(struct kafka_statistics *statistics, const char *json)
{
    struct kafka_figures figures;
    /* Exactly as long as it is, so that a look behind it is found by the sanitizers. */
    size_t size = strlen(json);
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, json, size);
    kafka_statistics_add(statistics, copy, size);
    free(copy);
    kafka_statistics_figures(statistics, &figures);
    return figures;
}

static void round_trips_of_each_connection_are_added_up(void **state)
{
    (void)state;
    struct kafka_statistics *statistics = kafka_statistics_create();
    struct kafka_figures figures =
        figures_of(statistics, HEAD BROKER("h:1/1", "4", "4000", "900", "2100") ", " BROKER(
                                   "h:1/bootstrap", "0", "0", "0", "0") ", " BROKER("GroupCoordinator", "1",
                                                                                    "700", "700", "700")
                                   TOPICS GROUP("up", "steady") TAIL);
    assert_true(figures.is_known && figures.is_member);
    assert_int_equal(figures.broker_count, 2); /* the bootstrap has never answered */
    assert_string_equal(figures.brokers[0].name, "h:1/1");
    assert_int_equal(figures.brokers[0].p50_us, 900);
    assert_int_equal(figures.brokers[0].p99_us, 2100);
    figures = figures_of(statistics, HEAD BROKER("GroupCoordinator", "2", "300", "150", "160") ", " BROKER(
                                         "h:1/1", "0", "0", "0", "0") TOPICS GROUP("up", "wait-sync") TAIL);
    assert_false(figures.is_member);
    assert_int_equal(figures.broker_count, 2);
    assert_string_equal(figures.brokers[0].name, "GroupCoordinator");
    assert_int_equal(figures.brokers[0].answer_count, 3);
    assert_int_equal(figures.brokers[0].answer_time_us, 1000);
    assert_int_equal(figures.brokers[0].p50_us, 150);
    /* An interval without answers has no median: the one before stays. */
    assert_int_equal(figures.brokers[1].answer_count, 4);
    assert_int_equal(figures.brokers[1].answer_time_us, 4000);
    assert_int_equal(figures.brokers[1].p50_us, 900);
    kafka_statistics_destroy(statistics);
}

static void a_connection_that_is_gone_is_forgotten(void **state)
{
    (void)state;
    struct kafka_statistics *statistics = kafka_statistics_create();
    figures_of(statistics, HEAD BROKER("h:1/1", "4", "4000", "900", "2100") TOPICS TAIL);
    struct kafka_figures figures =
        figures_of(statistics, HEAD BROKER("h:2/2", "1", "50", "50", "50") TOPICS TAIL);
    assert_int_equal(figures.broker_count, 1);
    assert_string_equal(figures.brokers[0].name, "h:2/2");
    kafka_statistics_destroy(statistics);
}

static void only_a_settled_member_of_a_group_counts_as_joined(void **state)
{
    (void)state;
    struct kafka_statistics *statistics = kafka_statistics_create();
    static const struct {
        const char *json;
        bool is_member;
    } cases[] = {
        {HEAD TOPICS GROUP("up", "steady") TAIL, true},
        {HEAD TOPICS GROUP("wait-broker", "steady") TAIL, false},
        {HEAD TOPICS GROUP("up", "wait-assign-call") TAIL, false},
        {HEAD TOPICS GROUP("up", "steady") TAIL, true},
        {HEAD TOPICS TAIL, false}, /* a producer */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(figures_of(statistics, cases[i].json).is_member, cases[i].is_member);
    kafka_statistics_destroy(statistics);
}

static void what_is_no_statistics_changes_nothing(void **state)
{
    (void)state;
    struct kafka_statistics *statistics = kafka_statistics_create();
    assert_false(figures_of(statistics, "").is_known);
    figures_of(statistics,
               HEAD BROKER("h:1/1", "4", "4000", "900", "2100") TOPICS GROUP("up", "steady") TAIL);
    static const char *const texts[] = {
        "",
        "{}",
        "\"brokers\":",
        "\"brokers\":\"topics\":",
        "{ \"brokers\":{ ",
        "{ \"topics\":{}, \"brokers\":{} }",
        "{ \"brokers\":{ \"a\": { ]}, \"topics\":{ } }",
        "{ \"brokers\":[1, 2], \"topics\":{ } }",
        "not JSON at all",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct kafka_figures figures = figures_of(statistics, texts[i]);
        assert_true(figures.is_known && figures.is_member);
        assert_int_equal(figures.broker_count, 1);
        assert_int_equal(figures.brokers[0].answer_count, 4);
    }
    kafka_statistics_destroy(statistics);
}

static void numbers_that_make_no_sense_count_as_nothing(void **state)
{
    (void)state;
    struct kafka_statistics *statistics = kafka_statistics_create();
    struct kafka_figures figures =
        figures_of(statistics,
                   HEAD "\"a\": 1, \"b\": { \"rtt\": 2 }, \"c\": { \"rtt\": { \"cnt\":\"x\" } }, " BROKER(
                       "d", "1e300", "7", "7", "7") ", " BROKER("e", "2", "-7", "1e300", "null") TOPICS TAIL);
    assert_int_equal(figures.broker_count, 1);
    assert_string_equal(figures.brokers[0].name, "e");
    assert_int_equal(figures.brokers[0].answer_count, 2);
    assert_int_equal(figures.brokers[0].answer_time_us, 0);
    assert_int_equal(figures.brokers[0].p50_us, 1);
    assert_int_equal(figures.brokers[0].p99_us, 1);
    kafka_statistics_destroy(statistics);
}

static void quantiles_lie_between_the_smallest_and_the_largest_round_trip(void **state)
{
    (void)state;
    struct kafka_statistics *statistics = kafka_statistics_create();
    struct kafka_figures figures = figures_of(
        statistics, HEAD
        "\"a\": { \"rtt\": { \"min\":300, \"max\":900, \"sum\":1200, \"p50\":8, \"p99\":1023, \"cnt\":2 } }" TOPICS
            TAIL);
    assert_int_equal(figures.brokers[0].p50_us, 300);
    assert_int_equal(figures.brokers[0].p99_us, 900);
    kafka_statistics_destroy(statistics);
}

static void more_connections_than_there_is_room_for_are_left_out_and_long_names_are_cut(void **state)
{
    (void)state;
    struct kafka_statistics *statistics = kafka_statistics_create();
    struct buffer json = {0};
    buffer_append_text(&json, HEAD);
    for (int i = 0; i < KAFKA_FIGURES_BROKERS_MAX + 9; i++)
        buffer_format(&json, "%s\"%0200d\": { \"rtt\": { \"cnt\":1, \"sum\":1, \"p50\":1, \"p99\":1 } }",
                      i ? ", " : "", i);
    buffer_append_text(&json, TOPICS TAIL);
    buffer_append_char(&json, '\0');
    struct kafka_figures figures = figures_of(statistics, json.data);
    assert_int_equal(figures.broker_count, KAFKA_FIGURES_BROKERS_MAX);
    assert_int_equal(strlen(figures.brokers[0].name), KAFKA_BROKER_NAME_SIZE - 1);
    buffer_deinit(&json);
    kafka_statistics_destroy(statistics);
}

static void a_text_about_brokers_beyond_the_limit_is_left_out(void **state)
{
    (void)state;
    struct kafka_statistics *statistics = kafka_statistics_create();
    struct buffer json = {0};
    buffer_append_text(&json, HEAD BROKER("h:1/1", "4", "4000", "900", "2100") ", \"filler\": \"");
    memset(buffer_reserve(&json, KAFKA_BROKERS_MAX_SIZE), 'x', KAFKA_BROKERS_MAX_SIZE);
    json.size += KAFKA_BROKERS_MAX_SIZE;
    buffer_append_text(&json, "\"" TOPICS TAIL);
    buffer_append_char(&json, '\0');
    assert_false(figures_of(statistics, json.data).is_known);
    buffer_deinit(&json);
    kafka_statistics_destroy(statistics);
}

static void the_round_trip_is_the_coordinators_or_else_the_slowest(void **state)
{
    (void)state;
    struct kafka_figures *figures = calloc(1, sizeof *figures);
    assert_non_null(figures);
    assert_int_equal(kafka_figures_round_trip_us(figures), -1);
    figures->broker_count = 3;
    figures->brokers[0] = (struct kafka_broker_figures){.name = "h:1/1", .p50_us = 500000};
    figures->brokers[1] = (struct kafka_broker_figures){.name = "h:2/2", .p50_us = 300};
    figures->brokers[2] = (struct kafka_broker_figures){.name = "GroupCoordinator", .p50_us = -1};
    assert_int_equal(kafka_figures_round_trip_us(figures), 500000);
    figures->brokers[2].p50_us = 700;
    assert_int_equal(kafka_figures_round_trip_us(figures), 700);
    free(figures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips_of_each_connection_are_added_up),
        cmocka_unit_test(a_connection_that_is_gone_is_forgotten),
        cmocka_unit_test(only_a_settled_member_of_a_group_counts_as_joined),
        cmocka_unit_test(what_is_no_statistics_changes_nothing),
        cmocka_unit_test(numbers_that_make_no_sense_count_as_nothing),
        cmocka_unit_test(quantiles_lie_between_the_smallest_and_the_largest_round_trip),
        cmocka_unit_test(more_connections_than_there_is_room_for_are_left_out_and_long_names_are_cut),
        cmocka_unit_test(a_text_about_brokers_beyond_the_limit_is_left_out),
        cmocka_unit_test(the_round_trip_is_the_coordinators_or_else_the_slowest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
