/* Two stacks over the panes of sliding windows. See sliding_stack.h. */
#include "window/sliding_stack.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    KEYS_EXPECTED_MIN = 64,
    WHOLE_FRONT_PANES = 4, /* of shorter windows the newer half is always the back */
};

void sliding_stack_init(struct sliding_stack *stack, const struct window_spec *spec, struct pane_pool *pool)
{
    *stack = (struct sliding_stack){.spec = spec, .grid = window_grid_of(spec), .pool = pool};
    stack->start_us = stack->end_us = stack->boundary_us = TIME_NONE;
    stack->keys = pane_create(pool, PANE_ON_TIME, 0, 0);
    stack->indices = memory_allocate_array(SLIDING_MERGE_ROWS, sizeof *stack->indices);
    stack->hashes = memory_allocate_array(SLIDING_MERGE_ROWS, sizeof *stack->hashes);
    stack->into = memory_allocate_array(SLIDING_MERGE_ROWS, sizeof(char *));
    stack->from = memory_allocate_array(SLIDING_MERGE_ROWS, sizeof(char *));
}

static void held_destroy(struct held_pane *held)
{
    pane_destroy(held->pane);
    pane_destroy(held->sums);
    free(held->keys);
    free(held->next);
    free(held);
}

void sliding_stack_reset(struct sliding_stack *stack)
{
    for (uint32_t i = 0; i < stack->count; i++)
        held_destroy(stack->panes[i]);
    stack->count = stack->first_open = stack->waiting_count = 0;
    stack->start_us = stack->end_us = stack->boundary_us = TIME_NONE;
    stack->live_count = stack->extra_work = 0;
    stack->extra_count = 0;
    stack->has_late = false;
    pane_destroy(stack->keys);
    stack->keys = pane_create(stack->pool, PANE_ON_TIME, 0, 0);
    if (stack->key_capacity) {
        memset(stack->heads, 0, stack->key_capacity * sizeof *stack->heads);
        memset(stack->references, 0, stack->key_capacity * sizeof *stack->references);
    }
}

void sliding_stack_deinit(struct sliding_stack *stack)
{
    sliding_stack_reset(stack);
    pane_destroy(stack->keys);
    pane_destroy(stack->extra);
    free(stack->panes);
    free(stack->waiting);
    free(stack->heads);
    free(stack->references);
    free(stack->extra_rows);
    free(stack->indices);
    free(stack->hashes);
    free(stack->into);
    free((void *)stack->from);
}

/* --- rows of one pane into another ------------------------------------------------------------------------------------- */

static uint32_t row_index(const struct pane *pane, const char *entry)
{
    return (uint32_t)((size_t)(entry - pane->rows) / pane->layout->row_size);
}

static uint32_t part_of(uint32_t count, uint32_t first)
{
    return count - first < SLIDING_MERGE_ROWS ? count - first : SLIDING_MERGE_ROWS;
}

/* Finds or makes rows in `into` for rows [first, first + count) of the pane: stack->into, and stack->from beside. */
static uint64_t find_rows(struct sliding_stack *stack, struct pane *into, const struct pane *pane,
                          uint32_t first, uint32_t count, uint64_t new_row_limit)
{
    for (uint32_t i = 0; i < count; i++) {
        stack->indices[i] = first + i;
        stack->from[i] = (const char *)pane_row_at(pane, first + i);
    }
    struct key_lookup lookup = {.hashes = stack->hashes, .new_row_limit = new_row_limit};
    pane_find_rows_of(into, pane, stack->indices, count, &lookup, stack->into);
    return lookup.overflowed;
}

/* --- keys --------------------------------------------------------------------------------------------------------------- */

static void reserve_keys(struct sliding_stack *stack)
{
    uint32_t before = stack->key_capacity, capacity = before ? before : KEYS_EXPECTED_MIN;
    if (stack->keys->row_count <= before)
        return;
    while (capacity < stack->keys->row_count)
        capacity *= 2;
    stack->heads = memory_resize_array(stack->heads, capacity, sizeof *stack->heads);
    stack->references = memory_resize_array(stack->references, capacity, sizeof *stack->references);
    memset(stack->heads + before, 0, (capacity - before) * sizeof *stack->heads);
    memset(stack->references + before, 0, (capacity - before) * sizeof *stack->references);
    stack->key_capacity = capacity;
}

static void reserve_row_keys(struct held_pane *held)
{
    if (held->keys && held->pane->row_count <= held->key_capacity)
        return;
    held->key_capacity = held->pane->row_capacity + 1;
    held->keys = memory_resize_array(held->keys, held->key_capacity, sizeof *held->keys);
}

