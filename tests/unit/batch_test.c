/* Batches, the watermark over their rows, and the dead letters taken from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "flow/batch.h"
#include "flow/dead_letter.h"
#include "flow/watermark.h"

static void texts_stay_where_references_say_while_the_batch_grows(void **state)
{
    (void)state;
    struct batch *batch = batch_create();
    char line[300];
    for (int i = 0; i < 5000; i++) {
        memset(line, 'a' + i % 26, sizeof line);
        batch_append(batch, (struct slice){line, (size_t)(i % 300)}, i, TIME_NONE);
    }
    batch_prepare_columns(batch, 3);
    for (uint32_t i = 0; i < 5000; i++) {
        struct slice text = batch_record_text(batch, i);
        assert_int_equal(text.size, i % 300);
        assert_true(text.size == 0 ||
                    (text.data[0] == (char)('a' + i % 26) && text.data[text.size - 1] == text.data[0]));
    }
    assert_true(batch->row_capacity >= batch->record_count);
    batch_destroy(batch);
}

static void text_is_followed_by_padding_and_then_the_side_area(void **state)
{
    (void)state;
    struct batch *batch = batch_create();
    batch_append(batch, SLICE("{}"), 0, TIME_NONE);
    batch_prepare_columns(batch, 0);
    for (int i = 0; i < BATCH_PADDING_SIZE; i++)
        assert_int_equal(batch->bytes[batch->text_size + (size_t)i], 0);
    assert_true(batch->side_start >= batch->text_size + BATCH_PADDING_SIZE);
    size_t large = 4 * batch->capacity;
    uint32_t first = batch_reserve_side(batch, 3), second = batch_reserve_side(batch, large);
    assert_int_equal(first, batch->side_start);
    assert_int_equal(second, first + 3);
    memset(batch->bytes + second, 'x', large);
    assert_memory_equal(batch_record_text(batch, 0).data, "{}", 2);
    batch_destroy(batch);
}

static void record_beyond_the_limit_is_cut_and_says_so(void **state)
{
    (void)state;
    struct batch *batch = batch_create();
    size_t size = RECORD_MAX_SIZE + 5;
    char *text = calloc(1, size);
    batch_append(batch, (struct slice){text, size}, 0, TIME_NONE);
    assert_int_equal(batch->records[0].text_size, RECORD_MAX_SIZE);
    assert_int_equal(batch->records[0].cut_size, 5);
    batch_reset(batch);
    assert_true(batch->capacity < RECORD_MAX_SIZE);
    free(text);
    batch_destroy(batch);
}

static void every_reason_has_its_own_name(void **state)
{
    (void)state;
    for (int i = 0; i < BAD_REASON_COUNT; i++) {
        for (int other = 0; other < i; other++)
            assert_string_not_equal(bad_reason_name((enum bad_reason)i),
                                    bad_reason_name((enum bad_reason)other));
    }
}

/* A batch with only event times. */
static struct batch *batch_of_times(const int64_t *times_us, uint32_t count)
{
    struct batch *batch = batch_create();
    for (uint32_t i = 0; i < count; i++)
        batch_append(batch, SLICE("{}"), i, TIME_NONE);
    batch_prepare_columns(batch, 0);
    memcpy(batch->event_times_us, times_us, count * sizeof *times_us);
    batch->row_count = count;
    return batch;
}

static void arranged_rows_move_whole_and_a_part_of_them_can_be_shown(void **state)
{
    (void)state;
    static const uint32_t order[] = {3, 0, 4, 2, 1};
    struct batch *batch = batch_create();
    for (uint32_t i = 0; i < 5; i++)
        batch_append(batch, SLICE("{}"), i, TIME_NONE);
    batch_prepare_columns(batch, 1);
    batch->row_count = 5;
    for (uint32_t i = 0; i < 5; i++) {
        batch->row_records[i] = i;
        batch->event_times_us[i] = batch->offsets[i] = i;
        batch->columns[0].kinds[i] = (uint8_t)i;
        batch->columns[0].values[i].i = i;
    }
    batch_arrange_rows(batch, order);
    batch_show_rows(batch, 1, 3);
    assert_int_equal(batch->row_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(batch->row_records[i], order[1 + i]);
        assert_int_equal(batch->event_times_us[i], order[1 + i]);
        assert_int_equal(batch->offsets[i], order[1 + i]);
        assert_int_equal(batch->columns[0].kinds[i], order[1 + i]);
        assert_int_equal(batch->columns[0].values[i].i, order[1 + i]);
    }
    batch_show_rows(batch, -1, 5);
    assert_int_equal(batch->offsets[0], 3);
    assert_int_equal(batch->offsets[4], 1);
    batch_destroy(batch);
}

static void watermark_before_a_row_is_the_largest_earlier_time_less_the_delay(void **state)
{
    (void)state;
    static const int64_t times_us[] = {-50, 100, 90, 300, 200}, want_us[] = {TIME_NONE, -60, 90, 90, 290};
    for (uint32_t cut = 0; cut <= 5; cut++) {
        struct watermark watermark = {.delay_us = 10, .max_event_time_us = TIME_NONE};
        assert_int_equal(watermark_us(&watermark), TIME_NONE);
        int64_t before_us[5];
        struct batch *first = batch_of_times(times_us, cut),
                     *second = batch_of_times(times_us + cut, 5 - cut);
        watermark_advance(&watermark, first, before_us);
        watermark_advance(&watermark, second, before_us + cut);
        assert_memory_equal(before_us, want_us, sizeof want_us);
        assert_int_equal(watermark_us(&watermark), 290);
        batch_destroy(first);
        batch_destroy(second);
    }
}

static void dead_letters_own_their_bytes(void **state)
{
    (void)state;
    struct dead_letter_block *block = dead_letter_block_create();
    for (int i = 0; i < 100; i++) {
        char raw[8] = "raw", detail[8] = "detail";
        raw[0] = (char)('a' + i % 26);
        struct dead_letter letter = {
            .offset = i, .reason = "not_json", .raw = slice_of(raw), .detail = slice_of(detail)};
        dead_letter_block_add(block, &letter);
        memset(raw, 0, sizeof raw);
        memset(detail, 0, sizeof detail);
    }
    assert_int_equal(block->letter_count, 100);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(block->letters[i].offset, i);
        assert_int_equal(block->letters[i].raw.data[0], 'a' + i % 26);
        assert_true(slice_equal_text(block->letters[i].detail, "detail"));
    }
    dead_letter_block_release(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_stay_where_references_say_while_the_batch_grows),
        cmocka_unit_test(text_is_followed_by_padding_and_then_the_side_area),
        cmocka_unit_test(record_beyond_the_limit_is_cut_and_says_so),
        cmocka_unit_test(every_reason_has_its_own_name),
        cmocka_unit_test(arranged_rows_move_whole_and_a_part_of_them_can_be_shown),
        cmocka_unit_test(watermark_before_a_row_is_the_largest_earlier_time_less_the_delay),
        cmocka_unit_test(dead_letters_own_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
