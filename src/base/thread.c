/* Starting and joining threads. See thread.h. */
#include "base/thread.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

unsigned thread_processor_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}
