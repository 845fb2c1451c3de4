/* The clients of the broadcast benchmarks: many WebSocket connections that only read and count.
 *
 *     ws_drain PORT CLIENTS MESSAGES [TEXT]
 *
 * Opens CLIENTS connections to the loopback address, sends TEXT (a subscription) on each if given, counts the frames
 * that arrive, and ends when every connection has had MESSAGES of them or has been closed. Prints one JSON line.
 * It is a process of its own, so its CPU time is not the server's. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ws_client.h"

enum { READ_SIZE = 1 << 18, EVENTS_PER_TURN = 256, HEADER_SIZE_MAX = 10 };

struct client {
    int socket;
    size_t message_count;
    uint64_t skip;                   /* bytes of the current payload still to come */
    uint8_t header[HEADER_SIZE_MAX]; /* the bytes of a frame header that has not arrived whole */
    size_t header_size;
};

static uint8_t read_buffer[READ_SIZE];

static void count_frames(struct client *client, const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (at < size) {
        if (client->skip > 0) {
            uint64_t step = client->skip < size - at ? client->skip : size - at;
            client->skip -= step;
            at += (size_t)step;
            continue;
        }
        client->header[client->header_size++] = bytes[at++];
        size_t header_size;
        if (ws_parse_header(client->header, client->header_size, &header_size, &client->skip)) {
            client->message_count += (client->header[0] & 0x0f) == 1;
            client->header_size = 0;
        }
    }
}

/* Reads what is there. True when the connection has ended or has had all its messages. */
static bool drain(struct client *client, size_t message_count)
{
    ssize_t got = read(client->socket, read_buffer, sizeof read_buffer);
    if (got <= 0)
        return true;
    count_frames(client, read_buffer, (size_t)got);
    return client->message_count >= message_count;
}

int main(int argc, char **argv)
{
    if (argc < 4 || (argc > 4 && strlen(argv[4]) > WS_TEXT_SIZE_MAX)) {
        fprintf(stderr, "usage: ws_drain PORT CLIENTS MESSAGES [TEXT of at most %d bytes]\n",
                WS_TEXT_SIZE_MAX);
        return 2;
    }
    uint16_t port = (uint16_t)strtoul(argv[1], NULL, 10);
    size_t client_count = strtoul(argv[2], NULL, 10), message_count = strtoul(argv[3], NULL, 10);
    struct client *clients = calloc(client_count, sizeof *clients);
    int poll = epoll_create1(0);
    if (clients == NULL || poll < 0)
        ws_fail("start");
    for (size_t i = 0; i < client_count; i++) {
        clients[i].socket = ws_connect(port);
        if (argc > 4)
            ws_send_text(clients[i].socket, argv[4]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].socket, &event) != 0)
            ws_fail("epoll_ctl");
    }
    size_t open_count = client_count, total = 0;
    while (open_count > 0) {
        struct epoll_event events[EVENTS_PER_TURN];
        int ready = epoll_wait(poll, events, EVENTS_PER_TURN, -1);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (drain(client, message_count)) {
                epoll_ctl(poll, EPOLL_CTL_DEL, client->socket, NULL);
                close(client->socket);
                total += client->message_count;
                open_count--;
            }
        }
    }
    printf("{\"clients\":%zu,\"messages\":%zu}\n", client_count, total);
    free(clients);
    close(poll);
    return 0;
}
