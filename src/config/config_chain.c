/* Pipelines that read other pipelines: `from: NAME` of one. What has to hold between them, and the order in which they run. */
#include <string.h>

#include "config/options.h"

void config_order_pipelines(const struct config *config, uint32_t *order)
{
    bool is_placed[CONFIG_MAX_PIPELINES] = {false};
    uint32_t count = 0, before;
    do {
        before = count;
        for (uint32_t i = 0; i < config->pipeline_count; i++) {
            const struct config_pipeline *pipeline = &config->pipelines[i];
            bool is_next = !is_placed[i];
            for (uint32_t u = 0; u < pipeline->upstream_count; u++)
                is_next = is_next && is_placed[pipeline->upstreams[u]];
            if (!is_next)
                continue;
            is_placed[i] = true;
            order[count++] = i;
        }
    } while (count != before);
    /* Those in a circle, which is refused, come last. */
    for (uint32_t i = 0; i < config->pipeline_count; i++) {
        if (!is_placed[i])
            order[count++] = i;
    }
}

/* Is `wanted` somewhere above the pipeline? */
static bool is_above(const struct config *config, uint32_t pipeline_index, uint32_t wanted, bool *is_seen)
{
    const struct config_pipeline *pipeline = &config->pipelines[pipeline_index];
    if (is_seen[pipeline_index])
        return false;
    is_seen[pipeline_index] = true;
    for (uint32_t u = 0; u < pipeline->upstream_count; u++) {
        if (pipeline->upstreams[u] == wanted || is_above(config, pipeline->upstreams[u], wanted, is_seen))
            return true;
    }
    return false;
}

static void check_upstream(struct loader *loader, const struct config_pipeline *pipeline,
                           const struct config_pipeline *upstream)
{
    if (upstream->has_window && upstream->window.kind == CONFIG_WINDOW_GLOBAL)
        problem_add(
            &loader->problems, pipeline->from_place,
            "pipelines.%s.from: the global window of pipeline `%s` never closes, so there would never be a "
            "final result to read; read its source, with its `where`",
            pipeline->name, upstream->name);
    if (upstream->has_window && upstream->window.kind == CONFIG_WINDOW_SESSION)
        problem_add(
            &loader->problems, pipeline->from_place,
            "pipelines.%s.from: a session of pipeline `%s` can be closed again with more events, and would be "
            "read twice; read its source, with its `where`",
            pipeline->name, upstream->name);
    if (!upstream->has_window)
        problem_add(
            &loader->problems, pipeline->from_place,
            "pipelines.%s.from: pipeline `%s` has no window, and only results of windows can be read; read its "
            "source, with its `where`",
            pipeline->name, upstream->name);
}

void config_check_chains(struct loader *loader)
{
    const struct config *config = loader->config;
    for (uint32_t i = 0; i < config->pipeline_count; i++) {
        struct config_pipeline *pipeline = &config->pipelines[i];
        bool is_seen[CONFIG_MAX_PIPELINES] = {false};
        for (uint32_t u = 0; u < pipeline->upstream_count; u++) {
            config->pipelines[pipeline->upstreams[u]].is_read = true;
            check_upstream(loader, pipeline, &config->pipelines[pipeline->upstreams[u]]);
        }
        if (pipeline->upstream_count && !pipeline->has_window)
            problem_add(
                &loader->problems, pipeline->from_place,
                "pipelines.%s.from: a pipeline that reads pipelines needs a `window`; to pass results on, name a "
                "sink in the `to` of the other",
                pipeline->name);
        if (pipeline->upstream_count && pipeline->source_count)
            problem_add(&loader->problems, pipeline->from_place,
                        "pipelines.%s.from: a pipeline reads sources or pipelines, not both", pipeline->name);
        if (is_above(config, i, i, is_seen))
            problem_add(
                &loader->problems, pipeline->from_place,
                "pipelines.%s.from: the pipeline would read its own results; in some place it has to begin with a "
                "source",
                pipeline->name);
    }
}

static void gather_roots(const struct config *config, uint32_t pipeline_index, bool *is_seen, bool *is_root)
{
    const struct config_pipeline *pipeline = &config->pipelines[pipeline_index];
    if (is_seen[pipeline_index])
        return;
    is_seen[pipeline_index] = true;
    for (uint32_t s = 0; s < pipeline->source_count; s++)
        is_root[pipeline->sources[s]] = true;
    for (uint32_t u = 0; u < pipeline->upstream_count; u++)
        gather_roots(config, pipeline->upstreams[u], is_seen, is_root);
}

uint32_t config_root_sources(const struct config *config, uint32_t pipeline_index, uint32_t *sources)
{
    bool is_seen[CONFIG_MAX_PIPELINES] = {false}, is_root[CONFIG_MAX_SOURCES] = {false};
    uint32_t count = 0;
    gather_roots(config, pipeline_index, is_seen, is_root);
    for (uint32_t i = 0; i < config->source_count; i++) {
        if (is_root[i])
            sources[count++] = i;
    }
    return count;
}

static void mark_needed(const struct config *config, uint32_t pipeline_index, bool *is_needed)
{
    const struct config_pipeline *pipeline = &config->pipelines[pipeline_index];
    if (is_needed[pipeline_index])
        return;
    is_needed[pipeline_index] = true;
    for (uint32_t u = 0; u < pipeline->upstream_count; u++)
        mark_needed(config, pipeline->upstreams[u], is_needed);
}

void config_keep_pipeline(struct config *config, uint32_t pipeline_index, struct arena *arena)
{
    bool is_needed[CONFIG_MAX_PIPELINES] = {false};
    uint32_t places[CONFIG_MAX_PIPELINES], count = 0;
    mark_needed(config, pipeline_index, is_needed);
    for (uint32_t i = 0; i < config->pipeline_count; i++)
        places[i] = is_needed[i] ? count++ : UINT32_MAX;
    struct config_pipeline *kept = arena_allocate(arena, (count + 1) * sizeof *kept);
    for (uint32_t i = 0; i < config->pipeline_count; i++) {
        if (!is_needed[i])
            continue;
        struct config_pipeline *pipeline = &kept[places[i]];
        *pipeline = config->pipelines[i];
        pipeline->is_hidden = i != pipeline_index;
        pipeline->is_read = pipeline->is_hidden;
        pipeline->upstreams = arena_allocate(arena, (pipeline->upstream_count + 1) * sizeof(uint32_t));
        for (uint32_t u = 0; u < pipeline->upstream_count; u++)
            pipeline->upstreams[u] = places[config->pipelines[i].upstreams[u]];
    }
    config->pipelines = kept;
    config->pipeline_count = count;
}
