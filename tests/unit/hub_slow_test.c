/* Clients that cannot keep up: the newest row per key where there is one, else 1013; never more than their queue. */
#include "hub_fixture.h"

#define FIXTURE                   \
    struct hub_fixture fixture;   \
    struct fake_connection one;   \
    fixture_open(&fixture, 3, 0); \
    fake_open(&fixture, &one)
#define CLOSE_FIXTURE \
    fake_leave(&one); \
    fixture_close(&fixture)

static void a_slow_client_gets_the_newest_row_per_key_and_is_live_again(void **state)
{
    (void)state;
    FIXTURE;
    struct fake_connection fast;
    fake_open(&fixture, &fast);
    fake_subscribe(&fixture, &one, "aggregations", "");
    fake_subscribe(&fixture, &fast, "aggregations", "");
    one.is_stalled = true;
    for (int i = 0; i < 5000; i++) {
        fixture_emit(&fixture, i % 2 ? "FR" : "DE", i, i);
        if (i % 100 == 0)
            fixture_turn(&fixture, 0);
    }
    fixture_turn(&fixture, 0);
    assert_int_equal(one.close_code, 0);
    assert_in_range(one.most_queued, FAKE_QUEUE / 2, FAKE_QUEUE);
    assert_int_equal(hub_statistics(fixture.hub).conflated, 1);
    one.is_stalled = false;
    fake_drain(&one, SIZE_MAX);
    assert_true(hub_wants_turn(fixture.hub));
    fixture_turn(&fixture, 0);
    int64_t previous = -1, count = 0, conflated = 0;
    for (; fake_next(&one); count++) {
        assert_true(fake_number(&one, "n") > previous);
        previous = fake_number(&one, "n");
        conflated += strstr(one.message.data, "\"conflated\":true") != NULL;
    }
    assert_int_equal(previous, 4999);
    assert_int_equal(conflated, 2);
    assert_in_range(count, 100, 4000);
    for (int i = 0; i < 5000; i++) {
        fake_expect(&fast, "\"result\":");
        assert_int_equal(fake_number(&fast, "n"), i);
    }
    fixture_emit(&fixture, "FR", 6000, 6000);
    fixture_turn(&fixture, 0);
    assert_ptr_equal(one.last_frame, fast.last_frame);
    fake_leave(&fast);
    CLOSE_FIXTURE;
}

static void check_slow_conflated(int rounds)
{
    enum { KEYS = 1500 };
    FIXTURE;
    fake_subscribe(&fixture, &one, "aggregations", ",\"conflate\":\"100ms\"");
    one.is_stalled = true;
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < KEYS; i++) {
            char key[32];
            snprintf(key, sizeof key, "key%d", i);
            fixture_emit(&fixture, key, round, round * KEYS + i);
            if (i % 500 == 0)
                fixture_turn(&fixture, 0);
        }
        fixture_turn(&fixture, 200 * MS);
    }
    fixture_turn(&fixture, 0);
    assert_int_equal(one.close_code, 0);
    assert_in_range(one.most_queued, FAKE_QUEUE / 2, FAKE_QUEUE);
    for (int i = 0; i < 50; i++) {
        fixture_turn(&fixture, 10 * MS);
        fake_drain(&one, 64 * 1024);
    }
    assert_false(hub_wants_turn(fixture.hub));
    bool has[KEYS] = {false};
    int64_t previous = -1, newest_count = 0;
    while (fake_next(&one)) {
        int64_t n = fake_number(&one, "n");
        assert_true(n > previous);
        previous = n;
        newest_count += n >= (rounds - 1) * KEYS && !has[n % KEYS];
        has[n % KEYS] |= n >= (rounds - 1) * KEYS;
    }
    assert_int_equal(newest_count, KEYS);
    one.is_stalled = false;
    fixture_emit(&fixture, "key1", 9, 100000);
    fixture_turn(&fixture, 0);
    fake_expect_rows(&one, (int64_t[]){100000}, 1);
    CLOSE_FIXTURE;
}

static void a_slow_conflated_client_gets_every_key_once_more_and_is_live_again(void **state)
{
    (void)state;
    check_slow_conflated(1);
    check_slow_conflated(5);
}

static void a_snapshot_of_a_conflated_group_is_followed_by_newer_rows_only(void **state)
{
    (void)state;
    FIXTURE;
    struct fake_connection two;
    fake_open(&fixture, &two);
    fake_subscribe(&fixture, &one, "aggregations", ",\"conflate\":\"100ms\"");
    fixture_emit(&fixture, "FR", 1, 1);
    fixture_turn(&fixture, 10 * MS);
    fixture_emit(&fixture, "FR", 2, 2);
    fixture_turn(&fixture, 10 * MS);
    fake_expect_rows(&one, (int64_t[]){1}, 1);
    fake_subscribe(&fixture, &two, "aggregations", ",\"conflate\":\"100ms\",\"snapshot\":true");
    fake_expect_rows(&two, (int64_t[]){2}, 1);
    fixture_emit(&fixture, "DE", 2, 3);
    fixture_turn(&fixture, 10 * MS);
    fake_drain(&two, SIZE_MAX);
    fixture_turn(&fixture, 10 * MS);
    fake_expect_none(&two);
    fixture_turn(&fixture, 100 * MS);
    fixture_turn(&fixture, 0);
    fake_expect_rows(&one, (int64_t[]){2, 3}, 2);
    fake_expect_rows(&two, (int64_t[]){3}, 1);
    fixture_emit(&fixture, "DE", 3, 4);
    fixture_turn(&fixture, 200 * MS);
    fixture_turn(&fixture, 0);
    fake_expect_rows(&two, (int64_t[]){4}, 1);
    assert_ptr_equal(one.last_frame, two.last_frame);
    fake_leave(&two);
    CLOSE_FIXTURE;
}

