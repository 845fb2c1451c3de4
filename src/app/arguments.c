/* A small parser for long options, driven by the command's table. `--name value` and `--name=value` both work; `--` ends options. */
#include "app/arguments.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

int usage_error(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("weir: error: ", stderr);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "; see %s --help\n", command);
    va_end(arguments);
    return EXIT_USAGE;
}

int command_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("weir: error: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return EXIT_FAILED;
}

/* --- help --------------------------------------------------------------------------------------------------------- */

static bool is_positional(const struct argument *argument)
{
    return argument->kind == ARGUMENT_POSITIONAL || argument->kind == ARGUMENT_REQUIRED ||
           argument->kind == ARGUMENT_REST;
}

static void print_option(const char *name, const char *value, const char *help, const char *choices)
{
    char left[80];
    snprintf(left, sizeof left, "%s%s%s", name, value ? " " : "", value ? value : "");
    printf("  %-26s  %s", left, help);
    if (choices)
        printf(" (%s)", choices);
    putchar('\n');
}

static void print_help(const struct usage *usage)
{
    printf("usage: %s", usage->command);
    for (size_t i = 0; i < usage->argument_count; i++) {
        const struct argument *argument = &usage->arguments[i];
        if (argument->kind == ARGUMENT_REQUIRED)
            printf(" %s", argument->name);
        if (argument->kind == ARGUMENT_POSITIONAL)
            printf(" [%s]", argument->name);
        if (argument->kind == ARGUMENT_REST)
            printf(" [%s...]", argument->name);
    }
    printf(" [OPTION...]\n\n%s\n\n", usage->summary);
    for (size_t i = 0; i < usage->argument_count; i++) {
        const struct argument *argument = &usage->arguments[i];
        print_option(argument->name, argument->value, argument->help, argument->choices);
    }
    print_option("--log-format", "FORMAT", "of the log lines on stderr", "pretty|logfmt|json");
    print_option("--log-level", "LEVEL", "lowest level that is logged", "debug|info|warn|error");
    print_option("--help", NULL, "this text", NULL);
    if (usage->details)
        printf("\n%s", usage->details);
}

/* --- parsing ------------------------------------------------------------------------------------------------------ */

static bool is_choice(const char *choices, const char *text)
{
    size_t size = strlen(text);
    for (const char *at = choices; at; at = strchr(at, '|'), at = at ? at + 1 : NULL) {
        if (strncmp(at, text, size) == 0 && (at[size] == '|' || at[size] == '\0'))
            return true;
    }
    return false;
}

static bool store_number(const struct usage *usage, const struct argument *argument, const char *text,
                         int *exit_code)
{
    char *end = NULL;
    unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end) {
        *exit_code = usage_error(usage->command, "%s wants a whole number, got \"%s\"", argument->name, text);
        return false;
    }
    *(uint64_t *)argument->target = number;
    return true;
}

static bool store_duration(const struct usage *usage, const struct argument *argument, const char *text,
                           int *exit_code)
{
    static const struct {
        const char *unit;
        double us;
    } units[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"m", 60e6}, {"h", 3600e6}, {"d", 86400e6}};
    char *end = NULL;
    double number = strtod(text, &end);
    for (size_t i = 0; end != text && number >= 0 && number < 1e9 && i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        *(int64_t *)argument->target = (int64_t)(number * units[i].us);
        return true;
    }
    *exit_code = usage_error(usage->command, "%s wants a duration such as 500ms or 5s, got \"%s\"",
                             argument->name, text);
    return false;
}

static bool store_value(const struct usage *usage, const struct argument *argument, const char *text,
                        int *exit_code)
{
    switch (argument->kind) {
    case ARGUMENT_NUMBER: return store_number(usage, argument, text, exit_code);
    case ARGUMENT_DURATION: return store_duration(usage, argument, text, exit_code);
    case ARGUMENT_CHOICE:
        if (is_choice(argument->choices, text))
            break;
        *exit_code = usage_error(usage->command, "%s is one of %s, not \"%s\"", argument->name,
                                 argument->choices, text);
        return false;
    case ARGUMENT_LIST:
    case ARGUMENT_REST: {
        struct argument_list *list = argument->target;
        if (list->count == ARGUMENTS_LIST_MAX) {
            *exit_code = usage_error(usage->command, "%s is given more than %d times", argument->name,
                                     ARGUMENTS_LIST_MAX);
            return false;
        }
        list->items[list->count++] = text;
        return true;
    }
    case ARGUMENT_FLAG:
    case ARGUMENT_TEXT:
    case ARGUMENT_POSITIONAL:
    case ARGUMENT_REQUIRED: break;
    }
    *(const char **)argument->target = text;
    return true;
}

static const struct argument *find_option(const struct argument *arguments, size_t count, const char *text,
                                          size_t size)
{
    for (size_t i = 0; i < count; i++) {
        if (is_positional(&arguments[i]))
            continue;
        if (strncmp(arguments[i].name, text, size) == 0 && arguments[i].name[size] == '\0')
            return &arguments[i];
    }
    return NULL;
}

