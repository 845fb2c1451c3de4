/* Fields of a record beside its document: as columns, in expressions, in a plan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch_text.h"
#include "decode/decoder.h"
#include "expr/expr.h"
#include "pipeline/plan.h"

#define TIME_US INT64_C(1700000000123999)

struct fixture {
    struct schema schema;
    struct decoder_options options;
    struct decoder *decoder;
    struct batch *batch;
    struct buffer text;
};

/* The last of `paths` is NULL; the event time is that of `time_column`, UINT32_MAX: the record's own. */
static void open_fixture(struct fixture *fixture, const char *const *paths, uint32_t time_column)
{
    *fixture = (struct fixture){0};
    schema_init(&fixture->schema);
    fixture->schema.has_record_fields = true;
    for (; *paths; paths++) {
        uint32_t column;
        assert_int_equal(schema_add_text(&fixture->schema, slice_of(*paths), &column, NULL), STATUS_OK);
    }
    fixture->options = (struct decoder_options){.schema = &fixture->schema,
                                                .time_column = time_column,
                                                .max_future_skew_us = INT64_MAX,
                                                .use_shapes = true};
    fixture->decoder = decoder_create(&fixture->options);
    fixture->batch = batch_create();
}

static void close_fixture(struct fixture *fixture)
{
    decoder_destroy(fixture->decoder);
    batch_destroy(fixture->batch);
    buffer_deinit(&fixture->text);
    schema_deinit(&fixture->schema);
}

/* What the decoder makes of the records that were added; the batch is kept. */
static const char *decode(struct fixture *fixture)
{
    decoder_run(fixture->decoder, fixture->batch);
    buffer_clear(&fixture->text);
    batch_text_append(&fixture->text, fixture->batch);
    buffer_append_char(&fixture->text, '\0');
    return fixture->text.data;
}

static void put_header(struct fixture *fixture, struct slice name, struct slice value)
{
    batch_put_header(fixture->batch, (struct record_header){name, value});
}

static void every_field_is_a_column_of_every_good_row(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture,
                 (const char *const[]){"_topic", "x", "_partition", "_offset", "_timestamp", "_key",
                                       "_headers.h", "_headers[\"content-type\"]", NULL},
                 UINT32_MAX);
    struct batch *batch = fixture.batch;
    for (int round = 0; round < 3; round++) {
        batch_reset(batch);
        batch->partition = 40;
        batch_set_topic(batch, round ? "orders" : "\xc3\xb6", 4);
        batch_put_key(batch, SLICE("k1"));
        put_header(&fixture, SLICE("content-type"), SLICE("json"));
        batch_append(batch, SLICE("{\"x\":\"a\\n\"}"), 10, TIME_US);
        batch_put_key(batch, SLICE("bad"));
        batch_append(batch, SLICE("{\"x\":\"\\u0041\"}}"), 11, TIME_US);
        batch_append(batch, SLICE("{\"_key\":1,\"_topic\":2,\"x\":3}"), 12, -1);
        batch_append(batch, SLICE(" "), 13, TIME_US);
        put_header(&fixture, SLICE("h"), SLICE("v"));
        batch_append(batch, SLICE("{\"x\":\"\\t\"}"), 15, TIME_US);
        /* The words of the verdict are the slow path's, and tested there. */
        const char *got = decode(&fixture), *verdict = strstr(got, "not_json: ");
        assert_non_null(verdict);
        char want[512];
        const char *topic = round ? "orders" : "\xc3\xb6";
        snprintf(want, sizeof want,
                 "1700000000123999 \"%s\" \"a\\n\" 4 10 1700000000123 \"k1\" null \"json\"\n"
                 "%.*s\n"
                 "-1 \"%s\" 3 4 12 -1 null null null\n"
                 "not_json: no JSON text\n"
                 "1700000000123999 \"%s\" \"\\t\" 4 15 1700000000123 null \"v\" null\n",
                 topic, (int)strcspn(verdict, "\n"), verdict, topic, topic);
        assert_string_equal(got, want);
    }
    assert_true(decoder_counters(fixture.decoder).fast_documents > 0);
    close_fixture(&fixture);
}

static void without_topic_the_partition_is_the_sources_and_the_rest_null(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture,
                 (const char *const[]){"ts", "_topic", "_partition", "_offset", "_timestamp", "_key",
                                       "_headers.h", NULL},
                 0);
    fixture.batch->partition = 2;
    batch_append(fixture.batch, SLICE("{\"ts\":1700000000}"), 7, TIME_NONE);
    assert_string_equal(decode(&fixture), "1700000000000000 1700000000 null 2 7 null null null\n");
    close_fixture(&fixture);
}

