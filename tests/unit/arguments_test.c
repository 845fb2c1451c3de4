/* The command line's table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/arguments.h"

struct values {
    const char *file, *format;
    bool flag;
    uint64_t number;
    int64_t duration_us;
    struct argument_list list;
};

static int parse(struct values *values, char **argv)
{
    const struct argument arguments[] = {
        {"FILE", NULL, "a file", ARGUMENT_REQUIRED, &values->file, NULL},
        {"--flag", NULL, "a flag", ARGUMENT_FLAG, &values->flag, NULL},
        {"--number", "N", "a number", ARGUMENT_NUMBER, &values->number, NULL},
        {"--duration", "TIME", "a duration", ARGUMENT_DURATION, &values->duration_us, NULL},
        {"--format", "F", "a choice", ARGUMENT_CHOICE, &values->format, "text|json"},
        {"--input", "X", "a list", ARGUMENT_LIST, &values->list, NULL},
    };
    const struct usage usage = {"weir test", "Tests.", NULL, arguments, sizeof arguments / sizeof *arguments};
    int argc = 0, exit_code = -1;
    while (argv[argc])
        argc++;
    return arguments_parse(&usage, argc, argv, &exit_code) ? -1 : exit_code;
}

#define PARSE(values, ...) parse(values, (char *[]){(char *)"test", __VA_ARGS__, NULL})

static void values_are_stored_in_both_spellings(void **state)
{
    (void)state;
    static struct values values;
    assert_int_equal(PARSE(&values, (char *)"--number=7", (char *)"f", (char *)"--flag", (char *)"--duration",
                           (char *)"1.5s", (char *)"--input", (char *)"a", (char *)"--input=b"),
                     -1);
    assert_string_equal(values.file, "f");
    assert_true(values.flag);
    assert_int_equal(values.number, 7);
    assert_int_equal(values.duration_us, 1500000);
    assert_int_equal(values.list.count, 2);
    assert_string_equal(values.list.items[1], "b");
}

static void wrong_usage_is_exit_2(void **state)
{
    (void)state;
    static char *const wrong[][4] = {
        {(char *)"f", (char *)"--nosuch"},
        {(char *)"f", (char *)"g"},
        {(char *)"f", (char *)"--number", (char *)"x"},
        {(char *)"f", (char *)"--number", (char *)"-1"},
        {(char *)"f", (char *)"--duration", (char *)"5"},
        {(char *)"f", (char *)"--format", (char *)"tex"},
        {(char *)"f", (char *)"--input"},
        {(char *)"f", (char *)"--flag=1"},
        {(char *)"--flag"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        static struct values values;
        values = (struct values){0};
        assert_int_equal(PARSE(&values, wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3]), EXIT_USAGE);
    }
}

static void what_follows_two_dashes_is_no_option(void **state)
{
    (void)state;
    static struct values values;
    assert_int_equal(PARSE(&values, (char *)"--", (char *)"--flag"), -1);
    assert_string_equal(values.file, "--flag");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_stored_in_both_spellings),
        cmocka_unit_test(wrong_usage_is_exit_2),
        cmocka_unit_test(what_follows_two_dashes_is_no_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
