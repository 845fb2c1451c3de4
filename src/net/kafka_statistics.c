/* The text describes every partition of every topic and may have megabytes, of which some hundred bytes are wanted:
 *
 *   { ..., "brokers":{ NAME:{..., "rtt":{..., "p50":n, ...}} }, "topics":{ ... }, "cgrp": { "state": "up", ... }, ... }
 *          └── cut out and parsed ───────────────────────┘                       └── cut out and parsed ──┘
 *
 * A name in quotes with its colon is found by searching bytes, since a quote within a string of JSON is never bare. */
#include "net/kafka_statistics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/json_find.h"
#include "base/memory.h"

enum { STATISTICS_DEPTH = 16 };

struct kafka_statistics {
    /* Of who adds. */
    struct native_json *json;
    struct buffer text; /* a part, with the bytes behind it that the parser wants */
    pthread_mutex_t lock;
    struct kafka_figures figures; /* under the lock */
};

struct kafka_statistics *kafka_statistics_create(void)
{
    struct kafka_statistics *statistics = memory_allocate(sizeof *statistics);
    statistics->json = native_json_create(KAFKA_BROKERS_MAX_SIZE);
    pthread_mutex_init(&statistics->lock, NULL);
    return statistics;
}

void kafka_statistics_destroy(struct kafka_statistics *statistics)
{
    if (!statistics)
        return;
    native_json_destroy(statistics->json);
    buffer_deinit(&statistics->text);
    pthread_mutex_destroy(&statistics->lock);
    free(statistics);
}

static const char *find_text(struct slice in, const char *part)
{
    return in.size ? memmem(in.data, in.size, part, strlen(part)) : NULL;
}

/* The object behind `name`: up to the last brace before `next`, or up to the first one where `next` is NULL. Empty: there is none. */
static struct slice cut_object(struct slice text, const char *name, const char *next)
{
    struct slice none = {0};
    const char *begin = find_text(text, name);
    if (!begin)
        return none;
    struct slice rest = {begin, (size_t)(text.data + text.size - begin)};
    begin = memchr(rest.data, '{', rest.size);
    const char *end = next ? find_text(rest, next) : rest.data + rest.size;
    if (!begin || !end || end < begin)
        return none;
    const char *brace =
        next ? memrchr(begin, '}', (size_t)(end - begin)) : memchr(begin, '}', (size_t)(end - begin));
    return brace ? (struct slice){begin, (size_t)(brace + 1 - begin)} : none;
}

static bool parse(struct kafka_statistics *statistics, struct slice part,
                  struct native_json_document *document)
{
    if (!part.size || part.size > KAFKA_BROKERS_MAX_SIZE)
        return false;
    buffer_clear(&statistics->text);
    buffer_append_slice(&statistics->text, part);
    memset(buffer_reserve(&statistics->text, NATIVE_JSON_PADDING), 0, NATIVE_JSON_PADDING);
    return native_json_parse(statistics->json, statistics->text.data, statistics->text.size, STATISTICS_DEPTH,
                             document) == NATIVE_JSON_OK;
}

static int64_t count_of(const struct native_json_document *document, const struct native_json_node *object,
                        const char *name)
{
    double value = json_find_number(document, object, name, 0);
    return value > 0 && value < 1e15 ? (int64_t)value : 0;
}

/* The library's histogram leaves out what it did not expect, so a quantile may lie beside all values that there were. */
static int64_t quantile_of(const struct native_json_document *document, const struct native_json_node *times,
                           const char *name)
{
    int64_t value = count_of(document, times, name), smallest = count_of(document, times, "min"),
            largest = count_of(document, times, "max");
    if (value < smallest)
        return smallest;
    return largest >= smallest && largest > 0 && value > largest ? largest : value;
}

static const struct kafka_broker_figures *find_broker(const struct kafka_figures *figures, const char *name)
{
    for (uint32_t i = 0; i < figures->broker_count; i++) {
        if (strcmp(figures->brokers[i].name, name) == 0)
            return &figures->brokers[i];
    }
    return NULL;
}

/* What was known of it before, and this interval. False: it has never answered. */
static bool read_broker(const struct native_json_document *document, const struct native_json_node *key,
                        const struct kafka_figures *before, struct kafka_broker_figures *broker)
{
    *broker = (struct kafka_broker_figures){.p50_us = -1, .p99_us = -1};
    snprintf(broker->name, sizeof broker->name, "%.*s", (int)key->size, key->value.text);
    const struct kafka_broker_figures *known = find_broker(before, broker->name);
    if (known)
        *broker = *known;
    const struct native_json_node *times = json_find(document, key + 1, "rtt");
    int64_t count = count_of(document, times, "cnt");
    if (count > 0) {
        broker->answer_count += (uint64_t)count;
        broker->answer_time_us += count_of(document, times, "sum");
        broker->p50_us = quantile_of(document, times, "p50");
        broker->p99_us = quantile_of(document, times, "p99");
    }
    return broker->answer_count > 0;
}

static void read_brokers(const struct native_json_document *document, const struct kafka_figures *before,
                         struct kafka_figures *now)
{
    for (const struct native_json_node *key = json_first(document->nodes);
         key && now->broker_count < KAFKA_FIGURES_BROKERS_MAX; key = json_next(document, key)) {
        if (read_broker(document, key, before, &now->brokers[now->broker_count]))
            now->broker_count++;
    }
}

/* Between rebalances librdkafka's join state is "steady", whichever protocol the group has. */
static bool read_membership(const struct native_json_document *document)
{
    return slice_equal_text(json_find_text(document, document->nodes, "state"), "up") &&
           slice_equal_text(json_find_text(document, document->nodes, "join_state"), "steady");
}

void kafka_statistics_add(struct kafka_statistics *statistics, const char *json, size_t size)
{
    struct slice text = {json, size};
    struct native_json_document document;
    struct kafka_figures *now = memory_allocate(sizeof *now);
    /* Only this thread writes the figures, so it may read them without the lock. */
    if (parse(statistics, cut_object(text, "\"brokers\":", "\"topics\":"), &document)) {
        read_brokers(&document, &statistics->figures, now);
        now->is_known = true;
    }
    const char *topics = find_text(text, "\"topics\":");
    struct slice behind = topics ? (struct slice){topics, (size_t)(json + size - topics)} : text;
    if (parse(statistics, cut_object(behind, "\"cgrp\":", NULL), &document))
        now->is_member = read_membership(&document);
    if (now->is_known) {
        pthread_mutex_lock(&statistics->lock);
        statistics->figures = *now;
        pthread_mutex_unlock(&statistics->lock);
    }
    free(now);
}

void kafka_statistics_figures(struct kafka_statistics *statistics, struct kafka_figures *out)
{
    pthread_mutex_lock(&statistics->lock);
    *out = statistics->figures;
    pthread_mutex_unlock(&statistics->lock);
}

int64_t kafka_figures_round_trip_us(const struct kafka_figures *figures)
{
    int64_t slowest_us = -1;
    for (uint32_t i = 0; i < figures->broker_count; i++) {
        const struct kafka_broker_figures *broker = &figures->brokers[i];
        if (strcmp(broker->name, "GroupCoordinator") == 0 && broker->p50_us >= 0)
            return broker->p50_us;
        if (broker->p50_us > slowest_us)
            slowest_us = broker->p50_us;
    }
    return slowest_us;
}
