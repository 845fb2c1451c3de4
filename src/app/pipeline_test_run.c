/* One test: its events go through a rehearsal, and what comes out is held against what it expects. */
#include <stdlib.h>

#include "app/pipeline_test.h"
#include "base/memory.h"

struct test_failure *test_outcome_add(struct test_outcome *outcome, struct config_place place)
{
    struct test_failure *failure = memory_allocate(sizeof *failure), **end = &outcome->failures;
    failure->place = place;
    while (*end)
        end = &(*end)->next;
    *end = failure;
    outcome->failure_count++;
    return failure;
}

void test_outcome_deinit(struct test_outcome *outcome)
{
    for (struct test_failure *failure = outcome->failures, *next; failure; failure = next) {
        next = failure->next;
        buffer_deinit(&failure->text);
        buffer_deinit(&failure->json);
        free(failure);
    }
}

static void tell_stop(struct test_outcome *outcome, struct config_place place, const struct error *error)
{
    struct test_failure *failure = test_outcome_add(outcome, place);
    buffer_format(&failure->text, "the test stopped here: %s\n", error->text);
    buffer_append_text(&failure->json, "\"kind\":\"stopped\",\"message\":");
    buffer_json_string(&failure->json, slice_of(error->text));
}

/* Records from number `first` on: results and events that go out, or dead letters. */
static void compare_records(const struct rehearsal *rehearsal, uint32_t first, bool wants_letters,
                            bool has_revisions, const struct node *expected, bool is_partial,
                            struct test_outcome *outcome)
{
    uint32_t count = 0, chosen_count = 0;
    const struct rehearsal_record *records = rehearsal_records(rehearsal, &count);
    struct slice *chosen = memory_allocate_array(count + 1, sizeof *chosen);
    for (uint32_t i = first; i < count; i++) {
        bool is_letter = records[i].kind == REHEARSAL_LETTER;
        if (is_letter == wants_letters && (has_revisions || !records[i].is_replaced))
            chosen[chosen_count++] = records[i].json;
    }
    test_records_compare(expected, chosen, chosen_count, is_partial, outcome);
    free(chosen);
}

static void compare_counters(const struct rehearsal *rehearsal, const struct node *expected,
                             struct test_outcome *outcome)
{
    struct buffer json = {0}, text = {0}, differences = {0};
    rehearsal_write_counters(rehearsal, &json);
    struct test_actual *actual = test_actual_create(buffer_slice(&json));
    if (test_value_compare(expected, actual, &text, &differences)) {
        struct test_failure *failure = test_outcome_add(outcome, expected->place);
        buffer_format(&failure->text, "counters differ:\n%.*s", SLICE_ARG(buffer_slice(&text)));
        buffer_format(&failure->json, "\"kind\":\"counters\",\"actual\":%.*s,\"differences\":[%.*s]",
                      SLICE_ARG(buffer_slice(&json)), SLICE_ARG(buffer_slice(&differences)));
    }
    test_actual_destroy(actual);
    buffer_deinit(&json);
    buffer_deinit(&text);
    buffer_deinit(&differences);
}

static bool run_step(struct rehearsal *rehearsal, const struct pipeline_test *test,
                     const struct test_step *step, uint32_t *first, struct test_outcome *outcome)
{
    enum status status = STATUS_OK;
    struct error error = {{0}};
    struct rehearsal_event event = step->event;
    switch (step->kind) {
    case TEST_EVENT:
        if (event.time_us == TIME_NONE && test->start_us != TIME_NONE &&
            test->config.sources[event.source_index].kind != SOURCE_FILE)
            event.time_us = rehearsal_now_us(rehearsal);
        status = rehearsal_add(rehearsal, &event, &error);
        break;
    case TEST_ADVANCE: status = rehearsal_advance(rehearsal, step->duration_us, &error); break;
    case TEST_EXPECT:
        compare_records(rehearsal, *first, false, test->has_revisions, step->expected, test->is_partial,
                        outcome);
        (void)rehearsal_records(rehearsal, first);
        break;
    }
    if (status != STATUS_OK)
        tell_stop(outcome, step->place, &error);
    return status == STATUS_OK;
}

static bool run_steps(struct rehearsal *rehearsal, const struct pipeline_test *test,
                      struct test_outcome *outcome)
{
    uint32_t first = 0;
    struct error error = {{0}};
    for (uint32_t i = 0; i < test->step_count; i++) {
        if (!run_step(rehearsal, test, &test->steps[i], &first, outcome))
            return false;
    }
    if (test->keeps_open || rehearsal_finish(rehearsal, &error) == STATUS_OK)
        return true;
    tell_stop(outcome, test->place, &error);
    return false;
}

bool pipeline_test_run(const struct test_file *file, const struct pipeline_test *test,
                       struct test_outcome *outcome, struct config_errors *errors)
{
    (void)file;
    const struct rehearsal_options options = {
        .config = &test->config,
        .partition_counts = test->partition_counts,
        .start_us = test->start_us,
    };
    struct rehearsal *rehearsal = rehearsal_create(&options, errors);
    if (!rehearsal)
        return false;
    if (run_steps(rehearsal, test, outcome)) {
        if (test->expected)
            compare_records(rehearsal, 0, false, test->has_revisions, test->expected, test->is_partial,
                            outcome);
        if (test->letters)
            compare_records(rehearsal, 0, true, true, test->letters, test->is_partial, outcome);
        if (test->counters)
            compare_counters(rehearsal, test->counters, outcome);
    }
    rehearsal_destroy(rehearsal);
    return true;
}
