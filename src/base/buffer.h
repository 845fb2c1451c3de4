/* Growable bytes with one owner. Growth doubles; a limit is the caller's to check (`size` is public). */
#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct buffer {
    char *data;
    size_t size;
    size_t capacity;
};

/* `*buffer = (struct buffer){0}` is a valid empty buffer. */
void buffer_deinit(struct buffer *buffer);
/* Room for `size` more bytes; returns where they go. The caller then adds to buffer->size. */
char *buffer_reserve(struct buffer *buffer, size_t size) __attribute__((returns_nonnull));
void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_append_slice(struct buffer *buffer, struct slice slice);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_char(struct buffer *buffer, char c);
void buffer_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_clear(struct buffer *buffer);
/* Drops the first `size` bytes. */
void buffer_consume(struct buffer *buffer, size_t size);

static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return (struct slice){buffer->data, buffer->size};
}

/* JSON pieces. Strings are escaped and quoted; bytes that are not UTF-8 become U+FFFD. */
void buffer_json_string(struct buffer *buffer, struct slice text);
void buffer_json_int(struct buffer *buffer, int64_t value);
/* Shortest text that reads back as the same double; NaN and infinities become null. */
void buffer_json_double(struct buffer *buffer, double value);
void buffer_json_bool(struct buffer *buffer, bool value);
/* Standard base64 with padding, no quotes. */
void buffer_base64(struct buffer *buffer, struct slice bytes);
