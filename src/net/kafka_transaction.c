/* Transactions of a producer.
 *
 *   NONE ─init─▶ READY ─begin, at the first message─▶ OPEN ─commit─▶ COMMITTING ─answer─▶ READY
 *    ▲                                                 │                 │
 *    └── init done: the verdict is told ── SETTLING ◀──┴─ any failure ───┘   (on a new handle)
 *
 * A failure is told only when the new handle has been initialised, because only then has the old transaction come to its end. A commit
 * that was answered late leaves requests behind that may still arrive: it is followed by a new handle as well, whose epoch shuts them
 * out of the next transaction. */
#include "net/kafka_producer_internal.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"

enum {
    ABORT_WAIT_MS =
        2000, /* readers need not wait for the transaction's timeout then; initialising aborts it anyway */
    INIT_PAUSE_MS = 50
};

/* Takes the error: its text goes to `error`. */
static rd_kafka_resp_err_t explain(struct kafka_producer *producer, const char *doing,
                                   rd_kafka_error_t *problem, struct error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(problem);
    kafka_error_text(code, rd_kafka_error_string(problem), error);
    if (code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
        code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH)
        error_set(
            error,
            "another producer has taken over the transactional id \"%s\", or the transaction took longer "
            "than transaction.timeout.ms",
            producer->transactional_id);
    error_prefix(error, "%s: cannot %s", producer->name, doing);
    rd_kafka_error_destroy(problem);
    return code;
}

static void renew_handle(struct kafka_producer *producer)
{
    producer_close_handle(producer);
    struct error error;
    if (producer_open_handle(producer, &error) != STATUS_OK)
        log_write(LOG_WARN, "kafka", "%s: %s", producer->name, error.text);
}

/* The same call again later may succeed, and changes nothing until then. */
static bool is_passing(const rd_kafka_error_t *problem)
{
    return rd_kafka_error_is_retriable(problem) && !rd_kafka_error_txn_requires_abort(problem) &&
           !rd_kafka_error_is_fatal(problem);
}

/* An older transaction that is just being ended is answered at once with an error: it takes a moment. */
static rd_kafka_error_t *init_patiently(rd_kafka_t *handle, int timeout_ms)
{
    int64_t deadline_us =
        clock_monotonic_us(&clock_system) + (int64_t)timeout_ms * MICROSECONDS_PER_MILLISECOND;
    for (;;) {
        int64_t left_us = deadline_us - clock_monotonic_us(&clock_system);
        rd_kafka_error_t *problem = rd_kafka_init_transactions(
            handle, left_us > 0 ? (int)(left_us / MICROSECONDS_PER_MILLISECOND) : 0);
        if (!problem || !is_passing(problem) ||
            deadline_us - clock_monotonic_us(&clock_system) < INIT_PAUSE_MS * MICROSECONDS_PER_MILLISECOND)
            return problem;
        rd_kafka_error_destroy(problem);
        rd_kafka_poll(handle, INIT_PAUSE_MS);
    }
}

/* NONE, SETTLING → READY. Ends whatever an earlier producer of this id has left. */
static enum status initialise(struct kafka_producer *producer, int timeout_ms, struct error *error)
{
    enum transaction_phase phase = producer->phase;
    if (!producer->handle && producer_open_handle(producer, error) != STATUS_OK) {
        producer->phase = phase;
        return STATUS_CLOSED;
    }
    rd_kafka_error_t *problem = init_patiently(producer->handle, timeout_ms);
    if (!problem) {
        producer->phase = TRANSACTION_READY;
        return STATUS_OK;
    }
    bool can_go_on = is_passing(problem);
    explain(producer, "start transactions", problem, error);
    struct error trouble;
    if (can_go_on && kafka_producer_trouble(producer, &trouble))
        error_set(error, "%s: %s", producer->name, trouble.text);
    if (!can_go_on)
        renew_handle(producer);
    producer->phase = phase;
    return STATUS_CLOSED;
}

