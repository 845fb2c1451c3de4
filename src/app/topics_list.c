/* weir topics list: what a cluster has, and how far a group is behind, in records and in time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/commands.h"
#include "app/text_table.h"
#include "app/top_view.h"
#include "app/topics_cluster.h"
#include "base/clock.h"

static const char command_name[] = "weir topics list";

struct list {
    struct topics_place place;
    const char *group, *format;
    struct argument_list words;
    const char *names[ARGUMENTS_LIST_MAX];
    struct topics_cluster cluster;
    struct kafka_topics topics;
    int64_t now_ms;
    struct buffer out;
};

/* --- what is known of a topic -------------------------------------------------------------------------------------- */

static int64_t lag_of(const struct kafka_partition_info *partition)
{
    if (partition->committed == KAFKA_OFFSET_NONE || partition->latest == KAFKA_OFFSET_NONE)
        return -1;
    return partition->latest > partition->committed ? partition->latest - partition->committed : 0;
}

/* Milliseconds; -1 = not known. */
static int64_t lag_time_of(const struct list *list, const struct kafka_partition_info *partition)
{
    if (lag_of(partition) == 0)
        return 0;
    if (partition->committed_time_ms < 0)
        return -1;
    return list->now_ms > partition->committed_time_ms ? list->now_ms - partition->committed_time_ms : 0;
}

struct sums {
    uint32_t replicas, in_sync;        /* the smallest over the partitions */
    int64_t records, lag, lag_time_ms; /* lag: sum, lag time: largest; -1 = not known of any */
    bool has_committed;
};

static struct sums sums_of(const struct list *list, const struct kafka_topic_info *topic)
{
    struct sums sums = {.replicas = UINT32_MAX, .in_sync = UINT32_MAX, .lag = -1, .lag_time_ms = -1};
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const struct kafka_partition_info *partition = &topic->partitions[i];
        int64_t lag = lag_of(partition), lag_time_ms = lag_time_of(list, partition);
        sums.replicas = partition->replica_count < sums.replicas ? partition->replica_count : sums.replicas;
        sums.in_sync = partition->in_sync_count < sums.in_sync ? partition->in_sync_count : sums.in_sync;
        sums.records += partition->latest > partition->earliest ? partition->latest - partition->earliest : 0;
        sums.lag = lag < 0 ? sums.lag : sums.lag < 0 ? lag : sums.lag + lag;
        sums.lag_time_ms = lag_time_ms > sums.lag_time_ms ? lag_time_ms : sums.lag_time_ms;
        sums.has_committed |= partition->committed != KAFKA_OFFSET_NONE;
    }
    if (!topic->partition_count)
        sums.replicas = sums.in_sync = 0;
    return sums;
}

/* With a group and no names: what the group reads. */
static bool is_shown(const struct list *list, const struct kafka_topic_info *topic)
{
    return !list->group || list->place.name_count || sums_of(list, topic).has_committed;
}

/* --- for people ---------------------------------------------------------------------------------------------------- */

static void duration_cell(struct text_table *table, int64_t ms)
{
    char text[32] = "-";
    if (ms >= 0)
        top_write_duration((double)ms, text, sizeof text);
    text_table_add(table, "%s", text);
}

static void retention_cell(struct text_table *table, const struct kafka_topic_info *topic)
{
    int64_t ms = topic->retention_ms ? strtoll(topic->retention_ms, NULL, 10) : -2;
    int64_t size = topic->retention_bytes ? strtoll(topic->retention_bytes, NULL, 10) : -1;
    char text[64] = "-";
    if (ms == -1)
        snprintf(text, sizeof text, "for ever");
    else if (ms >= 0)
        top_write_duration((double)ms, text, sizeof text);
    if (size >= 0)
        text_table_add(table, "%s, %lld MiB a partition", text, (long long)(size / (1024 * 1024)));
    else
        text_table_add(table, "%s", text);
}