static void empty_key_is_a_string_and_no_key_is_null(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, (const char *const[]){"_key", "_headers.h", NULL}, UINT32_MAX);
    batch_put_key(fixture.batch, SLICE(""));
    put_header(&fixture, SLICE("h"), SLICE(""));
    batch_append(fixture.batch, SLICE("{}"), 0, 5);
    put_header(&fixture, SLICE("h"), (struct slice){0});
    batch_append(fixture.batch, SLICE("{}"), 1, 5);
    assert_string_equal(decode(&fixture), "5 \"\" \"\"\n5 null null\n");
    close_fixture(&fixture);
}

static void text_that_is_not_utf8_is_null(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, (const char *const[]){"_key", "_headers.h", NULL}, UINT32_MAX);
    static const char *const broken[] = {"\xff",         "a\x80",    "\xc3",
                                         "\xed\xa0\x80", "\xc0\xaf", "\xf5\x80\x80\x80"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        batch_reset(fixture.batch);
        batch_put_key(fixture.batch, slice_of(broken[i]));
        put_header(&fixture, SLICE("h"), slice_of(broken[i]));
        batch_append(fixture.batch, SLICE("{}"), 0, 5);
        batch_put_key(fixture.batch, SLICE("\xf0\x9f\x98\x80"));
        batch_append(fixture.batch, SLICE("{}"), 1, 5);
        assert_string_equal(decode(&fixture), "5 null null\n5 \"\xf0\x9f\x98\x80\" null\n");
    }
    close_fixture(&fixture);
}

static void last_of_repeated_headers_is_the_field(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, (const char *const[]){"_headers.h", NULL}, UINT32_MAX);
    put_header(&fixture, SLICE("h"), SLICE("1"));
    put_header(&fixture, SLICE("h"), SLICE("2"));
    put_header(&fixture, SLICE("g"), SLICE("3"));
    batch_append(fixture.batch, SLICE("{}"), 0, 5);
    put_header(&fixture, SLICE("h"), SLICE("1"));
    put_header(&fixture, SLICE("h"), SLICE("\xff"));
    batch_append(fixture.batch, SLICE("{}"), 0, 5);
    assert_string_equal(decode(&fixture), "5 \"2\"\n5 null\n");
    close_fixture(&fixture);
}

/* A header of `size` bytes makes metadata of size + 13. */
static const char *decode_with_header(struct fixture *fixture, char *value, size_t size)
{
    batch_reset(fixture->batch);
    put_header(fixture, SLICE("h"), (struct slice){value, size});
    batch_append(fixture->batch, SLICE("{}"), 0, 5);
    batch_append(fixture->batch, SLICE("{}"), 1, 6);
    return decode(fixture);
}

static void key_and_headers_beyond_1_mib_are_too_big(void **state)
{
    (void)state;
    enum { HEADS = METADATA_KEY_HEAD_SIZE + METADATA_HEADER_HEAD_SIZE + 1 };
    struct fixture fixture;
    open_fixture(&fixture, (const char *const[]){"_headers.h", NULL}, UINT32_MAX);
    char *value = malloc(METADATA_MAX_SIZE);
    memset(value, 'v', METADATA_MAX_SIZE);
    const char *too_big = "too_big: its key and headers are larger than 1 MiB\n6 null\n";
    assert_string_equal(decode_with_header(&fixture, value, EVENT_MAX_SIZE - HEADS + 1), too_big);
    assert_string_equal(decode_with_header(&fixture, value, METADATA_MAX_SIZE), too_big);
    const char *got = decode_with_header(&fixture, value, EVENT_MAX_SIZE - HEADS);
    assert_memory_equal(got, "5 \"vvv", 6);
    assert_int_equal(strlen(got), EVENT_MAX_SIZE - HEADS + strlen("5 \"\"\n6 null\n"));
    free(value);
    close_fixture(&fixture);
}

static void header_can_be_the_event_time(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, (const char *const[]){"_headers.at", NULL}, 0);
    put_header(&fixture, SLICE("at"), SLICE("2023-11-14T22:13:20Z"));
    batch_append(fixture.batch, SLICE("{}"), 0, TIME_NONE);
    batch_append(fixture.batch, SLICE("{}"), 1, TIME_NONE);
    put_header(&fixture, SLICE("at"), SLICE("soon"));
    batch_append(fixture.batch, SLICE("{}"), 2, TIME_NONE);
    assert_string_equal(
        decode(&fixture),
        "1700000000000000 \"2023-11-14T22:13:20Z\"\n"
        "no_time: _headers.at is missing or null\n"
        "absurd_time: _headers.at is not a time (ISO-8601 or a number) of the years 1 to 9999\n");
    close_fixture(&fixture);
}

