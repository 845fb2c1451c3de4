/* The fast and the slow path of the decoder give the same columns and the same verdict for every input, however it is cut
 * into batches. The first byte of the input chooses options, the second how records are cut; the rest are records, one per
 * line. They are decoded twice in a row, so that the second time meets what the first has taught. Some inputs are judged by a schema. */
#include <stdio.h>
#include <stdlib.h>

#include "../tests/unit/batch_text.h"
#include "config/event_schema.h"
#include "decode/decoder.h"
#include "decode/event_check.h"

enum { PASS_COUNT = 2, RECORD_TIME_US = 1700000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const paths[] = {"ts",   "x",         "a.b",  "a",     "a.b[0]",   "x[1].y",
                                    "x[0]", "[\"x y\"]", "tags", "a.b.c", "\xc3\xbc", "n.n.n.n.n.n"};

static void add_rule(struct event_rule *parent, struct event_rule *rule, const char *name, unsigned types)
{
    rule->name = rule->path = name;
    rule->types = types;
    rule->most_length = rule->most_length ? rule->most_length : UINT32_MAX;
    rule->next = parent->members;
    parent->members = rule;
}

static void no_report(void *context, struct config_place place, const char *message)
{
    (void)context, (void)place, (void)message;
    abort();
}

/* Every way in which a rule can look at a value, and objects that are closed. */
struct rules {
    struct event_rule root, ts, x, a, b, c, tags, odd;
    struct event_constant constants[3];
};

static void make_rules(struct rules *rules, uint8_t choice)
{
    enum { ANYTHING = EVENT_TYPE_ALL, TEXT = EVENT_TYPE_STRING, INTEGER = EVENT_TYPE_INTEGER };
    *rules = (struct rules){
        .root = {.is_closed = choice & 128, .types = ANYTHING, .least_members = 2},
        .x = {.null_is_missing = true, .most_length = 5, .most = {true, true, {true, 100, 0}}},
        .a = {.is_closed = true},
        .c = {.is_required = true, .is_unlisted = true},
        .tags = {.least_members = 1},
        .odd = {.constants = rules->constants, .constant_count = 3},
        .constants = {{.type = EVENT_TYPE_NULL},
                      {.type = EVENT_TYPE_STRING, .text = SLICE("red")},
                      {.type = EVENT_TYPE_NUMBER, .number = {true, 1, 0}}},
    };
    add_rule(&rules->root, &rules->ts, "ts", ANYTHING);
    add_rule(&rules->root, &rules->x, "x", TEXT | INTEGER | EVENT_TYPE_OBJECT);
    add_rule(&rules->root, &rules->a, "a", EVENT_TYPE_OBJECT | EVENT_TYPE_ARRAY | TEXT);
    add_rule(&rules->a, &rules->b, "b", ANYTHING & ~(unsigned)EVENT_TYPE_NULL);
    add_rule(&rules->a, &rules->c, "c", INTEGER | EVENT_TYPE_NUMBER);
    add_rule(&rules->root, &rules->tags, "tags", ANYTHING);
    add_rule(&rules->root, &rules->odd, "x y", ANYTHING);
}

static void add_paths(struct schema *schema, uint8_t choice)
{
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        uint32_t column;
        struct error error;
        if (i > 0 && choice & 1 && i % 2)
            continue;
        if (schema_add_text(schema, slice_of(paths[i]), &column, &error) != STATUS_OK)
            abort();
    }
}

static struct decoder_options choose_options(const struct schema *schema, uint8_t choice)
{
    return (struct decoder_options){
        .schema = schema,
        .time_column = choice & 2 ? UINT32_MAX : 0,
        .time_unit = (enum time_unit)((choice >> 2) % (TIME_UNIT_NANOSECONDS + 1)),
        .max_future_skew_us = choice & 32 ? INT64_MAX : 5 * 60 * (int64_t)1000000,
    };
}

static void decode_lines(const struct decoder_options *options, const uint8_t *data, size_t size,
                         uint32_t records_per_batch, bool joined, struct buffer *out)
{
    struct decoder *decoder = decoder_create(options);
    struct batch *batch = batch_create();
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        int64_t offset = 0;
        for (size_t at = 0; at < size;) {
            const uint8_t *end = memchr(data + at, '\n', size - at);
            size_t line_size = end ? (size_t)(end - data) - at : size - at;
            struct slice line = {(const char *)data + at, line_size};
            batch_append(batch, line, offset, offset % 3 ? RECORD_TIME_US * (int64_t)1000000 : TIME_NONE);
            if (joined) { /* what lies between records, as when a source reads straight into the batch */
                *batch_reserve_text(batch, 1) = '\n';
                batch->text_size++;
            }
            offset++;
            at += line_size + 1;
            if (at >= size || batch->record_count == records_per_batch) {
                decoder_run(decoder, batch);
                batch_text_append(out, batch);
                batch_reset(batch);
            }
        }
    }
    batch_destroy(batch);
    decoder_destroy(decoder);
}

static void expect_equal(const struct buffer *want, const struct buffer *got, const char *what)
{
    if (slice_equal(buffer_slice(want), buffer_slice(got)))
        return;
    fprintf(stderr, "%s differs\n--- slow\n%.*s--- fast\n%.*s", what, SLICE_ARG(buffer_slice(want)),
            SLICE_ARG(buffer_slice(got)));
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct schema schema;
    schema_init(&schema);
    add_paths(&schema, data[0]);
    struct decoder_options options = choose_options(&schema, data[0]);
    struct rules rules;
    make_rules(&rules, data[0]);
    struct event_check_report report = {no_report, NULL};
    struct event_check *check =
        data[0] & 64 ? event_check_create(&(struct event_schema){.root = &rules.root}, &schema, &report)
                     : NULL;
    options.check = check;
    struct buffer slow = {0}, fast = {0}, cut = {0};
    decode_lines(&options, data + 2, size - 2, BATCH_DEFAULT_ROWS, false, &slow);
    options.use_shapes = true;
    decode_lines(&options, data + 2, size - 2, BATCH_DEFAULT_ROWS, true, &fast);
    decode_lines(&options, data + 2, size - 2, 1 + data[1] % 7, false, &cut);
    expect_equal(&slow, &fast, "fast path");
    expect_equal(&slow, &cut, "cut into batches");
    buffer_deinit(&slow);
    buffer_deinit(&fast);
    buffer_deinit(&cut);
    event_check_destroy(check);
    schema_deinit(&schema);
    return 0;
}
