/* Result records as text, and the order of keys. */
#include "window_fixture.h"

static const struct result_shape shape = {.pipeline = "revenue",
                                          .key_count = 2,
                                          .key_names = {"country", "n"},
                                          .value_count = 2,
                                          .value_names = {"orders", "p\"q"}};

static struct text_reference put(struct result_block *block, const char *text)
{
    struct text_reference reference = {(uint32_t)block->bytes.size, (uint32_t)strlen(text)};
    buffer_append_text(&block->bytes, text);
    return reference;
}

static struct result_block *make_block(void)
{
    struct result_block *block = result_block_create(&shape, 2);
    block->row_count = 2;
    for (uint32_t r = 0; r < 2; r++) {
        block->window_starts_us[r] = INT64_C(1700000000000000);
        block->window_ends_us[r] = INT64_C(1700000010000000);
        block->emits[r] = r ? EMIT_UPDATE : EMIT_FINAL;
        block->causes[r] = r ? CLOSED_BY_IDLE : CLOSED_BY_WATERMARK;
        block->revisions[r] = r;
        block->on_time[r] = 12;
        block->late_accepted[r] = r;
        block->late_dropped[r] = 0;
        block->type_errors[r] = 3;
        block->watermarks_us[r] = r ? TIME_NONE : INT64_C(1700000010004999);
        block->key_hashes[r] = 0;
        block->keys[0].kinds[r] = VALUE_STRING;
        block->keys[0].values[r].s = put(block, r ? "a\"\\\n" : "FR");
        block->keys[1].kinds[r] = r ? VALUE_NULL : VALUE_INT;
        block->keys[1].values[r].i = 7;
        block->values[0].kinds[r] = VALUE_INT;
        block->values[0].values[r].i = 12;
        block->values[1].kinds[r] = VALUE_DOUBLE;
        block->values[1].values[r].d = r ? (double)NAN : 345.5;
    }
    return block;
}

static void record_has_the_fields_of_the_contract(void **state)
{
    (void)state;
    struct result_block *block = make_block();
    result_block_encode(block);
    struct slice json = result_block_json(block, 0);
    const char *want =
        "{\"id\":\"revenue|[\\\"FR\\\",7]|1700000000000\",\"pipeline\":\"revenue\",\"window_start\":1700000000000,"
        "\"window_end\":1700000010000,\"key\":{\"country\":\"FR\",\"n\":7},\"values\":{\"orders\":12,\"p\\\"q\":345.5},"
        "\"emit\":\"final\",\"revision\":0,\"receipt\":{\"on_time\":12,\"late_accepted\":0,\"late_dropped\":0,"
        "\"type_errors\":3,\"closed_by\":\"watermark\",\"watermark\":1700000010004}}";
    assert_int_equal(json.size, strlen(want));
    assert_memory_equal(json.data, want, json.size);
    result_block_release(block);
}

static void keys_are_escaped_in_the_id_and_what_is_missing_is_null(void **state)
{
    (void)state;
    struct result_block *block = make_block();
    result_block_encode(block);
    result_block_encode(block); /* the second time changes nothing */
    struct slice json = result_block_json(block, 1), key = result_block_key_json(block, 1);
    char *text = memory_copy_text(json.data, json.size);
    assert_true(slice_equal_text(key, "[\"a\\\"\\\\\\n\",null]"));
    assert_non_null(strstr(text, "{\"id\":\"revenue|[\\\"a\\\\\\\"\\\\\\\\\\\\n\\\",null]|1700000000000\","));
    assert_non_null(strstr(text, "\"key\":{\"country\":\"a\\\"\\\\\\n\",\"n\":null},"));
    assert_non_null(strstr(text, "\"p\\\"q\":null},\"emit\":\"update\",\"revision\":1"));
    assert_non_null(strstr(text, "\"closed_by\":\"idle\",\"watermark\":null}}"));
    free(text);
    result_block_release(block);
}

static void block_lives_until_its_last_reference_has_gone(void **state)
{
    (void)state;
    struct result_block *block = make_block();
    result_block_acquire(block);
    result_block_release(block);
    assert_int_equal(block->row_count, 2);
    result_block_release(block);
}

static void values_are_written_as_json(void **state)
{
    (void)state;
    const struct {
        enum value_kind kind;
        union value value;
        const char *want;
    } cases[] = {
        {VALUE_NULL, {0}, "null"},
        {VALUE_BOOL, {.i = 1}, "true"},
        {VALUE_INT, {.i = INT64_MIN}, "-9223372036854775808"},
        {VALUE_DOUBLE, {.d = 0.1}, "0.1"},
        {VALUE_DOUBLE, {.d = (double)INFINITY}, "null"},
        {VALUE_JSON, {.s = {0, 9}}, "{\"a\":  1}"},
        {VALUE_TIMESTAMP, {.i = 0}, "\"1970-01-01T00:00:00Z\""},
        {VALUE_DURATION, {.i = -1500000}, "\"-1.5s\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer out = {0};
        value_json(&out, cases[i].kind, cases[i].value, "{\"a\":\n 1}");
        buffer_append_char(&out, '\0');
        assert_string_equal(out.data, cases[i].want);
        buffer_deinit(&out);
    }
}

static void keys_are_ordered_by_type_then_value(void **state)
{
    (void)state;
    static const struct result_shape one = {.pipeline = "p", .key_count = 1, .key_names = {"k"}};
    struct result_block *block = result_block_create(&one, 9);
    const struct {
        uint8_t kind;
        union value value;
        const char *text;
    } keys[] = {{VALUE_NULL, {0}, NULL},
                {VALUE_BOOL, {.i = 0}, NULL},
                {VALUE_BOOL, {.i = 1}, NULL},
                {VALUE_DOUBLE, {.d = -1.5}, NULL},
                {VALUE_INT, {.i = -1}, NULL},
                {VALUE_INT, {.i = INT64_MAX}, NULL},
                {VALUE_DOUBLE, {.d = 0x1p63}, NULL},
                {VALUE_STRING, {0}, "1"},
                {VALUE_STRING, {0}, "a"}};
    for (uint32_t i = 0; i < 9; i++) {
        block->keys[0].kinds[i] = keys[i].kind;
        block->keys[0].values[i] = keys[i].value;
        if (keys[i].text)
            block->keys[0].values[i].s = put(block, keys[i].text);
    }
    for (uint32_t a = 0; a < 9; a++) {
        for (uint32_t b = 0; b < 9; b++) {
            int order = result_key_compare(block, a, block, b);
            assert_int_equal((order > 0) - (order < 0), (a > b) - (a < b));
        }
    }
    result_block_release(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_has_the_fields_of_the_contract),
        cmocka_unit_test(keys_are_escaped_in_the_id_and_what_is_missing_is_null),
        cmocka_unit_test(block_lives_until_its_last_reference_has_gone),
        cmocka_unit_test(values_are_written_as_json),
        cmocka_unit_test(keys_are_ordered_by_type_then_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