static void other_sources_have_plain_members_of_these_names(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, (const char *const[]){NULL}, UINT32_MAX);
    decoder_destroy(fixture.decoder);
    fixture.schema.has_record_fields = false;
    static const char *const paths[] = {"_key", "_topic.a", "_headers", "_headers.h.g", "_partition"};
    for (uint32_t i = 0; i < 5; i++) {
        uint32_t column;
        assert_int_equal(schema_add_text(&fixture.schema, slice_of(paths[i]), &column, NULL), STATUS_OK);
    }
    fixture.decoder = decoder_create(&fixture.options);
    batch_set_topic(fixture.batch, "t", 1);
    batch_put_key(fixture.batch, SLICE("k"));
    batch_append(fixture.batch, SLICE("{\"_key\":1,\"_topic\":{\"a\":2},\"_headers\":{\"h\":{\"g\":3}}}"), 0,
                 5);
    assert_string_equal(decode(&fixture), "5 1 2 ={\"h\":{\"g\":3}} 3 null\n");
    close_fixture(&fixture);
}

/* --- expressions -------------------------------------------------------------------------------------------------- */

static void types_are_known_when_an_expression_is_loaded(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum expr_type type;
    } cases[] = {
        {"_key", EXPR_STRING},
        {"_topic", EXPR_STRING},
        {"_headers.h", EXPR_STRING},
        {"_partition", EXPR_INT},
        {"_offset % 2", EXPR_INT},
        {"_timestamp / 1000", EXPR_INT},
        {"_key == null", EXPR_BOOL},
        {"has(_key)", EXPR_BOOL},
        {"_topic + \"/\" + _key", EXPR_STRING},
        {"_keys", EXPR_ANY},
        {"a._key", EXPR_ANY},
        {"timestamp(_timestamp)", EXPR_TIMESTAMP},
        {"_key in [\"a\"]", EXPR_BOOL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct schema schema;
        struct expr *expr;
        struct expr_error error;
        schema_init(&schema);
        schema.has_record_fields = true;
        if (expr_compile(slice_of(cases[i].text), &schema, EXPR_ANY, &expr, &error) != STATUS_OK)
            fail_msg("%s: %s", cases[i].text, error.message);
        assert_string_equal(expr_type_name(expr_result_type(expr)), expr_type_name(cases[i].type));
        expr_destroy(expr);
        schema_deinit(&schema);
    }
}

static void misuse_is_refused_at_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset;
        const char *message;
    } cases[] = {
        {"1 == _key", 2, "cannot compare int with string"},
        {"x && _topic.name == \"a\"", 5, "_topic is a field of the record with one value, it has no members"},
        {"_offset[0]", 0, "_offset is a field of the record with one value"},
        {"size(_headers)", 5, "_headers needs the name of one header"},
        {"_headers.a.b", 0, "_headers[\"content-type\"]"},
        {"_headers[0]", 0, "_headers needs the name of one header"},
        {"_partition + _key", 11, "does not work on int and string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct schema schema;
        struct expr *expr;
        struct expr_error error;
        schema_init(&schema);
        schema.has_record_fields = true;
        assert_int_equal(expr_compile(slice_of(cases[i].text), &schema, EXPR_ANY, &expr, &error),
                         STATUS_INVALID);
        if (error.offset != cases[i].offset || !strstr(error.message, cases[i].message))
            fail_msg("%s: at %zu: %s", cases[i].text, error.offset, error.message);
        schema_deinit(&schema);
    }
}

static void expressions_see_the_fields(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, (const char *const[]){NULL}, UINT32_MAX);
    decoder_destroy(fixture.decoder);
    struct expr *where, *text;
    struct expr_error error;
    assert_int_equal(expr_compile(SLICE("_offset >= 1 && _headers[\"h-1\"] != \"no\""), &fixture.schema,
                                  EXPR_BOOL, &where, &error),
                     STATUS_OK);
    assert_int_equal(expr_compile(SLICE("_topic + \"-\" + string(_partition) + _key + x"), &fixture.schema,
                                  EXPR_ANY, &text, &error),
                     STATUS_OK);
    fixture.decoder = decoder_create(&fixture.options);
    static const char *const headers[] = {"yes", "no", "yes"};
    batch_set_topic(fixture.batch, "t", 3);
    for (int i = 0; i < 3; i++) {
        batch_put_key(fixture.batch, SLICE("k"));
        put_header(&fixture, SLICE("h-1"), slice_of(headers[i]));
        batch_append(fixture.batch, SLICE("{\"x\":\"\\u00e9\"}"), i, 5);
    }
    decoder_run(fixture.decoder, fixture.batch);
    uint32_t selected[3];
    assert_int_equal(expr_select(where, fixture.batch, NULL, 3, selected), 1);
    assert_int_equal(selected[0], 2);
    struct column column;
    expr_evaluate(text, fixture.batch, &column);
    for (uint32_t row = 0; row < 3; row++)
        assert_true(slice_equal_text(batch_text(fixture.batch, column.values[row].s), "t-3k\xc3\xa9"));
    expr_destroy(where);
    expr_destroy(text);
    close_fixture(&fixture);
}

