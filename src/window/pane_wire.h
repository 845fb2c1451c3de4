/* The smallest parts of pane messages (see pane_codec.c). Numbers are little endian of fixed size, or varints: 7 bits a byte, the
 * lowest first, the top bit says that more follow; signed ones are folded first (0, -1, 1, -2, ...), so small ones are short. A
 * value is its kind and
 *
 *   null: nothing   bool, int, timestamp, duration: signed varint   double: 8 bytes   string, JSON: varint size, text
 *
 * Writing: room for the largest (..._ROOM) first, then bytes without checks. Reading trusts nothing. */
#pragma once

#include <endian.h>

#include "flow/event_time.h"
#include "window/window_internal.h"

enum { VARINT_ROOM = 10, WIRE_VALUE_ROOM = 1 + VARINT_ROOM /* without text */ };

/* --- writing -------------------------------------------------------------------------------------------------------- */

static inline char *wire_room(struct buffer *out, size_t size)
{
    if (__builtin_expect(out->capacity - out->size >= size && out->data, 1))
        return out->data + out->size;
    return buffer_reserve(out, size);
}

static inline void wire_end(struct buffer *out, const char *at)
{
    out->size = (size_t)(at - out->data);
}

static inline char *wire_put_byte(char *at, uint8_t byte)
{
    *at = (char)byte;
    return at + 1;
}

static inline char *wire_put_fixed32(char *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static inline char *wire_put_fixed64(char *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static inline char *wire_put_double(char *at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return wire_put_fixed64(at, bits);
}

static inline char *wire_put_varint(char *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (char)(uint8_t)(value | 0x80);
        value >>= 7;
    }
    return wire_put_byte(at, (uint8_t)value);
}

static inline char *wire_put_signed(char *at, int64_t value)
{
    return wire_put_varint(at, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

static inline bool wire_is_text(uint8_t kind)
{
    return kind == VALUE_STRING || kind == VALUE_JSON;
}

/* text: of strings and JSON, size in value.s. */
static inline void wire_put_value(struct buffer *out, uint8_t kind, union value value, const char *text)
{
    char *at = wire_put_byte(wire_room(out, WIRE_VALUE_ROOM), kind);
    if (wire_is_text(kind)) {
        wire_end(out, wire_put_varint(at, value.s.size));
        memcpy(wire_room(out, value.s.size), text, value.s.size);
        out->size += value.s.size;
        return;
    }
    if (kind == VALUE_DOUBLE)
        at = wire_put_double(at, value.d);
    else if (kind != VALUE_NULL)
        at = wire_put_signed(at, value.i);
    wire_end(out, at);
}

/* --- reading: false when the bytes end too early, or say what cannot be -------------------------------------------------- */

static inline bool wire_get_bytes(struct slice *in, size_t size, const char **bytes)
{
    if (in->size < size)
        return false;
    *bytes = in->data;
    in->data += size;
    in->size -= size;
    return true;
}

static inline bool wire_get_byte(struct slice *in, uint8_t *byte)
{
    const char *at;
    if (!wire_get_bytes(in, 1, &at))
        return false;
    *byte = (uint8_t)*at;
    return true;
}

static inline bool wire_get_fixed32(struct slice *in, uint32_t *value)
{
    const char *at;
    if (!wire_get_bytes(in, sizeof *value, &at))
        return false;
    memcpy(value, at, sizeof *value);
    *value = le32toh(*value);
    return true;
}

static inline bool wire_get_fixed64(struct slice *in, uint64_t *value)
{
    const char *at;
    if (!wire_get_bytes(in, sizeof *value, &at))
        return false;
    memcpy(value, at, sizeof *value);
    *value = le64toh(*value);
    return true;
}

static inline bool wire_get_double(struct slice *in, double *value)
{
    uint64_t bits;
    if (!wire_get_fixed64(in, &bits))
        return false;
    memcpy(value, &bits, sizeof bits);
    return true;
}

static inline bool wire_get_varint(struct slice *in, uint64_t *value)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < VARINT_ROOM && i < in->size; i++) {
        uint8_t byte = (uint8_t)in->data[i];
        sum |= (uint64_t)(byte & 0x7F) << i * 7;
        if (byte & 0x80)
            continue;
        if (i == VARINT_ROOM - 1 && byte > 1)
            return false;
        in->data += i + 1;
        in->size -= i + 1;
        *value = sum;
        return true;
    }
    return false;
}

static inline bool wire_get_varint32(struct slice *in, uint32_t *value)
{
    uint64_t wide;
    if (!wire_get_varint(in, &wide) || wide > UINT32_MAX)
        return false;
    *value = (uint32_t)wide;
    return true;
}

static inline bool wire_get_signed(struct slice *in, int64_t *value)
{
    uint64_t folded;
    if (!wire_get_varint(in, &folded))
        return false;
    *value = (int64_t)(folded >> 1 ^ (0 - (folded & 1)));
    return true;
}

/* Times that no calculation on them takes out of range. */
static inline bool wire_time_is_sane(int64_t time_us)
{
    return time_us > INT64_MIN / 2 && time_us < INT64_MAX / 2;
}

/* The bytes of text values are at *text, in the message. A number that is NaN is none of ours: nothing holds one. */
static inline bool wire_get_value(struct slice *in, uint8_t *kind, union value *value, const char **text)
{
    if (!wire_get_byte(in, kind) || *kind >= VALUE_KIND_COUNT)
        return false;
    if (wire_is_text(*kind))
        return wire_get_varint32(in, &value->s.size) && wire_get_bytes(in, value->s.size, text);
    if (*kind == VALUE_DOUBLE)
        return wire_get_double(in, &value->d) && value->d == value->d;
    if (*kind != VALUE_NULL && !wire_get_signed(in, &value->i))
        return false;
    return (*kind != VALUE_BOOL || value->i == 0 || value->i == 1) &&
           (*kind != VALUE_TIMESTAMP || wire_time_is_sane(value->i));
}

/* From the sender's number to the own index; false for a partition that this process does not know. */
static inline bool wire_map_partition(const struct pane_partition_map *partitions, const struct pane *pane,
                                      uint32_t *partition)
{
    if (partitions->map)
        *partition = partitions->map(partitions->context, *partition);
    return *partition < pane->layout->spec->partition_count;
}
