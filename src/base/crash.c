/* Dying on purpose. SIGKILL leaves no chance for atexit handlers or buffers: what a power cut of the process does. */
#include "base/crash.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char wanted[64];       /* written once, before any reader passes pthread_once */
static atomic_long countdown; /* passes left before the crash; relaxed: any order of passes is right */

static void read_environment(void)
{
    const char *value = getenv("WEIR_CRASH_AT");
    if (!value)
        return;
    size_t size = strcspn(value, ":");
    if (size >= sizeof wanted)
        return;
    memcpy(wanted, value, size);
    atomic_store(&countdown, value[size] == ':' ? strtol(value + size + 1, NULL, 10) : 1);
}

void crash_point(const char *name)
{
    pthread_once(&once, read_environment);
    if (!wanted[0] || strcmp(wanted, name) != 0)
        return;
    if (atomic_fetch_sub_explicit(&countdown, 1, memory_order_relaxed) == 1)
        kill(getpid(), SIGKILL);
}
