/* Indented JSON, a member a line, for what people read too: the schema and `config show`. */
#pragma once

#include "base/buffer.h"

enum { JSON_WRITER_MAX_DEPTH = 32 };

struct json_writer {
    struct buffer *out;
    uint32_t depth;
    bool has_member[JSON_WRITER_MAX_DEPTH]; /* of each open object or array */
};

/* `key` NULL: the root, or an element of an array. `bracket` is '{' or '['; closing takes the other one of the pair. */
void json_open(struct json_writer *writer, const char *key, char bracket);
void json_close(struct json_writer *writer, char bracket);
void json_text(struct json_writer *writer, const char *key, const char *text);
void json_number(struct json_writer *writer, const char *key, int64_t value);
/* `text` is JSON already. */
void json_raw(struct json_writer *writer, const char *key, const char *text);
