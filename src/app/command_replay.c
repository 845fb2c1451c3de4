/* weir replay: batch mode. The work is in pipeline/replay.c; this turns the command line into its options. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "base/memory.h"
#include "pipeline/replay.h"
#include "store/dead_letter_scan.h"

enum { REPLAY_INPUTS_MAX = CONFIG_MAX_PARTITIONS };

struct replay_command {
    const char *file, *pipeline, *output, *format, *source, *reason;
    struct argument_list inputs, sets;
    bool keeps_open, shows_revisions, takes_dead_letters;
    struct config *config;
};

static bool find_source(const struct config *config, const char *name, size_t size, uint32_t *index)
{
    for (uint32_t i = 0; i < config->source_count; i++) {
        if (strlen(config->sources[i].name) != size || memcmp(config->sources[i].name, name, size) != 0)
            continue;
        *index = i;
        return true;
    }
    return false;
}

/* SOURCE=FILE[,FILE...] → inputs, each file a partition. Paths are cut out of `text`, which is changed. */
static int add_inputs(const struct config *config, char *text, struct replay_input *inputs,
                      uint32_t *input_count)
{
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1]) {
        return usage_error("weir replay", "--input wants SOURCE=FILE[,FILE...], got \"%s\"", text);
    }
    uint32_t source_index = 0;
    if (!find_source(config, text, (size_t)(equals - text), &source_index)) {
        return usage_error("weir replay", "--input: the configuration has no source \"%.*s\"",
                           (int)(equals - text), text);
    }
    char *rest = equals + 1;
    for (char *path; (path = strsep(&rest, ","));) {
        if (!*path)
            continue;
        if (*input_count == REPLAY_INPUTS_MAX) {
            return usage_error("weir replay", "more than %d input files", REPLAY_INPUTS_MAX);
        }
        inputs[(*input_count)++] = (struct replay_input){.source_index = source_index, .path = path};
    }
    return EXIT_OK;
}

/* Dead letters as inputs: each partition that has any. */
static enum status open_letters(const struct replay_input *input, struct source_reader **out,
                                struct error *error)
{
    const struct replay_command *command = input->context;
    const struct config_source *source = &command->config->sources[input->source_index];
    /* Lines of a file had no time of their own when they were judged; here they have none either. */
    bool has_time = source->kind != SOURCE_FILE || !source->time.text;
    return dead_letter_reader_open(command->config->data_dir, source->name, input->partition, command->reason,
                                   has_time, out, error);
}

static int add_letters_of(const struct replay_command *command, uint32_t source_index,
                          struct replay_input *inputs, uint32_t *input_count)
{
    const struct config_source *source = &command->config->sources[source_index];
    uint32_t *partitions = memory_allocate_array(REPLAY_INPUTS_MAX, sizeof *partitions), count = 0;
    struct error error = {{0}};
    int exit_code = EXIT_OK;
    if (dead_letter_partitions(command->config->data_dir, source->name, command->reason, partitions,
                               REPLAY_INPUTS_MAX, &count, &error) != STATUS_OK) {
        exit_code = command_error("%s", error.text);
    } else if (count > REPLAY_INPUTS_MAX - *input_count ||
               (count && partitions[count - 1] >= CONFIG_MAX_PARTITIONS)) {
        exit_code =
            command_error("the dead letters of source \"%s\" are of more than %d partitions; name one source "
                          "with --source",
                          source->name, REPLAY_INPUTS_MAX);
    }
    for (uint32_t i = 0; exit_code == EXIT_OK && i < count; i++) {
        inputs[(*input_count)++] = (struct replay_input){.source_index = source_index,
                                                         .open = open_letters,
                                                         .context = command,
                                                         .partition = partitions[i]};
    }
    free(partitions);
    return exit_code;
}

static int add_dead_letters(const struct replay_command *command, struct replay_input *inputs,
                            uint32_t *input_count)
{
    const struct config *config = command->config;
    uint32_t first = 0, end = config->source_count;
    if (command->source) {
        if (!find_source(config, command->source, strlen(command->source), &first))
            return usage_error("weir replay", "--source: the configuration has no source \"%s\"",
                               command->source);
        end = first + 1;
    }
    int exit_code = EXIT_OK;
    for (uint32_t i = first; i < end && exit_code == EXIT_OK; i++)
        exit_code = add_letters_of(command, i, inputs, input_count);
    if (exit_code == EXIT_OK && !*input_count)
        return command_error("there are no such dead letters in %s", config->data_dir);
    return exit_code;
}

/* Leaves only the named pipeline in the configuration, with what it reads from. */
static bool select_pipeline(struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->pipeline_count; i++) {
        if (strcmp(config->pipelines[i].name, name) != 0)
            continue;
        config_keep_pipeline(config, i, &config->arena);
        return true;
    }
    return false;
}

