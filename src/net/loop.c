/* epoll is level-triggered, so a handler may leave work for the next turn without losing it. Timers are a binary
 * heap with the place of each timer in the timer itself: setting, moving and clearing cost O(log n) and allocate nothing
 * after warm-up. See loop.h. */
#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/memory.h"

void loop_init(struct loop *loop, const struct clock *clock)
{
    *loop = (struct loop){.clock = clock, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    if (loop->epoll < 0) {
        perror("weir: epoll (raise the limit of open files: ulimit -n)");
        abort();
    }
    loop->now_us = clock_monotonic_us(clock);
    loop->wall_now_us = clock_wall_us(clock);
}

void loop_deinit(struct loop *loop)
{
    close(loop->epoll);
    free(loop->timers);
}

static void control(struct loop *loop, int operation, struct loop_watch *watch, uint32_t interest)
{
    struct epoll_event event = {.events = interest, .data.ptr = watch};
    watch->interest = interest;
    if (epoll_ctl(loop->epoll, operation, watch->descriptor, &event) != 0) {
        perror("weir: epoll_ctl");
        abort();
    }
}

void loop_add(struct loop *loop, struct loop_watch *watch, uint32_t interest)
{
    control(loop, EPOLL_CTL_ADD, watch, interest);
}

void loop_change(struct loop *loop, struct loop_watch *watch, uint32_t interest)
{
    if (watch->interest != interest)
        control(loop, EPOLL_CTL_MOD, watch, interest);
}

void loop_remove(struct loop *loop, struct loop_watch *watch)
{
    control(loop, EPOLL_CTL_DEL, watch, 0);
    watch->descriptor = -1;
}

static void place(struct loop *loop, struct timer *timer, size_t at)
{
    loop->timers[at - 1] = timer;
    timer->heap_place = at;
}

static void sift_up(struct loop *loop, struct timer *timer, size_t at)
{
    while (at > 1 && loop->timers[at / 2 - 1]->due_us > timer->due_us) {
        place(loop, loop->timers[at / 2 - 1], at);
        at /= 2;
    }
    place(loop, timer, at);
}

static void sift_down(struct loop *loop, struct timer *timer, size_t at)
{
    for (;;) {
        size_t child = at * 2;
        if (child > loop->timer_count)
            break;
        if (child < loop->timer_count && loop->timers[child]->due_us < loop->timers[child - 1]->due_us)
            child++;
        if (loop->timers[child - 1]->due_us >= timer->due_us)
            break;
        place(loop, loop->timers[child - 1], at);
        at = child;
    }
    place(loop, timer, at);
}

void loop_set_timer(struct loop *loop, struct timer *timer, int64_t due_us)
{
    assert(timer->fire);
    size_t at = timer->heap_place;
    int64_t before_us = timer->due_us;
    timer->due_us = due_us;
    if (at == 0) {
        if (loop->timer_count == loop->timer_capacity) {
            loop->timer_capacity = loop->timer_capacity ? loop->timer_capacity * 2 : 64;
            loop->timers = memory_resize_array(loop->timers, loop->timer_capacity, sizeof(struct timer *));
        }
        sift_up(loop, timer, ++loop->timer_count);
    } else if (due_us < before_us) {
        sift_up(loop, timer, at);
    } else {
        sift_down(loop, timer, at);
    }
}

void loop_clear_timer(struct loop *loop, struct timer *timer)
{
    size_t at = timer->heap_place;
    if (at == 0)
        return;
    timer->heap_place = 0;
    struct timer *last = loop->timers[--loop->timer_count];
    if (last == timer)
        return;
    if (at > 1 && loop->timers[at / 2 - 1]->due_us > last->due_us)
        sift_up(loop, last, at);
    else
        sift_down(loop, last, at);
}

/* Milliseconds for epoll_wait, rounded up so that a timer is due when it returns. */
static int wait_ms(const struct loop *loop, int64_t max_wait_us)
{
    int64_t wait_us = max_wait_us;
    if (loop->timer_count > 0) {
        int64_t due_in_us = loop->timers[0]->due_us - clock_monotonic_us(loop->clock);
        if (due_in_us < 0)
            due_in_us = 0;
        if (wait_us < 0 || due_in_us < wait_us)
            wait_us = due_in_us;
    }
    if (wait_us < 0)
        return -1;
    int64_t ms = (wait_us + MICROSECONDS_PER_MILLISECOND - 1) / MICROSECONDS_PER_MILLISECOND;
    return ms > 60000 ? 60000 : (int)ms;
}

static void fire_timers(struct loop *loop)
{
    /* A timer that sets itself again for now waits for the next turn, or the loop would never get out of here. */
    size_t most = loop->timer_count;
    while (most-- > 0 && loop->timer_count > 0 && loop->timers[0]->due_us <= loop->now_us) {
        struct timer *timer = loop->timers[0];
        loop_clear_timer(loop, timer);
        timer->fire(timer);
    }
}

void loop_turn(struct loop *loop, int64_t max_wait_us)
{
    struct epoll_event events[LOOP_EVENTS_PER_TURN];
    int count = epoll_wait(loop->epoll, events, LOOP_EVENTS_PER_TURN, wait_ms(loop, max_wait_us));
    assert(count >= 0 || errno == EINTR);
    loop->now_us = clock_monotonic_us(loop->clock);
    loop->wall_now_us = clock_wall_us(loop->clock);
    loop->turn_count++;
    for (int i = 0; i < count; i++) {
        struct loop_watch *watch = events[i].data.ptr;
        if (watch->descriptor >= 0)
            watch->ready(watch, events[i].events);
    }
    fire_timers(loop);
}
