/* Ingest from body to log: what is accepted is durable, what is rejected is named, and a log that cannot be written takes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <string.h>

#include "base/memory.h"
#include "pipeline/ingest.h"
#include "temporary_folder.h"

static struct temporary_folder folder;
static struct config_source sources[2];
static struct config config;
static struct health health;
static struct histogram accept_latency;
static struct waker io_waker;
static struct event_log *event_log;
static struct ingest *ingest;

static struct ingest_request *make_request(uint32_t source_index, struct slice body)
{
    struct ingest_request *request = memory_allocate(sizeof *request);
    request->source_index = source_index;
    buffer_append_slice(&request->body, body);
    request->received_us = clock_monotonic_us(&clock_system);
    return request;
}

static void free_request(struct ingest_request *request)
{
    buffer_deinit(&request->body);
    buffer_deinit(&request->details);
    free(request);
}

static struct ingest_request *wait_finished(void)
{
    int64_t deadline_us = clock_monotonic_us(&clock_system) + 60 * INT64_C(1000000);
    for (;;) {
        struct ingest_request *request = ingest_collect(ingest);
        if (request)
            return request;
        assert_true(clock_monotonic_us(&clock_system) < deadline_us);
        waker_prepare(&io_waker);
        request = ingest_collect(ingest);
        if (request) {
            waker_cancel(&io_waker);
            return request;
        }
        waker_wait(&io_waker, 1000000);
    }
}

/* Submits and waits. The caller frees. */
static struct ingest_request *send_body(uint32_t source_index, const char *body)
{
    struct ingest_request *request = make_request(source_index, slice_of(body));
    assert_true(ingest_submit(ingest, request));
    assert_ptr_equal(wait_finished(), request);
    return request;
}

static void assert_logged(uint32_t source_index, uint32_t partition, const char *want)
{
    struct source_reader *reader =
        event_log_reader_open(event_log, source_index, partition, (struct source_position){0}, NULL);
    struct batch *batch = batch_create();
    struct buffer got = {0};
    struct error error;
    int64_t next_us;
    while (source_read(reader, 100, INT64_MAX, batch, &next_us, &error) == STATUS_OK) {
        for (uint32_t i = 0; i < batch->record_count; i++) {
            buffer_append_slice(&got, batch_record_text(batch, i));
            buffer_append_char(&got, '|');
        }
        batch_reset(batch);
    }
    buffer_append_char(&got, 0);
    assert_string_equal(got.data, want);
    buffer_deinit(&got);
    batch_destroy(batch);
    reader->operations->close(reader);
}

#define T "\"ts\":1700000000"

static void good_lines_are_accepted_and_bad_ones_named_and_logged_too(void **state)
{
    (void)state;
    struct ingest_request *request = send_body(0, "{" T "}\n\n{oops\n{\"x\":1}\n{" T ",\"x\":2}");
    assert_int_equal(request->outcome, INGEST_ACCEPTED);
    assert_int_equal(request->accepted, 2);
    assert_int_equal(request->rejected, 2);
    assert_int_equal(request->error_count, 2);
    assert_int_equal(request->errors[0].index, 2);
    assert_string_equal(request->errors[0].reason, "not_json");
    assert_int_equal(request->errors[1].index, 3);
    assert_string_equal(request->errors[1].reason, "no_time");
    free_request(request);
    assert_logged(0, 0, "{" T "}|{oops|{\"x\":1}|{" T ",\"x\":2}|");
    assert_int_equal(atomic_load(&accept_latency.count), 1);
}

static void array_elements_are_records(void **state)
{
    (void)state;
    struct ingest_request *request = send_body(0, "[{" T "}, 5,\n {" T ",\n\"x\":[1,2]}]");
    assert_int_equal(request->accepted, 2);
    assert_int_equal(request->rejected, 1);
    assert_int_equal(request->errors[0].index, 1);
    assert_string_equal(request->errors[0].reason, "not_object");
    free_request(request);
    request = send_body(0, "[]");
    assert_int_equal(request->outcome, INGEST_ACCEPTED);
    assert_int_equal(request->accepted, 0);
    free_request(request);
    assert_logged(0, 0, "{" T "}|5|{" T ",\n\"x\":[1,2]}|");
}

