/* Statistics as the page and Prometheus read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "monitor/stats.h"

#define NOW_US INT64_C(1700000000500000)

static struct partition_stats partitions[2];
static struct source_pipeline_stats feeds[2];
static struct source_stats sources[2];
static struct pipeline_stats pipelines[2];

/* Two sources, two pipelines; `step` moves the counters on. */
static struct stats_snapshot *make_snapshot(uint64_t step)
{
    struct stats_snapshot *snapshot = malloc(sizeof *snapshot);
    assert_non_null(snapshot);
    stats_snapshot_init(snapshot);
    partitions[0] = (struct partition_stats){.partition = 0,
                                             .offset = 10,
                                             .watermark_us = NOW_US - 5000000,
                                             .lag = 3,
                                             .newest_record_us = NOW_US - 12400000};
    partitions[1] = (struct partition_stats){.partition = 1,
                                             .offset = 0,
                                             .watermark_us = TIME_NONE,
                                             .idle = true,
                                             .lag = 4,
                                             .newest_record_us = NOW_US - 1000000};
    feeds[0] = (struct source_pipeline_stats){.pipeline_index = 0, .used = 80, .filtered = 15, .too_late = 3};
    feeds[1] = (struct source_pipeline_stats){.pipeline_index = 1, .used = 98};
    sources[0] = (struct source_stats){.name = "clicks",
                                       .kind = "http",
                                       .in = 100 + step,
                                       .bad = 2,
                                       .partitions = partitions,
                                       .partition_count = 2,
                                       .pipelines = feeds,
                                       .pipeline_count = 2,
                                       .fast_documents = 90,
                                       .slow_documents = 8};
    sources[0].bad_by_reason[BAD_TOO_DEEP] = 2;
    sources[1] =
        (struct source_stats){.name = "a\"b\\c\nd", .kind = "file", .in = 7, .bad = 1, .ended = true};
    pipelines[0] = (struct pipeline_stats){.name = "revenue",
                                           .used = 80,
                                           .filtered = 15,
                                           .too_late = 3,
                                           .late_accepted = 4,
                                           .results = 9,
                                           .open_windows = 2,
                                           .keys = 5,
                                           .watermark_us = NOW_US - 5000000};
    pipelines[1] = (struct pipeline_stats){.name = "views", .used = 98, .watermark_us = TIME_NONE};
    snapshot->sources = sources;
    snapshot->source_count = 2;
    snapshot->pipelines = pipelines;
    snapshot->pipeline_count = 2;
    snapshot->wall_us = NOW_US;
    snapshot->uptime_us = 3725000000 + (int64_t)step * 20000;
    snapshot->results_total = 9 + step;
    snapshot->memory_size = 41000000;
    snapshot->clients = 3;
    snapshot->latency_minute[LATENCY_DECODE] = (struct histogram_summary){.count = 2,
                                                                          .mean_us = 1.5,
                                                                          .min_us = 1,
                                                                          .max_us = 2,
                                                                          .p50_us = 1,
                                                                          .p95_us = 2,
                                                                          .p99_us = 2,
                                                                          .p999_us = 2};
    histogram_add(&snapshot->latency[LATENCY_DECODE], 90, 3);
    histogram_add(&snapshot->latency[LATENCY_DECODE], 2000000, 1);
    histogram_add(&snapshot->latency[LATENCY_DECODE], INT64_C(1) << 35, 1);
    return snapshot;
}

static void destroy_snapshot(struct stats_snapshot *snapshot)
{
    stats_snapshot_deinit(snapshot);
    free(snapshot);
}

static char *json_of(const struct stats_snapshot *now, const struct stats_snapshot *before)
{
    struct buffer out = {0};
    stats_write_json(&out, now, before);
    buffer_append_char(&out, '\0');
    return out.data;
}

static char *metrics_of(const struct stats_snapshot *now, bool openmetrics)
{
    struct buffer out = {0};
    stats_write_metrics(&out, now, openmetrics);
    buffer_append_char(&out, '\0');
    return out.data;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("want %s\nin   %s", part, text);
}

