/* How kernels walk over rows and states. An input that is NaN has no value, like null: it could not be written, and would
 * make the order of additions visible. */
#pragma once

#include <math.h>

#include "window/window_internal.h"

static inline void *input_state(const struct aggregate_input *input, uint32_t index)
{
    return input->entries[index] + input->state_offset;
}

/* Calls on_int(state, int64) and on_double(state, double) for the numbers of a column; what is no number is a type error. */
#define FOR_EACH_NUMBER(input, state_type, on_int, on_double)                         \
    do {                                                                              \
        const uint8_t *kinds_ = (input)->column->kinds;                               \
        const union value *values_ = (input)->column->values;                         \
        const uint32_t *rows_ = (input)->rows;                                        \
        if ((input)->column->kind_mask == value_kind_bit(VALUE_DOUBLE)) {             \
            for (uint32_t i_ = 0; i_ < (input)->count; i_++) {                        \
                double d_ = values_[rows_[i_]].d;                                     \
                if (__builtin_expect(d_ == d_, 1))                                    \
                    on_double((state_type *)input_state((input), i_), d_);            \
            }                                                                         \
        } else if ((input)->column->kind_mask == value_kind_bit(VALUE_INT)) {         \
            for (uint32_t i_ = 0; i_ < (input)->count; i_++)                          \
                on_int((state_type *)input_state((input), i_), values_[rows_[i_]].i); \
        } else {                                                                      \
            for (uint32_t i_ = 0; i_ < (input)->count; i_++) {                        \
                uint8_t kind_ = kinds_[rows_[i_]];                                    \
                union value value_ = values_[rows_[i_]];                              \
                if (kind_ == VALUE_INT)                                               \
                    on_int((state_type *)input_state((input), i_), value_.i);         \
                else if (kind_ == VALUE_DOUBLE && value_.d == value_.d)               \
                    on_double((state_type *)input_state((input), i_), value_.d);      \
                else if (kind_ != VALUE_NULL && kind_ != VALUE_DOUBLE)                \
                    aggregate_type_error((input), i_);                                \
            }                                                                         \
        }                                                                             \
    } while (0)

static inline void *merge_into(const struct aggregate_merge *merge, uint32_t index)
{
    return merge->into[index] + merge->state_offset;
}

static inline const void *merge_from(const struct aggregate_merge *merge, uint32_t index)
{
    return merge->from[index] + merge->state_offset;
}

static inline const void *finish_state(const struct aggregate_finish *finish, uint32_t index)
{
    return finish->entries[index] + finish->state_offset;
}

static inline void finish_null(const struct aggregate_finish *finish, uint32_t index)
{
    finish->kinds[index] = VALUE_NULL;
    finish->values[index].i = 0;
}

static inline void finish_int(const struct aggregate_finish *finish, uint32_t index, int64_t value)
{
    finish->kinds[index] = VALUE_INT;
    finish->values[index].i = value;
}

/* NaN and infinities are null. */
static inline void finish_double(const struct aggregate_finish *finish, uint32_t index, double value)
{
    finish->kinds[index] = isfinite(value) ? VALUE_DOUBLE : VALUE_NULL;
    finish->values[index].d = value;
}
