/* http-parser checks the syntax (strictly: it refuses what could be read two ways, such as Content-Length beside
 * chunked) and calls back with pieces; pieces are glued in one buffer, and become slices once the head is complete.
 * See http_request.h. */
#include "net/http_request.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

struct slice http_request_header(const struct http_request *request, const char *name)
{
    for (uint32_t i = 0; i < request->header_count; i++)
        if (slice_equal_text(request->headers[i].name, name))
            return request->headers[i].value;
    return (struct slice){0};
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static bool list_has(struct slice list, const char *token)
{
    size_t token_size = strlen(token);
    while (list.size > 0) {
        const char *comma = memchr(list.data, ',', list.size);
        size_t size = comma ? (size_t)(comma - list.data) : list.size;
        struct slice item = trim((struct slice){list.data, size});
        if (item.size == token_size && strncasecmp(item.data, token, token_size) == 0)
            return true;
        size_t skip = comma ? size + 1 : size;
        list.data += skip;
        list.size -= skip;
    }
    return false;
}

bool http_request_header_has(const struct http_request *request, const char *name, const char *token)
{
    for (uint32_t i = 0; i < request->header_count; i++)
        if (slice_equal_text(request->headers[i].name, name) && list_has(request->headers[i].value, token))
            return true;
    return false;
}

struct slice http_request_parameter(const struct http_request *request, const char *name)
{
    for (uint32_t i = 0; i < request->parameter_count; i++)
        if (slice_equal_text(request->parameters[i].name, name))
            return request->parameters[i].value;
    return (struct slice){0};
}

static int refuse(struct http_reader *reader, int status, const char *detail)
{
    if (reader->error_status == 0) {
        reader->error_status = status;
        reader->error_detail = detail;
    }
    return -1; /* stops the parser */
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes into the arena; false for a broken escape, and for a NUL in a path: names have none, values may. */
static bool decode(struct arena *arena, struct slice text, bool is_query, struct slice *out)
{
    char *data = arena_allocate(arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%') {
            bool is_whole = i + 2 < text.size;
            int high = is_whole ? hex_digit(text.data[i + 1]) : -1;
            int low = is_whole ? hex_digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0 && !is_query))
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        data[size++] = c;
    }
    data[size] = '\0';
    *out = (struct slice){data, size};
    return true;
}

/* Cuts `rest` at the first `separator`; returns what stood before it. */
static struct slice cut(struct slice *rest, char separator)
{
    const char *at = rest->size ? memchr(rest->data, separator, rest->size) : NULL;
    struct slice before = {rest->data, at ? (size_t)(at - rest->data) : rest->size};
    size_t skip = before.size + (at ? 1 : 0);
    rest->data += skip;
    rest->size -= skip;
    return before;
}

static bool split_path(struct http_request *request, struct slice path)
{
    request->path = path;
    path.data++;
    path.size--;
    while (path.size > 0) {
        if (request->segment_count == HTTP_SEGMENT_COUNT_MAX) {
            request->segment_count = HTTP_SEGMENT_COUNT_MAX + 1;
            return true;
        }
        bool has_more = memchr(path.data, '/', path.size) != NULL;
        if (!decode(&request->arena, cut(&path, '/'), false, &request->segments[request->segment_count++]))
            return false;
        /* "/a/" is not "/a": the empty last part stays, and matches no route. */
        if (has_more && path.size == 0 && request->segment_count < HTTP_SEGMENT_COUNT_MAX)
            request->segments[request->segment_count++] = SLICE("");
    }
    return true;
}

static bool split_query(struct http_request *request, struct slice query)
{
    while (query.size > 0) {
        struct slice value = cut(&query, '&');
        if (value.size == 0)
            continue;
        if (request->parameter_count == HTTP_PARAMETER_COUNT_MAX)
            return false;
        struct slice name = cut(&value, '=');
        struct http_pair *pair = &request->parameters[request->parameter_count++];
        if (!decode(&request->arena, name, true, &pair->name) ||
            !decode(&request->arena, value, true, &pair->value))
            return false;
    }
    return true;
}

