/* The decoder: columns, verdicts, and that the fast path is taken without a difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "batch_text.h"
#include "decode/decoder.h"

enum { SECOND_US = 1000000 };
#define TIME_US INT64_C(1700000000000000)
#define HEAD    "{\"ts\":1700000000000,\"x\":"

struct fixture {
    struct schema schema;
    struct decoder_options options;
    struct decoder *decoder;
    struct batch *batch;
    struct buffer text;
    const char *topic;
};

/* `paths` end with NULL; the first is the event time. */
static void open_paths(struct fixture *fixture, const char *const *paths, bool use_shapes)
{
    *fixture = (struct fixture){0};
    schema_init(&fixture->schema);
    for (; *paths; paths++) {
        uint32_t column;
        struct error error;
        assert_int_equal(schema_add_text(&fixture->schema, slice_of(*paths), &column, &error), STATUS_OK);
    }
    fixture->options = (struct decoder_options){
        .schema = &fixture->schema, .max_future_skew_us = INT64_MAX, .use_shapes = use_shapes};
    fixture->decoder = decoder_create(&fixture->options);
    fixture->batch = batch_create();
}

static void open_fixture(struct fixture *fixture, bool use_shapes)
{
    open_paths(fixture, (const char *const[]){"ts", "x", NULL}, use_shapes);
}

static void close_fixture(struct fixture *fixture)
{
    decoder_destroy(fixture->decoder);
    batch_destroy(fixture->batch);
    buffer_deinit(&fixture->text);
    schema_deinit(&fixture->schema);
}

/* What the decoder makes of one record. */
static const char *decode_slice(struct fixture *fixture, struct slice line)
{
    batch_reset(fixture->batch);
    batch_set_topic(fixture->batch, fixture->topic, 0);
    batch_append(fixture->batch, line, 7, TIME_NONE);
    decoder_run(fixture->decoder, fixture->batch);
    buffer_clear(&fixture->text);
    batch_text_append(&fixture->text, fixture->batch);
    fixture->text.data[fixture->text.size - 1] = '\0';
    return fixture->text.data;
}

static const char *decode(struct fixture *fixture, const char *line)
{
    return decode_slice(fixture, slice_of(line));
}

static void expect_reason(struct fixture *fixture, const char *line, const char *reason)
{
    const char *got = decode(fixture, line);
    if (strncmp(got, reason, strlen(reason)) != 0 || got[strlen(reason)] != ':')
        fail_msg("%s: want %s, got %s", line, reason, got);
}

/* The same by the slow path and by the fast one, which has learned the usual line. */
static void expect_both(const char *line, const char *want)
{
    for (int use_shapes = 0; use_shapes < 2; use_shapes++) {
        struct fixture fixture;
        open_fixture(&fixture, use_shapes);
        for (int i = 0; i < 3; i++) {
            decode(&fixture, HEAD "1}");
            assert_string_equal(decode(&fixture, line), want);
        }
        close_fixture(&fixture);
    }
}

static void value_keeps_its_json_type(void **state)
{
    (void)state;
    expect_both(HEAD "1}", "1700000000000000 1700000000000 1");
    expect_both(HEAD "-0}", "1700000000000000 1700000000000 -0x0p+0");
    expect_both(HEAD "0}", "1700000000000000 1700000000000 0");
    expect_both(HEAD "1.0}", "1700000000000000 1700000000000 0x1p+0");
    expect_both(HEAD "true}", "1700000000000000 1700000000000 true");
    expect_both(HEAD "false}", "1700000000000000 1700000000000 false");
    expect_both(HEAD "null}", "1700000000000000 1700000000000 null");
    expect_both(HEAD "\"a\"}", "1700000000000000 1700000000000 \"a\"");
    expect_both(HEAD "[1, {\"y\":2}]}", "1700000000000000 1700000000000 =[1, {\"y\":2}]");
    expect_both(HEAD "{ }}", "1700000000000000 1700000000000 ={ }");
    expect_both("{\"ts\":1700000000000}", "1700000000000000 1700000000000 null");
}

