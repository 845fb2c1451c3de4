/* What clients say, and what they are answered. Whatever is wrong with a message is answered by an `error` that names the member
 * and what it should be; the connection stays open. Members that nobody knows are ignored, as clients of other servers
 * send their own. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "hub/hub_internal.h"

static const char *const result_members[] = {"id",     "pipeline", "window_start", "window_end",  "key",
                                             "values", "emit",     "revision",     "merged_into", "receipt",
                                             NULL};

/* --- answers --- */

static void send_payload(struct hub_client *client, struct buffer *payload)
{
    struct buffer bytes = {0};
    hub_append_text_frame(&bytes, buffer_slice(payload));
    buffer_deinit(payload);
    struct frame *frame = frame_from_buffer(&bytes);
    hub_client_push(client, frame, 0);
    frame_release(frame);
}

static int64_t timestamp_ms(const struct hub *hub)
{
    return hub->wall_now_us / MICROSECONDS_PER_MILLISECOND;
}

/* `data`: members of the object. */
static void send_answer(struct hub_client *client, const char *type, const char *subscription_id,
                        struct slice data)
{
    struct buffer payload = {0};
    buffer_format(&payload, "{\"type\":\"%s\",", type);
    if (subscription_id) {
        buffer_append_text(&payload, "\"subscription_id\":");
        buffer_json_string(&payload, slice_of(subscription_id));
        buffer_append_char(&payload, ',');
    }
    buffer_format(&payload, "\"timestamp\":%lld,\"data\":{", (long long)timestamp_ms(client->hub));
    buffer_append_slice(&payload, data);
    buffer_append_text(&payload, "},\"metadata\":{}}");
    send_payload(client, &payload);
}

static void send_error(struct hub_client *client, const char *format, ...) PRINTF_LIKE(2, 3);
static void send_error(struct hub_client *client, const char *format, ...)
{
    char text[HUB_REASON_SIZE + 100];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct buffer data = {0};
    buffer_append_text(&data, "\"error\":");
    buffer_json_string(&data, slice_of(text));
    send_answer(client, "error", NULL, buffer_slice(&data));
    buffer_deinit(&data);
}

void hub_send_confirmation(struct hub_subscription *subscription, const bool *recovered)
{
    const struct hub_group *group = subscription->group;
    struct buffer data = {0};
    buffer_format(&data, "\"status\":\"subscribed\",\"subscription_type\":\"%s\"",
                  subscription_type_name(group->type));
    if (recovered)
        buffer_format(&data, ",\"recovered\":%s", *recovered ? "true" : "false");
    send_answer(subscription->client, "data", group->id, buffer_slice(&data));
    buffer_deinit(&data);
}

/* --- subscribe --- */

static const struct native_json_node *member(const struct hub_document *message,
                                             const struct native_json_node *object, const char *name)
{
    const struct native_json_node *node = hub_document_member(message, object, slice_of(name));
    return node && node->event != NATIVE_JSON_NULL ? node : NULL;
}

static bool read_type(const struct native_json_node *node, enum subscription_type *type)
{
    for (int i = 0; node && node->event == NATIVE_JSON_STRING && i < SUBSCRIBE_TYPE_COUNT; i++) {
        if (slice_equal_text(hub_node_text(node), subscription_type_name((enum subscription_type)i))) {
            *type = (enum subscription_type)i;
            return true;
        }
    }
    return false;
}

static bool read_flag(const struct hub_document *message, const struct native_json_node *data,
                      const char *name, bool *flag, char reason[HUB_REASON_SIZE])
{
    const struct native_json_node *node = member(message, data, name);
    *flag = node && node->event == NATIVE_JSON_TRUE;
    if (!node || *flag || node->event == NATIVE_JSON_FALSE)
        return true;
    snprintf(reason, HUB_REASON_SIZE, "%s must be true or false", name);
    return false;
}

