/* The hub's turn: records from the rings meet the groups that their index names, frames meet clients, and what is due by
 * the clock leaves. What a record costs does not depend on how many clients want it, but for one pointer each. */
#include "hub/hub.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "hub/hub_internal.h"

enum {
    HUB_DOCUMENT_SIZE =
        32 * 1024 * 1024, /* of a record that a filter looks into; a larger one matches nothing */
    HUB_MESSAGE_SIZE = 4 * 1024 * 1024, /* of a client's message; the server's limit is below */
    HUB_RECORD_DEPTH = EVENT_MAX_DEPTH + 8,
};

void pointer_list_add(struct pointer_list *list, void *item)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 4;
        list->items = memory_resize_array(list->items, list->capacity, sizeof *list->items);
    }
    list->items[list->count++] = item;
}

bool pointer_list_remove(struct pointer_list *list, const void *item)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i] == item) {
            list->items[i] = list->items[--list->count];
            return true;
        }
    }
    return false;
}

/* --- life --- */

struct hub *hub_create(const struct hub_options *options)
{
    struct hub *hub = memory_allocate(sizeof *hub);
    hub->options = *options;
    hub->now_us = options->now_us;
    hub->wall_now_us = options->wall_now_us;
    hub->next_tick_us = INT64_MAX;
    hub->next_due_us = INT64_MAX;
    hub->random_state = options->seed;
    size_t quarter_queue = options->client_queue_size / 4;
    hub->block_size = quarter_queue < HUB_BLOCK_SIZE_MAX ? quarter_queue : (size_t)HUB_BLOCK_SIZE_MAX;
    hub->by_pipeline = memory_allocate_array(options->pipeline_count + 1, sizeof *hub->by_pipeline);
    hub->by_source = memory_allocate_array(options->source_count + 1, sizeof *hub->by_source);
    hub_document_init(&hub->message, HUB_MESSAGE_SIZE, HUB_MESSAGE_MAX_DEPTH);
    hub_document_init(&hub->record, HUB_DOCUMENT_SIZE, HUB_RECORD_DEPTH);
    hub->scratch = batch_create();
    hub_recent_init(&hub->recent);
    hub->known.seed = options->seed;
    row_table_init(&hub->current, options->seed, HUB_CURRENT_ROWS_MAX, HUB_CURRENT_SIZE_MAX);
    return hub;
}

void hub_destroy(struct hub *hub)
{
    if (!hub)
        return;
    assert(hub->clients.count == 0);
    hub_groups_deinit(hub);
    if (hub->block)
        result_block_release(hub->block);
    event_block_destroy(hub->events);
    hub_recent_deinit(&hub->recent);
    hub_known_deinit(&hub->known);
    row_table_deinit(&hub->current);
    batch_destroy(hub->scratch);
    hub_document_deinit(&hub->message);
    hub_document_deinit(&hub->record);
    for (uint32_t i = 0; i < hub->options.pipeline_count; i++)
        free(hub->by_pipeline[i].items);
    for (uint32_t i = 0; i < hub->options.source_count; i++)
        free(hub->by_source[i].items);
    for (int i = 0; i < SUBSCRIBE_TYPE_COUNT; i++)
        free(hub->by_type[i].items);
    struct pointer_list *lists[] = {&hub->clients, &hub->inputs, &hub->closed, &hub->ready,
                                    &hub->dirty,   &hub->timed,  &hub->asked};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        free(lists[i]->items);
    free(hub->finished);
    free(hub->by_pipeline);
    free(hub->by_source);
    free(hub);
}

void hub_add_input(struct hub *hub, struct hub_input *input)
{
    pointer_list_add(&hub->inputs, input);
}

bool hub_group_wants(const struct hub_group *group)
{
    struct hub *hub = group->hub;
    /* Nobody could ever be given it, so it must not look like a client that is too slow. */
    if (hub->record.source.size > hub->options.client_queue_size / 2) {
        hub->statistics.oversized++;
        return false;
    }
    return group->is_trivial || hub_filter_match(group->filter, &hub->record, hub->scratch);
}

