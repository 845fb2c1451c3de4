/* What a config means once it is loaded: values, defaults, variables, flags; and what is written from the option table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/options.h"

#define SECOND INT64_C(1000000)

static const char *const full =
    "server: {listen: '[::1]:0', allowed_origins: ['*', https://a.example.org], max_connections: 5, client_queue: 64KiB,\n"
    "         rate_limit_per_minute: 0}\n"
    "auth: {mode: none}\n"
    "data_dir: /tmp/x\n"
    "engine: {shards: 3, batch_size: 8192, memory_limit: 64MiB}\n"
    "store: {results_retention: 1d, events_retention: 0s, dead_letters_retention: 1h30m, max_log_size: 1GiB}\n"
    "sources:\n"
    "  h: {http: {partitions: 4, partition_by: user.id}, time: ts, time_unit: ms, on_bad: fail}\n"
    "  f: {file: {path: a.ndjson, rate: 5000/s, loop: true, partitions: 2, partition_by: k}, time: t, idle_timeout: 1m}\n"
    "  k: {kafka: {brokers: [\"a:1\", \"b:2\"], topics: t, profile: low_latency}, max_out_of_orderness: 0s}\n"
    "  g: {generator: {seed: 9, rate: max, count: 10, users: 3, start: 2024-01-31, disorder: 1s, disorder_share: 0.5,\n"
    "                  late_share: 1, bad_share: 0.25, future_share: 0}, format: json}\n"
    "pipelines:\n"
    "  p:\n"
    "    from: [f, h]\n"
    "    where: \"a == 'x: y'\"\n"
    "    key: {c: upper, d: a.b}\n"
    "    window: {tumbling: 1d, offset: -1h}\n"
    "    allowed_lateness: 0s\n"
    "    late: dlq\n"
    "    emit: {every: 1s, count: 100}\n"
    "    close_after: 30s\n"
    "    key_limit: 7\n"
    "    aggregates: {n: count(), s: sum(a.b)}\n"
    "    to: [live, trail]\n"
    "  q: {from: k, key: a.b, window: {tumbling: 250ms}, aggregates: {n: count()}}\n"
    "  r: {from: g, key: ['x', 'a[\"b c\"]', 'list[0]'], window: {tumbling: 1s}, aggregates: {n: count()}, to: store}\n"
    "sinks:\n"
    "  out: {console: {}}\n"
    "  hole: {blackhole: }\n"
    "  trail: {file: {path: r.ndjson}}\n";

static struct config *load_with(const char *text, const struct config_override *overrides, uint32_t count)
{
    struct config_errors errors;
    config_errors_init(&errors, "weir.yaml");
    struct config *config = config_load("weir.yaml", text, overrides, count, &errors);
    if (!config)
        fail_msg("%.*s", (int)errors.text.size, errors.text.data);
    config_errors_deinit(&errors);
    return config;
}

static struct config *load(const char *text)
{
    return load_with(text, NULL, 0);
}

/* What is told when loading fails; the caller frees it. */
static char *errors_of(const char *text, const struct config_override *overrides, uint32_t count)
{
    struct config_errors errors;
    config_errors_init(&errors, "weir.yaml");
    assert_null(config_load("weir.yaml", text, overrides, count, &errors));
    buffer_append_char(&errors.text, '\0');
    return errors.text.data;
}

static void assert_told(const char *text, const struct config_override *overrides, uint32_t count,
                        const char *part)
{
    char *told = errors_of(text, overrides, count);
    if (!strstr(told, part))
        fail_msg("want %s\ngot  %s", part, told);
    free(told);
}

static void every_server_and_engine_option_is_read(void **state)
{
    (void)state;
    struct config *config = load(full);
    assert_string_equal(config->server.listen_host, "::1");
    assert_int_equal(config->server.listen_port, 0);
    assert_int_equal(config->server.listen_place.line, 1);
    assert_int_equal(config->server.allowed_origin_count, 2);
    assert_string_equal(config->server.allowed_origins[1], "https://a.example.org");
    assert_int_equal(config->server.max_connections, 5);
    assert_int_equal(config->server.client_queue_size, 65536);
    assert_int_equal(config->server.rate_limit_per_minute, 0);
    assert_string_equal(config->data_dir, "/tmp/x");
    assert_int_equal(config->shards, 3);
    assert_int_equal(config->batch_size, 8192);
    assert_int_equal(config->memory_limit, 64 << 20);
    assert_int_equal(config->store.results_retention_us, 86400 * SECOND);
    assert_int_equal(config->store.events_retention_us, 0);
    assert_int_equal(config->store.dead_letters_retention_us, 5400 * SECOND);
    assert_int_equal(config->store.max_log_size, 1 << 30);
    config_destroy(config);
}

