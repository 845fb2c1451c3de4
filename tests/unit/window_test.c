/* Tumbling windows, one claim of docs/WINDOWS.md at a time. Times are seconds; one partition unless it says otherwise. */
#include "window_fixture.h"

static const char *const counting[] = {"count"};

static struct event at(double second)
{
    return (struct event){.time_us = (int64_t)(second * 1e6), .key = TEXT("a"), .value = INTEGER(1)};
}

static struct event of(double second, struct cell key)
{
    return (struct event){.time_us = (int64_t)(second * 1e6), .key = key, .value = INTEGER(1)};
}

static void start(struct fixture *fixture)
{
    fixture_init(fixture, counting, 1);
}

static void window_is_half_open_and_closes_when_the_watermark_reaches_its_end(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 1, 1);
    ADD(&f, 0, at(0), at(9.999999));
    assert_int_equal(f.record_count, 0);
    ADD(&f, 0, at(10));
    assert_int_equal(f.record_count, 1);
    assert_int_equal(f.records[0].emit, EMIT_FINAL);
    assert_int_equal(f.records[0].revision, 0);
    assert_int_equal(f.records[0].on_time, 2);
    assert_int_equal(f.records[0].end_us, 10 * SECOND);
    assert_int_equal(f.records[0].cause, CLOSED_BY_WATERMARK);
    fixture_close(&f);
}

static void windows_are_aligned_to_the_epoch_plus_offset_also_before_1970(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    f.spec.offset_us = 3 * SECOND;
    fixture_open(&f, 1, 1);
    ADD(&f, 0, at(-8), at(2.9), at(3));
    fixture_end(&f);
    assert_int_equal(f.record_count, 3);
    assert_int_equal(f.records[0].start_us, -17 * SECOND);
    assert_int_equal(f.records[1].start_us, -7 * SECOND);
    assert_int_equal(f.records[2].start_us, 3 * SECOND);
    assert_int_equal(f.records[2].cause, CLOSED_BY_END_OF_INPUT);
    fixture_close(&f);
}

static void late_event_within_lateness_updates_the_window(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 1, 1);
    ADD(&f, 0, at(0), at(12), at(1), at(2), at(19.9), at(3));
    assert_int_equal(f.record_count, 4);
    assert_int_equal(f.records[3].emit, EMIT_UPDATE);
    assert_int_equal(f.records[3].revision, 3);
    assert_int_equal(f.records[3].on_time, 1);
    assert_int_equal(f.records[3].late_accepted, 3);
    assert_int_equal((int)f.records[3].values[0], 4);
    ADD(&f, 0, at(20), at(4));
    assert_int_equal(f.counts.too_late, 1);
    assert_int_equal(f.counts.late_accepted, 3);
    assert_int_equal(f.counts.used, 7);
    fixture_close(&f);
}

static void event_is_late_as_soon_as_the_watermark_equals_the_end(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 1, 1);
    ADD(&f, 0, at(0), at(10), at(1));
    assert_int_equal(f.record_count, 2);
    assert_int_equal(f.records[1].revision, 1);
    assert_int_equal(f.records[1].on_time, 1);
    fixture_close(&f);
}

static void several_late_events_of_one_batch_go_out_as_one_update(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 1, 1);
    ADD(&f, 0, at(0), at(12));
    const struct event late[] = {at(1), at(2), at(3)};
    fixture_add(&f, 0, late, 3);
    fixture_turn(&f, false);
    assert_int_equal(f.record_count, 2);
    assert_int_equal(f.records[1].revision, 3);
    fixture_close(&f);
}

static void late_event_of_a_window_that_another_partition_keeps_open_comes_after_its_final(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 2, 2);
    ADD(&f, 0, at(0), at(12), at(1));
    assert_int_equal(f.record_count, 0);
    ADD(&f, 1, at(2), at(11));
    assert_int_equal(f.record_count, 2);
    assert_int_equal(f.records[0].emit, EMIT_FINAL);
    assert_int_equal(f.records[0].on_time, 2);
    assert_int_equal(f.records[1].emit, EMIT_UPDATE);
    assert_int_equal(f.records[1].revision, 1);
    assert_int_equal((int)f.records[1].values[0], 3);
    /* 11 s is the smallest watermark with which a partition first reached the end. */
    assert_int_equal(f.records[0].watermark_us, 11 * SECOND);
    fixture_close(&f);
}

