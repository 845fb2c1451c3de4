/* What weir top makes of a server's answers, and how it fits them into a terminal. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/top_view.h"
#include "base/memory.h"

#define STATS(time, used)                                                                                                \
    "{\"time\":" time                                                                                                    \
    ",\"uptime_s\":7,\"events_per_second\":2000.5,\"events_total\":12345,\"results_per_second\":null,"                   \
    "\"results_total\":9,\"bad_total\":1,\"late_total\":2,\"too_late_total\":3,\"filtered_total\":4,"                    \
    "\"latency\":{\"end_to_end\":{\"p50_us\":1500,\"p95_us\":4400,\"p99_us\":25000,\"max_us\":null,\"count\":5},"        \
    "\"accept\":{\"p50_us\":null,\"p99_us\":12}},"                                                                       \
    "\"sources\":{\"clicks\":{\"in\":12345,\"bad\":1,\"rate\":2000,\"lag\":70,\"lag_seconds\":3.5,\"watermark\":1,"      \
    "\"watermark_delay_ms\":1000,\"ended\":false}},"                                                                     \
    "\"pipelines\":{\"p1\":{\"used\":" used                                                                              \
    ",\"filtered\":4,\"too_late\":3,\"late_accepted\":2,\"watermark\":null,"                                             \
    "\"watermark_delay_ms\":null,\"open_windows\":2,\"keys\":8,\"results\":9},\"p2\":{\"used\":1},\"p3\":{\"used\":1}}," \
    "\"memory_bytes\":14260634,\"clients\":6}"
#define HEALTH                                                                                                          \
    "{\"status\":\"degraded\",\"components\":{\"store\":{\"status\":\"degraded\",\"reason\":\"slow \\u001b[2J disk\"}," \
    "\"engine\":{\"status\":\"ok\"}},\"version\":\"1.2.3\",\"uptime_s\":7}"

static enum status read_into(const char *stats, const char *health, const struct top_snapshot *before,
                             struct top_snapshot *out)
{
    struct native_json *json = native_json_create(1 << 20);
    struct buffer padded = {0};
    size_t stats_size = strlen(stats), health_size = strlen(health);
    buffer_append(&padded, stats, stats_size);
    memset(buffer_reserve(&padded, NATIVE_JSON_PADDING), 0, NATIVE_JSON_PADDING);
    struct buffer other = {0};
    buffer_append(&other, health, health_size);
    memset(buffer_reserve(&other, NATIVE_JSON_PADDING), 0, NATIVE_JSON_PADDING);
    struct error error = {{0}};
    enum status status =
        top_snapshot_read(json, buffer_slice(&padded), buffer_slice(&other), before, out, &error);
    assert_true(status == STATUS_OK || error.text[0]);
    buffer_deinit(&padded);
    buffer_deinit(&other);
    native_json_destroy(json);
    return status;
}

static struct top_snapshot *snapshot_of(const char *stats, const struct top_snapshot *before)
{
    struct top_snapshot *snapshot = memory_allocate(sizeof *snapshot);
    assert_int_equal(read_into(stats, HEALTH, before, snapshot), STATUS_OK);
    return snapshot;
}

static char *page_of(const struct top_snapshot *snapshot, const char *notice, uint32_t width, uint32_t height)
{
    const struct top_frame frame = {.url = "http://h", .notice = notice, .width = width, .height = height};
    struct buffer out = {0};
    top_view_write(&frame, snapshot, &out);
    buffer_append_char(&out, '\0');
    return out.data;
}

static void snapshot_has_what_the_server_says_and_nan_for_what_it_does_not(void **state)
{
    (void)state;
    struct top_snapshot *snapshot = snapshot_of(STATS("1000", "50"), NULL);
    assert_true(snapshot->event_rate > 2000 && snapshot->event_rate < 2001);
    assert_true(isnan(snapshot->result_rate));
    assert_int_equal(snapshot->source_count, 1);
    assert_string_equal(snapshot->sources[0].name, "clicks");
    assert_true(snapshot->sources[0].lag_seconds > 3.4 && snapshot->sources[0].lag_seconds < 3.6);
    assert_int_equal(snapshot->pipeline_count, 3);
    assert_true(isnan(snapshot->pipelines[0].delay_ms) && isnan(snapshot->pipelines[0].used_rate));
    assert_int_equal(snapshot->component_count, 1);
    assert_string_equal(snapshot->status, "degraded");
    free(snapshot);
}

static void rates_of_pipelines_are_since_the_snapshot_before(void **state)
{
    (void)state;
    struct top_snapshot *first = snapshot_of(STATS("1000", "50"), NULL);
    struct top_snapshot *second = snapshot_of(STATS("3000", "150"), first);
    struct top_snapshot *restarted = snapshot_of(STATS("4000", "10"), second);
    assert_int_equal((int)second->pipelines[0].used_rate, 50);
    assert_true(isnan(restarted->pipelines[0].used_rate));
    free(first);
    free(second);
    free(restarted);
}

static void answers_of_another_program_are_refused(void **state)
{
    (void)state;
    struct top_snapshot *snapshot = memory_allocate(sizeof *snapshot);
    assert_int_equal(read_into("<html>", HEALTH, NULL, snapshot), STATUS_INVALID);
    assert_int_equal(read_into("{}", HEALTH, NULL, snapshot), STATUS_INVALID);
    assert_int_equal(read_into("[]", HEALTH, NULL, snapshot), STATUS_INVALID);
    assert_int_equal(read_into(STATS("1", "1"), "[1]", NULL, snapshot), STATUS_INVALID);
    free(snapshot);
}

static void page_shows_lag_delay_latency_memory_and_clients(void **state)
{
    (void)state;
    struct top_snapshot *snapshot = snapshot_of(STATS("1000", "50"), NULL);
    char *page = page_of(snapshot, NULL, 120, 0);
    static const char *const wanted[] = {"weir 1.2.3", "degraded",  "12.3k",    "13.6 MiB",
                                         "clients 6",  "p99 25 ms", "LAG TIME", "3.5 s",
                                         "1.0 s",      "p1",        "p3"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (!strstr(page, wanted[i]))
            fail_msg("no \"%s\" in:\n%s", wanted[i], page);
    }
    free(page);
    free(snapshot);
}

static void page_fits_every_size_of_terminal(void **state)
{
    (void)state;
    struct top_snapshot *snapshot = snapshot_of(STATS("1000", "50"), NULL);
    for (uint32_t width = 1; width < 130; width++) {
        for (uint32_t height = 1; height < 30; height++) {
            char *page = page_of(snapshot, "the server is away", width, height);
            uint32_t lines = 0;
            for (const char *line = page; *line; lines++) {
                size_t size = strcspn(line, "\n");
                assert_true(size <= width);
                line += size + 1;
            }
            assert_true(lines >= 1 && lines <= height);
            free(page);
        }
    }
    free(snapshot);
}

static void rows_that_do_not_fit_are_counted(void **state)
{
    (void)state;
    struct top_snapshot *snapshot = snapshot_of(STATS("1000", "50"), NULL);
    char *whole = page_of(snapshot, NULL, 200, 0);
    uint32_t lines = 0;
    for (const char *at = whole; (at = strchr(at, '\n')); at++)
        lines++;
    /* The line of stages is left out of low terminals. */
    char *page = page_of(snapshot, NULL, 200, lines - 2);
    assert_non_null(strstr(page, "... 2 more"));
    assert_null(strstr(page, "p2"));
    free(whole);
    free(page);
    free(snapshot);
}

