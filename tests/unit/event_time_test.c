/* Event times from text and numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "flow/event_time.h"

static int64_t from_text(const char *text)
{
    int64_t time_us = -1;
    if (event_time_from_text(slice_of(text), &time_us) != STATUS_OK)
        return INT64_MIN;
    return time_us;
}

static void iso_text_is_read_with_any_offset(void **state)
{
    (void)state;
    const int64_t time_us = INT64_C(1700000000000000);
    assert_int_equal(from_text("2023-11-14T22:13:20Z"), time_us);
    assert_int_equal(from_text("2023-11-14t22:13:20z"), time_us);
    assert_int_equal(from_text("2023-11-14 22:13:20"), time_us);
    assert_int_equal(from_text("2023-11-15T00:13:20+02:00"), time_us);
    assert_int_equal(from_text("2023-11-15T00:13:20+0200"), time_us);
    assert_int_equal(from_text("2023-11-15T00:13:20+02"), time_us);
    assert_int_equal(from_text("2023-11-14T16:43:20-05:30"), time_us);
    assert_int_equal(from_text("2023-11-14T22:13:20.123456789Z"), time_us + 123456);
    assert_int_equal(from_text("2023-11-14T22:13:20.5Z"), time_us + 500000);
    assert_int_equal(from_text("2023-11-14T22:13Z"), time_us - 20000000);
    assert_int_equal(from_text("2023-11-14"), INT64_C(1699920000000000));
    assert_int_equal(from_text("1969-12-31T23:59:50Z"), -10000000);
    assert_int_equal(from_text("2016-12-31T23:59:60Z"), from_text("2017-01-01T00:00:00Z"));
    assert_int_equal(from_text("0001-01-01T00:00:00Z"), EVENT_TIME_MIN_US);
    assert_int_equal(from_text("9999-12-31T23:59:59.999999Z"), EVENT_TIME_MAX_US);
    assert_int_equal(from_text("2000-02-29"), INT64_C(951782400000000));
}

static void text_that_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "soon",
        "1700000000",
        "17000000000000",
        "2023-13-01",
        "2023-00-01",
        "2023-02-29",
        "1900-02-29",
        "2023-04-31",
        "2023-11-14T24:00:00Z",
        "2023-11-14T22:60:00Z",
        "2023-11-14T22:13:61Z",
        "2023-11-14T22",
        "2023-11-14T22:13:2Z",
        "2023-11-14T22:13:20.Z",
        "2023-11-14T22:13:20Zebra",
        "2023-11-14T22:13:20+24:00",
        "2023-11-14T22:13:20+2",
        "2023-11-14T",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "0000-12-31",
        "2023/11/14",
        "2023-11-14T22-13-20",
        "+2023-11-14",
        "2023-11-14T22:13:20 Z",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (from_text(texts[i]) != INT64_MIN)
            fail_msg("taken: %s", texts[i]);
    }
}

static int64_t from_int(int64_t value, enum time_unit unit)
{
    int64_t time_us = -1;
    return event_time_from_int(value, unit, &time_us) == STATUS_OK ? time_us : INT64_MIN;
}

static int64_t from_double(double value, enum time_unit unit)
{
    int64_t time_us = -1;
    return event_time_from_double(value, unit, &time_us) == STATUS_OK ? time_us : INT64_MIN;
}

static void magnitude_tells_the_unit(void **state)
{
    (void)state;
    static const struct {
        int64_t value, time_us;
    } cases[] = {
        {0, 0},
        {-10, -10000000},
        {INT64_C(1700000000), INT64_C(1700000000000000)},
        {INT64_C(1700000000000), INT64_C(1700000000000000)},
        {INT64_C(1700000000000000), INT64_C(1700000000000000)},
        {INT64_C(1700000000000000000), INT64_C(1700000000000000)},
        {INT64_C(99999999999), INT64_C(99999999999000000)},
        {INT64_C(100000000000), INT64_C(100000000000000)},
        {INT64_C(99999999999999), INT64_C(99999999999999000)},
        {INT64_C(100000000000000), INT64_C(100000000000000)},
        {INT64_C(99999999999999999), INT64_C(99999999999999999)},
        {INT64_C(100000000000000000), INT64_C(100000000000000)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(from_int(cases[i].value, TIME_UNIT_AUTO), cases[i].time_us);
        if (cases[i].value < INT64_C(1) << 53)
            assert_int_equal(from_double((double)cases[i].value, TIME_UNIT_AUTO), cases[i].time_us);
    }
}

static void declared_unit_overrules_magnitude(void **state)
{
    (void)state;
    assert_int_equal(from_int(5, TIME_UNIT_SECONDS), 5000000);
    assert_int_equal(from_int(5, TIME_UNIT_MILLISECONDS), 5000);
    assert_int_equal(from_int(5, TIME_UNIT_MICROSECONDS), 5);
    assert_int_equal(from_int(5999, TIME_UNIT_NANOSECONDS), 5);
    assert_int_equal(from_int(-1, TIME_UNIT_NANOSECONDS), -1);
    assert_int_equal(from_double(0.25, TIME_UNIT_MILLISECONDS), 250);
    assert_int_equal(from_double(-0.0000005, TIME_UNIT_SECONDS), -1);
}

static void fraction_of_a_second_keeps_its_microsecond(void **state)
{
    (void)state;
    for (int64_t us = 0; us < 1000000; us += 997) {
        double seconds = (double)(INT64_C(1700000000000000) + us) / 1e6;
        assert_int_equal(from_double(seconds, TIME_UNIT_AUTO), INT64_C(1700000000000000) + us);
    }
}

static void number_outside_years_1_to_9999_is_refused(void **state)
{
    (void)state;
    assert_int_equal(from_double(NAN, TIME_UNIT_AUTO), INT64_MIN);
    assert_int_equal(from_double(INFINITY, TIME_UNIT_AUTO), INT64_MIN);
    assert_int_equal(from_double(-INFINITY, TIME_UNIT_SECONDS), INT64_MIN);
    assert_int_equal(from_double(1e300, TIME_UNIT_AUTO), INT64_MIN);
    assert_int_equal(from_int(INT64_MAX, TIME_UNIT_SECONDS), INT64_MIN);
    assert_int_equal(from_int(INT64_MIN, TIME_UNIT_MILLISECONDS), INT64_MIN);
    assert_int_equal(from_int(INT64_C(253402300800), TIME_UNIT_SECONDS), INT64_MIN);
    assert_int_equal(from_int(INT64_C(253402300799), TIME_UNIT_SECONDS), INT64_C(253402300799000000));
    assert_int_equal(from_int(EVENT_TIME_MIN_US - 1, TIME_UNIT_MICROSECONDS), INT64_MIN);
}

static void formatted_time_reads_back(void **state)
{
    (void)state;
    static const struct {
        int64_t time_us;
        const char *text;
    } cases[] = {
        {EVENT_TIME_MIN_US, "0001-01-01T00:00:00Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {0, "1970-01-01T00:00:00Z"},
        {INT64_C(1700000000123000), "2023-11-14T22:13:20.123Z"},
        {INT64_C(951782400000001), "2000-02-29T00:00:00.000001Z"},
        {EVENT_TIME_MAX_US, "9999-12-31T23:59:59.999999Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer out = {0};
        event_time_format(&out, cases[i].time_us);
        buffer_append_char(&out, '\0');
        assert_string_equal(out.data, cases[i].text);
        assert_int_equal(from_text(out.data), cases[i].time_us);
        buffer_deinit(&out);
    }
}

static void windows_before_1970_begin_below_their_times(void **state)
{
    (void)state;
    assert_int_equal(event_time_floor(-1, 10), -10);
    assert_int_equal(event_time_floor(-10, 10), -10);
    assert_int_equal(event_time_floor(9, 10), 0);
    assert_int_equal(event_time_floor(10, 10), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iso_text_is_read_with_any_offset),
        cmocka_unit_test(text_that_is_no_time_is_refused),
        cmocka_unit_test(magnitude_tells_the_unit),
        cmocka_unit_test(declared_unit_overrules_magnitude),
        cmocka_unit_test(fraction_of_a_second_keeps_its_microsecond),
        cmocka_unit_test(number_outside_years_1_to_9999_is_refused),
        cmocka_unit_test(formatted_time_reads_back),
        cmocka_unit_test(windows_before_1970_begin_below_their_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
