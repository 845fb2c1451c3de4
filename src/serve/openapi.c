/* /openapi.json: the table of routes written as OpenAPI 3.1. Only the shapes of the records are spelled out here. */
#include <string.h>

#include "serve/api_internal.h"

/* "name:type" of each member. Types are those of JSON Schema, and: time (milliseconds since 1970, or null), string? and
 * number? (or null), strings and objects (lists), counts (numbers by name), a|b (one of these words). */
static const struct {
    const char *name, *members;
} schemas[] = {
    {"Problem", "type:string title:string status:integer detail:string"},
    {"Accepted", "accepted:integer rejected:integer errors:objects"},
    {"Result", "id:string pipeline:string window_start:time window_end:time key:object values:object "
               "emit:early|final|update revision:integer receipt:object"},
    {"Event", "source:string partition:integer offset:integer event_time:time event:object"},
    {"Bucket",
     "bucket_start:time bucket_end:time group:object count:integer mean:number? min:number? max:number? "
     "stddev:number? skipped:integer"},
    {"DeadLetter", "source:string partition:integer offset:integer time:time reason:string detail:string? "
                   "raw_base64:string topic:string key_base64:string headers:objects"},
    {"Pipeline",
     "name:string description:string from:strings window:object? key:strings aggregates:objects select:objects "
     "where:string? late:update|drop|dlq allowed_lateness_ms:integer to:strings counters:counts "
     "open_windows:integer held_windows:integer keys:integer memory_bytes:integer watermark:time"},
    {"Source", "name:string kind:kafka|http|file|generator ingest_url:string time:string counters:counts "
               "bad_by_reason:counts pipelines:object partitions:objects lag:integer? lag_seconds:number? "
               "ended:boolean paused:boolean kafka:object"},
    {"Health", "status:ok|degraded|down components:object version:string uptime_s:number"},
    {"ComponentHealth", "status:ok|degraded|down reason:string"},
};

static void write_words(struct buffer *out, struct slice words)
{
    buffer_append_text(out, "{\"enum\":[\"");
    for (size_t i = 0; i < words.size; i++) {
        if (words.data[i] == '|')
            buffer_append_text(out, "\",\"");
        else
            buffer_append_char(out, words.data[i]);
    }
    buffer_append_text(out, "\"]}");
}

static void write_type(struct buffer *out, struct slice type)
{
    if (memchr(type.data, '|', type.size))
        write_words(out, type);
    else if (slice_equal_text(type, "time"))
        buffer_append_text(out,
                           "{\"type\":[\"integer\",\"null\"],\"description\":\"milliseconds since 1970\"}");
    else if (slice_equal_text(type, "counts"))
        buffer_append_text(out, "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}");
    else if (slice_equal_text(type, "strings") || slice_equal_text(type, "objects"))
        buffer_format(out, "{\"type\":\"array\",\"items\":{\"type\":\"%.*s\"}}", (int)type.size - 1,
                      type.data);
    else if (type.data[type.size - 1] == '?')
        buffer_format(out, "{\"type\":[\"%.*s\",\"null\"]}", (int)type.size - 1, type.data);
    else
        buffer_format(out, "{\"type\":\"%.*s\"}", SLICE_ARG(type));
}

static void write_schema(struct buffer *out, const char *members)
{
    buffer_append_text(out, "{\"type\":\"object\",\"properties\":{");
    for (const char *at = members; *at;) {
        struct slice name = {at, strcspn(at, ":")};
        struct slice type = {name.data + name.size + 1, strcspn(name.data + name.size + 1, " ")};
        buffer_format(out, "%s\"%.*s\":", at == members ? "" : ",", SLICE_ARG(name));
        write_type(out, type);
        at = type.data + type.size + (type.data[type.size] == ' ');
    }
    buffer_append_text(out, "}}");
}

static const char *parameter_type(enum api_parameter_kind kind)
{
    switch (kind) {
    case API_COUNT: return "integer";
    case API_NUMBER: return "number";
    default: return "string";
    }
}

static void write_fallback(struct buffer *out, const struct api_parameter *parameter)
{
    if (!parameter->fallback)
        return;
    buffer_append_text(out, ",\"default\":");
    if (strcmp(parameter_type(parameter->kind), "string") == 0)
        buffer_json_string(out, slice_of(parameter->fallback));
    else
        buffer_append_text(out, parameter->fallback);
}

