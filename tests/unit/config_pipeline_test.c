/* Pipelines with and without a window, as the config has them and as `config show` tells them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"

static const char *const text =
    "sources: {s: {http: {}}}\n"
    "sinks: {o: {blackhole: {}}}\n"
    "pipelines:\n"
    "  p: {from: s, where: a > 1, key: k, select: {user: u.id, twice: 2 * a}, to: [o]}\n"
    "  q: {from: s, to: o}\n"
    "  r: {from: s, window: {tumbling: 1s}, aggregates: {n: count()}}\n";

static void a_pipeline_without_a_window_has_fields_and_sinks(void **state)
{
    (void)state;
    struct config_errors errors;
    config_errors_init(&errors, "weir.yaml");
    struct config *config = config_load("weir.yaml", text, NULL, 0, &errors);
    assert_non_null(config);
    config_errors_deinit(&errors);
    const struct config_pipeline *p = &config->pipelines[0], *q = &config->pipelines[1],
                                 *r = &config->pipelines[2];
    assert_true(!p->has_window && !q->has_window && r->has_window);
    assert_int_equal(p->select_count, 2);
    assert_string_equal(p->selects[0].name, "user");
    assert_string_equal(p->selects[0].value.text, "u.id");
    assert_string_equal(p->selects[1].name, "twice");
    assert_int_equal(p->selects[1].value.place.line, 4);
    assert_int_equal(p->aggregate_count, 0);
    assert_true(!p->to_store && !p->to_live && p->sink_count == 1);
    assert_int_equal(q->select_count, 0);
    assert_true(!q->to_store && !q->to_live && q->sink_count == 1);
    assert_true(r->to_store && r->to_live);
    config_destroy(config);
}

/* What `config show` prints for a config with these pipelines; the caller frees it. */
static char *show(const char *config)
{
    char path[] = "/tmp/config_pipeline_test_XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, config, strlen(config)), (ssize_t)strlen(config));
    close(descriptor);
    struct config_errors errors;
    struct buffer out = {0};
    config_errors_init(&errors, path);
    assert_int_equal(config_show(path, NULL, 0, false, &out, &errors), STATUS_OK);
    config_errors_deinit(&errors);
    unlink(path);
    buffer_append_char(&out, '\0');
    return out.data;
}

static void defaults_of_windows_are_shown_only_where_there_is_one(void **state)
{
    (void)state;
    static const char *const of_windows[] = {"late:", "allowed_lateness:", "key_limit:", "offset:"};
    char *with = show(
        "sources: {s: {http: {}}}\npipelines: {p: {from: s, window: {tumbling: 1s}, aggregates: {n: count()}}}\n");
    char *without =
        show("sources: {s: {http: {}}}\nsinks: {o: {console: {}}}\npipelines: {p: {from: s, to: o}}\n");
    for (size_t i = 0; i < sizeof of_windows / sizeof *of_windows; i++) {
        assert_non_null(strstr(with, of_windows[i]));
        assert_null(strstr(without, of_windows[i]));
    }
    free(with);
    free(without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipeline_without_a_window_has_fields_and_sinks),
        cmocka_unit_test(defaults_of_windows_are_shown_only_where_there_is_one),
    };
    return cmocka_run_group_tests_name("config of pipelines", tests, NULL, NULL);
}
