/* What is committed beside an offset comes back as it was written, and nothing else is taken for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "pipeline/kafka_progress.h"

enum { PIPELINES_MAX = 400, BASE = 1000, POSITION = 1700 };

/* An engine of nothing but pipelines, all of one membership. */
static struct {
    struct engine engine;
    struct plan plan;
    struct plan_pipeline pipelines[PIPELINES_MAX];
    const char *names[PIPELINES_MAX];
    char texts[PIPELINES_MAX][32];
    struct membership *memberships[PIPELINES_MAX];
    int64_t closed_through_us[PIPELINES_MAX], read_back_us[PIPELINES_MAX];
    struct progress_mark mark;
    struct partition_position position;
    struct kafka_progress progress;
    struct buffer text;
} fixture;

static struct membership *const ours = (struct membership *)&fixture;

static void set_pipelines(uint32_t count)
{
    fixture.plan.pipeline_count = count;
    for (uint32_t i = 0; i < count; i++) {
        snprintf(fixture.texts[i], sizeof fixture.texts[i], "pipeline%u", i);
        fixture.names[i] = fixture.texts[i];
        fixture.pipelines[i].definition_hash = 77;
        fixture.memberships[i] = ours;
        fixture.closed_through_us[i] = 1700000000000000 + i;
    }
}

static int open_fixture(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.plan.pipelines = fixture.pipelines;
    fixture.engine.plan = &fixture.plan;
    fixture.engine.pipeline_names = fixture.names;
    fixture.engine.pipeline_memberships = fixture.memberships;
    fixture.mark.epoch = 42;
    fixture.mark.closed_through_us = fixture.closed_through_us;
    fixture.progress.closed_through_us = fixture.read_back_us;
    fixture.position = (struct partition_position){.position = POSITION,
                                                   .position_max_time_us = 1700000001000000,
                                                   .base = BASE,
                                                   .base_watermark_us = -5};
    set_pipelines(3);
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    buffer_deinit(&fixture.text);
    return 0;
}

static const char *write_text(void)
{
    buffer_clear(&fixture.text);
    kafka_progress_write(&fixture.text, &fixture.engine, ours, &fixture.mark, &fixture.position);
    assert_int_equal(fixture.text.data[fixture.text.size - 1], '\0');
    assert_true(fixture.text.size <= KAFKA_METADATA_MAX_SIZE);
    return fixture.text.data;
}

static bool read_text(const char *text)
{
    return kafka_progress_read(text, &fixture.engine, BASE, &fixture.progress);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    fixture.closed_through_us[1] = TIME_NONE;
    assert_true(read_text(write_text()));
    assert_int_equal(fixture.progress.epoch, 42);
    assert_int_equal(fixture.progress.position.base, BASE);
    assert_int_equal(fixture.progress.position.position, POSITION);
    assert_int_equal(fixture.progress.position.position_max_time_us, 1700000001000000);
    assert_int_equal(fixture.progress.position.base_watermark_us, -5);
    assert_memory_equal(fixture.read_back_us, fixture.closed_through_us, 3 * sizeof(int64_t));
}

static void absent_times_are_read_as_none(void **state)
{
    (void)state;
    set_pipelines(0);
    fixture.position.position_max_time_us = fixture.position.base_watermark_us = TIME_NONE;
    assert_true(read_text(write_text()));
    assert_true(fixture.progress.position.position_max_time_us == TIME_NONE);
    assert_true(fixture.progress.position.base_watermark_us == TIME_NONE);
}

static void pipelines_of_other_groups_are_left_out(void **state)
{
    (void)state;
    fixture.memberships[0] = NULL;
    assert_true(read_text(write_text()));
    assert_true(fixture.read_back_us[0] == TIME_NONE);
    assert_int_equal(fixture.read_back_us[1], fixture.closed_through_us[1]);
}

static void changed_definition_is_another_pipeline(void **state)
{
    (void)state;
    write_text();
    fixture.pipelines[1].definition_hash = 78;
    assert_true(read_text(fixture.text.data));
    assert_int_equal(fixture.read_back_us[0], fixture.closed_through_us[0]);
    assert_true(fixture.read_back_us[1] == TIME_NONE);
}

static void without_room_the_earliest_time_stands_for_the_others(void **state)
{
    (void)state;
    set_pipelines(PIPELINES_MAX);
    fixture.closed_through_us[PIPELINES_MAX - 7] = 1600000000000000;
    assert_true(read_text(write_text()));
    assert_int_equal(fixture.read_back_us[0], fixture.closed_through_us[0]);
    for (uint32_t i = 0; i < PIPELINES_MAX; i++)
        assert_true(fixture.read_back_us[i] != TIME_NONE &&
                    fixture.read_back_us[i] <= fixture.closed_through_us[i]);
    assert_int_equal(fixture.read_back_us[PIPELINES_MAX - 1], 1600000000000000);
}

static void texts_of_others_are_not_taken_for_ours(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "weir1",
                                        "weir1 ",
                                        "weir2 42 1700 - -",
                                        "consumer-1 at host",
                                        "weir1 42",
                                        "weir1 42 1700",
                                        "weir1 42 1700 -",
                                        "weir1 42 1700 - x",
                                        "weir1 42 1700 - - 12",
                                        "weir1 42 1700 - - 12=",
                                        "weir1 42 1700 - - 12=3 ",
                                        "weir1 42 1700 - - rest",
                                        "weir1 42 999 - -"}; /* P before B */
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (read_text(texts[i]))
            fail_msg("taken: %s", texts[i]);
    }
    assert_true(read_text("weir1 42 1700 - -"));
}

/* A text that was cut, as an administrator's tool might cut it, loses pipelines at most; it is never read as other numbers. */
static void cut_text_is_refused_or_says_less(void **state)
{
    (void)state;
    const char *text = write_text();
    char *whole = memory_copy_text(text, strlen(text));
    for (size_t size = 0; size < strlen(whole); size++) {
        char *cut = memory_copy_text(whole, size);
        if (read_text(cut)) {
            assert_int_equal(fixture.progress.epoch, 42);
            assert_int_equal(fixture.progress.position.position, POSITION);
        }
        free(cut);
    }
    free(whole);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        CASE(what_is_written_is_read),
        CASE(absent_times_are_read_as_none),
        CASE(pipelines_of_other_groups_are_left_out),
        CASE(changed_definition_is_another_pipeline),
        CASE(without_room_the_earliest_time_stands_for_the_others),
        CASE(texts_of_others_are_not_taken_for_ours),
        CASE(cut_text_is_refused_or_says_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
