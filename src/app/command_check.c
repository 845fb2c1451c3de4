/* weir check: everything that can be known before a run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "pipeline/engine.h"

/* The lines of `text` as a JSON array of strings. */
static void json_lines(struct buffer *out, struct slice text)
{
    buffer_append_char(out, '[');
    const char *separator = "";
    while (text.size) {
        const char *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        buffer_append_text(out, separator);
        buffer_json_string(out, (struct slice){text.data, size});
        separator = ",";
        if (end)
            size++;
        text = (struct slice){text.data + size, text.size - size};
    }
    buffer_append_char(out, ']');
}

static void print_report(const struct config *config, bool as_json, const struct config_errors *errors,
                         const struct buffer *bounds)
{
    struct buffer out = {0};
    if (as_json) {
        buffer_append_text(&out, "{\"ok\":true,\"file\":");
        buffer_json_string(&out, slice_of(config->file));
        buffer_format(&out, ",\"sources\":%u,\"pipelines\":%u,\"warnings\":", config->source_count,
                      config->pipeline_count);
        json_lines(&out, buffer_slice(&errors->text));
        buffer_append_text(&out, ",\"memory_bounds\":");
        json_lines(&out, buffer_slice(bounds));
        buffer_append_text(&out, "}\n");
    } else {
        buffer_format(&out, "%s is good: %u source%s, %u pipeline%s\n", config->file, config->source_count,
                      config->source_count == 1 ? "" : "s", config->pipeline_count,
                      config->pipeline_count == 1 ? "" : "s");
        buffer_append_text(&out, "memory of open windows, worst case:\n");
        buffer_append_slice(&out, buffer_slice(bounds));
    }
    fwrite(out.data, 1, out.size, stdout);
    buffer_deinit(&out);
}

int command_check(int argc, char **argv)
{
    const char *file = NULL, *format = "text";
    static struct argument_list sets;
    const struct argument arguments[] = {
        {"CONFIG", NULL, "the configuration file", ARGUMENT_REQUIRED, &file, NULL},
        {"--set", "KEY=VALUE", "override a value, such as engine.shards=2; may be repeated", ARGUMENT_LIST,
         &sets, NULL},
        {"--format", "FORMAT", "of the report", ARGUMENT_CHOICE, &format, "text|json"},
    };
    const struct usage usage = {
        "weir check",
        "Parses and type-checks a configuration and prints how much memory its windows may take. Exit "
        "code 0, or 78 with all\nerrors as file:line:column: error: ... on stderr.",
        NULL, arguments, sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    struct config_override overrides[ARGUMENTS_LIST_MAX];
    if (!arguments_overrides("weir check", &sets, overrides))
        return EXIT_USAGE;

    struct config_errors errors;
    config_errors_init(&errors, file);
    struct buffer bounds = {0};
    struct config *config = config_load_partly(file, NULL, overrides, (uint32_t)sets.count, &errors);
    if (config)
        engine_check(config, &errors, &bounds);
    print_config_errors(&errors);
    if (!config || errors.count) {
        exit_code = EXIT_BAD_CONFIG;
    } else {
        print_report(config, strcmp(format, "json") == 0, &errors, &bounds);
    }
    config_errors_deinit(&errors);
    buffer_deinit(&bounds);
    if (config)
        config_destroy(config);
    return exit_code;
}
