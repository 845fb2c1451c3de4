/* The engine: every thread between the sources and the sinks, and the way back after a crash. Control thread unless said. */
#pragma once

#include "config/config.h"
#include "hub/hub.h"
#include "monitor/health.h"
#include "monitor/stats.h"

struct engine;
struct ingest;
struct event_log;

struct engine_options {
    const struct config *config;
    struct health *health;
    const struct clock *clock;
    struct waker
        *io_waker; /* woken when the hub has input or an ingest answer is ready; NULL = no hub, no http */
};

/* Compiles pipelines (errors with their places into `errors`), opens log and store, recovers. NULL on error. */
struct engine *engine_create(const struct engine_options *options, struct config_errors *errors,
                             struct error *error);
void engine_start(struct engine *engine);
/* Stops the sources, lets everything that was read reach the sinks durably, stops all threads. At most `deadline_us`. */
/* False: three seconds after the deadline some thread still waits for a library or a disk. It may wake up at any time, so nothing of the
 * engine may be freed; the process ends by _exit(), which loses nothing that is durable. */
NODISCARD
bool engine_stop(struct engine *engine, int64_t deadline_us);
void engine_destroy(struct engine *engine);

/* True once everything that was durable before the start is rebuilt and new events count. Any thread. */
bool engine_is_live(const struct engine *engine);
/* What makes going on impossible (events that are needed are gone, for example), with what to do; false while there is nothing. Any
 * thread. */
bool engine_has_failed(struct engine *engine, struct error *error);
void engine_fail(struct engine *engine, const struct error *error);
/* Ingest of http sources; NULL when there are none. I/O thread may call ingest_* on it. */
struct ingest *engine_ingest(struct engine *engine);
/* Inputs the hub has to drain: [count]. I/O thread is the consumer. */
struct hub_input **engine_hub_inputs(struct engine *engine, uint32_t *count);
/* The hub says which sources have `events` subscribers; shards copy events only then. I/O thread. */
void engine_want_events(struct engine *engine, uint32_t source_index, bool wanted);
/* Results have been written to sockets: for the latency ledger. I/O thread. */
struct histogram *engine_socket_latency(struct engine *engine, enum latency_stage stage);

/* Fills an initialised snapshot. Any thread, at most a few times a second. */
void engine_snapshot(struct engine *engine, struct stats_snapshot *snapshot);
uint64_t engine_boot_id(const struct engine *engine);

/* Only compiles: what `weir check` needs. Appends to `errors`; prints memory bounds per pipeline to `out`. */
void engine_check(const struct config *config, struct config_errors *errors, struct buffer *out);
