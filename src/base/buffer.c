/* Growable bytes and the JSON pieces that every writer of JSON shares. See buffer.h. */
#include "base/buffer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/native.h"
#include "base/utf8.h"

enum { BUFFER_FIRST_CAPACITY = 256 };

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

char *buffer_reserve(struct buffer *buffer, size_t size)
{
    if (!buffer->data || buffer->capacity - buffer->size < size) {
        size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_FIRST_CAPACITY;
        while (capacity - buffer->size < size)
            capacity *= 2;
        buffer->data = memory_resize(buffer->data, capacity);
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->size;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (!size)
        return;
    memcpy(buffer_reserve(buffer, size), data, size);
    buffer->size += size;
}

void buffer_append_slice(struct buffer *buffer, struct slice slice)
{
    buffer_append(buffer, slice.data, slice.size);
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_append_char(struct buffer *buffer, char c)
{
    *buffer_reserve(buffer, 1) = c;
    buffer->size++;
}

void buffer_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    vsnprintf(buffer_reserve(buffer, (size_t)size + 1), (size_t)size + 1, format, again);
    va_end(again);
    buffer->size += (size_t)size;
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    if (size >= buffer->size) {
        buffer->size = 0;
        return;
    }
    memmove(buffer->data, buffer->data + size, buffer->size - size);
    buffer->size -= size;
}

static void append_escaped(struct buffer *buffer, unsigned char c)
{
    switch (c) {
    case '"': buffer_append_text(buffer, "\\\""); return;
    case '\\': buffer_append_text(buffer, "\\\\"); return;
    case '\n': buffer_append_text(buffer, "\\n"); return;
    case '\r': buffer_append_text(buffer, "\\r"); return;
    case '\t': buffer_append_text(buffer, "\\t"); return;
    case '\b': buffer_append_text(buffer, "\\b"); return;
    case '\f': buffer_append_text(buffer, "\\f"); return;
    default: buffer_format(buffer, "\\u%04x", c); return;
    }
}

void buffer_json_string(struct buffer *buffer, struct slice text)
{
    buffer_append_char(buffer, '"');
    size_t run_start = 0;
    for (size_t i = 0; i < text.size;) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        size_t length = c < 0x80 ? 0 : utf8_sequence_size(text.data + i, text.size - i);
        if (length) {
            i += length;
            continue;
        }
        buffer_append(buffer, text.data + run_start, i - run_start);
        if (c < 0x80) {
            append_escaped(buffer, c);
        } else {
            buffer_append_text(buffer, "\xEF\xBF\xBD");
        }
        run_start = ++i;
    }
    if (text.size > run_start)
        buffer_append(buffer, text.data + run_start, text.size - run_start);
    buffer_append_char(buffer, '"');
}

void buffer_json_int(struct buffer *buffer, int64_t value)
{
    char digits[20];
    size_t start = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--start] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        digits[--start] = '-';
    buffer_append(buffer, digits + start, sizeof digits - start);
}

void buffer_json_double(struct buffer *buffer, double value)
{
    if (!isfinite(value)) {
        buffer_append_text(buffer, "null");
        return;
    }
    char *place = buffer_reserve(buffer, NATIVE_DOUBLE_TEXT_SIZE);
    buffer->size += native_double_format(value, place);
}

void buffer_json_bool(struct buffer *buffer, bool value)
{
    buffer_append_text(buffer, value ? "true" : "false");
}

void buffer_base64(struct buffer *buffer, struct slice bytes)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = buffer_reserve(buffer, (bytes.size + 2) / 3 * 4);
    const unsigned char *in = (const unsigned char *)bytes.data;
    size_t i = 0;
    for (; i + 2 < bytes.size; i += 3) {
        unsigned group = (unsigned)in[i] << 16 | (unsigned)in[i + 1] << 8 | in[i + 2];
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = alphabet[group >> 6 & 63];
        *out++ = alphabet[group & 63];
    }
    if (i < bytes.size) {
        unsigned group = (unsigned)in[i] << 16 | (i + 1 < bytes.size ? (unsigned)in[i + 1] << 8 : 0);
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = i + 1 < bytes.size ? alphabet[group >> 6 & 63] : '=';
        *out++ = '=';
    }
    buffer->size = (size_t)(out - buffer->data);
}
