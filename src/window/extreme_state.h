/* What min and max share: the extreme number so far, as the integer or double it was. Integers and doubles are
 * compared exactly, beyond 2^53 too. Of equal numbers the integer stays, so the order of events does not show. */
#pragma once

#include "window/pane_wire.h"
#include "window/state_access.h"

struct extreme_state {
    union value value;
    uint64_t kind; /* VALUE_NULL, VALUE_INT, VALUE_DOUBLE */
};

/* a <=> b for an integer and a double that is not NaN. */
static inline int compare_int_double(int64_t a, double b)
{
    if (b >= 0x1p63)
        return -1;
    if (b < -0x1p63)
        return 1;
    int64_t whole = (int64_t)b;
    if (a != whole)
        return a < whole ? -1 : 1;
    double rest = b - (double)whole;
    return (rest < 0) - (rest > 0);
}

/* <0 when x is smaller; equal numbers of different representation are ordered too: -0 < 0 (int) < 0.0. */
static inline int extreme_compare(uint64_t kind_x, union value x, uint64_t kind_y, union value y)
{
    if (kind_x == VALUE_INT && kind_y == VALUE_INT)
        return (x.i > y.i) - (x.i < y.i);
    if (kind_x == VALUE_INT)
        return compare_int_double(x.i, y.d);
    if (kind_y == VALUE_INT)
        return -compare_int_double(y.i, x.d);
    if (x.d != y.d)
        return x.d < y.d ? -1 : 1;
    return (signbit(y.d) != 0) - (signbit(x.d) != 0);
}

/* Takes the value when there is none yet, when sign * (value <=> state) < 0, or when it is the same number as an integer. */
static inline void extreme_take(struct extreme_state *state, uint64_t kind, union value value, int sign)
{
    if (state->kind != VALUE_NULL) {
        int order = sign * extreme_compare(kind, value, state->kind, state->value);
        if (order > 0 || (order == 0 && kind >= state->kind))
            return;
    }
    state->kind = kind;
    state->value = value;
}

static inline void extreme_merge(const struct aggregate_merge *merge, int sign)
{
    for (uint32_t i = 0; i < merge->count; i++) {
        const struct extreme_state *from = merge_from(merge, i);
        if (from->kind != VALUE_NULL)
            extreme_take(merge_into(merge, i), from->kind, from->value, sign);
    }
}

static inline void extreme_finish(const struct aggregate_finish *finish)
{
    for (uint32_t i = 0; i < finish->count; i++) {
        const struct extreme_state *state = finish_state(finish, i);
        if (state->kind == VALUE_DOUBLE) {
            finish_double(finish, i, state->value.d);
            continue;
        }
        finish->kinds[i] = (uint8_t)state->kind;
        finish->values[i] = state->value;
    }
}

static inline void extreme_save(const char *state, const struct aggregate_save *save)
{
    const struct extreme_state *extreme = (const struct extreme_state *)(const void *)state;
    wire_put_value(save->out, (uint8_t)extreme->kind, extreme->value, "");
}

static inline bool extreme_load(char *state, struct aggregate_load *load)
{
    struct extreme_state *extreme = (struct extreme_state *)(void *)state;
    uint8_t kind;
    const char *text;
    if (!wire_get_value(&load->in, &kind, &extreme->value, &text))
        return false;
    extreme->kind = kind;
    return kind == VALUE_NULL || kind == VALUE_INT || kind == VALUE_DOUBLE;
}
