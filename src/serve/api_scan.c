/* One lane per source: its schema (time, filters, what the caller wants), decoder and batch. Records go into their source's batch; a
 * full batch is decoded, filtered row by row, and handed on. See api_scan.h. */
#include "serve/api_scan.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/native.h"
#include "decode/decoder.h"
#include "decode/event_check.h"
#include "source/event_log.h"

/* A value as the request spells it, and as a number if it is one. */
struct wanted {
    struct slice text;
    bool is_number, is_integer;
    double number;
    int64_t integer;
};

/* "event_type=a,b": any of the values. */
struct condition {
    uint32_t column;
    struct wanted *values;
    uint32_t value_count;
};

struct lane {
    struct schema schema;
    struct arena arena; /* conditions */
    struct event_check *check;
    struct decoder *decoder;
    struct batch *batch;
    uint32_t partitions[BATCH_DEFAULT_ROWS];
    uint32_t columns[API_SCAN_PATHS_MAX];
    struct condition *conditions;
    uint32_t condition_count;
};

struct scanning {
    struct api_scan *scan;
    struct lane **lanes; /* by source; NULL until its first record */
    enum status status;
    struct error *error;
    bool is_done; /* `take` has had enough */
};

/* --- lanes --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct wanted read_wanted(struct slice text)
{
    struct wanted wanted = {.text = text};
    bool may_be = text.size > 0 && text.size < 64 && (is_digit(text.data[0]) || text.data[0] == '-') &&
                  is_digit(text.data[text.size - 1]);
    if (!may_be)
        return wanted;
    wanted.is_number = native_double_parse(text.data, text.size, &wanted.number);
    bool is_negative = text.data[0] == '-';
    wanted.is_integer = text.size - is_negative <= 18; /* fits int64 */
    for (size_t i = is_negative; i < text.size && wanted.is_integer; i++) {
        wanted.is_integer = is_digit(text.data[i]);
        wanted.integer = wanted.integer * 10 + (text.data[i] - '0');
    }
    if (is_negative)
        wanted.integer = -wanted.integer;
    return wanted;
}

static enum status add_condition(struct lane *lane, struct slice path, struct slice value, bool is_list,
                                 struct error *error)
{
    struct condition *condition = &lane->conditions[lane->condition_count++];
    struct slice parts[API_FILTER_VALUES_MAX] = {value};
    condition->value_count = is_list ? api_split(value, parts, API_FILTER_VALUES_MAX) : 1;
    condition->values = arena_allocate(&lane->arena, condition->value_count * sizeof *condition->values);
    for (uint32_t i = 0; i < condition->value_count; i++)
        condition->values[i] = read_wanted(parts[i]);
    return schema_add_text(&lane->schema, path, &condition->column, error);
}

static enum status add_conditions(struct lane *lane, const struct api_query *query, struct error *error)
{
    const struct api_value *event_type = api_query_value(query, "event_type"),
                           *user_id = api_query_value(query, "user_id");
    enum status status = STATUS_OK;
    lane->conditions =
        arena_allocate_zeroed(&lane->arena, (query->filter_count + 2) * sizeof *lane->conditions);
    if (event_type->is_set)
        status = add_condition(lane, SLICE("event_type"), event_type->text, true, error);
    if (status == STATUS_OK && user_id->is_set)
        status = add_condition(lane, SLICE("user_id"), user_id->text, false, error);
    for (uint32_t i = 0; i < query->filter_count && status == STATUS_OK; i++)
        status = add_condition(lane, query->filters[i].name, query->filters[i].value, false, error);
    return status;
}

static void lane_destroy(struct lane *lane)
{
    if (!lane)
        return;
    if (lane->decoder)
        decoder_destroy(lane->decoder);
    event_check_destroy(lane->check);
    batch_destroy(lane->batch);
    schema_deinit(&lane->schema);
    arena_deinit(&lane->arena);
    free(lane);
}

static void report_check(void *error, struct config_place place, const char *message)
{
    (void)place;
    error_set(error, "%s", message);
}

