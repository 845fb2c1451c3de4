/* The guide's numbers for topics: presets and the partition calculator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/topic_presets.h"

static void check_preset(const char *name, const struct topic_setting expected[TOPIC_PRESET_SETTINGS])
{
    const struct topic_preset *preset = topic_preset_find(name);
    assert_non_null(preset);
    for (size_t i = 0; i < TOPIC_PRESET_SETTINGS; i++) {
        assert_string_equal(preset->settings[i].name, expected[i].name);
        assert_string_equal(preset->settings[i].value, expected[i].value);
    }
}

static void presets_are_the_guides(void **state)
{
    (void)state;
    check_preset("high_throughput", (struct topic_setting[]){{"cleanup.policy", "delete"},
                                                             {"retention.ms", "86400000"},
                                                             {"segment.ms", "3600000"},
                                                             {"compression.type", "lz4"},
                                                             {"min.insync.replicas", "1"},
                                                             {"unclean.leader.election.enable", "true"}});
    check_preset("high_durability", (struct topic_setting[]){{"cleanup.policy", "delete"},
                                                             {"retention.ms", "604800000"},
                                                             {"segment.ms", "86400000"},
                                                             {"compression.type", "gzip"},
                                                             {"min.insync.replicas", "2"},
                                                             {"unclean.leader.election.enable", "false"}});
    assert_null(topic_preset_find("nosuch"));
}

static void default_topics_are_the_five_of_the_product(void **state)
{
    (void)state;
    static const char *const expected[] = {"analytics-events", "streaming-metrics", "streaming-alerts",
                                           "ml-predictions", "analytics-events.dlq"};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_string_equal(topic_default_names[i], expected[i]);
    assert_null(topic_default_names[sizeof expected / sizeof *expected]);
}

static void partitions_are_the_larger_need_rounded_up_to_a_power_of_two(void **state)
{
    (void)state;
    static const struct {
        double mb_per_second;
        uint64_t consumers, by_throughput, partitions;
    } cases[] = {
        {50, 12, 5, 16}, /* the guide's example */
        {0, 0, 0, 1},       {0, 1, 0, 1},   {10, 1, 1, 1},  {10.001, 1, 2, 2},         {160, 1, 16, 16},
        {160.1, 1, 17, 32}, {1, 16, 1, 16}, {1, 17, 1, 32}, {655360, 1, 65536, 65536},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct topic_plan plan = {
            .mb_per_second = cases[i].mb_per_second, .mb_per_partition = 10, .consumers = cases[i].consumers};
        assert_true(topic_plan_calculate(&plan));
        assert_int_equal(plan.by_throughput, cases[i].by_throughput);
        assert_int_equal(plan.partitions, cases[i].partitions);
    }
}

static void plan_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    struct topic_plan by_load = {.mb_per_second = 655361, .mb_per_partition = 10, .consumers = 1};
    struct topic_plan by_consumers = {.mb_per_second = 1, .mb_per_partition = 10, .consumers = 65537};
    struct topic_plan endless = {.mb_per_second = 1e300, .mb_per_partition = 1e-300, .consumers = 1};
    assert_false(topic_plan_calculate(&by_load));
    assert_false(topic_plan_calculate(&by_consumers));
    assert_false(topic_plan_calculate(&endless));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_are_the_guides),
        cmocka_unit_test(default_topics_are_the_five_of_the_product),
        cmocka_unit_test(partitions_are_the_larger_need_rounded_up_to_a_power_of_two),
        cmocka_unit_test(plan_beyond_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
