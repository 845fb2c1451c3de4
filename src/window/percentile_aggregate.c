/* percentile(x, p): the value at the nearest rank. See quantile_state.h. */
#include "window/quantile_state.h"

static void percentile_finish(const struct aggregate_finish *finish)
{
    quantile_finish(finish, finish->parameter);
}

static const struct aggregate_parameter percentile_p = {
    .name = "p",
    .smallest = 0,
    .largest = 100,
    .decimals = QUANTILE_DECIMALS,
    .example = 95,
};

const struct aggregate_kind percentile_aggregate = {
    .name = "percentile",
    .argument_count = 2,
    .parameter = &percentile_p,
    .wants_number = true,
    .state_size = sizeof(struct quantile_state),
    .blocks_size_max = QUANTILE_BLOCKS_SIZE,
    .add = quantile_add,
    .merge = quantile_merge,
    .reset = quantile_reset,
    .finish = percentile_finish,
    .save = quantile_save,
    .load = quantile_load,
};
