/* Blocks of events that are passed on: keys, values, and the way to another process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/output.h"

/* `key` NULL: none. */
static void add(struct output_block *block, int64_t time_us, const char *key, const char *value)
{
    output_block_begin_row(block, time_us);
    if (key) {
        buffer_append_text(&block->text, key);
        output_block_end_key(block);
    }
    buffer_append_text(&block->text, value);
    output_block_end_row(block);
}

static void assert_row(const struct output_block *block, uint32_t row, int64_t time_us, const char *key,
                       const char *value)
{
    struct slice found = output_block_key(block, row);
    assert_true(key ? found.data && slice_equal_text(found, key) : !found.data);
    assert_true(slice_equal_text(output_block_value(block, row), value));
    assert_int_equal(block->rows[row].time_us, time_us);
}

static struct output_block *make(void)
{
    struct output_block *block = output_block_create(3);
    add(block, 7, "[\"FR\"]", "{\"a\":1}");
    add(block, -8, NULL, "{}");
    add(block, 9, "", "{\"b\":2}");
    return block;
}

static void assert_made(const struct output_block *block)
{
    assert_int_equal(block->pipeline_index, 3);
    assert_int_equal(block->row_count, 3);
    assert_row(block, 0, 7, "[\"FR\"]", "{\"a\":1}");
    assert_row(block, 1, -8, NULL, "{}");
    assert_row(block, 2, 9, "", "{\"b\":2}");
}

static void no_key_and_an_empty_key_differ(void **state)
{
    (void)state;
    struct output_block *block = make();
    assert_made(block);
    output_block_release(block);
}

static void a_block_is_full_by_rows_or_by_size(void **state)
{
    (void)state;
    struct output_block *block = output_block_create(0);
    while (!output_block_is_full(block))
        add(block, 0, NULL, "{}");
    assert_int_equal(block->row_count, OUTPUT_BLOCK_ROWS_MAX);
    output_block_release(block);
    block = output_block_create(0);
    output_block_begin_row(block, 0);
    for (int i = 0; i < OUTPUT_BLOCK_SIZE_MAX; i++)
        buffer_append_char(&block->text, 'x');
    output_block_end_row(block);
    assert_true(output_block_is_full(block));
    output_block_release(block);
}

static void a_block_is_the_same_after_the_way_to_another_process(void **state)
{
    (void)state;
    struct output_block *block = make(), *copy = NULL;
    struct buffer message = {0};
    output_block_encode(&message, block);
    output_block_release(block);
    assert_true(output_block_decode(buffer_slice(&message), 3, &copy));
    buffer_deinit(&message);
    assert_made(copy);
    output_block_release(copy);
}

static void an_empty_block_can_be_sent(void **state)
{
    (void)state;
    struct output_block *block = output_block_create(0), *copy = NULL;
    struct buffer message = {0};
    output_block_encode(&message, block);
    output_block_release(block);
    assert_true(output_block_decode(buffer_slice(&message), 0, &copy));
    assert_int_equal(copy->row_count, 0);
    output_block_release(copy);
    buffer_deinit(&message);
}

static void damaged_messages_are_refused(void **state)
{
    (void)state;
    struct output_block *block = make(), *copy = NULL;
    struct buffer message = {0};
    output_block_encode(&message, block);
    for (size_t size = 0; size < message.size; size++)
        assert_false(output_block_decode((struct slice){message.data, size}, 3, &copy));
    buffer_append_char(&message, 'x');
    assert_false(output_block_decode(buffer_slice(&message), 3, &copy));
    message.size--;
    uint32_t huge[] = {0, 1, 3, 1u << 28, UINT32_MAX};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        struct buffer changed = {0};
        buffer_append_slice(&changed, buffer_slice(&message));
        size_t at = i == 2 ? 8 + 8 : 0; /* the first key's size, else the number of rows */
        memcpy(changed.data + at, &huge[i], sizeof huge[i]);
        assert_false(output_block_decode(buffer_slice(&changed), 3, &copy));
        buffer_deinit(&changed);
    }
    assert_null(copy);
    buffer_deinit(&message);
    output_block_release(block);
}

static void the_last_reference_frees_the_block(void **state)
{
    (void)state;
    struct output_block *block = make();
    assert_ptr_equal(output_block_acquire(block), block);
    output_block_release(block);
    assert_made(block);
    output_block_release(block);
    output_block_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_key_and_an_empty_key_differ),
        cmocka_unit_test(a_block_is_full_by_rows_or_by_size),
        cmocka_unit_test(a_block_is_the_same_after_the_way_to_another_process),
        cmocka_unit_test(an_empty_block_can_be_sent),
        cmocka_unit_test(damaged_messages_are_refused),
        cmocka_unit_test(the_last_reference_frees_the_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
