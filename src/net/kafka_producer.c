/* Messages go straight into librdkafka's queue, which copies and bounds them; successful deliveries are counted there and cost no
 * callback here. A failed one comes back whole in its delivery report and goes to the list of kept messages (kafka_kept.c), from which
 * the next flush offers it again.
 *
 * A message that is too large is offered alone the next time: a broker refuses the whole request that holds it, so its neighbours
 * would be refused with it for ever. */
#include "net/kafka_producer_internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

enum {
    PURGE_WAIT_MS = 1000, /* for the reports of what a broken handle held */
    LOOK_WAIT_MS = 1000,  /* for a topic's state */
    /* Handles that break as soon as they are made are made less and less often. */
    RENEWAL_MIN_US = 1000 * 1000,
    RENEWAL_MAX_US = 30 * 1000 * 1000,
};

static int milliseconds(int64_t time_us)
{
    return time_us <= 0 ? 0
                        : (int)((time_us + MICROSECONDS_PER_MILLISECOND - 1) / MICROSECONDS_PER_MILLISECOND);
}

static bool is_too_large(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
}

/* What the broker said of the whole topic. */
static bool is_of_topic(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED: return true;
    default: return false;
    }
}

/* Refused by a decision, not for want of a broker or of time. */
static bool is_for_good(rd_kafka_resp_err_t code)
{
    if (is_too_large(code) || is_of_topic(code))
        return true;
    switch (code) {
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION: return true;
    default: return false;
    }
}

void producer_note_refusal(struct kafka_producer *producer, rd_kafka_resp_err_t code, const char *reason,
                           const char *topic)
{
    if (producer->refusal_code == code) /* this thread alone writes it: no lock to read it */
        return;
    pthread_mutex_lock(&producer->lock);
    producer->refusal_code = code;
    kafka_error_text(code, reason, &producer->refusal);
    error_prefix(&producer->refusal, "topic \"%s\" refuses records", topic);
    pthread_mutex_unlock(&producer->lock);
}

void producer_clear_refusal(struct kafka_producer *producer)
{
    if (!producer->refusal_code)
        return;
    pthread_mutex_lock(&producer->lock);
    producer->refusal_code = RD_KAFKA_RESP_ERR_NO_ERROR;
    pthread_mutex_unlock(&producer->lock);
}

/* Reports of failures only (delivery.report.only.error). */
static void delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    (void)handle;
    struct kafka_producer *producer = context;
    if (!message->err)
        return;
    producer->pending_messages--;
    producer->pending_bytes -= message->len + message->key_len;
    bool is_purged =
        message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    if (!is_purged) {
        const char *reason = rd_kafka_message_produce_errstr(message);
        producer_note_refusal(producer, message->err, reason ? reason : rd_kafka_err2str(message->err),
                              rd_kafka_topic_name(message->rkt));
    }
    if (producer->transactional_id) {
        producer->must_abort = producer->must_abort || !is_purged;
    } else {
        kafka_kept_add_delivery(&producer->kept, message);
    }
}

enum status producer_open_handle(struct kafka_producer *producer, struct error *error)
{
    struct kafka_client_options options = {
        .settings = &producer->settings, .name = producer->name, .context = producer, .delivered = delivered};
    struct kafka_client *client = NULL;
    enum status status = kafka_client_create(&options, &client, error);
    if (status != STATUS_OK)
        return status;
    pthread_mutex_lock(&producer->lock);
    producer->client = client;
    pthread_mutex_unlock(&producer->lock);
    producer->handle = kafka_client_handle(client);
    producer->opened_us = clock_monotonic_us(&clock_system);
    return STATUS_OK;
}

void producer_close_handle(struct kafka_producer *producer)
{
    struct kafka_client *client = producer->client;
    for (uint32_t i = 0; i < producer->topic_count; i++)
        rd_kafka_topic_destroy(producer->topics[i].topic);
    producer->topic_count = producer->last_topic = 0;
    pthread_mutex_lock(&producer->lock);
    producer->client = NULL;
    pthread_mutex_unlock(&producer->lock);
    producer->handle = NULL;
    producer->phase = TRANSACTION_NONE;
    producer->must_abort = producer->is_doubtful = false;
    if (client)
        kafka_client_destroy(client);
    producer->pending_messages = producer->pending_bytes = 0;
}

bool producer_is_fatal(const struct kafka_producer *producer, struct error *error)
{
    char reason[ERROR_TEXT_SIZE / 2];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(producer->handle, reason, sizeof reason);
    if (!code)
        return false;
    kafka_error_text(code, reason, error);
    return true;
}

