/* Query parameters against the route's table row: every one is known, given once, and of its type, or the request is
 * refused with the value and a remedy. What passes is copied, so the request may go. */
#include <limits.h>
#include <string.h>

#include "base/native.h"
#include "config/options.h"
#include "flow/event_time.h"
#include "flow/schema.h"
#include "serve/api_internal.h"

enum { SHOWN_SIZE = 80 }; /* bytes of a wrong value that a refusal repeats */

/* For printf("%.*s"): a wrong value may be long. */
#define SHOWN(slice) (int)((slice).size < SHOWN_SIZE ? (slice).size : SHOWN_SIZE), (slice).data

struct checker {
    const struct api *api;
    struct api_query *query;
    struct api_response *response;
};

const char *api_hint(struct arena *arena, struct slice word, const char *const *candidates, uint32_t count)
{
    struct slice text = arena_copy(arena, word);
    const char *near = memchr(text.data, '\0', text.size) ? NULL : suggest(text.data, candidates, count);
    return near ? arena_format(arena, ", did you mean \"%s\"?", near) : "";
}

static const char *source_hint(struct arena *arena, const struct config *config, struct slice name)
{
    const char *names[CONFIG_MAX_SOURCES];
    for (uint32_t i = 0; i < config->source_count; i++)
        names[i] = config->sources[i].name;
    return api_hint(arena, name, names, config->source_count);
}

static uint32_t source_index(const struct config *config, struct slice name)
{
    for (uint32_t i = 0; i < config->source_count; i++)
        if (slice_equal_text(name, config->sources[i].name))
            return i;
    return UINT32_MAX;
}

uint32_t api_find_source(const struct api *api, struct slice name, struct api_response *response)
{
    const struct config *config = api->options.config;
    uint32_t index = source_index(config, name);
    if (index == UINT32_MAX) {
        struct arena arena;
        arena_init(&arena, 0);
        const char *hint = source_hint(&arena, config, name);
        api_problem(response, 404, "there is no source \"%.*s\"%s GET /api/v1/sources lists all of them",
                    SHOWN(name), *hint ? hint : ";");
        arena_deinit(&arena);
    }
    return index;
}

uint32_t api_find_pipeline(const struct api *api, struct slice name, struct api_response *response)
{
    const struct config *config = api->options.config;
    const char *names[CONFIG_MAX_PIPELINES];
    for (uint32_t i = 0; i < config->pipeline_count; i++) {
        names[i] = config->pipelines[i].name;
        if (slice_equal_text(name, names[i]))
            return i;
    }
    struct arena arena;
    arena_init(&arena, 0);
    const char *hint = api_hint(&arena, name, names, config->pipeline_count);
    api_problem(response, 404, "there is no pipeline \"%.*s\"%s GET /api/v1/pipelines lists all of them",
                SHOWN(name), *hint ? hint : ";");
    arena_deinit(&arena);
    return UINT32_MAX;
}

uint32_t api_split(struct slice text, struct slice *parts, uint32_t capacity)
{
    uint32_t count = 0;
    for (;;) {
        const char *comma = text.size ? memchr(text.data, ',', text.size) : NULL;
        size_t size = comma ? (size_t)(comma - text.data) : text.size;
        if (count < capacity)
            parts[count] = (struct slice){text.data, size};
        count++;
        if (!comma)
            return count;
        text.data += size + 1;
        text.size -= size + 1;
    }
}

static bool is_digits(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.size > 0;
}

/* Whole numbers of at most 18 digits: no overflow. */
static bool read_integer(struct slice text, int64_t *out)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    struct slice digits = {text.data + is_negative, text.size - is_negative};
    if (!is_digits(digits) || digits.size > 18)
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < digits.size; i++)
        value = value * 10 + (digits.data[i] - '0');
    *out = is_negative ? -value : value;
    return true;
}

static bool read_count(struct checker *checker, const struct api_parameter *parameter,
                       struct api_value *value)
{
    if (read_integer(value->text, &value->number) && value->number >= parameter->least &&
        value->number <= parameter->most)
        return true;
    api_problem(checker->response, 400, "parameter \"%s\": \"%.*s\" is not a whole number from %lld to %lld",
                parameter->name, SHOWN(value->text), (long long)parameter->least, (long long)parameter->most);
    return false;
}

static bool read_number(struct checker *checker, const struct api_parameter *parameter,
                        struct api_value *value)
{
    struct slice whole = value->text, fraction = {0};
    const char *point = whole.size ? memchr(whole.data, '.', whole.size) : NULL;
    if (point) {
        whole.size = (size_t)(point - whole.data);
        fraction = (struct slice){point + 1, value->text.size - whole.size - 1};
    }
    bool is_decimal = is_digits(whole) && (!point || is_digits(fraction)) && value->text.size < 32;
    if (is_decimal && native_double_parse(value->text.data, value->text.size, &value->real) &&
        value->real > 0 && value->real <= (double)parameter->most)
        return true;
    api_problem(checker->response, 400, "parameter \"%s\": \"%.*s\" is not a number above 0, at most %lld",
                parameter->name, SHOWN(value->text), (long long)parameter->most);
    return false;
}

