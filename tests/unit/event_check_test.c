/* What a schema lets pass and what not, with the words that a bad event gets, on both paths of the decoder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/random.h"
#include "batch_text.h"
#include "config/event_schema.h"
#include "decode/decoder.h"
#include "decode/event_check.h"
#include "temporary_folder.h"

struct fixture {
    struct config *config;
    struct schema columns;
    struct event_check *check;
    struct decoder *decoder;
    struct batch *batch;
    struct buffer text;
};

static void no_report(void *context, struct config_place place, const char *message)
{
    (void)context;
    fail_msg("%u:%u: %s", place.line, place.column, message);
}

static void open_config(struct fixture *fixture, struct config *config, bool use_shapes);

/* `schemas` is what stands under `schemas:`, indented by 2. The first column is the event time, as of weir's own paths. */
static void open_fixture(struct fixture *fixture, const char *name, const char *schemas, bool use_shapes)
{
    struct config_errors errors;
    *fixture = (struct fixture){0};
    buffer_format(&fixture->text, "sources: {s: {http: {}, time: timestamp, schema: %s}}\n%s%s", name,
                  *schemas ? "schemas:\n" : "", schemas);
    buffer_append_char(&fixture->text, '\0');
    config_errors_init(&errors, "f");
    struct config *config = config_load("f", fixture->text.data, NULL, 0, &errors);
    if (!config)
        fail_msg("%s\n%.*s", fixture->text.data, SLICE_ARG(buffer_slice(&errors.text)));
    config_errors_deinit(&errors);
    open_config(fixture, config, use_shapes);
}

static void open_config(struct fixture *fixture, struct config *config, bool use_shapes)
{
    struct error error;
    uint32_t time_column;
    fixture->config = config;
    schema_init(&fixture->columns);
    assert_int_equal(schema_add_text(&fixture->columns, SLICE("timestamp"), &time_column, &error), STATUS_OK);
    fixture->check = event_check_create(fixture->config->sources[0].schema, &fixture->columns,
                                        &(struct event_check_report){no_report, NULL});
    fixture->decoder = decoder_create(&(struct decoder_options){.schema = &fixture->columns,
                                                                .time_column = time_column,
                                                                .max_future_skew_us = INT64_MAX,
                                                                .check = fixture->check,
                                                                .use_shapes = use_shapes});
    fixture->batch = batch_create();
}

static void close_fixture(struct fixture *fixture)
{
    decoder_destroy(fixture->decoder);
    batch_destroy(fixture->batch);
    event_check_destroy(fixture->check);
    schema_deinit(&fixture->columns);
    config_destroy(fixture->config);
    buffer_deinit(&fixture->text);
}

/* "reason: detail", or "good". */
static const char *judge(struct fixture *fixture, struct slice line)
{
    batch_reset(fixture->batch);
    batch_append(fixture->batch, line, 1, TIME_NONE);
    decoder_run(fixture->decoder, fixture->batch);
    if (!fixture->batch->bad_count)
        return "good";
    const struct bad_record *bad = &fixture->batch->bad[0];
    return arena_format(&fixture->batch->arena, "%s: %s", bad_reason_name(bad->reason), bad->detail);
}

/* --- built-in schemas --- */

struct member {
    const char *name, *value;
};

#define BASE                                                                          \
    {"event_id", "\"e1\""}, {"event_type", "\"click\""}, {"event_name", "\"Click\""}, \
        {"timestamp", "1700000000000"},                                               \
    {                                                                                 \
        "source_service", "\"web\""                                                   \
    }
#define PAYLOAD                \
    {                          \
        "payload", "{\"x\":1}" \
    }

