/* What the files of the server share. Everything here belongs to the I/O thread.
 *
 *   socket ─▶ connection ─▶ http_session ──▶ route ──▶ answer ─▶ outbox ─▶ socket
 *                      └──▶ websocket_session ◀──▶ hub              (flushed when the loop turns)
 *
 * A connection begins with an HTTP session; the upgrade replaces it by a WebSocket session. */
#pragma once

#include "hub/hub.h"
#include "net/http_request.h"
#include "net/http_response.h"
#include "net/loop.h"
#include "net/outbox.h"
#include "net/websocket.h"
#include "pipeline/engine.h"
#include "pipeline/ingest.h"
#include "serve/api.h"
#include "serve/query_thread.h"
#include "serve/server.h"

enum { CONNECTION_ADDRESS_SIZE = 64 };

/* An answer that another thread is working on. It outlives its connection if that goes first. */
struct pending_answer {
    struct connection *connection; /* NULL: gone */
    /* Called when the connection goes first; may free this. NULL: nothing to do. */
    void (*client_gone)(struct pending_answer *pending);
};

struct http_session {
    struct http_reader reader;
    struct buffer leftover; /* bytes behind a request that is not answered yet */
    struct pending_answer *pending;
    size_t counted_body_size; /* of the server's total */
    int64_t begun_us;         /* first byte of the request */
    int64_t heard_us;         /* latest byte */
    bool is_over;             /* the last answer is queued */
    bool is_discarding;       /* the client may still be sending what was refused */
    size_t discarded_size;
};

struct websocket_session {
    struct websocket_reader reader;
    struct hub_client *client; /* NULL once the close frame is queued */
    int64_t connected_us;      /* wall clock */
    int64_t heard_us;
    int64_t ping_us; /* of the ping that is not answered; 0 = none */
    uint64_t written_at_ping;
    bool close_sent, close_received;
    bool is_counted; /* for the capacity */
};

struct connection {
    struct loop_watch watch;
    struct timer timer;
    int64_t deadline_us; /* the timer may fire earlier; then it is set again */
    struct server *server;
    struct connection *next, *previous;
    struct connection *next_dirty, *next_dead;
    struct outbox outbox;
    struct http_session *http; /* exactly one of these two */
    struct websocket_session *websocket;
    int64_t progress_us; /* latest write that moved bytes */
    char address[CONNECTION_ADDRESS_SIZE];
    bool is_dirty, is_dead;
    bool wants_write;
    bool wants_read;
};

struct latency_note {
    int64_t arrival_us, emitted_us;
};

/* Arrays by index that the hub refers to. */
struct hub_names {
    const char **pipelines, **sources;
    bool *is_stored;
};

struct server {
    const struct config *config;
    struct engine *engine;
    struct health *health;
    struct waker *waker;
    struct ingest *ingest; /* NULL without http sources */
    struct loop loop;
    struct loop_watch listener_watch, waker_watch;
    struct timer accept_timer;
    bool accept_is_short;    /* of descriptors, as reported to health */
    int64_t accept_short_us; /* when it was last */
    uint16_t port;
    pthread_t thread;
    bool is_started;
    _Atomic bool stop_wanted; /* release by the control thread, acquire by the loop */
    bool is_stopping;
    int64_t stop_deadline_us;

    struct connection *connections, *dirty, *dead;
    uint32_t http_count, websocket_count; /* WebSockets that count for the capacity */
    size_t bodies_size;
    uint32_t pending_count; /* answers that other threads owe */

    struct hub *hub;
    struct hub_names hub_names;
    struct query_thread *queries;
    struct api *api;
    struct timer api_timer;
    struct latency_note latency_notes[SERVER_LATENCY_NOTES_MAX];
    uint32_t latency_note_count;
    uint64_t slow_consumers_told; /* as last reported to health */
    int64_t slow_consumer_us;     /* when the newest was seen; 0 = none, or long ago */
    char date[HTTP_DATE_SIZE];
    int64_t date_second;
    char *read_buffer; /* [SERVER_READ_SIZE] */
};

/* --- acceptor.c --- */

void acceptor_start(struct server *server);
/* Closes the listening socket; may be called again. */
void acceptor_stop(struct server *server);

/* --- connection.c --- */