enum status transaction_begin(struct kafka_producer *producer, struct error *error)
{
    if (producer->phase == TRANSACTION_OPEN && !producer->must_abort)
        return STATUS_OK;
    if (producer->must_abort || producer->phase == TRANSACTION_COMMITTING ||
        producer->phase == TRANSACTION_SETTLING) {
        error_set(error, "%s: the transaction must be aborted: %s", producer->name,
                  producer->must_abort ? producer->refusal.text : "its commit has failed");
        return STATUS_IO;
    }
    if (producer->phase == TRANSACTION_NONE) {
        enum status status = initialise(producer, KAFKA_INIT_WAIT_MS, error);
        if (status != STATUS_OK)
            return status;
    }
    rd_kafka_error_t *problem = rd_kafka_begin_transaction(producer->handle);
    if (problem) {
        explain(producer, "begin a transaction", problem, error);
        renew_handle(producer);
        return STATUS_CLOSED;
    }
    producer->phase = TRANSACTION_OPEN;
    return STATUS_OK;
}

void kafka_producer_prepare(struct kafka_producer *producer)
{
    struct error error;
    if (!producer->transactional_id || producer->phase != TRANSACTION_NONE)
        return;
    if (initialise(producer, KAFKA_INIT_WAIT_MS, &error) != STATUS_OK)
        log_write(LOG_DEBUG, "kafka", "%s", error.text); /* the next message tells */
}

static enum sink_commit settle(struct kafka_producer *producer, struct error *error)
{
    if (initialise(producer, KAFKA_COMMIT_WAIT_MS, error) != STATUS_OK)
        return SINK_COMMIT_AGAIN;
    if (error)
        *error = producer->verdict_reason;
    return producer->verdict;
}

/* Leaves the transaction as it is, perhaps aborted, to a new handle. */
static void give_up(struct kafka_producer *producer)
{
    bool is_reachable = producer->client && !kafka_client_trouble(producer->client, NULL);
    if (producer->phase == TRANSACTION_OPEN && is_reachable) {
        rd_kafka_error_t *problem = rd_kafka_abort_transaction(producer->handle, ABORT_WAIT_MS);
        if (problem)
            rd_kafka_error_destroy(problem);
    }
    renew_handle(producer);
    producer_clear_refusal(producer);
    producer->abort_count++;
}

static enum sink_commit fail(struct kafka_producer *producer, enum sink_commit verdict,
                             const struct error *reason, struct error *error)
{
    log_write(LOG_WARN, "kafka", "%s; the transaction is aborted", reason->text);
    producer->verdict = verdict;
    producer->verdict_reason = *reason;
    give_up(producer);
    producer->phase = TRANSACTION_SETTLING;
    return settle(producer, error);
}

static rd_kafka_topic_partition_list_t *make_offsets(const struct sink_offset *offsets, uint32_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (uint32_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_t *one =
            rd_kafka_topic_partition_list_add(list, offsets[i].topic, offsets[i].partition);
        one->offset = offsets[i].offset;
        if (offsets[i].metadata) {
            one->metadata_size = strlen(offsets[i].metadata);
            one->metadata = strdup(offsets[i].metadata); /* freed with the list */
        }
    }
    return list;
}

/* The consumer is no longer what the positions were read by. */
static bool is_member_fenced(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_FENCED_MEMBER_EPOCH:
    case RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH: return true;
    default: return false;
    }
}

