/* Every SQL statement of the store, in one table, prepared once per connection; and what SQLite's answers mean to us. Values are bound; the
 * only text that is put together is the repeated row of the many-row upsert. */
#include "store/store_internal.h"

#include <errno.h>
#include <stdio.h>

#define RESULT_ROW    "(?,?,?,?,?,?,?,?,?)"
#define RESULT_ROW_4  RESULT_ROW "," RESULT_ROW "," RESULT_ROW "," RESULT_ROW
#define RESULT_ROW_16 RESULT_ROW_4 "," RESULT_ROW_4 "," RESULT_ROW_4 "," RESULT_ROW_4
#define RESULT_ROW_32 RESULT_ROW_16 "," RESULT_ROW_16
_Static_assert(STORE_ROWS_PER_UPSERT == 32, "the statement below has as many rows");

/* The order in which a record replaces another is the row value (closed, revision, event_count). */
#define UPSERT_HEAD \
    "INSERT INTO results(id, pipeline_id, window_start, key_json, window_end, closed, revision, event_count, json) VALUES "
#define UPSERT_TAIL                                                                                                        \
    " ON CONFLICT(pipeline_id, window_start, key_json) DO UPDATE SET id = excluded.id, window_end = excluded.window_end, " \
    "closed = excluded.closed, revision = excluded.revision, event_count = excluded.event_count, json = excluded.json "    \
    "WHERE (excluded.closed, excluded.revision, excluded.event_count) > (closed, revision, event_count)"

#define BOOT_OF_ROW    "(SELECT boot FROM boots WHERE base < results.id ORDER BY base DESC LIMIT 1)"
#define BASE_OF_ROW    "(SELECT base FROM boots WHERE base < results.id ORDER BY base DESC LIMIT 1)"
#define RESULT_COLUMNS "window_start, key_json, json, results.id, " BOOT_OF_ROW ", " BASE_OF_ROW

