/* One request through the table: find the route, check the parameters, answer now or hand over to the query thread.
 * Snapshots of the statistics are kept three at a time: the current one, and two older ones for rates. See api.h. */
#include "serve/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "net/http_response.h"
#include "serve/api_internal.h"

enum { PROBLEM_SIZE = 1024 };

struct api *api_create(const struct api_options *options)
{
    struct api *api = memory_allocate(sizeof *api);
    api->options = *options;
    for (size_t i = 0; i < 3; i++)
        stats_snapshot_init(&api->snapshots[i]);
    return api;
}

void api_destroy(struct api *api)
{
    for (size_t i = 0; i < 3; i++)
        stats_snapshot_deinit(&api->snapshots[i]);
    free(api);
}

/* --- statistics --- */

/* A snapshot that is neither of the two kept for rates. */
static struct stats_snapshot *spare_snapshot(struct api *api)
{
    struct stats_snapshot *snapshot = api->snapshots;
    while (snapshot == api->newer || snapshot == api->older)
        snapshot++;
    return snapshot;
}

const struct stats_snapshot *api_snapshot(struct api *api, const struct stats_snapshot **before)
{
    int64_t now_us = clock_monotonic_us(api->options.clock);
    if (!api->current || now_us - api->taken_us > API_SNAPSHOT_AGE_US) {
        if (api->newer && now_us - api->newer_us >= API_RATE_SPAN_US) {
            api->older = api->newer;
            api->newer = NULL;
        }
        api->current = spare_snapshot(api);
        stats_snapshot_deinit(api->current);
        stats_snapshot_init(api->current);
        api->options.snapshot(api->options.context, api->current);
        api->taken_us = now_us;
        if (!api->newer) {
            api->newer = api->current;
            api->newer_us = now_us;
        }
    }
    /* In the first seconds a rate over a shorter time is better than none, but over milliseconds it is noise. */
    bool newer_will_do = api->taken_us - api->newer_us >= API_RATE_SPAN_US / 4;
    if (before)
        *before = api->older ? api->older : newer_will_do ? api->newer : NULL;
    return api->current;
}

void api_tick(struct api *api)
{
    (void)api_snapshot(api, NULL);
}

void api_write_metrics(struct api *api, struct buffer *out)
{
    const struct stats_snapshot *before, *now = api_snapshot(api, &before);
    stats_write_json(out, now, before);
}

void api_write_system_status(struct api *api, struct buffer *out)
{
    health_write_json(api->options.health, out, api_snapshot(api, NULL)->uptime_us);
}

/* --- answers --- */

void api_response_deinit(struct api_response *response)
{
    buffer_deinit(&response->headers);
    buffer_deinit(&response->body);
    *response = (struct api_response){0};
}

void api_ok(struct api_response *response, const char *content_type)
{
    response->status = 200;
    response->content_type = content_type;
    buffer_append_text(&response->headers, "Cache-Control: no-store\r\n");
}

void api_problem(struct api_response *response, int status, const char *format, ...)
{
    char detail[PROBLEM_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    size_t kept = size < 0 ? 0 : (size_t)size < sizeof detail ? (size_t)size : sizeof detail - 1;
    response->status = status;
    response->content_type = HTTP_PROBLEM_TYPE;
    buffer_clear(&response->body);
    http_problem_write(&response->body, status, (struct slice){detail, kept});
}

void api_list_begin(struct api_response *response)
{
    api_ok(response, "application/json");
    buffer_append_text(&response->body, "{\"items\":[");
}

void api_list_end(struct api_response *response, struct slice next_cursor, const char *more)
{
    buffer_append_text(&response->body, "],\"next_cursor\":");
    if (next_cursor.size > 0)
        buffer_json_string(&response->body, next_cursor);
    else
        buffer_append_text(&response->body, "null");
    buffer_format(&response->body, "%s}\n", more);
}

void api_not_found(struct api_response *response, const struct http_request *request)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct slice path = request->path;
    const char *near = api_route_suggest(request, &arena);
    int shown = path.size < 200 ? (int)path.size : 200;
    if (near)
        api_problem(response, 404, "there is nothing at \"%.*s\", did you mean \"%s\"?", shown, path.data,
                    near);
    else
        api_problem(response, 404, "there is nothing at \"%.*s\"; /openapi.json lists what there is", shown,
                    path.data);
    arena_deinit(&arena);
}

/* --- requests --- */

/* No path has more than one route. */
static void refuse_method(const struct http_request *request, const struct api_route *route,
                          struct api_response *response)
{
    const char *allowed = strcmp(route->method, "GET") == 0 ? "GET, HEAD" : route->method;
    api_problem(response, 405, "%s does not work on this path; use %s", http_method_str(request->method),
                allowed);
    buffer_format(&response->headers, "Allow: %s\r\n", allowed);
}

static enum api_outcome run_route(struct api *api, const struct api_route *route, struct api_query *query,
                                  struct api_response *response, api_answer *on_answer, void *context,
                                  struct query_job **ticket)
{
    if (route->answer) {
        route->answer(api, query, response);
        api_query_deinit(query);
        return API_ANSWERED;
    }
    if (route->check && !route->check(api, query, response)) {
        api_query_deinit(query);
        return API_ANSWERED;
    }
    if (api_job_submit(api->options.queries, api->options.config, query, on_answer, context, ticket))
        return API_PENDING;
    api_problem(response, 503, "%d queries are under way already; try again in a second",
                QUERY_QUEUE_CAPACITY);
    buffer_append_text(&response->headers, "Retry-After: 1\r\n");
    return API_ANSWERED;
}

enum api_outcome api_handle(struct api *api, const struct http_request *request,
                            struct api_response *response, api_answer *on_answer, void *context,
                            struct query_job **ticket)
{
    if (!api_owns_path(request))
        return API_PASSED;
    struct slice value;
    const char *method = request->method == HTTP_HEAD ? "GET" : http_method_str(request->method);
    const struct api_route *route = api_route_find(request, &value);
    if (!route) {
        api_not_found(response, request);
        return API_ANSWERED;
    }
    if (strcmp(route->method, method) != 0) {
        refuse_method(request, route, response);
        return API_ANSWERED;
    }
    if (!route->answer && !route->run)
        return API_PASSED;
    struct api_query query;
    if (!api_query_init(&query, api, route, request, value, response)) {
        api_query_deinit(&query);
        return API_ANSWERED;
    }
    return run_route(api, route, &query, response, on_answer, context, ticket);
}