static void number_beyond_int64_is_a_double(void **state)
{
    (void)state;
    expect_both(HEAD "9223372036854775807}", "1700000000000000 1700000000000 9223372036854775807");
    expect_both(HEAD "-9223372036854775808}", "1700000000000000 1700000000000 -9223372036854775808");
    expect_both(HEAD "9223372036854775808}", "1700000000000000 1700000000000 0x1p+63");
    expect_both(HEAD "36893488147419103232}", "1700000000000000 1700000000000 0x1p+65");
    expect_both(HEAD "9007199254740993}", "1700000000000000 1700000000000 9007199254740993");
    expect_both(HEAD "1e999}", "1700000000000000 1700000000000 inf");
    expect_both(HEAD "-1e999}", "1700000000000000 1700000000000 -inf");
    expect_both(HEAD "1e-400}", "1700000000000000 1700000000000 0x0p+0");
}

static void string_is_unescaped_utf8(void **state)
{
    (void)state;
    expect_both(HEAD "\"\\u00e9\\u20AC\\ud83d\\ude00\"}", "1700000000000000 1700000000000 \"é€😀\"");
    expect_both(HEAD "\"gr\xc3\xbc\xc3\x9f\x65\"}", "1700000000000000 1700000000000 \"grüße\"");
    expect_both(HEAD "\"a\\u0000b\\/\"}", "1700000000000000 1700000000000 \"a\\u0000b/\"");
}

static void fault_has_its_reason_on_both_paths(void **state)
{
    (void)state;
    static const struct {
        const char *line, *reason;
    } cases[] = {
        {"hello", "not_json"},
        {HEAD "1", "not_json"},
        {HEAD "1} x", "not_json"},
        {HEAD "1}}", "not_json"},
        {HEAD "1,}", "not_json"},
        {HEAD "01}", "not_json"},
        {HEAD "1.}", "not_json"},
        {HEAD "tru}", "not_json"},
        {HEAD "\"a\tb\"}", "not_json"},
        {HEAD "\"\\x41\"}", "not_json"},
        {HEAD "\"\\ud800\"}", "not_json"},
        {HEAD "\"\\udc00\"}", "not_json"},
        {HEAD "\"\\ude00\\ud83d\"}", "not_json"},
        {HEAD "\"\\ud83d\\u0041\"}", "not_json"},
        {HEAD "1,\"u\":\"\\ud800\"}", "not_json"},
        {HEAD "\"\xff\"}", "not_json"},
        {HEAD "\"\xc0\xaf\"}", "not_json"},
        {HEAD "\"\xed\xa0\x80\"}", "not_json"},
        {HEAD "\"\xf4\x90\x80\x80\"}", "not_json"},
        {"\xef\xbb\xbf" HEAD "1}", "not_json"},
        {"[1]", "not_object"},
        {"17", "not_object"},
        {"\"text\"", "not_object"},
        {"null", "not_object"},
        {HEAD "1,\"x\":1}", "duplicate_key"},
        {HEAD "1,\"\\u0078\":1}", "duplicate_key"},
        {HEAD "{\"a\":1,\"a\":2}}", "duplicate_key"},
        {HEAD "[{\"a\":1},{\"b\":1,\"b\":2}]}", "duplicate_key"},
        {"{}", "no_time"},
        {"{\"x\":1}", "no_time"},
        {"{\"ts\":null,\"x\":1}", "no_time"},
        {"{\"ts\":\"soon\",\"x\":1}", "absurd_time"},
        {"{\"ts\":true,\"x\":1}", "absurd_time"},
        {"{\"ts\":[1],\"x\":1}", "absurd_time"},
        {"{\"ts\":1e300,\"x\":1}", "absurd_time"},
        {"{\"ts\":\"0000-12-31T23:59:59Z\",\"x\":1}", "absurd_time"},
    };
    for (int use_shapes = 0; use_shapes < 2; use_shapes++) {
        struct fixture fixture;
        open_fixture(&fixture, use_shapes);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            decode(&fixture, HEAD "1}");
            expect_reason(&fixture, cases[i].line, cases[i].reason);
        }
        close_fixture(&fixture);
    }
}

