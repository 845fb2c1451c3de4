/* sum(x). See sum_state.h. */
#include "window/pane_wire.h"
#include "window/sum_state.h"

static inline void add_128(struct sum_state *state, uint64_t low, int64_t high)
{
    bool carry = __builtin_add_overflow(state->low, low, &state->low);
    state->high = (int64_t)((uint64_t)state->high + (uint64_t)high + carry);
}

/* Nearest double of high * 2^64 + low and what is left over: together exact to 106 bits. */
static void to_double(struct sum_state *state)
{
    int64_t high = state->high;
    uint64_t low = state->low;
    /* (double)high may round up to 2^63, which does not fit back; sums of int64 values stay far below, damaged ones need not. */
    double upper = (double)high;
    double a = ldexp(upper, 64), a_error = upper < 0x1p63 ? ldexp((double)(high - (int64_t)upper), 64) : 0;
    double b = (double)low, b_error = b < 0x1p64 ? (double)(int64_t)(low - (uint64_t)b) : -(double)(0 - low);
    double sum = a + b, part = sum - a;
    state->compensation = (a - (sum - part)) + (b - part) + a_error + b_error;
    state->sum = sum;
    state->mode = SUM_DOUBLE;
}

static void to_scaled(struct sum_state *state)
{
    state->sum = ldexp(state->sum, -SUM_SCALE_BITS);
    state->compensation = ldexp(state->compensation, -SUM_SCALE_BITS);
    state->mode = SUM_SCALED;
}

/* sum += value with its rounding error into the compensation. False when it would overflow; then nothing has changed. */
static inline bool add_compensated(struct sum_state *state, double value)
{
    double sum = state->sum + value;
    if (__builtin_expect(!(fabs(sum) <= 0x1p1022), 0) && state->mode != SUM_SCALED)
        return false;
    double part = sum - state->sum;
    state->compensation += (state->sum - (sum - part)) + (value - part);
    state->sum = sum;
    return true;
}

static __attribute__((noinline)) void add_slowly(struct sum_state *state, double value)
{
    if (state->count == 1 && fabs(value) <= 0x1p1022) {
        state->sum = value;
        state->compensation = 0;
        state->mode = SUM_DOUBLE;
        return;
    }
    if (state->mode == SUM_INT)
        to_double(state);
    if (state->mode == SUM_DOUBLE && add_compensated(state, value))
        return;
    if (state->mode == SUM_DOUBLE)
        to_scaled(state);
    (void)add_compensated(state, ldexp(value, -SUM_SCALE_BITS));
}

static inline void add_double(struct sum_state *state, double value)
{
    state->count++;
    if (__builtin_expect(state->mode != SUM_DOUBLE || !add_compensated(state, value), 0))
        add_slowly(state, value);
}

static __attribute__((noinline)) void add_int_to_double(struct sum_state *state, int64_t value)
{
    struct sum_state wide = {.low = (uint64_t)value, .high = value >> 63};
    to_double(&wide);
    add_slowly(state, wide.sum);
    add_slowly(state, wide.compensation);
}

static inline void add_int(struct sum_state *state, int64_t value)
{
    state->count++;
    if (__builtin_expect(state->mode == SUM_INT, 1))
        add_128(state, (uint64_t)value, value >> 63);
    else
        add_int_to_double(state, value);
}

void sum_add(struct aggregate_input *input)
{
    FOR_EACH_NUMBER(input, struct sum_state, add_int, add_double);
}

static void merge_state(struct sum_state *into, const struct sum_state *from)
{
    if (!from->count)
        return;
    if (!into->count) {
        *into = *from;
        return;
    }
    into->count += from->count;
    if (into->mode == SUM_INT && from->mode == SUM_INT) {
        add_128(into, from->low, from->high);
        return;
    }
    struct sum_state other = *from;
    if (other.mode == SUM_INT)
        to_double(&other);
    if (into->mode == SUM_INT)
        to_double(into);
    if (other.mode == SUM_SCALED && into->mode != SUM_SCALED)
        to_scaled(into);
    if (into->mode == SUM_SCALED && other.mode != SUM_SCALED)
        to_scaled(&other);
    if (!add_compensated(into, other.sum)) {
        to_scaled(into);
        to_scaled(&other);
        (void)add_compensated(into, other.sum);
    }
    into->compensation += other.compensation;
}

void sum_merge(const struct aggregate_merge *merge)
{
    for (uint32_t i = 0; i < merge->count; i++)
        merge_state(merge_into(merge, i), merge_from(merge, i));
}