static void bad_body_takes_nothing(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", " \n", "[{" T "}", "[{" T "},]"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct ingest_request *request = send_body(0, bodies[i]);
        assert_int_equal(request->outcome, INGEST_BAD_BODY);
        assert_true(strlen(request->message) > 10);
        free_request(request);
    }
    assert_logged(0, 0, "");
}

static void all_errors_are_counted_and_the_first_are_described(void **state)
{
    (void)state;
    struct buffer body = {0};
    for (int i = 0; i < 5000; i++)
        buffer_append_text(&body, i % 2 ? "bad\n" : "{" T "}\n");
    struct ingest_request *request = make_request(0, buffer_slice(&body));
    assert_true(ingest_submit(ingest, request));
    wait_finished();
    assert_int_equal(request->accepted, 2500);
    assert_int_equal(request->rejected, 2500);
    assert_int_equal(request->error_count, INGEST_MAX_ERRORS);
    assert_int_equal(request->errors[99].index, 199);
    free_request(request);
    buffer_deinit(&body);
}

static void too_big_event_is_rejected_alone(void **state)
{
    (void)state;
    struct buffer body = {0};
    buffer_append_text(&body, "{" T ",\"pad\":\"");
    memset(buffer_reserve(&body, EVENT_MAX_SIZE), 'x', EVENT_MAX_SIZE);
    body.size += EVENT_MAX_SIZE;
    buffer_append_text(&body, "\"}\n{" T "}\n");
    struct ingest_request *request = make_request(0, buffer_slice(&body));
    assert_true(ingest_submit(ingest, request));
    wait_finished();
    assert_int_equal(request->accepted, 1);
    assert_string_equal(request->errors[0].reason, "too_big");
    free_request(request);
    buffer_deinit(&body);
}

static void equal_keys_go_to_one_partition(void **state)
{
    (void)state;
    struct ingest_request *request =
        send_body(1, "{" T ",\"u\":\"a\"}\n{" T ",\"u\":\"b\"}\n{" T ",\"u\":\"c\"}\n{" T ",\"u\":\"d\"}\n{" T
                     ",\"u\":\"e\"}\nbad");
    assert_int_equal(request->accepted, 5);
    free_request(request);
    request = send_body(1, "{" T ",\"u\":\"e\"}\n{" T ",\"u\":\"c\"}");
    free_request(request);
    uint32_t homes[5] = {0}, found = 0;
    for (uint32_t p = 0; p < 4; p++) {
        struct source_reader *reader =
            event_log_reader_open(event_log, 1, p, (struct source_position){0}, NULL);
        struct batch *batch = batch_create();
        struct error error;
        int64_t next_us;
        while (source_read(reader, 100, INT64_MAX, batch, &next_us, &error) == STATUS_OK) {
            for (uint32_t i = 0; i < batch->record_count; i++, found++) {
                struct slice text = batch_record_text(batch, i);
                if (slice_equal_text(text, "bad")) {
                    assert_int_equal(p, 0);
                    continue;
                }
                uint32_t *home = &homes[text.data[text.size - 3] - 'a'];
                assert_true(*home == 0 || *home == p + 1);
                *home = p + 1;
            }
            batch_reset(batch);
        }
        batch_destroy(batch);
        reader->operations->close(reader);
    }
    assert_int_equal(found, 8);
}

static void without_a_key_requests_take_turns(void **state)
{
    (void)state;
    ingest_destroy(ingest);
    sources[1].partition_by.text = NULL;
    ingest = ingest_create(&config, event_log, &health, &accept_latency, &io_waker);
    for (int i = 0; i < 4; i++)
        free_request(send_body(1, "{" T "}\n{" T "}"));
    for (uint32_t p = 0; p < 4; p++)
        assert_logged(1, p, "{" T "}|{" T "}|");
}

static void many_requests_share_commits_and_none_is_lost(void **state)
{
    (void)state;
    enum { REQUESTS = 3000 };
    uint32_t submitted = 0, finished = 0;
    while (finished < REQUESTS) {
        while (submitted < REQUESTS) {
            struct ingest_request *request = make_request(0, SLICE("{" T "}"));
            if (!ingest_submit(ingest, request)) {
                free_request(request);
                break;
            }
            submitted++;
        }
        struct ingest_request *request = wait_finished();
        assert_int_equal(request->outcome, INGEST_ACCEPTED);
        free_request(request);
        finished++;
    }
    struct source_reader *reader = event_log_reader_open(event_log, 0, 0, (struct source_position){0}, NULL);
    assert_int_equal(reader->operations->end_offset(reader), REQUESTS);
    reader->operations->close(reader);
}

