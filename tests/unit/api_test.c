/* The API without its databases: dispatch, refusals, and what is known at once. */
#include "api_fixture.h"
#include "serve/api_internal.h"

static void sources_have_the_shape_of_the_contract(void **state)
{
    (void)state;
    assert_int_equal(get("/api/v1/sources/clicks"), 200);
    assert_string_equal(
        fixture.body,
        "{\"name\":\"clicks\",\"kind\":\"http\",\"ingest_url\":\"/api/v1/sources/clicks/events\",\"time\":\"ts\","
        "\"counters\":{\"in\":10,\"bad\":2},\"bad_by_reason\":{\"not_json\":2},"
        "\"pipelines\":{\"revenue\":{\"used\":5,\"filtered\":2,\"too_late\":1},\"views\":{\"used\":8,\"filtered\":0,\"too_late\":0}},"
        "\"partitions\":[{\"partition\":0,\"offset\":7,\"watermark\":-1,\"idle\":false,\"lag\":3,\"lag_seconds\":2.5},"
        "{\"partition\":1,\"offset\":0,\"watermark\":null,\"idle\":true,\"lag\":null,\"lag_seconds\":null}],\"lag\":null,\"lag_seconds\":null,\"ended\":false,\"paused\":false}\n");
    assert_int_equal(get("/api/v1/sources"), 200);
    assert_int_equal(count_of("\"kind\":"), 3);
    assert_has("],\"next_cursor\":null}");
}

static void kafka_sources_tell_of_their_group_too(void **state)
{
    (void)state;
    static struct kafka_figures figures = {.broker_count = 1,
                                           .brokers[0] = {.name = "GroupCoordinator", .p50_us = 900}};
    static struct kafka_client_stats client = {.name = "weir", .figures = &figures};
    client.member = (struct kafka_member_figures){.is_member = true,
                                                  .assigned_count = 8,
                                                  .rebalance_count = 3,
                                                  .commit_count = 40,
                                                  .commit_failure_count = 1};
    fixture.kafka_client = &client;
    assert_int_equal(get("/api/v1/sources/clicks"), 200);
    assert_has("\"partitions\":[{\"topic\":\"a \\\"topic\\\"\",\"partition\":0,");
    assert_has(
        "\"paused\":false,\"kafka\":{\"group\":\"weir\",\"joined\":true,\"group_partitions\":8,\"rebalances\":3,"
        "\"commits\":40,\"commit_failures\":1,\"fetched_messages\":12,\"fetched_bytes\":2400,\"round_trip_us\":900}}");
    figures.broker_count = 0;
    fixture.clock.fixed_us += API_SNAPSHOT_AGE_US;
    assert_int_equal(get("/api/v1/sources/clicks"), 200);
    assert_has("\"round_trip_us\":null}}");
}

static void pipelines_say_what_they_compute(void **state)
{
    (void)state;
    assert_int_equal(get("/api/v1/pipelines/revenue"), 200);
    assert_has(
        "{\"name\":\"revenue\",\"description\":\"orders = count(), total = sum(amount) by country, kind, every 10s where amount > 0\","
        "\"from\":[\"clicks\",\"made\"],\"window\":{\"kind\":\"tumbling\",\"size_ms\":10000,\"offset_ms\":0},"
        "\"key\":[\"country\",\"kind\"],\"aggregates\":[{\"name\":\"orders\",\"expression\":\"count()\"},"
        "{\"name\":\"total\",\"expression\":\"sum(amount)\"}],\"where\":\"amount > 0\",\"late\":\"dlq\","
        "\"allowed_lateness_ms\":10000,\"to\":[\"store\",\"live\",\"trail\"],\"counters\":{\"used\":5,");
    assert_has("\"watermark\":1700000000000}\n");
    assert_int_equal(get("/api/v1/pipelines"), 200);
    assert_has(
        "\"key\":[],\"aggregates\":[{\"name\":\"n\",\"expression\":\"count()\"}],\"where\":null,\"late\":\"update\"");
}

static void clients_and_alerts_are_lists(void **state)
{
    (void)state;
    assert_int_equal(get("/api/v1/clients"), 200);
    assert_has("{\"items\":[{\"client_id\":\"c1\"}],\"next_cursor\":null,\"counters\":{\"clients\":3,");
    assert_int_equal(get("/api/v1/alerts"), 200);
    assert_string_equal(fixture.body, "{\"items\":[],\"next_cursor\":null}\n");
}

