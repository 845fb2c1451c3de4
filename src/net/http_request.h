/* One HTTP/1.1 request as text arrives: http-parser finds its parts, this keeps them, decoded and within limits.
 * Knows no socket. */
#pragma once

#include <http_parser.h>

#include "base/arena.h"
#include "base/buffer.h"

enum {
    HTTP_HEAD_SIZE_MAX = 16 * 1024,  /* request line and headers */
    HTTP_TARGET_SIZE_MAX = 8 * 1024, /* what stands between method and version */
    HTTP_HEADER_COUNT_MAX = 100,
    HTTP_SEGMENT_COUNT_MAX = 8,    /* path parts; no route has more */
    HTTP_PARAMETER_COUNT_MAX = 64, /* of the query */
};

struct http_pair {
    struct slice name, value;
};

struct http_request {
    struct arena arena; /* everything below but the body */
    enum http_method method;
    struct slice path;                             /* as sent, without query */
    struct slice segments[HTTP_SEGMENT_COUNT_MAX]; /* of the path, percent-decoded: "api" "v1" "sources" */
    uint32_t segment_count;                        /* HTTP_SEGMENT_COUNT_MAX + 1 when there are more */
    struct http_pair parameters[HTTP_PARAMETER_COUNT_MAX]; /* of the query, decoded, in order */
    uint32_t parameter_count;
    struct http_pair headers[HTTP_HEADER_COUNT_MAX]; /* names in lower case, values trimmed */
    uint32_t header_count;
    struct buffer body;
    bool keep_alive;
    bool is_websocket; /* asks for an upgrade to it */
};

/* The value of a header (name in lower case), or an empty slice with NULL data. Several of one name: the first. */
struct slice http_request_header(const struct http_request *request, const char *name);
/* True when the comma-separated values of all headers of that name contain the token, whatever its case. */
bool http_request_header_has(const struct http_request *request, const char *name, const char *token);
/* The first query parameter of that name, or NULL data. */
struct slice http_request_parameter(const struct http_request *request, const char *name);

struct http_reader {
    http_parser parser;
    struct http_request request;
    struct buffer head; /* header texts on their way in */
    struct http_span {
        uint32_t name_offset, name_size, value_offset, value_size;
    } spans[HTTP_HEADER_COUNT_MAX];
    uint32_t span_count;
    uint32_t target_size; /* the target is head[0, target_size) */
    uint32_t head_size;   /* bytes of the head, and of trailers, seen */
    bool in_value;
    bool has_begun; /* at least one byte of the request is there */
    bool head_complete;
    bool is_complete;
    bool wants_continue; /* the client waits for "100 Continue"; the connection clears it */
    int error_status;    /* an HTTP status when the request is refused, else 0 */
    const char *error_detail;
    uint64_t body_limit;
    /* Asked when the head is complete: most bytes of body this request may have. */
    uint64_t (*limit_body)(void *context, const struct http_request *request);
    void *context;
};

void http_reader_init(struct http_reader *reader, uint64_t (*limit_body)(void *, const struct http_request *),
                      void *context);
void http_reader_deinit(struct http_reader *reader);
/* Ready for the next request; memory is kept, the body given up. */
void http_reader_reset(struct http_reader *reader);
/* Takes bytes until the request is complete or refused; returns how many it took. */
size_t http_reader_feed(struct http_reader *reader, const char *data, size_t size);
