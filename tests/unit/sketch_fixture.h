/* One window over many values, brought to the merger in many ways: what the tests of sketches share. */
#pragma once

#include <time.h>

#include "window/pane_codec.h"
#include "window/window_internal.h"
#include "window_fixture.h"

enum { VALUES = 20000, PARTS = 1000 };

static inline uint64_t test_seed(void)
{
    const char *chosen = getenv("WEIR_TEST_SEED");
    uint64_t seed = chosen ? strtoull(chosen, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed %llu (WEIR_TEST_SEED sets it)\n", (unsigned long long)seed);
    return seed;
}

/* --- one window over many values ------------------------------------------------------------------------------------------ */

/* How the values come to the merger. */
struct way {
    uint32_t partition_count, operator_count;
    uint32_t part_count; /* panes that the merger gets at least: open ones are flushed so often */
    uint64_t emit_count;
    bool is_coded;
};

/* A pane goes as messages, which encode to the same bytes again. */
static inline void carry_by_messages(struct fixture *fixture, struct pane *pane)
{
    const struct pane_codec codec = {.definition_hash = 5};
    struct pane_encoder encoder, again;
    pane_encoder_init(&encoder, &codec);
    pane_encoder_init(&again, &codec);
    again.codec.message_size_max = SIZE_MAX;
    pane_encode(&encoder, pane);
    for (struct slice message, same; pane_encoder_next(&encoder, &message);) {
        struct error error = {""};
        struct pane *decoded;
        if (window_merger_decode(fixture->merger, &codec, message, &decoded, &error))
            fail_msg("%s", error.text);
        pane_encode(&again, decoded);
        assert_true(pane_encoder_next(&again, &same));
        assert_true(slice_equal(message, same));
        window_merger_add(fixture->merger, decoded, 0);
    }
    pane_encoder_deinit(&encoder);
    pane_encoder_deinit(&again);
    pane_destroy(pane);
}

/* The last record of the window: final, with all values. */
static inline const struct record_copy *run(struct fixture *fixture, const char *const *names,
                                            uint32_t name_count, const struct cell *values, uint32_t count,
                                            const struct way *way)
{
    fixture_init(fixture, names, name_count);
    fixture->spec.emit_count = way->emit_count;
    fixture_open(fixture, way->partition_count, way->operator_count);
    if (way->is_coded)
        fixture->carry = carry_by_messages;
    struct event *events = memory_allocate_array(count, sizeof *events);
    uint32_t size = count / way->part_count + 1;
    for (uint32_t first = 0, part = 0; first < count; first += size, part++) {
        uint32_t part_size = count - first < size ? count - first : size;
        for (uint32_t i = 0; i < part_size; i++)
            events[i] = (struct event){.time_us = 7, .key = TEXT("k"), .value = values[first + i]};
        fixture_add(fixture, part % way->partition_count, events, part_size);
        if (way->part_count > 1)
            fixture_turn(fixture, true);
    }
    free(events);
    fixture_end(fixture);
    assert_true(fixture->record_count > 0);
    const struct record_copy *record = &fixture->records[fixture->record_count - 1];
    assert_int_equal(record->emit, EMIT_FINAL);
    assert_int_equal(record->on_time, count);
    return record;
}

static const struct way whole = {1, 1, 1, 0, false};

static inline void shuffle(struct random *random, struct cell *values, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)random_below(random, i);
        struct cell value = values[i - 1];
        values[i - 1] = values[other];
        values[other] = value;
    }
}

/* The text of the values of a record, which the caller frees. */
static inline char *values_text(const struct record_copy *record)
{
    const char *start = strstr(record->json, "\"values\":"), *end = strstr(record->json, ",\"emit\"");
    assert_true(start && end);
    return memory_copy_text(start, (size_t)(end - start));
}

/* The values in other orders, splits and encodings give the same bytes. */
static inline void expect_same_by_all_ways(const char *const *names, uint32_t name_count, struct cell *values,
                                           uint32_t count, struct random *random)
{
    static const struct way ways[] = {{4, 2, 1, 0, false}, {8, 8, PARTS, 0, false}, {3, 3, 7, 0, true},
                                      {2, 1, 40, 0, true}, {1, 1, 1, 3, false},     {4, 4, 30, 50, true}};
    struct fixture fixture;
    char *want = values_text(run(&fixture, names, name_count, values, count, &whole));
    fixture_close(&fixture);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        shuffle(random, values, count);
        char *got = values_text(run(&fixture, names, name_count, values, count, &ways[w]));
        if (strcmp(want, got) != 0)
            print_error("way %zu of %u values\nwant %s\ngot  %s\n", w, count, want, got);
        assert_string_equal(want, got);
        free(got);
        fixture_close(&fixture);
    }
    free(want);
}
