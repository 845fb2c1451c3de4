/* Panes and the pool their memory comes from. A pane that has gone leaves rows, table and text behind for the next one, so in
 * steady state nothing is asked of the heap, and the kernel need not hand out fresh pages for every window. */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "window/session_table.h"

enum { SLOT_COUNT_MIN = 32 };

struct pane_pool {
    struct pane_layout layout;
    atomic_uint reference_count; /* owner and panes; acq_rel on release, relaxed on acquire */
    pthread_mutex_t lock;        /* guards what follows */
    struct pane *large[PANE_POOL_MAX_LARGE], *small[PANE_POOL_MAX_SMALL];
    uint32_t large_count, small_count;
    bool is_closed; /* the owner has gone: nothing is kept */
};

/* The earlier aggregate whose state this one can use; itself when there is none. */
static uint32_t state_owner(const struct window_spec *spec, uint32_t index)
{
    const struct window_aggregate *aggregate = &spec->aggregates[index];
    for (uint32_t i = 0; i < index; i++) {
        const struct window_aggregate *other = &spec->aggregates[i];
        if (other->kind->add == aggregate->kind->add && other->input == aggregate->input)
            return i;
    }
    return index;
}

static void layout_init(struct pane_layout *layout, const struct window_spec *spec)
{
    layout->spec = spec;
    layout->grid = window_grid_of(spec);
    layout->row_size = sizeof(struct pane_row) + spec->shape->key_count * sizeof(struct key_cell);
    for (uint32_t i = 0; i < spec->aggregate_count; i++) {
        uint32_t owner = state_owner(spec, i);
        layout->sharers[owner]++;
        if (owner != i) {
            layout->state_offsets[i] = layout->state_offsets[owner];
            continue;
        }
        assert(spec->aggregates[i].kind->state_size % 8 == 0);
        layout->state_offsets[i] = layout->row_size;
        layout->row_size += spec->aggregates[i].kind->state_size;
    }
    layout->fetch_size = layout->row_size;
    if (spec->kind == WINDOW_SESSION) {
        layout->span_offset = layout->row_size;
        layout->row_size += sizeof(struct session_span);
        layout->fetch_size += SESSION_SPAN_HOT_SIZE;
    }
}

