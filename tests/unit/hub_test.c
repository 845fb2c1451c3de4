/* What clients of the hub say and get: messages, filters, deliveries, options, limits. */
#include "hub_fixture.h"

#define FIXTURE                      \
    struct hub_fixture fixture;      \
    struct fake_connection one, two; \
    open_both(&fixture, &one, &two)
#define CLOSE_FIXTURE close_both(&fixture, &one, &two)

static void open_both(struct hub_fixture *fixture, struct fake_connection *one, struct fake_connection *two)
{
    fixture_open(fixture, 3, 0);
    fake_open(fixture, one);
    fake_open(fixture, two);
}

static void close_both(struct hub_fixture *fixture, struct fake_connection *one, struct fake_connection *two)
{
    fake_leave(one);
    fake_leave(two);
    fixture_close(fixture);
}

static void ping_is_answered_pong_in_the_envelope(void **state)
{
    (void)state;
    FIXTURE;
    fake_say(&fixture, &one, "{\"type\":\"ping\"}");
    assert_string_equal(fake_next(&one),
                        "{\"type\":\"pong\",\"timestamp\":1005000,\"data\":{},\"metadata\":{}}");
    CLOSE_FIXTURE;
}

static void auth_is_answered_auth_success(void **state)
{
    (void)state;
    FIXTURE;
    fake_say(&fixture, &one, "{\"type\":\"auth\",\"data\":{\"token\":\"x\"}}");
    fake_expect(&one, "\"type\":\"auth_success\"");
    char id[64];
    fake_member(&one, "client_id", id, sizeof id);
    assert_string_equal(id, hub_client_id(one.client));
    fake_member(&one, "user_id", id, sizeof id);
    fake_member(&one, "session_id", id, sizeof id);
    CLOSE_FIXTURE;
}

static void anything_else_is_answered_error_and_the_connection_stays_open(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "",
        "{not json",
        "[]",
        "5",
        "null",
        "\"ping\"",
        "{}",
        "{\"type\":5}",
        "{\"type\":\"nosuch\"}",
        "{\"type\":\"ping\"} x",
        "{\"type\":\"subscribe\"}",
        "{\"type\":\"subscribe\",\"data\":{}}",
        "{\"type\":\"subscribe\",\"data\":[]}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"nosuch\"}}",
        "{\"type\":\"unsubscribe\"}",
        "{\"type\":\"unsubscribe\",\"data\":{\"subscription_id\":\"nosuch\"}}",
        "{\"type\":\"unsubscribe\",\"data\":{\"subscription_id\":7}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"events\",\"filters\":\"x\"}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"events\",\"filters\":{\"a\":{\"b\":1}}}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"events\",\"filters\":{\"a\":[[1]]}}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"events\",\"filters\":{\"a..b\":1}}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"events\",\"filters\":{\"\":1}}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"events\",\"filters\":{\"a\":1,\"a\":2}}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"events\",\"where\":\"1 +\"}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"events\",\"where\":5}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"events\",\"conflate\":\"1s\"}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"events\",\"source\":\"nosuch\"}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"conflate\":\"soon\"}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"conflate\":\"250\"}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"conflate\":\"0ms\"}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"conflate\":\"99999999999999999999s\"}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"conflate\":5}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"since\":5}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"batch\":1}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"snapshot\":\"yes\"}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"filters\":{\"contry\":\"FR\"}}}",
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"where\":\"amount > 5\"}}",
    };
    FIXTURE;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        fake_say(&fixture, &one, messages[i]);
        fake_expect(&one, "{\"type\":\"error\",\"timestamp\":1005000,\"data\":{\"error\":\"");
        fake_expect_none(&one);
    }
    char deep[2000] = "{\"type\":\"subscribe\",\"data\":{\"type\":\"events\",\"filters\":";
    memset(deep + strlen(deep), '[', 500);
    fake_say(&fixture, &one, deep);
    fake_expect(&one, "\"error\"");
    fake_say(&fixture, &one, "{\"type\":\"ping\"}");
    fake_expect(&one, "pong");
    CLOSE_FIXTURE;
}

static void a_bad_expression_is_shown_with_its_place(void **state)
{
    (void)state;
    FIXTURE;
    fake_say(&fixture, &one,
             "{\"type\":\"subscribe\",\"data\":{\"type\":\"events\",\"where\":\"amount > > 1\"}}");
    fake_expect(&one, "at character 10");
    CLOSE_FIXTURE;
}

