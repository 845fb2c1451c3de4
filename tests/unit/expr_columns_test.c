/* A column at a time gives what one row at a time gives: random expressions over random events of mixed types, all rows in one batch against
 * each row in a batch of its own (where the kinds choose other loops), as values and as conditions, over all rows and over some. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "expr_fixture.h"

enum { ROUND_COUNT = 400, ROW_COUNT = 40 };

static uint64_t seed;

static uint32_t below(uint32_t bound)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % bound;
}

static const char *pick(const char *const *texts, uint32_t count)
{
    return texts[below(count)];
}
#define PICK(texts) pick(texts, sizeof(texts) / sizeof *(texts))

/* Of one kind, or mixed: both kinds of loops must be met. */
static void append_field(struct buffer *out, const char *name, uint32_t profile)
{
    static const char *const ints[] = {
        "0", "1", "-1", "3", "7", "9223372036854775807", "-9223372036854775808", "9007199254740993"};
    static const char *const doubles[] = {"0.5",   "-0.0", "2.5",   "1e308",
                                          "1e999", "3.0",  "-7.25", "9007199254740992.0"};
    static const char *const strings[] = {"\"\"",         "\"a\"",  "\"ab\"",   "\"b\"",
                                          "\"\xC3\xA9\"", "\"12\"", "\"a\\nb\""};
    static const char *const others[] = {
        "true", "false", "null", "[1,\"a\",2.5]", "{\"a\":1}", "\"2026-11-23T18:00:00Z\"", "\"10s\""};
    if (below(8) == 0)
        return; /* missing */
    uint32_t kind = profile < 3 ? profile : below(4);
    const char *value = kind == 0   ? PICK(ints)
                        : kind == 1 ? PICK(doubles)
                        : kind == 2 ? PICK(strings)
                                    : PICK(others);
    buffer_format(out, "%s\"%s\":%s", out->data[out->size - 1] == '{' ? "" : ",", name,
                  below(10) == 0 ? "null" : value);
}

static void append_expression(struct buffer *out, unsigned depth)
{
    static const char *const leaves[] = {
        "a",          "b",     "c",    "d",    "a",    "b", "1",   "-1",
        "2.5",        "\"a\"", "\"\"", "true", "null", "0", "a.x", "timestamp(d)",
        "duration(d)"};
    static const char *const binaries[] = {
        "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||"};
    static const char *const calls[] = {"size",  "int",  "double", "string", "abs",
                                        "floor", "ceil", "sqrt",   "log",    "timestamp"};
    uint32_t choice = depth == 0 ? 0 : below(12);
    if (choice <= 2) {
        buffer_append_text(out, PICK(leaves));
        return;
    }
    buffer_append_char(out, '(');
    if (choice <= 7) {
        append_expression(out, depth - 1);
        buffer_format(out, " %s ", PICK(binaries));
        append_expression(out, depth - 1);
    } else if (choice == 8) {
        append_expression(out, depth - 1);
        buffer_append_text(out, " ? ");
        append_expression(out, depth - 1);
        buffer_append_text(out, " : ");
        append_expression(out, depth - 1);
    } else if (choice == 9) {
        buffer_format(out, "%s(", PICK(calls));
        append_expression(out, depth - 1);
        buffer_append_char(out, ')');
    } else if (choice == 10) {
        buffer_append_char(out, '!');
        append_expression(out, depth - 1);
    } else {
        append_expression(out, depth - 1);
        buffer_append_text(out, below(2) ? " in [1, a, \"a\", 2.5]" : " in d");
    }
    buffer_append_char(out, ')');
}

static char *make_event(uint32_t profile)
{
    struct buffer out = {0};
    buffer_append_char(&out, '{');
    append_field(&out, "a", profile);
    append_field(&out, "b", profile);
    append_field(&out, "c", below(4));
    append_field(&out, "d", 3);
    buffer_append_char(&out, '}');
    buffer_append_char(&out, '\0');
    return out.data;
}

static void append_row(struct buffer *out, const struct batch *batch, const struct column *column,
                       uint32_t row)
{
    buffer_format(out, "%u:", column->kinds[row]); /* 1 and 1.0 look alike as JSON */
    append_value(out, batch, column, row);
}

static void compare_rows(struct slice text, const struct expr *expr, const struct schema *schema,
                         char *const *lines)
{
    struct batch *whole = decode_lines(schema, (const char *const *)lines, ROW_COUNT);
    struct column all, one;
    expr_evaluate(expr, whole, &all);
    uint32_t selected[ROW_COUNT], some[ROW_COUNT], some_selected[ROW_COUNT], some_count = 0, next = 0,
                                                                             some_next = 0;
    for (uint32_t row = 0; row < ROW_COUNT; row++)
        if (below(2))
            some[some_count++] = row;
    uint32_t count = expr_select(expr, whole, NULL, ROW_COUNT, selected);
    uint32_t some_selected_count = expr_select(expr, whole, some, some_count, some_selected);
    uint32_t some_index = 0;
    for (uint32_t row = 0; row < ROW_COUNT; row++) {
        struct batch *single = decode_lines(schema, (const char *const *)&lines[row], 1);
        expr_evaluate(expr, single, &one);
        struct buffer expected = {0}, got = {0};
        append_row(&expected, single, &one, 0);
        append_row(&got, whole, &all, row);
        if (!slice_equal(buffer_slice(&expected), buffer_slice(&got)))
            fail_msg("%.*s over %s: %.*s alone, %.*s in a batch", SLICE_ARG(text), lines[row],
                     SLICE_ARG(expected), SLICE_ARG(got));
        uint32_t zero = 1;
        bool is_true = one.kinds[0] == VALUE_BOOL && one.values[0].i;
        bool is_selected = next < count && selected[next] == row;
        next += is_selected;
        if ((expr_select(expr, single, NULL, 1, &zero) == 1) != is_true || is_selected != is_true)
            fail_msg("%.*s over %s: as a condition it is not what it is as a value", SLICE_ARG(text),
                     lines[row]);
        bool is_asked = some_index < some_count && some[some_index] == row;
        some_index += is_asked;
        bool is_some = some_next < some_selected_count && some_selected[some_next] == row;
        some_next += is_some;
        if (is_some != (is_asked && is_true))
            fail_msg("%.*s over %s: selected from some rows it differs", SLICE_ARG(text), lines[row]);
        buffer_deinit(&expected);
        buffer_deinit(&got);
        batch_destroy(single);
    }
    assert_int_equal(next, count);
    assert_int_equal(some_next, some_selected_count);
    batch_destroy(whole);
}

