/* Bodies into records: lines, arrays, and what is neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "pipeline/ingest_split.h"

/* index:record| for each, or the failure in brackets. */
static void assert_splits(struct slice body, const char *want)
{
    struct buffer got = {0};
    /* Exactly as large as the body, so that a sanitizer sees a read behind it. */
    char *copy = malloc(body.size ? body.size : 1);
    if (body.size)
        memcpy(copy, body.data, body.size);
    struct body_splitter splitter;
    const char *failure = body_splitter_init(&splitter, (struct slice){copy, body.size});
    struct slice record;
    uint32_t index;
    if (failure)
        buffer_append_text(&got, "refused");
    while (!failure && body_splitter_next(&splitter, &record, &index)) {
        buffer_format(&got, "%u:", index);
        buffer_append_slice(&got, record);
        buffer_append_char(&got, '|');
    }
    buffer_append_char(&got, 0);
    assert_string_equal(got.data, want);
    buffer_deinit(&got);
    free(copy);
}

struct split_case {
    const char *body, *want;
};

static void assert_all(const struct split_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_splits(slice_of(cases[i].body), cases[i].want);
}

static void lines_are_numbered_with_the_blank_ones(void **state)
{
    (void)state;
    static const struct split_case cases[] = {
        {"{}", "0:{}|"},     {"{}\n", "0:{}|"},   {"{}\n{\"a\":1}\r\n\n \t\nx", "0:{}|1:{\"a\":1}|4:x|"},
        {"\n\n{}", "2:{}|"}, {" {} ", "0: {} |"}, {"{\n[1]\n", "0:{|1:[1]|"},
    };
    assert_all(cases, sizeof cases / sizeof *cases);
}

static void array_is_cut_at_its_own_commas(void **state)
{
    (void)state;
    static const struct split_case cases[] = {
        {"[]", ""},
        {" \n[ \n] \n", ""},
        {"[{}]", "0:{}|"},
        {"[1, 2 ,\n3]", "0:1|1:2|2:3|"},
        {"[{\"a\":[1,2],\"b\":{\"c\":3}},[4,5]]", "0:{\"a\":[1,2],\"b\":{\"c\":3}}|1:[4,5]|"},
        {"[\"a,b\",\"]\",\"\\\"],\",\"\\\\\"]", "0:\"a,b\"|1:\"]\"|2:\"\\\"],\"|3:\"\\\\\"|"},
        {"[{\"a\":1},{oops},{\"b\":2}]", "0:{\"a\":1}|1:{oops}|2:{\"b\":2}|"},
        {"[{\"a\":1} x,2]", "0:{\"a\":1} x|1:2|"},
    };
    assert_all(cases, sizeof cases / sizeof *cases);
}

static void empty_body_and_broken_array_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",    " \r\n\t", "[",          "[1",    "[1,",       "[1,]",  "[,1]", "[1,,2]", "[1]x",   "[] []",
        "[1}", "[{]",     "[{\"a\":1}", "[\"a]", "[\"a\\\"]", "[\"\\", "[[]",  "[\"",    "[1]\n{}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_splits(slice_of(bodies[i]), "refused");
}

static void nul_bytes_end_nothing(void **state)
{
    (void)state;
    assert_splits(SLICE("a\0b\nc"),
                  (const char[]){"0:a"}); /* compared as text: the record goes on behind the NUL */
    assert_splits(SLICE("[1,\0]"), (const char[]){"0:1|1:"});
}

static void deep_nesting_needs_no_stack(void **state)
{
    (void)state;
    size_t depth = 1000000;
    char *body = malloc(2 * depth);
    memset(body, '[', depth);
    memset(body + depth, ']', depth);
    struct body_splitter splitter;
    assert_null(body_splitter_init(&splitter, (struct slice){body, 2 * depth}));
    struct slice record;
    uint32_t index;
    assert_true(body_splitter_next(&splitter, &record, &index));
    assert_int_equal(record.size, 2 * depth - 2);
    assert_false(body_splitter_next(&splitter, &record, &index));
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_numbered_with_the_blank_ones),
        cmocka_unit_test(array_is_cut_at_its_own_commas),
        cmocka_unit_test(empty_body_and_broken_array_are_refused),
        cmocka_unit_test(nul_bytes_end_nothing),
        cmocka_unit_test(deep_nesting_needs_no_stack),
    };
    return cmocka_run_group_tests_name("ingest_split", tests, NULL, NULL);
}
