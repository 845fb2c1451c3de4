/* Random streams of session windows against a model that never forgets and knows no order: sessions are the components of all
 * events that link, whatever the batches, the operators, and the moments at which panes move and watermarks pass. */
#include <time.h>

#include "window/pane_codec.h"
#include "window_fixture.h"

enum { EVENTS_MAX = 60, TOTAL_MAX = EVENTS_MAX * FIXTURE_PARTITIONS, KEYS = 3 };
static const char *const aggregates[] = {"count", "sum", "first", "last"};

enum layer { ON_TIME, LATE, TOO_LATE };

struct told {
    int64_t time_us, end_us, watermark_us;
    int64_t link_us; /* where it begins for others */
    int64_t key, value;
    enum layer layer;
    uint32_t partition;
    /* An event that is held only by what its own partition has is in the session of that. */
    int32_t own;
};

struct model {
    const struct window_spec *spec;
    struct told events[TOTAL_MAX];
    uint32_t count;
    uint32_t parents[TOTAL_MAX];
    uint64_t used, late, too_late;
};

static uint32_t root_of(struct model *model, uint32_t index)
{
    while (model->parents[index] != index)
        index = model->parents[index];
    return index;
}

static bool is_linked(const struct told *a, const struct told *b)
{
    return a->key == b->key && a->link_us <= b->end_us && b->link_us <= a->end_us;
}

/* Joins what links, of one layer or of both, of one partition or of all. */
static void find_sessions(struct model *model, bool with_late, int64_t partition)
{
    for (uint32_t i = 0; i < model->count; i++)
        model->parents[i] = i;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct told *a = &model->events[i];
        if (a->layer == TOO_LATE || (a->layer == LATE && !with_late) ||
            (partition >= 0 && a->partition != partition))
            continue;
        /* Nothing but its own session holds it. */
        if (a->own >= 0)
            model->parents[root_of(model, i)] = root_of(model, (uint32_t)a->own);
        for (uint32_t j = 0; j < i; j++) {
            const struct told *b = &model->events[j];
            if (b->layer == TOO_LATE || (b->layer == LATE && !with_late) ||
                (partition >= 0 && b->partition != partition) || !is_linked(a, b))
                continue;
            model->parents[root_of(model, i)] = root_of(model, j);
        }
    }
}

static int64_t cell_of(const struct model *model, int64_t time_us)
{
    int64_t duration_us = model->spec->max_duration_us;
    return (time_us - ((time_us % duration_us) + duration_us) % duration_us) / duration_us;
}

struct reach {
    int64_t start_us, end_us;
};

static struct reach reach_of(struct model *model, uint32_t root)
{
    struct reach reach = {INT64_MAX, INT64_MIN};
    for (uint32_t i = 0; i < model->count; i++) {
        if (root_of(model, i) != root)
            continue;
        const struct told *event = &model->events[i];
        reach.start_us = event->time_us < reach.start_us ? event->time_us : reach.start_us;
        reach.end_us = event->end_us > reach.end_us ? event->end_us : reach.end_us;
    }
    return reach;
}

static int64_t part_end(const struct model *model, struct reach reach, int64_t time_us)
{
    int64_t cell_end_us = (cell_of(model, time_us) + 1) * model->spec->max_duration_us;
    bool is_cut = reach.end_us - reach.start_us > model->spec->max_duration_us;
    return is_cut && cell_end_us < reach.end_us ? cell_end_us : reach.end_us;
}

