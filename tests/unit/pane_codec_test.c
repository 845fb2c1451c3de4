/* Panes as messages. Random streams give the same records whether panes go to the merger as they are or through messages of any
 * size, into a process with another hash seed that counts partitions differently on the wire; damaged messages are refused. */
#include <time.h>

#include "base/hash.h"
#include "window/window_internal.h"
#include "window_fixture.h"

enum {
    EVENTS_MAX = 300,
    PARTITIONS = 4,
    AGGREGATE_COUNT = 17,
    TRACE_MAX = 20000,
    DEFINITION = 77,
    HEADER_SIZE = 48,
    CHECKSUM_SIZE = 8,
};
static const char *const aggregates[AGGREGATE_COUNT] = {
    "count",           "count_value",    "sum",      "mean",    "min",  "max",
    "stddev",          "stddev_pop",     "variance", "first",   "last", "median",
    "percentile 99.5", "distinct_count", "top 2",    "top 100", "rate"};

/* --- messages between the operators and the merger ----------------------------------------------------------------------- */

static uint32_t to_wire(void *context, uint32_t partition)
{
    (void)context;
    return 1000 + partition * 3;
}

static uint32_t from_wire(void *context, uint32_t partition)
{
    uint32_t known = *(const uint32_t *)context, index = (partition - 1000) / 3;
    bool is_known = partition >= 1000 && partition % 3 == 1 && index < known;
    return is_known ? index : PANE_PARTITION_UNKNOWN;
}

static size_t message_size_max; /* of carry_by_messages */
static uint32_t messages_per_kind[PANE_MARKS + 1];
static struct window_spec far_spec; /* of the process with the merger */

/* Every message is decoded, and encodes to the same bytes again. */
static void carry_by_messages(struct fixture *fixture, struct pane *pane)
{
    uint32_t known = fixture->spec.partition_count;
    const struct pane_codec sender = {DEFINITION, {to_wire, NULL}, message_size_max},
                            receiver = {DEFINITION, {from_wire, &known}, 0};
    struct pane_encoder encoder, again;
    pane_encoder_init(&encoder, &sender);
    pane_encoder_init(&again, &sender);
    again.codec.message_size_max = SIZE_MAX;
    pane_encode(&encoder, pane);
    struct slice message, same;
    uint32_t count = 0;
    for (; pane_encoder_next(&encoder, &message); count++) {
        struct error error = {""};
        struct pane *decoded;
        enum status status = window_merger_decode(fixture->merger, &receiver, message, &decoded, &error);
        if (status)
            print_error("%s\n", error.text);
        assert_int_equal(status, STATUS_OK);
        messages_per_kind[decoded->kind]++;
        pane_encode(&again, decoded);
        assert_true(pane_encoder_next(&again, &same));
        assert_true(slice_equal(message, same));
        assert_false(pane_encoder_next(&again, &same));
        window_merger_add(fixture->merger, decoded, 0);
    }
    assert_true(count > 0);
    pane_encoder_deinit(&encoder);
    pane_encoder_deinit(&again);
    pane_destroy(pane);
}

/* The merger lives in another process: its keys hash differently. */
static void open_coded(struct fixture *fixture, uint32_t partition_count, uint32_t operator_count,
                       size_t size_max)
{
    fixture_open(fixture, partition_count, operator_count);
    window_merger_destroy(fixture->merger);
    far_spec = fixture->spec;
    far_spec.hash_seed += 12345;
    fixture->merger = window_merger_create(&far_spec, fixture_keep, fixture);
    fixture->carry = carry_by_messages;
    message_size_max = size_max;
}

/* --- random streams ------------------------------------------------------------------------------------------------------- */

struct plan {
    uint64_t seed;
    struct event events[PARTITIONS][EVENTS_MAX];
    uint32_t partition_count, operator_count, recovery_turns;
    enum window_late late;
    uint64_t emit_count, key_limit;
    int64_t emit_every_us;
    int64_t size_us, slide_us; /* sliding windows; slide 0 = tumbling ones */
};

static char long_texts[4][200];

static struct cell random_key(struct random *random)
{
    int64_t number = (int64_t)random_below(random, 5);
    switch (random_below(random, 10)) {
    case 0: return NOTHING;
    case 1: return NUMBER((double)number + 0.5);
    case 2: return NUMBER((double)number);
    case 3: return BOOLEAN(number & 1);
    case 4: return TEXT(number < 2 ? "" : "eight by");
    case 5: return TEXT(long_texts[number % 4]);
    case 6: return (struct cell){.kind = VALUE_JSON, .text = "{\"a\":[1,2,3]}"};
    case 7: return (struct cell){.kind = VALUE_TIMESTAMP, .i = number * 1000003};
    case 8: return TEXT("__overflow__");
    default: return INTEGER(number - 2);
    }
}

