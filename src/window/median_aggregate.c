/* median(x): percentile(x, 50). See quantile_state.h. */
#include "window/quantile_state.h"

static void median_finish(const struct aggregate_finish *finish)
{
    quantile_finish(finish, 50);
}

const struct aggregate_kind median_aggregate = {
    .name = "median",
    .argument_count = 1,
    .wants_number = true,
    .state_size = sizeof(struct quantile_state),
    .blocks_size_max = QUANTILE_BLOCKS_SIZE,
    .add = quantile_add,
    .merge = quantile_merge,
    .reset = quantile_reset,
    .finish = median_finish,
    .save = quantile_save,
    .load = quantile_load,
};
