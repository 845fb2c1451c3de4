/* A named thread. Signals are blocked in every thread that is started here: the control thread alone takes them. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* `name` (at most 15 characters) shows in top and gdb. Aborts when the system has no thread left. */
pthread_t thread_start(const char *name, void *(*run)(void *), void *argument);
void thread_join(pthread_t thread);
/* The same for at most `timeout_us`; false when it still runs. */
bool thread_join_within(pthread_t thread, int64_t timeout_us);
/* Processors this process may run on, at least 1. */
unsigned thread_processor_count(void);