static void columns_give_what_rows_give(void **state)
{
    (void)state;
    const char *wanted = getenv("WEIR_TEST_SEED");
    seed = wanted ? strtoull(wanted, NULL, 10) : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    print_message("seed: WEIR_TEST_SEED=%llu\n", (unsigned long long)seed);
    uint32_t compiled_count = 0;
    for (uint32_t round = 0; round < 20 * ROUND_COUNT && compiled_count < ROUND_COUNT; round++) {
        struct buffer text = {0};
        append_expression(&text, 1 + below(4));
        struct schema schema;
        struct expr *expr = NULL;
        struct expr_error error;
        schema_init(&schema);
        if (expr_compile(buffer_slice(&text), &schema, EXPR_ANY, &expr, &error) == STATUS_OK) {
            char *lines[ROW_COUNT];
            uint32_t profile = below(4);
            for (uint32_t i = 0; i < ROW_COUNT; i++)
                lines[i] = make_event(profile);
            compare_rows(buffer_slice(&text), expr, &schema, lines);
            for (uint32_t i = 0; i < ROW_COUNT; i++)
                free(lines[i]);
            compiled_count++;
        }
        expr_destroy(expr);
        schema_deinit(&schema);
        buffer_deinit(&text);
    }
    assert_int_equal(compiled_count, ROUND_COUNT);
}

/* Text results grow the side area, which moves the batch's bytes under the operands. */
static void texts_survive_a_growing_batch(void **state)
{
    (void)state;
    enum { SIZE = 40000, LINES = 64 };
    char *lines[LINES];
    for (int i = 0; i < LINES; i++) {
        lines[i] = malloc(SIZE + 32);
        int size = snprintf(lines[i], 32, "{\"s\":\"");
        memset(lines[i] + size, 'a' + i % 26, SIZE);
        memcpy(lines[i] + size + SIZE, "\"}", 3);
    }
    struct evaluation evaluation =
        evaluate_lines(SLICE("\"<\" + s + \"|\" + s + \">\""), EXPR_ANY, (const char *const *)lines, LINES);
    for (uint32_t row = 0; row < LINES; row++) {
        struct slice text = batch_text(evaluation.batch, evaluation.column.values[row].s);
        assert_int_equal(text.size, 2 * SIZE + 3);
        assert_true(text.data[0] == '<' && text.data[SIZE + 1] == '|' && text.data[text.size - 1] == '>');
        for (size_t i = 1; i <= SIZE; i++)
            assert_true(text.data[i] == 'a' + (int)row % 26 && text.data[SIZE + 1 + i] == text.data[i]);
    }
    evaluation_end(&evaluation);
    for (int i = 0; i < LINES; i++)
        free(lines[i]);
}

static void too_long_text_is_null(void **state)
{
    (void)state;
    enum { SIZE = 600000 };
    char *line = malloc(SIZE + 32);
    int size = snprintf(line, 32, "{\"s\":\"");
    memset(line + size, 'x', SIZE);
    memcpy(line + size + SIZE, "\"}", 3);
    struct evaluation evaluation = evaluate_lines(SLICE("s + s"), EXPR_ANY, (const char *const *)&line, 1);
    assert_int_equal(evaluation.column.kinds[0], VALUE_NULL);
    evaluation_end(&evaluation);
    free(line);
}

static void pattern_that_backtracks_elsewhere_is_fast_here(void **state)
{
    (void)state;
    enum { SIZE = 100000 };
    char *line = malloc(SIZE + 32);
    int size = snprintf(line, 32, "{\"s\":\"");
    memset(line + size, 'a', SIZE);
    memcpy(line + size + SIZE, "!\"}", 4);
    clock_t start = clock();
    struct evaluation evaluation = evaluate_lines(SLICE("s.matches(\"^(a+)+$\") || s.matches(\"(a|a)*b\")"),
                                                  EXPR_ANY, (const char *const *)&line, 1);
    assert_int_equal(evaluation.column.values[0].i, 0);
    assert_true(clock() - start < 20 * CLOCKS_PER_SEC); /* backtracking would take longer than the sun */
    evaluation_end(&evaluation);
    free(line);
}

static void empty_batch_has_no_rows(void **state)
{
    (void)state;
    struct evaluation evaluation =
        evaluate_lines(SLICE("a + 1 > 2 || string(a) + \"x\" in [\"1x\"]"), EXPR_BOOL, NULL, 0);
    assert_int_equal(expr_select(evaluation.expr, evaluation.batch, NULL, 0, NULL), 0);
    evaluation_end(&evaluation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_give_what_rows_give),
        cmocka_unit_test(texts_survive_a_growing_batch),
        cmocka_unit_test(too_long_text_is_null),
        cmocka_unit_test(pattern_that_backtracks_elsewhere_is_fast_here),
        cmocka_unit_test(empty_batch_has_no_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
