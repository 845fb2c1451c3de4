/* The opening handshake of RFC 6455 and the rule of origins: a browser sends the page's origin, and a page of
 * somebody else must not read this server's streams with its visitor's access. See websocket.h. */
#include <assert.h>
#include <openssl/evp.h>
#include <strings.h>

#include "net/websocket.h"

void websocket_accept_key(struct slice key, char accept[WEBSOCKET_ACCEPT_SIZE])
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    struct buffer text = {0};
    buffer_append_slice(&text, key);
    buffer_append_text(&text, magic);
    int done = EVP_Digest(text.data, text.size, digest, &digest_size, EVP_sha1(), NULL);
    assert(done == 1 && digest_size == 20);
    buffer_clear(&text);
    buffer_base64(&text, (struct slice){(const char *)digest, digest_size});
    assert(text.size == WEBSOCKET_ACCEPT_SIZE - 1);
    memcpy(accept, text.data, text.size);
    accept[text.size] = '\0';
    buffer_deinit(&text);
}

/* 16 bytes in base64: 22 digits and "==". */
static bool key_is_valid(struct slice key)
{
    if (key.size != 24 || key.data[22] != '=' || key.data[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.data[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
              c == '/'))
            return false;
    }
    return true;
}

int websocket_check_handshake(const struct http_request *request, const char **detail)
{
    if (!request->is_websocket) {
        *detail = "this address speaks WebSocket; send Upgrade: websocket and Connection: Upgrade";
        return 426;
    }
    if (request->method != HTTP_GET) {
        *detail = "a WebSocket handshake is a GET";
        return 405;
    }
    if (!slice_equal_text(http_request_header(request, "sec-websocket-version"), "13")) {
        *detail = "Sec-WebSocket-Version has to be 13";
        return 426;
    }
    if (!key_is_valid(http_request_header(request, "sec-websocket-key"))) {
        *detail = "Sec-WebSocket-Key has to be 16 bytes in base64";
        return 400;
    }
    return 0;
}

static bool equal_ignoring_case(struct slice a, struct slice b)
{
    return a.size == b.size && strncasecmp(a.data, b.data, a.size) == 0;
}

/* Drops ":80" or ":443" when it is the scheme's own port, so that "host" and "host:80" are equal. */
static struct slice without_default_port(struct slice authority, const char *port)
{
    size_t size = strlen(port);
    if (authority.size > size && memcmp(authority.data + authority.size - size, port, size) == 0)
        authority.size -= size;
    return authority;
}

static bool is_own_origin(struct slice origin, struct slice host)
{
    bool is_https = origin.size > 8 && strncasecmp(origin.data, "https://", 8) == 0;
    bool is_http = origin.size > 7 && strncasecmp(origin.data, "http://", 7) == 0;
    if ((!is_https && !is_http) || host.size == 0)
        return false;
    size_t scheme_size = is_https ? 8 : 7;
    const char *port = is_https ? ":443" : ":80";
    struct slice authority = {origin.data + scheme_size, origin.size - scheme_size};
    return equal_ignoring_case(without_default_port(authority, port), without_default_port(host, port));
}

bool websocket_origin_allowed(const struct http_request *request, const char *const *allowed,
                              uint32_t allowed_count)
{
    struct slice origin = http_request_header(request, "origin");
    if (!origin.data || is_own_origin(origin, http_request_header(request, "host")))
        return true;
    for (uint32_t i = 0; i < allowed_count; i++)
        if (strcmp(allowed[i], "*") == 0 || equal_ignoring_case(origin, slice_of(allowed[i])))
            return true;
    return false;
}