double sum_state_double(const struct sum_state *state, int *exponent)
{
    struct sum_state copy = *state;
    if (copy.mode == SUM_INT)
        to_double(&copy);
    *exponent = copy.mode == SUM_SCALED ? SUM_SCALE_BITS : 0;
    double total = copy.sum + copy.compensation;
    /* An infinity among the values makes its compensation NaN. */
    return isnan(total) ? copy.sum : total;
}

static void append_digits(struct buffer *out, struct sum_state state)
{
    char digits[40];
    size_t start = sizeof digits;
    bool is_negative = state.high < 0;
    uint64_t low = state.low, high = (uint64_t)state.high;
    if (is_negative) {
        low = 0 - low;
        high = ~high + (low == 0);
    }
    /* Division of 128 bits by 10, 32 bits at a time. */
    do {
        uint64_t rest = high % 10;
        high /= 10;
        uint64_t upper = rest << 32 | low >> 32;
        uint64_t lower = (upper % 10) << 32 | (low & UINT32_MAX);
        low = (upper / 10) << 32 | lower / 10;
        digits[--start] = (char)('0' + lower % 10);
    } while (high || low);
    if (is_negative)
        digits[--start] = '-';
    buffer_append(out, digits + start, sizeof digits - start);
}

static void finish_exact(const struct aggregate_finish *finish, uint32_t index, const struct sum_state *state)
{
    if (state->high == (int64_t)state->low >> 63) {
        finish_int(finish, index, (int64_t)state->low);
        return;
    }
    size_t offset = finish->bytes->size;
    append_digits(finish->bytes, *state);
    finish->kinds[index] = VALUE_JSON;
    finish->values[index].s =
        (struct text_reference){(uint32_t)offset, (uint32_t)(finish->bytes->size - offset)};
}

static void sum_finish(const struct aggregate_finish *finish)
{
    for (uint32_t i = 0; i < finish->count; i++) {
        const struct sum_state *state = finish_state(finish, i);
        if (state->count == 0) {
            finish_null(finish, i);
        } else if (state->mode == SUM_INT) {
            finish_exact(finish, i, state);
        } else {
            int exponent;
            double sum = sum_state_double(state, &exponent);
            finish_double(finish, i, exponent ? ldexp(sum, exponent) : sum);
        }
    }
}

void sum_save(const char *state, const struct aggregate_save *save)
{
    const struct sum_state *sum = (const struct sum_state *)(const void *)state;
    bool is_wide = sum->mode == SUM_INT && sum->high != (int64_t)sum->low >> 63;
    uint64_t mode = is_wide ? SUM_WIDE : sum->mode;
    char *at = wire_room(save->out, VARINT_ROOM + 2 * sizeof(uint64_t));
    if (!sum->count) {
        at = wire_put_byte(at, 0);
    } else if (mode == SUM_INT) {
        at = wire_put_varint(at, (uint64_t)sum->count << 2 | mode);
        at = wire_put_signed(at, (int64_t)sum->low);
    } else {
        /* Both halves of the union are 16 bytes: the doubles, or the integer, low first. */
        at = wire_put_varint(at, (uint64_t)sum->count << 2 | mode);
        at = wire_put_fixed64(at, sum->low);
        at = wire_put_fixed64(at, (uint64_t)sum->high);
    }
    wire_end(save->out, at);
}

bool sum_load(char *state, struct aggregate_load *load)
{
    struct sum_state *sum = (struct sum_state *)(void *)state;
    uint64_t header, count, high;
    if (!wire_get_varint(&load->in, &header))
        return false;
    if (!header)
        return true;
    count = header >> 2;
    if (!count)
        return false;
    sum->count = count & ((UINT64_C(1) << 62) - 1);
    if ((header & 3) == SUM_INT) {
        int64_t value;
        if (!wire_get_signed(&load->in, &value))
            return false;
        sum->low = (uint64_t)value;
        sum->high = value >> 63;
        return true;
    }
    if (!wire_get_fixed64(&load->in, &sum->low) || !wire_get_fixed64(&load->in, &high))
        return false;
    sum->high = (int64_t)high;
    sum->mode = (header & 3) == SUM_WIDE ? SUM_INT : header & 3;
    return true;
}

const struct aggregate_kind sum_aggregate = {
    .name = "sum",
    .argument_count = 1,
    .wants_number = true,
    .state_size = sizeof(struct sum_state),
    .add = sum_add,
    .merge = sum_merge,
    .finish = sum_finish,
    .save = sum_save,
    .load = sum_load,
};
