/* Readers: lists by page, and what came after a position. A page ends by its row limit, and also when it has looked at or holds very much,
 * so that one request can neither hold its thread for long nor fill the memory; the cursor then leads on. */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "store/store_internal.h"

enum status store_reader_open(const char *data_dir, struct store_reader **out, struct error *error)
{
    struct store_reader *reader = memory_allocate(sizeof *reader);
    struct buffer path = {0};
    buffer_format(&path, "%s/weir.db", data_dir);
    reader->path = memory_copy_text(path.data, path.size);
    buffer_deinit(&path);
    enum status status = store_connect(&reader->connection, reader->path, false, error);
    if (status != STATUS_OK) {
        store_reader_close(reader);
        reader = NULL;
    }
    *out = reader;
    return status;
}

void store_reader_close(struct store_reader *reader)
{
    if (!reader)
        return;
    store_disconnect(&reader->connection);
    free(reader->path);
    free(reader);
}

enum status store_read_begin(struct store_reader *reader, struct error *error)
{
    return store_execute(&reader->connection, STORE_BEGIN_READ, "read", error);
}

void store_read_end(struct store_reader *reader)
{
    struct error ignored;
    if (!sqlite3_get_autocommit(reader->connection.handle) &&
        store_execute(&reader->connection, STORE_COMMIT, "read", &ignored) != STATUS_OK)
        (void)!store_execute(&reader->connection, STORE_ROLLBACK, "read", &ignored);
}

/* The state of one page while it is read. */
struct page {
    struct slice pipeline;
    int64_t pipeline_id;
    const struct key_filter *filter; /* NULL: every row passes */
    store_result_visitor *visit;
    void *context;
    uint32_t row_room;
    uint64_t scan_room, size_room;
    bool is_full, has_more;
    int64_t last_window_us; /* of the last row that was looked at */
    struct buffer last_key;
};

static bool page_take(struct page *page, const struct store_result *row)
{
    page->last_window_us = row->window_start_us;
    buffer_clear(&page->last_key);
    buffer_append_slice(&page->last_key, row->key_json);
    bool is_full = --page->scan_room == 0;
    if (!page->filter || key_filter_passes(page->filter, row->json)) {
        page->size_room -= row->json.size < page->size_room ? row->json.size : page->size_room;
        is_full |= !page->visit(page->context, row) || --page->row_room == 0 || page->size_room == 0;
    }
    return is_full;
}

static struct store_result read_row(sqlite3_stmt *statement, struct slice pipeline)
{
    return (struct store_result){
        .json = store_column_text(statement, 2),
        .pipeline = pipeline,
        .key_json = store_column_text(statement, 1),
        .window_start_us = sqlite3_column_int64(statement, 0),
        .boot_id = (uint64_t)sqlite3_column_int64(statement, 4),
        .sequence = (uint64_t)(sqlite3_column_int64(statement, 3) - sqlite3_column_int64(statement, 5) - 1)};
}

/* Rows of a statement, until the page is full; one more step then tells whether there is more. */
static enum status page_read(struct store_reader *reader, struct page *page, sqlite3_stmt *statement,
                             struct error *error)
{
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (page->is_full) {
            page->has_more = true;
            break;
        }
        struct store_result row = read_row(statement, page->pipeline);
        page->is_full = page_take(page, &row);
    }
    enum status status = code == SQLITE_ROW || code == SQLITE_DONE
                             ? STATUS_OK
                             : store_fail(&reader->connection, "read", error);
    sqlite3_reset(statement);
    return status;
}

static enum status read_window_rest(struct store_reader *reader, struct page *page, int64_t window_us,
                                    struct slice key_json, struct error *error)
{
    sqlite3_stmt *statement = store_prepare(&reader->connection, STORE_READ_WINDOW_REST);
    if (!statement)
        return store_fail(&reader->connection, "read", error);
    sqlite3_bind_int64(statement, 1, page->pipeline_id);
    sqlite3_bind_int64(statement, 2, window_us);
    store_bind_text(statement, 3, key_json);
    return page_read(reader, page, statement, error);
}