static void json_has_exactly_the_shape_that_the_page_reads(void **state)
{
    (void)state;
    struct stats_snapshot *now = make_snapshot(0);
    char *json = json_of(now, NULL);
    const char *unknown =
        "{\"p50_us\":null,\"p95_us\":null,\"p99_us\":null,\"p999_us\":null,\"mean_us\":null,"
        "\"min_us\":null,\"max_us\":null,\"count\":0}";
    struct buffer wanted = {0};
    buffer_append_text(
        &wanted, "{\"time\":1700000000500,\"uptime_s\":3725,\"events_per_second\":null,\"events_total\":107,"
                 "\"results_per_second\":null,\"results_total\":9,\"bad_total\":3,\"late_total\":4,"
                 "\"too_late_total\":3,\"filtered_total\":15,\"latency\":{");
    buffer_format(&wanted, "\"end_to_end\":%s,\"accept\":%s,", unknown, unknown);
    buffer_append_text(
        &wanted,
        "\"decode\":{\"p50_us\":1,\"p95_us\":2,\"p99_us\":2,\"p999_us\":2,\"mean_us\":1.5,\"min_us\":1,"
        "\"max_us\":2,\"count\":2},");
    buffer_format(&wanted, "\"window\":%s,\"merge\":%s,\"store\":%s,\"socket\":%s},", unknown, unknown,
                  unknown, unknown);
    buffer_append_text(
        &wanted,
        "\"sources\":{\"clicks\":{\"in\":100,\"bad\":2,\"rate\":null,\"lag\":7,\"lag_seconds\":12.4,\"watermark\":1699999995500,"
        "\"watermark_delay_ms\":5000,\"ended\":false},"
        "\"a\\\"b\\\\c\\nd\":{\"in\":7,\"bad\":1,\"rate\":null,\"lag\":0,\"lag_seconds\":0,\"watermark\":null,"
        "\"watermark_delay_ms\":null,\"ended\":true}},"
        "\"pipelines\":{\"revenue\":{\"used\":80,\"filtered\":15,\"too_late\":3,\"late_accepted\":4,"
        "\"watermark\":1699999995500,\"watermark_delay_ms\":5000,\"open_windows\":2,\"keys\":5,\"results\":9},"
        "\"views\":{\"used\":98,\"filtered\":0,\"too_late\":0,\"late_accepted\":0,\"watermark\":null,"
        "\"watermark_delay_ms\":null,\"open_windows\":0,\"keys\":0,\"results\":0}},"
        "\"kafka_producers\":[],\"memory_bytes\":41000000,\"clients\":3}");
    buffer_append_char(&wanted, '\0');
    assert_string_equal(json, wanted.data);
    buffer_deinit(&wanted);
    free(json);
    destroy_snapshot(now);
}

static void rates_are_per_second_of_uptime_between_two_snapshots(void **state)
{
    (void)state;
    struct stats_snapshot *before = make_snapshot(0);
    struct source_stats earlier[2] = {sources[0], sources[1]};
    struct stats_snapshot *now = make_snapshot(50); /* one second later */
    before->sources = earlier;
    before->wall_us = NOW_US + 1; /* the wall clock was set back meanwhile */
    char *json = json_of(now, before);
    assert_has(json, "\"events_per_second\":50,");
    assert_has(json, "\"results_per_second\":50,");
    assert_has(json, "\"clicks\":{\"in\":150,\"bad\":2,\"rate\":50,");
    free(json);
    before->boot_id = 1;
    json = json_of(now, before);
    assert_has(json, "\"events_per_second\":null,");
    free(json);
    destroy_snapshot(before);
    destroy_snapshot(now);
}

static void watermark_of_a_source_leaves_out_idle_and_ended_partitions(void **state)
{
    (void)state;
    struct partition_stats p[3] = {
        {.watermark_us = 50}, {.watermark_us = 40, .idle = true}, {.watermark_us = TIME_MAX}};
    struct source_stats source = {.partitions = p, .partition_count = 3};
    assert_int_equal(stats_source_watermark_us(&source), 50);
    p[0].idle = true;
    assert_int_equal(stats_source_watermark_us(&source), 40);
    p[1].watermark_us = TIME_NONE;
    assert_int_equal(stats_source_watermark_us(&source), 50);
    p[1].idle = false;
    assert_int_equal(stats_source_watermark_us(&source), TIME_NONE);
    p[0].watermark_us = p[1].watermark_us = TIME_MAX;
    assert_int_equal(stats_source_watermark_us(&source), TIME_NONE);
}

