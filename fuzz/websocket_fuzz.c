/* WebSocket frames as bytes from outside, read whole and in pieces: both readings must deliver the same messages and end
 * with the same code. With the first byte odd, the rest is taken as payloads that are wrapped in well-formed
 * masked frames, so that the rules above frames are reached often. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "net/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reading {
    uint64_t digest;
    uint16_t code;
    bool is_closed;
};

static void mix(struct reading *reading, unsigned kind, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        reading->digest = (reading->digest ^ (uint8_t)bytes.data[i]) * 1099511628211u;
    reading->digest = (reading->digest ^ (bytes.size << 4 | kind)) * 1099511628211u;
}

static void text(void *context, struct slice message)
{
    struct reading *reading = context;
    assert(!reading->is_closed && message.size <= WEBSOCKET_MESSAGE_SIZE_MAX);
    assert(utf8_valid(message.data, message.size));
    mix(reading, 1, message);
}

static void control(void *context, enum websocket_opcode opcode, struct slice payload)
{
    struct reading *reading = context;
    assert(!reading->is_closed && payload.size <= WEBSOCKET_CONTROL_SIZE_MAX);
    assert(opcode == WEBSOCKET_PING || opcode == WEBSOCKET_PONG);
    mix(reading, opcode, payload);
}

static void close_frame(void *context, uint16_t code)
{
    struct reading *reading = context;
    assert(!reading->is_closed && code >= 1000 && code <= 4999);
    reading->is_closed = true;
    mix(reading, WEBSOCKET_CLOSE, (struct slice){(const char *)&code, sizeof code});
}

static struct reading read_all(struct slice input, size_t piece)
{
    static const struct websocket_handler handler = {.text = text, .control = control, .close = close_frame};
    struct reading reading = {.digest = 14695981039346656037u};
    struct websocket_reader reader = {0};
    while (input.size > 0) {
        size_t offered = piece < input.size ? piece : input.size;
        char *copy = malloc(offered);
        assert(copy);
        memcpy(copy, input.data, offered);
        const char *reason = NULL;
        uint16_t code = websocket_reader_feed(&reader, copy, offered, &handler, &reading, &reason);
        free(copy);
        assert(reason && (code == 0 || reader.is_over));
        if (code) {
            assert(reading.code == 0 && reason[0]);
            reading.code = code;
        }
        input.data += offered;
        input.size -= offered;
    }
    websocket_reader_deinit(&reader);
    return reading;
}

/* Each part: one byte of opcode and final bit, one byte of size, the payload. */
static void wrap(struct buffer *out, const uint8_t *data, size_t size)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    while (size >= 2) {
        unsigned char first = data[0] & 0x8f;
        size_t length = data[1] % 126;
        data += 2;
        size -= 2;
        if (length > size)
            length = size;
        buffer_append_char(out, (char)first);
        buffer_append_char(out, (char)(0x80 | length));
        buffer_append(out, mask, sizeof mask);
        for (size_t i = 0; i < length; i++)
            buffer_append_char(out, (char)(data[i] ^ mask[i & 3]));
        data += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct buffer input = {0};
    if (data[0] & 1)
        wrap(&input, data + 1, size - 1);
    else
        buffer_append(&input, data + 1, size - 1);
    struct reading whole = read_all(buffer_slice(&input), SIZE_MAX);
    struct reading pieces = read_all(buffer_slice(&input), 1u + (data[0] >> 1) % 23u);
    assert(whole.digest == pieces.digest && whole.code == pieces.code && whole.is_closed == pieces.is_closed);
    buffer_deinit(&input);
    return 0;
}
