/* Lists that come out of the databases: results, dead letters, events, aggregates. */
#include "api_fixture.h"

/* --- what is in the databases --- */

static const struct result_shape revenue = {.pipeline = "revenue",
                                            .key_count = 2,
                                            .key_names = {"country", "kind"},
                                            .value_count = 1,
                                            .value_names = {"orders"}};

/* One closed window per country, `orders` = 1, 2, 3 ... */
static void store_window(int64_t window_us, const char *const *countries, uint32_t count,
                         uint64_t first_sequence)
{
    struct error error = {{0}};
    struct result_block *block = result_block_create(&revenue, count);
    block->row_count = count;
    block->first_sequence = first_sequence;
    for (uint32_t i = 0; i < count; i++) {
        block->window_starts_us[i] = window_us;
        block->window_ends_us[i] = window_us + 10 * SECOND;
        block->emits[i] = EMIT_FINAL;
        block->causes[i] = CLOSED_BY_WATERMARK;
        block->on_time[i] = 1;
        block->revisions[i] = 0;
        block->late_accepted[i] = block->late_dropped[i] = block->type_errors[i] = 0;
        block->watermarks_us[i] = window_us + 11 * SECOND;
        block->keys[0].kinds[i] = VALUE_STRING;
        block->keys[0].values[i].s =
            (struct text_reference){(uint32_t)block->bytes.size, (uint32_t)strlen(countries[i])};
        buffer_append_text(&block->bytes, countries[i]);
        block->keys[1].kinds[i] = VALUE_NULL;
        block->values[0].kinds[i] = VALUE_INT;
        block->values[0].values[i].i = i + 1;
    }
    result_block_encode(block);
    check(store_begin(fixture.store, &error), &error);
    check(store_put_results(fixture.store, block, &error), &error);
    check(store_commit(fixture.store, &error), &error);
    result_block_release(block);
}

static void store_letters(uint32_t count)
{
    static const char *const sources[] = {"clicks", "arrivals", "made"}, *const pipelines[] = {"revenue",
                                                                                               "views"};
    struct error error = {{0}};
    struct dead_letter_block *block = dead_letter_block_create();
    for (uint32_t i = 0; i < count; i++) {
        struct dead_letter letter = {.source_index = i % 2,
                                     .offset = i,
                                     .time_us = NOW_US + i,
                                     .pipeline_index = UINT32_MAX,
                                     .reason = i % 3 ? "not_json" : "too_late",
                                     .detail = SLICE("d"),
                                     .raw = SLICE("no\0t")};
        dead_letter_block_add(block, &letter);
    }
    check(store_begin(fixture.store, &error), &error);
    check(store_put_dead_letters(fixture.store, block, sources, pipelines, NOW_US, &error), &error);
    check(store_commit(fixture.store, &error), &error);
    dead_letter_block_release(block);
}

static void log_event(uint32_t source, uint32_t partition, const char *format, ...) PRINTF_LIKE(3, 4);
static void log_event(uint32_t source, uint32_t partition, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    event_log_append(fixture.log, source, partition, slice_of(text));
}

static void log_commit(int64_t arrival_us)
{
    struct error error = {{0}};
    check(event_log_commit(fixture.log, 1, arrival_us, &error), &error);
}

/* An event of clicks, `age` seconds old. */
static void log_click(uint32_t partition, int64_t age, const char *members)
{
    log_event(0, partition, "{\"ts\":%lld%s}", (long long)(NOW_US / SECOND - age), members);
}

/* --- results --- */

static void results_are_the_stored_records_newest_window_first(void **state)
{
    (void)state;
    static const char *const countries[] = {"DE", "FR"};
    store_window(NOW_US, countries, 2, 1);
    store_window(NOW_US + 10 * SECOND, countries, 2, 3);
    assert_int_equal(get("/api/v1/results/revenue"), 200);
    const char *first =
        "{\"items\":[{\"id\":\"revenue|[\\\"DE\\\",null]|1700000010000\",\"pipeline\":\"revenue\",\"window_start\":1700000010000,";
    assert_int_equal(strncmp(fixture.body, first, strlen(first)), 0);
    assert_int_equal(count_of("\"id\":"), 4);
    assert_has("],\"next_cursor\":null}");
    assert_int_equal(get("/api/v1/results/views"), 200);
    assert_string_equal(fixture.body, "{\"items\":[],\"next_cursor\":null}\n");
}

