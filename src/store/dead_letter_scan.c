/* A statement that stays open while its rows are taken, so all of them are of one moment. See dead_letter_scan.h. */
#include "store/dead_letter_scan.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/store_internal.h"

struct dead_letter_scan {
    struct store_reader *reader;
    sqlite3_stmt *rows;
    int64_t last_offset;
    bool has_last;
};

/* SQLite would say of a missing file only that it cannot open it. */
static enum status open_store(const char *data_dir, struct store_reader **out, struct error *error)
{
    struct buffer path = {0};
    buffer_format(&path, "%s/weir.db", data_dir);
    buffer_append_char(&path, '\0');
    bool exists = access(path.data, F_OK) == 0;
    buffer_deinit(&path);
    if (exists)
        return store_reader_open(data_dir, out, error);
    error_set(error, "there is no store in %s; weir has not run with this data_dir yet, or it is another one",
              data_dir);
    return STATUS_NOT_FOUND;
}

static void bind_reason(sqlite3_stmt *statement, int index, const char *reason)
{
    if (reason)
        store_bind_text(statement, index, slice_of(reason));
    else
        sqlite3_bind_null(statement, index);
}

enum status dead_letter_partitions(const char *data_dir, const char *source, const char *reason,
                                   uint32_t *partitions, uint32_t room, uint32_t *count, struct error *error)
{
    struct store_reader *reader = NULL;
    *count = 0;
    enum status status = open_store(data_dir, &reader, error);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *rows = store_prepare(&reader->connection, STORE_DEAD_LETTER_PARTITIONS);
    int code = SQLITE_ERROR;
    if (rows) {
        store_bind_text(rows, 1, slice_of(source));
        bind_reason(rows, 2, reason);
        while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
            if (*count < room)
                partitions[*count] = (uint32_t)sqlite3_column_int64(rows, 0);
            ++*count;
        }
    }
    if (code != SQLITE_DONE)
        status = store_fail(&reader->connection, "read", error);
    store_reader_close(reader);
    return status;
}

enum status dead_letter_scan_open(const char *data_dir, const char *source, uint32_t partition,
                                  const char *reason, struct dead_letter_scan **out, struct error *error)
{
    struct store_reader *reader = NULL;
    enum status status = open_store(data_dir, &reader, error);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *rows = store_prepare(&reader->connection, STORE_SCAN_DEAD_LETTERS);
    if (!rows) {
        status = store_fail(&reader->connection, "read", error);
        store_reader_close(reader);
        return status;
    }
    store_bind_text(rows, 1, slice_of(source));
    sqlite3_bind_int64(rows, 2, partition);
    bind_reason(rows, 3, reason);
    struct dead_letter_scan *scan = memory_allocate(sizeof *scan);
    *scan = (struct dead_letter_scan){.reader = reader, .rows = rows};
    *out = scan;
    return STATUS_OK;
}

void dead_letter_scan_close(struct dead_letter_scan *scan)
{
    if (!scan)
        return;
    store_reader_close(scan->reader);
    free(scan);
}

enum status dead_letter_scan_next(struct dead_letter_scan *scan, struct stored_letter *letter,
                                  struct error *error)
{
    int code;
    while ((code = sqlite3_step(scan->rows)) == SQLITE_ROW) {
        int64_t offset = sqlite3_column_int64(scan->rows, 0);
        if (scan->has_last && offset == scan->last_offset)
            continue;
        scan->has_last = true;
        scan->last_offset = offset;
        *letter = (struct stored_letter){.offset = offset,
                                         .time_us = sqlite3_column_int64(scan->rows, 1),
                                         .reason = store_column_text(scan->rows, 2),
                                         .raw = store_column_text(scan->rows, 3)};
        return STATUS_OK;
    }
    return code == SQLITE_DONE ? STATUS_END : store_fail(&scan->reader->connection, "read", error);
}

/* --- as a source --------------------------------------------------------------------------------------------------- */

struct letter_reader {
    struct source_reader reader;
    struct dead_letter_scan *scan;
    bool has_time, is_over;
};

static enum status read_letters(struct source_reader *reader, uint32_t max_records, int64_t end_offset,
                                struct batch *batch, int64_t *next_us, struct error *error)
{
    struct letter_reader *letters = (struct letter_reader *)reader;
    assert(end_offset == INT64_MAX); /* a letter that was taken cannot be put back */
    *next_us = INT64_MAX;
    while (!letters->is_over && batch->record_count < max_records && batch->text_size < BATCH_TEXT_SIZE) {
        struct stored_letter letter;
        enum status status = dead_letter_scan_next(letters->scan, &letter, error);
        letters->is_over = status == STATUS_END;
        if (status == STATUS_OK)
            batch_append(batch, letter.raw, letter.offset, letters->has_time ? letter.time_us : TIME_NONE);
        else if (status != STATUS_END)
            return status;
    }
    batch->arrival_us = clock_monotonic_us(&clock_system);
    batch->arrival_wall_us = clock_wall_us(&clock_system);
    return batch->record_count ? STATUS_OK : STATUS_END;
}

static int64_t unknown_end(struct source_reader *reader)
{
    (void)reader;
    return -1;
}

static void close_letters(struct source_reader *reader)
{
    struct letter_reader *letters = (struct letter_reader *)reader;
    dead_letter_scan_close(letters->scan);
    free(letters);
}

enum status dead_letter_reader_open(const char *data_dir, const char *source, uint32_t partition,
                                    const char *reason, bool has_time, struct source_reader **out,
                                    struct error *error)
{
    static const struct source_reader_operations operations = {
        .kind = "dead letters", .read = read_letters, .end_offset = unknown_end, .close = close_letters};
    struct dead_letter_scan *scan = NULL;
    enum status status = dead_letter_scan_open(data_dir, source, partition, reason, &scan, error);
    if (status != STATUS_OK)
        return status;
    struct letter_reader *letters = memory_allocate(sizeof *letters);
    *letters = (struct letter_reader){.reader = {&operations}, .scan = scan, .has_time = has_time};
    *out = &letters->reader;
    return STATUS_OK;
}