/* Events that break the schema of their source are no events here either. */
static enum status add_check(struct lane *lane, const struct config_source *source, struct error *error)
{
    struct event_check_report report = {report_check, error};
    if (!source->schema)
        return STATUS_OK;
    lane->check = event_check_create(source->schema, &lane->schema, &report);
    return lane->check ? STATUS_OK : STATUS_LIMIT;
}

static enum status lane_create(const struct api_scan *scan, uint32_t source_index, struct lane **out,
                               struct error *error)
{
    static const enum time_unit units[] = {
        [CONFIG_TIME_AUTO] = TIME_UNIT_AUTO,       [CONFIG_TIME_S] = TIME_UNIT_SECONDS,
        [CONFIG_TIME_MS] = TIME_UNIT_MILLISECONDS, [CONFIG_TIME_US] = TIME_UNIT_MICROSECONDS,
        [CONFIG_TIME_NS] = TIME_UNIT_NANOSECONDS,
    };
    const struct config_source *source = &scan->job->config->sources[source_index];
    struct lane *lane = memory_allocate(sizeof *lane);
    struct decoder_options options = {.schema = &lane->schema,
                                      .time_column = UINT32_MAX,
                                      .time_unit = units[source->time_unit],
                                      .max_future_skew_us = source->max_future_skew_us,
                                      .use_shapes = true};
    schema_init(&lane->schema);
    arena_init(&lane->arena, 0);
    lane->batch = batch_create();
    enum status status = add_conditions(lane, &scan->job->query, error);
    if (status == STATUS_OK && source->time.text)
        status = schema_add_text(&lane->schema, slice_of(source->time.text), &options.time_column, error);
    for (uint32_t i = 0; i < scan->path_count && status == STATUS_OK; i++)
        status = schema_add_text(&lane->schema, scan->paths[i], &lane->columns[i], error);
    if (status == STATUS_OK)
        status = add_check(lane, source, error);
    options.check = lane->check;
    if (status == STATUS_OK)
        lane->decoder = decoder_create(&options);
    *out = lane;
    return status;
}

/* --- filters --- */

/* Strings by their bytes, numbers by value, null and missing by "null". */
static bool value_equals(const struct batch *batch, const struct column *column, uint32_t row,
                         const struct wanted *wanted)
{
    union value value = column->values[row];
    switch ((enum value_kind)column->kinds[row]) {
    case VALUE_NULL: return slice_equal_text(wanted->text, "null");
    case VALUE_BOOL: return slice_equal_text(wanted->text, value.i ? "true" : "false");
    case VALUE_INT:
        return wanted->is_integer ? wanted->integer == value.i
                                  : wanted->is_number && wanted->number == (double)value.i;
    case VALUE_DOUBLE: return wanted->is_number && wanted->number == value.d;
    case VALUE_STRING:
    case VALUE_JSON: return slice_equal(batch_text(batch, value.s), wanted->text);
    default: return false;
    }
}

static bool row_passes(const struct lane *lane, uint32_t row)
{
    for (uint32_t i = 0; i < lane->condition_count; i++) {
        const struct condition *condition = &lane->conditions[i];
        const struct column *column = &lane->batch->columns[condition->column];
        uint32_t v = 0;
        while (v < condition->value_count && !value_equals(lane->batch, column, row, &condition->values[v]))
            v++;
        if (v == condition->value_count)
            return false;
    }
    return true;
}

/* Decodes what the lane holds and hands on what passes. */
static void lane_flush(struct scanning *scanning, uint32_t source_index)
{
    struct lane *lane = scanning->lanes[source_index];
    struct batch *batch = lane->batch;
    if (batch->record_count == 0)
        return;
    uint32_t selected[BATCH_DEFAULT_ROWS], count = 0;
    decoder_run(lane->decoder, batch);
    for (uint32_t row = 0; row < batch->row_count; row++)
        if (batch->event_times_us[row] >= scanning->scan->since_us && row_passes(lane, row))
            selected[count++] = row;
    struct api_scan_rows rows = {source_index, batch, lane->partitions, lane->columns};
    if (count > 0 && !scanning->is_done)
        scanning->is_done = !scanning->scan->take(scanning->scan->context, &rows, selected, count);
    batch_reset(batch);
}

