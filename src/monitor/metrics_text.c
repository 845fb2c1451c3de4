/* See metrics_text.h. */
#include "monitor/metrics_text.h"

void metrics_family(struct metrics_writer *writer, const char *name, enum metrics_kind kind, const char *help)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram", "summary", "info"};
    static const char *const suffixes[] = {"_total", "", "", "", "_info"};
    writer->name = name;
    writer->suffix = suffixes[kind];
    const char *typed_suffix = writer->is_openmetrics ? "" : writer->suffix;
    const char *kind_name = kind == METRICS_INFO && !writer->is_openmetrics ? "gauge" : kinds[kind];
    buffer_format(writer->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, typed_suffix, help, name,
                  typed_suffix, kind_name);
}

void metrics_begin_part(struct metrics_writer *writer, const char *suffix)
{
    writer->suffix = suffix;
    metrics_begin(writer);
}

void metrics_begin(struct metrics_writer *writer)
{
    buffer_append_text(writer->out, writer->name);
    buffer_append_text(writer->out, writer->suffix);
    writer->has_label = false;
}

void metrics_label(struct metrics_writer *writer, const char *name, const char *value)
{
    struct buffer *out = writer->out;
    buffer_format(out, "%c%s=\"", writer->has_label ? ',' : '{', name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            buffer_append_char(out, '\\');
        if (*value == '\n')
            buffer_append_text(out, "\\n");
        else
            buffer_append_char(out, *value);
    }
    buffer_append_char(out, '"');
    writer->has_label = true;
}

void metrics_label_number(struct metrics_writer *writer, const char *name, uint32_t value)
{
    char text[16];
    size_t at = sizeof text;
    text[--at] = '\0';
    do
        text[--at] = (char)('0' + value % 10);
    while (value /= 10);
    metrics_label(writer, name, text + at);
}

void metrics_count(struct metrics_writer *writer, uint64_t value)
{
    buffer_format(writer->out, "%s %llu\n", writer->has_label ? "}" : "", (unsigned long long)value);
}

void metrics_seconds(struct metrics_writer *writer, int64_t value_us)
{
    buffer_append_text(writer->out, writer->has_label ? "} " : " ");
    buffer_json_double(writer->out, (double)value_us / MICROSECONDS_PER_SECOND);
    buffer_append_char(writer->out, '\n');
}

void metrics_single(struct metrics_writer *writer, const char *name, enum metrics_kind kind, const char *help,
                    uint64_t value)
{
    metrics_family(writer, name, kind, help);
    metrics_begin(writer);
    metrics_count(writer, value);
}
