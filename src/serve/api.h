/* The HTTP API: every GET of docs/API.md. It knows requests and answers, no sockets. Quick answers (health, metrics, statistics,
 * lists of pipelines and sources) are made at once; what reads a database goes through the query thread and is answered later.
 *
 * One table (api_routes.c) is the dispatcher, the check of the query parameters, and /openapi.json. I/O thread unless said. */
#pragma once

#include "base/clock.h"
#include "config/config.h"
#include "monitor/health.h"
#include "monitor/stats.h"
#include "net/http_request.h"
#include "serve/query_thread.h"

enum {
    API_PAGE_MAX_SIZE =
        16 * 1024 * 1024, /* bytes of records in one answer; then the page ends early, with a cursor */
    API_SNAPSHOT_AGE_US = 10 * 1000, /* a snapshot of the statistics serves all requests for this long */
    API_RATE_SPAN_US = 2 * 1000000,  /* rates are means over one to two of these */
    API_EVENTS_SCAN_MAX_RECORDS =
        1000000, /* log records that one request looks at; then the answer says complete:false */
    API_EVENTS_SCAN_MAX_SIZE = 512 * 1024 * 1024, /* bytes of the same */
    API_FILTER_COUNT_MAX = 32,                    /* path filters of one request for events; more: 400 */
    API_FILTER_VALUES_MAX = 64,                   /* values of event_type=a,b,c; more: 400 */
    API_AGGREGATE_GROUPS_MAX = 10000,             /* buckets times groups of one answer; more: 400 */
    API_AGGREGATE_KEYS_MAX = 4,                   /* paths of group_by; more: 400 */
    API_HOURS_MAX = 24 * 366 * 100,               /* largest `hours` */
};

struct api;

struct api_options {
    const struct config *config; /* outlives the api, as everything here does */
    struct health *health;
    const struct clock *clock;
    struct query_thread *queries;
    /* Fills an initialised, empty snapshot: engine_snapshot(), then the hub's numbers (clients ... events_dropped). */
    void (*snapshot)(void *context, struct stats_snapshot *snapshot);
    /* Appends one JSON object per WebSocket client, comma-separated, for /api/v1/clients. NULL: none. */
    void (*write_clients)(void *context, struct buffer *out);
    void *context; /* handed back to both */
};

struct api *api_create(const struct api_options *options);
/* Every pending answer must have been collected (query_thread_stop). */
void api_destroy(struct api *api);

struct api_response {
    int status;
    const char *content_type; /* static */
    struct buffer headers; /* further header lines, each with its CRLF: Allow, Retry-After, Cache-Control */
    struct buffer body;    /* to HEAD as well: send its size, not its bytes */
};
/* `*response = (struct api_response){0}` is ready to be filled. */
void api_response_deinit(struct api_response *response);

enum api_outcome {
    API_ANSWERED, /* `response` is the answer, refusals (400, 404, 405, 503) included */
    API_PENDING,  /* `on_answer` will be called, from query_thread_collect() */
    API_PASSED, /* none of its paths: the page, an asset, POST /api/v1/sources/{s}/events. `response` is untouched */
};

/* Called once per pending request that was not cancelled. The callee takes the response over and deinits it. */
typedef void api_answer(void *context, struct api_response *response);

/* Handles a complete request. It keeps nothing of the request. HEAD is GET. Under /api, /health, /ready, /metrics and
 * /openapi.json every path is answered; the one exception is POST /api/v1/sources/{s}/events, which is passed for any {s} (other
 * methods on it: 405). With API_PENDING `*ticket` is the job that may be cancelled with query_job_cancel until `on_answer`
 * is called. */
NODISCARD
enum api_outcome api_handle(struct api *api, const struct http_request *request,
                            struct api_response *response, api_answer *on_answer, void *context,
                            struct query_job **ticket);

/* Fills the response with a problem document (RFC 9457), for the server's own refusals. Any thread. */
void api_problem(struct api_response *response, int status, const char *format, ...) PRINTF_LIKE(3, 4);
/* The 404 for a path that neither the API nor the page knows; suggests a near one. */
void api_not_found(struct api_response *response, const struct http_request *request);
/* Index of the source in config->sources, or UINT32_MAX and a 404 in `response` with a suggestion. */
uint32_t api_find_source(const struct api *api, struct slice name, struct api_response *response);

/* Once a second: keeps the snapshots that rates are made of. */
void api_tick(struct api *api);
/* `data.metrics` of the hub: one JSON object, the one of /api/v1/stats. */
void api_write_metrics(struct api *api, struct buffer *out);
/* `data.system` of the hub: the one of /health. */
void api_write_system_status(struct api *api, struct buffer *out);
