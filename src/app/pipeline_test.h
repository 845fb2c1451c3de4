/* Tests of pipelines, as `weir test` runs them: a YAML file says which events come in and what is to come out (docs/TESTING.md).
 * Reading checks a whole file before anything runs. Control thread. */
#pragma once

#include "base/native.h"
#include "config/yaml_tree.h"
#include "pipeline/rehearsal.h"

enum {
    TEST_STEPS_MAX = 20 * 1000,     /* events, moves of the clock and expectations of one test */
    TEST_DIFFERENCES_MAX = 20,      /* that are told of one record */
    TEST_UNEXPECTED_SHOWN_MAX = 10, /* records beyond the expected ones that are shown */
};

enum test_step_kind { TEST_EVENT, TEST_ADVANCE, TEST_EXPECT };

struct test_step {
    enum test_step_kind kind;
    struct rehearsal_event event;
    int64_t duration_us;
    const struct node *expected; /* list of records that came since the last such step */
    struct config_place place;
};

struct pipeline_test {
    const char *name;
    struct config_place place;
    struct config config; /* of the file, or a part of it: the tested pipeline with what it needs */
    const char *pipeline; /* NULL: all of them */
    int64_t start_us;     /* TIME_NONE: not given */
    struct test_step *steps;
    uint32_t step_count;
    uint32_t *partition_counts;                       /* [config.source_count] */
    const struct node *expected, *letters, *counters; /* NULL: not asked for */
    bool is_partial, has_revisions, keeps_open;
};

struct test_file {
    const char *path;
    struct arena arena;
    struct problems problems;
    struct config **configs; /* that were loaded for it */
    uint32_t config_count;
    const struct node *bad_config; /* the last that could not be loaded */
    struct pipeline_test *tests;
    uint32_t test_count;
};

/* False: `errors` say why, those of the config as those of the file. The file is to be closed in either case. */
bool test_file_read(struct test_file *file, const char *path, struct config_errors *errors);
void test_file_close(struct test_file *file);

/* One thing that is not as expected. */
struct test_failure {
    struct config_place place; /* of the expectation */
    struct buffer text;        /* lines for people */
    struct buffer json;        /* the same as members of an object */
    struct test_failure *next;
};

struct test_outcome {
    struct test_failure *failures; /* in order */
    uint32_t failure_count;
    uint32_t record_count; /* that came out and were compared */
};

/* False after errors of the configuration. */
bool pipeline_test_run(const struct test_file *file, const struct pipeline_test *test,
                       struct test_outcome *outcome, struct config_errors *errors);
void test_outcome_deinit(struct test_outcome *outcome);
struct test_failure *test_outcome_add(struct test_outcome *outcome, struct config_place place);

/* --- values --------------------------------------------------------------------------------------------------------- */

/* The YAML value as JSON: plain words that are JSON numbers, true, false or null (~ and nothing too) are those, all else is text. Keys
 * that begin with `at_` are left out of the mapping itself when `leaves_out` says so. */
void test_value_write(struct buffer *out, const struct node *value, bool leaves_out);

/* A document that came out, to be compared. */
struct test_actual {
    struct native_json *parser;
    struct native_json_document document;
    struct slice text;
};

struct test_actual *test_actual_create(struct slice json);
void test_actual_destroy(struct test_actual *actual);

/* How many of the values that are asked for differ. Lines about the first TEST_DIFFERENCES_MAX go to `text`, objects to `json`, where
 * those are not NULL. */
uint32_t test_value_compare(const struct node *expected, const struct test_actual *actual,
                            struct buffer *text, struct buffer *json);

/* --- records -------------------------------------------------------------------------------------------------------- */

/* Gives each expected record one that came, in whichever order, so that as many as possible find theirs, and adds a failure for each
 * that does not and, unless `is_partial`, one for all that are left. */
void test_records_compare(const struct node *expected, const struct slice *actual, uint32_t actual_count,
                          bool is_partial, struct test_outcome *outcome);
