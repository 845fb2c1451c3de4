/* New connections. When the process has no descriptor left, or every HTTP connection is busy, accepting pauses and the kernel's
 * backlog holds the rest: with a level-triggered loop, going on would spin. See server_internal.h. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/listener.h"
#include "serve/server_internal.h"

static struct server *server_of_timer(struct timer *timer)
{
    return (struct server *)(void *)((char *)timer - offsetof(struct server, accept_timer));
}

static struct server *server_of_watch(struct loop_watch *watch)
{
    return (struct server *)(void *)((char *)watch - offsetof(struct server, listener_watch));
}

static void pause_accepting(struct server *server)
{
    loop_change(&server->loop, &server->listener_watch, 0);
    loop_set_timer(&server->loop, &server->accept_timer, server->loop.now_us + SERVER_ACCEPT_PAUSE_US);
}

static void pause_is_over(struct timer *timer)
{
    struct server *server = server_of_timer(timer);
    if (server->listener_watch.descriptor >= 0)
        loop_change(&server->loop, &server->listener_watch, EPOLLIN);
}

static void report_shortage(struct server *server, int code)
{
    bool is_short = code != 0;
    int64_t now_us = server->loop.now_us;
    if (is_short)
        server->accept_short_us = now_us;
    /* One connection that got through does not end a shortage: the next may fail again. */
    bool is_lasting = !is_short && now_us - server->accept_short_us < SERVER_SHORTAGE_TIME_US;
    if (is_short == server->accept_is_short || is_lasting)
        return;
    server->accept_is_short = is_short;
    if (is_short)
        health_report(server->health, "server", HEALTH_DEGRADED,
                      "connections cannot be accepted: %s; raise the limit of open files (ulimit -n)",
                      strerror(code));
    else
        health_report(server->health, "server", HEALTH_OK, NULL);
}

/* Makes room by closing the connection that has been idle longest. False: all of them are busy. */
static bool close_idle_one(struct server *server)
{
    struct connection *oldest = NULL;
    for (struct connection *c = server->connections; c; c = c->next)
        if (http_session_is_idle(c) && (!oldest || c->http->heard_us < oldest->http->heard_us))
            oldest = c;
    if (oldest)
        connection_close(oldest);
    return oldest != NULL;
}

static void listener_ready(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    struct server *server = server_of_watch(watch);
    for (unsigned i = 0; i < SERVER_ACCEPTS_PER_TURN; i++) {
        if (server->http_count >= SERVER_HTTP_CONNECTIONS_MAX && !close_idle_one(server)) {
            pause_accepting(server);
            return;
        }
        char address[LISTENER_ADDRESS_SIZE];
        int descriptor = listener_accept(watch->descriptor, address);
        if (descriptor >= 0) {
            report_shortage(server, 0);
            connection_open(server, descriptor, address);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            report_shortage(server, errno);
            pause_accepting(server);
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        }
        /* Anything else is the fault of that one connection: it was gone before it was accepted. */
    }
}

void acceptor_start(struct server *server)
{
    server->listener_watch.ready = listener_ready;
    server->accept_timer.fire = pause_is_over;
    loop_add(&server->loop, &server->listener_watch, EPOLLIN);
    health_report(server->health, "server", HEALTH_OK, NULL);
}

void acceptor_stop(struct server *server)
{
    int descriptor = server->listener_watch.descriptor;
    if (descriptor < 0)
        return;
    loop_clear_timer(&server->loop, &server->accept_timer);
    loop_remove(&server->loop, &server->listener_watch);
    close(descriptor);
}
