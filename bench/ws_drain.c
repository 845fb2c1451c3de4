/* The clients of the broadcast benchmarks: many WebSocket connections that only read and count.
 *
 *     ws_drain PORT CLIENTS MESSAGES [TEXT]
 *
 * Opens CLIENTS connections to the loopback address, sends TEXT (a subscription) on each if given, counts the frames
 * that arrive, and ends when every connection has had MESSAGES of them or has been closed. Prints one JSON line.
 * It is a process of its own, so its CPU time is not the server's. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 18, EVENTS_PER_TURN = 256, HEADER_SIZE_MAX = 10, TEXT_SIZE_MAX = 125 };

struct client {
    int socket;
    size_t message_count;
    uint64_t skip;                   /* bytes of the current payload still to come */
    uint8_t header[HEADER_SIZE_MAX]; /* the bytes of a frame header that has not arrived whole */
    size_t header_size;
};

static uint8_t read_buffer[READ_SIZE];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (client < 0 || connect(client, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    return client;
}

/* Asks for the upgrade and reads the answer's head byte by byte, so that no frame behind it is swallowed. */
static void upgrade(int client, uint16_t port)
{
    char text[1024];
    int size =
        snprintf(text, sizeof text,
                 "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                 port);
    if (write(client, text, (size_t)size) != size)
        fail("write");
    size_t got = 0;
    while (got < 4 || memcmp(text + got - 4, "\r\n\r\n", 4) != 0)
        if (got == sizeof text || read(client, text + got++, 1) != 1)
            fail("upgrade");
    if (memcmp(text, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "ws_drain: refused: %.*s\n", (int)got, text);
        exit(1);
    }
}

static void send_text(int client, const char *text)
{
    uint8_t frame[6 + TEXT_SIZE_MAX] = {0x81}; /* a mask of zeroes leaves the text as it is */
    size_t size = strlen(text);
    frame[1] = (uint8_t)(0x80 | size);
    memcpy(frame + 6, text, size);
    if (write(client, frame, 6 + size) != (ssize_t)(6 + size))
        fail("write");
}

static size_t header_size_of(const uint8_t *header)
{
    unsigned length = header[1] & 0x7f;
    return length == 126 ? 4 : length == 127 ? 10 : 2;
}

static uint64_t payload_size_of(const uint8_t *header)
{
    unsigned length = header[1] & 0x7f;
    if (length < 126)
        return length;
    uint64_t size = 0;
    for (size_t i = 2; i < header_size_of(header); i++)
        size = size << 8 | header[i];
    return size;
}

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
        if (client->header_size >= 2 && client->header_size == header_size_of(client->header)) {
            client->skip = payload_size_of(client->header);
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
    if (argc < 4 || (argc > 4 && strlen(argv[4]) > TEXT_SIZE_MAX)) {
        fprintf(stderr, "usage: ws_drain PORT CLIENTS MESSAGES [TEXT of at most %d bytes]\n", TEXT_SIZE_MAX);
        return 2;
    }
    uint16_t port = (uint16_t)strtoul(argv[1], NULL, 10);
    size_t client_count = strtoul(argv[2], NULL, 10), message_count = strtoul(argv[3], NULL, 10);
    struct client *clients = calloc(client_count, sizeof *clients);
    int poll = epoll_create1(0);
    if (clients == NULL || poll < 0)
        fail("start");
    for (size_t i = 0; i < client_count; i++) {
        clients[i].socket = connect_to(port);
        upgrade(clients[i].socket, port);
        if (argc > 4)
            send_text(clients[i].socket, argv[4]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].socket, &event) != 0)
            fail("epoll_ctl");
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
