/* weir run: the control thread. It builds the engine and the server, waits for a signal, and takes both down:
 *
 *   signal → open requests are answered, clients told goodbye → shards stop reading → merger → sinks durable → exit */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "app/serve.h"
#include "base/log.h"
#include "pipeline/engine.h"
#include "serve/server.h"

enum {
    DRAIN_TIMEOUT_US = 5 * 1000 * 1000, /* from the signal; what a sink has begun may take three more */
    READY_STEP_US = 20 * 1000,          /* between looks at whether recovery is done */
};

/* Waits at most `timeout_us` (<0: for ever); 0 when none came. */
static int wait_for_signal(const sigset_t *signals, int64_t timeout_us)
{
    int number = 0;
    if (timeout_us < 0)
        return sigwait(signals, &number) == 0 ? number : 0;
    struct timespec timeout = {.tv_sec = timeout_us / 1000000, .tv_nsec = timeout_us % 1000000 * 1000};
    do
        number = sigtimedwait(signals, NULL, &timeout);
    while (number < 0 && errno == EINTR);
    return number < 0 ? 0 : number;
}

static void announce(const struct config *config, const struct server *server, const char *greeting)
{
    const char *open = strchr(config->server.listen_host, ':') ? "[" : "", *close = *open ? "]" : "";
    log_write(LOG_INFO, "server", "ready on http://%s%s%s:%u/", open, config->server.listen_host, close,
              server_port(server));
    if (!greeting)
        return;
    printf("%s http://%s%s%s:%u/\n", greeting, open, config->server.listen_host, close, server_port(server));
    fflush(stdout);
}

static void wait_until_told(const struct config *config, struct engine *engine, struct server *server,
                            struct health *health, const char *greeting, struct error *failure)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    int number = 0;
    while (!number && !engine_is_live(engine) && !engine_has_failed(engine, failure))
        number = wait_for_signal(&signals, READY_STEP_US);
    if (failure->text[0])
        return;
    if (!number) {
        health_set_ready(health, true);
        announce(config, server, greeting);
        while (!number)
            number = wait_for_signal(&signals, -1);
    }
    log_write(LOG_INFO, "server", "%s: draining", number == SIGINT ? "SIGINT" : "SIGTERM");
    health_set_ready(health, false);
}

static void block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static int run_parts(const struct config *config, struct health *health, struct waker *io_waker,
                     const char *greeting)
{
    const struct engine_options engine_options = {
        .config = config, .health = health, .clock = &clock_system, .io_waker = io_waker};
    struct config_errors errors;
    config_errors_init(&errors, config->file);
    struct error error = {{0}};
    struct engine *engine = engine_create(&engine_options, &errors, &error);
    print_config_errors(&errors);
    bool is_bad_config = errors.count > 0;
    config_errors_deinit(&errors);
    if (!engine)
        return is_bad_config ? EXIT_BAD_CONFIG : command_error("%s", error.text);

    const struct server_options server_options = {
        .config = config, .engine = engine, .health = health, .clock = &clock_system, .io_waker = io_waker};
    struct server *server = NULL;
    if (server_create(&server_options, &server, &error) != STATUS_OK) {
        engine_destroy(engine);
        return command_error("%s", error.text);
    }
    engine_start(engine);
    server_start(server);
    wait_until_told(config, engine, server, health, greeting, &error);
    int64_t deadline_us = clock_monotonic_us(&clock_system) + DRAIN_TIMEOUT_US;
    server_stop(server);
    if (!engine_stop(engine, deadline_us)) {
        log_write(LOG_WARN, "engine", "a thread still waits for a broker or a disk; ending without it");
        _exit(error.text[0] ? EXIT_FAILED : EXIT_OK);
    }
    server_destroy(server);
    engine_destroy(engine);
    if (error.text[0])
        return command_error("%s", error.text);
    log_write(LOG_INFO, "server", "stopped");
    return EXIT_OK;
}

int serve(const struct config *config, const char *greeting)
{
    block_signals();
    struct health health;
    struct waker io_waker;
    health_init(&health);
    waker_open(&io_waker);
    int exit_code = run_parts(config, &health, &io_waker, greeting);
    waker_close(&io_waker);
    health_deinit(&health);
    return exit_code;
}

int command_run(int argc, char **argv)
{
    const char *file = NULL;
    static struct argument_list sets;
    const struct argument arguments[] = {
        {"CONFIG", NULL, "the configuration file; weir.yaml by default", ARGUMENT_POSITIONAL, &file, NULL},
        {"--set", "KEY=VALUE", "override a value, such as server.listen=127.0.0.1:9000; may be repeated",
         ARGUMENT_LIST, &sets, NULL},
    };
    const struct usage usage = {"weir run",
                                "Runs the server until SIGTERM or SIGINT; then drains and exits 0.", NULL,
                                arguments, sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    static struct config_override overrides[ARGUMENTS_LIST_MAX];
    if (!arguments_overrides("weir run", &sets, overrides))
        return EXIT_USAGE;
    struct config *config = load_config(file ? file : "weir.yaml", NULL, overrides, sets.count);
    if (!config)
        return EXIT_BAD_CONFIG;
    exit_code = serve(config, NULL);
    config_destroy(config);
    return exit_code;
}
