/* Which row of a pane a key has. A block of rows is taken through four steps, so that the cache misses of many keys overlap
 * instead of following each other:
 *
 *   hash every key, fetch its slot → probe, fetch the row → fetch long text → compare, insert what is new
 *
 * Keys of other types are other keys ("1" is not 1), except that a double with an integral value is that integer. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "window/session_table.h"

enum { BLOCK_ROWS = 256, ROW_CAPACITY_MIN = 16, CACHE_LINE_SIZE = 64, FETCH_SIZE_MAX = 256 };

static const char overflow_name[] = "__overflow__";
_Static_assert(sizeof overflow_name <= KEY_INLINE_SIZE, "it has no text of its own, so it always fits");

/* --- keys of a batch -------------------------------------------------------------------------------------------------- */

/* NaN and infinities are written as null, so as keys they are null. */
static inline uint8_t canonical(uint8_t kind, union value *value)
{
    if (kind != VALUE_DOUBLE)
        return kind;
    if (value->d >= -0x1p63 && value->d < 0x1p63 && (double)(int64_t)value->d == value->d) {
        value->i = (int64_t)value->d;
        return VALUE_INT;
    }
    return isfinite(value->d) ? VALUE_DOUBLE : VALUE_NULL;
}

static inline bool is_text(uint8_t kind)
{
    return kind == VALUE_STRING || kind == VALUE_JSON;
}

static inline uint64_t hash_value(const struct batch *batch, uint8_t kind, union value value, uint64_t seed)
{
    kind = canonical(kind, &value);
    seed += kind;
    if (is_text(kind))
        return hash_bytes(batch->bytes + value.s.offset, value.s.size, seed);
    uint64_t bits = kind == VALUE_NULL ? 0 : (uint64_t)value.i;
    return hash_bytes(&bits, sizeof bits, seed);
}

static void hash_rows(const struct key_lookup *lookup, const struct pane_layout *layout, const uint32_t *rows,
                      uint32_t count, uint64_t *hashes)
{
    for (uint32_t i = 0; i < count; i++)
        hashes[i] = layout->spec->hash_seed;
    for (uint32_t k = 0; k < layout->spec->shape->key_count; k++) {
        const struct column *column = &lookup->keys[k];
        for (uint32_t i = 0; i < count; i++) {
            uint32_t row = rows[i];
            hashes[i] = hash_value(lookup->batch, column->kinds[row], column->values[row], hashes[i]);
        }
    }
}

