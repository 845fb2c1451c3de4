/* A hash table whose entries are also a list in the order of their last change. Text is copied, so that a row of one key does
 * not keep a block of thousands of others alive; its room is used again when the row changes. See row_table.h. */
#include "hub/row_table.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"

enum { FIRST_BUCKET_COUNT = 64 };

static void unlink_link(struct row_link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->previous = link->next = NULL;
}

static void link_before(struct row_link *link, struct row_link *place)
{
    link->previous = place->previous;
    link->next = place;
    place->previous->next = link;
    place->previous = link;
}

static size_t row_size(const struct row *row)
{
    return sizeof *row + row->capacity;
}

void row_table_init(struct row_table *table, uint64_t seed, uint32_t row_count_limit, size_t size_limit)
{
    *table = (struct row_table){.seed = seed, .row_count_limit = row_count_limit, .size_limit = size_limit};
    table->ends = (struct row_link){.previous = &table->ends, .next = &table->ends};
}

void row_table_deinit(struct row_table *table)
{
    while (row_table_first(table))
        row_table_drop_first(table);
    assert(table->ends.next == &table->ends);
    free(table->buckets);
    *table = (struct row_table){0};
}

static void grow_buckets(struct row_table *table)
{
    uint32_t count = table->bucket_count ? 2 * table->bucket_count : FIRST_BUCKET_COUNT;
    struct row **buckets = memory_allocate_array(count, sizeof(struct row *));
    for (uint32_t i = 0; i < table->bucket_count; i++) {
        for (struct row *row = table->buckets[i], *next; row; row = next) {
            next = row->next_in_bucket;
            struct row **bucket = &buckets[row->hash & (count - 1)];
            row->next_in_bucket = *bucket;
            *bucket = row;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = count;
}

static struct row *find(const struct row_table *table, uint64_t hash, const struct hub_record *record,
                        bool is_early)
{
    if (table->bucket_count == 0)
        return NULL;
    struct row *row = table->buckets[hash & (table->bucket_count - 1)];
    for (; row; row = row->next_in_bucket) {
        if (row->hash == hash && row->record.is_early == is_early &&
            row->record.pipeline_index == record->pipeline_index &&
            slice_equal(row->record.key_json, record->key_json))
            return row;
    }
    return NULL;
}

static void forget(struct row_table *table, struct row *row)
{
    struct row **place = &table->buckets[row->hash & (table->bucket_count - 1)];
    while (*place != row)
        place = &(*place)->next_in_bucket;
    *place = row->next_in_bucket;
    unlink_link(&row->link);
    table->row_count--;
    table->size -= row_size(row);
    free(row->text);
    free(row);
}

static struct row *add_row(struct row_table *table, uint64_t hash)
{
    if (table->row_count == table->bucket_count)
        grow_buckets(table);
    struct row *row = memory_allocate(sizeof *row);
    row->hash = hash;
    struct row **bucket = &table->buckets[hash & (table->bucket_count - 1)];
    row->next_in_bucket = *bucket;
    *bucket = row;
    table->row_count++;
    table->size += row_size(row);
    link_before(&row->link, &table->ends);
    return row;
}

static void copy_record(struct row_table *table, struct row *row, const struct hub_record *record)
{
    size_t size = record->json.size + record->key_json.size;
    if (size > row->capacity || size < row->capacity / 4) {
        table->size -= row_size(row);
        row->capacity = size;
        row->text = memory_resize(row->text, size ? size : 1);
        table->size += row_size(row);
    }
    char *key_text = row->text + record->json.size;
    if (record->json.size)
        memcpy(row->text, record->json.data, record->json.size);
    if (record->key_json.size)
        memcpy(key_text, record->key_json.data, record->key_json.size);
    row->record = *record;
    row->record.json.data = row->text;
    row->record.key_json.data = key_text;
}

bool row_table_put(struct row_table *table, const struct hub_record *record)
{
    uint64_t hash =
        hash_bytes(record->key_json.data, record->key_json.size, table->seed ^ record->pipeline_index);
    struct row *closed = find(table, hash, record, false);
    struct row *early = find(table, hash, record, true);
    int64_t start_us = record->window_start_us;
    if (closed && (record->is_early ? closed->record.window_start_us >= start_us
                                    : closed->record.window_start_us > start_us))
        return false;
    if (record->is_early && early && early->record.window_start_us > start_us)
        return false;
    if (!record->is_early && early && early->record.window_start_us <= start_us)
        forget(table, early);
    struct row *row = record->is_early ? early : closed;
    if (!row) {
        row = add_row(table, hash);
    } else {
        unlink_link(&row->link);
        link_before(&row->link, &table->ends);
    }
    copy_record(table, row, record);
    return true;
}

bool row_table_is_over_limits(const struct row_table *table)
{
    return table->row_count > table->row_count_limit || table->size > table->size_limit;
}

static struct row *first_row(const struct row_table *table, struct row_link *link)
{
    while (link->is_cursor)
        link = link->next;
    return link == &table->ends ? NULL : (struct row *)(void *)link;
}

struct row *row_table_first(const struct row_table *table)
{
    return first_row(table, table->ends.next);
}

void row_table_drop_first(struct row_table *table)
{
    struct row *row = row_table_first(table);
    assert(row);
    forget(table, row);
}

void row_table_trim(struct row_table *table)
{
    while (table->ends.next != &table->ends && !table->ends.next->is_cursor)
        row_table_drop_first(table);
}

static int compare_rows(const void *left, const void *right)
{
    const struct hub_record *a = &(*(struct row *const *)left)->record;
    const struct hub_record *b = &(*(struct row *const *)right)->record;
    if (a->boot_id != b->boot_id)
        return a->boot_id < b->boot_id ? -1 : 1;
    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

void row_table_sort(struct row_table *table)
{
    if (table->row_count == 0)
        return;
    struct row **rows = memory_allocate_array(table->row_count, sizeof(struct row *));
    uint32_t count = 0;
    for (struct row *row; (row = row_table_first(table));) {
        unlink_link(&row->link);
        rows[count++] = row;
    }
    assert(count == table->row_count);
    qsort(rows, count, sizeof(struct row *), compare_rows);
    for (uint32_t i = 0; i < count; i++)
        link_before(&rows[i]->link, &table->ends);
    free(rows);
}

static void open_before(struct row_cursor *cursor, struct row_link *place)
{
    assert(!row_cursor_is_open(cursor));
    cursor->link.is_cursor = true;
    link_before(&cursor->link, place);
}

void row_cursor_open_first(struct row_cursor *cursor, struct row_table *table)
{
    open_before(cursor, table->ends.next);
}

void row_cursor_open_last(struct row_cursor *cursor, struct row_table *table)
{
    open_before(cursor, &table->ends);
}

void row_cursor_open_at(struct row_cursor *cursor, struct row_cursor *other)
{
    open_before(cursor, &other->link);
    cursor->sequence = other->sequence;
}

void row_cursor_close(struct row_cursor *cursor)
{
    if (row_cursor_is_open(cursor))
        unlink_link(&cursor->link);
}

bool row_cursor_is_open(const struct row_cursor *cursor)
{
    return cursor->link.previous != NULL;
}

const struct row *row_cursor_peek(const struct row_cursor *cursor, const struct row_table *table)
{
    return first_row(table, cursor->link.next);
}

void row_cursor_pass(struct row_cursor *cursor, const struct row *row)
{
    struct row_link *place = row->link.next;
    unlink_link(&cursor->link);
    link_before(&cursor->link, place);
    cursor->sequence = row->record.sequence;
}
