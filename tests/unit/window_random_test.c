/* Random streams against a model that follows the words of the specification event by event: results do not depend on how logs
 * are cut into batches, nor on how partitions are spread over operators. */
#include <time.h>

#include "window_fixture.h"

enum { EVENTS_MAX = 400, GROUPS_MAX = 1000, AGGREGATE_COUNT = 10 };
static const char *const aggregates[AGGREGATE_COUNT] = {"count", "count_value", "sum",      "mean",  "min",
                                                        "max",   "stddev",      "variance", "first", "last"};

struct stream {
    struct event events[FIXTURE_PARTITIONS][EVENTS_MAX];
    uint32_t counts[FIXTURE_PARTITIONS];
    uint32_t partition_count;
    int64_t delay_us;
};

/* One key in one window as the model sees it; late events are in both `all` parts. */
struct part {
    uint64_t events, values, type_errors;
    long double sum;
    double min, max, numbers[EVENTS_MAX * FIXTURE_PARTITIONS];
};
struct group {
    int64_t start_us;
    int64_t key;
    struct part on_time, all;
};
struct model {
    struct group *groups;
    uint32_t group_count;
    uint64_t late, too_late, uncovered;
};

static void make_stream(struct stream *stream, struct random *random)
{
    stream->partition_count = 1 + (uint32_t)random_below(random, FIXTURE_PARTITIONS);
    stream->delay_us = (int64_t)random_below(random, 3) * SECOND;
    /* Half of the streams have whole seconds only, so that watermarks meet window ends. */
    int64_t grain_us = random_below(random, 2) ? SECOND : 1;
    for (uint32_t p = 0; p < stream->partition_count; p++) {
        int64_t now_us = -20 * SECOND;
        stream->counts[p] = (uint32_t)random_below(random, EVENTS_MAX);
        for (uint32_t i = 0; i < stream->counts[p]; i++) {
            now_us += (int64_t)random_below(random, SECOND);
            int64_t back_us = random_below(random, 10) == 0 ? (int64_t)random_below(random, 40 * SECOND) : 0;
            struct event *event = &stream->events[p][i];
            event->time_us = (now_us - back_us) / grain_us * grain_us;
            event->key = INTEGER((int64_t)random_below(random, 7));
            uint64_t kind = random_below(random, 10);
            int64_t number = (int64_t)random_below(random, 2000) - 1000;
            event->value = kind == 0   ? NOTHING
                           : kind == 1 ? TEXT("not a number")
                           : kind < 5  ? INTEGER(number)
                                       : NUMBER((double)number / 7);
        }
    }
}

static struct group *find_group(struct model *model, int64_t start_us, int64_t key)
{
    for (uint32_t i = 0; i < model->group_count; i++) {
        if (model->groups[i].start_us == start_us && model->groups[i].key == key)
            return &model->groups[i];
    }
    struct group *group = &model->groups[model->group_count++];
    assert_true(model->group_count <= GROUPS_MAX);
    memset(group, 0, sizeof *group);
    group->start_us = start_us;
    group->key = key;
    return group;
}

static void take(struct part *part, const struct event *event)
{
    const struct cell *cell = &event->value;
    part->events++;
    if (cell->kind == VALUE_STRING) {
        part->type_errors += 6; /* of the ten, six want numbers */
        return;
    }
    if (cell->kind == VALUE_NULL)
        return;
    double number = cell->kind == VALUE_INT ? (double)cell->i : cell->d;
    if (!part->values || number < part->min)
        part->min = number;
    if (!part->values || number > part->max)
        part->max = number;
    part->sum += number;
    part->numbers[part->values++] = number;
}

/* What the window that starts there makes of the event; false: it is too late for it. */
static bool offer(struct model *model, const struct window_spec *spec, int64_t start_us, int64_t watermark_us,
                  const struct event *event, bool *is_late)
{
    int64_t end_us = start_us + spec->size_us;
    bool is_late_here = watermark_us >= end_us;
    if (is_late_here &&
        (spec->late != WINDOW_LATE_UPDATE || watermark_us >= end_us + spec->allowed_lateness_us))
        return false;
    struct group *group = find_group(model, start_us, event->key.i);
    *is_late = *is_late || is_late_here;
    take(&group->all, event);
    if (!is_late_here)
        take(&group->on_time, event);
    return true;
}