static void refer(struct sliding_stack *stack, uint32_t key)
{
    if (stack->references[key]++ == 0)
        stack->live_count++;
}

static uint64_t new_key_limit(const struct sliding_stack *stack)
{
    return stack->live_count < stack->spec->key_limit ? stack->spec->key_limit - stack->live_count : 0;
}

/* Gives rows from `first` on their keys; false as soon as a row has none of its own, since there are too many: then its events are
 * to be merged into the pane's overflow row. */
static bool find_keys(struct sliding_stack *stack, struct held_pane *held, uint32_t first)
{
    struct pane *pane = held->pane;
    reserve_row_keys(held);
    for (uint32_t at = first; at < pane->row_count; at += SLIDING_MERGE_ROWS) {
        uint32_t count = part_of(pane->row_count, at);
        if (find_rows(stack, stack->keys, pane, at, count, new_key_limit(stack)))
            return false;
        reserve_keys(stack);
        for (uint32_t i = 0; i < count; i++)
            held->keys[at + i] = row_index(stack->keys, stack->into[i]);
        for (uint32_t i = 0; i < count; i++)
            refer(stack, held->keys[at + i]);
    }
    return true;
}

static struct pane *empty_copy(struct sliding_stack *stack, const struct pane *pane)
{
    struct pane *copy = pane_create(stack->pool, pane->kind, pane->start_us, 0);
    copy->reached_us = pane->reached_us;
    copy->gone_us = pane->gone_us;
    copy->is_replay = pane->is_replay;
    for (uint32_t i = 0; i < pane->origin_count; i++)
        pane_note_origin(copy, &pane->origins[i]);
    return copy;
}

/* --- adding panes ------------------------------------------------------------------------------------------------------- */

static int order(const struct pane *a, const struct pane *b)
{
    if (a->start_us != b->start_us)
        return a->start_us < b->start_us ? -1 : 1;
    return (a->reached_us > b->reached_us) - (a->reached_us < b->reached_us);
}

