/* GET /api/v1/aggregate: count, mean, min, max and stddev of one number of the events, in buckets of event time and by group.
 * A table of API_AGGREGATE_GROUPS_MAX rows; mean and variance by Welford's recurrence. */
#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "flow/event_time.h"
#include "flow/result.h"
#include "serve/api_scan.h"

enum {
    TABLE_SIZE = 16384, /* power of two, at least 1.5 x API_AGGREGATE_GROUPS_MAX */
    METRIC = 0,         /* place of the metric among the scan's paths; the groups follow */
};

struct group {
    int64_t bucket_us;
    struct slice key; /* members of the JSON object: "country":"FR" */
    uint64_t count, skipped;
    double mean, squares, min, max;
};

struct aggregation {
    struct arena arena;
    int64_t bucket_us;
    struct slice names[API_AGGREGATE_KEYS_MAX];
    uint32_t name_count;
    struct group *groups; /* [API_AGGREGATE_GROUPS_MAX] in order of appearance */
    uint32_t group_count;
    size_t key_size;
    uint16_t *table; /* [TABLE_SIZE] index into groups, plus 1 */
    struct buffer key;
    bool is_too_large;
};

_Static_assert(API_AGGREGATE_GROUPS_MAX < UINT16_MAX && API_AGGREGATE_GROUPS_MAX * 3 / 2 <= TABLE_SIZE,
               "the table has room");

bool api_check_aggregate(struct api *api, struct api_query *query, struct api_response *response)
{
    return api_scan_check(api, query, response);
}

/* NULL when there is no room for a new one. */
static struct group *find_group(struct aggregation *aggregation, int64_t bucket_us, struct slice key)
{
    uint64_t at = hash_bytes(key.data, key.size, (uint64_t)bucket_us);
    for (;; at++) {
        uint16_t *slot = &aggregation->table[at % TABLE_SIZE];
        if (*slot == 0) {
            aggregation->key_size += key.size;
            if (aggregation->group_count == API_AGGREGATE_GROUPS_MAX ||
                aggregation->key_size > API_PAGE_MAX_SIZE)
                return NULL;
            struct group *group = &aggregation->groups[aggregation->group_count++];
            *group = (struct group){.bucket_us = bucket_us, .key = arena_copy(&aggregation->arena, key)};
            *slot = (uint16_t)aggregation->group_count;
            return group;
        }
        struct group *group = &aggregation->groups[*slot - 1];
        if (group->bucket_us == bucket_us && slice_equal(group->key, key))
            return group;
    }
}

static void write_key(struct aggregation *aggregation, const struct api_scan_rows *rows, uint32_t row)
{
    buffer_clear(&aggregation->key);
    for (uint32_t i = 0; i < aggregation->name_count; i++) {
        const struct column *column = &rows->batch->columns[rows->columns[METRIC + 1 + i]];
        if (i > 0)
            buffer_append_char(&aggregation->key, ',');
        buffer_json_string(&aggregation->key, aggregation->names[i]);
        buffer_append_char(&aggregation->key, ':');
        value_json(&aggregation->key, (enum value_kind)column->kinds[row], column->values[row],
                   rows->batch->bytes);
    }
}

static void add_value(struct group *group, enum value_kind kind, union value value)
{
    double number = kind == VALUE_INT ? (double)value.i : kind == VALUE_DOUBLE ? value.d : NAN;
    if (!isfinite(number)) {
        group->skipped++;
        return;
    }
    double distance = number - group->mean;
    group->min = group->count == 0 || number < group->min ? number : group->min;
    group->max = group->count == 0 || number > group->max ? number : group->max;
    group->count++;
    group->mean += distance / (double)group->count;
    group->squares += distance * (number - group->mean);
}

static bool take_rows(void *context, const struct api_scan_rows *rows, const uint32_t *selected,
                      uint32_t selected_count)
{
    struct aggregation *aggregation = context;
    const struct column *metric = &rows->batch->columns[rows->columns[METRIC]];
    for (uint32_t i = 0; i < selected_count; i++) {
        uint32_t row = selected[i];
        write_key(aggregation, rows, row);
        int64_t bucket_us = event_time_floor(rows->batch->event_times_us[row], aggregation->bucket_us);
        struct group *group = find_group(aggregation, bucket_us, buffer_slice(&aggregation->key));
        if (!group) {
            aggregation->is_too_large = true;
            return false;
        }
        add_value(group, (enum value_kind)metric->kinds[row], metric->values[row]);
    }
    return true;
}