static void text_of_the_server_cannot_command_the_terminal(void **state)
{
    (void)state;
    struct top_snapshot *snapshot = snapshot_of(STATS("1000", "50"), NULL);
    char *page = page_of(snapshot, NULL, 100, 0);
    assert_null(strchr(page, '\033'));
    assert_non_null(strstr(page, "slow ?[2J disk"));
    free(page);
    free(snapshot);
}

static void numbers_and_durations_are_short(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *number, *duration;
    } cases[] = {
        {0, "0", "0 s"},
        {0.25, "0.2", "250 us"},
        {7, "7", "7 ms"},
        {9999, "9999", "10.0 s"},
        {9999.6, "10.0k", "10.0 s"},
        {12345, "12.3k", "12.3 s"},
        {999999, "1.00M", "16m 40s"},
        {3.6e6, "3.60M", "1h 0m"},
        {90000000, "90.0M", "1d 1h"},
        {(double)NAN, "-", "-"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[24];
        top_write_number(cases[i].value, text, sizeof text);
        assert_string_equal(text, cases[i].number);
        top_write_duration(cases[i].value, text, sizeof text);
        assert_string_equal(text, cases[i].duration);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot_has_what_the_server_says_and_nan_for_what_it_does_not),
        cmocka_unit_test(rates_of_pipelines_are_since_the_snapshot_before),
        cmocka_unit_test(answers_of_another_program_are_refused),
        cmocka_unit_test(page_shows_lag_delay_latency_memory_and_clients),
        cmocka_unit_test(page_fits_every_size_of_terminal),
        cmocka_unit_test(rows_that_do_not_fit_are_counted),
        cmocka_unit_test(text_of_the_server_cannot_command_the_terminal),
        cmocka_unit_test(numbers_and_durations_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
