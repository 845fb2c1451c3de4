/* The event loop of the I/O thread: descriptors by epoll (level-triggered), timers in a heap, and one look at the clock
 * per turn. One thread; nothing here locks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

enum { LOOP_EVENTS_PER_TURN = 256 };

/* A descriptor somebody waits for. Lives in its owner's struct. */
struct loop_watch {
    int descriptor;
    uint32_t interest; /* EPOLLIN | EPOLLOUT ... */
    void (*ready)(struct loop_watch *watch, uint32_t events);
};

/* A moment somebody waits for. `*timer = (struct timer){.fire = f}` is a timer that is not set. */
struct timer {
    int64_t due_us;    /* monotonic */
    size_t heap_place; /* from 1; 0 = not set */
    void (*fire)(struct timer *timer);
};

struct loop {
    const struct clock *clock;
    int epoll;
    int64_t now_us;      /* monotonic, of this turn */
    int64_t wall_now_us; /* of this turn */
    struct timer **timers;
    size_t timer_count, timer_capacity;
    uint64_t turn_count;
};

void loop_init(struct loop *loop, const struct clock *clock);
void loop_deinit(struct loop *loop);

/* Starts, changes, ends waiting for a descriptor. A watch may be removed in any callback, but its memory has to
 * last until the turn is over: an event for it may have been fetched already (then descriptor is -1 and `ready` is
 * not called). loop_remove does not close the descriptor. */
void loop_add(struct loop *loop, struct loop_watch *watch, uint32_t interest);
void loop_change(struct loop *loop, struct loop_watch *watch, uint32_t interest);
void loop_remove(struct loop *loop, struct loop_watch *watch);

/* Sets or moves a timer; fires once. A due time in the past fires in this turn or the next. */
void loop_set_timer(struct loop *loop, struct timer *timer, int64_t due_us);
void loop_clear_timer(struct loop *loop, struct timer *timer);

/* Waits until something is ready or due, at most `max_wait_us` (<0: no limit of its own), then calls who is concerned. */
void loop_turn(struct loop *loop, int64_t max_wait_us);
