/* The shard's side of a kafka source. The client library puts the records of all partitions of a shard into one queue; they are taken
 * from it many at a time, and each waits in its partition's list until the shard asks for that partition:
 *
 *   queue ─▶ feed_fill(): up to KAFKA_FEED_MAX_MESSAGES ─▶ reader 0: m m m        a batch holds records of one partition
 *                                                       ─▶ reader 1: m m m m
 *
 * The record's bytes stay where the library has put them until they are copied into the batch, once. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/kafka_internal.h"

enum { REPLAY_LOOK_US = 5 * 1000 };

struct kafka_reader {
    struct source_reader reader;
    struct kafka_feed *feed;
    struct kafka_reader *next_reader;
    struct kafka_partition id;
    rd_kafka_topic_t *topic; /* of the messages, once the first has come: tells them apart by pointer */
    rd_kafka_message_t **messages;
    uint32_t first, count, capacity;
    int64_t end_seen;       /* offset at which the partition ended when that was last told; -1 */
    int64_t newest_time_us; /* of the newest delivered record */
    rd_kafka_resp_err_t failure;
};

/* --- the queue ----------------------------------------------------------------------------------------------------- */

struct kafka_feed *kafka_feed_create(struct kafka_consumer *consumer, const struct waker *waker)
{
    static const uint64_t one = 1;
    struct kafka_feed *feed = memory_allocate(sizeof *feed);
    feed->consumer = consumer;
    feed->queue = rd_kafka_queue_new(consumer->handle);
    rd_kafka_queue_io_event_enable(feed->queue, waker->descriptor, &one, sizeof one);
    return feed;
}

static void reader_clear(struct kafka_reader *reader)
{
    for (uint32_t i = 0; i < reader->count; i++)
        rd_kafka_message_destroy(reader->messages[reader->first + i]);
    reader->first = reader->count = 0;
}

void kafka_feed_clear(struct kafka_feed *feed)
{
    for (struct kafka_reader *reader = feed->readers; reader; reader = reader->next_reader)
        reader_clear(reader);
    feed->stashed_count = 0;
}

void kafka_feed_destroy(struct kafka_feed *feed)
{
    if (!feed)
        return;
    kafka_feed_clear(feed);
    rd_kafka_queue_io_event_enable(feed->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(feed->queue);
    free(feed);
}

static struct kafka_reader *find_reader(struct kafka_feed *feed, const rd_kafka_message_t *message)
{
    for (struct kafka_reader *reader = feed->readers; reader; reader = reader->next_reader) {
        if (reader->id.partition != message->partition)
            continue;
        if (reader->topic != message->rkt && strcmp(rd_kafka_topic_name(message->rkt), reader->id.topic) != 0)
            continue;
        reader->topic = message->rkt;
        return reader;
    }
    return NULL;
}

static void reader_keep(struct kafka_reader *reader, rd_kafka_message_t *message)
{
    if (reader->first + reader->count == reader->capacity) {
        if (reader->first > 0) {
            memmove(reader->messages, reader->messages + reader->first,
                    sizeof *reader->messages * reader->count);
            reader->first = 0;
        }
        if (reader->count == reader->capacity) {
            reader->capacity = reader->capacity ? reader->capacity * 2 : 256;
            reader->messages =
                memory_resize_array(reader->messages, reader->capacity, sizeof *reader->messages);
        }
    }
    reader->messages[reader->first + reader->count++] = message;
}

/* Records go to their reader's list; the end of a partition and its errors are noted. */
static void sort_message(struct kafka_feed *feed, struct kafka_reader **last, rd_kafka_message_t *message)
{
    struct kafka_reader *reader = *last;
    if (!reader || reader->topic != message->rkt || reader->id.partition != message->partition)
        reader = *last = find_reader(feed, message);
    if (reader && !message->err) {
        reader->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
        reader_keep(reader, message);
        feed->stashed_count++;
        return;
    }
    if (reader && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        reader->end_seen = message->offset;
    else if (reader)
        reader->failure = message->err;
    rd_kafka_message_destroy(message);
}

static void feed_fill(struct kafka_feed *feed)
{
    if (feed->stashed_count >= KAFKA_FEED_MAX_MESSAGES)
        return;
    ssize_t count =
        rd_kafka_consume_batch_queue(feed->queue, 0, feed->taken, KAFKA_FEED_MAX_MESSAGES - feed->stashed_count);
    struct kafka_reader *last = NULL;
    for (ssize_t i = 0; i < count; i++)
        sort_message(feed, &last, feed->taken[i]);
}

/* --- the reader ---------------------------------------------------------------------------------------------------- */

static void deliver_headers(const rd_kafka_message_t *message, struct batch *batch)
{
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    struct record_header header = {.value = {0}};
    const void *value;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &header.name.data, &value, &header.value.size) ==
                       RD_KAFKA_RESP_ERR_NO_ERROR;
         i++) {
        header.name.size = strlen(header.name.data);
        header.value.data = value;
        batch_put_header(batch, header);
    }
}

