/* The table of routes: dispatcher, check of parameters and OpenAPI description are all made from it, so they cannot
 * disagree. A new endpoint is a row here and its handler. */
#include <string.h>

#include "config/options.h"
#include "serve/api_internal.h"

#define LIST_OF(item)                                                                                              \
    "{\"type\":\"object\",\"required\":[\"items\",\"next_cursor\"],\"properties\":{\"items\":{\"type\":\"array\"," \
    "\"items\":" item "},\"next_cursor\":{\"type\":[\"string\",\"null\"]}}}"
#define REFERENCE(name) "{\"$ref\":\"#/components/schemas/" name "\"}"
#define JSON            "application/json"
#define OBJECT          "{\"type\":\"object\"}"

#define LIMIT(fallback_, most_)                                                               \
    {                                                                                         \
        .name = "limit", .kind = API_COUNT, .fallback = fallback_, .least = 1, .most = most_, \
        .help = "items per page"                                                              \
    }
#define CURSOR                                                                       \
    {                                                                                \
        .name = "cursor", .kind = API_TEXT, .help = "next_cursor of the page before" \
    }
#define HOURS                                                                         \
    {                                                                                 \
        .name = "hours", .kind = API_NUMBER, .fallback = "24", .most = API_HOURS_MAX, \
        .help = "how far to look back, by event time"                                 \
    }
#define SOURCE                                                           \
    {                                                                    \
        .name = "source", .kind = API_SOURCE, .help = "only this source" \
    }

const struct api_route api_routes[] = {
    {.path = "/api/v1/sources/{source}/events",
     .method = "POST",
     .id = "postEvents",
     .summary = "Takes events: one JSON object, NDJSON, or an array; durable before the answer",
     .content_type = JSON,
     .schema = REFERENCE("Accepted")},
    {.path = "/api/v1/results/{pipeline}",
     .method = "GET",
     .id = "getResults",
     .summary = "Stored results of a pipeline, newest window first",
     .filters = API_KEY_FILTERS,
     .parameters = {{.name = "from", .kind = API_TIME, .help = "first window start"},
                    {.name = "to", .kind = API_TIME, .help = "window starts before this"},
                    LIMIT("100", STORE_PAGE_MAX_ROWS),
                    CURSOR},
     .check = api_check_results,
     .run = api_run_results,
     .content_type = JSON,
     .schema = LIST_OF(REFERENCE("Result"))},
    {.path = "/api/v1/events",
     .method = "GET",
     .id = "getEvents",
     .summary = "Events of http sources, newest event time first",
     .filters = API_PATH_FILTERS,
     .parameters = {SOURCE,
                    {.name = "event_type", .kind = API_TEXTS, .help = "event_type is one of these"},
                    {.name = "user_id", .kind = API_TEXT, .help = "user_id is this"},
                    HOURS,
                    LIMIT("10000", STORE_PAGE_MAX_ROWS),
                    CURSOR},
     .check = api_check_events,
     .run = api_run_events,
     .content_type = JSON,
     .schema = LIST_OF(REFERENCE("Event"))},
    {.path = "/api/v1/aggregate",
     .method = "GET",
     .id = "getAggregate",
     .summary = "One number of the events of http sources, in buckets of event time",
     .filters = API_PATH_FILTERS,
     .parameters = {SOURCE,
                    {.name = "metric", .kind = API_PATH, .is_required = true, .help = "path of the number"},
                    {.name = "bucket", .kind = API_DURATION, .fallback = "5m", .help = "size of a bucket"},
                    {.name = "group_by",
                     .kind = API_PATHS,
                     .help = "one row per bucket and value of these paths"},
                    {.name = "event_type", .kind = API_TEXTS, .help = "event_type is one of these"},
                    HOURS},
     .check = api_check_aggregate,
     .run = api_run_aggregate,
     .content_type = JSON,
     .schema = LIST_OF(REFERENCE("Bucket"))},
    {.path = "/api/v1/dead-letters",
     .method = "GET",
     .id = "getDeadLetters",
     .summary = "Bad and too-late events with their original bytes, newest first",
     .parameters = {SOURCE,
                    {.name = "reason", .kind = API_REASON, .help = "only this reason"},
                    LIMIT("100", STORE_PAGE_MAX_ROWS),
                    CURSOR},
     .run = api_run_dead_letters,
     .content_type = JSON,
     .schema = LIST_OF(REFERENCE("DeadLetter"))},
    {.path = "/api/v1/pipelines",
     .method = "GET",
     .id = "getPipelines",
     .summary = "All pipelines",
     .answer = api_answer_pipelines,
     .content_type = JSON,
     .schema = LIST_OF(REFERENCE("Pipeline"))},
    {.path = "/api/v1/pipelines/{pipeline}",
     .method = "GET",
     .id = "getPipeline",
     .summary = "One pipeline",
     .answer = api_answer_pipeline,
     .content_type = JSON,
     .schema = REFERENCE("Pipeline")},
    {.path = "/api/v1/sources",
     .method = "GET",
     .id = "getSources",
     .summary = "All sources",
     .answer = api_answer_sources,
     .content_type = JSON,
     .schema = LIST_OF(REFERENCE("Source"))},
    {.path = "/api/v1/sources/{source}",
     .method = "GET",
     .id = "getSource",
     .summary = "One source: its counters and partitions",
     .answer = api_answer_source,
     .content_type = JSON,
     .schema = REFERENCE("Source")},
    {.path = "/api/v1/clients",
     .method = "GET",
     .id = "getClients",
     .summary = "WebSocket clients",
     .answer = api_answer_clients,
     .content_type = JSON,
     .schema = LIST_OF(OBJECT)},
    {.path = "/api/v1/alerts",
     .method = "GET",
     .id = "getAlerts",
     .summary = "Alerts that are firing",
     .answer = api_answer_alerts,
     .content_type = JSON,
     .schema = LIST_OF(OBJECT)},
    {.path = "/api/v1/stats",
     .method = "GET",
     .id = "getStats",
     .summary = "Counters, rates and latencies as JSON",
     .answer = api_answer_stats,
     .content_type = JSON,
     .schema = OBJECT},
    {.path = "/health",
     .method = "GET",
     .id = "getHealth",
     .summary = "The process lives; how its components are",
     .answer = api_answer_health,
     .content_type = JSON,
     .schema = REFERENCE("Health")},
    {.path = "/health/{component}",
     .method = "GET",
     .id = "getHealthOfComponent",
     .summary = "One component; 503 while it is down",
     .answer = api_answer_component,
     .content_type = JSON,
     .schema = REFERENCE("ComponentHealth")},
    {.path = "/ready",
     .method = "GET",
     .id = "getReady",
     .summary = "200 when recovered and serving, else 503",
     .answer = api_answer_ready,
     .content_type = JSON,
     .schema = OBJECT},
    {.path = "/metrics",
     .method = "GET",
     .id = "getMetrics",
     .summary = "Prometheus text, or OpenMetrics when the Accept header prefers it",
     .answer = api_answer_metrics,
     .content_type = "text/plain; version=0.0.4; charset=utf-8"},
    {.path = "/openapi.json",
     .method = "GET",
     .id = "getOpenapi",
     .summary = "This description",
     .answer = api_answer_openapi,
     .content_type = JSON,
     .schema = OBJECT},
};
const uint32_t api_route_count = sizeof api_routes / sizeof *api_routes;

