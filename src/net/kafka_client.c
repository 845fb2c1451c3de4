/* The handle and what goes wrong with it.
 *
 * One broker of several that is away is no trouble: its partitions have other leaders. So an error of one connection is only
 * remembered; it becomes the trouble when librdkafka says that all brokers are down, which it says once per outage and without the
 * reason. Refused logins and certificates are trouble at once. The statistics, where they are on, then say both ways how it
 * stands: a broker that is up ends the trouble, none up with one that is being tried brings it back.
 *
 * librdkafka calls the log callback from its own threads, and all others from the thread that polls. */
#include "net/kafka_client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

enum { TROUBLE_REPEAT_US = 60 * MICROSECONDS_PER_SECOND }; /* between log lines about the same trouble */

struct kafka_client {
    rd_kafka_t *handle;
    struct kafka_client_options options; /* `settings` is not kept */
    char *name;
    bool has_group;
    struct log_limiter limiter;
    struct kafka_statistics *statistics;
    _Atomic bool has_trouble; /* read without the lock by kafka_client_well(); written under it */
    pthread_mutex_t lock;     /* for what follows */
    struct error trouble;
    rd_kafka_resp_err_t code;  /* of the trouble */
    struct error last_failure; /* of any one connection; empty: none since it went well */
    rd_kafka_resp_err_t last_failure_code;
    bool is_all_down;
    rd_kafka_resp_err_t logged_code;
    int64_t logged_us;
};

static bool is_of_connection(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__RESOLVE ||
           code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
           code == RD_KAFKA_RESP_ERR__SSL || code == RD_KAFKA_RESP_ERR__AUTHENTICATION;
}

/* Errors that one broker of many may have while all is well. */
static bool is_of_one_broker(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__RESOLVE ||
           code == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

static void set_trouble(struct kafka_client *client, rd_kafka_resp_err_t code, const struct error *text)
{
    int64_t now_us = clock_monotonic_us(&clock_system);
    client->trouble = *text;
    client->code = code;
    atomic_store_explicit(&client->has_trouble, true, memory_order_relaxed);
    if (client->options.is_quiet ||
        (client->logged_code == code && now_us - client->logged_us < TROUBLE_REPEAT_US))
        return;
    client->logged_code = code;
    client->logged_us = now_us;
    log_write(LOG_WARN, "kafka", "%s: %s", client->name, text->text);
}

static void end_trouble(struct kafka_client *client)
{
    if (client->logged_code)
        log_write(LOG_INFO, "kafka", "%s: works again", client->name);
    client->logged_code = RD_KAFKA_RESP_ERR_NO_ERROR;
    client->is_all_down = false;
    atomic_store_explicit(&client->has_trouble, false, memory_order_relaxed);
}

static void note_locked(struct kafka_client *client, rd_kafka_resp_err_t code, const struct error *text)
{
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        client->is_all_down = true;
        if (client->last_failure.text[0])
            set_trouble(client, client->last_failure_code, &client->last_failure);
        else
            set_trouble(client, code, text);
        return;
    }
    if (is_of_connection(code)) {
        client->last_failure = *text;
        client->last_failure_code = code;
    }
    if (!is_of_one_broker(code) || client->is_all_down)
        set_trouble(client, code, text);
}

void kafka_client_note(struct kafka_client *client, rd_kafka_resp_err_t code, const char *reason)
{
    struct error text;
    kafka_error_text(code, reason, &text);
    pthread_mutex_lock(&client->lock);
    note_locked(client, code, &text);
    pthread_mutex_unlock(&client->lock);
}

void kafka_client_well(struct kafka_client *client)
{
    /* Relaxed: a trouble of this very moment that is missed here is ended by the next success. */
    if (!atomic_load_explicit(&client->has_trouble, memory_order_relaxed))
        return;
    pthread_mutex_lock(&client->lock);
    end_trouble(client);
    client->last_failure.text[0] = '\0';
    pthread_mutex_unlock(&client->lock);
}