static int run_replay(const struct replay_command *command, const struct config *config,
                      const struct replay_input *inputs, uint32_t input_count)
{
    FILE *output = command->output ? fopen(command->output, "we") : stdout;
    if (!output)
        return command_error("cannot write %s: %s", command->output, strerror(errno));
    const struct replay_options options = {
        .config = config,
        .inputs = inputs,
        .input_count = input_count,
        .output = output,
        .shows_revisions = command->shows_revisions,
        .keeps_open = command->keeps_open,
        .summary_as_json = strcmp(command->format, "json") == 0,
        .shows_progress = command->output && isatty(STDERR_FILENO),
    };
    struct config_errors errors;
    config_errors_init(&errors, command->file);
    struct error error = {{0}};
    int exit_code = EXIT_OK;
    if (replay_run(&options, &errors, &error) != STATUS_OK) {
        print_config_errors(&errors);
        exit_code = errors.count ? EXIT_BAD_CONFIG : command_error("%s", error.text);
    }
    config_errors_deinit(&errors);
    if (command->output && fclose(output) != 0 && exit_code == EXIT_OK) {
        exit_code = command_error("cannot write %s: %s", command->output, strerror(errno));
    }
    return exit_code;
}

/* Finds the inputs and runs. */
static int replay_inputs(const struct replay_command *command)
{
    struct config *config = command->config;
    struct replay_input *inputs = memory_allocate_array(REPLAY_INPUTS_MAX, sizeof *inputs);
    uint32_t input_count = 0;
    int exit_code = EXIT_OK;
    for (size_t i = 0; i < command->inputs.count && exit_code == EXIT_OK; i++) {
        exit_code = add_inputs(config, arena_copy_text(&config->arena, command->inputs.items[i]), inputs,
                               &input_count);
    }
    if (exit_code == EXIT_OK && command->takes_dead_letters)
        exit_code = add_dead_letters(command, inputs, &input_count);
    if (exit_code == EXIT_OK && !input_count)
        exit_code = usage_error("weir replay", "--input SOURCE=FILE or --dead-letters is missing");
    if (exit_code == EXIT_OK && command->pipeline && !select_pipeline(config, command->pipeline)) {
        exit_code = usage_error("weir replay", "--pipeline: the configuration has no pipeline \"%s\"",
                                command->pipeline);
    }
    if (exit_code == EXIT_OK)
        exit_code = run_replay(command, config, inputs, input_count);
    free(inputs);
    return exit_code;
}

int command_replay(int argc, char **argv)
{
    static struct replay_command command = {.format = "text"};
    const struct argument arguments[] = {
        {"CONFIG", NULL, "the configuration file", ARGUMENT_REQUIRED, &command.file, NULL},
        {"--input", "SOURCE=FILE[,FILE]",
         "files for a source, each a partition; NDJSON, .gz, .zst, - for stdin", ARGUMENT_LIST,
         &command.inputs, NULL},
        {"--dead-letters", NULL,
         "the stored dead letters of data_dir instead of files, in the order of their offsets", ARGUMENT_FLAG,
         &command.takes_dead_letters, NULL},
        {"--source", "NAME", "dead letters of this source only", ARGUMENT_TEXT, &command.source, NULL},
        {"--reason", "REASON", "dead letters with this reason only, such as schema or too_late",
         ARGUMENT_TEXT, &command.reason, NULL},
        {"--pipeline", "NAME", "run this pipeline only", ARGUMENT_TEXT, &command.pipeline, NULL},
        {"--output", "FILE", "write results there instead of stdout", ARGUMENT_TEXT, &command.output, NULL},
        {"--keep-open", NULL, "do not close windows at the end of the input", ARGUMENT_FLAG,
         &command.keeps_open, NULL},
        {"--revisions", NULL, "print every emission as it happens", ARGUMENT_FLAG, &command.shows_revisions,
         NULL},
        {"--set", "KEY=VALUE", "override a value of the configuration; may be repeated", ARGUMENT_LIST,
         &command.sets, NULL},
        {"--format", "FORMAT", "of the summary on stderr", ARGUMENT_CHOICE, &command.format, "text|json"},
    };
    const struct usage usage = {
        "weir replay",
        "Runs the pipelines of a configuration over files as fast as it can and prints the last state of every window, ordered by\n"
        "pipeline, window start and key. No server, sink, store or data_dir is touched (--dead-letters reads it); the kind of the source does not matter.",
        "The same input gives the same bytes, whatever the number of shards and the batch size.\n", arguments,
        sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    static struct config_override overrides[ARGUMENTS_LIST_MAX];
    if (!arguments_overrides("weir replay", &command.sets, overrides))
        return EXIT_USAGE;
    if (command.takes_dead_letters && command.inputs.count)
        return usage_error("weir replay", "--input and --dead-letters exclude each other");
    if (!command.takes_dead_letters && (command.source || command.reason))
        return usage_error("weir replay", "--source and --reason go with --dead-letters");
    command.config = load_config(command.file, NULL, overrides, command.sets.count);
    if (!command.config)
        return EXIT_BAD_CONFIG;
    exit_code = replay_inputs(&command);
    config_destroy(command.config);
    return exit_code;
}