static void unknown_names_are_404_with_a_suggestion(void **state)
{
    static const char *const cases[][2] = {
        {"/api/v1/sources/click", "did you mean \\\"clicks\\\"?"},
        {"/api/v1/sources/zzzzzz", "GET /api/v1/sources lists all"},
        {"/api/v1/pipelines/revenu", "did you mean \\\"revenue\\\"?"},
        {"/api/v1/results/views2", "did you mean \\\"views\\\"?"},
        {"/api/v1/result/views", "did you mean \\\"/api/v1/results/views\\\"?"},
        {"/api/v1/nosuch", "/openapi.json lists"},
        {"/api/v1/results/", "nothing at"},
        {"/api/v1/sources/", "nothing at"},
        {"/api/v1/pipelines/a/b/c/d/e/f/g/h/i", "nothing at"},
        {"/api", "nothing at"},
        {"/health/stor", "did you mean \\\"store\\\"?"},
        {"/metrics/x", "nothing at"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(get(cases[i][0]), 404);
        assert_string_equal(fixture.response.content_type, "application/problem+json");
        assert_has("\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404");
        assert_has(cases[i][1]);
    }
}

static void bad_queries_are_400_and_name_value_and_remedy(void **state)
{
    static const char *const cases[][2] = {
        {"/api/v1/results/views?limit=0", "\\\"limit\\\": \\\"0\\\" is not a whole number from 1 to 10000"},
        {"/api/v1/results/views?limit=-1", "\\\"-1\\\""},
        {"/api/v1/results/views?limit=", "\\\"limit\\\": \\\"\\\""},
        {"/api/v1/results/views?limit=10001", "1 to 10000"},
        {"/api/v1/results/views?limit=5x", "\\\"5x\\\""},
        {"/api/v1/results/views?limit=%2B5", "\\\"+5\\\""},
        {"/api/v1/results/views?limit=99999999999999999999", "whole number"},
        {"/api/v1/results/views?limit=1&limit=2", "\\\"limit\\\" is given twice"},
        {"/api/v1/results/views?limt=5", "unknown parameter \\\"limt\\\", did you mean \\\"limit\\\"?"},
        {"/api/v1/results/views?country=FR", "it takes from, to, limit, cursor, key.NAME"},
        {"/api/v1/results/views?key.=FR", "unknown parameter"},
        {"/api/v1/results/revenue?key.countri=FR",
         "\\\"key.countri\\\": pipeline \\\"revenue\\\" has no key of this name, did you mean \\\"country\\\"?"},
        {"/api/v1/results/revenue?key.country=FR&key.country=DE", "\\\"country\\\" is given twice"},
        {"/api/v1/results/views?from=yesterdayish",
         "\\\"from\\\": \\\"yesterdayish\\\" is not a time; give milliseconds"},
        {"/api/v1/results/views?to=2024-13-01", "\\\"2024-13-01\\\""},
        {"/api/v1/results/views?to=2024-01-01T00:00:00+02:00", "%2B"},
        {"/api/v1/results/views?from=999999999999999999", "not a time"},
        {"/api/v1/results/views?from=5&to=4", "\\\"from\\\": \\\"5\\\" is after \\\"to\\\""},
        {"/api/v1/results/views?cursor=garbage!", "\\\"cursor\\\": \\\"garbage!\\\" was not given out"},
        {"/api/v1/events?hours=0", "\\\"hours\\\": \\\"0\\\" is not a number above 0"},
        {"/api/v1/events?hours=-1", "\\\"-1\\\""},
        {"/api/v1/events?hours=1e3", "\\\"1e3\\\""},
        {"/api/v1/events?hours=nan", "\\\"nan\\\""},
        {"/api/v1/events?hours=1.", "\\\"1.\\\""},
        {"/api/v1/events?hours=99999999999", "at most 878400"},
        {"/api/v1/events?source=click", "there is no source \\\"click\\\", did you mean \\\"clicks\\\"?"},
        {"/api/v1/events?source=made", "\\\"made\\\" keeps no events"},
        {"/api/v1/events?cursor=1_0_0", "\\\"cursor\\\": \\\"1_0_0\\\""},
        {"/api/v1/events?cursor=1_99999_0_1_1", "\\\"cursor\\\""},
        {"/api/v1/events?cursor=1_0_0_1_1x", "\\\"cursor\\\""},
        {"/api/v1/events?eventtype=a", "did you mean \\\"event_type\\\"?"},
        {"/api/v1/events?a..b=1", "\\\"a..b\\\" is not a path"},
        {"/api/v1/events?a.b=1&a.b=2", "\\\"a.b\\\" is given twice"},
        {"/api/v1/dead-letters?reason=notjson", "did you mean \\\"not_json\\\"?"},
        {"/api/v1/dead-letters?reason=", "none of not_json"},
        {"/api/v1/dead-letters?cursor=%27%3B", "\\\"cursor\\\""},
        {"/api/v1/aggregate", "\\\"metric\\\" is missing"},
        {"/api/v1/aggregate?metric=", "\\\"metric\\\": \\\"\\\" is not a path"},
        {"/api/v1/aggregate?metric=a&bucket=0s", "\\\"0s\\\" is not a duration above 0"},
        {"/api/v1/aggregate?metric=a&bucket=5", "\\\"5\\\" is not a duration"},
        {"/api/v1/aggregate?metric=a&group_by=a,b,c,d,e", "5 paths; at most 4"},
        {"/api/v1/aggregate?metric=a&group_by=a,", "\\\"group_by\\\": \\\"\\\""},
        {"/api/v1/stats?x=1", "unknown parameter \\\"x\\\"; it takes none"},
        {"/health?verbose=1", "unknown parameter \\\"verbose\\\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (get(cases[i][0]) != 400)
            fail_msg("%s: %d %s", cases[i][0], fixture.response.status, fixture.body);
        assert_string_equal(fixture.response.content_type, "application/problem+json");
        assert_has("\"status\":400");
        assert_has(cases[i][1]);
    }
}

static void too_many_filters_are_refused(void **state)
{
    (void)state;
    char target[2000] = "/api/v1/events?a0=1";
    for (int i = 1; i <= API_FILTER_COUNT_MAX; i++)
        snprintf(target + strlen(target), sizeof target - strlen(target), "&a%d=1", i);
    assert_int_equal(get(target), 400);
    assert_has("more than 32 filters");
}

static void wrong_methods_are_405_with_what_is_allowed(void **state)
{
    static const char *const cases[][2] = {
        {"DELETE /api/v1/sources", "Allow: GET, HEAD\r\n"},
        {"POST /api/v1/results/views", "Allow: GET, HEAD\r\n"},
        {"PUT /health", "Allow: GET, HEAD\r\n"},
        {"GET /api/v1/sources/clicks/events", "Allow: POST\r\n"},
        {"HEAD /api/v1/sources/nosuch/events", "Allow: POST\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(request(cases[i][0], ""), API_ANSWERED);
        assert_int_equal(fixture.response.status, 405);
        assert_non_null(strstr(fixture.response.headers.data, cases[i][1]));
    }
}

static void what_is_not_the_apis_is_passed(void **state)
{
    (void)state;
    static const char *const lines[] = {"GET /", "GET /app.js", "POST /api/v1/sources/clicks/events",
                                        "POST /api/v1/sources/nosuch/events", "GET /apiary"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_int_equal(request(lines[i], ""), API_PASSED);
        assert_int_equal(fixture.response.status, 0);
    }
}

static void head_is_answered_like_get(void **state)
{
    (void)state;
    assert_int_equal(request("HEAD /health", ""), API_ANSWERED);
    assert_int_equal(fixture.response.status, 200);
    assert_true(fixture.response.body.size > 0);
}

static void health_tells_what_is_wrong_and_stays_200(void **state)
{
    (void)state;
    assert_int_equal(get("/health"), 200);
    assert_has("\"status\":\"ok\"");
    assert_has("\"store\":{");
    health_report(&fixture.health, "store", HEALTH_DOWN, "disk \"%s\" is full", "/x");
    assert_int_equal(get("/health"), 200);
    assert_has("\"status\":\"down\"");
    assert_int_equal(get("/health/store"), 503);
    assert_has("is full");
    health_report(&fixture.health, "store", HEALTH_DEGRADED, "slow");
    assert_int_equal(get("/health/store"), 200);
    assert_has("\"degraded\"");
}

static void ready_is_503_until_it_is(void **state)
{
    (void)state;
    assert_int_equal(get("/ready"), 503);
    assert_non_null(strstr(fixture.response.headers.data, "Retry-After: 1\r\n"));
    health_set_ready(&fixture.health, true);
    assert_int_equal(get("/ready"), 200);
    assert_string_equal(fixture.body, "{\"ready\":true}\n");
}

static void metrics_come_in_the_format_that_is_preferred(void **state)
{
    static const struct {
        const char *accept;
        bool is_openmetrics;
    } cases[] = {
        {"", false},
        {"Accept: */*\r\n", false},
        {"Accept: text/plain\r\n", false},
        {"Accept: application/openmetrics-text; version=1.0.0\r\n", true},
        {"Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1\r\n",
         true},
        {"Accept: application/openmetrics-text;q=0.2 , TEXT/plain ; q=0.5\r\n", false},
        {"Accept: application/openmetrics-text;q=0\r\n", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(request("GET /metrics", cases[i].accept), API_ANSWERED);
        assert_int_equal(fixture.response.status, 200);
        bool ends_so = strstr(fixture.body, "# EOF\n") != NULL;
        bool says_so = strncmp(fixture.response.content_type, "application/openmetrics-text", 28) == 0;
        assert_true(ends_so == cases[i].is_openmetrics && says_so == cases[i].is_openmetrics);
        assert_has("weir_events");
    }
}

static void one_snapshot_serves_requests_of_a_moment(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        get("/api/v1/sources");
    assert_int_equal(fixture.snapshot_count, 1);
    fixture.clock.fixed_us += API_SNAPSHOT_AGE_US + 1;
    fixture.events_in = 11;
    get("/api/v1/sources/clicks");
    assert_int_equal(fixture.snapshot_count, 2);
    assert_has("\"in\":11");
}

static void rates_are_over_the_last_seconds(void **state)
{
    (void)state;
    get("/api/v1/stats");
    assert_has("\"events_per_second\":null");
    for (int second = 1; second <= 30; second++) {
        fixture.clock.fixed_us += SECOND;
        fixture.events_in +=
            second <= 20 ? 100 : 7; /* the old rate is forgotten within 2 * API_RATE_SPAN_US */
        api_tick(fixture.api);
    }
    get("/api/v1/stats");
    assert_has("\"events_per_second\":7,");
}

/* Every route of the description answers, and every route that answers is described. */
static void description_names_each_route(void **state)
{
    static const char *const routes[] = {
        "/api/v1/sources/{source}/events",
        "/api/v1/results/{pipeline}",
        "/api/v1/events",
        "/api/v1/aggregate",
        "/api/v1/dead-letters",
        "/api/v1/pipelines",
        "/api/v1/pipelines/{pipeline}",
        "/api/v1/sources",
        "/api/v1/sources/{source}",
        "/api/v1/clients",
        "/api/v1/alerts",
        "/api/v1/stats",
        "/health",
        "/health/{component}",
        "/ready",
        "/metrics",
        "/openapi.json",
    };
    (void)state;
    assert_int_equal(get("/openapi.json"), 200);
    assert_has("{\"openapi\":\"3.1.0\",");
    assert_has(
        "\"ComponentHealth\":{\"type\":\"object\",\"properties\":{"
        "\"status\":{\"enum\":[\"ok\",\"degraded\",\"down\"]},\"reason\":{\"type\":\"string\"}}}}}}\n");
    assert_int_equal(count_of("\"operationId\""), sizeof routes / sizeof *routes);
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        char part[100];
        snprintf(part, sizeof part, "\"%s\":{\"%s\":", routes[i], i == 0 ? "post" : "get");
        assert_has(part);
    }
    assert_has("{\"name\":\"limit\",\"in\":\"query\",\"required\":false,\"description\":\"items per page\","
               "\"schema\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000,\"default\":100}}");
    for (size_t i = 1; i < sizeof routes / sizeof *routes; i++) {
        char target[200];
        const char *brace = strchr(routes[i], '{');
        const char *value = !brace                         ? ""
                            : strncmp(brace, "{p", 2) == 0 ? "views"
                            : strncmp(brace, "{s", 2) == 0 ? "clicks"
                                                           : "store";
        snprintf(target, sizeof target, "%.*s%s%s", brace ? (int)(brace - routes[i]) : 100, routes[i], value,
                 strcmp(routes[i], "/api/v1/aggregate") == 0 ? "?metric=a" : "");
        int status = get(target);
        if (status != 200 && strcmp(routes[i], "/ready") != 0)
            fail_msg("%s: %d %s", target, status, fixture.body);
    }
}

/* Run from the root of the project, as all tests are. */
static void user_page_has_a_section_for_each_route(void **state)
{
    (void)state;
    static char page[65536];
    FILE *file = fopen("docs/API.md", "r");
    assert_non_null(file);
    size_t size = fread(page, 1, sizeof page - 1, file);
    page[size] = '\0';
    assert_int_equal(fclose(file), 0);
    for (uint32_t i = 0; i < api_route_count; i++) {
        char part[100];
        snprintf(part, sizeof part, "`%s %s`", api_routes[i].method, api_routes[i].path);
        if (!strstr(page, part))
            fail_msg("docs/API.md lacks %s", part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sources_have_the_shape_of_the_contract),
        TEST(kafka_sources_tell_of_their_group_too),
        TEST(pipelines_say_what_they_compute),
        TEST(clients_and_alerts_are_lists),
        TEST(unknown_names_are_404_with_a_suggestion),
        TEST(bad_queries_are_400_and_name_value_and_remedy),
        TEST(too_many_filters_are_refused),
        TEST(wrong_methods_are_405_with_what_is_allowed),
        TEST(what_is_not_the_apis_is_passed),
        TEST(head_is_answered_like_get),
        TEST(health_tells_what_is_wrong_and_stays_200),
        TEST(ready_is_503_until_it_is),
        TEST(metrics_come_in_the_format_that_is_preferred),
        TEST(one_snapshot_serves_requests_of_a_moment),
        TEST(rates_are_over_the_last_seconds),
        TEST(description_names_each_route),
        TEST(user_page_has_a_section_for_each_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
