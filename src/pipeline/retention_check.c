/* Whether the topics of a group keep their events for long enough: open windows are built again from the topic, so an event has to be
 * there until its window is closed and can no longer be revised. Looked at once for each topic, when partitions are taken up.
 *
 *   event ──▶ window ends ──▶ watermark passes ──▶ no late event is accepted any more
 *      `- size -´  `- max_out_of_orderness -´  `- allowed_lateness -´            needed in all
 *
 * Where other pipelines read the results, the windows of those count instead of the lateness, if they take longer.
 *
 * What cannot be found out stops nobody: weir may have no right to see the settings of a topic. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "config/options.h"
#include "net/kafka_admin.h"
#include "pipeline/membership_internal.h"

enum {
    DESCRIBE_TIMEOUT_US = 5 * 1000 * 1000,
    LOOK_INTERVAL_US = 5 * 1000 * 1000, /* between looks at topics that were refused */
};

struct retention_check {
    const char **passed; /* topics, by name; the consumer's own texts */
    uint32_t passed_count;
    int64_t next_look_us;
    bool is_refused, has_failed;
    struct error refusal;
};

struct need {
    const struct config_source *source;
    const struct config_pipeline
        *pipeline; /* of the source: the one that needs events for longest; NULL = none */
    int64_t time_us;
};

static int by_name(const void *left, const void *right)
{
    const struct kafka_topic_info *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static bool has_passed(const struct retention_check *check, const char *topic)
{
    return check->passed_count &&
           bsearch(&topic, check->passed, check->passed_count, sizeof *check->passed, compare_names);
}

/* Each topic once, by name. */
static void gather(struct kafka_topics *topics, const struct kafka_partition *known, uint32_t count)
{
    struct kafka_topic_info *items =
        arena_allocate_zeroed(&topics->arena, sizeof *items * ((size_t)count + 1));
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || known[i].topic != known[i - 1].topic)
            items[found++].name = known[i].topic;
    }
    qsort(items, found, sizeof *items, by_name);
    topics->topics = items;
    for (uint32_t i = 0; i < found; i++) {
        if (i == 0 || strcmp(items[i].name, items[topics->topic_count - 1].name) != 0)
            items[topics->topic_count++] = items[i];
    }
}

static const struct kafka_topic_info *find_topic(const struct kafka_topics *topics, const char *name)
{
    const struct kafka_topic_info key = {.name = name};
    return bsearch(&key, topics->topics, topics->topic_count, sizeof key, by_name);
}

/* --- what is needed ------------------------------------------------------------------------------------------------ */

static int64_t add(int64_t left_us, int64_t right_us)
{
    return left_us > TIME_MAX - right_us ? TIME_MAX : left_us + right_us;
}

/* How long the events of a window are needed while it is open. */
static int64_t window_span(const struct config_pipeline *pipeline)
{
    const struct config_window *window = &pipeline->window;
    switch (window->kind) {
    case CONFIG_WINDOW_SESSION: return add(window->max_duration_us, window->gap_us);
    case CONFIG_WINDOW_GLOBAL: return TIME_MAX;
    default: return add(window->size_us, window_memory_us(pipeline->emit_empty, window->size_us));
    }
}

/* For how long its results stay in open windows of pipelines that read it. */
static int64_t time_below(const struct config *config, uint32_t pipeline_index)
{
    int64_t longest_us = 0;
    for (uint32_t p = 0; p < config->pipeline_count && config->pipelines[pipeline_index].is_read; p++) {
        const struct config_pipeline *pipeline = &config->pipelines[p];
        for (uint32_t u = 0; u < pipeline->upstream_count; u++) {
            if (pipeline->upstreams[u] != pipeline_index)
                continue;
            int64_t time_us = add(window_span(pipeline), time_below(config, p));
            longest_us = time_us > longest_us ? time_us : longest_us;
        }
    }
    return longest_us;
}