/* SINK_COMMITTED: they are part of the transaction. */
static enum sink_commit send_offsets(struct kafka_producer *producer, const struct sink_offset *offsets,
                                     uint32_t count, const rd_kafka_consumer_group_metadata_t *group,
                                     struct error *error)
{
    if (!count || !group)
        return SINK_COMMITTED;
    rd_kafka_topic_partition_list_t *list = make_offsets(offsets, count);
    rd_kafka_error_t *problem =
        rd_kafka_send_offsets_to_transaction(producer->handle, list, group, KAFKA_COMMIT_WAIT_MS);
    rd_kafka_topic_partition_list_destroy(list);
    if (!problem)
        return SINK_COMMITTED;
    bool can_go_on = is_passing(problem);
    struct error reason;
    rd_kafka_resp_err_t code = explain(producer, "commit the source's positions", problem, &reason);
    if (can_go_on) {
        if (error)
            *error = reason;
        return SINK_COMMIT_AGAIN;
    }
    return fail(producer, is_member_fenced(code) ? SINK_COMMIT_FENCED : SINK_COMMIT_ABORTED, &reason, error);
}

static enum sink_commit finish(struct kafka_producer *producer, struct error *error)
{
    producer->phase = TRANSACTION_COMMITTING;
    rd_kafka_error_t *problem = rd_kafka_commit_transaction(producer->handle, KAFKA_COMMIT_WAIT_MS);
    if (!problem) {
        crash_point("txn_after_commit");
        producer->phase = TRANSACTION_READY;
        producer_count_pending(producer);
        producer_clear_refusal(producer);
        if (producer->is_doubtful)
            renew_handle(producer);
        return SINK_COMMITTED;
    }
    bool can_go_on = is_passing(problem);
    struct error reason;
    explain(producer, "commit the transaction", problem, &reason);
    if (!can_go_on)
        return fail(producer, SINK_COMMIT_ABORTED, &reason, error);
    producer->is_doubtful = true;
    if (error)
        *error = reason;
    return SINK_COMMIT_AGAIN;
}

/* All messages acknowledged? SINK_COMMITTED: yes. */
static enum sink_commit wait_acknowledged(struct kafka_producer *producer, struct error *error)
{
    struct error reason;
    switch (kafka_producer_flush(producer, (int64_t)KAFKA_COMMIT_WAIT_MS * 1000, &reason)) {
    case STATUS_OK: return SINK_COMMITTED;
    case STATUS_IO:
        error_set(&reason, "%s: %s", producer->name, producer->refusal.text);
        return fail(producer, SINK_COMMIT_ABORTED, &reason, error);
    default:
        if (producer_is_fatal(producer, &reason)) {
            error_prefix(&reason, "%s", producer->name);
            return fail(producer, SINK_COMMIT_ABORTED, &reason, error);
        }
        if (error)
            *error = reason;
        return SINK_COMMIT_AGAIN;
    }
}

enum sink_commit kafka_producer_commit(struct kafka_producer *producer, const struct sink_offset *offsets,
                                       uint32_t offset_count, const rd_kafka_consumer_group_metadata_t *group,
                                       struct error *error)
{
    if (producer->phase == TRANSACTION_SETTLING)
        return settle(producer, error);
    if (producer->phase == TRANSACTION_COMMITTING)
        return finish(producer, error);
    if (producer->phase != TRANSACTION_OPEN) {
        if (!offset_count || !group)
            return SINK_COMMITTED;
        if (transaction_begin(producer, error) != STATUS_OK)
            return SINK_COMMIT_AGAIN;
    }
    enum sink_commit outcome = wait_acknowledged(producer, error);
    if (outcome != SINK_COMMITTED)
        return outcome;
    crash_point("txn_before_commit");
    outcome = send_offsets(producer, offsets, offset_count, group, error);
    if (outcome != SINK_COMMITTED)
        return outcome;
    crash_point("txn_after_offsets");
    return finish(producer, error);
}

void kafka_producer_abort(struct kafka_producer *producer)
{
    if (producer->phase == TRANSACTION_OPEN || producer->phase == TRANSACTION_COMMITTING)
        give_up(producer);
    /* The next message begins by initialising the new handle, which ends what is left. */
    if (producer->phase == TRANSACTION_SETTLING)
        producer->phase = TRANSACTION_NONE;
}

uint64_t kafka_producer_abort_count(const struct kafka_producer *producer)
{
    return producer->abort_count;
}
