/* Binding and accepting. Numeric addresses only (and localhost): the configured address says which interface is
 * meant, and a name server must not decide that. See listener.h. */
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
};

static enum status parse_address(const char *host, uint16_t port, union address *address, socklen_t *size,
                                 struct error *error)
{
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &address->ip4.sin_addr) == 1) {
        address->ip4.sin_family = AF_INET;
        address->ip4.sin_port = htons(port);
        *size = sizeof address->ip4;
        return STATUS_OK;
    }
    if (inet_pton(AF_INET6, host, &address->ip6.sin6_addr) == 1) {
        address->ip6.sin6_family = AF_INET6;
        address->ip6.sin6_port = htons(port);
        *size = sizeof address->ip6;
        return STATUS_OK;
    }
    error_set(error,
              "server.listen: \"%s\" is not an IP address; write one such as 127.0.0.1 or ::1, or localhost",
              host);
    return STATUS_INVALID;
}

static enum status fail(int descriptor, const char *host, uint16_t port, struct error *error)
{
    int code = errno;
    close(descriptor);
    if (code == EADDRINUSE) {
        error_set(error,
                  "server.listen: port %u of \"%s\" is in use by another process; stop it, or choose another "
                  "port (0 takes a free one)",
                  port, host);
        return STATUS_BUSY;
    }
    const char *remedy = code == EACCES          ? "; ports below 1024 need a privilege, choose a higher one"
                         : code == EADDRNOTAVAIL ? "; no interface of this machine has that address"
                                                 : "";
    error_set(error, "server.listen: cannot listen on \"%s\" port %u: %s%s", host, port, strerror(code),
              remedy);
    return STATUS_IO;
}

enum status listener_open(const char *host, uint16_t port, int *descriptor, uint16_t *bound_port,
                          struct error *error)
{
    union address address;
    socklen_t size;
    enum status status = parse_address(host, port, &address, &size, error);
    if (status != STATUS_OK)
        return status;
    int listener = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0) {
        error_set(error, "server.listen: cannot create a socket: %s", strerror(errno));
        return STATUS_IO;
    }
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.any.sa_family == AF_INET6)
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(listener, &address.any, size) != 0 || listen(listener, LISTENER_BACKLOG) != 0 ||
        getsockname(listener, &address.any, &size) != 0)
        return fail(listener, host, port, error);
    *descriptor = listener;
    *bound_port = ntohs(address.any.sa_family == AF_INET6 ? address.ip6.sin6_port : address.ip4.sin_port);
    return STATUS_OK;
}

int listener_accept(int listener, char text[LISTENER_ADDRESS_SIZE])
{
    union address address = {0};
    socklen_t size = sizeof address;
    int descriptor = accept4(listener, &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0)
        return -1;
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* Else the kernel takes megabytes for a slow reader, and says that there is room again only when a third is free. */
    int unsent_size = LISTENER_UNSENT_SIZE;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_size, sizeof unsent_size);
    char ip[INET6_ADDRSTRLEN] = "?";
    bool is_ip6 = address.any.sa_family == AF_INET6;
    inet_ntop(address.any.sa_family, is_ip6 ? (void *)&address.ip6.sin6_addr : (void *)&address.ip4.sin_addr,
              ip, sizeof ip);
    snprintf(text, LISTENER_ADDRESS_SIZE, is_ip6 ? "[%s]:%u" : "%s:%u", ip,
             ntohs(is_ip6 ? address.ip6.sin6_port : address.ip4.sin_port));
    return descriptor;
}