static void every_source_option_is_read(void **state)
{
    (void)state;
    struct config *config = load(full);
    assert_int_equal(config->source_count, 4);
    const struct config_source *http = &config->sources[0], *file = &config->sources[1],
                               *kafka = &config->sources[2], *generator = &config->sources[3];
    assert_int_equal(http->kind, SOURCE_HTTP);
    assert_int_equal(http->partitions, 4);
    assert_string_equal(http->partition_by.text, "user.id");
    assert_string_equal(http->time.text, "ts");
    assert_int_equal(http->time.place.line, 8);
    assert_int_equal(http->time_unit, CONFIG_TIME_MS);
    assert_int_equal(http->on_bad, ON_BAD_FAIL);
    assert_int_equal(file->kind, SOURCE_FILE);
    assert_string_equal(file->file.path, "a.ndjson");
    assert_int_equal(file->file.rate, FILE_RATE_PER_SECOND);
    assert_true(file->file.rate_per_second == 5000);
    assert_true(file->file.loop);
    assert_int_equal(file->idle_timeout_us, 60 * SECOND);
    assert_int_equal(kafka->kind, SOURCE_KAFKA);
    assert_int_equal(kafka->kafka.connection.broker_count, 2);
    assert_string_equal(kafka->kafka.connection.brokers[1], "b:2");
    assert_int_equal(kafka->kafka.topic_count, 1);
    assert_string_equal(kafka->kafka.group, "weir");
    assert_int_equal(kafka->kafka.profile, KAFKA_LOW_LATENCY);
    assert_int_equal(kafka->kafka.group_protocol, KAFKA_CLASSIC);
    assert_int_equal(kafka->kafka.start, KAFKA_START_EARLIEST);
    assert_int_equal(kafka->kafka.buffer_size, 64 << 20);
    assert_int_equal(kafka->max_out_of_orderness_us, 0);
    assert_int_equal(generator->kind, SOURCE_GENERATOR);
    assert_int_equal(generator->generator.seed, 9);
    assert_true(generator->generator.rate_per_second == 0);
    assert_int_equal(generator->generator.count, 10);
    assert_int_equal(generator->generator.users, 3);
    assert_int_equal(generator->generator.start_us, 1706659200 * SECOND);
    assert_int_equal(generator->generator.disorder_us, SECOND);
    assert_true(generator->generator.disorder_share == 0.5 && generator->generator.late_share == 1);
    assert_true(generator->generator.bad_share == 0.25 && generator->generator.future_share == 0);
    config_destroy(config);
}

static void every_pipeline_and_sink_option_is_read(void **state)
{
    (void)state;
    struct config *config = load(full);
    assert_int_equal(config->pipeline_count, 3);
    const struct config_pipeline *p = &config->pipelines[0], *q = &config->pipelines[1],
                                 *r = &config->pipelines[2];
    assert_int_equal(p->source_count, 2);
    assert_int_equal(p->sources[0], 1);
    assert_int_equal(p->sources[1], 0);
    assert_string_equal(p->where.text, "a == 'x: y'");
    assert_int_equal(p->where.place.line, 16);
    assert_int_equal(p->where.place.column, 13);
    assert_int_equal(p->key_count, 2);
    assert_string_equal(p->keys[0].name, "c");
    assert_string_equal(p->keys[0].value.text, "upper");
    assert_string_equal(p->keys[1].name, "d");
    assert_int_equal(p->window.size_us, 86400 * SECOND);
    assert_int_equal(p->window.offset_us, -3600 * SECOND);
    assert_int_equal(p->allowed_lateness_us, 0);
    assert_int_equal(p->late, LATE_DLQ);
    assert_int_equal(p->emit_every_us, SECOND);
    assert_int_equal(p->emit_count, 100);
    assert_int_equal(p->close_after_us, 30 * SECOND);
    assert_int_equal(p->key_limit, 7);
    assert_int_equal(p->aggregate_count, 2);
    assert_string_equal(p->aggregates[1].name, "s");
    assert_string_equal(p->aggregates[1].value.text, "sum(a.b)");
    assert_true(p->to_live && !p->to_store && p->sink_count == 1 && p->sinks[0] == 2);
    assert_string_equal(q->keys[0].name, "b");
    assert_string_equal(q->keys[0].value.text, "a.b");
    assert_int_equal(q->window.size_us, SECOND / 4);
    assert_true(q->to_live && q->to_store && q->sink_count == 0);
    assert_int_equal(r->key_count, 3);
    assert_string_equal(r->keys[1].name, "b c");
    assert_string_equal(r->keys[2].name, "list");
    assert_true(!r->to_live && r->to_store);
    assert_int_equal(config->sink_count, 3);
    assert_int_equal(config->sinks[0].kind, SINK_CONSOLE);
    assert_int_equal(config->sinks[1].kind, SINK_BLACKHOLE);
    assert_int_equal(config->sinks[2].kind, SINK_FILE);
    assert_string_equal(config->sinks[2].path, "r.ndjson");
    config_destroy(config);
}