static void write_parameter(struct buffer *out, const struct api_parameter *parameter)
{
    buffer_format(out, "{\"name\":\"%s\",\"in\":\"query\",\"required\":%s,\"description\":", parameter->name,
                  parameter->is_required ? "true" : "false");
    buffer_json_string(out, slice_of(parameter->help));
    buffer_format(out, ",\"schema\":{\"type\":\"%s\"", parameter_type(parameter->kind));
    if (parameter->kind == API_COUNT)
        buffer_format(out, ",\"minimum\":%lld", (long long)parameter->least);
    if (parameter->kind == API_NUMBER)
        buffer_append_text(out, ",\"exclusiveMinimum\":0");
    if (parameter->most)
        buffer_format(out, ",\"maximum\":%lld", (long long)parameter->most);
    write_fallback(out, parameter);
    buffer_append_text(out, "}}");
}

static void write_parameters(struct buffer *out, const struct api_route *route)
{
    const char *comma = "", *brace = strchr(route->path, '{');
    buffer_append_text(out, ",\"parameters\":[");
    if (brace) {
        buffer_format(
            out, "{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}",
            (int)strcspn(brace + 1, "}"), brace + 1);
        comma = ",";
    }
    for (uint32_t i = 0; i < API_ROUTE_PARAMETER_COUNT && route->parameters[i].name; i++, comma = ",") {
        buffer_append_text(out, comma);
        write_parameter(out, &route->parameters[i]);
    }
    if (route->filters != API_NO_FILTERS) {
        bool by_key = route->filters == API_KEY_FILTERS;
        buffer_format(
            out,
            "%s{\"name\":\"filters\",\"in\":\"query\",\"style\":\"form\",\"explode\":true,\"description\":"
            "\"%s\",\"schema\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}}",
            comma,
            by_key ? "key.NAME=value: only this value of a key"
                   : "any path of the event: only events that have this value there");
    }
    buffer_append_char(out, ']');
}

static void write_content(struct buffer *out, const char *content_type, const char *schema)
{
    buffer_append_text(out, ",\"content\":{");
    buffer_json_string(out, slice_of(content_type));
    buffer_format(out, ":{\"schema\":%s}}", schema ? schema : "{\"type\":\"string\"}");
}

static void write_operation(struct buffer *out, const struct api_route *route)
{
    bool is_post = strcmp(route->method, "POST") == 0;
    buffer_format(out, "\"%s\":{\"%s\":{\"operationId\":\"%s\",\"summary\":", route->path,
                  is_post ? "post" : "get", route->id);
    buffer_json_string(out, slice_of(route->summary));
    write_parameters(out, route);
    if (is_post) {
        buffer_append_text(out, ",\"requestBody\":{\"required\":true");
        write_content(out, "application/x-ndjson", NULL);
        buffer_append_char(out, '}');
    }
    buffer_format(out, ",\"responses\":{\"%s\":{\"description\":\"%s\"", is_post ? "202" : "200",
                  is_post ? "the accepted events are durable" : "what was asked for");
    write_content(out, route->content_type, route->schema);
    buffer_append_text(
        out, "},\"default\":{\"description\":\"a refusal: its detail names the value and the remedy\"");
    write_content(out, "application/problem+json", "{\"$ref\":\"#/components/schemas/Problem\"}");
    buffer_append_text(out, "}}}}");
}

void api_answer_openapi(struct api *api, const struct api_query *query, struct api_response *response)
{
    (void)api;
    (void)query;
    struct buffer *out = &response->body;
    api_ok(response, "application/json");
    buffer_append_text(out,
                       "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"weir\",\"version\":\"" WEIR_VERSION
                       "\",\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}},\"paths\":{");
    for (uint32_t i = 0; i < api_route_count; i++) {
        buffer_append_text(out, i ? "," : "");
        write_operation(out, &api_routes[i]);
    }
    buffer_append_text(out, "},\"components\":{\"schemas\":{");
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        buffer_format(out, "%s\"%s\":", i ? "," : "", schemas[i].name);
        write_schema(out, schemas[i].members);
    }
    buffer_append_text(out, "}}}\n");
}
