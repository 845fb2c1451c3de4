/* Requests as text arrives: their parts, their limits, and what has to be refused because it could be read two ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "net/http_request.h"

enum { BODY_LIMIT = 100 };

static uint64_t limit_body(void *context, const struct http_request *request)
{
    (void)context;
    return request->method == HTTP_POST ? BODY_LIMIT : 0;
}

static struct http_reader reader;

static int set_up(void **state)
{
    (void)state;
    http_reader_init(&reader, limit_body, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http_reader_deinit(&reader);
    return 0;
}

/* Feeds all of the text, `step` bytes at a time; returns how many bytes were taken. */
static size_t feed(const char *text, size_t step)
{
    size_t size = strlen(text), at = 0;
    while (at < size && !reader.is_complete && !reader.error_status) {
        size_t offered = step < size - at ? step : size - at;
        at += http_reader_feed(&reader, text + at, offered);
    }
    return at;
}

static void assert_slice(struct slice slice, const char *text)
{
    assert_int_equal(slice.size, strlen(text));
    assert_memory_equal(slice.data, text, slice.size);
}

static void parts_are_decoded_whatever_the_pieces(void **state)
{
    (void)state;
    for (size_t step = 1; step < 200; step++) {
        http_reader_reset(&reader);
        feed(
            "GET /api/v1/results/a%2Fb?key.country=a%26b+c&limit=7 HTTP/1.1\r\nHOST: x:1\r\nAccept:  text/html \r\n\r\n",
            step);
        const struct http_request *request = &reader.request;
        assert_true(reader.is_complete && reader.error_status == 0);
        assert_int_equal(request->segment_count, 4);
        assert_slice(request->segments[3], "a/b");
        assert_slice(http_request_parameter(request, "key.country"), "a&b c");
        assert_slice(http_request_parameter(request, "limit"), "7");
        assert_null(http_request_parameter(request, "nosuch").data);
        assert_slice(http_request_header(request, "host"), "x:1");
        assert_slice(http_request_header(request, "accept"), "text/html");
        assert_true(request->keep_alive);
    }
}

static void nul_is_a_character_of_a_query_and_none_of_a_path(void **state)
{
    (void)state;
    feed("GET /a?key=x%00y HTTP/1.1\r\nHost: x\r\n\r\n", 1000);
    assert_true(reader.is_complete);
    struct slice value = http_request_parameter(&reader.request, "key");
    assert_int_equal(value.size, 3);
    assert_memory_equal(value.data, "x\0y", 3);
    http_reader_reset(&reader);
    feed("GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 1000);
    assert_int_equal(reader.error_status, 400);
}

static void next_request_of_a_pipeline_is_left_alone(void **state)
{
    (void)state;
    const char *text =
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: x\r\n\r\n";
    size_t taken = feed(text, strlen(text));
    assert_slice(buffer_slice(&reader.request.body), "abc");
    assert_string_equal(text + taken, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    http_reader_reset(&reader);
    feed(text + taken, strlen(text));
    assert_true(reader.is_complete);
    assert_slice(reader.request.path, "/b");
}

static void chunked_body_is_put_together(void **state)
{
    (void)state;
    for (size_t step = 1; step < 100; step++) {
        http_reader_reset(&reader);
        feed(
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n",
            step);
        assert_true(reader.is_complete);
        assert_slice(buffer_slice(&reader.request.body), "abcde");
    }
}

static void body_over_the_limit_is_refused_at_its_announcement_and_in_chunks(void **state)
{
    (void)state;
    feed("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n", 1000);
    assert_int_equal(reader.error_status, 413);
    http_reader_reset(&reader);
    feed("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n"
         "0123456789012345678901234567890123456789012345678901234567890123\r\n40\r\n"
         "0123456789012345678901234567890123456789012345678901234567890123\r\n0\r\n\r\n",
         7);
    assert_int_equal(reader.error_status, 413);
    http_reader_reset(&reader);
    feed("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", 1000);
    assert_int_equal(reader.error_status, 413);
}

struct refusal {
    const char *text;
    int status;
};

static void requests_that_are_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"GARBAGE\r\n\r\n", 501},
        {"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
        {"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked, identity\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\n\r\n", 417},
        {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        for (size_t step = 1; step < 120; step += 17) {
            http_reader_reset(&reader);
            feed(refusals[i].text, step);
            if (reader.error_status != refusals[i].status)
                fail_msg("%s: %d, not %d", refusals[i].text, reader.error_status, refusals[i].status);
            assert_non_null(reader.error_detail);
        }
    }
}

static void head_over_the_limit_is_refused_without_waiting_for_its_end(void **state)
{
    (void)state;
    struct buffer text = {0};
    buffer_append_text(&text, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
    for (size_t i = 0; i < HTTP_HEAD_SIZE_MAX; i++)
        buffer_append_char(&text, 'x');
    buffer_append_char(&text, '\0');
    size_t taken = feed(text.data, 1000);
    assert_int_equal(reader.error_status, 431);
    assert_true(taken <= HTTP_HEAD_SIZE_MAX + 1000);
    http_reader_reset(&reader);
    buffer_clear(&text);
    buffer_append_text(&text, "GET /");
    for (size_t i = 0; i < HTTP_TARGET_SIZE_MAX; i++)
        buffer_append_char(&text, 'x');
    buffer_append_char(&text, '\0');
    feed(text.data, 1000);
    assert_int_equal(reader.error_status, 414);
    http_reader_reset(&reader);
    buffer_clear(&text);
    buffer_append_text(&text, "GET / HTTP/1.1\r\n");
    for (size_t i = 0; i <= HTTP_HEADER_COUNT_MAX; i++)
        buffer_append_text(&text, "a: b\r\n");
    buffer_append_char(&text, '\0');
    feed(text.data, 1000);
    assert_int_equal(reader.error_status, 431);
    buffer_deinit(&text);
}

static void continue_is_wanted_and_upgrade_is_seen(void **state)
{
    (void)state;
    feed("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n", 1000);
    assert_true(reader.wants_continue && reader.head_complete && !reader.is_complete);
    feed("{}", 2);
    assert_true(reader.is_complete);
    http_reader_reset(&reader);
    feed("GET /ws HTTP/1.1\r\nHost: x\r\nupgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n\r\n", 3);
    assert_true(reader.is_complete && reader.request.is_websocket);
    http_reader_reset(&reader);
    feed("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 3);
    assert_true(reader.is_complete && !reader.request.is_websocket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(parts_are_decoded_whatever_the_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nul_is_a_character_of_a_query_and_none_of_a_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(next_request_of_a_pipeline_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chunked_body_is_put_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(body_over_the_limit_is_refused_at_its_announcement_and_in_chunks,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(requests_that_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(head_over_the_limit_is_refused_without_waiting_for_its_end, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(continue_is_wanted_and_upgrade_is_seen, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
