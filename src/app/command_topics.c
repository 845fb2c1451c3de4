/* weir topics: finds the subcommand. */
#include <string.h>

#include "app/arguments.h"
#include "app/commands.h"

int command_topics(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } subcommands[] = {{"plan", topics_plan}, {"create", topics_create}, {"list", topics_list}};
    for (size_t i = 0; argc > 1 && i < sizeof subcommands / sizeof *subcommands; i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return subcommands[i].run(argc - 1, argv + 1);
    }
    const char *name = NULL;
    const struct argument arguments[] = {
        {"plan|create|list", NULL, "what to do", ARGUMENT_REQUIRED, &name, NULL},
    };
    const struct usage usage = {
        "weir topics",
        "plan: how many partitions a load wants. create: make topics with the guide's presets. list: topics with\n"
        "their replicas, retention and offsets, and a group's lag in records and in seconds.",
        "weir topics create --help lists the options of one.\n", arguments, 1};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    return usage_error("weir topics", "\"%s\" is not one of plan, create, list", name);
}