/* The upper half of the hash is kept; it chooses the slot and tells most other keys apart. */
static inline uint32_t short_hash(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

static inline uint64_t load_8(const char *at)
{
    uint64_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

/* Most keys are short: two loads that may overlap, instead of a call. */
static inline bool bytes_equal(const char *a, const char *b, uint32_t size)
{
    if (size < 8 || size > 16)
        return memcmp(a, b, size) == 0;
    return load_8(a) == load_8(b) && load_8(a + size - 8) == load_8(b + size - 8);
}

static inline bool text_equal(const struct pane *pane, const struct key_cell *cell, const char *text,
                              uint32_t size)
{
    return cell->size == size && bytes_equal(key_cell_text(pane, cell), text, size);
}

static inline bool batch_key_equal(const struct pane *pane, const struct pane_row *entry,
                                   const struct key_lookup *lookup, uint32_t row, uint32_t key_count)
{
    for (uint32_t k = 0; k < key_count; k++) {
        const struct key_cell *cell = &entry->keys[k];
        union value value = lookup->keys[k].values[row];
        uint8_t kind = canonical(lookup->keys[k].kinds[row], &value);
        if (cell->kind != kind)
            return false;
        if (is_text(kind)) {
            if (!text_equal(pane, cell, lookup->batch->bytes + value.s.offset, value.s.size))
                return false;
        } else if (kind != VALUE_NULL && cell->i != value.i) {
            return false;
        }
    }
    return true;
}

static bool cell_set_text(struct pane *pane, struct key_cell *cell, const char *text, uint32_t size)
{
    cell->size = size;
    cell->bits[0] = cell->bits[1] = 0;
    if (size <= KEY_INLINE_SIZE) {
        memcpy(cell->text, text, size);
        return true;
    }
    uint32_t offset = 0;
    bool is_added = pane_add_text(pane, text, size, &offset);
    cell->offset = offset;
    return is_added;
}

/* --- rows ------------------------------------------------------------------------------------------------------------- */

static struct pane_row *append_empty_row(struct pane *pane, uint32_t hash)
{
    size_t row_size = pane->layout->row_size;
    if (pane->row_count == pane->row_capacity) {
        pane->row_capacity = pane->row_capacity ? pane->row_capacity * 2 : ROW_CAPACITY_MIN;
        pane->rows = memory_resize_array(pane->rows, pane->row_capacity, row_size);
    }
    struct pane_row *row = memset(pane->rows + pane->row_count++ * row_size, 0, row_size);
    row->hash = hash;
    return row;
}

void pane_reserve_rows(struct pane *pane, uint32_t count)
{
    if (pane->row_capacity >= count)
        return;
    pane->rows = memory_resize_array(pane->rows, count, pane->layout->row_size);
    pane->row_capacity = count;
}

static void put_slot(struct pane *pane, uint32_t hash, uint32_t index)
{
    uint32_t place = hash & pane->slot_mask;
    while (pane->slots[place])
        place = (place + 1) & pane->slot_mask;
    pane->slots[place] = (uint64_t)hash << 32 | (index + 1);
}

/* Of the sessions of a key the table has one row. */
static inline bool is_in_table(const struct pane *pane, uint32_t index)
{
    return !pane->layout->span_offset || !session_span_at(pane, index)->anchor;
}

static void grow_slots(struct pane *pane)
{
    uint32_t count = (pane->slot_mask + 1) * 2;
    if (count > pane->slot_capacity) {
        pane->slots = memory_resize_array(pane->slots, count, sizeof *pane->slots);
        pane->slot_capacity = count;
    }
    memset(pane->slots, 0, count * sizeof *pane->slots);
    pane->slot_mask = count - 1;
    for (uint32_t i = 0; i < pane->row_count; i++) {
        if (is_in_table(pane, i))
            put_slot(pane, pane_row_at(pane, i)->hash, i);
    }
}

/* The table gets the row that was just appended. */
static void enter_last_row(struct pane *pane, uint32_t hash)
{
    if (pane->row_count > (pane->slot_mask + 1) / 4 * 3)
        grow_slots(pane);
    else
        put_slot(pane, hash, pane->row_count - 1);
}

static uint64_t overflow_hash(const struct window_spec *spec)
{
    uint64_t hash = spec->hash_seed;
    for (uint32_t k = 0; k < spec->shape->key_count; k++)
        hash = hash_bytes(overflow_name, sizeof overflow_name - 1, hash + VALUE_STRING);
    return hash;
}

static bool is_overflow_key(const struct pane *pane, const struct pane_row *row)
{
    for (uint32_t k = 0; k < pane->layout->spec->shape->key_count; k++) {
        const struct key_cell *cell = &row->keys[k];
        if (cell->kind != VALUE_STRING || !text_equal(pane, cell, overflow_name, sizeof overflow_name - 1))
            return false;
    }
    return true;
}

/* Index of the group for keys beyond the limit. */
static uint32_t overflow_row(struct pane *pane, struct key_lookup *lookup)
{
    if (pane->overflow_row)
        return pane->overflow_row - 1;
    uint32_t hash = short_hash(overflow_hash(pane->layout->spec));
    for (uint32_t place = hash & pane->slot_mask; pane->slots[place]; place = (place + 1) & pane->slot_mask) {
        uint32_t index = (uint32_t)pane->slots[place] - 1;
        if (pane->slots[place] >> 32 == hash && is_overflow_key(pane, pane_row_at(pane, index))) {
            pane->overflow_row = index + 1;
            lookup->new_row_limit++; /* it was counted as a key so far */
            return index;
        }
    }
    struct pane_row *row = append_empty_row(pane, hash);
    for (uint32_t k = 0; k < pane->layout->spec->shape->key_count; k++) {
        struct key_cell *cell = &row->keys[k];
        cell->kind = VALUE_STRING;
        cell->size = sizeof overflow_name - 1;
        memcpy(cell->text, overflow_name, sizeof overflow_name);
    }
    pane->overflow_row = pane->row_count;
    enter_last_row(pane, hash);
    return pane->overflow_row - 1;
}

/* Index of the overflow row instead of a new one. The limit is for keys; a pipeline without keys has one group. */
static bool must_overflow(const struct pane *pane, const struct key_lookup *lookup)
{
    return lookup->new_row_limit == 0 && pane->layout->spec->shape->key_count > 0;
}

static uint32_t drop_last_row(struct pane *pane, struct key_lookup *lookup)
{
    pane->row_count--;
    lookup->overflowed++;
    return overflow_row(pane, lookup);
}

static uint32_t insert_batch_key(struct pane *pane, struct key_lookup *lookup, uint32_t batch_row,
                                 uint32_t hash)
{
    if (must_overflow(pane, lookup)) {
        lookup->overflowed++;
        return overflow_row(pane, lookup);
    }
    struct pane_row *row = append_empty_row(pane, hash);
    for (uint32_t k = 0; k < pane->layout->spec->shape->key_count; k++) {
        struct key_cell *cell = &row->keys[k];
        union value value = lookup->keys[k].values[batch_row];
        cell->kind = canonical(lookup->keys[k].kinds[batch_row], &value);
        if (is_text(cell->kind)) {
            if (!cell_set_text(pane, cell, lookup->batch->bytes + value.s.offset, value.s.size))
                return drop_last_row(pane, lookup);
        } else if (cell->kind != VALUE_NULL) {
            cell->i = value.i;
        }
    }
    enter_last_row(pane, hash);
    lookup->new_row_limit -= lookup->new_row_limit > 0;
    return pane->row_count - 1;
}

static uint32_t find_batch_key(struct pane *pane, struct key_lookup *lookup, uint32_t batch_row,
                               uint32_t hash)
{
    uint32_t key_count = pane->layout->spec->shape->key_count;
    for (uint32_t place = hash & pane->slot_mask;; place = (place + 1) & pane->slot_mask) {
        uint64_t slot = pane->slots[place];
        if (!slot)
            return insert_batch_key(pane, lookup, batch_row, hash);
        uint32_t index = (uint32_t)slot - 1;
        if (slot >> 32 == hash &&
            batch_key_equal(pane, pane_row_at(pane, index), lookup, batch_row, key_count))
            return index;
    }
}

/* --- blocks of rows ----------------------------------------------------------------------------------------------------- */

/* hashes[i] becomes hash << 32 | index + 1 of the row that probably is the right one, 0 in the lower half for none. */
static void probe_block(const struct pane *pane, uint64_t *hashes, uint32_t count)
{
    size_t row_size = pane->layout->row_size, fetch_size = pane->layout->fetch_size;
    fetch_size = fetch_size < FETCH_SIZE_MAX ? fetch_size : FETCH_SIZE_MAX;
    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(&pane->slots[short_hash(hashes[i]) & pane->slot_mask]);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t hash = short_hash(hashes[i]), place = hash & pane->slot_mask;
        uint64_t slot;
        while ((slot = pane->slots[place]) != 0 && slot >> 32 != hash)
            place = (place + 1) & pane->slot_mask;
        hashes[i] = slot ? slot : (uint64_t)hash << 32;
        if (!slot)
            continue;
        const char *row = pane->rows + ((uint32_t)slot - 1) * row_size;
        for (size_t at = 0; at < fetch_size; at += CACHE_LINE_SIZE)
            __builtin_prefetch(row + at, 1);
        __builtin_prefetch(row + fetch_size - 1, 1);
    }
}

static void fetch_text(const struct pane *pane, const uint64_t *hashes, uint32_t count)
{
    if (!pane->text.size)
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (!(uint32_t)hashes[i])
            continue;
        const struct key_cell *cell = pane_row_at(pane, (uint32_t)hashes[i] - 1)->keys;
        if (cell->size > KEY_INLINE_SIZE)
            __builtin_prefetch(pane->text.data + cell->offset);
    }
}

