/* Whatever reads a database for a client runs here, so that the I/O thread never waits for a disk. One thread, one store
 * reader, one scanner of the event log, and jobs in the order in which they were submitted:
 *
 *   I/O thread:  query_thread_submit(job) ─▶ ring ─▶ query thread: job->run() ─▶ ring ─▶ query_thread_collect(): job->finish()
 *
 * A job is the first member of its owner's struct; the owner allocates it, and finish() frees it. */
#pragma once

#include <pthread.h>

#include "base/ring.h"
#include "config/config.h"
#include "store/store.h"

enum {
    QUERY_QUEUE_CAPACITY = 64, /* jobs submitted and not yet collected; the next is refused: 503 */
};

struct event_log_scanner;
struct query_tools;

struct query_job {
    /* Query thread. Does the work and keeps its outcome in the owner's struct. Not called for a job that was cancelled before its turn. */
    void (*run)(struct query_job *job, struct query_tools *tools);
    /* I/O thread, inside query_thread_collect (or query_thread_stop), once per submitted job, cancelled or not. Frees it. */
    void (*finish)(struct query_job *job);
    atomic_bool is_cancelled; /* relaxed; set by the I/O thread, a long run() looks at it now and then */
};

/* What a job may use, on the query thread only. Each is opened at its first use; the error text says why it cannot be. */
NODISCARD
enum status query_tools_reader(struct query_tools *tools, struct store_reader **out, struct error *error);
NODISCARD
enum status query_tools_scanner(struct query_tools *tools, struct event_log_scanner **out,
                                struct error *error);
/* The last call of the reader or scanner failed for a reason that a new connection may cure: both are opened anew by the next job. */
void query_tools_reopen(struct query_tools *tools);

struct query_thread;

/* Starts the thread. `io_waker` is woken when a job has run. `config` outlives it. Control or I/O thread. */
struct query_thread *query_thread_start(const struct config *config, struct waker *io_waker);
/* Cancels every job, the running one too, ends the thread, calls finish() of all that are left (is_cancelled is set). I/O thread. */
void query_thread_stop(struct query_thread *queries);

/* Takes the job over. False: QUERY_QUEUE_CAPACITY jobs are under way; the job stays the caller's. I/O thread. */
NODISCARD
bool query_thread_submit(struct query_thread *queries, struct query_job *job);
/* The owner no longer wants the answer. finish() is called all the same, later. I/O thread. */
void query_job_cancel(struct query_job *job);
/* Calls finish() of every job that has run; returns how many. Cheap when there is none. I/O thread, when its waker tells. */
uint32_t query_thread_collect(struct query_thread *queries);