/* The session that the event would be in, of its own partition; *held is an event of it that holds it, -1 for none. */
static struct reach own_reach(struct model *model, const struct told *event, bool with_late, int32_t *held)
{
    int64_t gone_us =
        event->watermark_us == TIME_NONE ? TIME_NONE : event->watermark_us - model->spec->allowed_lateness_us;
    struct reach reach = {event->time_us, event->end_us};
    *held = -1;
    find_sessions(model, with_late, event->partition);
    for (uint32_t i = 0; i < model->count; i++) {
        const struct told *other = &model->events[i];
        uint32_t root = root_of(model, i);
        if (other->partition != event->partition || other->key != event->key || other->layer == TOO_LATE ||
            (other->layer == LATE && !with_late))
            continue;
        struct reach theirs = reach_of(model, root);
        bool touches = theirs.end_us >= event->time_us && theirs.start_us <= event->end_us;
        if (!touches || theirs.end_us <= gone_us)
            continue;
        reach.start_us = theirs.start_us < reach.start_us ? theirs.start_us : reach.start_us;
        reach.end_us = theirs.end_us > reach.end_us ? theirs.end_us : reach.end_us;
        *held = (int32_t)i;
    }
    return reach;
}

static void tell(struct model *model, uint32_t partition, const struct event *event, int64_t watermark_us)
{
    const struct window_spec *spec = model->spec;
    struct told told = {
        .time_us = event->time_us,
        .end_us = event->time_us + spec->gap_us,
        .watermark_us = watermark_us,
        .key = event->key.i,
        .value = event->value.i,
        .partition = partition,
        .own = -1,
    };
    int64_t gone_us = watermark_us == TIME_NONE ? TIME_NONE : watermark_us - spec->allowed_lateness_us;
    told.link_us = gone_us < told.time_us ? told.time_us : gone_us + 1;
    int32_t held;
    struct reach reach = own_reach(model, &told, false, &held);
    if (watermark_us < part_end(model, reach, told.time_us)) {
        told.layer = ON_TIME;
    } else {
        reach = own_reach(model, &told, true, &held);
        told.layer = spec->late == WINDOW_LATE_UPDATE && part_end(model, reach, told.time_us) > gone_us
                         ? LATE
                         : TOO_LATE;
    }
    if (told.link_us > told.end_us) {
        told.own = held;
        told.link_us = INT64_MAX;
    }
    model->used += told.layer != TOO_LATE;
    model->late += told.layer == LATE;
    model->too_late += told.layer == TOO_LATE;
    model->events[model->count++] = told;
}

/* A session that goes back over one that is gone can begin when that began, and then has its id. */
static bool has_equal_ids(struct model *model)
{
    find_sessions(model, true, -1);
    for (uint32_t i = 0; i < model->count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const struct told *a = &model->events[i], *b = &model->events[j];
            if (a->key == b->key && a->time_us / 1000 == b->time_us / 1000 && a->layer != TOO_LATE &&
                b->layer != TOO_LATE && root_of(model, i) != root_of(model, j))
                return true;
        }
    }
    return false;
}

/* --- what is expected --------------------------------------------------------------------------------------------------- */

struct expected {
    int64_t key, start_us, end_us, root, cell;
    uint64_t on_time, late;
    double sum;
    int64_t first, last;
};

static uint32_t expect(struct model *model, bool with_late, struct expected *list)
{
    uint32_t count = 0;
    find_sessions(model, with_late, -1);
    for (uint32_t i = 0; i < model->count; i++) {
        const struct told *event = &model->events[i];
        if (event->layer == TOO_LATE || (event->layer == LATE && !with_late))
            continue;
        uint32_t root = root_of(model, i);
        struct reach reach = reach_of(model, root);
        bool is_cut = reach.end_us - reach.start_us > model->spec->max_duration_us;
        int64_t cell = is_cut ? cell_of(model, event->time_us) : 0;
        struct expected *found = NULL;
        for (uint32_t e = 0; e < count; e++) {
            if (list[e].root == root && list[e].cell == cell)
                found = &list[e];
        }
        if (!found) {
            found = &list[count++];
            *found = (struct expected){
                .key = event->key, .root = root, .cell = cell, .start_us = INT64_MAX, .end_us = INT64_MIN};
        }
        found->start_us = event->time_us < found->start_us ? event->time_us : found->start_us;
        int64_t end_us = part_end(model, reach, event->time_us);
        end_us = is_cut && event->end_us < end_us ? event->end_us : end_us;
        found->end_us = end_us > found->end_us ? end_us : found->end_us;
        found->on_time += event->layer == ON_TIME;
        found->late += event->layer == LATE;
        found->sum += (double)event->value;
    }
    return count;
}