static void put_current(struct hub *hub, const struct hub_record *record)
{
    row_table_put(&hub->current, record);
    while (row_table_is_over_limits(&hub->current))
        row_table_drop_first(&hub->current);
}

static uint64_t read_count(struct hub *hub, const struct native_json_node *object, struct slice name)
{
    const struct native_json_node *node = object ? hub_document_member(&hub->record, object, name) : NULL;
    return node && node->event == NATIVE_JSON_INT && node->value.integer > 0 ? (uint64_t)node->value.integer
                                                                             : 0;
}

/* What a stored record says of its state: the members that order the states of a row. */
static void read_state(struct hub *hub, struct hub_record *record)
{
    hub_document_set(&hub->record, record->json);
    const struct native_json_node *root = hub_document_root(&hub->record, NULL);
    if (!root)
        return;
    const struct native_json_node *emit = hub_document_member(&hub->record, root, SLICE("emit"));
    const struct native_json_node *receipt = hub_document_member(&hub->record, root, SLICE("receipt"));
    record->is_early =
        emit && emit->event == NATIVE_JSON_STRING && slice_equal_text(hub_node_text(emit), "early");
    record->revision = (uint32_t)read_count(hub, root, SLICE("revision"));
    record->event_count =
        read_count(hub, receipt, SLICE("on_time")) + read_count(hub, receipt, SLICE("late_accepted"));
}

void hub_restore_row(struct hub *hub, const struct store_result *row)
{
    for (uint32_t i = 0; i < hub->options.pipeline_count; i++) {
        if (!slice_equal_text(row->pipeline, hub->options.pipelines[i]))
            continue;
        struct hub_record record = {.json = row->json,
                                    .key_json = row->key_json,
                                    .boot_id = row->boot_id,
                                    .sequence = row->sequence,
                                    .window_start_us = row->window_start_us,
                                    .pipeline_index = i};
        read_state(hub, &record);
        hub_known_add(&hub->known, &record);
        put_current(hub, &record);
        hub->needs_sort = true;
    }
}

/* --- clients --- */

struct hub_client *hub_client_create(struct hub *hub, const struct hub_connection_operations *operations,
                                     void *connection)
{
    struct hub_client *client = memory_allocate(sizeof *client);
    client->hub = hub;
    client->operations = operations;
    client->connection = connection;
    client->client_index = hub->clients.count;
    struct random random = {hub->random_state};
    snprintf(client->id, sizeof client->id, "c%016llx", (unsigned long long)random_next(&random));
    hub->random_state = random.state;
    pointer_list_add(&hub->clients, client);
    hub->statistics.clients++;
    return client;
}

static void detach(struct hub_client *client)
{
    while (client->subscription_count > 0) {
        struct hub_subscription *subscription = client->subscriptions[client->subscription_count - 1];
        if (subscription->ticket)
            pointer_list_remove(&client->hub->asked, subscription);
        hub_subscription_destroy(subscription);
    }
}

void hub_reap(struct hub *hub)
{
    for (uint32_t i = 0; i < hub->closed.count; i++)
        detach(hub->closed.items[i]);
    hub->closed.count = 0;
}

void hub_client_destroy(struct hub_client *client)
{
    if (!client)
        return;
    struct hub *hub = client->hub;
    detach(client);
    pointer_list_remove(&hub->closed, client);
    if (client->is_ready)
        pointer_list_remove(&hub->ready, client);
    struct hub_client *last = hub->clients.items[--hub->clients.count];
    hub->clients.items[client->client_index] = last;
    last->client_index = client->client_index;
    hub->statistics.clients--;
    free(client->subscriptions);
    free(client->message_times);
    free(client);
}

const char *hub_client_id(const struct hub_client *client)
{
    return client->id;
}

