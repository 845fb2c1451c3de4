/* A producer that loses nothing: what was sent is kept until the broker has acknowledged it, and what the broker refuses for good is
 * kept and sent again at the next flush, with the reason for /health. Used by sinks, for dead letters, and for partials.
 *
 * Plain producers are idempotent. Transactional ones hold one open transaction; after any abort the handle is made anew, since
 * after a commit that timed out nobody knows its outcome until a new producer of the same id has been initialised. */
#pragma once

#include "base/slice.h"
#include "flow/sink.h"
#include "net/kafka_client.h"

struct kafka_producer;

struct kafka_header {
    struct slice name, value;
};

struct kafka_message {
    const char *topic;
    int32_t partition;  /* RD_KAFKA_PARTITION_UA: by the key */
    struct slice key;   /* data NULL: none */
    struct slice value; /* data NULL: none (a tombstone) */
    const struct kafka_header *headers;
    uint32_t header_count;
    int64_t time_ms; /* 0 = now */
};

struct kafka_producer_options {
    const struct kafka_settings *settings; /* copied */
    const char *name;
    const char *transactional_id; /* NULL = not transactional */
};

NODISCARD
enum status kafka_producer_create(const struct kafka_producer_options *options, struct kafka_producer **out,
                                  struct error *error);
void kafka_producer_destroy(struct kafka_producer *producer);

/* Copies the message. STATUS_AGAIN: the queue (queue.buffering.max.kbytes) is full; after a poll it may be sent. STATUS_IO: transactions
 * only: this one must be aborted. One thread at a time. */
NODISCARD
enum status kafka_producer_send(struct kafka_producer *producer, const struct kafka_message *message,
                                struct error *error);
/* Serves acknowledgements for at most `timeout_us`. */
void kafka_producer_poll(struct kafka_producer *producer, int64_t timeout_us);
/* STATUS_OK: all that was sent is acknowledged. STATUS_AGAIN: not yet. Else some of it was refused for good (error says why); it is
 * kept, and the next flush sends it again. Waits at most `timeout_us`. */
NODISCARD
enum status kafka_producer_flush(struct kafka_producer *producer, int64_t timeout_us, struct error *error);

/* Transactional producers: see sink_operations.commit. Results first, offsets last. `group` NULL: no offsets. Waits for the broker. */
enum sink_commit kafka_producer_commit(struct kafka_producer *producer, const struct sink_offset *offsets,
                                       uint32_t offset_count, const rd_kafka_consumer_group_metadata_t *group,
                                       struct error *error);
void kafka_producer_abort(struct kafka_producer *producer);

/* As kafka_client_trouble(). Any thread. */
bool kafka_producer_trouble(struct kafka_producer *producer, struct error *error);