static void nul_is_not_json(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, true);
    decode(&fixture, HEAD "1}");
    assert_ptr_equal(strstr(decode_slice(&fixture, SLICE(HEAD "1}\0")), "not_json"), fixture.text.data);
    assert_ptr_equal(strstr(decode_slice(&fixture, SLICE(HEAD "\"a\0\"}")), "not_json"), fixture.text.data);
    close_fixture(&fixture);
}

static void blank_record_is_neither_row_nor_bad(void **state)
{
    (void)state;
    expect_both("", "blank");
    expect_both(" \t\r\n", "blank");
}

static void blank_record_of_a_topic_is_bad(void **state)
{
    (void)state;
    struct fixture fixture;
    for (int use_shapes = 0; use_shapes < 2; use_shapes++) {
        open_fixture(&fixture, use_shapes);
        fixture.topic = "events";
        decode(&fixture, HEAD "1}");
        expect_reason(&fixture, "", "not_json");
        expect_reason(&fixture, " \t\r\n", "not_json");
        close_fixture(&fixture);
    }
}

/* `depth` arrays and objects in turn, the event itself being the first. */
static void nest(struct buffer *out, int depth, const char *leaf)
{
    buffer_clear(out);
    buffer_append_text(out, HEAD);
    for (int i = 1; i < depth; i++)
        buffer_append_text(out, i % 2 ? "[" : "{\"a\":");
    buffer_append_text(out, leaf);
    for (int i = depth - 1; i > 0; i--)
        buffer_append_text(out, i % 2 ? "]" : "}");
    buffer_append_text(out, "}");
}

static void depth_is_limited_on_both_paths(void **state)
{
    (void)state;
    for (int use_shapes = 0; use_shapes < 2; use_shapes++) {
        struct fixture fixture;
        struct buffer line = {0};
        open_fixture(&fixture, use_shapes);
        for (int i = 0; i < 3; i++) {
            nest(&line, EVENT_MAX_DEPTH, "1");
            decode_slice(&fixture, buffer_slice(&line));
            assert_int_equal(fixture.batch->row_count, 1);
            /* The innermost place is known; an empty container there is one level too many. */
            nest(&line, EVENT_MAX_DEPTH, "{}");
            assert_non_null(strstr(decode_slice(&fixture, buffer_slice(&line)), "too_deep"));
            nest(&line, EVENT_MAX_DEPTH, "[]");
            assert_non_null(strstr(decode_slice(&fixture, buffer_slice(&line)), "too_deep"));
            nest(&line, EVENT_MAX_DEPTH + 1, "1");
            assert_non_null(strstr(decode_slice(&fixture, buffer_slice(&line)), "too_deep"));
        }
        buffer_deinit(&line);
        close_fixture(&fixture);
    }
}

static void event_over_1_mib_is_too_big(void **state)
{
    (void)state;
    struct fixture fixture;
    struct buffer line = {0};
    open_fixture(&fixture, true);
    buffer_append_text(&line, HEAD "1,\"pad\":\"");
    while (line.size < EVENT_MAX_SIZE - 2)
        buffer_append_char(&line, 'a');
    buffer_append_text(&line, "\"}");
    for (int i = 0; i < 2; i++)
        assert_string_equal(decode_slice(&fixture, buffer_slice(&line)), "1700000000000000 1700000000000 1");
    buffer_append_char(&line, ' ');
    decode_slice(&fixture, buffer_slice(&line));
    assert_int_equal(fixture.batch->bad[0].reason, BAD_TOO_BIG);
    buffer_deinit(&line);
    close_fixture(&fixture);
}

