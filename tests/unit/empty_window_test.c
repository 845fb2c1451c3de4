/* emit_empty: final records of windows in which a known key has no event. Windows of 10 s; times are seconds. */
#include "window_fixture.h"

static const char *const names[] = {"count", "sum"};

static void start(struct fixture *fixture)
{
    fixture_init(fixture, names, 2);
    fixture->spec.emit_empty = true;
}

static void add(struct fixture *fixture, double second, const char *key)
{
    const struct event event = {
        .time_us = (int64_t)(second * 1e6), .key = TEXT(key), .value = INTEGER((int64_t)second)};
    fixture_add(fixture, 0, &event, 1);
    fixture_turn(fixture, false);
}

static void expect(const struct fixture *fixture, size_t *next, int64_t start_s, const char *key,
                   const char *values)
{
    assert_true(*next < fixture->record_count);
    const struct record_copy *record = &fixture->records[(*next)++];
    char key_json[32];
    snprintf(key_json, sizeof key_json, "[\"%s\"]", key);
    if (record->start_us != start_s * SECOND || strcmp(record->key, key_json) != 0 ||
        record->emit != EMIT_FINAL || !strstr(record->json, values))
        fail_msg("record %zu is %s", *next - 1, record->json);
}
#define NOTHING_IN_IT "\"values\":{\"count\":0,\"sum\":null}"

static void known_keys_have_records_in_windows_without_events_of_theirs(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f);
    fixture_open(&f, 1, 1);
    add(&f, 1, "a");
    add(&f, 2, "b");
    add(&f, 11, "c");
    add(&f, 35, "a");
    expect(&f, &next, 0, "a", "\"count\":1,\"sum\":1");
    expect(&f, &next, 0, "b", "\"count\":1,\"sum\":2");
    expect(&f, &next, 10, "c", "\"count\":1,\"sum\":11");
    expect(&f, &next, 10, "a", NOTHING_IN_IT);
    expect(&f, &next, 10, "b", NOTHING_IN_IT);
    expect(&f, &next, 20, "a", NOTHING_IN_IT);
    expect(&f, &next, 20, "b", NOTHING_IN_IT);
    expect(&f, &next, 20, "c", NOTHING_IN_IT);
    assert_int_equal(f.record_count, next);
    assert_int_equal(f.records[5].on_time, 0);
    assert_int_equal(f.records[5].watermark_us, 35 * SECOND);
    fixture_end(&f);
    expect(&f, &next, 30, "a", "\"count\":1,\"sum\":35");
    expect(&f, &next, 30, "b", NOTHING_IN_IT);
    expect(&f, &next, 30, "c", NOTHING_IN_IT);
    assert_int_equal(f.record_count, next); /* no window behind the last one */
    fixture_close(&f);
}

static void key_is_forgotten_sixty_windows_behind_its_last_event(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 1, 1);
    add(&f, 1, "a");
    add(&f, 105, "b");
    add(&f, 1e9, "c");
    uint32_t a_count = 0, b_count = 0;
    for (size_t i = 0; i < f.record_count; i++) {
        a_count += strcmp(f.records[i].key, "[\"a\"]") == 0;
        b_count += strcmp(f.records[i].key, "[\"b\"]") == 0;
    }
    assert_int_equal(a_count, 61);
    assert_int_equal(b_count, 61);
    assert_int_equal(f.record_count, 122);
    add(&f, 1e9 + 10, "c");
    assert_int_equal(f.record_count, 123);
    fixture_close(&f);
}

static void late_event_updates_the_record_of_nothing(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 1, 1);
    add(&f, 1, "a");
    add(&f, 21, "b");
    assert_int_equal(f.record_count, 2);
    add(&f, 12, "a");
    assert_int_equal(f.record_count, 3);
    assert_int_equal(f.records[2].emit, EMIT_UPDATE);
    assert_int_equal(f.records[2].start_us, 10 * SECOND);
    assert_int_equal(f.records[2].revision, 1);
    assert_int_equal(f.records[2].on_time, 0);
    fixture_close(&f);
}

static void same_keys_are_known_after_a_restart(void **state)
{
    (void)state;
    const double times[] = {1, 12, 33, 71, 95, 140};
    const char *const keys[] = {"a", "b", "a", "c", "b", "c"};
    struct fixture f, g;
    start(&f);
    fixture_open(&f, 1, 1);
    for (size_t i = 0; i < 6; i++)
        add(&f, times[i], keys[i]);
    int64_t watermark_us = 0, closed_us = window_merger_stats(f.merger).closed_through_us;
    assert_int_equal(window_merger_oldest_offset(f.merger, 0, &watermark_us), 0);
    start(&g);
    fixture_open(&g, 1, 1);
    window_operator_set_horizon(g.operators[0], closed_us);
    window_merger_recover(g.merger, closed_us);
    g.is_replay = true;
    for (size_t i = 0; i < 6; i++)
        add(&g, times[i], keys[i]);
    g.is_replay = false;
    window_merger_go_live(g.merger);
    fixture_turn(&g, false);
    assert_int_equal(g.record_count, 0);
    fixture_forget(&f);
    add(&f, 200, "a");
    add(&g, 200, "a");
    assert_int_equal(f.record_count, 18); /* three keys in six windows */
    assert_int_equal(g.record_count, 18);
    for (size_t i = 0; i < 18; i++) {
        bool is_found = false;
        for (size_t k = 0; k < 18; k++)
            is_found = is_found || strcmp(f.records[i].json, g.records[k].json) == 0;
        assert_true(is_found);
    }
    fixture_close(&f);
    fixture_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_keys_have_records_in_windows_without_events_of_theirs),
        cmocka_unit_test(key_is_forgotten_sixty_windows_behind_its_last_event),
        cmocka_unit_test(late_event_updates_the_record_of_nothing),
        cmocka_unit_test(same_keys_are_known_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
