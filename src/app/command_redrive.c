/* weir redrive: sends dead letters back to where they came from, once each. redrive_http.c and redrive_kafka.c do it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "app/redrive.h"

struct redrive_command {
    const char *file, *source, *format, *url;
    struct argument_list sets;
    uint64_t limit;
    struct redrive redrive;
    struct buffer report;
    uint64_t sent;
    bool has_failed;
};

static void report(struct redrive_command *command, const struct redrive_counts *counts)
{
    const char *name = command->redrive.source->name;
    if (strcmp(command->format, "json") == 0) {
        buffer_append_text(&command->report, command->report.size ? "," : "");
        buffer_json_string(&command->report, slice_of(name));
        buffer_format(
            &command->report,
            ":{\"found\":%llu,\"sent_before\":%llu,\"sent\":%llu,\"rejected\":%llu,\"unsendable\":%llu}",
            (unsigned long long)counts->found, (unsigned long long)counts->before,
            (unsigned long long)counts->sent, (unsigned long long)counts->rejected,
            (unsigned long long)counts->unsendable);
        return;
    }
    buffer_format(&command->report, "source %s: %llu dead letters, %llu %s, %llu sent before", name,
                  (unsigned long long)counts->found, (unsigned long long)counts->sent,
                  command->redrive.is_dry_run ? "would be sent" : "sent", (unsigned long long)counts->before);
    if (counts->rejected)
        buffer_format(&command->report, "; %llu were rejected again and are dead letters anew",
                      (unsigned long long)counts->rejected);
    if (counts->unsendable)
        buffer_format(&command->report, "; %llu have bytes that no request can carry and stay",
                      (unsigned long long)counts->unsendable);
    buffer_append_char(&command->report, '\n');
}

/* False: this source has nothing that could be sent back to. */
static bool can_be_redriven(const struct config_source *source)
{
    return source->kind == SOURCE_HTTP || source->kind == SOURCE_KAFKA;
}

static void redrive_source(struct redrive_command *command, const struct config_source *source)
{
    struct redrive_counts counts = {0};
    struct error error = {{0}};
    command->redrive.source = source;
    command->redrive.limit = command->limit ? command->limit - command->sent : UINT64_MAX;
    enum status status = source->kind == SOURCE_HTTP ? redrive_http(&command->redrive, &counts, &error)
                                                     : redrive_kafka(&command->redrive, &counts, &error);
    command->sent += counts.sent;
    report(command, &counts);
    if (status == STATUS_OK)
        return;
    command->has_failed = true;
    command_error("source %s: %s", source->name, error.text);
}

/* All sources that letters can be sent back to, or the one that is named. */
static int redrive_sources(struct redrive_command *command, const struct config *config)
{
    bool is_found = false;
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        if (command->source && strcmp(source->name, command->source) != 0)
            continue;
        is_found = true;
        if (can_be_redriven(source))
            redrive_source(command, source);
        else if (command->source)
            return usage_error(
                "weir redrive",
                "--source: \"%s\" is neither http nor kafka, so nothing can be sent back to it; "
                "weir replay --dead-letters shows what would become of its dead letters",
                source->name);
    }
    if (command->source && !is_found)
        return usage_error("weir redrive", "--source: the configuration has no source \"%s\"",
                           command->source);
    return EXIT_OK;
}

static int print_report(struct redrive_command *command)
{
    bool is_json = strcmp(command->format, "json") == 0;
    if (is_json)
        printf("{\"sources\":{%.*s},\"dry_run\":%s}\n", (int)command->report.size,
               command->report.size ? command->report.data : "",
               command->redrive.is_dry_run ? "true" : "false");
    else
        fwrite(command->report.data, 1, command->report.size, stdout);
    if (fflush(stdout) != 0)
        return command_error("cannot write to standard output: %s", strerror(errno));
    return command->has_failed ? EXIT_FAILED : EXIT_OK;
}

/* Where `weir run` with this configuration listens. */
static char *own_url(const struct config *config)
{
    struct buffer url = {0};
    const char *host = config->server.listen_host;
    bool is_any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    bool has_colon = !is_any && strchr(host, ':');
    buffer_format(&url, "http://%s%s%s:%u", has_colon ? "[" : "", is_any ? "127.0.0.1" : host,
                  has_colon ? "]" : "", config->server.listen_port);
    buffer_append_char(&url, '\0');
    return url.data;
}

int command_redrive(int argc, char **argv)
{
    static struct redrive_command command = {.format = "text"};
    struct redrive *redrive = &command.redrive;
    redrive->token = getenv("WEIR_TOKEN");
    const struct argument arguments[] = {
        {"CONFIG", NULL, "the configuration file", ARGUMENT_REQUIRED, &command.file, NULL},
        {"--source", "NAME", "dead letters of this source only", ARGUMENT_TEXT, &command.source, NULL},
        {"--reason", "REASON", "with this reason only, such as schema or too_late", ARGUMENT_TEXT,
         &redrive->reason, NULL},
        {"--limit", "N", "send at most so many", ARGUMENT_NUMBER, &command.limit, NULL},
        {"--dry-run", NULL, "say what would be sent, send nothing", ARGUMENT_FLAG, &redrive->is_dry_run,
         NULL},
        {"--again", NULL, "send also what was sent before", ARGUMENT_FLAG, &redrive->sends_again, NULL},
        {"--url", "URL",
         "of the running server, for http sources; by default where the configuration listens", ARGUMENT_TEXT,
         &command.url, NULL},
        {"--token", "JWT", "for a server that wants one; WEIR_TOKEN by default", ARGUMENT_TEXT,
         &redrive->token, NULL},
        {"--set", "KEY=VALUE", "override a value of the configuration; may be repeated", ARGUMENT_LIST,
         &command.sets, NULL},
        {"--format", "FORMAT", "of the report", ARGUMENT_CHOICE, &command.format, "text|json"},
    };
    const struct usage usage = {
        "weir redrive",
        "Sends dead letters back to where they came from, with their original bytes: to the topic of a kafka source, to the running\n"
        "server for an http source. Nothing is deleted, and each letter is sent once.",
        "Of kafka sources the dead-letter topic is read (TOPIC.dlq), and how far it was sent is kept as committed offsets of the groups\n"
        "GROUP.redrive.REASON; key and headers go back too, without those named weir.*. Of http sources, and of kafka sources without a\n"
        "dead-letter topic, the store is read, and what was sent is kept in data_dir/redrive.db. A letter that is refused again is a new\n"
        "dead letter; of http sources such letters are recognised and not sent again. A run that is killed may have sent letters that it\n"
        "had no time to note: these are sent twice.\n",
        arguments, sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    static struct config_override overrides[ARGUMENTS_LIST_MAX];
    if (!arguments_overrides("weir redrive", &command.sets, overrides))
        return EXIT_USAGE;
    struct config *config = load_config(command.file, NULL, overrides, command.sets.count);
    if (!config)
        return EXIT_BAD_CONFIG;
    char *url = own_url(config);
    redrive->config = config;
    redrive->url = command.url ? command.url : url;
    exit_code = redrive_sources(&command, config);
    if (exit_code == EXIT_OK)
        exit_code = print_report(&command);
    buffer_deinit(&command.report);
    free(url);
    config_destroy(config);
    return exit_code;
}
