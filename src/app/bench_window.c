/* `weir bench window`: what windows cost alone, CPU time per event from columns in memory to result blocks: count, sum, min, max and
 * mean of one field by one key, or other aggregates of it, in windows that follow one another. bench/duckdb_groupby.py is the same job
 * by DuckDB. With --sliding the same events go through sliding windows, too, which give a result as often, each of N times as many events. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "expr/expr.h"
#include "window/window.h"

enum { GROUP_EVENTS = 64 * 1024, KEY_TEXT_SIZE = 16, SLIDING_PANES_MAX = 65536 };

struct window_job {
    uint64_t session_gap; /* 0: no sessions */
    uint64_t key_count, event_count, window_count, batch_size, seed;
    uint64_t panes; /* of a sliding window; 0 = tumbling ones */
    const char *format;
    struct argument_list aggregates;
    bool has_text_keys, writes_json;
    struct window_spec spec;
    struct result_shape shape;
    uint64_t result_count, counted_events, json_size;
    int64_t cpu_us;
};

static void take_block(void *context, struct result_block *block)
{
    struct window_job *job = context;
    job->result_count += block->row_count;
    for (uint32_t i = 0; i < block->row_count; i++)
        job->counted_events += block->on_time[i];
    if (job->writes_json) {
        result_block_encode(block);
        job->json_size += block->json.size;
    }
    result_block_release(block);
}

static bool add_aggregate(struct window_job *job, const char *text)
{
    struct expr_call call;
    struct expr_error expr_error;
    struct error error = {""};
    struct window_aggregate *aggregate = &job->spec.aggregates[job->spec.aggregate_count];
    if (job->spec.aggregate_count == RESULT_MAX_AGGREGATES)
        error_set(&error, "there are more than %d", RESULT_MAX_AGGREGATES);
    else if (expr_split_call(slice_of(text), &call, &expr_error) != STATUS_OK)
        error_set(&error, "%s", expr_error.message);
    else
        aggregate->kind = aggregate_kind_find(call.function, call.argument_count, &error);
    if (error.text[0] ||
        !aggregate_kind_read_parameter(aggregate->kind, call.arguments[1], &aggregate->parameter, &error)) {
        (void)usage_error("weir bench window", "--aggregate %s: %s", text, error.text);
        return false;
    }
    aggregate->input = call.argument_count > 0 ? 0 : -1;
    job->shape.value_names[job->spec.aggregate_count++] = text;
    return true;
}

static bool describe(struct window_job *job)
{
    static const char *const usual[] = {"count()", "sum(x)", "min(x)", "max(x)", "mean(x)"};
    bool is_usual = job->aggregates.count == 0;
    int64_t size_us = (int64_t)(job->event_count / job->window_count + 1);
    size_t count = is_usual ? sizeof usual / sizeof usual[0] : job->aggregates.count;
    job->shape = (struct result_shape){.pipeline = "bench", .key_count = 1, .key_names = {"k"}};
    job->spec = (struct window_spec){
        .shape = &job->shape,
        .kind = job->panes         ? WINDOW_SLIDING
                : job->session_gap ? WINDOW_SESSION
                                   : WINDOW_TUMBLING,
        .gap_us = (int64_t)job->session_gap,
        .max_duration_us = SESSION_DURATION_MAX_US,
        .size_us = size_us * (int64_t)(job->panes ? job->panes : 1),
        .slide_us = size_us,
        .allowed_lateness_us = 0,
        .key_limit = UINT64_MAX,
        .input_count = 1,
        .partition_count = 1,
        .hash_seed = job->seed,
    };
    for (size_t i = 0; i < count; i++) {
        if (!add_aggregate(job, is_usual ? usual[i] : job->aggregates.items[i]))
            return false;
    }
    job->shape.value_count = job->spec.aggregate_count;
    return true;
}

static struct batch *make_batch(uint32_t row_count)
{
    struct batch *batch = batch_create();
    for (uint32_t i = 0; i < row_count; i++)
        *batch_add_record(batch) = (struct record){.offset = i};
    batch_prepare_columns(batch, 2);
    return batch;
}

/* One event per microsecond of event time; keys evenly spread, amounts with two decimals. */
static void fill_batch(const struct window_job *job, struct batch *batch, struct random *random,
                       uint64_t first, uint32_t row_count)
{
    batch->row_count = row_count;
    batch->side_size = 0;
    uint32_t text = job->has_text_keys ? batch_reserve_side(batch, (size_t)row_count * KEY_TEXT_SIZE) : 0;
    struct column *key = &batch->columns[0], *amount = &batch->columns[1];
    key->kind_mask = value_kind_bit(job->has_text_keys ? VALUE_STRING : VALUE_INT);
    amount->kind_mask = value_kind_bit(VALUE_DOUBLE);
    for (uint32_t i = 0; i < row_count; i++) {
        uint64_t number = random_next(random) % job->key_count;
        batch->event_times_us[i] = (int64_t)(first + i);
        batch->offsets[i] = (int64_t)(first + i);
        key->kinds[i] = job->has_text_keys ? VALUE_STRING : VALUE_INT;
        if (job->has_text_keys) {
            char *place = batch->bytes + text + (size_t)i * KEY_TEXT_SIZE;
            int size = snprintf(place, KEY_TEXT_SIZE, "user_%" PRIu64, number);
            key->values[i].s = (struct text_reference){text + i * KEY_TEXT_SIZE, (uint32_t)size};
        } else {
            key->values[i].i = (int64_t)number;
        }
        amount->kinds[i] = VALUE_DOUBLE;
        amount->values[i].d = (double)(random_next(random) % 100000) / 100.0;
    }
}

