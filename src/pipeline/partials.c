/* See partials.h. Two producers, since one belongs to one thread; one consumer without a group, whose two partitions have queues of their
 * own. */
#include "pipeline/partials.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "net/kafka_admin.h"

enum {
    CALL_TIMEOUT_US = 5 * 1000 * 1000,
    CALL_TIMEOUT_MS = 5 * 1000,
    TELL_TIMEOUT_US = 3 * 1000 * 1000,
    RECEIVE_MAX_MESSAGES = 64,
};

static const struct config_named_text topic_configs[] = {
    {"cleanup.policy", {"delete", {0}}},
    {"retention.ms", {"3600000", {0}}},
    {"max.message.bytes", {"33554432", {0}}},
};

struct partials {
    struct partials_options options;
    char *topic;
    struct kafka_client *client;
    rd_kafka_queue_t *control, *panes;
    struct kafka_producer *control_producer, *pane_producer;
    rd_kafka_message_t *heard, *current; /* handed out */
    rd_kafka_message_t *received[RECEIVE_MAX_MESSAGES];
    ssize_t received_count, received_next;
};

/* --- life ---------------------------------------------------------------------------------------------------------- */

static enum status make_topic(struct partials *partials, struct error *error)
{
    const struct kafka_new_topic topic = {
        .name = partials->topic,
        .partitions = PARTIALS_PARTITION_COUNT,
        .replication = -1,
        .configs = topic_configs,
        .config_count = sizeof topic_configs / sizeof *topic_configs,
    };
    struct kafka_admin *admin = kafka_admin_create(partials->client, CALL_TIMEOUT_US);
    struct kafka_topics topics = {.topic_count = 0};
    const char *name = partials->topic;
    enum status status = kafka_admin_read_topics(admin, &name, 1, &topics, error);
    kafka_topics_deinit(&topics);
    if (status == STATUS_NOT_FOUND)
        status = kafka_admin_create_topic(admin, &topic, error);
    kafka_admin_destroy(admin);
    if (status == STATUS_OK || status == STATUS_BUSY)
        return STATUS_OK;
    error_prefix(error, "processes of one group share windows through topic %s, which cannot be had",
                 partials->topic);
    return status;
}

static enum status open_client(struct partials *partials, struct arena *arena, struct error *error)
{
    struct kafka_settings settings = {.count = 0};
    kafka_connection_settings(&partials->options.source->connection, arena, &settings);
    kafka_admin_prepare(&settings);
    kafka_settings_set(&settings, "enable.auto.commit", "false", "weir");
    kafka_settings_set(&settings, "enable.auto.offset.store", "false", "weir");
    kafka_settings_set(&settings, "auto.offset.reset", "earliest", "weir");
    kafka_settings_set(&settings, "fetch.wait.max.ms", "20", "weir");
    kafka_settings_set(&settings, "fetch.queue.backoff.ms", "2", "weir");
    kafka_settings_set(&settings, "queued.max.messages.kbytes", "65536", "weir");
    const struct kafka_client_options options = {
        .is_consumer = true, .settings = &settings, .name = "partials"};
    enum status status = kafka_client_create(&options, &partials->client, error);
    if (status != STATUS_OK)
        return status;
    rd_kafka_t *handle = kafka_client_handle(partials->client);
    rd_kafka_poll_set_consumer(handle);
    static const uint64_t one = 1;
    partials->control = rd_kafka_queue_new(handle);
    partials->panes = rd_kafka_queue_new(handle);
    rd_kafka_queue_io_event_enable(partials->panes, partials->options.merger_waker->descriptor, &one,
                                   sizeof one);
    return STATUS_OK;
}

static enum status open_producer(struct partials *partials, struct arena *arena, const char *linger_ms,
                                 struct kafka_producer **out, struct error *error)
{
    struct kafka_settings settings = {.count = 0};
    kafka_sink_settings(NULL, &partials->options.source->connection, arena, &settings);
    kafka_settings_set(&settings, "linger.ms", linger_ms, "weir");
    kafka_settings_set(&settings, "compression.type", "lz4", "weir");
    kafka_settings_set(&settings, "message.max.bytes", "33554432", "weir");
    const struct kafka_producer_options options = {.settings = &settings, .name = "partials"};
    return kafka_producer_create(&options, out, error);
}

