/* Sliding windows, one claim of docs/WINDOWS.md at a time, by cases that are worked out by hand. Times are seconds; windows of 10 s every
 * 5 s, lateness 10 s, and a watermark that is the largest event time, unless it says otherwise. */
#include "window_fixture.h"

static const char *const counting[] = {"count"};

static struct event at(double second)
{
    return (struct event){.time_us = (int64_t)(second * 1e6), .key = TEXT("a"), .value = INTEGER(1)};
}

static struct event of(double second, const char *key)
{
    return (struct event){.time_us = (int64_t)(second * 1e6), .key = TEXT(key), .value = INTEGER(1)};
}

static void start(struct fixture *fixture, int64_t size_s, int64_t slide_s)
{
    fixture_init(fixture, counting, 1);
    fixture->spec.kind = WINDOW_SLIDING;
    fixture->spec.size_us = size_s * SECOND;
    fixture->spec.slide_us = slide_s * SECOND;
}

/* The next record that has not been looked at. */
static void expect(const struct fixture *fixture, size_t *next, double start_s, const char *key,
                   enum emit_kind emit, uint64_t on_time, uint64_t late)
{
    assert_true(*next < fixture->record_count);
    const struct record_copy *record = &fixture->records[(*next)++];
    char key_json[64];
    snprintf(key_json, sizeof key_json, "[\"%s\"]", key);
    if (record->start_us != (int64_t)(start_s * 1e6) || strcmp(record->key, key_json) != 0 ||
        record->emit != emit || record->on_time != on_time || record->late_accepted != late)
        fail_msg("record %zu is %s", *next - 1, record->json);
    assert_int_equal(record->end_us - record->start_us, fixture->spec.size_us);
    assert_int_equal(record->revision, late);
    assert_int_equal((uint64_t)record->values[0], on_time + late);
}

static void event_is_in_every_window_that_covers_it(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f, 10, 5);
    fixture_open(&f, 1, 1);
    ADD(&f, 0, at(0), at(4.999999), at(5), at(9.999999));
    expect(&f, &next, -5, "a", EMIT_FINAL, 2, 0);
    ADD(&f, 0, at(10));
    expect(&f, &next, 0, "a", EMIT_FINAL, 4, 0);
    fixture_end(&f);
    expect(&f, &next, 5, "a", EMIT_FINAL, 3, 0);
    expect(&f, &next, 10, "a", EMIT_FINAL, 1, 0);
    assert_int_equal(f.record_count, next);
    assert_int_equal(f.counts.used, 5);
    fixture_close(&f);
}

/* 7 s every 3 s: panes of 1 s. An event is in two or three windows. */
static void slide_need_not_divide_the_size(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f, 7, 3);
    fixture_open(&f, 1, 1);
    const struct event events[] = {at(0), at(3), at(6.5), at(7)};
    fixture_add(&f, 0, events, 4);
    fixture_end(&f);
    expect(&f, &next, -6, "a", EMIT_FINAL, 1, 0); /* [-6, 1): 0 */
    expect(&f, &next, -3, "a", EMIT_FINAL, 2, 0); /* [-3, 4): 0 3 */
    expect(&f, &next, 0, "a", EMIT_FINAL, 3, 0);  /* [0, 7): 0 3 6.5 */
    expect(&f, &next, 3, "a", EMIT_FINAL, 3, 0);  /* [3, 10): 3 6.5 7 */
    expect(&f, &next, 6, "a", EMIT_FINAL, 2, 0);  /* [6, 13): 6.5 7 */
    assert_int_equal(f.record_count, next);
    fixture_close(&f);
}

/* Flink's documentation, DataStream, Windows, "Sliding Windows": hourly windows that slide by 30 minutes are 1:00 to 1:59:59.999,
 * 1:30 to 2:29:59.999; with an offset of 15 minutes 1:15 to 2:14:59.999, 1:45 to 2:44:59.999.
 * nightlies.apache.org/flink/flink-docs-stable/docs/dev/datastream/operators/windows/ */