static void lag_is_unknown_when_one_partition_does_not_know(void **state)
{
    (void)state;
    struct stats_snapshot *now = make_snapshot(0);
    partitions[1].lag = -1;
    char *json = json_of(now, NULL), *metrics = metrics_of(now, false);
    assert_has(json, "\"lag\":null");
    assert_has(metrics, "weir_partition_lag_records{source=\"clicks\",partition=\"0\"} 3\n");
    assert_null(strstr(metrics, "weir_partition_lag_records{source=\"clicks\",partition=\"1\"}"));
    free(json);
    free(metrics);
    destroy_snapshot(now);
}

static void lag_in_time_is_the_age_of_what_was_read_while_records_wait(void **state)
{
    (void)state;
    struct partition_stats p[2] = {{.lag = 3, .newest_record_us = 70}, {.lag = 0, .newest_record_us = 10}};
    struct source_stats source = {.partitions = p, .partition_count = 2};
    assert_int_equal(stats_partition_lag_us(&p[0], 100), 30);
    assert_int_equal(stats_partition_lag_us(&p[1], 100), 0);
    assert_int_equal(stats_source_lag_us(&source, 100), 30);
    p[1].lag = 1;
    assert_int_equal(stats_source_lag_us(&source, 100), 90);
    assert_int_equal(stats_partition_lag_us(&p[0], 60), 0); /* a record of the future */
    p[0].newest_record_us = TIME_NONE;                      /* nothing was read yet */
    assert_int_equal(stats_source_lag_us(&source, 100), -1);
    p[0].lag = 0;
    assert_int_equal(stats_source_lag_us(&source, 100), 90);
    p[0].lag = -1;
    assert_int_equal(stats_source_lag_us(&source, 100), -1);
}

static struct kafka_figures figures;

/* The first source becomes one of kafka: group, sink and dead letters. */
static void add_kafka(struct stats_snapshot *snapshot)
{
    static struct kafka_client_stats clients[3];
    figures = (struct kafka_figures){.is_known = true, .broker_count = 1};
    figures.brokers[0] = (struct kafka_broker_figures){
        .name = "h:1/1", .answer_count = 7, .answer_time_us = 1500000, .p50_us = 1200, .p99_us = 90000};
    for (uint32_t i = 0; i < 3; i++)
        clients[i] = (struct kafka_client_stats){.role = (enum kafka_role)i, .figures = &figures};
    clients[0].name = "weir";
    clients[0].member = (struct kafka_member_figures){.is_member = true,
                                                      .assigned_count = 2,
                                                      .rebalance_count = 3,
                                                      .commit_count = 5,
                                                      .commit_failure_count = 1,
                                                      .commit_time_us = 250000};
    clients[1].name = "out";
    clients[1].produced_messages = 11;
    clients[1].produced_bytes = 1100;
    clients[2].name = "clicks";
    snapshot->kafka_clients = clients;
    snapshot->kafka_client_count = 3;
    snapshot->sources[0].kind = "kafka";
    snapshot->sources[0].client = &clients[0];
    snapshot->sources[0].fetched_messages = 120;
    snapshot->sources[0].fetched_bytes = 24000;
    partitions[0].topic = "a";
    partitions[1].topic = "b";
    partitions[1].partition = 0;
}

