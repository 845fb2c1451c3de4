/* HTTP requests as bytes from outside. The input is read twice: whole, and in pieces of a size that its first byte chooses.
 * Both readings must see the same requests and refuse both or neither, and what they see must keep its limits. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "net/http_request.h"
#include "net/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_LIMIT = 4096, REQUESTS_MOST = 64 };

struct reading {
    uint64_t digest;
    unsigned request_count;
    int error_status;
};

static uint64_t limit_body(void *context, const struct http_request *request)
{
    (void)context;
    return request->method == HTTP_POST ? BODY_LIMIT : 16;
}

static void mix(struct reading *reading, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        reading->digest = (reading->digest ^ (uint8_t)bytes.data[i]) * 1099511628211u;
    reading->digest = (reading->digest ^ bytes.size) * 1099511628211u;
}

static void take_request(struct reading *reading, const struct http_request *request)
{
    assert(request->path.size > 0 && request->path.data[0] == '/');
    assert(request->header_count <= HTTP_HEADER_COUNT_MAX &&
           request->parameter_count <= HTTP_PARAMETER_COUNT_MAX);
    assert(request->segment_count <= HTTP_SEGMENT_COUNT_MAX + 1);
    assert(request->body.size <= BODY_LIMIT);
    uint32_t segments = request->segment_count;
    for (uint32_t i = 0; i < segments && i < HTTP_SEGMENT_COUNT_MAX; i++)
        mix(reading, request->segments[i]);
    for (uint32_t i = 0; i < request->parameter_count; i++)
        mix(reading, request->parameters[i].value);
    for (uint32_t i = 0; i < request->header_count; i++) {
        mix(reading, request->headers[i].name);
        mix(reading, request->headers[i].value);
    }
    mix(reading, buffer_slice(&request->body));
    const char *detail;
    const char *const origins[] = {"https://dash.example"};
    if (websocket_check_handshake(request, &detail) == 0)
        reading->digest += websocket_origin_allowed(request, origins, 1);
    reading->request_count++;
}

static struct reading read_all(const char *data, size_t size, size_t piece)
{
    struct reading reading = {.digest = 14695981039346656037u};
    struct http_reader reader;
    http_reader_init(&reader, limit_body, NULL);
    while (size > 0 && reading.request_count < REQUESTS_MOST) {
        size_t offered = piece < size ? piece : size;
        char *copy = malloc(offered); /* so that a read behind the piece is seen */
        assert(copy);
        memcpy(copy, data, offered);
        size_t taken = http_reader_feed(&reader, copy, offered);
        free(copy);
        assert(taken <= offered);
        if (reader.error_status)
            break;
        assert(taken > 0);
        data += taken;
        size -= taken;
        if (!reader.is_complete)
            continue;
        take_request(&reading, &reader.request);
        http_reader_reset(&reader);
    }
    reading.error_status = reader.error_status;
    http_reader_deinit(&reader);
    return reading;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *text = (const char *)data + 1;
    struct reading whole = read_all(text, size - 1, size);
    struct reading pieces = read_all(text, size - 1, 1u + data[0] % 61u);
    assert(whole.request_count == pieces.request_count);
    assert(whole.digest == pieces.digest);
    /* Which of two faults of one request is told depends on what was seen first. */
    assert(!whole.error_status == !pieces.error_status);
    return 0;
}