/* Rows may move while rows are added, so indices become addresses at the end. */
static void indices_to_entries(const struct pane *pane, const uint64_t *indices, uint32_t count,
                               char **entries)
{
    for (uint32_t i = 0; i < count; i++)
        entries[i] = pane->rows + indices[i] * pane->layout->row_size;
}

void pane_find_rows(struct pane *pane, struct key_lookup *lookup, const uint32_t *rows, uint32_t count,
                    char **entries)
{
    uint32_t key_count = pane->layout->spec->shape->key_count;
    lookup->overflowed = 0;
    for (uint32_t start = 0; start < count; start += BLOCK_ROWS) {
        uint32_t size = count - start < BLOCK_ROWS ? count - start : BLOCK_ROWS;
        uint64_t *hashes = lookup->hashes + start;
        hash_rows(lookup, pane->layout, rows + start, size, hashes);
        probe_block(pane, hashes, size);
        if (key_count > 0)
            fetch_text(pane, hashes, size);
        for (uint32_t i = 0; i < size; i++) {
            uint32_t row = rows[start + i], index = (uint32_t)hashes[i] - 1;
            bool is_found = (uint32_t)hashes[i] != 0 &&
                            batch_key_equal(pane, pane_row_at(pane, index), lookup, row, key_count);
            hashes[i] = is_found ? index : find_batch_key(pane, lookup, row, short_hash(hashes[i]));
        }
    }
    indices_to_entries(pane, lookup->hashes, count, entries);
}

