/* What is refused when an expression is loaded: the byte that the message points at, and what it says. A case is one line. */
#include "expr_fixture.h"

struct error_case {
    const char *text;
    size_t offset;
    const char *message; /* a part of it */
    enum expr_type want; /* EXPR_ANY when left out */
};

static const struct error_case cases[] = {
    /* syntax */
    {"", 0, "empty", 0},
    {"   ", 0, "empty", 0},
    {"a +", 3, "ends here", 0},
    {"a + + b", 4, "expected a value", 0},
    {"a = 1", 2, "compare with ==", 0},
    {"a & b", 2, "&&", 0},
    {"a | b", 2, "||", 0},
    {"a b", 2, "expected an operator or the end", 0},
    {"(a", 2, "expected \")\"", 0},
    {"a)", 1, "expected an operator", 0},
    {"a.", 2, "name after", 0},
    {"a.1", 1, "expected an operator", 0},
    {"a[", 2, "expected an index", 0},
    {"a[b]", 2, "cannot be computed", 0},
    {"a[-1]", 2, "expected an index", 0},
    {"a[0", 3, "\"]\"", 0},
    {"[1, 2", 5, "expected", 0},
    {"a ? 1", 5, "for otherwise", 0},
    {"a ? : 2", 4, "expected a value", 0},
    {"\"abc", 0, "no closing", 0},
    {"a == 'x", 5, "no closing", 0},
    {"\"a\\qb\"", 2, "unknown escape", 0},
    {"\"\\u00zz\"", 5, "hexadecimal", 0},
    {"\"\\ud800\"", 3, "no character", 0},
    {"12abc", 0, "units are written", 0},
    {"9223372036854775808", 0, "64 bits", 0},
    {"a > 99999999999999999999", 4, "64 bits", 0},
    {"1e999", 0, "too large", 0},
    {"0x", 2, "hexadecimal digits", 0},
    {"a # b", 2, "unexpected \"#\"", 0},
    {"a\x01", 1, "control character", 0},
    {"a == \"\xff\"", 6, "UTF-8", 0},
    {"\xC3\xA4 == 1 1", 8, "expected an operator", 0},
    {"in", 0, "expected a value", 0},
    {"(a + b).c", 8, "only a field has members", 0},
    {"(a + b)[0]", 7, "only a field can be indexed", 0},
    {"f(1", 3, "\",\" or \")\"", 0},
    {"size(a b)", 7, "\",\" or \")\"", 0},
    /* types */
    {"true + 1", 5, "\"+\" does not work on bool and int", 0},
    {"a * true", 2, "does not work on any and bool", 0},
    {"\"x\" + 1", 4, "convert with string(x)", 0},
    {"\"x\" - \"y\"", 4, "does not work on string and string", 0},
    {"1 == \"1\"", 2, "never equal", 0},
    {"a > true", 2, "a bool has no order", 0},
    {"a > null", 2, "null has no order", 0},
    {"[1] == [1]", 4, "right of \"in\"", 0},
    {"1 && true", 0, "expected a condition (bool), got int", 0},
    {"true || \"x\"", 8, "expected a condition (bool), got string", 0},
    {"!1", 1, "expected a condition", 0},
    {"-true", 0, "does not work on bool", 0},
    {"1 ? 2 : 3", 0, "expected a condition", 0},
    {"a in 5", 5, "expected a list", 0},
    {"a in \"abc\"", 5, "x.contains(y)", 0},
    {"a in [[1]]", 6, "cannot be an element", 0},
    {"[1] in [1]", 0, "cannot be an element", 0},
    {"[1, 2]", 0, "right of \"in\"", 0},
    {"timestamp(a) + timestamp(b)", 13, "does not work", 0},
    {"timestamp(a) > 5", 13, "cannot compare", 0},
    {"timestamp(a) * 2", 13, "does not work", 0},
    {"log(\"x\")", 4, "log expects a number, got string", 0},
    {"size(5)", 5, "size(x)", 0},
    {"int(true)", 4, "int(x)", 0},
    {"duration(5)", 9, "duration expects a string", 0},
    {"(1).startsWith(\"1\")", 1, "expects a string", 0},
    /* always null */
    {"a > 1 / 0", 6, "always null", 0},
    {"9223372036854775807 + 1", 20, "always null", 0},
    {"timestamp(\"soon\")", 0, "always null", 0},
    {"duration(\"5 parsecs\")", 0, "always null", 0},
    {"log(0)", 0, "always null", 0},
    /* functions */
    {"sise(a)", 0, "did you mean \"size\"", 0},
    {"a.startswith(\"x\")", 2, "did you mean \"startsWith\"", 0},
    {"frobnicate(a)", 0, "unknown function \"frobnicate\"", 0},
    {"startsWith(a, \"x\")", 0, "written as x.startsWith", 0},
    {"a.log()", 2, "written as log(x)", 0},
    {"size()", 0, "written as size(x)", 0},
    {"size(a, b)", 0, "written as size(x)", 0},
    {"min(a)", 0, "written as min(x, y)", 0},
    {"has(1)", 4, "has expects a field", 0},
    {"has(a + 1)", 6, "has expects a field", 0},
    {"min(1,2,3,4,5,6,7,8,9)", 20, "more than 8 arguments", 0},
    {"a.matches(b)", 10, "string literal", 0},
    {"a.matches(\"(\")", 10, "bad pattern: missing )", 0},
    {"a.matches(\"(?=x)\")", 10, "bad pattern", 0},
    {"a.matches(\"(a)\\\\1\")", 10, "bad pattern", 0},
    {"a.matches(\"((a{100}){100}){100}\")", 10, "bad pattern", 0},
    /* what the place wants */
    {"1 + 2", 2, "expected a condition (bool), got int", EXPR_BOOL},
    {"null", 0, "got null", EXPR_BOOL},
    {"\"x\"", 0, "expected a condition (bool), got string", EXPR_BOOL},
    {"size(a)", 0, "expected a condition (bool), got int", EXPR_BOOL},
    {"a > 1", 2, "expected number, got bool", EXPR_NUMBER},
    {"a + \"x\"", 2, "expected number, got string", EXPR_NUMBER},
};