static int compare_ranks(const struct record_copy *a, const struct record_copy *b)
{
    if ((a->emit == EMIT_EARLY) != (b->emit == EMIT_EARLY))
        return a->emit == EMIT_EARLY ? -1 : 1;
    if (a->revision != b->revision)
        return a->revision < b->revision ? -1 : 1;
    uint64_t x = a->on_time + a->late_accepted, y = b->on_time + b->late_accepted;
    return (x > y) - (x < y);
}

static bool is_merged(const struct record_copy *record)
{
    return strstr(record->json, "\"merged_into\"") != NULL;
}

static const struct record_copy *last_state(const struct fixture *fixture, int64_t key, int64_t start_us,
                                            int emit)
{
    const struct record_copy *best = NULL;
    for (size_t i = 0; i < fixture->record_count; i++) {
        const struct record_copy *record = &fixture->records[i];
        if (strtoll(record->key + 1, NULL, 10) != key || record->start_us / 1000 != start_us / 1000 ||
            (emit >= 0 && (int)record->emit != emit))
            continue;
        /* Of finals the last one: one that is cut differently than before can have fewer events. */
        if (!best || emit == EMIT_FINAL || compare_ranks(record, best) >= 0)
            best = record;
    }
    return best;
}

/* What a failure needs to be understood. */
static void explain(const struct fixture *fixture, const struct model *model, int64_t key)
{
    const struct window_spec *spec = model->spec;
    print_message("gap %lld, duration %lld, lateness %lld\n", (long long)spec->gap_us,
                  (long long)spec->max_duration_us, (long long)spec->allowed_lateness_us);
    for (uint32_t i = 0; i < model->count; i++) {
        const struct told *event = &model->events[i];
        if (event->key == key)
            print_message("partition %u at %lld link %lld watermark %lld: %s\n", event->partition,
                          (long long)event->time_us, (long long)event->link_us,
                          (long long)event->watermark_us,
                          event->layer == ON_TIME ? "on time"
                          : event->layer == LATE  ? "late"
                                                  : "too late");
    }
    for (size_t i = 0; i < fixture->record_count; i++) {
        if (strtoll(fixture->records[i].key + 1, NULL, 10) == key)
            print_message("%s\n", fixture->records[i].json);
    }
}

static void check_last_states(struct fixture *fixture, struct model *model)
{
    struct expected *list = memory_allocate_array(TOTAL_MAX, sizeof *list);
    uint32_t count = expect(model, true, list);
    for (uint32_t i = 0; i < count; i++) {
        const struct record_copy *record = last_state(fixture, list[i].key, list[i].start_us, -1);
        if (!record || is_merged(record) || record->on_time != list[i].on_time ||
            record->late_accepted != list[i].late || record->end_us != list[i].end_us) {
            explain(fixture, model, list[i].key);
            fail_msg("session at %lld to %lld with %llu and %llu late events", (long long)list[i].start_us,
                     (long long)list[i].end_us, (unsigned long long)list[i].on_time,
                     (unsigned long long)list[i].late);
        }
        assert_int_equal((int64_t)record->values[0], (int64_t)(list[i].on_time + list[i].late));
        assert_int_equal((int64_t)record->values[1], (int64_t)list[i].sum);
    }
    /* Whatever else was shown was taken back. */
    for (size_t r = 0; r < fixture->record_count; r++) {
        const struct record_copy *shown = &fixture->records[r];
        int64_t key = strtoll(shown->key + 1, NULL, 10);
        bool is_expected = false;
        for (uint32_t i = 0; i < count; i++)
            is_expected |= list[i].key == key && list[i].start_us / 1000 == shown->start_us / 1000;
        if (is_expected || is_merged(last_state(fixture, key, shown->start_us, -1)))
            continue;
        explain(fixture, model, key);
        fail_msg("a session at %lld is none", (long long)shown->start_us);
    }
    count = expect(model, false, list);
    for (uint32_t i = 0; i < count; i++) {
        const struct record_copy *final = last_state(fixture, list[i].key, list[i].start_us, EMIT_FINAL);
        if (!final || final->on_time != list[i].on_time || final->late_accepted ||
            final->end_us != list[i].end_us) {
            explain(fixture, model, list[i].key);
            fail_msg("final at %lld to %lld with %llu events", (long long)list[i].start_us,
                     (long long)list[i].end_us, (unsigned long long)list[i].on_time);
        }
    }
    free(list);
}

