/* A WebSocket client on a blocking socket: frames by wslay, the handshake by hand. */
#include "app/tap_client.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wslay/wslay.h>

#include "base/memory.h"
#include "base/native.h"
#include "base/random.h"

enum { TAP_HEAD_SIZE_MAX = 16 * 1024, TAP_HOST_SIZE_MAX = 256 };

struct tap_client {
    int socket;
    wslay_event_context_ptr frames;
    struct random random;   /* frame masks */
    struct buffer received; /* bytes behind the answer's head */
    struct buffer arrived;  /* whole text messages, each behind its size_t */
    uint16_t close_code;
    char close_reason[128];
};

static ssize_t receive_bytes(wslay_event_context_ptr frames, uint8_t *data, size_t size, int flags,
                             void *context)
{
    (void)flags;
    struct tap_client *client = context;
    if (client->arrived.size) {
        /* wslay reads for as long as there is something to read; a live stream has no end. */
        wslay_event_set_error(frames, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (client->received.size) {
        size_t taken = size < client->received.size ? size : client->received.size;
        memcpy(data, client->received.data, taken);
        buffer_consume(&client->received, taken);
        return (ssize_t)taken;
    }
    ssize_t got;
    do
        got = recv(client->socket, data, size, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return got;
    wslay_event_set_error(frames, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t send_bytes(wslay_event_context_ptr frames, const uint8_t *data, size_t size, int flags,
                          void *context)
{
    (void)flags;
    struct tap_client *client = context;
    ssize_t sent;
    do
        sent = send(client->socket, data, size, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        wslay_event_set_error(frames, WSLAY_ERR_CALLBACK_FAILURE);
    return sent;
}

static int make_mask(wslay_event_context_ptr frames, uint8_t *mask, size_t size, void *context)
{
    (void)frames;
    struct tap_client *client = context;
    for (size_t i = 0; i < size; i++)
        mask[i] = (uint8_t)random_next(&client->random);
    return 0;
}

static void take_message(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *arrived,
                         void *context)
{
    (void)frames;
    struct tap_client *client = context;
    if (arrived->opcode == WSLAY_CONNECTION_CLOSE) {
        client->close_code = arrived->status_code;
        size_t size = arrived->msg_length > 2 ? arrived->msg_length - 2 : 0;
        snprintf(client->close_reason, sizeof client->close_reason, "%.*s", (int)size,
                 size ? (const char *)arrived->msg + 2 : "");
    }
    if (arrived->opcode != WSLAY_TEXT_FRAME)
        return;
    buffer_append(&client->arrived, &arrived->msg_length, sizeof arrived->msg_length);
    buffer_append(&client->arrived, arrived->msg, arrived->msg_length);
}

/* http://host[:port][/...] or host:port → host and port. */
static bool split_url(const char *url, char host[TAP_HOST_SIZE_MAX], char port[8])
{
    static const char *const schemes[] = {"http://", "ws://"};
    for (size_t i = 0; i < 2; i++) {
        if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
            url += strlen(schemes[i]);
    }
    size_t size = strcspn(url, "/?#");
    bool has_brackets = *url == '[';
    const char *end = has_brackets ? memchr(url, ']', size) : memchr(url, ':', size);
    if (has_brackets && !end)
        return false;
    size_t host_size = end ? (size_t)(end - url) - has_brackets : size;
    const char *colon = has_brackets ? end + 1 : end;
    if (!host_size || host_size >= TAP_HOST_SIZE_MAX)
        return false;
    memcpy(host, url + has_brackets, host_size);
    host[host_size] = '\0';
    bool has_port = colon && colon < url + size && *colon == ':';
    snprintf(port, 8, "%.*s", has_port ? (int)(url + size - colon - 1) : 2, has_port ? colon + 1 : "80");
    return true;
}

static int connect_to(const char *url, const char *host, const char *port, struct error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses = NULL;
    int failure = getaddrinfo(host, port, &hints, &addresses);
    if (failure) {
        error_set(error, "cannot find %s: %s", url, gai_strerror(failure));
        return -1;
    }
    int descriptor = -1;
    for (struct addrinfo *at = addresses; at && descriptor < 0; at = at->ai_next) {
        descriptor = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (descriptor < 0 || connect(descriptor, at->ai_addr, at->ai_addrlen) == 0)
            continue;
        int reason = errno;
        close(descriptor);
        descriptor = -1;
        errno = reason;
    }
    if (descriptor < 0)
        error_set(error, "cannot connect to %s: %s; is weir running there?", url, strerror(errno));
    freeaddrinfo(addresses);
    return descriptor;
}

/* Sends the upgrade and reads the head of the answer; bytes behind it are kept. */
static enum status upgrade(struct tap_client *client, const char *url, const char *host, const char *port,
                           struct error *error)
{
    struct buffer head = {0};
    unsigned char nonce[16];
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = (unsigned char)random_next(&client->random);
    buffer_format(
        &head,
        "GET /ws HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: ",
        host, port);
    buffer_base64(&head, (struct slice){(const char *)nonce, sizeof nonce});
    buffer_append_text(&head, "\r\n\r\n");
    bool is_sent = send(client->socket, head.data, head.size, MSG_NOSIGNAL) == (ssize_t)head.size;
    buffer_clear(&head);
    char *end = NULL;
    while (is_sent && !end && head.size < TAP_HEAD_SIZE_MAX) {
        ssize_t got = recv(client->socket, buffer_reserve(&head, 4096), 4096, 0);
        if (got <= 0)
            break;
        head.size += (size_t)got;
        end = memmem(head.data, head.size, "\r\n\r\n", 4);
    }
    enum status status = STATUS_OK;
    if (!end) {
        error_set(error, "%s closed the connection during the handshake", url);
        status = STATUS_CLOSED;
    } else if (strncmp(head.data, "HTTP/1.1 101 ", 13) != 0) {
        error_set(error, "%s does not speak WebSocket: it answered \"%.*s\"", url,
                  (int)strcspn(head.data, "\r\n"), head.data);
        status = STATUS_INVALID;
    } else {
        size_t size = (size_t)(end - head.data) + 4;
        buffer_append(&client->received, head.data + size, head.size - size);
    }
    buffer_deinit(&head);
    return status;
}

enum status tap_client_open(const char *url, struct tap_client **out, struct error *error)
{
    char host[TAP_HOST_SIZE_MAX], port[8];
    if (!split_url(url, host, port)) {
        error_set(error, "\"%s\" is no address; write http://host:port", url);
        return STATUS_INVALID;
    }
    int descriptor = connect_to(url, host, port, error);
    if (descriptor < 0)
        return STATUS_IO;
    struct tap_client *client = memory_allocate(sizeof *client);
    client->socket = descriptor;
    client->random = random_seeded(random_seed_from_system());
    const struct wslay_event_callbacks callbacks = {.recv_callback = receive_bytes,
                                                    .send_callback = send_bytes,
                                                    .genmask_callback = make_mask,
                                                    .on_msg_recv_callback = take_message};
    enum status status = upgrade(client, url, host, port, error);
    if (status == STATUS_OK && wslay_event_context_client_init(&client->frames, &callbacks, client) != 0) {
        error_set(error, "out of memory");
        status = STATUS_IO;
    }
    if (status == STATUS_OK) {
        *out = client;
    } else {
        tap_client_close(client);
    }
    return status;
}

void tap_client_close(struct tap_client *client)
{
    if (client->frames)
        wslay_event_context_free(client->frames);
    close(client->socket);
    buffer_deinit(&client->received);
    buffer_deinit(&client->arrived);
    free(client);
}

enum status tap_client_send(struct tap_client *client, struct slice text, struct error *error)
{
    const struct wslay_event_msg message = {WSLAY_TEXT_FRAME, (const uint8_t *)text.data, text.size};
    if (wslay_event_queue_msg(client->frames, &message) == 0 && wslay_event_send(client->frames) == 0)
        return STATUS_OK;
    error_set(error, "cannot send to the server: %s", strerror(errno));
    return STATUS_IO;
}

static bool take_arrived(struct tap_client *client, struct buffer *message)
{
    size_t size;
    if (client->arrived.size < sizeof size)
        return false;
    memcpy(&size, client->arrived.data, sizeof size);
    buffer_clear(message);
    buffer_append(message, client->arrived.data + sizeof size, size);
    memset(buffer_reserve(message, NATIVE_JSON_PADDING), 0, NATIVE_JSON_PADDING);
    buffer_consume(&client->arrived, sizeof size + size);
    return true;
}

enum status tap_client_receive(struct tap_client *client, struct buffer *message, struct error *error)
{
    while (!take_arrived(client, message)) {
        bool is_well = wslay_event_recv(client->frames) == 0 && wslay_event_send(client->frames) == 0;
        if (client->arrived.size)
            continue;
        if (client->close_code) {
            error_set(error, "the server closed the connection: %u %s", client->close_code,
                      client->close_reason);
            return STATUS_CLOSED;
        }
        if (!is_well) {
            error_set(error, "the connection to the server was lost");
            return STATUS_CLOSED;
        }
    }
    return STATUS_OK;
}
