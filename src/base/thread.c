/* Starting and joining threads. See thread.h. */
#include "base/thread.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

pthread_t thread_start(const char *name, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int code = pthread_create(&thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code) {
        fprintf(stderr, "weir: cannot start thread %s: %s (raise the limit of processes)\n", name,
                strerror(code));
        abort();
    }
    pthread_setname_np(thread, name);
    return thread;
}

void thread_join(pthread_t thread)
{
    pthread_join(thread, NULL);
}

bool thread_join_within(pthread_t thread, int64_t timeout_us)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    if (timeout_us > 0) {
        int64_t nanoseconds = until.tv_nsec + timeout_us % 1000000 * 1000;
        until.tv_sec += timeout_us / 1000000 + nanoseconds / 1000000000;
        until.tv_nsec = nanoseconds % 1000000000;
    }
    return pthread_timedjoin_np(thread, NULL, &until) == 0;
}

unsigned thread_processor_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}