static void paths_reach_members_and_elements(void **state)
{
    (void)state;
    static const char line[] =
        "{\"t\":1,\"a\":{\"b\":[10,{\"c\":\"x\"},12],\"d.e\":true},\"m\":[[1,2],[3,4]],\"o\":{\"0\":5}}";
    for (int use_shapes = 0; use_shapes < 2; use_shapes++) {
        struct fixture fixture;
        open_paths(&fixture,
                   (const char *const[]){"t", "a.b[1].c", "a.b[2]", "a.b", "a[\"d.e\"]", "m[1][0]", "m[2]",
                                         "o[0]", "o.0", "a.none", NULL},
                   use_shapes);
        for (int i = 0; i < 3; i++) {
            assert_string_equal(decode(&fixture, line),
                                "1000000 1 \"x\" 12 =[10,{\"c\":\"x\"},12] true 3 null null 5 null");
        }
        assert_int_equal(decoder_counters(fixture.decoder).fast_documents, use_shapes ? 2 : 0);
        close_fixture(&fixture);
    }
}

static void known_keys_take_the_fast_path_in_any_order_and_spacing(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, true);
    decode(&fixture, "{\"ts\":1700000000000,\"x\":1,\"tags\":[\"a\"],\"n\":{\"p\":1,\"q\":2}}");
    static const char *const lines[] = {
        "{\"x\":1,\"ts\":1700000000000}",
        "{\"n\":{\"q\":1.5e3},\"tags\":[],\"x\":1,\"ts\":1700000000000}",
        "{\"tags\":[\"b\",\"\\u00e9\",null,3],\"ts\":1700000000000,\"x\":1}",
        " { \"ts\" : 1700000000000 ,\t\"x\" : 1 , \"n\" : { } } ",
        "{\"ts\": 1700000000000, \"x\": 1}\r",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_string_equal(decode(&fixture, lines[i]), "1700000000000000 1700000000000 1");
    assert_int_equal(decoder_counters(fixture.decoder).slow_documents, 1);
    decode(&fixture, "{\"new\":0,\"x\":1,\"ts\":1700000000000}");
    decode(&fixture, "{\"new\":0,\"x\":1,\"ts\":1700000000000}");
    assert_int_equal(decoder_counters(fixture.decoder).slow_documents, 2);
    close_fixture(&fixture);
}

static void spaced_source_and_compact_one_are_both_fast(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"ts\": 1700000000000, \"x\": 1, \"a key of many characters\": {\"x\": 2, \"y\": [1, 2]}}",
        "{\"ts\":1700000000000,\"x\":1,\"a key of many characters\":{\"x\":2,\"y\":[1,2]}}",
        "{\"a key of many characters\": {\"y\": []}, \"x\": 1, \"ts\": 1700000000000}",
        "{ \"x\":1 , \"ts\" :1700000000000}",
    };
    enum { LINE_COUNT = sizeof lines / sizeof *lines };
    for (int first = 0; first < 2; first++) {
        struct fixture fixture;
        open_fixture(&fixture, true);
        for (int i = 0; i < 2 * LINE_COUNT; i++) {
            const char *line = lines[(first + i) % LINE_COUNT];
            assert_string_equal(decode(&fixture, line), "1700000000000000 1700000000000 1");
        }
        assert_int_equal(decoder_counters(fixture.decoder).slow_documents, 1);
        expect_reason(&fixture, "{\"ts\": 1700000000000, \"x\": 1, \"x\": 1}", "duplicate_key");
        expect_reason(&fixture, "{, \"ts\": 1700000000000}", "not_json");
        expect_reason(&fixture, "{\"ts\": 1700000000000, }", "not_json");
        close_fixture(&fixture);
    }
}

static void keys_without_end_are_bounded_and_forgotten(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, true);
    for (int i = 0; i < 3 * DECODER_FORGET_AFTER; i++) {
        char line[64];
        snprintf(line, sizeof line, HEAD "%d,\"key-%d\":1}", i, i);
        char want[64];
        snprintf(want, sizeof want, "1700000000000000 1700000000000 %d", i);
        assert_string_equal(decode(&fixture, line), want);
    }
    struct decoder_counters counters = decoder_counters(fixture.decoder);
    assert_true(counters.places_forgotten > 0);
    assert_true(counters.places_learned - counters.places_forgotten <= DECODER_MAX_PLACES);
    close_fixture(&fixture);
}

