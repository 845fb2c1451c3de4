/* Results, and events of pipelines without a window, in a topic of Kafka.
 *
 *   key        the record's key values as JSON, `["FR"]`; murmur2 chooses the partition as Java's clients do. Events without a `key`
 *              keep the one they came with
 *   value      the record as JSON; events without a `select` byte for byte as they came
 *   timestamp  the end of the window or the time of the event, but not later than now: brokers refuse records of the future. Retention
 *              goes by it, so a topic whose retention is shorter than the age of what is replayed drops the results at once.
 *
 * A topic cannot take back half a block, so a block that was not taken whole goes on at the row where it stopped when it is offered
 * again. What stands in the topic twice after a restart is the same record, or is aborted with its transaction. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "sink/sink_internal.h"
#include "sink/sink_kinds.h"

enum {
    WRITE_WAIT_US = 1000000, /* for room in the queue, before the block is handed back and /health told */
    FLUSH_WAIT_US = 2000000, /* the same for acknowledgements */
    POLL_US = 20000
};

/* Tells blocks apart for as long as one is offered again. */
struct block_name {
    uint64_t number; /* first sequence of results, number of events */
    bool is_output;
};

struct kafka_sink {
    struct sink sink;
    char *topic;
    struct kafka_producer *producer;
    struct kafka_transactions *transactions; /* whose the producer is; NULL: not transactional */
    struct block_name part;                  /* the block that was taken up to a row ... */
    uint64_t part_abort_count;               /* ... the transaction that has those rows ... */
    uint32_t part_row_count;                 /* ... and how many they are */
};

static uint32_t rows_taken(const struct kafka_sink *kafka, struct block_name block)
{
    bool is_same = kafka->part_row_count && kafka->part.number == block.number &&
                   kafka->part.is_output == block.is_output &&
                   kafka->part_abort_count == kafka_producer_abort_count(kafka->producer);
    return is_same ? kafka->part_row_count : 0;
}

static void remember_rows(struct kafka_sink *kafka, struct block_name block, uint32_t row_count)
{
    kafka->part = block;
    kafka->part_abort_count = kafka_producer_abort_count(kafka->producer);
    kafka->part_row_count = row_count;
}

/* Waits a while for room in the queue; refused messages that fill it up are offered again. */
static enum status send_patiently(struct kafka_sink *kafka, const struct kafka_message *message,
                                  struct error *error)
{
    enum status status = kafka_producer_send(kafka->producer, message, error);
    if (status == STATUS_OK)
        return STATUS_OK;
    if (status == STATUS_FULL) {
        status = kafka_producer_flush(kafka->producer, WRITE_WAIT_US, error);
        return status == STATUS_OK ? kafka_producer_send(kafka->producer, message, error) : status;
    }
    int64_t deadline_us = clock_monotonic_us(&clock_system) + WRITE_WAIT_US;
    while (status == STATUS_AGAIN && clock_monotonic_us(&clock_system) < deadline_us) {
        kafka_producer_poll(kafka->producer, POLL_US);
        status = kafka_producer_send(kafka->producer, message, error);
    }
    return status;
}

static enum status kafka_write(struct sink *sink, const struct result_block *block, struct error *error)
{
    struct kafka_sink *kafka = (struct kafka_sink *)sink;
    int64_t now_ms = clock_wall_us(&clock_system) / MICROSECONDS_PER_MILLISECOND;
    struct kafka_message message = {.topic = kafka->topic, .partition = RD_KAFKA_PARTITION_UA};
    struct block_name name = {.number = block->first_sequence};
    for (uint32_t row = rows_taken(kafka, name); row < block->row_count; row++) {
        int64_t end_ms = block->window_ends_us[row] / MICROSECONDS_PER_MILLISECOND;
        message.key = result_block_key_json(block, row);
        message.value = result_block_json(block, row);
        message.time_ms = end_ms < now_ms ? end_ms : now_ms;
        enum status status = send_patiently(kafka, &message, error);
        if (status != STATUS_OK) {
            remember_rows(kafka, name, row);
            return status;
        }
    }
    kafka->part_row_count = 0;
    kafka_producer_poll(kafka->producer, 0);
    return STATUS_OK;
}

/* Topics know no time before 1970, and 0 would mean now. */
static int64_t event_time_ms(int64_t time_us, int64_t now_ms)
{
    int64_t time_ms = time_us / MICROSECONDS_PER_MILLISECOND;
    return time_ms < 1 ? 1 : time_ms < now_ms ? time_ms : now_ms;
}

