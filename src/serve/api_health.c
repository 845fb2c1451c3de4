/* Health, readiness and metrics: what probes and scrapers ask for. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "serve/api_internal.h"

#define JSON_TYPE "application/json"

enum { NO_COMPONENT = -1 };

/* Liveness: the process answers, so 200 whatever its components say. Restarting weir would mend no full disk. */
void api_answer_health(struct api *api, const struct api_query *query, struct api_response *response)
{
    (void)query;
    api_ok(response, JSON_TYPE);
    api_write_system_status(api, &response->body);
    buffer_append_char(&response->body, '\n');
}

/* The component's state; when there is none, `*hint` becomes a suggestion in `arena`. */
static int find_component(struct health *health, struct slice name, struct arena *arena, const char **hint)
{
    const char *names[HEALTH_MAX_COMPONENTS];
    int state = NO_COMPONENT;
    pthread_mutex_lock(&health->lock);
    for (uint32_t i = 0; i < health->component_count; i++) {
        names[i] = health->components[i].name;
        if (slice_equal_text(name, names[i]))
            state = (int)health->components[i].state;
    }
    *hint = state == NO_COMPONENT ? api_hint(arena, name, names, health->component_count) : "";
    pthread_mutex_unlock(&health->lock);
    return state;
}

void api_answer_component(struct api *api, const struct api_query *query, struct api_response *response)
{
    struct arena arena;
    const char *hint;
    arena_init(&arena, 0);
    int state = find_component(api->options.health, query->path_value, &arena, &hint);
    if (state != NO_COMPONENT &&
        health_write_component(api->options.health, query->path_value.data, &response->body) == STATUS_OK) {
        api_ok(response, JSON_TYPE);
        response->status = state == (int)HEALTH_DOWN ? 503 : 200;
        buffer_append_char(&response->body, '\n');
    } else {
        int shown = query->path_value.size < 80 ? (int)query->path_value.size : 80;
        api_problem(response, 404, "there is no component \"%.*s\"%s GET /health lists all of them", shown,
                    query->path_value.data, *hint ? hint : ";");
    }
    arena_deinit(&arena);
}

void api_answer_ready(struct api *api, const struct api_query *query, struct api_response *response)
{
    (void)query;
    if (health_is_ready(api->options.health)) {
        api_ok(response, JSON_TYPE);
        buffer_append_text(&response->body, "{\"ready\":true}\n");
        return;
    }
    api_problem(response, 503, "weir is starting, recovering, or shutting down; GET /health says more");
    buffer_append_text(&response->headers, "Retry-After: 1\r\nCache-Control: no-store\r\n");
}

static struct slice cut(struct slice *rest, char separator)
{
    const char *at = rest->size ? memchr(rest->data, separator, rest->size) : NULL;
    struct slice before = {rest->data, at ? (size_t)(at - rest->data) : rest->size};
    size_t skip = before.size + (at ? 1 : 0);
    rest->data += skip;
    rest->size -= skip;
    while (before.size > 0 && before.data[0] == ' ') {
        before.data++;
        before.size--;
    }
    while (before.size > 0 && before.data[before.size - 1] == ' ')
        before.size--;
    return before;
}

/* The weight of the media type in an Accept header: 0 when it is not named or refused. Wildcards do not count: who
 * wants OpenMetrics says so. Text copied into the query's arena ends with NUL, so strtod stops there at the latest. */
static double accept_weight(struct slice accept, const char *type)
{
    while (accept.size > 0) {
        struct slice range = cut(&accept, ',');
        struct slice name = cut(&range, ';');
        if (name.size != strlen(type) || strncasecmp(name.data, type, name.size) != 0)
            continue;
        double weight = 1;
        while (range.size > 0) {
            struct slice parameter = cut(&range, ';');
            if (parameter.size > 2 && strncasecmp(parameter.data, "q=", 2) == 0)
                weight = strtod(parameter.data + 2, NULL);
        }
        return weight;
    }
    return 0;
}

void api_answer_metrics(struct api *api, const struct api_query *query, struct api_response *response)
{
    double open = accept_weight(query->accept, "application/openmetrics-text");
    bool is_openmetrics = open > 0 && open >= accept_weight(query->accept, "text/plain");
    api_ok(response, is_openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                    : "text/plain; version=0.0.4; charset=utf-8");
    stats_write_metrics(&response->body, api_snapshot(api, NULL), is_openmetrics);
}
