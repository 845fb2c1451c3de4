/* The list of the kinds of sources: which reader serves which configuration. */
#pragma once

#include "config/config.h"
#include "flow/source.h"
#include "source/event_log.h"

struct source_reader_request {
    const struct config_source *source;
    uint32_t source_index, partition;
    struct source_position position;
    const struct clock *clock;
    struct waker *waker;   /* of the shard that will read */
    struct event_log *log; /* needed by http sources only */
};

/* Opens the reader of a partition. A kind that this build cannot run is STATUS_INVALID with an error that says
 * so. Control thread. */
NODISCARD
enum status source_reader_open(const struct source_reader_request *request, struct source_reader **out,
                               struct error *error);

/* Whether offsets mean the same events after a restart: not so for standard input and for a generator that
 * starts now. */
bool source_is_resumable(const struct config_source *source);
