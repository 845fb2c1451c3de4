/* A request that reads a database: it owns its checked parameters and its response, travels to the query thread and
 * back, and answers unless its client has gone. */
#include <stdlib.h>

#include "base/memory.h"
#include "serve/api_internal.h"

static void run_job(struct query_job *job, struct query_tools *tools)
{
    struct api_job *api_job = (struct api_job *)job;
    api_job->query.route->run(api_job, tools);
}

static void finish_job(struct query_job *job)
{
    struct api_job *api_job = (struct api_job *)job;
    if (api_job_is_cancelled(api_job))
        api_response_deinit(&api_job->response);
    else
        api_job->on_answer(api_job->context, &api_job->response);
    api_query_deinit(&api_job->query);
    free(api_job);
}

bool api_job_submit(struct query_thread *queries, const struct config *config, struct api_query *query,
                    api_answer *on_answer, void *context, struct query_job **ticket)
{
    struct api_job *job = memory_allocate(sizeof *job);
    job->job.run = run_job;
    job->job.finish = finish_job;
    job->config = config;
    job->query = *query;
    job->on_answer = on_answer;
    job->context = context;
    if (!query_thread_submit(queries, &job->job)) {
        api_query_deinit(&job->query);
        free(job);
        return false;
    }
    *ticket = &job->job;
    return true;
}

bool api_job_is_cancelled(const struct api_job *job)
{
    return atomic_load_explicit(&job->job.is_cancelled, memory_order_relaxed);
}

void api_job_fail(struct api_job *job, struct query_tools *tools, enum status status,
                  const struct error *error)
{
    api_response_deinit(&job->response);
    if (status == STATUS_INVALID) {
        const struct api_value *cursor = api_query_value(&job->query, "cursor");
        int shown = cursor->text.size < 80 ? (int)cursor->text.size : 80;
        api_problem(
            &job->response, 400,
            "parameter \"cursor\": \"%.*s\" was not given out for this list; take next_cursor of the page before, "
            "or leave it out",
            shown, cursor->text.data);
        return;
    }
    query_tools_reopen(tools);
    api_problem(&job->response, 503, "%s; try again in a second", error->text);
    buffer_append_text(&job->response.headers, "Retry-After: 1\r\n");
}