static const struct member base[] = {BASE, PAYLOAD, {NULL, NULL}},
                           action[] = {BASE,
                                       {"payload", "{\"page\":\"/\",\"element\":\"buy\"}"},
                                       {"user_id", "\"u\""},
                                       {"session_id", "\"s\""},
                                       {"action", "\"click\""},
                                       {NULL, NULL}},
                           component[] = {BASE,
                                          PAYLOAD,
                                          {"component", "\"db\""},
                                          {"severity", "\"ERROR\""},
                                          {NULL, NULL}},
                           prediction[] = {BASE,
                                           PAYLOAD,
                                           {"model_name", "\"fraud\""},
                                           {"model_version", "\"3\""},
                                           {"confidence_score", "0.5"},
                                           {NULL, NULL}},
                           business[] = {BASE,
                                         PAYLOAD,
                                         {"entity_type", "\"order\""},
                                         {"entity_id", "17"},
                                         {"value", "9.5"},
                                         {"currency", "\"EUR\""},
                                         {NULL, NULL}},
                           metric[] = {BASE,
                                       PAYLOAD,
                                       {"metric_name", "\"cpu\""},
                                       {"metric_value", "1"},
                                       {"metric_type", "\"gauge\""},
                                       {"labels", "{}"},
                                       {"unit", "\"%\""},
                                       {NULL, NULL}};

static const struct builtin {
    const char *name;
    const struct member *members;
} builtins[] = {
    {"base_event", base},          {"user_action", action},      {"system_event", component},
    {"ml_prediction", prediction}, {"business_event", business}, {"metric_event", metric},
};

/* The good event of a schema with one member changed, left out (value NULL) or added. */
static void write_event(struct buffer *out, const struct member *members, struct member change)
{
    const char *separator = "{";
    bool is_done = false;
    buffer_clear(out);
    for (; members->name; members++) {
        bool is_changed = change.name && strcmp(members->name, change.name) == 0;
        is_done |= is_changed;
        const char *value = is_changed ? change.value : members->value;
        if (value) {
            buffer_format(out, "%s\"%s\":%s", separator, members->name, value);
            separator = ",";
        }
    }
    if (change.name && !is_done)
        buffer_format(out, "%s\"%s\":%s", separator, change.name, change.value);
    buffer_append_char(out, '}');
}