/* What was said of each event. */
static void check_counts(const struct fixture *fixture, const struct model *model)
{
    if (fixture->counts.used == model->used && fixture->counts.too_late == model->too_late &&
        fixture->counts.late_accepted == model->late)
        return;
    for (int64_t key = 0; key < KEYS; key++)
        explain(fixture, model, key);
    fail_msg("%llu used, %llu of them late, %llu too late; not %llu, %llu, %llu",
             (unsigned long long)model->used, (unsigned long long)model->late,
             (unsigned long long)model->too_late, (unsigned long long)fixture->counts.used,
             (unsigned long long)fixture->counts.late_accepted, (unsigned long long)fixture->counts.too_late);
}

/* --- runs --------------------------------------------------------------------------------------------------------------- */

struct stream {
    struct event events[FIXTURE_PARTITIONS][EVENTS_MAX];
    uint32_t counts[FIXTURE_PARTITIONS];
    uint32_t partition_count;
    int64_t delay_us;
};

static void make_stream(struct stream *stream, struct random *random)
{
    stream->partition_count = 1 + (uint32_t)random_below(random, 4);
    stream->delay_us = (int64_t)random_below(random, 4) * 3 * SECOND;
    int64_t pace_us = SECOND << random_below(random, 4), grain_us = random_below(random, 2) ? SECOND : 1000;
    for (uint32_t p = 0; p < stream->partition_count; p++) {
        int64_t now_us = 1000 * SECOND;
        stream->counts[p] = (uint32_t)random_below(random, EVENTS_MAX);
        for (uint32_t i = 0; i < stream->counts[p]; i++) {
            now_us += (int64_t)random_below(random, (uint64_t)pace_us) / grain_us * grain_us;
            int64_t back_us = random_below(random, 3) == 0 ? (int64_t)random_below(random, 40) * SECOND : 0;
            stream->events[p][i] = (struct event){.time_us = now_us - back_us,
                                                  .key = INTEGER((int64_t)random_below(random, KEYS)),
                                                  .value = INTEGER((int64_t)random_below(random, 100))};
        }
    }
}

/* Every pane as messages of another process. */
static void carry_by_message(struct fixture *fixture, struct pane *pane)
{
    struct pane_codec codec = {.definition_hash = 7, .message_size_max = 400};
    struct pane_encoder encoder;
    struct slice message;
    pane_encoder_init(&encoder, &codec);
    pane_encode(&encoder, pane);
    while (pane_encoder_next(&encoder, &message)) {
        struct pane *copy = NULL;
        struct error error = {{0}};
        assert_int_equal(window_merger_decode(fixture->merger, &codec, message, &copy, &error), STATUS_OK);
        window_merger_add(fixture->merger, copy, 0);
    }
    pane_encoder_deinit(&encoder);
    pane_destroy(pane);
}