static int split_target(struct http_reader *reader, struct slice target)
{
    /* The absolute form "http://host/path" is for proxies, but a server has to understand it. */
    if (target.size >= 7 && strncasecmp(target.data, "http://", 7) == 0) {
        const char *slash = memchr(target.data + 7, '/', target.size - 7);
        target = slash ? (struct slice){slash, target.size - (size_t)(slash - target.data)} : SLICE("/");
    }
    if (target.size == 1 && target.data[0] == '*')
        target = SLICE("/");
    if (target.size == 0 || target.data[0] != '/')
        return refuse(reader, 400, "the request target does not begin with /");
    struct slice path = cut(&target, '?');
    if (!split_path(&reader->request, path))
        return refuse(reader, 400, "the path contains a broken percent escape");
    if (!split_query(&reader->request, cut(&target, '#')))
        return refuse(reader, 400, "the query contains a broken percent escape or too many parameters");
    return 0;
}

static int on_url(http_parser *parser, const char *data, size_t size)
{
    struct http_reader *reader = parser->data;
    if (reader->target_size + size > HTTP_TARGET_SIZE_MAX)
        return refuse(reader, 414, "the request target is longer than 8 KiB");
    buffer_append(&reader->head, data, size);
    reader->target_size += (uint32_t)size;
    reader->head_size += (uint32_t)size;
    return 0;
}

static int count_head(struct http_reader *reader, size_t size)
{
    if (reader->head_size + size > HTTP_HEAD_SIZE_MAX)
        return refuse(reader, 431, "the request's headers are larger than 16 KiB");
    reader->head_size += (uint32_t)size;
    return 0;
}

static int on_header_field(http_parser *parser, const char *data, size_t size)
{
    struct http_reader *reader = parser->data;
    if (count_head(reader, size))
        return -1;
    if (reader->head_complete)
        return 0; /* a trailer: counted, not kept */
    if (reader->in_value || reader->span_count == 0) {
        if (reader->span_count == HTTP_HEADER_COUNT_MAX)
            return refuse(reader, 431, "the request has more than 100 headers");
        reader->spans[reader->span_count++] = (struct http_span){.name_offset = (uint32_t)reader->head.size};
        reader->in_value = false;
    }
    for (size_t i = 0; i < size; i++)
        buffer_append_char(&reader->head, (char)tolower((unsigned char)data[i]));
    reader->spans[reader->span_count - 1].name_size += (uint32_t)size;
    return 0;
}

static int on_header_value(http_parser *parser, const char *data, size_t size)
{
    struct http_reader *reader = parser->data;
    if (count_head(reader, size))
        return -1;
    if (reader->head_complete)
        return 0;
    struct http_span *span = &reader->spans[reader->span_count - 1];
    if (!reader->in_value)
        span->value_offset = (uint32_t)reader->head.size;
    reader->in_value = true;
    buffer_append(&reader->head, data, size);
    span->value_size += (uint32_t)size;
    return 0;
}

