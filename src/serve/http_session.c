/* HTTP/1.1 on one connection: requests are read, dispatched and answered one after the other. What a client sends ahead
 * (pipelining) waits in one bounded buffer until the answer before it is queued, and nothing is read from its socket
 * meanwhile. A refusal closes politely: the answer is sent, then what still arrives is thrown away for a while, because
 * closing over unread bytes would make the kernel drop the answer with them. See server_internal.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "serve/server_internal.h"

enum { COPIED_BODY_SIZE_MAX = 16 * 1024, DETAIL_SIZE_MAX = 512 };

static bool is_shut(const struct connection *connection)
{
    return connection->http->is_over && connection->outbox.size == 0;
}

static void update_deadline(struct connection *connection)
{
    const struct http_session *session = connection->http;
    const struct http_reader *reader = &session->reader;
    int64_t deadline_us;
    if (connection->outbox.size > 0)
        deadline_us = connection->progress_us + SERVER_STALL_TIME_US;
    else if (session->is_over)
        deadline_us = connection->progress_us + SERVER_LINGER_TIME_US;
    else if (session->pending)
        deadline_us = INT64_MAX;
    else if (!reader->has_begun)
        deadline_us = session->heard_us + SERVER_IDLE_TIME_US;
    else if (!reader->head_complete)
        deadline_us = session->begun_us + SERVER_HEAD_TIME_US;
    else if (session->heard_us + SERVER_BODY_QUIET_US < session->begun_us + SERVER_BODY_TIME_US)
        deadline_us = session->heard_us + SERVER_BODY_QUIET_US;
    else
        deadline_us = session->begun_us + SERVER_BODY_TIME_US;
    connection_set_deadline(connection, deadline_us);
}

void http_session_open(struct connection *connection)
{
    struct http_session *session = memory_allocate(sizeof *session);
    http_reader_init(&session->reader, routes_body_limit, connection);
    session->heard_us = connection->server->loop.now_us;
    connection->http = session;
    connection->server->http_count++;
    update_deadline(connection);
}

static void uncount_body(struct connection *connection)
{
    connection->server->bodies_size -= connection->http->counted_body_size;
    connection->http->counted_body_size = 0;
}

void http_session_destroy(struct connection *connection)
{
    struct http_session *session = connection->http;
    uncount_body(connection);
    struct pending_answer *pending = session->pending;
    if (pending) {
        pending->connection = NULL;
        if (pending->client_gone)
            pending->client_gone(pending);
    }
    http_reader_deinit(&session->reader);
    buffer_deinit(&session->leftover);
    free(session);
    connection->http = NULL;
    connection->server->http_count--;
}

bool http_session_is_idle(const struct connection *connection)
{
    const struct http_session *session = connection->http;
    return session && !session->pending && !session->reader.has_begun && connection->outbox.size == 0;
}

static const char *date_now(struct server *server)
{
    int64_t second = server->loop.wall_now_us / MICROSECONDS_PER_SECOND;
    if (second != server->date_second) {
        http_date(server->loop.wall_now_us, server->date);
        server->date_second = second;
    }
    return server->date;
}

static void send_body(struct connection *connection, struct buffer *head, struct http_answer *answer)
{
    if (answer->fixed) {
        connection_send_buffer(connection, head);
        connection_send(connection, frame_borrow(answer->fixed, answer->fixed_size));
    } else if (answer->body.size <= COPIED_BODY_SIZE_MAX) {
        buffer_append_slice(head, buffer_slice(&answer->body));
        connection_send_buffer(connection, head);
    } else {
        connection_send_buffer(connection, head);
        connection_send_buffer(connection, &answer->body);
    }
}

void http_answer_send(struct connection *connection, struct http_answer *answer)
{
    struct http_session *session = connection->http;
    struct http_reader *reader = &session->reader;
    bool is_refused = !reader->is_complete;
    bool keep_alive = !is_refused && reader->request.keep_alive && !connection->server->is_stopping;
    struct http_head head = {
        .status = answer->status,
        .date = date_now(connection->server),
        .content_type = answer->content_type,
        .content_length = answer->fixed ? answer->fixed_size : answer->body.size,
        .headers = buffer_slice(&answer->headers),
        .keep_alive = keep_alive,
        .is_http_1_0 = reader->parser.http_major == 1 && reader->parser.http_minor == 0,
    };
    struct buffer bytes = {0};
    http_head_write(&bytes, &head);
    if (reader->head_complete && reader->request.method == HTTP_HEAD)
        connection_send_buffer(connection, &bytes);
    else
        send_body(connection, &bytes, answer);
    buffer_deinit(&answer->headers);
    buffer_deinit(&answer->body);
    uncount_body(connection);
    session->heard_us = connection->server->loop.now_us;
    session->is_over = !keep_alive;
    http_reader_reset(reader);
}

PRINTF_LIKE(4, 0)
static void send_problem(struct connection *connection, int status, const char *header_line,
                         const char *format, va_list arguments)
{
    char detail[DETAIL_SIZE_MAX];
    vsnprintf(detail, sizeof detail, format, arguments);
    struct http_answer answer = {.status = status, .content_type = HTTP_PROBLEM_TYPE};
    buffer_append_text(&answer.headers, "X-Content-Type-Options: nosniff\r\n");
    if (header_line)
        buffer_append_text(&answer.headers, header_line);
    http_problem_write(&answer.body, status, slice_of(detail));
    http_answer_send(connection, &answer);
}

void http_answer_problem(struct connection *connection, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send_problem(connection, status, NULL, format, arguments);
    va_end(arguments);
}

void http_answer_problem_with(struct connection *connection, int status, const char *header_line,
                              const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send_problem(connection, status, header_line, format, arguments);
    va_end(arguments);
}

void http_answer_later(struct connection *connection, struct pending_answer *pending)
{
    pending->connection = connection;
    connection->http->pending = pending;
    connection->server->pending_count++;
    uncount_body(connection);
}

struct connection *http_answer_arrived(struct server *server, struct pending_answer *pending)
{
    server->pending_count--;
    if (pending->connection)
        pending->connection->http->pending = NULL;
    return pending->connection;
}

static void send_continue(struct connection *connection)
{
    static const char go[] = "HTTP/1.1 100 Continue\r\n\r\n";
    connection->http->reader.wants_continue = false;
    if (connection->http->reader.request.body.size == 0)
        connection_send(connection, frame_borrow(go, sizeof go - 1));
}

/* Keeps the sum of all bodies under its limit. False: this one was refused. */
static bool count_body(struct connection *connection)
{
    struct server *server = connection->server;
    struct http_session *session = connection->http;
    size_t size = session->reader.request.body.size;
    server->bodies_size += size - session->counted_body_size;
    session->counted_body_size = size;
    if (session->reader.is_complete || server->bodies_size <= SERVER_BODIES_SIZE_MAX)
        return true;
    http_answer_problem_with(connection, 429, "Retry-After: 1\r\n",
                             "too many large requests are being received at once; send this again later");
    return false;
}

