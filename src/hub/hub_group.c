/* Equal subscriptions share a group: one filter, one id, one frame. A group knows three kinds of members:
 *
 *   live      get the shared frames as the turn ends, or as conflation allows
 *   lagging   read the pending rows (newest per key) at the speed of their socket
 *   awaiting  are not told anything yet
 *
 * The id of a group is made of what was asked for, so that it is the same for every client and after every restart. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "hub/hub_internal.h"

struct hub_envelope hub_group_envelope(const struct hub_group *group)
{
    return (struct hub_envelope){.subscription_id = group->id,
                                 .type = group->type,
                                 .is_batched = group->is_batched,
                                 .timestamp_ms = group->hub->wall_now_us / MICROSECONDS_PER_MILLISECOND};
}

/* --- index --- */

static void set_indexed(struct hub_group *group, bool is_added)
{
    struct hub *hub = group->hub;
    bool by_topic = group->type == SUBSCRIBE_AGGREGATIONS || group->type == SUBSCRIBE_EVENTS;
    struct pointer_list *lists = !by_topic                               ? &hub->by_type[group->type]
                                 : group->type == SUBSCRIBE_AGGREGATIONS ? hub->by_pipeline
                                                                         : hub->by_source;
    uint32_t count = by_topic ? group->topic_count : 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t topic = by_topic ? group->topics[i] : 0;
        if (is_added)
            pointer_list_add(&lists[topic], group);
        else
            pointer_list_remove(&lists[topic], group);
        bool is_changed = lists[topic].count == (is_added ? 1 : 0);
        const struct hub_server_operations *server = hub->options.server;
        if (group->type == SUBSCRIBE_EVENTS && is_changed && server && server->want_events)
            server->want_events(hub->options.server_context, topic, is_added);
    }
}

static void grow_buckets(struct hub *hub)
{
    uint32_t count = hub->bucket_count ? 2 * hub->bucket_count : 64;
    struct hub_group **buckets = memory_allocate_array(count, sizeof(struct hub_group *));
    for (uint32_t i = 0; i < hub->bucket_count; i++) {
        for (struct hub_group *group = hub->buckets[i], *next; group; group = next) {
            next = group->next_in_bucket;
            struct hub_group **bucket = &buckets[group->hash & (count - 1)];
            group->next_in_bucket = *bucket;
            *bucket = group;
        }
    }
    free(hub->buckets);
    hub->buckets = buckets;
    hub->bucket_count = count;
}

static struct hub_group *find_group(const struct hub *hub, uint64_t hash, struct slice canonical)
{
    struct hub_group *group = hub->bucket_count ? hub->buckets[hash & (hub->bucket_count - 1)] : NULL;
    while (group && !(group->hash == hash && slice_equal(buffer_slice(&group->canonical), canonical)))
        group = group->next_in_bucket;
    return group;
}

static void write_canonical(const struct hub_request *request, unsigned ordinal, struct buffer *out)
{
    buffer_clear(out);
    buffer_format(out, "%s %u %lld %d ", subscription_type_name(request->type), ordinal,
                  (long long)request->conflate_us, request->is_batched);
    for (uint32_t i = 0; request->type == SUBSCRIBE_EVENTS && i < request->topic_count; i++)
        buffer_format(out, "%u,", request->topics[i]);
    hub_filter_canonical(request->filter, out);
}

static struct hub_group *create_group(struct hub *hub, struct hub_request *request, struct buffer *canonical,
                                      uint64_t hash, const char *id)
{
    struct hub_group *group = memory_allocate(sizeof *group);
    group->hub = hub;
    group->hash = hash;
    group->canonical = *canonical;
    *canonical = (struct buffer){0};
    snprintf(group->id, sizeof group->id, "%s", id);
    group->type = request->type;
    group->filter = request->filter;
    group->topics = request->topics;
    group->topic_count = request->topic_count;
    request->filter = NULL;
    request->topics = NULL;
    group->is_trivial =
        hub_filter_is_trivial(group->filter, group->type == SUBSCRIBE_AGGREGATIONS ? "pipeline" : NULL);
    group->conflate_us = request->conflate_us;
    group->is_batched = request->is_batched;
    group->due_us = INT64_MAX;
    group->flushed_us = INT64_MIN / 2;
    size_t half_queue = hub->options.client_queue_size / 2;
    row_table_init(&group->pending, hub->options.seed, HUB_PENDING_ROWS_MAX,
                   group->conflate_us || half_queue > HUB_PENDING_SIZE_MAX ? (size_t)HUB_PENDING_SIZE_MAX
                                                                           : half_queue);
    if (group->conflate_us)
        row_cursor_open_last(&group->flushed, &group->pending);

    if (hub->group_count == hub->bucket_count)
        grow_buckets(hub);
    struct hub_group **bucket = &hub->buckets[hash & (hub->bucket_count - 1)];
    group->next_in_bucket = *bucket;
    *bucket = group;
    hub->group_count++;
    set_indexed(group, true);
    return group;
}

