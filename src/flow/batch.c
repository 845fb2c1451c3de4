/* Buffers of a batch: text grows while a source fills it, columns are made once the decoder knows how many rows there can
 * be. Both keep their size over batch_reset(). See batch.h for the layout. */
#include "flow/batch.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

enum { TEXT_KEPT_SIZE = 4 * BATCH_TEXT_SIZE, ROW_ROUNDING = 64, SIDE_ALIGNMENT = 16 };

const char *bad_reason_name(enum bad_reason reason)
{
    static const char *const names[BAD_REASON_COUNT] = {
        [BAD_NOT_JSON] = "not_json",
        [BAD_NOT_OBJECT] = "not_object",
        [BAD_DUPLICATE_KEY] = "duplicate_key",
        [BAD_TOO_BIG] = "too_big",
        [BAD_TOO_DEEP] = "too_deep",
        [BAD_NO_TIME] = "no_time",
        [BAD_ABSURD_TIME] = "absurd_time",
        [BAD_FUTURE_TIME] = "future_time",
        [BAD_SCHEMA] = "schema",
    };
    assert((unsigned)reason < BAD_REASON_COUNT);
    return names[reason];
}

struct batch *batch_create(void)
{
    struct batch *batch = memory_allocate(sizeof *batch);
    arena_init(&batch->arena, 0);
    return batch;
}

static void free_rows(struct batch *batch)
{
    for (uint32_t i = 0; i < batch->column_capacity; i++) {
        free(batch->columns[i].kinds);
        free(batch->columns[i].values);
    }
    free(batch->columns);
    free(batch->row_records);
    free(batch->event_times_us);
    free(batch->offsets);
    free(batch->bad);
}

void batch_destroy(struct batch *batch)
{
    if (!batch)
        return;
    free_rows(batch);
    free(batch->bytes);
    free(batch->records);
    arena_deinit(&batch->arena);
    free(batch);
}

void batch_reset(struct batch *batch)
{
    if (batch->capacity > TEXT_KEPT_SIZE) {
        free(batch->bytes);
        batch->bytes = NULL;
        batch->capacity = 0;
    }
    batch->text_size = 0;
    batch->side_start = 0;
    batch->side_size = 0;
    batch->open_metadata_size = 0;
    batch->open_cut_size = 0;
    batch->metadata = (struct batch_metadata){0};
    batch->topic = NULL;
    batch->topic_partition = 0;
    batch->record_count = 0;
    batch->row_count = 0;
    batch->column_count = 0;
    batch->bad_count = 0;
    batch->slow_count = 0;
    batch->is_replay = false;
    batch->arrival_us = 0;
    batch->arrival_wall_us = 0;
    arena_reset(&batch->arena);
}

/* References are 32 bits wide; the limits on records keep a batch far below that. */
static void ensure_bytes(struct batch *batch, size_t size)
{
    assert(size <= UINT32_MAX);
    if (size <= batch->capacity)
        return;
    size_t capacity = batch->capacity ? batch->capacity : BATCH_TEXT_SIZE + BATCH_TEXT_SIZE / 4;
    while (capacity < size)
        capacity *= 2;
    batch->bytes = memory_resize(batch->bytes, capacity);
    batch->capacity = capacity;
}

char *batch_reserve_text(struct batch *batch, size_t size)
{
    assert(batch->side_start == 0);
    ensure_bytes(batch, batch->text_size + size + BATCH_PADDING_SIZE + SIDE_ALIGNMENT);
    return batch->bytes + batch->text_size;
}

void batch_grow_records(struct batch *batch)
{
    batch->record_capacity = batch->record_capacity ? 2 * batch->record_capacity : BATCH_DEFAULT_ROWS;
    batch->records = memory_resize_array(batch->records, batch->record_capacity, sizeof *batch->records);
}

static uint32_t add_cut(uint32_t cut_size, size_t size)
{
    return size < UINT32_MAX - cut_size ? cut_size + (uint32_t)size : UINT32_MAX;
}

/* Where a part of the open record's metadata goes; NULL when there is no room for it. */
static char *open_metadata(struct batch *batch, size_t size)
{
    if (size > METADATA_MAX_SIZE - (size_t)batch->open_metadata_size) {
        batch->open_cut_size = add_cut(batch->open_cut_size, size);
        return NULL;
    }
    char *to = batch_reserve_text(batch, size);
    batch->text_size += size;
    batch->open_metadata_size += (uint32_t)size;
    return to;
}

void batch_put_key(struct batch *batch, struct slice key)
{
    assert(batch->open_metadata_size == 0);
    char *to = open_metadata(batch, metadata_key_size(key));
    if (to)
        metadata_write_key(to, key);
}

void batch_put_header(struct batch *batch, struct record_header header)
{
    if (batch->open_metadata_size == 0)
        batch_put_key(batch, (struct slice){0});
    char *to = open_metadata(batch, metadata_header_size(&header));
    if (to)
        metadata_write_header(to, &header);
}