static int check_head(struct http_reader *reader)
{
    const struct http_request *request = &reader->request;
    if (reader->parser.http_major != 1)
        return refuse(reader, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    uint32_t host_count = 0;
    for (uint32_t i = 0; i < request->header_count; i++)
        host_count += slice_equal_text(request->headers[i].name, "host");
    if (host_count > 1 || (host_count == 0 && reader->parser.http_minor > 0))
        return refuse(reader, 400, "a request needs exactly one Host header");
    struct slice expect = http_request_header(request, "expect");
    if (expect.data && !list_has(expect, "100-continue"))
        return refuse(reader, 417, "the only expectation met here is 100-continue");
    reader->wants_continue = expect.data && reader->parser.http_minor > 0;
    return 0;
}

static int on_headers_complete(http_parser *parser)
{
    struct http_reader *reader = parser->data;
    struct http_request *request = &reader->request;
    reader->head_complete = true;
    request->method = (enum http_method)parser->method;
    struct slice head = arena_copy(&request->arena, buffer_slice(&reader->head));
    for (uint32_t i = 0; i < reader->span_count; i++) {
        const struct http_span *span = &reader->spans[i];
        request->headers[i].name = (struct slice){head.data + span->name_offset, span->name_size};
        request->headers[i].value = trim((struct slice){head.data + span->value_offset, span->value_size});
    }
    request->header_count = reader->span_count;
    request->keep_alive = http_should_keep_alive(parser);
    if (split_target(reader, (struct slice){head.data, reader->target_size}) || check_head(reader))
        return -1;
    request->is_websocket = parser->upgrade && http_request_header_has(request, "upgrade", "websocket");
    reader->body_limit = reader->limit_body(reader->context, request);
    if (parser->content_length != UINT64_MAX && parser->content_length > reader->body_limit)
        return refuse(reader, 413, "the request's body is larger than this resource takes");
    return 0;
}

static int on_body(http_parser *parser, const char *data, size_t size)
{
    struct http_reader *reader = parser->data;
    if (reader->request.body.size + size > reader->body_limit)
        return refuse(reader, 413, "the request's body is larger than this resource takes");
    buffer_append(&reader->request.body, data, size);
    return 0;
}

static int on_message_complete(http_parser *parser)
{
    struct http_reader *reader = parser->data;
    reader->is_complete = true;
    http_parser_pause(parser, 1); /* the next request waits until this one is answered */
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http_reader_init(struct http_reader *reader, uint64_t (*limit_body)(void *, const struct http_request *),
                      void *context)
{
    *reader = (struct http_reader){.limit_body = limit_body, .context = context};
    arena_init(&reader->request.arena, 4096);
    http_reader_reset(reader);
}

void http_reader_deinit(struct http_reader *reader)
{
    arena_deinit(&reader->request.arena);
    buffer_deinit(&reader->request.body);
    buffer_deinit(&reader->head);
}

void http_reader_reset(struct http_reader *reader)
{
    struct http_request *request = &reader->request;
    arena_reset(&request->arena);
    buffer_deinit(&request->body);
    request->segment_count = request->parameter_count = request->header_count = 0;
    request->keep_alive = request->is_websocket = false;
    request->path = (struct slice){0};
    buffer_clear(&reader->head);
    reader->span_count = reader->target_size = reader->head_size = 0;
    reader->in_value = reader->has_begun = reader->head_complete = reader->is_complete = false;
    reader->wants_continue = false;
    reader->error_status = 0;
    reader->error_detail = NULL;
    http_parser_init(&reader->parser, HTTP_REQUEST);
    reader->parser.data = reader;
}

static void refuse_syntax(struct http_reader *reader, enum http_errno code)
{
    if (code == HPE_INVALID_METHOD)
        refuse(reader, 501, "no such method is known here");
    else if (code == HPE_INVALID_VERSION)
        refuse(reader, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    else if (code == HPE_HEADER_OVERFLOW)
        refuse(reader, 431, "the request's headers are larger than 16 KiB");
    else
        refuse(reader, 400, http_errno_description(code));
}

size_t http_reader_feed(struct http_reader *reader, const char *data, size_t size)
{
    if (size == 0 || reader->is_complete || reader->error_status)
        return 0;
    if (!reader->has_begun && (data[0] == '\r' || data[0] == '\n'))
        return 1; /* an empty line before a request is harmless; some clients send one behind a body */
    reader->has_begun = true;
    size_t taken = http_parser_execute(&reader->parser, &settings, data, size);
    enum http_errno code = HTTP_PARSER_ERRNO(&reader->parser);
    if (code != HPE_OK && code != HPE_PAUSED)
        refuse_syntax(reader, code);
    return taken < size ? taken : size;
}
