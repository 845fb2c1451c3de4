/* The shard's half: which pane a row belongs to, and the aggregates over the rows of each pane.
 *
 *   rows of a batch ─▶ judge: on time, late, too late ─▶ gathered per pane ─▶ find rows of keys ─▶ one kernel per aggregate
 *
 * Rows of a pane are always applied in the order of the log, key by key, so every bit of a result is the same however the log
 * was cut into batches. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "window/window_internal.h"

struct aligned_operator {
    struct window_operator base;
    const struct window_spec *spec;
    struct window_grid grid;
    struct pane_pool *pool;
    struct pane_list open, late, dropped,
        early;              /* by start; early ones go before the open one of the same window */
    struct pane *marks;     /* crossing marks not yet handed out */
    int64_t *next_ends_us;  /* [partition_count] first window end the partition has not reached */
    uint64_t key_count;     /* rows of all panes that are here */
    uint32_t expected_rows; /* of the last complete pane */
    int64_t horizon_us;

    /* Scratch for one batch. */
    uint32_t row_capacity, touched_count, touched_capacity;
    struct pane **touched;                   /* panes of this batch, in the order of their first row */
    uint32_t *touched_rows, *touched_starts; /* how many rows each has; where they begin */
    uint32_t *targets, *used_rows, *gathered;
    uint64_t *hashes;
    char **entries;
};

static struct window_operator *aligned_create(const struct window_spec *spec)
{
    struct aligned_operator *op = memory_allocate(sizeof *op);
    op->spec = spec;
    op->grid = window_grid_of(spec);
    op->pool = pane_pool_create(spec);
    op->next_ends_us = memory_allocate_array(spec->partition_count, sizeof *op->next_ends_us);
    for (uint32_t i = 0; i < spec->partition_count; i++)
        op->next_ends_us[i] = TIME_NONE;
    op->horizon_us = TIME_NONE;
    return &op->base;
}

static void aligned_destroy(struct window_operator *base)
{
    struct aligned_operator *op = (struct aligned_operator *)base;
    pane_list_deinit(&op->open);
    pane_list_deinit(&op->late);
    pane_list_deinit(&op->dropped);
    pane_list_deinit(&op->early);
    pane_destroy(op->marks);
    pane_pool_release(op->pool);
    free(op->next_ends_us);
    free(op->touched);
    free(op->touched_rows);
    free(op->touched_starts);
    free(op->targets);
    free(op->used_rows);
    free(op->gathered);
    free(op->hashes);
    free(op->entries);
    free(op);
}

static void aligned_set_horizon(struct window_operator *base, int64_t closed_through_us)
{
    struct aligned_operator *op = (struct aligned_operator *)base;
    op->horizon_us = closed_through_us - window_memory_us(op->spec->emit_empty, op->spec->size_us);
}

static void reserve_rows(struct aligned_operator *op, uint32_t row_count)
{
    if (row_count <= op->row_capacity)
        return;
    op->row_capacity = row_count;
    op->targets = memory_resize_array(op->targets, row_count, sizeof *op->targets);
    op->used_rows = memory_resize_array(op->used_rows, row_count, sizeof *op->used_rows);
    op->gathered = memory_resize_array(op->gathered, row_count, sizeof *op->gathered);
    op->hashes = memory_resize_array(op->hashes, row_count, sizeof *op->hashes);
    op->entries = memory_resize_array(op->entries, row_count, sizeof(char *));
}

/* --- crossing marks --------------------------------------------------------------------------------------------------- */

