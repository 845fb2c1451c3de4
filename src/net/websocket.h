/* The WebSocket protocol (RFC 6455), server side: the handshake, frames in, frame headers out. Knows no socket. */
#pragma once

#include "base/buffer.h"
#include "net/frame.h"
#include "net/http_request.h"

enum {
    WEBSOCKET_MESSAGE_SIZE_MAX = 1024 * 1024, /* a client's message, all its fragments; then close 1009 */
    WEBSOCKET_CONTROL_SIZE_MAX = 125,         /* the protocol's own limit of a control frame's payload */
    WEBSOCKET_HEADER_SIZE_MAX = 10,           /* of a frame that is not masked */
    WEBSOCKET_KEPT_SIZE_MAX = 4096,           /* message memory that a quiet connection keeps */
};

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_UNSUPPORTED = 1003,
    WEBSOCKET_NO_CODE = 1005, /* never sent: what a close frame without a code means */
    WEBSOCKET_BAD_TEXT = 1007,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_BIG = 1009,
    WEBSOCKET_INTERNAL = 1011,
    WEBSOCKET_TRY_AGAIN = 1013,
};

/* --- handshake --- */

/* The value of Sec-WebSocket-Accept for a client's key, NUL-terminated. */
enum { WEBSOCKET_ACCEPT_SIZE = 29 };
void websocket_accept_key(struct slice key, char accept[WEBSOCKET_ACCEPT_SIZE]);
/* 0 when the request is a good handshake, else the HTTP status to refuse it with; then `detail` (static) says why. */
int websocket_check_handshake(const struct http_request *request, const char **detail);
/* Own origin (Origin's host and port equal Host's), no Origin at all, an entry of the list, or an entry "*". */
bool websocket_origin_allowed(const struct http_request *request, const char *const *allowed,
                              uint32_t allowed_count);

/* --- frames out --- */

/* Header of an unmasked final frame with `size` bytes of payload; returns its size. */
size_t websocket_header(unsigned char header[WEBSOCKET_HEADER_SIZE_MAX], enum websocket_opcode opcode,
                        size_t size);
/* A control frame as a block of its own; one reference. The payload is cut to what the protocol allows. */
struct frame *websocket_control_frame(enum websocket_opcode opcode, struct slice payload);
struct frame *websocket_close_frame(uint16_t code, const char *reason);

/* --- frames in --- */

struct websocket_handler {
    void (*text)(void *context, struct slice message); /* whole, valid UTF-8 */
    void (*control)(void *context, enum websocket_opcode opcode, struct slice payload); /* ping or pong */
    /* The client's close frame; `code` WEBSOCKET_NO_CODE when it named none. The last call. */
    void (*close)(void *context, uint16_t code);
};

/* Between frames it holds nothing on the heap but a little message memory, so a quiet connection costs few bytes. */
struct websocket_reader {
    struct wslay_frame_context *frames; /* only while a frame is partly there */
    const char *data;                   /* what the frame parser may still take */
    size_t size;
    uint64_t frame_taken;      /* payload bytes of the current frame that have arrived */
    uint64_t unaccounted_size; /* bytes given to the parser that no whole frame accounts for */
    struct buffer message;
    char control[WEBSOCKET_CONTROL_SIZE_MAX];
    uint8_t control_size;
    bool in_message; /* a text message has begun and its final frame has not come */
    bool in_frame;
    bool is_over; /* closed or refused: takes nothing more */
};

void websocket_reader_deinit(struct websocket_reader *reader);
/* Takes all of `data`, calling the handler for what became complete. Returns 0, or the code to close with when
 * the client broke a rule; then `reason` is static text. The handler may end the reader by setting is_over; it must not free it. */
uint16_t websocket_reader_feed(struct websocket_reader *reader, const char *data, size_t size,
                               const struct websocket_handler *handler, void *context, const char **reason);
