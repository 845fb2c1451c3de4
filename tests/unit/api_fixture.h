/* The API over a real store, a real event log and a real query thread, with a made-up snapshot and a clock that stands still.
 * Requests are text, as they would come over a socket. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/result.h"
#include "serve/api.h"
#include "source/event_log.h"
#include "temporary_folder.h"

#define SECOND INT64_C(1000000)
#define HOUR   (3600 * SECOND)
#define NOW_US INT64_C(1700000000000000)

static const char fixture_config[] =
    "sources:\n"
    "  clicks: {http: {partitions: 2}, time: ts, max_out_of_orderness: 0s}\n"
    "  arrivals: {http: {}}\n"
    "  made: {generator: {}}\n"
    "pipelines:\n"
    "  revenue:\n"
    "    from: [clicks, made]\n"
    "    where: amount > 0\n"
    "    key: [country, kind]\n"
    "    window: {tumbling: 10s}\n"
    "    late: dlq\n"
    "    aggregates: {orders: count(), total: sum(amount)}\n"
    "    to: [store, live, trail]\n"
    "  views: {from: clicks, window: {tumbling: 1m}, aggregates: {n: count()}}\n"
    "sinks:\n"
    "  trail: {file: {path: trail.ndjson}}\n";

struct fixture {
    struct temporary_folder folder;
    struct config *config;
    struct store *store;
    struct event_log *log;
    struct health health;
    struct clock clock;
    struct waker io_waker;
    struct query_thread *queries;
    struct api *api;
    uint32_t snapshot_count;
    uint64_t events_in; /* what the next snapshot says of clicks */
    struct api_response response;
    bool is_answered;
    char body[65536];                              /* of the latest answer, NUL-terminated */
    const struct kafka_client_stats *kafka_client; /* NULL: the sources are not of kafka */
};

static struct fixture fixture;

static inline void fill_snapshot(void *context, struct stats_snapshot *snapshot)
{
    struct fixture *f = context;
    f->snapshot_count++;
    snapshot->wall_us = f->clock.fixed_us;
    snapshot->uptime_us = f->clock.fixed_us - NOW_US;
    snapshot->source_count = f->config->source_count;
    snapshot->pipeline_count = f->config->pipeline_count;
    snapshot->sources = arena_allocate_zeroed(&snapshot->arena, 3 * sizeof *snapshot->sources);
    snapshot->pipelines = arena_allocate_zeroed(&snapshot->arena, 2 * sizeof *snapshot->pipelines);
    for (uint32_t i = 0; i < 3; i++)
        snapshot->sources[i].name = f->config->sources[i].name, snapshot->sources[i].kind = "http";
    for (uint32_t i = 0; i < 2; i++)
        snapshot->pipelines[i] =
            (struct pipeline_stats){.name = f->config->pipelines[i].name, .watermark_us = TIME_NONE};
    struct source_stats *clicks = &snapshot->sources[0];
    clicks->in = f->events_in;
    clicks->bad = 2;
    clicks->bad_by_reason[BAD_NOT_JSON] = 2;
    clicks->pipeline_count = 2;
    clicks->pipelines = arena_allocate_zeroed(&snapshot->arena, 2 * sizeof *clicks->pipelines);
    clicks->pipelines[0] =
        (struct source_pipeline_stats){.pipeline_index = 0, .used = 5, .filtered = 2, .too_late = 1};
    clicks->pipelines[1] = (struct source_pipeline_stats){.pipeline_index = 1, .used = 8};
    clicks->partition_count = 2;
    clicks->partitions = arena_allocate_zeroed(&snapshot->arena, 2 * sizeof *clicks->partitions);
    clicks->partitions[0] = (struct partition_stats){
        .offset = 7, .watermark_us = -1, .lag = 3, .newest_record_us = snapshot->wall_us - 2500000};
    clicks->partitions[1] =
        (struct partition_stats){.partition = 1, .watermark_us = TIME_NONE, .idle = true, .lag = -1};
    if (f->kafka_client) {
        clicks->client = f->kafka_client;
        clicks->fetched_messages = 12;
        clicks->fetched_bytes = 2400;
        clicks->partitions[0].topic = "a \"topic\"";
    }
    snapshot->pipelines[0].used = 5;
    snapshot->pipelines[0].results = 4;
    snapshot->pipelines[0].watermark_us = NOW_US + 999;
    snapshot->clients = 3;
}

static inline void write_clients(void *context, struct buffer *out)
{
    (void)context;
    buffer_append_text(out, "{\"client_id\":\"c1\"}");
}

static inline void check(enum status status, const struct error *error)
{
    if (status != STATUS_OK)
        fail_msg("%s", error->text);
}

