/* min(x): the smallest number. See extreme_state.h. */
#include "window/extreme_state.h"

static inline void add_int(struct extreme_state *state, int64_t value)
{
    if (state->kind == VALUE_INT && !(value < state->value.i))
        return;
    extreme_take(state, VALUE_INT, (union value){.i = value}, 1);
}

static inline void add_double(struct extreme_state *state, double value)
{
    /* A choice without a branch, which would be mispredicted often. Zeros go the long way: -0 and 0 are told apart. */
    if (__builtin_expect(state->kind == VALUE_DOUBLE && value != 0, 1)) {
        state->value.d = value < state->value.d ? value : state->value.d;
        return;
    }
    extreme_take(state, VALUE_DOUBLE, (union value){.d = value}, 1);
}

static void min_add(struct aggregate_input *input)
{
    FOR_EACH_NUMBER(input, struct extreme_state, add_int, add_double);
}

static void min_merge(const struct aggregate_merge *merge)
{
    extreme_merge(merge, 1);
}

const struct aggregate_kind min_aggregate = {
    .name = "min",
    .argument_count = 1,
    .wants_number = true,
    .state_size = sizeof(struct extreme_state),
    .add = min_add,
    .merge = min_merge,
    .finish = extreme_finish,
    .save = extreme_save,
    .load = extreme_load,
};
