/* What expressions mean: a table of expression and value, over one event that holds a value of every kind. A case is one line; anybody can add
 * one. */
#include "expr_fixture.h"

static const char event[] =
    "{\"a\":1,\"b\":2.5,\"c\":7,\"s\":\"hello\",\"t\":true,\"f\":false,\"n\":null,\"neg\":-7,\"z\":0,\"zd\":0.0,\"nz\":-0.0,"
    "\"big\":9223372036854775807,\"min\":-9223372036854775808,\"huge\":1e308,\"inf\":1e999,\"p53\":9007199254740993,"
    "\"e\":\"\",\"u\":\"\xC3\xBCn\xC3\xAF\",\"esc\":\"a\\\"b\\n\\u00e9\",\"num\":\"42\",\"dec\":\"-1.5e2\",\"word\":\"soon\","
    "\"l\":[1,2.0,\"x\",null,true,{\"k\":1},\"a\\\"b\"],\"el\":[],\"o\":{\"p\":{\"q\":5},\"odd name\":3,\"r\":\"v\",\"in\":4,"
    "\"e\":{}},\"items\":[{\"price\":9.5},{\"price\":3}],\"ts\":\"2026-11-23T18:00:00Z\",\"tz\":\"2026-11-23T20:00:00+02:00\","
    "\"ms\":1700000000000,\"\xC3\xA4ge\":30,\"$v\":1,\"@id\":\"x\",\"d\":\"1h30m\"}";

struct value_case {
    const char *text;
    const char *value;
};