static void ids_cell(struct text_table *table, const int32_t *ids, uint32_t count)
{
    char text[256] = "-";
    size_t used = 0;
    for (uint32_t i = 0; i < count && used + 16 < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d", i ? "," : "", ids[i]);
    text_table_add(table, "%s", text);
}

static void time_cell(struct text_table *table, int64_t ms)
{
    char text[32] = "-";
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (ms >= 0 && gmtime_r(&seconds, &parts))
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    text_table_add(table, "%s", text);
}

static void write_overview(struct list *list)
{
    static const char *const titles[] = {"TOPIC",     "PARTITIONS", "REPLICAS", "IN SYNC",
                                         "RETENTION", "CLEANUP",    "RECORDS",  NULL};
    struct text_table table;
    text_table_init(&table, titles);
    for (uint32_t i = 0; i < list->topics.topic_count; i++) {
        const struct kafka_topic_info *topic = &list->topics.topics[i];
        struct sums sums = sums_of(list, topic);
        text_table_add(&table, "%s", topic->name);
        text_table_add_number(&table, topic->partition_count);
        text_table_add_number(&table, sums.replicas);
        text_table_add_number(&table, sums.in_sync);
        retention_cell(&table, topic);
        text_table_add(&table, "%s", topic->cleanup_policy ? topic->cleanup_policy : "-");
        text_table_add_number(&table, sums.records);
    }
    text_table_write(&table, &list->out);
    text_table_deinit(&table);
}

static void write_partitions(struct list *list, const struct kafka_topic_info *topic)
{
    static const char *const titles[] = {"PARTITION", "LEADER", "REPLICAS",      "IN SYNC",
                                         "EARLIEST",  "LATEST", "NEWEST RECORD", NULL};
    static const char *const group_titles[] = {
        "PARTITION",     "LEADER",    "REPLICAS", "IN SYNC",  "EARLIEST", "LATEST",
        "NEWEST RECORD", "COMMITTED", "LAG",      "LAG TIME", NULL};
    struct text_table table;
    text_table_init(&table, list->group ? group_titles : titles);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const struct kafka_partition_info *partition = &topic->partitions[i];
        text_table_add(&table, "%d", partition->id);
        text_table_add_number(&table, partition->leader);
        ids_cell(&table, partition->replicas, partition->replica_count);
        ids_cell(&table, partition->in_sync, partition->in_sync_count);
        text_table_add_number(&table, partition->earliest);
        text_table_add_number(&table, partition->latest);
        time_cell(&table, partition->newest_time_ms);
        if (!list->group)
            continue;
        text_table_add_number(&table, partition->committed);
        text_table_add_number(&table, lag_of(partition));
        duration_cell(&table, lag_time_of(list, partition));
    }
    text_table_write(&table, &list->out);
    text_table_deinit(&table);
}

static void write_topic(struct list *list, const struct kafka_topic_info *topic)
{
    struct sums sums = sums_of(list, topic);
    buffer_format(
        &list->out, "%s%s: cleanup.policy=%s retention.ms=%s retention.bytes=%s min.insync.replicas=%s",
        list->out.size ? "\n" : "", topic->name, topic->cleanup_policy ? topic->cleanup_policy : "-",
        topic->retention_ms ? topic->retention_ms : "-",
        topic->retention_bytes ? topic->retention_bytes : "-", topic->min_insync ? topic->min_insync : "-");
    if (list->group && sums.lag >= 0) {
        char text[32] = "-";
        if (sums.lag_time_ms >= 0)
            top_write_duration((double)sums.lag_time_ms, text, sizeof text);
        buffer_format(&list->out, "; group %s is %lld records and %s behind", list->group,
                      (long long)sums.lag, text);
    } else if (list->group) {
        buffer_format(&list->out, "; group %s has committed nothing here", list->group);
    }
    buffer_append_char(&list->out, '\n');
    write_partitions(list, topic);
}

static void write_text(struct list *list)
{
    if (!list->group && !list->place.name_count) {
        write_overview(list);
        return;
    }
    for (uint32_t i = 0; i < list->topics.topic_count; i++) {
        if (is_shown(list, &list->topics.topics[i]))
            write_topic(list, &list->topics.topics[i]);
    }
    if (!list->out.size)
        buffer_format(&list->out, "group %s has committed nothing in this cluster\n", list->group);
}

/* --- for machines -------------------------------------------------------------------------------------------------- */

static void json_number(struct buffer *out, const char *name, int64_t value)
{
    buffer_format(out, ",\"%s\":", name);
    if (value < 0)
        buffer_append_text(out, "null");
    else
        buffer_json_int(out, value);
}

