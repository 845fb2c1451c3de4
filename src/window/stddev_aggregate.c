/* stddev(x): standard deviation of a sample (n - 1); null for fewer than two values. See variance_state.h. */
#include "window/variance_state.h"

static void stddev_finish(const struct aggregate_finish *finish)
{
    variance_finish_by(finish, 1, true);
}

const struct aggregate_kind stddev_aggregate = {
    .name = "stddev",
    .argument_count = 1,
    .wants_number = true,
    .state_size = sizeof(struct variance_state),
    .add = variance_add,
    .merge = variance_merge,
    .finish = stddev_finish,
    .save = variance_save,
    .load = variance_load,
};