static void compile_fails(struct slice text, enum expr_type want, struct expr_error *error)
{
    struct schema schema;
    struct expr *expr = NULL;
    schema_init(&schema);
    enum status status = expr_compile(text, &schema, want, &expr, error);
    if (status == STATUS_OK)
        fail_msg("%.*s compiles", SLICE_ARG(text));
    assert_null(expr);
    schema_deinit(&schema);
}

static void every_mistake_is_found_at_its_place(void **state)
{
    (void)state;
    unsigned failures = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct expr_error error;
        compile_fails(slice_of(cases[i].text), cases[i].want, &error);
        if (error.offset != cases[i].offset || !strstr(error.message, cases[i].message)) {
            print_error("%s: at %zu: %s; expected at %zu: %s\n", cases[i].text, error.offset, error.message,
                        cases[i].offset, cases[i].message);
            failures++;
        }
    }
    assert_int_equal(failures, 0);
}

static struct buffer repeated(const char *before, const char *part, unsigned count, const char *after)
{
    struct buffer text = {0};
    buffer_append_text(&text, before);
    for (unsigned i = 0; i < count; i++)
        buffer_append_text(&text, part);
    buffer_append_text(&text, after);
    return text;
}

static void limits_are_refused_with_their_number(void **state)
{
    (void)state;
    struct {
        struct buffer text;
        const char *message;
    } limits[] = {
        {repeated("", "(", 40, ""), "nested deeper than 32"},
        {repeated("", "!", 40, "a"), "nested deeper than 32"},
        {repeated("", "-", 4000, "a"), "nested deeper than 32"},
        {repeated("a", "+a", 600, ""), "more than 512 parts"},
        {repeated("\"", "x", 5000, "\""), "more than 4096 bytes"},
        {repeated("a in [1", ",1", 300, "]"), "more than 256 elements"},
        {repeated("a", ".a", 20, ""), "more than 16 steps"},
        {repeated("a.matches(\"", "x", 300, "\")"), "more than 256 bytes"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct expr_error error;
        compile_fails(buffer_slice(&limits[i].text), EXPR_ANY, &error);
        if (!strstr(error.message, limits[i].message))
            fail_msg("%s, expected %s", error.message, limits[i].message);
        buffer_deinit(&limits[i].text);
    }
}

static void too_many_paths_are_refused(void **state)
{
    (void)state;
    struct schema schema;
    schema_init(&schema);
    struct expr_error error;
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i <= SCHEMA_MAX_COLUMNS; i++) {
        char text[32];
        struct expr *expr = NULL;
        snprintf(text, sizeof text, "1 + field%d", i);
        status = expr_compile(slice_of(text), &schema, EXPR_ANY, &expr, &error);
        expr_destroy(expr);
    }
    assert_int_equal(status, STATUS_INVALID);
    assert_int_equal(error.offset, 4);
    assert_non_null(strstr(error.message, "256 different paths"));
    schema_deinit(&schema);
}