static void drop_and_dlq_accept_no_late_event_and_the_receipt_counts_it(void **state)
{
    (void)state;
    const enum window_late modes[] = {WINDOW_LATE_DROP, WINDOW_LATE_DLQ};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        start(&f);
        f.spec.late = modes[i];
        fixture_open(&f, 2, 2);
        ADD(&f, 0, at(0), at(12), at(1));
        ADD(&f, 1, at(11));
        assert_int_equal(f.record_count, 1);
        assert_int_equal(f.counts.too_late, 1);
        assert_int_equal(f.records[0].on_time, 1);
        assert_int_equal(f.records[0].late_dropped, 1);
        fixture_close(&f);
    }
}

static void event_on_time_for_its_partition_updates_a_closed_window_without_a_new_revision(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 2, 2);
    ADD(&f, 0, at(0), at(12));
    /* The other partition is idle: the engine goes on without it. */
    window_merger_advance(f.merger, 12 * SECOND, CLOSED_BY_IDLE, &f.clock);
    assert_int_equal(f.record_count, 1);
    assert_int_equal(f.records[0].cause, CLOSED_BY_IDLE);
    ADD(&f, 1, at(1));
    for (struct pane *pane; (pane = window_operator_take(f.operators[1], TIME_MAX, false));)
        window_merger_add(f.merger, pane, 0);
    window_merger_advance(f.merger, 12 * SECOND, CLOSED_BY_IDLE, &f.clock);
    assert_int_equal(f.record_count, 2);
    assert_int_equal(f.records[1].emit, EMIT_UPDATE);
    assert_int_equal(f.records[1].revision, 0);
    assert_int_equal(f.records[1].on_time, 2);
    fixture_close(&f);
}

static void event_whose_window_is_gone_is_counted_as_gone(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 2, 2);
    ADD(&f, 0, at(0), at(40));
    window_merger_advance(f.merger, 40 * SECOND, CLOSED_BY_IDLE, &f.clock);
    ADD(&f, 1, at(1), at(2));
    for (struct pane *pane; (pane = window_operator_take(f.operators[1], TIME_MAX, false));)
        window_merger_add(f.merger, pane, 0);
    window_merger_advance(f.merger, 41 * SECOND, CLOSED_BY_IDLE, &f.clock);
    assert_int_equal(f.record_count, 1);
    assert_int_equal(window_merger_stats(f.merger).gone_events, 2);
    fixture_close(&f);
}

static void keys_keep_their_json_type_and_integral_doubles_are_integers(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 1, 1);
    ADD(&f, 0, of(0, INTEGER(1)), of(0, NUMBER(1.0)), of(0, TEXT("1")), of(0, BOOLEAN(1)), of(0, NOTHING),
        of(0, NUMBER(-0.0)), of(0, INTEGER(0)), of(0, TEXT("")), of(0, NUMBER(1.5)),
        of(0, TEXT("longer than eight")), of(0, NUMBER((double)NAN)), of(0, NUMBER((double)INFINITY)),
        of(0, TEXT("longer than eight")));
    fixture_end(&f);
    const char *keys[] = {"[1]", "[\"1\"]", "[true]", "[null]",
                          "[0]", "[\"\"]",  "[1.5]",  "[\"longer than eight\"]"};
    const uint64_t counts[] = {2, 1, 1, 3, 2, 1, 1, 2};
    assert_int_equal(f.record_count, 8);
    for (size_t i = 0; i < 8; i++) {
        assert_string_equal(f.records[i].key, keys[i]);
        assert_int_equal(f.records[i].on_time, counts[i]);
    }
    fixture_close(&f);
}

static void keys_beyond_the_limit_go_to_the_overflow_group_whatever_the_batches(void **state)
{
    (void)state;
    for (uint32_t batch_size = 1; batch_size <= 64; batch_size *= 4) {
        struct fixture f;
        start(&f);
        f.spec.key_limit = 5;
        fixture_open(&f, 1, 1);
        struct event events[64];
        for (uint32_t i = 0; i < 64; i++) /* two windows in turn, eight keys */
            events[i] = of(i % 2 ? 1 : 11, INTEGER(i % 8));
        f.watermarks[0].delay_us = 30 * SECOND;
        for (uint32_t i = 0; i < 64; i += batch_size)
            fixture_add(&f, 0, events + i, batch_size);
        fixture_end(&f);
        uint64_t total = 0, overflow = 0;
        for (size_t i = 0; i < f.record_count; i++) {
            total += f.records[i].on_time;
            if (strcmp(f.records[i].key, "[\"__overflow__\"]") == 0)
                overflow += f.records[i].on_time;
        }
        assert_int_equal(total, 64);
        assert_int_equal(overflow, 24); /* keys 5, 6 and 7 */
        assert_int_equal(f.counts.overflow_events, 24);
        fixture_close(&f);
    }
}

