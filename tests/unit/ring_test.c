/* Rings and wakers between two real threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ring.h"
#include "base/thread.h"

enum { ITEM_COUNT = 200000 };

static void full_ring_refuses_and_takes_again_after_a_pop(void **state)
{
    (void)state;
    struct ring ring;
    int items[3];
    ring_init(&ring, 2, NULL, NULL);
    assert_true(ring_push(&ring, &items[0]));
    assert_true(ring_push(&ring, &items[1]));
    assert_false(ring_push(&ring, &items[2]));
    assert_int_equal(ring_count(&ring), 2);
    assert_ptr_equal(ring_pop(&ring), &items[0]);
    assert_true(ring_push(&ring, &items[2]));
    assert_ptr_equal(ring_pop(&ring), &items[1]);
    assert_ptr_equal(ring_pop(&ring), &items[2]);
    assert_null(ring_pop(&ring));
    ring_deinit(&ring);
}

struct two_threads {
    struct ring ring;
    struct waker producer, consumer;
};

static void *produce(void *argument)
{
    struct two_threads *both = argument;
    for (uintptr_t i = 1; i <= ITEM_COUNT; i++)
        ring_push_wait(&both->ring, (void *)i);
    return NULL;
}

static void items_cross_threads_in_order_and_none_is_lost(void **state)
{
    (void)state;
    struct two_threads both;
    waker_open(&both.producer);
    waker_open(&both.consumer);
    ring_init(&both.ring, 4, &both.consumer, &both.producer); /* small, so that both sides wait often */
    pthread_t thread = thread_start("producer", produce, &both);
    for (uintptr_t want = 1; want <= ITEM_COUNT; want++) {
        void *item = NULL;
        while (!item)
            item = ring_pop_wait(&both.ring, -1);
        assert_int_equal((uintptr_t)item, want);
    }
    thread_join(thread);
    ring_deinit(&both.ring);
    waker_close(&both.producer);
    waker_close(&both.consumer);
}

static void wake_before_the_wait_is_not_lost(void **state)
{
    (void)state;
    struct waker waker;
    waker_open(&waker);
    waker_prepare(&waker);
    waker_wake(&waker);
    waker_wait(&waker, -1); /* hangs, and so fails by the time-out, when it is lost */
    waker_close(&waker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_ring_refuses_and_takes_again_after_a_pop),
        cmocka_unit_test(items_cross_threads_in_order_and_none_is_lost),
        cmocka_unit_test(wake_before_the_wait_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