uint32_t sliding_stack_search(const struct sliding_stack *stack, const struct pane *pane)
{
    uint32_t low = 0, high = stack->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (order(stack->panes[middle]->pane, pane) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A held pane of the same rows that can still take more: its sums are not made yet. */
static struct held_pane *find_open(const struct sliding_stack *stack, uint32_t index, const struct pane *pane)
{
    for (; index < stack->count && order(stack->panes[index]->pane, pane) == 0; index++) {
        if (!stack->panes[index]->sums)
            return stack->panes[index];
    }
    return NULL;
}

static struct held_pane **insert_place(struct held_pane ***list, uint32_t *count, uint32_t *capacity,
                                       uint32_t index)
{
    if (*count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 16;
        *list = memory_resize_array(*list, *capacity, sizeof **list);
    }
    memmove(*list + index + 1, *list + index, (*count - index) * sizeof **list);
    (*count)++;
    return *list + index;
}

/* Adds rows of an applied pane to the running sums of their keys; from[i] belongs to keys[i]. */
static void add_to_back(struct sliding_stack *stack, const struct pane *pane, const uint32_t *keys,
                        uint32_t count)
{
    for (uint32_t first = 0; first < count; first += SLIDING_MERGE_ROWS) {
        uint32_t part = part_of(count, first);
        for (uint32_t i = 0; i < part; i++) {
            stack->into[i] = (char *)pane_row_at(stack->keys, keys[first + i]);
            stack->from[i] = (const char *)pane_row_at(pane, first + i);
        }
        pane_merge_rows(stack->keys, stack->into, pane, stack->from, part);
    }
}

static bool is_in_back(const struct sliding_stack *stack, const struct held_pane *held)
{
    return held->is_applied && !held->sums && held->pane->start_us >= stack->boundary_us;
}

/* Rows for a pane that is there already, part by part. */
static void add_rows(struct sliding_stack *stack, struct held_pane *held, struct pane *pane)
{
    struct pane *into = held->pane;
    uint32_t keys[SLIDING_MERGE_ROWS];
    for (uint32_t first = 0; first < pane->row_count; first += SLIDING_MERGE_ROWS) {
        uint32_t count = part_of(pane->row_count, first), known = into->row_count;
        find_rows(stack, into, pane, first, count, UINT64_MAX);
        pane_merge_rows(into, stack->into, pane, stack->from, count);
        if (!held->keys)
            continue;
        for (uint32_t i = 0; i < count; i++)
            keys[i] = row_index(into, stack->into[i]);
        (void)find_keys(stack, held, known);
        if (!is_in_back(stack, held))
            continue;
        for (uint32_t i = 0; i < count; i++) {
            stack->into[i] = (char *)pane_row_at(stack->keys, held->keys[keys[i]]);
            stack->from[i] = (const char *)pane_row_at(pane, first + i);
        }
        pane_merge_rows(stack->keys, stack->into, pane, stack->from, count);
    }
    into->is_replay = into->is_replay && pane->is_replay;
    for (uint32_t i = 0; i < pane->origin_count; i++)
        pane_note_origin(into, &pane->origins[i]);
    pane_destroy(pane);
}

/* Whether all keys of the pane fit; a pane that has keys in common with those that are there may fit although it looks otherwise,
 * so they are counted only near the limit. */
static bool keys_fit(const struct sliding_stack *stack, const struct pane *pane)
{
    uint64_t room = new_key_limit(stack), new_count = 0;
    if (pane->row_count <= room)
        return true;
    for (uint32_t i = 0; i < pane->row_count; i++) {
        const struct pane_row *key = pane_find(stack->keys, pane, pane_row_at(pane, i));
        bool is_live = key && stack->references[row_index(stack->keys, (const char *)key)] > 0;
        new_count += !is_live && pane->overflow_row != i + 1;
    }
    return new_count <= room;
}

static void add_pane(struct sliding_stack *stack, struct pane *pane)
{
    bool is_open = stack->start_us == TIME_NONE || pane->start_us >= stack->start_us;
    uint32_t index = sliding_stack_search(stack, pane);
    struct held_pane *held = find_open(stack, index, pane);
    if (held) {
        add_rows(stack, held, pane);
        return;
    }
    held = memory_allocate(sizeof *held);
    held->pane = pane;
    *insert_place(&stack->panes, &stack->count, &stack->capacity, index) = held;
    if (!is_open) {
        stack->first_open++;
        return;
    }
    (void)find_keys(stack, held, 0);
    *insert_place(&stack->waiting, &stack->waiting_count, &stack->waiting_capacity, stack->waiting_count) =
        held;
}

/* A pane with too many keys: each row is added by itself, to the overflow row of its pane when its key is one too many. So the order
 * of additions is that of the rows, also when they come in several panes. */
static void add_row_by_row(struct sliding_stack *stack, struct pane *pane)
{
    for (uint32_t i = 0; i < pane->row_count; i++) {
        struct pane *part = empty_copy(stack, pane);
        find_rows(stack, part, pane, i, 1, UINT64_MAX);
        if (!keys_fit(stack, part)) {
            pane_destroy(part);
            part = empty_copy(stack, pane);
            stack->overflow_events += find_rows(stack, part, pane, i, 1, 0);
        }
        pane_merge_rows(part, stack->into, pane, stack->from, 1);
        add_pane(stack, part);
    }
    pane_destroy(pane);
}

void sliding_stack_add(struct sliding_stack *stack, struct pane *pane)
{
    bool is_open = stack->start_us == TIME_NONE || pane->start_us >= stack->start_us;
    if (is_open && stack->spec->shape->key_count > 0 && !keys_fit(stack, pane))
        add_row_by_row(stack, pane);
    else
        add_pane(stack, pane);
}

/* --- from window to window ---------------------------------------------------------------------------------------------- */

int64_t sliding_stack_next_end(const struct sliding_stack *stack, int64_t after_us)
{
    for (uint32_t i = stack->first_open; i < stack->count; i++) {
        int64_t start_us = stack->panes[i]->pane->start_us;
        if (grid_final_end(&stack->grid, start_us) <= after_us)
            continue;
        int64_t first_us = grid_first_end(&stack->grid, start_us);
        int64_t next_us =
            after_us == TIME_NONE ? TIME_NONE : grid_last_end(&stack->grid, after_us) + stack->grid.slide_us;
        return first_us > next_us ? first_us : next_us;
    }
    return TIME_MAX;
}

/* No window that may still close needs the pane. */
static void leave(struct sliding_stack *stack, struct held_pane *held)
{
    for (uint32_t i = 0; i < held->pane->row_count; i++) {
        uint32_t key = held->keys[i];
        struct row_place *head = &stack->heads[key];
        if (--stack->references[key] == 0)
            stack->live_count--;
        if (held->sums && head->held == held)
            *head = held->next[i];
    }
    pane_destroy(held->sums);
    free(held->keys);
    free(held->next);
    stack->extra_count -= held->is_extra;
    held->is_extra = false;
    held->sums = NULL;
    held->keys = NULL;
    held->next = NULL;
    held->key_capacity = 0;
}

/* Waiting panes that the window takes, and those that have left before any window took them. */
static void apply_waiting(struct sliding_stack *stack, bool boundary_moves)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < stack->waiting_count; i++) {
        struct held_pane *held = stack->waiting[i];
        if (!held->keys)
            continue;
        if (held->pane->start_us >= stack->end_us || held->pane->reached_us >= stack->end_us) {
            stack->waiting[kept++] = held;
            continue;
        }
        held->is_applied = true;
        stack->has_late = stack->has_late || held->pane->reached_us != TIME_NONE;
        held->is_extra = !boundary_moves && held->pane->start_us < stack->boundary_us;
        stack->extra_count += held->is_extra;
        if (!boundary_moves && is_in_back(stack, held))
            add_to_back(stack, held->pane, held->keys, held->pane->row_count);
    }
    stack->waiting_count = kept;
}