static const char *const texts[STORE_STATEMENT_COUNT] = {
    [STORE_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [STORE_BEGIN_READ] = "BEGIN",
    [STORE_COMMIT] = "COMMIT",
    [STORE_ROLLBACK] = "ROLLBACK",
    [STORE_PIPELINE_ID] = "SELECT id FROM pipelines WHERE name = ?1",
    [STORE_ADD_PIPELINE] = "INSERT INTO pipelines(name) VALUES (?1)",
    [STORE_UPSERT_ROW] = UPSERT_HEAD RESULT_ROW UPSERT_TAIL,
    [STORE_UPSERT_ROWS] = UPSERT_HEAD RESULT_ROW_32 UPSERT_TAIL,
    [STORE_ADD_DEAD_LETTER] =
        "INSERT OR IGNORE INTO dead_letters(source, partition, offset, pipeline, time, reason, "
        "stored_at, detail, raw, topic, record_key, headers) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
    [STORE_SET_EPOCH] = "INSERT OR REPLACE INTO epoch(id, epoch) VALUES (1, ?1)",
    [STORE_SET_POSITION] =
        "INSERT OR REPLACE INTO positions(source, partition, position, position_max_time, base, "
        "base_watermark) VALUES (?1,?2,?3,?4,?5,?6)",
    [STORE_SET_PIPELINE_PROGRESS] = "INSERT OR REPLACE INTO pipeline_progress(pipeline, definition_hash, "
                                    "closed_through) VALUES (?1,?2,?3)",
    [STORE_GET_EPOCH] = "SELECT epoch FROM epoch",
    [STORE_GET_POSITIONS] =
        "SELECT source, partition, position, position_max_time, base, base_watermark, count(*) OVER () "
        "FROM positions ORDER BY source, partition",
    [STORE_GET_PIPELINE_PROGRESS] = "SELECT pipeline, definition_hash, closed_through, count(*) OVER () "
                                    "FROM pipeline_progress ORDER BY pipeline",
    [STORE_ADD_BOOT] =
        "INSERT INTO boots(boot, base) SELECT coalesce(max(boot), 0) + 1, max(coalesce(max(base) + 1, 0), "
        "(SELECT coalesce(max(id), 0) FROM results), (SELECT max(result_id) FROM expired)) FROM boots "
        "RETURNING boot, base",
    [STORE_FORGET_BOOTS] = "DELETE FROM boots WHERE boot <= ?1",
    [STORE_ADD_MILESTONE] =
        "INSERT OR IGNORE INTO milestones(stored_at, result_id) SELECT ?1, (SELECT coalesce(max(id), 0) "
        "FROM results) WHERE NOT EXISTS (SELECT 1 FROM milestones WHERE stored_at > ?1 - ?2)",
    [STORE_FORGET_MILESTONES] =
        "DELETE FROM milestones WHERE stored_at < (SELECT max(stored_at) FROM milestones "
        "WHERE stored_at < ?1)",
    [STORE_EXPIRE_RESULTS] =
        "DELETE FROM results WHERE id IN (SELECT id FROM results WHERE id <= (SELECT "
        "coalesce(max(result_id), 0) FROM milestones WHERE stored_at < ?1) ORDER BY id LIMIT ?2) "
        "RETURNING id",
    [STORE_EXPIRE_DEAD_LETTERS] =
        "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE time < ?1 "
        "ORDER BY time LIMIT ?2)",
    [STORE_NOTE_EXPIRED] = "UPDATE expired SET result_id = max(result_id, ?1)",
    [STORE_READ_WINDOW_REST] =
        "SELECT " RESULT_COLUMNS " FROM results WHERE pipeline_id = ?1 AND window_start = ?2 "
        "AND key_json > ?3 ORDER BY key_json",
    [STORE_READ_WINDOWS] =
        "SELECT " RESULT_COLUMNS " FROM results WHERE pipeline_id = ?1 AND window_start >= ?2 "
        "AND window_start < ?3 ORDER BY window_start DESC, key_json",
    [STORE_READ_SINCE] =
        "SELECT " RESULT_COLUMNS ", name FROM results JOIN pipelines ON pipelines.id = pipeline_id "
        "WHERE results.id > ?1 ORDER BY results.id LIMIT ?2",
    [STORE_BASES_FROM] = "SELECT boot, base FROM boots WHERE boot >= ?1 ORDER BY boot LIMIT 2",
    [STORE_EXPIRED_ID] = "SELECT result_id FROM expired",
    [STORE_READ_DEAD_LETTERS] =
        "SELECT id, source, partition, offset, time, reason, detail, raw, topic, record_key, headers "
        "FROM dead_letters "
        "WHERE id < ?1 ORDER BY id DESC",
    [STORE_DEAD_LETTER_PARTITIONS] =
        "SELECT DISTINCT partition FROM dead_letters WHERE source = ?1 AND (?2 IS NULL OR reason = ?2) "
        "ORDER BY partition",
    [STORE_SCAN_DEAD_LETTERS] =
        "SELECT offset, time, reason, raw, topic, record_key, headers FROM dead_letters WHERE source = ?1 AND partition = ?2 "
        "AND (?3 IS NULL OR reason = ?3) ORDER BY offset, pipeline",
};

/* No room is a state that passes, whichever way the system words it. */
static bool is_out_of_room(int system_error)
{
    return system_error == ENOSPC || system_error == EDQUOT || system_error == EFBIG;
}

enum status store_fail(const struct store_connection *connection, const char *what, struct error *error)
{
    int system_error = errno; /* SQLite keeps it for some failures only */
    int code = sqlite3_extended_errcode(connection->handle);
    const char *reason = sqlite3_errmsg(connection->handle);
    switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        error_set(error, "cannot %s %s: another process holds the database; it is tried again", what,
                  connection->path);
        return STATUS_BUSY;
    case SQLITE_FULL: break;
    case SQLITE_IOERR:
        if (is_out_of_room(sqlite3_system_errno(connection->handle)) || is_out_of_room(system_error))
            break;
        error_set(error, "cannot %s %s: %s", what, connection->path, reason);
        return STATUS_IO;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        error_set(error, "cannot %s %s: %s; move the file away to start anew, or bring back a copy", what,
                  connection->path, reason);
        return STATUS_IO;
    default: error_set(error, "cannot %s %s: %s", what, connection->path, reason); return STATUS_IO;
    }
    error_set(error, "cannot %s %s: the disk is full; make room", what, connection->path);
    return STATUS_FULL;
}

