/* mean(x) is the sum, which is as good as exact, by the number of values. A running mean (Welford's) would round at every event and would
 * depend on the order of merging. */
#include "window/sum_state.h"

static void mean_finish(const struct aggregate_finish *finish)
{
    for (uint32_t i = 0; i < finish->count; i++) {
        const struct sum_state *state = finish_state(finish, i);
        if (state->count == 0) {
            finish_null(finish, i);
            continue;
        }
        int exponent;
        double mean = sum_state_double(state, &exponent) / (double)state->count;
        finish_double(finish, i, exponent ? ldexp(mean, exponent) : mean);
    }
}

const struct aggregate_kind mean_aggregate = {
    .name = "mean",
    .argument_count = 1,
    .wants_number = true,
    .state_size = sizeof(struct sum_state),
    .add = sum_add,
    .merge = sum_merge,
    .finish = mean_finish,
    .save = sum_save,
    .load = sum_load,
};