/* "250ms", "1s"; a number alone has no unit and is refused. */
static bool read_duration(struct slice text, int64_t *duration_us)
{
    static const struct {
        const char *unit;
        int64_t us;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}};
    int64_t value = 0;
    size_t at = 0;
    for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9' && value <= HUB_CONFLATE_MAX_US;
         at++)
        value = value * 10 + (text.data[at] - '0');
    struct slice unit = {text.data + at, text.size - at};
    for (size_t i = 0; at > 0 && i < sizeof units / sizeof *units; i++) {
        if (slice_equal_text(unit, units[i].unit)) {
            *duration_us = value * units[i].us;
            return *duration_us > 0 && *duration_us <= HUB_CONFLATE_MAX_US;
        }
    }
    return false;
}

static bool read_conflate(const struct hub_document *message, const struct native_json_node *data,
                          struct hub_request *request, char reason[HUB_REASON_SIZE])
{
    const struct native_json_node *node = member(message, data, "conflate");
    if (!node)
        return true;
    if (node->event != NATIVE_JSON_STRING || !read_duration(hub_node_text(node), &request->conflate_us)) {
        snprintf(reason, HUB_REASON_SIZE, "conflate must be a duration such as \"250ms\", at most \"%ds\"",
                 HUB_CONFLATE_MAX_US / MICROSECONDS_PER_SECOND);
        return false;
    }
    if (request->type != SUBSCRIBE_AGGREGATIONS) {
        snprintf(reason, HUB_REASON_SIZE,
                 "conflate is for aggregations: %s have no key to keep the newest of",
                 subscription_type_name(request->type));
        return false;
    }
    return true;
}

