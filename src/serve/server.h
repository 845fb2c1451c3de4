/* The one network face of weir: HTTP API, page and WebSockets on one port, served by one I/O thread that also runs the
 * push hub. */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/waker.h"
#include "config/config.h"
#include "monitor/health.h"

struct engine;
struct server;

enum {
    SERVER_HTTP_CONNECTIONS_MAX = 1024,         /* beside WebSockets; then the longest idle one is closed */
    SERVER_BODIES_SIZE_MAX = 256 * 1024 * 1024, /* request bodies that are being received; then 429 */
    SERVER_OTHER_BODY_SIZE_MAX = 64 * 1024,     /* a body where none is asked for; then 413 */
    SERVER_ANSWERS_SIZE_MAX = 1024 * 1024, /* unsent answers of a connection; then its next request waits */
    SERVER_DISCARD_SIZE_MAX =
        64 * 1024 * 1024,         /* read and thrown away behind a refusal; then the socket is cut */
    SERVER_READ_SIZE = 64 * 1024, /* bytes taken from a socket per turn */
    SERVER_ACCEPTS_PER_TURN = 64,
    SERVER_LATENCY_NOTES_MAX = 256, /* blocks of one turn whose latency is noted one by one */

    SERVER_HEAD_TIME_US =
        10 * 1000000, /* from the first byte of a request to the end of its head; then 408 */
    SERVER_BODY_QUIET_US = 20 * 1000000,   /* between two parts of a body; then 408 */
    SERVER_BODY_TIME_US = 300 * 1000000,   /* for all of a body; then 408 */
    SERVER_IDLE_TIME_US = 75 * 1000000,    /* between two requests */
    SERVER_STALL_TIME_US = 30 * 1000000,   /* a client that takes nothing of its answer */
    SERVER_LINGER_TIME_US = 5 * 1000000,   /* for a client to read a refusal and hang up */
    SERVER_CLOSE_TIME_US = 5 * 1000000,    /* for the closing handshake of a WebSocket; then it is cut */
    SERVER_PING_QUIET_US = 20 * 1000000,   /* silence of a WebSocket client before it is sent a ping */
    SERVER_PONG_TIME_US = 10 * 1000000,    /* for its answer; then it is closed */
    SERVER_SLOW_SHOWN_US = 60 * 1000000,   /* a disconnected slow client is shown in health for so long */
    SERVER_ACCEPT_PAUSE_US = 100 * 1000,   /* without a free descriptor, before trying again */
    SERVER_SHORTAGE_TIME_US = 5 * 1000000, /* without a failed accept, before health says that all is well */
    SERVER_STOP_TIME_US = 3 * 1000000,     /* for open answers and closing handshakes when the server stops */
};

struct server_options {
    const struct config *config;
    struct engine *engine;
    struct health *health;
    const struct clock *clock;
    struct waker *io_waker; /* the one given to the engine; only this server's thread sleeps on it */
};

/* Binds and listens on config->server; no thread yet. Fails with a message that names the address when it cannot be had. */
NODISCARD
enum status server_create(const struct server_options *options, struct server **server, struct error *error);
/* Starts the I/O thread: connections are answered from here on. */
void server_start(struct server *server);
/* The port that was bound. Any thread. */
uint16_t server_port(const struct server *server);
/* Stops accepting, finishes open answers, says goodbye to WebSockets (1001), ends the thread: at most SERVER_STOP_TIME_US.
 * The engine has to be running still, since open ingest requests wait for it. Control thread. */
void server_stop(struct server *server);
/* Before engine_destroy. */
void server_destroy(struct server *server);