static struct cell random_value(struct random *random)
{
    int64_t number = (int64_t)random_below(random, 2000) - 1000;
    switch (random_below(random, 12)) {
    case 0: return NOTHING;
    case 1: return TEXT(long_texts[number & 3]);
    case 2: return TEXT("");
    case 3: return INTEGER(number > 0 ? INT64_MAX : INT64_MIN);
    case 4: return NUMBER(number > 990 ? INFINITY : number > 980 ? NAN : (double)number * 1e305);
    case 5: return NUMBER(-0.0);
    case 6: return BOOLEAN(number & 1);
    case 7: return (struct cell){.kind = VALUE_JSON, .text = "[\"j\"]"};
    case 8: return NUMBER((double)number / 7);
    default: return INTEGER(number);
    }
}

static void make_plan(struct plan *plan, uint64_t seed)
{
    struct random random = random_seeded(seed);
    for (size_t i = 0; i < sizeof long_texts / sizeof *long_texts; i++) {
        memset(long_texts[i], (int)('a' + i), sizeof long_texts[i] - 1);
        long_texts[i][9 + i * 60] = 0;
    }
    plan->seed = seed;
    plan->partition_count = 1 + (uint32_t)random_below(&random, PARTITIONS);
    plan->operator_count = 1 + (uint32_t)random_below(&random, plan->partition_count);
    plan->late = (enum window_late)random_below(&random, 3);
    plan->emit_count = random_below(&random, 3) ? 0 : 1 + random_below(&random, 4);
    plan->emit_every_us = random_below(&random, 3) ? 0 : SECOND;
    plan->key_limit = random_below(&random, 3) ? 1000 : 1 + random_below(&random, 30);
    plan->recovery_turns = random_below(&random, 3) ? 0 : 1 + (uint32_t)random_below(&random, 20);
    plan->size_us = 10 * SECOND;
    plan->slide_us = 0;
    if (random_below(&random, 2)) {
        plan->size_us = (int64_t)(1 + random_below(&random, 20)) * SECOND;
        plan->slide_us = (int64_t)(1 + random_below(&random, 12)) * SECOND;
        plan->emit_count = 0;
        /* Which keys go to the overflow group, also one of that name, depends on the cut of the messages where windows share panes. */
        plan->key_limit = UINT32_MAX;
    }
    bool only_numbers = random_below(&random, 2);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        int64_t now_us = -20 * SECOND;
        for (uint32_t i = 0; i < EVENTS_MAX; i++) {
            now_us += (int64_t)random_below(&random, SECOND);
            int64_t back_us = random_below(&random, 8) ? 0 : (int64_t)random_below(&random, 40 * SECOND);
            struct cell key = random_key(&random), value = random_value(&random);
            if (only_numbers && value.kind != VALUE_INT && value.kind != VALUE_DOUBLE)
                value = INTEGER(i);
            if (plan->slide_us && key.kind == VALUE_STRING && strcmp(key.text, "__overflow__") == 0)
                key = INTEGER(7);
            plan->events[p][i] = (struct event){(now_us - back_us) / SECOND * SECOND, key, value};
        }
    }
}

/* Oldest offsets after every turn, where recovery would begin. */
struct trace {
    int64_t values[TRACE_MAX];
    uint32_t count;
};

static void note(struct trace *trace, int64_t value)
{
    assert_true(trace->count < TRACE_MAX);
    trace->values[trace->count++] = value;
}

static void turn(struct fixture *fixture, struct trace *trace, bool flush_open)
{
    fixture_turn(fixture, flush_open);
    fixture->clock.fixed_us += SECOND / 3;
    note(trace, window_merger_tick(fixture->merger, &fixture->clock));
    for (uint32_t p = 0; p < fixture->spec.partition_count; p++) {
        int64_t watermark_us;
        note(trace, window_merger_oldest_offset(fixture->merger, p, &watermark_us));
        note(trace, watermark_us);
    }
}

