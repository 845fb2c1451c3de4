/* The machine's clock, and one that stands still. See clock.h. */
#include "base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * MICROSECONDS_PER_SECOND + now.tv_nsec / 1000;
}

static int64_t system_wall(const struct clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_REALTIME);
}

static int64_t system_monotonic(const struct clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t manual(const struct clock *clock)
{
    return clock->fixed_us;
}

const struct clock clock_system = {.wall_us = system_wall, .monotonic_us = system_monotonic};

struct clock clock_manual(int64_t now_us)
{
    return (struct clock){.wall_us = manual, .monotonic_us = manual, .fixed_us = now_us};
}

int64_t clock_thread_cpu_us(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_process_cpu_us(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}
