/* The shard's side of a kafka source. The client library puts the records of all partitions of a shard into one queue; they are taken
 * from it many at a time, and each waits in its partition's list until the shard asks for that partition:
 *
 *   queue ─▶ feed_fill(): up to KAFKA_FEED_MAX_MESSAGES ─▶ reader 0: m m m        a batch holds records of one partition
 *                                                       ─▶ reader 1: m m m m
 *
 * The record's bytes stay where the library has put them until they are copied into the batch, once.
 *
 * A partition that is not asked for a while (its replay is over and others' is not, or `on_bad: fail` has stopped it) would fill the
 * lists and stand before the records of the others. When it comes to that, it is set aside: paused, what was taken of it is
 * forgotten, and the next read begins with a seek. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/kafka_internal.h"
#include "source/kafka_metadata.h"

enum { REPLAY_LOOK_US = 5 * 1000, SEEK_TIMEOUT_MS = 2000 };

struct kafka_reader {
    struct source_reader reader;
    struct kafka_feed *feed;
    struct kafka_reader *next_reader;
    struct kafka_partition id;
    rd_kafka_topic_t *topic; /* of the messages, once the first has come: tells them apart by pointer */
    rd_kafka_message_t **messages;
    uint32_t first, count, capacity;
    int64_t end_seen;       /* offset at which the partition ended when that was last told; -1 */
    int64_t newest_time_us; /* of the newest delivered record ... */
    int64_t delivered_end;  /* ... and the offset behind it; 0 before the first */
    bool is_held;           /* the shard does not ask for it at present */
    int64_t aside_offset;   /* it is paused, and goes on here; -1: it is not */
    rd_kafka_resp_err_t failure;
    struct kafka_fetch_count *fetched; /* of its source, in the feed */
    bool reads_metadata;
};

/* --- the queue ----------------------------------------------------------------------------------------------------- */

struct kafka_feed *kafka_feed_create(struct kafka_consumer *consumer, const struct waker *waker)
{
    static const uint64_t one = 1;
    struct kafka_feed *feed = memory_allocate(sizeof *feed);
    feed->consumer = consumer;
    feed->queue = rd_kafka_queue_new(consumer->handle);
    feed->fetched = memory_allocate_array(consumer->source_count + 1, sizeof *feed->fetched);
    rd_kafka_queue_io_event_enable(feed->queue, waker->descriptor, &one, sizeof one);
    return feed;
}

static void reader_clear(struct kafka_reader *reader)
{
    for (uint32_t i = 0; i < reader->count; i++)
        rd_kafka_message_destroy(reader->messages[reader->first + i]);
    reader->first = reader->count = 0;
}

static void forget_delivered(struct kafka_feed *feed)
{
    for (uint32_t i = 0; i < feed->delivered_count; i++)
        rd_kafka_message_destroy(feed->delivered[i]);
    feed->delivered_count = 0;
}

void kafka_feed_clear(struct kafka_feed *feed)
{
    forget_delivered(feed);
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
    free(feed->fetched);
    free(feed);
}

/* Of a source that is not of the consumer: a place that nobody looks at. */
static struct kafka_fetch_count *fetch_count_of(const struct kafka_feed *feed, uint32_t source_index)
{
    const struct kafka_consumer *consumer = feed->consumer;
    uint32_t i = 0;
    while (i < consumer->source_count && consumer->source_indices[i] != source_index)
        i++;
    return &feed->fetched[i];
}

void kafka_feed_fetched(const struct kafka_feed *feed, uint32_t source_index, uint64_t *messages,
                        uint64_t *bytes)
{
    const struct kafka_fetch_count *count = fetch_count_of(feed, source_index);
    *messages = atomic_load_explicit(&count->messages, memory_order_relaxed);
    *bytes = atomic_load_explicit(&count->bytes, memory_order_relaxed);
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
    bool is_aside = reader && reader->aside_offset >= 0;
    if (reader && !message->err && !is_aside) {
        reader->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
        reader_keep(reader, message);
        feed->stashed_count++;
        return;
    }
    if (reader && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        reader->end_seen = message->offset;
    else if (reader && message->err)
        reader->failure = message->err;
    rd_kafka_message_destroy(message);
}

static rd_kafka_topic_partition_list_t *list_of(const struct kafka_reader *reader, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, reader->id.topic, reader->id.partition)->offset = offset;
    return list;
}

