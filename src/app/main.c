/* weir: finds the command and runs it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "config/options.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};

static const struct command commands[] = {
    {"run", command_run, "run the server until SIGTERM"},
    {"demo", command_demo, "run with generated events, to look around"},
    {"check", command_check, "check a configuration"},
    {"replay", command_replay, "run pipelines over files, as a batch"},
    {"test", command_test, "run tests of pipelines: events in, expected results out"},
    {"config", command_config, "show the configuration, its schema or its reference"},
    {"doctor", command_doctor, "check the machine and the configuration"},
    {"tap", command_tap, "show live events or results of a running server"},
    {"top", command_top, "live view of a running server in the terminal"},
    {"topics", command_topics, "plan, create and list Kafka topics"},
    {"redrive", command_redrive, "send dead letters back to where they came from"},
    {"bench", command_bench, "measure decode, window or fanout"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_help(void)
{
    puts("usage: weir COMMAND [OPTION...]\n\n"
         "Real-time streaming analytics: events in, event-time windows, live results out.\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-8s  %s\n", commands[i].name, commands[i].summary);
    puts(
        "\nweir COMMAND --help says more about one. Exit codes: 0 ok, 1 failed, 2 wrong usage, 78 bad configuration.");
}

static int unknown_command(const char *word)
{
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    const char *near = suggest(word, names, COMMAND_COUNT);
    if (near)
        return usage_error("weir", "unknown command \"%s\", did you mean \"%s\"?", word, near);
    return usage_error("weir", "unknown command \"%s\"", word);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error of write(), told with its reason */
    if (argc < 2)
        return usage_error("weir", "a command is missing");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("weir " WEIR_VERSION);
        return EXIT_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    return unknown_command(argv[1]);
}
