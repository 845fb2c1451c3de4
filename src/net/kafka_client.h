/* A librdkafka handle: made from settings, its log lines through ours, its last trouble kept for /health. Sources, sinks and commands
 * make their handles here. librdkafka retries whatever may get well again for ever and in silence, a wrong password too; so what
 * goes wrong is kept in words until it is over. */
#pragma once

#include <librdkafka/rdkafka.h>

#include "config/kafka_settings.h"
#include "net/kafka_statistics.h"

struct kafka_client;

struct kafka_client_options {
    bool is_consumer;
    bool is_quiet;                         /* trouble is told by the caller, and not logged */
    const struct kafka_settings *settings; /* copied */
    const char *name;                      /* in log lines and errors: "source events"; copied */
    void *context;                         /* handed to the callbacks below, each of which may be NULL */
    void (*rebalance)(rd_kafka_t *handle, rd_kafka_resp_err_t error,
                      rd_kafka_topic_partition_list_t *partitions, void *context);
    void (*delivered)(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context);
    void (*committed)(rd_kafka_t *handle, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *offsets,
                      void *context);
    /* librdkafka's statistics as JSON text, in the thread that polls; needs statistics.interval.ms. */
    void (*statistics)(const char *json, size_t size, void *context);
};

/* STATUS_INVALID with an error that names the setting that librdkafka refuses. Does not wait for a connection. Trouble is only
 * known to a client whose main queue is served: by rd_kafka_poll(), or by the consumer's poll after rd_kafka_poll_set_consumer().
 * rd_kafka_opaque() of the handle is the client's own. */
NODISCARD
enum status kafka_client_create(const struct kafka_client_options *options, struct kafka_client **out,
                                struct error *error);
/* Consumers are closed (they leave their group) unless that was done before or no broker is there to be told; what a producer has
 * not sent is dropped. Callbacks may be called until this returns. NULL is allowed. */
void kafka_client_destroy(struct kafka_client *client);
rd_kafka_t *kafka_client_handle(const struct kafka_client *client);

/* What is wrong at present, in words a user can act on: brokers away, wrong password, certificate not trusted, unknown topic, not
 * authorised. False when nothing is. `error` may be NULL. Any thread. */
bool kafka_client_trouble(struct kafka_client *client, struct error *error);
/* For errors that come with messages and answers and not by the error callback: they become the trouble. Any thread. */
void kafka_client_note(struct kafka_client *client, rd_kafka_resp_err_t code, const char *reason);
/* Ends the trouble: for callers that have just had a success. Trouble with connections also ends by itself, when the statistics
 * say that a broker is up. Cheap when there is no trouble. Any thread. */
void kafka_client_well(struct kafka_client *client);
/* Connections and membership as the statistics tell them. Any thread. */
void kafka_client_figures(const struct kafka_client *client, struct kafka_figures *out);
/* There was a fatal error: the handle must be made anew. Any thread. */
bool kafka_client_is_fatal(const struct kafka_client *client);

/* Words for an error of librdkafka with what to do about it: "the broker refuses the login (SASL authentication ...)". `reason` may
 * be NULL or empty. */
void kafka_error_text(rd_kafka_resp_err_t code, const char *reason, struct error *error);