/* --- keys of another pane ----------------------------------------------------------------------------------------------- */

static bool rows_equal(const struct pane *a, const struct pane_row *row_a, const struct pane *b,
                       const struct pane_row *row_b)
{
    for (uint32_t k = 0; k < a->layout->spec->shape->key_count; k++) {
        const struct key_cell *x = &row_a->keys[k], *y = &row_b->keys[k];
        if (x->kind != y->kind || x->size != y->size)
            return false;
        if (x->size > KEY_INLINE_SIZE ? !bytes_equal(key_cell_text(a, x), key_cell_text(b, y), x->size)
                                      : x->bits[0] != y->bits[0] || x->bits[1] != y->bits[1])
            return false;
    }
    return true;
}

static bool copy_keys(struct pane *pane, struct pane_row *into, const struct pane *from,
                      const struct pane_row *row)
{
    for (uint32_t k = 0; k < pane->layout->spec->shape->key_count; k++) {
        into->keys[k] = row->keys[k];
        if (row->keys[k].size > KEY_INLINE_SIZE &&
            !cell_set_text(pane, &into->keys[k], key_cell_text(from, &row->keys[k]), row->keys[k].size))
            return false;
    }
    return true;
}

struct pane_row *pane_find(const struct pane *pane, const struct pane *from, const struct pane_row *row)
{
    if (!pane)
        return NULL;
    for (uint32_t place = row->hash & pane->slot_mask;; place = (place + 1) & pane->slot_mask) {
        uint64_t slot = pane->slots[place];
        if (!slot)
            return NULL;
        struct pane_row *found = pane_row_at(pane, (uint32_t)slot - 1);
        if (slot >> 32 == row->hash && rows_equal(pane, found, from, row))
            return found;
    }
}

struct pane_row *pane_append_row(struct pane *pane, const struct pane *from, const struct pane_row *row)
{
    struct pane_row *into = append_empty_row(pane, row->hash);
    bool is_copied = copy_keys(pane, into, from, row);
    assert(is_copied);
    return into;
}

struct pane_row *pane_append_twin(struct pane *pane, uint32_t index)
{
    struct pane_row *twin = append_empty_row(pane, pane_row_at(pane, index)->hash);
    const struct pane_row *row = pane_row_at(pane, index);
    memcpy(twin->keys, row->keys, pane->layout->spec->shape->key_count * sizeof *row->keys);
    return twin;
}

static uint32_t find_or_copy(struct pane *pane, const struct pane *from, uint32_t index,
                             struct key_lookup *lookup)
{
    const struct pane_row *row = pane_row_at(from, index);
    const struct pane_row *found = pane_find(pane, from, row);
    if (found)
        return (uint32_t)((size_t)((const char *)found - pane->rows) / pane->layout->row_size);
    bool is_overflow = from->overflow_row == index + 1;
    if (is_overflow || must_overflow(pane, lookup)) {
        lookup->overflowed += is_overflow ? 0 : row->event_count;
        return overflow_row(pane, lookup);
    }
    struct pane_row *into = append_empty_row(pane, row->hash);
    if (!copy_keys(pane, into, from, row))
        return drop_last_row(pane, lookup);
    enter_last_row(pane, row->hash);
    lookup->new_row_limit -= lookup->new_row_limit > 0;
    return pane->row_count - 1;
}

