/* A WebSocket server that broadcasts the obvious way: one write for each message and client.
 *
 *     naive_fanout CLIENTS MESSAGES SIZE
 *
 * Prints its port, waits until CLIENTS have connected, sends MESSAGES text messages of SIZE bytes to each, and prints one
 * JSON line with its own CPU time for the sending. Sockets block, so a slow reader slows it down but costs no CPU. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_SIZE_MAX = 4096, FRAME_HEADER_SIZE = 4, MESSAGE_SIZE_MIN = 126, MESSAGE_SIZE_MAX = 65535 };

static const char UPGRADE[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_any_port(int backlog)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, backlog) != 0 || getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        fail("listen");
    printf("{\"port\":%d}\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static int accept_client(int listener)
{
    int client = accept(listener, NULL, NULL);
    int on = 1;
    char request[REQUEST_SIZE_MAX + 1];
    size_t size = 0;
    if (client < 0)
        fail("accept");
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    do {
        ssize_t got = read(client, request + size, REQUEST_SIZE_MAX - size);
        if (got <= 0)
            fail("read");
        size += (size_t)got;
        request[size] = '\0';
    } while (strstr(request, "\r\n\r\n") == NULL);
    if (write(client, UPGRADE, sizeof UPGRADE - 1) < 0)
        fail("write");
    return client;
}

static void write_all(int client, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = write(client, bytes, size);
        if (sent <= 0)
            fail("write");
        bytes += sent;
        size -= (size_t)sent;
    }
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    size_t client_count = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
    size_t message_count = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    size_t size = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    if (client_count == 0 || message_count == 0 || size < MESSAGE_SIZE_MIN || size > MESSAGE_SIZE_MAX) {
        fprintf(stderr, "usage: naive_fanout CLIENTS MESSAGES SIZE (%d to %d bytes)\n", MESSAGE_SIZE_MIN,
                MESSAGE_SIZE_MAX);
        return 2;
    }
    int listener = listen_any_port((int)client_count);
    int *clients = calloc(client_count, sizeof *clients);
    uint8_t *frame = calloc(1, size + FRAME_HEADER_SIZE);
    if (clients == NULL || frame == NULL)
        fail("calloc");
    for (size_t i = 0; i < client_count; i++)
        clients[i] = accept_client(listener);
    frame[0] = 0x81; /* one whole text message */
    frame[1] = 126;  /* a length of two bytes follows */
    frame[2] = (uint8_t)(size >> 8);
    frame[3] = (uint8_t)size;
    memset(frame + FRAME_HEADER_SIZE, 'm', size);

    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t m = 0; m < message_count; m++)
        for (size_t i = 0; i < client_count; i++)
            write_all(clients[i], frame, size + FRAME_HEADER_SIZE);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = seconds(CLOCK_MONOTONIC) - wall;
    printf("{\"deliveries\":%zu,\"cpu_seconds\":%.6f,\"wall_seconds\":%.6f}\n", client_count * message_count,
           cpu, wall);
    for (size_t i = 0; i < client_count; i++)
        close(clients[i]);
    free(clients);
    free(frame);
    return 0;
}
