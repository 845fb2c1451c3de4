/* What the store had when this life began. After a crash the engine emits again what it cannot be sure was stored, so rows that
 * clients have seen, and older states of them, would come as if they were new. A row that does not replace the stored
 * one by (closed over early, revision, events) is such a repeat. Ids are kept as 128 bits of hash. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "hub/hub_internal.h"

enum { FIRST_CAPACITY = 256 };

struct known_row {
    uint64_t hash, check; /* of the id; hash 0: empty */
    uint64_t event_count;
    uint32_t revision;
    bool is_closed;
};

void hub_known_deinit(struct hub_known *known)
{
    free(known->rows);
    *known = (struct hub_known){0};
}

static void hash_id(const struct hub_known *known, const struct hub_record *record, uint64_t *hash,
                    uint64_t *check)
{
    struct slice key = record->key_json;
    uint64_t seed = known->seed ^ (uint64_t)record->window_start_us * 64 ^ record->pipeline_index;
    *hash = hash_bytes(key.data, key.size, seed) | 1;
    *check = hash_bytes(key.data, key.size, ~seed);
}

static struct known_row *find_place(const struct hub_known *known, uint64_t hash, uint64_t check)
{
    uint32_t at = (uint32_t)(hash >> 32) & (known->capacity - 1);
    while (known->rows[at].hash && (known->rows[at].hash != hash || known->rows[at].check != check))
        at = (at + 1) & (known->capacity - 1);
    return &known->rows[at];
}

static void grow(struct hub_known *known)
{
    struct hub_known grown = *known;
    grown.capacity = known->capacity ? 2 * known->capacity : FIRST_CAPACITY;
    grown.rows = memory_allocate_array(grown.capacity, sizeof *grown.rows);
    for (uint32_t i = 0; i < known->capacity; i++) {
        if (known->rows[i].hash)
            *find_place(&grown, known->rows[i].hash, known->rows[i].check) = known->rows[i];
    }
    free(known->rows);
    *known = grown;
}

void hub_known_add(struct hub_known *known, const struct hub_record *record)
{
    if (known->count == HUB_KNOWN_ROWS_MAX)
        return;
    if (2 * known->count >= known->capacity)
        grow(known);
    struct known_row row = {
        .event_count = record->event_count, .revision = record->revision, .is_closed = !record->is_early};
    hash_id(known, record, &row.hash, &row.check);
    struct known_row *place = find_place(known, row.hash, row.check);
    known->count += place->hash == 0;
    *place = row;
}

bool hub_known_has(const struct hub_known *known, const struct hub_record *record)
{
    if (known->count == 0)
        return false;
    uint64_t hash, check;
    hash_id(known, record, &hash, &check);
    const struct known_row *row = find_place(known, hash, check);
    bool is_closed = !record->is_early;
    if (!row->hash || is_closed != row->is_closed)
        return row->hash && row->is_closed;
    if (record->revision != row->revision)
        return record->revision < row->revision;
    return record->event_count <= row->event_count;
}
