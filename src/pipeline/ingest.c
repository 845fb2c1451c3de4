/* The ingest thread. See ingest.h.
 *
 *   I/O thread ──submitted──▶ ingest thread: split, judge, log ── one commit for all that waited ──finished──▶ I/O thread
 *
 * It takes all requests that wait (up to a size), puts their records into the log's pending group and commits
 * once: under load the number of requests per fsync grows by itself. While the log cannot be written the group
 * is kept and tried again, and only when that has gone on for INGEST_RETRY_MAX_US are its requests refused; from
 * then on a group gets one try, so that nobody waits in a queue that does not move.
 *
 * Records are judged here by the same rules as later in the shard, so that the answer can name the bad ones.
 * They are logged all the same: there they have an offset, and the shard counts and dead-letters them. */
#include "pipeline/ingest.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "decode/decoder.h"
#include "decode/event_check.h"
#include "pipeline/ingest_split.h"
#include "pipeline/plan.h"

enum {
    INGEST_GROUP_MAX_SIZE =
        16 * 1024 * 1024, /* bytes of bodies after which no further request joins a group */
    INGEST_RETRY_MAX_US =
        5 * 1000 * 1000, /* a group is kept so long while the log cannot be written; then 503 or 429 */
    INGEST_RETRY_STEP_US = 50 * 1000,
    INGEST_STOP_RETRY_US = 1000 * 1000, /* the same when weir is being stopped */
    TRIM_INTERVAL_US = 5 * 1000 * 1000,
};

/* A source as far as judging and partitioning need it. */
struct ingest_source {
    struct plan_source plan;
    struct decoder *decoder; /* NULL: no http source */
    uint32_t next_partition; /* of the next request, when there is no partition_by */
};

struct ingest {
    struct event_log *log;
    struct health *health;
    struct histogram *accept_latency;
    struct ingest_source *sources;
    uint32_t source_count;
    struct waker waker;
    struct ring submitted, finished;
    pthread_t thread;
    bool is_stopped;
    atomic_bool should_stop; /* seq_cst: set once, then the waker */

    /* The I/O thread's: what is between submit and collect. */
    uint32_t outstanding_count;
    size_t outstanding_size;

    /* The ingest thread's. */
    struct batch *batch;
    struct ingest_request *group[INGEST_QUEUE_CAPACITY];
    uint32_t group_count;
    bool is_failing; /* the last group was refused */
    int64_t next_trim_us;
};

/* --- one request -------------------------------------------------------------------------------------------------- */

static void reject(struct ingest_request *request, uint32_t index, const struct bad_record *bad)
{
    request->rejected++;
    if (request->error_count == INGEST_MAX_ERRORS)
        return;
    struct slice detail = slice_of(bad->detail);
    request->errors[request->error_count++] = (struct ingest_error){
        index, bad_reason_name(bad->reason), (uint32_t)request->details.size, (uint32_t)detail.size};
    if (detail.size)
        buffer_append_slice(&request->details, detail);
}

/* Decodes the batch, whose offsets are indices of the request, and logs its records in their order. A bad record
 * has no key, so it goes where a missing key goes. */
static void log_batch(struct ingest *ingest, struct ingest_request *request, uint32_t request_partition)
{
    struct ingest_source *source = &ingest->sources[request->source_index];
    struct batch *batch = ingest->batch;
    bool is_keyed = source->plan.partition_column != PLAN_NO_COLUMN;
    decoder_run(source->decoder, batch);
    uint32_t row = 0, bad = 0;
    for (uint32_t i = 0; i < batch->record_count; i++) {
        uint32_t partition = is_keyed ? 0 : request_partition;
        if (row < batch->row_count && batch->row_records[row] == i) {
            if (is_keyed)
                partition = plan_partition_of(&source->plan, batch, row);
            request->accepted++;
            row++;
        } else if (bad < batch->bad_count && batch->bad[bad].record_index == i) {
            reject(request, (uint32_t)batch->records[i].offset, &batch->bad[bad]);
            bad++;
        } else {
            continue; /* nothing but white space */
        }
        event_log_append(ingest->log, request->source_index, partition, batch_record_text(batch, i));
    }
    batch_reset(batch);
}

static uint32_t next_partition(struct ingest_source *source)
{
    if (source->plan.partition_column != PLAN_NO_COLUMN || source->plan.partition_count <= 1)
        return 0;
    uint32_t partition = source->next_partition;
    source->next_partition = (partition + 1) % source->plan.partition_count;
    return partition;
}

