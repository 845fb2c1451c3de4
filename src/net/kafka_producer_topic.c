/* Topics that a producer makes for itself. See kafka_producer_create_topic(). */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/kafka_producer_internal.h"

static rd_kafka_event_t *ask(rd_kafka_t *handle, rd_kafka_NewTopic_t *topic, int timeout_ms)
{
    char text[64];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
    rd_kafka_queue_t *answers = rd_kafka_queue_new(handle);
    rd_kafka_CreateTopics(handle, &topic, 1, options, answers);
    rd_kafka_event_t *answer = rd_kafka_queue_poll(answers, timeout_ms + timeout_ms / 2);
    rd_kafka_queue_destroy(answers);
    rd_kafka_AdminOptions_destroy(options);
    return answer;
}

static rd_kafka_resp_err_t outcome(rd_kafka_event_t *answer, char *reason, size_t reason_size)
{
    rd_kafka_resp_err_t code = answer ? rd_kafka_event_error(answer) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    snprintf(reason, reason_size, "%s", code && answer ? rd_kafka_event_error_string(answer) : "no answer");
    if (code)
        return code;
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer), &count);
    if (!count)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    const char *text = rd_kafka_topic_result_error_string(results[0]);
    snprintf(reason, reason_size, "%s", text ? text : "");
    return rd_kafka_topic_result_error(results[0]);
}

static bool is_passing(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__DESTROY:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER: return true;
    default: return false;
    }
}

/* What the broker says of the topic: no error when it is there. */
static rd_kafka_resp_err_t look(rd_kafka_t *handle, const char *name, int timeout_ms)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, name, NULL);
    rd_kafka_resp_err_t code = rd_kafka_metadata(handle, 0, topic, &metadata, timeout_ms);
    rd_kafka_topic_destroy(topic);
    if (code)
        return code;
    code = metadata->topic_cnt ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    rd_kafka_metadata_destroy(metadata);
    return code;
}

static enum status fail_for_now(struct kafka_producer *producer, const char *topic, const char *reason,
                                struct error *error)
{
    producer_say_why(producer, reason, error);
    error_prefix(error, "%s: cannot find or create the topic \"%s\"", producer->name, topic);
    return STATUS_AGAIN;
}

/* The broker decides about partitions and replicas. */
static enum status create(struct kafka_producer *producer, const char *topic, uint64_t max_record_size,
                          int timeout_ms, struct error *error)
{
    char reason[ERROR_TEXT_SIZE / 2], size_text[24];
    rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(topic, -1, -1, reason, sizeof reason);
    if (!wanted) {
        error_set(error, "%s: cannot create the topic \"%s\": %s", producer->name, topic, reason);
        return STATUS_INVALID;
    }
    snprintf(size_text, sizeof size_text, "%llu", (unsigned long long)max_record_size);
    rd_kafka_NewTopic_set_config(wanted, "max.message.bytes", size_text);
    rd_kafka_event_t *answer = ask(producer->handle, wanted, timeout_ms);
    rd_kafka_resp_err_t code = outcome(answer, reason, sizeof reason);
    rd_kafka_NewTopic_destroy(wanted);
    if (answer)
        rd_kafka_event_destroy(answer);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        log_write(LOG_INFO, "kafka", "%s: created the topic \"%s\"", producer->name, topic);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return STATUS_OK;
    if (is_passing(code))
        return fail_for_now(producer, topic, reason, error);
    log_write(LOG_WARN, "kafka", "%s: cannot create the topic \"%s\": %s; create it if it is not there",
              producer->name, topic, reason[0] ? reason : rd_kafka_err2str(code));
    return STATUS_OK;
}

enum status kafka_producer_create_topic(struct kafka_producer *producer, const char *topic,
                                        uint64_t max_record_size, int64_t timeout_us, struct error *error)
{
    int timeout_ms = (int)(timeout_us / MICROSECONDS_PER_MILLISECOND);
    if (!producer->handle && producer_open_handle(producer, error) != STATUS_OK)
        return STATUS_AGAIN;
    rd_kafka_resp_err_t code = look(producer->handle, topic, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        return create(producer, topic, max_record_size, timeout_ms, error);
    if (is_passing(code)) {
        rd_kafka_poll(producer->handle, 0); /* brings the reason, which the error callback tells */
        return fail_for_now(producer, topic, rd_kafka_err2str(code), error);
    }
    return STATUS_OK;
}