static void destroy_group(struct hub_group *group)
{
    struct hub *hub = group->hub;
    set_indexed(group, false);
    struct hub_group **place = &hub->buckets[group->hash & (hub->bucket_count - 1)];
    while (*place != group)
        place = &(*place)->next_in_bucket;
    *place = group->next_in_bucket;
    hub->group_count--;
    if (group->is_dirty)
        pointer_list_remove(&hub->dirty, group);
    if (group->due_us != INT64_MAX)
        pointer_list_remove(&hub->timed, group);
    hub->pending_size -= group->pending.size;
    row_cursor_close(&group->flushed);
    row_table_deinit(&group->pending);
    hub_encoder_deinit(&group->encoder);
    hub_filter_destroy(group->filter);
    buffer_deinit(&group->canonical);
    free(group->topics);
    free(group->members);
    free(group);
}

void hub_groups_deinit(struct hub *hub)
{
    assert(hub->group_count == 0);
    free(hub->buckets);
}

/* --- members --- */

static bool client_has_id(const struct hub_client *client, const char *id)
{
    for (uint32_t i = 0; i < client->subscription_count; i++) {
        if (strcmp(client->subscriptions[i]->group->id, id) == 0)
            return true;
    }
    return false;
}

/* The same request again by one client gets the next ordinal, and so an id and a group of its own. */
static struct hub_group *group_for(struct hub *hub, const struct hub_client *client,
                                   struct hub_request *request)
{
    struct buffer canonical = {0};
    struct hub_group *group = NULL;
    for (unsigned ordinal = 1; !group; ordinal++) {
        write_canonical(request, ordinal, &canonical);
        /* No seed: ids are to be the same in every process. */
        uint64_t public_hash = hash_bytes(canonical.data, canonical.size, 0);
        uint64_t hash = hash_bytes(canonical.data, canonical.size, hub->options.seed);
        char id[HUB_ID_SIZE];
        snprintf(id, sizeof id, "s%016llx", (unsigned long long)public_hash);
        if (client_has_id(client, id))
            continue;
        group = find_group(hub, hash, buffer_slice(&canonical));
        if (!group)
            group = create_group(hub, request, &canonical, hash, id);
    }
    buffer_deinit(&canonical);
    return group;
}

struct hub_subscription *hub_group_join(struct hub *hub, struct hub_client *client,
                                        struct hub_request *request)
{
    struct hub_group *group = group_for(hub, client, request);
    struct hub_subscription *subscription = memory_allocate(sizeof *subscription);
    subscription->client = client;
    subscription->group = group;
    subscription->pending.owner = subscription->snapshot.owner = subscription;
    subscription->member_index = group->member_count;
    if (group->member_count == group->member_capacity) {
        group->member_capacity = group->member_capacity ? 2 * group->member_capacity : 2;
        group->members =
            memory_resize_array(group->members, group->member_capacity, sizeof(struct hub_subscription *));
    }
    group->members[group->member_count++] = subscription;
    if (client->subscription_count == client->subscription_capacity) {
        client->subscription_capacity = client->subscription_capacity ? 2 * client->subscription_capacity : 2;
        client->subscriptions = memory_resize_array(client->subscriptions, client->subscription_capacity,
                                                    sizeof(struct hub_subscription *));
    }
    client->subscriptions[client->subscription_count++] = subscription;
    client->not_live_count++;
    hub->statistics.subscriptions++;
    if (client->subscription_count > hub->most_subscriptions)
        hub->most_subscriptions = client->subscription_count;
    return subscription;
}

static void leave_client(struct hub_subscription *subscription)
{
    struct hub_client *client = subscription->client;
    struct hub *hub = client->hub;
    bool had_most = client->subscription_count == hub->most_subscriptions;
    for (uint32_t i = 0; i < client->subscription_count; i++) {
        if (client->subscriptions[i] == subscription) {
            client->subscriptions[i] = client->subscriptions[--client->subscription_count];
            break;
        }
    }
    if (!had_most)
        return;
    uint32_t former = hub->most_subscriptions;
    hub->most_subscriptions = 0;
    for (uint32_t i = 0; hub->most_subscriptions < former && i < hub->clients.count; i++) {
        const struct hub_client *other = hub->clients.items[i];
        if (other->subscription_count > hub->most_subscriptions)
            hub->most_subscriptions = other->subscription_count;
    }
}

