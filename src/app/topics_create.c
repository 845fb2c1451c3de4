/* weir topics create: topics with the guide's presets. What cannot work is refused before anything is made. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/topic_presets.h"
#include "app/topics_cluster.h"
#include "base/clock.h"

enum {
    CREATE_CONFIGS_MAX = 64,
    CREATE_NAMES_MAX = ARGUMENTS_LIST_MAX,
    DEFAULT_REPLICATION = 3,
    LOOK_PAUSE_US = 50 * 1000
};

static const char command_name[] = "weir topics create";

struct create {
    struct topics_place place;
    const char *preset, *format;
    struct argument_list words, settings;
    uint64_t partitions, replication; /* 0 = not given */
    bool if_not_exists, defaults;
    struct topics_cluster cluster;
    struct config_named_text configs[CREATE_CONFIGS_MAX];
    uint32_t config_count;
    const char *names[CREATE_NAMES_MAX];
    struct buffer report;
    bool has_failed;
};

/* --- what is wanted ------------------------------------------------------------------------------------------------ */

/* Later ones replace earlier ones: what is given by hand wins over the preset. */
static bool set_config(struct create *create, const char *name, const char *value)
{
    uint32_t at = 0;
    while (at < create->config_count && strcmp(create->configs[at].name, name) != 0)
        at++;
    if (at == CREATE_CONFIGS_MAX)
        return false;
    create->configs[at] = (struct config_named_text){.name = name, .value = {.text = value}};
    create->config_count += at == create->config_count;
    return true;
}

static int read_configs(struct create *create)
{
    const struct topic_preset *preset = create->preset ? topic_preset_find(create->preset) : NULL;
    for (size_t i = 0; preset && i < TOPIC_PRESET_SETTINGS; i++)
        set_config(create, preset->settings[i].name, preset->settings[i].value);
    for (size_t i = 0; i < create->settings.count; i++) {
        const char *text = create->settings.items[i], *equals = strchr(text, '=');
        if (!equals || equals == text)
            return usage_error(command_name,
                               "--config wants NAME=VALUE, such as retention.ms=3600000; got \"%s\"", text);
        /* Lives until the process ends, as the argument does. */
        if (!set_config(create, strndup(text, (size_t)(equals - text)), equals + 1))
            return usage_error(command_name, "more than %d settings", CREATE_CONFIGS_MAX);
    }
    return EXIT_OK;
}

/* 0 when it is left to the broker, or is no number: the broker then says so. */
static uint64_t min_in_sync(const struct create *create)
{
    for (uint32_t i = 0; i < create->config_count; i++) {
        if (strcmp(create->configs[i].name, "min.insync.replicas") == 0)
            return strtoull(create->configs[i].value.text, NULL, 10);
    }
    return 0;
}

/* What the arguments alone say to be wrong. */
static int check_arguments(const struct create *create)
{
    uint64_t least = min_in_sync(create);
    if (create->partitions > TOPIC_PARTITIONS_MAX)
        return usage_error(command_name, "--partitions is at most %d", TOPIC_PARTITIONS_MAX);
    if (create->defaults && create->place.name_count)
        return usage_error(command_name, "--defaults has names of its own; leave out \"%s\"",
                           create->names[0]);
    if (!create->defaults && !create->place.name_count)
        return usage_error(command_name, "a name is missing (or --defaults)");
    if (create->replication && least > create->replication)
        return usage_error(
            command_name,
            "min.insync.replicas=%llu is more than --replication-factor %llu: nothing could be written to "
            "such a topic with acks=all; lower the one or raise the other",
            (unsigned long long)least, (unsigned long long)create->replication);
    return EXIT_OK;
}

/* The same against the cluster. Chooses the replication when it was left open. */
static int check_cluster(struct create *create, uint32_t broker_count)
{
    uint64_t least = min_in_sync(create);
    if (create->replication > broker_count)
        return command_error(
            "--replication-factor %llu is more than the %u broker%s of the cluster; each replica needs a "
            "broker of its own, so lower it or add brokers",
            (unsigned long long)create->replication, broker_count, broker_count == 1 ? "" : "s");
    if (!create->replication)
        create->replication = broker_count < DEFAULT_REPLICATION ? broker_count : DEFAULT_REPLICATION;
    if (least > create->replication)
        return command_error(
            "min.insync.replicas=%llu%s%s%s is more than the %llu replica%s that a cluster of %u broker%s "
            "allows: nothing could be written to such a topic with acks=all; add brokers, or give "
            "--config min.insync.replicas=%llu",
            (unsigned long long)least, create->preset ? " (preset " : "",
            create->preset ? create->preset : "", create->preset ? ")" : "",
            (unsigned long long)create->replication, create->replication == 1 ? "" : "s", broker_count,
            broker_count == 1 ? "" : "s", (unsigned long long)create->replication);
    return EXIT_OK;
}