struct pane_pool *pane_pool_create(const struct window_spec *spec)
{
    struct pane_pool *pool = memory_allocate(sizeof *pool);
    layout_init(&pool->layout, spec);
    atomic_init(&pool->reference_count, 1);
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

const struct pane_layout *pane_pool_layout(const struct pane_pool *pool)
{
    return &pool->layout;
}

static void pool_unreference(struct pane_pool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->reference_count, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static void pane_free(struct pane *pane)
{
    free(pane->slots);
    free(pane->rows);
    buffer_deinit(&pane->text);
    pane_blocks_deinit(&pane->blocks);
    free(pane->origins);
    free(pane->marks);
    free(pane->unshown);
    free(pane);
}

void pane_pool_release(struct pane_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->is_closed = true;
    while (pool->large_count > 0)
        pane_free(pool->large[--pool->large_count]);
    while (pool->small_count > 0)
        pane_free(pool->small[--pool->small_count]);
    pthread_mutex_unlock(&pool->lock);
    pool_unreference(pool);
}

/* Small panes take small memory first, large ones large: a pane of three late events must not sit on megabytes. */
static struct pane *pool_take(struct pane_pool *pool, bool wants_large)
{
    struct pane *pane = NULL;
    pthread_mutex_lock(&pool->lock);
    if (wants_large && pool->large_count > 0)
        pane = pool->large[--pool->large_count];
    else if (pool->small_count > 0)
        pane = pool->small[--pool->small_count];
    pthread_mutex_unlock(&pool->lock);
    return pane;
}

static bool pool_put(struct pane_pool *pool, struct pane *pane)
{
    bool is_large = pane->row_capacity > PANE_SMALL_ROWS ||
                    pane_blocks_memory_size(&pane->blocks) > PANE_SMALL_BLOCKS_SIZE;
    bool is_kept = false;
    pthread_mutex_lock(&pool->lock);
    if (!pool->is_closed && is_large && pool->large_count < PANE_POOL_MAX_LARGE) {
        pool->large[pool->large_count++] = pane;
        is_kept = true;
    } else if (!pool->is_closed && !is_large && pool->small_count < PANE_POOL_MAX_SMALL) {
        pool->small[pool->small_count++] = pane;
        is_kept = true;
    }
    pthread_mutex_unlock(&pool->lock);
    return is_kept;
}

static void slots_prepare(struct pane *pane, uint32_t expected_rows)
{
    uint32_t count = SLOT_COUNT_MIN;
    while (count / 4 * 3 < expected_rows && count < UINT32_C(1) << 30)
        count *= 2;
    if (count > pane->slot_capacity) {
        free(pane->slots);
        pane->slots = memory_allocate_array(count, sizeof *pane->slots);
        pane->slot_capacity = count;
    } else {
        memset(pane->slots, 0, count * sizeof *pane->slots);
    }
    pane->slot_mask = count - 1;
}

struct pane *pane_create(struct pane_pool *pool, enum pane_kind kind, int64_t start_us,
                         uint32_t expected_rows)
{
    bool has_table = kind != PANE_EARLY && kind != PANE_MARKS && kind != PANE_SESSIONS;
    struct pane *pane = pool_take(pool, expected_rows > PANE_SMALL_ROWS);
    if (!pane)
        pane = memory_allocate(sizeof *pane);
    atomic_fetch_add_explicit(&pool->reference_count, 1, memory_order_relaxed);
    pane->pool = pool;
    pane->layout = &pool->layout;
    pane->kind = kind;
    pane->is_replay = true;
    pane->start_us = start_us;
    pane->end_us = start_us == TIME_NONE                      ? TIME_NONE
                   : pool->layout.spec->kind == WINDOW_GLOBAL ? TIME_MAX
                                                              : start_us + pool->layout.grid.pane_us;
    pane->reached_us = pane->gone_us = TIME_NONE;
    pane->overflow_row = 0;
    pane->origin_count = pane->mark_count = pane->touch = pane->unshown_count = 0;
    pane_clear_rows(pane);
    if (has_table)
        slots_prepare(pane, expected_rows);
    return pane;
}

void pane_destroy(struct pane *pane)
{
    if (!pane)
        return;
    struct pane_pool *pool = pane->pool;
    if (!pool_put(pool, pane))
        pane_free(pane);
    pool_unreference(pool);
}

size_t pane_memory_size(const struct pane *pane)
{
    return sizeof *pane + pane->slot_capacity * sizeof *pane->slots +
           pane->row_capacity * pane->layout->row_size + pane->text.capacity +
           pane_blocks_memory_size(&pane->blocks) + pane->origin_capacity * sizeof *pane->origins +
           pane->mark_capacity * sizeof *pane->marks + pane->unshown_capacity * sizeof *pane->unshown;
}

void pane_clear_rows(struct pane *pane)
{
    pane->row_count = 0;
    buffer_clear(&pane->text);
    pane_blocks_clear(&pane->blocks);
}

void pane_reset_states(struct pane *pane, struct pane_row *row)
{
    const struct window_spec *spec = pane->layout->spec;
    for (uint32_t a = 0; a < spec->aggregate_count; a++) {
        const struct aggregate_kind *kind = spec->aggregates[a].kind;
        char *state = (char *)row + pane->layout->state_offsets[a];
        if (!pane->layout->sharers[a])
            continue;
        if (kind->reset)
            kind->reset(pane, state);
        else
            memset(state, 0, kind->state_size);
    }
}

bool pane_add_text(struct pane *pane, const char *data, size_t size, uint32_t *offset)
{
    if (size > PANE_TEXT_MAX_SIZE - pane->text.size)
        return false;
    *offset = (uint32_t)pane->text.size;
    buffer_append(&pane->text, data, size);
    return true;
}

void pane_note_origin(struct pane *pane, const struct pane_origin *origin)
{
    for (uint32_t i = 0; i < pane->origin_count; i++) {
        if (pane->origins[i].partition != origin->partition)
            continue;
        if (origin->offset < pane->origins[i].offset)
            pane->origins[i] = *origin;
        return;
    }
    if (pane->origin_count == pane->origin_capacity) {
        pane->origin_capacity = pane->origin_capacity ? pane->origin_capacity * 2 : 2;
        pane->origins = memory_resize_array(pane->origins, pane->origin_capacity, sizeof *pane->origins);
    }
    pane->origins[pane->origin_count++] = *origin;
}

void pane_find_oldest(const struct pane *pane, uint32_t partition, struct pane_origin *oldest)
{
    for (uint32_t i = 0; pane && i < pane->origin_count; i++) {
        if (pane->origins[i].partition == partition && pane->origins[i].offset < oldest->offset)
            *oldest = pane->origins[i];
    }
}

/* Of all marks between two window ends only the smallest can ever be asked for. */
void pane_note_mark(struct pane *pane, int64_t watermark_us)
{
    const struct window_grid *grid = &pane->layout->grid;
    uint32_t index = pane->mark_count;
    while (index > 0 && pane->marks[index - 1] >= watermark_us)
        index--;
    int64_t bucket_us = grid_last_end(grid, watermark_us);
    if (index > 0 && pane->marks[index - 1] >= bucket_us)
        return;
    if (index < pane->mark_count && grid_last_end(grid, pane->marks[index]) == bucket_us) {
        pane->marks[index] = watermark_us;
        return;
    }
    if (pane->mark_count == WINDOW_MARKS_MAX) {
        if (index == pane->mark_count)
            return;
        pane->mark_count--;
    }
    if (pane->mark_count == pane->mark_capacity) {
        pane->mark_capacity = pane->mark_capacity ? pane->mark_capacity * 2 : 4;
        pane->marks = memory_resize_array(pane->marks, pane->mark_capacity, sizeof *pane->marks);
    }
    memmove(&pane->marks[index + 1], &pane->marks[index], (pane->mark_count - index) * sizeof *pane->marks);
    pane->marks[index] = watermark_us;
    pane->mark_count++;
}

uint32_t pane_list_search(const struct pane_list *list, int64_t start_us, bool *found)
{
    uint32_t low = 0, high = list->count;
    /* Nearly always the newest. */
    if (high > 0 && list->panes[high - 1]->start_us <= start_us)
        low = list->panes[high - 1]->start_us == start_us ? high - 1 : high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->panes[middle]->start_us < start_us)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < list->count && list->panes[low]->start_us == start_us;
    return low;
}

void pane_list_insert(struct pane_list *list, uint32_t index, struct pane *pane)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 8;
        list->panes = memory_resize_array(list->panes, list->capacity, sizeof(struct pane *));
    }
    memmove(&list->panes[index + 1], &list->panes[index], (list->count - index) * sizeof(struct pane *));
    list->panes[index] = pane;
    list->count++;
}

struct pane *pane_list_remove(struct pane_list *list, uint32_t index)
{
    struct pane *pane = list->panes[index];
    list->count--;
    memmove(&list->panes[index], &list->panes[index + 1], (list->count - index) * sizeof(struct pane *));
    return pane;
}

void pane_list_deinit(struct pane_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        pane_destroy(list->panes[i]);
    free(list->panes);
    *list = (struct pane_list){0};
}