static bool read_time(struct checker *checker, const struct api_parameter *parameter, struct api_value *value)
{
    int64_t milliseconds;
    if (read_integer(value->text, &milliseconds) && milliseconds >= EVENT_TIME_MIN_US / 1000 &&
        milliseconds <= EVENT_TIME_MAX_US / 1000) {
        value->number = milliseconds * 1000;
        return true;
    }
    /* In a query "+02:00" is written %2B02:00; a bare + has become a space. */
    if (event_time_from_text(value->text, &value->number) == STATUS_OK)
        return true;
    api_problem(
        checker->response, 400,
        "parameter \"%s\": \"%.*s\" is not a time; give milliseconds since 1970 (1700000000000) or ISO-8601 "
        "(2023-11-14T22:13:20Z; + is written %%2B)",
        parameter->name, SHOWN(value->text));
    return false;
}

static bool read_duration(struct checker *checker, const struct api_parameter *parameter,
                          struct api_value *value)
{
    struct error reason = {0};
    bool is_text = !memchr(value->text.data, '\0', value->text.size);
    if (is_text && duration_parse(value->text.data, &value->number, &reason) && value->number > 0)
        return true;
    api_problem(checker->response, 400,
                "parameter \"%s\": \"%.*s\" is not a duration above 0, such as 10s, 5m or 1h",
                parameter->name, SHOWN(value->text));
    return false;
}

static bool read_source(struct checker *checker, const struct api_parameter *parameter,
                        struct api_value *value)
{
    const struct config *config = checker->api->options.config;
    uint32_t index = source_index(config, value->text);
    value->number = index;
    if (index != UINT32_MAX)
        return true;
    const char *hint = source_hint(&checker->query->arena, config, value->text);
    api_problem(checker->response, 400,
                "parameter \"%s\": there is no source \"%.*s\"%s GET /api/v1/sources lists all",
                parameter->name, SHOWN(value->text), *hint ? hint : ";");
    return false;
}

static bool read_reason(struct checker *checker, const struct api_parameter *parameter,
                        struct api_value *value)
{
    const char *names[BAD_REASON_COUNT + 1];
    struct buffer all = {0};
    for (uint32_t i = 0; i <= BAD_REASON_COUNT; i++) {
        names[i] = i < BAD_REASON_COUNT ? bad_reason_name((enum bad_reason)i) : "too_late";
        buffer_format(&all, "%s%s", i ? ", " : "", names[i]);
        if (slice_equal_text(value->text, names[i])) {
            buffer_deinit(&all);
            return true;
        }
    }
    api_problem(checker->response, 400, "parameter \"%s\": \"%.*s\" is none of %.*s%s", parameter->name,
                SHOWN(value->text), (int)all.size, all.data,
                api_hint(&checker->query->arena, value->text, names, BAD_REASON_COUNT + 1));
    buffer_deinit(&all);
    return false;
}

static bool check_path(struct checker *checker, const char *name, struct slice text)
{
    struct path path;
    struct error error = {0};
    if (path_parse(&checker->query->arena, text, &path, &error) == STATUS_OK)
        return true;
    api_problem(checker->response, 400,
                "parameter \"%s\": \"%.*s\" is not a path into an event such as user.country: %s", name,
                SHOWN(text), error.text);
    return false;
}

static bool read_paths(struct checker *checker, const struct api_parameter *parameter,
                       struct api_value *value)
{
    struct slice parts[API_AGGREGATE_KEYS_MAX];
    uint32_t count = api_split(value->text, parts, API_AGGREGATE_KEYS_MAX);
    if (count > API_AGGREGATE_KEYS_MAX) {
        api_problem(checker->response, 400, "parameter \"%s\": %u paths; at most %d can be given",
                    parameter->name, count, API_AGGREGATE_KEYS_MAX);
        return false;
    }
    for (uint32_t i = 0; i < count; i++)
        if (!check_path(checker, parameter->name, parts[i]))
            return false;
    return true;
}

static bool read_texts(struct checker *checker, const struct api_parameter *parameter,
                       struct api_value *value)
{
    struct slice none[1];
    uint32_t count = api_split(value->text, none, 1);
    if (count <= API_FILTER_VALUES_MAX)
        return true;
    api_problem(checker->response, 400, "parameter \"%s\": %u values; at most %d can be given",
                parameter->name, count, API_FILTER_VALUES_MAX);
    return false;
}

static bool read_value(struct checker *checker, const struct api_parameter *parameter,
                       struct api_value *value)
{
    switch (parameter->kind) {
    case API_COUNT: return read_count(checker, parameter, value);
    case API_NUMBER: return read_number(checker, parameter, value);
    case API_TIME: return read_time(checker, parameter, value);
    case API_DURATION: return read_duration(checker, parameter, value);
    case API_SOURCE: return read_source(checker, parameter, value);
    case API_REASON: return read_reason(checker, parameter, value);
    case API_PATH: return check_path(checker, parameter->name, value->text);
    case API_PATHS: return read_paths(checker, parameter, value);
    case API_TEXTS: return read_texts(checker, parameter, value);
    case API_TEXT: return true;
    }
    return true;
}

