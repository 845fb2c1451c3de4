/* The listening socket: one address, IPv4 or IPv6, or the name localhost. */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum {
    LISTENER_BACKLOG = 1024,
    LISTENER_UNSENT_SIZE =
        256 * 1024, /* bytes the kernel holds for a connection before it sends them; then the outbox does */
};

/* Binds and listens, non-blocking; `port` 0 takes a free one. The port really bound goes to `bound_port`. The caller closes
 * the descriptor. STATUS_INVALID: no such address; STATUS_BUSY: somebody else has it; STATUS_IO. */
NODISCARD
enum status listener_open(const char *host, uint16_t port, int *descriptor, uint16_t *bound_port,
                          struct error *error);
/* The next connection, non-blocking and without Nagle, or -1 (errno tells; EAGAIN: none left). `address` gets "ip:port". */
enum { LISTENER_ADDRESS_SIZE = 64 };
int listener_accept(int listener, char address[LISTENER_ADDRESS_SIZE]);
