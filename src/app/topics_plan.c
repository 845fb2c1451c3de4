/* weir topics plan: how many partitions a load wants, with the formula. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "app/topic_presets.h"
#include "base/native.h"
#include "config/options.h"

struct plan_options {
    const char *mb_per_second, *events_per_second, *event_size, *mb_per_partition, *format;
    uint64_t consumers;
};

/* False after a message. Text that is absent keeps *value. */
static bool read_number(const char *option, const char *text, double *value)
{
    if (!text || (native_double_parse(text, strlen(text), value) && *value >= 0 && isfinite(*value)))
        return true;
    usage_error("weir topics plan", "%s wants a number, got \"%s\"", option, text);
    return false;
}

/* "200B", "1KiB", or a number of bytes. */
static bool read_size(const char *text, double *value)
{
    int64_t bytes = 0;
    struct error reason = {{0}};
    if (native_double_parse(text, strlen(text), value) && *value >= 0 && isfinite(*value))
        return true;
    if (size_parse(text, &bytes, &reason)) {
        *value = (double)bytes;
        return true;
    }
    usage_error("weir topics plan", "--event-size wants a size such as 200B or 1KiB, got \"%s\"", text);
    return false;
}

/* False after a message. */
static bool read_load(const struct plan_options *load, struct topic_plan *plan)
{
    const char *command = "weir topics plan";
    double rate = 0, size = 0;
    if (load->mb_per_second && (load->events_per_second || load->event_size)) {
        usage_error(command, "--mb-per-second and --events-per-second with --event-size exclude each other");
        return false;
    }
    if (!load->events_per_second != !load->event_size) {
        usage_error(command, "--events-per-second and --event-size go together");
        return false;
    }
    if (!load->mb_per_second && !load->events_per_second) {
        usage_error(command, "--mb-per-second is missing (or --events-per-second with --event-size)");
        return false;
    }
    if (!read_number("--mb-per-second", load->mb_per_second, &plan->mb_per_second) ||
        !read_number("--events-per-second", load->events_per_second, &rate) ||
        !read_number("--mb-per-partition", load->mb_per_partition, &plan->mb_per_partition) ||
        (load->event_size && !read_size(load->event_size, &size)))
        return false;
    if (load->events_per_second)
        plan->mb_per_second = rate * size / 1e6;
    if (plan->mb_per_partition > 0)
        return true;
    usage_error(command, "--mb-per-partition wants a number above 0");
    return false;
}

static void print_text(const struct plan_options *load, const struct topic_plan *plan)
{
    if (load->events_per_second)
        printf("load         %s events/s x %s = %g MB/s\n", load->events_per_second, load->event_size,
               plan->mb_per_second);
    else
        printf("load         %g MB/s\n", plan->mb_per_second);
    printf("throughput   ceil(%g MB/s / %g MB/s per partition) = %llu\n", plan->mb_per_second,
           plan->mb_per_partition, (unsigned long long)plan->by_throughput);
    printf("consumers    %llu\n", (unsigned long long)plan->consumers);
    printf("partitions   max(%llu, %llu) rounded up to a power of two = %llu\n",
           (unsigned long long)plan->by_throughput, (unsigned long long)plan->consumers,
           (unsigned long long)plan->partitions);
}

static void print_json(const struct topic_plan *plan)
{
    struct buffer out = {0};
    buffer_append_text(&out, "{\"mb_per_second\":");
    buffer_json_double(&out, plan->mb_per_second);
    buffer_append_text(&out, ",\"mb_per_partition\":");
    buffer_json_double(&out, plan->mb_per_partition);
    buffer_format(&out, ",\"consumers\":%llu,\"by_throughput\":%llu,\"partitions\":%llu}\n",
                  (unsigned long long)plan->consumers, (unsigned long long)plan->by_throughput,
                  (unsigned long long)plan->partitions);
    fwrite(out.data, 1, out.size, stdout);
    buffer_deinit(&out);
}

int topics_plan(int argc, char **argv)
{
    struct plan_options load = {.format = "text", .consumers = 1};
    const struct argument arguments[] = {
        {"--mb-per-second", "X", "load in MB (1,000,000 bytes) a second", ARGUMENT_TEXT, &load.mb_per_second,
         NULL},
        {"--events-per-second", "N", "load in events instead, with --event-size", ARGUMENT_TEXT,
         &load.events_per_second, NULL},
        {"--event-size", "SIZE", "of an event on the wire: 200, 200B, 1KiB", ARGUMENT_TEXT, &load.event_size,
         NULL},
        {"--consumers", "N", "that are to read in parallel; 1 by default", ARGUMENT_NUMBER, &load.consumers,
         NULL},
        {"--mb-per-partition", "X", "what one partition is good for; 10 by default", ARGUMENT_TEXT,
         &load.mb_per_partition, NULL},
        {"--format", "FORMAT", "of the plan", ARGUMENT_CHOICE, &load.format, "text|json"},
    };
    const struct usage usage = {
        "weir topics plan", "Says how many partitions a topic wants for a load.",
        "partitions = max(MB/s / 10, consumers), rounded up to a power of two. A partition is read by one consumer of a group,\n"
        "so more consumers than partitions are idle.\n",
        arguments, sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    struct topic_plan plan = {.consumers = load.consumers, .mb_per_partition = 10};
    if (!read_load(&load, &plan))
        return EXIT_USAGE;
    if (!topic_plan_calculate(&plan))
        return usage_error("weir topics plan", "this would take more than %d partitions",
                           TOPIC_PARTITIONS_MAX);
    if (strcmp(load.format, "json") == 0)
        print_json(&plan);
    else
        print_text(&load, &plan);
    return EXIT_OK;
}