static void absent_options_have_the_documented_defaults(void **state)
{
    (void)state;
    struct config *config = load("sources: {s: {http: {}}, g: {generator: {}}}\npipelines:\n"
                                 "  p: {from: s, window: {tumbling: 10s}, aggregates: {n: count()}}\n");
    const struct config_source *source = &config->sources[0];
    const struct config_pipeline *pipeline = &config->pipelines[0];
    assert_string_equal(config->server.listen_host, "127.0.0.1");
    assert_int_equal(config->server.listen_port, 8765);
    assert_int_equal(config->server.max_connections, 10000);
    assert_int_equal(config->server.client_queue_size, 1 << 20);
    assert_int_equal(config->server.rate_limit_per_minute, 60);
    assert_string_equal(config->data_dir, "./weir-data");
    assert_true(config->shards >= 1 && config->shards <= CONFIG_MAX_SHARDS);
    assert_int_equal(config->memory_limit, INT64_C(2) << 30);
    assert_int_equal(source->partitions, 1);
    assert_null(source->time.text);
    assert_null(source->partition_by.text);
    assert_int_equal(source->max_out_of_orderness_us, 5 * SECOND);
    assert_int_equal(source->idle_timeout_us, 30 * SECOND);
    assert_int_equal(source->max_future_skew_us, 300 * SECOND);
    assert_int_equal(source->on_bad, ON_BAD_DLQ);
    assert_int_equal(config->sources[1].generator.start_us, INT64_MIN);
    assert_int_equal(pipeline->allowed_lateness_us, 10 * SECOND);
    assert_int_equal(pipeline->late, LATE_UPDATE);
    assert_int_equal(pipeline->key_limit, 10000000);
    assert_true(pipeline->to_store && pipeline->to_live && pipeline->key_count == 0 && !pipeline->where.text);
    assert_true(pipeline->emit_every_us == 0 && pipeline->emit_count == 0 && pipeline->close_after_us == 0);
    config_destroy(config);
}

static void good_config_has_no_warning_and_doubtful_ones_have(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"sources: {s: {http: {}}}\n", "1:11: warning: no pipeline reads source `s`"},
        {"sources: {s: {file: {path: x}}}\n", "`s` has no `time`"},
        {"sources: {s: {http: {partition_by: a}}}\n", "1:36: warning: `partition_by` does nothing"},
        {"sources: {s: {http: {}}}\nsinks: {x: {console: {}}}\n",
         "2:9: warning: no pipeline writes to sink `x`"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_errors errors;
        config_errors_init(&errors, "f");
        struct config *config = config_load("f", cases[i].text, NULL, 0, &errors);
        buffer_append_char(&errors.text, '\0');
        assert_non_null(config);
        if (!strstr(errors.text.data, cases[i].part))
            fail_msg("want %s\ngot  %s", cases[i].part, errors.text.data);
        config_destroy(config);
        config_errors_deinit(&errors);
    }
}