static void deliver(struct kafka_reader *reader, rd_kafka_message_t *message, struct batch *batch)
{
    rd_kafka_timestamp_type_t type;
    int64_t time_ms = rd_kafka_message_timestamp(message, &type);
    int64_t time_us = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? TIME_NONE : time_ms * 1000;
    if (message->key)
        batch_put_key(batch, (struct slice){message->key, message->key_len});
    deliver_headers(message, batch);
    batch_append(batch, (struct slice){message->payload, message->payload ? message->len : 0}, message->offset, time_us);
    reader->newest_time_us = time_us;
    rd_kafka_message_destroy(message);
}

/* What there is to say when nothing could be delivered. A replay that has come to the end of the log, or to a record at its own
 * end, is over: records below may have been compacted away. */
static enum status nothing(struct kafka_reader *reader, int64_t end_offset, int64_t now_us, int64_t *next_us,
                           struct error *error)
{
    bool is_replay = end_offset != INT64_MAX;
    if (is_replay && (reader->count > 0 || reader->end_seen >= end_offset))
        return STATUS_NOT_FOUND;
    if (reader->failure) {
        kafka_error_text(reader->failure, rd_kafka_err2str(reader->failure), error);
        error_prefix(error, "topic %s, partition %d", reader->id.topic, (int)reader->id.partition);
        return STATUS_IO;
    }
    *next_us = is_replay ? now_us + REPLAY_LOOK_US : INT64_MAX;
    return STATUS_AGAIN;
}

static enum status kafka_read(struct source_reader *source, uint32_t max_records, int64_t end_offset,
                              struct batch *batch, int64_t *next_us, struct error *error)
{
    struct kafka_reader *reader = (struct kafka_reader *)source;
    struct kafka_feed *feed = reader->feed;
    int64_t now_us = clock_monotonic_us(feed->consumer->clock);
    if (reader->count == 0)
        feed_fill(feed);
    batch_set_topic(batch, reader->id.topic, (uint32_t)reader->id.partition);
    uint32_t taken = 0;
    while (taken < reader->count && batch->record_count < max_records && batch->text_size < BATCH_TEXT_SIZE) {
        rd_kafka_message_t *message = reader->messages[reader->first + taken];
        if (message->offset >= end_offset)
            break;
        deliver(reader, message, batch);
        taken++;
    }
    reader->first += taken;
    reader->count -= taken;
    feed->stashed_count -= taken;
    if (reader->count == 0)
        reader->first = 0;
    batch->arrival_us = now_us;
    batch->arrival_wall_us = clock_wall_us(feed->consumer->clock);
    return batch->record_count ? STATUS_OK : nothing(reader, end_offset, now_us, next_us, error);
}

/* The library keeps the high watermark of each fetch. */
static int64_t kafka_end_offset(struct source_reader *source)
{
    const struct kafka_reader *reader = (const struct kafka_reader *)source;
    int64_t low = 0, high = RD_KAFKA_OFFSET_INVALID;
    if (rd_kafka_get_watermark_offsets(reader->feed->consumer->handle, reader->id.topic, reader->id.partition, &low,
                                       &high) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return -1;
    return high < 0 ? -1 : high;
}

int64_t kafka_reader_newest_time_us(const struct source_reader *source)
{
    return ((const struct kafka_reader *)source)->newest_time_us;
}

static void kafka_close(struct source_reader *source)
{
    struct kafka_reader *reader = (struct kafka_reader *)source;
    struct kafka_feed *feed = reader->feed;
    struct kafka_reader **at = &feed->readers;
    while (*at != reader)
        at = &(*at)->next_reader;
    *at = reader->next_reader;
    feed->stashed_count -= reader->count;
    reader_clear(reader);
    free(reader->messages);
    free(reader);
}

static const struct source_reader_operations kafka_operations = {
    .kind = "kafka", .read = kafka_read, .end_offset = kafka_end_offset, .close = kafka_close};

struct source_reader *kafka_reader_open(struct kafka_feed *feed, const struct kafka_partition *partition)
{
    struct kafka_reader *reader = memory_allocate(sizeof *reader);
    reader->reader.operations = &kafka_operations;
    reader->feed = feed;
    reader->id = *partition;
    reader->end_seen = -1;
    reader->newest_time_us = TIME_NONE;
    reader->next_reader = feed->readers;
    feed->readers = reader;
    return &reader->reader;
}