/* Feeds the reader until the request is complete, refused, or short of bytes; then does what follows from it.
 * Returns how many bytes it took. The session may be another one, or gone, afterwards. */
static size_t advance(struct connection *connection, const char *data, size_t size)
{
    struct http_session *session = connection->http;
    struct http_reader *reader = &session->reader;
    if (!reader->has_begun)
        session->begun_us = connection->server->loop.now_us;
    size_t taken = http_reader_feed(reader, data, size);
    if (reader->error_status)
        http_answer_problem(connection, reader->error_status, "%s", reader->error_detail);
    else if (!count_body(connection))
        return taken;
    else if (reader->is_complete)
        routes_dispatch(connection);
    else if (reader->head_complete && reader->wants_continue)
        send_continue(connection);
    return taken;
}

static bool takes_next(const struct connection *connection)
{
    const struct http_session *session = connection->http;
    return session && !connection->is_dead && !session->pending && !session->is_over &&
           connection->outbox.size <= SERVER_ANSWERS_SIZE_MAX;
}

static void discard(struct connection *connection, size_t size)
{
    struct http_session *session = connection->http;
    session->discarded_size += size;
    if (session->discarded_size > SERVER_DISCARD_SIZE_MAX)
        connection_close(connection);
}

void http_session_take(struct connection *connection, const char *data, size_t size)
{
    connection->http->heard_us = connection->server->loop.now_us;
    while (size > 0 && takes_next(connection)) {
        size_t taken = advance(connection, data, size);
        data += taken;
        size -= taken;
    }
    if (connection->is_dead)
        return;
    if (connection->websocket) {
        if (size > 0)
            websocket_session_take(connection, data, size);
        return;
    }
    struct http_session *session = connection->http;
    if (session->is_over)
        discard(connection, size);
    else if (size > 0)
        buffer_append(&session->leftover, data, size);
    if (connection->is_dead)
        return;
    connection_set_reading(connection,
                           session->is_over || (!session->pending && session->leftover.size == 0));
    update_deadline(connection);
}

void http_session_resume(struct connection *connection)
{
    struct buffer leftover = connection->http->leftover;
    connection->http->leftover = (struct buffer){0};
    http_session_take(connection, leftover.data, leftover.size);
    buffer_deinit(&leftover);
}

void http_session_end_of_input(struct connection *connection)
{
    if (connection->outbox.size == 0) {
        connection_close(connection);
        return;
    }
    connection->http->is_over = true; /* what is queued still goes out */
    connection_set_reading(connection, false);
}

void http_session_flushed(struct connection *connection)
{
    struct http_session *session = connection->http;
    if (is_shut(connection)) {
        bool can_read = connection->wants_read;
        if (!can_read || connection->server->is_stopping ||
            shutdown(connection->watch.descriptor, SHUT_WR) != 0)
            connection_close(connection);
        else
            update_deadline(connection);
        return;
    }
    if (session->leftover.size > 0 && takes_next(connection))
        http_session_resume(connection);
    else
        update_deadline(connection);
}

void http_session_timeout(struct connection *connection)
{
    struct http_session *session = connection->http;
    if (connection->outbox.size > 0 || session->is_over || !session->reader.has_begun) {
        connection_close(connection);
        return;
    }
    http_answer_problem(connection, 408, "the request did not arrive in time");
    connection_set_reading(connection, true);
    update_deadline(connection);
}

void http_session_stop(struct connection *connection)
{
    if (http_session_is_idle(connection) || is_shut(connection))
        connection_close(connection);
}
