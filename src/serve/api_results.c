/* Lists out of the store: results and dead letters. */
#include <string.h>

#include "serve/api_internal.h"

struct result_list {
    struct api_job *job;
    uint32_t count;
};

bool api_check_results(struct api *api, struct api_query *query, struct api_response *response)
{
    query->target = api_find_pipeline(api, query->path_value, response);
    if (query->target == UINT32_MAX)
        return false;
    const struct config_pipeline *pipeline = &api->options.config->pipelines[query->target];
    const char *names[CONFIG_MAX_KEYS];
    for (uint32_t k = 0; k < pipeline->key_count; k++)
        names[k] = pipeline->keys[k].name;
    for (uint32_t i = 0; i < query->filter_count; i++) {
        struct slice name = query->filters[i].name;
        uint32_t k = 0;
        while (k < pipeline->key_count && !slice_equal_text(name, names[k]))
            k++;
        if (k == pipeline->key_count) {
            api_problem(response, 400, "parameter \"key.%.*s\": pipeline \"%s\" has no key of this name%s",
                        name.size < 80 ? (int)name.size : 80, name.data, pipeline->name,
                        api_hint(&query->arena, name, names, pipeline->key_count));
            return false;
        }
    }
    const struct api_value *from = api_query_value(query, "from"), *to = api_query_value(query, "to");
    if (from->is_set && to->is_set && from->number > to->number) {
        api_problem(response, 400, "parameter \"from\": \"%.*s\" is after \"to\"; swap them",
                    SLICE_ARG(from->text));
        return false;
    }
    return true;
}

static bool add_result(void *context, const struct store_result *result)
{
    struct result_list *list = context;
    struct buffer *body = &list->job->response.body;
    if (list->count++ > 0)
        buffer_append_char(body, ',');
    buffer_append_slice(body, result->json);
    return !api_job_is_cancelled(list->job);
}

static void make_results_query(const struct api_job *job, struct store_results_query *query)
{
    const struct api_query *from = &job->query;
    const struct api_value *first = api_query_value(from, "from"), *end = api_query_value(from, "to");
    *query = (struct store_results_query){
        .pipeline = job->config->pipelines[from->target].name,
        .from_us = first->is_set ? first->number : INT64_MIN,
        .to_us = end->is_set ? end->number : INT64_MAX,
        .limit = (uint32_t)api_query_value(from, "limit")->number,
        .cursor = api_query_value(from, "cursor")->text,
    };
    /* Each name is given once, and is the name of a key, so there are never more than CONFIG_MAX_KEYS. */
    _Static_assert((int)STORE_KEY_FILTER_COUNT >= (int)CONFIG_MAX_KEYS,
                   "every key of a pipeline can be filtered by");
    for (; query->key_count < from->filter_count; query->key_count++) {
        query->key[query->key_count].name = from->filters[query->key_count].name;
        query->key[query->key_count].value = from->filters[query->key_count].value;
    }
}

void api_run_results(struct api_job *job, struct query_tools *tools)
{
    struct store_results_query query;
    struct store_reader *reader;
    struct error error = {0};
    struct buffer next_cursor = {0};
    struct result_list list = {.job = job};
    make_results_query(job, &query);
    api_list_begin(&job->response);
    enum status status = query_tools_reader(tools, &reader, &error);
    if (status == STATUS_OK)
        status = store_read_results(reader, &query, add_result, &list, &next_cursor, &error);
    if (status == STATUS_OK)
        api_list_end(&job->response, buffer_slice(&next_cursor), "");
    else
        api_job_fail(job, tools, status, &error);
    buffer_deinit(&next_cursor);
}

void api_run_dead_letters(struct api_job *job, struct query_tools *tools)
{
    const struct api_query *query = &job->query;
    const struct api_value *source = api_query_value(query, "source"),
                           *reason = api_query_value(query, "reason");
    struct store_reader *reader;
    struct error error = {0};
    struct buffer next_cursor = {0};
    api_list_begin(&job->response);
    enum status status = query_tools_reader(tools, &reader, &error);
    if (status == STATUS_OK)
        status = store_read_dead_letters(
            reader, source->is_set ? source->text.data : NULL, reason->is_set ? reason->text.data : NULL,
            (uint32_t)api_query_value(query, "limit")->number, api_query_value(query, "cursor")->text,
            &job->response.body, &next_cursor, &error);
    if (status == STATUS_OK)
        api_list_end(&job->response, buffer_slice(&next_cursor), "");
    else
        api_job_fail(job, tools, status, &error);
    buffer_deinit(&next_cursor);
}