size_t hub_client_queued(const struct hub_client *client)
{
    return client->operations->queued_size(client->connection);
}

void hub_client_close_slow(struct hub_client *client, const char *reason)
{
    if (client->is_closed)
        return;
    client->is_closed = true;
    client->hub->statistics.slow_consumers++;
    pointer_list_add(&client->hub->closed, client);
    client->operations->close(client->connection, HUB_CLOSE_TRY_AGAIN, reason);
}

bool hub_client_push(struct hub_client *client, struct frame *frame, uint32_t deliveries)
{
    struct hub *hub = client->hub;
    if (client->is_closed)
        return false;
    if (hub_client_queued(client) + frame->size > hub->options.client_queue_size) {
        hub_client_close_slow(client, "slow consumer");
        return false;
    }
    client->operations->send(client->connection, frame_acquire(frame));
    client->deliveries += deliveries;
    hub->statistics.deliveries += deliveries;
    hub->statistics.delivered_bytes += frame->size;
    return true;
}

void hub_client_mark_ready(struct hub_client *client)
{
    if (client->is_ready || client->is_closed)
        return;
    client->is_ready = true;
    pointer_list_add(&client->hub->ready, client);
}

void hub_client_drained(struct hub_client *client)
{
    if (client->not_live_count > 0 && !client->is_ready &&
        hub_client_queued(client) <= client->hub->options.client_queue_size / 4)
        hub_client_mark_ready(client);
}

bool hub_wants_turn(const struct hub *hub)
{
    return hub->ready.count > 0;
}

void hub_client_describe(const struct hub_client *client, struct buffer *out)
{
    buffer_format(out, "\"client_id\":\"%s\",\"queued_bytes\":%zu,\"deliveries\":%llu,\"subscriptions\":[",
                  client->id, hub_client_queued(client), (unsigned long long)client->deliveries);
    for (uint32_t i = 0; i < client->subscription_count; i++) {
        const struct hub_subscription *subscription = client->subscriptions[i];
        buffer_format(out, "%s{\"subscription_id\":\"%s\",\"subscription_type\":\"%s\",\"slow\":%s}",
                      i ? "," : "", subscription->group->id,
                      subscription_type_name(subscription->group->type),
                      subscription->is_slow ? "true" : "false");
    }
    buffer_append_char(out, ']');
}

/* --- the turn --- */

struct hub_record hub_block_record(const struct hub *hub, const struct result_block *block, uint32_t row)
{
    return (struct hub_record){.json = result_block_json(block, row),
                               .key_json = result_block_key_json(block, row),
                               .boot_id = hub->options.boot_id,
                               .sequence = block->first_sequence + row,
                               .window_start_us = block->window_starts_us[row],
                               .event_count = result_block_event_count(block, row),
                               .pipeline_index = block->shape->pipeline_index,
                               .revision = block->revisions[row],
                               .is_early = block->emits[row] == EMIT_EARLY};
}

/* Takes a record's size, and about what is written around it, from what a turn may distribute. */
static void spend(size_t *budget, size_t record_size)
{
    enum { ENVELOPE_SIZE = 256 };
    size_t cost = record_size + ENVELOPE_SIZE;
    *budget -= cost < *budget ? cost : *budget;
}

/* What goes to one client in a turn should fit into its queue even when each of its subscriptions wants every record:
 * the sockets are written only behind the turn, and a client that reads fast must not look slow. */
static size_t turn_budget(const struct hub *hub)
{
    enum { SUBSCRIPTIONS_REGARDED = 16 };
    uint32_t count =
        hub->most_subscriptions < SUBSCRIPTIONS_REGARDED ? hub->most_subscriptions : SUBSCRIPTIONS_REGARDED;
    size_t quarter_queue = hub->options.client_queue_size / 4;
    if (count == 0 || quarter_queue / count > HUB_TURN_SIZE_MAX)
        return HUB_TURN_SIZE_MAX;
    return quarter_queue / count;
}

