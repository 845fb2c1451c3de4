/* Paths and the columns they become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "flow/schema.h"

static void path_has_one_canonical_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical;
    } cases[] = {
        {"a", "a"},
        {"a.b", "a.b"},
        {"a[\"b\"]", "a.b"},
        {"a['b c'].d", "a[\"b c\"].d"},
        {"a[0].b", "a[0].b"},
        {"a[007]", "a[7]"},
        {"a[\"q\\\"\\\\\"]", "a[\"q\\\"\\\\\"]"},
        {"\xc3\xbc-$@_9", "\xc3\xbc-$@_9"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct path path;
        struct error error;
        assert_int_equal(path_parse(&arena, slice_of(cases[i].text), &path, &error), STATUS_OK);
        assert_string_equal(path.text.data, cases[i].canonical);
    }
    arena_deinit(&arena);
}

static void broken_path_is_refused_with_its_place(void **state)
{
    (void)state;
    static const char *const texts[] = {"",      ".a",   "a.",    "a..b",  "a b",           "a[",
                                        "a[]",   "a[x]", "a[0",   "a[\"b", "a[''",          "a['']",
                                        "[0].a", "[0]",  "a[0]b", "a[-1]", "a[99999999999]"};
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct path path;
        struct error error = {{0}};
        if (path_parse(&arena, slice_of(texts[i]), &path, &error) != STATUS_INVALID)
            fail_msg("taken: %s", texts[i]);
        assert_non_null(strstr(error.text, texts[i]));
    }
    arena_deinit(&arena);
}

static void path_deeper_than_the_limit_is_refused(void **state)
{
    (void)state;
    char text[2 * SCHEMA_MAX_PATH_DEPTH + 2] = "a";
    struct schema schema;
    schema_init(&schema);
    uint32_t column;
    struct error error;
    for (int i = 1; i < SCHEMA_MAX_PATH_DEPTH; i++)
        strcat(text, ".a");
    assert_int_equal(schema_add_text(&schema, slice_of(text), &column, &error), STATUS_OK);
    strcat(text, ".a");
    assert_int_equal(schema_add_text(&schema, slice_of(text), &column, &error), STATUS_INVALID);
    schema_deinit(&schema);
}

static void equal_paths_share_a_column(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t column;
    } cases[] = {{"a.b", 0}, {"a", 1}, {"a[\"b\"]", 0}, {"a[0]", 2}, {"a.0", 3}, {"a[0]", 2}, {"a", 1}};
    struct schema schema;
    schema_init(&schema);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t column;
        struct error error;
        assert_int_equal(schema_add_text(&schema, slice_of(cases[i].text), &column, &error), STATUS_OK);
        assert_int_equal(column, cases[i].column);
    }
    assert_int_equal(schema.column_count, 4);
    schema_deinit(&schema);
}

static void columns_are_limited(void **state)
{
    (void)state;
    struct schema schema;
    schema_init(&schema);
    uint32_t column;
    struct error error = {{0}};
    for (int i = 0; i <= SCHEMA_MAX_COLUMNS; i++) {
        char text[16];
        snprintf(text, sizeof text, "p%d", i);
        enum status want = i < SCHEMA_MAX_COLUMNS ? STATUS_OK : STATUS_LIMIT;
        assert_int_equal(schema_add_text(&schema, slice_of(text), &column, &error), want);
    }
    assert_non_null(strstr(error.text, "p256"));
    assert_int_equal(schema_add_text(&schema, SLICE("p0"), &column, &error), STATUS_OK);
    schema_deinit(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_has_one_canonical_text),
        cmocka_unit_test(broken_path_is_refused_with_its_place),
        cmocka_unit_test(path_deeper_than_the_limit_is_refused),
        cmocka_unit_test(equal_paths_share_a_column),
        cmocka_unit_test(columns_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
