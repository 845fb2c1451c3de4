/* The I/O thread. One turn: say that we may be woken, take what other threads have finished, let the hub hand out frames,
 * write everything, then sleep until a socket, a timer or a waker has something. Whoever pushes after the first step
 * finds the flag set and writes the eventfd, so nothing is slept through. See server.h. */
#include "serve/server.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/thread.h"
#include "net/listener.h"
#include "serve/server_internal.h"

static void waker_ready(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    struct server *server = (struct server *)(void *)((char *)watch - offsetof(struct server, waker_watch));
    waker_drain(server->waker);
}

enum status server_create(const struct server_options *options, struct server **out, struct error *error)
{
    const struct config_server *config = &options->config->server;
    int descriptor;
    uint16_t port;
    enum status status = listener_open(config->listen_host, config->listen_port, &descriptor, &port, error);
    if (status != STATUS_OK)
        return status;
    struct server *server = memory_allocate(sizeof *server);
    server->config = options->config;
    server->engine = options->engine;
    server->health = options->health;
    server->waker = options->io_waker;
    server->ingest = engine_ingest(options->engine);
    server->port = port;
    server->date_second = -1;
    server->read_buffer = memory_allocate(SERVER_READ_SIZE);
    loop_init(&server->loop, options->clock);
    server->listener_watch.descriptor = descriptor;
    server->waker_watch = (struct loop_watch){.descriptor = server->waker->descriptor, .ready = waker_ready};
    hub_bridge_create(server);
    hub_history_restore(server);
    api_bridge_create(server, options->clock);
    *out = server;
    return STATUS_OK;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

static void begin_stop(struct server *server)
{
    server->is_stopping = true;
    server->stop_deadline_us = server->loop.now_us + SERVER_STOP_TIME_US;
    acceptor_stop(server);
    for (struct connection *connection = server->connections, *next; connection; connection = next) {
        next = connection->next;
        if (connection->websocket)
            websocket_session_close(connection, WEBSOCKET_GOING_AWAY, "server is stopping");
        else
            http_session_stop(connection);
    }
}

static bool is_finished(const struct server *server)
{
    if (!server->is_stopping)
        return false;
    return (!server->connections && server->pending_count == 0) ||
           server->loop.now_us >= server->stop_deadline_us;
}

/* Everything but waiting. Returns how long there is nothing to do. */
static int64_t work(struct server *server)
{
    struct loop *loop = &server->loop;
    if (!server->is_stopping && atomic_load_explicit(&server->stop_wanted, memory_order_acquire))
        begin_stop(server);
    ingest_route_collect(server);
    query_thread_collect(server->queries);
    int64_t next_us = hub_turn(server->hub, loop->now_us, loop->wall_now_us);
    connections_flush(server);
    hub_bridge_note_latency(server);
    connections_free_dead(server);
    if (server->dirty || hub_wants_turn(server->hub))
        return 0;
    if (server->is_stopping && server->stop_deadline_us < next_us)
        next_us = server->stop_deadline_us;
    return next_us > loop->now_us ? next_us - loop->now_us : 0;
}

static void *run(void *context)
{
    struct server *server = context;
    loop_add(&server->loop, &server->waker_watch, EPOLLIN);
    acceptor_start(server);
    while (!is_finished(server)) {
        waker_prepare(server->waker);
        loop_turn(&server->loop, work(server));
        waker_cancel(server->waker);
    }
    acceptor_stop(server);
    while (server->connections)
        connection_close(server->connections);
    connections_free_dead(server);
    loop_remove(&server->loop, &server->waker_watch);
    return NULL;
}

void server_start(struct server *server)
{
    server->is_started = true;
    server->thread = thread_start("io", run, server);
}

void server_stop(struct server *server)
{
    if (!server->is_started)
        return;
    atomic_store_explicit(&server->stop_wanted, true, memory_order_release);
    waker_wake(server->waker);
    thread_join(server->thread);
    server->is_started = false;
}

void server_destroy(struct server *server)
{
    server_stop(server);
    if (server->listener_watch.descriptor >= 0)
        close(server->listener_watch.descriptor);
    api_bridge_destroy(server);
    hub_bridge_destroy(server);
    loop_deinit(&server->loop);
    free(server->read_buffer);
    free(server);
}