/* Whether a broken handle may be replaced now; then also how long the next one has to last. */
static bool may_renew(struct kafka_producer *producer)
{
    int64_t age_us = clock_monotonic_us(&clock_system) - producer->opened_us;
    if (age_us < producer->renewal_us)
        return false;
    int64_t doubled_us = producer->renewal_us * 2;
    if (age_us > 2 * RENEWAL_MAX_US)
        producer->renewal_us = 0;
    else if (doubled_us < RENEWAL_MIN_US)
        producer->renewal_us = RENEWAL_MIN_US;
    else
        producer->renewal_us = doubled_us < RENEWAL_MAX_US ? doubled_us : RENEWAL_MAX_US;
    return true;
}

/* Plain producers: a broken handle gives back what it holds, and another takes its place. */
static enum status ensure_handle(struct kafka_producer *producer, struct error *error)
{
    struct error reason;
    if (producer->handle && producer_is_fatal(producer, &reason)) {
        if (!may_renew(producer)) {
            error_set(error, "%s: %s", producer->name, reason.text);
            return STATUS_CLOSED;
        }
        log_write(LOG_WARN, "kafka", "%s: the producer is made anew: %s", producer->name, reason.text);
        rd_kafka_purge(producer->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(producer->handle, PURGE_WAIT_MS);
        producer_close_handle(producer);
    }
    if (producer->handle)
        return STATUS_OK;
    return producer_open_handle(producer, error) == STATUS_OK ? STATUS_OK : STATUS_CLOSED;
}

static void copy_settings(struct kafka_producer *producer, const struct kafka_settings *from)
{
    producer->settings = *from;
    for (uint32_t i = 0; i < from->count; i++) {
        struct kafka_setting *row = &producer->settings.rows[i];
        row->name = arena_copy_text(&producer->arena, row->name);
        row->value = arena_copy_text(&producer->arena, row->value);
        row->origin = row->origin ? arena_copy_text(&producer->arena, row->origin) : NULL;
        row->guide = row->reason = NULL; /* for people who look at the configuration */
    }
    kafka_settings_set(&producer->settings, "delivery.report.only.error", "true", "weir");
}

enum status kafka_producer_create(const struct kafka_producer_options *options, struct kafka_producer **out,
                                  struct error *error)
{
    struct kafka_producer *producer = memory_allocate(sizeof *producer);
    arena_init(&producer->arena, 0);
    pthread_mutex_init(&producer->lock, NULL);
    producer->name = arena_copy_text(&producer->arena, options->name);
    producer->cut_header = options->cut_header;
    copy_settings(producer, options->settings);
    if (options->transactional_id) {
        producer->transactional_id = arena_copy_text(&producer->arena, options->transactional_id);
        kafka_settings_set(&producer->settings, "transactional.id", producer->transactional_id, "weir");
    }
    enum status status = producer_open_handle(producer, error);
    if (status == STATUS_OK) {
        *out = producer;
        return STATUS_OK;
    }
    kafka_producer_destroy(producer);
    return status;
}

void kafka_producer_destroy(struct kafka_producer *producer)
{
    if (!producer)
        return;
    producer_close_handle(producer);
    kafka_kept_clear(&producer->kept);
    pthread_mutex_destroy(&producer->lock);
    arena_deinit(&producer->arena);
    free(producer);
}

/* The topic's handle, so that librdkafka need not look its name up for every message. NULL: the table is full. */
static rd_kafka_topic_t *find_topic(struct kafka_producer *producer, const char *name)
{
    for (uint32_t i = 0, at = producer->last_topic; i < producer->topic_count; i++, at++) {
        if (at == producer->topic_count)
            at = 0;
        if (strcmp(producer->topics[at].name, name) == 0) {
            producer->last_topic = at;
            return producer->topics[at].topic;
        }
    }
    if (producer->topic_count == KAFKA_TOPIC_HANDLES_MAX)
        return NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(producer->handle, name, NULL);
    if (!topic)
        return NULL;
    producer->last_topic = producer->topic_count++;
    producer->topics[producer->last_topic].name = rd_kafka_topic_name(topic);
    producer->topics[producer->last_topic].topic = topic;
    return topic;
}

static rd_kafka_headers_t *make_headers(const struct kafka_message *message)
{
    if (!message->header_count)
        return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(message->header_count);
    for (uint32_t i = 0; i < message->header_count; i++) {
        const struct kafka_header *header = &message->headers[i];
        rd_kafka_header_add(headers, header->name.data, (ssize_t)header->name.size, header->value.data,
                            (ssize_t)header->value.size);
    }
    return headers;
}

static rd_kafka_resp_err_t produce(struct kafka_producer *producer, const struct kafka_message *message)
{
    rd_kafka_topic_t *topic = find_topic(producer, message->topic);
    rd_kafka_headers_t *headers = make_headers(message);
    rd_kafka_vu_t parts[8]; /* each is set whole below; their padding need not be cleared for every message */
    size_t count = 0;
    parts[count].vtype = topic ? RD_KAFKA_VTYPE_RKT : RD_KAFKA_VTYPE_TOPIC;
    if (topic) {
        parts[count++].u.rkt = topic;
    } else {
        parts[count++].u.cstr = message->topic;
    }
    parts[count].vtype = RD_KAFKA_VTYPE_PARTITION;
    parts[count++].u.i32 = message->partition;
    parts[count].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    parts[count++].u.i = RD_KAFKA_MSG_F_COPY;
    parts[count].vtype = RD_KAFKA_VTYPE_KEY;
    parts[count].u.mem.ptr = (void *)message->key.data;
    parts[count++].u.mem.size = message->key.size;
    parts[count].vtype = RD_KAFKA_VTYPE_VALUE;
    parts[count].u.mem.ptr = (void *)message->value.data;
    parts[count++].u.mem.size = message->value.size;
    parts[count].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
    parts[count++].u.i64 = message->time_ms;
    parts[count].vtype = RD_KAFKA_VTYPE_OPAQUE;
    parts[count++].u.ptr = kafka_kept_mark(message);
    if (headers) {
        parts[count].vtype = RD_KAFKA_VTYPE_HEADERS;
        parts[count++].u.headers = headers;
    }
    rd_kafka_error_t *problem = rd_kafka_produceva(producer->handle, parts, count);
    if (!problem) {
        producer->pending_messages++;
        producer->pending_bytes += message->key.size + message->value.size;
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    rd_kafka_resp_err_t code = rd_kafka_error_code(problem);
    rd_kafka_error_destroy(problem);
    if (headers)
        rd_kafka_headers_destroy(headers);
    return code;
}

static enum status fail_full(struct kafka_producer *producer, struct error *error)
{
    producer_say_why(producer, "the broker takes records more slowly than they come", error);
    error_prefix(error, "%s: its queue is full", producer->name);
    return STATUS_AGAIN;
}

static enum status fail_kept(struct kafka_producer *producer, struct error *error)
{
    error_set(error, "%s: %s (%u kept, sent again at every flush)", producer->name, producer->refusal.text,
              producer->kept.count);
    return STATUS_FULL;
}

enum status kafka_producer_send(struct kafka_producer *producer, const struct kafka_message *message,
                                struct error *error)
{
    enum status status = producer->transactional_id ? transaction_begin(producer, error)
                         : producer->handle         ? STATUS_OK
                                                    : ensure_handle(producer, error);
    if (status != STATUS_OK)
        return status;
    if (producer->kept.size > KAFKA_KEPT_MAX_SIZE)
        return fail_kept(producer, error);
    rd_kafka_resp_err_t code = produce(producer, message);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return STATUS_OK;
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return fail_full(producer, error);
    producer_note_refusal(producer, code, rd_kafka_err2str(code), message->topic);
    if (!producer->transactional_id) {
        kafka_kept_add(&producer->kept, message, code);
        return STATUS_OK;
    }
    producer->must_abort = true;
    error_set(error, "%s: the transaction must be aborted: %s", producer->name, producer->refusal.text);
    return STATUS_IO;
}

void kafka_producer_poll(struct kafka_producer *producer, int64_t timeout_us)
{
    if (producer->handle)
        rd_kafka_poll(producer->handle, milliseconds(timeout_us));
}

/* False: the queue is full, and the message is kept as before. */
static bool offer(struct kafka_producer *producer, struct kafka_kept_message *kept)
{
    rd_kafka_resp_err_t code = produce(producer, &kept->message);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        free(kept);
        return true;
    }
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        kept->code = code;
        producer_note_refusal(producer, code, rd_kafka_err2str(code), kept->message.topic);
    }
    kafka_kept_put(&producer->kept, kept);
    return code != RD_KAFKA_RESP_ERR__QUEUE_FULL;
}

