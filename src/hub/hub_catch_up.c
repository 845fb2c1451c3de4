/* How a subscription comes to be live. What it does not have yet comes from up to four places, always in the order of
 * sequence, so that no older state of a row follows a newer one:
 *
 *   held      rows of the store, after a position that the recent blocks no longer reach
 *   recent    rows of the recent blocks up to the moment of joining
 *   snapshot  the current rows, instead of these two
 *   pending   newest rows per key since the moment of joining, or since the client became slow
 *
 * Each goes out as the client's queue drains. A client that takes everything at once is live before the call returns. */
#include <assert.h>
#include <stdlib.h>

#include "hub/hub_internal.h"

/* In `held`, before its text. */
struct held_row {
    struct hub_position position;
    size_t size;
};

static bool has_topic(const struct hub_group *group, uint32_t topic)
{
    for (uint32_t i = 0; i < group->topic_count; i++) {
        if (group->topics[i] == topic)
            return true;
    }
    return false;
}

static bool is_wanted(const struct hub_group *group, uint32_t pipeline_index, struct slice json)
{
    if (!has_topic(group, pipeline_index))
        return false;
    hub_document_set(&group->hub->record, json);
    return hub_group_wants(group);
}

/* --- the next row from each place; `*json` NULL: a row that is not wanted --- */

static bool next_held(struct hub_subscription *subscription, struct slice *json,
                      struct hub_position *position)
{
    if (subscription->held_offset == subscription->held.size) {
        buffer_deinit(&subscription->held);
        subscription->held_offset = 0;
        return false;
    }
    struct held_row row;
    const char *at = subscription->held.data + subscription->held_offset;
    memcpy(&row, at, sizeof row);
    *json = (struct slice){at + sizeof row, row.size};
    *position = row.position;
    subscription->held_offset += sizeof row + row.size;
    return true;
}

static bool next_recent(struct hub_subscription *subscription, struct slice *json,
                        struct hub_position *position)
{
    const struct hub *hub = subscription->group->hub;
    const struct result_block *block;
    uint32_t row;
    if (subscription->recent_next >= subscription->recent_end)
        return false;
    if (subscription->recent_next < hub->recent.first_sequence) {
        hub_client_close_slow(subscription->client, "slow consumer");
        return false;
    }
    if (!hub_recent_find(&hub->recent, subscription->recent_next, &block, &row) ||
        block->first_sequence + row >= subscription->recent_end) {
        subscription->recent_next = subscription->recent_end;
        return false;
    }
    *position = (struct hub_position){hub->options.boot_id, block->first_sequence + row};
    subscription->recent_next = position->sequence + 1;
    struct hub_record record = hub_block_record(hub, block, row);
    *json = record.json;
    if (hub_known_has(&hub->known, &record) || !is_wanted(subscription->group, record.pipeline_index, *json))
        *json = (struct slice){0};
    return true;
}

static bool next_snapshot(struct hub_subscription *subscription, struct slice *json,
                          struct hub_position *position)
{
    struct hub *hub = subscription->group->hub;
    if (!row_cursor_is_open(&subscription->snapshot))
        return false;
    const struct row *row = row_cursor_peek(&subscription->snapshot, &hub->current);
    if (!row ||
        (row->record.boot_id == hub->options.boot_id && row->record.sequence >= subscription->snapshot_end)) {
        row_cursor_close(&subscription->snapshot);
        return false;
    }
    row_cursor_pass(&subscription->snapshot, row);
    *position = (struct hub_position){row->record.boot_id, row->record.sequence};
    *json = row->record.json;
    if (!is_wanted(subscription->group, row->record.pipeline_index, *json))
        *json = (struct slice){0};
    return true;
}

/* Of a conflating group only what its live members have as well. */
static bool next_pending(struct hub_subscription *subscription, struct slice *json,
                         struct hub_position *position)
{
    struct hub_group *group = subscription->group;
    if (subscription->state != SUBSCRIPTION_LAGGING)
        return false;
    const struct row *row = row_cursor_peek(&subscription->pending, &group->pending);
    if (!row || (group->conflate_us && row->record.sequence > group->flushed.sequence))
        return false;
    row_cursor_pass(&subscription->pending, row);
    *position = (struct hub_position){row->record.boot_id, row->record.sequence};
    *json = row->record.json;
    return true;
}

static bool next_row(struct hub_subscription *subscription, struct slice *json, struct hub_position *position)
{
    return next_held(subscription, json, position) || next_recent(subscription, json, position) ||
           next_snapshot(subscription, json, position) || next_pending(subscription, json, position);
}

/* --- sending --- */

