/* See partials_message.h. */
#include "pipeline/partials_message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "pipeline/membership_internal.h"

#define MAGIC 0x31505257u /* "WRP1" */

enum { FLAG_LIVE = 1, FLAG_ENDED = 2, TOPIC_MAX_SIZE = 249 };

struct wire_update {
    uint32_t flags, clock_count, position_count, unused;
    int64_t age_us; /* of the newest event; -1 = none */
};

struct wire_clock {
    uint32_t pipeline_index, has_partitions;
    int64_t active_us, all_us, ahead_us, ahead_age_us;
};

struct wire_position {
    uint32_t source_index, partition;
    int64_t position, position_max_time_us, base, base_watermark_us;
};

_Static_assert(sizeof(struct partials_head) == 48 && sizeof(struct wire_update) == 24, "as drawn");
_Static_assert(sizeof(struct wire_clock) == 40 && sizeof(struct wire_position) == 40, "as drawn");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the structs are the wire's bytes");

/* --- the head ------------------------------------------------------------------------------------------------------ */

void partials_write_head(struct buffer *out, enum partials_kind kind, int64_t round, const char *instance,
                         uint64_t sequence, uint32_t pipeline_index)
{
    struct partials_head head = {
        .magic = MAGIC, .kind = kind, .round = round, .sequence = sequence, .pipeline_index = pipeline_index};
    memcpy(head.instance, instance, sizeof head.instance);
    buffer_append(out, &head, sizeof head);
}

bool partials_read_head(struct slice message, struct partials_head *head, struct slice *body)
{
    if (message.size < sizeof *head)
        return false;
    memcpy(head, message.data, sizeof *head);
    *body = (struct slice){message.data + sizeof *head, message.size - sizeof *head};
    return head->magic == MAGIC;
}

/* --- updates ------------------------------------------------------------------------------------------------------- */

static bool is_shared(const struct engine *engine, const struct membership *membership,
                      uint32_t pipeline_index)
{
    return engine->pipeline_memberships[pipeline_index] == membership;
}

void partials_write_update(struct buffer *out, const struct engine *engine,
                           const struct membership *membership, const struct shard_update *update,
                           int64_t now_us)
{
    struct wire_update head = {
        .flags = (update->is_live ? FLAG_LIVE : 0u) | (update->is_ended ? FLAG_ENDED : 0u),
        .age_us = update->arrival_us ? now_us - update->arrival_us : -1,
    };
    size_t head_at = out->size;
    buffer_append(out, &head, sizeof head);
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++) {
        const struct pipeline_clock *clock = &update->clocks[i];
        if (!is_shared(engine, membership, i))
            continue;
        struct wire_clock wire = {i,
                                  clock->has_partitions,
                                  clock->active_us,
                                  clock->all_us,
                                  clock->ahead_us,
                                  clock->ahead_us == TIME_NONE ? 0 : now_us - clock->ahead_seen_us};
        buffer_append(out, &wire, sizeof wire);
        head.clock_count++;
    }
    for (uint32_t i = 0; i < update->position_count; i++) {
        const struct partition_position *position = &update->positions[i];
        if (!membership_has_source(membership, position->source_index))
            continue;
        struct wire_position wire = {position->source_index, position->partition,
                                     position->position,     position->position_max_time_us,
                                     position->base,         position->base_watermark_us};
        buffer_append(out, &wire, sizeof wire);
        head.position_count++;
    }
    memcpy(out->data + head_at, &head, sizeof head);
}

static bool read_clocks(const struct engine *engine, const struct membership *membership, const char *at,
                        uint32_t count, int64_t now_us, struct pipeline_clock *clocks)
{
    for (uint32_t i = 0; i < count; i++) {
        struct wire_clock wire;
        memcpy(&wire, at + i * sizeof wire, sizeof wire);
        if (wire.pipeline_index >= engine->plan->pipeline_count ||
            !is_shared(engine, membership, wire.pipeline_index) || wire.ahead_age_us < 0)
            return false;
        clocks[wire.pipeline_index] = (struct pipeline_clock){
            wire.active_us,           wire.all_us,        wire.ahead_us, now_us - wire.ahead_age_us,
            wire.has_partitions != 0, CLOSED_BY_WATERMARK};
    }
    return true;
}

