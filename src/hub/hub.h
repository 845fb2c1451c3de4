/* The push hub: who subscribed to what, and the frames they get. It lives in the I/O thread and knows no sockets: net's
 * connections hand it messages and take frames. Producers (the merger, shards) reach it through one hub_input
 * each, a bounded ring.
 *
 * A record is framed once per distinct (kind of subscription, options) and the refcounted frame is shared by all clients; subscriptions
 * are indexed by type and pipeline and grouped by equal filter, so a filter is evaluated once per group. */
#pragma once

#include "base/clock.h"
#include "base/ring.h"
#include "flow/result.h"

enum { HUB_INPUT_CAPACITY = 1024 };

/* Raw events on their way to `events` subscribers. Immutable once pushed. */
struct event_block {
    const char *source;
    uint32_t source_index, partition;
    uint32_t event_count;
    int64_t arrival_us;       /* monotonic */
    struct slice *texts;      /* [event_count] JSON objects, in `bytes` */
    int64_t *offsets;
    int64_t *event_times_us;
    struct buffer bytes;
};

/* Copies the given rows of a decoded batch. */
struct event_block *event_block_create(const char *source, const struct batch *batch, const uint32_t *rows,
                                       uint32_t row_count);
void event_block_destroy(struct event_block *block);

struct hub_input {
    struct ring results; /* struct result_block *, one reference each */
    struct ring events;  /* struct event_block * */
};

/* Producer: false when full. Results: the producer waits for room (its ring's producer waker). Events: it drops the
 * block and counts; live events are a sample for people, the log has them all. */
void hub_input_init(struct hub_input *input, struct waker *consumer, struct waker *producer);
void hub_input_deinit(struct hub_input *input);
