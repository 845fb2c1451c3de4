/* POST /api/v1/sources/{source}/events: the body goes to the ingest thread, and the answer comes back when the events
 * are durable, or were refused. */
#include <stdlib.h>

#include "base/crash.h"
#include "base/memory.h"
#include "serve/server_internal.h"

/* A request at the ingest thread, with the connection that waits for it. */
struct ingest_job {
    struct ingest_request request;
    struct pending_answer pending;
};

bool ingest_route_matches(const struct http_request *request)
{
    return request->method == HTTP_POST && request->segment_count == 5 &&
           slice_equal_text(request->segments[0], "api") && slice_equal_text(request->segments[1], "v1") &&
           slice_equal_text(request->segments[2], "sources") &&
           slice_equal_text(request->segments[4], "events");
}

static void answer_pressure(struct connection *connection)
{
    http_answer_problem_with(connection, 429, "Retry-After: 1\r\n",
                             "events arrive faster than they can be stored; send these again later");
}

void ingest_route_answer(struct connection *connection, struct http_request *request)
{
    struct server *server = connection->server;
    const struct config *config = server->config;
    uint32_t source = api_bridge_find_source(connection, request->segments[3]);
    if (source == UINT32_MAX)
        return;
    if (config->sources[source].kind != SOURCE_HTTP || !server->ingest) {
        http_answer_problem(connection, 409,
                            "source \"%s\" takes no events by HTTP; only sources of kind http do",
                            config->sources[source].name);
        return;
    }
    struct ingest_job *job = memory_allocate(sizeof *job);
    job->request.source_index = source;
    job->request.body = request->body;
    job->request.received_us = server->loop.now_us;
    job->request.context = job;
    request->body = (struct buffer){0};
    if (!ingest_submit(server->ingest, &job->request)) {
        buffer_deinit(&job->request.body);
        free(job);
        answer_pressure(connection);
        return;
    }
    http_answer_later(connection, &job->pending);
}

static void answer_accepted(struct connection *connection, const struct ingest_request *request)
{
    struct http_answer answer = {.status = 202, .content_type = "application/json"};
    buffer_format(&answer.body, "{\"accepted\":%u,\"rejected\":%u,\"errors\":[", request->accepted,
                  request->rejected);
    for (uint32_t i = 0; i < request->error_count; i++) {
        buffer_format(&answer.body, "%s{\"index\":%u,\"reason\":", i ? "," : "", request->errors[i].index);
        const struct ingest_error *error = &request->errors[i];
        buffer_json_string(&answer.body, slice_of(error->reason));
        if (error->detail_size) {
            buffer_append_text(&answer.body, ",\"detail\":");
            buffer_json_string(&answer.body, (struct slice){request->details.data + error->detail_offset,
                                                            error->detail_size});
        }
        buffer_append_char(&answer.body, '}');
    }
    buffer_append_text(&answer.body, "]}\n");
    crash_point("reply_before_send");
    http_answer_send(connection, &answer);
}

static void answer_outcome(struct connection *connection, const struct ingest_request *request)
{
    switch (request->outcome) {
    case INGEST_ACCEPTED: answer_accepted(connection, request); break;
    case INGEST_BAD_BODY: http_answer_problem(connection, 400, "%s", request->message); break;
    case INGEST_PRESSURE: answer_pressure(connection); break;
    case INGEST_FAILED:
    case INGEST_PENDING:
        http_answer_problem_with(connection, 503, "Retry-After: 5\r\n", "%s", request->message);
        break;
    }
}

void ingest_route_collect(struct server *server)
{
    struct ingest_request *request;
    while (server->ingest && (request = ingest_collect(server->ingest))) {
        struct ingest_job *job = request->context;
        struct connection *connection = http_answer_arrived(server, &job->pending);
        if (connection) {
            answer_outcome(connection, request);
            http_session_resume(connection);
        }
        buffer_deinit(&request->body);
        buffer_deinit(&request->details);
        free(job);
    }
}