static bool read_number(struct slice text, size_t *at, uint64_t *number)
{
    size_t begin = *at;
    *number = 0;
    for (; *at < text.size && text.data[*at] >= '0' && text.data[*at] <= '9'; ++*at) {
        unsigned digit = (unsigned)(text.data[*at] - '0');
        if (*number > (UINT64_MAX - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return *at > begin;
}

static bool read_position(struct slice text, struct hub_position *position)
{
    size_t at = 0;
    if (!read_number(text, &at, &position->boot_id) || at == text.size || text.data[at++] != '-')
        return false;
    return read_number(text, &at, &position->sequence) && at == text.size;
}

static bool read_since(const struct hub_document *message, const struct native_json_node *data,
                       struct hub_request *request, char reason[HUB_REASON_SIZE])
{
    const struct native_json_node *node = member(message, data, "since");
    if (!node)
        return true;
    if (node->event != NATIVE_JSON_STRING) {
        snprintf(reason, HUB_REASON_SIZE, "since must be the text of a metadata.position");
        return false;
    }
    request->wants_since = true;
    request->has_position = read_position(hub_node_text(node), &request->since);
    return true;
}

static bool read_where(const struct hub_document *message, const struct native_json_node *data,
                       struct hub_request *request, const char *const *roots, char reason[HUB_REASON_SIZE])
{
    const struct native_json_node *node = member(message, data, "where");
    if (!node)
        return true;
    if (node->event != NATIVE_JSON_STRING) {
        snprintf(reason, HUB_REASON_SIZE, "where must be an expression in a string");
        return false;
    }
    return !hub_filter_set_where(request->filter, hub_node_text(node), roots, reason);
}

static void add_topic(struct hub_request *request, uint32_t topic)
{
    for (uint32_t i = 0; i < request->topic_count; i++) {
        if (request->topics[i] == topic)
            return;
    }
    request->topics[request->topic_count++] = topic;
}

/* Pipelines that the filter on `pipeline` lets through. */
static void choose_pipelines(const struct hub *hub, struct hub_request *request)
{
    const struct filter_condition *condition = hub_filter_condition(request->filter, "pipeline");
    request->topics = memory_allocate_array(hub->options.pipeline_count + 1, sizeof *request->topics);
    for (uint32_t i = 0; i < hub->options.pipeline_count; i++) {
        if (!condition || filter_condition_takes(condition, slice_of(hub->options.pipelines[i])))
            add_topic(request, i);
    }
}

static bool add_source(const struct hub *hub, struct hub_request *request,
                       const struct native_json_node *node)
{
    for (uint32_t i = 0; node->event == NATIVE_JSON_STRING && i < hub->options.source_count; i++) {
        if (slice_equal_text(hub_node_text(node), hub->options.sources[i])) {
            add_topic(request, i);
            return true;
        }
    }
    return false;
}

/* `source`: one name or an array of them; all sources without it. */
static bool choose_sources(const struct hub *hub, const struct hub_document *message,
                           const struct native_json_node *data, struct hub_request *request,
                           char reason[HUB_REASON_SIZE])
{
    const struct native_json_node *node = member(message, data, "source");
    request->topics = memory_allocate_array(hub->options.source_count + 1, sizeof *request->topics);
    bool is_known = true;
    if (!node) {
        for (uint32_t i = 0; i < hub->options.source_count; i++)
            add_topic(request, i);
    } else if (node->event != NATIVE_JSON_ARRAY_BEGIN) {
        is_known = add_source(hub, request, node);
    } else {
        for (node++; is_known && node->event != NATIVE_JSON_ARRAY_END;
             node = hub_document_after(message, node))
            is_known = add_source(hub, request, node);
    }
    if (!is_known)
        snprintf(reason, HUB_REASON_SIZE, "source must be the name of a source or an array of names");
    return is_known;
}

static bool read_request(struct hub *hub, const struct native_json_node *data, struct hub_request *request,
                         char reason[HUB_REASON_SIZE])
{
    const struct hub_document *message = &hub->message;
    if (!data || data->event != NATIVE_JSON_OBJECT_BEGIN) {
        snprintf(reason, HUB_REASON_SIZE, "subscribe needs data: an object with a type");
        return false;
    }
    if (!read_type(member(message, data, "type"), &request->type)) {
        snprintf(reason, HUB_REASON_SIZE,
                 "data.type must be events, metrics, alerts, predictions, aggregations or system_status");
        return false;
    }
    const char *const *roots = request->type == SUBSCRIBE_AGGREGATIONS ? result_members : NULL;
    const struct native_json_node *filters = member(message, data, "filters");
    if (filters && hub_filter_read(request->filter, message, filters, roots, reason))
        return false;
    if (!read_where(message, data, request, roots, reason) ||
        !read_conflate(message, data, request, reason) || !read_since(message, data, request, reason) ||
        !read_flag(message, data, "snapshot", &request->wants_snapshot, reason) ||
        !read_flag(message, data, "batch", &request->is_batched, reason))
        return false;
    if (request->type == SUBSCRIBE_AGGREGATIONS)
        choose_pipelines(hub, request);
    return request->type != SUBSCRIBE_EVENTS || choose_sources(hub, message, data, request, reason);
}

static void subscribe(struct hub_client *client, const struct native_json_node *data)
{
    if (client->subscription_count == HUB_CLIENT_SUBSCRIPTIONS_MAX) {
        send_error(client, "too many subscriptions: a client can have %d", HUB_CLIENT_SUBSCRIPTIONS_MAX);
        return;
    }
    char reason[HUB_REASON_SIZE];
    struct hub_request request = {.filter = hub_filter_create()};
    if (read_request(client->hub, data, &request, reason)) {
        struct hub_subscription *subscription = hub_group_join(client->hub, client, &request);
        hub_subscription_start(subscription, &request);
    } else {
        send_error(client, "%s", reason);
    }
    hub_filter_destroy(request.filter);
    free(request.topics);
}

/* --- the other messages --- */

static void unsubscribe(struct hub_client *client, const struct native_json_node *data)
{
    const struct native_json_node *id = data ? member(&client->hub->message, data, "subscription_id") : NULL;
    if (!id || id->event != NATIVE_JSON_STRING) {
        send_error(client, "unsubscribe needs data.subscription_id");
        return;
    }
    for (uint32_t i = 0; i < client->subscription_count; i++) {
        struct hub_subscription *subscription = client->subscriptions[i];
        if (!slice_equal_text(hub_node_text(id), subscription->group->id))
            continue;
        struct buffer answer = {0};
        buffer_format(&answer, "\"status\":\"unsubscribed\",\"subscription_type\":\"%s\"",
                      subscription_type_name(subscription->group->type));
        send_answer(client, "data", subscription->group->id, buffer_slice(&answer));
        buffer_deinit(&answer);
        hub_subscription_destroy(subscription);
        return;
    }
    send_error(client, "no subscription has this id");
}

static void answer_auth(struct hub_client *client)
{
    struct buffer data = {0};
    buffer_format(&data, "\"client_id\":\"%s\",\"user_id\":\"anonymous\",\"session_id\":\"%s\"", client->id,
                  client->id);
    send_answer(client, "auth_success", NULL, buffer_slice(&data));
    buffer_deinit(&data);
}

/* Accepts at most the limit in any minute; refused messages do not count. */
static bool take_from_rate(struct hub_client *client)
{
    enum { MINUTE_US = 60 * 1000 * 1000 };
    uint32_t limit = client->hub->options.rate_limit_per_minute;
    if (limit == 0)
        return true;
    uint32_t capacity = client->message_time_capacity;
    while (client->message_time_count > 0 &&
           client->message_times[client->message_time_first] <= client->hub->now_us - MINUTE_US) {
        client->message_time_first = (client->message_time_first + 1) % capacity;
        client->message_time_count--;
    }
    if (client->message_time_count >= limit)
        return false;
    if (client->message_time_count == capacity) {
        uint32_t grown = capacity ? 2 * capacity : 16;
        int64_t *times = memory_allocate_array(grown, sizeof *times);
        for (uint32_t i = 0; i < capacity; i++)
            times[i] = client->message_times[(client->message_time_first + i) % capacity];
        free(client->message_times);
        client->message_times = times;
        client->message_time_first = 0;
        client->message_time_capacity = capacity = grown;
    }
    client->message_times[(client->message_time_first + client->message_time_count++) % capacity] =
        client->hub->now_us;
    return true;
}

static void answer_message(struct hub_client *client)
{
    struct hub_document *message = &client->hub->message;
    const char *trouble = NULL;
    const struct native_json_node *root = hub_document_root(message, &trouble);
    if (!root) {
        send_error(client, "the message is not valid JSON: %s", trouble);
        return;
    }
    const struct native_json_node *type = member(message, root, "type");
    if (!type || type->event != NATIVE_JSON_STRING) {
        send_error(client, "a message is an object with a type: auth, subscribe, unsubscribe or ping");
        return;
    }
    struct slice name = hub_node_text(type);
    const struct native_json_node *data = member(message, root, "data");
    if (slice_equal_text(name, "ping"))
        send_answer(client, "pong", NULL, (struct slice){0});
    else if (slice_equal_text(name, "subscribe"))
        subscribe(client, data);
    else if (slice_equal_text(name, "unsubscribe"))
        unsubscribe(client, data);
    else if (slice_equal_text(name, "auth"))
        answer_auth(client);
    else
        send_error(client, "unknown message type \"%.*s\": known are auth, subscribe, unsubscribe and ping",
                   (int)(name.size < 100 ? name.size : 100), name.data);
}

void hub_client_message(struct hub_client *client, struct slice text, int64_t now_us, int64_t wall_now_us)
{
    struct hub *hub = client->hub;
    if (client->is_closed)
        return;
    hub->now_us = now_us;
    hub->wall_now_us = wall_now_us;
    if (take_from_rate(client)) {
        hub_document_set(&hub->message, text);
        answer_message(client);
    } else {
        send_error(client, "Rate limit exceeded");
    }
    hub_reap(hub);
}