/* Only one partition at first: the panes are for the leader. */
static enum status assign(struct partials *partials, int64_t panes_from, struct error *error)
{
    rd_kafka_t *handle = kafka_client_handle(partials->client);
    rd_kafka_queue_t *queues[] = {partials->control, partials->panes};
    for (int32_t p = 0; p < PARTIALS_PARTITION_COUNT; p++) {
        rd_kafka_queue_t *from = rd_kafka_queue_get_partition(handle, partials->topic, p);
        rd_kafka_queue_forward(from, queues[p]);
        rd_kafka_queue_destroy(from);
    }
    int64_t low, high = 0;
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(handle, partials->topic, PARTIALS_CONTROL,
                                                                &low, &high, CALL_TIMEOUT_MS);
    if (!code) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(list, partials->topic, PARTIALS_CONTROL)->offset = high;
        rd_kafka_topic_partition_list_add(list, partials->topic, PARTIALS_PANES)->offset = panes_from;
        code = rd_kafka_assign(handle, list);
        rd_kafka_topic_partition_t *panes = &list->elems[1];
        rd_kafka_topic_partition_list_t *paused = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(paused, panes->topic, panes->partition);
        if (!code)
            rd_kafka_pause_partitions(handle, paused);
        rd_kafka_topic_partition_list_destroy(paused);
        rd_kafka_topic_partition_list_destroy(list);
    }
    if (!code)
        return STATUS_OK;
    kafka_error_text(code, rd_kafka_err2str(code), error);
    return STATUS_IO;
}

enum status partials_open(const struct partials_options *options, struct partials **out, struct error *error)
{
    struct partials *partials = memory_allocate(sizeof *partials);
    partials->options = *options;
    partials->topic = memory_copy_text(options->topic, strlen(options->topic));
    struct arena arena;
    arena_init(&arena, 0);
    enum status status = open_client(partials, &arena, error);
    if (status == STATUS_OK)
        status = make_topic(partials, error);
    if (status == STATUS_OK)
        status = open_producer(partials, &arena, "0", &partials->control_producer, error);
    if (status == STATUS_OK)
        status = open_producer(partials, &arena, "2", &partials->pane_producer, error);
    if (status == STATUS_OK)
        status = assign(partials, 0, error);
    arena_deinit(&arena);
    if (status != STATUS_OK) {
        partials_close(partials);
        return status;
    }
    *out = partials;
    return STATUS_OK;
}

static void forget_received(struct partials *partials)
{
    if (partials->current)
        rd_kafka_message_destroy(partials->current);
    partials->current = NULL;
    while (partials->received_next < partials->received_count)
        rd_kafka_message_destroy(partials->received[partials->received_next++]);
    partials->received_count = partials->received_next = 0;
}

void partials_close(struct partials *partials)
{
    if (!partials)
        return;
    forget_received(partials);
    if (partials->heard)
        rd_kafka_message_destroy(partials->heard);
    kafka_producer_destroy(partials->control_producer);
    kafka_producer_destroy(partials->pane_producer);
    if (partials->panes) {
        rd_kafka_queue_io_event_enable(partials->panes, -1, NULL, 0);
        rd_kafka_queue_destroy(partials->panes);
        rd_kafka_queue_destroy(partials->control);
    }
    kafka_client_destroy(partials->client);
    free(partials->topic);
    free(partials);
}

/* --- control ------------------------------------------------------------------------------------------------------- */

enum status partials_tell(struct partials *partials, struct slice text, struct error *error)
{
    const struct kafka_message message = {
        .topic = partials->topic, .partition = PARTIALS_CONTROL, .value = text};
    enum status status = kafka_producer_send(partials->control_producer, &message, error);
    return status == STATUS_OK ? kafka_producer_flush(partials->control_producer, TELL_TIMEOUT_US, error)
                               : status;
}

