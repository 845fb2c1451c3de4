/* Positions and snapshots: what a client has after it was away or joined late. */
#include "hub_fixture.h"

#define FIXTURE                   \
    struct hub_fixture fixture;   \
    struct fake_connection one;   \
    fixture_open(&fixture, 3, 0); \
    fake_open(&fixture, &one)
#define CLOSE_FIXTURE \
    fake_leave(&one); \
    fixture_close(&fixture)

/* --- snapshots --- */

static void a_snapshot_is_the_newest_row_of_each_key_in_order_after_the_confirmation(void **state)
{
    (void)state;
    FIXTURE;
    struct store_result old[] = {
        stored("{\"values\":{\"n\":11},\"emit\":\"final\"}", "revenue", "[\"FR\"]", 1, 2, 90),
        stored("{\"values\":{\"n\":12},\"emit\":\"final\"}", "revenue", "[\"ES\"]", 1, 2, 80),
        stored("{\"values\":{\"n\":13},\"emit\":\"final\"}", "gone", "[\"ES\"]", 1, 2, 81),
        stored("{\"values\":{\"n\":14},\"emit\":\"early\"}", "revenue", "[\"ES\"]", 2, 1, 70),
    };
    for (size_t i = 0; i < 4; i++)
        hub_restore_row(fixture.hub, &old[i]);
    fixture_emit(&fixture, "FR", 5, 1);
    fixture_emit(&fixture, "DE", 5, 2);
    fixture_emit(&fixture, "FR", 6, 3);
    struct fixture_row late = {.key = "FR", .window = 5, .n = 4, .emit = EMIT_UPDATE, .revision = 1};
    fixture_emit_rows(&fixture, &late, 1);
    fixture_turn(&fixture, 0);
    fake_subscribe(&fixture, &one, "aggregations", ",\"snapshot\":true");
    fake_expect_rows(&one, (int64_t[]){14, 12, 2, 3}, 4);
    fixture_emit(&fixture, "DE", 6, 5);
    fixture_turn(&fixture, 0);
    fake_expect_rows(&one, (int64_t[]){5}, 1);
    CLOSE_FIXTURE;
}

static void rows_that_recovery_emits_again_are_not_delivered_again(void **state)
{
    (void)state;
    FIXTURE;
    struct store_result old[] = {
        stored("{\"values\":{\"n\":11},\"emit\":\"final\",\"revision\":0,\"receipt\":{\"on_time\":3}}",
               "revenue", "[\"FR\"]", 1, 2, 90),
        stored(
            "{\"values\":{\"n\":12},\"emit\":\"update\",\"revision\":2,\"receipt\":{\"on_time\":3,\"late_accepted\":2}}",
            "revenue", "[\"FR\"]", 2, 2, 91),
        stored("{\"values\":{\"n\":13},\"emit\":\"early\",\"revision\":0,\"receipt\":{\"on_time\":7}}",
               "revenue", "[\"FR\"]", 3, 2, 92),
    };
    for (size_t i = 0; i < 3; i++)
        hub_restore_row(fixture.hub, &old[i]);
    fake_subscribe(&fixture, &one, "aggregations", "");
    /* on_time of an emitted row is its n. */
    struct fixture_row again[] = {{0, "FR", 1, 3, EMIT_EARLY, 0},
                                  {0, "FR", 1, 3, EMIT_FINAL, 0},
                                  {0, "FR", 2, 3, EMIT_UPDATE, 1},
                                  {0, "FR", 2, 5, EMIT_UPDATE, 2},
                                  {0, "FR", 3, 6, EMIT_EARLY, 0}};
    struct fixture_row fresh[] = {{0, "FR", 1, 4, EMIT_UPDATE, 0},
                                  {0, "FR", 2, 1, EMIT_UPDATE, 3},
                                  {0, "FR", 3, 8, EMIT_EARLY, 0},
                                  {0, "FR", 3, 2, EMIT_FINAL, 0},
                                  {0, "DE", 1, 9, EMIT_FINAL, 0}};
    fixture_emit_rows(&fixture, again, 5);
    fixture_turn(&fixture, 0);
    fake_expect_none(&one);
    fixture_emit_rows(&fixture, fresh, 5);
    fixture_turn(&fixture, 0);
    fake_expect_rows(&one, (int64_t[]){4, 1, 8, 2, 9}, 5);
    fake_subscribe(&fixture, &one, "aggregations", ",\"since\":\"3-0\"");
    fake_expect_rows(&one, (int64_t[]){4, 1, 8, 2, 9}, 5);
    CLOSE_FIXTURE;
}