void pane_find_rows_of(struct pane *pane, const struct pane *from, const uint32_t *indices, uint32_t count,
                       struct key_lookup *lookup, char **entries)
{
    lookup->overflowed = 0;
    for (uint32_t start = 0; start < count; start += BLOCK_ROWS) {
        uint32_t size = count - start < BLOCK_ROWS ? count - start : BLOCK_ROWS;
        uint64_t *hashes = lookup->hashes + start;
        for (uint32_t i = 0; i < size; i++)
            hashes[i] = (uint64_t)pane_row_at(from, indices[start + i])->hash << 32;
        probe_block(pane, hashes, size);
        fetch_text(pane, hashes, size);
        for (uint32_t i = 0; i < size; i++)
            hashes[i] = find_or_copy(pane, from, indices[start + i], lookup);
    }
    indices_to_entries(pane, lookup->hashes, count, entries);
}

/* --- keys that were read ------------------------------------------------------------------------------------------------ */

struct pane_row *pane_add_row(struct pane *pane)
{
    return append_empty_row(pane, 0);
}

bool pane_set_key_text(struct pane *pane, struct key_cell *cell, const char *text, uint32_t size)
{
    return cell_set_text(pane, cell, text, size);
}

uint8_t pane_key_canonical(uint8_t kind, union value *value)
{
    return canonical(kind, value);
}

/* The same as hash_rows makes of the key in a batch. */
static uint32_t hash_row(const struct pane *pane, const struct pane_row *row)
{
    const struct window_spec *spec = pane->layout->spec;
    uint64_t hash = spec->hash_seed;
    for (uint32_t k = 0; k < spec->shape->key_count; k++) {
        const struct key_cell *cell = &row->keys[k];
        hash += cell->kind;
        hash = is_text(cell->kind) ? hash_bytes(key_cell_text(pane, cell), cell->size, hash)
                                   : hash_bytes(cell->bits, sizeof cell->bits[0], hash);
    }
    return short_hash(hash);
}

/* False when the table has the key. */
static bool enter_row(struct pane *pane, uint32_t index)
{
    struct pane_row *row = pane_row_at(pane, index);
    uint32_t place = row->hash & pane->slot_mask;
    for (uint64_t slot; (slot = pane->slots[place]) != 0; place = (place + 1) & pane->slot_mask) {
        if (slot >> 32 == row->hash && rows_equal(pane, pane_row_at(pane, (uint32_t)slot - 1), pane, row))
            return false;
    }
    pane->slots[place] = (uint64_t)row->hash << 32 | (index + 1);
    return true;
}

bool pane_enter_rows(struct pane *pane)
{
    for (uint32_t i = 0; i < pane->row_count; i++) {
        struct pane_row *row = pane_row_at(pane, i);
        row->hash = hash_row(pane, row);
        if (pane->kind != PANE_EARLY && pane->kind != PANE_SESSIONS && !enter_row(pane, i))
            return false;
    }
    return !pane->overflow_row || is_overflow_key(pane, pane_row_at(pane, pane->overflow_row - 1));
}

void pane_merge_rows(struct pane *into_pane, char *const *into, const struct pane *from_pane,
                     const char *const *from, uint32_t count)
{
    const struct pane_layout *layout = into_pane->layout;
    for (uint32_t i = 0; i < count; i++) {
        struct pane_row *to = (struct pane_row *)(void *)into[i];
        const struct pane_row *row = (const struct pane_row *)(const void *)from[i];
        to->event_count += row->event_count;
        to->type_errors += row->type_errors;
    }
    for (uint32_t a = 0; a < layout->spec->aggregate_count && from_pane->kind != PANE_DROPPED; a++) {
        const struct aggregate_kind *kind = layout->spec->aggregates[a].kind;
        if (!layout->sharers[a] || !kind->state_size)
            continue;
        struct aggregate_merge merge = {into, from, count, layout->state_offsets[a], into_pane, from_pane};
        kind->merge(&merge);
    }
}