static void emit_count_shows_a_key_after_every_so_many_events_whatever_the_batches(void **state)
{
    (void)state;
    for (uint32_t batch_size = 1; batch_size <= 16; batch_size *= 2) {
        struct fixture f;
        start(&f);
        f.spec.emit_count = 3;
        fixture_open(&f, 1, 1);
        struct event events[16];
        for (uint32_t i = 0; i < 16; i++)
            events[i] = of(i % 4 == 3 ? 1 : 2, i % 4 == 3 ? TEXT("b") : TEXT("a"));
        for (uint32_t i = 0; i < 16; i += batch_size) {
            fixture_add(&f, 0, events + i, batch_size);
            fixture_turn(&f, false);
        }
        fixture_end(&f);
        const uint64_t a_counts[] = {3, 6, 9, 12};
        uint32_t a_index = 0, final_count = 0;
        for (size_t i = 0; i < f.record_count; i++) {
            bool is_a = strcmp(f.records[i].key, "[\"a\"]") == 0;
            if (f.records[i].emit == EMIT_EARLY && is_a)
                assert_int_equal(f.records[i].on_time, a_counts[a_index++]);
            if (f.records[i].emit == EMIT_FINAL)
                assert_int_equal(f.records[i].on_time, is_a ? 12 : 4);
            final_count += f.records[i].emit == EMIT_FINAL;
        }
        assert_int_equal(a_index, 4);
        assert_int_equal(final_count, 2);
        fixture_close(&f);
    }
}

static void early_results_do_not_pile_up_the_texts_of_last(void **state)
{
    (void)state;
    const char *const names[] = {"last"};
    struct fixture f;
    fixture_init(&f, names, 1);
    f.spec.emit_count = 1;
    fixture_open(&f, 1, 1);
    size_t size = 0;
    for (uint32_t i = 0; i < 600; i++) {
        struct event event = at(i / 1000.0);
        event.value = TEXT(i % 2 ? "a text of more than eight bytes" : "another text of that kind");
        fixture_add(&f, 0, &event, 1);
        fixture_turn(&f, false);
        if (i == 100)
            size = window_merger_stats(f.merger).memory_size;
    }
    assert_int_equal(window_merger_stats(f.merger).memory_size, size);
    struct pane *open = window_operator_take(f.operators[0], TIME_MAX, false);
    assert_true(pane_memory_size(open) < 8192);
    assert_non_null(strstr(f.records[599].json, "\"last\":\"a text of more than eight bytes\""));
    pane_destroy(open);
    fixture_close(&f);
}

static void emit_every_shows_only_keys_that_changed(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    f.spec.emit_every_us = SECOND;
    fixture_open(&f, 1, 1);
    const struct event first[] = {of(0, TEXT("a")), of(1, TEXT("a")), of(1, TEXT("b"))};
    fixture_add(&f, 0, first, 3);
    fixture_turn(&f, true);
    window_merger_tick(f.merger, &f.clock);
    assert_int_equal(f.record_count, 2);
    assert_int_equal(f.records[0].emit, EMIT_EARLY);
    fixture_forget(&f);
    const struct event second[] = {of(2, TEXT("b"))};
    fixture_add(&f, 0, second, 1);
    fixture_turn(&f, true);
    assert_int_equal(window_merger_tick(f.merger, &f.clock), f.clock.fixed_us + SECOND);
    assert_int_equal(f.record_count, 0);
    f.clock.fixed_us += SECOND;
    window_merger_tick(f.merger, &f.clock);
    assert_int_equal(f.record_count, 1);
    assert_string_equal(f.records[0].key, "[\"b\"]");
    assert_int_equal(f.records[0].on_time, 2);
    fixture_forget(&f);
    fixture_end(&f);
    assert_int_equal(f.record_count, 2);
    assert_int_equal(f.records[0].emit, EMIT_FINAL);
    fixture_close(&f);
}