/* Nothing else is under way meanwhile, so what is refused now stands at the end of the list. */
static bool offer_alone(struct kafka_producer *producer, struct kafka_kept_message *kept, int64_t deadline_us)
{
    int64_t left_us = deadline_us - clock_monotonic_us(&clock_system);
    if (left_us <= 0 || rd_kafka_flush(producer->handle, milliseconds(left_us))) {
        kafka_kept_put(&producer->kept, kept);
        return false;
    }
    uint32_t count = producer->kept.count;
    if (!offer(producer, kept))
        return false;
    left_us = deadline_us - clock_monotonic_us(&clock_system);
    bool has_answer = rd_kafka_flush(producer->handle, milliseconds(left_us)) == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (producer->cut_header && producer->kept.count > count && is_too_large(producer->kept.last->code))
        kafka_kept_cut(producer->kept.last, producer->cut_header);
    return has_answer;
}

/* librdkafka itself refuses what is for a topic that was missing or not allowed, until it happens to look again, every five minutes. */
static void look_again(struct kafka_producer *producer, const char *name)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = find_topic(producer, name);
    if (topic && rd_kafka_metadata(producer->handle, 0, topic, &metadata, LOOK_WAIT_MS) == 0)
        rd_kafka_metadata_destroy(metadata);
}