static void variables_in_values_are_replaced(void **state)
{
    (void)state;
    setenv("CONFIG_TEST_A", "one: {two}", 1);
    setenv("CONFIG_TEST_EMPTY", "", 1);
    struct config *config =
        load("sources:\n  s:\n    http: {}\n    time: ${CONFIG_TEST_UNSET:-ts}\n"
             "data_dir: a/${CONFIG_TEST_A}/${CONFIG_TEST_EMPTY:-b}${CONFIG_TEST_EMPTY:-}/$${C}/$D\n");
    assert_string_equal(config->data_dir, "a/one: {two}/b/${C}/$D");
    assert_string_equal(config->sources[0].time.text, "ts");
    config_destroy(config);
}

static const char *const small =
    "sources:\n  my-clicks: {http: {}, time: ts}\n  a__b: {http: {}}\npipelines:\n"
    "  p: {from: my-clicks, window: {tumbling: 10s}, aggregates: {n: count()}}\n";

static void variables_override_the_file_at_any_depth(void **state)
{
    (void)state;
    setenv("WEIR_SOURCES__MY_CLICKS__TIME", "at", 1);
    setenv("WEIR_SOURCES__MY_CLICKS__HTTP__PARTITIONS", "8", 1);
    setenv("WEIR_SOURCES__A__B__IDLE_TIMEOUT", "7s", 1);
    setenv("WEIR_DATA_DIR", "elsewhere", 1);
    setenv("WEIR_PIPELINES__P__TO", "[store]", 1);
    setenv("WEIR_PIPELINES__P__AGGREGATES__N", "count(x)", 1);
    setenv("WEIR_PIPELINES__P__WHERE", "a == {}", 1);
    setenv("WEIR_PIPELINES__P__FROM", "[my-clicks, a__b]", 1);
    struct config *config = load(small);
    assert_string_equal(config->sources[0].time.text, "at");
    assert_int_equal(config->sources[0].time.place.line, 0);
    assert_string_equal(config->sources[0].time.place.variable, "WEIR_SOURCES__MY_CLICKS__TIME");
    assert_int_equal(config->sources[0].partitions, 8);
    assert_int_equal(config->sources[1].idle_timeout_us, 7 * SECOND);
    assert_string_equal(config->data_dir, "elsewhere");
    assert_true(config->pipelines[0].to_store && !config->pipelines[0].to_live);
    assert_string_equal(config->pipelines[0].aggregates[0].value.text, "count(x)");
    assert_string_equal(config->pipelines[0].where.text, "a == {}");
    assert_int_equal(config->pipelines[0].source_count, 2);
    config_destroy(config);
    struct config_override flags[] = {
        {"data_dir", "flagged"}, {"sources.my-clicks.time", "b"}, {"engine.shards", "2"}};
    config = load_with(small, flags, 3);
    assert_string_equal(config->data_dir, "flagged");
    assert_string_equal(config->sources[0].time.text, "b");
    assert_int_equal(config->shards, 2);
    config_destroy(config);
    unsetenv("WEIR_SOURCES__MY_CLICKS__TIME");
    unsetenv("WEIR_SOURCES__MY_CLICKS__HTTP__PARTITIONS");
    unsetenv("WEIR_SOURCES__A__B__IDLE_TIMEOUT");
    unsetenv("WEIR_DATA_DIR");
    unsetenv("WEIR_PIPELINES__P__TO");
    unsetenv("WEIR_PIPELINES__P__AGGREGATES__N");
    unsetenv("WEIR_PIPELINES__P__WHERE");
    unsetenv("WEIR_PIPELINES__P__FROM");
}