static void set_aside(struct kafka_reader *reader)
{
    reader->aside_offset = reader->messages[reader->first]->offset;
    rd_kafka_topic_partition_list_t *list = list_of(reader, 0);
    rd_kafka_pause_partitions(reader->feed->consumer->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    reader->feed->stashed_count -= reader->count;
    reader_clear(reader);
}

/* True when that has made room. */
static bool set_held_aside(struct kafka_feed *feed)
{
    for (struct kafka_reader *reader = feed->readers; reader; reader = reader->next_reader) {
        if (reader->is_held && reader->count)
            set_aside(reader);
    }
    return feed->stashed_count < KAFKA_FEED_MAX_MESSAGES;
}

/* The seek comes last, because it wakes the library's thread, and what a resume has fetched until then is dropped by it. */
static enum status bring_back(struct kafka_reader *reader, struct error *error)
{
    rd_kafka_t *handle = reader->feed->consumer->handle;
    rd_kafka_topic_partition_list_t *list = list_of(reader, reader->aside_offset);
    rd_kafka_resume_partitions(handle, list);
    rd_kafka_error_t *failure = rd_kafka_seek_partitions(handle, list, SEEK_TIMEOUT_MS);
    rd_kafka_resp_err_t code = failure ? rd_kafka_error_code(failure) : list->elems[0].err;
    rd_kafka_error_destroy(failure);
    rd_kafka_topic_partition_list_destroy(list);
    if (!code) {
        reader->aside_offset = -1;
        return STATUS_OK;
    }
    kafka_error_text(code, rd_kafka_err2str(code), error);
    error_prefix(error, "topic %s, partition %d", reader->id.topic, (int)reader->id.partition);
    return STATUS_IO;
}

/* Until the reader has something, the queue is empty, or the others have all there is room for. */
static void feed_fill(struct kafka_feed *feed, const struct kafka_reader *asking)
{
    ssize_t count;
    do {
        if (feed->stashed_count >= KAFKA_FEED_MAX_MESSAGES && !set_held_aside(feed))
            return;
        count = rd_kafka_consume_batch_queue(feed->queue, 0, feed->taken,
                                             KAFKA_FEED_MAX_MESSAGES - feed->stashed_count);
        struct kafka_reader *last = NULL;
        for (ssize_t i = 0; i < count; i++)
            sort_message(feed, &last, feed->taken[i]);
    } while (count > 0 && !asking->count);
}

/* --- the reader ---------------------------------------------------------------------------------------------------- */

/* The library unpacks the headers of a record when it is asked for them, which costs more than the decoding of a plain event: so they are
 * asked for only when an expression reads them, or for a dead letter. */
static struct slice read_metadata(const void *source, uint32_t record_index, struct arena *arena)
{
    const struct kafka_feed *feed = source;
    assert(record_index < feed->delivered_count);
    return kafka_metadata_read(feed->delivered[record_index], arena);
}

static void deliver(struct kafka_reader *reader, rd_kafka_message_t *message, struct batch *batch)
{
    struct kafka_feed *feed = reader->feed;
    rd_kafka_timestamp_type_t type;
    int64_t time_ms = rd_kafka_message_timestamp(message, &type);
    int64_t time_us = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? TIME_NONE : time_ms * 1000;
    if (reader->reads_metadata)
        kafka_metadata_put(message, batch);
    batch_append(batch, (struct slice){message->payload, message->payload ? message->len : 0},
                 message->offset, time_us);
    reader->newest_time_us = time_us;
    reader->delivered_end = message->offset + 1;
    feed->delivered[feed->delivered_count++] = message;
}

/* What there is to say when nothing could be delivered. A replay that has come to the end of the log, or to a record at its own
 * end, is over: records below may have been compacted away. */
static enum status nothing(struct kafka_reader *reader, int64_t end_offset, int64_t *next_us,
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
    *next_us = is_replay ? clock_monotonic_us(reader->feed->consumer->clock) + REPLAY_LOOK_US : INT64_MAX;
    return STATUS_AGAIN;
}

static enum status kafka_read(struct source_reader *source, uint32_t max_records, int64_t end_offset,
                              struct batch *batch, int64_t *next_us, struct error *error)
{
    struct kafka_reader *reader = (struct kafka_reader *)source;
    struct kafka_feed *feed = reader->feed;
    reader->is_held = false;
    forget_delivered(feed);
    if (reader->aside_offset >= 0 && bring_back(reader, error) != STATUS_OK)
        return STATUS_IO;
    if (reader->count == 0)
        feed_fill(feed, reader);
    batch_set_topic(batch, reader->id.topic, (uint32_t)reader->id.partition);
    if (!reader->reads_metadata)
        batch->metadata = (struct batch_metadata){read_metadata, feed};
    uint32_t limit = max_records < BATCH_MAX_ROWS ? max_records : BATCH_MAX_ROWS;
    uint32_t taken = 0;
    uint64_t size = 0;
    while (taken < reader->count && batch->record_count < limit && batch->text_size < BATCH_TEXT_SIZE) {
        rd_kafka_message_t *message = reader->messages[reader->first + taken];
        if (message->offset >= end_offset)
            break;
        size += message->len + message->key_len;
        deliver(reader, message, batch);
        taken++;
    }
    reader->first += taken;
    reader->count -= taken;
    feed->stashed_count -= taken;
    atomic_fetch_add_explicit(&reader->fetched->messages, taken, memory_order_relaxed);
    atomic_fetch_add_explicit(&reader->fetched->bytes, size, memory_order_relaxed);
    if (reader->count == 0)
        reader->first = 0;
    if (!batch->record_count)
        return nothing(reader, end_offset, next_us, error);
    batch->arrival_us = clock_monotonic_us(feed->consumer->clock);
    batch->arrival_wall_us = clock_wall_us(feed->consumer->clock);
    return STATUS_OK;
}

/* The library keeps the high watermark of each fetch. */
int64_t kafka_reader_log_end(const struct source_reader *source)
{
    const struct kafka_reader *reader = (const struct kafka_reader *)source;
    int64_t low = 0, high = RD_KAFKA_OFFSET_INVALID;
    if (rd_kafka_get_watermark_offsets(reader->feed->consumer->handle, reader->id.topic, reader->id.partition,
                                       &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return -1;
    return high < 0 ? -1 : high;
}

/* The marks of transactions have offsets, too, which no record will fill. */
static int64_t kafka_end_offset(struct source_reader *source)
{
    const struct kafka_reader *reader = (const struct kafka_reader *)source;
    int64_t end = kafka_reader_log_end(source);
    bool is_at_end = end >= 0 && !reader->count && reader->end_seen >= end;
    return is_at_end ? reader->delivered_end : end;
}

int64_t kafka_reader_newest_time_us(const struct source_reader *source)
{
    return ((const struct kafka_reader *)source)->newest_time_us;
}

static void kafka_hold(struct source_reader *source)
{
    ((struct kafka_reader *)source)->is_held = true;
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

static const struct source_reader_operations kafka_operations = {.kind = "kafka",
                                                                 .read = kafka_read,
                                                                 .end_offset = kafka_end_offset,
                                                                 .hold = kafka_hold,
                                                                 .close = kafka_close};

struct source_reader *kafka_reader_open(struct kafka_feed *feed, const struct kafka_partition *partition,
                                        bool reads_metadata)
{
    struct kafka_reader *reader = memory_allocate(sizeof *reader);
    reader->reader.operations = &kafka_operations;
    reader->feed = feed;
    reader->id = *partition;
    reader->reads_metadata = reads_metadata;
    reader->fetched = fetch_count_of(feed, partition->source_index);
    reader->end_seen = reader->aside_offset = -1;
    reader->is_held = true;
    reader->newest_time_us = TIME_NONE;
    reader->next_reader = feed->readers;
    feed->readers = reader;
    return &reader->reader;
}