/* Keys that are in use, in the order they have, with empty states; the others are forgotten. */
static void renew_keys(struct sliding_stack *stack)
{
    struct pane *old = stack->keys;
    uint32_t *renewed = memory_allocate_array(old->row_count + 1, sizeof *renewed);
    stack->keys = pane_create(stack->pool, PANE_ON_TIME, 0, (uint32_t)stack->live_count);
    for (uint32_t i = 0; i < old->row_count;) {
        struct key_lookup lookup = {.hashes = stack->hashes, .new_row_limit = UINT64_MAX};
        uint32_t count = 0;
        for (; i < old->row_count && count < SLIDING_MERGE_ROWS; i++) {
            if (stack->references[i])
                stack->indices[count++] = i;
        }
        pane_find_rows_of(stack->keys, old, stack->indices, count, &lookup, stack->into);
        for (uint32_t k = 0; k < count; k++) {
            uint32_t key = row_index(stack->keys, stack->into[k]);
            renewed[stack->indices[k]] = key;
            stack->references[key] = stack->references[stack->indices[k]];
        }
    }
    memset(stack->references + stack->keys->row_count, 0,
           (stack->key_capacity - stack->keys->row_count) * sizeof *stack->references);
    if (stack->key_capacity)
        memset(stack->heads, 0, stack->key_capacity * sizeof *stack->heads);
    for (uint32_t i = stack->first_open; i < stack->count; i++) {
        struct held_pane *held = stack->panes[i];
        for (uint32_t r = 0; r < held->pane->row_count; r++)
            held->keys[r] = renewed[held->keys[r]];
    }
    free(renewed);
    pane_destroy(old);
}

/* Adds the sums that are at the heads of the rows' keys, run by run of rows whose heads are in one pane. */
static void add_heads(struct sliding_stack *stack, struct held_pane *held, uint32_t first, uint32_t count)
{
    for (uint32_t start = 0; start < count;) {
        const struct held_pane *source = held->next[first + start].held;
        uint32_t run = 0;
        for (; start + run < count && held->next[first + start + run].held == source; run++) {
            if (!source)
                continue;
            stack->into[run] = (char *)pane_row_at(held->sums, first + start + run);
            stack->from[run] = (const char *)pane_row_at(source->sums, held->next[first + start + run].row);
        }
        if (source)
            pane_merge_rows(held->sums, stack->into, source->sums, stack->from, run);
        start += run;
    }
}

/* The pane goes into the front; those behind it are in it already. */
static void make_sums(struct sliding_stack *stack, struct held_pane *held)
{
    struct pane *pane = held->pane;
    pane_destroy(held->sums);
    held->sums = pane_create(stack->pool, PANE_EARLY, pane->start_us, 0);
    held->next = memory_resize_array(held->next, pane->row_count + 1, sizeof *held->next);
    pane_reserve_rows(held->sums, pane->row_count);
    for (uint32_t i = 0; i < pane->row_count; i++)
        (void)pane_add_row(held->sums);
    for (uint32_t first = 0; first < pane->row_count; first += SLIDING_MERGE_ROWS) {
        uint32_t count = part_of(pane->row_count, first);
        for (uint32_t i = 0; i < count; i++) {
            struct row_place *head = &stack->heads[held->keys[first + i]];
            held->next[first + i] = *head;
            *head = (struct row_place){held, first + i};
            stack->into[i] = (char *)pane_row_at(held->sums, first + i);
            stack->from[i] = (const char *)pane_row_at(pane, first + i);
        }
        pane_merge_rows(held->sums, stack->into, pane, stack->from, count);
        add_heads(stack, held, first, count);
    }
}

