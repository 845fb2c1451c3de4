/* The state that sum and mean share: exact in 128 bits while all values are integers; from the first double on a sum
 * with the error of every addition carried along (Neumaier's, with Knuth's error term, which needs no branch). */
#pragma once

#include "window/state_access.h"

enum sum_mode {
    SUM_INT = 0,
    SUM_DOUBLE = 1,
    SUM_SCALED = 2, /* as SUM_DOUBLE, times 2^-SUM_SCALE_BITS: a plain one would have overflowed on the way */
};
enum { SUM_SCALE_BITS = 64, SUM_WIDE = 3 /* saved only: an integer beyond 64 bits */ };

struct sum_state {
    union {
        struct {
            uint64_t low;
            int64_t high;
        };
        struct {
            double sum, compensation;
        };
    };
    uint64_t mode : 2;
    uint64_t count : 62; /* of values */
};

void sum_add(struct aggregate_input *input);
void sum_merge(const struct aggregate_merge *merge);
/* Varint count << 2 | mode; then, if there is a value, the integer as a signed varint, or, with SUM_WIDE for the mode, its 16
 * bytes; or both doubles. */
void sum_save(const char *state, const struct aggregate_save *save);
bool sum_load(char *state, struct aggregate_load *load);
/* The sum as a double, times 2^*exponent. */
double sum_state_double(const struct sum_state *state, int *exponent);