static void add_name(struct create *create, const char *name)
{
    for (size_t i = 0; i < create->place.name_count; i++) {
        if (strcmp(create->names[i], name) == 0)
            return;
    }
    if (create->place.name_count < CREATE_NAMES_MAX)
        create->names[create->place.name_count++] = name;
}

/* The guide's topics, and what the kafka sources of the configuration read and where their dead letters go. */
static void add_defaults(struct create *create)
{
    const struct config *config = create->cluster.config;
    for (size_t i = 0; topic_default_names[i]; i++)
        add_name(create, topic_default_names[i]);
    for (uint32_t s = 0; config && s < config->source_count; s++) {
        const struct config_kafka_source *source = &config->sources[s].kafka;
        for (uint32_t t = 0; config->sources[s].kind == SOURCE_KAFKA && t < source->topic_count; t++) {
            if (source->topics[t][0] == '^')
                continue;
            add_name(create, source->topics[t]);
            if (!source->dead_letter_topic)
                add_name(create, arena_format(&create->cluster.arena, "%s.dlq", source->topics[t]));
            else if (*source->dead_letter_topic)
                add_name(create, source->dead_letter_topic);
        }
    }
}

/* --- making -------------------------------------------------------------------------------------------------------- */

/* Looks until the brokers agree that it is there: the answer of the one that made it comes earlier. */
static enum status look(struct create *create, const char *name, struct kafka_topics *topics,
                        struct error *error)
{
    int64_t end_us = clock_monotonic_us(&clock_system) + TOPICS_TIMEOUT_US;
    for (;;) {
        enum status status = kafka_admin_read_topics(create->cluster.admin, &name, 1, topics, error);
        if (status != STATUS_NOT_FOUND || clock_monotonic_us(&clock_system) >= end_us)
            return status;
        usleep(LOOK_PAUSE_US);
    }
}

static void report_topic(struct create *create, const struct kafka_topic_info *topic, bool is_new)
{
    uint32_t replicas = topic->partition_count ? topic->partitions[0].replica_count : 0;
    if (strcmp(create->format, "json") == 0) {
        buffer_append_text(&create->report, create->report.size ? "," : "");
        buffer_format(
            &create->report,
            "{\"name\":\"%s\",\"created\":%s,\"partitions\":%u,\"replication_factor\":%u,\"config\":{",
            topic->name, is_new ? "true" : "false", topic->partition_count, replicas);
        for (uint32_t i = 0; is_new && i < create->config_count; i++) {
            buffer_append_text(&create->report, i ? "," : "");
            buffer_json_string(&create->report, slice_of(create->configs[i].name));
            buffer_append_char(&create->report, ':');
            buffer_json_string(&create->report, slice_of(create->configs[i].value.text));
        }
        buffer_append_text(&create->report, "}}");
        return;
    }
    buffer_format(&create->report, "%s %s: %u partition%s, %u replica%s",
                  is_new ? "created" : "exists, left as it is:", topic->name, topic->partition_count,
                  topic->partition_count == 1 ? "" : "s", replicas, replicas == 1 ? "" : "s");
    for (uint32_t i = 0; is_new && i < create->config_count; i++)
        buffer_format(&create->report, ", %s=%s", create->configs[i].name, create->configs[i].value.text);
    buffer_append_char(&create->report, '\n');
}