static void an_aggregation_is_delivered_as_the_record(void **state)
{
    (void)state;
    FIXTURE;
    fake_say(&fixture, &one, "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"filters\":{}}}");
    fake_expect(
        &one, "\"data\":{\"status\":\"subscribed\",\"subscription_type\":\"aggregations\"},\"metadata\":{}}");
    char id[64], expected[2000];
    fake_member(&one, "subscription_id", id, sizeof id);
    fixture.next_sequence = 17;
    struct fixture_row row = {.key = "FR", .window = 20, .n = 5, .emit = EMIT_FINAL};
    struct result_block *block = result_block_create(&fixture_shapes[0], 1);
    fixture_fill_row(block, &row);
    result_block_encode(block);
    snprintf(
        expected, sizeof expected,
        "{\"type\":\"data\",\"subscription_id\":\"%s\",\"timestamp\":1005000,\"data\":{\"subscription_type\":"
        "\"aggregations\",\"result\":%.*s},\"metadata\":{\"position\":\"3-17\"}}",
        id, SLICE_ARG(result_block_json(block, 0)));
    result_block_release(block);
    fixture_emit_rows(&fixture, &row, 1);
    fixture_turn(&fixture, 0);
    assert_string_equal(fake_next(&one), expected);
    fake_expect_none(&two);
    assert_int_equal(fixture.sent_blocks, 1);
    CLOSE_FIXTURE;
}

static void equal_subscriptions_share_id_and_frame(void **state)
{
    (void)state;
    FIXTURE;
    char first[64], second[64];
    fake_subscribe(&fixture, &one, "aggregations",
                   ",\"filters\":{\"pipeline\":\"revenue\",\"key.country\":[\"FR\",\"DE\"]}");
    fake_member(&one, "subscription_id", first, sizeof first);
    fake_subscribe(
        &fixture, &two, "aggregations",
        ",\"filters\":{\"key.country\":[\"DE\",\"FR\",\"DE\"],\"pipeline\":[\"revenue\"]},\"snapshot\":false");
    fake_member(&two, "subscription_id", second, sizeof second);
    assert_string_equal(first, second);
    assert_int_equal(hub_statistics(fixture.hub).groups, 1);
    for (int i = 0; i < 30; i++)
        fixture_emit(&fixture, "FR", i, i);
    one.frame_count = two.frame_count = 0;
    fixture_turn(&fixture, 0);
    assert_ptr_equal(one.last_frame, two.last_frame);
    assert_int_equal(one.frame_count, 1);
    for (int i = 0; i < 30; i++) {
        fake_expect(&one, "\"country\":\"FR\"");
        fake_expect(&two, "\"country\":\"FR\"");
    }
    assert_int_equal(hub_statistics(fixture.hub).deliveries, 60);
    CLOSE_FIXTURE;
}

static void a_record_for_a_thousand_clients_is_one_frame(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct hub_fixture fixture;
    struct fake_connection *fakes = calloc(COUNT, sizeof *fakes);
    fixture_open(&fixture, 1, 0);
    for (int i = 0; i < COUNT; i++) {
        fake_open(&fixture, &fakes[i]);
        fake_subscribe(&fixture, &fakes[i], "aggregations", "");
        fakes[i].frame_count = 0;
    }
    fixture_emit(&fixture, "FR", 1, 1);
    fixture_turn(&fixture, 0);
    for (int i = 0; i < COUNT; i++) {
        assert_ptr_equal(fakes[i].last_frame, fakes[0].last_frame);
        assert_int_equal(fakes[i].frame_count, 1);
        fake_leave(&fakes[i]);
    }
    free(fakes);
    fixture_close(&fixture);
}

static void the_same_again_by_one_client_has_an_id_of_its_own(void **state)
{
    (void)state;
    FIXTURE;
    char first[64], second[64], text[200];
    fake_subscribe(&fixture, &one, "aggregations", "");
    fake_member(&one, "subscription_id", first, sizeof first);
    fake_subscribe(&fixture, &one, "aggregations", "");
    fake_member(&one, "subscription_id", second, sizeof second);
    assert_string_not_equal(first, second);
    snprintf(text, sizeof text, "{\"type\":\"unsubscribe\",\"data\":{\"subscription_id\":\"%s\"}}", first);
    fake_say(&fixture, &one, text);
    fake_expect(&one, "\"data\":{\"status\":\"unsubscribed\"");
    fixture_emit(&fixture, "FR", 1, 1);
    fixture_turn(&fixture, 0);
    fake_expect(&one, second);
    fake_expect_none(&one);
    fake_say(&fixture, &one, text);
    fake_expect(&one, "\"type\":\"error\"");
    CLOSE_FIXTURE;
}