static void record_cut_short_does_not_read_its_neighbour(void **state)
{
    (void)state;
    static const char *const parts[] = {HEAD "1", HEAD "\"a", HEAD "[1,", HEAD, "{\"ts\"", HEAD "1,"};
    static const char *const rests[] = {"}", "\"}", "2]}", "1}", ":1700000000000}", "\"y\":1}"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct fixture fixture;
        open_fixture(&fixture, true);
        decode(&fixture, HEAD "[1,2],\"y\":1}");
        batch_reset(fixture.batch);
        batch_append(fixture.batch, slice_of(parts[i]), 1, TIME_NONE);
        batch_append(fixture.batch, slice_of(rests[i]), 2, TIME_NONE);
        decoder_run(fixture.decoder, fixture.batch);
        assert_int_equal(fixture.batch->bad_count, 2);
        assert_int_equal(fixture.batch->bad[0].reason, BAD_NOT_JSON);
        close_fixture(&fixture);
    }
}

static void leaf_that_changes_its_size_after_long_is_read_right(void **state)
{
    (void)state;
    static const char *const values[] = {"12",  "123", "1", "1.5", "\"ab\"", "\"abcdefghijklmnopqrst\"",
                                         "\"\""};
    static const char *const wants[] = {"12",  "123", "1", "0x1.8p+0", "\"ab\"", "\"abcdefghijklmnopqrst\"",
                                        "\"\""};
    enum { VALUE_COUNT = sizeof values / sizeof *values, LONG = 100 };
    struct fixture fixture;
    open_fixture(&fixture, true);
    for (int round = 0; round < VALUE_COUNT * LONG; round++) {
        char line[80], want[80];
        snprintf(line, sizeof line, HEAD "%s,\"y\":0}", values[round / LONG]);
        snprintf(want, sizeof want, "1700000000000000 1700000000000 %s", wants[round / LONG]);
        assert_string_equal(decode(&fixture, line), want);
        assert_true(fixture.batch->slow_count == (round == 0));
    }
    close_fixture(&fixture);
}

static void append_random_value(struct buffer *out, struct random *random, int depth)
{
    static const char *const leaves[] = {
        "0",
        "-0",
        "17",
        "1700000000",
        "123456789012345678",
        "1234567890123456789012",
        "3.25",
        "-12345678.12345678",
        "1e3",
        "0.1",
        "true",
        "false",
        "null",
        "\"\"",
        "\"plain\"",
        "\"sixteen bytes ok\"",
        "\"gr\xc3\xbc\xc3\x9f\"",
        "\"\\u00e9\\n\"",
        "\"\\ud83d\\ude00\"",
    };
    static const char *const keys[] = {
        "\"a\"", "\"b\"", "\"ts\"", "\"a key of more than sixteen\"", "\"\xc3\xbc\"", "\"\\u0061\""};
    uint64_t kind = random_below(random, depth < 3 ? 5 : 3);
    if (kind < 3) {
        buffer_append_text(out, leaves[random_below(random, sizeof leaves / sizeof *leaves)]);
        return;
    }
    buffer_append_char(out, kind == 3 ? '{' : '[');
    for (uint64_t i = 0, count = random_below(random, 4); i < count; i++) {
        buffer_append_text(out, i == 0 ? "" : random_below(random, 8) ? "," : " ,\t");
        if (kind == 3) {
            buffer_append_text(out, keys[random_below(random, sizeof keys / sizeof *keys)]);
            buffer_append_text(out, random_below(random, 8) ? ":" : " : ");
        }
        append_random_value(out, random, depth + 1);
    }
    buffer_append_char(out, kind == 3 ? '}' : ']');
}

/* Mostly good events; now and then a byte is changed. */
static void append_random_event(struct buffer *out, struct random *random)
{
    size_t begin = out->size;
    buffer_append_text(out, "{\"ts\":1700000000");
    if (random_below(random, 2)) {
        buffer_append_text(out, ",\"x\":");
        append_random_value(out, random, 0);
    }
    buffer_append_text(out, ",\"a\":");
    append_random_value(out, random, 0);
    buffer_append_char(out, '}');
    if (random_below(random, 8) == 0)
        out->data[begin + random_below(random, out->size - begin)] = (char)random_next(random);
}

