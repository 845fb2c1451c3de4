/* See redrive_producer.h. */
#include "app/redrive_producer.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"

enum {
    REDRIVE_PATIENCE_US = 60 * MICROSECONDS_PER_SECOND, /* without an acknowledgement */
    REDRIVE_PAUSE_US = 100 * MICROSECONDS_PER_MILLISECOND,
};

struct redrive_producer {
    struct arena arena;
    struct kafka_settings settings;
    struct kafka_producer *producer;
};

enum status redrive_producer_open(const struct config_source *source, struct redrive_producer **out,
                                  struct error *error)
{
    struct redrive_producer *producer = memory_allocate(sizeof *producer);
    arena_init(&producer->arena, ARENA_DEFAULT_BLOCK_SIZE);
    kafka_sink_settings(NULL, &source->kafka.connection, &producer->arena, &producer->settings);
    const struct kafka_producer_options options = {.settings = &producer->settings, .name = "redrive"};
    enum status status = kafka_producer_create(&options, &producer->producer, error);
    if (status == STATUS_OK) {
        *out = producer;
    } else {
        redrive_producer_close(producer);
    }
    return status;
}

void redrive_producer_close(struct redrive_producer *producer)
{
    if (!producer)
        return;
    if (producer->producer)
        kafka_producer_destroy(producer->producer);
    arena_deinit(&producer->arena);
    free(producer);
}

enum status redrive_producer_send(struct redrive_producer *producer, const struct kafka_message *message,
                                  struct error *error)
{
    int64_t end_us = clock_monotonic_us(&clock_system) + REDRIVE_PATIENCE_US;
    for (;;) {
        enum status status = kafka_producer_send(producer->producer, message, error);
        bool may_pass = status == STATUS_AGAIN || status == STATUS_CLOSED;
        if (!may_pass || clock_monotonic_us(&clock_system) >= end_us)
            return status;
        kafka_producer_poll(producer->producer, REDRIVE_PAUSE_US);
    }
}

enum status redrive_producer_flush(struct redrive_producer *producer, struct error *error)
{
    enum status status = kafka_producer_flush(producer->producer, REDRIVE_PATIENCE_US, error);
    if (status != STATUS_OK)
        error_prefix(error, "not all letters were acknowledged, and those are sent again by the next run");
    return status;
}
