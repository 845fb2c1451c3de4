/* What median(x) and percentile(x, p) of one column share: its values while they are few, then a sketch of them.
 *
 *   up to QUANTILE_EXACT_MAX values:  the values, as the integers and doubles they were; a percentile is one of them
 *   beyond:                           counters by magnitude, see quantile_buckets.h; the zeros; the infinities; least and greatest
 *
 * Both depend on the values alone, and so does the moment of the change: not on their order, nor on how they were split and merged.
 * A percentile is that of the nearest rank: of n values the one at ceil(p n / 100), counted from the least; at p = 0 the least.
 *
 * Of the sketch a percentile is within 1/101 of the value at that rank, and never outside of the least and greatest value. Exact there,
 * too: the least and the greatest; zero; infinities (shown as null, as everywhere); integers below 64 when all values are integers, since none of them shares
 * its bucket. Magnitudes below the smallest normal double (2e-308) count as zero. When magnitudes of one sign differ by
 * more than 5e24, the smallest share a bucket, and only the others keep their precision. */
#pragma once

#include "window/quantile_buckets.h"
#include "window/state_access.h"

enum { QUANTILE_EXACT_MAX = 64 };

struct quantile_state {
    uint64_t count; /* of values */
    union {
        uint64_t integers;   /* values: bit i is set when value i is an integer */
        uint64_t zero_count; /* sketch */
    };
    double least, greatest; /* sketch */
    struct bucket_range positive, negative;
    uint32_t block;     /* values: of them; sketch: of struct infinities, or 0 */
    uint8_t size_class; /* of the block with values */
    uint8_t is_sketch, has_fraction, unused;
};

/* All but `finish` of the kinds that share the state. */
enum { QUANTILE_BLOCKS_SIZE = 2 * BUCKET_SPAN_MAX * 8 + PANE_BLOCK_UNIT_SIZE };
void quantile_add(struct aggregate_input *input);
void quantile_merge(const struct aggregate_merge *merge);
void quantile_reset(struct pane *pane, char *state);
void quantile_save(const char *state, const struct aggregate_save *save);
bool quantile_load(char *state, struct aggregate_load *load);
/* p in percent, with at most QUANTILE_DECIMALS decimals. */
void quantile_finish(const struct aggregate_finish *finish, double p);
enum { QUANTILE_DECIMALS = 6 };
