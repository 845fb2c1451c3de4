/* weir top: asks a running server once a second and draws what it says. The picture is made in top_view.c, the terminal is top_screen.c's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "app/http_client.h"
#include "app/top_screen.h"
#include "app/top_view.h"
#include "base/clock.h"
#include "base/memory.h"

enum {
    TOP_REFRESH_US = MICROSECONDS_PER_SECOND,
    TOP_TIMEOUT_US = 2 * MICROSECONDS_PER_SECOND,
    TOP_PLAIN_WIDTH = 100
};

struct top {
    const char *url, *token, *format;
    bool is_once;
    struct http_client *client;
    struct native_json *json;
    struct buffer stats, health;
    struct top_snapshot *now, *before; /* changed over with each answer */
    bool has_snapshot;
};

static enum status fetch(struct top *top, struct error *error)
{
    enum status status = http_client_get(top->client, "/api/v1/stats", TOP_TIMEOUT_US, &top->stats, error);
    if (status == STATUS_OK)
        status = http_client_get(top->client, "/health", TOP_TIMEOUT_US, &top->health, error);
    if (status != STATUS_OK)
        return status;
    struct top_snapshot *next = top->before;
    status = top_snapshot_read(top->json, buffer_slice(&top->stats), buffer_slice(&top->health),
                               top->has_snapshot ? top->now : NULL, next, error);
    if (status != STATUS_OK)
        return status;
    top->before = top->now;
    top->now = next;
    top->has_snapshot = true;
    return STATUS_OK;
}

static bool wants_colour(void)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return !(no_colour && *no_colour) && !(terminal && strcmp(terminal, "dumb") == 0);
}

static void draw(const struct top *top, const struct error *error)
{
    struct buffer lines = {0};
    char notice[ERROR_TEXT_SIZE + 64];
    snprintf(notice, sizeof notice, "%s (tried again each second; q leaves)", error->text);
    struct top_frame frame = {
        .url = top->url, .notice = error->text[0] ? notice : NULL, .has_colour = wants_colour()};
    top_screen_size(&frame.width, &frame.height);
    top_view_write(&frame, top->has_snapshot ? top->now : NULL, &lines);
    top_screen_show(&lines);
    buffer_deinit(&lines);
}

static int run_live(struct top *top)
{
    struct error error = {{0}};
    if (top_screen_open(&error) != STATUS_OK)
        return command_error("%s", error.text);
    enum top_event event = TOP_EVENT_TIME;
    for (int64_t next_us = 0; event != TOP_EVENT_QUIT; event = top_screen_wait(next_us)) {
        if (event == TOP_EVENT_TIME) {
            next_us = clock_monotonic_us(&clock_system) + TOP_REFRESH_US;
            error.text[0] = '\0';
            if (fetch(top, &error) != STATUS_OK && !error.text[0])
                error_set(&error, "no answer from %s", top->url);
        }
        draw(top, &error);
    }
    top_screen_close();
    return EXIT_OK;
}

static int run_once(struct top *top)
{
    struct error error = {{0}};
    if (fetch(top, &error) != STATUS_OK)
        return command_error("%s", error.text);
    struct buffer out = {0};
    if (strcmp(top->format, "json") == 0) {
        buffer_append_text(&out, "{\"url\":");
        buffer_json_string(&out, slice_of(top->url));
        buffer_format(&out, ",\"health\":%.*s,\"stats\":%.*s}\n", (int)strcspn(top->health.data, "\n"),
                      top->health.data, (int)strcspn(top->stats.data, "\n"), top->stats.data);
    } else {
        const struct top_frame frame = {.url = top->url, .width = TOP_PLAIN_WIDTH};
        top_view_write(&frame, top->now, &out);
    }
    fwrite(out.data, 1, out.size, stdout);
    buffer_deinit(&out);
    return fflush(stdout) == 0 ? EXIT_OK
                               : command_error("cannot write to standard output: %s", strerror(errno));
}

int command_top(int argc, char **argv)
{
    struct top top = {.url = "http://127.0.0.1:8765", .format = "text", .token = getenv("WEIR_TOKEN")};
    const struct argument arguments[] = {
        {"--url", "URL", "of the running server; http://127.0.0.1:8765 by default", ARGUMENT_TEXT, &top.url,
         NULL},
        {"--once", NULL,
         "print one snapshot as plain text and end; so it does when the output is no terminal", ARGUMENT_FLAG,
         &top.is_once, NULL},
        {"--token", "JWT", "for a server that wants one; WEIR_TOKEN by default", ARGUMENT_TEXT, &top.token,
         NULL},
        {"--format", "FORMAT", "json: one snapshot as JSON, as the server gives it", ARGUMENT_CHOICE,
         &top.format, "text|json"},
    };
    const struct usage usage = {
        "weir top",
        "Shows what a running server does: throughput, lag, watermark delay, latency, memory, clients.",
        "Refreshes each second; q or Ctrl-C leaves. DELAY is how far the watermark is behind the clock, LAG the records that\n"
        "wait at the source, LAG TIME how old the newest record is that was read. ROUND TRIP is the median to the broker, of a\n"
        "source to the coordinator of its group. A server that is away is asked again each second.\n",
        arguments, sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    struct error error = {{0}};
    if (http_client_open(top.url, top.token, &top.client, &error) != STATUS_OK)
        return usage_error("weir top", "--url: %s", error.text);
    top.json = native_json_create(HTTP_CLIENT_ANSWER_SIZE_MAX);
    top.now = memory_allocate(sizeof *top.now);
    top.before = memory_allocate(sizeof *top.before);
    bool is_live = !top.is_once && isatty(STDOUT_FILENO) && strcmp(top.format, "json") != 0;
    exit_code = is_live ? run_live(&top) : run_once(&top);
    free(top.now);
    free(top.before);
    buffer_deinit(&top.stats);
    buffer_deinit(&top.health);
    native_json_destroy(top.json);
    http_client_close(top.client);
    return exit_code;
}