static void distribute_result(struct hub *hub, const struct hub_record *record)
{
    const struct pointer_list *groups = &hub->by_pipeline[record->pipeline_index];
    if (hub_known_has(&hub->known, record))
        return;
    hub_document_set(&hub->record, record->json);
    for (uint32_t i = 0; i < groups->count; i++) {
        if (hub_group_wants(groups->items[i]))
            hub_group_add_result(groups->items[i], record);
    }
    put_current(hub, record);
}

/* Distributes rows of the block in hand until the turn's budget is used. */
static void distribute_block(struct hub *hub, size_t *budget)
{
    for (uint32_t row; *budget > 0 && (row = hub->block_row) < hub->block->row_count; hub->block_row++) {
        struct hub_record record = hub_block_record(hub, hub->block, row);
        distribute_result(hub, &record);
        hub->next_sequence = record.sequence + 1;
        spend(budget, record.json.size);
    }
}

static void finish_block(struct hub *hub)
{
    if (hub->finished_count == hub->finished_capacity) {
        hub->finished_capacity = hub->finished_capacity ? 2 * hub->finished_capacity : 16;
        hub->finished = memory_resize_array(hub->finished, hub->finished_capacity, sizeof *hub->finished);
    }
    hub->finished[hub->finished_count++] =
        (struct hub_sent_block){.arrival_us = hub->block->arrival_us, .emitted_us = hub->block->emitted_us};
    result_block_release(hub->block);
    hub->block = NULL;
}

/* Blocks of which nobody was sent anything say nothing about latency. */
static void report_finished(struct hub *hub)
{
    const struct hub_server_operations *server = hub->options.server;
    for (uint32_t i = 0; hub->has_sent_results && server && server->results_sent && i < hub->finished_count;
         i++)
        server->results_sent(hub->options.server_context, hub->finished[i].arrival_us,
                             hub->finished[i].emitted_us);
    hub->finished_count = 0;
    hub->has_sent_results = false;
}

static void take_results(struct hub *hub, struct hub_input *input, size_t *budget)
{
    while (*budget > 0) {
        if (!hub->block) {
            hub->block = ring_pop(&input->results);
            hub->block_row = 0;
            if (!hub->block)
                return;
            assert(hub->block->shape->pipeline_index < hub->options.pipeline_count);
            hub_recent_add(&hub->recent, hub->block, hub->options.pipeline_is_stored);
        }
        distribute_block(hub, budget);
        if (hub->block_row < hub->block->row_count)
            return;
        finish_block(hub);
    }
}

static void distribute_event(struct hub *hub, const struct event_block *block, uint32_t row)
{
    const struct pointer_list *groups = &hub->by_source[block->source_index];
    struct hub_metadata metadata = {
        .position = {hub->options.boot_id, hub->next_delivery++}, .event_block = block, .event_index = row};
    hub_document_set(&hub->record, block->texts[row]);
    for (uint32_t i = 0; i < groups->count; i++) {
        if (hub_group_wants(groups->items[i]))
            hub_group_add(groups->items[i], block->texts[row], &metadata);
    }
}

static void take_events(struct hub *hub, struct hub_input *input, size_t *budget)
{
    while (*budget > 0) {
        if (!hub->events) {
            hub->events = ring_pop(&input->events);
            hub->events_row = 0;
            if (!hub->events)
                return;
            assert(hub->events->source_index < hub->options.source_count);
        }
        const struct event_block *block = hub->events;
        for (uint32_t row; *budget > 0 && (row = hub->events_row) < block->event_count; hub->events_row++) {
            distribute_event(hub, block, row);
            spend(budget, block->texts[row].size);
        }
        if (hub->events_row < block->event_count)
            return;
        event_block_destroy(hub->events);
        hub->events = NULL;
    }
}

