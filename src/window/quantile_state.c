/* Values and sketches for percentiles. See quantile_state.h. */
#include "window/quantile_state.h"

#include <float.h>

#include "window/extreme_state.h"

enum { FIRST_VALUES_LOG2 = 2 }; /* values in a block of the smallest class */
_Static_assert(PANE_BLOCK_UNIT_SIZE == sizeof(union value) << FIRST_VALUES_LOG2, "a unit is four values");
_Static_assert(QUANTILE_EXACT_MAX == 64, "a bit of quantile_state.integers for each value");

struct infinities {
    uint64_t negative, positive;
};

static inline union value *values_of(const struct pane *pane, const struct quantile_state *state)
{
    return pane_blocks_at(&pane->blocks, state->block);
}

static inline bool is_integer(const struct quantile_state *state, uint32_t index)
{
    return state->integers >> index & 1;
}

/* --- the sketch --------------------------------------------------------------------------------------------------------- */

static void note_bounds(struct quantile_state *state, double least, double greatest)
{
    if (state->count == 0 || least < state->least)
        state->least = least;
    if (state->count == 0 || greatest > state->greatest)
        state->greatest = greatest;
}

static void add_infinities(struct pane *pane, struct quantile_state *state, const struct infinities *more)
{
    if (!more->negative && !more->positive)
        return;
    if (!state->block)
        state->block = pane_blocks_take(&pane->blocks, 0);
    struct infinities *infinities = pane_blocks_at(&pane->blocks, state->block);
    infinities->negative += more->negative;
    infinities->positive += more->positive;
}

static struct infinities infinities_of(const struct pane *pane, const struct quantile_state *state)
{
    if (!state->block)
        return (struct infinities){0};
    return *(const struct infinities *)pane_blocks_at(&pane->blocks, state->block);
}

static inline bool is_whole(double number)
{
    return !(fabs(number) < 0x1p52) || (double)(int64_t)number == number;
}

static void add_to_sketch(struct pane *pane, struct quantile_state *state, double number)
{
    number += 0.0; /* no -0: least and greatest would show which zero came first */
    note_bounds(state, number, number);
    state->count++;
    state->has_fraction = state->has_fraction || !is_whole(number);
    double magnitude = fabs(number);
    if (magnitude < DBL_MIN)
        state->zero_count++;
    else if (magnitude > DBL_MAX)
        add_infinities(pane, state, &(struct infinities){number<0, number> 0});
    else
        bucket_range_add(pane, number < 0 ? &state->negative : &state->positive, bucket_index(magnitude), 1);
}

static inline double number_of(bool is_int, union value value)
{
    return is_int ? (double)value.i : value.d;
}

static void become_sketch(struct pane *pane, struct quantile_state *state)
{
    struct quantile_state values = *state;
    *state = (struct quantile_state){.is_sketch = true};
    for (uint32_t i = 0; i < values.count; i++)
        add_to_sketch(pane, state, number_of(is_integer(&values, i), values_of(pane, &values)[i]));
    pane_blocks_give(&pane->blocks, values.block, values.size_class);
}

static void merge_sketch(struct pane *pane, struct quantile_state *into, const struct pane *from_pane,
                         const struct quantile_state *from)
{
    if (!into->is_sketch)
        become_sketch(pane, into);
    note_bounds(into, from->least, from->greatest);
    into->count += from->count;
    into->zero_count += from->zero_count;
    into->has_fraction = into->has_fraction || from->has_fraction;
    const struct infinities infinities = infinities_of(from_pane, from);
    add_infinities(pane, into, &infinities);
    bucket_range_merge(pane, &into->negative, from_pane, &from->negative);
    bucket_range_merge(pane, &into->positive, from_pane, &from->positive);
}

/* --- adding ------------------------------------------------------------------------------------------------------------- */

static void append_value(struct pane *pane, struct quantile_state *state, bool is_int, union value value)
{
    uint32_t count = (uint32_t)state->count;
    if (!state->block) {
        state->block = pane_blocks_take(&pane->blocks, 0);
    } else if (count == UINT32_C(1) << (FIRST_VALUES_LOG2 + state->size_class)) {
        state->block = pane_blocks_grow(&pane->blocks, state->block, state->size_class);
        state->size_class++;
    }
    values_of(pane, state)[count] = value;
    state->integers |= (uint64_t)is_int << count;
    state->count++;
}