/* Each message that was kept before is offered once. */
static void offer_kept(struct kafka_producer *producer, int64_t deadline_us)
{
    bool goes_on = true;
    const char *looked_at = NULL; /* a topic's name as the handle has it */
    for (uint32_t left = producer->kept.count; left && goes_on; left--) {
        struct kafka_kept_message *kept = kafka_kept_take(&producer->kept);
        if (is_of_topic(kept->code) && (!looked_at || strcmp(looked_at, kept->message.topic) != 0)) {
            look_again(producer, kept->message.topic);
            looked_at = producer->topic_count ? producer->topics[producer->last_topic].name : NULL;
        }
        goes_on = is_too_large(kept->code) ? offer_alone(producer, kept, deadline_us) : offer(producer, kept);
    }
}

static bool keeps_for_good(const struct kafka_kept *kept)
{
    for (const struct kafka_kept_message *message = kept->first; message; message = message->next) {
        if (is_for_good(message->code))
            return true;
    }
    return false;
}

void producer_count_pending(struct kafka_producer *producer)
{
    atomic_fetch_add_explicit(&producer->produced_messages, producer->pending_messages, memory_order_relaxed);
    atomic_fetch_add_explicit(&producer->produced_bytes, producer->pending_bytes, memory_order_relaxed);
    producer->pending_messages = producer->pending_bytes = 0;
}

static enum status flush_outcome(struct kafka_producer *producer, bool is_empty, struct error *error)
{
    if (producer->must_abort) {
        error_set(error, "%s: the transaction must be aborted: %s", producer->name, producer->refusal.text);
        return STATUS_IO;
    }
    if (producer->kept.count) {
        enum status unused = fail_kept(producer, error);
        (void)unused;
        return keeps_for_good(&producer->kept) ? STATUS_INVALID : STATUS_AGAIN;
    }
    if (!is_empty) {
        producer_say_why(producer, "the broker has not yet acknowledged all records", error);
        error_prefix(error, "%s", producer->name);
        return STATUS_AGAIN;
    }
    producer_clear_refusal(producer);
    if (producer->client)
        kafka_client_well(producer->client);
    return STATUS_OK;
}

enum status kafka_producer_flush(struct kafka_producer *producer, int64_t timeout_us, struct error *error)
{
    int64_t deadline_us = clock_monotonic_us(&clock_system) + timeout_us;
    if (!producer->transactional_id) {
        if (ensure_handle(producer, error) != STATUS_OK)
            return STATUS_AGAIN;
        offer_kept(producer, deadline_us);
    }
    if (!producer->handle)
        return flush_outcome(producer, true, error);
    int64_t left_us = deadline_us - clock_monotonic_us(&clock_system);
    bool is_empty = rd_kafka_flush(producer->handle, milliseconds(left_us)) == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (is_empty && !producer->transactional_id)
        producer_count_pending(producer);
    return flush_outcome(producer, is_empty, error);
}

void producer_say_why(struct kafka_producer *producer, const char *otherwise, struct error *error)
{
    if (!kafka_producer_trouble(producer, error))
        error_set(error, "%s", otherwise);
}

bool kafka_producer_has_refused(const struct kafka_producer *producer)
{
    return producer->kept.count > 0;
}

bool kafka_producer_trouble(struct kafka_producer *producer, struct error *error)
{
    pthread_mutex_lock(&producer->lock);
    bool has_trouble = producer->client && kafka_client_trouble(producer->client, error);
    if (!has_trouble && producer->refusal_code) {
        if (error)
            *error = producer->refusal;
        has_trouble = true;
    }
    pthread_mutex_unlock(&producer->lock);
    return has_trouble;
}

void kafka_producer_figures(struct kafka_producer *producer, struct kafka_producer_figures *out)
{
    memset(out, 0, sizeof *out);
    out->messages = atomic_load_explicit(&producer->produced_messages, memory_order_relaxed);
    out->bytes = atomic_load_explicit(&producer->produced_bytes, memory_order_relaxed);
    pthread_mutex_lock(&producer->lock);
    if (producer->client)
        kafka_client_figures(producer->client, &out->client);
    pthread_mutex_unlock(&producer->lock);
}