static void random_events_decode_alike_on_both_paths(void **state)
{
    (void)state;
    enum { EVENT_COUNT = 20000 };
    uint64_t seed = random_seed_from_system();
    print_message("seed %llu\n", (unsigned long long)seed);
    struct random random = random_seeded(seed);
    struct fixture fast, slow;
    static const char *const paths[] = {"ts", "x", "a", "a.a", "a[0]", "a[1].b", "x.b.a", "\xc3\xbc", NULL};
    open_paths(&fast, paths, true);
    open_paths(&slow, paths, false);
    struct buffer line = {0};
    for (int i = 0; i < EVENT_COUNT; i++) {
        buffer_clear(&line);
        append_random_event(&line, &random);
        assert_string_equal(decode_slice(&fast, buffer_slice(&line)),
                            decode_slice(&slow, buffer_slice(&line)));
    }
    assert_true(decoder_counters(fast.decoder).fast_documents > EVENT_COUNT / 4);
    buffer_deinit(&line);
    close_fixture(&fast);
    close_fixture(&slow);
}

static enum bad_reason judge_at(struct fixture *fixture, int64_t record_time_us)
{
    batch_reset(fixture->batch);
    batch_append(fixture->batch, SLICE(HEAD "1}"), 1, record_time_us);
    decoder_run(fixture->decoder, fixture->batch);
    return fixture->batch->bad_count ? fixture->batch->bad[0].reason : BAD_REASON_COUNT;
}

static void time_beyond_the_records_own_is_bad_if_it_has_one(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, true);
    decoder_destroy(fixture.decoder);
    fixture.options.max_future_skew_us = 300 * (int64_t)SECOND_US;
    fixture.decoder = decoder_create(&fixture.options);
    assert_int_equal(judge_at(&fixture, TIME_US - 300 * (int64_t)SECOND_US), BAD_REASON_COUNT);
    assert_int_equal(judge_at(&fixture, TIME_US - 300 * (int64_t)SECOND_US - 1), BAD_FUTURE_TIME);
    assert_int_equal(judge_at(&fixture, TIME_NONE), BAD_REASON_COUNT);
    close_fixture(&fixture);
}

static void without_time_path_the_record_gives_the_time(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, true);
    decoder_destroy(fixture.decoder);
    fixture.options.time_column = UINT32_MAX;
    fixture.decoder = decoder_create(&fixture.options);
    assert_int_equal(judge_at(&fixture, 5), BAD_REASON_COUNT);
    assert_int_equal(fixture.batch->event_times_us[0], 5);
    assert_int_equal(judge_at(&fixture, TIME_NONE), BAD_NO_TIME);
    assert_int_equal(judge_at(&fixture, INT64_MAX), BAD_ABSURD_TIME);
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_keeps_its_json_type),
        cmocka_unit_test(number_beyond_int64_is_a_double),
        cmocka_unit_test(string_is_unescaped_utf8),
        cmocka_unit_test(fault_has_its_reason_on_both_paths),
        cmocka_unit_test(nul_is_not_json),
        cmocka_unit_test(blank_record_is_neither_row_nor_bad),
        cmocka_unit_test(blank_record_of_a_topic_is_bad),
        cmocka_unit_test(depth_is_limited_on_both_paths),
        cmocka_unit_test(event_over_1_mib_is_too_big),
        cmocka_unit_test(paths_reach_members_and_elements),
        cmocka_unit_test(known_keys_take_the_fast_path_in_any_order_and_spacing),
        cmocka_unit_test(spaced_source_and_compact_one_are_both_fast),
        cmocka_unit_test(keys_without_end_are_bounded_and_forgotten),
        cmocka_unit_test(record_cut_short_does_not_read_its_neighbour),
        cmocka_unit_test(leaf_that_changes_its_size_after_long_is_read_right),
        cmocka_unit_test(random_events_decode_alike_on_both_paths),
        cmocka_unit_test(time_beyond_the_records_own_is_bad_if_it_has_one),
        cmocka_unit_test(without_time_path_the_record_gives_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