static enum status kafka_write_output(struct sink *sink, const struct output_block *block,
                                      struct error *error)
{
    struct kafka_sink *kafka = (struct kafka_sink *)sink;
    int64_t now_ms = clock_wall_us(&clock_system) / MICROSECONDS_PER_MILLISECOND;
    struct kafka_message message = {.topic = kafka->topic, .partition = RD_KAFKA_PARTITION_UA};
    struct block_name name = {.number = block->number, .is_output = true};
    for (uint32_t row = rows_taken(kafka, name); row < block->row_count; row++) {
        message.key = output_block_key(block, row);
        message.value = output_block_value(block, row);
        message.time_ms = event_time_ms(block->rows[row].time_us, now_ms);
        enum status status = send_patiently(kafka, &message, error);
        if (status != STATUS_OK) {
            remember_rows(kafka, name, row);
            return status;
        }
    }
    kafka->part_row_count = 0;
    kafka_producer_poll(kafka->producer, 0);
    return STATUS_OK;
}

static enum status kafka_flush(struct sink *sink, struct error *error)
{
    return kafka_producer_flush(((struct kafka_sink *)sink)->producer, FLUSH_WAIT_US, error);
}

static enum sink_commit kafka_commit(struct sink *sink, const struct sink_offset *offsets,
                                     uint32_t offset_count, const void *group, struct error *error)
{
    return kafka_producer_commit(((struct kafka_sink *)sink)->producer, offsets, offset_count, group, error);
}

static void kafka_abort(struct sink *sink)
{
    kafka_producer_abort(((struct kafka_sink *)sink)->producer);
}

static const void *kafka_transaction(const struct sink *sink)
{
    return ((const struct kafka_sink *)sink)->producer;
}

/* The client library's reports wait in a queue without a limit until they are fetched. */
static void kafka_idle(struct sink *sink)
{
    kafka_producer_prepare(((struct kafka_sink *)sink)->producer);
    kafka_producer_poll(((struct kafka_sink *)sink)->producer, 0);
}

static void kafka_close(struct sink *sink)
{
    struct kafka_sink *kafka = (struct kafka_sink *)sink;
    if (kafka->transactions) {
        kafka_transactions_release(kafka->transactions, kafka->producer);
    } else {
        kafka_producer_destroy(kafka->producer);
    }
    free(kafka->topic);
    free(kafka);
}

static const struct sink_operations plain_operations = {.kind = "kafka",
                                                        .needs_json = true,
                                                        .write = kafka_write,
                                                        .write_output = kafka_write_output,
                                                        .flush = kafka_flush,
                                                        .idle = kafka_idle,
                                                        .close = kafka_close};

static const struct sink_operations transactional_operations = {.kind = "kafka",
                                                                .needs_json = true,
                                                                .write = kafka_write,
                                                                .write_output = kafka_write_output,
                                                                .flush = kafka_flush,
                                                                .commit = kafka_commit,
                                                                .abort = kafka_abort,
                                                                .transaction = kafka_transaction,
                                                                .idle = kafka_idle,
                                                                .close = kafka_close};

struct kafka_producer *sink_producer(const struct sink *sink)
{
    bool is_kafka = sink->operations == &plain_operations || sink->operations == &transactional_operations;
    return is_kafka ? ((const struct kafka_sink *)sink)->producer : NULL;
}

static enum status open_plain(const struct config_sink *config, struct kafka_producer **out,
                              struct error *error)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct kafka_settings *settings = arena_allocate_zeroed(&arena, sizeof *settings);
    kafka_sink_settings(&config->kafka, &config->kafka.connection, &arena, settings);
    struct kafka_producer_options options = {.settings = settings,
                                             .name = arena_format(&arena, "sink \"%s\"", config->name)};
    enum status status = kafka_producer_create(&options, out, error);
    arena_deinit(&arena);
    return status;
}

static enum status open_transactional(const struct config_sink *config,
                                      struct kafka_transactions *transactions, struct kafka_producer **out,
                                      struct error *error)
{
    if (transactions)
        return kafka_transactions_acquire(transactions, config, out, error);
    error_set(error,
              "transactional: true needs a pipeline that reads from kafka, whose positions it commits");
    return STATUS_INVALID;
}

enum status kafka_sink_open(const struct config_sink *config, struct kafka_transactions *transactions,
                            struct sink **out, struct error *error)
{
    struct kafka_producer *producer = NULL;
    bool is_transactional = config->kafka.transactional;
    enum status status = is_transactional ? open_transactional(config, transactions, &producer, error)
                                          : open_plain(config, &producer, error);
    if (status != STATUS_OK) {
        error_prefix(error, "sink \"%s\"", config->name);
        return status;
    }
    struct kafka_sink *kafka = memory_allocate(sizeof *kafka);
    kafka->sink.operations = is_transactional ? &transactional_operations : &plain_operations;
    kafka->topic = memory_copy_text(config->kafka.topic, strlen(config->kafka.topic));
    kafka->producer = producer;
    kafka->transactions = is_transactional ? transactions : NULL;
    *out = &kafka->sink;
    return STATUS_OK;
}
