/* A latency histogram in the HDR manner: buckets of constant relative width (32 per power of two, so an answer is at most
 * 1/32 = 3.2 % high), from 1 µs to 2^36 µs (19 h). 8.9 KiB, no allocation. One writer; readers on other threads
 * see each bucket whole (relaxed atomics), which is enough for statistics. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum {
    HISTOGRAM_SUB_BUCKET_BITS = 5,
    HISTOGRAM_MAX_BITS = 36,
    HISTOGRAM_BUCKET_COUNT = (HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BUCKET_BITS + 1) << HISTOGRAM_SUB_BUCKET_BITS
};

struct histogram {
    _Atomic uint64_t buckets[HISTOGRAM_BUCKET_COUNT];
    _Atomic uint64_t count;
    _Atomic int64_t sum_us;
    _Atomic int64_t min_us; /* INT64_MAX while empty */
    _Atomic int64_t max_us;
};

struct histogram_summary {
    uint64_t count;
    double mean_us, stddev_us; /* stddev from the buckets' middles */
    int64_t min_us, max_us, p50_us, p95_us, p99_us, p999_us;
};

void histogram_init(struct histogram *histogram);
/* `count` values of the same size; negative ones count as 0. The one writer. */
void histogram_add(struct histogram *histogram, int64_t value_us, uint64_t count);
/* Adds all of `from`. The one writer of `into`. */
void histogram_merge(struct histogram *into, const struct histogram *from);
/* What was added to `now` since it was copied to `before` (NULL = ever). Smallest and largest come from the buckets. `out` is
 * overwritten; its writer is the caller. */
void histogram_difference(struct histogram *out, const struct histogram *now, const struct histogram *before);
/* Nearest rank, upper bound of the bucket, never above max. 0 while empty. Any thread. */
int64_t histogram_percentile(const struct histogram *histogram, double percentile);
/* How many values are <= limit_us, to the width of a bucket: for Prometheus buckets. Any thread. */
uint64_t histogram_count_at_most(const struct histogram *histogram, int64_t limit_us);
struct histogram_summary histogram_summarize(const struct histogram *histogram);