bool kafka_client_trouble(struct kafka_client *client, struct error *error)
{
    /* Consumers are told of a fatal error by a message, which its reader may have been too late for. */
    char reason[ERROR_TEXT_SIZE / 2];
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(client->handle, reason, sizeof reason);
    if (fatal) {
        if (error)
            kafka_error_text(fatal, reason, error);
        return true;
    }
    pthread_mutex_lock(&client->lock);
    bool has_trouble = atomic_load_explicit(&client->has_trouble, memory_order_relaxed);
    if (has_trouble && error)
        *error = client->trouble;
    pthread_mutex_unlock(&client->lock);
    return has_trouble;
}

bool kafka_client_is_fatal(const struct kafka_client *client)
{
    return rd_kafka_fatal_error(client->handle, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

void kafka_client_figures(const struct kafka_client *client, struct kafka_figures *out)
{
    kafka_statistics_figures(client->statistics, out);
}

rd_kafka_t *kafka_client_handle(const struct kafka_client *client)
{
    return client->handle;
}

static void on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque)
{
    char fatal_reason[ERROR_TEXT_SIZE / 2];
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        code = rd_kafka_fatal_error(handle, fatal_reason, sizeof fatal_reason);
        reason = fatal_reason;
    }
    kafka_client_note(opaque, (rd_kafka_resp_err_t)code, reason);
}

static bool has_text(const char *text, size_t size, const char *part)
{
    return memmem(text, size, part, strlen(part)) != NULL;
}

/* States of brokers are in capitals, and only theirs; the group's are not. INIT alone is a client that has nothing to do. */
static void see_brokers(struct kafka_client *client, const char *json, size_t size)
{
    bool is_up = has_text(json, size, "\"state\":\"UP\"");
    bool is_tried =
        has_text(json, size, "\"state\":\"DOWN\"") || has_text(json, size, "\"state\":\"TRY_CONNECT\"");
    pthread_mutex_lock(&client->lock);
    bool has_trouble = atomic_load_explicit(&client->has_trouble, memory_order_relaxed);
    if (is_up && has_trouble && is_of_connection(client->code))
        end_trouble(client);
    else if (!is_up && is_tried && !has_trouble && client->last_failure.text[0])
        set_trouble(client, client->last_failure_code, &client->last_failure);
    pthread_mutex_unlock(&client->lock);
}

static int on_statistics(rd_kafka_t *handle, char *json, size_t size, void *opaque)
{
    (void)handle;
    struct kafka_client *client = opaque;
    see_brokers(client, json, size);
    kafka_statistics_add(client->statistics, json, size);
    if (client->options.statistics)
        client->options.statistics(json, size, client->options.context);
    return 0; /* librdkafka frees the text */
}

static void on_rebalance(rd_kafka_t *handle, rd_kafka_resp_err_t error,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    struct kafka_client *client = opaque;
    client->options.rebalance(handle, error, partitions, client->options.context);
}

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    struct kafka_client *client = opaque;
    client->options.delivered(handle, message, client->options.context);
}

static void on_commit(rd_kafka_t *handle, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *offsets,
                      void *opaque)
{
    struct kafka_client *client = opaque;
    client->options.committed(handle, error, offsets, client->options.context);
}

static enum log_level level_of(int level, const char *facility, const char *text)
{
    /* Failed connections, certificates and tokens are told by the error callback, with what to do; settings that do not concern a
     * producer or a consumer are ignored by it, and are there for the other one. */
    if (strcmp(facility, "FAIL") == 0 || strcmp(facility, "SSL") == 0 || strcmp(facility, "OIDC") == 0 ||
        level >= 7 || (strcmp(facility, "CONFWARN") == 0 && strstr(text, "will be ignored")))
        return LOG_DEBUG;
    return level <= 3 ? LOG_ERROR : level == 4 ? LOG_WARN : LOG_INFO;
}

/* A connection that the broker closes is logged and no error; yet where all are closed at once it is the only hint that the port
 * wants something else. Idle connections that are closed are not logged at this level. */
