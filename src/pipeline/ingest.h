/* HTTP ingest: bodies in, durable records out. The I/O thread submits; the ingest thread splits, judges,
 * partitions and logs many requests under one fsync; the I/O thread collects the finished ones and answers. */
#pragma once

#include "base/histogram.h"
#include "base/ring.h"
#include "config/config.h"
#include "monitor/health.h"
#include "source/event_log.h"

enum {
    INGEST_BODY_MAX_SIZE = 16 * 1024 * 1024,
    INGEST_QUEUE_CAPACITY = 1024,             /* requests between submit and collect; then 429 */
    INGEST_QUEUE_MAX_SIZE = 64 * 1024 * 1024, /* bytes of their bodies; then 429 */
    INGEST_MAX_ERRORS = 100,                  /* rejected records described in one answer; all are counted */
};

struct ingest_error {
    uint32_t index;                      /* of the line or element, from 0 */
    const char *reason;                  /* bad_reason_name() */
    uint32_t detail_offset, detail_size; /* in `details`; 0 bytes: nothing more to say */
};

enum ingest_outcome {
    INGEST_PENDING,
    INGEST_ACCEPTED, /* durable; accepted and rejected are set: 202 */
    INGEST_BAD_BODY, /* empty, or begins with [ and is no array: 400; `message` says why */
    INGEST_PRESSURE, /* the log is full of undelivered events: 429 */
    INGEST_FAILED,   /* the log cannot be written: 503; `message` */
};

struct ingest_request {
    uint32_t source_index;
    struct buffer body;  /* owned by the request */
    int64_t received_us; /* monotonic, when the body was complete */
    void *context;       /* the I/O thread's */
    enum ingest_outcome outcome;
    uint32_t accepted, rejected;
    struct ingest_error errors[INGEST_MAX_ERRORS];
    uint32_t error_count;
    struct buffer details; /* of all errors; owned by the request */
    char message[256];
};

struct ingest;

/* Which partition a source has for a record is config's; the schema is built inside. Starts the thread. */
struct ingest *ingest_create(const struct config *config, struct event_log *log, struct health *health,
                             struct histogram *accept_latency, struct waker *io_waker);
/* Finishes what is queued, then ends the thread. What is finished can still be collected; nothing can be
 * submitted. Control thread, while the I/O thread does not submit. */
void ingest_stop(struct ingest *ingest);
/* Stops it if that has not been done. Requests that were not collected are the caller's to free. */
void ingest_destroy(struct ingest *ingest);

/* I/O thread. False: under pressure, answer 429 with Retry-After; the request stays the caller's. */
NODISCARD
bool ingest_submit(struct ingest *ingest, struct ingest_request *request);
/* I/O thread: the next finished request, or NULL. The io_waker tells when to look. */
struct ingest_request *ingest_collect(struct ingest *ingest);
