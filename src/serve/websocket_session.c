/* A WebSocket on a connection: frames in become messages for the hub, the hub's frames go out as they are. The session keeps
 * the rules of the protocol (close handshake, pings, capacity, origins); what messages mean is the hub's. A client
 * that does not read is not read from either once its queue is full. See server_internal.h. */
#include <stdlib.h>

#include "base/memory.h"
#include "serve/server_internal.h"

static void update_deadline(struct connection *connection)
{
    const struct websocket_session *session = connection->websocket;
    if (!session->close_sent)
        connection_set_deadline(connection, session->ping_us ? session->ping_us + SERVER_PONG_TIME_US
                                                             : session->heard_us + SERVER_PING_QUIET_US);
}

/* Queues the close frame; from here on nothing but the other side's close frame matters. */
static void send_close(struct connection *connection, uint16_t code, const char *reason)
{
    struct websocket_session *session = connection->websocket;
    if (session->close_sent)
        return;
    connection_send(connection, websocket_close_frame(code, reason));
    session->close_sent = true;
    connection_set_reading(connection, true);
    connection_set_deadline(connection, connection->server->loop.now_us + SERVER_CLOSE_TIME_US);
}

static void destroy_client(struct websocket_session *session)
{
    if (session->client)
        hub_client_destroy(session->client);
    session->client = NULL;
}

void websocket_session_close(struct connection *connection, uint16_t code, const char *reason)
{
    destroy_client(connection->websocket);
    send_close(connection, code, reason);
}

/* --- what the hub asks of a connection --- */

static void hub_sends(void *context, struct frame *frame)
{
    struct connection *connection = context;
    if (connection->websocket->close_sent)
        frame_release(frame);
    else
        connection_send(connection, frame);
}

static size_t hub_asks_queue(const void *context)
{
    const struct connection *connection = context;
    return connection->outbox.size;
}

static void hub_closes(void *context, uint16_t code, const char *reason)
{
    struct connection *connection = context;
    /* What waits is given up, so that the close frame has a chance; but the answer to the handshake is not. */
    if (connection->outbox.written_size > 0)
        outbox_clear(&connection->outbox);
    send_close(connection, code, reason);
}

static const struct hub_connection_operations hub_operations = {
    .send = hub_sends,
    .queued_size = hub_asks_queue,
    .close = hub_closes,
};

/* --- what the client sends --- */

static void text_arrived(void *context, struct slice message)
{
    struct connection *connection = context;
    struct websocket_session *session = connection->websocket;
    const struct loop *loop = &connection->server->loop;
    if (session->client && !session->close_sent)
        hub_client_message(session->client, message, loop->now_us, loop->wall_now_us);
}

static void control_arrived(void *context, enum websocket_opcode opcode, struct slice payload)
{
    struct connection *connection = context;
    /* Who pings without reading gets no more pongs than the queue has room for. */
    bool has_room = connection->outbox.size < connection->server->config->server.client_queue_size;
    if (opcode == WEBSOCKET_PING && has_room && !connection->websocket->close_sent)
        connection_send(connection, websocket_control_frame(WEBSOCKET_PONG, payload));
}

static void close_arrived(void *context, uint16_t code)
{
    struct connection *connection = context;
    connection->websocket->close_received = true;
    websocket_session_close(connection, code, "");
    connection_mark_dirty(connection);
}

static const struct websocket_handler handler = {
    .text = text_arrived,
    .control = control_arrived,
    .close = close_arrived,
};

void websocket_session_take(struct connection *connection, const char *data, size_t size)
{
    struct websocket_session *session = connection->websocket;
    session->heard_us = connection->server->loop.now_us;
    session->ping_us = 0;
    const char *reason;
    uint16_t code = websocket_reader_feed(&session->reader, data, size, &handler, connection, &reason);
    if (code)
        websocket_session_close(connection, code, reason);
    update_deadline(connection);
}

void websocket_session_flushed(struct connection *connection)
{
    struct websocket_session *session = connection->websocket;
    if (session->close_sent && session->close_received && connection->outbox.size == 0) {
        connection_close(connection);
        return;
    }
    if (session->client && !session->close_sent)
        hub_client_drained(session->client);
    bool has_room = connection->outbox.size <= connection->server->config->server.client_queue_size;
    if (has_room != connection->wants_read)
        connection_set_reading(connection, has_room || session->close_sent);
}

void websocket_session_timeout(struct connection *connection)
{
    struct websocket_session *session = connection->websocket;
    const struct outbox *outbox = &connection->outbox;
    int64_t now_us = connection->server->loop.now_us;
    if (session->close_sent) {
        connection_close(connection);
        return;
    }
    if (!session->ping_us) {
        connection_send(connection, websocket_control_frame(WEBSOCKET_PING, (struct slice){0}));
    } else if (outbox->size == 0 || outbox->written_size == session->written_at_ping) {
        websocket_session_close(connection, WEBSOCKET_INTERNAL, "ping was not answered");
        return;
    }
    /* A ping behind a long queue is not late while the queue moves: the other side lives. */
    session->ping_us = now_us;
    session->written_at_ping = outbox->written_size;
    update_deadline(connection);
}

void websocket_session_destroy(struct connection *connection)
{
    struct websocket_session *session = connection->websocket;
    destroy_client(session);
    if (session->is_counted)
        connection->server->websocket_count--;
    websocket_reader_deinit(&session->reader);
    free(session);
    connection->websocket = NULL;
}

/* --- the handshake --- */

static void send_switch(struct connection *connection, const struct http_request *request)
{
    char accept[WEBSOCKET_ACCEPT_SIZE], date[HTTP_DATE_SIZE];
    http_date(connection->server->loop.wall_now_us, date);
    websocket_accept_key(http_request_header(request, "sec-websocket-key"), accept);
    struct buffer lines = {0}, bytes = {0};
    buffer_format(&lines, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
                  accept);
    http_head_write(&bytes,
                    &(struct http_head){.status = 101, .date = date, .headers = buffer_slice(&lines)});
    buffer_deinit(&lines);
    connection_send_buffer(connection, &bytes);
}

void websocket_session_upgrade(struct connection *connection, const struct http_request *request)
{
    struct server *server = connection->server;
    const struct config_server *config = &server->config->server;
    const char *detail = NULL;
    int status = websocket_check_handshake(request, &detail);
    if (status) {
        const char *lines =
            status == 405 ? "Allow: GET\r\n" : "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        http_answer_problem_with(connection, status, lines, "%s", detail);
        return;
    }
    bool origin_allowed =
        websocket_origin_allowed(request, config->allowed_origins, config->allowed_origin_count);
    send_switch(connection, request);
    http_session_destroy(connection);

    struct websocket_session *session = memory_allocate(sizeof *session);
    session->heard_us = server->loop.now_us;
    session->connected_us = server->loop.wall_now_us;
    connection->websocket = session;
    connection_set_reading(connection, true);
    if (!origin_allowed) {
        send_close(connection, WEBSOCKET_POLICY, "Origin not allowed");
    } else if (server->websocket_count >= config->max_connections) {
        send_close(connection, WEBSOCKET_TRY_AGAIN, "too many connections");
    } else if (server->is_stopping) {
        send_close(connection, WEBSOCKET_GOING_AWAY, "server is stopping");
    } else {
        session->is_counted = true;
        server->websocket_count++;
        session->client = hub_client_create(server->hub, &hub_operations, connection);
        update_deadline(connection);
    }
}
