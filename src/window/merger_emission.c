/* From merged rows to result blocks, a column at a time. Blocks are filled in place and carry typed values; nobody pays for
 * text before somebody asks for it. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "window/merged_window.h"

enum {
    EMISSION_TEXT_SIZE = 16 * 1024 * 1024, /* a block with more text than this is full */
    FETCH_ROWS = 8,
    CACHE_LINE_SIZE = 64,
};

/* Rows that become records, and what their receipts say. */
struct emission_rows {
    const struct pane *pane;
    const char *entries[EMISSION_ROWS];
    uint64_t on_time[EMISSION_ROWS], late_accepted[EMISSION_ROWS];
    uint32_t count;
    enum emit_kind emit;
    int64_t watermark_us;
    enum close_cause cause;
};

void emission_init(struct emission *emission, const struct window_spec *spec, struct pane_pool *pool,
                   window_emit emit, void *context)
{
    *emission = (struct emission){.spec = spec, .pool = pool, .emit = emit, .context = context};
}

void emission_deinit(struct emission *emission)
{
    if (emission->block)
        result_block_release(emission->block);
    pane_destroy(emission->scratch);
}

void emission_flush(struct emission *emission)
{
    if (!emission->block)
        return;
    emission->emit(emission->context, emission->block);
    emission->block = NULL;
}

void emission_expect(struct emission *emission, uint64_t row_count)
{
    emission->block_capacity = row_count < RESULT_BLOCK_ROWS ? (uint32_t)row_count : RESULT_BLOCK_ROWS;
}

struct result_block *emission_block(struct emission *emission)
{
    struct result_block *block = emission->block;
    if (block && (block->row_count == block->capacity || block->bytes.size > EMISSION_TEXT_SIZE))
        emission_flush(emission);
    if (!emission->block) {
        uint32_t capacity = emission->block_capacity ? emission->block_capacity : 1;
        emission->block = result_block_create(emission->spec->shape, capacity);
    }
    return emission->block;
}

/* --- columns of a block ----------------------------------------------------------------------------------------------- */

void emission_write_keys(struct result_block *block, uint32_t first, const struct pane *pane,
                         const char *const *entries, uint32_t count)
{
    for (uint32_t k = 0; k < block->shape->key_count; k++) {
        struct result_column *column = &block->keys[k];
        for (uint32_t i = 0; i < count; i++) {
            const struct pane_row *row = (const struct pane_row *)(const void *)entries[i];
            const struct key_cell *cell = &row->keys[k];
            column->kinds[first + i] = cell->kind;
            if (cell->kind != VALUE_STRING && cell->kind != VALUE_JSON) {
                column->values[first + i].i = cell->i;
                continue;
            }
            column->values[first + i].s = (struct text_reference){(uint32_t)block->bytes.size, cell->size};
            char *text = buffer_reserve(&block->bytes, cell->size);
            memcpy(text, key_cell_text(pane, cell), cell->size);
            block->bytes.size += cell->size;
        }
    }
}

static void write_receipts(struct result_block *block, uint32_t first, const struct emission_rows *rows,
                           uint32_t from, uint32_t count, const struct merged_window *window)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct pane_row *row = (const struct pane_row *)(const void *)rows->entries[from + i];
        uint32_t to = first + i;
        block->window_starts_us[to] = window->start_us;
        block->window_ends_us[to] = window->end_us;
        block->emits[to] = (uint8_t)rows->emit;
        block->causes[to] = (uint8_t)rows->cause;
        block->watermarks_us[to] = rows->watermark_us;
        block->on_time[to] = rows->on_time[from + i];
        block->late_accepted[to] = rows->late_accepted[from + i];
        block->revisions[to] = (uint32_t)rows->late_accepted[from + i];
        block->late_dropped[to] = 0;
        block->type_errors[to] = row->type_errors;
        /* 32 bits of a good hash, spread over 64. */
        block->key_hashes[to] = row->hash * UINT64_C(0x9E3779B97F4A7C15);
    }
    for (uint32_t i = 0; window->dropped && i < count; i++) {
        const struct pane_row *row = (const struct pane_row *)(const void *)rows->entries[from + i];
        const struct pane_row *dropped = pane_find(window->dropped, rows->pane, row);
        block->late_dropped[first + i] = dropped ? dropped->event_count : 0;
    }
}