static const struct builtin_case {
    const char *schema;
    struct member change;
    const char *want; /* beginning of the verdict */
} builtin_cases[] = {
    {"base_event", {"event_id", "7"}, "good"},
    {"base_event", {"event_id", "7.5"}, "schema: event_id: expected string or integer, found 7.5"},
    {"base_event", {"event_id", "null"}, "schema: event_id: expected string or integer, found null"},
    {"base_event", {"event_type", "true"}, "schema: event_type: expected string, found true"},
    {"base_event", {"event_name", "[\"a\"]"}, "schema: event_name: expected string, found [\"a\"]"},
    {"base_event", {"source_service", "{}"}, "schema: source_service: expected string, found {}"},
    {"base_event", {"timestamp", "\"2024-01-31T12:00:00Z\""}, "good"},
    {"base_event", {"timestamp", NULL}, "no_time: "},
    {"base_event", {"payload", "{}"}, "schema: payload: expected object with 1 member or more, found {}"},
    {"base_event", {"payload", "{ \n }"}, "schema: payload: expected object with 1 member"},
    {"base_event", {"payload", "[1]"}, "schema: payload: expected object"},
    {"base_event", {"payload", "\"x\""}, "schema: payload: expected object, found \"x\""},
    {"base_event", {"source_version", "\"1.2\""}, "good"},
    {"base_event", {"source_version", "null"}, "good"},
    {"base_event", {"source_version", "{}"}, "schema: source_version: expected string or number"},
    {"base_event", {"trace_id", "1.5"}, "schema: trace_id: "},
    {"base_event", {"span_id", "false"}, "schema: span_id: "},
    {"base_event", {"parent_span_id", "[]"}, "schema: parent_span_id: "},
    {"base_event", {"metadata", "\"x\""}, "schema: metadata: expected object"},
    {"base_event", {"metadata", "{}"}, "good"},
    {"base_event", {"schema_version", "2"}, "good"},
    {"base_event", {"schema_version", "true"}, "schema: schema_version: "},
    {"base_event", {"anything_else", "[1,2]"}, "good"},
    {"user_action", {"payload", "{\"page\":\"/\"}"}, "schema: payload.element is missing, expected string"},
    {"user_action",
     {"payload", "{\"element\":\"b\",\"page\":null}"},
     "schema: payload.page: expected string, found null"},
    {"user_action", {"payload", NULL}, "schema: payload is missing, expected object"},
    {"user_action", {"user_id", "[]"}, "schema: user_id: "},
    {"user_action", {"session_id", "true"}, "schema: session_id: "},
    {"user_action", {"action", "5"}, "schema: action: expected string, found 5"},
    {"system_event", {"severity", "\"DEBUG\""}, "good"},
    {"system_event", {"severity", "\"INFO\""}, "good"},
    {"system_event", {"severity", "\"WARNING\""}, "good"},
    {"system_event", {"severity", "\"CRITICAL\""}, "good"},
    {"system_event",
     {"severity", "\"WARN\""},
     "schema: severity: expected one of \"DEBUG\", \"INFO\", \"WARNING\", \"ERROR\", \"CRITICAL\", found \"WARN\""},
    {"system_event", {"severity", "\"error\""}, "schema: severity: "},
    {"system_event", {"severity", "3"}, "schema: severity: expected string, found 3"},
    {"ml_prediction", {"confidence_score", "0"}, "good"},
    {"ml_prediction", {"confidence_score", "1"}, "good"},
    {"ml_prediction", {"confidence_score", "1.0"}, "good"},
    {"ml_prediction",
     {"confidence_score", "1.0000001"},
     "schema: confidence_score: expected number at least 0 and at most 1, found 1.0000001"},
    {"ml_prediction", {"confidence_score", "-1e-9"}, "schema: confidence_score: "},
    {"ml_prediction", {"confidence_score", "2"}, "schema: confidence_score: "},
    {"ml_prediction", {"confidence_score", "1e999"}, "schema: confidence_score: "},
    {"ml_prediction",
     {"confidence_score", "\"0.5\""},
     "schema: confidence_score: expected number, found \"0.5\""},
    {"ml_prediction", {"model_version", "3"}, "good"},
    {"business_event", {"value", "\"9\""}, "schema: value: expected number"},
    {"business_event", {"value", "-9"}, "good"},
    {"metric_event", {"metric_type", "\"counter\""}, "good"},
    {"metric_event", {"metric_type", "\"histogram\""}, "good"},
    {"metric_event", {"metric_type", "\"summary\""}, "good"},
    {"metric_event", {"metric_type", "\"rate\""}, "schema: metric_type: "},
    {"metric_event", {"metric_value", "null"}, "schema: metric_value: expected number, found null"},
    {"metric_event", {"labels", "[]"}, "schema: labels: expected object"},
};

static const struct member *members_of(const char *name)
{
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
        if (strcmp(builtins[i].name, name) == 0)
            return builtins[i].members;
    fail_msg("no schema %s", name);
    return NULL;
}

static void expect(struct fixture *fixture, const struct buffer *line, const char *want)
{
    const char *got = judge(fixture, buffer_slice(line));
    if (strncmp(got, want, strlen(want)) != 0)
        fail_msg("%.*s\nwant %s\ngot  %s", SLICE_ARG(buffer_slice(line)), want, got);
}

static void builtin_schema_judges_each_member(void **state)
{
    (void)state;
    struct buffer line = {0};
    for (size_t i = 0; i < 2 * sizeof builtin_cases / sizeof *builtin_cases; i++) {
        const struct builtin_case *one = &builtin_cases[i / 2];
        struct fixture fixture;
        open_fixture(&fixture, one->schema, "", i % 2);
        for (int warm = 0; warm < 3; warm++) {
            write_event(&line, members_of(one->schema), (struct member){NULL, NULL});
            expect(&fixture, &line, "good");
            write_event(&line, members_of(one->schema), one->change);
            expect(&fixture, &line, one->want);
        }
        close_fixture(&fixture);
    }
    buffer_deinit(&line);
}