static inline void open_databases(struct fixture *f)
{
    struct error error = {{0}};
    check(store_open(f->config->data_dir, &f->store, &error), &error);
    check(event_log_open(f->config, &f->log, &error), &error);
}

static inline int set_up(void **state)
{
    (void)state;
    struct fixture *f = &fixture;
    *f = (struct fixture){.events_in = 10, .clock = clock_manual(NOW_US)};
    temporary_folder_open(&f->folder);
    struct config_errors errors;
    config_errors_init(&errors, "test.yaml");
    const char *data_dir = temporary_path(&f->folder, "data");
    f->config =
        config_load("test.yaml", fixture_config, &(struct config_override){"data_dir", data_dir}, 1, &errors);
    if (!f->config)
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&errors.text)));
    config_errors_deinit(&errors);
    open_databases(f);
    health_init(&f->health);
    health_report(&f->health, "store", HEALTH_OK, NULL);
    waker_open(&f->io_waker);
    f->queries = query_thread_start(f->config, &f->io_waker);
    f->api = api_create(&(struct api_options){.config = f->config,
                                              .health = &f->health,
                                              .clock = &f->clock,
                                              .queries = f->queries,
                                              .snapshot = fill_snapshot,
                                              .write_clients = write_clients,
                                              .context = f});
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    struct fixture *f = &fixture;
    query_thread_stop(f->queries);
    api_destroy(f->api);
    api_response_deinit(&f->response);
    event_log_close(f->log);
    store_close(f->store);
    waker_close(&f->io_waker);
    health_deinit(&f->health);
    config_destroy(f->config);
    temporary_folder_close(&f->folder);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static inline uint64_t no_body(void *context, const struct http_request *request)
{
    (void)context;
    (void)request;
    return 0;
}

static inline void take_answer(void *context, struct api_response *response)
{
    struct fixture *f = context;
    assert_false(f->is_answered);
    f->is_answered = true;
    f->response = *response;
}

/* Sleeps on the waker, as the I/O thread does in epoll, until `done` or a minute has passed. */
static inline void collect_until(struct fixture *f, const bool *done)
{
    int64_t deadline_us = clock_monotonic_us(&clock_system) + 60 * SECOND;
    while (!*done) {
        assert_true(clock_monotonic_us(&clock_system) < deadline_us);
        waker_prepare(&f->io_waker);
        if (query_thread_collect(f->queries) > 0)
            waker_cancel(&f->io_waker);
        else
            waker_wait(&f->io_waker, SECOND);
    }
}

/* Sends "GET /path" or any other beginning of a request line, with headers; returns the outcome. */
static inline enum api_outcome request(const char *line, const char *headers)
{
    struct fixture *f = &fixture;
    struct http_reader reader;
    struct buffer text = {0};
    struct query_job *ticket;
    http_reader_init(&reader, no_body, NULL);
    buffer_format(&text, "%s HTTP/1.1\r\nHost: x\r\n%s\r\n", line, headers);
    http_reader_feed(&reader, text.data, text.size);
    if (reader.error_status)
        fail_msg("%s: %s", line, reader.error_detail);
    api_response_deinit(&f->response);
    f->is_answered = false;
    enum api_outcome outcome = api_handle(f->api, &reader.request, &f->response, take_answer, f, &ticket);
    buffer_deinit(&text);
    http_reader_deinit(&reader);
    if (outcome == API_PENDING)
        collect_until(f, &f->is_answered);
    buffer_append_char(&f->response.headers, '\0');
    assert_true(f->response.body.size < sizeof f->body);
    if (f->response.body.size)
        memcpy(f->body, f->response.body.data, f->response.body.size);
    f->body[f->response.body.size] = '\0';
    return outcome;
}

/* The status of a GET; the body is in fixture.body. */
static inline int get(const char *target)
{
    char line[4096];
    snprintf(line, sizeof line, "GET %s", target);
    assert_int_not_equal(request(line, ""), API_PASSED);
    return fixture.response.status;
}

static inline void assert_has(const char *part)
{
    if (!strstr(fixture.body, part))
        fail_msg("no %s in %s", part, fixture.body);
}

static inline void assert_has_no(const char *part)
{
    if (strstr(fixture.body, part))
        fail_msg("%s is in %s", part, fixture.body);
}

/* How often `part` is in the body. */
static inline uint32_t count_of(const char *part)
{
    uint32_t count = 0;
    for (const char *at = fixture.body; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

/* The value of next_cursor, or NULL. Valid until the next call. */
static inline const char *next_cursor(void)
{
    static char cursor[512];
    const char *at = strstr(fixture.body, "\"next_cursor\":\"");
    if (!at)
        return NULL;
    at += strlen("\"next_cursor\":\"");
    size_t size = strcspn(at, "\"");
    memcpy(cursor, at, size);
    cursor[size] = '\0';
    return cursor;
}
