/* Dead letters by page, newest first, as JSON. Rows are looked through in the order they were stored in and filtered here: two more indexes
 * would cost every dead letter more than a page costs a reader. */
#include <assert.h>

#include "flow/event_time.h"
#include "store/store_internal.h"

enum {
    COLUMN_ID,
    COLUMN_SOURCE,
    COLUMN_PARTITION,
    COLUMN_OFFSET,
    COLUMN_TIME,
    COLUMN_REASON,
    COLUMN_DETAIL,
    COLUMN_RAW,
    COLUMN_TOPIC,
    COLUMN_KEY,
    COLUMN_HEADERS
};

static bool row_passes(sqlite3_stmt *row, const char *source, const char *reason)
{
    return (!source || slice_equal_text(store_column_text(row, COLUMN_SOURCE), source)) &&
           (!reason || slice_equal_text(store_column_text(row, COLUMN_REASON), reason));
}

static bool has_value(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) != SQLITE_NULL;
}

/* What only records of some sources have. */
static void append_metadata(struct buffer *out, sqlite3_stmt *row)
{
    if (has_value(row, COLUMN_TOPIC)) {
        buffer_append_text(out, ",\"topic\":");
        buffer_json_string(out, store_column_text(row, COLUMN_TOPIC));
    }
    if (has_value(row, COLUMN_KEY)) {
        buffer_append_text(out, ",\"key_base64\":\"");
        buffer_base64(out, store_column_text(row, COLUMN_KEY));
        buffer_append_char(out, '"');
    }
    if (has_value(row, COLUMN_HEADERS)) {
        buffer_append_text(out, ",\"headers\":");
        buffer_append_slice(out, store_column_text(row, COLUMN_HEADERS));
    }
}

static void append_item(struct buffer *out, sqlite3_stmt *row)
{
    buffer_append_text(out, "{\"source\":");
    buffer_json_string(out, store_column_text(row, COLUMN_SOURCE));
    buffer_append_text(out, ",\"partition\":");
    buffer_json_int(out, sqlite3_column_int64(row, COLUMN_PARTITION));
    buffer_append_text(out, ",\"offset\":");
    buffer_json_int(out, sqlite3_column_int64(row, COLUMN_OFFSET));
    buffer_append_text(out, ",\"time\":");
    int64_t time_us = sqlite3_column_int64(row, COLUMN_TIME);
    if (time_us == TIME_NONE)
        buffer_append_text(out, "null");
    else
        buffer_json_int(out, event_time_floor(time_us, 1000) / 1000);
    buffer_append_text(out, ",\"reason\":");
    buffer_json_string(out, store_column_text(row, COLUMN_REASON));
    buffer_append_text(out, ",\"detail\":");
    buffer_json_string(out, store_column_text(row, COLUMN_DETAIL));
    buffer_append_text(out, ",\"raw_base64\":\"");
    buffer_base64(out, store_column_text(row, COLUMN_RAW));
    buffer_append_char(out, '"');
    append_metadata(out, row);
    buffer_append_char(out, '}');
}

static enum status read_letters(struct store_reader *reader, const char *source, const char *reason,
                                uint32_t limit, int64_t before_id, struct buffer *out,
                                struct buffer *next_cursor, struct error *error)
{
    sqlite3_stmt *row = store_prepare(&reader->connection, STORE_READ_DEAD_LETTERS);
    if (!row)
        return store_fail(&reader->connection, "read", error);
    sqlite3_bind_int64(row, 1, before_id);
    uint32_t room = limit, scan_room = STORE_PAGE_MAX_SCAN;
    size_t start_size = out->size;
    int64_t last_id = before_id;
    int code;
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        if (!room || !scan_room || out->size - start_size >= STORE_PAGE_MAX_SIZE) {
            dead_letter_cursor_write(next_cursor, last_id);
            break;
        }
        scan_room--;
        last_id = sqlite3_column_int64(row, COLUMN_ID);
        if (!row_passes(row, source, reason))
            continue;
        if (room < limit)
            buffer_append_char(out, ',');
        append_item(out, row);
        room--;
    }
    enum status status = code == SQLITE_ROW || code == SQLITE_DONE
                             ? STATUS_OK
                             : store_fail(&reader->connection, "read", error);
    sqlite3_reset(row);
    return status;
}

enum status store_read_dead_letters(struct store_reader *reader, const char *source, const char *reason,
                                    uint32_t limit, struct slice cursor, struct buffer *out,
                                    struct buffer *next_cursor, struct error *error)
{
    assert(limit >= 1 && limit <= STORE_PAGE_MAX_ROWS);
    int64_t before_id = INT64_MAX;
    buffer_clear(next_cursor);
    if (cursor.size && dead_letter_cursor_read(cursor, &before_id) != STATUS_OK) {
        error_set(error, "cursor is none that was given out here; leave it out to start at the first page");
        return STATUS_INVALID;
    }
    return read_letters(reader, source, reason, limit, before_id, out, next_cursor, error);
}