static void a_snapshot_shows_only_what_the_filter_wants(void **state)
{
    (void)state;
    FIXTURE;
    fixture_emit(&fixture, "FR", 5, 1);
    fixture_emit(&fixture, "DE", 5, 7);
    struct fixture_row early = {.key = "DE", .window = 6, .n = 9, .emit = EMIT_EARLY},
                       other = {.pipeline = 1, .key = "DE", .n = 8};
    fixture_emit_rows(&fixture, &early, 1);
    fixture_emit_rows(&fixture, &other, 1);
    fixture_turn(&fixture, 0);
    fake_subscribe(
        &fixture, &one, "aggregations",
        ",\"snapshot\":true,\"where\":\"values.n > 5\",\"filters\":{\"pipeline\":\"revenue\",\"emit\":\"final\"}");
    fake_expect_rows(&one, (int64_t[]){7}, 1);
    CLOSE_FIXTURE;
}

static void the_position_of_a_snapshot_row_is_good_for_since(void **state)
{
    (void)state;
    FIXTURE;
    for (int i = 0; i < 5; i++)
        fixture_emit(&fixture, i % 2 ? "FR" : "DE", i, i);
    fixture_turn(&fixture, 0);
    fake_subscribe(&fixture, &one, "aggregations", ",\"snapshot\":true");
    fake_expect_rows(&one, (int64_t[]){3, 4}, 2);
    char position[64], options[200];
    fake_member(&one, "position", position, sizeof position);
    fixture_emit(&fixture, "DE", 9, 9);
    snprintf(options, sizeof options, ",\"since\":\"%s\"", position);
    fixture_turn(&fixture, 0);
    fake_expect_rows(&one, (int64_t[]){9}, 1);
    fake_subscribe(&fixture, &one, "aggregations", options);
    assert_non_null(strstr(one.message.data, "\"recovered\":true"));
    fake_expect_rows(&one, (int64_t[]){9}, 1);
    CLOSE_FIXTURE;
}

static void a_snapshot_larger_than_the_queue_leaves_as_the_queue_drains(void **state)
{
    (void)state;
    enum { KEYS = 6000 };
    FIXTURE;
    for (int i = 0; i < KEYS; i++) {
        char key[32];
        snprintf(key, sizeof key, "key%d", i);
        fixture_emit(&fixture, key, 1, i);
        if (i % 500 == 0)
            fixture_turn(&fixture, 0);
    }
    fixture_turn(&fixture, 0);
    one.is_stalled = true;
    fake_subscribe(&fixture, &one, "aggregations", ",\"snapshot\":true");
    fixture_emit(&fixture, "key3", 2, KEYS);
    fixture_emit(&fixture, "key3", 3, KEYS + 1);
    for (int i = 0; i < 200; i++) {
        fake_drain(&one, 32 * 1024);
        fixture_turn(&fixture, 0);
    }
    assert_in_range(one.most_queued, 64 * 1024, FAKE_QUEUE);
    assert_int_equal(one.close_code, 0);
    int64_t previous = -1, count = 0;
    for (; fake_next(&one); count++) {
        assert_true(fake_number(&one, "n") > previous);
        previous = fake_number(&one, "n");
    }
    assert_int_equal(previous, KEYS + 1);
    assert_int_equal(count, KEYS + 1);
    CLOSE_FIXTURE;
}

static void a_snapshot_row_does_not_come_again_with_a_batch_that_waits(void **state)
{
    (void)state;
    FIXTURE;
    struct fake_connection two;
    fake_open(&fixture, &two);
    fake_subscribe(&fixture, &one, "aggregations", ",\"batch\":true");
    fixture_emit(&fixture, "FR", 1, 1);
    fixture_turn(&fixture, 0);
    fake_expect_none(&one);
    fake_subscribe(&fixture, &two, "aggregations", ",\"batch\":true,\"snapshot\":true");
    fixture_turn(&fixture, 20 * MS);
    fixture_turn(&fixture, 0);
    fake_expect(&one, "\"n\":1");
    fake_expect(&two, "\"n\":1");
    fake_expect_none(&two);
    fake_leave(&two);
    CLOSE_FIXTURE;
}

/* --- since --- */

static void missed_rows_come_from_memory_without_a_gap(void **state)
{
    (void)state;
    FIXTURE;
    for (int i = 0; i < 10; i++)
        fixture_emit(&fixture, i % 3 ? "FR" : "DE", i, i);
    fixture_turn(&fixture, 0);
    fake_subscribe(&fixture, &one, "aggregations", ",\"since\":\"3-5\"");
    assert_non_null(strstr(one.message.data, "\"recovered\":true"));
    fake_expect_rows(&one, (int64_t[]){6, 7, 8, 9}, 4);
    fake_subscribe(&fixture, &one, "aggregations", ",\"since\":\"3-2\",\"filters\":{\"key.country\":\"DE\"}");
    fake_expect_rows(&one, (int64_t[]){3, 6, 9}, 3);
    fake_subscribe(&fixture, &one, "aggregations", ",\"since\":\"3-9\",\"snapshot\":true");
    assert_non_null(strstr(one.message.data, "\"recovered\":true"));
    fake_expect_none(&one);
    assert_int_equal(fixture.asked_count, 0);
    CLOSE_FIXTURE;
}