/* The boundary moves to the end of the window, or to its middle when rows have come late since it moved before; the front is made
 * anew, from right to left, and the back too. */
static void move_boundary(struct sliding_stack *stack)
{
    bool is_short = stack->grid.size_us / stack->grid.pane_us < WHOLE_FRONT_PANES;
    int64_t half_us = stack->grid.size_us / 2;
    stack->boundary_us = stack->has_late || is_short
                             ? grid_pane_start(&stack->grid, stack->start_us + half_us)
                             : stack->end_us;
    stack->has_late = false;
    stack->extra_work = stack->extra_count = 0;
    renew_keys(stack);
    for (uint32_t i = stack->count; i-- > stack->first_open;) {
        struct held_pane *held = stack->panes[i];
        held->is_extra = false;
        if (!held->is_applied)
            continue;
        if (held->pane->start_us >= stack->boundary_us)
            add_to_back(stack, held->pane, held->keys, held->pane->row_count);
        else
            make_sums(stack, held);
    }
}

static void add_to_extra(struct sliding_stack *stack, const struct held_pane *held)
{
    for (uint32_t r = 0; r < held->pane->row_count; r++) {
        uint32_t *row = &stack->extra_rows[held->keys[r]];
        if (!*row) {
            (void)pane_add_row(stack->extra);
            *row = stack->extra->row_count;
        }
        char *into = (char *)pane_row_at(stack->extra, *row - 1);
        const char *from = (const char *)pane_row_at(held->pane, r);
        pane_merge_rows(stack->extra, &into, held->pane, &from, 1);
    }
    stack->extra_work += held->pane->row_count;
}

/* Puts what is before the boundary and not in the front together by key. */
static void sum_extra(struct sliding_stack *stack)
{
    pane_destroy(stack->extra);
    stack->extra = NULL;
    if (!stack->extra_count)
        return;
    stack->extra = pane_create(stack->pool, PANE_EARLY, 0, 0);
    if (stack->extra_capacity < stack->key_capacity)
        stack->extra_rows =
            memory_resize_array(stack->extra_rows, stack->key_capacity, sizeof *stack->extra_rows);
    stack->extra_capacity = stack->key_capacity;
    memset(stack->extra_rows, 0, stack->extra_capacity * sizeof *stack->extra_rows);
    for (uint32_t i = stack->first_open;
         i < stack->count && stack->panes[i]->pane->start_us < stack->boundary_us; i++) {
        if (stack->panes[i]->is_extra)
            add_to_extra(stack, stack->panes[i]);
    }
}

static uint64_t open_row_count(const struct sliding_stack *stack)
{
    uint64_t count = 0;
    for (uint32_t i = stack->first_open; i < stack->count; i++)
        count += stack->panes[i]->pane->row_count;
    return count;
}

void sliding_stack_advance(struct sliding_stack *stack, int64_t end_us)
{
    stack->end_us = end_us;
    stack->start_us = end_us - stack->grid.size_us;
    while (stack->first_open < stack->count &&
           stack->panes[stack->first_open]->pane->start_us < stack->start_us)
        leave(stack, stack->panes[stack->first_open++]);
    bool moves = stack->start_us >= stack->boundary_us;
    apply_waiting(stack, moves);
    if (moves)
        move_boundary(stack);
    sum_extra(stack);
    /* When adding them one window after the other has cost as much as making the front anew, it is made anew. */
    if (stack->extra && stack->extra_work > open_row_count(stack)) {
        move_boundary(stack);
        sum_extra(stack);
    }
}

/* --- forgetting --------------------------------------------------------------------------------------------------------- */

void sliding_stack_forget(struct sliding_stack *stack, int64_t watermark_us)
{
    uint32_t gone = 0;
    for (; gone < stack->count; gone++) {
        struct held_pane *held = stack->panes[gone];
        int64_t end_us = grid_final_end(&stack->grid, held->pane->start_us);
        if (watermark_us != TIME_MAX && end_us > watermark_us - stack->spec->allowed_lateness_us)
            break;
        if (held->keys)
            leave(stack, held);
    }
    if (!gone)
        return;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < stack->waiting_count; i++) {
        if (stack->waiting[i]->keys)
            stack->waiting[kept++] = stack->waiting[i];
    }
    stack->waiting_count = kept;
    for (uint32_t i = 0; i < gone; i++)
        held_destroy(stack->panes[i]);
    stack->count -= gone;
    stack->first_open = stack->first_open > gone ? stack->first_open - gone : 0;
    memmove(stack->panes, stack->panes + gone, stack->count * sizeof *stack->panes);
}
