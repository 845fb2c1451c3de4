/* The one list of aggregates. A new one is a file with a struct aggregate_kind and a line here. */
#include <stdio.h>
#include <stdlib.h>

#include "window/window_internal.h"

static const struct aggregate_kind *const kinds[] = {
    &count_aggregate,      &count_value_aggregate,
    &sum_aggregate,        &mean_aggregate,
    &min_aggregate,        &max_aggregate,
    &stddev_aggregate,     &stddev_pop_aggregate,
    &variance_aggregate,   &first_aggregate,
    &last_aggregate,       &median_aggregate,
    &percentile_aggregate, &distinct_count_aggregate,
    &top_aggregate,        &rate_aggregate,
};

static const char kind_names[] =
    "count, sum, mean, min, max, stddev, stddev_pop, variance, median, percentile, "
    "distinct_count, first, last, top, rate";

static void refuse_argument_count(const struct aggregate_kind *kind, uint32_t argument_count,
                                  struct error *error)
{
    static const char *const counts[] = {"no argument", "one argument", "two arguments"};
    char usage[64];
    if (kind->parameter)
        snprintf(usage, sizeof usage, "some.path, %g", kind->parameter->example);
    else
        snprintf(usage, sizeof usage, "%s", kind->argument_count ? "some.path" : "");
    error_set(error, "%s() takes %s, not %u; write %s(%s)", kind->name, counts[kind->argument_count],
              argument_count, kind->name, usage);
}

const struct aggregate_kind *aggregate_kind_find(struct slice name, uint32_t argument_count,
                                                 struct error *error)
{
    const struct aggregate_kind *known = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!slice_equal_text(name, kinds[i]->name))
            continue;
        if (kinds[i]->argument_count == argument_count)
            return kinds[i];
        known = kinds[i];
    }
    if (!known)
        error_set(error, "there is no aggregate \"%.*s\"; there are %s", SLICE_ARG(name), kind_names);
    else
        refuse_argument_count(known, argument_count, error);
    return NULL;
}

bool aggregate_kind_wants_number(const struct aggregate_kind *kind)
{
    return kind->wants_number;
}

/* Digits, perhaps with a point and `decimals` more. */
static bool is_plain_number(struct slice text, uint32_t decimals)
{
    enum { TEXT_SIZE = 15 };
    size_t point = text.size;
    if (text.size == 0 || text.size > TEXT_SIZE)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '.' && point == text.size && decimals > 0)
            point = i;
        else if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    }
    size_t decimal_count = point == text.size ? 0 : text.size - point - 1;
    return point > 0 && point + 1 != text.size && decimal_count <= decimals;
}

bool aggregate_kind_read_parameter(const struct aggregate_kind *kind, struct slice text, double *parameter,
                                   struct error *error)
{
    const struct aggregate_parameter *wanted = kind->parameter;
    *parameter = 0;
    if (!wanted)
        return true;
    if (is_plain_number(text, wanted->decimals)) {
        char digits[32];
        snprintf(digits, sizeof digits, "%.*s", SLICE_ARG(text));
        *parameter = strtod(digits, NULL);
        if (*parameter >= wanted->smallest && *parameter <= wanted->largest)
            return true;
    }
    char most[48] = "a whole number";
    if (wanted->decimals)
        snprintf(most, sizeof most, "a number with at most %u decimals", wanted->decimals);
    error_set(error, "%s of %s(x, %s) must be %s from %g to %g, as in %s(some.path, %g), not \"%.*s\"",
              wanted->name, kind->name, wanted->name, most, wanted->smallest, wanted->largest, kind->name,
              wanted->example, SLICE_ARG(text));
    return false;
}
