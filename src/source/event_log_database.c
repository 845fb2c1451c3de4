/* The event log's database: connection, schema, and what it knows of sources and partitions. See event_log.h.
 *
 * `commit_id` counts transactions. When a COMMIT fails it is not known whether it took hold; the number tells,
 * once the database has been opened again. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/memory.h"
#include "source/event_log_internal.h"

static const char pragmas[] = "PRAGMA journal_mode = WAL;"
                              "PRAGMA synchronous = FULL;"
                              "PRAGMA journal_size_limit = 67108864;"
                              "PRAGMA foreign_keys = OFF;";

static const char schema[] =
    "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), commit_id INTEGER NOT NULL);"
    "INSERT INTO state VALUES (1, 0);"
    "CREATE TABLE source (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL);"
    "CREATE TABLE partition (source INTEGER NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,"
    " released INTEGER NOT NULL, PRIMARY KEY (source, partition)) WITHOUT ROWID;"
    "CREATE TABLE record (position INTEGER PRIMARY KEY, source INTEGER NOT NULL, partition INTEGER NOT NULL,"
    " first_offset INTEGER NOT NULL, record_count INTEGER NOT NULL, arrival_us INTEGER NOT NULL, records BLOB NOT NULL);"
    "CREATE UNIQUE INDEX record_by_offset ON record (source, partition, first_offset);"
    "PRAGMA user_version = 1;";

char *log_database_path(const struct config *config)
{
    struct buffer path = {0};
    buffer_format(&path, "%s/log.db", config->data_dir);
    buffer_append_char(&path, 0);
    return path.data;
}

enum status log_database_error(sqlite3 *handle, const char *path, const char *doing, int code,
                               struct error *error)
{
    int kind = code & 0xff;
    const char *reason = handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
    if (kind == SQLITE_BUSY || kind == SQLITE_LOCKED) {
        error_set(error, "cannot %s the event log \"%s\": another process holds it", doing, path);
        return STATUS_BUSY;
    }
    const char *remedy = kind == SQLITE_FULL ? "; make room on the disk of data_dir"
                         : kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB
                             ? "; the file is damaged: restore it, or move it away to begin a new log"
                             : "";
    int system_code = handle ? sqlite3_system_errno(handle) : 0;
    error_set(error, "cannot %s the event log \"%s\": %s%s%s%s", doing, path, reason, system_code ? ": " : "",
              system_code ? strerror(system_code) : "", remedy);
    return STATUS_IO;
}

enum status log_database_prepare(sqlite3 *handle, const char *path, const char *sql, sqlite3_stmt **out,
                                 struct error *error)
{
    int code = sqlite3_prepare_v3(handle, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    return code == SQLITE_OK ? STATUS_OK : log_database_error(handle, path, "use", code, error);
}

enum status log_database_run(struct event_log *log, sqlite3_stmt *statement, const char *doing,
                             struct error *error)
{
    sqlite3_step(statement);
    int code = sqlite3_reset(statement);
    return code == SQLITE_OK ? STATUS_OK
                             : log_database_error(log->database.handle, log->path, doing, code, error);
}

static enum status open_handle(const char *path, int flags, sqlite3 **out, struct error *error)
{
    int code = sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) {
        enum status status = log_database_error(*out, path, "open", code, error);
        sqlite3_close(*out);
        *out = NULL;
        return status;
    }
    sqlite3_extended_result_codes(*out, 1);
    sqlite3_busy_timeout(*out, EVENT_LOG_BUSY_TIMEOUT_MS);
    return STATUS_OK;
}

enum status log_database_open_reader(const char *path, sqlite3 **out, struct error *error)
{
    return open_handle(path, SQLITE_OPEN_READONLY, out, error);
}

void log_database_close(struct log_database *database)
{
    sqlite3_stmt *const statements[] = {
        database->begin,    database->commit,        database->rollback,     database->insert,
        database->set_next, database->set_commit_id, database->set_released, database->page_counts,
        database->oldest,   database->delete_row};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        sqlite3_finalize(statements[i]);
    sqlite3_close(database->handle);
    *database = (struct log_database){0};
}

static enum status execute(struct event_log *log, const char *sql, const char *doing, struct error *error)
{
    int code = sqlite3_exec(log->database.handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? STATUS_OK
                             : log_database_error(log->database.handle, log->path, doing, code, error);
}

static enum status create_schema(struct event_log *log, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    enum status status =
        log_database_prepare(log->database.handle, log->path, "PRAGMA user_version", &statement, error);
    if (status != STATUS_OK)
        return status;
    int code = sqlite3_step(statement);
    int version = code == SQLITE_ROW ? sqlite3_column_int(statement, 0) : 0;
    sqlite3_finalize(statement);
    if (code != SQLITE_ROW)
        return log_database_error(log->database.handle, log->path, "read", code, error);
    if (version > EVENT_LOG_SCHEMA_VERSION) {
        error_set(
            error,
            "the event log \"%s\" was written by a newer version of weir (format %d, this one knows %d); "
            "use that version, or another data_dir",
            log->path, version, EVENT_LOG_SCHEMA_VERSION);
        return STATUS_INVALID;
    }
    return version == 0 ? execute(log, schema, "create", error) : STATUS_OK;
}

static enum status prepare_statements(struct event_log *log, struct error *error)
{
    struct log_database *database = &log->database;
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } wanted[] = {
        {&database->begin, "BEGIN IMMEDIATE"},
        {&database->commit, "COMMIT"},
        {&database->rollback, "ROLLBACK"},
        {&database->insert,
         "INSERT INTO record (source, partition, first_offset, record_count, arrival_us, records) "
         "VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
        {&database->set_next, "UPDATE partition SET next_offset = ?3 WHERE source = ?1 AND partition = ?2"},
        {&database->set_commit_id, "UPDATE state SET commit_id = ?1"},
        {&database->set_released, "UPDATE partition SET released = ?3 WHERE source = ?1 AND partition = ?2"},
        {&database->page_counts, "SELECT (p.page_count - f.freelist_count) * s.page_size "
                                 "FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s"},
        {&database->oldest, "SELECT position, first_offset + record_count, arrival_us FROM record "
                            "WHERE source = ?1 AND partition = ?2 ORDER BY first_offset"},
        {&database->delete_row, "DELETE FROM record WHERE position = ?1"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        enum status status =
            log_database_prepare(database->handle, log->path, wanted[i].sql, wanted[i].statement, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* --- sources ------------------------------------------------------------------------------------------------------ */

