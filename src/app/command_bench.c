/* weir bench: the stages alone, without outside programs. bench/ in the source tree compares them with others. */
#include <string.h>

#include "app/arguments.h"
#include "app/commands.h"

int command_bench(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "decode") == 0)
        return bench_decode(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "window") == 0)
        return bench_window(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "fanout") == 0)
        return bench_fanout(argc - 1, argv + 1);
    const char *name = NULL;
    const struct argument arguments[] = {
        {"NAME", NULL, "decode, window or fanout", ARGUMENT_REQUIRED, &name, NULL},
    };
    const struct usage usage = {
        "weir bench",
        "Measures one stage on this machine: JSON decoding, window aggregation, or WebSocket fan-out.",
        "weir bench NAME --help lists the options of one.\n", arguments, 1};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    return usage_error("weir bench", "\"%s\" is not one of decode, window, fanout", name);
}
