/* Windows on a bench: rows are written down as events, cut into batches at will, and what the merger emits is kept. */
#pragma once

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "window/window.h"

enum { FIXTURE_PARTITIONS = 8, FIXTURE_COLUMNS = 4 };
#define SECOND INT64_C(1000000)

/* A value of a row; text is copied into the batch. */
struct cell {
    enum value_kind kind;
    int64_t i;
    double d;
    const char *text;
};
#define NOTHING    ((struct cell){.kind = VALUE_NULL})
#define INTEGER(x) ((struct cell){.kind = VALUE_INT, .i = (x)})
#define NUMBER(x)  ((struct cell){.kind = VALUE_DOUBLE, .d = (x)})
#define TEXT(x)    ((struct cell){.kind = VALUE_STRING, .text = (x)})
#define BOOLEAN(x) ((struct cell){.kind = VALUE_BOOL, .i = (x)})

struct event {
    int64_t time_us;
    struct cell key, value;
};

/* An emitted record, out of its block. */
struct record_copy {
    int64_t start_us, end_us, watermark_us;
    enum emit_kind emit;
    enum close_cause cause;
    uint32_t revision;
    uint64_t on_time, late_accepted, late_dropped, type_errors;
    char *key, *json;
    double values[RESULT_MAX_AGGREGATES];
    uint8_t kinds[RESULT_MAX_AGGREGATES];
};

struct fixture {
    struct result_shape shape;
    struct window_spec spec;
    struct window_operator *operators[FIXTURE_PARTITIONS];
    uint32_t operator_count;
    struct window_merger *merger;
    struct watermark watermarks[FIXTURE_PARTITIONS];
    int64_t offsets[FIXTURE_PARTITIONS];
    struct window_counts counts;
    struct record_copy *records;
    size_t record_count;
    struct clock clock;
    bool is_replay;
    /* Brings panes to the merger in another way than window_merger_add. */
    void (*carry)(struct fixture *fixture, struct pane *pane);
};

static void fixture_keep(void *context, struct result_block *block)
{
    struct fixture *fixture = context;
    result_block_encode(block);
    for (uint32_t r = 0; r < block->row_count; r++) {
        fixture->records =
            memory_resize_array(fixture->records, fixture->record_count + 1, sizeof *fixture->records);
        struct record_copy *record = &fixture->records[fixture->record_count++];
        struct slice json = result_block_json(block, r), key = result_block_key_json(block, r);
        *record = (struct record_copy){
            .start_us = block->window_starts_us[r],
            .end_us = block->window_ends_us[r],
            .watermark_us = block->watermarks_us[r],
            .emit = (enum emit_kind)block->emits[r],
            .cause = (enum close_cause)block->causes[r],
            .revision = block->revisions[r],
            .on_time = block->on_time[r],
            .late_accepted = block->late_accepted[r],
            .late_dropped = block->late_dropped[r],
            .type_errors = block->type_errors[r],
            .key = memory_copy_text(key.data, key.size),
            .json = memory_copy_text(json.data, json.size),
        };
        for (uint32_t v = 0; v < block->shape->value_count; v++) {
            record->kinds[v] = block->values[v].kinds[r];
            union value value = block->values[v].values[r];
            record->values[v] = record->kinds[v] == VALUE_DOUBLE ? value.d : (double)value.i;
        }
    }
    result_block_release(block);
}

/* `aggregates`: names such as "sum" or "percentile 95"; "count" and "rate" alone are count() and rate(), all others take the value
 * column. */
static inline void fixture_init(struct fixture *fixture, const char *const *aggregates,
                                uint32_t aggregate_count)
{
    *fixture = (struct fixture){.clock = clock_manual(1000)};
    fixture->shape = (struct result_shape){
        .pipeline = "p", .key_count = 1, .key_names = {"k"}, .value_count = aggregate_count};
    fixture->spec = (struct window_spec){
        .size_us = 10 * SECOND,
        .allowed_lateness_us = 10 * SECOND,
        .key_limit = 1000000,
        .aggregate_count = aggregate_count,
        .input_count = 1,
        .partition_count = 1,
        .hash_seed = 42,
    };
    for (uint32_t i = 0; i < aggregate_count; i++) {
        struct window_aggregate *aggregate = &fixture->spec.aggregates[i];
        uint32_t takes_value = strcmp(aggregates[i], "count") != 0 && strcmp(aggregates[i], "rate") != 0;
        struct slice name = slice_of(strcmp(aggregates[i], "count_value") == 0 ? "count" : aggregates[i]);
        const char *space = strchr(aggregates[i], ' ');
        if (space)
            name.size = (size_t)(space - aggregates[i]);
        struct error error;
        fixture->shape.value_names[i] = aggregates[i];
        aggregate->kind = aggregate_kind_find(name, takes_value + (space ? 1U : 0U), &error);
        aggregate->input = takes_value ? 0 : -1;
        assert_non_null(aggregate->kind);
        assert_true(aggregate_kind_read_parameter(aggregate->kind, slice_of(space ? space + 1 : ""),
                                                  &aggregate->parameter, &error));
    }
}

/* After the spec has been adjusted. Partition p goes to operator p % operator_count. */
static inline void fixture_open(struct fixture *fixture, uint32_t partition_count, uint32_t operator_count)
{
    fixture->spec.shape = &fixture->shape;
    fixture->spec.partition_count = partition_count;
    fixture->operator_count = operator_count;
    for (uint32_t i = 0; i < operator_count; i++)
        fixture->operators[i] = window_operator_create(&fixture->spec);
    for (uint32_t i = 0; i < partition_count; i++)
        fixture->watermarks[i] = (struct watermark){0, TIME_NONE};
    fixture->merger = window_merger_create(&fixture->spec, fixture_keep, fixture);
}

