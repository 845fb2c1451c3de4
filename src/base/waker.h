/* How a thread sleeps until another has something for it: an eventfd with a flag in front, so that waking a thread
 * that is awake costs one atomic exchange and no system call. Many wakers, one sleeper. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct waker {
    int descriptor; /* an eventfd; readable while a wake is pending. For epoll. */
    atomic_bool
        is_sleeping; /* seq_cst on both sides: the sleeper sets it, then looks once more at its queues */
};

void waker_open(struct waker *waker);
void waker_close(struct waker *waker);

/* Any thread. Never blocks. */
void waker_wake(struct waker *waker);

/* The sleeper's side: waker_prepare(); look at every queue again; then waker_wait() if all are empty, else
 * waker_cancel(). Waits at most `timeout_us` (<0: for ever). */
void waker_prepare(struct waker *waker);
void waker_cancel(struct waker *waker);
void waker_wait(struct waker *waker, int64_t timeout_us);

/* For a thread that sleeps in epoll on `descriptor` instead of waker_wait(): forget the pending wake. */
void waker_drain(struct waker *waker);
