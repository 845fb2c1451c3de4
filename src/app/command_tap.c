/* weir tap: subscribes like any client and prints what comes, one JSON object a line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "app/tap_client.h"
#include "base/json_find.h"

enum { TAP_MESSAGE_SIZE_MAX = 32 * 1024 * 1024, TAP_DEPTH_MAX = 80 };

struct tap {
    const char *url, *pipeline, *source, *filter;
    uint64_t limit; /* 0 = endless */
    struct native_json *json;
};

static void write_subscription(const struct tap *tap, struct buffer *out)
{
    buffer_format(out, "{\"type\":\"subscribe\",\"data\":{\"type\":\"%s\"",
                  tap->source ? "events" : "aggregations");
    if (tap->source) {
        buffer_append_text(out, ",\"source\":");
        buffer_json_string(out, slice_of(tap->source));
    }
    if (tap->pipeline) {
        buffer_append_text(out, ",\"filters\":{\"pipeline\":");
        buffer_json_string(out, slice_of(tap->pipeline));
        buffer_append_char(out, '}');
    }
    if (tap->filter) {
        buffer_append_text(out, ",\"where\":");
        buffer_json_string(out, slice_of(tap->filter));
    }
    buffer_append_text(out, "}}");
}

static bool is_text(const struct native_json_node *node, const char *text)
{
    return node && node->event == NATIVE_JSON_STRING && node->size == strlen(text) &&
           memcmp(node->value.text, text, node->size) == 0;
}

/* Prints the record of a delivery. Returns EXIT_OK, or the exit code when the server refused the subscription. */
static int show_message(const struct tap *tap, const struct buffer *message, uint64_t *shown)
{
    struct native_json_document document;
    if (native_json_parse(tap->json, message->data, message->size, TAP_DEPTH_MAX, &document) !=
        NATIVE_JSON_OK)
        return EXIT_OK;
    const struct native_json_node *data = json_find(&document, document.nodes, "data");
    if (is_text(json_find(&document, document.nodes, "type"), "error")) {
        const struct native_json_node *reason = json_find(&document, data, "error");
        if (!reason || reason->event != NATIVE_JSON_STRING)
            return command_error("the server refused the subscription");
        return command_error("the server refused the subscription: %.*s", (int)reason->size,
                             reason->value.text);
    }
    const struct native_json_node *record = json_find(&document, data, tap->source ? "event" : "result");
    if (!record)
        return EXIT_OK;
    fwrite(message->data + record->offset, 1, record->size, stdout);
    putchar('\n');
    ++*shown;
    return fflush(stdout) == 0 ? EXIT_OK
                               : command_error("cannot write to standard output: %s", strerror(errno));
}

static int run_tap(const struct tap *tap)
{
    struct tap_client *client = NULL;
    struct error error = {{0}};
    if (tap_client_open(tap->url, &client, &error) != STATUS_OK)
        return command_error("%s", error.text);
    struct buffer message = {0};
    write_subscription(tap, &message);
    enum status status = tap_client_send(client, buffer_slice(&message), &error);
    int exit_code = EXIT_OK;
    for (uint64_t shown = 0;
         status == STATUS_OK && exit_code == EXIT_OK && (!tap->limit || shown < tap->limit);) {
        status = tap_client_receive(client, &message, &error);
        if (status == STATUS_OK)
            exit_code = show_message(tap, &message, &shown);
    }
    if (status != STATUS_OK)
        exit_code = command_error("%s", error.text);
    tap_client_close(client);
    buffer_deinit(&message);
    return exit_code;
}

int command_tap(int argc, char **argv)
{
    struct tap tap = {.url = "http://127.0.0.1:8765"};
    const struct argument arguments[] = {
        {"--url", "URL", "of the running server; http://127.0.0.1:8765 by default", ARGUMENT_TEXT, &tap.url,
         NULL},
        {"--pipeline", "NAME", "results of this pipeline only", ARGUMENT_TEXT, &tap.pipeline, NULL},
        {"--source", "NAME", "raw events of this source instead of results", ARGUMENT_TEXT, &tap.source,
         NULL},
        {"--filter", "EXPR", "only what this expression is true for, such as 'values.orders > 10'",
         ARGUMENT_TEXT, &tap.filter, NULL},
        {"--limit", "N", "end after so many; 0 = go on", ARGUMENT_NUMBER, &tap.limit, NULL},
    };
    const struct usage usage = {"weir tap",
                                "Prints live results or events of a running server, one JSON object a line.",
                                NULL, arguments, sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    if (tap.pipeline && tap.source)
        return usage_error("weir tap", "--pipeline and --source exclude each other");
    tap.json = native_json_create(TAP_MESSAGE_SIZE_MAX);
    exit_code = run_tap(&tap);
    native_json_destroy(tap.json);
    return exit_code;
}