void connection_open(struct server *server, int descriptor, const char *address);
/* Gone at once; the memory lasts until the turn is over. */
void connection_close(struct connection *connection);
/* Takes over one reference; written when the turn ends. */
void connection_send(struct connection *connection, struct frame *frame);
void connection_send_buffer(struct connection *connection, struct buffer *bytes);
void connection_mark_dirty(struct connection *connection);
/* The session's timeout is called at this moment unless the deadline moves on. */
void connection_set_deadline(struct connection *connection, int64_t deadline_us);
void connection_set_reading(struct connection *connection, bool wants_read);
/* Writes what is queued on every connection that was marked, then frees those that were closed. */
void connections_flush(struct server *server);
void connections_free_dead(struct server *server);

/* --- http_session.c --- */

/* What a route answers. Body bytes are taken over; `fixed` bytes, used instead when not NULL, live as long as the process. */
struct http_answer {
    int status;
    const char *content_type;
    struct buffer headers; /* further lines, each with its CRLF */
    struct buffer body;
    const void *fixed;
    size_t fixed_size;
};

void http_session_open(struct connection *connection);
void http_session_destroy(struct connection *connection);
void http_session_take(struct connection *connection, const char *data, size_t size);
void http_session_end_of_input(struct connection *connection);
/* After a flush. */
void http_session_flushed(struct connection *connection);
void http_session_timeout(struct connection *connection);
/* Lets go of a connection between two requests; one with a request open closes after its answer. */
void http_session_stop(struct connection *connection);
bool http_session_is_idle(const struct connection *connection);

/* Answers the request that is complete. Routes call exactly one of these, now or later. */
void http_answer_send(struct connection *connection, struct http_answer *answer);
void http_answer_problem(struct connection *connection, int status, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The same with an extra header line, for example Allow or Retry-After. */
void http_answer_problem_with(struct connection *connection, int status, const char *header_line,
                              const char *format, ...) PRINTF_LIKE(4, 5);
/* The answer comes from another thread: the connection reads on once it is there. */
void http_answer_later(struct connection *connection, struct pending_answer *pending);
/* Its connection, to be answered now, or NULL when the client has gone. */
struct connection *http_answer_arrived(struct server *server, struct pending_answer *pending);
/* After an answer that came later: goes on with what the client sent meanwhile. */
void http_session_resume(struct connection *connection);

/* --- routes.c --- */

/* Called with a complete request. */
void routes_dispatch(struct connection *connection);
/* Most bytes of body that the request may have. */
uint64_t routes_body_limit(void *context, const struct http_request *request);

/* --- static_assets.c --- */

/* False when there is no such file of the page. */
bool static_assets_answer(struct connection *connection, const struct http_request *request);

/* --- ingest_route.c --- */

/* True for POST /api/v1/sources/{source}/events. */
bool ingest_route_matches(const struct http_request *request);
void ingest_route_answer(struct connection *connection, struct http_request *request);
/* Answers what the ingest thread has finished. */
void ingest_route_collect(struct server *server);

/* --- websocket_session.c --- */

/* Answers a handshake: refuses it, or turns the connection into a WebSocket. */
void websocket_session_upgrade(struct connection *connection, const struct http_request *request);
void websocket_session_destroy(struct connection *connection);
void websocket_session_take(struct connection *connection, const char *data, size_t size);
void websocket_session_flushed(struct connection *connection);
void websocket_session_timeout(struct connection *connection);
/* Starts the closing handshake. */
void websocket_session_close(struct connection *connection, uint16_t code, const char *reason);

/* --- api_bridge.c --- */

void api_bridge_create(struct server *server, const struct clock *clock);
void api_bridge_destroy(struct server *server);
/* False when the request is none of the API's. */
bool api_bridge_answer(struct connection *connection, const struct http_request *request);
void api_bridge_not_found(struct connection *connection, const struct http_request *request);
/* UINT32_MAX after having answered 404. */
uint32_t api_bridge_find_source(struct connection *connection, struct slice name);

/* --- hub_history.c --- */

/* hub_server_operations.read_history. */
bool hub_history_read(void *context, uint64_t ticket, uint64_t boot_id, uint64_t sequence, uint32_t limit);
/* Gives the hub the newest rows that the store has. Before the first turn. */
void hub_history_restore(struct server *server);

/* --- hub_bridge.c --- */

void hub_bridge_create(struct server *server);
void hub_bridge_destroy(struct server *server);
/* The records that left in this turn are written: into the latency ledger. */
void hub_bridge_note_latency(struct server *server);