static void results_filter_by_key_and_window(void **state)
{
    static const struct {
        const char *query;
        uint32_t count;
    } cases[] = {
        {"key.country=FR", 3},
        {"key.country=a%2Fb%20c%26d%3D%C3%A9", 3},
        {"key.country=XX", 0},
        {"key.country=", 0},
        {"key.country=FR&key.kind=null", 3},
        {"key.kind=x", 0},
        {"key.country=x'%20OR%20'1'%3D'1", 0},
        {"key.country=%25", 0},
        {"from=1700000010000", 4},
        {"from=1700000010000&to=1700000020000", 2},
        {"from=2023-11-14T22:13:30Z&to=2023-11-14T22:13:40Z", 2},
        {"from=2023-11-15T00:13:30%2B02:00", 4},
        {"to=1700000000000", 0},
        {"to=-5", 0},
    };
    (void)state;
    static const char *const countries[] = {"FR", "a/b c&d=é"};
    for (int64_t i = 0; i < 3; i++)
        store_window(NOW_US + i * 10 * SECOND, countries, 2, (uint64_t)(1 + 2 * i));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char target[300];
        snprintf(target, sizeof target, "/api/v1/results/revenue?%s", cases[i].query);
        assert_int_equal(get(target), 200);
        if (count_of("\"id\":") != cases[i].count)
            fail_msg("%s: %u instead of %u", target, count_of("\"id\":"), cases[i].count);
    }
}

static void pages_of_results_give_each_once(void **state)
{
    (void)state;
    static const char *const countries[] = {"A", "B", "C", "D", "E"};
    for (int64_t i = 0; i < 4; i++)
        store_window(NOW_US + i * 10 * SECOND, countries, 5, (uint64_t)(1 + 5 * i));
    for (uint32_t limit = 1; limit <= 21; limit++) {
        char target[700];
        uint32_t count = 0, pages = 0;
        snprintf(target, sizeof target, "/api/v1/results/revenue?limit=%u", limit);
        for (const char *cursor; get(target) == 200; pages++) {
            count += count_of("\"id\":");
            if (!(cursor = next_cursor()))
                break;
            assert_int_equal(count_of("\"id\":"), limit);
            snprintf(target, sizeof target, "/api/v1/results/revenue?limit=%u&cursor=%s", limit, cursor);
        }
        assert_int_equal(count, 20);
        assert_int_equal(pages, (20 + limit - 1) / limit - 1);
    }
}

static void dead_letters_are_filtered_and_paged(void **state)
{
    (void)state;
    store_letters(12);
    assert_int_equal(get("/api/v1/dead-letters"), 200);
    assert_int_equal(count_of("\"raw_base64\":\"bm8AdA==\""), 12);
    assert_int_equal(get("/api/v1/dead-letters?source=clicks"), 200);
    assert_int_equal(count_of("\"source\":\"clicks\""), 6);
    assert_int_equal(count_of("\"source\":\"arrivals\""), 0);
    assert_int_equal(get("/api/v1/dead-letters?reason=too_late"), 200);
    assert_int_equal(count_of("\"reason\":\"too_late\""), 4);
    assert_int_equal(get("/api/v1/dead-letters?source=made"), 200);
    assert_string_equal(fixture.body, "{\"items\":[],\"next_cursor\":null}\n");
    assert_int_equal(get("/api/v1/dead-letters?limit=7"), 200);
    assert_int_equal(count_of("\"reason\":"), 7);
    char target[700];
    snprintf(target, sizeof target, "/api/v1/dead-letters?limit=7&cursor=%s", next_cursor());
    assert_int_equal(get(target), 200);
    assert_int_equal(count_of("\"reason\":"), 5);
    assert_null(next_cursor());
}

