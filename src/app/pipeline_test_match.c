/* Which expected record is which of those that came. Records have no order, and an expectation may fit several, so each tries to find a
 * free one and otherwise asks those that have one it could take to move on (augmenting paths); what is left over is told. */
#include <stdlib.h>

#include "app/pipeline_test.h"
#include "base/memory.h"

struct match {
    const struct node **expected; /* [expected_count] */
    struct test_actual **actual;  /* [actual_count] */
    uint32_t expected_count, actual_count;
    uint32_t *differences; /* [expected_count * actual_count] */
    uint32_t *owners;      /* [actual_count] the expectation that has it; UINT32_MAX: none */
    bool *is_found;        /* [expected_count] */
    bool *is_tried;        /* [actual_count] in this search */
};

static uint32_t difference(const struct match *match, uint32_t e, uint32_t a)
{
    return match->differences[(size_t)e * match->actual_count + a];
}

/* Depth: at most one step per expectation, of which a list has CONFIG_MAX_CHILDREN. */
static bool find_record(struct match *match, uint32_t e)
{
    for (uint32_t a = 0; a < match->actual_count; a++) {
        if (difference(match, e, a) || match->is_tried[a])
            continue;
        match->is_tried[a] = true;
        if (match->owners[a] == UINT32_MAX || find_record(match, match->owners[a])) {
            match->owners[a] = e;
            return true;
        }
    }
    return false;
}

static void find_all(struct match *match)
{
    for (uint32_t e = 0; e < match->expected_count; e++) {
        memset(match->is_tried, 0, match->actual_count * sizeof *match->is_tried);
        match->is_found[e] = find_record(match, e);
    }
}

/* The free record that differs in the fewest values; UINT32_MAX: all are taken. Of equals the first. */
static uint32_t nearest(const struct match *match, uint32_t e)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t a = 0; a < match->actual_count; a++) {
        if (match->owners[a] == UINT32_MAX &&
            (best == UINT32_MAX || difference(match, e, a) < difference(match, e, best)))
            best = a;
    }
    return best;
}

static void tell_missing(const struct match *match, uint32_t e, struct test_outcome *outcome)
{
    const struct node *expected = match->expected[e];
    struct test_failure *failure = test_outcome_add(outcome, expected->place);
    struct buffer wanted = {0};
    test_value_write(&wanted, expected, false);
    uint32_t near = nearest(match, e);
    buffer_format(&failure->text, "expected, but did not come:\n      %.*s\n",
                  SLICE_ARG(buffer_slice(&wanted)));
    buffer_format(&failure->json, "\"kind\":\"missing\",\"expected\":%.*s", SLICE_ARG(buffer_slice(&wanted)));
    if (near == UINT32_MAX) {
        buffer_append_text(&failure->text,
                           match->actual_count
                               ? "    every record that came is one that was expected elsewhere\n"
                               : "    no record came\n");
    } else {
        const struct test_actual *actual = match->actual[near];
        buffer_format(&failure->text, "    the nearest that came:\n      %.*s\n", SLICE_ARG(actual->text));
        buffer_format(&failure->json, ",\"nearest\":%.*s,\"differences\":[", SLICE_ARG(actual->text));
        (void)test_value_compare(expected, actual, &failure->text, &failure->json);
        buffer_append_char(&failure->json, ']');
    }
    buffer_deinit(&wanted);
}

static void tell_unexpected(const struct match *match, struct config_place place,
                            struct test_outcome *outcome)
{
    uint32_t count = 0;
    for (uint32_t a = 0; a < match->actual_count; a++)
        count += match->owners[a] == UINT32_MAX;
    if (!count)
        return;
    struct test_failure *failure = test_outcome_add(outcome, place);
    buffer_format(&failure->text, "%u record%s came that %s not expected (`partial: true` allows that):\n",
                  count, count == 1 ? "" : "s", count == 1 ? "was" : "were");
    buffer_append_text(&failure->json, "\"kind\":\"unexpected\",\"records\":[");
    uint32_t shown = 0;
    for (uint32_t a = 0; a < match->actual_count && shown < TEST_UNEXPECTED_SHOWN_MAX; a++) {
        if (match->owners[a] != UINT32_MAX)
            continue;
        buffer_format(&failure->text, "      %.*s\n", SLICE_ARG(match->actual[a]->text));
        buffer_format(&failure->json, "%s%.*s", shown ? "," : "", SLICE_ARG(match->actual[a]->text));
        shown++;
    }
    if (count > shown)
        buffer_format(&failure->text, "      and %u more\n", count - shown);
    buffer_format(&failure->json, "],\"count\":%u", count);
}

static void match_init(struct match *match, const struct node *expected, const struct slice *actual,
                       uint32_t actual_count)
{
    *match = (struct match){.expected_count = expected->child_count, .actual_count = actual_count};
    match->expected = memory_allocate_array(match->expected_count + 1, sizeof *match->expected);
    match->actual = memory_allocate_array(actual_count + 1, sizeof *match->actual);
    match->differences =
        memory_allocate_array((size_t)match->expected_count * actual_count + 1, sizeof *match->differences);
    match->owners = memory_allocate_array(actual_count + 1, sizeof *match->owners);
    match->is_found = memory_allocate_array(match->expected_count + 1, sizeof *match->is_found);
    match->is_tried = memory_allocate_array(actual_count + 1, sizeof *match->is_tried);
    uint32_t count = 0;
    for (const struct node *child = expected->first; child; child = child->next)
        match->expected[count++] = child;
    for (uint32_t a = 0; a < actual_count; a++) {
        match->actual[a] = test_actual_create(actual[a]);
        match->owners[a] = UINT32_MAX;
    }
    for (uint32_t e = 0; e < match->expected_count; e++) {
        for (uint32_t a = 0; a < actual_count; a++)
            match->differences[(size_t)e * actual_count + a] =
                test_value_compare(match->expected[e], match->actual[a], NULL, NULL);
    }
}

static void match_deinit(struct match *match)
{
    for (uint32_t a = 0; a < match->actual_count; a++)
        test_actual_destroy(match->actual[a]);
    free(match->expected);
    free(match->actual);
    free(match->differences);
    free(match->owners);
    free(match->is_found);
    free(match->is_tried);
}

void test_records_compare(const struct node *expected, const struct slice *actual, uint32_t actual_count,
                          bool is_partial, struct test_outcome *outcome)
{
    struct match match;
    outcome->record_count += actual_count;
    match_init(&match, expected, actual, actual_count);
    find_all(&match);
    for (uint32_t e = 0; e < match.expected_count; e++) {
        if (!match.is_found[e])
            tell_missing(&match, e, outcome);
    }
    if (!is_partial)
        tell_unexpected(&match, expected->key_place, outcome);
    match_deinit(&match);
}
