/* Looking back into the event log, newest first. See event_log.h. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/event_log_internal.h"

struct event_log_scanner {
    const struct config *config;
    char *path;
    sqlite3 *handle;
    sqlite3_stmt *rows;
    int64_t *source_ids;   /* [config->source_count], 0 = not in the log */
    struct buffer records; /* a row's, with padding behind */
    uint32_t *places;      /* of the records in it */
    size_t place_capacity;
};

static const char rows_query[] =
    "SELECT source, partition, first_offset, record_count, arrival_us, records FROM record ORDER BY position DESC";

static enum status find_sources(struct event_log_scanner *scanner, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    enum status status = log_database_prepare(scanner->handle, scanner->path,
                                              "SELECT id FROM source WHERE name = ?1", &statement, error);
    for (uint32_t i = 0; i < scanner->config->source_count && status == STATUS_OK; i++) {
        if (scanner->config->sources[i].kind != SOURCE_HTTP)
            continue;
        sqlite3_bind_text(statement, 1, scanner->config->sources[i].name, -1, SQLITE_STATIC);
        if (sqlite3_step(statement) == SQLITE_ROW)
            scanner->source_ids[i] = sqlite3_column_int64(statement, 0);
        int code = sqlite3_reset(statement);
        if (code != SQLITE_OK)
            status = log_database_error(scanner->handle, scanner->path, "read", code, error);
    }
    sqlite3_finalize(statement);
    return status;
}

enum status event_log_scanner_open(const struct config *config, struct event_log_scanner **out,
                                   struct error *error)
{
    struct event_log_scanner *scanner = memory_allocate(sizeof *scanner);
    scanner->config = config;
    scanner->path = log_database_path(config);
    scanner->source_ids = memory_allocate_array(config->source_count, sizeof *scanner->source_ids);
    enum status status = log_database_open_reader(scanner->path, &scanner->handle, error);
    if (status == STATUS_OK)
        status = find_sources(scanner, error);
    if (status == STATUS_OK)
        status = log_database_prepare(scanner->handle, scanner->path, rows_query, &scanner->rows, error);
    if (status == STATUS_OK)
        *out = scanner;
    else
        event_log_scanner_close(scanner);
    return status;
}

void event_log_scanner_close(struct event_log_scanner *scanner)
{
    if (!scanner)
        return;
    sqlite3_finalize(scanner->rows);
    sqlite3_close(scanner->handle);
    buffer_deinit(&scanner->records);
    free(scanner->places);
    free(scanner->source_ids);
    free(scanner->path);
    free(scanner);
}

/* UINT32_MAX: not configured. */
static uint32_t source_of(const struct event_log_scanner *scanner, int64_t id)
{
    for (uint32_t i = 0; i < scanner->config->source_count; i++) {
        if (scanner->source_ids[i] == id)
            return i;
    }
    return UINT32_MAX;
}

/* Copies the row's records and notes where each begins. */
static uint32_t load_records(struct event_log_scanner *scanner)
{
    uint32_t count = (uint32_t)sqlite3_column_int64(scanner->rows, 3);
    size_t size = (size_t)sqlite3_column_bytes(scanner->rows, 5);
    buffer_clear(&scanner->records);
    buffer_append(&scanner->records, sqlite3_column_blob(scanner->rows, 5), size);
    memset(buffer_reserve(&scanner->records, BATCH_PADDING_SIZE), 0, BATCH_PADDING_SIZE);
    if (count > scanner->place_capacity) {
        scanner->place_capacity = count;
        scanner->places = memory_resize_array(scanner->places, count, sizeof *scanner->places);
    }
    size_t place = 0;
    for (uint32_t i = 0; i < count; i++) {
        scanner->places[i] = (uint32_t)place;
        place += EVENT_LOG_SIZE_PREFIX + log_record_size(scanner->records.data + place);
    }
    return count;
}

static bool visit_row(struct event_log_scanner *scanner, uint32_t source_index, event_log_visitor *visit,
                      void *context)
{
    struct event_log_entry entry = {.source_index = source_index,
                                    .partition = (uint32_t)sqlite3_column_int64(scanner->rows, 1),
                                    .arrival_wall_us = sqlite3_column_int64(scanner->rows, 4)};
    int64_t first_offset = sqlite3_column_int64(scanner->rows, 2);
    for (uint32_t i = load_records(scanner); i-- > 0;) {
        const char *stored = scanner->records.data + scanner->places[i];
        entry.offset = first_offset + i;
        entry.record = (struct slice){stored + EVENT_LOG_SIZE_PREFIX, log_record_size(stored)};
        if (!visit(context, &entry))
            return false;
    }
    return true;
}

enum status event_log_scan(struct event_log_scanner *scanner, uint32_t source_index, int64_t since_wall_us,
                           event_log_visitor *visit, void *context, struct error *error)
{
    int code;
    while ((code = sqlite3_step(scanner->rows)) == SQLITE_ROW) {
        if (sqlite3_column_int64(scanner->rows, 4) < since_wall_us)
            break;
        uint32_t row_source = source_of(scanner, sqlite3_column_int64(scanner->rows, 0));
        if (row_source == UINT32_MAX || (source_index != UINT32_MAX && source_index != row_source))
            continue;
        if (!visit_row(scanner, row_source, visit, context))
            break;
    }
    code = sqlite3_reset(scanner->rows);
    return code == SQLITE_OK ? STATUS_OK
                             : log_database_error(scanner->handle, scanner->path, "read", code, error);
}
