/* The newest row per key, in the order of their sequence: what snapshots read, and what a conflated or slow subscription gets
 * instead of every row.
 *
 *   oldest change ── row ── [cursor] ── row ── row ── [cursor] ── row ── newest change
 *
 * A row that changes moves to the end. Readers are cursors in the same list: what is behind a cursor is what its reader does
 * not know yet, however often it changed meanwhile. So any number of slow readers share one copy. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

/* One result on its way through the hub. */
struct hub_record {
    struct slice json;     /* the record of the API */
    struct slice key_json; /* ["FR"] */
    uint64_t boot_id, sequence;
    int64_t window_start_us;
    uint64_t event_count; /* on time and late */
    uint32_t pipeline_index, revision;
    bool is_early; /* of a window that is still open */
};

struct row_link {
    struct row_link *previous, *next;
    bool is_cursor;
};

struct row {
    struct row_link link;
    struct row *next_in_bucket;
    uint64_t hash;
    struct hub_record record; /* slices point into `text` */
    char *text;
    size_t capacity;
};

struct row_cursor {
    struct row_link link; /* previous is NULL while it is closed */
    uint64_t sequence;    /* of the row it has passed last; else what its owner set */
    void *owner;
};

struct row_table {
    struct row_link ends; /* of the circular list */
    struct row **buckets;
    uint32_t bucket_count, row_count;
    size_t size; /* bytes of all rows */
    uint64_t seed;
    uint32_t row_count_limit;
    size_t size_limit;
};

/* `seed` keeps keys from outside from being chosen to collide. */
void row_table_init(struct row_table *table, uint64_t seed, uint32_t row_count_limit, size_t size_limit);
/* Every cursor must have been closed. */
void row_table_deinit(struct row_table *table);

/* Puts the record in as the newest of its pipeline and key. A key has at most two rows: the newest closed window, and an open one
 * that is newer than it. False when the row that is there is of a newer window: then nothing changed. The record's
 * text is copied. May leave the table over its limits. */
bool row_table_put(struct row_table *table, const struct hub_record *record);
bool row_table_is_over_limits(const struct row_table *table);
/* First row, or NULL; a cursor may stand before it. */
struct row *row_table_first(const struct row_table *table);
/* Forgets the first row, also when a cursor has not passed it. */
void row_table_drop_first(struct row_table *table);
/* Forgets the rows that every cursor has passed. */
void row_table_trim(struct row_table *table);
/* Puts the rows into the order of (boot_id, sequence), after rows were put in any order. No cursor may be open. */
void row_table_sort(struct row_table *table);

/* A cursor before the first row, behind the last, or where another one stands. */
void row_cursor_open_first(struct row_cursor *cursor, struct row_table *table);
void row_cursor_open_last(struct row_cursor *cursor, struct row_table *table);
void row_cursor_open_at(struct row_cursor *cursor, struct row_cursor *other);
/* Nothing when it is closed. */
void row_cursor_close(struct row_cursor *cursor);
bool row_cursor_is_open(const struct row_cursor *cursor);
/* The row behind the cursor, which stays where it is; NULL when there is none. */
const struct row *row_cursor_peek(const struct row_cursor *cursor, const struct row_table *table);
/* Moves behind the row that row_cursor_peek() returned. */
void row_cursor_pass(struct row_cursor *cursor, const struct row *row);