static void make(struct create *create, const char *name)
{
    const struct kafka_new_topic topic = {
        .name = name,
        .partitions = create->partitions ? (int32_t)create->partitions : -1,
        .replication = (int32_t)create->replication,
        .configs = create->configs,
        .config_count = create->config_count,
    };
    struct error error = {{0}};
    enum status status = kafka_admin_create_topic(create->cluster.admin, &topic, &error);
    bool is_new = status == STATUS_OK;
    if (status == STATUS_BUSY && create->if_not_exists)
        status = STATUS_OK;
    struct kafka_topics topics = {0};
    if (status == STATUS_OK)
        status = look(create, name, &topics, &error);
    if (status == STATUS_OK) {
        report_topic(create, &topics.topics[0], is_new);
        kafka_topics_deinit(&topics);
        return;
    }
    create->has_failed = true;
    command_error("topic %s: %s%s", name, error.text,
                  status == STATUS_BUSY ? "; --if-not-exists leaves it as it is" : "");
}

static int create_all(struct create *create)
{
    struct kafka_topics topics = {0};
    struct error error = {{0}};
    if (kafka_admin_read_topics(create->cluster.admin, NULL, 0, &topics, &error) != STATUS_OK)
        return command_error("%s", error.text);
    int exit_code = check_cluster(create, topics.broker_count);
    kafka_topics_deinit(&topics);
    if (exit_code != EXIT_OK)
        return exit_code;
    if (create->defaults)
        add_defaults(create);
    for (size_t i = 0; i < create->place.name_count; i++)
        make(create, create->names[i]);
    if (strcmp(create->format, "json") == 0)
        printf("{\"topics\":[%.*s]}\n", (int)create->report.size,
               create->report.size ? create->report.data : "");
    else if (create->report.size)
        fwrite(create->report.data, 1, create->report.size, stdout);
    if (fflush(stdout) != 0)
        return command_error("cannot write to standard output: %s", strerror(errno));
    return create->has_failed ? EXIT_FAILED : EXIT_OK;
}

int topics_create(int argc, char **argv)
{
    static struct create create = {.format = "text"};
    const struct argument arguments[] = {
        {"NAME", NULL,
         "topics to make; a word that ends with .yaml or .yml, or has a slash, is the configuration",
         ARGUMENT_REST, &create.words, NULL},
        {"--brokers", "HOST:PORT,..", "the cluster", ARGUMENT_TEXT, &create.place.brokers, NULL},
        {"--from", "NAME",
         "the source or sink of the configuration whose connection is used; by default the first",
         ARGUMENT_TEXT, &create.place.from, NULL},
        {"--partitions", "N", "see weir topics plan; by default as the broker is configured", ARGUMENT_NUMBER,
         &create.partitions, NULL},
        {"--preset", "NAME", "settings for a purpose", ARGUMENT_CHOICE, &create.preset,
         "high_throughput|high_durability"},
        {"--replication-factor", "N", "3 by default, or as many as there are brokers", ARGUMENT_NUMBER,
         &create.replication, NULL},
        {"--config", "NAME=VALUE", "a setting of the topic; wins over the preset; may be repeated",
         ARGUMENT_LIST, &create.settings, NULL},
        {"--if-not-exists", NULL, "a topic that is there is left as it is, and no failure", ARGUMENT_FLAG,
         &create.if_not_exists, NULL},
        {"--defaults", NULL,
         "make weir's default topics, and those of the configuration's kafka sources with their .dlq",
         ARGUMENT_FLAG, &create.defaults, NULL},
        {"--format", "FORMAT", "of what was made", ARGUMENT_CHOICE, &create.format, "text|json"},
    };
    const struct usage usage = {
        "weir topics create", "Makes topics. What could not work is refused before anything is made.",
        "Presets: high_throughput keeps a day, lz4, 1 replica in sync is enough, a broker that fails may lose some; high_durability keeps\n"
        "7 days, gzip, 2 replicas in sync, no unclean leader. Default topics: analytics-events, streaming-metrics, streaming-alerts,\n"
        "ml-predictions, analytics-events.dlq.\n",
        arguments, sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    exit_code = topics_place_read(command_name, &create.words, create.names, &create.place);
    if (exit_code == EXIT_OK)
        exit_code = read_configs(&create);
    if (exit_code == EXIT_OK)
        exit_code = check_arguments(&create);
    if (exit_code == EXIT_OK)
        exit_code = topics_cluster_open(command_name, &create.place, &create.cluster);
    if (exit_code != EXIT_OK)
        return exit_code;
    exit_code = create_all(&create);
    topics_cluster_close(&create.cluster);
    buffer_deinit(&create.report);
    return exit_code;
}