static void an_unknown_position_is_confirmed_as_not_recovered(void **state)
{
    (void)state;
    static const char *const positions[] = {"",
                                            "nonsense",
                                            "AAAA",
                                            "3-",
                                            "-3",
                                            "3-1 ",
                                            "3-10",
                                            "4-0",
                                            "3-e1",
                                            "+3-1",
                                            "99999999999999999999-1",
                                            "3-18446744073709551616",
                                            "3-1-1",
                                            "0x3-1"};
    FIXTURE;
    fixture_emit(&fixture, "FR", 1, 1);
    for (int i = 0; i < 9; i++)
        fixture_emit(&fixture, "DE", i, 20 + i);
    fixture_turn(&fixture, 0);
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        char options[200];
        snprintf(options, sizeof options, ",\"snapshot\":true,\"since\":\"%s\"", positions[i]);
        fake_subscribe(&fixture, &one, "aggregations", options);
        assert_non_null(strstr(one.message.data, "\"recovered\":false"));
        fake_expect_rows(&one, (int64_t[]){1, 28}, 2);
    }
    fake_subscribe(&fixture, &one, "events", ",\"since\":\"3-1\"");
    assert_non_null(strstr(one.message.data, "\"recovered\":false"));
    CLOSE_FIXTURE;
}

static void missed_rows_of_an_earlier_life_come_from_the_store_before_those_of_this_one(void **state)
{
    (void)state;
    FIXTURE;
    fixture_emit(&fixture, "FR", 8, 8);
    fixture_turn(&fixture, 0);
    fake_say(
        &fixture, &one,
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"since\":\"2-40\",\"filters\":{\"key.country\":\"FR\"}}}");
    fake_expect_none(&one);
    assert_int_equal(fixture.asked[0].boot_id, 2);
    assert_int_equal(fixture.asked[0].sequence, 40);
    fixture_emit(&fixture, "FR", 9, 9);
    fixture_turn(&fixture, 0);
    fake_expect_none(&one);
    struct store_result rows[] = {
        stored("{\"key\":{\"country\":\"FR\"},\"values\":{\"n\":5}}", "revenue", "[\"FR\"]", 5, 2, 41),
        stored("{\"key\":{\"country\":\"DE\"},\"values\":{\"n\":6}}", "revenue", "[\"DE\"]", 5, 2, 44),
        stored("{\"key\":{\"country\":\"FR\"},\"values\":{\"n\":7}}", "revenue", "[\"FR\"]", 6, 2, 45),
        stored("{\"key\":{\"country\":\"FR\"},\"values\":{\"n\":7}}", "unknown", "[\"FR\"]", 6, 2, 46),
        stored("{\"key\":{\"country\":\"FR\"},\"values\":{\"n\":8}}", "revenue", "[\"FR\"]", 8, 3, 0),
    };
    answer(&fixture, STATUS_OK, rows, 5);
    fake_expect(&one, "\"recovered\":true");
    fake_expect_rows(&one, (int64_t[]){5, 7, 8, 9}, 4);
    fixture_emit(&fixture, "FR", 10, 10);
    fixture_turn(&fixture, 0);
    fake_expect_rows(&one, (int64_t[]){10}, 1);
    CLOSE_FIXTURE;
}

static void what_the_store_cannot_fill_is_not_recovered(void **state)
{
    (void)state;
    FIXTURE;
    fixture_emit(&fixture, "FR", 8, 8);
    fixture_turn(&fixture, 0);
    const char *text =
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"since\":\"2-40\",\"snapshot\":true}}";
    fake_say(&fixture, &one, text);
    answer(&fixture, STATUS_NOT_FOUND, NULL, 0);
    fake_expect(&one, "\"recovered\":false");
    fake_expect_rows(&one, (int64_t[]){8}, 1);
    fixture.is_stored[1] = false;
    fake_say(&fixture, &one, text);
    fake_expect(&one, "\"recovered\":false");
    fake_expect_rows(&one, (int64_t[]){8}, 1);
    assert_int_equal(fixture.asked_count, 0);
    fixture.is_stored[1] = true;
    fixture.has_store = false;
    fake_say(&fixture, &one, text);
    fake_expect(&one, "\"recovered\":false");
    CLOSE_FIXTURE;
}