void hub_subscription_destroy(struct hub_subscription *subscription)
{
    struct hub_group *group = subscription->group;
    row_cursor_close(&subscription->pending);
    row_cursor_close(&subscription->snapshot);
    buffer_deinit(&subscription->held);
    leave_client(subscription);
    if (subscription->state != SUBSCRIPTION_LIVE)
        subscription->client->not_live_count--;
    group->live_count -= subscription->state == SUBSCRIPTION_LIVE;
    group->lagging_count -= subscription->state == SUBSCRIPTION_LAGGING;
    group->hub->statistics.subscriptions--;
    struct hub_subscription *last = group->members[--group->member_count];
    group->members[subscription->member_index] = last;
    last->member_index = subscription->member_index;
    free(subscription);
    if (group->member_count == 0)
        destroy_group(group);
    else
        hub_group_trim(group);
}

void hub_group_trim(struct hub_group *group)
{
    size_t before = group->pending.size;
    row_table_trim(&group->pending);
    group->hub->pending_size -= before - group->pending.size;
}

void hub_subscription_lag(struct hub_subscription *subscription)
{
    struct hub_group *group = subscription->group;
    assert(subscription->state != SUBSCRIPTION_LAGGING);
    if (subscription->state == SUBSCRIPTION_LIVE) {
        group->live_count--;
        subscription->client->not_live_count++;
    }
    group->lagging_count++;
    subscription->state = SUBSCRIPTION_LAGGING;
    /* One that was live has what the live members have; a new one will be given all there is at this moment. */
    if (group->conflate_us && subscription->is_slow)
        row_cursor_open_at(&subscription->pending, &group->flushed);
    else
        row_cursor_open_last(&subscription->pending, &group->pending);
}

void hub_subscription_go_live(struct hub_subscription *subscription)
{
    struct hub_group *group = subscription->group;
    assert(subscription->state != SUBSCRIPTION_LIVE);
    /* What waits in the encoder is older than what the new member has. */
    hub_group_flush(group);
    row_cursor_close(&subscription->pending);
    group->lagging_count -= subscription->state == SUBSCRIPTION_LAGGING;
    group->live_count++;
    subscription->state = SUBSCRIPTION_LIVE;
    subscription->is_slow = false;
    subscription->client->not_live_count--;
    hub_group_trim(group);
}

/* --- frames --- */

static void set_due(struct hub_group *group, int64_t due_us)
{
    struct hub *hub = group->hub;
    if (group->due_us == INT64_MAX)
        pointer_list_add(&hub->timed, group);
    group->due_us = due_us;
    if (due_us < hub->next_due_us)
        hub->next_due_us = due_us;
}

static void clear_due(struct hub_group *group)
{
    if (group->due_us != INT64_MAX)
        pointer_list_remove(&group->hub->timed, group);
    group->due_us = INT64_MAX;
}

static void push_to_members(struct hub_group *group, struct frame *frame, uint32_t deliveries)
{
    bool can_lag = group->type == SUBSCRIBE_AGGREGATIONS;
    group->hub->has_sent_results |= can_lag && group->live_count > 0;
    size_t half_queue = group->hub->options.client_queue_size / 2;
    for (uint32_t i = 0; i < group->member_count; i++) {
        struct hub_subscription *member = group->members[i];
        if (member->state != SUBSCRIPTION_LIVE || !hub_client_push(member->client, frame, deliveries))
            continue;
        if (can_lag && hub_client_queued(member->client) > half_queue) {
            member->is_slow = true;
            group->hub->statistics.conflated++;
            hub_subscription_lag(member);
        }
    }
}

void hub_group_flush(struct hub_group *group)
{
    struct hub_encoder *encoder = &group->encoder;
    struct hub_envelope envelope = hub_group_envelope(group);
    hub_encoder_close_batch(encoder, &envelope);
    if (!group->conflate_us)
        clear_due(group);
    if (encoder->frames.size == 0)
        return;
    uint32_t deliveries = encoder->message_count;
    encoder->message_count = 0;
    struct frame *frame = frame_from_buffer(&encoder->frames);
    push_to_members(group, frame, deliveries);
    frame_release(frame);
}