static uint32_t parameter_count(const struct api_route *route)
{
    uint32_t count = 0;
    while (count < API_ROUTE_PARAMETER_COUNT && route->parameters[count].name)
        count++;
    return count;
}

/* ", did you mean ...?" or what the route does take. */
static const char *parameter_hint(struct checker *checker, struct slice name)
{
    const struct api_route *route = checker->query->route;
    struct arena *arena = &checker->query->arena;
    const char *names[API_ROUTE_PARAMETER_COUNT];
    uint32_t count = parameter_count(route);
    const char *all = "";
    for (uint32_t i = 0; i < count; i++) {
        names[i] = route->parameters[i].name;
        all = arena_format(arena, "%s%s%s", all, i ? ", " : "", names[i]);
    }
    const char *hint = api_hint(arena, name, names, count);
    if (*hint)
        return hint;
    if (route->filters == API_KEY_FILTERS)
        all = arena_format(arena, "%s, key.NAME", all);
    return *all ? arena_format(arena, "; it takes %s", all) : "; it takes none";
}

static bool add_filter(struct checker *checker, struct slice name, struct slice value)
{
    struct api_query *query = checker->query;
    if (query->filter_count == API_FILTER_COUNT_MAX) {
        api_problem(checker->response, 400, "more than %d filters; leave some out", API_FILTER_COUNT_MAX);
        return false;
    }
    for (uint32_t i = 0; i < query->filter_count; i++) {
        if (slice_equal(query->filters[i].name, name)) {
            api_problem(checker->response, 400, "filter \"%.*s\" is given twice; give it once", SHOWN(name));
            return false;
        }
    }
    query->filters[query->filter_count++] =
        (struct http_pair){arena_copy(&query->arena, name), arena_copy(&query->arena, value)};
    return true;
}

/* A parameter that the table does not name: a filter, or a mistake. */
static bool take_other(struct checker *checker, const struct http_pair *pair)
{
    enum api_filters filters = checker->query->route->filters;
    struct slice name = pair->name;
    if (filters == API_KEY_FILTERS && name.size > 4 && memcmp(name.data, "key.", 4) == 0)
        return add_filter(checker, (struct slice){name.data + 4, name.size - 4}, pair->value);
    const char *hint = parameter_hint(checker, name);
    /* A plain name near to a parameter's is taken for a slip of the pen: silently filtering by it would hide that. */
    bool is_slip = strncmp(hint, ", did", 5) == 0;
    if (filters == API_PATH_FILTERS && !is_slip)
        return check_path(checker, "filter", name) && add_filter(checker, name, pair->value);
    api_problem(checker->response, 400, "unknown parameter \"%.*s\"%s", SHOWN(name), hint);
    return false;
}

static bool take(struct checker *checker, const struct http_pair *pair)
{
    const struct api_route *route = checker->query->route;
    for (uint32_t i = 0; i < parameter_count(route); i++) {
        if (!slice_equal_text(pair->name, route->parameters[i].name))
            continue;
        struct api_value *value = &checker->query->values[i];
        if (value->is_set) {
            api_problem(checker->response, 400, "parameter \"%s\" is given twice; give it once",
                        route->parameters[i].name);
            return false;
        }
        value->is_set = true;
        value->text = arena_copy(&checker->query->arena, pair->value);
        return read_value(checker, &route->parameters[i], value);
    }
    return take_other(checker, pair);
}

static bool add_defaults(struct checker *checker)
{
    const struct api_route *route = checker->query->route;
    for (uint32_t i = 0; i < parameter_count(route); i++) {
        const struct api_parameter *parameter = &route->parameters[i];
        struct api_value *value = &checker->query->values[i];
        if (value->is_set)
            continue;
        if (parameter->is_required) {
            api_problem(checker->response, 400, "parameter \"%s\" is missing: %s", parameter->name,
                        parameter->help);
            return false;
        }
        if (parameter->fallback) {
            *value = (struct api_value){.is_set = true, .text = slice_of(parameter->fallback)};
            if (!read_value(checker, parameter, value))
                return false;
        }
    }
    return true;
}

bool api_query_init(struct api_query *query, const struct api *api, const struct api_route *route,
                    const struct http_request *request, struct slice path_value,
                    struct api_response *response)
{
    *query = (struct api_query){.route = route};
    arena_init(&query->arena, 0);
    query->path_value = arena_copy(&query->arena, path_value);
    query->accept = arena_copy(&query->arena, http_request_header(request, "accept"));
    query->wall_now_us = clock_wall_us(api->options.clock);
    struct checker checker = {api, query, response};
    for (uint32_t i = 0; i < request->parameter_count; i++)
        if (!take(&checker, &request->parameters[i]))
            return false;
    return add_defaults(&checker);
}

void api_query_deinit(struct api_query *query)
{
    arena_deinit(&query->arena);
}

const struct api_value *api_query_value(const struct api_query *query, const char *name)
{
    static const struct api_value absent;
    for (uint32_t i = 0; i < parameter_count(query->route); i++)
        if (strcmp(query->route->parameters[i].name, name) == 0)
            return &query->values[i];
    return &absent;
}