static void offset_moves_windows_as_in_flinks_documentation(void **state)
{
    (void)state;
    const double minute = 60, hour = 3600;
    for (int offset_minutes = 0; offset_minutes <= 15; offset_minutes += 15) {
        struct fixture f;
        size_t next = 0;
        start(&f, 3600, 1800);
        f.spec.offset_us = offset_minutes * 60 * SECOND;
        fixture_open(&f, 1, 1);
        double shift = offset_minutes * minute;
        ADD(&f, 0, at(hour + 45 * minute + shift));
        fixture_end(&f);
        expect(&f, &next, hour + shift, "a", EMIT_FINAL, 1, 0);
        expect(&f, &next, hour + 30 * minute + shift, "a", EMIT_FINAL, 1, 0);
        assert_int_equal(f.record_count, next);
        fixture_close(&f);
    }
}

/* The case of Flink's WindowOperatorTest.testSlidingEventTimeWindows: 3 s every 1 s, two keys, watermarks second by second. */
static void two_keys_second_by_second_give_what_flinks_own_test_expects(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f, 3, 1);
    fixture_open(&f, 1, 1);
    const struct event events[] = {of(3.999, "k2"), of(3, "k2"),     of(0.02, "k1"),  of(0, "k1"),
                                   of(0.999, "k1"), of(1.998, "k2"), of(1.999, "k2"), of(1, "k2")};
    f.watermarks[0].delay_us = 10 * SECOND;
    fixture_add(&f, 0, events, 8);
    for (struct pane *pane; (pane = window_operator_take(f.operators[0], TIME_MAX, false));)
        window_merger_add(f.merger, pane, 0);
    for (int64_t second = 1; second <= 8; second++)
        window_merger_advance(f.merger, second * SECOND, CLOSED_BY_WATERMARK, &f.clock);
    expect(&f, &next, -2, "k1", EMIT_FINAL, 3, 0);
    expect(&f, &next, -1, "k1", EMIT_FINAL, 3, 0);
    expect(&f, &next, -1, "k2", EMIT_FINAL, 3, 0);
    expect(&f, &next, 0, "k1", EMIT_FINAL, 3, 0);
    expect(&f, &next, 0, "k2", EMIT_FINAL, 3, 0);
    expect(&f, &next, 1, "k2", EMIT_FINAL, 5, 0);
    expect(&f, &next, 2, "k2", EMIT_FINAL, 2, 0);
    expect(&f, &next, 3, "k2", EMIT_FINAL, 2, 0);
    assert_int_equal(f.record_count, next);
    fixture_close(&f);
}

/* The watermark is 12 s when 4 s and 8 s come: 4 s is late for [0, 10) and too late for nothing yet; 8 s is late for [0, 10) and on
 * time for [5, 15). */
static void event_is_late_for_some_of_its_windows_and_on_time_for_others(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f, 10, 5);
    fixture_open(&f, 1, 1);
    ADD(&f, 0, at(1), at(12));
    expect(&f, &next, -5, "a", EMIT_FINAL, 1, 0);
    expect(&f, &next, 0, "a", EMIT_FINAL, 1, 0);
    ADD(&f, 0, at(8));
    expect(&f, &next, 0, "a", EMIT_UPDATE, 1, 1);
    ADD(&f, 0, at(4));
    expect(&f, &next, -5, "a", EMIT_UPDATE, 1, 1);
    expect(&f, &next, 0, "a", EMIT_UPDATE, 1, 2);
    ADD(&f, 0, at(15));
    expect(&f, &next, 5, "a", EMIT_FINAL, 2, 0); /* 8 and 12 */
    assert_int_equal(f.record_count, next);
    assert_int_equal(f.counts.used, 5);
    assert_int_equal(f.counts.late_accepted, 2);
    fixture_close(&f);
}

/* The watermark is 17 s: of the windows of 4 s, [-5, 5) is gone since 15 s and [0, 10) is held until 20 s. At 21 s both are gone. */
static void event_is_too_late_only_when_none_of_its_windows_takes_it(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f, 10, 5);
    fixture_open(&f, 1, 1);
    ADD(&f, 0, at(1), at(17));
    fixture_forget(&f);
    ADD(&f, 0, at(4));
    expect(&f, &next, 0, "a", EMIT_UPDATE, 1, 1);
    assert_int_equal(f.record_count, next);
    assert_int_equal(f.counts.too_late, 0);
    ADD(&f, 0, at(21));
    fixture_forget(&f);
    ADD(&f, 0, at(4));
    assert_int_equal(f.record_count, 0);
    assert_int_equal(f.counts.too_late, 1);
    assert_int_equal(f.counts.used, 4);
    fixture_close(&f);
}