static void a_burst_larger_than_the_queue_does_not_make_a_fast_reader_slow(void **state)
{
    (void)state;
    enum { EVENTS = 1000, SUBSCRIPTIONS = 6 };
    FIXTURE;
    for (int i = 0; i < SUBSCRIPTIONS; i++)
        fake_subscribe(&fixture, &one, "events", "");
    char text[500];
    snprintf(text, sizeof text, "{\"pad\":\"%0450d\"}", 0);
    for (int i = 0; i < EVENTS; i++)
        fixture_event(&fixture, 0, text);
    /* Its socket takes everything, but only between turns. */
    one.is_stalled = true;
    int64_t due_us;
    do {
        due_us = hub_turn(fixture.hub, fixture.now_us, fixture.now_us);
        fake_drain(&one, SIZE_MAX);
    } while (due_us <= fixture.now_us);
    assert_int_equal(one.close_code, 0);
    int count = 0;
    for (; fake_next(&one); count++)
        assert_non_null(strstr(one.message.data, "\"event\""));
    assert_int_equal(count, EVENTS * SUBSCRIPTIONS);
    CLOSE_FIXTURE;
}

static void a_slow_client_of_events_is_closed_1013(void **state)
{
    (void)state;
    FIXTURE;
    fake_subscribe(&fixture, &one, "events", "");
    one.is_stalled = true;
    for (int i = 0; i < 4000 && !one.close_code; i++) {
        fixture_event(
            &fixture, 0,
            "{\"text\":\"one hundred bytes or so of an event that nobody takes, again and again and again\"}");
        fixture_turn(&fixture, 0);
    }
    assert_int_equal(one.close_code, 1013);
    assert_string_equal(one.close_reason, "slow consumer");
    assert_in_range(one.most_queued, FAKE_QUEUE / 2, FAKE_QUEUE);
    assert_int_equal(hub_statistics(fixture.hub).slow_consumers, 1);
    assert_int_equal(hub_statistics(fixture.hub).subscriptions, 0);
    assert_false(fixture.wanted[0]);
    CLOSE_FIXTURE;
}

static void a_slow_client_with_more_keys_than_its_queue_holds_is_closed_1013(void **state)
{
    (void)state;
    FIXTURE;
    fake_subscribe(&fixture, &one, "aggregations", "");
    one.is_stalled = true;
    for (int i = 0; i < 20000 && !one.close_code; i++) {
        char key[32];
        snprintf(key, sizeof key, "key%d", i);
        fixture_emit(&fixture, key, 1, i);
        fixture_turn(&fixture, 0);
    }
    assert_int_equal(one.close_code, 1013);
    assert_in_range(one.most_queued, FAKE_QUEUE / 2, FAKE_QUEUE);
    CLOSE_FIXTURE;
}

static void a_client_that_asks_without_reading_is_closed_1013(void **state)
{
    (void)state;
    FIXTURE;
    one.is_stalled = true;
    for (int i = 0; i < 10000 && !one.close_code; i++)
        fake_say(&fixture, &one, "{\"type\":\"ping\"}");
    assert_int_equal(one.close_code, 1013);
    assert_in_range(one.most_queued, FAKE_QUEUE / 2, FAKE_QUEUE);
    fake_say(&fixture, &one, "{\"type\":\"ping\"}");
    CLOSE_FIXTURE;
}

static void a_record_too_large_for_any_queue_is_left_out_and_counted(void **state)
{
    (void)state;
    FIXTURE;
    fake_subscribe(&fixture, &one, "events", "");
    char *text = malloc(FAKE_QUEUE);
    snprintf(text, FAKE_QUEUE, "{\"pad\":\"%0*d\"}", FAKE_QUEUE / 2, 0);
    fixture_event(&fixture, 0, text);
    fixture_event(&fixture, 0, "{\"small\":1}");
    fixture_turn(&fixture, 0);
    fake_expect(&one, "small");
    fake_expect_none(&one);
    assert_int_equal(hub_statistics(fixture.hub).oversized, 1);
    free(text);
    CLOSE_FIXTURE;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_client_gets_the_newest_row_per_key_and_is_live_again),
        cmocka_unit_test(a_slow_conflated_client_gets_every_key_once_more_and_is_live_again),
        cmocka_unit_test(a_snapshot_of_a_conflated_group_is_followed_by_newer_rows_only),
        cmocka_unit_test(a_burst_larger_than_the_queue_does_not_make_a_fast_reader_slow),
        cmocka_unit_test(a_slow_client_of_events_is_closed_1013),
        cmocka_unit_test(a_slow_client_with_more_keys_than_its_queue_holds_is_closed_1013),
        cmocka_unit_test(a_client_that_asks_without_reading_is_closed_1013),
        cmocka_unit_test(a_record_too_large_for_any_queue_is_left_out_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