/* --- calls of aggregates ------------------------------------------------------------------------------------------ */

static void call_is_split_at_its_own_commas(void **state)
{
    (void)state;
    struct expr_call call;
    struct expr_error error;
    assert_int_equal(expr_split_call(SLICE(" percentile( max(a, b[\"x,)\"]) , 95 ) "), &call, &error),
                     STATUS_OK);
    assert_true(slice_equal_text(call.function, "percentile"));
    assert_int_equal(call.argument_count, 2);
    assert_true(slice_equal_text(call.arguments[0], "max(a, b[\"x,)\"])"));
    assert_true(slice_equal_text(call.arguments[1], "95"));
    assert_int_equal(expr_split_call(SLICE("count()"), &call, &error), STATUS_OK);
    assert_int_equal(call.argument_count, 0);
    assert_int_equal(expr_split_call(SLICE("sum(a in [1, 2] ? 1 : 0)"), &call, &error), STATUS_OK);
    assert_int_equal(call.argument_count, 1);
}

static void wrong_call_is_refused_at_its_place(void **state)
{
    (void)state;
    static const struct error_case calls[] = {
        {"", 0, "function call", 0},
        {"5", 0, "function call", 0},
        {"sum", 3, "expected \"(\"", 0},
        {"sum(", 4, "ends here", 0},
        {"sum(a", 5, "ends here", 0},
        {"sum((a)", 7, "ends here", 0},
        {"sum(a,)", 6, "an argument", 0},
        {"sum(,a)", 4, "an argument", 0},
        {"sum(a) + 1", 7, "nothing behind", 0},
        {"sum(a, \"x)", 7, "no closing", 0},
        {"sum(a #)", 6, "unexpected", 0},
        {"sum(a))", 6, "nothing behind", 0},
        {"f(1,2,3,4,5,6,7,8,9)", 18, "more than 8", 0},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct expr_call call;
        struct expr_error error;
        if (expr_split_call(slice_of(calls[i].text), &call, &error) == STATUS_OK)
            fail_msg("%s is split", calls[i].text);
        if (error.offset != calls[i].offset || !strstr(error.message, calls[i].message))
            fail_msg("%s: at %zu: %s", calls[i].text, error.offset, error.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_is_found_at_its_place),
        cmocka_unit_test(limits_are_refused_with_their_number),
        cmocka_unit_test(too_many_paths_are_refused),
        cmocka_unit_test(call_is_split_at_its_own_commas),
        cmocka_unit_test(wrong_call_is_refused_at_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