static void a_store_that_is_behind_the_recent_blocks_is_not_trusted(void **state)
{
    (void)state;
    FIXTURE;
    static char pad[50 * 1000];
    memset(pad, 'x', sizeof pad - 1);
    for (int i = 0; i < 100; i++) {
        fixture_emit(&fixture, pad, i, i);
        fixture_turn(&fixture, 0);
    }
    const char *text =
        "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"since\":\"3-2\",\"filters\":{\"values.n\":[3,99]}}}";
    struct store_result rows[] = {stored("{\"values\":{\"n\":3}}", "revenue", "[\"FR\"]", 3, 3, 3),
                                  stored("{\"values\":{\"n\":98}}", "revenue", "[\"FR\"]", 98, 3, 98)};
    fake_say(&fixture, &one, text);
    answer(&fixture, STATUS_OK, rows, 1);
    fake_expect(&one, "\"recovered\":false");
    fake_expect_none(&one);
    fake_say(&fixture, &one, text);
    answer(&fixture, STATUS_OK, rows, 2);
    fake_expect(&one, "\"recovered\":true");
    fake_expect_rows(&one, (int64_t[]){3, 99}, 2);
    CLOSE_FIXTURE;
}

static void an_answer_for_a_client_that_has_gone_is_ignored(void **state)
{
    (void)state;
    FIXTURE;
    struct fake_connection two;
    fake_open(&fixture, &two);
    fake_say(&fixture, &two,
             "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"since\":\"2-40\"}}");
    fake_leave(&two);
    answer(&fixture, STATUS_OK, NULL, 0);
    fake_say(&fixture, &one,
             "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"since\":\"2-40\"}}");
    fake_say(&fixture, &one,
             "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"since\":\"2-40\"}}");
    answer(&fixture, STATUS_OK, NULL, 0);
    fake_expect(&one, "\"recovered\":true");
    CLOSE_FIXTURE;
}

static void a_long_gap_is_read_by_pages_as_the_queue_drains(void **state)
{
    (void)state;
    enum { ROWS = 2 * HUB_HISTORY_PAGE_ROWS + 500 };
    FIXTURE;
    static char texts[ROWS][200];
    struct store_result *rows = calloc(ROWS, sizeof *rows);
    for (int i = 0; i < ROWS; i++) {
        snprintf(texts[i], sizeof texts[i], "{\"values\":{\"n\":%d},\"pad\":\"%0100d\"}", i, i);
        rows[i] = stored(texts[i], "revenue", "[\"FR\"]", i, 2, 100 + (uint64_t)i);
    }
    one.is_stalled = true;
    fake_say(&fixture, &one,
             "{\"type\":\"subscribe\",\"data\":{\"type\":\"aggregations\",\"since\":\"2-99\"}}");
    unsigned pages = 0;
    for (int i = 0; i < 200; i++) {
        if (fixture.asked_count > 0) {
            uint64_t first = fixture.asked[0].sequence - 99;
            uint32_t left = (uint32_t)(ROWS - first);
            answer(&fixture, STATUS_OK, rows + first,
                   left < fixture.asked[0].limit ? left : fixture.asked[0].limit);
            pages++;
        }
        fixture_turn(&fixture, 0);
        fake_drain(&one, 16 * 1024);
    }
    assert_int_equal(pages, 3);
    fake_expect(&one, "\"recovered\":true");
    for (int i = 0; i < ROWS; i++) {
        fake_expect(&one, "\"result\":");
        assert_int_equal(fake_number(&one, "n"), i);
    }
    fake_expect_none(&one);
    assert_in_range(one.most_queued, 0, FAKE_QUEUE);
    free(rows);
    CLOSE_FIXTURE;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_the_newest_row_of_each_key_in_order_after_the_confirmation),
        cmocka_unit_test(rows_that_recovery_emits_again_are_not_delivered_again),
        cmocka_unit_test(a_snapshot_shows_only_what_the_filter_wants),
        cmocka_unit_test(the_position_of_a_snapshot_row_is_good_for_since),
        cmocka_unit_test(a_snapshot_larger_than_the_queue_leaves_as_the_queue_drains),
        cmocka_unit_test(a_snapshot_row_does_not_come_again_with_a_batch_that_waits),
        cmocka_unit_test(missed_rows_come_from_memory_without_a_gap),
        cmocka_unit_test(an_unknown_position_is_confirmed_as_not_recovered),
        cmocka_unit_test(missed_rows_of_an_earlier_life_come_from_the_store_before_those_of_this_one),
        cmocka_unit_test(what_the_store_cannot_fill_is_not_recovered),
        cmocka_unit_test(a_store_that_is_behind_the_recent_blocks_is_not_trusted),
        cmocka_unit_test(an_answer_for_a_client_that_has_gone_is_ignored),
        cmocka_unit_test(a_long_gap_is_read_by_pages_as_the_queue_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
