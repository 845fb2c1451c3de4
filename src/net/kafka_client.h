/* A librdkafka handle: made from settings, its log lines through ours, its last connection trouble kept for /health. Sources, sinks
 * and commands make their handles here, and only here is rd_kafka_conf_t met. */
#pragma once

#include <librdkafka/rdkafka.h>

#include "config/kafka_settings.h"

struct kafka_client;

struct kafka_client_options {
    bool is_consumer;
    const struct kafka_settings *settings;
    const char *name; /* in log lines and errors: "source events", "sink predictions" */
    void *context;    /* rd_kafka_opaque() of the callbacks below; each may be NULL */
    void (*rebalance)(rd_kafka_t *handle, rd_kafka_resp_err_t error,
                      rd_kafka_topic_partition_list_t *partitions, void *context);
    void (*delivered)(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context);
    void (*committed)(rd_kafka_t *handle, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *offsets,
                      void *context);
    /* librdkafka's statistics as JSON text, in the thread that polls; needs statistics.interval.ms. */
    void (*statistics)(const char *json, size_t size, void *context);
};

/* STATUS_INVALID with an error that names the setting that librdkafka refuses. Does not wait for a connection. */
NODISCARD
enum status kafka_client_create(const struct kafka_client_options *options, struct kafka_client **out,
                                struct error *error);
/* Consumers are closed (they leave their group) unless that was done before; what a producer has not sent is dropped. */
void kafka_client_destroy(struct kafka_client *client);
rd_kafka_t *kafka_client_handle(const struct kafka_client *client);

/* What is wrong with the connection at present, in words a user can act on: brokers away, wrong password, certificate not
 * trusted, unknown topic, not authorised. False when nothing is. Any thread. */
bool kafka_client_trouble(struct kafka_client *client, struct error *error);
/* The client's error callback has told of a fatal error: the handle must be made anew. */
bool kafka_client_is_fatal(const struct kafka_client *client);

/* Words for an error of librdkafka with what to do about it: "the broker refuses the password (SASL authentication ...)". */
void kafka_error_text(rd_kafka_resp_err_t code, const char *reason, struct error *error);