static void run_model(struct model *model, const struct stream *stream, const struct window_spec *spec)
{
    int64_t slide_us = spec->kind == WINDOW_SLIDING ? spec->slide_us : spec->size_us;
    for (uint32_t p = 0; p < stream->partition_count; p++) {
        int64_t largest_us = TIME_NONE;
        for (uint32_t i = 0; i < stream->counts[p]; i++) {
            const struct event *event = &stream->events[p][i];
            int64_t watermark = largest_us == TIME_NONE ? TIME_NONE : largest_us - stream->delay_us;
            if (event->time_us > largest_us)
                largest_us = event->time_us;
            int64_t rest_us = (event->time_us - spec->offset_us) % slide_us;
            int64_t start_us = event->time_us - (rest_us < 0 ? rest_us + slide_us : rest_us);
            uint32_t offered = 0, taken = 0;
            bool is_late = false;
            for (; start_us + spec->size_us > event->time_us; start_us -= slide_us, offered++)
                taken += offer(model, spec, start_us, watermark, event, &is_late);
            model->too_late += offered && !taken;
            model->uncovered += !offered;
            model->late += is_late;
        }
    }
}

/* Batches of random size, partitions in random order, now and then a turn of the merger. */
static void run_windows(struct fixture *fixture, const struct stream *stream, struct random *random,
                        bool is_ordered)
{
    uint32_t next[FIXTURE_PARTITIONS] = {0};
    for (uint32_t p = 0; p < stream->partition_count; p++)
        fixture->watermarks[p].delay_us = stream->delay_us;
    for (uint32_t done = 0, p = 0; done < stream->partition_count;) {
        p = is_ordered ? done : (uint32_t)random_below(random, stream->partition_count);
        uint32_t left = stream->counts[p] - next[p], size = 1 + (uint32_t)random_below(random, 60);
        size = size < left ? size : left;
        if (size)
            fixture_add(fixture, p, &stream->events[p][next[p]], size);
        next[p] += size;
        if (!is_ordered && random_below(random, 3) == 0)
            fixture_turn(fixture, random_below(random, 4) == 0);
        done = 0;
        while (done < stream->partition_count && next[done] == stream->counts[done])
            done++;
    }
    fixture_end(fixture);
}

static void expect_near(double got, long double want, const char *what, const struct record_copy *record)
{
    long double scale = fabsl(want) > 1 ? fabsl(want) : 1;
    if (fabsl((long double)got - want) <= 1e-12L * scale)
        return;
    print_error("%s: want %.17Lg, got %.17g in %s\n", what, want, got, record->json);
    fail();
}

static long double squares_of(const struct part *part)
{
    long double mean = part->sum / part->values, squares = 0;
    for (uint64_t i = 0; i < part->values; i++)
        squares += (part->numbers[i] - mean) * (part->numbers[i] - mean);
    return squares;
}

static void expect_part(const struct record_copy *record, const struct part *part)
{
    assert_int_equal((uint64_t)record->values[0], part->events);
    assert_int_equal(record->type_errors, part->type_errors);
    /* count(x) takes text, too: each wrong type counted six times above. */
    assert_int_equal((uint64_t)record->values[1], part->values + part->type_errors / 6);
    for (uint32_t v = 2; v < 6; v++)
        assert_int_equal(record->kinds[v] == VALUE_NULL, part->values == 0);
    for (uint32_t v = 6; v < 8; v++)
        assert_int_equal(record->kinds[v] == VALUE_NULL, part->values < 2);
    if (!part->values)
        return;
    expect_near(record->values[2], part->sum, "sum", record);
    expect_near(record->values[3], part->sum / part->values, "mean", record);
    assert_true(record->values[4] == part->min && record->values[5] == part->max);
    if (part->values < 2)
        return;
    long double variance = squares_of(part) / (part->values - 1);
    expect_near(record->values[6], sqrtl(variance), "stddev", record);
    expect_near(record->values[7], variance, "variance", record);
}