static void each_listed_member_of_a_builtin_schema_is_required(void **state)
{
    (void)state;
    struct buffer line = {0};
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++) {
        struct fixture fixture;
        open_fixture(&fixture, builtins[i].name, "", true);
        for (const struct member *member = builtins[i].members; member->name; member++) {
            char want[128];
            bool is_time = strcmp(member->name, "timestamp") == 0;
            snprintf(want, sizeof want, is_time ? "no_time: %s is missing" : "schema: %s is missing",
                     member->name);
            write_event(&line, builtins[i].members, (struct member){member->name, NULL});
            expect(&fixture, &line, want);
        }
        close_fixture(&fixture);
    }
    buffer_deinit(&line);
}

/* --- fields of a config --- */

#define T "\"timestamp\":1,"

static const struct field_case {
    const char *fields, *event, *want;
} field_cases[] = {
    {"a: {type: string}", "{" T "\"b\":1}", "good"},
    {"a: {type: string}", "{" T "\"a\":null}", "good"},
    {"a: {type: string}", "{" T "\"a\":1}", "schema: a: expected string, found 1"},
    {"a: {type: string, required: true}", "{" T "\"a\":null}", "schema: a: expected string, found null"},
    {"a: {type: any, required: true}", "{" T "\"b\":1}", "schema: a is missing, expected anything"},
    {"a: {type: any, required: true}", "{" T "\"a\":[]}", "good"},
    {"a: {type: boolean}", "{" T "\"a\":false}", "good"},
    {"a: {type: boolean}", "{" T "\"a\":0}", "schema: a: expected boolean, found 0"},
    {"a: {type: array}", "{" T "\"a\":[{}]}", "good"},
    {"a: {type: array}", "{" T "\"a\":{}}", "schema: a: expected array, found {}"},
    {"a: {type: integer}", "{" T "\"a\":2.0}", "good"},
    {"a: {type: integer}", "{" T "\"a\":1e3}", "good"},
    {"a: {type: integer}", "{" T "\"a\":123456789012345678901234567890}", "good"},
    {"a: {type: integer}", "{" T "\"a\":2.5}", "schema: a: expected integer, found 2.5"},
    {"a: {type: integer}", "{" T "\"a\":1e999}", "schema: a: expected integer, found a number beyond 1e308"},
    {"a: {type: number, min: 0.5}", "{" T "\"a\":0.5}", "good"},
    {"a: {type: number, min: 0.5}", "{" T "\"a\":0}", "schema: a: expected number at least 0.5, found 0"},
    {"a: {type: integer, max: 9007199254740993}", "{" T "\"a\":9007199254740993}", "good"},
    {"a: {type: integer, max: 9007199254740993}", "{" T "\"a\":9007199254740994}", "schema: a: "},
    {"a: {type: integer, max: 9.007199254740992e15}", "{" T "\"a\":9007199254740993}", "schema: a: "},
    {"a: {type: [string, integer], max: 3}", "{" T "\"a\":\"9\"}", "good"},
    {"a: {type: string, non_empty: true}", "{" T "\"a\":\"\"}",
     "schema: a: expected string of 1 character or more, found \"\""},
    {"a: {type: string, max_length: 2}", "{" T "\"a\":\"\xc3\xbc\xf0\x9f\x98\x80\"}", "good"},
    {"a: {type: string, max_length: 2}", "{" T "\"a\":\"\\u00fc\\ud83d\\ude00\"}", "good"},
    {"a: {type: string, max_length: 2}", "{" T "\"a\":\"abc\"}",
     "schema: a: expected string of 2 characters or fewer, found \"abc\""},
    {"a: {type: string, min_length: 3}", "{" T "\"a\":\"\xf0\x9f\x98\x80\"}", "schema: a: "},
    {"a: {type: string, pattern: '^o[0-9]+$'}", "{" T "\"a\":\"o12\"}", "good"},
    {"a: {type: string, pattern: '^o[0-9]+$'}", "{" T "\"a\":\"\\u006f12\"}", "good"},
    {"a: {type: string, pattern: '^o[0-9]+$'}", "{" T "\"a\":\"o12 \"}",
     "schema: a: expected string that matches ^o[0-9]+$, found \"o12 \""},
    {"a: {type: string, enum: [b, a, c]}", "{" T "\"a\":\"c\"}", "good"},
    {"a: {type: string, enum: [b, a, c]}", "{" T "\"a\":\"\"}",
     "schema: a: expected one of \"b\", \"a\", \"c\", found \"\""},
    {"a: {type: any, enum: [1, '1', true]}", "{" T "\"a\":1.0}", "good"},
    {"a: {type: any, enum: [1, '1', true]}", "{" T "\"a\":\"1\"}", "good"},
    {"a: {type: any, enum: [1, '1', true]}", "{" T "\"a\":true}", "good"},
    {"a: {type: any, enum: [1, '1', true]}", "{" T "\"a\":false}",
     "schema: a: expected one of 1, \"1\", true, found false"},
    {"a: {type: any, enum: [1, '1', true]}", "{" T "\"a\":[1]}", "schema: a: expected one of "},
    {"a.b.c: {type: integer, required: true}", "{" T "\"a\":{\"b\":{\"c\":1}}}", "good"},
    {"a.b.c: {type: integer, required: true}", "{" T "\"a\":{\"b\":{}}}", "schema: a.b.c is missing"},
    {"a.b.c: {type: integer, required: true}", "{" T "\"a\":{}}", "schema: a.b is missing, expected object"},
    {"a.b.c: {type: integer, required: true}", "{" T "\"a\":[]}", "schema: a: expected object, found []"},
    {"a.b.c: {type: integer}", "{" T "\"z\":{}}", "good"},
    {"a.b.c: {type: integer}", "{" T "\"a\":{\"b\":5}}", "schema: a.b: expected object, found 5"},
    {"a: {type: object}\n      a.b: {type: integer, required: true}", "{" T "\"z\":1}", "good"},
    {"a: {type: object}\n      a.b: {type: integer, required: true}", "{" T "\"a\":{}}",
     "schema: a.b is missing"},
    {"a.b: {type: integer, required: true}\n      a: {type: object}", "{" T "\"a\":null}", "good"},
    {"a: {type: [object, string]}\n      a.b: {type: integer, required: true}", "{" T "\"a\":\"x\"}", "good"},
    {"a: {type: string}", "{" T "\"a\":\"\xf0\x9f\x98\x80", "not_json: "},
};

