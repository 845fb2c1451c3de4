/* What the hub needs of the server, and the latency ledger's last stage: records are noted when the hub hands them to
 * connections, and count as delivered when the turn's flush has written them. See server_internal.h. */
#include "serve/server_internal.h"

#include <stdlib.h>

#include "base/memory.h"

static void want_events(void *context, uint32_t source_index, bool is_wanted)
{
    struct server *server = context;
    engine_want_events(server->engine, source_index, is_wanted);
}

static void note_latency(struct server *server, const struct latency_note *note)
{
    int64_t now_us = clock_monotonic_us(server->loop.clock);
    histogram_add(engine_socket_latency(server->engine, LATENCY_SOCKET), now_us - note->emitted_us, 1);
    if (note->arrival_us > 0)
        histogram_add(engine_socket_latency(server->engine, LATENCY_END_TO_END), now_us - note->arrival_us,
                      1);
}

static void results_sent(void *context, int64_t arrival_us, int64_t emitted_us)
{
    struct server *server = context;
    struct latency_note note = {.arrival_us = arrival_us, .emitted_us = emitted_us};
    if (server->latency_note_count < SERVER_LATENCY_NOTES_MAX)
        server->latency_notes[server->latency_note_count++] = note;
    else
        note_latency(server, &note);
}

void hub_bridge_note_latency(struct server *server)
{
    for (uint32_t i = 0; i < server->latency_note_count; i++)
        note_latency(server, &server->latency_notes[i]);
    server->latency_note_count = 0;
}

static void write_metrics(void *context, struct buffer *out)
{
    struct server *server = context;
    api_write_metrics(server->api, out);
}

static void write_system_status(void *context, struct buffer *out)
{
    struct server *server = context;
    api_write_system_status(server->api, out);
}

static const struct hub_server_operations operations = {
    .want_events = want_events,
    .write_metrics = write_metrics,
    .write_system_status = write_system_status,
    .read_history = hub_history_read,
    .results_sent = results_sent,
};

void hub_bridge_create(struct server *server)
{
    const struct config *config = server->config;
    const char **pipelines = memory_allocate_array(config->pipeline_count + 1, sizeof *pipelines);
    const char **sources = memory_allocate_array(config->source_count + 1, sizeof *sources);
    bool *is_stored = memory_allocate_array(config->pipeline_count + 1, sizeof *is_stored);
    for (uint32_t i = 0; i < config->pipeline_count; i++) {
        pipelines[i] = config->pipelines[i].name;
        is_stored[i] = config->pipelines[i].to_store;
    }
    for (uint32_t i = 0; i < config->source_count; i++)
        sources[i] = config->sources[i].name;
    server->hub_names = (struct hub_names){pipelines, sources, is_stored};
    uint64_t boot_id = engine_boot_id(server->engine);
    server->hub = hub_create(&(struct hub_options){
        .boot_id = boot_id,
        .seed = boot_id ^ (uint64_t)server->loop.wall_now_us,
        .pipelines = pipelines,
        .pipeline_is_stored = is_stored,
        .pipeline_count = config->pipeline_count,
        .sources = sources,
        .source_count = config->source_count,
        .client_queue_size = config->server.client_queue_size,
        .rate_limit_per_minute = config->server.rate_limit_per_minute,
        .server = &operations,
        .server_context = server,
        .now_us = server->loop.now_us,
        .wall_now_us = server->loop.wall_now_us,
    });
    uint32_t input_count = 0;
    struct hub_input **inputs = engine_hub_inputs(server->engine, &input_count);
    for (uint32_t i = 0; i < input_count; i++)
        hub_add_input(server->hub, inputs[i]);
}

void hub_bridge_destroy(struct server *server)
{
    hub_destroy(server->hub);
    free(server->hub_names.pipelines);
    free(server->hub_names.sources);
    free(server->hub_names.is_stored);
}
