/* The histogram against sorted values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/histogram.h"
#include "base/random.h"

enum { VALUE_COUNT = 20000 };

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void percentiles_are_at_most_a_bucket_above_the_exact_ones(void **state)
{
    (void)state;
    uint64_t seed = random_seed_from_system();
    print_message("seed %llu\n", (unsigned long long)seed);
    struct random random = random_seeded(seed);
    static struct histogram histogram;
    static int64_t values[VALUE_COUNT];
    histogram_init(&histogram);
    for (size_t i = 0; i < VALUE_COUNT; i++) {
        values[i] = (int64_t)exp(random_unit(&random) * 20);
        histogram_add(&histogram, values[i], 1);
    }
    qsort(values, VALUE_COUNT, sizeof *values, compare);
    static const double percentiles[] = {1, 50, 95, 99, 99.9, 100};
    for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++) {
        int64_t exact = values[(size_t)ceil(percentiles[i] / 100 * VALUE_COUNT) - 1];
        int64_t found = histogram_percentile(&histogram, percentiles[i]);
        assert_in_range(found, exact, exact + exact / 32 + 1);
    }
    struct histogram_summary summary = histogram_summarize(&histogram);
    assert_int_equal(summary.count, VALUE_COUNT);
    assert_int_equal(summary.min_us, values[0]);
    assert_int_equal(summary.max_us, values[VALUE_COUNT - 1]);
}

static void difference_holds_only_what_came_after_the_copy(void **state)
{
    (void)state;
    static struct histogram before, now, difference;
    histogram_init(&before);
    histogram_init(&now);
    histogram_add(&now, 1000000, 5);
    histogram_merge(&before, &now);
    histogram_add(&now, 10, 3);
    histogram_difference(&difference, &now, &before);
    struct histogram_summary summary = histogram_summarize(&difference);
    assert_int_equal(summary.count, 3);
    assert_int_equal(summary.max_us, 10);
    assert_int_equal(summary.p99_us, 10);
    assert_true(fabs(summary.mean_us - 10) < 1e-9);
}

static void empty_histogram_has_zeros(void **state)
{
    (void)state;
    static struct histogram histogram;
    histogram_init(&histogram);
    assert_int_equal(histogram_percentile(&histogram, 99), 0);
    assert_int_equal(histogram_summarize(&histogram).count, 0);
}

static void values_beyond_the_range_are_kept_at_its_ends(void **state)
{
    (void)state;
    static struct histogram histogram;
    histogram_init(&histogram);
    histogram_add(&histogram, -5, 1);
    histogram_add(&histogram, INT64_MAX, 1);
    assert_int_equal(histogram_count_at_most(&histogram, 0), 1);
    assert_int_equal(histogram_summarize(&histogram).count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_at_most_a_bucket_above_the_exact_ones),
        cmocka_unit_test(difference_holds_only_what_came_after_the_copy),
        cmocka_unit_test(empty_histogram_has_zeros),
        cmocka_unit_test(values_beyond_the_range_are_kept_at_its_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