static void field_judges_its_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof field_cases / sizeof *field_cases; i++) {
        const struct field_case *one = &field_cases[i / 2];
        struct fixture fixture;
        struct buffer schemas = {0}, line = {0};
        buffer_format(&schemas, "  s:\n    fields:\n      %s\n", one->fields);
        buffer_append_char(&schemas, '\0');
        open_fixture(&fixture, "s", schemas.data, i % 2);
        buffer_append_text(&line, one->event);
        for (int warm = 0; warm < 3; warm++)
            expect(&fixture, &line, one->want);
        close_fixture(&fixture);
        buffer_deinit(&schemas);
        buffer_deinit(&line);
    }
}

static void value_in_a_message_is_cut_between_characters(void **state)
{
    (void)state;
    struct fixture fixture;
    struct buffer line = {0};
    open_fixture(&fixture, "s", "  s: {fields: {a: {type: integer}}}\n", true);
    buffer_append_text(&line, "{" T "\"a\":\"");
    for (int i = 0; i < 100000; i++)
        buffer_append_text(&line, "\xf0\x9f\x98\x80");
    buffer_append_text(&line, "\"}");
    const char *got = judge(&fixture, buffer_slice(&line));
    assert_int_equal(strncmp(got, "schema: a: expected integer, found \"\xf0", 37), 0);
    assert_string_equal(got + strlen(got) - 8, "\xf0\x9f\x98\x80\"...");
    assert_true(strlen(got) < 200);
    buffer_deinit(&line);
    close_fixture(&fixture);
}