static const struct value_case cases[] = {
    /* literals */
    {"1", "1"},
    {"-1", "-1"},
    {"0x1F", "31"},
    {"-0x10", "-16"},
    {"9223372036854775807", "9223372036854775807"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"1.5", "1.5"},
    {".5", "0.5"},
    {"1e3", "1000"},
    {"2.5e-1", "0.25"},
    {"true", "true"},
    {"false", "false"},
    {"null", "null"},
    {"\"a\\tb\"", "\"a\\tb\""},
    {"'it''s' == \"\"", NULL},
    {"'single \"quoted\"'", "\"single \\\"quoted\\\"\""},
    {"r\"a\\tb\"", "\"a\\\\tb\""},
    {"\"\\u00e9\\x41\\U0001F600\"", "\"\xC3\xA9\x41\xF0\x9F\x98\x80\""},
    /* paths */
    {"a", "1"},
    {"o.p.q", "5"},
    {"o[\"odd name\"]", "3"},
    {"o.`odd name`", "3"},
    {"o['p'].q", "5"},
    {"o.in", "4"},
    {"items[0].price", "9.5"},
    {"items[1].price", "3"},
    {"items[2].price", "null"},
    {"l[2]", "\"x\""},
    {"l[5].k", "1"},
    {"missing", "null"},
    {"missing.deeper[3]", "null"},
    {"a.b", "null"},
    {"o.p", "{\"q\":5}"},
    {"esc", "\"a\\\"b\\n\xC3\xA9\""},
    {"\xC3\xA4ge + 1", "31"},
    {"$v", "1"},
    {"@id", "\"x\""},
    {"(a)", "1"},
    /* arithmetic */
    {"a + 2", "3"},
    {"a - c", "-6"},
    {"a * c", "7"},
    {"c / 2", "3"},
    {"neg / 2", "-3"},
    {"c % 4", "3"},
    {"neg % 4", "-3"},
    {"b % 2", "0.5"},
    {"c / 2.0", "3.5"},
    {"a + b", "3.5"},
    {"b - 0.5", "2"},
    {"b * b", "6.25"},
    {"2 + 3 * 4", "14"},
    {"(2 + 3) * 4", "20"},
    {"10 - 4 - 3", "3"},
    {"100 / 10 / 5", "2"},
    {"-a", "-1"},
    {"-(a + 1)", "-2"},
    {"--a", "1"},
    {"1--1", "2"},
    {"-b", "-2.5"},
    {"a / z", "null"},
    {"a % z", "null"},
    {"b / z", "null"},
    {"b / zd", "null"},
    {"b % zd", "null"},
    {"zd / zd", "null"},
    {"big + 1", "null"},
    {"min - 1", "null"},
    {"big * 2", "null"},
    {"-min", "null"},
    {"min / -1", "null"},
    {"min % -1", "null"},
    {"huge * 10", "null"},
    {"big + 1.0", "9223372036854775808"},
    {"inf", "null"},
    {"inf + 1", "null"},
    {"a + missing", "null"},
    {"a + n", "null"},
    {"a + s", "null"},
    {"a * t", "null"},
    {"a + num", "null"},
    /* comparison */
    {"a == 1", "true"},
    {"a == 1.0", "true"},
    {"a != 1", "false"},
    {"1 == a", "true"},
    {"2 > a", "true"},
    {"a < 2", "true"},
    {"a <= 1", "true"},
    {"a >= 1.5", "false"},
    {"b > 2", "true"},
    {"b == 2.5", "true"},
    {"2 < b", "true"},
    {"p53 == 9007199254740993", "true"},
    {"p53 == 9007199254740992.0", "false"},
    {"p53 > 9007199254740992.0", "true"},
    {"big < 9223372036854775808.0", "true"},
    {"big == 9223372036854775807.0", "false"},
    {"min == -9223372036854775808.0", "true"},
    {"inf > big", "true"},
    {"inf > 1.0", "true"},
    {"nz == 0", "true"},
    {"s == \"hello\"", "true"},
    {"s != \"hello\"", "false"},
    {"\"hello\" == s", "true"},
    {"s < \"help\"", "true"},
    {"s > \"hell\"", "true"},
    {"s >= \"hello\"", "true"},
    {"u > \"z\"", "true"},
    {"e == \"\"", "true"},
    {"t == true", "true"},
    {"t != f", "true"},
    {"s == 1", "false"},
    {"s != 1", "true"},
    {"num == 42", "false"},
    {"t == 1", "false"},
    {"s < 1", "null"},
    {"a < s", "null"},
    {"t < f", "null"},
    {"o.p == o.p", "true"},
    {"o.p == l", "false"},
    /* null */
    {"n == null", "true"},
    {"missing == null", "true"},
    {"a == null", "false"},
    {"a != null", "true"},
    {"missing != \"x\"", "true"},
    {"missing == missing", "true"},
    {"missing > 1", "null"},
    {"1 > missing", "null"},
    {"missing == 0", "false"},
    /* logic */
    {"t && f", "false"},
    {"t && t", "true"},
    {"t || f", "true"},
    {"f || f", "false"},
    {"!t", "false"},
    {"!f", "true"},
    {"!!t", "true"},
    {"f && missing", "false"},
    {"missing && f", "false"},
    {"t && missing", "null"},
    {"missing && t", "null"},
    {"t || missing", "true"},
    {"missing || t", "true"},
    {"f || missing", "null"},
    {"missing || missing", "null"},
    {"!missing", "null"},
    {"!a", "null"},
    {"a && t", "null"},
    {"s || t", "true"},
    {"t || f && f", "true"},
    {"(t || f) && f", "false"},
    {"a > 0 && b > 2 || s == \"\"", "true"},
    {"!(a > 5)", "true"},
    {"!(missing > 5)", "null"},
    /* ?: */
    {"t ? 1 : 2", "1"},
    {"f ? 1 : 2", "2"},
    {"missing ? 1 : 2", "2"},
    {"a > 0 ? \"up\" : \"down\"", "\"up\""},
    {"a > 5 ? \"up\" : s", "\"hello\""},
    {"f ? 1 : t ? 2 : 3", "2"},
    {"t ? f ? 1 : 2 : 3", "2"},
    {"a == 1 ? null : 5", "null"},
    {"(t ? a : b) + 1", "2"},
    {"t ? o : l", "{\"p\":{\"q\":5},\"odd name\":3,\"r\":\"v\",\"in\":4,\"e\":{}}"},
    /* in */
    {"a in [1, 2]", "true"},
    {"a in [2, 3]", "false"},
    {"a in [1.0]", "true"},
    {"s in [\"x\", \"hello\"]", "true"},
    {"s in []", "false"},
    {"missing in [1, 2]", "false"},
    {"missing in [null]", "true"},
    {"a in [c, a]", "true"},
    {"a in [\"1\", true]", "false"},
    {"1 in l", "true"},
    {"2 in l", "true"},
    {"\"x\" in l", "true"},
    {"\"a\\\"b\" in l", "true"},
    {"\"k\" in l", "false"},
    {"null in l", "true"},
    {"true in l", "true"},
    {"false in l", "false"},
    {"1 in el", "false"},
    {"1 in o", "false"},
    {"1 in missing", "null"},
    {"1 in s", "null"},
    {"!(a in [1])", "false"},
    {"3 in [1, 2, 3] && t", "true"},
    /* has, size */
    {"has(a)", "true"},
    {"has(n)", "false"},
    {"has(missing.x)", "false"},
    {"has(o.p.q)", "true"},
    {"size(s)", "5"},
    {"s.size()", "5"},
    {"size(u)", "3"},
    {"size(e)", "0"},
    {"size(l)", "7"},
    {"size(el)", "0"},
    {"size(o)", "5"},
    {"size(o.e)", "0"},
    {"size([1, a, 3])", "3"},
    {"size(a)", "null"},
    {"size(missing)", "null"},
    /* text */
    {"s.startsWith(\"he\")", "true"},
    {"s.startsWith(\"\")", "true"},
    {"s.startsWith(\"hello!\")", "false"},
    {"s.endsWith(\"llo\")", "true"},
    {"s.endsWith(\"x\")", "false"},
    {"s.contains(\"ell\")", "true"},
    {"s.contains(\"elx\")", "false"},
    {"e.contains(\"\")", "true"},
    {"a.contains(\"1\")", "null"},
    {"missing.startsWith(\"x\")", "null"},
    {"s.startsWith(missing)", "null"},
    {"\"hello world\".startsWith(s)", "true"},
    {"s.matches(\"^h.*o$\")", "true"},
    {"s.matches(\"l+\")", "true"},
    {"s.matches(\"^l\")", "false"},
    {"s.matches(\"(?i)HELLO\")", "true"},
    {"u.matches(\"^\\\\pL{3}$\")", "true"},
    {"a.matches(\"1\")", "null"},
    {"s + \" world\"", "\"hello world\""},
    {"\"<\" + s + \">\"", "\"<hello>\""},
    {"s + e", "\"hello\""},
    {"s + missing", "null"},
    {"s + a", "null"},
    {"s + string(a)", "\"hello1\""},
    {"\"a\" + \"b\"", "\"ab\""},
    {"(s + \"!\") == \"hello!\"", "true"},
    /* conversions */
    {"int(2.9)", "2"},
    {"int(b)", "2"},
    {"int(-2.9)", "-2"},
    {"int(num)", "42"},
    {"int(dec)", "null"},
    {"int(word)", "null"},
    {"int(e)", "null"},
    {"int(\"-9223372036854775808\")", "-9223372036854775808"},
    {"int(huge)", "null"},
    {"int(ms)", "1700000000000"},
    {"int(timestamp(ts))", "1795456800"},
    {"int(duration(d))", "5400"},
    {"int(t)", "null"},
    {"double(a)", "1"},
    {"double(num)", "42"},
    {"double(dec)", "-150"},
    {"double(word)", "null"},
    {"double(\"1.\" + \"5\")", "1.5"},
    {"double(duration(\"1500ms\"))", "1.5"},
    {"string(a)", "\"1\""},
    {"string(b)", "\"2.5\""},
    {"string(t)", "\"true\""},
    {"string(s)", "\"hello\""},
    {"string(1.0)", "\"1\""},
    {"string(n)", "null"},
    {"string(inf)", "null"},
    {"string(timestamp(ms))", "\"2023-11-14T22:13:20Z\""},
    {"string(duration(\"-90500ms\"))", "\"-90.5s\""},
    {"string(duration(\"1h\"))", "\"3600s\""},
    {"string(o.p)", "null"},
    /* time */
    {"timestamp(ts)", "t:2026-11-23T18:00:00Z"},
    {"timestamp(ms)", "t:2023-11-14T22:13:20Z"},
    {"timestamp(1700000000)", "t:2023-11-14T22:13:20Z"},
    {"timestamp(word)", "null"},
    {"timestamp(t)", "null"},
    {"timestamp(ts) == timestamp(tz)", "true"},
    {"timestamp(ts) > timestamp(\"2026-11-23\")", "true"},
    {"timestamp(ts) - timestamp(ms)", "d:95456800000000"},
    {"timestamp(ts) + duration(\"90s\")", "t:2026-11-23T18:01:30Z"},
    {"duration(\"90s\") + timestamp(ts)", "t:2026-11-23T18:01:30Z"},
    {"timestamp(ts) - duration(\"1ms\")", "t:2026-11-23T17:59:59.999Z"},
    {"duration(\"1h\") > duration(\"59m\")", "true"},
    {"duration(d)", "d:5400000000"},
    {"duration(\"1d\") - duration(\"1h\")", "d:82800000000"},
    {"duration(\"1.5s\")", "d:1500000"},
    {"duration(\"10us\")", "d:10"},
    {"-duration(\"10us\")", "d:-10"},
    {"duration(word)", "null"},
    {"timestamp(ts) - timestamp(ts) < duration(\"1s\")", "true"},
    {"timestamp(ts) > 5.0 || true", NULL},
    {"timestamp(ts) + timestamp(a)", NULL},
    {"timestamp(ts) < a", "null"},
    {"timestamp(ts) == a", "false"},
    /* mathematics */
    {"log(1)", "0"},
    {"log(z)", "null"},
    {"log(neg)", "null"},
    {"log(1 + a) > 0.69", "true"},
    {"sqrt(9)", "3"},
    {"sqrt(neg)", "null"},
    {"abs(neg)", "7"},
    {"abs(-b)", "2.5"},
    {"abs(min)", "null"},
    {"floor(b)", "2"},
    {"floor(-b)", "-3"},
    {"ceil(b)", "3"},
    {"floor(a)", "1"},
    {"min(a, b)", "1"},
    {"max(a, b)", "2.5"},
    {"max(a, b, c, 3)", "7"},
    {"min(a, missing)", "null"},
    {"max(a, s)", "null"},
    {"max(1, 1.0)", "1"},
    {"log(s)", "null"},
};