void emission_write_values(struct result_block *block, uint32_t first, const struct pane *pane,
                           const char *const *entries, uint32_t count)
{
    const struct pane_layout *layout = pane->layout;
    for (uint32_t a = 0; a < layout->spec->aggregate_count; a++) {
        struct aggregate_finish finish = {
            .entries = entries,
            .count = count,
            .state_offset = layout->state_offsets[a],
            .pane = pane,
            .parameter = layout->spec->aggregates[a].parameter,
            .window_starts_us = block->window_starts_us + first,
            .window_ends_us = block->window_ends_us + first,
            .kinds = block->values[a].kinds + first,
            .values = block->values[a].values + first,
            .bytes = &block->bytes,
        };
        layout->spec->aggregates[a].kind->finish(&finish);
    }
}

static void write_rows(struct emission *emission, const struct merged_window *window,
                       const struct emission_rows *rows)
{
    /* Values of first() and last() can be long, and a block refers to its text by 32 bits. */
    uint32_t step = rows->pane->text.size > EMISSION_TEXT_SIZE ? 1 : EMISSION_ROWS;
    for (uint32_t from = 0; from < rows->count;) {
        struct result_block *block = emission_block(emission);
        uint32_t count = rows->count - from, room = block->capacity - block->row_count;
        count = count < room ? count : room;
        count = count < step ? count : step;
        uint32_t first = block->row_count;
        emission_write_keys(block, first, rows->pane, rows->entries + from, count);
        write_receipts(block, first, rows, from, count, window);
        emission_write_values(block, first, rows->pane, rows->entries + from, count);
        block->row_count += count;
        emission->result_count += count;
        from += count;
    }
}

/* --- what is written ---------------------------------------------------------------------------------------------------- */

/* The shard has written the row, on another processor: the one that will be read FETCH_ROWS later is asked for now. */
static inline void fetch_row(const struct pane *pane, const char *row)
{
    size_t size = pane->layout->row_size;
    for (size_t at = 0; at < size; at += CACHE_LINE_SIZE)
        __builtin_prefetch(row + FETCH_ROWS * size + at);
}

static void write_on_time(struct emission *emission, const struct merged_window *window,
                          struct emission_rows *rows, const uint32_t *indices, uint32_t count)
{
    rows->pane = window->on_time;
    for (uint32_t from = 0; from < count; from += rows->count) {
        rows->count = 0;
        for (; rows->count < EMISSION_ROWS && from + rows->count < count; rows->count++) {
            uint32_t index = indices ? indices[from + rows->count] : from + rows->count;
            const struct pane_row *row = pane_row_at(window->on_time, index);
            fetch_row(window->on_time, (const char *)row);
            rows->entries[rows->count] = (const char *)row;
            rows->on_time[rows->count] = row->event_count;
            rows->late_accepted[rows->count] = 0;
        }
        write_rows(emission, window, rows);
    }
}

void emission_write_finals(struct emission *emission, const struct merged_window *window)
{
    if (!window->on_time)
        return;
    struct emission_rows rows = {
        .emit = EMIT_FINAL, .watermark_us = window->watermark_us, .cause = window->cause};
    emission_expect(emission, window->on_time->row_count);
    write_on_time(emission, window, &rows, NULL, window->on_time->row_count);
}

void emission_write_early(struct emission *emission, const struct merged_window *window,
                          const uint32_t *indices, uint32_t count, int64_t watermark_us,
                          enum close_cause cause)
{
    struct emission_rows rows = {.emit = EMIT_EARLY, .watermark_us = watermark_us, .cause = cause};
    write_on_time(emission, window, &rows, indices, count);
}

void emission_write_empty(struct emission *emission, const struct merged_window *window,
                          const struct pane *pane, const uint32_t *indices, uint32_t count)
{
    struct emission_rows rows = {.pane = pane,
                                 .count = count,
                                 .emit = EMIT_FINAL,
                                 .watermark_us = window->watermark_us,
                                 .cause = window->cause};
    for (uint32_t i = 0; i < count; i++)
        rows.entries[i] = (const char *)pane_row_at(pane, indices[i]);
    write_rows(emission, window, &rows);
}

struct pane *emission_scratch(struct emission *emission)
{
    if (!emission->scratch)
        emission->scratch = pane_create(emission->pool, PANE_EARLY, TIME_NONE, 0);
    return emission->scratch;
}

