/* Between connections, the HTTP API and the query thread: requests in, answers out now or later, and what the API asks about the
 * server itself. See server_internal.h. */
#include <stdlib.h>

#include "base/memory.h"
#include "serve/server_internal.h"

/* A request that the query thread is working on. */
struct api_wait {
    struct pending_answer pending; /* first, so that it is found again */
    struct server *server;
    struct query_job *ticket;
};

static void send_response(struct connection *connection, struct api_response *response)
{
    struct http_answer answer = {
        .status = response->status,
        .content_type = response->content_type,
        .headers = response->headers,
        .body = response->body,
    };
    *response = (struct api_response){0};
    buffer_append_text(&answer.headers, "X-Content-Type-Options: nosniff\r\n");
    http_answer_send(connection, &answer);
}

static void answer_arrived(void *context, struct api_response *response)
{
    struct api_wait *wait = context;
    struct connection *connection = http_answer_arrived(wait->server, &wait->pending);
    send_response(connection, response);
    http_session_resume(connection);
    free(wait);
}

static void client_has_gone(struct pending_answer *pending)
{
    struct api_wait *wait = (struct api_wait *)pending;
    wait->server->pending_count--;
    query_job_cancel(wait->ticket);
    free(wait);
}

bool api_bridge_answer(struct connection *connection, const struct http_request *request)
{
    struct server *server = connection->server;
    struct api_response response = {0};
    struct api_wait *wait = memory_allocate(sizeof *wait);
    wait->server = server;
    wait->pending.client_gone = client_has_gone;
    enum api_outcome outcome =
        api_handle(server->api, request, &response, answer_arrived, wait, &wait->ticket);
    if (outcome == API_PENDING) {
        http_answer_later(connection, &wait->pending);
        return true;
    }
    free(wait);
    if (outcome == API_ANSWERED)
        send_response(connection, &response);
    return outcome == API_ANSWERED;
}

void api_bridge_not_found(struct connection *connection, const struct http_request *request)
{
    struct api_response response = {0};
    api_not_found(&response, request);
    send_response(connection, &response);
}

uint32_t api_bridge_find_source(struct connection *connection, struct slice name)
{
    struct api_response response = {0};
    uint32_t index = api_find_source(connection->server->api, name, &response);
    if (index == UINT32_MAX)
        send_response(connection, &response);
    return index;
}

static void fill_snapshot(void *context, struct stats_snapshot *snapshot)
{
    struct server *server = context;
    engine_snapshot(server->engine, snapshot);
    struct hub_statistics statistics = hub_statistics(server->hub);
    snapshot->clients = statistics.clients;
    snapshot->subscriptions = statistics.subscriptions;
    snapshot->deliveries = statistics.deliveries;
    snapshot->delivered_bytes = statistics.delivered_bytes;
    snapshot->slow_consumers = statistics.slow_consumers;
    snapshot->events_dropped = statistics.events_dropped;
}

/* Clients that were cut for being slow stay in sight for a minute. */
static void report_slow_consumers(struct server *server)
{
    uint64_t count = hub_statistics(server->hub).slow_consumers;
    int64_t now_us = server->loop.now_us;
    if (count > server->slow_consumers_told) {
        health_report(
            server->health, "clients", HEALTH_DEGRADED,
            "%llu WebSocket client%s too slow for the subscriptions and disconnected within the last minute",
            (unsigned long long)(count - server->slow_consumers_told),
            count - server->slow_consumers_told == 1 ? " was" : "s were");
        server->slow_consumers_told = count;
        server->slow_consumer_us = now_us;
    } else if (server->slow_consumer_us && now_us - server->slow_consumer_us > SERVER_SLOW_SHOWN_US) {
        health_report(server->health, "clients", HEALTH_OK, NULL);
        server->slow_consumer_us = 0;
    }
}

static void write_clients(void *context, struct buffer *out)
{
    const struct server *server = context;
    bool is_first = true;
    for (const struct connection *connection = server->connections; connection;
         connection = connection->next) {
        const struct websocket_session *session = connection->websocket;
        if (!session || !session->client)
            continue;
        buffer_append_text(out, is_first ? "{" : ",{");
        is_first = false;
        hub_client_describe(session->client, out);
        buffer_append_text(out, ",\"address\":");
        buffer_json_string(out, slice_of(connection->address));
        buffer_append_text(out, ",\"connected_at\":");
        buffer_json_int(out, session->connected_us / MICROSECONDS_PER_MILLISECOND);
        buffer_append_text(out, ",\"written_bytes\":");
        buffer_json_int(out, (int64_t)connection->outbox.written_size);
        buffer_append_char(out, '}');
    }
}

static void second_passed(struct timer *timer)
{
    struct server *server = (struct server *)(void *)((char *)timer - offsetof(struct server, api_timer));
    api_tick(server->api);
    report_slow_consumers(server);
    loop_set_timer(&server->loop, timer, server->loop.now_us + MICROSECONDS_PER_SECOND);
}

void api_bridge_create(struct server *server, const struct clock *clock)
{
    server->queries = query_thread_start(server->config, server->waker);
    server->api = api_create(&(struct api_options){
        .config = server->config,
        .health = server->health,
        .clock = clock,
        .queries = server->queries,
        .snapshot = fill_snapshot,
        .write_clients = write_clients,
        .context = server,
    });
    server->api_timer.fire = second_passed;
    loop_set_timer(&server->loop, &server->api_timer, server->loop.now_us);
}

void api_bridge_destroy(struct server *server)
{
    query_thread_stop(server->queries);
    api_destroy(server->api);
}
