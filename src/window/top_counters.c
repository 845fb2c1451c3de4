/* Counters for top(x, k). See top_counters.h. */
#include "window/top_counters.h"

#include <assert.h>
#include <stdlib.h>

#include "window/pane_wire.h"

enum { FIRST_TABLE_LOG2 = 2, SKETCH_CLASS = TOP_SKETCH_WIDTH_LOG2 };
_Static_assert(sizeof(struct top_counter) == PANE_BLOCK_UNIT_SIZE,
               "a table of 2^n counters is a block of class n");
_Static_assert(PANE_BLOCK_UNIT_SIZE << SKETCH_CLASS == TOP_SKETCH_ROWS * TOP_SKETCH_WIDTH * sizeof(uint64_t),
               "a block of this class is a sketch");
_Static_assert(TOP_EXACT_MAX * 4 == (3 << TOP_TABLE_LOG2), "a table is full at three quarters");

static struct top_counter *counters_of(const struct pane *pane, const struct top_state *state)
{
    return pane_blocks_at(&pane->blocks, state->table);
}

/* --- the sketch --------------------------------------------------------------------------------------------------------- */

static inline size_t sketch_place(uint64_t hash, uint32_t row)
{
    return (size_t)row * TOP_SKETCH_WIDTH + (hash >> row * TOP_SKETCH_WIDTH_LOG2 & (TOP_SKETCH_WIDTH - 1));
}

static void sketch_add(const struct pane *pane, const struct top_state *state, uint64_t hash, uint64_t count)
{
    uint64_t *sketch = pane_blocks_at(&pane->blocks, state->sketch);
    for (uint32_t row = 0; row < TOP_SKETCH_ROWS; row++)
        sketch[sketch_place(hash, row)] += count;
}

/* From now on the sketch counts; so far the counters were exact. */
static void begin_sketch(struct pane *pane, struct top_state *state)
{
    state->sketch = pane_blocks_take(&pane->blocks, SKETCH_CLASS);
    for (uint32_t i = 0; i < top_state_place_count(state); i++) {
        const struct top_counter *counter = top_state_counter(pane, state, i);
        if (counter->count)
            sketch_add(pane, state, counter->hash, counter->count);
    }
}

uint64_t top_state_count(const struct pane *pane, const struct top_state *state,
                         const struct top_counter *counter)
{
    if (!state->sketch)
        return counter->count;
    const uint64_t *sketch = pane_blocks_at(&pane->blocks, state->sketch);
    uint64_t least = UINT64_MAX;
    for (uint32_t row = 0; row < TOP_SKETCH_ROWS; row++) {
        uint64_t count = sketch[sketch_place(counter->hash, row)];
        least = count < least ? count : least;
    }
    return least > state->count / TOP_SHARE ? least : 0;
}

/* --- the table ---------------------------------------------------------------------------------------------------------- */

/* The counter of the hash, or the free place where it would be. The bits above those that the sketch takes choose. */
static struct top_counter *find_place(const struct pane *pane, const struct top_state *state, uint64_t hash)
{
    struct top_counter *counters = counters_of(pane, state);
    uint32_t mask = (UINT32_C(1) << state->table_log2) - 1;
    uint32_t place = (uint32_t)(hash >> TOP_SKETCH_ROWS * TOP_SKETCH_WIDTH_LOG2) & mask;
    while (counters[place].count && counters[place].hash != hash)
        place = (place + 1) & mask;
    return &counters[place];
}

static void give_text(struct pane *pane, const struct top_counter *counter)
{
    if (counter->size > sizeof counter->text)
        pane_blocks_give(&pane->blocks, counter->block, pane_block_class(counter->size));
}

/* The counters in another table; each has `less` taken off, and those that had no more go. */
static void move_counters(struct pane *pane, struct top_state *state, uint32_t table_log2, uint64_t less)
{
    struct top_state old = *state;
    state->table_log2 = (uint8_t)table_log2;
    state->table = pane_blocks_take(&pane->blocks, table_log2);
    state->used = 0;
    for (uint32_t i = 0; i < top_state_place_count(&old); i++) {
        struct top_counter counter = *top_state_counter(pane, &old, i);
        if (counter.count <= less) {
            if (counter.count)
                give_text(pane, &counter);
            continue;
        }
        counter.count -= less;
        *find_place(pane, state, counter.hash) = counter;
        state->used++;
    }
    if (old.table)
        pane_blocks_give(&pane->blocks, old.table, old.table_log2);
}