static struct need need_of_source(const struct config *config, uint32_t source_index)
{
    const struct config_source *source = &config->sources[source_index];
    struct need need = {.source = source};
    for (uint32_t p = 0; p < config->pipeline_count; p++) {
        const struct config_pipeline *pipeline = &config->pipelines[p];
        int64_t below_us = time_below(config, p), late_us = pipeline->allowed_lateness_us;
        int64_t time_us = add(add(window_span(pipeline), source->max_out_of_orderness_us),
                              below_us > late_us ? below_us : late_us);
        for (uint32_t s = 0; s < pipeline->source_count; s++) {
            if (pipeline->sources[s] == source_index && time_us > need.time_us) {
                need.pipeline = pipeline;
                need.time_us = time_us;
            }
        }
    }
    return need;
}

/* --- what there is ------------------------------------------------------------------------------------------------- */

static enum status describe(const struct membership *membership, struct kafka_topics *topics,
                            struct error *error)
{
    const struct config_kafka_source *source =
        &membership->engine->config->sources[membership->source_indices[0]].kafka;
    struct kafka_settings settings = {.count = 0};
    kafka_connection_settings(&source->connection, &topics->arena, &settings);
    kafka_admin_prepare(&settings);
    /* The one group that weir has a right to for certain. */
    kafka_settings_set(&settings, "group.id", membership->group, "weir");
    const struct kafka_client_options quiet = {
        .is_consumer = true, .is_quiet = true, .settings = &settings, .name = "retention"};
    struct kafka_client *client = NULL;
    enum status status = kafka_client_create(&quiet, &client, error);
    if (status != STATUS_OK)
        return status;
    struct kafka_admin *admin = kafka_admin_create(client, DESCRIBE_TIMEOUT_US);
    status = kafka_admin_read_configs(admin, topics, error);
    kafka_admin_destroy(admin);
    kafka_client_destroy(client);
    return status;
}

/* Of the settings alone: -1 = for ever. */
static int64_t retention_ms(const struct kafka_topic_info *topic)
{
    bool is_deleted = !topic->cleanup_policy || strstr(topic->cleanup_policy, "delete");
    return topic->retention_ms && is_deleted ? strtoll(topic->retention_ms, NULL, 10) : -1;
}

static bool is_too_short(const struct kafka_topic_info *topic, const struct need *need)
{
    int64_t ms = retention_ms(topic);
    return ms >= 0 && ms < need->time_us / 1000 + (need->time_us % 1000 > 0);
}

static void explain(struct arena *arena, const struct kafka_topic_info *topic, const struct need *need,
                    struct error *error)
{
    if (need->time_us == TIME_MAX) {
        error_set(
            error,
            "topic %s keeps events for %s (retention.ms=%s), but pipeline %s has a global window, which needs all events that "
            "there were: after a crash it could not be built again. Give the topic retention.ms=-1 "
            "(kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config), or take windows that close",
            topic->name, duration_text(arena, retention_ms(topic) * 1000), topic->retention_ms,
            need->pipeline->name, topic->name);
        return;
    }
    int64_t needed_ms = (need->time_us + 999) / 1000;
    error_set(
        error,
        "topic %s keeps events for %s (retention.ms=%s), but pipeline %s needs them for %s (window %s + allowed_lateness %s "
        "+ max_out_of_orderness %s): after a crash its open windows could not be built again. Give the topic "
        "retention.ms=%" PRId64
        " or more (kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config), or "
        "shorten the window",
        topic->name, duration_text(arena, retention_ms(topic) * 1000), topic->retention_ms,
        need->pipeline->name, duration_text(arena, need->time_us),
        duration_text(arena, window_span(need->pipeline)),
        duration_text(arena, need->pipeline->allowed_lateness_us),
        duration_text(arena, need->source->max_out_of_orderness_us), needed_ms, topic->name);
}

