/* wslay's frame layer parses and unmasks; the rules above frames (which may follow which, sizes, text) are kept here,
 * because its message layer would queue answers of its own and hold a send queue per connection. A wslay context is 4 KiB
 * of buffer, so it exists only while a frame is partly there. See websocket.h. */
#include "net/websocket.h"

#include <assert.h>
#include <stdlib.h>
#include <wslay/wslay.h>

#include "base/utf8.h"

size_t websocket_header(unsigned char header[WEBSOCKET_HEADER_SIZE_MAX], enum websocket_opcode opcode,
                        size_t size)
{
    header[0] = (unsigned char)(0x80 | opcode);
    if (size < 126) {
        header[1] = (unsigned char)size;
        return 2;
    }
    size_t length_size = size <= UINT16_MAX ? 2 : 8;
    header[1] = length_size == 2 ? 126 : 127;
    for (size_t i = 0; i < length_size; i++)
        header[2 + i] = (unsigned char)((uint64_t)size >> (8 * (length_size - 1 - i)));
    return 2 + length_size;
}

struct frame *websocket_control_frame(enum websocket_opcode opcode, struct slice payload)
{
    unsigned char header[WEBSOCKET_HEADER_SIZE_MAX];
    if (payload.size > WEBSOCKET_CONTROL_SIZE_MAX)
        payload.size = WEBSOCKET_CONTROL_SIZE_MAX;
    struct buffer bytes = {0};
    buffer_append(&bytes, header, websocket_header(header, opcode, payload.size));
    buffer_append_slice(&bytes, payload);
    return frame_from_buffer(&bytes);
}

struct frame *websocket_close_frame(uint16_t code, const char *reason)
{
    if (code == WEBSOCKET_NO_CODE)
        return websocket_control_frame(WEBSOCKET_CLOSE, (struct slice){0});
    char payload[WEBSOCKET_CONTROL_SIZE_MAX] = {(char)(code >> 8), (char)(code & 0xff)};
    size_t size = strlen(reason);
    assert(size <= sizeof payload - 2);
    memcpy(payload + 2, reason, size);
    return websocket_control_frame(WEBSOCKET_CLOSE, (struct slice){payload, size + 2});
}

/* What one call of the reader works on. */
struct feeding {
    struct websocket_reader *reader;
    const struct websocket_handler *handler;
    void *context;
    const char *reason;
};

static uint16_t break_off(struct feeding *feeding, uint16_t code, const char *reason)
{
    feeding->reader->is_over = true;
    feeding->reason = reason;
    return code;
}