static void run(const struct stream *stream, const struct window_spec *spec, struct random *random)
{
    struct fixture fixture;
    static struct model model;
    fixture_init(&fixture, aggregates, sizeof aggregates / sizeof *aggregates);
    fixture.spec.kind = WINDOW_SESSION;
    fixture.spec.size_us = 0;
    fixture.spec.gap_us = spec->gap_us;
    fixture.spec.max_duration_us = spec->max_duration_us;
    fixture.spec.allowed_lateness_us = spec->allowed_lateness_us;
    fixture.spec.late = spec->late;
    fixture.spec.emit_every_us = spec->emit_every_us;
    fixture_open(&fixture, stream->partition_count,
                 1 + (uint32_t)random_below(random, stream->partition_count));
    if (random_below(random, 2))
        fixture.carry = carry_by_message;
    model = (struct model){.spec = &fixture.spec};
    for (uint32_t p = 0; p < stream->partition_count; p++)
        fixture.watermarks[p].delay_us = stream->delay_us;
    uint32_t next[FIXTURE_PARTITIONS] = {0};
    for (uint32_t left = stream->partition_count; left > 0;) {
        uint32_t p = (uint32_t)random_below(random, stream->partition_count);
        uint32_t room = stream->counts[p] - next[p];
        uint32_t count = 1 + (uint32_t)random_below(random, 12);
        count = count < room ? count : room;
        struct watermark watermark = fixture.watermarks[p];
        fixture_add(&fixture, p, stream->events[p] + next[p], count);
        for (uint32_t i = 0; i < count; i++) {
            const struct event *event = &stream->events[p][next[p] + i];
            tell(&model, p, event, watermark_us(&watermark));
            if (event->time_us > watermark.max_event_time_us)
                watermark.max_event_time_us = event->time_us;
        }
        check_counts(&fixture, &model);
        next[p] += count;
        if (random_below(random, 2))
            fixture_turn(&fixture, spec->emit_every_us && random_below(random, 3) == 0);
        if (spec->emit_every_us)
            (void)window_merger_tick(fixture.merger, &fixture.clock);
        left = 0;
        for (uint32_t i = 0; i < stream->partition_count; i++)
            left += next[i] < stream->counts[i];
    }
    fixture_end(&fixture);
    if (window_merger_stats(fixture.merger).gone_events)
        for (int64_t key = 0; key < KEYS; key++)
            explain(&fixture, &model, key);
    assert_int_equal(window_merger_stats(fixture.merger).gone_events, 0);
    if (!has_equal_ids(&model))
        check_last_states(&fixture, &model);
    struct window_merger_stats stats = window_merger_stats(fixture.merger);
    assert_int_equal(stats.open_windows + stats.held_windows + stats.keys, 0);
    int64_t before_us;
    for (uint32_t p = 0; p < stream->partition_count; p++) {
        assert_true(window_merger_oldest_offset(fixture.merger, p, &before_us) == INT64_MAX);
        for (uint32_t o = 0; o < fixture.operator_count; o++)
            assert_true(window_operator_oldest_offset(fixture.operators[o], p, &before_us) == INT64_MAX);
    }
    fixture_close(&fixture);
}

static void sessions_are_the_components_of_events_that_link(void **state)
{
    (void)state;
    enum { STREAMS = 300 };
    const char *text = getenv("WEIR_SEED"), *many = getenv("WEIR_STREAMS");
    uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    uint64_t streams = many ? strtoull(many, NULL, 10) : STREAMS;
    for (uint64_t i = 0; i < streams; i++) {
        struct random random = random_seeded(seed + i);
        print_message("WEIR_SEED=%llu\n", (unsigned long long)(seed + i));
        static struct stream stream;
        make_stream(&stream, &random);
        struct window_spec spec = {
            .gap_us = (1 + (int64_t)random_below(&random, 10)) * SECOND,
            .max_duration_us = SESSION_DURATION_MAX_US,
            .allowed_lateness_us = (int64_t)random_below(&random, 4) * 5 * SECOND,
            .late = random_below(&random, 5) == 0 ? WINDOW_LATE_DROP : WINDOW_LATE_UPDATE,
            .emit_every_us = random_below(&random, 3) == 0 ? 1 : 0,
        };
        if (random_below(&random, 2))
            spec.max_duration_us = spec.gap_us + (int64_t)random_below(&random, 40) * SECOND;
        run(&stream, &spec, &random);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sessions_are_the_components_of_events_that_link)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