static void queue_is_bounded_by_count_and_by_size(void **state)
{
    (void)state;
    sqlite3 *other;
    assert_int_equal(sqlite3_open(temporary_path(&folder, "data/log.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    uint32_t taken = 0;
    struct ingest_request *request = make_request(0, SLICE("{" T "}"));
    while (ingest_submit(ingest, request)) {
        taken++;
        request = make_request(0, SLICE("{" T "}"));
    }
    assert_int_equal(taken, INGEST_QUEUE_CAPACITY);
    free_request(request);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    for (; taken > 0; taken--) {
        request = wait_finished();
        assert_int_equal(request->outcome, INGEST_ACCEPTED);
        free_request(request);
    }
}

/* The same lock, held for longer than ingest has patience. */
static void log_that_stays_locked_refuses_and_says_why_in_health(void **state)
{
    (void)state;
    sqlite3 *other;
    assert_int_equal(sqlite3_open(temporary_path(&folder, "data/log.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct ingest_request *request = send_body(0, "{" T "}");
    assert_int_equal(request->outcome, INGEST_FAILED);
    assert_non_null(strstr(request->message, "another process"));
    free_request(request);
    struct buffer json = {0};
    assert_int_equal(health_write_component(&health, "event_log", &json), STATUS_OK);
    buffer_append_char(&json, 0);
    assert_non_null(strstr(json.data, "down"));
    assert_non_null(strstr(json.data, "another process"));
    buffer_deinit(&json);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    request = send_body(0, "{" T "}");
    assert_int_equal(request->outcome, INGEST_ACCEPTED);
    free_request(request);
    assert_logged(0, 0, "{" T "}|");
    assert_int_equal(health_overall(&health), HEALTH_OK);
}

static void stop_finishes_what_is_queued(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_true(ingest_submit(ingest, make_request(0, SLICE("{" T "}"))));
    ingest_stop(ingest);
    struct ingest_request *late = make_request(0, SLICE("{" T "}"));
    assert_false(ingest_submit(ingest, late));
    free_request(late);
    uint32_t finished = 0;
    for (struct ingest_request *request; (request = ingest_collect(ingest)); finished++) {
        assert_int_equal(request->outcome, INGEST_ACCEPTED);
        free_request(request);
    }
    assert_int_equal(finished, 100);
}

static int set_up(void **state)
{
    (void)state;
    temporary_folder_open(&folder);
    static char data_dir[80];
    snprintf(data_dir, sizeof data_dir, "%s/data", folder.path);
    sources[0] = (struct config_source){.name = "s", .kind = SOURCE_HTTP, .partitions = 1, .time.text = "ts"};
    sources[1] = (struct config_source){
        .name = "t", .kind = SOURCE_HTTP, .partitions = 4, .time.text = "ts", .partition_by.text = "u"};
    sources[0].max_future_skew_us = sources[1].max_future_skew_us = 300 * INT64_C(1000000);
    config = (struct config){.data_dir = data_dir, .sources = sources, .source_count = 2};
    config.store.max_log_size = UINT64_C(1) << 30;
    health_init(&health);
    histogram_init(&accept_latency);
    waker_open(&io_waker);
    struct error error = {{0}};
    if (event_log_open(&config, &event_log, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    ingest = ingest_create(&config, event_log, &health, &accept_latency, &io_waker);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ingest_destroy(ingest);
    event_log_close(event_log);
    waker_close(&io_waker);
    health_deinit(&health);
    temporary_folder_close(&folder);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(good_lines_are_accepted_and_bad_ones_named_and_logged_too),
        TEST(array_elements_are_records),
        TEST(bad_body_takes_nothing),
        TEST(all_errors_are_counted_and_the_first_are_described),
        TEST(too_big_event_is_rejected_alone),
        TEST(equal_keys_go_to_one_partition),
        TEST(without_a_key_requests_take_turns),
        TEST(many_requests_share_commits_and_none_is_lost),
        TEST(queue_is_bounded_by_count_and_by_size),
        TEST(log_that_stays_locked_refuses_and_says_why_in_health),
        TEST(stop_finishes_what_is_queued),
    };
    return cmocka_run_group_tests_name("ingest", tests, NULL, NULL);
}
