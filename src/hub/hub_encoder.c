/* Messages as bytes on the wire. The length stands before the payload, so a message is measured before it is written; a
 * batch is collected first, because its length is known only when it is closed.
 *
 *   0x81 | length (1, 3 or 9 bytes) | {"type":"data",...}     (RFC 6455, section 5.2: server frames are not masked) */
#include "hub/hub_internal.h"

static const struct {
    const char *name, *field;
} types[SUBSCRIBE_TYPE_COUNT] = {
    [SUBSCRIBE_EVENTS] = {"events", "event"},
    [SUBSCRIBE_METRICS] = {"metrics", "metrics"},
    [SUBSCRIBE_ALERTS] = {"alerts", "alert"},
    [SUBSCRIBE_PREDICTIONS] = {"predictions", "prediction"},
    [SUBSCRIBE_AGGREGATIONS] = {"aggregations", "result"},
    [SUBSCRIBE_SYSTEM_STATUS] = {"system_status", "system"},
};

const char *subscription_type_name(enum subscription_type type)
{
    return types[type].name;
}

void hub_encoder_deinit(struct hub_encoder *encoder)
{
    buffer_deinit(&encoder->frames);
    buffer_deinit(&encoder->batch);
    buffer_deinit(&encoder->position);
    buffer_deinit(&encoder->head);
}

static void append_frame_head(struct buffer *out, size_t payload_size)
{
    enum { TEXT_FRAME = 0x81, SIZE_16_BITS = 126, SIZE_64_BITS = 127, HEAD_SIZE_MAX = 10 };
    unsigned char *head = (unsigned char *)buffer_reserve(out, HEAD_SIZE_MAX);
    unsigned byte_count = payload_size < SIZE_16_BITS ? 0 : payload_size <= UINT16_MAX ? 2 : 8;
    head[0] = TEXT_FRAME;
    head[1] = byte_count == 0 ? (unsigned char)payload_size : byte_count == 2 ? SIZE_16_BITS : SIZE_64_BITS;
    for (unsigned i = 0; i < byte_count; i++)
        head[2 + i] = (unsigned char)((uint64_t)payload_size >> 8 * (byte_count - 1 - i));
    out->size += 2 + byte_count;
}

void hub_append_text_frame(struct buffer *out, struct slice payload)
{
    append_frame_head(out, payload.size);
    buffer_append_slice(out, payload);
}

static void append_unsigned(struct buffer *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    buffer_append(out, digits + at, sizeof digits - at);
}

/* "position":"3-1047" and what else belongs to it. */
static void write_metadata(struct buffer *out, const struct hub_metadata *metadata)
{
    buffer_clear(out);
    buffer_append_text(out, "\"position\":\"");
    append_unsigned(out, metadata->position.boot_id);
    buffer_append_text(out, metadata->is_result ? "-" : "-e");
    append_unsigned(out, metadata->position.sequence);
    buffer_append_char(out, '"');
    if (metadata->is_conflated)
        buffer_append_text(out, ",\"conflated\":true");
    const struct event_block *block = metadata->event_block;
    if (block) {
        buffer_append_text(out, ",\"source\":");
        buffer_json_string(out, slice_of(block->source));
        buffer_append_text(out, ",\"partition\":");
        append_unsigned(out, block->partition);
        buffer_append_text(out, ",\"offset\":");
        buffer_json_int(out, block->offsets[metadata->event_index]);
    }
}

/* Everything before the record or the batch; the same for all messages of a turn. */
static struct slice head_of(struct hub_encoder *encoder, const struct hub_envelope *envelope, bool is_batch)
{
    struct buffer *head = &encoder->head;
    if (head->size && encoder->head_timestamp_ms == envelope->timestamp_ms &&
        encoder->head_is_batch == is_batch)
        return buffer_slice(head);
    encoder->head_timestamp_ms = envelope->timestamp_ms;
    encoder->head_is_batch = is_batch;
    buffer_clear(head);
    buffer_format(head, "{\"type\":\"data\",\"subscription_id\":\"%s\",\"timestamp\":%lld,\"data\":{",
                  envelope->subscription_id, (long long)envelope->timestamp_ms);
    if (is_batch)
        buffer_append_text(head, "\"batch\":true,\"messages\":[");
    else
        buffer_format(head, "\"subscription_type\":\"%s\",\"%s\":", types[envelope->type].name,
                      types[envelope->type].field);
    return buffer_slice(head);
}

static const struct slice before_metadata = {"},\"metadata\":{", 14}, after_metadata = {"}}", 2};

static void append_message(struct buffer *out, struct slice head, struct slice body, struct slice metadata)
{
    buffer_reserve(out, head.size + body.size + before_metadata.size + metadata.size + after_metadata.size);
    buffer_append_slice(out, head);
    buffer_append_slice(out, body);
    buffer_append_slice(out, before_metadata);
    buffer_append_slice(out, metadata);
    buffer_append_slice(out, after_metadata);
}

void hub_encoder_add(struct hub_encoder *encoder, const struct hub_envelope *envelope, struct slice json,
                     const struct hub_metadata *metadata)
{
    write_metadata(&encoder->position, metadata);
    struct slice head = head_of(encoder, envelope, false), position = buffer_slice(&encoder->position);
    encoder->message_count++;
    if (!envelope->is_batched) {
        append_frame_head(&encoder->frames,
                          head.size + json.size + before_metadata.size + position.size + after_metadata.size);
        append_message(&encoder->frames, head, json, position);
        return;
    }
    if (encoder->batch_count++)
        buffer_append_char(&encoder->batch, ',');
    append_message(&encoder->batch, head, json, position);
    if (encoder->batch_count == HUB_BATCH_MESSAGES_MAX)
        hub_encoder_close_batch(encoder, envelope);
}

void hub_encoder_close_batch(struct hub_encoder *encoder, const struct hub_envelope *envelope)
{
    if (encoder->batch_count == 0)
        return;
    buffer_append_char(&encoder->batch, ']');
    struct slice head = head_of(encoder, envelope, true), position = buffer_slice(&encoder->position);
    append_frame_head(&encoder->frames, head.size + encoder->batch.size + before_metadata.size +
                                            position.size + after_metadata.size);
    append_message(&encoder->frames, head, buffer_slice(&encoder->batch), position);
    buffer_clear(&encoder->batch);
    encoder->batch_count = 0;
}