static bool read_positions(const struct engine *engine, const struct membership *membership, const char *at,
                           uint32_t count, struct shard_update *update)
{
    for (uint32_t i = 0; i < count; i++) {
        struct wire_position wire;
        memcpy(&wire, at + i * sizeof wire, sizeof wire);
        if (!membership_has_source(membership, wire.source_index))
            return false;
        const struct engine_partition *slot =
            engine_find_partition(engine, wire.source_index, wire.partition);
        if (!slot || !slot->kafka.topic)
            return false;
        update->positions[update->position_count++] = (struct partition_position){
            .source_index = wire.source_index,
            .partition = wire.partition,
            .topic = slot->kafka.topic,
            .topic_partition = slot->kafka.partition,
            .position = wire.position,
            .position_max_time_us = wire.position_max_time_us,
            .base = wire.base,
            .base_watermark_us = wire.base_watermark_us,
        };
    }
    return true;
}

struct shard_update *partials_read_update(const struct engine *engine, const struct membership *membership,
                                          struct slice body, int64_t now_us)
{
    struct wire_update head;
    if (body.size < sizeof head)
        return NULL;
    memcpy(&head, body.data, sizeof head);
    uint64_t size = sizeof head + (uint64_t)head.clock_count * sizeof(struct wire_clock) +
                    (uint64_t)head.position_count * sizeof(struct wire_position);
    if (size != body.size)
        return NULL;
    struct shard_update *update = memory_allocate(sizeof *update);
    update->is_live = (head.flags & FLAG_LIVE) != 0;
    update->is_ended = (head.flags & FLAG_ENDED) != 0;
    update->is_last = true; /* nobody waits for another process when this one stops */
    update->arrival_us = head.age_us < 0 ? 0 : now_us - head.age_us;
    update->clocks = memory_allocate_array(engine->plan->pipeline_count + 1, sizeof *update->clocks);
    update->positions = memory_allocate_array(head.position_count + 1, sizeof *update->positions);
    const char *clocks = body.data + sizeof head;
    const char *positions = clocks + head.clock_count * sizeof(struct wire_clock);
    if (read_clocks(engine, membership, clocks, head.clock_count, now_us, update->clocks) &&
        read_positions(engine, membership, positions, head.position_count, update))
        return update;
    shard_update_destroy(update);
    return NULL;
}

/* --- text ---------------------------------------------------------------------------------------------------------- */

bool partials_next_line(struct slice *text, struct slice *line)
{
    if (!text->size)
        return false;
    const char *end = memchr(text->data, '\n', text->size);
    size_t size = end ? (size_t)(end - text->data) : text->size;
    *line = (struct slice){text->data, size};
    size_t used = end ? size + 1 : size;
    *text = (struct slice){text->data + used, text->size - used};
    return true;
}

bool partials_next_word(struct slice *line, struct slice *word)
{
    while (line->size && *line->data == ' ')
        *line = (struct slice){line->data + 1, line->size - 1};
    size_t size = 0;
    while (size < line->size && line->data[size] != ' ')
        size++;
    *word = (struct slice){line->data, size};
    *line = (struct slice){line->data + size, line->size - size};
    return size > 0;
}

bool partials_word_is(struct slice word, const char *text)
{
    return slice_equal_text(word, text);
}

bool partials_next_number(struct slice *line, int64_t *number)
{
    struct slice word;
    char text[24];
    if (!partials_next_word(line, &word) || word.size >= sizeof text)
        return false;
    memcpy(text, word.data, word.size);
    text[word.size] = '\0';
    if (strcmp(text, "-") == 0) {
        *number = TIME_NONE;
        return true;
    }
    char *end;
    errno = 0;
    *number = strtoll(text, &end, 10);
    return *end == '\0' && errno == 0;
}

static bool read_word(struct slice *line, size_t max_size, struct slice *word)
{
    return partials_next_word(line, word) && word->size <= max_size;
}

/* A number of this range, which `-` is not. */
static bool read_count(struct slice *line, int64_t most, int64_t *number)
{
    return partials_next_number(line, number) && *number >= 0 && *number <= most;
}

