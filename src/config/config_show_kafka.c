/* The part of `weir config show` that the file cannot have: what librdkafka is given in the end. As YAML it is comments, so that the
 * whole output is still a config; as JSON a member `kafka_settings`. */
#include "config/config_show.h"
#include "config/kafka_settings.h"

enum { SHOW_SETTING_COLUMN = 64 };

static const char *shown_value(const struct kafka_setting *row)
{
    return row->is_secret ? "***" : row->value;
}

/* Text of a file may hold anything; a comment is one line. */
static void append_comment_text(struct buffer *out, const char *text)
{
    for (; *text; text++)
        buffer_append_char(out, (unsigned char)*text < ' ' ? '?' : *text);
}

static void write_comments(struct buffer *out, const char *path, const struct kafka_settings *settings)
{
    buffer_format(out, "#\n# %s:\n", path);
    for (uint32_t i = 0; i < settings->count; i++) {
        const struct kafka_setting *row = &settings->rows[i];
        size_t start = out->size;
        buffer_format(out, "#   %s: ", row->name);
        append_comment_text(out, shown_value(row));
        do
            buffer_append_char(out, ' ');
        while (out->size - start < SHOW_SETTING_COLUMN);
        buffer_format(out, "# %s", row->origin);
        if (row->reason)
            buffer_format(out, ", not %s as in the guide: %s", row->guide, row->reason);
        buffer_append_char(out, '\n');
    }
}

static void write_members(struct json_writer *json, const char *path, const struct kafka_settings *settings)
{
    json_open(json, path, '{');
    for (uint32_t i = 0; i < settings->count; i++) {
        const struct kafka_setting *row = &settings->rows[i];
        json_open(json, row->name, '{');
        json_text(json, "value", shown_value(row));
        json_text(json, "origin", row->origin);
        if (row->reason) {
            json_text(json, "guide", row->guide);
            json_text(json, "reason", row->reason);
        }
        json_close(json, '}');
    }
    json_close(json, '}');
}

static void write_settings(struct json_writer *json, bool as_json, const char *path,
                           const struct kafka_settings *settings)
{
    if (as_json)
        write_members(json, path, settings);
    else
        write_comments(json->out, path, settings);
}

static bool has_kafka(const struct config *config)
{
    bool has = false;
    for (uint32_t i = 0; i < config->source_count; i++)
        has = has || config->sources[i].kind == SOURCE_KAFKA;
    for (uint32_t i = 0; i < config->sink_count; i++)
        has = has || config->sinks[i].kind == SINK_KAFKA;
    return has;
}

void config_show_kafka(struct config *config, bool as_json, struct json_writer *json)
{
    struct arena *arena = &config->arena;
    struct kafka_settings *settings = arena_allocate(arena, sizeof *settings);
    if (as_json)
        json_open(json, "kafka_settings", '{');
    else if (has_kafka(config))
        buffer_append_text(json->out, "\n# What librdkafka is given, each with its origin:\n");
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        if (source->kind != SOURCE_KAFKA)
            continue;
        kafka_source_settings(&source->kafka, arena, settings);
        write_settings(json, as_json, arena_format(arena, "sources.%s", source->name), settings);
    }
    for (uint32_t i = 0; i < config->sink_count; i++) {
        const struct config_sink *sink = &config->sinks[i];
        if (sink->kind != SINK_KAFKA)
            continue;
        kafka_sink_settings(&sink->kafka, NULL, arena, settings);
        write_settings(json, as_json, arena_format(arena, "sinks.%s", sink->name), settings);
    }
    if (as_json)
        json_close(json, '}');
}
