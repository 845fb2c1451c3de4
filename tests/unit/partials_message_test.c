/* What members say to each other comes back as it was written, and what is damaged is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "pipeline/membership_internal.h"

enum { PIPELINES = 3, SLOTS = 4, NOW_US = 5 * 1000 * 1000 };

static const char *const instance = "0123456789abcdef";

/* An engine of one source and three pipelines, of which the second belongs to nobody. */
static struct {
    struct engine engine;
    struct membership membership;
    struct membership *memberships[PIPELINES];
    struct config config;
    struct config_pipeline config_pipelines[PIPELINES];
    struct config_sink sinks[1];
    struct config_source sources[1];
    const char *topics[1];
    uint32_t pipeline_sinks[1], source_indices[1], first_partitions[1];
    struct plan plan;
    struct plan_pipeline pipelines[PIPELINES];
    struct plan_source plan_sources[1];
    struct engine_partition partitions[SLOTS];
    struct pipeline_clock clocks[PIPELINES];
    struct partition_position positions[2];
    struct shard_update update;
    struct buffer text;
} fixture;

static int open_fixture(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.topics[0] = "flights";
    fixture.sources[0] = (struct config_source){.name = "flights", .kind = SOURCE_KAFKA};
    fixture.sources[0].kafka.topics = fixture.topics;
    fixture.sources[0].kafka.topic_count = 1;
    fixture.sinks[0] = (struct config_sink){.name = "results", .kind = SINK_KAFKA};
    fixture.config = (struct config){.sources = fixture.sources,
                                     .source_count = 1,
                                     .pipelines = fixture.config_pipelines,
                                     .pipeline_count = PIPELINES,
                                     .sinks = fixture.sinks,
                                     .sink_count = 1};
    fixture.plan = (struct plan){.pipelines = fixture.pipelines,
                                 .pipeline_count = PIPELINES,
                                 .sources = fixture.plan_sources,
                                 .source_count = 1};
    fixture.plan_sources[0].partition_count = SLOTS;
    for (uint32_t i = 0; i < PIPELINES; i++) {
        fixture.pipelines[i].shape.pipeline = "p";
        fixture.pipelines[i].definition_hash = 7 + i;
        fixture.config_pipelines[i].sinks = fixture.pipeline_sinks;
        fixture.config_pipelines[i].sink_count = 1;
        fixture.memberships[i] = i == 1 ? NULL : &fixture.membership;
        fixture.clocks[i] =
            (struct pipeline_clock){100 + i, 50 + i, 200 + i, NOW_US - 30, true, CLOSED_BY_WATERMARK};
    }
    for (uint32_t i = 0; i < SLOTS; i++)
        fixture.partitions[i].kafka = (struct kafka_partition){0, "flights", (int32_t)(10 + i)};
    for (uint32_t i = 0; i < 2; i++)
        fixture.positions[i] = (struct partition_position){.source_index = 0,
                                                           .partition = i + 1,
                                                           .topic = "flights",
                                                           .topic_partition = (int32_t)(11 + i),
                                                           .position = 170 + i,
                                                           .position_max_time_us = TIME_NONE,
                                                           .base = 100 + i,
                                                           .base_watermark_us = -5};
    fixture.membership.source_indices = fixture.source_indices;
    fixture.membership.source_count = 1;
    fixture.engine.config = &fixture.config;
    fixture.engine.plan = &fixture.plan;
    fixture.engine.pipeline_memberships = fixture.memberships;
    fixture.engine.partitions = fixture.partitions;
    fixture.engine.partition_count = SLOTS;
    fixture.engine.first_partitions = fixture.first_partitions;
    fixture.update = (struct shard_update){.clocks = fixture.clocks,
                                           .positions = fixture.positions,
                                           .position_count = 2,
                                           .is_live = true,
                                           .arrival_us = NOW_US - 400};
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    buffer_deinit(&fixture.text);
    return 0;
}

static struct slice write_update(void)
{
    buffer_clear(&fixture.text);
    partials_write_update(&fixture.text, &fixture.engine, &fixture.membership, &fixture.update, NOW_US);
    return buffer_slice(&fixture.text);
}

static struct shard_update *read_update(struct slice body)
{
    return partials_read_update(&fixture.engine, &fixture.membership, body, NOW_US);
}