bool partials_hear(struct partials *partials, struct slice *text, int64_t *offset)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(kafka_client_handle(partials->client), 0);
    if (message)
        rd_kafka_message_destroy(message); /* the client's own business; partitions have queues */
    if (partials->heard)
        rd_kafka_message_destroy(partials->heard);
    partials->heard = NULL;
    while (rd_kafka_consume_batch_queue(partials->control, 0, &message, 1) == 1) {
        if (message->err) {
            rd_kafka_message_destroy(message);
            continue;
        }
        partials->heard = message;
        *text = (struct slice){message->payload, message->payload ? message->len : 0};
        *offset = message->offset;
        return true;
    }
    return false;
}

enum status partials_end(struct partials *partials, int64_t *offset, struct error *error)
{
    int64_t low;
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(kafka_client_handle(partials->client), partials->topic,
                                         PARTIALS_PANES, &low, offset, CALL_TIMEOUT_MS);
    if (!code)
        return STATUS_OK;
    kafka_error_text(code, rd_kafka_err2str(code), error);
    return STATUS_AGAIN;
}

/* Only a leader listens. */
static void stop_listening(struct partials *partials)
{
    forget_received(partials);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partials->topic, PARTIALS_PANES);
    rd_kafka_pause_partitions(kafka_client_handle(partials->client), list);
    rd_kafka_topic_partition_list_destroy(list);
}

enum status partials_begin_sending(struct partials *partials, struct error *error)
{
    stop_listening(partials);
    if (partials->pane_producer && !kafka_producer_has_refused(partials->pane_producer))
        return STATUS_OK;
    kafka_producer_destroy(partials->pane_producer);
    partials->pane_producer = NULL;
    struct arena arena;
    arena_init(&arena, 0);
    enum status status = open_producer(partials, &arena, "2", &partials->pane_producer, error);
    arena_deinit(&arena);
    return status == STATUS_OK ? STATUS_OK : STATUS_AGAIN;
}

enum status partials_listen(struct partials *partials, int64_t offset, struct error *error)
{
    rd_kafka_t *handle = kafka_client_handle(partials->client);
    forget_received(partials);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partials->topic, PARTIALS_PANES)->offset = offset;
    rd_kafka_error_t *failure = rd_kafka_seek_partitions(handle, list, CALL_TIMEOUT_MS);
    rd_kafka_resp_err_t code = failure ? rd_kafka_error_code(failure) : list->elems[0].err;
    if (failure)
        rd_kafka_error_destroy(failure);
    if (!code)
        rd_kafka_resume_partitions(handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (!code)
        return STATUS_OK;
    kafka_error_text(code, rd_kafka_err2str(code), error);
    return STATUS_AGAIN;
}

/* --- panes --------------------------------------------------------------------------------------------------------- */

enum status partials_send(struct partials *partials, struct slice value, struct error *error)
{
    const struct kafka_message message = {
        .topic = partials->topic, .partition = PARTIALS_PANES, .value = value};
    if (kafka_producer_has_refused(partials->pane_producer)) {
        if (!kafka_producer_trouble(partials->pane_producer, error))
            error_set(error, "topic %s has refused panes", partials->topic);
        return STATUS_IO;
    }
    return kafka_producer_send(partials->pane_producer, &message, error);
}

void partials_serve(struct partials *partials, int64_t timeout_us)
{
    kafka_producer_poll(partials->pane_producer, timeout_us);
}

bool partials_receive(struct partials *partials, struct slice *message)
{
    if (partials->current)
        rd_kafka_message_destroy(partials->current);
    partials->current = NULL;
    for (;;) {
        if (partials->received_next == partials->received_count) {
            partials->received_next = 0;
            partials->received_count =
                rd_kafka_consume_batch_queue(partials->panes, 0, partials->received, RECEIVE_MAX_MESSAGES);
            if (partials->received_count <= 0) {
                partials->received_count = 0;
                return false;
            }
        }
        rd_kafka_message_t *next = partials->received[partials->received_next++];
        if (!next->err) {
            partials->current = next;
            *message = (struct slice){next->payload, next->payload ? next->len : 0};
            return true;
        }
        rd_kafka_message_destroy(next);
    }
}