static void store_that_cannot_be_read_is_503(void **state)
{
    (void)state;
    char from[200], to[200];
    snprintf(from, sizeof from, "%s/weir.db", fixture.config->data_dir);
    snprintf(to, sizeof to, "%s/away.db", fixture.config->data_dir);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(get("/api/v1/results/revenue"), 503);
    assert_non_null(strstr(fixture.response.headers.data, "Retry-After: 1\r\n"));
    assert_has("try again");
    assert_int_equal(rename(to, from), 0);
    assert_int_equal(get("/api/v1/results/revenue"), 200);
}

/* --- events --- */

static void assert_ages(const char *query, const char *want)
{
    char target[400], got[400] = "";
    snprintf(target, sizeof target, "/api/v1/events?%s", query);
    if (get(target) != 200)
        fail_msg("%s: %s", target, fixture.body);
    for (const char *at = fixture.body; (at = strstr(at, "\"event_time\":")) != NULL; at++) {
        long long time_ms = strtoll(at + strlen("\"event_time\":"), NULL, 10);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%lld ", NOW_US / 1000000 - time_ms / 1000);
    }
    if (strcmp(got, want) != 0)
        fail_msg("%s: %sinstead of %s", query, got, want);
}

static void events_are_newest_event_time_first_and_filtered(void **state)
{
    (void)state;
    log_click(0, 50, ",\"event_type\":\"a\",\"user_id\":\"u1\",\"n\":5");
    log_click(1, 10, ",\"event_type\":\"b\",\"user_id\":\"u2\",\"n\":5.0,\"deep\":{\"er\":[1,true]}");
    log_click(0, 30, ",\"event_type\":\"a\",\"user_id\":\"u2\",\"n\":-0.5,\"deep\":{\"er\":null}");
    log_commit(NOW_US);
    log_click(0, 20, ",\"event_type\":\"c\",\"user_id\":\"u1\",\"n\":\"5\"");
    log_click(0, 30 * 3600, ",\"event_type\":\"a\"");
    log_event(0, 0, "not json");
    log_event(0, 0, "{\"no_time\":1}");
    log_commit(NOW_US);
    assert_ages("", "10 20 30 50 ");
    assert_ages("hours=48", "10 20 30 50 108000 ");
    assert_ages("hours=0.01", "10 20 30 ");
    assert_ages("event_type=a,b", "10 30 50 ");
    assert_ages("event_type=", "");
    assert_ages("user_id=u1", "20 50 ");
    assert_ages("event_type=a&user_id=u2", "30 ");
    assert_ages("user_id=u1,u2", "");
    assert_ages("n=5", "10 20 50 ");
    assert_ages("n=5.0", "10 50 ");
    assert_ages("n=-5e-1", "30 ");
    assert_ages("deep.er[1]=true", "10 ");
    assert_ages("deep.er=null&hours=48", "20 30 50 108000 ");
    assert_ages("source=arrivals", "");
    assert_ages("user_id=x'%20OR%20'1'='1", "");
    assert_has(",\"scan\":{\"records\":7,\"complete\":true}}");
    assert_ages("source=clicks&event_type=b", "10 ");
    assert_has(
        "{\"source\":\"clicks\",\"partition\":1,\"offset\":0,\"event_time\":1699999990000,\"event\":{\"ts\":1699999990,\"event_type\":\"b\"");
}

static void events_without_a_time_path_have_that_of_their_arrival(void **state)
{
    (void)state;
    log_event(1, 0, "{\"a\":1}");
    log_commit(NOW_US - 7 * SECOND);
    log_event(1, 0, " {\"a\":2}\n");
    log_commit(NOW_US - 3 * SECOND);
    assert_ages("", "3 7 ");
    assert_ages("a=1", "7 ");
}

