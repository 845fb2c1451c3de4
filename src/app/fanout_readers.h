/* The clients of `weir bench fanout`: a child process that connects, reads and counts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fanout_readers {
    pid_t process;
    int result; /* pipe: the child's count */
};

/* Forks; call it while the process has one thread. The child connects `count` times to the loopback port. False: errno. */
bool fanout_readers_start(struct fanout_readers *readers, uint16_t port, uint64_t count);
/* After the server has closed every connection: how many text frames all clients together have read. */
uint64_t fanout_readers_finish(struct fanout_readers *readers);