static void every_type_is_confirmed_and_the_129th_is_refused(void **state)
{
    (void)state;
    static const char *const types[] = {"events",      "metrics",      "alerts",
                                        "predictions", "aggregations", "system_status"};
    FIXTURE;
    for (int i = 0; i < HUB_CLIENT_SUBSCRIPTIONS_MAX; i++)
        fake_subscribe(&fixture, &one, types[i % 6], ",\"filters\":{}");
    fake_say(&fixture, &one, "{\"type\":\"subscribe\",\"data\":{\"type\":\"alerts\"}}");
    fake_expect(&one, "too many subscriptions");
    struct buffer description = {0};
    hub_client_describe(one.client, &description);
    assert_true(description.size > 128 * 40);
    buffer_deinit(&description);
    CLOSE_FIXTURE;
}

/* Emits one row per country and returns which were delivered, in order, each followed by a space. */
static void check_filter(const char *options, const char *expected)
{
    static const struct fixture_row rows[] = {{0, "FR", 1, 1, EMIT_FINAL, 0},
                                              {0, "DE", 1, 7, EMIT_FINAL, 0},
                                              {0, "IT", 1, 2, EMIT_UPDATE, 3},
                                              {0, NULL, 1, 9, EMIT_EARLY, 0}};
    struct hub_fixture fixture;
    struct fake_connection fake;
    fixture_open(&fixture, 1, 0);
    fake_open(&fixture, &fake);
    fake_subscribe(&fixture, &fake, "aggregations", options);
    fixture_emit_rows(&fixture, rows, 4);
    struct fixture_row other = {.pipeline = 1, .key = "FR", .window = 1, .n = 1, .emit = EMIT_FINAL};
    fixture_emit_rows(&fixture, &other, 1);
    fixture_turn(&fixture, 0);
    char got[200] = "";
    while (fake_next(&fake)) {
        const char *key = strstr(fake.message.data, "\"country\":") + 10;
        strcat(got, strstr(fake.message.data, "visits") ? "visits:" : "");
        strncat(got, key + (*key == '"'), *key == '"' ? 2 : 4);
        strcat(got, " ");
    }
    if (strcmp(got, expected) != 0)
        fail_msg("%s: expected %s, got %s", options, expected, got);
    fake_leave(&fake);
    fixture_close(&fixture);
}

static void filters_are_exact_and_an_array_means_any_of(void **state)
{
    (void)state;
    check_filter("", "FR DE IT null visits:FR ");
    check_filter(",\"filters\":null", "FR DE IT null visits:FR ");
    check_filter(",\"filters\":{\"pipeline\":\"revenue\"}", "FR DE IT null ");
    check_filter(",\"filters\":{\"pipeline\":[\"visits\",\"nosuch\"]}", "visits:FR ");
    check_filter(",\"filters\":{\"pipeline\":\"nosuch\"}", "");
    check_filter(",\"filters\":{\"pipeline\":[]}", "");
    check_filter(",\"filters\":{\"key.country\":\"FR\"}", "FR visits:FR ");
    check_filter(",\"filters\":{\"key.country\":\"fr\"}", "");
    check_filter(",\"filters\":{\"key[\\\"country\\\"]\":[\"DE\",\"IT\"]}", "DE IT ");
    check_filter(",\"filters\":{\"key.country\":null}", "null ");
    check_filter(",\"filters\":{\"key.country\":[null,\"IT\"]}", "IT null ");
    check_filter(",\"filters\":{\"values.n\":7}", "DE ");
    check_filter(",\"filters\":{\"values.n\":[7.0,2e0]}", "DE IT ");
    check_filter(",\"filters\":{\"values.n\":\"7\"}", "");
    check_filter(",\"filters\":{\"values.n\":7.5}", "");
    check_filter(",\"filters\":{\"values.nosuch\":null,\"values.n\":2}", "IT ");
    check_filter(",\"filters\":{\"emit\":\"update\",\"revision\":3}", "IT ");
    check_filter(",\"filters\":{\"emit\":\"final\",\"revision\":0,\"pipeline\":\"revenue\"}", "FR DE ");
    check_filter(",\"filters\":{\"key\":\"FR\"}", "");
    check_filter(",\"filters\":{\"values.n\":true}", "");
}

static void where_is_judged_over_what_is_delivered(void **state)
{
    (void)state;
    check_filter(",\"where\":\"values.n > 5\"", "DE null ");
    check_filter(",\"where\":\"values.n > 5\",\"filters\":{\"key.country\":\"DE\"}", "DE ");
    check_filter(",\"where\":\"values.nosuch > 5\"", "");
}