static void json_ids(struct buffer *out, const char *name, const int32_t *ids, uint32_t count)
{
    buffer_format(out, ",\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++)
        buffer_format(out, "%s%d", i ? "," : "", ids[i]);
    buffer_append_char(out, ']');
}

static void json_text(struct buffer *out, const char *name, const char *text)
{
    buffer_format(out, ",\"%s\":", name);
    if (text)
        buffer_json_string(out, slice_of(text));
    else
        buffer_append_text(out, "null");
}

static void json_partition(struct list *list, const struct kafka_partition_info *partition)
{
    struct buffer *out = &list->out;
    buffer_format(out, "{\"partition\":%d", partition->id);
    json_number(out, "leader", partition->leader);
    json_ids(out, "replicas", partition->replicas, partition->replica_count);
    json_ids(out, "in_sync", partition->in_sync, partition->in_sync_count);
    json_number(out, "earliest", partition->earliest);
    json_number(out, "latest", partition->latest);
    json_number(out, "newest_time", partition->newest_time_ms);
    if (list->group) {
        int64_t lag_time_ms = lag_time_of(list, partition);
        json_number(out, "committed", partition->committed);
        json_number(out, "lag", lag_of(partition));
        buffer_append_text(out, ",\"lag_seconds\":");
        if (lag_time_ms < 0)
            buffer_append_text(out, "null");
        else
            buffer_json_double(out, (double)lag_time_ms / 1000);
    }
    buffer_append_char(out, '}');
}

static void write_json(struct list *list)
{
    struct buffer *out = &list->out;
    const char *comma = "";
    buffer_format(out, "{\"brokers\":%u", list->topics.broker_count);
    json_text(out, "group", list->group);
    buffer_append_text(out, ",\"topics\":[");
    for (uint32_t i = 0; i < list->topics.topic_count; i++) {
        const struct kafka_topic_info *topic = &list->topics.topics[i];
        if (!is_shown(list, topic))
            continue;
        struct sums sums = sums_of(list, topic);
        buffer_format(out, "%s{\"name\":\"%s\",\"replication_factor\":%u", comma, topic->name, sums.replicas);
        json_text(out, "cleanup_policy", topic->cleanup_policy);
        json_text(out, "retention_ms", topic->retention_ms);
        json_text(out, "retention_bytes", topic->retention_bytes);
        json_text(out, "min_insync_replicas", topic->min_insync);
        json_number(out, "records", sums.records);
        buffer_append_text(out, ",\"partitions\":[");
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            buffer_append_text(out, p ? "," : "");
            json_partition(list, &topic->partitions[p]);
        }
        buffer_append_text(out, "]}");
        comma = ",";
    }
    buffer_append_text(out, "]}\n");
}

/* --- the command --------------------------------------------------------------------------------------------------- */

static enum status read_all(struct list *list, struct error *error)
{
    struct topics_cluster *cluster = &list->cluster;
    enum status status =
        kafka_admin_read_topics(cluster->admin, list->names, list->place.name_count, &list->topics, error);
    if (status != STATUS_OK)
        return status;
    status = kafka_admin_read_configs(cluster->admin, &list->topics, error);
    if (status == STATUS_OK)
        status = kafka_admin_read_offsets(cluster->admin, &list->topics, error);
    if (status == STATUS_OK && list->group)
        status = kafka_admin_read_group(cluster->admin, list->group, &list->topics, error);
    if (status == STATUS_OK && list->group)
        status = kafka_read_record_times(&cluster->settings, &list->topics, TOPICS_TIMEOUT_US, error);
    list->now_ms = clock_wall_us(&clock_system) / 1000;
    return status;
}

static int list_all(struct list *list)
{
    struct error error = {{0}};
    if (read_all(list, &error) != STATUS_OK)
        return command_error("%s", error.text);
    if (strcmp(list->format, "json") == 0)
        write_json(list);
    else
        write_text(list);
    fwrite(list->out.data, 1, list->out.size, stdout);
    return fflush(stdout) == 0 ? EXIT_OK
                               : command_error("cannot write to standard output: %s", strerror(errno));
}

int topics_list(int argc, char **argv)
{
    static struct list list = {.format = "text"};
    const struct argument arguments[] = {
        {"NAME", NULL,
         "describe these topics by partition; a word that ends with .yaml or .yml, or has a slash, is the configuration",
         ARGUMENT_REST, &list.words, NULL},
        {"--group", "GROUP", "committed offsets and lag of this group, in records and in time", ARGUMENT_TEXT,
         &list.group, NULL},
        {"--brokers", "HOST:PORT,..", "the cluster", ARGUMENT_TEXT, &list.place.brokers, NULL},
        {"--from", "NAME",
         "the source or sink of the configuration whose connection is used; by default the first",
         ARGUMENT_TEXT, &list.place.from, NULL},
        {"--format", "FORMAT", "of the list", ARGUMENT_CHOICE, &list.format, "text|json"},
    };
    const struct usage usage = {
        "weir topics list",
        "Lists topics with their replicas, retention and size, or describes some, with a group's lag.",
        "RECORDS is latest minus earliest offset; compaction and transactions leave gaps, so it may be more than there are. REPLICAS and\n"
        "IN SYNC are the smallest over the partitions. LAG is latest minus committed offset. LAG TIME is now minus the time of the first\n"
        "record that the group has not committed: that record is read. A partition without such a record has none.\n",
        arguments, sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    exit_code = topics_place_read(command_name, &list.words, list.names, &list.place);
    if (exit_code == EXIT_OK)
        exit_code = topics_cluster_open(command_name, &list.place, &list.cluster);
    if (exit_code != EXIT_OK)
        return exit_code;
    exit_code = list_all(&list);
    if (list.topics.topics)
        kafka_topics_deinit(&list.topics);
    topics_cluster_close(&list.cluster);
    buffer_deinit(&list.out);
    return exit_code;
}