static const struct record_copy *last_record(const struct fixture *fixture, const struct group *group,
                                             bool final)
{
    char key[32];
    snprintf(key, sizeof key, "[%lld]", (long long)group->key);
    const struct record_copy *found = NULL;
    for (size_t i = 0; i < fixture->record_count; i++) {
        const struct record_copy *record = &fixture->records[i];
        if (record->start_us == group->start_us && strcmp(record->key, key) == 0 &&
            (!final || record->emit == EMIT_FINAL)) {
            assert_true(!final || !found);
            found = record;
        }
    }
    return found;
}

static void expect_model(const struct fixture *fixture, const struct model *model)
{
    assert_int_equal(fixture->counts.too_late, model->too_late);
    assert_int_equal(fixture->counts.uncovered, model->uncovered);
    assert_int_equal(fixture->counts.late_accepted, model->late);
    assert_int_equal(window_merger_stats(fixture->merger).gone_events, 0);
    for (uint32_t i = 0; i < model->group_count; i++) {
        const struct group *group = &model->groups[i];
        const struct record_copy *final = last_record(fixture, group, true),
                                 *last = last_record(fixture, group, false);
        assert_int_equal(final != NULL, group->on_time.events > 0);
        if (final)
            expect_part(final, &group->on_time);
        assert_non_null(last);
        expect_part(last, &group->all);
        assert_int_equal(last->revision, group->all.events - group->on_time.events);
        assert_int_equal(last->on_time, group->on_time.events);
        assert_int_equal(last->emit, last->revision ? EMIT_UPDATE : EMIT_FINAL);
    }
}

/* The last records as one text, for comparing runs to the bit. */
static uint64_t last_states(const struct fixture *fixture, const struct model *model)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < model->group_count; i++) {
        const struct record_copy *record = last_record(fixture, &model->groups[i], false);
        for (const char *c = record->json; *c; c++)
            hash = hash * 1099511628211u + (unsigned char)*c;
    }
    return hash;
}

/* Half of them slide, by what divides their size and what does not, also by more than that. */
static struct window_spec random_window(struct random *random)
{
    struct window_spec spec = {.late = (enum window_late)random_below(random, 3),
                               .size_us = 10 * SECOND,
                               .allowed_lateness_us = 10 * SECOND};
    if (random_below(random, 2))
        return spec;
    spec.kind = WINDOW_SLIDING;
    spec.size_us = (int64_t)(1 + random_below(random, 30)) * SECOND;
    spec.slide_us = (int64_t)(3 + random_below(random, 12)) * SECOND;
    spec.offset_us = (int64_t)random_below(random, 9) * SECOND / 2;
    spec.allowed_lateness_us = (int64_t)random_below(random, 25) * SECOND;
    return spec;
}

static void run_round(uint64_t seed)
{
    static struct stream stream;
    struct random random = random_seeded(seed);
    struct model model = {.groups = memory_allocate_array(GROUPS_MAX, sizeof(struct group))};
    make_stream(&stream, &random);
    uint64_t whole = 0;
    struct window_spec window = random_window(&random);
    for (uint32_t run = 0; run < 6; run++) {
        /* The first two runs have an operator per partition and take panes at the end only: equal to the bit. */
        bool is_ordered = run < 2;
        struct fixture fixture;
        fixture_init(&fixture, aggregates, AGGREGATE_COUNT);
        fixture.spec.kind = window.kind;
        fixture.spec.late = window.late;
        fixture.spec.size_us = window.size_us;
        fixture.spec.slide_us = window.slide_us;
        fixture.spec.offset_us = window.offset_us;
        fixture.spec.allowed_lateness_us = window.allowed_lateness_us;
        fixture_open(&fixture, stream.partition_count, is_ordered ? stream.partition_count : 1u << run % 3);
        if (run == 0)
            run_model(&model, &stream, &fixture.spec);
        run_windows(&fixture, &stream, &random, is_ordered);
        expect_model(&fixture, &model);
        if (run == 0)
            whole = last_states(&fixture, &model);
        if (run == 1)
            assert_int_equal(whole, last_states(&fixture, &model));
        fixture_close(&fixture);
    }
    free(model.groups);
}

static void results_are_those_of_the_model_for_any_batches_and_operators(void **state)
{
    (void)state;
    const char *chosen = getenv("WEIR_TEST_SEED");
    uint64_t seed = chosen ? strtoull(chosen, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed %llu (WEIR_TEST_SEED sets it)\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 20; round++)
        run_round(seed + round);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_those_of_the_model_for_any_batches_and_operators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