static int compare_counts(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

static void drop_rare(struct pane *pane, struct top_state *state)
{
    uint64_t counts[TOP_EXACT_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < top_state_place_count(state); i++) {
        if (top_state_counter(pane, state, i)->count)
            counts[count++] = top_state_counter(pane, state, i)->count;
    }
    assert(count == TOP_EXACT_MAX);
    qsort(counts, count, sizeof *counts, compare_counts);
    move_counters(pane, state, state->table_log2, counts[TOP_KEPT]);
}

/* Where a character of the text ends, at most TOP_VALUE_SIZE bytes behind its beginning. */
static uint32_t cut_size(const char *text)
{
    uint32_t size = TOP_VALUE_SIZE;
    while (size > TOP_VALUE_SIZE - 4 && ((uint8_t)text[size] & 0xC0) == 0x80)
        size--;
    return size;
}

static struct top_counter make_counter(struct pane *pane, const struct top_value *value)
{
    struct top_counter counter = {.hash = value->hash, .kind = value->kind, .is_cut = value->is_cut};
    if (!value_is_text(value->kind)) {
        counter.value = value->value;
        return counter;
    }
    counter.size = value->size;
    if (value->size > TOP_VALUE_SIZE) {
        counter.size = cut_size(value->text);
        counter.is_cut = true;
    }
    if (counter.size <= sizeof counter.text) {
        memcpy(counter.text, value->text, counter.size);
        return counter;
    }
    /* The text may lie in a block of the same pane, and taking one may move them all. */
    char text[TOP_VALUE_SIZE];
    memcpy(text, value->text, counter.size);
    uint32_t block = pane_blocks_take(&pane->blocks, pane_block_class(counter.size));
    memcpy(pane_blocks_at(&pane->blocks, block), text, counter.size);
    counter.block = block;
    return counter;
}

/* Into the table alone. */
static void add_to_table(struct pane *pane, struct top_state *state, const struct top_value *value,
                         uint64_t count)
{
    if (state->table) {
        struct top_counter *counter = find_place(pane, state, value->hash);
        if (counter->count) {
            counter->count += count;
            return;
        }
    }
    struct top_counter counter = make_counter(pane, value);
    counter.count = count;
    if (state->used == TOP_EXACT_MAX) {
        if (!state->sketch)
            begin_sketch(pane, state);
        drop_rare(pane, state);
    } else if (!state->table || (state->used + 1) * 4 > 3 << state->table_log2) {
        move_counters(pane, state, state->table ? state->table_log2 + 1U : FIRST_TABLE_LOG2, 0);
    }
    *find_place(pane, state, value->hash) = counter;
    state->used++;
}

void top_state_add(struct pane *pane, struct top_state *state, const struct top_value *value)
{
    state->count++;
    add_to_table(pane, state, value, 1);
    if (state->sketch)
        sketch_add(pane, state, value->hash, 1);
}

void top_state_merge(struct pane *pane, struct top_state *into, const struct pane *from_pane,
                     const struct top_state *from)
{
    if (from->sketch) {
        if (!into->sketch)
            begin_sketch(pane, into);
        const uint64_t *more = pane_blocks_at(&from_pane->blocks, from->sketch);
        uint64_t *sketch = pane_blocks_at(&pane->blocks, into->sketch);
        for (uint32_t i = 0; i < TOP_SKETCH_ROWS * TOP_SKETCH_WIDTH; i++)
            sketch[i] += more[i];
    }
    into->count += from->count;
    for (uint32_t i = 0; i < top_state_place_count(from); i++) {
        const struct top_counter counter = *top_state_counter(from_pane, from, i);
        if (!counter.count)
            continue;
        struct top_value value = {counter.hash, counter.value, top_counter_text(from_pane, &counter),
                                  counter.size, counter.kind,  counter.is_cut};
        add_to_table(pane, into, &value, counter.count);
        if (into->sketch && !from->sketch)
            sketch_add(pane, into, counter.hash, counter.count);
    }
}

void top_state_reset(struct pane *pane, struct top_state *state)
{
    for (uint32_t i = 0; i < top_state_place_count(state); i++) {
        const struct top_counter *counter = top_state_counter(pane, state, i);
        if (counter->count)
            give_text(pane, counter);
    }
    if (state->table)
        pane_blocks_give(&pane->blocks, state->table, state->table_log2);
    if (state->sketch)
        pane_blocks_give(&pane->blocks, state->sketch, SKETCH_CLASS);
    *state = (struct top_state){0};
}

/* --- bytes -------------------------------------------------------------------------------------------------------------- */

struct saved_counter {
    uint64_t hash;
    uint32_t place;
};

static int compare_saved(const void *a, const void *b)
{
    uint64_t x = ((const struct saved_counter *)a)->hash, y = ((const struct saved_counter *)b)->hash;
    return (x > y) - (x < y);
}

static void save_counters(const struct pane *pane, const struct top_state *state, struct buffer *out)
{
    struct saved_counter order[TOP_EXACT_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < top_state_place_count(state); i++) {
        const struct top_counter *counter = top_state_counter(pane, state, i);
        if (counter->count)
            order[count++] = (struct saved_counter){counter->hash, i};
    }
    qsort(order, count, sizeof *order, compare_saved);
    for (uint32_t i = 0; i < count; i++) {
        const struct top_counter *counter = top_state_counter(pane, state, order[i].place);
        union value value = counter->value;
        if (value_is_text(counter->kind))
            value.s.size = counter->size;
        char *at = wire_put_fixed64(wire_room(out, sizeof(uint64_t) + VARINT_ROOM + 1), counter->hash);
        wire_end(out, wire_put_byte(wire_put_varint(at, counter->count), counter->is_cut));
        wire_put_value(out, counter->kind, value, top_counter_text(pane, counter));
    }
}

/* Number of values * 2, and 1 with a sketch │ number of counters │ each: hash, count, is_cut, value; by hash │ the sketch's counts */
void top_state_save(const struct pane *pane, const struct top_state *state, struct buffer *out)
{
    char *at = wire_room(out, 2 * VARINT_ROOM);
    at = wire_put_varint(at, state->count << 1 | (state->sketch != 0));
    if (state->count)
        at = wire_put_varint(at, state->used);
    wire_end(out, at);
    save_counters(pane, state, out);
    if (!state->sketch)
        return;
    const uint64_t *sketch = pane_blocks_at(&pane->blocks, state->sketch);
    at = wire_room(out, (size_t)TOP_SKETCH_ROWS * TOP_SKETCH_WIDTH * VARINT_ROOM);
    for (uint32_t i = 0; i < TOP_SKETCH_ROWS * TOP_SKETCH_WIDTH; i++)
        at = wire_put_varint(at, sketch[i]);
    wire_end(out, at);
}

static bool load_counter(struct slice *in, struct top_value *value, uint64_t *count)
{
    if (!wire_get_fixed64(in, &value->hash) || !wire_get_varint(in, count) ||
        !wire_get_byte(in, &value->is_cut) || !wire_get_value(in, &value->kind, &value->value, &value->text))
        return false;
    value->size = value_is_text(value->kind) ? value->value.s.size : 0;
    return *count && *count <= INT64_MAX && value->kind != VALUE_NULL && value->size <= TOP_VALUE_SIZE &&
           value->is_cut <= (value->size >= TOP_VALUE_SIZE - 4);
}

/* Every row of a sketch has counted every value. */
static bool load_sketch(struct pane *pane, struct top_state *state, struct slice *in)
{
    state->sketch = pane_blocks_take(&pane->blocks, SKETCH_CLASS);
    uint64_t *sketch = pane_blocks_at(&pane->blocks, state->sketch);
    for (uint32_t row = 0; row < TOP_SKETCH_ROWS; row++) {
        uint64_t left = state->count;
        for (uint32_t i = 0; i < TOP_SKETCH_WIDTH; i++, sketch++) {
            if (!wire_get_varint(in, sketch) || *sketch > left)
                return false;
            left -= *sketch;
        }
        if (left)
            return false;
    }
    return true;
}

bool top_state_load(struct pane *pane, struct top_state *state, struct slice *in)
{
    uint64_t header, total = 0, before = 0;
    uint32_t used;
    if (!wire_get_varint(in, &header))
        return false;
    if (!header)
        return true;
    if (!wire_get_varint32(in, &used) || used > TOP_EXACT_MAX)
        return false;
    for (uint32_t i = 0; i < used; i++) {
        struct top_value value = {0};
        uint64_t count;
        if (!load_counter(in, &value, &count) || (i > 0 && value.hash <= before) ||
            count > (header >> 1) - total)
            return false;
        before = value.hash;
        total += count;
        add_to_table(pane, state, &value, count);
    }
    state->count = header >> 1;
    return header & 1 ? load_sketch(pane, state, in) : total == state->count;
}
