/* See topics_cluster.h. */
#include "app/topics_cluster.h"

#include <string.h>

static bool ends_with(const char *text, const char *ending)
{
    size_t size = strlen(text), ending_size = strlen(ending);
    return size > ending_size && strcmp(text + size - ending_size, ending) == 0;
}

static bool is_config_file(const char *word)
{
    return ends_with(word, ".yaml") || ends_with(word, ".yml") || strchr(word, '/');
}

static bool is_topic_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t size = strlen(name);
    return size && size <= TOPIC_NAME_SIZE_MAX && strspn(name, allowed) == size && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

int topics_place_read(const char *command, const struct argument_list *words, const char **names,
                      struct topics_place *place)
{
    place->names = names;
    for (size_t i = 0; i < words->count; i++) {
        const char *word = words->items[i];
        bool is_file = is_config_file(word);
        if (is_file && place->config_file)
            return usage_error(command, "two configurations are given: \"%s\" and \"%s\"", place->config_file,
                               word);
        if (!is_file && !is_topic_name(word))
            return usage_error(
                command,
                "\"%s\" is no name of a topic: letters, digits, dot, underscore and hyphen, at most %d; a "
                "configuration ends with .yaml or .yml",
                word, TOPIC_NAME_SIZE_MAX);
        if (is_file)
            place->config_file = word;
        else
            names[place->name_count++] = word;
    }
    if (place->brokers && place->config_file)
        return usage_error(command, "--brokers and a configuration exclude each other");
    if (!place->brokers && !place->config_file)
        return usage_error(command,
                           "--brokers HOST:PORT, or a configuration with a kafka source or sink, is missing");
    return EXIT_OK;
}

/* The named source or sink, or the first of kind kafka. */
static const struct config_kafka_connection *find_connection(const struct config *config, const char *from)
{
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        if (source->kind == SOURCE_KAFKA && (!from || strcmp(source->name, from) == 0))
            return &source->kafka.connection;
    }
    for (uint32_t i = 0; i < config->sink_count; i++) {
        const struct config_sink *sink = &config->sinks[i];
        if (sink->kind == SINK_KAFKA && (!from || strcmp(sink->name, from) == 0))
            return &sink->kafka.connection;
    }
    return NULL;
}

static int read_settings(const char *command, const struct topics_place *place,
                         struct topics_cluster *cluster)
{
    const char *brokers[] = {place->brokers};
    const struct config_kafka_connection plain = {.brokers = brokers, .broker_count = 1};
    const struct config_kafka_connection *connection = &plain;
    if (!place->brokers) {
        cluster->config = load_config(place->config_file, NULL, NULL, 0);
        if (!cluster->config)
            return EXIT_BAD_CONFIG;
        connection = find_connection(cluster->config, place->from);
    }
    if (!connection && place->from)
        return usage_error(command, "--from: %s has no kafka source or sink \"%s\"", place->config_file,
                           place->from);
    if (!connection)
        return usage_error(command, "%s has no kafka source or sink; give --brokers", place->config_file);
    kafka_connection_settings(connection, &cluster->arena, &cluster->settings);
    kafka_admin_prepare(&cluster->settings);
    return EXIT_OK;
}

int topics_cluster_open(const char *command, const struct topics_place *place, struct topics_cluster *out)
{
    memset(out, 0, sizeof *out);
    arena_init(&out->arena, ARENA_DEFAULT_BLOCK_SIZE);
    int exit_code = read_settings(command, place, out);
    struct error error = {{0}};
    const struct kafka_client_options options = {.is_consumer = true, .settings = &out->settings, .name = "topics"};
    if (exit_code == EXIT_OK && kafka_client_create(&options, &out->client, &error) != STATUS_OK)
        exit_code = command_error("%s", error.text);
    if (exit_code == EXIT_OK)
        out->admin = kafka_admin_create(out->client, TOPICS_TIMEOUT_US);
    else
        topics_cluster_close(out);
    return exit_code;
}

void topics_cluster_close(struct topics_cluster *cluster)
{
    kafka_admin_destroy(cluster->admin);
    if (cluster->client)
        kafka_client_destroy(cluster->client);
    if (cluster->config)
        config_destroy(cluster->config);
    arena_deinit(&cluster->arena);
    memset(cluster, 0, sizeof *cluster);
}