static enum status read_windows(struct store_reader *reader, struct page *page, int64_t from_us,
                                int64_t to_us, struct error *error)
{
    sqlite3_stmt *statement = store_prepare(&reader->connection, STORE_READ_WINDOWS);
    if (!statement)
        return store_fail(&reader->connection, "read", error);
    sqlite3_bind_int64(statement, 1, page->pipeline_id);
    sqlite3_bind_int64(statement, 2, from_us);
    sqlite3_bind_int64(statement, 3, to_us);
    return page_read(reader, page, statement, error);
}

/* STATUS_NOT_FOUND: nothing of that pipeline was ever stored. */
static enum status find_pipeline(struct store_reader *reader, struct slice name, int64_t *id,
                                 struct error *error)
{
    sqlite3_stmt *find = store_prepare(&reader->connection, STORE_PIPELINE_ID);
    if (!find)
        return store_fail(&reader->connection, "read", error);
    store_bind_text(find, 1, name);
    int code = sqlite3_step(find);
    *id = code == SQLITE_ROW ? sqlite3_column_int64(find, 0) : -1;
    enum status status = code == SQLITE_ROW    ? STATUS_OK
                         : code == SQLITE_DONE ? STATUS_NOT_FOUND
                                               : store_fail(&reader->connection, "read", error);
    sqlite3_reset(find);
    return status;
}

