/* Two rings and a thread. Jobs under way are counted on the I/O thread, and both rings hold that many, so the way back never
 * waits. A job that was cancelled before its turn is handed back unrun. See query_thread.h. */
#include "serve/query_thread.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/thread.h"
#include "source/event_log.h"

struct query_tools {
    const struct config *config;
    struct store_reader *reader;
    struct event_log_scanner *scanner;
};

struct query_thread {
    pthread_t thread;
    struct waker waker; /* of the query thread */
    struct ring jobs, finished;
    atomic_bool stops;                   /* release by query_thread_stop, acquire by the thread */
    _Atomic(struct query_job *) running; /* only the I/O thread frees jobs, so it may look at this one */
    uint32_t under_way;                  /* I/O thread's */
    struct query_tools tools;            /* query thread's */
};

enum status query_tools_reader(struct query_tools *tools, struct store_reader **out, struct error *error)
{
    enum status status = STATUS_OK;
    if (!tools->reader)
        status = store_reader_open(tools->config->data_dir, &tools->reader, error);
    *out = tools->reader;
    return status;
}

enum status query_tools_scanner(struct query_tools *tools, struct event_log_scanner **out,
                                struct error *error)
{
    enum status status = STATUS_OK;
    if (!tools->scanner)
        status = event_log_scanner_open(tools->config, &tools->scanner, error);
    *out = tools->scanner;
    return status;
}

void query_tools_reopen(struct query_tools *tools)
{
    if (tools->reader)
        store_reader_close(tools->reader);
    if (tools->scanner)
        event_log_scanner_close(tools->scanner);
    tools->reader = NULL;
    tools->scanner = NULL;
}

static bool is_stopping(const struct query_thread *queries)
{
    return atomic_load_explicit(&queries->stops, memory_order_acquire);
}

/* Sleeps until there is a job; NULL: it is time to end. */
static struct query_job *next_job(struct query_thread *queries)
{
    while (!is_stopping(queries)) {
        struct query_job *job = ring_pop(&queries->jobs);
        if (job)
            return job;
        waker_prepare(&queries->waker);
        if (is_stopping(queries) || ring_count(&queries->jobs) > 0)
            waker_cancel(&queries->waker);
        else
            waker_wait(&queries->waker, -1);
    }
    return NULL;
}

static void *run_jobs(void *argument)
{
    struct query_thread *queries = argument;
    for (struct query_job *job; (job = next_job(queries)) != NULL;) {
        atomic_store_explicit(&queries->running, job, memory_order_release);
        if (!atomic_load_explicit(&job->is_cancelled, memory_order_relaxed))
            job->run(job, &queries->tools);
        atomic_store_explicit(&queries->running, NULL, memory_order_release);
        bool has_room = ring_push(&queries->finished, job);
        assert(has_room);
        (void)has_room;
    }
    query_tools_reopen(&queries->tools);
    return NULL;
}

struct query_thread *query_thread_start(const struct config *config, struct waker *io_waker)
{
    struct query_thread *queries = memory_allocate(sizeof *queries);
    queries->tools.config = config;
    waker_open(&queries->waker);
    ring_init(&queries->jobs, QUERY_QUEUE_CAPACITY, &queries->waker, NULL);
    ring_init(&queries->finished, QUERY_QUEUE_CAPACITY, io_waker, NULL);
    queries->thread = thread_start("query", run_jobs, queries);
    return queries;
}

bool query_thread_submit(struct query_thread *queries, struct query_job *job)
{
    if (queries->under_way == QUERY_QUEUE_CAPACITY)
        return false;
    queries->under_way++;
    bool has_room = ring_push(&queries->jobs, job);
    assert(has_room);
    return has_room;
}

void query_job_cancel(struct query_job *job)
{
    atomic_store_explicit(&job->is_cancelled, true, memory_order_relaxed);
}

uint32_t query_thread_collect(struct query_thread *queries)
{
    uint32_t count = 0;
    for (struct query_job *job; (job = ring_pop(&queries->finished)) != NULL; count++) {
        queries->under_way--;
        job->finish(job);
    }
    return count;
}

static void abandon_all(struct query_thread *queries, struct ring *ring)
{
    for (struct query_job *job; (job = ring_pop(ring)) != NULL; queries->under_way--) {
        query_job_cancel(job);
        job->finish(job);
    }
}

void query_thread_stop(struct query_thread *queries)
{
    atomic_store_explicit(&queries->stops, true, memory_order_release);
    waker_wake(&queries->waker);
    struct query_job *running = atomic_load_explicit(&queries->running, memory_order_acquire);
    if (running)
        query_job_cancel(running);
    thread_join(queries->thread);
    abandon_all(queries, &queries->finished);
    abandon_all(queries, &queries->jobs);
    assert(queries->under_way == 0);
    ring_deinit(&queries->jobs);
    ring_deinit(&queries->finished);
    waker_close(&queries->waker);
    free(queries);
}