/* Puts the request's records into the log's pending group, or finds the body bad and leaves no trace. */
static void take_request(struct ingest *ingest, struct ingest_request *request, int64_t arrival_wall_us)
{
    request->accepted = request->rejected = request->error_count = 0;
    buffer_clear(&request->details);
    request->outcome = INGEST_PENDING;
    struct body_splitter splitter;
    const char *failure = body_splitter_init(&splitter, buffer_slice(&request->body));
    if (failure) {
        request->outcome = INGEST_BAD_BODY;
        snprintf(request->message, sizeof request->message, "%s", failure);
        return;
    }
    uint32_t partition = next_partition(&ingest->sources[request->source_index]);
    struct slice record;
    uint32_t index;
    while (body_splitter_next(&splitter, &record, &index)) {
        batch_append(ingest->batch, record, index, arrival_wall_us);
        if (ingest->batch->record_count == BATCH_DEFAULT_ROWS || ingest->batch->text_size >= BATCH_TEXT_SIZE)
            log_batch(ingest, request, partition);
    }
    if (ingest->batch->record_count)
        log_batch(ingest, request, partition);
}

/* --- a group ------------------------------------------------------------------------------------------------------ */

static void finish_group(struct ingest *ingest, enum status status, const struct error *error)
{
    int64_t now_us = clock_monotonic_us(&clock_system);
    for (uint32_t i = 0; i < ingest->group_count; i++) {
        struct ingest_request *request = ingest->group[i];
        if (request->outcome == INGEST_PENDING) {
            request->outcome = status == STATUS_OK     ? INGEST_ACCEPTED
                               : status == STATUS_FULL ? INGEST_PRESSURE
                                                       : INGEST_FAILED;
            if (status != STATUS_OK)
                snprintf(request->message, sizeof request->message, "%.*s", (int)sizeof request->message - 1,
                         error->text);
        }
        if (request->outcome == INGEST_ACCEPTED)
            histogram_add(ingest->accept_latency, now_us - request->received_us, 1);
        bool has_room = ring_push(&ingest->finished, request);
        assert(has_room); /* as many places as requests can be under way */
    }
    ingest->group_count = 0;
}

static void sleep_step(void)
{
    struct timespec step = {.tv_nsec = INGEST_RETRY_STEP_US * 1000L};
    nanosleep(&step, NULL);
}

/* Commits, and while that fails tries again for as long as is reasonable. */
static enum status commit_group(struct ingest *ingest, int64_t arrival_us, int64_t arrival_wall_us,
                                struct error *error)
{
    int64_t started_us = clock_monotonic_us(&clock_system);
    for (;;) {
        enum status status = event_log_commit(ingest->log, arrival_us, arrival_wall_us, error);
        if (status == STATUS_OK) {
            health_report(ingest->health, "event_log", HEALTH_OK, NULL);
            ingest->is_failing = false;
            return STATUS_OK;
        }
        int64_t limit_us = atomic_load(&ingest->should_stop) ? INGEST_STOP_RETRY_US : INGEST_RETRY_MAX_US;
        ingest->is_failing = ingest->is_failing || clock_monotonic_us(&clock_system) - started_us >= limit_us;
        bool is_down = ingest->is_failing && status != STATUS_FULL;
        health_report(ingest->health, "event_log", is_down ? HEALTH_DOWN : HEALTH_DEGRADED, "%s",
                      error->text);
        if (ingest->is_failing) {
            event_log_discard(ingest->log);
            return status;
        }
        sleep_step();
    }
}

static void run_group(struct ingest *ingest, struct ingest_request *first)
{
    int64_t arrival_us = clock_monotonic_us(&clock_system), arrival_wall_us = clock_wall_us(&clock_system);
    size_t size = 0;
    for (struct ingest_request *request = first; request;) {
        ingest->group[ingest->group_count++] = request;
        take_request(ingest, request, arrival_wall_us);
        size += request->body.size;
        bool is_full = size >= INGEST_GROUP_MAX_SIZE || ingest->group_count == INGEST_QUEUE_CAPACITY;
        request = is_full ? NULL : ring_pop(&ingest->submitted);
    }
    struct error error = {{0}};
    enum status status = commit_group(ingest, arrival_us, arrival_wall_us, &error);
    finish_group(ingest, status, &error);
}

static void trim_log(struct ingest *ingest)
{
    int64_t now_us = clock_monotonic_us(&clock_system);
    if (now_us < ingest->next_trim_us)
        return;
    bool more = false;
    struct error error = {{0}};
    if (event_log_trim(ingest->log, clock_wall_us(&clock_system), &more, &error) != STATUS_OK)
        log_write(LOG_WARN, "ingest", "%s", error.text);
    ingest->next_trim_us = more ? now_us : now_us + TRIM_INTERVAL_US;
}

