/* variance(x): of a sample (n - 1). See variance_state.h. */
#include "window/pane_wire.h"
#include "window/variance_state.h"

/* (*sum, *rest) += value, with the rounding error of the addition kept in rest. */
static inline void add_to(double *sum, double *rest, double value)
{
    double total = *sum + value, part = total - *sum;
    double error = (*sum - (total - part)) + (value - part) + *rest;
    *sum = total + error;
    *rest = error - (*sum - total);
}

static inline void add_double(struct variance_state *state, double value)
{
    double before = (value - state->mean) - state->mean_rest;
    state->count++;
    add_to(&state->mean, &state->mean_rest, before / (double)state->count);
    double after = (value - state->mean) - state->mean_rest;
    add_to(&state->squares, &state->squares_rest, before * after);
}

static inline void add_int(struct variance_state *state, int64_t value)
{
    add_double(state, (double)value);
}

void variance_add(struct aggregate_input *input)
{
    FOR_EACH_NUMBER(input, struct variance_state, add_int, add_double);
}

static void merge_state(struct variance_state *into, const struct variance_state *from)
{
    if (!from->count)
        return;
    if (!into->count) {
        *into = *from;
        return;
    }
    double n = (double)into->count, m = (double)from->count, total = n + m;
    double delta = (from->mean - into->mean) + (from->mean_rest - into->mean_rest);
    add_to(&into->mean, &into->mean_rest, delta * (m / total));
    add_to(&into->squares, &into->squares_rest, from->squares);
    add_to(&into->squares, &into->squares_rest, from->squares_rest);
    add_to(&into->squares, &into->squares_rest, delta * delta * (n / total) * m);
    into->count += from->count;
}

void variance_merge(const struct aggregate_merge *merge)
{
    for (uint32_t i = 0; i < merge->count; i++)
        merge_state(merge_into(merge, i), merge_from(merge, i));
}

void variance_finish_by(const struct aggregate_finish *finish, uint64_t freedom, bool is_root)
{
    for (uint32_t i = 0; i < finish->count; i++) {
        const struct variance_state *state = finish_state(finish, i);
        if (state->count <= freedom) {
            finish_null(finish, i);
            continue;
        }
        double squares = state->squares + state->squares_rest;
        double variance = (squares > 0 ? squares : squares * 0) / (double)(state->count - freedom);
        finish_double(finish, i, is_root ? sqrt(variance) : variance);
    }
}

void variance_save(const char *state, const struct aggregate_save *save)
{
    const struct variance_state *variance = (const struct variance_state *)(const void *)state;
    char *at = wire_room(save->out, VARINT_ROOM + 4 * sizeof(double));
    at = wire_put_varint(at, variance->count);
    if (variance->count) {
        at = wire_put_double(at, variance->mean);
        at = wire_put_double(at, variance->mean_rest);
        at = wire_put_double(at, variance->squares);
        at = wire_put_double(at, variance->squares_rest);
    }
    wire_end(save->out, at);
}

bool variance_load(char *state, struct aggregate_load *load)
{
    struct variance_state *variance = (struct variance_state *)(void *)state;
    if (!wire_get_varint(&load->in, &variance->count))
        return false;
    return !variance->count ||
           (wire_get_double(&load->in, &variance->mean) && wire_get_double(&load->in, &variance->mean_rest) &&
            wire_get_double(&load->in, &variance->squares) &&
            wire_get_double(&load->in, &variance->squares_rest));
}

static void variance_finish(const struct aggregate_finish *finish)
{
    variance_finish_by(finish, 1, false);
}

const struct aggregate_kind variance_aggregate = {
    .name = "variance",
    .argument_count = 1,
    .wants_number = true,
    .state_size = sizeof(struct variance_state),
    .add = variance_add,
    .merge = variance_merge,
    .finish = variance_finish,
    .save = variance_save,
    .load = variance_load,
};