static void an_update_comes_back(void **state)
{
    (void)state;
    struct shard_update *update = read_update(write_update());
    assert_non_null(update);
    assert_true(update->is_live && !update->is_ended && update->is_last);
    assert_int_equal(update->arrival_us, NOW_US - 400);
    assert_int_equal(update->position_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct partition_position *position = &update->positions[i];
        assert_int_equal(position->position, 170 + i);
        assert_int_equal(position->position_max_time_us, TIME_NONE);
        assert_int_equal(position->base, 100 + i);
        assert_int_equal(position->base_watermark_us, -5);
        assert_int_equal(position->topic_partition, 11 + i);
        assert_string_equal(position->topic, "flights");
    }
    assert_int_equal(update->clocks[2].active_us, 102);
    assert_int_equal(update->clocks[2].all_us, 52);
    assert_int_equal(update->clocks[2].ahead_us, 202);
    assert_int_equal(update->clocks[2].ahead_seen_us, NOW_US - 30);
    assert_false(update->clocks[1].has_partitions); /* not of the membership */
    shard_update_destroy(update);
}

static void ages_are_sent_and_not_times_of_a_clock(void **state)
{
    (void)state;
    struct shard_update *update =
        partials_read_update(&fixture.engine, &fixture.membership, write_update(), 900);
    assert_int_equal(update->arrival_us, 500);
    assert_int_equal(update->clocks[0].ahead_seen_us, 870);
    shard_update_destroy(update);
}

static void an_update_that_is_cut_or_longer_is_refused(void **state)
{
    (void)state;
    struct slice whole = write_update();
    for (size_t size = 0; size < whole.size; size++)
        assert_null(read_update((struct slice){whole.data, size}));
    buffer_append_char(&fixture.text, 'x');
    assert_null(read_update(buffer_slice(&fixture.text)));
}

static void an_update_about_what_is_not_here_is_refused(void **state)
{
    (void)state;
    fixture.positions[0].partition = SLOTS;
    assert_null(read_update(write_update()));
    fixture.positions[0].partition = 1;
    fixture.partitions[1].kafka.topic = NULL;
    assert_null(read_update(write_update()));
    fixture.partitions[1].kafka.topic = "flights";
    struct slice good = write_update();
    fixture.memberships[2] = NULL;
    assert_null(read_update(good));
}

static void a_head_comes_back_and_another_is_refused(void **state)
{
    (void)state;
    struct partials_head head;
    struct slice body;
    partials_write_head(&fixture.text, PARTIALS_PANE, 12, instance, 99, 2);
    buffer_append_text(&fixture.text, "body");
    assert_true(partials_read_head(buffer_slice(&fixture.text), &head, &body));
    assert_int_equal(head.kind, PARTIALS_PANE);
    assert_int_equal(head.round, 12);
    assert_int_equal(head.sequence, 99);
    assert_int_equal(head.pipeline_index, 2);
    assert_memory_equal(head.instance, instance, sizeof head.instance);
    assert_true(slice_equal_text(body, "body"));
    assert_false(partials_read_head((struct slice){fixture.text.data, sizeof head - 1}, &head, &body));
    fixture.text.data[0] ^= 1;
    assert_false(partials_read_head(buffer_slice(&fixture.text), &head, &body));
}

static void words_and_numbers(void **state)
{
    (void)state;
    struct slice line = slice_of("  one two  -5 - 9223372036854775807 9223372036854775808 12x"), word;
    int64_t number;
    assert_true(partials_next_word(&line, &word) && partials_word_is(word, "one"));
    assert_true(partials_next_word(&line, &word) && partials_word_is(word, "two"));
    assert_true(partials_next_number(&line, &number) && number == -5);
    assert_true(partials_next_number(&line, &number) && number == TIME_NONE);
    assert_true(partials_next_number(&line, &number) && number == INT64_MAX);
    assert_false(partials_next_number(&line, &number)); /* too large */
    assert_false(partials_next_number(&line, &number));
    assert_false(partials_next_word(&line, &word));
    struct slice text = slice_of("a\n\nb");
    assert_true(partials_next_line(&text, &line) && slice_equal_text(line, "a"));
    assert_true(partials_next_line(&text, &line) && line.size == 0);
    assert_true(partials_next_line(&text, &line) && slice_equal_text(line, "b"));
    assert_false(partials_next_line(&text, &line));
}

