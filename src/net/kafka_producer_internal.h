/* What the sources of the producer share. Only they include it. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "net/kafka_kept.h"

enum {
    KAFKA_TOPIC_HANDLES_MAX =
        64, /* topics whose handles a producer remembers; further ones are looked up per message */
    KAFKA_INIT_WAIT_MS = 2000 /* that a send waits for a transaction to be started */
};

enum transaction_phase {
    TRANSACTION_NONE,  /* the handle has not been initialised: an older transaction may still be there */
    TRANSACTION_READY, /* initialised, none open */
    TRANSACTION_OPEN,
    TRANSACTION_COMMITTING, /* the commit was asked for; it has no outcome yet */
    TRANSACTION_SETTLING    /* given up, on a new handle; `verdict` is told when that is initialised */
};

struct kafka_producer {
    struct arena arena; /* settings' texts, name */
    struct kafka_settings settings;
    const char *name, *transactional_id, *cut_header;

    pthread_mutex_t
        lock; /* client (the pointer), refusal*: written by the producer's thread, read by kafka_producer_trouble() */
    struct kafka_client *client;
    rd_kafka_resp_err_t refusal_code; /* of the newest refused message; 0 when all that was sent went well */
    struct error refusal;

    rd_kafka_t *handle; /* the client's; NULL while it could not be made anew */
    int64_t opened_us;  /* monotonic; when that was made */
    int64_t
        renewal_us; /* how old a broken handle must be before another is made; 0 = none was broken lately */
    struct {
        const char *name;
        rd_kafka_topic_t *topic;
    } topics[KAFKA_TOPIC_HANDLES_MAX];
    uint32_t topic_count, last_topic;

    struct kafka_kept kept;

    uint64_t pending_messages, pending_bytes; /* sent and neither refused nor known to be acknowledged */
    _Atomic uint64_t produced_messages,
        produced_bytes; /* relaxed statistics; the producer's thread alone writes */

    enum transaction_phase phase;
    bool must_abort;  /* a message of the open transaction has failed */
    bool is_doubtful; /* a commit had no answer in time */
    enum sink_commit verdict;
    struct error verdict_reason;
    uint64_t abort_count;
};

/* A handle from the settings; STATUS_CLOSED with the reason when there is none now. */
NODISCARD
enum status producer_open_handle(struct kafka_producer *producer, struct error *error);
/* Drops all that is in the handle. */
void producer_close_handle(struct kafka_producer *producer);
/* The reason of the newest refusal, for /health and errors. */
void producer_note_refusal(struct kafka_producer *producer, rd_kafka_resp_err_t code, const char *reason,
                           const char *topic);
void producer_clear_refusal(struct kafka_producer *producer);
/* What it waits for, in words: the connection's trouble, or `otherwise`. */
void producer_say_why(struct kafka_producer *producer, const char *otherwise, struct error *error);
/* True when the handle has raised a fatal error, with its reason. */
bool producer_is_fatal(const struct kafka_producer *producer, struct error *error);

/* All that is pending has been acknowledged, or is part of a committed transaction. */
void producer_count_pending(struct kafka_producer *producer);

/* Transactional: sees to it that one is open. As kafka_producer_send() says. */
NODISCARD
enum status transaction_begin(struct kafka_producer *producer, struct error *error);
