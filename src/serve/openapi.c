/* /openapi.json: the table of routes written as OpenAPI 3.1. Only the shapes of the records are spelled out here. */
#include <string.h>

#include "serve/api_internal.h"

#define OBJECT(properties)    "{\"type\":\"object\",\"properties\":{" properties "}}"
#define MEMBER(name, type)    "\"" name "\":{\"type\":\"" type "\"}"
#define OR_NULL(name, type)   "\"" name "\":{\"type\":[\"" type "\",\"null\"]}"
#define TIME_MS(name)         "\"" name "\":{\"type\":[\"integer\",\"null\"],\"description\":\"milliseconds since 1970\"}"
#define COUNTS(name)          "\"" name "\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}"
#define LIST(name, type)      "\"" name "\":{\"type\":\"array\",\"items\":{\"type\":\"" type "\"}}"

static const struct {
    const char *name, *schema;
} schemas[] = {
    {"Problem", OBJECT(MEMBER("type", "string") "," MEMBER("title", "string") "," MEMBER("status", "integer") "," MEMBER(
                    "detail", "string"))},
    {"Accepted", OBJECT(MEMBER("accepted", "integer") "," MEMBER("rejected", "integer") "," LIST("errors", "object"))},
    {"Result", OBJECT(MEMBER("id", "string") "," MEMBER("pipeline", "string") "," TIME_MS("window_start") "," TIME_MS(
                   "window_end") "," MEMBER("key", "object") "," MEMBER("values", "object")
                   ",\"emit\":{\"enum\":[\"early\",\"final\",\"update\"]}," MEMBER("revision", "integer") "," MEMBER("receipt", "object"))},
    {"Event", OBJECT(MEMBER("source", "string") "," MEMBER("partition", "integer") "," MEMBER("offset", "integer") "," TIME_MS(
                  "event_time") "," MEMBER("event", "object"))},
    {"Bucket", OBJECT(TIME_MS("bucket_start") "," TIME_MS("bucket_end") "," MEMBER("group", "object") "," MEMBER(
                   "count", "integer") "," OR_NULL("mean", "number") "," OR_NULL("min", "number") "," OR_NULL(
                   "max", "number") "," OR_NULL("stddev", "number") "," MEMBER("skipped", "integer"))},
    {"DeadLetter", OBJECT(MEMBER("source", "string") "," MEMBER("partition", "integer") "," MEMBER("offset", "integer") "," TIME_MS(
                       "time") "," MEMBER("reason", "string") "," OR_NULL("detail", "string") "," MEMBER("raw_base64", "string"))},
    {"Pipeline", OBJECT(MEMBER("name", "string") "," MEMBER("description", "string") "," LIST("from", "string") "," MEMBER(
                     "window", "object") "," LIST("key", "string") "," LIST("aggregates", "object") "," OR_NULL(
                     "where", "string") ",\"late\":{\"enum\":[\"update\",\"drop\",\"dlq\"]}," MEMBER(
                     "allowed_lateness_ms", "integer") "," LIST("to", "string") "," COUNTS("counters") "," TIME_MS("watermark"))},
    {"Source", OBJECT(MEMBER("name", "string") ",\"kind\":{\"enum\":[\"kafka\",\"http\",\"file\",\"generator\"]}," MEMBER(
                   "ingest_url", "string") "," MEMBER("time", "string") "," COUNTS("counters") "," COUNTS(
                   "bad_by_reason") "," MEMBER("pipelines", "object") "," LIST("partitions", "object"))},
    {"Health", OBJECT("\"status\":{\"enum\":[\"ok\",\"degraded\",\"down\"]}," MEMBER("components", "object") "," MEMBER(
                   "version", "string") "," MEMBER("uptime_s", "number"))},
    {"ComponentHealth", OBJECT("\"status\":{\"enum\":[\"ok\",\"degraded\",\"down\"]}," MEMBER("reason", "string"))},
};

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
        buffer_format(out, "{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}",
                      (int)strcspn(brace + 1, "}"), brace + 1);
        comma = ",";
    }
    for (uint32_t i = 0; i < API_ROUTE_PARAMETER_COUNT && route->parameters[i].name; i++, comma = ",") {
        buffer_append_text(out, comma);
        write_parameter(out, &route->parameters[i]);
    }
    if (route->filters != API_NO_FILTERS) {
        bool by_key = route->filters == API_KEY_FILTERS;
        buffer_format(out,
                      "%s{\"name\":\"filters\",\"in\":\"query\",\"style\":\"form\",\"explode\":true,\"description\":"
                      "\"%s\",\"schema\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}}",
                      comma,
                      by_key ? "key.NAME=value: only this value of a key" : "any path of the event: only events that have this value there");
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
    buffer_format(out, "\"%s\":{\"%s\":{\"operationId\":\"%s\",\"summary\":", route->path, is_post ? "post" : "get", route->id);
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
    buffer_append_text(out, "},\"default\":{\"description\":\"a refusal: its detail names the value and the remedy\"");
    write_content(out, "application/problem+json", "{\"$ref\":\"#/components/schemas/Problem\"}");
    buffer_append_text(out, "}}}}");
}

void api_answer_openapi(struct api *api, const struct api_query *query, struct api_response *response)
{
    (void)api;
    (void)query;
    struct buffer *out = &response->body;
    api_ok(response, "application/json");
    buffer_append_text(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"weir\",\"version\":\"" WEIR_VERSION
                            "\",\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}},\"paths\":{");
    for (uint32_t i = 0; i < api_route_count; i++) {
        buffer_append_text(out, i ? "," : "");
        write_operation(out, &api_routes[i]);
    }
    buffer_append_text(out, "},\"components\":{\"schemas\":{");
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++)
        buffer_format(out, "%s\"%s\":%s", i ? "," : "", schemas[i].name, schemas[i].schema);
    buffer_append_text(out, "}}}\n");
}