static bool push_frames(struct hub_subscription *subscription, struct hub_encoder *encoder)
{
    struct hub_envelope envelope = hub_group_envelope(subscription->group);
    hub_encoder_close_batch(encoder, &envelope);
    if (encoder->frames.size == 0)
        return !subscription->client->is_closed;
    struct frame *frame = frame_from_buffer(&encoder->frames);
    bool is_open = hub_client_push(subscription->client, frame, encoder->message_count);
    frame_release(frame);
    encoder->message_count = 0;
    return is_open;
}

/* True when there was nothing more to send. */
static bool send_rows(struct hub_subscription *subscription, struct hub_encoder *encoder)
{
    const struct hub *hub = subscription->group->hub;
    struct hub_envelope envelope = hub_group_envelope(subscription->group);
    size_t half_queue = hub->options.client_queue_size / 2;
    if (hub_client_queued(subscription->client) > half_queue)
        return false;
    for (uint32_t count = 0; count < HUB_CATCH_UP_ROWS_MAX; count++) {
        struct slice json;
        struct hub_metadata metadata = {.is_result = true, .is_conflated = subscription->is_slow};
        if (!next_row(subscription, &json, &metadata.position))
            return push_frames(subscription, encoder);
        if (!json.data)
            continue;
        hub_encoder_add(encoder, &envelope, json, &metadata);
        if (hub_encoder_size(encoder) < hub->block_size)
            continue;
        if (!push_frames(subscription, encoder) || hub_client_queued(subscription->client) > half_queue)
            return false;
    }
    if (push_frames(subscription, encoder))
        hub_client_mark_ready(subscription->client);
    return false;
}

static bool ask_store(struct hub_subscription *subscription)
{
    struct hub *hub = subscription->group->hub;
    const struct hub_server_operations *server = hub->options.server;
    if (!server || !server->read_history)
        return false;
    uint64_t ticket = ++hub->next_ticket;
    if (!server->read_history(hub->options.server_context, ticket, subscription->asked.boot_id,
                              subscription->asked.sequence, HUB_HISTORY_PAGE_ROWS))
        return false;
    subscription->ticket = ticket;
    subscription->wants_next_page = false;
    pointer_list_add(&hub->asked, subscription);
    return true;
}

void hub_subscription_catch_up(struct hub_subscription *subscription)
{
    struct hub_group *group = subscription->group;
    if (subscription->state == SUBSCRIPTION_LIVE || subscription->client->is_closed)
        return;
    struct hub_encoder encoder = {0};
    bool is_done = send_rows(subscription, &encoder);
    hub_encoder_deinit(&encoder);
    if (!is_done)
        return;
    if (subscription->state == SUBSCRIPTION_AWAITING) {
        if (subscription->wants_next_page && !ask_store(subscription))
            hub_client_close_slow(subscription->client, "history lost");
        return;
    }
    bool group_has_more = group->conflate_us && row_cursor_peek(&group->flushed, &group->pending);
    if (!group_has_more && !row_cursor_peek(&subscription->pending, &group->pending))
        hub_subscription_go_live(subscription);
    else
        hub_group_trim(group);
}

/* --- beginning --- */

static void confirm(struct hub_subscription *subscription, const bool *recovered)
{
    subscription->is_confirmed = true;
    hub_send_confirmation(subscription, recovered);
}

static void begin_fresh(struct hub_subscription *subscription, bool wants_snapshot)
{
    struct hub *hub = subscription->group->hub;
    if (!wants_snapshot) {
        hub_subscription_go_live(subscription);
        return;
    }
    if (hub->needs_sort) {
        row_table_sort(&hub->current);
        hub->needs_sort = false;
    }
    hub_subscription_lag(subscription);
    row_cursor_open_first(&subscription->snapshot, &hub->current);
    subscription->snapshot_end = hub->next_sequence;
    hub_subscription_catch_up(subscription);
}

static void begin_unrecovered(struct hub_subscription *subscription)
{
    confirm(subscription, &(bool){false});
    if (!subscription->client->is_closed)
        begin_fresh(subscription, subscription->wants_snapshot);
}

static bool is_all_stored(const struct hub_group *group)
{
    const bool *is_stored = group->hub->options.pipeline_is_stored;
    for (uint32_t i = 0; is_stored && i < group->topic_count; i++) {
        if (!is_stored[group->topics[i]])
            return false;
    }
    return true;
}