static bool close_code_is_valid(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static uint16_t take_close(struct feeding *feeding)
{
    struct websocket_reader *reader = feeding->reader;
    uint16_t code = WEBSOCKET_NO_CODE;
    if (reader->control_size == 1)
        return break_off(feeding, WEBSOCKET_PROTOCOL_ERROR, "close frame of one byte");
    if (reader->control_size >= 2) {
        code = (uint16_t)((uint8_t)reader->control[0] << 8 | (uint8_t)reader->control[1]);
        if (!close_code_is_valid(code))
            return break_off(feeding, WEBSOCKET_PROTOCOL_ERROR, "invalid close code");
        if (!utf8_valid(reader->control + 2, reader->control_size - 2u))
            return break_off(feeding, WEBSOCKET_BAD_TEXT, "close reason is not UTF-8");
    }
    reader->is_over = true;
    feeding->handler->close(feeding->context, code);
    return 0;
}

static uint16_t end_message(struct feeding *feeding)
{
    struct websocket_reader *reader = feeding->reader;
    reader->in_message = false;
    if (!utf8_valid(reader->message.data, reader->message.size))
        return break_off(feeding, WEBSOCKET_BAD_TEXT, "text is not UTF-8");
    feeding->handler->text(feeding->context, buffer_slice(&reader->message));
    if (reader->message.capacity > WEBSOCKET_KEPT_SIZE_MAX)
        buffer_deinit(&reader->message);
    buffer_clear(&reader->message);
    return 0;
}

static uint16_t begin_frame(struct feeding *feeding, const struct wslay_frame_iocb *frame)
{
    struct websocket_reader *reader = feeding->reader;
    if (!frame->mask)
        return break_off(feeding, WEBSOCKET_PROTOCOL_ERROR, "client frames have to be masked");
    if (frame->rsv)
        return break_off(feeding, WEBSOCKET_PROTOCOL_ERROR, "reserved bit without an extension");
    switch (frame->opcode) {
    case WEBSOCKET_CLOSE:
    case WEBSOCKET_PING:
    case WEBSOCKET_PONG: reader->control_size = 0; return 0;
    case WEBSOCKET_BINARY:
        if (!reader->in_message)
            return break_off(feeding, WEBSOCKET_UNSUPPORTED, "messages are JSON text, not binary");
        /* fall through */
    case WEBSOCKET_TEXT:
        if (reader->in_message)
            return break_off(feeding, WEBSOCKET_PROTOCOL_ERROR, "a message inside a message");
        break;
    case WEBSOCKET_CONTINUATION:
        if (!reader->in_message)
            return break_off(feeding, WEBSOCKET_PROTOCOL_ERROR, "continuation of nothing");
        break;
    default: return break_off(feeding, WEBSOCKET_PROTOCOL_ERROR, "reserved opcode");
    }
    if (frame->payload_length > WEBSOCKET_MESSAGE_SIZE_MAX - reader->message.size)
        return break_off(feeding, WEBSOCKET_TOO_BIG, "message over 1 MiB");
    reader->in_message = true;
    return 0;
}

static uint16_t end_frame(struct feeding *feeding, const struct wslay_frame_iocb *frame)
{
    struct websocket_reader *reader = feeding->reader;
    size_t header_size = frame->payload_length < 126 ? 2 : frame->payload_length <= UINT16_MAX ? 4 : 10;
    size_t mask_size = 4;
    reader->unaccounted_size -= header_size + mask_size + frame->payload_length;
    reader->in_frame = false;
    if (frame->opcode == WEBSOCKET_CLOSE)
        return take_close(feeding);
    if (wslay_is_ctrl_frame(frame->opcode)) {
        feeding->handler->control(feeding->context, (enum websocket_opcode)frame->opcode,
                                  (struct slice){reader->control, reader->control_size});
        return 0;
    }
    return frame->fin ? end_message(feeding) : 0;
}

static uint16_t take_part(struct feeding *feeding, const struct wslay_frame_iocb *frame)
{
    struct websocket_reader *reader = feeding->reader;
    if (!reader->in_frame) {
        uint16_t code = begin_frame(feeding, frame);
        if (code)
            return code;
        reader->in_frame = true;
        reader->frame_taken = 0;
    }
    if (wslay_is_ctrl_frame(frame->opcode)) {
        assert(reader->control_size + frame->data_length <= sizeof reader->control);
        memcpy(reader->control + reader->control_size, frame->data, frame->data_length);
        reader->control_size = (uint8_t)(reader->control_size + frame->data_length);
    } else {
        buffer_append(&reader->message, frame->data, frame->data_length);
    }
    reader->frame_taken += frame->data_length;
    return reader->frame_taken == frame->payload_length ? end_frame(feeding, frame) : 0;
}

static ssize_t give_bytes(uint8_t *out, size_t size, int flags, void *context)
{
    (void)flags;
    struct websocket_reader *reader = context;
    if (reader->size == 0)
        return -1;
    if (size > reader->size)
        size = reader->size;
    memcpy(out, reader->data, size);
    reader->data += size;
    reader->size -= size;
    reader->unaccounted_size += size;
    return (ssize_t)size;
}

static void drop_parser(struct websocket_reader *reader)
{
    if (reader->frames)
        wslay_frame_context_free(reader->frames);
    reader->frames = NULL;
}

void websocket_reader_deinit(struct websocket_reader *reader)
{
    drop_parser(reader);
    buffer_deinit(&reader->message);
}

uint16_t websocket_reader_feed(struct websocket_reader *reader, const char *data, size_t size,
                               const struct websocket_handler *handler, void *context, const char **reason)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = give_bytes};
    struct feeding feeding = {.reader = reader, .handler = handler, .context = context, .reason = ""};
    uint16_t code = 0;
    reader->data = data;
    reader->size = size;
    if (!reader->frames && !reader->is_over &&
        wslay_frame_context_init(&reader->frames, &callbacks, reader) != 0)
        abort(); /* out of memory, which memory.h treats the same */
    while (!reader->is_over && code == 0) {
        struct wslay_frame_iocb frame = {0};
        ssize_t got = wslay_frame_recv(reader->frames, &frame);
        if (got == WSLAY_ERR_WANT_READ)
            break;
        code = got < 0 ? break_off(&feeding, WEBSOCKET_PROTOCOL_ERROR, "malformed frame")
                       : take_part(&feeding, &frame);
    }
    if (reader->is_over || reader->unaccounted_size == 0)
        drop_parser(reader);
    *reason = feeding.reason;
    return code;
}