static void hello_start_and_parts_are_read(void **state)
{
    (void)state;
    struct partials_hello hello;
    assert_true(partials_read_hello(slice_of(" 0123456789abcdef 77 -1 12"), &hello));
    assert_true(partials_word_is(hello.instance, instance));
    assert_true(hello.config_hash == 77 && hello.generation == -1 && hello.round == 12);
    struct partials_start start;
    assert_true(partials_read_start(slice_of(" 0123456789abcdef 42 1700"), &start));
    assert_true(start.epoch == 42 && start.number == 1700);
    struct partials_part part;
    assert_true(partials_read_part(slice_of(" 0123456789abcdef 1 flights 3 100 170 - -5"), &part));
    assert_true(part.source_index == 1 && part.partition == 3 && part.base == 100 && part.position == 170);
    assert_true(part.position_max_time_us == TIME_NONE && part.base_watermark_us == -5);
    assert_true(partials_word_is(part.topic, "flights"));
    uint32_t index;
    int64_t time_us;
    assert_true(partials_read_closed(slice_of(" 2 1700"), &index, &time_us) && index == 2 && time_us == 1700);
    struct slice topic;
    int32_t partition;
    assert_true(partials_read_owns(slice_of(" flights 7"), &topic, &partition) && partition == 7);
}

static void damaged_lines_are_refused(void **state)
{
    (void)state;
    struct partials_hello hello;
    struct partials_start start;
    struct partials_part part;
    struct slice topic;
    int32_t partition;
    uint32_t index;
    int64_t time_us;
    assert_false(partials_read_hello(slice_of(" 0123456789abcdefg 77 1 12"), &hello)); /* 17 bytes */
    assert_false(partials_read_hello(slice_of(" 0123456789abcdef 77 1"), &hello));
    assert_false(partials_read_start(slice_of(" 0123456789abcdef 42"), &start));
    assert_false(partials_read_start(slice_of(" 0123456789abcdef -42 1"), &start));
    assert_false(partials_read_part(slice_of(" a 1 flights 3 100 99 - -"), &part)); /* P before B */
    assert_false(partials_read_part(slice_of(" a 1 flights -3 100 170 - -"), &part));
    assert_false(partials_read_part(slice_of(" a 1 flights 3 - 170 - -"), &part));
    assert_false(partials_read_part(slice_of(" a 4294967296 flights 3 1 1 - -"), &part));
    assert_false(partials_read_owns(slice_of(" flights 2147483648"), &topic, &partition));
    assert_false(partials_read_owns(slice_of(" flights"), &topic, &partition));
    assert_false(partials_read_closed(slice_of(" -1 7"), &index, &time_us));
}

static void what_must_agree_changes_the_hash_and_nothing_else_does(void **state)
{
    (void)state;
    uint64_t hash = partials_config_hash(&fixture.engine, &fixture.membership);
    fixture.pipelines[1].definition_hash++; /* nobody's */
    assert_true(partials_config_hash(&fixture.engine, &fixture.membership) == hash);
    fixture.pipelines[2].definition_hash++;
    assert_false(partials_config_hash(&fixture.engine, &fixture.membership) == hash);
    fixture.pipelines[2].definition_hash--;
    fixture.topics[0] = "others";
    assert_false(partials_config_hash(&fixture.engine, &fixture.membership) == hash);
    fixture.topics[0] = "flights";
    fixture.sinks[0].kafka.transactional = true;
    assert_false(partials_config_hash(&fixture.engine, &fixture.membership) == hash);
    fixture.sinks[0].kafka.transactional = false;
    fixture.sources[0].max_out_of_orderness_us = 1;
    assert_false(partials_config_hash(&fixture.engine, &fixture.membership) == hash);
    fixture.sources[0].max_out_of_orderness_us = 0;
    assert_true(partials_config_hash(&fixture.engine, &fixture.membership) == hash);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_update_comes_back),
        TEST(ages_are_sent_and_not_times_of_a_clock),
        TEST(an_update_that_is_cut_or_longer_is_refused),
        TEST(an_update_about_what_is_not_here_is_refused),
        TEST(a_head_comes_back_and_another_is_refused),
        TEST(words_and_numbers),
        TEST(hello_start_and_parts_are_read),
        TEST(damaged_lines_are_refused),
        TEST(what_must_agree_changes_the_hash_and_nothing_else_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
