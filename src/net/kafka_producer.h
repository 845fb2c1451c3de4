/* A producer that loses nothing: what was sent is kept until the broker has acknowledged it, and what the broker refuses is kept and
 * sent again at the next flush, with the reason for /health. Used by sinks, for dead letters, and for partials.
 *
 * Plain producers are idempotent while their handle lives. A fatal error of the handle has it made anew, and what was not acknowledged
 * is sent again, so a message may then be there twice, and one that was refused may come after a later one of its key: what weir sends
 * carries an id and a revision, or the position of its origin, which make both harmless.
 *
 * Transactional ones hold one open transaction and keep no copies: what an aborted transaction held is written again from the
 * committed positions. After any abort the handle is made anew, since after a commit that timed out nobody knows its outcome until a
 * new producer of the same id has been initialised: that completes or aborts the old transaction.
 *
 * All functions but kafka_producer_trouble() and kafka_producer_figures() belong to one thread at a time. */
#pragma once

#include "base/slice.h"
#include "flow/sink.h"
#include "net/kafka_client.h"

struct kafka_producer;

enum {
    /* Bytes of refused messages that are kept; what was in the queue when this was reached is kept as well. */
    KAFKA_KEPT_MAX_SIZE = 16 * 1024 * 1024,
    KAFKA_COMMIT_WAIT_MS = 3000 /* that one call of commit or abort waits for the broker, per step */
};

struct kafka_header {
    struct slice name, value; /* value.data NULL: a null value */
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
    const char *name;                      /* copied */
    const char *transactional_id;          /* NULL = not transactional; copied */
    /* What the broker refuses as too large is halved until it fits, and says so in this header, with its former size; NULL = it is
     * kept and refused until the topic takes it. Plain producers only; lives as long as the process. */
    const char *cut_header;
};

/* STATUS_INVALID: the error names the setting that librdkafka refuses. Does not wait for a connection. */
NODISCARD
enum status kafka_producer_create(const struct kafka_producer_options *options, struct kafka_producer **out,
                                  struct error *error);
/* Drops what was not acknowledged; an open transaction is left to the next producer of its id, which aborts it. */
void kafka_producer_destroy(struct kafka_producer *producer);

/* Copies the message. On failure nothing of it is kept, and the error says why:
 * STATUS_AGAIN: the queue (queue.buffering.max.kbytes or .messages) is full; after a poll it may be sent.
 * STATUS_FULL: KAFKA_KEPT_MAX_SIZE of refused messages wait for a flush.
 * STATUS_CLOSED: the handle or its transaction cannot be started at present (brokers away, not authorised): the same call again after
 * a pause. Waits at most two seconds.
 * STATUS_IO: transactions only: this one must be aborted, by kafka_producer_commit() or _abort(). */
NODISCARD
enum status kafka_producer_send(struct kafka_producer *producer, const struct kafka_message *message,
                                struct error *error);
/* Serves acknowledgements for at most `timeout_us`. */
void kafka_producer_poll(struct kafka_producer *producer, int64_t timeout_us);
/* STATUS_OK: all that was sent is acknowledged. STATUS_AGAIN: not yet (error says what it waits for). STATUS_INVALID: some of it was
 * refused for good (error says why); it is kept, and the next flush sends it again. STATUS_IO: as in send. Waits at most about
 * `timeout_us`, and a second more when a handle has to be made anew. */
NODISCARD
enum status kafka_producer_flush(struct kafka_producer *producer, int64_t timeout_us, struct error *error);

/* Transactional producers. Results first, offsets last. `group` NULL: no offsets. Without an open transaction and without offsets
 * there is nothing to do: SINK_COMMITTED. The answers, see also sink_operations.commit:
 * SINK_COMMIT_AGAIN: only commit or abort may be called next.
 * SINK_COMMIT_ABORTED, SINK_COMMIT_FENCED: the old transaction has come to its end, whichever it was: after a commit whose answer was
 * lost it may have been committed. So the caller never repeats from memory, it goes back to the positions that the group has committed
 * (rd_kafka_committed() of a consumer with isolation.level=read_committed, the default, waits for them to be final).
 * Crash points: txn_before_commit, txn_after_offsets, txn_after_commit. Waits for the broker, KAFKA_COMMIT_WAIT_MS per step. */
enum sink_commit kafka_producer_commit(struct kafka_producer *producer, const struct sink_offset *offsets,
                                       uint32_t offset_count, const rd_kafka_consumer_group_metadata_t *group,
                                       struct error *error);
/* Ends what an earlier producer of this id has left open, once; else the first message would. Until then readers of what is committed
 * wait, and so does who asks for the group's positions: for as long as transaction.timeout.ms. Waits at most two seconds. */
void kafka_producer_prepare(struct kafka_producer *producer);
/* Undoes the open transaction. After SINK_COMMIT_AGAIN its outcome is unknown until the positions are read as above. */
void kafka_producer_abort(struct kafka_producer *producer);
/* Transactions that ended otherwise than by a commit, so far. */
uint64_t kafka_producer_abort_count(const struct kafka_producer *producer);

/* Creates the topic with the broker's own number of partitions and replicas, records of up to `max_record_size` bytes; STATUS_OK also
 * when it exists, or when the broker cannot be asked for it (not authorised): then the first message tells. STATUS_AGAIN: no
 * answer; it waits at most about three times `timeout_us`. */
NODISCARD
enum status kafka_producer_create_topic(struct kafka_producer *producer, const char *topic,
                                        uint64_t max_record_size, int64_t timeout_us, struct error *error);

struct kafka_producer_figures {
    uint64_t messages,
        bytes; /* keys and values that brokers have acknowledged; of transactions: that are committed */
    struct kafka_figures client;
};

/* Counted at each flush that succeeds, or commit. Any thread. */
void kafka_producer_figures(struct kafka_producer *producer, struct kafka_producer_figures *out);
/* Some of what was sent was refused, and is kept for the next flush. */
bool kafka_producer_has_refused(const struct kafka_producer *producer);
/* As kafka_client_trouble(), and why messages are refused at present. Any thread. */
bool kafka_producer_trouble(struct kafka_producer *producer, struct error *error);