static int compare_groups(const void *a, const void *b)
{
    const struct group *left = a, *right = b;
    if (left->bucket_us != right->bucket_us)
        return left->bucket_us < right->bucket_us ? -1 : 1;
    return slice_compare(left->key, right->key);
}

static void write_number(struct buffer *out, const char *name, double value, bool is_known)
{
    buffer_format(out, ",\"%s\":", name);
    buffer_json_double(out, is_known ? value : NAN);
}

static void write_group(struct buffer *out, const struct group *group, int64_t bucket_us)
{
    buffer_format(out, "{\"bucket_start\":%lld,\"bucket_end\":%lld,\"group\":{",
                  (long long)(event_time_floor(group->bucket_us, 1000) / 1000),
                  (long long)(event_time_floor(group->bucket_us + bucket_us, 1000) / 1000));
    buffer_append_slice(out, group->key);
    buffer_format(out, "},\"count\":%llu", (unsigned long long)group->count);
    write_number(out, "mean", group->mean, group->count > 0);
    write_number(out, "min", group->min, group->count > 0);
    write_number(out, "max", group->max, group->count > 0);
    write_number(out, "stddev", sqrt(group->squares / (double)(group->count - 1)), group->count > 1);
    buffer_format(out, ",\"skipped\":%llu}", (unsigned long long)group->skipped);
}

static void write_groups(struct api_job *job, struct aggregation *aggregation, const struct api_scan *scan)
{
    struct buffer *out = &job->response.body;
    qsort(aggregation->groups, aggregation->group_count, sizeof *aggregation->groups, compare_groups);
    api_list_begin(&job->response);
    for (uint32_t i = 0; i < aggregation->group_count; i++) {
        buffer_append_text(out, i ? "," : "");
        write_group(out, &aggregation->groups[i], aggregation->bucket_us);
    }
    api_list_end(&job->response, (struct slice){0}, api_scan_summary(scan, &job->query.arena));
}

static void refuse_size(struct api_job *job)
{
    api_problem(
        &job->response, 400,
        "parameter \"bucket\": \"%s\" gives more than %d buckets and groups; take a larger bucket, fewer hours, or "
        "another group_by",
        api_query_value(&job->query, "bucket")->text.data, API_AGGREGATE_GROUPS_MAX);
}

void api_run_aggregate(struct api_job *job, struct query_tools *tools)
{
    const struct api_query *query = &job->query;
    const struct api_value *group_by = api_query_value(query, "group_by");
    struct aggregation aggregation = {.bucket_us = api_query_value(query, "bucket")->number};
    struct api_scan scan = {
        .job = job, .since_us = api_scan_since(query), .take = take_rows, .context = &aggregation};
    struct error error = {0};
    arena_init(&aggregation.arena, 0);
    aggregation.groups = memory_allocate_array(API_AGGREGATE_GROUPS_MAX, sizeof *aggregation.groups);
    aggregation.table = memory_allocate_array(TABLE_SIZE, sizeof *aggregation.table);
    if (group_by->is_set)
        aggregation.name_count = api_split(group_by->text, aggregation.names, API_AGGREGATE_KEYS_MAX);
    scan.paths[scan.path_count++] = api_query_value(query, "metric")->text;
    for (uint32_t i = 0; i < aggregation.name_count; i++)
        scan.paths[scan.path_count++] = aggregation.names[i];
    enum status status = api_scan_run(&scan, tools, &error);
    if (status != STATUS_OK)
        api_job_fail(job, tools, status, &error);
    else if (aggregation.is_too_large)
        refuse_size(job);
    else
        write_groups(job, &aggregation, &scan);
    buffer_deinit(&aggregation.key);
    arena_deinit(&aggregation.arena);
    free(aggregation.table);
    free(aggregation.groups);
}