static void note_disconnection(struct kafka_client *client, int level, const char *facility, const char *text)
{
    if (strcmp(facility, "FAIL") != 0 || level > 6 || !strstr(text, "isconnected"))
        return;
    const char *behind_thread = strncmp(text, "[thrd:", 6) == 0 ? strstr(text, "]: ") : NULL;
    kafka_client_note(client, RD_KAFKA_RESP_ERR__TRANSPORT, behind_thread ? behind_thread + 3 : text);
}

static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    struct kafka_client *client = rd_kafka_opaque(handle);
    if (!client)
        return;
    note_disconnection(client, level, facility, text);
    log_limited(&client->limiter, level_of(level, facility, text), "kafka", "%s: %s: %s", client->name,
                facility, text);
}

static bool set_all(rd_kafka_conf_t *conf, const struct kafka_client_options *options, struct error *error)
{
    char reason[512];
    for (uint32_t i = 0; i < options->settings->count; i++) {
        const struct kafka_setting *row = &options->settings->rows[i];
        if (!kafka_setting_is_for_librdkafka(row) ||
            rd_kafka_conf_set(conf, row->name, row->value, reason, sizeof reason) == RD_KAFKA_CONF_OK)
            continue;
        error_set(error, "%s: librdkafka refuses the setting `%s` (from %s): %s", options->name, row->name,
                  row->origin, row->is_secret ? "wrong value" : reason);
        return false;
    }
    return true;
}

static void set_callbacks(rd_kafka_conf_t *conf, struct kafka_client *client)
{
    const struct kafka_client_options *options = &client->options;
    rd_kafka_conf_set_opaque(conf, client);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    if (options->rebalance)
        rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    if (options->delivered)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    if (options->committed)
        rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
}

static void free_client(struct kafka_client *client)
{
    kafka_statistics_destroy(client->statistics);
    pthread_mutex_destroy(&client->lock);
    free(client->name);
    free(client);
}

/* Combinations are refused only when the handle is made; the files of `tls` are read then, too. */
static void explain_refusal(const char *name, const char *reason, struct error *error)
{
    static const struct {
        const char *part, *remedy;
    } hints[] = {
        {"ssl.ca.location", "give a PEM file in `tls.ca`"},
        {"ssl.certificate.location", "give a PEM file in `tls.certificate`"},
        {"ssl.key.location", "give a PEM file in `tls.key`, and its password"},
    };
    error_set(error, "%s: librdkafka refuses the settings: %s", name, reason);
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (strstr(reason, hints[i].part)) {
            error_set(error, "%s: %s; %s", name, reason, hints[i].remedy);
            return;
        }
}

enum status kafka_client_create(const struct kafka_client_options *options, struct kafka_client **out,
                                struct error *error)
{
    *out = NULL;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!set_all(conf, options, error)) {
        rd_kafka_conf_destroy(conf);
        return STATUS_INVALID;
    }
    struct kafka_client *client = memory_allocate(sizeof *client);
    client->options = *options;
    client->options.settings = NULL;
    client->name = memory_copy_text(options->name, strlen(options->name));
    client->options.name = client->name;
    client->has_group = options->is_consumer && kafka_settings_get(options->settings, "group.id");
    pthread_mutex_init(&client->lock, NULL);
    client->statistics = kafka_statistics_create();
    set_callbacks(conf, client);
    char reason[512];
    client->handle = rd_kafka_new(options->is_consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, reason,
                                  sizeof reason);
    if (!client->handle) {
        explain_refusal(client->name, reason, error);
        rd_kafka_conf_destroy(conf);
        free_client(client);
        return STATUS_INVALID;
    }
    *out = client;
    return STATUS_OK;
}

void kafka_client_destroy(struct kafka_client *client)
{
    if (!client)
        return;
    /* To leave takes an answer of the broker; without brokers the session's end does it. */
    if (client->has_group && !rd_kafka_consumer_closed(client->handle) && !kafka_client_trouble(client, NULL))
        rd_kafka_consumer_close(client->handle);
    if (!client->options.is_consumer)
        rd_kafka_purge(client->handle,
                       RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_destroy_flags(client->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free_client(client);
}
