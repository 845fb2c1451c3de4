/* A connected socket: bytes in to its session, frames out of its outbox. Nothing is written where it is produced; all
 * that a turn queued leaves together when the turn ends, so many small frames cost one system call. See server_internal.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "serve/server_internal.h"

static void update_interest(struct connection *connection)
{
    uint32_t interest =
        (connection->wants_read ? (uint32_t)EPOLLIN : 0) | (connection->wants_write ? (uint32_t)EPOLLOUT : 0);
    loop_change(&connection->server->loop, &connection->watch, interest);
}

void connection_set_reading(struct connection *connection, bool wants_read)
{
    connection->wants_read = wants_read;
    if (!connection->is_dead)
        update_interest(connection);
}

void connection_mark_dirty(struct connection *connection)
{
    if (connection->is_dirty || connection->is_dead)
        return;
    connection->is_dirty = true;
    connection->next_dirty = connection->server->dirty;
    connection->server->dirty = connection;
}

void connection_send(struct connection *connection, struct frame *frame)
{
    if (connection->is_dead) {
        frame_release(frame);
        return;
    }
    if (connection->outbox.size == 0)
        connection->progress_us = connection->server->loop.now_us;
    outbox_push(&connection->outbox, frame);
    connection_mark_dirty(connection);
}

void connection_send_buffer(struct connection *connection, struct buffer *bytes)
{
    connection_send(connection, frame_from_buffer(bytes));
}

void connection_set_deadline(struct connection *connection, int64_t deadline_us)
{
    connection->deadline_us = deadline_us;
    if (connection->is_dead)
        return;
    if (connection->timer.heap_place == 0 || connection->timer.due_us > deadline_us)
        loop_set_timer(&connection->server->loop, &connection->timer, deadline_us);
}

static void take_input(struct connection *connection, const char *data, size_t size)
{
    if (connection->http)
        http_session_take(connection, data, size);
    else
        websocket_session_take(connection, data, size);
}

static void read_socket(struct connection *connection)
{
    struct server *server = connection->server;
    ssize_t got = recv(connection->watch.descriptor, server->read_buffer, SERVER_READ_SIZE, MSG_DONTWAIT);
    if (got > 0)
        take_input(connection, server->read_buffer, (size_t)got);
    else if (got == 0 && connection->http)
        http_session_end_of_input(connection);
    else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        connection_close(connection);
}

static void socket_ready(struct loop_watch *watch, uint32_t events)
{
    struct connection *connection = (struct connection *)watch; /* its first member */
    if (connection->wants_read && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        read_socket(connection);
    else if (events & (EPOLLHUP | EPOLLERR))
        connection_close(connection);
    if (events & EPOLLOUT)
        connection_mark_dirty(connection);
}

static void deadline_passed(struct timer *timer)
{
    struct connection *connection =
        (struct connection *)(void *)((char *)timer - offsetof(struct connection, timer));
    if (connection->deadline_us > connection->server->loop.now_us) {
        loop_set_timer(&connection->server->loop, timer, connection->deadline_us);
        return;
    }
    if (connection->http)
        http_session_timeout(connection);
    else
        websocket_session_timeout(connection);
}

void connection_open(struct server *server, int descriptor, const char *address)
{
    struct connection *connection = memory_allocate(sizeof *connection);
    connection->server = server;
    connection->watch = (struct loop_watch){.descriptor = descriptor, .ready = socket_ready};
    connection->timer.fire = deadline_passed;
    connection->wants_read = true;
    connection->progress_us = server->loop.now_us;
    snprintf(connection->address, sizeof connection->address, "%s", address);
    connection->next = server->connections;
    if (server->connections)
        server->connections->previous = connection;
    server->connections = connection;
    loop_add(&server->loop, &connection->watch, EPOLLIN);
    http_session_open(connection);
}

void connection_close(struct connection *connection)
{
    struct server *server = connection->server;
    if (connection->is_dead)
        return;
    connection->is_dead = true;
    int descriptor = connection->watch.descriptor;
    loop_clear_timer(&server->loop, &connection->timer);
    loop_remove(&server->loop, &connection->watch);
    close(descriptor);
    if (connection->http)
        http_session_destroy(connection);
    if (connection->websocket)
        websocket_session_destroy(connection);
    outbox_deinit(&connection->outbox);
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        server->connections = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    connection->next_dead = server->dead;
    server->dead = connection;
}

static void flush(struct connection *connection)
{
    struct outbox *outbox = &connection->outbox;
    uint64_t written_before = outbox->written_size;
    enum status status = outbox_flush(outbox, connection->watch.descriptor);
    if (status == STATUS_CLOSED) {
        connection_close(connection);
        return;
    }
    if (outbox->written_size != written_before)
        connection->progress_us = connection->server->loop.now_us;
    connection->wants_write = status == STATUS_AGAIN;
    update_interest(connection);
    if (connection->http)
        http_session_flushed(connection);
    else
        websocket_session_flushed(connection);
}

void connections_flush(struct server *server)
{
    /* A flush may mark connections again (a next answer, room for the hub): these are written in the next turn. */
    struct connection *connection = server->dirty;
    server->dirty = NULL;
    while (connection) {
        struct connection *next = connection->next_dirty;
        connection->is_dirty = false;
        if (!connection->is_dead)
            flush(connection);
        connection = next;
    }
}

void connections_free_dead(struct server *server)
{
    while (server->dead) {
        struct connection *connection = server->dead;
        server->dead = connection->next_dead;
        free(connection);
    }
}