static void events_go_to_subscribers_of_their_source(void **state)
{
    (void)state;
    FIXTURE;
    assert_false(fixture.wanted[0]);
    fake_subscribe(&fixture, &one, "events", ",\"filters\":{\"user.name\":\"a\\u00fc\"}");
    assert_true(fixture.wanted[0] && fixture.wanted[1]);
    fake_subscribe(&fixture, &two, "events", ",\"source\":\"orders\",\"where\":\"amount > 3\"");
    fixture_event(&fixture, 0, "{\"user\":{\"name\":\"a\\u00fc\"},\"amount\":9}");
    fixture_event(&fixture, 1, "{\"user\":{\"name\":\"b\"},\"amount\":4}");
    fixture_event(&fixture, 1, "{\"amount\":3}");
    fixture_turn(&fixture, 0);
    fake_expect(
        &one,
        "\"data\":{\"subscription_type\":\"events\",\"event\":{\"user\":{\"name\":\"a\\u00fc\"},\"amount\":9}},"
        "\"metadata\":{\"position\":\"3-e0\",\"source\":\"clicks\",\"partition\":3,\"offset\":41}}");
    fake_expect_none(&one);
    fake_expect(&two, "\"amount\":4}}");
    fake_expect_none(&two);
    fake_leave(&one);
    assert_true(!fixture.wanted[0] && fixture.wanted[1]);
    fake_leave(&two);
    assert_true(!fixture.wanted[1]);
    fixture_close(&fixture);
}

static void events_beyond_a_full_ring_are_dropped_and_counted(void **state)
{
    (void)state;
    FIXTURE;
    for (int i = 0; i < HUB_INPUT_CAPACITY + 5; i++)
        fixture_event(&fixture, 0, "{}");
    assert_int_equal(hub_statistics(fixture.hub).events_dropped, 5);
    CLOSE_FIXTURE;
}

static void metrics_and_status_come_each_second_and_are_written_once(void **state)
{
    (void)state;
    FIXTURE;
    fixture_turn(&fixture, 3 * SECOND);
    assert_int_equal(fixture.metrics_count, 0);
    fake_subscribe(&fixture, &one, "metrics", "");
    fake_subscribe(&fixture, &two, "metrics", "");
    fake_subscribe(&fixture, &two, "system_status", "");
    for (int i = 0; i < 35; i++)
        fixture_turn(&fixture, 100 * MS);
    assert_int_equal(fixture.metrics_count, 3);
    for (unsigned i = 1; i <= 3; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "\"metrics\":{\"count\":%u}", i);
        fake_expect(&one, expected);
        fake_expect(&two, expected);
        fake_expect(&two, "\"system\":{\"status\":\"ok\"}");
    }
    fake_expect_none(&one);
    fake_expect_none(&two);
    assert_true(hub_turn(fixture.hub, fixture.now_us, 0) <= fixture.now_us + SECOND);
    CLOSE_FIXTURE;
}

static void conflation_sends_the_newest_per_key_at_most_that_often(void **state)
{
    (void)state;
    FIXTURE;
    fake_subscribe(&fixture, &one, "aggregations", ",\"conflate\":\"250ms\"");
    for (int i = 0; i < 100; i++) {
        fixture_emit(&fixture, "FR", i, i);
        fixture_emit(&fixture, "DE", i, 1000 + i);
        fixture_turn(&fixture, 10 * MS);
    }
    fixture_turn(&fixture, 300 * MS);
    fixture_turn(&fixture, 0);
    int previous = -1, count = 0;
    while (fake_next(&one)) {
        fake_expect(&one, "\"country\":\"DE\"");
        count++;
        int n = atoi(strstr(one.message.data, "\"n\":") + 4) - 1000;
        assert_true(n > previous);
        previous = n;
    }
    assert_int_equal(previous, 99);
    assert_in_range(count, 4, 6);
    CLOSE_FIXTURE;
}

static void conflation_keeps_the_final_row_beside_the_next_early_one(void **state)
{
    (void)state;
    FIXTURE;
    fake_subscribe(&fixture, &one, "aggregations", ",\"conflate\":\"1s\"");
    fixture_emit(&fixture, "FR", 1, 1);
    fixture_turn(&fixture, 10 * MS);
    fake_expect(&one, "\"window_start\":1000");
    struct fixture_row rows[] = {{0, "FR", 2, 1, EMIT_EARLY, 0},
                                 {0, "FR", 2, 2, EMIT_FINAL, 0},
                                 {0, "FR", 3, 1, EMIT_EARLY, 0},
                                 {0, "FR", 3, 2, EMIT_EARLY, 0},
                                 {0, "FR", 1, 3, EMIT_UPDATE, 1}};
    fixture_emit_rows(&fixture, rows, 5);
    fixture_turn(&fixture, 2 * SECOND);
    fake_expect_none(&one);
    fixture_turn(&fixture, 0);
    fake_expect(&one, "\"emit\":\"final\"");
    fake_expect(&one, "\"emit\":\"early\"");
    assert_non_null(strstr(one.message.data, "\"n\":2"));
    fake_expect_none(&one);
    CLOSE_FIXTURE;
}