static void resume(struct hub_subscription *subscription, const struct hub_request *request)
{
    struct hub *hub = subscription->group->hub;
    struct hub_position since = request->since;
    bool is_ours = since.boot_id == hub->options.boot_id;
    bool is_known = request->has_position &&
                    (is_ours ? since.sequence < hub->next_sequence : since.boot_id < hub->options.boot_id);
    if (is_known && is_ours && since.sequence + 1 >= hub->recent.first_sequence) {
        confirm(subscription, &(bool){true});
        hub_subscription_lag(subscription);
        subscription->recent_next = since.sequence + 1;
        subscription->recent_end = hub->next_sequence;
        hub_subscription_catch_up(subscription);
        return;
    }
    subscription->asked = since;
    if (!is_known || !is_all_stored(subscription->group) || !ask_store(subscription))
        begin_unrecovered(subscription);
}

void hub_subscription_start(struct hub_subscription *subscription, const struct hub_request *request)
{
    bool is_resumable = request->type == SUBSCRIBE_AGGREGATIONS;
    subscription->wants_snapshot = is_resumable && request->wants_snapshot;
    if (is_resumable && request->wants_since) {
        resume(subscription, request);
        return;
    }
    confirm(subscription, request->wants_since ? &(bool){false} : NULL);
    if (!subscription->client->is_closed)
        begin_fresh(subscription, subscription->wants_snapshot);
}

/* --- the store's answer --- */

static bool find_pipeline(const struct hub *hub, struct slice name, uint32_t *index)
{
    for (uint32_t i = 0; i < hub->options.pipeline_count; i++) {
        if (slice_equal_text(name, hub->options.pipelines[i])) {
            *index = i;
            return true;
        }
    }
    return false;
}

static bool is_recent(const struct hub *hub, struct hub_position position)
{
    return position.boot_id == hub->options.boot_id && position.sequence >= hub->recent.first_sequence;
}

/* Keeps the rows that the recent blocks do not have. */
static void hold_rows(struct hub_subscription *subscription, const struct store_result *rows,
                      uint32_t row_count)
{
    const struct hub *hub = subscription->group->hub;
    for (uint32_t i = 0; i < row_count; i++) {
        struct held_row row = {.position = {rows[i].boot_id, rows[i].sequence}, .size = rows[i].json.size};
        uint32_t pipeline_index;
        if (is_recent(hub, row.position) || !find_pipeline(hub, rows[i].pipeline, &pipeline_index) ||
            !is_wanted(subscription->group, pipeline_index, rows[i].json))
            continue;
        buffer_append(&subscription->held, &row, sizeof row);
        buffer_append_slice(&subscription->held, rows[i].json);
    }
}

static void fail_history(struct hub_subscription *subscription)
{
    if (subscription->is_confirmed)
        hub_client_close_slow(subscription->client, "history lost");
    else
        begin_unrecovered(subscription);
}

/* The rows up to `reached` are known. True when the recent blocks go on from there: nothing that was dropped from
 * them can be missing in the store's answer. */
static bool meets_recent(const struct hub *hub, struct hub_position reached)
{
    if (!hub->recent.has_evicted_stored)
        return true;
    return reached.boot_id == hub->options.boot_id && reached.sequence >= hub->recent.evicted_stored;
}

static void take_answer(struct hub_subscription *subscription, const struct store_result *rows,
                        uint32_t row_count)
{
    struct hub *hub = subscription->group->hub;
    if (row_count > 0)
        subscription->asked =
            (struct hub_position){rows[row_count - 1].boot_id, rows[row_count - 1].sequence};
    bool is_last = row_count < HUB_HISTORY_PAGE_ROWS || is_recent(hub, subscription->asked);
    if (is_last && !meets_recent(hub, subscription->asked)) {
        fail_history(subscription);
        return;
    }
    hold_rows(subscription, rows, row_count);
    if (!subscription->is_confirmed)
        confirm(subscription, &(bool){true});
    if (subscription->client->is_closed)
        return;
    subscription->wants_next_page = !is_last;
    if (is_last) {
        hub_subscription_lag(subscription);
        subscription->recent_next = hub->recent.first_sequence;
        subscription->recent_end = hub->next_sequence;
    }
    hub_subscription_catch_up(subscription);
}

void hub_history_answer(struct hub *hub, uint64_t ticket, enum status status, const struct store_result *rows,
                        uint32_t row_count)
{
    for (uint32_t i = 0; i < hub->asked.count; i++) {
        struct hub_subscription *subscription = hub->asked.items[i];
        if (subscription->ticket != ticket)
            continue;
        subscription->ticket = 0;
        pointer_list_remove(&hub->asked, subscription);
        if (status)
            fail_history(subscription);
        else
            take_answer(subscription, rows, row_count);
        hub_reap(hub);
        return;
    }
}