static void null_of_a_good_event_is_null_in_its_column(void **state)
{
    (void)state;
    for (int use_shapes = 0; use_shapes < 2; use_shapes++) {
        struct fixture fixture;
        open_fixture(&fixture, "s", "  s: {fields: {a: {type: integer}}}\n", use_shapes);
        for (int warm = 0; warm < 3; warm++) {
            assert_string_equal(judge(&fixture, SLICE("{" T "\"a\":null}")), "good");
            assert_int_equal(fixture.batch->columns[1].kind_mask, value_kind_bit(VALUE_NULL));
        }
        close_fixture(&fixture);
    }
}

/* --- both paths --- */

static void append_random_value(struct buffer *out, struct random *random, int depth)
{
    static const char *const leaves[] = {"1",    "1.0",  "-3",    "2.5",          "null",
                                         "true", "\"\"", "\"a\"", "\"\xc3\xbc\"", "\"\\u0061\"",
                                         "[]",   "{}",   "1e999"};
    static const char *const keys[] = {"a", "b", "c", "\\u0061", "zz"};
    if (depth >= 3 || random_below(random, 3)) {
        buffer_append_text(out, leaves[random_below(random, sizeof leaves / sizeof *leaves)]);
        return;
    }
    const char *separator = "{";
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (random_below(random, 2))
            continue;
        buffer_format(out, "%s\"%s\":", separator, keys[i]);
        append_random_value(out, random, depth + 1);
        separator = ",";
    }
    buffer_append_text(out, *separator == '{' ? "{}" : "}");
}

static void random_events_are_judged_alike_on_both_paths(void **state)
{
    (void)state;
    enum { EVENT_COUNT = 20000 };
    uint64_t seed = random_seed_from_system();
    print_message("seed %llu\n", (unsigned long long)seed);
    struct random random = random_seeded(seed);
    static const char *const schema =
        "  s:\n    fields:\n      a: {type: [object, integer, string]}\n      a.a: {type: integer, required: true}\n"
        "      a.b: {type: [object, number], non_empty: true}\n      b: {type: any, enum: [1, a, true]}\n"
        "      b.c: {type: string}\n      c: {type: [string, object, number, boolean], max_length: 1}\n";
    struct fixture fast, slow;
    struct buffer line = {0};
    open_fixture(&fast, "s", schema, true);
    open_fixture(&slow, "s", schema, false);
    unsigned good = 0;
    for (int i = 0; i < EVENT_COUNT; i++) {
        buffer_clear(&line);
        buffer_append_text(&line, "{\"timestamp\":1");
        for (const char *key = "abc"; *key; key++) {
            if (random_below(&random, 3) == 0)
                continue;
            buffer_format(&line, ",\"%c\":", *key);
            append_random_value(&line, &random, 0);
        }
        buffer_append_char(&line, '}');
        const char *want = judge(&slow, buffer_slice(&line)), *got = judge(&fast, buffer_slice(&line));
        if (strcmp(want, got) != 0)
            fail_msg("%.*s\nslow %s\nfast %s", SLICE_ARG(buffer_slice(&line)), want, got);
        good += strcmp(got, "good") == 0;
    }
    assert_in_range(good, EVENT_COUNT / 50, EVENT_COUNT * 9 / 10);
    assert_true(decoder_counters(fast.decoder).fast_documents > EVENT_COUNT / 4);
    buffer_deinit(&line);
    close_fixture(&fast);
    close_fixture(&slow);
}

/* --- objects that are closed --- */

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void open_json(struct fixture *fixture, const char *schema, bool use_shapes)
{
    struct temporary_folder folder;
    struct config_errors errors;
    *fixture = (struct fixture){0};
    temporary_folder_open(&folder);
    assert_int_equal(mkdir(temporary_path(&folder, "schemas"), 0700), 0);
    write_text(temporary_path(&folder, "schemas/s.json"), schema);
    write_text(temporary_path(&folder, "weir.yaml"),
               "sources: {s: {http: {}, time: timestamp, schema: s}}\n");
    config_errors_init(&errors, folder.file);
    struct config *config = config_load(folder.file, NULL, NULL, 0, &errors);
    if (!config)
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&errors.text)));
    config_errors_deinit(&errors);
    temporary_folder_close(&folder);
    open_config(fixture, config, use_shapes);
}