static void drop_takes_an_event_for_the_windows_it_is_on_time_for_alone(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f, 10, 5);
    f.spec.late = WINDOW_LATE_DROP;
    fixture_open(&f, 2, 2);
    ADD(&f, 0, at(1), at(12), at(8));
    assert_int_equal(f.record_count, 0);
    ADD(&f, 1, at(13));
    expect(&f, &next, -5, "a", EMIT_FINAL, 1, 0);
    expect(&f, &next, 0, "a", EMIT_FINAL, 1, 0);
    assert_int_equal(f.records[1].late_dropped, 1);
    fixture_end(&f);
    expect(&f, &next, 5, "a", EMIT_FINAL, 3, 0); /* 8, 12 and 13 */
    expect(&f, &next, 10, "a", EMIT_FINAL, 2, 0);
    assert_int_equal(f.record_count, next);
    assert_int_equal(f.counts.too_late, 0);
    fixture_close(&f);
}

/* Partition 0 is ahead; what is late there comes after the final records of windows that partition 1 keeps open. */
static void late_event_of_windows_that_another_partition_keeps_open_comes_after_their_finals(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f, 10, 5);
    fixture_open(&f, 2, 2);
    ADD(&f, 0, at(7), at(19), at(8));
    assert_int_equal(f.record_count, 0);
    ADD(&f, 1, at(9), at(18));
    expect(&f, &next, 0, "a", EMIT_FINAL, 2, 0);
    expect(&f, &next, 0, "a", EMIT_UPDATE, 2, 1);
    expect(&f, &next, 5, "a", EMIT_FINAL, 2, 0);
    expect(&f, &next, 5, "a", EMIT_UPDATE, 2, 1);
    assert_int_equal(f.record_count, next);
    assert_int_equal(f.records[0].watermark_us, 18 * SECOND);
    fixture_close(&f);
}

static void event_on_time_for_its_partition_updates_closed_windows_without_a_new_revision(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f, 10, 5);
    fixture_open(&f, 2, 2);
    ADD(&f, 0, at(1), at(12));
    window_merger_advance(f.merger, 12 * SECOND, CLOSED_BY_IDLE, &f.clock);
    assert_int_equal(f.record_count, 2);
    assert_int_equal(f.records[1].cause, CLOSED_BY_IDLE);
    fixture_forget(&f);
    ADD(&f, 1, at(8));
    for (struct pane *pane; (pane = window_operator_take(f.operators[1], TIME_MAX, false));)
        window_merger_add(f.merger, pane, 0);
    window_merger_advance(f.merger, 12 * SECOND, CLOSED_BY_IDLE, &f.clock);
    expect(&f, &next, 0, "a", EMIT_UPDATE, 2, 0);
    window_merger_advance(f.merger, 15 * SECOND, CLOSED_BY_IDLE, &f.clock);
    expect(&f, &next, 5, "a", EMIT_FINAL, 1, 0);
    assert_int_equal(f.record_count, next);
    fixture_close(&f);
}

/* Every second an event of one key and, in between, one far back: the front is made anew, and windows go on being right. */
static void events_far_back_are_in_the_windows_that_are_still_open(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 40, 2);
    f.spec.allowed_lateness_us = 0;
    fixture_open(&f, 1, 1);
    double times[400];
    uint32_t count = 0;
    for (uint32_t i = 0; i < 200; i++) {
        times[count] = i;
        ADD(&f, 0, at(times[count]));
        count++;
        if (i % 3 == 0 && i > 40) {
            times[count] = i - 5 - i % 30;
            ADD(&f, 0, at(times[count]));
            count++;
        }
    }
    fixture_end(&f);
    for (size_t r = 0; r < f.record_count; r++) {
        const struct record_copy *record = &f.records[r];
        uint64_t wanted = 0;
        double largest = -1;
        for (uint32_t i = 0; i < count; i++) {
            int64_t time_us = (int64_t)(times[i] * 1e6), watermark_us = (int64_t)(largest * 1e6);
            wanted +=
                time_us >= record->start_us && time_us < record->end_us && watermark_us < record->end_us;
            largest = times[i] > largest ? times[i] : largest;
        }
        assert_int_equal(record->on_time, wanted);
    }
    assert_int_equal(f.record_count, 119); /* [-38, 2) to [198, 238) */
    fixture_close(&f);
}