static void pages_of_events_give_each_once_in_order(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    uint32_t random = 1;
    for (int i = 0; i < COUNT; i++) {
        random = random * 1664525 + 1013904223;
        char members[60];
        snprintf(members, sizeof members, ",\"i\":%d", i);
        log_click((uint32_t)i % 2, random >> 26, members); /* many equal times */
        if (i % 50 == 49)
            log_commit(NOW_US);
    }
    static const uint32_t limits[] = {7, 100, 499, 500, 501};
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
        bool seen[COUNT] = {0};
        uint32_t count = 0;
        long long last_ms = INT64_MAX;
        char target[700];
        snprintf(target, sizeof target, "/api/v1/events?limit=%u", limits[l]);
        while (get(target) == 200) {
            for (const char *at = fixture.body; (at = strstr(at, "\"event_time\":")) != NULL;) {
                long long time_ms = strtoll(at + strlen("\"event_time\":"), NULL, 10);
                at = strstr(at, "\"i\":");
                long i = strtol(at + 4, NULL, 10);
                assert_true(time_ms <= last_ms && !seen[i]);
                last_ms = time_ms;
                seen[i] = true;
                count++;
            }
            const char *cursor = next_cursor();
            if (!cursor)
                break;
            snprintf(target, sizeof target, "/api/v1/events?limit=%u&cursor=%s", limits[l], cursor);
            fixture.clock.fixed_us += HOUR; /* later pages look back to the same moment */
        }
        assert_int_equal(count, COUNT);
        fixture.clock.fixed_us = NOW_US;
    }
}

/* --- aggregates --- */

static void aggregates_are_by_bucket_and_group(void **state)
{
    (void)state;
    /* NOW is 22:13:20: buckets of a minute begin 20 s before it. */
    log_click(0, 0, ",\"v\":1,\"g\":\"x\"");
    log_click(1, 5, ",\"v\":2,\"g\":\"x\"");
    log_click(0, 6, ",\"v\":4.5,\"g\":\"x\"");
    log_click(0, 7, ",\"v\":\"no number\",\"g\":\"x\"");
    log_click(0, 8, ",\"g\":\"x\"");
    log_click(0, 9, ",\"v\":1e999,\"g\":null");
    log_click(0, 30, ",\"v\":-3,\"g\":7");
    log_commit(NOW_US);
    assert_int_equal(get("/api/v1/aggregate?source=clicks&metric=v&bucket=1m&group_by=g&hours=1"), 200);
    assert_string_equal(
        fixture.body,
        "{\"items\":[{\"bucket_start\":1699999920000,\"bucket_end\":1699999980000,\"group\":{\"g\":7},\"count\":1,\"mean\":-3,\"min\":-3,\"max\":-3,\"stddev\":null,\"skipped\":0},"
        "{\"bucket_start\":1699999980000,\"bucket_end\":1700000040000,\"group\":{\"g\":\"x\"},\"count\":3,\"mean\":2.5,\"min\":1,\"max\":4.5,\"stddev\":1.8027756377319946,\"skipped\":2},"
        "{\"bucket_start\":1699999980000,\"bucket_end\":1700000040000,\"group\":{\"g\":null},\"count\":0,\"mean\":null,\"min\":null,\"max\":null,\"stddev\":null,\"skipped\":1}],"
        "\"next_cursor\":null,\"scan\":{\"records\":7,\"complete\":true}}\n");
    assert_int_equal(get("/api/v1/aggregate?metric=v&bucket=1h&g=x"), 200);
    assert_has("\"group\":{},\"count\":3,\"mean\":2.5");
}

static void more_groups_than_the_limit_are_refused(void **state)
{
    (void)state;
    for (int i = 0; i < API_AGGREGATE_GROUPS_MAX + 1; i++) {
        char members[60];
        snprintf(members, sizeof members, ",\"v\":1,\"g\":%d", i);
        log_click(0, 1, members);
    }
    log_commit(NOW_US);
    assert_int_equal(get("/api/v1/aggregate?metric=v&bucket=1m&group_by=g"), 400);
    assert_has("\\\"1m\\\" gives more than 10000 buckets and groups; take a larger bucket");
    assert_int_equal(get("/api/v1/aggregate?metric=v&bucket=1m"), 200);
    assert_has("\"count\":10001,\"mean\":1,");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(results_are_the_stored_records_newest_window_first),
        TEST(results_filter_by_key_and_window),
        TEST(pages_of_results_give_each_once),
        TEST(dead_letters_are_filtered_and_paged),
        TEST(store_that_cannot_be_read_is_503),
        TEST(events_are_newest_event_time_first_and_filtered),
        TEST(events_without_a_time_path_have_that_of_their_arrival),
        TEST(pages_of_events_give_each_once_in_order),
        TEST(aggregates_are_by_bucket_and_group),
        TEST(more_groups_than_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
