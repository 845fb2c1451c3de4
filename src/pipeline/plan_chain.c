/* A result record is an event like any other: its fields are those of the record, its time is the last moment of its window. */
#include "pipeline/plan_chain.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "config/options.h"

struct plan *plan_chain_create(const struct plan *plan)
{
    const struct config *config = plan->config;
    uint32_t count = 0;
    for (uint32_t i = 0; i < config->pipeline_count; i++)
        count += config->pipelines[i].is_read;
    if (!count)
        return NULL;
    struct plan *derived = memory_allocate(sizeof *derived);
    arena_init(&derived->arena, 0);
    derived->config = config;
    derived->pipelines = plan->pipelines;
    derived->pipeline_count = plan->pipeline_count;
    derived->sources = memory_allocate_array(count, sizeof *derived->sources);
    derived->derived_configs = memory_allocate_array(count, sizeof *derived->derived_configs);
    derived->derived_pipelines = memory_allocate_array(count, sizeof *derived->derived_pipelines);
    for (uint32_t i = 0; i < config->pipeline_count; i++) {
        if (!config->pipelines[i].is_read)
            continue;
        uint32_t index = derived->source_count++;
        struct plan_source *source = &derived->sources[index];
        derived->derived_pipelines[index] = i;
        derived->derived_configs[index] = (struct config_source){
            .name = config->pipelines[i].name, .place = config->pipelines[i].place, .kind = SOURCE_FILE};
        source->config = &derived->derived_configs[index];
        source->partition_count = 1;
        source->time_column = source->partition_column = PLAN_NO_COLUMN;
        schema_init(&source->schema);
        source->feeds =
            arena_allocate_zeroed(&derived->arena, sizeof *source->feeds * (plan->pipeline_count + 1));
    }
    return derived;
}

void plan_chain_destroy(struct plan *derived)
{
    if (!derived)
        return;
    for (uint32_t i = 0; i < derived->source_count; i++)
        plan_source_deinit(&derived->sources[i]);
    free(derived->sources);
    free(derived->derived_configs);
    free(derived->derived_pipelines);
    arena_deinit(&derived->arena);
    free(derived);
}

struct plan_source *plan_chain_source(const struct plan *plan, uint32_t pipeline_index)
{
    struct plan *derived = plan->derived;
    uint32_t index = 0;
    while (derived->derived_pipelines[index] != pipeline_index)
        index++;
    return &derived->sources[index];
}

static const char *find_name(const char *const *names, uint32_t count, struct slice name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (slice_equal_text(name, names[i]))
            return names[i];
    }
    return NULL;
}

/* Why no result of the pipeline has such a field; false when it has. */
static bool explain_path(const struct plan_pipeline *upstream, const struct path *path, struct error *error)
{
    static const char *const fields[] = {"id",     "pipeline", "window_start", "window_end", "key",
                                         "values", "emit",     "revision",     "receipt"};
    enum { FIELD_COUNT = sizeof fields / sizeof *fields };
    const struct result_shape *shape = &upstream->shape;
    const char *first = find_name(fields, FIELD_COUNT, path->steps[0].name);
    const char *const *names = fields;
    uint32_t count = FIELD_COUNT, step = 0;
    if (first && path->step_count > 1 && strcmp(first, "key") == 0) {
        names = shape->key_names;
        count = shape->key_count;
        step = 1;
    } else if (first && path->step_count > 1 && strcmp(first, "values") == 0) {
        names = shape->value_names;
        count = shape->value_count;
        step = 1;
    }
    if (find_name(names, count, path->steps[step].name))
        return false;
    char word[CONFIG_MAX_NAME_SIZE + 1];
    snprintf(word, sizeof word, "%.*s", SLICE_ARG(path->steps[step].name));
    const char *near = suggest(word, names, count);
    const char *within = step ? first : "";
    error_set(error, "a result of pipeline `%s` has no field `%s%s%s`%s%s%s%s%s", shape->pipeline, within,
              step ? "." : "", word, near ? "; did you mean `" : "", near ? within : "",
              near && step ? "." : "", near ? near : "",
              near ? "`?" : "; it has key.…, values.…, window_start, window_end");
    return true;
}

void plan_chain_check(const struct plan *plan, const struct plan_pipeline *pipeline,
                      const struct plan_source *source, uint32_t first, struct config_errors *errors)
{
    const struct config_pipeline *config = pipeline->config;
    for (uint32_t c = first; c < source->schema.column_count; c++) {
        struct error error = {{0}};
        bool is_known = false;
        for (uint32_t u = config->upstream_count; u-- > 0 && !is_known;)
            is_known =
                !explain_path(&plan->pipelines[config->upstreams[u]], &source->schema.paths[c], &error);
        if (!is_known)
            config_error_add(errors, config->place, "pipelines.%s: %s", config->name, error.text);
    }
}