static bool store_positional(const struct usage *usage, const char *text, int *exit_code)
{
    for (size_t i = 0; i < usage->argument_count; i++) {
        const struct argument *argument = &usage->arguments[i];
        if (argument->kind == ARGUMENT_REST)
            return store_value(usage, argument, text, exit_code);
        if (!is_positional(argument) || *(const char **)argument->target)
            continue;
        *(const char **)argument->target = text;
        return true;
    }
    *exit_code = usage_error(usage->command, "unexpected argument \"%s\"", text);
    return false;
}

static void configure_log(const char *format, const char *level)
{
    enum log_format chosen = strcmp(format, "json") == 0     ? LOG_FORMAT_JSON
                             : strcmp(format, "logfmt") == 0 ? LOG_FORMAT_LOGFMT
                                                             : LOG_FORMAT_PRETTY;
    enum log_level lowest = strcmp(level, "debug") == 0   ? LOG_DEBUG
                            : strcmp(level, "warn") == 0  ? LOG_WARN
                            : strcmp(level, "error") == 0 ? LOG_ERROR
                                                          : LOG_INFO;
    log_configure(chosen, lowest);
}

/* One option at argv[*index], which moves over its value. */
static bool parse_option(const struct usage *usage, const struct argument *common, size_t common_count,
                         int argc, char **argv, int *index, int *exit_code)
{
    const char *text = argv[*index], *equals = strchr(text, '=');
    size_t size = equals ? (size_t)(equals - text) : strlen(text);
    const struct argument *argument = find_option(usage->arguments, usage->argument_count, text, size);
    if (!argument)
        argument = find_option(common, common_count, text, size);
    if (!argument) {
        *exit_code = usage_error(usage->command, "unknown option \"%.*s\"", (int)size, text);
        return false;
    }
    if (argument->kind == ARGUMENT_FLAG) {
        if (equals) {
            *exit_code = usage_error(usage->command, "%s takes no value", argument->name);
            return false;
        }
        *(bool *)argument->target = true;
        return true;
    }
    if (equals)
        return store_value(usage, argument, equals + 1, exit_code);
    if (*index + 1 >= argc) {
        *exit_code = usage_error(usage->command, "%s wants a value: %s", argument->name, argument->value);
        return false;
    }
    return store_value(usage, argument, argv[++*index], exit_code);
}

bool arguments_parse(const struct usage *usage, int argc, char **argv, int *exit_code)
{
    bool wants_help = false, only_positional = false;
    const char *log_format = "pretty", *log_level = "info";
    const struct argument common[] = {
        {"--help", NULL, NULL, ARGUMENT_FLAG, &wants_help, NULL},
        {"-h", NULL, NULL, ARGUMENT_FLAG, &wants_help, NULL},
        {"--log-format", "FORMAT", NULL, ARGUMENT_CHOICE, &log_format, "pretty|logfmt|json"},
        {"--log-level", "LEVEL", NULL, ARGUMENT_CHOICE, &log_level, "debug|info|warn|error"},
    };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(usage);
            *exit_code = EXIT_OK;
            return false;
        }
    }
    for (int i = 1; i < argc; i++) {
        bool is_option = !only_positional && argv[i][0] == '-' && argv[i][1];
        if (is_option && strcmp(argv[i], "--") == 0) {
            only_positional = true;
        } else if (is_option) {
            if (!parse_option(usage, common, sizeof common / sizeof *common, argc, argv, &i, exit_code))
                return false;
        } else if (!store_positional(usage, argv[i], exit_code)) {
            return false;
        }
    }
    for (size_t i = 0; i < usage->argument_count; i++) {
        const struct argument *argument = &usage->arguments[i];
        if (argument->kind != ARGUMENT_REQUIRED || *(const char **)argument->target)
            continue;
        *exit_code = usage_error(usage->command, "%s is missing", argument->name);
        return false;
    }
    configure_log(log_format, log_level);
    return true;
}

/* --- configuration ------------------------------------------------------------------------------------------------- */

bool arguments_overrides(const char *command, const struct argument_list *list,
                         struct config_override *overrides)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *equals = strchr(list->items[i], '=');
        if (!equals || equals == list->items[i]) {
            usage_error(command, "--set wants KEY=VALUE, such as engine.shards=2; got \"%s\"",
                        list->items[i]);
            return false;
        }
        overrides[i].path = strndup(list->items[i], (size_t)(equals - list->items[i]));
        overrides[i].value = equals + 1;
    }
    return true;
}

void print_config_errors(const struct config_errors *errors)
{
    if (errors->text.size)
        fwrite(errors->text.data, 1, errors->text.size, stderr);
}

struct config *load_config(const char *file, const char *text, const struct config_override *overrides,
                           size_t override_count)
{
    struct config_errors errors;
    config_errors_init(&errors, file);
    struct config *config = config_load(file, text, overrides, (uint32_t)override_count, &errors);
    print_config_errors(&errors);
    config_errors_deinit(&errors);
    return config;
}