/* Cases with value NULL must not compile. */
static void every_case_gives_its_value(void **state)
{
    (void)state;
    unsigned failures = 0;
    const char *line = event;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!cases[i].value) {
            struct schema schema;
            struct expr *expr = NULL;
            struct expr_error error;
            schema_init(&schema);
            if (expr_compile(slice_of(cases[i].text), &schema, EXPR_ANY, &expr, &error) == STATUS_OK) {
                print_error("%s compiles\n", cases[i].text);
                failures++;
            }
            expr_destroy(expr);
            schema_deinit(&schema);
            continue;
        }
        struct evaluation evaluation = evaluate_lines(slice_of(cases[i].text), EXPR_ANY, &line, 1);
        struct buffer value = {0};
        append_value(&value, evaluation.batch, &evaluation.column, 0);
        if (!slice_equal_text(buffer_slice(&value), cases[i].value)) {
            print_error("%s: %.*s, expected %s\n", cases[i].text, SLICE_ARG(value), cases[i].value);
            failures++;
        }
        uint32_t selected;
        bool is_true = expr_select(evaluation.expr, evaluation.batch, NULL, 1, &selected) == 1;
        if (is_true != slice_equal_text(buffer_slice(&value), "true")) {
            print_error("%s: as a condition it is %s\n", cases[i].text, is_true ? "true" : "false");
            failures++;
        }
        buffer_deinit(&value);
        evaluation_end(&evaluation);
    }
    assert_int_equal(failures, 0);
}