/* One consistent look at a pipeline's rows in [from, to), behind (cursor_window, cursor_key) when there is a cursor. */
static enum status read_page(struct store_reader *reader, struct page *page, int64_t from_us, int64_t to_us,
                             const int64_t *cursor_window_us, struct slice cursor_key, struct error *error)
{
    enum status status = store_read_begin(reader, error);
    if (status != STATUS_OK)
        return status;
    status = find_pipeline(reader, page->pipeline, &page->pipeline_id, error);
    if (status == STATUS_OK && cursor_window_us) {
        if (*cursor_window_us >= from_us && *cursor_window_us < to_us)
            status = read_window_rest(reader, page, *cursor_window_us, cursor_key, error);
        to_us = to_us < *cursor_window_us ? to_us : *cursor_window_us;
    }
    if (status == STATUS_OK && !page->has_more)
        status = read_windows(reader, page, from_us, to_us, error);
    store_read_end(reader);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status store_read_results(struct store_reader *reader, const struct store_results_query *query,
                               store_result_visitor *visit, void *context, struct buffer *next_cursor,
                               struct error *error)
{
    assert(query->limit >= 1 && query->limit <= STORE_PAGE_MAX_ROWS);
    int64_t cursor_window_us = 0;
    struct buffer cursor_key = {0};
    buffer_clear(next_cursor);
    if (query->cursor.size &&
        result_cursor_read(query->cursor, &cursor_window_us, &cursor_key) != STATUS_OK) {
        error_set(error, "cursor is none that was given out here; leave it out to start at the first page");
        buffer_deinit(&cursor_key);
        return STATUS_INVALID;
    }
    struct key_filter filter;
    key_filter_init(&filter, query);
    struct page page = {.pipeline = slice_of(query->pipeline),
                        .filter = query->key_count ? &filter : NULL,
                        .visit = visit,
                        .context = context,
                        .row_room = query->limit,
                        .scan_room = STORE_PAGE_MAX_SCAN,
                        .size_room = STORE_PAGE_MAX_SIZE};
    enum status status =
        read_page(reader, &page, query->from_us, query->to_us, query->cursor.size ? &cursor_window_us : NULL,
                  buffer_slice(&cursor_key), error);
    if (status == STATUS_OK && page.has_more)
        result_cursor_write(next_cursor, page.last_window_us, buffer_slice(&page.last_key));
    key_filter_deinit(&filter);
    buffer_deinit(&page.last_key);
    buffer_deinit(&cursor_key);
    return status;
}

enum status store_read_newest(struct store_reader *reader, const char *pipeline, uint32_t limit,
                              store_result_visitor *visit, void *context, struct error *error)
{
    if (!limit)
        return STATUS_OK;
    struct page page = {.pipeline = slice_of(pipeline),
                        .visit = visit,
                        .context = context,
                        .row_room = limit,
                        .scan_room = UINT64_MAX,
                        .size_room = UINT64_MAX};
    enum status status = read_page(reader, &page, INT64_MIN, INT64_MAX, NULL, (struct slice){0}, error);
    buffer_deinit(&page.last_key);
    return status;
}

/* The id that a position stands for. A position may lie beyond what its boot got to store; the next boot begins there. */
static enum status find_position(struct store_reader *reader, int64_t boot, int64_t sequence, int64_t *id,
                                 struct error *error)
{
    sqlite3_stmt *bases = store_prepare(&reader->connection, STORE_BASES_FROM);
    if (!bases)
        return store_fail(&reader->connection, "read", error);
    sqlite3_bind_int64(bases, 1, boot);
    int code = sqlite3_step(bases);
    bool is_known = code == SQLITE_ROW && sqlite3_column_int64(bases, 0) == boot;
    if (is_known) {
        if (__builtin_add_overflow(sqlite3_column_int64(bases, 1) + 1, sequence, id))
            *id = INT64_MAX;
        code = sqlite3_step(bases);
        if (code == SQLITE_ROW && sqlite3_column_int64(bases, 1) < *id)
            *id = sqlite3_column_int64(bases, 1);
    }
    enum status status = code != SQLITE_ROW && code != SQLITE_DONE
                             ? store_fail(&reader->connection, "read", error)
                         : is_known ? STATUS_OK
                                    : STATUS_NOT_FOUND;
    sqlite3_reset(bases);
    return status;
}

/* STATUS_NOT_FOUND unless every row behind the id is still there. */
static enum status check_gap(struct store_reader *reader, int64_t id, struct error *error)
{
    sqlite3_stmt *expired = store_prepare(&reader->connection, STORE_EXPIRED_ID);
    if (!expired || sqlite3_step(expired) != SQLITE_ROW)
        return store_fail(&reader->connection, "read", error);
    bool has_gap = sqlite3_column_int64(expired, 0) > id;
    sqlite3_reset(expired);
    return has_gap ? STATUS_NOT_FOUND : STATUS_OK;
}

static enum status visit_since(struct store_reader *reader, int64_t id, uint32_t limit,
                               store_result_visitor *visit, void *context, struct error *error)
{
    sqlite3_stmt *since = store_prepare(&reader->connection, STORE_READ_SINCE);
    if (!since)
        return store_fail(&reader->connection, "read", error);
    sqlite3_bind_int64(since, 1, id);
    sqlite3_bind_int64(since, 2, limit);
    int code;
    while ((code = sqlite3_step(since)) == SQLITE_ROW) {
        struct store_result row = read_row(since, store_column_text(since, 6));
        if (!visit(context, &row))
            break;
    }
    enum status status = code == SQLITE_ROW || code == SQLITE_DONE
                             ? STATUS_OK
                             : store_fail(&reader->connection, "read", error);
    sqlite3_reset(since);
    return status;
}

enum status store_read_since(struct store_reader *reader, uint64_t boot_id, uint64_t sequence, uint32_t limit,
                             store_result_visitor *visit, void *context, struct error *error)
{
    int64_t id = 0;
    if (boot_id > INT64_MAX || sequence > INT64_MAX) {
        error_set(error, "the position is unknown");
        return STATUS_NOT_FOUND;
    }
    enum status status = store_read_begin(reader, error);
    if (status != STATUS_OK)
        return status;
    status = find_position(reader, (int64_t)boot_id, (int64_t)sequence, &id, error);
    if (status == STATUS_OK)
        status = check_gap(reader, id, error);
    if (status == STATUS_NOT_FOUND)
        error_set(error, "the position is unknown, or rows behind it are no longer kept");
    if (status == STATUS_OK)
        status = visit_since(reader, id, limit, visit, context, error);
    store_read_end(reader);
    return status;
}