/* Cuts the next part off a route's path: "/a/{b}" gives "a", then "{b}". */
static struct slice next_part(const char **path)
{
    const char *start = *path + 1;
    size_t size = strcspn(start, "/");
    *path = start + size;
    return (struct slice){start, size};
}

static bool matches(const struct api_route *route, const struct http_request *request, struct slice *value)
{
    const char *rest = route->path;
    uint32_t i = 0;
    *value = (struct slice){0};
    for (; *rest && i < request->segment_count && i < HTTP_SEGMENT_COUNT_MAX; i++) {
        struct slice part = next_part(&rest);
        if (part.data[0] == '{') {
            if (request->segments[i].size == 0)
                return false;
            *value = request->segments[i];
        } else if (!slice_equal(part, request->segments[i])) {
            return false;
        }
    }
    return !*rest && i == request->segment_count;
}

const struct api_route *api_route_find(const struct http_request *request, struct slice *value)
{
    for (uint32_t i = 0; i < api_route_count; i++)
        if (matches(&api_routes[i], request, value))
            return &api_routes[i];
    return NULL;
}

bool api_owns_path(const struct http_request *request)
{
    static const char *const roots[] = {"api", "health", "ready", "metrics", "openapi.json"};
    for (size_t i = 0; request->segment_count > 0 && i < sizeof roots / sizeof *roots; i++)
        if (slice_equal_text(request->segments[0], roots[i]))
            return true;
    return false;
}

/* The route's path with what the request has in place of {...}, so that only the fixed parts are compared. */
static const char *filled_path(struct arena *arena, const struct api_route *route,
                               const struct http_request *request)
{
    const char *path = "", *rest = route->path;
    for (uint32_t i = 0; *rest; i++) {
        struct slice part = next_part(&rest);
        if (part.data[0] == '{' && i < request->segment_count && i < HTTP_SEGMENT_COUNT_MAX)
            part = request->segments[i];
        path = arena_format(arena, "%s/%.*s", path, SLICE_ARG(part));
    }
    return path;
}

const char *api_route_suggest(const struct http_request *request, struct arena *arena)
{
    const char *path = "";
    for (uint32_t i = 0; i < request->segment_count && i < HTTP_SEGMENT_COUNT_MAX; i++)
        path = arena_format(arena, "%s/%.*s", path, SLICE_ARG(request->segments[i]));
    const char **candidates = arena_allocate(arena, api_route_count * sizeof *candidates);
    for (uint32_t i = 0; i < api_route_count; i++)
        candidates[i] = filled_path(arena, &api_routes[i], request);
    return suggest(path, candidates, api_route_count);
}