struct window_stage {
    struct window_operator *op;
    struct window_merger *merger;
    uint32_t *rows, *too_late;
    int64_t *watermarks_us;
};

static void run_batch(struct window_stage *stage, const struct batch *batch)
{
    struct window_rows rows = {
        .batch = batch,
        .rows = stage->rows,
        .row_count = batch->row_count,
        .watermarks_us = stage->watermarks_us,
        .watermark_after_us = batch->event_times_us[batch->row_count - 1],
        .keys = &batch->columns[0],
        .inputs = &batch->columns[1],
    };
    stage->watermarks_us[0] = batch->event_times_us[0] - 1;
    memcpy(stage->watermarks_us + 1, batch->event_times_us, (batch->row_count - 1) * sizeof(int64_t));
    struct window_counts counts = {0};
    uint32_t too_late_count;
    window_operator_add(stage->op, &rows, &counts, stage->too_late, &too_late_count);
    for (struct pane *pane; (pane = window_operator_take(stage->op, rows.watermark_after_us, false));)
        window_merger_add(stage->merger, pane, 0);
    window_merger_advance(stage->merger, rows.watermark_after_us, CLOSED_BY_WATERMARK, &clock_system);
}

/* Batches are filled outside of the time that is measured, a group of them at once. */
static void run_groups(struct window_job *job, struct window_stage *stage, struct batch **batches,
                       uint32_t batch_count)
{
    struct random random = random_seeded(job->seed);
    for (uint64_t done = 0; done < job->event_count;) {
        uint32_t used = 0;
        for (; used < batch_count && done < job->event_count; used++) {
            uint64_t left = job->event_count - done;
            uint32_t size = (uint32_t)(left < job->batch_size ? left : job->batch_size);
            fill_batch(job, batches[used], &random, done, size);
            done += size;
        }
        int64_t start_us = clock_thread_cpu_us();
        for (uint32_t i = 0; i < used; i++)
            run_batch(stage, batches[i]);
        job->cpu_us += clock_thread_cpu_us() - start_us;
    }
    int64_t start_us = clock_thread_cpu_us();
    for (struct pane *pane; (pane = window_operator_take(stage->op, TIME_MAX, false));)
        window_merger_add(stage->merger, pane, 0);
    window_merger_advance(stage->merger, TIME_MAX, CLOSED_BY_END_OF_INPUT, &clock_system);
    job->cpu_us += clock_thread_cpu_us() - start_us;
}

static void run_job(struct window_job *job)
{
    uint32_t batch_size = (uint32_t)job->batch_size, batch_count = GROUP_EVENTS / batch_size + 1;
    struct window_stage stage = {
        .op = window_operator_create(&job->spec),
        .merger = window_merger_create(&job->spec, take_block, job),
        .rows = memory_allocate_array(batch_size, sizeof(uint32_t)),
        .too_late = memory_allocate_array(batch_size, sizeof(uint32_t)),
        .watermarks_us = memory_allocate_array(batch_size, sizeof(int64_t)),
    };
    for (uint32_t i = 0; i < batch_size; i++)
        stage.rows[i] = i;
    struct batch **batches = memory_allocate_array(batch_count, sizeof(struct batch *));
    for (uint32_t i = 0; i < batch_count; i++)
        batches[i] = make_batch(batch_size);
    run_groups(job, &stage, batches, batch_count);
    for (uint32_t i = 0; i < batch_count; i++)
        batch_destroy(batches[i]);
    free(batches);
    window_merger_destroy(stage.merger);
    window_operator_destroy(stage.op);
    free(stage.rows);
    free(stage.too_late);
    free(stage.watermarks_us);
}

static double nanoseconds(const struct window_job *job)
{
    return (double)job->cpu_us * 1000.0 / (double)job->event_count;
}

static void print_sessions(const struct window_job *sessions, double tumbling_ns, bool is_json)
{
    double ns = nanoseconds(sessions);
    if (is_json)
        printf(",\"sessions\":{\"gap\":%" PRIu64 ",\"ns_per_event\":%.3f,\"results\":%" PRIu64
               ",\"ratio\":%.3f}",
               sessions->session_gap, ns, sessions->result_count, tumbling_ns / ns);
    else
        printf("sessions with a gap of %" PRIu64 " us: %" PRIu64
               " results, %.1f ns of CPU per event, %.2f times the events/s\n",
               sessions->session_gap, sessions->result_count, ns, tumbling_ns / ns);
}

