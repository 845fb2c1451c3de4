/* See kafka_dead_letters.h. A bad record must never stop the pipe: a topic that is missing is made, for records as large as a source
 * may have; one that is there and takes less gets the record's beginning. */
#include "sink/kafka_dead_letters.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/memory.h"
#include "flow/record_metadata.h"

#define SUFFIX     ".dlq"
#define CUT_HEADER "weir.truncated"

enum {
    CREATE_WAIT_US = 2000000,
    FLUSH_WAIT_US = 2000000,
    OWN_HEADERS = 7,
    NUMBER_SIZE = 24,
    /* Headers and framing around the largest record. */
    LETTER_MAX_SIZE = RECORD_MAX_SIZE + METADATA_MAX_SIZE + 64 * 1024
};

struct kafka_dead_letters {
    const struct config_source *source;
    struct kafka_producer *producer;
    struct buffer topic; /* of the letter that is being written */
    char *topics[KAFKA_DEAD_LETTER_TOPICS_MAX];
    uint32_t topic_count, last_topic;
    struct kafka_header headers[KAFKA_DEAD_LETTER_HEADERS_MAX + OWN_HEADERS];
};

enum status kafka_dead_letters_open(const struct config_source *source, struct kafka_dead_letters **out,
                                    struct error *error)
{
    struct arena arena;
    char text[NUMBER_SIZE];
    arena_init(&arena, 0);
    struct kafka_settings *settings = arena_allocate_zeroed(&arena, sizeof *settings);
    kafka_sink_settings(NULL, &source->kafka.connection, &arena, settings);
    snprintf(text, sizeof text, "%d", LETTER_MAX_SIZE);
    kafka_settings_set(settings, "message.max.bytes", text, "weir");
    struct kafka_producer_options options = {
        .settings = settings,
        .name = arena_format(&arena, "dead letters of source \"%s\"", source->name),
        .cut_header = CUT_HEADER};
    struct kafka_dead_letters *letters = memory_allocate(sizeof *letters);
    letters->source = source;
    enum status status = kafka_producer_create(&options, &letters->producer, error);
    arena_deinit(&arena);
    if (status == STATUS_OK) {
        *out = letters;
    } else {
        kafka_dead_letters_close(letters);
    }
    return status;
}

void kafka_dead_letters_close(struct kafka_dead_letters *letters)
{
    if (!letters)
        return;
    kafka_producer_destroy(letters->producer);
    for (uint32_t i = 0; i < letters->topic_count; i++)
        free(letters->topics[i]);
    buffer_deinit(&letters->topic);
    free(letters);
}

static const char *topic_of(struct kafka_dead_letters *letters, const struct dead_letter *letter)
{
    if (letters->source->kafka.dead_letter_topic)
        return letters->source->kafka.dead_letter_topic;
    buffer_clear(&letters->topic);
    buffer_append_text(&letters->topic, letter->topic);
    buffer_append(&letters->topic, SUFFIX, sizeof SUFFIX);
    return letters->topic.data;
}

static bool knows_topic(struct kafka_dead_letters *letters, const char *topic)
{
    for (uint32_t i = 0, at = letters->last_topic; i < letters->topic_count; i++, at++) {
        if (at == letters->topic_count)
            at = 0;
        if (strcmp(letters->topics[at], topic) == 0) {
            letters->last_topic = at;
            return true;
        }
    }
    return letters->topic_count == KAFKA_DEAD_LETTER_TOPICS_MAX;
}

static enum status ensure_topic(struct kafka_dead_letters *letters, const char *topic, struct error *error)
{
    if (knows_topic(letters, topic))
        return STATUS_OK;
    enum status status =
        kafka_producer_create_topic(letters->producer, topic, LETTER_MAX_SIZE, CREATE_WAIT_US, error);
    if (status == STATUS_OK)
        letters->topics[letters->topic_count++] = memory_copy_text(topic, strlen(topic));
    return status;
}

static struct slice number_text(char text[NUMBER_SIZE], int64_t value)
{
    return (struct slice){text, (size_t)snprintf(text, NUMBER_SIZE, "%" PRId64, value)};
}

static uint32_t copy_headers(struct kafka_dead_letters *letters, struct slice metadata)
{
    uint32_t count = 0;
    struct record_header header;
    for (struct slice rest = metadata_headers(metadata);
         count < KAFKA_DEAD_LETTER_HEADERS_MAX && metadata_next_header(&rest, &header);)
        letters->headers[count++] = (struct kafka_header){header.name, header.value};
    return count;
}

enum status kafka_dead_letters_write(struct kafka_dead_letters *letters, const struct dead_letter *letter,
                                     struct error *error)
{
    struct kafka_message message = {.topic = topic_of(letters, letter),
                                    .partition = RD_KAFKA_PARTITION_UA,
                                    .key = metadata_key(letter->metadata),
                                    .value = letter->raw,
                                    .headers = letters->headers};
    enum status status = ensure_topic(letters, message.topic, error);
    if (status != STATUS_OK)
        return status;
    char partition[NUMBER_SIZE], offset[NUMBER_SIZE], time[NUMBER_SIZE];
    uint32_t count = copy_headers(letters, letter->metadata);
    struct kafka_header *own = letters->headers + count;
    *own++ = (struct kafka_header){SLICE("weir.source"), slice_of(letters->source->name)};
    *own++ = (struct kafka_header){SLICE("weir.reason"), slice_of(letter->reason)};
    if (letter->detail.size)
        *own++ = (struct kafka_header){SLICE("weir.detail"), letter->detail};
    *own++ = (struct kafka_header){SLICE("weir.topic"), slice_of(letter->topic)};
    *own++ = (struct kafka_header){SLICE("weir.partition"), number_text(partition, letter->topic_partition)};
    *own++ = (struct kafka_header){SLICE("weir.offset"), number_text(offset, letter->offset)};
    *own++ = (struct kafka_header){SLICE("weir.time"),
                                   number_text(time, letter->time_us / MICROSECONDS_PER_MILLISECOND)};
    message.header_count = (uint32_t)(own - letters->headers);
    status = kafka_producer_send(letters->producer, &message, error);
    if (status == STATUS_FULL) {
        status = kafka_producer_flush(letters->producer, FLUSH_WAIT_US, error);
        if (status == STATUS_OK)
            status = kafka_producer_send(letters->producer, &message, error);
    }
    if (status == STATUS_AGAIN)
        kafka_producer_poll(letters->producer, 0);
    return status;
}

enum status kafka_dead_letters_flush(struct kafka_dead_letters *letters, struct error *error)
{
    crash_point("dlq_before_flush");
    return kafka_producer_flush(letters->producer, FLUSH_WAIT_US, error);
}

bool kafka_dead_letters_trouble(struct kafka_dead_letters *letters, struct error *error)
{
    return kafka_producer_trouble(letters->producer, error);
}

void kafka_dead_letters_idle(struct kafka_dead_letters *letters)
{
    kafka_producer_poll(letters->producer, 0);
}

struct kafka_producer *kafka_dead_letters_producer(const struct kafka_dead_letters *letters)
{
    return letters->producer;
}
