/* stddev_pop(x): standard deviation of the whole population (n). See variance_state.h. */
#include "window/variance_state.h"

static void stddev_pop_finish(const struct aggregate_finish *finish)
{
    variance_finish_by(finish, 0, true);
}

const struct aggregate_kind stddev_pop_aggregate = {
    .name = "stddev_pop",
    .argument_count = 1,
    .wants_number = true,
    .state_size = sizeof(struct variance_state),
    .add = variance_add,
    .merge = variance_merge,
    .finish = stddev_pop_finish,
    .save = variance_save,
    .load = variance_load,
};
