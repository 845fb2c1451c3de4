/* weir test: runs test files and tells what is not as expected. */
#include <stdio.h>
#include <string.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "app/pipeline_test.h"

struct test_report {
    bool as_json;
    struct buffer json; /* elements of "tests" */
    uint32_t passed, failed, bad_files;
};

static void print_outcome(struct test_report *report, const struct test_file *file,
                          const struct pipeline_test *test, const struct test_outcome *outcome)
{
    if (!outcome->failure_count) {
        printf("ok      %s: %s\n", file->path, test->name);
        return;
    }
    printf("FAILED  %s: %s\n", file->path, test->name);
    for (const struct test_failure *failure = outcome->failures; failure; failure = failure->next)
        printf("  %s:%u:%u: %.*s", file->path, failure->place.line, failure->place.column,
               SLICE_ARG(buffer_slice(&failure->text)));
    (void)report;
}

static void write_outcome(struct test_report *report, const struct test_file *file,
                          const struct pipeline_test *test, const struct test_outcome *outcome)
{
    struct buffer *json = &report->json;
    buffer_append_text(json, json->size ? ",{\"file\":" : "{\"file\":");
    buffer_json_string(json, slice_of(file->path));
    buffer_append_text(json, ",\"name\":");
    buffer_json_string(json, slice_of(test->name));
    buffer_format(json, ",\"line\":%u,\"ok\":%s,\"failures\":[", test->place.line,
                  outcome->failure_count ? "false" : "true");
    for (const struct test_failure *failure = outcome->failures; failure; failure = failure->next)
        buffer_format(json, "{\"line\":%u,\"column\":%u,%.*s}%s", failure->place.line, failure->place.column,
                      SLICE_ARG(buffer_slice(&failure->json)), failure->next ? "," : "");
    buffer_append_text(json, "]}");
}

static bool run_test(struct test_report *report, const struct test_file *file,
                     const struct pipeline_test *test)
{
    struct test_outcome outcome = {0};
    struct config_errors errors;
    config_errors_init(&errors, test->config.file);
    bool has_run = pipeline_test_run(file, test, &outcome, &errors);
    if (!has_run) {
        print_config_errors(&errors);
    } else if (report->as_json) {
        write_outcome(report, file, test, &outcome);
    } else {
        print_outcome(report, file, test, &outcome);
    }
    report->passed += has_run && !outcome.failure_count;
    report->failed += has_run && outcome.failure_count;
    test_outcome_deinit(&outcome);
    config_errors_deinit(&errors);
    return has_run;
}

static void run_file(struct test_report *report, const char *path)
{
    struct test_file file;
    struct config_errors errors;
    config_errors_init(&errors, path);
    bool is_good = test_file_read(&file, path, &errors);
    if (!is_good)
        print_config_errors(&errors);
    for (uint32_t i = 0; is_good && i < file.test_count; i++)
        is_good = run_test(report, &file, &file.tests[i]);
    report->bad_files += !is_good;
    test_file_close(&file);
    config_errors_deinit(&errors);
}

static void print_summary(const struct test_report *report)
{
    if (report->as_json) {
        printf("{\"tests\":[%.*s],\"passed\":%u,\"failed\":%u,\"bad_files\":%u}\n",
               SLICE_ARG(buffer_slice(&report->json)), report->passed, report->failed, report->bad_files);
        return;
    }
    printf("%u passed, %u failed", report->passed, report->failed);
    if (report->bad_files)
        printf(", %u file%s with errors", report->bad_files, report->bad_files == 1 ? "" : "s");
    putchar('\n');
}

int command_test(int argc, char **argv)
{
    const char *format = "text";
    static struct argument_list files;
    const struct argument arguments[] = {
        {"FILE", NULL, "test files", ARGUMENT_REST, &files, NULL},
        {"--format", "FORMAT", "of the report", ARGUMENT_CHOICE, &format, "text|json"},
    };
    const struct usage usage = {
        "weir test",
        "Runs tests of pipelines: events in, expected results out, by a clock that stands still unless the test moves it. No server,\n"
        "store, sink or data_dir is touched. Exit code 0, 1 when a test failed, 78 when a file or its config has errors.",
        "docs/TESTING.md says what a test file holds.\n", arguments, sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    if (!files.count)
        return usage_error("weir test", "FILE is missing");
    struct test_report report = {.as_json = strcmp(format, "json") == 0};
    for (size_t i = 0; i < files.count; i++)
        run_file(&report, files.items[i]);
    print_summary(&report);
    buffer_deinit(&report.json);
    return report.bad_files ? EXIT_BAD_CONFIG : report.failed ? EXIT_FAILED : EXIT_OK;
}