static void run_plan(struct fixture *fixture, const struct plan *plan, bool is_coded, size_t size_max,
                     struct trace *trace)
{
    struct random random = random_seeded(plan->seed + 1);
    fixture_init(fixture, aggregates, AGGREGATE_COUNT);
    fixture->spec.late = plan->late;
    fixture->spec.kind = plan->slide_us ? WINDOW_SLIDING : WINDOW_TUMBLING;
    fixture->spec.size_us = plan->size_us;
    fixture->spec.slide_us = plan->slide_us;
    fixture->spec.emit_count = plan->emit_count;
    fixture->spec.emit_every_us = plan->emit_every_us;
    fixture->spec.key_limit = plan->key_limit;
    if (is_coded)
        open_coded(fixture, plan->partition_count, plan->operator_count, size_max);
    else
        fixture_open(fixture, plan->partition_count, plan->operator_count);
    fixture->is_replay = plan->recovery_turns > 0;
    if (fixture->is_replay)
        window_merger_recover(fixture->merger, -10 * SECOND);
    uint32_t next[PARTITIONS] = {0}, turns = 0;
    for (uint32_t batches = 0; batches < 60; batches++) {
        uint32_t p = (uint32_t)random_below(&random, plan->partition_count),
                 size = 1 + (uint32_t)random_below(&random, 50);
        size = size < EVENTS_MAX - next[p] ? size : EVENTS_MAX - next[p];
        if (size)
            fixture_add(fixture, p, &plan->events[p][next[p]], size);
        next[p] += size;
        if (random_below(&random, 2))
            continue;
        turn(fixture, trace, random_below(&random, 3) == 0);
        if (++turns == plan->recovery_turns) {
            window_merger_go_live(fixture->merger);
            fixture->is_replay = false;
        }
    }
    window_merger_go_live(fixture->merger);
    fixture_end(fixture);
}

static void expect_same(const struct fixture *a, const struct trace *trace_a, const struct fixture *b,
                        const struct trace *trace_b, const struct plan *plan, size_t size_max)
{
    struct window_merger_stats stats_a = window_merger_stats(a->merger),
                               stats_b = window_merger_stats(b->merger);
    bool is_same = a->record_count == b->record_count && stats_a.gone_events == stats_b.gone_events &&
                   stats_a.overflow_events == stats_b.overflow_events && trace_a->count == trace_b->count;
    for (uint32_t i = 0; is_same && i < trace_a->count; i++)
        is_same = trace_a->values[i] == trace_b->values[i];
    for (size_t i = 0; i < a->record_count && i < b->record_count; i++) {
        const char *want = a->records[i].json, *got = b->records[i].json;
        if (strcmp(want, got) != 0) {
            print_error("record %zu\nwant %s\ngot  %s\n", i, want, got);
            is_same = false;
            break;
        }
    }
    if (!is_same)
        print_error("WEIR_TEST_SEED=%llu, messages of %zu bytes, %zu and %zu records\n",
                    (unsigned long long)plan->seed, size_max, a->record_count, b->record_count);
    assert_true(is_same);
}