static void mark_dirty(struct hub_group *group)
{
    if (group->is_dirty)
        return;
    group->is_dirty = true;
    pointer_list_add(&group->hub->dirty, group);
}

void hub_group_add(struct hub_group *group, struct slice json, const struct hub_metadata *metadata)
{
    struct hub_envelope envelope = hub_group_envelope(group);
    hub_encoder_add(&group->encoder, &envelope, json, metadata);
    if (hub_encoder_size(&group->encoder) >= group->hub->block_size) {
        hub_group_flush(group);
        return;
    }
    if (!group->is_batched || group->encoder.frames.size > 0)
        mark_dirty(group);
    if (group->encoder.batch_count == 1)
        set_due(group, group->hub->now_us + HUB_BATCH_WAIT_US);
}

/* Members whose cursor stands before the first row would never see it: they are too slow even for the newest rows. */
static void drop_first_pending(struct hub_group *group)
{
    struct row_link *link = group->pending.ends.next;
    for (; link->is_cursor; link = link->next) {
        struct row_cursor *cursor = (struct row_cursor *)(void *)link;
        struct hub_subscription *subscription = cursor->owner;
        if (subscription)
            hub_client_close_slow(subscription->client, "slow consumer");
    }
    row_table_drop_first(&group->pending);
}

/* Sends the rows that conflation has held back to the live members. */
static void flush_conflated(struct hub_group *group)
{
    struct hub *hub = group->hub;
    struct hub_envelope envelope = hub_group_envelope(group);
    const struct row *row;
    while ((row = row_cursor_peek(&group->flushed, &group->pending))) {
        if (group->live_count > 0) {
            struct hub_metadata metadata = {.position = {row->record.boot_id, row->record.sequence},
                                            .is_result = true};
            hub_encoder_add(&group->encoder, &envelope, row->record.json, &metadata);
        }
        row_cursor_pass(&group->flushed, row);
        if (hub_encoder_size(&group->encoder) >= hub->block_size)
            hub_group_flush(group);
    }
    hub_group_flush(group);
    clear_due(group);
    group->flushed_us = hub->now_us;
    hub_group_trim(group);
    for (uint32_t i = 0; group->lagging_count > 0 && i < group->member_count; i++) {
        if (group->members[i]->state == SUBSCRIPTION_LAGGING)
            hub_client_mark_ready(group->members[i]->client);
    }
}

static bool is_over_limits(const struct hub_group *group)
{
    return row_table_is_over_limits(&group->pending) || group->hub->pending_size > HUB_PENDING_TOTAL_SIZE_MAX;
}

static void add_pending(struct hub_group *group, const struct hub_record *record)
{
    struct hub *hub = group->hub;
    size_t before = group->pending.size;
    row_table_put(&group->pending, record);
    hub->pending_size += group->pending.size - before;
    if (group->conflate_us && is_over_limits(group))
        flush_conflated(group);
    while (row_table_first(&group->pending) && is_over_limits(group)) {
        before = group->pending.size;
        drop_first_pending(group);
        hub->pending_size -= before - group->pending.size;
    }
}

void hub_group_add_result(struct hub_group *group, const struct hub_record *record)
{
    if (group->conflate_us || group->lagging_count > 0)
        add_pending(group, record);
    if (group->conflate_us) {
        if (group->due_us == INT64_MAX && row_cursor_peek(&group->flushed, &group->pending))
            set_due(group, group->flushed_us + group->conflate_us);
        return;
    }
    if (group->live_count > 0) {
        struct hub_metadata metadata = {.position = {record->boot_id, record->sequence}, .is_result = true};
        hub_group_add(group, record->json, &metadata);
    }
}

int64_t hub_groups_run_due(struct hub *hub)
{
    if (hub->now_us < hub->next_due_us)
        return hub->next_due_us;
    /* Downwards, because a group that is served leaves its place to the last one. */
    for (uint32_t i = hub->timed.count; i-- > 0;) {
        struct hub_group *group = hub->timed.items[i];
        if (group->due_us > hub->now_us)
            continue;
        if (group->conflate_us)
            flush_conflated(group);
        else
            hub_group_flush(group);
    }
    hub->next_due_us = INT64_MAX;
    for (uint32_t i = 0; i < hub->timed.count; i++) {
        const struct hub_group *group = hub->timed.items[i];
        if (group->due_us < hub->next_due_us)
            hub->next_due_us = group->due_us;
    }
    return hub->next_due_us;
}