static void bare_path_is_its_column_and_names_a_key(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
    } paths[] = {{"a", "a"},
                 {"o.p.q", "q"},
                 {"items[0]", "items"},
                 {"(o[\"odd name\"])", "odd name"},
                 {"a + 1", NULL},
                 {"-a", NULL},
                 {"1", NULL}};
    const char *line = event;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct evaluation evaluation = evaluate_lines(slice_of(paths[i].text), EXPR_ANY, &line, 1);
        uint32_t column = expr_path_column(evaluation.expr);
        if (paths[i].name) {
            assert_string_equal(expr_path_name(evaluation.expr), paths[i].name);
            assert_int_equal(column, 0);
            assert_ptr_equal(evaluation.column.values, evaluation.batch->columns[0].values);
        } else {
            assert_null(expr_path_name(evaluation.expr));
            assert_int_equal(column, UINT32_MAX);
        }
        evaluation_end(&evaluation);
    }
}

static void equal_paths_share_a_column(void **state)
{
    (void)state;
    const char *line = event;
    struct evaluation evaluation =
        evaluate_lines(SLICE("a + a + o.p.q + o[\"p\"].q + c"), EXPR_ANY, &line, 1);
    assert_int_equal(evaluation.schema.column_count, 3);
    evaluation_end(&evaluation);
}

static void result_types_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *text, *type;
    } types[] = {{"a", "any"},
                 {"a + 1", "number"},
                 {"a + 1.5", "double"},
                 {"1 + 2", "int"},
                 {"a > 1", "bool"},
                 {"a + \"x\"", "string"},
                 {"size(a)", "int"},
                 {"log(a)", "double"},
                 {"timestamp(a)", "timestamp"},
                 {"timestamp(a) - timestamp(b)", "duration"},
                 {"t ? 1 : 2.5", "number"},
                 {"t ? 1 : \"x\"", "any"},
                 {"null", "null"},
                 {"min(1, a)", "number"},
                 {"abs(a)", "number"},
                 {"a in [1]", "bool"}};
    const char *line = event;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct evaluation evaluation = evaluate_lines(slice_of(types[i].text), EXPR_ANY, &line, 1);
        if (strcmp(expr_type_name(expr_result_type(evaluation.expr)), types[i].type) != 0)
            fail_msg("%s is %s", types[i].text, expr_type_name(expr_result_type(evaluation.expr)));
        evaluation_end(&evaluation);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_gives_its_value),
        cmocka_unit_test(bare_path_is_its_column_and_names_a_key),
        cmocka_unit_test(equal_paths_share_a_column),
        cmocka_unit_test(result_types_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