static void kafka_has_a_sample_for_each_group_producer_and_connection(void **state)
{
    (void)state;
    struct stats_snapshot *now = make_snapshot(0);
    add_kafka(now);
    char *text = metrics_of(now, true);
    assert_has(text, "# TYPE weir_kafka_rebalances counter\nweir_kafka_rebalances_total{group=\"weir\"} 3\n");
    assert_has(text, "weir_kafka_group_joined{group=\"weir\"} 1\n");
    assert_has(text, "weir_kafka_assigned_partitions{group=\"weir\"} 2\n");
    assert_has(text, "weir_kafka_commit_failures_total{group=\"weir\"} 1\n");
    assert_has(text, "# TYPE weir_kafka_commit_seconds summary\n"
                     "weir_kafka_commit_seconds_sum{group=\"weir\"} 0.25\n"
                     "weir_kafka_commit_seconds_count{group=\"weir\"} 5\n");
    assert_has(text, "weir_kafka_fetched_messages_total{source=\"clicks\",group=\"weir\"} 120\n");
    assert_has(text, "weir_kafka_fetched_bytes_total{source=\"clicks\",group=\"weir\"} 24000\n");
    assert_has(text, "weir_kafka_produced_messages_total{role=\"sink\",client=\"out\"} 11\n"
                     "weir_kafka_produced_messages_total{role=\"dead_letters\",client=\"clicks\"} 0\n");
    assert_has(text, "weir_kafka_produced_bytes_total{role=\"sink\",client=\"out\"} 1100\n");
    assert_has(
        text,
        "weir_kafka_broker_rtt_seconds{role=\"sink\",client=\"out\",broker=\"h:1/1\",quantile=\"0.5\"} 0.0012\n"
        "weir_kafka_broker_rtt_seconds{role=\"sink\",client=\"out\",broker=\"h:1/1\",quantile=\"0.99\"} 0.09\n"
        "weir_kafka_broker_rtt_seconds_sum{role=\"sink\",client=\"out\",broker=\"h:1/1\"} 1.5\n"
        "weir_kafka_broker_rtt_seconds_count{role=\"sink\",client=\"out\",broker=\"h:1/1\"} 7\n");
    assert_has(text, "weir_partition_lag_records{source=\"clicks\",topic=\"a\",partition=\"0\"} 3\n"
                     "weir_partition_lag_records{source=\"clicks\",topic=\"b\",partition=\"0\"} 4\n");
    assert_has(text, "weir_partition_lag_seconds{source=\"clicks\",topic=\"a\",partition=\"0\"} 12.4\n");
    assert_has(text, "weir_source_lag_records{source=\"clicks\"} 7\n");
    assert_has(text, "weir_source_lag_seconds{source=\"clicks\"} 12.4\n");
    free(text);
    now->kafka_client_count = 0;
    text = metrics_of(now, false);
    assert_null(strstr(text, "weir_kafka"));
    free(text);
    partitions[0].topic = partitions[1].topic = NULL;
    destroy_snapshot(now);
}

static void json_tells_groups_with_their_sources_and_producers_by_themselves(void **state)
{
    (void)state;
    struct stats_snapshot *before = make_snapshot(0);
    add_kafka(before);
    struct source_stats earlier[2] = {sources[0], sources[1]};
    struct kafka_client_stats clients[3];
    memcpy(clients, before->kafka_clients, sizeof clients);
    earlier[0].fetched_messages = 100;
    clients[1].produced_messages = 1;
    before->kafka_clients = clients;
    struct stats_snapshot *now = make_snapshot(50); /* one second later */
    add_kafka(now);
    before->sources = earlier;
    char *json = json_of(now, before);
    assert_has(
        json,
        "\"ended\":false,\"kafka\":{\"group\":\"weir\",\"joined\":true,\"partitions\":2,\"rebalances\":3,"
        "\"fetched_messages\":120,\"fetched_bytes\":24000,\"fetch_rate\":20,\"round_trip_us\":1200}}");
    assert_has(json, "\"kafka_producers\":[{\"role\":\"sink\",\"name\":\"out\",\"produced_messages\":11,"
                     "\"produced_bytes\":1100,\"produce_rate\":10,\"round_trip_us\":1200},"
                     "{\"role\":\"dead_letters\",\"name\":\"clicks\",\"produced_messages\":0,");
    free(json);
    destroy_snapshot(before);
    destroy_snapshot(now);
}

static void outcomes_of_each_source_and_pipeline_add_up_to_its_events(void **state)
{
    (void)state;
    struct stats_snapshot *now = make_snapshot(0);
    char *metrics = metrics_of(now, false);
    assert_has(metrics, "# TYPE weir_events_total counter\n"
                        "weir_events_total{source=\"clicks\",pipeline=\"revenue\",outcome=\"used\"} 80\n"
                        "weir_events_total{source=\"clicks\",pipeline=\"revenue\",outcome=\"filtered\"} 15\n"
                        "weir_events_total{source=\"clicks\",pipeline=\"revenue\",outcome=\"too_late\"} 3\n"
                        "weir_events_total{source=\"clicks\",pipeline=\"revenue\",outcome=\"bad\"} 2\n");
    assert_has(metrics, "weir_source_events_total{source=\"clicks\"} 100\n");
    assert_has(metrics, "weir_bad_events_total{source=\"clicks\",reason=\"too_deep\"} 2\n");
    free(metrics);
    destroy_snapshot(now);
}