bool partials_read_hello(struct slice line, struct partials_hello *hello)
{
    int64_t hash;
    if (!read_word(&line, PARTIALS_INSTANCE_SIZE, &hello->instance) || !read_count(&line, INT64_MAX, &hash) ||
        !partials_next_number(&line, &hello->generation) || !partials_next_number(&line, &hello->round))
        return false;
    hello->config_hash = (uint64_t)hash;
    return true;
}

bool partials_read_owns(struct slice line, struct slice *topic, int32_t *partition)
{
    int64_t number;
    if (!read_word(&line, TOPIC_MAX_SIZE, topic) || !read_count(&line, INT32_MAX, &number))
        return false;
    *partition = (int32_t)number;
    return true;
}

bool partials_read_start(struct slice line, struct partials_start *start)
{
    int64_t epoch;
    if (!read_word(&line, PARTIALS_INSTANCE_SIZE, &start->instance) ||
        !read_count(&line, INT64_MAX, &epoch) || !read_count(&line, INT64_MAX, &start->number))
        return false;
    start->epoch = (uint64_t)epoch;
    return true;
}

bool partials_read_part(struct slice line, struct partials_part *part)
{
    int64_t source_index, partition;
    if (!read_word(&line, PARTIALS_INSTANCE_SIZE, &part->instance) ||
        !read_count(&line, UINT32_MAX, &source_index) || !read_word(&line, TOPIC_MAX_SIZE, &part->topic) ||
        !read_count(&line, INT32_MAX, &partition) || !read_count(&line, INT64_MAX, &part->base) ||
        !read_count(&line, INT64_MAX, &part->position) ||
        !partials_next_number(&line, &part->position_max_time_us) ||
        !partials_next_number(&line, &part->base_watermark_us) || part->position < part->base)
        return false;
    part->source_index = (uint32_t)source_index;
    part->partition = (int32_t)partition;
    return true;
}

bool partials_read_closed(struct slice line, uint32_t *pipeline_index, int64_t *time_us)
{
    int64_t number;
    if (!read_count(&line, UINT32_MAX, &number) || !partials_next_number(&line, time_us))
        return false;
    *pipeline_index = (uint32_t)number;
    return true;
}

/* The leader writes for all, so all must want the same of it. */
static void append_sinks(struct buffer *text, const struct config *config, uint32_t pipeline_index)
{
    const struct config_pipeline *pipeline = &config->pipelines[pipeline_index];
    for (uint32_t i = 0; i < pipeline->sink_count; i++) {
        const struct config_sink *sink = &config->sinks[pipeline->sinks[i]];
        buffer_format(text, "%s %u %s %d\n", sink->name, (unsigned)sink->kind,
                      sink->kafka.topic ? sink->kafka.topic : "", (int)sink->kafka.transactional);
    }
}

static void append_source(struct buffer *text, const struct config_source *source)
{
    buffer_format(text, "%s %lld %s\n", source->name, (long long)source->max_out_of_orderness_us,
                  source->time.text ? source->time.text : "");
    for (uint32_t i = 0; i < source->kafka.topic_count; i++)
        buffer_format(text, "%s\n", source->kafka.topics[i]);
}

uint64_t partials_config_hash(const struct engine *engine, const struct membership *membership)
{
    struct buffer text = {0};
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++) {
        if (!is_shared(engine, membership, i))
            continue;
        const struct plan_pipeline *pipeline = &engine->plan->pipelines[i];
        buffer_format(&text, "%u %s %llx %llu\n", i, pipeline->shape.pipeline,
                      (unsigned long long)pipeline->definition_hash,
                      (unsigned long long)pipeline->window.emit_count);
        append_sinks(&text, engine->config, i);
    }
    for (uint32_t i = 0; i < membership->source_count; i++) {
        buffer_format(&text, "%u ", membership->source_indices[i]);
        append_source(&text, &engine->config->sources[membership->source_indices[i]]);
    }
    uint64_t hash = hash_bytes(text.data, text.size, 0);
    buffer_deinit(&text);
    return hash;
}
