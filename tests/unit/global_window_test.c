/* Global windows, and early results by count and by time together. Times are seconds. */
#include "window_fixture.h"

static const char *const counting[] = {"count"};

static struct event of(double second, const char *key)
{
    return (struct event){.time_us = (int64_t)(second * 1e6), .key = TEXT(key), .value = INTEGER(1)};
}

static void start(struct fixture *fixture)
{
    fixture_init(fixture, counting, 1);
    fixture->spec.kind = WINDOW_GLOBAL;
    fixture->spec.size_us = 0;
}

static void add(struct fixture *fixture, double second, const char *key)
{
    const struct event event = of(second, key);
    fixture_add(fixture, 0, &event, 1);
    fixture_turn(fixture, false);
}

/* As the engine does for emit.every. */
static void flush(struct fixture *fixture)
{
    fixture_turn(fixture, true);
    (void)window_merger_tick(fixture->merger, &fixture->clock);
}

static void expect(const struct fixture *fixture, size_t index, const char *key, uint64_t count)
{
    assert_true(index < fixture->record_count);
    const struct record_copy *record = &fixture->records[index];
    assert_string_equal(record->key, key);
    assert_int_equal(record->emit, EMIT_EARLY);
    assert_int_equal(record->on_time, count);
    assert_int_equal((uint64_t)record->values[0], count);
    assert_int_equal(record->start_us, 0);
    assert_non_null(strstr(record->json, "\"window_end\":null"));
}

static void nothing_is_late_for_a_global_window_and_count_shows_its_keys(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    f.spec.emit_count = 2;
    fixture_open(&f, 1, 1);
    add(&f, 1000000, "a");
    add(&f, -5, "b");
    add(&f, 7, "a");
    expect(&f, 0, "[\"a\"]", 2);
    add(&f, 8, "a");
    add(&f, 9, "b");
    expect(&f, 1, "[\"b\"]", 2);
    assert_int_equal(f.record_count, 2);
    fixture_end(&f);
    expect(&f, 2, "[\"a\"]", 3);
    assert_int_equal(f.records[2].cause, CLOSED_BY_END_OF_INPUT);
    assert_int_equal(f.record_count, 3);
    assert_int_equal(f.counts.too_late, 0);
    assert_int_equal(f.counts.used, 5);
    fixture_close(&f);
}

static void every_shows_changed_keys_of_a_global_window(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    f.spec.emit_every_us = SECOND;
    fixture_open(&f, 1, 1);
    add(&f, 1, "a");
    add(&f, 2, "b");
    flush(&f);
    assert_int_equal(f.record_count, 2);
    add(&f, 3, "b");
    f.clock.fixed_us += SECOND;
    flush(&f);
    expect(&f, 2, "[\"b\"]", 2);
    assert_int_equal(f.record_count, 3);
    fixture_end(&f);
    assert_int_equal(f.record_count, 3);
    fixture_close(&f);
}

/* What emit.every shows in between does not start the count anew, whichever kind of window. */
static void count_and_every_together_do_not_disturb_each_other(void **state)
{
    (void)state;
    for (int is_global = 0; is_global < 2; is_global++) {
        struct fixture f;
        start(&f);
        if (!is_global) {
            f.spec.kind = WINDOW_TUMBLING;
            f.spec.size_us = 100 * SECOND;
        }
        f.spec.emit_every_us = SECOND;
        f.spec.emit_count = 3;
        fixture_open(&f, 1, 1);
        add(&f, 1, "a");
        add(&f, 2, "a");
        flush(&f);
        assert_int_equal(f.record_count, 1);
        assert_int_equal(f.records[0].on_time, 2);
        add(&f, 3, "a");
        assert_int_equal(f.record_count, 2);
        assert_int_equal(f.records[1].on_time, 3);
        add(&f, 4, "a");
        add(&f, 5, "b");
        f.clock.fixed_us += SECOND;
        flush(&f);
        assert_int_equal(f.record_count, 4);
        fixture_end(&f);
        /* A tumbling window ends with the final records of both keys; all of a global one has been shown. */
        assert_int_equal(f.record_count, is_global ? 4 : 6);
        for (size_t i = 4; i < f.record_count; i++)
            assert_int_equal(f.records[i].on_time, f.records[i].key[2] == 'a' ? 4 : 1);
        fixture_close(&f);
    }
}

static void global_window_holds_the_first_offset_for_ever(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    f.spec.emit_every_us = SECOND;
    fixture_open(&f, 1, 1);
    for (uint32_t i = 0; i < 50; i++)
        add(&f, i * 100, "a");
    flush(&f);
    int64_t watermark_us = 0;
    assert_int_equal(window_operator_oldest_offset(f.operators[0], 0, &watermark_us), INT64_MAX);
    assert_int_equal(window_merger_oldest_offset(f.merger, 0, &watermark_us), 0);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_late_for_a_global_window_and_count_shows_its_keys),
        cmocka_unit_test(every_shows_changed_keys_of_a_global_window),
        cmocka_unit_test(count_and_every_together_do_not_disturb_each_other),
        cmocka_unit_test(global_window_holds_the_first_offset_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
