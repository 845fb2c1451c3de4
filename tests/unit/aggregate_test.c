/* Aggregates against references: 128-bit integers, long doubles, hand-made cases. Values go through one window; `parts` spreads them
 * over partitions, so that states are merged. */
#include "window_fixture.h"

/* The one record of a window over the values; the caller frees its text by fixture_close. */
static const struct record_copy *aggregate(struct fixture *fixture, const char *name,
                                           const struct cell *values, uint32_t count, uint32_t parts)
{
    fixture_init(fixture, &name, 1);
    fixture_open(fixture, parts, parts);
    for (uint32_t i = 0; i < count; i++) {
        struct event event = {.time_us = (int64_t)i, .key = TEXT("k"), .value = values[i]};
        fixture_add(fixture, i % parts, &event, 1);
    }
    fixture_end(fixture);
    assert_int_equal(fixture->record_count, 1);
    return &fixture->records[0];
}

static void expect_text(const char *name, const char *want, const struct cell *values, uint32_t count)
{
    char text[128];
    snprintf(text, sizeof text, "\"values\":{\"%s\":%s}", name, want);
    for (uint32_t parts = 1; parts <= 2; parts++) {
        struct fixture fixture;
        const struct record_copy *record = aggregate(&fixture, name, values, count, parts);
        if (!strstr(record->json, text)) {
            print_error("want %s in %s\n", text, record->json);
            fail();
        }
        fixture_close(&fixture);
    }
}
#define EXPECT(name, want, ...)                                 \
    expect_text(name, want, (const struct cell[]){__VA_ARGS__}, \
                sizeof((const struct cell[]){__VA_ARGS__}) / sizeof(struct cell))

static void sum_of_integers_is_exact_in_128_bits(void **state)
{
    (void)state;
    EXPECT("sum", "46116860184273879035", INTEGER(INT64_MAX), INTEGER(INT64_MAX), INTEGER(INT64_MAX),
           INTEGER(INT64_MAX), INTEGER(INT64_MAX));
    EXPECT("sum", "-27670116110564327424", INTEGER(INT64_MIN), INTEGER(INT64_MIN), INTEGER(INT64_MIN));
    EXPECT("sum", "-9223372036854775808", INTEGER(INT64_MIN), INTEGER(0));
    EXPECT("sum", "9007199254740993", INTEGER(INT64_C(9007199254740992)), INTEGER(1));
    EXPECT("sum", "-1", INTEGER(INT64_MAX), INTEGER(INT64_MIN));
}

static void sum_of_doubles_is_compensated(void **state)
{
    (void)state;
    EXPECT("sum", "3", NUMBER(1.5), NUMBER(1e100), NUMBER(1.5), NUMBER(-1e100));
    EXPECT("sum", "1.5", INTEGER(INT64_MAX), NUMBER(1.5), INTEGER(-INT64_MAX));
    EXPECT("sum", "1", NUMBER(0.1), NUMBER(0.1), NUMBER(0.1), NUMBER(0.1), NUMBER(0.1), NUMBER(0.1),
           NUMBER(0.1), NUMBER(0.1), NUMBER(0.1), NUMBER(0.1));
}

static void sum_that_overflows_on_the_way_is_right_in_the_end(void **state)
{
    (void)state;
    EXPECT("sum", "1.7e+308", NUMBER(1.7e308), NUMBER(1.7e308), NUMBER(-1.7e308));
    EXPECT("mean", "1.7e+308", NUMBER(1.7e308), NUMBER(1.7e308));
    EXPECT("sum", "null", NUMBER(1.7e308), NUMBER(1.7e308));
    EXPECT("sum", "null", NUMBER((double)INFINITY), NUMBER(1));
}