/* Runs `sql` with a number or text and numbers bound, and gives the first row's first two columns.
 * STATUS_NOT_FOUND: no row. */
static enum status ask(struct event_log *log, const char *sql, const char *text, const int64_t *numbers,
                       int count, int64_t answer[2], struct error *error)
{
    sqlite3_stmt *statement = NULL;
    enum status status = log_database_prepare(log->database.handle, log->path, sql, &statement, error);
    if (status != STATUS_OK)
        return status;
    int place = 1;
    if (text)
        sqlite3_bind_text(statement, place++, text, -1, SQLITE_STATIC);
    for (int i = 0; i < count; i++)
        sqlite3_bind_int64(statement, place++, numbers[i]);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        for (int i = 0; i < 2 && i < sqlite3_column_count(statement); i++)
            answer[i] = sqlite3_column_int64(statement, i);
    } else if (code == SQLITE_DONE) {
        status = STATUS_NOT_FOUND;
    } else {
        status = log_database_error(log->database.handle, log->path, "use", code, error);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status change(struct event_log *log, const char *sql, const char *text, const int64_t *numbers,
                          int count, struct error *error)
{
    int64_t unused[2];
    enum status status = ask(log, sql, text, numbers, count, unused, error);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* Partitions that are to go must hold nothing that is still to be processed. */
static enum status check_fewer(struct event_log *log, const struct config_source *config, int64_t id,
                               int64_t before, struct error *error)
{
    int64_t waiting[2] = {0}, numbers[] = {id, config->partitions};
    enum status status =
        ask(log,
            "SELECT COALESCE(SUM(MAX(next_offset - released, 0)), 0) FROM partition WHERE source = ?1 AND "
            "partition >= ?2",
            NULL, numbers, 2, waiting, error);
    if (status != STATUS_OK || waiting[0] == 0)
        return status;
    error_set(
        error,
        "source \"%s\" has %u partitions, but had %" PRId64 ", and %" PRId64
        " events in those that would go may not be processed yet; run it once more with `partitions: %" PRId64
        "` and stop it with SIGTERM when its lag is 0, or use a new data_dir",
        config->name, config->partitions, before, waiting[0], before);
    return STATUS_INVALID;
}

static enum status register_source(struct event_log *log, uint32_t source_index, struct error *error)
{
    const struct config_source *config = &log->config->sources[source_index];
    int64_t known[2] = {0}, count[] = {config->partitions};
    enum status status =
        ask(log, "SELECT id, partitions FROM source WHERE name = ?1", config->name, NULL, 0, known, error);
    if (status == STATUS_NOT_FOUND) {
        status = change(log, "INSERT INTO source (name, partitions) VALUES (?1, ?2)", config->name, count, 1,
                        error);
        known[0] = sqlite3_last_insert_rowid(log->database.handle);
    } else if (status == STATUS_OK && known[1] != config->partitions) {
        if (config->partitions < known[1])
            status = check_fewer(log, config, known[0], known[1], error);
        if (status == STATUS_OK) {
            log_write(LOG_WARN, "source",
                      "source %s has %u partitions now and had %" PRId64
                      "; keys that move to another partition may be late "
                      "for windows that are open",
                      config->name, config->partitions, known[1]);
            status = change(log, "UPDATE source SET partitions = ?2 WHERE name = ?1", config->name, count, 1,
                            error);
        }
    }
    log->sources[source_index].id = known[0];
    for (uint32_t i = 0; i < config->partitions && status == STATUS_OK; i++) {
        int64_t place[] = {known[0], i};
        status = change(log, "INSERT OR IGNORE INTO partition VALUES (?1, ?2, 0, 0)", NULL, place, 2, error);
    }
    return status;
}

static enum status load_partitions(struct event_log *log, struct error *error)
{
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < log->config->source_count; s++) {
        struct log_source *source = &log->sources[s];
        for (uint32_t p = 0; p < source->partition_count && status == STATUS_OK; p++) {
            struct log_partition *partition = &source->partitions[p];
            int64_t place[] = {source->id, p}, found[2] = {0};
            status =
                ask(log, "SELECT next_offset, released FROM partition WHERE source = ?1 AND partition = ?2",
                    NULL, place, 2, found, error);
            /* Larger in memory: event_log_skip_to(), or a released offset that was not written yet. */
            if (found[0] > partition->next_offset)
                partition->next_offset = found[0];
            if (found[1] > atomic_load(&partition->released_offset))
                atomic_store(&partition->released_offset, found[1]);
        }
    }
    return status;
}

static void warn_of_strangers(struct event_log *log)
{
    sqlite3_stmt *statement = NULL;
    if (log_database_prepare(
            log->database.handle, log->path,
            "SELECT name, id FROM source WHERE EXISTS (SELECT 1 FROM record WHERE source = source.id)",
            &statement, NULL) != STATUS_OK)
        return;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        bool is_known = false;
        for (uint32_t i = 0; i < log->config->source_count; i++)
            is_known = is_known || log->sources[i].id == sqlite3_column_int64(statement, 1);
        if (!is_known)
            log_write(
                LOG_WARN, "source",
                "the event log holds events of source %s, which is not configured; they stay where they are",
                (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
}

static enum status register_sources(struct event_log *log, struct error *error)
{
    enum status status = execute(log, "BEGIN IMMEDIATE", "open", error);
    if (status != STATUS_OK)
        return status;
    status = create_schema(log, error);
    for (uint32_t i = 0; i < log->config->source_count && status == STATUS_OK; i++) {
        if (log->config->sources[i].kind == SOURCE_HTTP)
            status = register_source(log, i, error);
    }
    if (status == STATUS_OK)
        status = load_partitions(log, error);
    int64_t found[2] = {0};
    if (status == STATUS_OK)
        status = ask(log, "SELECT commit_id FROM state", NULL, NULL, 0, found, error);
    log->commit_id = found[0];
    if (status == STATUS_OK)
        return execute(log, "COMMIT", "open", error);
    sqlite3_exec(log->database.handle, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

enum status log_database_open(struct event_log *log, struct error *error)
{
    if (mkdir(log->config->data_dir, 0777) != 0 && errno != EEXIST) {
        error_set(error, "cannot create data_dir \"%s\": %s", log->config->data_dir, strerror(errno));
        return STATUS_IO;
    }
    enum status status =
        open_handle(log->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &log->database.handle, error);
    if (status == STATUS_OK)
        status = execute(log, pragmas, "open", error);
    if (status == STATUS_OK)
        status = register_sources(log, error);
    if (status == STATUS_OK)
        status = prepare_statements(log, error);
    if (status == STATUS_OK)
        warn_of_strangers(log);
    else
        log_database_close(&log->database);
    return status;
}