static void warn(const struct membership *membership, const struct kafka_topic_info *topic)
{
    if (!topic->retention_ms)
        log_write(
            LOG_WARN, "kafka",
            "group %s: the settings of topic %s cannot be seen, so it is not known whether it keeps events for long enough; "
            "the right DescribeConfigs on the topic lets weir look",
            membership->group, topic->name);
    else if (topic->cleanup_policy && strstr(topic->cleanup_policy, "compact"))
        log_write(
            LOG_WARN, "kafka",
            "group %s: topic %s has cleanup.policy=%s: of records with the same key only the newest is kept, so events of open "
            "windows may be gone when they are built again; cleanup.policy=delete keeps them",
            membership->group, topic->name, topic->cleanup_policy);
}

/* --- looking ------------------------------------------------------------------------------------------------------- */

static enum status judge(const struct membership *membership, const struct kafka_partition *known,
                         uint32_t count, struct kafka_topics *topics, struct error *error)
{
    const struct retention_check *check = membership->retention;
    for (uint32_t i = 0; i < count; i++) {
        bool is_next = i > 0 && known[i].topic == known[i - 1].topic &&
                       known[i].source_index == known[i - 1].source_index;
        if (is_next || has_passed(check, known[i].topic))
            continue; /* another partition of the same topic */
        struct need need = need_of_source(membership->engine->config, known[i].source_index);
        const struct kafka_topic_info *topic = find_topic(topics, known[i].topic);
        if (!need.pipeline || !is_too_short(topic, &need))
            continue;
        explain(&topics->arena, topic, &need, error);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static void pass(const struct membership *membership, const struct kafka_topics *topics)
{
    struct retention_check *check = membership->retention;
    const char **passed = memory_allocate_array(topics->topic_count + 1, sizeof *passed);
    for (uint32_t i = 0; i < topics->topic_count; i++) {
        passed[i] = topics->topics[i].name;
        if (!has_passed(check, passed[i]))
            warn(membership, &topics->topics[i]);
    }
    free(check->passed);
    check->passed = passed;
    check->passed_count = topics->topic_count;
}

static enum status look(struct membership *membership, const struct kafka_partition *known, uint32_t count,
                        struct kafka_topics *topics, struct error *error)
{
    struct retention_check *check = membership->retention;
    struct error reason = {{0}};
    if (describe(membership, topics, &reason) != STATUS_OK) {
        if (!check->has_failed)
            log_write(LOG_WARN, "kafka",
                      "group %s: whether its topics keep events for long enough could not be found out: %s",
                      membership->group, reason.text);
        check->has_failed = true;
        return STATUS_OK; /* they are looked at when partitions are taken up the next time */
    }
    enum status status = judge(membership, known, count, topics, error);
    if (status == STATUS_OK)
        pass(membership, topics);
    return status;
}

enum status retention_check(struct membership *membership, const struct kafka_partition *known,
                            uint32_t count, struct error *error)
{
    if (!membership->retention)
        membership->retention = memory_allocate(sizeof *membership->retention);
    struct retention_check *check = membership->retention;
    int64_t now_us = clock_monotonic_us(membership->engine->clock);
    if (check->is_refused && now_us < check->next_look_us) {
        *error = check->refusal;
        return STATUS_INVALID;
    }
    struct kafka_topics topics = {.topic_count = 0};
    arena_init(&topics.arena, 0);
    gather(&topics, known, count);
    bool is_known = true;
    for (uint32_t i = 0; i < topics.topic_count && is_known; i++)
        is_known = has_passed(check, topics.topics[i].name);
    enum status status = is_known ? STATUS_OK : look(membership, known, count, &topics, error);
    check->is_refused = status != STATUS_OK;
    if (check->is_refused) {
        check->refusal = *error;
        check->next_look_us = now_us + LOOK_INTERVAL_US;
    }
    arena_deinit(&topics.arena);
    return status;
}

void retention_check_destroy(struct membership *membership)
{
    if (membership->retention)
        free(membership->retention->passed);
    free(membership->retention);
}