static void aggregates_over_no_value_are_null(void **state)
{
    (void)state;
    const char *const names[] = {"sum",        "mean",     "min",   "max", "stddev",
                                 "stddev_pop", "variance", "first", "last"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        EXPECT(names[i], "null", NOTHING, NUMBER((double)NAN));
    EXPECT("count_value", "0", NOTHING, NUMBER((double)NAN));
    EXPECT("count", "2", NOTHING, NOTHING);
}

static void spread_needs_enough_values(void **state)
{
    (void)state;
    EXPECT("stddev", "null", INTEGER(5));
    EXPECT("variance", "null", INTEGER(5));
    EXPECT("stddev_pop", "0", INTEGER(5));
    EXPECT("variance", "30", NUMBER(1e9 + 4), NUMBER(1e9 + 7), NUMBER(1e9 + 13), NUMBER(1e9 + 16));
    EXPECT("stddev_pop", "2", INTEGER(2), INTEGER(4), INTEGER(4), INTEGER(4), INTEGER(5), INTEGER(5),
           INTEGER(7), INTEGER(9));
}

static void extremes_compare_integers_and_doubles_exactly(void **state)
{
    (void)state;
    EXPECT("max", "9007199254740993", INTEGER(INT64_C(9007199254740993)), NUMBER(9007199254740992.0));
    EXPECT("min", "-9007199254740993", NUMBER(-9007199254740992.0), INTEGER(INT64_C(-9007199254740993)));
    EXPECT("max", "9223372036854775807", NUMBER(1.0), INTEGER(INT64_MAX));
    EXPECT("min", "-1.5", NUMBER(-1.5), INTEGER(-1), NUMBER((double)NAN));
    EXPECT("max", "7", NUMBER(7.0), INTEGER(7));
    EXPECT("min", "-0", NUMBER(0.0), NUMBER(-0.0));
    EXPECT("max", "0", NUMBER(-0.0), NUMBER(0.0));
    EXPECT("max", "-2.5", NUMBER(-3.5), NUMBER(-2.5), NUMBER(-9.0));
}

static void wrong_types_are_skipped_and_counted_per_aggregate(void **state)
{
    (void)state;
    const char *const names[] = {"sum", "mean", "min", "count_value"};
    struct fixture fixture;
    fixture_init(&fixture, names, 4);
    fixture_open(&fixture, 1, 1);
    const struct cell values[] = {INTEGER(1), TEXT("2"), BOOLEAN(1), NOTHING, INTEGER(4)};
    for (uint32_t i = 0; i < 5; i++) {
        struct event event = {.time_us = i, .key = NOTHING, .value = values[i]};
        fixture_add(&fixture, 0, &event, 1);
    }
    fixture_end(&fixture);
    assert_int_equal(fixture.records[0].type_errors, 6);
    assert_int_equal(fixture.counts.type_errors, 6);
    assert_non_null(strstr(fixture.records[0].json, "{\"sum\":5,\"mean\":2.5,\"min\":1,\"count_value\":4}"));
    fixture_close(&fixture);
}

static void first_and_last_go_by_time_then_partition_then_offset(void **state)
{
    (void)state;
    const char *const names[] = {"first", "last"};
    for (uint32_t operators = 1; operators <= 2; operators++) {
        struct fixture fixture;
        fixture_init(&fixture, names, 2);
        fixture_open(&fixture, 2, operators);
        const struct event one[] = {{5, NOTHING, TEXT("later")},
                                    {1, NOTHING, TEXT("partition 0, first")},
                                    {1, NOTHING, TEXT("partition 0, next")},
                                    {9, NOTHING, TEXT("z0")}};
        const struct event two[] = {{1, NOTHING, TEXT("partition 1")},
                                    {9, NOTHING, INTEGER(7)},
                                    {0, NOTHING, NOTHING},
                                    {9, NOTHING, TEXT("the last of all, and a long one")}};
        fixture_add(&fixture, 1, two, 4);
        fixture_add(&fixture, 0, one, 4);
        fixture_end(&fixture);
        assert_non_null(strstr(fixture.records[0].json, "\"first\":\"partition 0, first\""));
        assert_non_null(strstr(fixture.records[0].json, "\"last\":\"the last of all, and a long one\""));
        fixture_close(&fixture);
    }
}

static void merging_in_any_order_is_within_1e_12(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static struct cell values[COUNT];
    struct random random = random_seeded(5);
    long double sum = 0, squares = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        values[i] = NUMBER(1e6 + random_unit(&random) - 0.5);
        sum += values[i].d;
    }
    for (uint32_t i = 0; i < COUNT; i++)
        squares += (values[i].d - sum / COUNT) * (values[i].d - sum / COUNT);
    long double variance = squares / (COUNT - 1);
    for (uint32_t parts = 1; parts <= 8; parts++) {
        struct fixture fixture;
        assert_true(fabsl(aggregate(&fixture, "sum", values, COUNT, parts)->values[0] - sum) <= 1e-12L * sum);
        fixture_close(&fixture);
        assert_true(fabsl(aggregate(&fixture, "variance", values, COUNT, parts)->values[0] - variance) <=
                    1e-12L * variance);
        fixture_close(&fixture);
    }
}

static void unknown_aggregates_and_wrong_argument_counts_are_refused_with_a_reason(void **state)
{
    (void)state;
    struct error error;
    assert_null(aggregate_kind_find(SLICE("avg"), 1, &error));
    assert_non_null(strstr(error.text, "\"avg\""));
    assert_null(aggregate_kind_find(SLICE("sum"), 0, &error));
    assert_non_null(strstr(error.text, "one argument"));
    assert_false(aggregate_kind_wants_number(aggregate_kind_find(SLICE("first"), 1, &error)));
    assert_true(aggregate_kind_wants_number(aggregate_kind_find(SLICE("mean"), 1, &error)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_of_integers_is_exact_in_128_bits),
        cmocka_unit_test(sum_of_doubles_is_compensated),
        cmocka_unit_test(sum_that_overflows_on_the_way_is_right_in_the_end),
        cmocka_unit_test(aggregates_over_no_value_are_null),
        cmocka_unit_test(spread_needs_enough_values),
        cmocka_unit_test(extremes_compare_integers_and_doubles_exactly),
        cmocka_unit_test(wrong_types_are_skipped_and_counted_per_aggregate),
        cmocka_unit_test(first_and_last_go_by_time_then_partition_then_offset),
        cmocka_unit_test(merging_in_any_order_is_within_1e_12),
        cmocka_unit_test(unknown_aggregates_and_wrong_argument_counts_are_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
