/* See kafka_progress.h. */
#include "pipeline/kafka_progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum { ENTRY_MAX_SIZE = 40 };

static const char *const HEAD = "weir1 ";

static uint64_t pipeline_hash(const struct engine *engine, uint32_t pipeline_index)
{
    const char *name = engine->pipeline_names[pipeline_index];
    return hash_bytes(name, strlen(name), engine->plan->pipelines[pipeline_index].definition_hash);
}

static void append_time(struct buffer *out, int64_t time_us)
{
    if (time_us == TIME_NONE)
        buffer_append_text(out, "-");
    else
        buffer_format(out, "%" PRId64, time_us);
}

void kafka_progress_write(struct buffer *out, const struct engine *engine,
                          const struct membership *membership, const struct progress_mark *mark,
                          const struct partition_position *position)
{
    size_t start = out->size;
    buffer_format(out, "%s%" PRIu64 " %" PRId64 " ", HEAD, mark->epoch, position->position);
    append_time(out, position->position_max_time_us);
    buffer_append_text(out, " ");
    append_time(out, position->base_watermark_us);
    int64_t earliest_us = TIME_MAX;
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++) {
        int64_t closed_us = mark->closed_through_us[i];
        if (engine->pipeline_memberships[i] != membership || closed_us == TIME_NONE)
            continue;
        if (out->size - start + 2 * ENTRY_MAX_SIZE > KAFKA_METADATA_MAX_SIZE)
            earliest_us = closed_us < earliest_us ? closed_us : earliest_us;
        else
            buffer_format(out, " %016" PRIx64 "=%" PRId64, pipeline_hash(engine, i), closed_us);
    }
    if (earliest_us != TIME_MAX)
        buffer_format(out, " *=%" PRId64, earliest_us);
    buffer_append_char(out, '\0');
}

static bool read_time(const char **at, int64_t *time_us)
{
    if (**at == '-' && ((*at)[1] == ' ' || (*at)[1] == '\0')) {
        *time_us = TIME_NONE;
        (*at)++;
        return true;
    }
    char *end;
    *time_us = strtoll(*at, &end, 10);
    bool is_read = end != *at;
    *at = end;
    return is_read;
}

static bool pass_space(const char **at)
{
    if (**at != ' ')
        return false;
    (*at)++;
    return true;
}

/* One " hash=time". */
static bool read_pipeline(const char **at, const struct engine *engine, int64_t *closed_through_us,
                          int64_t *others_us)
{
    char *end;
    if (!pass_space(at))
        return false;
    bool is_others = **at == '*';
    uint64_t hash = is_others ? 0 : strtoull(*at, &end, 16);
    *at = is_others ? *at + 1 : end;
    int64_t closed_us;
    if (**at != '=')
        return false;
    (*at)++;
    if (!read_time(at, &closed_us))
        return false;
    if (is_others)
        *others_us = closed_us;
    for (uint32_t i = 0; i < engine->plan->pipeline_count && !is_others; i++) {
        if (pipeline_hash(engine, i) == hash)
            closed_through_us[i] = closed_us;
    }
    return true;
}

bool kafka_progress_read(const char *metadata, const struct engine *engine, int64_t base,
                         struct kafka_progress *progress)
{
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++)
        progress->closed_through_us[i] = TIME_NONE;
    if (strncmp(metadata, HEAD, strlen(HEAD)) != 0)
        return false;
    const char *at = metadata + strlen(HEAD);
    char *end;
    progress->epoch = strtoull(at, &end, 10);
    at = end;
    int64_t position;
    struct partition_position *into = &progress->position;
    if (!pass_space(&at) || !read_time(&at, &position) || position < base || !pass_space(&at) ||
        !read_time(&at, &into->position_max_time_us) || !pass_space(&at) ||
        !read_time(&at, &into->base_watermark_us))
        return false;
    into->position = position;
    into->base = base;
    int64_t others_us = TIME_NONE;
    while (*at) {
        if (!read_pipeline(&at, engine, progress->closed_through_us, &others_us))
            return false;
    }
    for (uint32_t i = 0; i < engine->plan->pipeline_count && others_us != TIME_NONE; i++) {
        if (progress->closed_through_us[i] == TIME_NONE)
            progress->closed_through_us[i] = others_us;
    }
    return true;
}