static void add_value(struct pane *pane, struct quantile_state *state, bool is_int, union value value)
{
    if (!state->is_sketch && state->count < QUANTILE_EXACT_MAX) {
        append_value(pane, state, is_int, value);
        return;
    }
    if (!state->is_sketch)
        become_sketch(pane, state);
    add_to_sketch(pane, state, number_of(is_int, value));
}

void quantile_add(struct aggregate_input *input)
{
#define ADD_INT(state, x)    add_value(input->pane, state, true, (union value){.i = (x)})
#define ADD_DOUBLE(state, x) add_value(input->pane, state, false, (union value){.d = (x)})
    FOR_EACH_NUMBER(input, struct quantile_state, ADD_INT, ADD_DOUBLE);
#undef ADD_INT
#undef ADD_DOUBLE
}

void quantile_merge(const struct aggregate_merge *merge)
{
    for (uint32_t i = 0; i < merge->count; i++) {
        const struct quantile_state *from = merge_from(merge, i);
        struct quantile_state *into = merge_into(merge, i);
        if (from->is_sketch) {
            merge_sketch(merge->into_pane, into, merge->from_pane, from);
            continue;
        }
        for (uint32_t v = 0; v < from->count; v++)
            add_value(merge->into_pane, into, is_integer(from, v), values_of(merge->from_pane, from)[v]);
    }
}

void quantile_reset(struct pane *pane, char *state)
{
    struct quantile_state *quantile = (struct quantile_state *)(void *)state;
    bucket_range_reset(pane, &quantile->positive);
    bucket_range_reset(pane, &quantile->negative);
    pane_blocks_give(&pane->blocks, quantile->block, quantile->size_class);
    *quantile = (struct quantile_state){0};
}

/* --- percentiles -------------------------------------------------------------------------------------------------------- */

/* ceil(p count / 100), at least 1, in integers: 99.9 % of 1,000 is 999, not 1,000. */
static uint64_t nearest_rank(uint64_t count, double p)
{
    const uint64_t whole = 100 * UINT64_C(1000000), part = (uint64_t)llround(p * 1e6);
    uint64_t rank = count / whole * part + (count % whole * part + whole - 1) / whole;
    return rank ? rank : 1;
}

/* Sorts the few values; those that are equal as numbers so that the order does not depend on how they came. */
static void finish_value(const struct aggregate_finish *finish, uint32_t index,
                         const struct quantile_state *state, uint64_t rank)
{
    union value values[QUANTILE_EXACT_MAX];
    uint8_t kinds[QUANTILE_EXACT_MAX];
    for (uint32_t i = 0; i < state->count; i++) {
        union value value = values_of(finish->pane, state)[i];
        uint8_t kind = is_integer(state, i) ? VALUE_INT : VALUE_DOUBLE;
        uint32_t place = i;
        for (; place > 0; place--) {
            int order = extreme_compare(kinds[place - 1], values[place - 1], kind, value);
            if (order < 0 || (order == 0 && kinds[place - 1] <= kind))
                break;
            values[place] = values[place - 1];
            kinds[place] = kinds[place - 1];
        }
        values[place] = value;
        kinds[place] = kind;
    }
    if (kinds[rank - 1] == VALUE_INT)
        finish_int(finish, index, values[rank - 1].i);
    else
        finish_double(finish, index, values[rank - 1].d);
}

/* Integers below 2^6 have buckets of their own, narrower than 1. */
static double read_bucket(const struct quantile_state *state, uint32_t bucket)
{
    double number = bucket_value(bucket);
    return state->has_fraction || number >= 64 ? number : nearbyint(number);
}

static double sketch_value(const struct pane *pane, const struct quantile_state *state, uint64_t rank)
{
    const struct infinities infinities = infinities_of(pane, state);
    const struct bucket_range *negative = &state->negative, *positive = &state->positive;
    if (rank == 1)
        return state->least;
    if (rank == state->count)
        return state->greatest;
    if (rank <= infinities.negative)
        return -(double)INFINITY;
    rank -= infinities.negative;
    for (uint32_t i = negative->span; i > 0; i--) {
        uint64_t count = bucket_range_count(pane, negative, negative->low + i - 1);
        if (rank <= count)
            return -read_bucket(state, negative->low + i - 1);
        rank -= count;
    }
    if (rank <= state->zero_count)
        return 0;
    rank -= state->zero_count;
    for (uint32_t i = 0; i < positive->span; i++) {
        uint64_t count = bucket_range_count(pane, positive, positive->low + i);
        if (rank <= count)
            return read_bucket(state, positive->low + i);
        rank -= count;
    }
    return (double)INFINITY;
}