void emission_write_sums(struct emission *emission, const struct merged_window *window,
                         const struct emission_sums *sums)
{
    struct emission_rows rows = {.pane = emission->scratch,
                                 .count = sums->count,
                                 .emit = sums->emit,
                                 .watermark_us = sums->watermark_us,
                                 .cause = sums->cause};
    for (uint32_t i = 0; i < sums->count; i++) {
        rows.entries[i] = (const char *)pane_row_at(emission->scratch, i);
        rows.on_time[i] = sums->on_time[i];
        rows.late_accepted[i] = sums->late_accepted[i];
    }
    write_rows(emission, window, &rows);
    pane_clear_rows(emission->scratch);
}

/* Updates that are put together in the scratch pane. */
struct update_rows {
    struct emission_rows rows;
    const struct pane_row *on_time[EMISSION_ROWS], *late[EMISSION_ROWS];
};

static void merge_side(struct pane *scratch, const struct pane *pane, const struct pane_row *const *sides,
                       uint32_t count)
{
    char *into[EMISSION_ROWS];
    const char *from[EMISSION_ROWS];
    uint32_t merge_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!sides[i])
            continue;
        into[merge_count] = (char *)pane_row_at(scratch, i);
        from[merge_count++] = (const char *)sides[i];
    }
    if (merge_count)
        pane_merge_rows(scratch, into, pane, from, merge_count);
}

static void flush_updates(struct emission *emission, const struct merged_window *window,
                          struct update_rows *updates)
{
    struct emission_rows *rows = &updates->rows;
    if (!rows->count)
        return;
    struct pane *scratch = emission->scratch;
    merge_side(scratch, window->on_time, updates->on_time, rows->count);
    merge_side(scratch, window->late, updates->late, rows->count);
    rows->pane = scratch;
    for (uint32_t i = 0; i < rows->count; i++) {
        rows->entries[i] = (const char *)pane_row_at(scratch, i);
        rows->on_time[i] = updates->on_time[i] ? updates->on_time[i]->event_count : 0;
        rows->late_accepted[i] = updates->late[i] ? updates->late[i]->event_count : 0;
    }
    write_rows(emission, window, rows);
    pane_clear_rows(scratch);
    rows->count = 0;
}

static void add_update(struct emission *emission, const struct merged_window *window,
                       struct update_rows *updates, const struct pane_row *on_time,
                       const struct pane_row *late)
{
    uint32_t index = updates->rows.count++;
    updates->on_time[index] = on_time;
    updates->late[index] = late;
    pane_append_row(emission->scratch, on_time ? window->on_time : window->late, on_time ? on_time : late);
    if (updates->rows.count == EMISSION_ROWS || pane_side_size(emission->scratch) > EMISSION_TEXT_SIZE)
        flush_updates(emission, window, updates);
}

static uint32_t change_count(const struct change_list *list, const struct pane *pane)
{
    return list->has_all ? pane->row_count : list->count;
}

void emission_write_updates(struct emission *emission, const struct merged_window *window)
{
    const struct change_list *late_changes = &window->late_changes, *changes = &window->on_time_changes;
    struct update_rows updates = {
        .rows = {.emit = EMIT_UPDATE, .watermark_us = window->watermark_us, .cause = window->cause}};
    (void)emission_scratch(emission);
    uint32_t late_count = change_count(late_changes, window->late);
    uint32_t on_time_count = change_count(changes, window->on_time);
    emission_expect(emission, (uint64_t)late_count + on_time_count);
    for (uint32_t i = 0; i < late_count; i++) {
        const struct pane_row *row =
            pane_row_at(window->late, late_changes->has_all ? i : late_changes->rows[i]);
        add_update(emission, window, &updates, pane_find(window->on_time, window->late, row), row);
    }
    for (uint32_t i = 0; i < on_time_count; i++) {
        const struct pane_row *row = pane_row_at(window->on_time, changes->has_all ? i : changes->rows[i]);
        const struct pane_row *late = pane_find(window->late, window->on_time, row);
        /* Those with late changes have just been written. */
        if (!late || !(late_changes->has_all || late->is_changed))
            add_update(emission, window, &updates, row, late);
    }
    flush_updates(emission, window, &updates);
}