void batch_append(struct batch *batch, struct slice text, int64_t offset, int64_t time_us)
{
    size_t kept_size = text.size < RECORD_MAX_SIZE ? text.size : RECORD_MAX_SIZE;
    char *to = batch_reserve_text(batch, kept_size);
    if (kept_size)
        memcpy(to, text.data, kept_size);
    size_t text_offset = batch->text_size;
    uint32_t cut_size = add_cut(batch->open_cut_size, text.size - kept_size);
    batch->text_size += kept_size;
    *batch_add_record(batch) = (struct record){.text_offset = (uint32_t)text_offset,
                                               .text_size = (uint32_t)kept_size,
                                               .cut_size = cut_size,
                                               .metadata_size = batch->open_metadata_size,
                                               .offset = offset,
                                               .time_us = time_us};
    batch->open_metadata_size = 0;
    batch->open_cut_size = 0;
}

static void grow_rows(struct batch *batch, uint32_t rows, uint32_t columns)
{
    free_rows(batch);
    rows = (rows + ROW_ROUNDING - 1) / ROW_ROUNDING * ROW_ROUNDING;
    if (rows < batch->row_capacity)
        rows = batch->row_capacity;
    if (columns < batch->column_capacity)
        columns = batch->column_capacity;
    batch->row_capacity = rows;
    batch->column_capacity = columns;
    batch->row_records = memory_resize_array(NULL, rows, sizeof *batch->row_records);
    batch->event_times_us = memory_resize_array(NULL, rows, sizeof *batch->event_times_us);
    batch->offsets = memory_resize_array(NULL, rows, sizeof *batch->offsets);
    batch->bad = memory_resize_array(NULL, rows, sizeof *batch->bad);
    batch->columns = memory_allocate_array(columns ? columns : 1, sizeof *batch->columns);
    for (uint32_t i = 0; i < columns; i++) {
        batch->columns[i].kinds = memory_resize_array(NULL, rows, sizeof *batch->columns[i].kinds);
        batch->columns[i].values = memory_resize_array(NULL, rows, sizeof *batch->columns[i].values);
    }
}

void batch_prepare_columns(struct batch *batch, uint32_t columns)
{
    if (batch->record_count > batch->row_capacity || columns > batch->column_capacity ||
        !batch->row_records) {
        grow_rows(batch, batch->record_count ? batch->record_count : 1, columns);
    }
    batch->column_count = columns;
    for (uint32_t i = 0; i < columns; i++)
        batch->columns[i].kind_mask = 0;
    batch->row_count = 0;
    batch->bad_count = 0;
    batch->slow_count = 0;

    size_t padded = batch->text_size + BATCH_PADDING_SIZE;
    ensure_bytes(batch, padded + SIDE_ALIGNMENT);
    memset(batch->bytes + batch->text_size, 0, BATCH_PADDING_SIZE);
    batch->side_start = (padded + SIDE_ALIGNMENT - 1) / SIDE_ALIGNMENT * SIDE_ALIGNMENT;
    batch->side_size = 0;
}

static void arrange(void *values, size_t size, const uint32_t *order, uint32_t count, char *scratch)
{
    for (uint32_t i = 0; i < count; i++)
        memcpy(scratch + i * size, (const char *)values + order[i] * size, size);
    memcpy(values, scratch, count * size);
}

void batch_arrange_rows(struct batch *batch, const uint32_t *order)
{
    uint32_t count = batch->row_count;
    char *scratch = arena_allocate(&batch->arena, (count + 1) * sizeof(union value));
    arrange(batch->row_records, sizeof *batch->row_records, order, count, scratch);
    arrange(batch->event_times_us, sizeof *batch->event_times_us, order, count, scratch);
    arrange(batch->offsets, sizeof *batch->offsets, order, count, scratch);
    for (uint32_t c = 0; c < batch->column_count; c++) {
        arrange(batch->columns[c].kinds, sizeof *batch->columns[c].kinds, order, count, scratch);
        arrange(batch->columns[c].values, sizeof *batch->columns[c].values, order, count, scratch);
    }
}

void batch_show_rows(struct batch *batch, int64_t first, uint32_t count)
{
    batch->row_records += first;
    batch->event_times_us += first;
    batch->offsets += first;
    for (uint32_t c = 0; c < batch->column_count; c++) {
        batch->columns[c].kinds += first;
        batch->columns[c].values += first;
    }
    batch->row_count = count;
}

uint32_t batch_reserve_side(struct batch *batch, size_t size)
{
    assert(batch->side_start != 0);
    size_t offset = batch->side_start + batch->side_size;
    ensure_bytes(batch, offset + size);
    batch->side_size += size;
    return (uint32_t)offset;
}