/* First of the batch's rows whose watermark has reached the time; row_count when none has. */
static uint32_t first_reaching(const struct window_rows *rows, uint32_t from, int64_t time_us)
{
    uint32_t low = from, high = rows->batch->row_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (rows->watermarks_us[middle] < time_us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Notes the watermarks with which the partition first reached a window's end. */
static void note_marks(struct aligned_operator *op, const struct window_rows *rows)
{
    int64_t *next_end_us = &op->next_ends_us[rows->partition];
    if (op->spec->kind == WINDOW_GLOBAL)
        return;
    uint32_t row = 0;
    while (rows->watermark_after_us != TIME_NONE && rows->watermark_after_us >= *next_end_us) {
        row = first_reaching(rows, row, *next_end_us == TIME_NONE ? TIME_NONE + 1 : *next_end_us);
        int64_t reached_us =
            row < rows->batch->row_count ? rows->watermarks_us[row] : rows->watermark_after_us;
        if (!op->marks)
            op->marks = pane_create(op->pool, PANE_MARKS, TIME_NONE, 0);
        pane_note_mark(op->marks, reached_us);
        *next_end_us = grid_last_end(&op->grid, reached_us) + op->grid.slide_us;
    }
}

/* --- judging rows ----------------------------------------------------------------------------------------------------- */

/* What is told about the rows of a batch. */
struct judged {
    struct window_counts *counts;
    uint32_t *too_late, *too_late_count;
};

static struct pane *find_pane(struct aligned_operator *op, struct pane_list *list, enum pane_kind kind,
                              int64_t start_us)
{
    bool found;
    uint32_t index = pane_list_search(list, start_us, &found);
    if (!found) {
        uint32_t expected = kind == PANE_ON_TIME ? op->expected_rows : 0;
        pane_list_insert(list, index, pane_create(op->pool, kind, start_us, expected));
    }
    return list->panes[index];
}

/* Number of the pane in this batch. */
static uint32_t touch(struct aligned_operator *op, struct pane *pane, const struct window_rows *rows,
                      uint32_t row)
{
    if (pane->touch)
        return pane->touch - 1;
    if (op->touched_count == op->touched_capacity) {
        op->touched_capacity = op->touched_capacity ? op->touched_capacity * 2 : 8;
        op->touched = memory_resize_array(op->touched, op->touched_capacity, sizeof(struct pane *));
        op->touched_rows =
            memory_resize_array(op->touched_rows, op->touched_capacity, sizeof *op->touched_rows);
        op->touched_starts =
            memory_resize_array(op->touched_starts, op->touched_capacity, sizeof *op->touched_starts);
    }
    op->touched[op->touched_count] = pane;
    op->touched_rows[op->touched_count] = 0;
    pane->touch = ++op->touched_count;
    pane->is_replay = pane->is_replay && rows->batch->is_replay;
    struct pane_origin origin = {rows->partition, rows->batch->offsets[row], rows->watermarks_us[row]};
    if (pane->kind != PANE_DROPPED)
        pane_note_origin(pane, &origin);
    return pane->touch - 1;
}

static int pane_order(const struct pane *a, const struct pane *b)
{
    if (a->start_us != b->start_us)
        return a->start_us < b->start_us ? -1 : 1;
    if (a->reached_us != b->reached_us)
        return a->reached_us < b->reached_us ? -1 : 1;
    return (a->gone_us > b->gone_us) - (a->gone_us < b->gone_us);
}

/* Panes of late rows are apart by what was reached, too: ordered by all three. */
static struct pane *find_tagged_pane(struct aligned_operator *op, struct pane_list *list,
                                     const struct pane *wanted)
{
    uint32_t low = 0, high = list->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (pane_order(list->panes[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == list->count || pane_order(list->panes[low], wanted) != 0) {
        struct pane *pane = pane_create(op->pool, wanted->kind, wanted->start_us, 0);
        pane->reached_us = wanted->reached_us;
        pane->gone_us = wanted->gone_us;
        pane_list_insert(list, low, pane);
    }
    return list->panes[low];
}

/* A row that is late for some of its windows: late for those that end at or before `reached_us`. */
static struct pane *judge_late_of_sliding(struct aligned_operator *op, const struct window_rows *rows,
                                          uint32_t row, struct pane *wanted, struct judged *judged)
{
    const struct window_grid *grid = &op->grid;
    int64_t first_end_us = grid_first_end(grid, wanted->start_us),
            final_end_us = grid_final_end(grid, wanted->start_us);
    int64_t watermark_us = rows->watermarks_us[row];
    wanted->reached_us = grid_last_end(grid, watermark_us);
    wanted->gone_us = op->spec->late == WINDOW_LATE_UPDATE
                          ? grid_last_end(grid, watermark_us - op->spec->allowed_lateness_us)
                          : wanted->reached_us;
    /* What lies outside of the row's windows makes no difference, and must not make further panes. */
    if (wanted->reached_us > final_end_us)
        wanted->reached_us = final_end_us;
    if (wanted->gone_us < first_end_us)
        wanted->gone_us = TIME_NONE;
    if (wanted->gone_us < final_end_us) {
        judged->counts->used++;
        judged->counts->late_accepted += wanted->reached_us > wanted->gone_us;
        wanted->kind = PANE_LATE;
        return find_tagged_pane(op, &op->late, wanted);
    }
    wanted->gone_us = final_end_us;
    judged->too_late[(*judged->too_late_count)++] = row;
    judged->counts->too_late++;
    wanted->kind = PANE_DROPPED;
    return op->dropped.count < WINDOW_DROPPED_PANES_MAX ? find_tagged_pane(op, &op->dropped, wanted) : NULL;
}

static struct pane *judge_sliding(struct aligned_operator *op, const struct window_rows *rows, uint32_t row,
                                  struct judged *judged)
{
    const struct window_grid *grid = &op->grid;
    struct pane wanted = {.start_us = grid_pane_start(grid, rows->batch->event_times_us[row])};
    int64_t first_end_us = grid_first_end(grid, wanted.start_us),
            final_end_us = grid_final_end(grid, wanted.start_us);
    if (first_end_us > final_end_us) {
        judged->counts->uncovered++;
        return NULL;
    }
    if (rows->batch->is_replay && final_end_us + op->spec->allowed_lateness_us <= op->horizon_us) {
        judged->counts->used++;
        return NULL;
    }
    if (rows->watermarks_us[row] >= first_end_us)
        return judge_late_of_sliding(op, rows, row, &wanted, judged);
    judged->counts->used++;
    return find_pane(op, &op->open, PANE_ON_TIME, wanted.start_us);
}

/* The pane for a row whose window is not that of the row before; NULL when there is none for it. */
static struct pane *judge(struct aligned_operator *op, const struct window_rows *rows, uint32_t row,
                          struct judged *judged)
{
    const struct window_spec *spec = op->spec;
    struct window_counts *counts = judged->counts;
    if (spec->kind == WINDOW_GLOBAL) {
        counts->used++;
        return find_pane(op, &op->open, PANE_ON_TIME, 0);
    }
    if (spec->kind == WINDOW_SLIDING)
        return judge_sliding(op, rows, row, judged);
    int64_t watermark_us = rows->watermarks_us[row];
    int64_t start_us = grid_pane_start(&op->grid, rows->batch->event_times_us[row]),
            end_us = start_us + spec->size_us;
    if (rows->batch->is_replay && end_us + spec->allowed_lateness_us <= op->horizon_us) {
        counts->used++;
        return NULL;
    }
    if (watermark_us < end_us) {
        counts->used++;
        return find_pane(op, &op->open, PANE_ON_TIME, start_us);
    }
    if (spec->late == WINDOW_LATE_UPDATE && watermark_us < end_us + spec->allowed_lateness_us) {
        counts->used++;
        counts->late_accepted++;
        return find_pane(op, &op->late, PANE_LATE, start_us);
    }
    judged->too_late[(*judged->too_late_count)++] = row;
    counts->too_late++;
    bool is_noted;
    (void)pane_list_search(&op->dropped, start_us, &is_noted);
    if (!is_noted && op->dropped.count == WINDOW_DROPPED_PANES_MAX)
        return NULL;
    return find_pane(op, &op->dropped, PANE_DROPPED, start_us);
}

/* Until which watermark rows of an on-time pane are on time for all its windows; then all of them are there. */
static int64_t on_time_until(const struct aligned_operator *op, const struct pane *pane)
{
    return op->spec->kind == WINDOW_SLIDING ? grid_first_end(&op->grid, pane->start_us) : pane->end_us;
}

/* Fills used_rows and targets; returns how many rows have a pane. */
static uint32_t judge_rows(struct aligned_operator *op, const struct window_rows *rows, struct judged *judged)
{
    uint32_t count = 0, target = 0, run = 0;
    /* Of the pane of the row before, when that was on time. */
    int64_t start_us = 0, end_us = TIME_NONE, until_us = TIME_NONE;
    for (uint32_t i = 0; i < rows->row_count; i++) {
        uint32_t row = rows->rows[i];
        int64_t time_us = rows->batch->event_times_us[row];
        if (time_us >= start_us && time_us < end_us && rows->watermarks_us[row] < until_us) {
            judged->counts->used++;
        } else {
            if (count > run)
                op->touched_rows[target] += count - run;
            run = count;
            struct pane *pane = judge(op, rows, row, judged);
            if (!pane)
                continue;
            target = touch(op, pane, rows, row);
            start_us = pane->start_us;
            end_us = pane->kind == PANE_ON_TIME ? pane->end_us : TIME_NONE;
            until_us = on_time_until(op, pane);
        }
        op->targets[count] = target;
        op->used_rows[count++] = row;
    }
    if (count > run)
        op->touched_rows[target] += count - run;
    return count;
}

/* --- applying rows ------------------------------------------------------------------------------------------------------ */

static void run_kernels(struct aligned_operator *op, struct pane *pane, const struct window_rows *batch_rows,
                        const uint32_t *rows, char *const *entries, uint32_t count,
                        struct window_counts *counts)
{
    const struct window_spec *spec = op->spec;
    for (uint32_t a = 0; a < spec->aggregate_count; a++) {
        const struct window_aggregate *aggregate = &spec->aggregates[a];
        if (!pane->layout->sharers[a] || !aggregate->kind->add)
            continue;
        struct aggregate_input input = {
            .batch = batch_rows->batch,
            .column = &batch_rows->inputs[aggregate->input],
            .rows = rows,
            .entries = entries,
            .count = count,
            .state_offset = pane->layout->state_offsets[a],
            .pane = pane,
            .partition = batch_rows->partition,
            .type_error_weight = pane->layout->sharers[a],
        };
        aggregate->kind->add(&input);
        counts->type_errors += input.type_errors;
    }
}

/* Moves what the row has gathered to the early panes: one early result of its key. */
static void show_early(struct aligned_operator *op, struct pane *pane, struct pane_row *row)
{
    bool found;
    uint32_t index = pane_list_search(&op->early, pane->start_us, &found);
    if (!found)
        pane_list_insert(&op->early, index, pane_create(op->pool, PANE_EARLY, pane->start_us, 0));
    struct pane *early = op->early.panes[index];
    char *into = (char *)pane_append_row(early, pane, row);
    const char *from = (const char *)row;
    pane_merge_rows(early, &into, pane, &from, 1);
    pane_reset_states(pane, row);
    row->event_count = 0;
    row->type_errors = 0;
    early->is_replay = early->is_replay && pane->is_replay;
    for (uint32_t i = 0; i < pane->origin_count; i++)
        pane_note_origin(early, &pane->origins[i]);
}

/* What row `index` has gathered goes to the row of its key in another pane. */
static void move_row(struct aligned_operator *op, struct pane *into, struct pane *pane, uint32_t index)
{
    struct key_lookup lookup = {.hashes = op->hashes, .new_row_limit = UINT64_MAX};
    struct pane_row *row = pane_row_at(pane, index);
    const char *from = (const char *)row;
    char *to;
    pane_find_rows_of(into, pane, &index, 1, &lookup, &to);
    pane_merge_rows(into, &to, pane, &from, 1);
    pane_reset_states(pane, row);
    row->event_count = 0;
    row->type_errors = 0;
}

static void reserve_unshown(struct pane *pane)
{
    if (pane->unshown_capacity < pane->row_count) {
        pane->unshown_capacity = pane->row_capacity;
        pane->unshown = memory_resize_array(pane->unshown, pane->unshown_capacity, sizeof *pane->unshown);
    }
    memset(pane->unshown + pane->unshown_count, 0,
           (pane->row_count - pane->unshown_count) * sizeof *pane->unshown);
    pane->unshown_count = pane->row_count;
}

/* As apply, but stops behind every event that completes an early result. */
static void apply_counting(struct aligned_operator *op, struct pane *pane,
                           const struct window_rows *batch_rows, const uint32_t *rows, uint32_t count,
                           struct window_counts *counts)
{
    uint32_t start = 0;
    reserve_unshown(pane);
    for (uint32_t i = 0; i < count; i++) {
        struct pane_row *row = (struct pane_row *)(void *)op->entries[i];
        uint64_t *unshown = &pane->unshown[(size_t)(op->entries[i] - pane->rows) / pane->layout->row_size];
        row->event_count++;
        if (++*unshown < op->spec->emit_count)
            continue;
        *unshown = 0;
        run_kernels(op, pane, batch_rows, rows + start, op->entries + start, i + 1 - start, counts);
        start = i + 1;
        show_early(op, pane, row);
    }
    if (start < count)
        run_kernels(op, pane, batch_rows, rows + start, op->entries + start, count - start, counts);
}

static void apply(struct aligned_operator *op, struct pane *pane, const struct window_rows *batch_rows,
                  const uint32_t *rows, uint32_t count, struct window_counts *counts)
{
    /* Panes of sliding windows have the same keys again and again; the merger sees to it that there are not too many. */
    uint64_t limit = op->spec->key_limit, used = op->spec->kind == WINDOW_SLIDING
                                                     ? pane->row_count - (pane->overflow_row != 0)
                                                     : op->key_count;
    struct key_lookup lookup = {
        .batch = batch_rows->batch,
        .keys = batch_rows->keys,
        .hashes = op->hashes,
        .new_row_limit = limit > used ? limit - used : 0,
    };
    uint32_t rows_before = pane->row_count, overflow_before = pane->overflow_row;
    pane_find_rows(pane, &lookup, rows, count, op->entries);
    op->key_count += pane->row_count - rows_before - (pane->overflow_row != overflow_before);
    counts->overflow_events += lookup.overflowed;
    if (op->spec->emit_count && pane->kind == PANE_ON_TIME) {
        apply_counting(op, pane, batch_rows, rows, count, counts);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        ((struct pane_row *)(void *)op->entries[i])->event_count++;
    if (pane->kind != PANE_DROPPED)
        run_kernels(op, pane, batch_rows, rows, op->entries, count, counts);
}

/* Rows of each pane side by side, in their order. */
static void apply_gathered(struct aligned_operator *op, const struct window_rows *rows, uint32_t count,
                           struct window_counts *counts)
{
    uint32_t start = 0;
    for (uint32_t t = 0; t < op->touched_count; t++) {
        op->touched_starts[t] = start;
        start += op->touched_rows[t];
    }
    for (uint32_t i = 0; i < count; i++)
        op->gathered[op->touched_starts[op->targets[i]]++] = op->used_rows[i];
    for (uint32_t t = 0; t < op->touched_count; t++) {
        uint32_t first = op->touched_starts[t] - op->touched_rows[t];
        apply(op, op->touched[t], rows, op->gathered + first, op->touched_rows[t], counts);
    }
}

static void aligned_add(struct window_operator *base, const struct window_rows *rows,
                        struct window_counts *counts, uint32_t *too_late, uint32_t *too_late_count)
{
    struct aligned_operator *op = (struct aligned_operator *)base;
    assert(rows->partition < op->spec->partition_count);
    *too_late_count = 0;
    reserve_rows(op, rows->row_count);
    struct judged judged = {counts, too_late, too_late_count};
    uint32_t count = judge_rows(op, rows, &judged);
    if (op->touched_count == 1) {
        apply(op, op->touched[0], rows, op->used_rows, count, counts);
    } else if (op->spec->key_limit - op->key_count >= count && op->spec->key_limit >= op->key_count) {
        apply_gathered(op, rows, count, counts);
    } else {
        /* Which keys are the last to fit must follow the log, not the cut of the batch. */
        for (uint32_t i = 0; i < count; i++)
            apply(op, op->touched[op->targets[i]], rows, &op->used_rows[i], 1, counts);
    }
    for (uint32_t t = 0; t < op->touched_count; t++)
        op->touched[t]->touch = 0;
    op->touched_count = 0;
    note_marks(op, rows);
}

/* --- handing out -------------------------------------------------------------------------------------------------------- */

static struct pane *take_first(struct aligned_operator *op, struct pane_list *list)
{
    struct pane *pane = pane_list_remove(list, 0);
    if (pane->kind != PANE_EARLY)
        op->key_count -= pane->row_count - (pane->overflow_row != 0);
    return pane;
}

/* What an open pane has gathered; it stays, and goes on counting events until its keys are shown. NULL when there is nothing. */
static struct pane *take_part(struct aligned_operator *op)
{
    for (uint32_t i = 0; i < op->open.count; i++) {
        struct pane *pane = op->open.panes[i];
        if (!pane->origin_count)
            continue;
        struct pane *part = pane_create(op->pool, PANE_ON_TIME, pane->start_us, pane->row_count);
        for (uint32_t r = 0; r < pane->row_count; r++) {
            struct pane_row *row = pane_row_at(pane, r);
            if (row->event_count)
                move_row(op, part, pane, r);
        }
        part->is_replay = pane->is_replay;
        for (uint32_t o = 0; o < pane->origin_count; o++)
            pane_note_origin(part, &pane->origins[o]);
        pane->origin_count = 0;
        pane->is_replay = true;
        return part;
    }
    return NULL;
}

static struct pane *take_next(struct aligned_operator *op, int64_t watermark_us, bool flush_open)
{
    if (op->early.count)
        return take_first(op, &op->early);
    bool is_complete = op->open.count && on_time_until(op, op->open.panes[0]) <= watermark_us;
    if (flush_open && op->spec->emit_count && !is_complete) {
        struct pane *part = take_part(op);
        if (part)
            return part;
    } else if (op->open.count && (flush_open || is_complete)) {
        struct pane *pane = take_first(op, &op->open);
        if (on_time_until(op, pane) <= watermark_us)
            op->expected_rows = pane->row_count;
        return pane;
    }
    if (op->late.count)
        return take_first(op, &op->late);
    if (op->dropped.count)
        return take_first(op, &op->dropped);
    return NULL;
}

static struct pane *aligned_take(struct window_operator *base, int64_t watermark_us, bool flush_open)
{
    struct aligned_operator *op = (struct aligned_operator *)base;
    struct pane *pane = take_next(op, watermark_us, flush_open);
    struct pane *marks = op->marks;
    if (!marks)
        return pane;
    op->marks = NULL;
    if (!pane)
        return marks;
    for (uint32_t i = 0; i < marks->mark_count; i++)
        pane_note_mark(pane, marks->marks[i]);
    pane_destroy(marks);
    return pane;
}

static void find_oldest(const struct pane_list *list, uint32_t partition, struct pane_origin *oldest)
{
    for (uint32_t i = 0; i < list->count; i++)
        pane_find_oldest(list->panes[i], partition, oldest);
}

static int64_t aligned_oldest_offset(const struct window_operator *base, uint32_t partition,
                                     int64_t *watermark_us)
{
    const struct aligned_operator *op = (const struct aligned_operator *)base;
    struct pane_origin oldest = {partition, INT64_MAX, TIME_NONE};
    find_oldest(&op->open, partition, &oldest);
    find_oldest(&op->late, partition, &oldest);
    find_oldest(&op->early, partition, &oldest);
    *watermark_us = oldest.watermark_us;
    return oldest.offset;
}

const struct window_operator_kind aligned_operator_kind = {
    .create = aligned_create,
    .destroy = aligned_destroy,
    .add = aligned_add,
    .take = aligned_take,
    .oldest_offset = aligned_oldest_offset,
    .set_horizon = aligned_set_horizon,
};
