/* Counters of a DDSketch for numbers of one sign: how many values lie in each bucket of magnitudes.
 *
 *   magnitude:  ... 2^e ┬──┬──┬── 50 buckets of equal width ──┬──┬ 2^(e+1) ┬───┬───┬─ ...
 *   slots:      [ 3 | 0 | 7 | 1 | 0 | 0 | 0 | 2 ]     bucket i is in slot i modulo their number
 *
 * Buckets are cut by the bits of the double, not by a logarithm: the mapping costs three instructions and is the same on every
 * machine. A bucket [a, b) is at most a/50 wide and stands for 2ab/(a+b), so what is read from it is wrong by at most 1/101 of the
 * value. Counters are 32 bits wide until one of them needs 64.
 *
 * Used buckets span at most BUCKET_SPAN_MAX; below that the smallest magnitudes share the lowest bucket. Which ones do follows from
 * the largest value, so the counters depend on the values alone, not on their order or on how they were split.
 *
 * Source: C. Masson, J. Rim, H. Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019;
 * the linear interpolation of the logarithm is one of its mappings. */
#pragma once

#include <math.h>
#include <string.h>

#include "window/window_internal.h"

enum {
    BUCKETS_PER_DOUBLING = 50,
    BUCKET_SPAN_MAX = 4096,                         /* 81 doublings: magnitudes from 1 to 5e24 */
    BUCKET_INDEX_MIN = BUCKETS_PER_DOUBLING,        /* of the smallest normal double */
    BUCKET_INDEX_END = BUCKETS_PER_DOUBLING * 2047, /* behind that of the largest double */
};

/* All zeros: no value. */
struct bucket_range {
    uint32_t block;
    uint32_t low;  /* the first used bucket; it and the last have values */
    uint16_t span; /* from low to the last used bucket */
    uint8_t slots_log2;
    uint8_t is_wide; /* counters of 64 bits */
};

/* Of a normal, positive, finite double. */
static inline uint32_t bucket_index(double magnitude)
{
    uint64_t bits, mantissa_mask = (UINT64_C(1) << 52) - 1;
    memcpy(&bits, &magnitude, sizeof bits);
    return (uint32_t)(bits >> 52) * BUCKETS_PER_DOUBLING +
           (uint32_t)(((bits & mantissa_mask) * BUCKETS_PER_DOUBLING) >> 52);
}

/* What a bucket stands for. */
static inline double bucket_value(uint32_t index)
{
    double a = BUCKETS_PER_DOUBLING + index % BUCKETS_PER_DOUBLING;
    return ldexp(2 * a * (a + 1) / (BUCKETS_PER_DOUBLING * (2 * a + 1)),
                 (int)(index / BUCKETS_PER_DOUBLING) - 1023);
}

void bucket_range_add(struct pane *pane, struct bucket_range *range, uint32_t index, uint64_t count);
/* 0 outside of the used buckets. */
uint64_t bucket_range_count(const struct pane *pane, const struct bucket_range *range, uint32_t index);
void bucket_range_merge(struct pane *pane, struct bucket_range *range, const struct pane *from_pane,
                        const struct bucket_range *from);
/* Gives its block back; empty then. */
void bucket_range_reset(struct pane *pane, struct bucket_range *range);
/* The number of buckets with values, then for each the distance from the one before, and its count. */
void bucket_range_save(const struct pane *pane, const struct bucket_range *range, struct buffer *out);
/* Into an empty range; adds the number of values to *total. False when nothing saves such bytes. */
NODISCARD
bool bucket_range_load(struct pane *pane, struct bucket_range *range, struct slice *in, uint64_t *total);
