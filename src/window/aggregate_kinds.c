/* The one list of aggregates. A new one is a file with a struct aggregate_kind and a line here. */
#include "window/window_internal.h"

static const struct aggregate_kind *const kinds[] = {
    &count_aggregate,    &count_value_aggregate, &sum_aggregate,    &mean_aggregate,
    &min_aggregate,      &max_aggregate,         &stddev_aggregate, &stddev_pop_aggregate,
    &variance_aggregate, &first_aggregate,       &last_aggregate,
};

static const char kind_names[] = "count, sum, mean, min, max, stddev, stddev_pop, variance, first, last";

const struct aggregate_kind *aggregate_kind_find(struct slice name, uint32_t argument_count,
                                                 struct error *error)
{
    bool is_known = false;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!slice_equal_text(name, kinds[i]->name))
            continue;
        if (kinds[i]->argument_count == argument_count)
            return kinds[i];
        is_known = true;
    }
    if (!is_known)
        error_set(error, "there is no aggregate \"%.*s\"; there are %s", SLICE_ARG(name), kind_names);
    else
        error_set(error, "%.*s() takes one argument, not %u; write %.*s(some.path)", SLICE_ARG(name),
                  argument_count, SLICE_ARG(name));
    return NULL;
}

bool aggregate_kind_wants_number(const struct aggregate_kind *kind)
{
    return kind->wants_number;
}
