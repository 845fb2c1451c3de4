/* The event loop: timers in order of their time, descriptors that are ready, and what callbacks may do to both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "net/loop.h"

enum { TIMER_COUNT = 500 };

struct numbered_timer {
    struct timer timer; /* first */
    int64_t number;
};

static struct clock test_clock;
static struct loop loop;
static int64_t fired[TIMER_COUNT * 2];
static size_t fired_count;

static int set_up(void **state)
{
    (void)state;
    test_clock = clock_manual(1000);
    loop_init(&loop, &test_clock);
    fired_count = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_deinit(&loop);
    return 0;
}

static void note(struct timer *timer)
{
    fired[fired_count++] = ((struct numbered_timer *)timer)->number;
}

static void turn_at(int64_t now_us)
{
    test_clock.fixed_us = now_us;
    loop_turn(&loop, 0);
}

static void timers_fire_once_in_order_of_time(void **state)
{
    (void)state;
    struct numbered_timer timers[3] = {{{.fire = note}, 0}, {{.fire = note}, 1}, {{.fire = note}, 2}};
    loop_set_timer(&loop, &timers[0].timer, 3000);
    loop_set_timer(&loop, &timers[1].timer, 2000);
    loop_set_timer(&loop, &timers[2].timer, 4000);
    turn_at(1999);
    assert_int_equal(fired_count, 0);
    turn_at(3000);
    assert_int_equal(fired_count, 2);
    assert_int_equal(fired[0], 1);
    assert_int_equal(fired[1], 0);
    turn_at(9000);
    turn_at(9001);
    assert_int_equal(fired_count, 3);
}

static void timer_that_is_moved_fires_at_its_new_time_only(void **state)
{
    (void)state;
    struct numbered_timer timer = {{.fire = note}, 7};
    loop_set_timer(&loop, &timer.timer, 2000);
    loop_set_timer(&loop, &timer.timer, 5000);
    turn_at(4000);
    assert_int_equal(fired_count, 0);
    loop_set_timer(&loop, &timer.timer, 4500);
    turn_at(4500);
    turn_at(6000);
    assert_int_equal(fired_count, 1);
}

static void timers_set_moved_and_cleared_at_random_fire_as_a_sorted_list_would(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    srand48((long)seed);
    static struct numbered_timer timers[TIMER_COUNT];
    int64_t due[TIMER_COUNT];
    for (size_t i = 0; i < TIMER_COUNT; i++) {
        timers[i] = (struct numbered_timer){{.fire = note}, (int64_t)i};
        due[i] = 0;
    }
    for (size_t step = 0; step < TIMER_COUNT * 4; step++) {
        size_t i = (size_t)lrand48() % TIMER_COUNT;
        if (lrand48() % 4 == 0) {
            loop_clear_timer(&loop, &timers[i].timer);
            due[i] = 0;
        } else {
            due[i] = 2000 + lrand48() % 1000;
            loop_set_timer(&loop, &timers[i].timer, due[i]);
        }
    }
    for (int64_t now_us = 2000; now_us < 3000; now_us += 50) {
        size_t before = fired_count;
        int64_t latest = 0;
        turn_at(now_us);
        for (size_t k = before; k < fired_count; k++) {
            assert_in_range(due[fired[k]], latest, now_us);
            latest = due[fired[k]];
            due[fired[k]] = 0;
        }
        for (size_t i = 0; i < TIMER_COUNT; i++)
            assert_false(due[i] > 0 && due[i] <= now_us);
    }
}

static void set_again(struct timer *timer)
{
    note(timer);
    loop_set_timer(&loop, timer, 0);
}

static void timer_that_sets_itself_does_not_hold_the_turn(void **state)
{
    (void)state;
    struct numbered_timer timer = {{.fire = set_again}, 1};
    loop_set_timer(&loop, &timer.timer, 1500);
    turn_at(2000);
    assert_int_equal(fired_count, 1);
    turn_at(2001);
    assert_int_equal(fired_count, 2);
    loop_clear_timer(&loop, &timer.timer);
}

struct pipe_end {
    struct loop_watch watch; /* first */
    unsigned calls;
    struct pipe_end *removes;
};

static void readable(struct loop_watch *watch, uint32_t events)
{
    struct pipe_end *end = (struct pipe_end *)watch;
    assert_true(events & EPOLLIN);
    end->calls++;
    if (end->removes && end->removes->watch.descriptor >= 0)
        loop_remove(&loop, &end->removes->watch);
}

static void watch_removed_in_a_callback_is_not_called_in_that_turn(void **state)
{
    (void)state;
    int a[2], b[2];
    assert_int_equal(pipe(a), 0);
    assert_int_equal(pipe(b), 0);
    struct pipe_end one = {.watch = {.descriptor = a[0], .ready = readable}};
    struct pipe_end two = {.watch = {.descriptor = b[0], .ready = readable}, .removes = &one};
    one.removes = &two;
    loop_add(&loop, &one.watch, EPOLLIN);
    loop_add(&loop, &two.watch, EPOLLIN);
    assert_int_equal(write(a[1], "x", 1), 1);
    assert_int_equal(write(b[1], "x", 1), 1);
    turn_at(2000);
    assert_int_equal(one.calls + two.calls, 1);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_once_in_order_of_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timer_that_is_moved_fires_at_its_new_time_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timers_set_moved_and_cleared_at_random_fire_as_a_sorted_list_would,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(timer_that_sets_itself_does_not_hold_the_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(watch_removed_in_a_callback_is_not_called_in_that_turn, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