static enum status configure(struct store_connection *connection, bool is_writer, struct error *error)
{
    char text[512];
    if (is_writer)
        snprintf(text, sizeof text,
                 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=%d; "
                 "PRAGMA journal_size_limit=%d; PRAGMA cache_size=-%d; PRAGMA temp_store=MEMORY",
                 STORE_WAL_PAGES, STORE_WAL_KEPT_SIZE, STORE_CACHE_SIZE / 1024);
    else
        snprintf(text, sizeof text, "PRAGMA query_only=ON; PRAGMA cache_size=-%d; PRAGMA temp_store=MEMORY",
                 STORE_READER_CACHE_SIZE / 1024);
    if (sqlite3_exec(connection->handle, text, NULL, NULL, NULL) != SQLITE_OK)
        return store_fail(connection, "open", error);
    return STATUS_OK;
}

enum status store_connect(struct store_connection *connection, const char *path, bool is_writer,
                          struct error *error)
{
    int flags =
        SQLITE_OPEN_NOMUTEX | (is_writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
    *connection = (struct store_connection){.path = path};
    enum status status = STATUS_OK;
    if (sqlite3_open_v2(path, &connection->handle, flags, NULL) != SQLITE_OK) {
        status = store_fail(connection, "open", error);
    } else {
        sqlite3_extended_result_codes(connection->handle, 1);
        sqlite3_busy_timeout(connection->handle, STORE_BUSY_TIMEOUT_MS);
        status = configure(connection, is_writer, error);
    }
    if (status != STATUS_OK)
        store_disconnect(connection);
    return status;
}

void store_disconnect(struct store_connection *connection)
{
    for (int i = 0; i < STORE_STATEMENT_COUNT; i++)
        sqlite3_finalize(connection->statements[i]);
    sqlite3_close(connection->handle);
    *connection = (struct store_connection){.path = connection->path};
}

sqlite3_stmt *store_prepare(struct store_connection *connection, enum store_statement statement)
{
    sqlite3_stmt **kept = &connection->statements[statement];
    if (*kept) {
        sqlite3_reset(*kept);
        sqlite3_clear_bindings(*kept);
    } else if (sqlite3_prepare_v3(connection->handle, texts[statement], -1, SQLITE_PREPARE_PERSISTENT, kept,
                                  NULL) != SQLITE_OK) {
        return NULL;
    }
    return *kept;
}

enum status store_run(struct store_connection *connection, sqlite3_stmt *statement, const char *what,
                      struct error *error)
{
    int code;
    errno = 0; /* so that what store_fail() finds there is of this statement */
    do
        code = sqlite3_step(statement);
    while (code == SQLITE_ROW);
    enum status status = code == SQLITE_DONE ? STATUS_OK : store_fail(connection, what, error);
    sqlite3_reset(statement);
    return status;
}

enum status store_execute(struct store_connection *connection, enum store_statement statement,
                          const char *what, struct error *error)
{
    sqlite3_stmt *prepared = store_prepare(connection, statement);
    return prepared ? store_run(connection, prepared, what, error) : store_fail(connection, what, error);
}

void store_bind_text(sqlite3_stmt *statement, int index, struct slice text)
{
    sqlite3_bind_text64(statement, index, text.data ? text.data : "", text.size, SQLITE_STATIC, SQLITE_UTF8);
}

struct slice store_column_text(sqlite3_stmt *statement, int index)
{
    const char *data = sqlite3_column_blob(statement, index);
    return (struct slice){data, (size_t)sqlite3_column_bytes(statement, index)};
}
