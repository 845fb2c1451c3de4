/* What windows and keys have, out of the two stacks of sliding_stack.c. */
#include "window/sliding_stack.h"

/* Rows [0, count) of `sums` have the keys of `keys`. */
static void add_front(struct sliding_stack *stack, const uint32_t *keys, uint32_t count, struct pane *sums)
{
    for (uint32_t start = 0; start < count;) {
        const struct held_pane *source = stack->heads[keys[start]].held;
        uint32_t run = 0;
        for (; start + run < count && stack->heads[keys[start + run]].held == source; run++) {
            if (!source)
                continue;
            stack->into[run] = (char *)pane_row_at(sums, start + run);
            stack->from[run] = (const char *)pane_row_at(source->sums, stack->heads[keys[start + run]].row);
        }
        if (source)
            pane_merge_rows(sums, stack->into, source->sums, stack->from, run);
        start += run;
    }
}

static void add_keyed(struct sliding_stack *stack, const uint32_t *keys, uint32_t count, struct pane *sums,
                      bool is_extra)
{
    const struct pane *source = is_extra ? stack->extra : stack->keys;
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = is_extra ? stack->extra_rows[keys[i]] : keys[i] + 1;
        if (!row || !pane_row_at(source, row - 1)->event_count)
            continue;
        stack->into[found] = (char *)pane_row_at(sums, i);
        stack->from[found++] = (const char *)pane_row_at(source, row - 1);
    }
    if (found)
        pane_merge_rows(sums, stack->into, source, stack->from, found);
}

uint32_t sliding_stack_read(struct sliding_stack *stack, uint32_t *next, struct pane *sums, uint32_t limit)
{
    uint32_t keys[SLIDING_MERGE_ROWS], count = 0;
    limit = limit < SLIDING_MERGE_ROWS ? limit : SLIDING_MERGE_ROWS;
    for (; *next < stack->keys->row_count && count < limit; (*next)++) {
        const struct pane_row *row = pane_row_at(stack->keys, *next);
        if (!row->event_count && !stack->heads[*next].held && !(stack->extra && stack->extra_rows[*next]))
            continue;
        keys[count++] = *next;
        pane_append_row(sums, stack->keys, row);
    }
    add_front(stack, keys, count, sums);
    add_keyed(stack, keys, count, sums, false);
    if (stack->extra)
        add_keyed(stack, keys, count, sums, true);
    return count;
}

void sliding_stack_sum(struct sliding_stack *stack, int64_t end_us, const struct pane *of,
                       const struct pane_row *const *rows, uint32_t count, struct pane *sums)
{
    struct pane first = {.start_us = end_us - stack->grid.size_us, .reached_us = TIME_NONE};
    for (uint32_t i = sliding_stack_search(stack, &first); i < stack->count; i++) {
        const struct pane *pane = stack->panes[i]->pane;
        uint32_t found = 0;
        if (pane->start_us >= end_us)
            break;
        if (pane->reached_us >= end_us)
            continue;
        for (uint32_t r = 0; r < count; r++) {
            const struct pane_row *row = pane_find(pane, of, rows[r]);
            if (!row)
                continue;
            stack->into[found] = (char *)pane_row_at(sums, r);
            stack->from[found++] = (const char *)row;
        }
        if (found)
            pane_merge_rows(sums, stack->into, pane, stack->from, found);
    }
}

int64_t sliding_stack_seen(struct sliding_stack *stack, int64_t end_us, int64_t now_us)
{
    struct pane first = {.start_us = end_us - stack->grid.size_us, .reached_us = TIME_NONE};
    int64_t seen_us = now_us;
    for (uint32_t i = sliding_stack_search(stack, &first);
         i < stack->count && stack->panes[i]->pane->start_us < end_us; i++) {
        struct held_pane *held = stack->panes[i];
        if (!held->seen_us)
            held->seen_us = now_us;
        seen_us = held->seen_us < seen_us ? held->seen_us : seen_us;
    }
    return seen_us;
}

bool sliding_stack_covers(const struct sliding_stack *stack, int64_t end_us)
{
    struct pane first = {.start_us = end_us - stack->grid.size_us, .reached_us = TIME_NONE};
    for (uint32_t i = sliding_stack_search(stack, &first);
         i < stack->count && stack->panes[i]->pane->start_us < end_us; i++) {
        if (stack->panes[i]->pane->reached_us < end_us)
            return true;
    }
    return false;
}

size_t sliding_stack_memory_size(const struct sliding_stack *stack)
{
    size_t size = pane_memory_size(stack->keys) + (stack->extra ? pane_memory_size(stack->extra) : 0) +
                  stack->key_capacity * (sizeof *stack->heads + sizeof *stack->references) +
                  stack->extra_capacity * sizeof *stack->extra_rows +
                  (stack->capacity + stack->waiting_capacity) * sizeof *stack->panes;
    for (uint32_t i = 0; i < stack->count; i++) {
        const struct held_pane *held = stack->panes[i];
        size += sizeof *held + pane_memory_size(held->pane) + held->key_capacity * sizeof *held->keys;
        size += held->sums ? pane_memory_size(held->sums) + held->pane->row_count * sizeof *held->next : 0;
    }
    return size;
}
