/* Rows and progress of a transaction. Results go in by statements of many rows, which costs half of what a statement per row does; each row is
 * an upsert whose condition is the order of revisions, so that repeats and late arrivals of older records change nothing. */
#include <assert.h>

#include "store/store_internal.h"

static enum status add_pipeline(struct store *store, struct slice name, int64_t *id, struct error *error)
{
    sqlite3_stmt *add = store_prepare(&store->connection, STORE_ADD_PIPELINE);
    if (!add)
        return store_fail(&store->connection, "write to", error);
    store_bind_text(add, 1, name);
    enum status status = store_run(&store->connection, add, "write to", error);
    *id = sqlite3_last_insert_rowid(store->connection.handle);
    return status;
}

/* The number that stands for the pipeline in the rows. */
static enum status find_pipeline(struct store *store, const char *name, int64_t *id, struct error *error)
{
    for (uint32_t i = 0; i < store->pipeline_count; i++)
        if (strcmp(store->pipelines[i].name, name) == 0) {
            *id = store->pipelines[i].id;
            return STATUS_OK;
        }
    sqlite3_stmt *find = store_prepare(&store->connection, STORE_PIPELINE_ID);
    if (!find)
        return store_fail(&store->connection, "read", error);
    store_bind_text(find, 1, slice_of(name));
    int code = sqlite3_step(find);
    enum status status = STATUS_OK;
    if (code == SQLITE_ROW)
        *id = sqlite3_column_int64(find, 0);
    else
        status = code == SQLITE_DONE ? add_pipeline(store, slice_of(name), id, error)
                                     : store_fail(&store->connection, "read", error);
    sqlite3_reset(find);
    if (status != STATUS_OK)
        return status;
    if (store->pipeline_count == STORE_MAX_PIPELINES)
        store->pipeline_count = 0;
    store->pipelines[store->pipeline_count].name = name;
    store->pipelines[store->pipeline_count++].id = *id;
    return STATUS_OK;
}

static void bind_row(sqlite3_stmt *statement, int first, const struct store *store, int64_t pipeline_id,
                     const struct result_block *block, uint32_t row)
{
    sqlite3_bind_int64(statement, first, store->base + 1 + (int64_t)(block->first_sequence + row));
    sqlite3_bind_int64(statement, first + 1, pipeline_id);
    sqlite3_bind_int64(statement, first + 2, block->window_starts_us[row]);
    store_bind_text(statement, first + 3, result_block_key_json(block, row));
    sqlite3_bind_int64(statement, first + 4, block->window_ends_us[row]);
    sqlite3_bind_int64(statement, first + 5, block->emits[row] != EMIT_EARLY);
    sqlite3_bind_int64(statement, first + 6, block->revisions[row]);
    sqlite3_bind_int64(statement, first + 7, (int64_t)result_block_event_count(block, row));
    store_bind_text(statement, first + 8, result_block_json(block, row));
}

enum status store_put_results(struct store *store, const struct result_block *block, struct error *error)
{
    enum { PARAMETER_COUNT = 9 };
    assert(store->is_in_transaction && (block->json_offsets || !block->row_count));
    int64_t pipeline_id = 0;
    enum status status = find_pipeline(store, block->shape->pipeline, &pipeline_id, error);
    for (uint32_t row = 0; status == STATUS_OK && row < block->row_count;) {
        bool is_full = block->row_count - row >= STORE_ROWS_PER_UPSERT;
        uint32_t count = is_full ? STORE_ROWS_PER_UPSERT : 1;
        sqlite3_stmt *upsert =
            store_prepare(&store->connection, is_full ? STORE_UPSERT_ROWS : STORE_UPSERT_ROW);
        if (!upsert)
            return store_fail(&store->connection, "write to", error);
        for (uint32_t i = 0; i < count; i++)
            bind_row(upsert, 1 + (int)i * PARAMETER_COUNT, store, pipeline_id, block, row + i);
        status = store_run(&store->connection, upsert, "write to", error);
        row += count;
    }
    store->has_rows = true;
    return status;
}

/* The array of the API; nothing when the record has no headers. */
static void write_headers(struct buffer *out, struct slice metadata)
{
    struct slice rest = metadata_headers(metadata);
    struct record_header header;
    buffer_clear(out);
    while (metadata_next_header(&rest, &header)) {
        buffer_append_text(out, out->size ? ",{\"name\":" : "[{\"name\":");
        buffer_json_string(out, header.name);
        buffer_append_text(out, ",\"value_base64\":");
        if (header.value.data) {
            buffer_append_char(out, '"');
            buffer_base64(out, header.value);
            buffer_append_char(out, '"');
        } else {
            buffer_append_text(out, "null");
        }
        buffer_append_char(out, '}');
    }
    if (out->size)
        buffer_append_char(out, ']');
}