static void events_between_windows_that_do_not_meet_are_in_none(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f, 2, 5);
    fixture_open(&f, 1, 1);
    ADD(&f, 0, at(1), at(3), at(6), at(9));
    fixture_end(&f);
    expect(&f, &next, 0, "a", EMIT_FINAL, 1, 0);
    expect(&f, &next, 5, "a", EMIT_FINAL, 1, 0);
    assert_int_equal(f.record_count, next);
    assert_int_equal(f.counts.uncovered, 2);
    assert_int_equal(f.counts.used, 2);
    fixture_close(&f);
}

static void windows_without_events_cost_nothing_however_many_lie_between(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f, 2, 1);
    fixture_open(&f, 1, 1);
    ADD(&f, 0, at(0), at(2e9)); /* two thousand million windows */
    expect(&f, &next, -1, "a", EMIT_FINAL, 1, 0);
    expect(&f, &next, 0, "a", EMIT_FINAL, 1, 0);
    assert_int_equal(f.record_count, next);
    fixture_close(&f);
}

static void oldest_offset_goes_back_to_the_first_event_of_an_open_or_held_window(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10, 5);
    fixture_open(&f, 1, 1);
    ADD(&f, 0, at(1), at(6), at(11), at(19.9));
    int64_t watermark = 0;
    /* [0, 10) is held until 20 s. */
    assert_int_equal(window_merger_oldest_offset(f.merger, 0, &watermark), 0);
    ADD(&f, 0, at(20));
    assert_int_equal(window_merger_oldest_offset(f.merger, 0, &watermark), 1);
    assert_int_equal(watermark, 1 * SECOND);
    ADD(&f, 0, at(25));
    assert_int_equal(window_merger_oldest_offset(f.merger, 0, &watermark), 2);
    fixture_close(&f);
}

/* The same log is read from the oldest offset on by a new operator and merger; then both lives go on alike. */
static void replayed_events_are_rebuilt_in_silence_and_go_on_from_there(void **state)
{
    (void)state;
    const struct event before[] = {at(1), at(3), of(6, "b"), at(11), at(8), at(17)};
    const struct event after[] = {at(9), at(14), of(21, "b"), at(16), at(30)};
    struct fixture f, g;
    start(&f, 10, 5);
    fixture_open(&f, 1, 1);
    fixture_add_each(&f, 0, before, 6);
    int64_t closed_us = window_merger_stats(f.merger).closed_through_us, watermark = 0;
    int64_t oldest = window_merger_oldest_offset(f.merger, 0, &watermark);
    assert_int_equal(closed_us, 17 * SECOND);
    assert_int_equal(oldest, 0);
    start(&g, 10, 5);
    fixture_open(&g, 1, 1);
    window_operator_set_horizon(g.operators[0], closed_us);
    window_merger_recover(g.merger, closed_us);
    g.is_replay = true;
    fixture_add(&g, 0, before, 6);
    fixture_turn(&g, false);
    g.is_replay = false;
    window_merger_go_live(g.merger);
    fixture_turn(&g, false);
    assert_int_equal(g.record_count, 0);
    fixture_forget(&f);
    fixture_add_each(&f, 0, after, 5);
    fixture_add_each(&g, 0, after, 5);
    fixture_end(&f);
    fixture_end(&g);
    assert_true(f.record_count > 6);
    assert_int_equal(f.record_count, g.record_count);
    for (size_t i = 0; i < f.record_count; i++)
        assert_string_equal(f.records[i].json, g.records[i].json);
    fixture_close(&f);
    fixture_close(&g);
}

static void emit_every_shows_the_open_windows_of_keys_that_changed(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f, 10, 5);
    f.spec.emit_every_us = SECOND;
    fixture_open(&f, 1, 1);
    const struct event first[] = {of(6, "a"), of(6, "b")}, second[] = {of(11, "b")};
    fixture_add(&f, 0, first, 2);
    fixture_turn(&f, true);
    window_merger_tick(f.merger, &f.clock);
    expect(&f, &next, 0, "a", EMIT_EARLY, 1, 0);
    expect(&f, &next, 0, "b", EMIT_EARLY, 1, 0);
    expect(&f, &next, 5, "a", EMIT_EARLY, 1, 0);
    expect(&f, &next, 5, "b", EMIT_EARLY, 1, 0);
    fixture_add(&f, 0, second, 1);
    fixture_turn(&f, true);
    expect(&f, &next, 0, "a", EMIT_FINAL, 1, 0);
    expect(&f, &next, 0, "b", EMIT_FINAL, 1, 0);
    f.clock.fixed_us += SECOND;
    window_merger_tick(f.merger, &f.clock);
    expect(&f, &next, 5, "b", EMIT_EARLY, 2, 0);
    expect(&f, &next, 10, "b", EMIT_EARLY, 1, 0);
    assert_int_equal(f.record_count, next);
    fixture_close(&f);
}