/* --- the scan --- */

static bool visit(void *context, const struct event_log_entry *entry)
{
    struct scanning *scanning = context;
    struct api_scan *scan = scanning->scan;
    if (scan->records == API_EVENTS_SCAN_MAX_RECORDS || scan->size >= API_EVENTS_SCAN_MAX_SIZE) {
        scan->is_complete = false;
        return false;
    }
    scan->records++;
    scan->size += entry->record.size;
    struct lane **lane = &scanning->lanes[entry->source_index];
    if (!*lane &&
        (scanning->status = lane_create(scan, entry->source_index, lane, scanning->error)) != STATUS_OK)
        return false;
    (*lane)->partitions[(*lane)->batch->record_count] = entry->partition;
    batch_append((*lane)->batch, entry->record, entry->offset, entry->arrival_wall_us);
    if ((*lane)->batch->record_count == BATCH_DEFAULT_ROWS || (*lane)->batch->text_size >= BATCH_TEXT_SIZE) {
        lane_flush(scanning, entry->source_index);
        return !scanning->is_done && !api_job_is_cancelled(scan->job);
    }
    return true;
}

/* An event may be ahead of its arrival by max_future_skew, never more: what arrived before is too old. */
static int64_t earliest_arrival(const struct config *config, int64_t since_us)
{
    int64_t skew_us = 0;
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->sources[i].kind == SOURCE_HTTP && config->sources[i].max_future_skew_us > skew_us)
            skew_us = config->sources[i].max_future_skew_us;
    return since_us < INT64_MIN + skew_us ? INT64_MIN : since_us - skew_us;
}

static bool has_log(const struct config *config)
{
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->sources[i].kind == SOURCE_HTTP)
            return true;
    return false;
}

enum status api_scan_run(struct api_scan *scan, struct query_tools *tools, struct error *error)
{
    const struct config *config = scan->job->config;
    const struct api_value *source = api_query_value(&scan->job->query, "source");
    struct event_log_scanner *scanner;
    scan->is_complete = true;
    if (!has_log(config))
        return STATUS_OK;
    enum status status = query_tools_scanner(tools, &scanner, error);
    if (status != STATUS_OK)
        return status;
    struct scanning scanning = {.scan = scan,
                                .error = error,
                                .lanes = memory_allocate_array(config->source_count, sizeof *scanning.lanes)};
    uint32_t source_index = source->is_set ? (uint32_t)source->number : UINT32_MAX;
    status = event_log_scan(scanner, source_index, earliest_arrival(config, scan->since_us), visit, &scanning,
                            error);
    if (status == STATUS_OK)
        status = scanning.status;
    for (uint32_t i = 0; i < config->source_count; i++) {
        if (status == STATUS_OK && scanning.lanes[i])
            lane_flush(&scanning, i);
        lane_destroy(scanning.lanes[i]);
    }
    free(scanning.lanes);
    return status;
}

int64_t api_scan_since(const struct api_query *query)
{
    return query->wall_now_us - (int64_t)(api_query_value(query, "hours")->real * 3600e6);
}

bool api_scan_check(const struct api *api, const struct api_query *query, struct api_response *response)
{
    const struct api_value *source = api_query_value(query, "source");
    if (!source->is_set || api->options.config->sources[source->number].kind == SOURCE_HTTP)
        return true;
    api_problem(response, 400,
                "parameter \"source\": \"%s\" keeps no events; only http sources do, name one of these",
                api->options.config->sources[source->number].name);
    return false;
}

const char *api_scan_summary(const struct api_scan *scan, struct arena *arena)
{
    return arena_format(arena, ",\"scan\":{\"records\":%llu,\"complete\":%s}",
                        (unsigned long long)scan->records, scan->is_complete ? "true" : "false");
}
