/* An eventfd behind a flag. The flag and the queues form a Dekker pair: the sleeper writes the flag and reads the
 * queue, the waker writes the queue and reads the flag, all seq_cst, so one of them sees the other. Others may write to the descriptor without
 * looking at the flag (librdkafka does), so what is drained is what is there, whatever the flag says. See waker.h. */
#include "base/waker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

void waker_open(struct waker *waker)
{
    waker->descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (waker->descriptor < 0) {
        perror("weir: eventfd (raise the limit of open files: ulimit -n)");
        abort();
    }
    atomic_init(&waker->is_sleeping, false);
}

void waker_close(struct waker *waker)
{
    if (waker->descriptor >= 0)
        close(waker->descriptor);
    waker->descriptor = -1;
}

void waker_wake(struct waker *waker)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_exchange(&waker->is_sleeping, false))
        return;
    uint64_t one = 1;
    ssize_t written = write(waker->descriptor, &one, sizeof one);
    assert(written == sizeof one || errno == EAGAIN);
}

void waker_prepare(struct waker *waker)
{
    atomic_store(&waker->is_sleeping, true);
    atomic_thread_fence(memory_order_seq_cst);
}

void waker_cancel(struct waker *waker)
{
    if (!atomic_exchange(&waker->is_sleeping, false))
        waker_drain(waker);
}

void waker_wait(struct waker *waker, int64_t timeout_us)
{
    struct pollfd wait_for = {.fd = waker->descriptor, .events = POLLIN};
    struct timespec timeout = {.tv_sec = timeout_us / 1000000, .tv_nsec = timeout_us % 1000000 * 1000};
    bool is_readable = ppoll(&wait_for, 1, timeout_us < 0 ? NULL : &timeout, NULL) > 0;
    atomic_store(&waker->is_sleeping, false);
    if (is_readable)
        waker_drain(waker);
}

void waker_drain(struct waker *waker)
{
    uint64_t count;
    ssize_t got = read(waker->descriptor, &count, sizeof count);
    (void)got; /* EAGAIN: there was none */
}
