/* WebSocket frames by RFC 6455: what is delivered, what is refused and with which code, and the handshake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "net/websocket.h"

/* What the reader delivered, as text: "text:hello;ping:x;close:1000;". */
static struct buffer delivered;
static struct websocket_reader reader;

static void note(const char *kind, struct slice payload)
{
    buffer_format(&delivered, "%s:", kind);
    if (payload.size > 100)
        buffer_format(&delivered, "<%zu>", payload.size);
    else
        buffer_append_slice(&delivered, payload);
    buffer_append_char(&delivered, ';');
}

static void text(void *context, struct slice message)
{
    (void)context;
    note("text", message);
}

static void control(void *context, enum websocket_opcode opcode, struct slice payload)
{
    (void)context;
    note(opcode == WEBSOCKET_PING ? "ping" : "pong", payload);
}

static void close_frame(void *context, uint16_t code)
{
    (void)context;
    char digits[8];
    snprintf(digits, sizeof digits, "%u", code);
    note("close", slice_of(digits));
}

static const struct websocket_handler handler = {.text = text, .control = control, .close = close_frame};

static int set_up(void **state)
{
    (void)state;
    reader = (struct websocket_reader){0};
    delivered = (struct buffer){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    websocket_reader_deinit(&reader);
    buffer_deinit(&delivered);
    return 0;
}

enum { FINAL = 0x80, MASKED = 0x80 };

static void append_frame(struct buffer *out, unsigned first, struct slice payload)
{
    static const char mask[4] = {0x11, 0x22, 0x33, 0x44};
    unsigned char header[WEBSOCKET_HEADER_SIZE_MAX];
    size_t size = websocket_header(header, WEBSOCKET_TEXT, payload.size);
    header[0] = (unsigned char)first;
    header[1] |= MASKED;
    buffer_append(out, header, size);
    buffer_append(out, mask, sizeof mask);
    for (size_t i = 0; i < payload.size; i++)
        buffer_append_char(out, (char)(payload.data[i] ^ mask[i & 3]));
}

static uint16_t feed(const struct buffer *bytes, size_t step)
{
    const char *reason;
    uint16_t code = 0;
    for (size_t at = 0; at < bytes->size && code == 0; at += step) {
        size_t size = step < bytes->size - at ? step : bytes->size - at;
        code = websocket_reader_feed(&reader, bytes->data + at, size, &handler, NULL, &reason);
        if (code)
            assert_true(reason[0] && reader.is_over);
    }
    return code;
}

static void assert_delivered(const char *expected)
{
    buffer_append_char(&delivered, '\0');
    assert_string_equal(delivered.data, expected);
    buffer_clear(&delivered);
}

static void fragments_with_a_ping_between_are_one_message_whatever_the_pieces(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    append_frame(&bytes, WEBSOCKET_TEXT, SLICE("\xe2\x82"));
    append_frame(&bytes, FINAL | WEBSOCKET_PING, SLICE("p"));
    append_frame(&bytes, WEBSOCKET_CONTINUATION, SLICE(""));
    append_frame(&bytes, FINAL | WEBSOCKET_CONTINUATION, SLICE("\xac!"));
    append_frame(&bytes, FINAL | WEBSOCKET_TEXT, SLICE(""));
    append_frame(&bytes, FINAL | WEBSOCKET_PONG, SLICE(""));
    append_frame(&bytes, FINAL | WEBSOCKET_CLOSE,
                 SLICE("\x03\xe8"
                       "bye"));
    append_frame(&bytes, FINAL | WEBSOCKET_TEXT, SLICE("behind the close"));
    for (size_t step = 1; step < bytes.size + 2; step++) {
        assert_int_equal(feed(&bytes, step), 0);
        assert_delivered("ping:p;text:\xe2\x82\xac!;text:;pong:;close:1000;");
        assert_true(reader.is_over);
        websocket_reader_deinit(&reader);
        reader = (struct websocket_reader){0};
    }
    buffer_deinit(&bytes);
}

static void message_of_the_limit_is_taken_and_one_byte_more_is_1009(void **state)
{
    (void)state;
    struct buffer payload = {0}, bytes = {0};
    memset(buffer_reserve(&payload, WEBSOCKET_MESSAGE_SIZE_MAX + 1), 'x', WEBSOCKET_MESSAGE_SIZE_MAX + 1);
    payload.size = WEBSOCKET_MESSAGE_SIZE_MAX;
    append_frame(&bytes, FINAL | WEBSOCKET_TEXT, buffer_slice(&payload));
    assert_int_equal(feed(&bytes, 50000), 0);
    assert_delivered("text:<1048576>;");
    assert_true(reader.message.capacity <= WEBSOCKET_KEPT_SIZE_MAX);

    buffer_clear(&bytes);
    payload.size = WEBSOCKET_MESSAGE_SIZE_MAX / 2 + 1;
    append_frame(&bytes, WEBSOCKET_TEXT, buffer_slice(&payload));
    append_frame(&bytes, FINAL | WEBSOCKET_CONTINUATION, buffer_slice(&payload));
    assert_int_equal(feed(&bytes, 50000), WEBSOCKET_TOO_BIG);
    buffer_deinit(&payload);
    buffer_deinit(&bytes);
}

static void quiet_connection_holds_no_frame_parser(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    append_frame(&bytes, FINAL | WEBSOCKET_TEXT, SLICE("hello"));
    append_frame(&bytes, FINAL | WEBSOCKET_PING, SLICE(""));
    assert_int_equal(feed(&bytes, bytes.size), 0);
    assert_null(reader.frames);
    const char *reason;
    assert_int_equal(websocket_reader_feed(&reader, bytes.data, 1, &handler, NULL, &reason), 0);
    assert_non_null(reader.frames);
    assert_int_equal(websocket_reader_feed(&reader, bytes.data + 1, bytes.size - 1, &handler, NULL, &reason),
                     0);
    assert_null(reader.frames);
    assert_delivered("text:hello;ping:;text:hello;ping:;");
    buffer_deinit(&bytes);
}

struct broken {
    unsigned first;
    const char *payload;
    size_t size;
    uint16_t code;
};

static void broken_rules_have_their_codes(void **state)
{
    (void)state;
    static char long_payload[126];
    static const struct broken cases[] = {
        {FINAL | 0x40 | WEBSOCKET_TEXT, "{}", 2, WEBSOCKET_PROTOCOL_ERROR},
        {FINAL | 3, "{}", 2, WEBSOCKET_PROTOCOL_ERROR},
        {FINAL | 11, "", 0, WEBSOCKET_PROTOCOL_ERROR},
        {FINAL | WEBSOCKET_CONTINUATION, "{}", 2, WEBSOCKET_PROTOCOL_ERROR},
        {FINAL | WEBSOCKET_PING, long_payload, sizeof long_payload, WEBSOCKET_PROTOCOL_ERROR},
        {WEBSOCKET_PING, "x", 1, WEBSOCKET_PROTOCOL_ERROR},
        {FINAL | WEBSOCKET_CLOSE, "\x03", 1, WEBSOCKET_PROTOCOL_ERROR},
        {FINAL | WEBSOCKET_CLOSE, "\x00\x01", 2, WEBSOCKET_PROTOCOL_ERROR},
        {FINAL | WEBSOCKET_CLOSE, "\x03\xed", 2, WEBSOCKET_PROTOCOL_ERROR},
        {FINAL | WEBSOCKET_CLOSE, "\x13\x88", 2, WEBSOCKET_PROTOCOL_ERROR},
        {FINAL | WEBSOCKET_CLOSE, "\x03\xe8\xff", 3, WEBSOCKET_BAD_TEXT},
        {FINAL | WEBSOCKET_TEXT, "\xff\xfe", 2, WEBSOCKET_BAD_TEXT},
        {FINAL | WEBSOCKET_TEXT, "\xe2\x82", 2, WEBSOCKET_BAD_TEXT},
        {FINAL | WEBSOCKET_BINARY, "{}", 2, WEBSOCKET_UNSUPPORTED},
        {WEBSOCKET_BINARY, "{", 1, WEBSOCKET_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t step = 1; step < 140; step += 69) {
            struct buffer bytes = {0};
            append_frame(&bytes, cases[i].first, (struct slice){cases[i].payload, cases[i].size});
            uint16_t code = feed(&bytes, step);
            if (code != cases[i].code)
                fail_msg("case %zu: %u, not %u", i, code, cases[i].code);
            buffer_deinit(&bytes);
            websocket_reader_deinit(&reader);
            reader = (struct websocket_reader){0};
        }
    }
    assert_int_equal(delivered.size, 0);
}

static void unmasked_and_wastefully_long_frames_are_1002(void **state)
{
    (void)state;
    struct buffer unmasked = {0}, wasteful = {0};
    buffer_append(&unmasked, "\x81\x02{}", 4);
    assert_int_equal(feed(&unmasked, 4), WEBSOCKET_PROTOCOL_ERROR);
    websocket_reader_deinit(&reader);
    reader = (struct websocket_reader){0};
    buffer_append(&wasteful, "\x81\xfe\x00\x02\x00\x00\x00\x00{}", 10);
    assert_int_equal(feed(&wasteful, 10), WEBSOCKET_PROTOCOL_ERROR);
    buffer_deinit(&unmasked);
    buffer_deinit(&wasteful);
}

static void message_inside_a_message_is_1002(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    append_frame(&bytes, WEBSOCKET_TEXT, SLICE("{"));
    append_frame(&bytes, FINAL | WEBSOCKET_TEXT, SLICE("}"));
    assert_int_equal(feed(&bytes, 5), WEBSOCKET_PROTOCOL_ERROR);
    buffer_deinit(&bytes);
}

static void headers_out_have_the_shortest_length(void **state)
{
    (void)state;
    unsigned char header[WEBSOCKET_HEADER_SIZE_MAX];
    assert_int_equal(websocket_header(header, WEBSOCKET_TEXT, 125), 2);
    assert_memory_equal(header, "\x81\x7d", 2);
    assert_int_equal(websocket_header(header, WEBSOCKET_TEXT, 126), 4);
    assert_memory_equal(header, "\x81\x7e\x00\x7e", 4);
    assert_int_equal(websocket_header(header, WEBSOCKET_TEXT, 65535), 4);
    assert_int_equal(websocket_header(header, WEBSOCKET_TEXT, 65536), 10);
    assert_memory_equal(header, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
    struct frame *frame = websocket_close_frame(1008, "Origin not allowed");
    assert_int_equal(frame->size, 2 + 2 + 18);
    assert_memory_equal(frame->data, "\x88\x14\x03\xf0Origin not allowed", frame->size);
    frame_release(frame);
}

/* --- handshake --- */

static uint64_t no_body(void *context, const struct http_request *request)
{
    (void)context;
    (void)request;
    return 0;
}

static void accept_key_is_that_of_the_rfc(void **state)
{
    (void)state;
    char accept[WEBSOCKET_ACCEPT_SIZE];
    websocket_accept_key(SLICE("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

struct origin_case {
    const char *host, *origin;
    bool allowed;
};

static void origin_is_own_or_listed(void **state)
{
    (void)state;
    static const char *const list[] = {"https://dash.example"};
    static const struct origin_case cases[] = {
        {"127.0.0.1:8765", NULL, true},
        {"127.0.0.1:8765", "http://127.0.0.1:8765", true},
        {"LocalHost:8765", "http://localhost:8765", true},
        {"a.example", "https://a.example", true},
        {"a.example:80", "http://a.example", true},
        {"a.example", "http://a.example:80", true},
        {"a.example", "http://a.example:443", false},
        {"127.0.0.1:8765", "http://127.0.0.1", false},
        {"127.0.0.1:8765", "http://127.0.0.1:1", false},
        {"127.0.0.1:8765", "http://127.0.0.1.evil.example", false},
        {"127.0.0.1:8765", "http://evil.example", false},
        {"127.0.0.1:8765", "null", false},
        {"127.0.0.1:8765", "", false},
        {"127.0.0.1:8765", "ftp://127.0.0.1:8765", false},
        {"127.0.0.1:8765", "https://dash.example", true},
        {"127.0.0.1:8765", "http://dash.example", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer text_of_request = {0};
        buffer_format(&text_of_request, "GET /ws HTTP/1.1\r\nHost: %s\r\n", cases[i].host);
        if (cases[i].origin)
            buffer_format(&text_of_request, "Origin: %s\r\n", cases[i].origin);
        buffer_append_text(&text_of_request, "\r\n");
        struct http_reader http;
        http_reader_init(&http, no_body, NULL);
        http_reader_feed(&http, text_of_request.data, text_of_request.size);
        assert_true(http.is_complete);
        if (websocket_origin_allowed(&http.request, list, 1) != cases[i].allowed)
            fail_msg("origin %s at host %s", cases[i].origin, cases[i].host);
        static const char *const any[] = {"*"};
        assert_true(websocket_origin_allowed(&http.request, any, 1));
        http_reader_deinit(&http);
        buffer_deinit(&text_of_request);
    }
}

struct handshake_case {
    const char *lines;
    int status;
};

static void handshakes_are_checked(void **state)
{
    (void)state;
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    static const struct handshake_case cases[] = {
        {UPGRADE KEY "Sec-WebSocket-Version: 13\r\n", 0},
        {UPGRADE KEY "Sec-WebSocket-Version: 8\r\n", 426},
        {UPGRADE KEY, 426},
        {KEY "Sec-WebSocket-Version: 13\r\n", 426},
        {"Upgrade: h2c\r\nConnection: Upgrade\r\n" KEY "Sec-WebSocket-Version: 13\r\n", 426},
        {UPGRADE "Sec-WebSocket-Version: 13\r\n", 400},
        {UPGRADE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short==\r\n", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer text_of_request = {0};
        buffer_format(&text_of_request, "GET /ws HTTP/1.1\r\nHost: x\r\n%s\r\n", cases[i].lines);
        struct http_reader http;
        http_reader_init(&http, no_body, NULL);
        http_reader_feed(&http, text_of_request.data, text_of_request.size);
        const char *detail = NULL;
        int status = websocket_check_handshake(&http.request, &detail);
        if (status != cases[i].status)
            fail_msg("case %zu: %d, not %d", i, status, cases[i].status);
        assert_true(status == 0 || detail);
        http_reader_deinit(&http);
        buffer_deinit(&text_of_request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fragments_with_a_ping_between_are_one_message_whatever_the_pieces,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(message_of_the_limit_is_taken_and_one_byte_more_is_1009, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(quiet_connection_holds_no_frame_parser, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_rules_have_their_codes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unmasked_and_wastefully_long_frames_are_1002, set_up, tear_down),
        cmocka_unit_test_setup_teardown(message_inside_a_message_is_1002, set_up, tear_down),
        cmocka_unit_test(headers_out_have_the_shortest_length),
        cmocka_unit_test(accept_key_is_that_of_the_rfc),
        cmocka_unit_test(origin_is_own_or_listed),
        cmocka_unit_test(handshakes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
