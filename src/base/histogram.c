/* Log-linear buckets: the top bit of the value chooses the power of two, the next five bits the bucket in it.
 *
 *   value  0..31   → bucket = value
 *   value  2^k + r → bucket = (k - 4) * 32 + (value >> (k - 5)) - 32
 */
#include "base/histogram.h"

#include <limits.h>
#include <math.h>
#include <stddef.h>

enum { SUB_BUCKETS = 1 << HISTOGRAM_SUB_BUCKET_BITS };

#define LOAD(place)         atomic_load_explicit(&(place), memory_order_relaxed)
#define STORE(place, value) atomic_store_explicit(&(place), value, memory_order_relaxed)

void histogram_init(struct histogram *histogram)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        STORE(histogram->buckets[i], 0);
    STORE(histogram->count, 0);
    STORE(histogram->sum_us, 0);
    STORE(histogram->min_us, INT64_MAX);
    STORE(histogram->max_us, 0);
}

static size_t bucket_of(int64_t value_us)
{
    uint64_t value = value_us < 0 ? 0 : (uint64_t)value_us;
    if (value < SUB_BUCKETS)
        return (size_t)value;
    unsigned top = 63 - (unsigned)__builtin_clzll(value);
    if (top >= HISTOGRAM_MAX_BITS)
        return HISTOGRAM_BUCKET_COUNT - 1;
    size_t group = top - HISTOGRAM_SUB_BUCKET_BITS + 1;
    return (group << HISTOGRAM_SUB_BUCKET_BITS) + (size_t)(value >> (top - HISTOGRAM_SUB_BUCKET_BITS)) -
           SUB_BUCKETS;
}

/* Largest value that falls into the bucket. */
static int64_t bucket_limit(size_t bucket)
{
    if (bucket < SUB_BUCKETS)
        return (int64_t)bucket;
    unsigned shift = (unsigned)(bucket >> HISTOGRAM_SUB_BUCKET_BITS) - 1;
    uint64_t low = (uint64_t)(SUB_BUCKETS + (bucket & (SUB_BUCKETS - 1))) << shift;
    return (int64_t)(low + ((uint64_t)1 << shift) - 1);
}

void histogram_add(struct histogram *histogram, int64_t value_us, uint64_t count)
{
    if (count == 0)
        return;
    if (value_us < 0)
        value_us = 0;
    size_t bucket = bucket_of(value_us);
    STORE(histogram->buckets[bucket], LOAD(histogram->buckets[bucket]) + count);
    STORE(histogram->count, LOAD(histogram->count) + count);
    STORE(histogram->sum_us, LOAD(histogram->sum_us) + value_us * (int64_t)count);
    if (value_us < LOAD(histogram->min_us))
        STORE(histogram->min_us, value_us);
    if (value_us > LOAD(histogram->max_us))
        STORE(histogram->max_us, value_us);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        uint64_t count = LOAD(from->buckets[i]);
        if (count)
            STORE(into->buckets[i], LOAD(into->buckets[i]) + count);
    }
    STORE(into->count, LOAD(into->count) + LOAD(from->count));
    STORE(into->sum_us, LOAD(into->sum_us) + LOAD(from->sum_us));
    if (LOAD(from->min_us) < LOAD(into->min_us))
        STORE(into->min_us, LOAD(from->min_us));
    if (LOAD(from->max_us) > LOAD(into->max_us))
        STORE(into->max_us, LOAD(from->max_us));
}

/* Smallest value that falls into the bucket. */
static int64_t bucket_start(size_t bucket)
{
    return bucket ? bucket_limit(bucket - 1) + 1 : 0;
}

void histogram_difference(struct histogram *out, const struct histogram *now, const struct histogram *before)
{
    histogram_init(out);
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        uint64_t count = LOAD(now->buckets[i]), old = before ? LOAD(before->buckets[i]) : 0;
        if (count <= old)
            continue;
        STORE(out->buckets[i], count - old);
        STORE(out->count, LOAD(out->count) + count - old);
        if (LOAD(out->min_us) == INT64_MAX)
            STORE(out->min_us, bucket_start(i));
        STORE(out->max_us, bucket_limit(i));
    }
    int64_t sum_us = LOAD(now->sum_us) - (before ? LOAD(before->sum_us) : 0);
    STORE(out->sum_us, sum_us > 0 ? sum_us : 0);
    if (LOAD(out->max_us) > LOAD(now->max_us))
        STORE(out->max_us, LOAD(now->max_us));
    if (LOAD(out->count) && LOAD(out->min_us) < LOAD(now->min_us))
        STORE(out->min_us, LOAD(now->min_us));
}

int64_t histogram_percentile(const struct histogram *histogram, double percentile)
{
    uint64_t count = LOAD(histogram->count);
    if (!count)
        return 0;
    uint64_t rank = (uint64_t)ceil(percentile / 100.0 * (double)count);
    if (rank < 1)
        rank = 1;
    uint64_t seen = 0;
    int64_t max_us = LOAD(histogram->max_us);
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        seen += LOAD(histogram->buckets[i]);
        if (seen >= rank)
            return bucket_limit(i) < max_us ? bucket_limit(i) : max_us;
    }
    return max_us;
}

uint64_t histogram_count_at_most(const struct histogram *histogram, int64_t limit_us)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT && bucket_limit(i) <= limit_us; i++) {
        seen += LOAD(histogram->buckets[i]);
    }
    return seen;
}

struct histogram_summary histogram_summarize(const struct histogram *histogram)
{
    struct histogram_summary summary = {.count = LOAD(histogram->count)};
    if (!summary.count)
        return summary;
    summary.mean_us = (double)LOAD(histogram->sum_us) / (double)summary.count;
    double squares = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        uint64_t count = LOAD(histogram->buckets[i]);
        double distance = (double)bucket_limit(i) - summary.mean_us;
        squares += (double)count * distance * distance;
    }
    summary.stddev_us = sqrt(squares / (double)summary.count);
    summary.min_us = LOAD(histogram->min_us);
    summary.max_us = LOAD(histogram->max_us);
    summary.p50_us = histogram_percentile(histogram, 50);
    summary.p95_us = histogram_percentile(histogram, 95);
    summary.p99_us = histogram_percentile(histogram, 99);
    summary.p999_us = histogram_percentile(histogram, 99.9);
    return summary;
}