static void *ingest_main(void *argument)
{
    struct ingest *ingest = argument;
    for (;;) {
        int64_t wait_us = ingest->next_trim_us - clock_monotonic_us(&clock_system);
        bool should_stop = atomic_load(&ingest->should_stop);
        struct ingest_request *request =
            ring_pop_wait(&ingest->submitted, should_stop || wait_us < 0 ? 0 : wait_us);
        if (request)
            run_group(ingest, request);
        else if (should_stop)
            return NULL;
        trim_log(ingest);
    }
}

/* --- outside ------------------------------------------------------------------------------------------------------ */

static uint32_t add_path(struct schema *schema, const struct config_text *text)
{
    if (!text->text)
        return PLAN_NO_COLUMN;
    uint32_t column = PLAN_NO_COLUMN;
    struct error error = {{0}};
    enum status status = schema_add_text(schema, slice_of(text->text), &column, &error);
    assert(status == STATUS_OK); /* the plan has accepted the same path */
    return column;
}

static void source_init(struct ingest_source *source, const struct config_source *config)
{
    source->plan.config = config;
    source->plan.partition_count = config->partitions;
    schema_init(&source->plan.schema);
    source->plan.time_column = add_path(&source->plan.schema, &config->time);
    source->plan.partition_column = add_path(&source->plan.schema, &config->partition_by);
    source->plan.check = plan_event_check(config, &source->plan.schema, NULL);
    struct decoder_options options;
    plan_decoder_options(&source->plan, &options);
    source->decoder = decoder_create(&options);
}

struct ingest *ingest_create(const struct config *config, struct event_log *log, struct health *health,
                             struct histogram *accept_latency, struct waker *io_waker)
{
    struct ingest *ingest = memory_allocate(sizeof *ingest);
    ingest->log = log;
    ingest->health = health;
    ingest->accept_latency = accept_latency;
    ingest->source_count = config->source_count;
    ingest->sources = memory_allocate_array(config->source_count, sizeof *ingest->sources);
    for (uint32_t i = 0; i < config->source_count; i++) {
        if (config->sources[i].kind == SOURCE_HTTP)
            source_init(&ingest->sources[i], &config->sources[i]);
    }
    ingest->batch = batch_create();
    waker_open(&ingest->waker);
    ring_init(&ingest->submitted, INGEST_QUEUE_CAPACITY, &ingest->waker, NULL);
    ring_init(&ingest->finished, INGEST_QUEUE_CAPACITY, io_waker, NULL);
    health_report(health, "event_log", HEALTH_OK, NULL);
    ingest->thread = thread_start("weir-ingest", ingest_main, ingest);
    return ingest;
}

void ingest_stop(struct ingest *ingest)
{
    if (ingest->is_stopped)
        return;
    ingest->is_stopped = true;
    atomic_store(&ingest->should_stop, true);
    waker_wake(&ingest->waker);
    thread_join(ingest->thread);
}

void ingest_destroy(struct ingest *ingest)
{
    if (!ingest)
        return;
    ingest_stop(ingest);
    for (uint32_t i = 0; i < ingest->source_count; i++) {
        if (!ingest->sources[i].decoder)
            continue;
        decoder_destroy(ingest->sources[i].decoder);
        event_check_destroy(ingest->sources[i].plan.check);
        schema_deinit(&ingest->sources[i].plan.schema);
    }
    ring_deinit(&ingest->submitted);
    ring_deinit(&ingest->finished);
    waker_close(&ingest->waker);
    batch_destroy(ingest->batch);
    free(ingest->sources);
    free(ingest);
}

bool ingest_submit(struct ingest *ingest, struct ingest_request *request)
{
    bool is_full = ingest->outstanding_count == INGEST_QUEUE_CAPACITY ||
                   ingest->outstanding_size + request->body.size > INGEST_QUEUE_MAX_SIZE;
    if (ingest->is_stopped || is_full)
        return false;
    ingest->outstanding_count++;
    ingest->outstanding_size += request->body.size;
    bool has_room = ring_push(&ingest->submitted, request);
    assert(has_room);
    return true;
}

struct ingest_request *ingest_collect(struct ingest *ingest)
{
    struct ingest_request *request = ring_pop(&ingest->finished);
    if (!request)
        return NULL;
    ingest->outstanding_count--;
    ingest->outstanding_size -= request->body.size;
    return request;
}