static void close_after_closes_windows_in_turn_when_the_watermark_stands_still(void **state)
{
    (void)state;
    struct fixture f;
    size_t next = 0;
    start(&f, 10, 5);
    f.spec.close_after_us = SECOND;
    fixture_open(&f, 1, 1);
    const struct event first[] = {at(1)}, second[] = {at(2)};
    fixture_add(&f, 0, first, 1);
    fixture_turn(&f, true);
    assert_int_equal(window_merger_tick(f.merger, &f.clock), f.clock.fixed_us + SECOND);
    assert_int_equal(f.record_count, 0);
    f.clock.fixed_us += SECOND;
    window_merger_tick(f.merger, &f.clock);
    expect(&f, &next, -5, "a", EMIT_FINAL, 1, 0);
    expect(&f, &next, 0, "a", EMIT_FINAL, 1, 0);
    assert_int_equal(f.records[0].cause, CLOSED_BY_WALL_CLOCK);
    fixture_add(&f, 0, second, 1);
    fixture_turn(&f, true);
    expect(&f, &next, -5, "a", EMIT_UPDATE, 2, 0);
    expect(&f, &next, 0, "a", EMIT_UPDATE, 2, 0);
    assert_int_equal(f.record_count, next);
    fixture_close(&f);
}

static void keys_beyond_the_limit_go_to_the_overflow_group_of_every_window(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 10, 5);
    f.spec.key_limit = 3;
    fixture_open(&f, 1, 1);
    uint32_t index = 0;
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t key = 0; key < 5; key++) {
            char name[] = {(char)('a' + key), 0};
            ADD(&f, 0, of(index++ * 0.5, name));
        }
    }
    fixture_end(&f);
    uint64_t total = 0, overflow = 0;
    for (size_t i = 0; i < f.record_count; i++) {
        const struct record_copy *record = &f.records[i];
        total += record->on_time;
        if (strcmp(record->key, "[\"__overflow__\"]") == 0)
            overflow += record->on_time;
        else
            assert_true(record->key[2] <= 'c');
    }
    assert_int_equal(total, 40); /* every event in two windows */
    assert_int_equal(overflow, 16);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_is_in_every_window_that_covers_it),
        cmocka_unit_test(slide_need_not_divide_the_size),
        cmocka_unit_test(offset_moves_windows_as_in_flinks_documentation),
        cmocka_unit_test(two_keys_second_by_second_give_what_flinks_own_test_expects),
        cmocka_unit_test(event_is_late_for_some_of_its_windows_and_on_time_for_others),
        cmocka_unit_test(event_is_too_late_only_when_none_of_its_windows_takes_it),
        cmocka_unit_test(drop_takes_an_event_for_the_windows_it_is_on_time_for_alone),
        cmocka_unit_test(late_event_of_windows_that_another_partition_keeps_open_comes_after_their_finals),
        cmocka_unit_test(event_on_time_for_its_partition_updates_closed_windows_without_a_new_revision),
        cmocka_unit_test(events_far_back_are_in_the_windows_that_are_still_open),
        cmocka_unit_test(events_between_windows_that_do_not_meet_are_in_none),
        cmocka_unit_test(windows_without_events_cost_nothing_however_many_lie_between),
        cmocka_unit_test(oldest_offset_goes_back_to_the_first_event_of_an_open_or_held_window),
        cmocka_unit_test(replayed_events_are_rebuilt_in_silence_and_go_on_from_there),
        cmocka_unit_test(emit_every_shows_the_open_windows_of_keys_that_changed),
        cmocka_unit_test(close_after_closes_windows_in_turn_when_the_watermark_stands_still),
        cmocka_unit_test(keys_beyond_the_limit_go_to_the_overflow_group_of_every_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