void quantile_finish(const struct aggregate_finish *finish, double p)
{
    for (uint32_t i = 0; i < finish->count; i++) {
        const struct quantile_state *state = finish_state(finish, i);
        if (!state->count) {
            finish_null(finish, i);
            continue;
        }
        uint64_t rank = nearest_rank(state->count, p);
        if (!state->is_sketch) {
            finish_value(finish, i, state, rank);
            continue;
        }
        double number = sketch_value(finish->pane, state, rank);
        finish_double(finish, i, fmin(fmax(number, state->least), state->greatest));
    }
}

/* --- bytes -------------------------------------------------------------------------------------------------------------- */

/* count and 0 │ values      or      count and 1 │ has_fraction │ least │ greatest │ zeros │ -inf │ +inf │ negative │ positive */
void quantile_save(const char *bytes, const struct aggregate_save *save)
{
    const struct quantile_state *state = (const struct quantile_state *)(const void *)bytes;
    char *at = wire_room(save->out, 5 * VARINT_ROOM + 2 * sizeof(double));
    at = wire_put_varint(at, state->count << 1 | state->is_sketch);
    if (!state->is_sketch) {
        wire_end(save->out, at);
        for (uint32_t i = 0; i < state->count; i++)
            wire_put_value(save->out, is_integer(state, i) ? VALUE_INT : VALUE_DOUBLE,
                           values_of(save->pane, state)[i], "");
        return;
    }
    const struct infinities infinities = infinities_of(save->pane, state);
    at = wire_put_byte(at, state->has_fraction);
    at = wire_put_double(at, state->least);
    at = wire_put_double(at, state->greatest);
    at = wire_put_varint(at, state->zero_count);
    at = wire_put_varint(at, infinities.negative);
    wire_end(save->out, wire_put_varint(at, infinities.positive));
    bucket_range_save(save->pane, &state->negative, save->out);
    bucket_range_save(save->pane, &state->positive, save->out);
}

static bool load_values(struct quantile_state *state, struct aggregate_load *load, uint64_t count)
{
    if (count > QUANTILE_EXACT_MAX)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t kind;
        union value value;
        const char *text;
        if (!wire_get_value(&load->in, &kind, &value, &text) || (kind != VALUE_INT && kind != VALUE_DOUBLE))
            return false;
        append_value(load->pane, state, kind == VALUE_INT, value);
    }
    return true;
}

bool quantile_load(char *bytes, struct aggregate_load *load)
{
    struct quantile_state *state = (struct quantile_state *)(void *)bytes;
    struct infinities infinities;
    uint64_t header, total = 0;
    if (!wire_get_varint(&load->in, &header))
        return false;
    if (!(header & 1))
        return load_values(state, load, header >> 1);
    state->is_sketch = true;
    state->count = header >> 1;
    if (!wire_get_byte(&load->in, &state->has_fraction) || state->has_fraction > 1 ||
        !wire_get_double(&load->in, &state->least) || !wire_get_double(&load->in, &state->greatest) ||
        !(state->least <= state->greatest) || !wire_get_varint(&load->in, &state->zero_count) ||
        !wire_get_varint(&load->in, &infinities.negative) ||
        !wire_get_varint(&load->in, &infinities.positive) || state->zero_count > INT64_MAX / 4 ||
        infinities.negative > INT64_MAX / 4 || infinities.positive > INT64_MAX / 4)
        return false;
    add_infinities(load->pane, state, &infinities);
    total = state->zero_count + infinities.negative + infinities.positive;
    return bucket_range_load(load->pane, &state->negative, &load->in, &total) &&
           bucket_range_load(load->pane, &state->positive, &load->in, &total) && total == state->count &&
           total > QUANTILE_EXACT_MAX;
}
