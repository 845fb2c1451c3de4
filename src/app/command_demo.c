/* weir demo: a made-up shop, so that there is something to see a second after the start. Its data lives in a temporary directory that goes
 * away with the process, unless the user names one. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "app/serve.h"

static const char demo_config[] = "sources:\n"
                                  "  shop:\n"
                                  "    generator:\n"
                                  "      rate: 2000/s\n"
                                  "      users: 5000\n"
                                  "      disorder: 500ms\n"
                                  "      disorder_share: 0.05\n"
                                  "      late_share: 0.002\n"
                                  "      bad_share: 0.001\n"
                                  "      future_share: 0.0002\n"
                                  "    time: timestamp\n"
                                  "    max_out_of_orderness: 1s\n"
                                  "    idle_timeout: 5s\n"
                                  "pipelines:\n"
                                  "  revenue:\n"
                                  "    from: shop\n"
                                  "    where: event_type == \"purchase\"\n"
                                  "    key: [properties.country]\n"
                                  "    window: { tumbling: 10s }\n"
                                  "    allowed_lateness: 1m\n"
                                  "    emit: { every: 1s }\n"
                                  "    aggregates:\n"
                                  "      revenue: sum(properties.amount)\n"
                                  "      orders: count()\n"
                                  "      mean: mean(properties.amount)\n"
                                  "      largest: max(properties.amount)\n"
                                  "  traffic:\n"
                                  "    from: shop\n"
                                  "    key: [event_type]\n"
                                  "    window: { tumbling: 5s }\n"
                                  "    aggregates:\n"
                                  "      events: count()\n"
                                  "  devices:\n"
                                  "    from: shop\n"
                                  "    where: event_type == \"page_view\" || event_type == \"click\"\n"
                                  "    key: [properties.device]\n"
                                  "    window: { tumbling: 15s }\n"
                                  "    emit: { every: 1s }\n"
                                  "    aggregates:\n"
                                  "      views: count()\n"
                                  "  baskets:\n"
                                  "    from: shop\n"
                                  "    where: event_type == \"add_to_cart\"\n"
                                  "    key: [properties.device]\n"
                                  "    window: { tumbling: 10s }\n"
                                  "    aggregates:\n"
                                  "      items: sum(properties.quantity)\n"
                                  "      mean_price: mean(properties.amount)\n"
                                  "      spread: stddev(properties.amount)\n";

/* The directory is ours and flat. */
static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(directory), entry->d_name, 0);
    }
    closedir(directory);
    rmdir(path);
}

static bool names_data_dir(const struct argument_list *sets)
{
    for (size_t i = 0; i < sets->count; i++) {
        if (strncmp(sets->items[i], "data_dir=", strlen("data_dir=")) == 0)
            return true;
    }
    return getenv("WEIR_DATA_DIR") != NULL;
}

int command_demo(int argc, char **argv)
{
    static struct argument_list sets;
    const char *listen = NULL;
    bool shows_config = false;
    const struct argument arguments[] = {
        {"--listen", "HOST:PORT", "address of the page; port 0 takes any free one", ARGUMENT_TEXT, &listen,
         NULL},
        {"--show-config", NULL, "print the configuration of the demo instead of running it", ARGUMENT_FLAG,
         &shows_config, NULL},
        {"--set", "KEY=VALUE", "override a value of it; may be repeated", ARGUMENT_LIST, &sets, NULL},
    };
    const struct usage usage = {
        "weir demo", "Runs a server with generated shop events and prints the address of its page.",
        "Data is kept in a temporary directory; --set data_dir=DIR keeps it.\n", arguments,
        sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    if (shows_config) {
        fputs(demo_config, stdout);
        return EXIT_OK;
    }
    static struct config_override overrides[ARGUMENTS_LIST_MAX + 2];
    if (!arguments_overrides("weir demo", &sets, overrides))
        return EXIT_USAGE;
    size_t override_count = sets.count;
    char directory[4096] = "";
    if (!names_data_dir(&sets)) {
        const char *parent = getenv("TMPDIR");
        snprintf(directory, sizeof directory, "%s/weir-demo-XXXXXX", parent && *parent ? parent : "/tmp");
        if (!mkdtemp(directory))
            return command_error("cannot make a temporary directory %s: %s", directory, strerror(errno));
        overrides[override_count++] = (struct config_override){"data_dir", directory};
    }
    if (listen)
        overrides[override_count++] = (struct config_override){"server.listen", listen};
    struct config *config = load_config("(built-in)", demo_config, overrides, override_count);
    exit_code = config ? serve(config, "weir demo: open") : EXIT_BAD_CONFIG;
    if (config)
        config_destroy(config);
    if (*directory)
        remove_directory(directory);
    return exit_code;
}