static void labels_are_escaped(void **state)
{
    (void)state;
    struct stats_snapshot *now = make_snapshot(0);
    char *metrics = metrics_of(now, true);
    assert_has(metrics, "weir_source_events_total{source=\"a\\\"b\\\\c\\nd\"} 7\n");
    free(metrics);
    destroy_snapshot(now);
}

static void histogram_buckets_grow_to_the_count(void **state)
{
    (void)state;
    struct stats_snapshot *now = make_snapshot(0);
    char *metrics = metrics_of(now, false);
    assert_has(metrics, "# TYPE weir_latency_seconds histogram\n");
    assert_has(metrics, "weir_latency_seconds_bucket{stage=\"decode\",le=\"0.0001\"} 3\n");
    assert_has(metrics, "weir_latency_seconds_bucket{stage=\"decode\",le=\"1.0\"} 3\n");
    assert_has(metrics, "weir_latency_seconds_bucket{stage=\"decode\",le=\"2.5\"} 4\n");
    assert_has(metrics, "weir_latency_seconds_bucket{stage=\"decode\",le=\"300.0\"} 4\n");
    assert_has(metrics, "weir_latency_seconds_bucket{stage=\"decode\",le=\"+Inf\"} 5\n"
                        "weir_latency_seconds_sum{stage=\"decode\"} 34361.738638\n"
                        "weir_latency_seconds_count{stage=\"decode\"} 5\n");
    free(metrics);
    destroy_snapshot(now);
}

static void openmetrics_names_families_without_total_and_ends_with_eof(void **state)
{
    (void)state;
    struct stats_snapshot *now = make_snapshot(0);
    char *metrics = metrics_of(now, true), *text = metrics_of(now, false);
    assert_has(metrics, "# TYPE weir_events counter\nweir_events_total{");
    assert_has(metrics, "# TYPE weir_build info\nweir_build_info{version=\"" WEIR_VERSION "\"} 1\n# EOF\n");
    assert_has(text, "# TYPE weir_build_info gauge\n");
    assert_null(strstr(text, "# EOF"));
    /* For outside parsers: where the environment names a folder, both texts are left there. */
    const char *folder = getenv("WEIR_TEST_METRICS_DIR");
    for (int i = 0; folder && i < 2; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, i ? "openmetrics.txt" : "prometheus.txt");
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(i ? metrics : text, file);
        fclose(file);
    }
    free(metrics);
    free(text);
    destroy_snapshot(now);
}

static void snapshot_of_nothing_is_written_too(void **state)
{
    (void)state;
    struct stats_snapshot *now = malloc(sizeof *now);
    assert_non_null(now);
    stats_snapshot_init(now);
    char *json = json_of(now, now), *metrics = metrics_of(now, true);
    assert_has(json,
               "\"sources\":{},\"pipelines\":{},\"kafka_producers\":[],\"memory_bytes\":0,\"clients\":0}");
    assert_has(metrics, "weir_latency_seconds_bucket{stage=\"accept\",le=\"+Inf\"} 0\n");
    free(json);
    free(metrics);
    destroy_snapshot(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_exactly_the_shape_that_the_page_reads),
        cmocka_unit_test(rates_are_per_second_of_uptime_between_two_snapshots),
        cmocka_unit_test(watermark_of_a_source_leaves_out_idle_and_ended_partitions),
        cmocka_unit_test(lag_is_unknown_when_one_partition_does_not_know),
        cmocka_unit_test(lag_in_time_is_the_age_of_what_was_read_while_records_wait),
        cmocka_unit_test(kafka_has_a_sample_for_each_group_producer_and_connection),
        cmocka_unit_test(json_tells_groups_with_their_sources_and_producers_by_themselves),
        cmocka_unit_test(outcomes_of_each_source_and_pipeline_add_up_to_its_events),
        cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(histogram_buckets_grow_to_the_count),
        cmocka_unit_test(openmetrics_names_families_without_total_and_ends_with_eof),
        cmocka_unit_test(snapshot_of_nothing_is_written_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