/* --- plans -------------------------------------------------------------------------------------------------------- */

#define CONFIG(source, pipeline)   \
    "sources: {s: {" source "}}\n" \
    "pipelines: {p: {from: s, window: {tumbling: 10s}, " pipeline "}}\n"
#define KAFKA "kafka: {brokers: [\"b:1\"], topics: [t]}"
#define HTTP  "http: {}"

struct planned {
    struct config_errors errors;
    struct config *config;
    struct plan *plan;
};

static void make_plan(struct planned *planned, const char *text)
{
    config_errors_init(&planned->errors, "f");
    planned->config = config_load("f", text, NULL, 0, &planned->errors);
    if (!planned->config)
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&planned->errors.text)));
    planned->plan = plan_create(planned->config, NULL, &planned->errors);
    buffer_append_char(&planned->errors.text, '\0');
}

static void free_plan(struct planned *planned)
{
    plan_destroy(planned->plan);
    config_destroy(planned->config);
    config_errors_deinit(&planned->errors);
}

static void kafka_sources_alone_have_record_fields(void **state)
{
    (void)state;
    struct planned planned;
    make_plan(&planned, CONFIG(KAFKA, "key: [_partition, _headers.region], aggregates: {n: last(_key)}"));
    assert_non_null(planned.plan);
    const struct schema *schema = &planned.plan->sources[0].schema;
    assert_int_equal(schema->column_count, 3);
    assert_int_equal(schema->paths[0].origin, PATH_PARTITION);
    assert_int_equal(schema->paths[1].origin, PATH_HEADER);
    assert_int_equal(schema->paths[2].origin, PATH_KEY);
    assert_string_equal(planned.plan->pipelines[0].shape.key_names[1], "region");
    free_plan(&planned);

    make_plan(&planned, CONFIG(HTTP, "key: [_partition], aggregates: {n: sum(_key)}"));
    assert_non_null(planned.plan);
    assert_int_equal(planned.plan->sources[0].schema.paths[0].origin, PATH_DOCUMENT);
    free_plan(&planned);
}

static void number_of_a_string_field_is_refused(void **state)
{
    (void)state;
    struct planned planned;
    make_plan(&planned, CONFIG(KAFKA, "aggregates: {n: sum(_key)}"));
    assert_null(planned.plan);
    assert_non_null(strstr(planned.errors.text.data, "sum() needs a number, but \"_key\" is a string"));
    free_plan(&planned);
}

static void time_of_the_record_is_taken_as_it_is(void **state)
{
    (void)state;
    struct planned planned;
    make_plan(&planned, CONFIG(KAFKA ", time: _timestamp, time_unit: s", "aggregates: {n: max(_timestamp)}"));
    assert_non_null(planned.plan);
    assert_int_equal(planned.plan->sources[0].time_column, PLAN_NO_COLUMN);
    free_plan(&planned);
    make_plan(&planned, CONFIG(KAFKA ", time: _headers.at", "aggregates: {n: count()}"));
    assert_non_null(planned.plan);
    assert_int_equal(planned.plan->sources[0].time_column, 0);
    free_plan(&planned);
    make_plan(&planned, CONFIG(HTTP ", time: _timestamp", "aggregates: {n: count()}"));
    assert_non_null(planned.plan);
    assert_int_equal(planned.plan->sources[0].time_column, 0);
    free_plan(&planned);
    make_plan(&planned, CONFIG(KAFKA ", time: _headers", "aggregates: {n: count()}"));
    assert_null(planned.plan);
    assert_non_null(strstr(planned.errors.text.data, "_headers needs the name of one header"));
    free_plan(&planned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_a_column_of_every_good_row),
        cmocka_unit_test(without_topic_the_partition_is_the_sources_and_the_rest_null),
        cmocka_unit_test(empty_key_is_a_string_and_no_key_is_null),
        cmocka_unit_test(text_that_is_not_utf8_is_null),
        cmocka_unit_test(last_of_repeated_headers_is_the_field),
        cmocka_unit_test(key_and_headers_beyond_1_mib_are_too_big),
        cmocka_unit_test(header_can_be_the_event_time),
        cmocka_unit_test(other_sources_have_plain_members_of_these_names),
        cmocka_unit_test(types_are_known_when_an_expression_is_loaded),
        cmocka_unit_test(misuse_is_refused_at_its_place),
        cmocka_unit_test(expressions_see_the_fields),
        cmocka_unit_test(kafka_sources_alone_have_record_fields),
        cmocka_unit_test(number_of_a_string_field_is_refused),
        cmocka_unit_test(time_of_the_record_is_taken_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