static void variable_that_is_wrong_is_told_by_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *part;
    } cases[] = {
        {"WEIR_ENGINE__SHARDS", "many", "WEIR_ENGINE__SHARDS: error: engine.shards: `many` is not auto"},
        {"WEIR_ENGINE__SHRADS", "2",
         "WEIR_ENGINE__SHRADS: error: engine has no option `SHRADS`; did you mean `shards`?"},
        {"WEIR_ENGIN__SHARDS", "2",
         "WEIR_ENGIN__SHARDS: error: the config has no option `ENGIN`; did you mean `engine`?"},
        {"WEIR_NOSUCH", "2", "WEIR_NOSUCH: error: the config has no option `NOSUCH`"},
        {"WEIR_SOURCES__NOSUCH__TIME", "2", "sources has no entry `NOSUCH`; there are `my-clicks`, `a__b`"},
        {"WEIR_SOURCES__MY_CLICKS", "2", "this names all of `sources`"},
        {"WEIR_DATA_DIR__X", "2", "`data_dir` is one value"},
        {"WEIR_MODELS", "x", "WEIR_MODELS: error: `models`"},
        {"WEIR_PIPELINES__P__TO", "[store", "WEIR_PIPELINES__P__TO: error: `[store` is not"},
        {"WEIR_PIPELINES__P__TO", "[nosuch]",
         "WEIR_PIPELINES__P__TO: error: pipelines.p.to: there is no sink"},
        {"WEIR_PIPELINES__P__AGGREGATES__M", "x", "has no entry `M`"},
        {"WEIR_PIPELINES__P__WHERE__X", "x", "`where` is one value"},
        {"WEIR_PIPELINES__P__LATE", "", "WEIR_PIPELINES__P__LATE: error: pipelines.p.late: has no value"},
        {"WEIR_SERVER__LISTEN", "0.0.0.0:80",
         "WEIR_SERVER__LISTEN: error: server.listen: `0.0.0.0:80` is not a loopback"},
        {"WEIR_", "x", "WEIR_: error: the config has no option ``"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv(cases[i].name, cases[i].value, 1);
        assert_told(small, NULL, 0, cases[i].part);
        unsetenv(cases[i].name);
    }
}

static void two_names_that_one_variable_could_mean_are_told(void **state)
{
    (void)state;
    setenv("WEIR_SOURCES__A__TIME", "x", 1);
    assert_told("sources: {a: {http: {}}, A: {http: {}}}\n", NULL, 0, "more than one entry of that name");
    unsetenv("WEIR_SOURCES__A__TIME");
}

static void flag_that_is_wrong_is_told_by_its_path(void **state)
{
    (void)state;
    struct config_override unknown[] = {{"engine.shrads", "2"}}, wrong[] = {{"engine.shards", "x"}};
    assert_told(small, unknown, 1,
                "--set engine.shrads: error: engine has no option `shrads`; did you mean `shards`?");
    assert_told(small, wrong, 1, "--set engine.shards: error: engine.shards: `x` is not");
}