/* Parameters that nothing is bound to are null. */
static void bind_metadata(sqlite3_stmt *add, int first, const struct dead_letter *letter,
                          struct buffer *headers)
{
    struct slice key = metadata_key(letter->metadata);
    if (letter->topic)
        store_bind_text(add, first, slice_of(letter->topic));
    if (key.data)
        sqlite3_bind_blob64(add, first + 1, key.data, key.size, SQLITE_STATIC);
    write_headers(headers, letter->metadata);
    if (headers->size)
        store_bind_text(add, first + 2, buffer_slice(headers));
}

enum status store_put_dead_letters(struct store *store, const struct dead_letter_block *block,
                                   const char *const *sources, const char *const *pipelines, int64_t now_us,
                                   struct error *error)
{
    assert(store->is_in_transaction);
    enum status status = STATUS_OK;
    struct buffer headers = {0};
    for (uint32_t i = 0; status == STATUS_OK && i < block->letter_count; i++) {
        const struct dead_letter *letter = &block->letters[i];
        sqlite3_stmt *add = store_prepare(&store->connection, STORE_ADD_DEAD_LETTER);
        if (!add) {
            status = store_fail(&store->connection, "write to", error);
            break;
        }
        const char *pipeline = letter->pipeline_index == UINT32_MAX ? "" : pipelines[letter->pipeline_index];
        store_bind_text(add, 1, slice_of(sources[letter->source_index]));
        sqlite3_bind_int64(add, 2, letter->partition);
        sqlite3_bind_int64(add, 3, letter->offset);
        store_bind_text(add, 4, slice_of(pipeline));
        sqlite3_bind_int64(add, 5, letter->time_us);
        store_bind_text(add, 6, slice_of(letter->reason));
        sqlite3_bind_int64(add, 7, now_us);
        store_bind_text(add, 8, letter->detail);
        sqlite3_bind_blob64(add, 9, letter->raw.data ? letter->raw.data : "", letter->raw.size,
                            SQLITE_STATIC);
        bind_metadata(add, 10, letter, &headers);
        status = store_run(&store->connection, add, "write to", error);
    }
    buffer_deinit(&headers);
    store->has_rows = true;
    return status;
}

static enum status put_position(struct store *store, const struct store_position *position,
                                struct error *error)
{
    sqlite3_stmt *set = store_prepare(&store->connection, STORE_SET_POSITION);
    if (!set)
        return store_fail(&store->connection, "write to", error);
    store_bind_text(set, 1, slice_of(position->source));
    sqlite3_bind_int64(set, 2, position->partition);
    sqlite3_bind_int64(set, 3, position->position);
    sqlite3_bind_int64(set, 4, position->position_max_time_us);
    sqlite3_bind_int64(set, 5, position->base);
    sqlite3_bind_int64(set, 6, position->base_watermark_us);
    return store_run(&store->connection, set, "write to", error);
}

static enum status put_pipeline_progress(struct store *store, const struct store_pipeline_progress *pipeline,
                                         struct error *error)
{
    sqlite3_stmt *set = store_prepare(&store->connection, STORE_SET_PIPELINE_PROGRESS);
    if (!set)
        return store_fail(&store->connection, "write to", error);
    store_bind_text(set, 1, slice_of(pipeline->pipeline));
    sqlite3_bind_int64(set, 2, (int64_t)pipeline->definition_hash);
    sqlite3_bind_int64(set, 3, pipeline->closed_through_us);
    return store_run(&store->connection, set, "write to", error);
}

enum status store_put_progress(struct store *store, const struct store_progress *progress,
                               struct error *error)
{
    assert(store->is_in_transaction);
    store_pass_rows(store);
    sqlite3_stmt *set = store_prepare(&store->connection, STORE_SET_EPOCH);
    if (!set)
        return store_fail(&store->connection, "write to", error);
    sqlite3_bind_int64(set, 1, (int64_t)progress->epoch);
    enum status status = store_run(&store->connection, set, "write to", error);
    for (uint32_t i = 0; status == STATUS_OK && i < progress->position_count; i++)
        status = put_position(store, &progress->positions[i], error);
    for (uint32_t i = 0; status == STATUS_OK && i < progress->pipeline_count; i++)
        status = put_pipeline_progress(store, &progress->pipelines[i], error);
    return status;
}
