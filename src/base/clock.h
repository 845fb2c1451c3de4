/* Time is handed in, never fetched in the middle of things: a component takes a `struct clock *` and asks it once
 * per batch or loop turn. Tests and replay use a clock that they move themselves. */
#pragma once

#include <stdint.h>

enum { MICROSECONDS_PER_SECOND = 1000000, MICROSECONDS_PER_MILLISECOND = 1000 };

struct clock {
    int64_t (*wall_us)(const struct clock *);      /* microseconds since 1970-01-01 UTC */
    int64_t (*monotonic_us)(const struct clock *); /* never goes back; the origin means nothing */
    int64_t fixed_us;                              /* what a manual clock returns for both */
};

/* The machine's clock. Any thread. */
extern const struct clock clock_system;

/* A clock that stands still until its owner sets `fixed_us`. */
struct clock clock_manual(int64_t now_us);

static inline int64_t clock_wall_us(const struct clock *clock)
{
    return clock->wall_us(clock);
}

static inline int64_t clock_monotonic_us(const struct clock *clock)
{
    return clock->monotonic_us(clock);
}

/* CPU time of the calling thread and of the whole process, for benchmarks and the latency ledger. */
int64_t clock_thread_cpu_us(void);
int64_t clock_process_cpu_us(void);
