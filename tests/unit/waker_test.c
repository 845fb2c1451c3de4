/* Sleepers wake when they should, and sleep when nothing is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/waker.h"

enum { FOR_EVER = -1 };

static bool is_readable(const struct waker *waker)
{
    struct pollfd look = {.fd = waker->descriptor, .events = POLLIN};
    return poll(&look, 1, 0) == 1;
}

static void wake_of_a_sleeper_ends_its_wait_once(void **state)
{
    (void)state;
    struct waker waker;
    waker_open(&waker);
    waker_prepare(&waker);
    waker_wake(&waker);
    waker_wake(&waker);
    waker_wait(&waker, FOR_EVER);
    assert_false(is_readable(&waker));
    waker_close(&waker);
}

static void wake_of_a_thread_that_is_awake_writes_nothing(void **state)
{
    (void)state;
    struct waker waker;
    waker_open(&waker);
    waker_wake(&waker);
    assert_false(is_readable(&waker));
    waker_close(&waker);
}

/* A descriptor that stays readable would end every later wait at once, and the sleeper would spin. */
static void what_others_wrote_to_the_descriptor_ends_one_wait_only(void **state)
{
    (void)state;
    struct waker waker;
    waker_open(&waker);
    waker_prepare(&waker);
    uint64_t one = 1;
    assert_int_equal(write(waker.descriptor, &one, sizeof one), sizeof one);
    waker_wait(&waker, FOR_EVER);
    assert_false(is_readable(&waker));
    waker_close(&waker);
}

static void wake_that_was_cancelled_is_forgotten(void **state)
{
    (void)state;
    struct waker waker;
    waker_open(&waker);
    waker_prepare(&waker);
    waker_wake(&waker);
    waker_cancel(&waker);
    assert_false(is_readable(&waker));
    waker_close(&waker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wake_of_a_sleeper_ends_its_wait_once),
        cmocka_unit_test(wake_of_a_thread_that_is_awake_writes_nothing),
        cmocka_unit_test(what_others_wrote_to_the_descriptor_ends_one_wait_only),
        cmocka_unit_test(wake_that_was_cancelled_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