static void results_are_the_same_through_messages_of_any_size(void **state)
{
    (void)state;
    const char *chosen = getenv("WEIR_TEST_SEED");
    uint64_t seed = chosen ? strtoull(chosen, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed %llu (WEIR_TEST_SEED sets it)\n", (unsigned long long)seed);
    static struct plan plan;
    static struct trace direct_trace, coded_trace;
    static const size_t sizes[] = {1, 150, 700, 3000, 0};
    memset(messages_per_kind, 0, sizeof messages_per_kind);
    for (uint64_t round = 0; round < 40; round++) {
        make_plan(&plan, seed + round);
        size_t size_max = sizes[round % (sizeof sizes / sizeof *sizes)];
        struct fixture direct, coded;
        direct_trace.count = coded_trace.count = 0;
        run_plan(&direct, &plan, false, 0, &direct_trace);
        run_plan(&coded, &plan, true, size_max, &coded_trace);
        assert_true(direct.record_count > 0);
        expect_same(&direct, &direct_trace, &coded, &coded_trace, &plan, size_max);
        fixture_close(&direct);
        fixture_close(&coded);
    }
    for (uint32_t kind = PANE_ON_TIME; kind <= PANE_MARKS; kind++)
        assert_true(messages_per_kind[kind] > 0);
}

/* --- single aggregates ---------------------------------------------------------------------------------------------------- */

/* Two partitions, so that loaded states are merged, too. */
static void run_values(struct fixture *fixture, bool is_coded, const char *name, const struct cell *values,
                       uint32_t count)
{
    fixture_init(fixture, &name, 1);
    if (is_coded)
        open_coded(fixture, 2, 2, 1);
    else
        fixture_open(fixture, 2, 2);
    for (uint32_t i = 0; i < count; i++) {
        struct event event = {.time_us = 7, .key = TEXT("k"), .value = values[i]};
        fixture_add(fixture, i % 2, &event, 1);
    }
    fixture_end(fixture);
    assert_int_equal(fixture->record_count, 1);
}

static void every_aggregate_comes_back_from_its_bytes(void **state)
{
    (void)state;
    static const char long_text[] = "a text that is longer than any unit of room for text in a pane";
    const struct cell lists[][6] = {
        {INTEGER(INT64_MAX), INTEGER(INT64_MAX), INTEGER(INT64_MAX), INTEGER(INT64_MAX), INTEGER(3)},
        {INTEGER(INT64_MIN), INTEGER(INT64_MIN), INTEGER(INT64_MIN), INTEGER(-1)},
        {NUMBER(1.5), NUMBER(1e100), NUMBER(1.5), NUMBER(-1e100)},
        {NUMBER(1.7e308), NUMBER(1.7e308), NUMBER(-1.7e308), NUMBER(-1.7e308), NUMBER(1)},
        {INTEGER(1), NUMBER(0.5), INTEGER(INT64_MAX), NUMBER(-0.0)},
        {NUMBER(INFINITY), INTEGER(1), NUMBER(2.5)},
        {NUMBER(-0.0), NUMBER(0.0)},
        {NOTHING, NUMBER(NAN), NOTHING},
        {TEXT(long_text), TEXT("b"), TEXT(""), BOOLEAN(1)},
        {TEXT(""), TEXT(""), TEXT("short")},
        {BOOLEAN(0), TEXT("x"), INTEGER(4), NUMBER(4.25)},
        {NUMBER(1e9 + 0.1), NUMBER(1e9 + 0.2), NUMBER(1e9 + 0.3), NUMBER(1e9 + 0.7)},
    };
    for (size_t a = 0; a < AGGREGATE_COUNT; a++) {
        for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
            struct fixture direct, coded;
            run_values(&direct, false, aggregates[a], lists[l], 6);
            run_values(&coded, true, aggregates[a], lists[l], 6);
            if (strcmp(direct.records[0].json, coded.records[0].json) != 0)
                print_error("list %zu of %s\n", l, aggregates[a]);
            assert_string_equal(direct.records[0].json, coded.records[0].json);
            fixture_close(&direct);
            fixture_close(&coded);
        }
    }
}

/* --- messages of one pane ------------------------------------------------------------------------------------------------- */

/* Keys 0, 1, 2, ... with the value as text for last(), in one pane of one operator. */
static struct pane *make_pane(struct fixture *fixture, uint32_t count, const char *text)
{
    static const char *const names[] = {"count", "sum", "min", "last"};
    fixture_init(fixture, names, 4);
    fixture_open(fixture, 1, 1);
    for (uint32_t i = 0; i < count; i++) {
        struct event event = {.time_us = SECOND + (int64_t)i,
                              .key = i % 2 ? INTEGER((int64_t)i / 2) : TEXT(i ? "a long key" : "k"),
                              .value = i % 2 ? INTEGER(i) : TEXT(text)};
        fixture_add(fixture, 0, &event, 1);
    }
    struct pane *pane = window_operator_take(fixture->operators[0], TIME_MAX, false);
    assert_non_null(pane);
    return pane;
}

static void row_of_a_long_value_has_a_message_alone_and_all_others_keep_the_limit(void **state)
{
    (void)state;
    enum { LIMIT = 600, ROWS = 200 };
    struct fixture fixture;
    char *text = memory_allocate(2000);
    memset(text, 'x', 1999);
    struct pane *pane = make_pane(&fixture, ROWS, text);
    const struct pane_codec codec = {DEFINITION, {0}, LIMIT};
    struct pane_encoder encoder;
    pane_encoder_init(&encoder, &codec);
    pane_encode(&encoder, pane);
    uint32_t rows = 0, longer = 0, messages = 0;
    for (struct slice message; pane_encoder_next(&encoder, &message); messages++) {
        struct pane *part;
        assert_int_equal(window_merger_decode(fixture.merger, &codec, message, &part, NULL), STATUS_OK);
        assert_int_equal(part->origin_count, 1);
        assert_true(message.size <= LIMIT || part->row_count == 1);
        longer += message.size > LIMIT;
        rows += part->row_count;
        pane_destroy(part);
    }
    assert_int_equal(rows, pane->row_count);
    assert_int_equal(longer, 2); /* "k" and "a long key" */
    assert_true(messages > 2 && messages < 20);
    pane_encoder_deinit(&encoder);
    pane_destroy(pane);
    free(text);
    fixture_close(&fixture);
}

