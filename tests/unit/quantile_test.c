/* median and percentile against exact answers: their bound over five distributions, elements of the data while these are few, and that
 * neither order nor splitting nor messages show in a result. */
#include "sketch_fixture.h"

/* --- distributions -------------------------------------------------------------------------------------------------------- */

enum distribution { UNIFORM, NORMAL, LOGNORMAL, ZIPF, CONSTANT, DISTRIBUTIONS };

static double draw_normal(struct random *random)
{
    return sqrt(-2 * log(1 - random_unit(random))) * cos(2 * 3.14159265358979 * random_unit(random));
}

static struct cell draw(enum distribution distribution, struct random *random)
{
    switch (distribution) {
    case UNIFORM: return NUMBER(random_unit(random) * 1000 - 300);
    case NORMAL: return NUMBER(draw_normal(random) * 15 + 10);
    case LOGNORMAL: return NUMBER(exp(draw_normal(random) * 3));
    case ZIPF:
        return INTEGER((int64_t)pow(100000, random_unit(random))); /* number n about as often as 1 / n */
    default: return NUMBER(42.4242);
    }
}

static double as_double(const struct cell *cell)
{
    return cell->kind == VALUE_INT ? (double)cell->i : cell->d;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static const char *const percentiles[] = {"percentile 0",      "percentile 1",  "percentile 5",
                                          "percentile 25",     "median",        "percentile 75",
                                          "percentile 95",     "percentile 99", "percentile 99.9",
                                          "percentile 99.995", "percentile 100"};
/* In ten thousandths of a percent, so that ranks are integers. */
static const uint64_t parts_of_million[] = {0,      10000,  50000,  250000, 500000, 750000,
                                            950000, 990000, 999000, 999950, 1000000};
enum { PERCENTILES = sizeof percentiles / sizeof *percentiles };

static uint64_t rank_of(uint64_t count, uint32_t percentile)
{
    uint64_t rank = (count * parts_of_million[percentile] + 999999) / 1000000;
    return rank ? rank : 1;
}

static void percentiles_of_any_distribution_are_within_one_percent_however_split(void **state)
{
    (void)state;
    static struct cell values[VALUES];
    static double sorted[VALUES];
    struct random random = random_seeded(test_seed());
    static const struct way thousand = {8, 4, PARTS, 0, false};
    for (uint32_t d = 0; d < DISTRIBUTIONS; d++) {
        for (uint32_t i = 0; i < VALUES; i++) {
            values[i] = draw((enum distribution)d, &random);
            sorted[i] = as_double(&values[i]);
        }
        qsort(sorted, VALUES, sizeof *sorted, compare_doubles);
        char *text[2];
        for (uint32_t is_split = 0; is_split < 2; is_split++) {
            struct fixture fixture;
            const struct record_copy *record =
                run(&fixture, percentiles, PERCENTILES, values, VALUES, is_split ? &thousand : &whole);
            for (uint32_t p = 0; p < PERCENTILES; p++) {
                double want = sorted[rank_of(VALUES, p) - 1], got = record->values[p];
                if (!(fabs(got - want) <= 0.01 * fabs(want)))
                    fail_msg("distribution %u, %s: want %.17g, got %.17g", d, percentiles[p], want, got);
            }
            /* The ends are exact. */
            assert_true(record->values[0] == sorted[0] &&
                        record->values[PERCENTILES - 1] == sorted[VALUES - 1]);
            text[is_split] = values_text(record);
            fixture_close(&fixture);
        }
        assert_string_equal(text[0], text[1]);
        free(text[0]);
        free(text[1]);
    }
}

static void percentiles_of_up_to_64_values_are_elements_however_they_were_split(void **state)
{
    (void)state;
    struct random random = random_seeded(test_seed());
    for (uint32_t count = 1; count <= 64; count++) {
        struct cell values[64];
        double sorted[64];
        for (uint32_t i = 0; i < count; i++) {
            int64_t number = (int64_t)random_below(&random, 200) - 100;
            values[i] = random_below(&random, 2) ? INTEGER(number) : NUMBER((double)number / 8);
            sorted[i] = as_double(&values[i]);
        }
        qsort(sorted, count, sizeof *sorted, compare_doubles);
        const struct way way = {1 + count % 3, 1 + count % 3, 1 + count % 9, 0, count % 2};
        struct fixture fixture;
        const struct record_copy *record = run(&fixture, percentiles, PERCENTILES, values, count, &way);
        for (uint32_t p = 0; p < PERCENTILES; p++)
            assert_true(record->values[p] == sorted[rank_of(count, p) - 1]);
        fixture_close(&fixture);
        expect_same_by_all_ways(percentiles, PERCENTILES, values, count, &random);
    }
}

static void ranks_are_those_of_decimal_arithmetic(void **state)
{
    (void)state;
    static struct cell values[60];
    static const char *const names[] = {"percentile 55", "percentile 29", "percentile 0.1"};
    for (uint32_t i = 0; i < 60; i++)
        values[i] = INTEGER(i + 1);
    struct fixture fixture;
    /* 0.55 * 60 is 33.000000000000004 in doubles, and 0.29 * 100 28.999999999999996. */
    const struct record_copy *record = run(&fixture, names, 3, values, 60, &whole);
    assert_true(record->values[0] == 33 && record->values[1] == 18 && record->values[2] == 1);
    fixture_close(&fixture);
}

/* Value number i of so many that make a sketch. */
static struct cell odd_value(uint32_t i)
{
    switch (i % 10) {
    case 0: return NUMBER((double)INFINITY);
    case 1: return NUMBER(-(double)INFINITY);
    case 2: return NUMBER(-0.0);
    case 3: return INTEGER(0);
    case 4: return NUMBER(4e-310);
    case 5: return INTEGER(INT64_MIN);
    case 6: return NUMBER(-1.5);
    case 7: return NUMBER(1e-5);
    case 8: return INTEGER(INT64_MAX);
    default: return NUMBER(NAN);
    }
}

static void zeros_infinities_and_negative_numbers_have_their_ranks_in_a_sketch(void **state)
{
    (void)state;
    /* 90 values of each but NaN: -inf, min, -1.5, -0, 0, 4e-310, 1e-5, max, inf. */
    static const char *const names[] = {"percentile 5",  "percentile 15", "percentile 30", "percentile 50",
                                        "percentile 75", "percentile 80", "percentile 100"};
    static struct cell values[900];
    struct random random = random_seeded(test_seed());
    for (uint32_t i = 0; i < 900; i++)
        values[i] = odd_value(i);
    struct fixture fixture;
    const struct record_copy *record = run(&fixture, names, 7, values, 900, &whole);
    const double want[] = {0, -0x1p63, -1.5, 0, 1e-5, 0x1p63, 0};
    for (uint32_t p = 0; p < 7; p++) {
        bool is_infinite = p == 0 || p == 6;
        assert_int_equal(record->kinds[p], is_infinite ? VALUE_NULL : VALUE_DOUBLE);
        assert_true(is_infinite || fabs(record->values[p] - want[p]) <= 0.01 * fabs(want[p]));
    }
    fixture_close(&fixture);
    expect_same_by_all_ways(names, 7, values, 900, &random);
}

static void small_integers_are_exact_in_a_sketch_of_integers(void **state)
{
    (void)state;
    static struct cell values[6300];
    for (uint32_t i = 0; i < 6300; i++)
        values[i] = i % 2 ? INTEGER(1 + i / 100) : NUMBER(1 + i / 100);
    for (uint32_t part = 1; part < 63; part++) {
        char name[32];
        snprintf(name, sizeof name, "percentile %.6f", (part * 100 - 50) / 63.0);
        const char *names[] = {name};
        struct fixture fixture;
        assert_true(run(&fixture, names, 1, values, 6300, &whole)->values[0] == part);
        fixture_close(&fixture);
    }
}

static void magnitudes_further_apart_than_the_span_give_up_the_smallest_in_any_order(void **state)
{
    (void)state;
    static const char *const names[] = {"percentile 10", "percentile 30", "percentile 50",
                                        "percentile 70", "percentile 90", "percentile 99"};
    static struct cell values[2000];
    struct random random = random_seeded(test_seed());
    for (uint32_t round = 0; round < 8; round++) {
        for (uint32_t i = 0; i < 2000; i++) {
            double number = pow(10, random_unit(&random) * 600 - 300);
            values[i] = NUMBER(round % 2 && i % 2 ? -number : number);
        }
        expect_same_by_all_ways(names, 6, values, 2000, &random);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_of_any_distribution_are_within_one_percent_however_split),
        cmocka_unit_test(percentiles_of_up_to_64_values_are_elements_however_they_were_split),
        cmocka_unit_test(ranks_are_those_of_decimal_arithmetic),
        cmocka_unit_test(zeros_infinities_and_negative_numbers_have_their_ranks_in_a_sketch),
        cmocka_unit_test(small_integers_are_exact_in_a_sketch_of_integers),
        cmocka_unit_test(magnitudes_further_apart_than_the_span_give_up_the_smallest_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
