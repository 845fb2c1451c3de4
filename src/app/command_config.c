/* weir config show | schema | docs: the option table, looked at. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/arguments.h"
#include "app/commands.h"

static int print_buffer(struct buffer *out)
{
    fwrite(out->data, 1, out->size, stdout);
    buffer_deinit(out);
    return fflush(stdout) == 0 ? EXIT_OK
                               : command_error("cannot write to standard output: %s", strerror(errno));
}

static int config_show_command(int argc, char **argv)
{
    const char *file = NULL, *format = "text";
    static struct argument_list sets;
    const struct argument arguments[] = {
        {"CONFIG", NULL, "the configuration file; weir.yaml by default", ARGUMENT_POSITIONAL, &file, NULL},
        {"--set", "KEY=VALUE", "override a value; may be repeated", ARGUMENT_LIST, &sets, NULL},
        {"--format", "FORMAT", "of the output", ARGUMENT_CHOICE, &format, "text|json"},
    };
    const struct usage usage = {
        "weir config show",
        "Prints every value that is in force and where it comes from: default, file, environment or flag. "
        "Secrets are masked.",
        NULL, arguments, sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    struct config_override overrides[ARGUMENTS_LIST_MAX];
    if (!arguments_overrides("weir config show", &sets, overrides))
        return EXIT_USAGE;
    if (!file)
        file = "weir.yaml";
    struct config_errors errors;
    config_errors_init(&errors, file);
    struct buffer out = {0};
    enum status status =
        config_show(file, overrides, (uint32_t)sets.count, strcmp(format, "json") == 0, &out, &errors);
    print_config_errors(&errors);
    config_errors_deinit(&errors);
    if (status == STATUS_OK)
        return print_buffer(&out);
    buffer_deinit(&out);
    return EXIT_BAD_CONFIG;
}

static int config_schema_command(int argc, char **argv)
{
    const struct usage usage = {"weir config schema",
                                "Prints the JSON Schema of the configuration, for editors.", NULL, NULL, 0};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    struct buffer out = {0};
    config_write_schema(&out);
    return print_buffer(&out);
}

static int config_docs_command(int argc, char **argv)
{
    const struct usage usage = {"weir config docs", "Prints the reference of all options as Markdown.", NULL,
                                NULL, 0};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    struct buffer out = {0};
    config_write_docs(&out);
    return print_buffer(&out);
}

int command_config(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "show") == 0)
        return config_show_command(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "schema") == 0)
        return config_schema_command(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "docs") == 0)
        return config_docs_command(argc - 1, argv + 1);
    const char *what = NULL;
    const struct argument arguments[] = {
        {"WHAT", NULL, "show, schema or docs", ARGUMENT_REQUIRED, &what, NULL},
    };
    const struct usage usage = {
        "weir config", "Shows the configuration in force, its JSON Schema, or the reference of all options.",
        NULL, arguments, 1};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    return usage_error("weir config", "\"%s\" is not one of show, schema, docs", what);
}