static void marks_and_many_origins_go_ahead_of_the_rows(void **state)
{
    (void)state;
    enum { ORIGINS = 1000, MARKS = 500, LIMIT = 900 };
    struct fixture fixture;
    struct pane *pane = make_pane(&fixture, 20, "v");
    fixture.spec.partition_count = ORIGINS;
    for (uint32_t i = 0; i < ORIGINS; i++)
        pane_note_origin(pane, &(struct pane_origin){i, i ? 1000 - (int64_t)i : 0, TIME_NONE});
    for (uint32_t i = 0; i < MARKS; i++)
        pane_note_mark(pane, ((int64_t)i - 100) * 11 * SECOND);
    const struct pane_codec codec = {DEFINITION, {0}, LIMIT};
    struct pane_encoder encoder;
    pane_encoder_init(&encoder, &codec);
    pane_encode(&encoder, pane);
    struct pane *whole = pane_create(pane->pool, PANE_ON_TIME, pane->start_us, 0);
    uint32_t rows = 0, mark = 0, mark_count = pane->mark_count;
    for (struct slice message; pane_encoder_next(&encoder, &message);) {
        struct pane *part;
        assert_true(message.size <= LIMIT);
        assert_int_equal(window_merger_decode(fixture.merger, &codec, message, &part, NULL), STATUS_OK);
        for (uint32_t i = 0; i < part->mark_count; i++)
            assert_int_equal(part->marks[i], pane->marks[mark++]);
        for (uint32_t i = 0; i < part->origin_count; i++)
            pane_note_origin(whole, &part->origins[i]);
        assert_true(part->origin_count == 0 || mark == mark_count);
        assert_true(part->row_count == 0 || whole->origin_count == ORIGINS);
        assert_true(mark == mark_count || part->kind == PANE_MARKS);
        rows += part->row_count;
        pane_destroy(part);
    }
    assert_int_equal(rows, pane->row_count);
    assert_int_equal(mark, mark_count);
    for (uint32_t i = 0; i < ORIGINS; i++)
        assert_memory_equal(&whole->origins[i].offset, &pane->origins[i].offset, sizeof(int64_t));
    pane_encoder_deinit(&encoder);
    pane_destroy(whole);
    pane_destroy(pane);
    fixture_close(&fixture);
}

/* --- damage --------------------------------------------------------------------------------------------------------------- */

static void seal(char *bytes, size_t size)
{
    uint64_t checksum = hash_bytes(bytes, size - CHECKSUM_SIZE, 0);
    for (uint32_t i = 0; i < CHECKSUM_SIZE; i++)
        bytes[size - CHECKSUM_SIZE + i] = (char)(checksum >> i * 8);
}

/* A sealed message of a pane with every part; the caller frees it. */
static char *make_message(struct fixture *fixture, size_t *size)
{
    struct pane *pane = make_pane(fixture, 30, "some value of more than eight bytes");
    pane_note_mark(pane, 5 * SECOND);
    pane_note_mark(pane, 25 * SECOND);
    const struct pane_codec codec = {.definition_hash = DEFINITION};
    struct pane_encoder encoder;
    struct slice message;
    pane_encoder_init(&encoder, &codec);
    pane_encode(&encoder, pane);
    assert_true(pane_encoder_next(&encoder, &message));
    char *copy = memory_copy_text(message.data, message.size);
    *size = message.size;
    pane_encoder_deinit(&encoder);
    pane_destroy(pane);
    return copy;
}

static enum status decode(struct fixture *fixture, const char *bytes, size_t size, struct error *error)
{
    const struct pane_codec codec = {.definition_hash = DEFINITION};
    struct pane *pane = NULL;
    char *exact = malloc(size); /* so that a sanitizer sees a read behind the end */
    memcpy(exact, bytes, size);
    enum status status =
        window_merger_decode(fixture->merger, &codec, (struct slice){exact, size}, &pane, error);
    free(exact);
    assert_int_equal(pane != NULL, status == STATUS_OK);
    pane_destroy(pane);
    return status;
}