static void reserved_variables_are_not_options(void **state)
{
    (void)state;
    static const char *const names[] = {"WEIR_CRASH_AT", "WEIR_TEST_PATIENCE", "WEIR_TEST_LONG",
                                        "WEIR_BIN",      "WEIR_BUILD_DIR",     "WEIR_SANITIZE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        setenv(names[i], "x", 1);
    config_destroy(load(small));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

static void partly_loaded_config_keeps_what_could_be_read(void **state)
{
    (void)state;
    struct config_errors errors;
    config_errors_init(&errors, "f");
    struct config *config = config_load_partly(
        "f",
        "sources: {s: {http: {}, tiem: x}}\npipelines: {p: {from: x, window: {tumbling: 1s}, aggregates: {n: f()}}}\n",
        NULL, 0, &errors);
    assert_non_null(config);
    assert_int_equal(errors.count, 2);
    assert_string_equal(config->pipelines[0].aggregates[0].value.text, "f()");
    assert_int_equal(config->pipelines[0].source_count, 0);
    config_destroy(config);
    config_errors_deinit(&errors);
}

static void place_of_a_block_is_that_of_its_first_character(void **state)
{
    (void)state;
    struct config *config = load(
        "sources: {s: {http: {}}}\npipelines:\n  p:\n    from: s\n    where: |\n      aa > 1\n      && b\n"
        "    window: {tumbling: 1s}\n    aggregates:\n      n: >-\n\n        count()\n");
    const struct config_pipeline *pipeline = &config->pipelines[0];
    assert_string_equal(pipeline->where.text, "aa > 1\n&& b\n");
    struct config_place place = config_text_place(&pipeline->where, strlen("aa > 1\n&& "));
    assert_int_equal(place.line, 7);
    assert_int_equal(place.column, 10);
    assert_int_equal(pipeline->aggregates[0].value.place.column, 9);
    config_destroy(config);
}

static void place_inside_a_text_counts_characters(void **state)
{
    (void)state;
    struct config_text text = {"a\xc3\xa4 + b", {.line = 3, .column = 10}};
    assert_int_equal(config_text_place(&text, 3).column, 12);
    assert_int_equal(config_text_place(&text, 3).line, 3);
    struct config_text lines = {"a\nbc", {.line = 3, .column = 10}};
    assert_int_equal(config_text_place(&lines, 3).line, 4);
    assert_int_equal(config_text_place(&lines, 3).column, 11);
    struct config_text variable = {"abc", {.variable = "WEIR_X"}};
    assert_string_equal(config_text_place(&variable, 2).variable, "WEIR_X");
    assert_int_equal(config_text_place(&variable, 2).line, 0);
}

static void durations_and_sizes_are_read_and_written(void **state)
{
    (void)state;
    struct arena arena;
    struct error reason;
    int64_t value;
    static const struct {
        const char *text;
        int64_t value_us;
        const char *written;
    } durations[] = {{"250ms", 250000, "250ms"},
                     {"10s", 10 * SECOND, "10s"},
                     {"5m", 300 * SECOND, "5m"},
                     {"1h", 3600 * SECOND, "1h"},
                     {"30d", 2592000 * SECOND, "30d"},
                     {"24h", 86400 * SECOND, "1d"},
                     {"1h30m", 5400 * SECOND, "90m"},
                     {"0.5s", 500000, "500ms"},
                     {"0", 0, "0s"},
                     {"7us", 7, "7us"},
                     {"-90s", -90 * SECOND, "-90s"}};
    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        assert_true(duration_parse(durations[i].text, &value, &reason));
        assert_int_equal(value, durations[i].value_us);
        assert_string_equal(duration_text(&arena, value), durations[i].written);
    }
    assert_true(size_parse("64KiB", &value, &reason));
    assert_int_equal(value, 65536);
    assert_string_equal(size_text(&arena, value), "64KiB");
    assert_false(duration_parse("99999999999999999999d", &value, &reason));
    assert_non_null(strstr(reason.text, "too large"));
    assert_false(size_parse("1kb", &value, &reason));
    assert_non_null(strstr(reason.text, "`1KiB`"));
    arena_deinit(&arena);
}

static void suggestions_are_near_or_not_given(void **state)
{
    (void)state;
    static const char *const words[] = {"shards", "batch_size", "memory_limit", "s", "to"};
    static const struct {
        const char *word, *wanted;
    } cases[] = {{"shrads", "shards"},
                 {"Shards", "shards"},
                 {"batch-size", "batch_size"},
                 {"batchsize", "batch_size"},
                 {"memory", NULL},
                 {"q", NULL},
                 {"ot", "to"},
                 {"", NULL},
                 {"something_else", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = suggest(cases[i].word, words, 5);
        if (!cases[i].wanted)
            assert_null(got);
        else
            assert_string_equal(got, cases[i].wanted);
    }
}

/* Writes the text to a file in the build's temporary folder; the caller removes it. */
static void write_file(char *path, const char *text)
{
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    FILE *file = fdopen(descriptor, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void show_prints_values_with_their_origin_and_reads_back_as_the_same(void **state)
{
    (void)state;
    char path[] = "/tmp/weir-config-test-XXXXXX";
    struct config_errors errors;
    struct buffer shown = {0}, again = {0};
    write_file(path, full);
    config_errors_init(&errors, path);
    setenv("WEIR_ENGINE__SHARDS", "5", 1);
    struct config_override flags[] = {{"data_dir", "flagged"}};
    assert_int_equal(config_show(path, flags, 1, false, &shown, &errors), STATUS_OK);
    unsetenv("WEIR_ENGINE__SHARDS");
    buffer_append_char(&shown, '\0');
    assert_non_null(
        strstr(shown.data, "shards: 5                                     # WEIR_ENGINE__SHARDS\n"));
    assert_non_null(strstr(shown.data, "# --set data_dir\n"));
    assert_non_null(strstr(shown.data, "max_future_skew: 5m                         # default\n"));
    assert_non_null(strstr(shown.data, "hole:\n    blackhole: {}\n"));
    char origin[64];
    snprintf(origin, sizeof origin, "# %s:16\n", path);
    assert_non_null(strstr(shown.data, origin));
    unlink(path);
    /* What was shown is a config itself, and shows the same values. */
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    write_file(path, shown.data);
    assert_int_equal(config_show(path, NULL, 0, false, &again, &errors), STATUS_OK);
    buffer_append_char(&again, '\0');
    for (const char *a = shown.data, *b = again.data; *a && *b;
         a = strchr(a, '\n') + 1, b = strchr(b, '\n') + 1) {
        size_t a_size = strcspn(a, "\n"), b_size = strcspn(b, "\n");
        const char *a_origin = memmem(a, a_size, "# ", 2), *b_origin = memmem(b, b_size, "# ", 2);
        assert_int_equal(a_origin ? a_origin - a : -1, b_origin ? b_origin - b : -1);
        assert_memory_equal(a, b, a_origin ? (size_t)(a_origin - a) : a_size);
    }
    unlink(path);
    buffer_deinit(&shown);
    buffer_deinit(&again);
    config_errors_deinit(&errors);
}

static void show_as_json_has_values_and_origins(void **state)
{
    (void)state;
    char path[] = "/tmp/weir-config-test-XXXXXX";
    struct config_errors errors;
    struct buffer shown = {0};
    write_file(path, full);
    config_errors_init(&errors, path);
    assert_int_equal(config_show(path, NULL, 0, true, &shown, &errors), STATUS_OK);
    buffer_append_char(&shown, '\0');
    assert_non_null(strstr(shown.data, "\"shards\": 3,"));
    assert_non_null(strstr(shown.data, "\"loop\": true"));
    assert_non_null(strstr(shown.data, "\"bad_share\": 0.25,"));
    assert_non_null(strstr(shown.data, "\"to\": [\"live\", \"trail\"]"));
    assert_non_null(strstr(shown.data, "\"sources.h.max_future_skew\": \"default\""));
    unlink(path);
    buffer_deinit(&shown);
    config_errors_deinit(&errors);
}

static void assert_is_file(const struct buffer *written, const char *path, const char *remedy)
{
    struct buffer file = {0};
    FILE *stream = fopen(path, "r");
    if (!stream)
        fail_msg("%s is missing; %s", path, remedy);
    file.size = fread(buffer_reserve(&file, 1 << 20), 1, 1 << 20, stream);
    fclose(stream);
    if (file.size != written->size || memcmp(file.data, written->data, file.size) != 0)
        fail_msg("%s is not what the option table says; %s", path, remedy);
    buffer_deinit(&file);
}

static void reference_page_and_schema_are_those_of_the_option_table(void **state)
{
    (void)state;
    struct buffer docs = {0}, schema = {0};
    config_write_docs(&docs);
    config_write_schema(&schema);
    assert_is_file(&docs, "docs/CONFIG.md", "run: weir config docs > docs/CONFIG.md");
    assert_is_file(&schema, "docs/config.schema.json", "run: weir config schema > docs/config.schema.json");
    buffer_deinit(&docs);
    buffer_deinit(&schema);
}

int main(void)
{
    unsetenv("CONFIG_TEST_UNSET");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_server_and_engine_option_is_read),
        cmocka_unit_test(every_source_option_is_read),
        cmocka_unit_test(every_pipeline_and_sink_option_is_read),
        cmocka_unit_test(absent_options_have_the_documented_defaults),
        cmocka_unit_test(good_config_has_no_warning_and_doubtful_ones_have),
        cmocka_unit_test(variables_in_values_are_replaced),
        cmocka_unit_test(variables_override_the_file_at_any_depth),
        cmocka_unit_test(variable_that_is_wrong_is_told_by_its_name),
        cmocka_unit_test(two_names_that_one_variable_could_mean_are_told),
        cmocka_unit_test(flag_that_is_wrong_is_told_by_its_path),
        cmocka_unit_test(reserved_variables_are_not_options),
        cmocka_unit_test(partly_loaded_config_keeps_what_could_be_read),
        cmocka_unit_test(place_of_a_block_is_that_of_its_first_character),
        cmocka_unit_test(place_inside_a_text_counts_characters),
        cmocka_unit_test(durations_and_sizes_are_read_and_written),
        cmocka_unit_test(suggestions_are_near_or_not_given),
        cmocka_unit_test(show_prints_values_with_their_origin_and_reads_back_as_the_same),
        cmocka_unit_test(show_as_json_has_values_and_origins),
        cmocka_unit_test(reference_page_and_schema_are_those_of_the_option_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