static void closed_object_has_no_member_that_is_not_listed(void **state)
{
    (void)state;
    static const struct {
        const char *event, *want;
    } cases[] = {
        {"{" T "\"a\":{\"b\":1}}", "good"},
        {"{" T "\"a\":{}}", "good"},
        {"{" T "\"a\":\"b\"}", "good"},
        {"{" T "\"x\":1}", "schema: expected no members besides those of the schema, found \"x\""},
        {"{" T "\"\":1}", "schema: expected no members besides those of the schema, found \"\""},
        {"{" T "\"a\":{\"c\":1}}", "schema: a: expected no members besides those of the schema, found \"c\""},
        {"{" T "\"a\":{\"\\u0062\":1}}", "good"},
        {"{" T "\"o\":{\"anything\":{}}}", "good"},
        {"{" T "\"e\":{\"anything\":{}}}", "schema: e: expected no members besides"},
        {"{" T "\"r\":1}", "schema: expected no members besides those of the schema, found \"r\""},
        {"{" T "\"a\":null}", "good"},
    };
    for (int use_shapes = 0; use_shapes < 2; use_shapes++) {
        struct fixture fixture;
        open_json(&fixture,
                  "{\"additionalProperties\": false, \"properties\": {\"timestamp\": {}, \"o\": {},\n"
                  "\"a\": {\"additionalProperties\": false, \"properties\": {\"b\": {}}},\n"
                  "\"e\": {\"additionalProperties\": false}}}\n",
                  use_shapes);
        for (size_t i = 0; i < 4 * sizeof cases / sizeof *cases; i++) {
            struct buffer line = {0};
            buffer_append_text(&line, cases[i % (sizeof cases / sizeof *cases)].event);
            expect(&fixture, &line, cases[i % (sizeof cases / sizeof *cases)].want);
            buffer_deinit(&line);
        }
        if (use_shapes)
            assert_true(decoder_counters(fixture.decoder).fast_documents > 10);
        close_fixture(&fixture);
    }
}

static void null_is_a_value_in_json_schema_and_missing_is_not(void **state)
{
    (void)state;
    for (int use_shapes = 0; use_shapes < 2; use_shapes++) {
        struct fixture fixture;
        open_json(&fixture,
                  "{\"required\": [\"n\"], \"minProperties\": 3, \"properties\":\n"
                  "{\"n\": {\"enum\": [null, 1]}, \"s\": {\"type\": \"string\"}}}\n",
                  use_shapes);
        for (int warm = 0; warm < 3; warm++) {
            assert_string_equal(judge(&fixture, SLICE("{" T "\"n\":null,\"z\":[1,2]}")), "good");
            assert_string_equal(judge(&fixture, SLICE("{" T "\"n\":1.0,\"s\":null}")),
                                "schema: s: expected string, found null");
            assert_string_equal(judge(&fixture, SLICE("{" T "\"s\":\"a\",\"t\":{}}")),
                                "schema: n is missing, expected one of null, 1");
            assert_string_equal(judge(&fixture, SLICE(" {" T "\"n\":null } ")),
                                "schema: expected an object with 3 members or more");
        }
        close_fixture(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builtin_schema_judges_each_member),
        cmocka_unit_test(each_listed_member_of_a_builtin_schema_is_required),
        cmocka_unit_test(field_judges_its_value),
        cmocka_unit_test(value_in_a_message_is_cut_between_characters),
        cmocka_unit_test(null_of_a_good_event_is_null_in_its_column),
        cmocka_unit_test(closed_object_has_no_member_that_is_not_listed),
        cmocka_unit_test(null_is_a_value_in_json_schema_and_missing_is_not),
        cmocka_unit_test(random_events_are_judged_alike_on_both_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
