/* last(x): the latest value by event time. See pick_state.h. */
#include "window/pick_state.h"

static void last_add(struct aggregate_input *input)
{
    pick_add(input, -1);
}

static void last_merge(const struct aggregate_merge *merge)
{
    pick_merge(merge, -1);
}

const struct aggregate_kind last_aggregate = {
    .name = "last",
    .argument_count = 1,
    .state_size = sizeof(struct pick_state),
    .add = last_add,
    .merge = last_merge,
    .reset = pick_reset,
    .finish = pick_finish,
    .save = pick_save,
    .load = pick_load,
};