static void print_job(const struct window_job *job, const struct window_job *sliding,
                      const struct window_job *sessions)
{
    double ns = nanoseconds(job);
    bool is_json = strcmp(job->format, "json") == 0;
    if (is_json)
        printf("{\"ns_per_event\":%.3f,\"events\":%" PRIu64 ",\"keys\":%" PRIu64 ",\"results\":%" PRIu64
               ",\"cpu_seconds\":%.6f",
               ns, job->event_count, job->key_count, job->result_count, (double)job->cpu_us / 1e6);
    else
        printf("%" PRIu64 " events, %" PRIu64 " keys, %" PRIu64
               " results: %.1f ns of CPU per event, %.1f million events/s\n",
               job->event_count, job->key_count, job->result_count, ns, 1000.0 / ns);
    double sliding_ns = sliding ? nanoseconds(sliding) : 0;
    if (sliding && is_json)
        printf(",\"sliding\":{\"panes\":%" PRIu64 ",\"ns_per_event\":%.3f,\"results\":%" PRIu64
               ",\"ratio\":%.3f}",
               sliding->panes, sliding_ns, sliding->result_count, ns / sliding_ns);
    else if (sliding)
        printf("sliding windows of %" PRIu64 " times the size: %" PRIu64
               " results, %.1f ns of CPU per event, %.2f times the events/s\n",
               sliding->panes, sliding->result_count, sliding_ns, ns / sliding_ns);
    if (sessions)
        print_sessions(sessions, ns, is_json);
    if (is_json)
        puts("}");
}

/* Every event is in as many windows as a window has panes. */
static bool check_job(const struct window_job *job)
{
    uint64_t wanted = job->event_count * (job->panes ? job->panes : 1);
    if (job->counted_events == wanted)
        return true;
    (void)command_error("%" PRIu64 " of %" PRIu64 " events are in the results", job->counted_events, wanted);
    return false;
}

int bench_window(int argc, char **argv)
{
    struct window_job job = {.key_count = 100000,
                             .event_count = 10000000,
                             .window_count = 12,
                             .batch_size = 1024,
                             .seed = 1,
                             .format = "text"};
    uint64_t panes = 0, session_gap = 0;
    const struct argument arguments[] = {
        {"--keys", "N", "different keys, evenly spread; default 100000", ARGUMENT_NUMBER, &job.key_count,
         NULL},
        {"--events", "N", "events; default 10000000", ARGUMENT_NUMBER, &job.event_count, NULL},
        {"--windows", "N", "windows that they fill one after the other; default 12", ARGUMENT_NUMBER,
         &job.window_count, NULL},
        {"--batch-size", "N", "events per batch, 1 to 8192; default 1024", ARGUMENT_NUMBER, &job.batch_size,
         NULL},
        {"--sliding", "N", "measure sliding windows of N times the size, too; default 0 = do not",
         ARGUMENT_NUMBER, &panes, NULL},
        {"--sessions", "N",
         "measure session windows, too, that end after N microseconds without an event of the key, where there is an "
         "event of some key each microsecond; default 0 = do not",
         ARGUMENT_NUMBER, &session_gap, NULL},
        {"--text-keys", NULL, "keys are text (user_123), not integers", ARGUMENT_FLAG, &job.has_text_keys,
         NULL},
        {"--json-records", NULL, "write the JSON of every result, too", ARGUMENT_FLAG, &job.writes_json,
         NULL},
        {"--aggregate", "CALL",
         "such as \"percentile(x, 95)\"; may be repeated; default count(), sum, min, max, mean",
         ARGUMENT_LIST, &job.aggregates, NULL},
        {"--seed", "N", "of the keys and amounts; default 1", ARGUMENT_NUMBER, &job.seed, NULL},
        {"--format", "text|json", "how the result is printed; default text", ARGUMENT_CHOICE, &job.format,
         "text|json"},
    };
    const struct usage usage = {
        "weir bench window",
        "Measures windows alone: aggregates of one field x by one key, from columns in memory.", NULL,
        arguments, sizeof arguments / sizeof arguments[0]};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    if (!job.key_count || !job.event_count || !job.window_count || !job.batch_size ||
        job.batch_size > BATCH_MAX_ROWS || panes > SLIDING_PANES_MAX)
        return usage_error(usage.command,
                           "numbers must be at least 1, --batch-size at most %d, --sliding at most %d",
                           BATCH_MAX_ROWS, SLIDING_PANES_MAX);
    struct window_job sliding = job, sessions = job;
    sliding.panes = panes;
    sessions.session_gap = session_gap;
    if (!describe(&job) || !describe(&sliding) || !describe(&sessions))
        return EXIT_USAGE;
    run_job(&job);
    if (panes)
        run_job(&sliding);
    if (session_gap)
        run_job(&sessions);
    if (!check_job(&job) || (panes && !check_job(&sliding)) || (session_gap && !check_job(&sessions)))
        return EXIT_FAILED;
    print_job(&job, panes ? &sliding : NULL, session_gap ? &sessions : NULL);
    return EXIT_OK;
}
