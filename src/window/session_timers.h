/* Times at which rows of a session table are due. Most of them are moved several times before they come, so setting one must be
 * cheap: what is far off lies in a wheel of buckets, unsorted; only the bucket of the present is in order.
 *
 *   heap          wheel: one bucket per step                        overflow
 *   [ present ]   [ +1 ][ +2 ][ +3 ] ... [ +255 ]                   later
 *
 * A timer that was replaced stays until it comes; whoever set it knows by the time that it is not the one any more. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { SESSION_TIMER_STEPS = 256 };

struct session_timer {
    int64_t due_us;
    uint32_t row;
};

struct session_timer_list {
    struct session_timer *timers;
    uint32_t count, capacity;
};

struct session_timers {
    int64_t step_us;
    int64_t present; /* number of the step that is in the heap, with all before it */
    uint64_t count;
    uint32_t wheel_count;
    struct session_timer_list heap, overflow, wheel[SESSION_TIMER_STEPS];
};

void session_timers_init(struct session_timers *timers, int64_t step_us);
void session_timers_deinit(struct session_timers *timers);
void session_timers_clear(struct session_timers *timers);
void session_timers_set(struct session_timers *timers, int64_t due_us, uint32_t row);
/* The next that is due at now_us, in order of time. */
bool session_timers_take(struct session_timers *timers, int64_t now_us, struct session_timer *timer);
uint64_t session_timers_memory_size(const struct session_timers *timers);
