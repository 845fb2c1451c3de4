/* Health: what is reported is what is read, the worst state wins, and the table ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/thread.h"
#include "monitor/health.h"

static char *text_of(struct buffer *buffer)
{
    buffer_append_char(buffer, '\0');
    return buffer->data;
}

static void health_without_components_is_ok_and_not_ready(void **state)
{
    (void)state;
    struct health health;
    struct buffer out = {0};
    health_init(&health);
    assert_int_equal(health_overall(&health), HEALTH_OK);
    assert_false(health_is_ready(&health));
    health_set_ready(&health, true);
    assert_true(health_is_ready(&health));
    health_write_json(&health, &out, 61999999);
    assert_string_equal(text_of(&out), "{\"status\":\"ok\",\"components\":{},\"version\":\"" WEIR_VERSION
                                       "\",\"uptime_s\":61}");
    buffer_deinit(&out);
    health_deinit(&health);
}

static void worst_component_decides_and_each_keeps_its_reason(void **state)
{
    (void)state;
    struct health health;
    struct buffer out = {0};
    health_init(&health);
    health_report(&health, "store", HEALTH_OK, NULL);
    health_report(&health, "source:\"x\"", HEALTH_DEGRADED, "%d of %d partitions\nlag", 1, 2);
    assert_int_equal(health_overall(&health), HEALTH_DEGRADED);
    health_report(&health, "sink:out", HEALTH_DOWN, "no space left on device");
    assert_int_equal(health_overall(&health), HEALTH_DOWN);
    health_write_json(&health, &out, 0);
    assert_non_null(
        strstr(text_of(&out),
               "{\"status\":\"down\",\"components\":{\"store\":{\"status\":\"ok\"},"
               "\"source:\\\"x\\\"\":{\"status\":\"degraded\",\"reason\":\"1 of 2 partitions\\nlag\"},"
               "\"sink:out\":{\"status\":\"down\",\"reason\":\"no space left on device\"}},"));
    buffer_clear(&out);
    assert_int_equal(health_write_component(&health, "sink:out", &out), STATUS_OK);
    assert_string_equal(text_of(&out), "{\"status\":\"down\",\"reason\":\"no space left on device\"}");
    buffer_deinit(&out);
    health_deinit(&health);
}

static void component_that_recovers_has_no_reason(void **state)
{
    (void)state;
    struct health health;
    struct buffer out = {0};
    health_init(&health);
    health_report(&health, "store", HEALTH_DOWN, "locked");
    health_report(&health, "store", HEALTH_OK, "%s", "ignored");
    assert_int_equal(health_overall(&health), HEALTH_OK);
    assert_int_equal(health_write_component(&health, "store", &out), STATUS_OK);
    assert_string_equal(text_of(&out), "{\"status\":\"ok\"}");
    assert_int_equal(health_write_component(&health, "nosuch", &out), STATUS_NOT_FOUND);
    buffer_deinit(&out);
    health_deinit(&health);
}

static void table_that_is_full_and_texts_that_are_too_long_do_no_harm(void **state)
{
    (void)state;
    struct health health;
    char name[300], reason[600];
    health_init(&health);
    memset(reason, 'r', sizeof reason);
    reason[sizeof reason - 1] = '\0';
    for (int i = 0; i < HEALTH_MAX_COMPONENTS + 5; i++) {
        snprintf(name, sizeof name, "%03d%0*d", i, 200, 0);
        health_report(&health, name, HEALTH_DEGRADED, "%s", reason);
        health_report(&health, name, HEALTH_DEGRADED, "%s", reason);
    }
    assert_int_equal(health.component_count, HEALTH_MAX_COMPONENTS);
    assert_int_equal(strlen(health.components[0].name), HEALTH_NAME_SIZE - 1);
    assert_int_equal(strlen(health.components[0].reason), HEALTH_REASON_SIZE - 1);
    health_deinit(&health);
}

static void *report_often(void *argument)
{
    struct health *health = argument;
    for (int i = 0; i < 200; i++)
        health_report(health, "shared", i % 2 ? HEALTH_DEGRADED : HEALTH_DOWN, "%d%0*d", i % 2, 200, i % 2);
    return NULL;
}

static void reports_of_several_threads_do_not_mix(void **state)
{
    (void)state;
    struct health health;
    health_init(&health);
    pthread_t threads[2] = {thread_start("a", report_often, &health),
                            thread_start("b", report_often, &health)};
    for (int i = 0; i < 100; i++) {
        struct buffer out = {0};
        if (health_write_component(&health, "shared", &out) == STATUS_OK) {
            const char *text = text_of(&out);
            bool is_degraded = strstr(text, "\"degraded\",\"reason\":\"1") && strstr(text, "1\"}");
            bool is_down = strstr(text, "\"down\",\"reason\":\"0") && strstr(text, "0\"}");
            assert_true(is_degraded || is_down);
        }
        buffer_deinit(&out);
    }
    thread_join(threads[0]);
    thread_join(threads[1]);
    assert_int_equal(health.component_count, 1);
    health_deinit(&health);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(health_without_components_is_ok_and_not_ready),
        cmocka_unit_test(worst_component_decides_and_each_keeps_its_reason),
        cmocka_unit_test(component_that_recovers_has_no_reason),
        cmocka_unit_test(table_that_is_full_and_texts_that_are_too_long_do_no_harm),
        cmocka_unit_test(reports_of_several_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