static inline void fixture_forget(struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->record_count; i++) {
        free(fixture->records[i].key);
        free(fixture->records[i].json);
    }
    fixture->record_count = 0;
}

static inline void fixture_close(struct fixture *fixture)
{
    for (uint32_t i = 0; i < fixture->operator_count; i++)
        window_operator_destroy(fixture->operators[i]);
    window_merger_destroy(fixture->merger);
    fixture_forget(fixture);
    free(fixture->records);
}

static inline void fixture_set(struct batch *batch, uint32_t column, uint32_t row, const struct cell *cell)
{
    union value value = {.i = cell->i};
    if (cell->kind == VALUE_DOUBLE)
        value.d = cell->d;
    if (cell->kind == VALUE_STRING || cell->kind == VALUE_JSON) {
        uint32_t size = (uint32_t)strlen(cell->text);
        uint32_t offset = batch_reserve_side(batch, size);
        memcpy(batch->bytes + offset, cell->text, size);
        value.s = (struct text_reference){offset, size};
    }
    batch->columns[column].kinds[row] = (uint8_t)cell->kind;
    batch->columns[column].values[row] = value;
    batch->columns[column].kind_mask |= value_kind_bit(cell->kind);
}

/* One batch of one partition. */
static inline void fixture_add(struct fixture *fixture, uint32_t partition, const struct event *events,
                               uint32_t count)
{
    struct batch *batch = batch_create();
    for (uint32_t i = 0; i < count; i++)
        *batch_add_record(batch) = (struct record){.offset = fixture->offsets[partition] + i};
    batch_prepare_columns(batch, 2);
    batch->row_count = count;
    batch->is_replay = fixture->is_replay;
    uint32_t *rows = memory_allocate_array(count, sizeof *rows),
             *too_late = memory_allocate_array(count, sizeof *rows);
    int64_t *before_us = memory_allocate_array(count, sizeof *before_us);
    for (uint32_t i = 0; i < count; i++) {
        rows[i] = i;
        batch->event_times_us[i] = events[i].time_us;
        batch->offsets[i] = fixture->offsets[partition]++;
        fixture_set(batch, 0, i, &events[i].key);
        fixture_set(batch, 1, i, &events[i].value);
    }
    watermark_advance(&fixture->watermarks[partition], batch, before_us);
    struct window_rows input = {
        .batch = batch,
        .rows = rows,
        .row_count = count,
        .watermarks_us = before_us,
        .watermark_after_us = watermark_us(&fixture->watermarks[partition]),
        .keys = &batch->columns[0],
        .inputs = &batch->columns[1],
        .partition = partition,
    };
    uint32_t too_late_count = 0;
    uint64_t too_late_before = fixture->counts.too_late;
    window_operator_add(fixture->operators[partition % fixture->operator_count], &input, &fixture->counts,
                        too_late, &too_late_count);
    assert_int_equal(too_late_count, fixture->counts.too_late - too_late_before);
    free(rows);
    free(too_late);
    free(before_us);
    batch_destroy(batch);
}

static inline int64_t fixture_watermark(const struct fixture *fixture, uint32_t operator_index)
{
    int64_t smallest_us = TIME_MAX;
    for (uint32_t p = 0; p < fixture->spec.partition_count; p++) {
        int64_t now_us = watermark_us(&fixture->watermarks[p]);
        if ((operator_index == UINT32_MAX || p % fixture->operator_count == operator_index) &&
            now_us < smallest_us)
            smallest_us = now_us;
    }
    return smallest_us;
}

static inline void fixture_merge(struct fixture *fixture, struct pane *pane)
{
    if (fixture->carry)
        fixture->carry(fixture, pane);
    else
        window_merger_add(fixture->merger, pane, 0);
}

/* Moves panes of every operator; then the watermark of all partitions. */
static inline void fixture_turn(struct fixture *fixture, bool flush_open)
{
    for (uint32_t i = 0; i < fixture->operator_count; i++) {
        int64_t now_us = fixture_watermark(fixture, i);
        for (struct pane *pane; (pane = window_operator_take(fixture->operators[i], now_us, flush_open));)
            fixture_merge(fixture, pane);
    }
    window_merger_advance(fixture->merger, fixture_watermark(fixture, UINT32_MAX), CLOSED_BY_WATERMARK,
                          &fixture->clock);
}

static inline void fixture_end(struct fixture *fixture)
{
    fixture_turn(fixture, false);
    for (uint32_t i = 0; i < fixture->operator_count; i++) {
        for (struct pane *pane; (pane = window_operator_take(fixture->operators[i], TIME_MAX, false));)
            fixture_merge(fixture, pane);
    }
    window_merger_advance(fixture->merger, TIME_MAX, CLOSED_BY_END_OF_INPUT, &fixture->clock);
}

/* One after the other, with a turn behind each. */
static inline void fixture_add_each(struct fixture *fixture, uint32_t partition, const struct event *events,
                                    uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        fixture_add(fixture, partition, &events[i], 1);
        fixture_turn(fixture, false);
    }
}
#define ADD(fixture, partition, ...)                                          \
    fixture_add_each(fixture, partition, (const struct event[]){__VA_ARGS__}, \
                     sizeof((const struct event[]){__VA_ARGS__}) / sizeof(struct event))