static void a_batch_holds_at_most_50_messages_and_waits_at_most_10_ms(void **state)
{
    (void)state;
    FIXTURE;
    fake_subscribe(&fixture, &one, "aggregations", ",\"batch\":true");
    char id[64];
    fake_member(&one, "subscription_id", id, sizeof id);
    fixture_emit(&fixture, "FR", 0, 0);
    fixture_turn(&fixture, 9 * MS);
    fake_expect_none(&one);
    int64_t due_us = hub_turn(fixture.hub, fixture.now_us, 0);
    assert_int_equal(due_us, fixture.now_us + MS);
    fixture.now_us = due_us;
    fixture_turn(&fixture, 0);
    fake_expect(&one, "\"data\":{\"batch\":true,\"messages\":[{\"type\":\"data\",\"subscription_id\":\"");
    assert_non_null(strstr(one.message.data, "]},\"metadata\":{\"position\":\"3-0\"}}"));
    for (int i = 1; i <= 120; i++)
        fixture_emit(&fixture, "FR", i, i);
    fixture_turn(&fixture, 20 * MS);
    fixture_turn(&fixture, 0);
    int expected = 1;
    unsigned frames = 0;
    for (; fake_next(&one); frames++) {
        int count = 0;
        for (const char *at = one.message.data; (at = strstr(at, "\"n\":")); at += 4, count++)
            assert_int_equal(atoi(at + 4), expected++);
        assert_in_range(count, 1, HUB_BATCH_MESSAGES_MAX);
    }
    assert_int_equal(expected, 121);
    assert_int_equal(frames, 3);
    CLOSE_FIXTURE;
}

static void the_61st_message_of_a_minute_is_answered_rate_limit(void **state)
{
    (void)state;
    struct hub_fixture fixture;
    struct fake_connection fake;
    fixture_open(&fixture, 1, 60);
    fake_open(&fixture, &fake);
    for (int i = 0; i < 60; i++, fixture.now_us += 500 * MS) {
        fake_say(&fixture, &fake, "{\"type\":\"ping\"}");
        fake_expect(&fake, "pong");
    }
    fake_say(&fixture, &fake, "{\"type\":\"ping\"}");
    fake_expect(&fake, "\"data\":{\"error\":\"Rate limit exceeded\"}");
    fixture.now_us += 30 * SECOND;
    fake_say(&fixture, &fake, "{\"type\":\"ping\"}");
    fake_expect(&fake, "pong");
    fake_say(&fixture, &fake, "{\"type\":\"ping\"}");
    fake_expect(&fake, "Rate limit exceeded");
    fake_leave(&fake);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ping_is_answered_pong_in_the_envelope),
        cmocka_unit_test(auth_is_answered_auth_success),
        cmocka_unit_test(anything_else_is_answered_error_and_the_connection_stays_open),
        cmocka_unit_test(a_bad_expression_is_shown_with_its_place),
        cmocka_unit_test(an_aggregation_is_delivered_as_the_record),
        cmocka_unit_test(equal_subscriptions_share_id_and_frame),
        cmocka_unit_test(a_record_for_a_thousand_clients_is_one_frame),
        cmocka_unit_test(the_same_again_by_one_client_has_an_id_of_its_own),
        cmocka_unit_test(every_type_is_confirmed_and_the_129th_is_refused),
        cmocka_unit_test(filters_are_exact_and_an_array_means_any_of),
        cmocka_unit_test(where_is_judged_over_what_is_delivered),
        cmocka_unit_test(events_go_to_subscribers_of_their_source),
        cmocka_unit_test(events_beyond_a_full_ring_are_dropped_and_counted),
        cmocka_unit_test(metrics_and_status_come_each_second_and_are_written_once),
        cmocka_unit_test(conflation_sends_the_newest_per_key_at_most_that_often),
        cmocka_unit_test(conflation_keeps_the_final_row_beside_the_next_early_one),
        cmocka_unit_test(a_batch_holds_at_most_50_messages_and_waits_at_most_10_ms),
        cmocka_unit_test(the_61st_message_of_a_minute_is_answered_rate_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
