/* Commas and indentation; what the members mean is the callers' affair. */
#include "config/json_writer.h"

#include <assert.h>

static void begin_line(struct json_writer *writer)
{
    buffer_append_char(writer->out, '\n');
    for (uint32_t i = 0; i < writer->depth; i++)
        buffer_append_text(writer->out, "  ");
}

static void begin_member(struct json_writer *writer, const char *key)
{
    if (writer->depth > 0) {
        if (writer->has_member[writer->depth - 1])
            buffer_append_char(writer->out, ',');
        writer->has_member[writer->depth - 1] = true;
        begin_line(writer);
    }
    if (key) {
        buffer_json_string(writer->out, slice_of(key));
        buffer_append_text(writer->out, ": ");
    }
}

void json_open(struct json_writer *writer, const char *key, char bracket)
{
    assert(writer->depth < JSON_WRITER_MAX_DEPTH);
    begin_member(writer, key);
    buffer_append_char(writer->out, bracket);
    writer->has_member[writer->depth++] = false;
}

void json_close(struct json_writer *writer, char bracket)
{
    assert(writer->depth > 0);
    writer->depth--;
    if (writer->has_member[writer->depth])
        begin_line(writer);
    buffer_append_char(writer->out, bracket);
    if (writer->depth == 0)
        buffer_append_char(writer->out, '\n');
}

void json_text(struct json_writer *writer, const char *key, const char *text)
{
    begin_member(writer, key);
    buffer_json_string(writer->out, slice_of(text));
}

void json_number(struct json_writer *writer, const char *key, int64_t value)
{
    begin_member(writer, key);
    buffer_json_int(writer->out, value);
}

void json_raw(struct json_writer *writer, const char *key, const char *text)
{
    begin_member(writer, key);
    buffer_append_text(writer->out, text);
}
