/* The page's files, out of the binary. The policy lets the page load from this server and nothing else, and run no
 * inline script. A file whose name contains its hash is cached for ever; the page itself is revalidated by its tag. */
#include <strings.h>

#include "serve/server_internal.h"
#include "serve/web_assets.h"

static const char SECURITY_LINES[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n";

/* "gzip" in Accept-Encoding, unless its weight is 0. */
static bool takes_gzip(const struct http_request *request)
{
    if (http_request_header_has(request, "accept-encoding", "gzip"))
        return true;
    struct slice list = http_request_header(request, "accept-encoding");
    for (size_t i = 0; i + 5 < list.size; i++) {
        if (strncasecmp(list.data + i, "gzip;", 5) != 0)
            continue;
        struct slice rest = {list.data + i + 5, list.size - i - 5};
        const char *end = memchr(rest.data, ',', rest.size);
        if (end)
            rest.size = (size_t)(end - rest.data);
        for (size_t at = 0; at < rest.size; at++)
            if (rest.data[at] >= '1' && rest.data[at] <= '9')
                return true;
    }
    return false;
}

/* Weak comparison of tags, as If-None-Match asks for. */
static bool has_tag(struct slice list, const char *etag)
{
    if (slice_equal(list, SLICE("*")))
        return true;
    return list.size > 0 && memmem(list.data, list.size, etag, strlen(etag)) != NULL;
}

bool static_assets_answer(struct connection *connection, const struct http_request *request)
{
    const struct web_asset *asset = web_asset_find(request->path.data, request->path.size);
    if (!asset)
        return false;
    if (request->method != HTTP_GET && request->method != HTTP_HEAD) {
        http_answer_problem_with(connection, 405, "Allow: GET, HEAD\r\n",
                                 "a file of the page can only be read");
        return true;
    }
    bool is_gzip = asset->gzip && takes_gzip(request);
    struct http_answer answer = {.status = 200, .content_type = asset->content_type};
    /* The compressed form is another representation, so its tag is only weakly the same. */
    buffer_format(&answer.headers, "ETag: %s%s\r\nVary: Accept-Encoding\r\nCache-Control: %s\r\n",
                  is_gzip ? "W/" : "", asset->etag,
                  asset->immutable ? "public, max-age=31536000, immutable" : "no-cache");
    buffer_append_text(&answer.headers, SECURITY_LINES);
    if (has_tag(http_request_header(request, "if-none-match"), asset->etag)) {
        answer.status = 304;
        answer.content_type = NULL;
    } else {
        answer.fixed = is_gzip ? asset->gzip : asset->bytes;
        answer.fixed_size = is_gzip ? asset->gzip_size : asset->size;
        if (is_gzip)
            buffer_append_text(&answer.headers, "Content-Encoding: gzip\r\n");
    }
    http_answer_send(connection, &answer);
    return true;
}