static void send_status(struct hub *hub, enum subscription_type type, void (*write)(void *, struct buffer *))
{
    const struct pointer_list *groups = &hub->by_type[type];
    if (groups->count == 0 || !write)
        return;
    struct buffer json = {0};
    write(hub->options.server_context, &json);
    struct hub_metadata metadata = {.position = {hub->options.boot_id, hub->next_delivery++}};
    hub_document_set(&hub->record, buffer_slice(&json));
    for (uint32_t i = 0; i < groups->count; i++) {
        if (hub_group_wants(groups->items[i]))
            hub_group_add(groups->items[i], buffer_slice(&json), &metadata);
    }
    buffer_deinit(&json);
}

/* Metrics and status, once a second while somebody listens. */
static void run_tick(struct hub *hub)
{
    const struct hub_server_operations *server = hub->options.server;
    bool is_wanted =
        server && (hub->by_type[SUBSCRIBE_METRICS].count || hub->by_type[SUBSCRIBE_SYSTEM_STATUS].count);
    if (!is_wanted)
        hub->next_tick_us = INT64_MAX;
    else if (hub->next_tick_us == INT64_MAX)
        hub->next_tick_us = hub->now_us + HUB_TICK_US;
    if (hub->now_us < hub->next_tick_us)
        return;
    hub->next_tick_us += HUB_TICK_US;
    if (hub->next_tick_us <= hub->now_us)
        hub->next_tick_us = hub->now_us + HUB_TICK_US;
    send_status(hub, SUBSCRIBE_METRICS, server->write_metrics);
    send_status(hub, SUBSCRIBE_SYSTEM_STATUS, server->write_system_status);
}

static void serve_ready(struct hub *hub)
{
    /* Whoever is marked again while it is served waits for the next turn. */
    uint32_t count = hub->ready.count;
    for (uint32_t i = 0; i < count; i++) {
        struct hub_client *client = hub->ready.items[i];
        client->is_ready = false;
        for (uint32_t s = 0; s < client->subscription_count; s++)
            hub_subscription_catch_up(client->subscriptions[s]);
    }
    hub->ready.count -= count;
    if (hub->ready.count > 0)
        memmove(hub->ready.items, hub->ready.items + count, hub->ready.count * sizeof *hub->ready.items);
}

static void flush_dirty(struct hub *hub)
{
    for (uint32_t i = 0; i < hub->dirty.count; i++) {
        struct hub_group *group = hub->dirty.items[i];
        group->is_dirty = false;
        hub_group_flush(group);
    }
    hub->dirty.count = 0;
}

int64_t hub_turn(struct hub *hub, int64_t now_us, int64_t wall_now_us)
{
    hub->now_us = now_us;
    hub->wall_now_us = wall_now_us;
    size_t budget = turn_budget(hub), event_budget = budget;
    for (uint32_t i = 0; i < hub->inputs.count; i++)
        take_results(hub, hub->inputs.items[i], &budget);
    for (uint32_t i = 0; i < hub->inputs.count; i++)
        take_events(hub, hub->inputs.items[i], &event_budget);
    run_tick(hub);
    serve_ready(hub);
    int64_t due_us = hub_groups_run_due(hub);
    flush_dirty(hub);
    report_finished(hub);
    hub_reap(hub);
    bool has_more = budget == 0 || event_budget == 0 || hub->ready.count > 0;
    if (has_more)
        return now_us;
    return due_us < hub->next_tick_us ? due_us : hub->next_tick_us;
}

struct hub_statistics hub_statistics(const struct hub *hub)
{
    struct hub_statistics statistics = hub->statistics;
    statistics.groups = hub->group_count;
    for (uint32_t i = 0; i < hub->inputs.count; i++) {
        struct hub_input *input = hub->inputs.items[i];
        statistics.events_dropped += atomic_load_explicit(&input->dropped_events, memory_order_relaxed);
    }
    return statistics;
}
