/* What the files of the API share: the table of routes, a request as checked against it, and a request that waits for
 * the query thread. */
#pragma once

#include "serve/api.h"

enum { API_ROUTE_PARAMETER_COUNT = 8 };

/* --- the table (api_routes.c) --- */

enum api_parameter_kind {
    API_COUNT,    /* a whole number, least to most */
    API_NUMBER,   /* a number above 0, at most `most` */
    API_TIME,     /* epoch milliseconds or ISO-8601 */
    API_DURATION, /* 250ms, 5m, 1h */
    API_TEXT,
    API_TEXTS,  /* separated by commas */
    API_SOURCE, /* name of a source */
    API_REASON, /* why an event is a dead letter */
    API_PATH,   /* dotted path into an event */
    API_PATHS,  /* separated by commas */
};

struct api_parameter {
    const char *name;
    enum api_parameter_kind kind;
    const char *fallback; /* as it would be written; NULL: none */
    int64_t least, most;  /* API_COUNT, API_NUMBER */
    bool is_required;
    const char *help;
};

/* Further parameters, whose names are not known beforehand. */
enum api_filters {
    API_NO_FILTERS,
    API_KEY_FILTERS,  /* key.NAME=value */
    API_PATH_FILTERS, /* any path of the event=value */
};

struct api_query;
struct api_job;

struct api_route {
    const char *path;   /* "/api/v1/results/{pipeline}" */
    const char *method; /* "GET", also answers HEAD; "POST": passed to the server */
    const char *id, *summary;
    enum api_filters filters;
    struct api_parameter parameters[API_ROUTE_PARAMETER_COUNT];
    /* Either `answer` makes the response at once, or `check` may refuse (false: `response` is filled), then `run` makes it on the query thread. */
    void (*answer)(struct api *api, const struct api_query *query, struct api_response *response);
    bool (*check)(struct api *api, struct api_query *query, struct api_response *response);
    void (*run)(struct api_job *job, struct query_tools *tools);
    const char *content_type; /* of the answer with status 200 */
    const char *schema;       /* JSON Schema of it; NULL: text */
};

extern const struct api_route api_routes[];
extern const uint32_t api_route_count;

/* The route of this path, whatever the method, or NULL; no two routes share a path. `*value` is what stands for {...},
 * with NULL data when there is none. */
const struct api_route *api_route_find(const struct http_request *request, struct slice *value);
/* True for the paths under which everything is the API's to answer. */
bool api_owns_path(const struct http_request *request);
/* The path of a route that is spelled nearly like the request's, or NULL. */
const char *api_route_suggest(const struct http_request *request, struct arena *arena);

/* --- a request that was checked against its route (api_query.c) --- */

struct api_value {
    bool is_set; /* by the client or the fallback */
    struct slice text;
    int64_t number; /* API_COUNT; API_TIME and API_DURATION: microseconds; API_SOURCE: index */
    double real;    /* API_NUMBER */
};

struct api_query {
    struct arena arena; /* all text below */
    const struct api_route *route;
    struct slice path_value;
    struct slice accept; /* the Accept header */
    struct api_value values[API_ROUTE_PARAMETER_COUNT];
    struct http_pair filters[API_FILTER_COUNT_MAX]; /* without "key." */
    uint32_t filter_count;
    uint32_t target; /* index of the pipeline or source in the path; set by `check` */
    int64_t wall_now_us;
};

/* Copies and checks the parameters. False: `response` is a 400 that says what to do. Deinit in either case. */
bool api_query_init(struct api_query *query, const struct api *api, const struct api_route *route,
                    const struct http_request *request, struct slice path_value,
                    struct api_response *response);
void api_query_deinit(struct api_query *query);
/* The value of one of the route's parameters. */
const struct api_value *api_query_value(const struct api_query *query, const char *name);
/* Commas separate; an empty part counts. Returns how many there are; at most `capacity` are stored. */
uint32_t api_split(struct slice text, struct slice *parts, uint32_t capacity);
/* Index of the pipeline named in the path, or UINT32_MAX and a 404 with a suggestion. */
uint32_t api_find_pipeline(const struct api *api, struct slice name, struct api_response *response);
/* ", did you mean \"x\"?" or an empty text, in `arena`. */
const char *api_hint(struct arena *arena, struct slice word, const char *const *candidates, uint32_t count);

/* --- a request on its way through the query thread (api_job.c) --- */

struct api_job {
    struct query_job job;
    const struct config *config;
    struct api_query query;
    struct api_response response;
    api_answer *on_answer;
    void *context;
};

/* Takes the query over. False: the queue is full, and the query is gone. */
NODISCARD
bool api_job_submit(struct query_thread *queries, const struct config *config, struct api_query *query,
                    api_answer *on_answer, void *context, struct query_job **ticket);
/* Makes the response a refusal: what a database could not do is a 503 with Retry-After. */
void api_job_fail(struct api_job *job, struct query_tools *tools, enum status status,
                  const struct error *error);
bool api_job_is_cancelled(const struct api_job *job);

/* Opens a list: {"items":[ and closes it: ],"next_cursor":"…" or null} with `more` members in between ("" or ",\"a\":1"). */
void api_list_begin(struct api_response *response);
void api_list_end(struct api_response *response, struct slice next_cursor, const char *more);
/* Status 200 with this content type. */
void api_ok(struct api_response *response, const char *content_type);

/* --- handlers, as the table names them --- */

struct api {
    struct api_options options;
    struct stats_snapshot snapshots[3];
    struct stats_snapshot *current, *newer, *older; /* may point to the same; NULL: none yet */
    int64_t taken_us;                               /* monotonic, of current */
    int64_t newer_us;
};

/* The statistics as of now, and those of a moment ago for rates, or NULL. Valid until the next call. */
const struct stats_snapshot *api_snapshot(struct api *api, const struct stats_snapshot **before);

void api_answer_pipelines(struct api *api, const struct api_query *query, struct api_response *response);
void api_answer_pipeline(struct api *api, const struct api_query *query, struct api_response *response);
void api_answer_sources(struct api *api, const struct api_query *query, struct api_response *response);
void api_answer_source(struct api *api, const struct api_query *query, struct api_response *response);
void api_answer_clients(struct api *api, const struct api_query *query, struct api_response *response);
void api_answer_alerts(struct api *api, const struct api_query *query, struct api_response *response);
void api_answer_stats(struct api *api, const struct api_query *query, struct api_response *response);
void api_answer_metrics(struct api *api, const struct api_query *query, struct api_response *response);
void api_answer_health(struct api *api, const struct api_query *query, struct api_response *response);
void api_answer_component(struct api *api, const struct api_query *query, struct api_response *response);
void api_answer_ready(struct api *api, const struct api_query *query, struct api_response *response);
void api_answer_openapi(struct api *api, const struct api_query *query, struct api_response *response);

bool api_check_results(struct api *api, struct api_query *query, struct api_response *response);
void api_run_results(struct api_job *job, struct query_tools *tools);
void api_run_dead_letters(struct api_job *job, struct query_tools *tools);
bool api_check_events(struct api *api, struct api_query *query, struct api_response *response);
void api_run_events(struct api_job *job, struct query_tools *tools);
bool api_check_aggregate(struct api *api, struct api_query *query, struct api_response *response);
void api_run_aggregate(struct api_job *job, struct query_tools *tools);