static void message_that_is_cut_or_flipped_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    size_t size;
    char *bytes = make_message(&fixture, &size);
    struct error error;
    assert_int_equal(decode(&fixture, bytes, size, &error), STATUS_OK);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(decode(&fixture, bytes, cut, &error), STATUS_INVALID);
    assert_non_null(strstr(error.text, "damaged"));
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(decode(&fixture, bytes, size, &error), STATUS_INVALID);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    free(bytes);
    fixture_close(&fixture);
}

/* Changes that have a checksum that fits: lies, not damage. What is decoded must also be fit for merging. */
static void sealed_lies_are_refused_or_are_panes(void **state)
{
    (void)state;
    struct fixture fixture;
    size_t size;
    char *bytes = make_message(&fixture, &size), *lie = malloc(size);
    const struct pane_codec codec = {.definition_hash = DEFINITION};
    uint32_t accepted = 0, refused = 0;
    for (size_t bit = 0; bit < (size - CHECKSUM_SIZE) * 8; bit++) {
        memcpy(lie, bytes, size);
        lie[bit / 8] = (char)(lie[bit / 8] ^ 1 << bit % 8);
        seal(lie, size);
        struct pane *pane;
        if (window_merger_decode(fixture.merger, &codec, (struct slice){lie, size}, &pane, NULL)) {
            refused++;
            continue;
        }
        accepted++;
        window_merger_add(fixture.merger, pane, 0);
    }
    window_merger_advance(fixture.merger, TIME_MAX, CLOSED_BY_END_OF_INPUT, &fixture.clock);
    assert_true(accepted > 100 && refused > 500);
    for (size_t cut = HEADER_SIZE + CHECKSUM_SIZE; cut < size; cut++) {
        memcpy(lie, bytes, cut);
        seal(lie, cut);
        assert_int_equal(decode(&fixture, lie, cut, NULL), STATUS_INVALID);
    }
    free(lie);
    free(bytes);
    fixture_close(&fixture);
}

static void error_says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *bytes;
        uint32_t size;
        const char *says;
    } cases[] = {
        {0, "x", 1, "no message with a pane"},
        {3, "\x02", 1, "format version 2, this process reads version 1"},
        {8, "\x01", 1, "another definition of pipeline \"p\""},
        {4, "\x09", 1, "unknown kind of pane"},
        {4, "\x04", 1, "its window or its counts"}, /* marks with rows */
        {5, "\x02", 1, "unknown kind of pane"},
        {6, "\x01", 1, "unknown kind of pane"},
        {16, "\x01", 1, "its window or its counts"}, /* not aligned */
        {16, "\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\0\x80", 16, "its window or its counts"},
        {16, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8, "its window or its counts"},
        {32, "\xff\xff\xff\xff", 4, "its window or its counts"}, /* rows */
        {36, "\xff\xff\xff\x7f", 4, "its window or its counts"}, /* overflow row */
        {36, "\x01", 1, "overflow row has another key"},
        {40, "\xff\xff\xff\xff", 4, "its window or its counts"}, /* origins */
        {44, "\xff\xff\xff\xff", 4, "its window or its counts"}, /* marks */
        {48, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, "a mark is none"},
        {48, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, "a mark is out of range"},
        {55, "\x05", 1, "partition that this process does not know"},
    };
    struct fixture fixture;
    size_t size;
    char *bytes = make_message(&fixture, &size), *lie = malloc(size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {""};
        memcpy(lie, bytes, size);
        memcpy(lie + cases[i].at, cases[i].bytes, cases[i].size);
        seal(lie, size);
        assert_int_equal(decode(&fixture, lie, size, &error), STATUS_INVALID);
        if (!strstr(error.text, cases[i].says))
            print_error("case %zu: %s\n", i, error.text);
        assert_non_null(strstr(error.text, cases[i].says));
    }
    free(lie);
    free(bytes);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_the_same_through_messages_of_any_size),
        cmocka_unit_test(every_aggregate_comes_back_from_its_bytes),
        cmocka_unit_test(row_of_a_long_value_has_a_message_alone_and_all_others_keep_the_limit),
        cmocka_unit_test(marks_and_many_origins_go_ahead_of_the_rows),
        cmocka_unit_test(message_that_is_cut_or_flipped_is_refused),
        cmocka_unit_test(sealed_lies_are_refused_or_are_panes),
        cmocka_unit_test(error_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
