/* Keys of windows that were. See known_keys.h. */
#include "window/known_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void known_keys_init(struct known_keys *known, const struct window_spec *spec, struct pane_pool *pool)
{
    *known =
        (struct known_keys){.spec = spec, .grid = window_grid_of(spec), .pool = pool, .latest_us = TIME_NONE};
    known->keys = pane_create(pool, PANE_ON_TIME, 0, 0);
}

void known_keys_reset(struct known_keys *known)
{
    for (uint32_t i = 0; i < known->origin_count; i++)
        pane_destroy(known->origins[i]);
    known->origin_count = 0;
    known->latest_us = TIME_NONE;
    pane_destroy(known->keys);
    known->keys = pane_create(known->pool, PANE_ON_TIME, 0, 0);
}

void known_keys_deinit(struct known_keys *known)
{
    if (!known->pool)
        return;
    known_keys_reset(known);
    pane_destroy(known->keys);
    free(known->last_ends_us);
    free(known->origins);
}

static int64_t known_until(const struct known_keys *known, int64_t end_us)
{
    return end_us + WINDOW_EMPTY_MAX * known->grid.slide_us;
}

static uint32_t index_of(const struct pane *pane, const char *row)
{
    return (uint32_t)((size_t)(row - pane->rows) / pane->layout->row_size);
}

void known_keys_note(struct known_keys *known, const struct pane *pane)
{
    uint64_t hash;
    for (uint32_t i = 0; i < pane->row_count; i++) {
        uint32_t before = known->keys->row_count;
        if (!pane_row_at(pane, i)->event_count)
            continue;
        struct key_lookup lookup = {
            .hashes = &hash,
            .new_row_limit = before < known->spec->key_limit ? known->spec->key_limit - before : 0};
        char *row;
        pane_find_rows_of(known->keys, pane, &i, 1, &lookup, &row);
        if (known->capacity < known->keys->row_count) {
            known->capacity = known->keys->row_capacity;
            known->last_ends_us =
                memory_resize_array(known->last_ends_us, known->capacity, sizeof *known->last_ends_us);
        }
        int64_t *last_us = &known->last_ends_us[index_of(known->keys, row)];
        if (before < known->keys->row_count || *last_us < pane->end_us)
            *last_us = pane->end_us;
    }
    if (pane->row_count && pane->end_us > known->latest_us)
        known->latest_us = pane->end_us;
}

void known_keys_keep_origins(struct known_keys *known, const struct pane *pane)
{
    uint32_t index = known->origin_count;
    while (index > 0 && known->origins[index - 1]->end_us >= pane->end_us)
        index--;
    if (index == known->origin_count || known->origins[index]->end_us != pane->end_us) {
        if (known->origin_count == known->origin_capacity) {
            known->origin_capacity = known->origin_capacity ? known->origin_capacity * 2 : 16;
            known->origins =
                memory_resize_array(known->origins, known->origin_capacity, sizeof(struct pane *));
        }
        memmove(&known->origins[index + 1], &known->origins[index],
                (known->origin_count - index) * sizeof(struct pane *));
        known->origins[index] = pane_create(known->pool, PANE_EARLY, pane->start_us, 0);
        known->origin_count++;
    }
    for (uint32_t i = 0; i < pane->origin_count; i++)
        pane_note_origin(known->origins[index], &pane->origins[i]);
}

int64_t known_keys_next_end(const struct known_keys *known, int64_t closed_us)
{
    if (known->latest_us == TIME_NONE || closed_us == TIME_NONE || closed_us == TIME_MAX)
        return TIME_MAX;
    int64_t end_us = grid_last_end(&known->grid, closed_us) + known->grid.slide_us;
    return end_us <= known_until(known, known->latest_us) ? end_us : TIME_MAX;
}

/* Forgets keys and origins that no window behind this one asks for; the keys when they are half of all. */
static void forget(struct known_keys *known, int64_t end_us)
{
    uint32_t gone = 0;
    while (gone < known->origin_count && known_until(known, known->origins[gone]->end_us) <= end_us)
        pane_destroy(known->origins[gone++]);
    known->origin_count -= gone;
    if (gone)
        memmove(known->origins, known->origins + gone, known->origin_count * sizeof(struct pane *));
    uint32_t over = 0;
    for (uint32_t i = 0; i < known->keys->row_count; i++)
        over += known_until(known, known->last_ends_us[i]) <= end_us;
    if (!over || over < known->keys->row_count / 2)
        return;
    struct pane *old = known->keys;
    uint64_t hash;
    known->keys = pane_create(known->pool, PANE_ON_TIME, 0, old->row_count - over);
    for (uint32_t i = 0; i < old->row_count; i++) {
        struct key_lookup lookup = {.hashes = &hash, .new_row_limit = UINT64_MAX};
        char *row;
        if (known_until(known, known->last_ends_us[i]) <= end_us)
            continue;
        pane_find_rows_of(known->keys, old, &i, 1, &lookup, &row);
        known->last_ends_us[index_of(known->keys, row)] = known->last_ends_us[i];
    }
    pane_destroy(old);
}

void known_keys_write(struct known_keys *known, struct emission *emission, const struct merged_window *window)
{
    uint32_t rows[EMISSION_ROWS], count = 0;
    for (uint32_t i = 0; i < known->keys->row_count; i++) {
        bool is_empty = known->last_ends_us[i] < window->end_us &&
                        window->end_us <= known_until(known, known->last_ends_us[i]);
        if (is_empty)
            rows[count++] = i;
        if (count && (count == EMISSION_ROWS || i + 1 == known->keys->row_count)) {
            emission_expect(emission, known->keys->row_count);
            emission_write_empty(emission, window, known->keys, rows, count);
            count = 0;
        }
    }
    forget(known, window->end_us);
}

void known_keys_find_oldest(const struct known_keys *known, uint32_t partition, struct pane_origin *oldest)
{
    for (uint32_t i = 0; i < known->origin_count; i++) {
        const struct pane *pane = known->origins[i];
        for (uint32_t o = 0; o < pane->origin_count; o++) {
            if (pane->origins[o].partition == partition && pane->origins[o].offset < oldest->offset)
                *oldest = pane->origins[o];
        }
    }
}

size_t known_keys_memory_size(const struct known_keys *known)
{
    size_t size =
        known->capacity * sizeof *known->last_ends_us + (known->keys ? pane_memory_size(known->keys) : 0);
    for (uint32_t i = 0; i < known->origin_count; i++)
        size += pane_memory_size(known->origins[i]);
    return size;
}