static void close_after_closes_by_the_wall_clock_when_the_watermark_stands_still(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    f.spec.close_after_us = SECOND;
    fixture_open(&f, 1, 1);
    const struct event first[] = {at(0)};
    fixture_add(&f, 0, first, 1);
    fixture_turn(&f, true);
    assert_int_equal(window_merger_tick(f.merger, &f.clock), f.clock.fixed_us + SECOND);
    f.clock.fixed_us += SECOND;
    window_merger_tick(f.merger, &f.clock);
    assert_int_equal(f.record_count, 1);
    assert_int_equal(f.records[0].cause, CLOSED_BY_WALL_CLOCK);
    assert_int_equal(f.records[0].emit, EMIT_FINAL);
    const struct event second[] = {at(1)};
    fixture_add(&f, 0, second, 1);
    fixture_turn(&f, true);
    assert_int_equal(f.record_count, 2);
    assert_int_equal(f.records[1].emit, EMIT_UPDATE);
    assert_int_equal(f.records[1].revision, 0);
    fixture_close(&f);
}

static void oldest_offset_is_the_first_that_an_open_or_held_window_needs(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 1, 1);
    ADD(&f, 0, at(0), at(3), at(11), at(12));
    int64_t watermark = 0;
    assert_int_equal(window_operator_oldest_offset(f.operators[0], 0, &watermark), 2);
    assert_int_equal(watermark, 3 * SECOND);
    assert_int_equal(window_merger_oldest_offset(f.merger, 0, &watermark), 0);
    assert_int_equal(watermark, TIME_NONE);
    ADD(&f, 0, at(20));
    assert_int_equal(window_merger_oldest_offset(f.merger, 0, &watermark), 2);
    fixture_close(&f);
}

static void oldest_offset_is_kept_when_panes_of_a_window_are_merged(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 2, 2);
    const struct event events[] = {at(1), at(2)};
    for (uint32_t p = 0; p < 2; p++)
        fixture_add(&f, p, events, 2);
    fixture_turn(&f, true);
    int64_t watermark = 0;
    for (uint32_t p = 0; p < 2; p++) {
        assert_int_equal(window_operator_oldest_offset(f.operators[p], p, &watermark), INT64_MAX);
        assert_int_equal(window_merger_oldest_offset(f.merger, p, &watermark), 0);
    }
    fixture_close(&f);
}

static void replayed_events_are_rebuilt_in_silence_and_go_on_from_there(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_open(&f, 1, 1);
    window_operator_set_horizon(f.operators[0], 12 * SECOND);
    window_merger_recover(f.merger, 12 * SECOND);
    f.is_replay = true;
    const struct event replayed[] = {at(0), at(12), at(1)};
    fixture_add(&f, 0, replayed, 3);
    fixture_turn(&f, false);
    f.is_replay = false;
    window_merger_go_live(f.merger);
    fixture_turn(&f, false);
    assert_int_equal(f.record_count, 0);
    ADD(&f, 0, at(2), at(20));
    assert_int_equal(f.record_count, 2);
    assert_int_equal(f.records[0].revision, 2);
    assert_int_equal(f.records[0].on_time, 1);
    assert_int_equal(f.records[1].emit, EMIT_FINAL);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_is_half_open_and_closes_when_the_watermark_reaches_its_end),
        cmocka_unit_test(windows_are_aligned_to_the_epoch_plus_offset_also_before_1970),
        cmocka_unit_test(late_event_within_lateness_updates_the_window),
        cmocka_unit_test(event_is_late_as_soon_as_the_watermark_equals_the_end),
        cmocka_unit_test(several_late_events_of_one_batch_go_out_as_one_update),
        cmocka_unit_test(late_event_of_a_window_that_another_partition_keeps_open_comes_after_its_final),
        cmocka_unit_test(drop_and_dlq_accept_no_late_event_and_the_receipt_counts_it),
        cmocka_unit_test(event_on_time_for_its_partition_updates_a_closed_window_without_a_new_revision),
        cmocka_unit_test(event_whose_window_is_gone_is_counted_as_gone),
        cmocka_unit_test(keys_keep_their_json_type_and_integral_doubles_are_integers),
        cmocka_unit_test(keys_beyond_the_limit_go_to_the_overflow_group_whatever_the_batches),
        cmocka_unit_test(emit_count_shows_a_key_after_every_so_many_events_whatever_the_batches),
        cmocka_unit_test(early_results_do_not_pile_up_the_texts_of_last),
        cmocka_unit_test(emit_every_shows_only_keys_that_changed),
        cmocka_unit_test(close_after_closes_by_the_wall_clock_when_the_watermark_stands_still),
        cmocka_unit_test(oldest_offset_is_the_first_that_an_open_or_held_window_needs),
        cmocka_unit_test(oldest_offset_is_kept_when_panes_of_a_window_are_merged),
        cmocka_unit_test(replayed_events_are_rebuilt_in_silence_and_go_on_from_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
