/* The tables, by version (SQLite's user_version): migrations are run in order, in one transaction, up to the newest. Times are
 * microseconds since 1970.
 *
 * A result's id is its place in the order of writing, over all lives of the process (boots.base + 1 + sequence), and a row that replaces
 * another gets a new one. So the wide rows are only ever appended, at one end of the tree, and "everything after a position" is a
 * range of ids; only the narrow index, in the order of reading, is written all over. Clustering the rows themselves in the order of reading
 * (no rowid) was measured to take twice as long for new rows, for it writes one 4 KiB page per row. */
#include "store/store_internal.h"

#include <stdio.h>

enum { APPLICATION_ID = 0x77656972 }; /* "weir": tells the file from another program's */

static const char *const migrations[] = {
    "CREATE TABLE pipelines(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE results("
    "  id INTEGER PRIMARY KEY, pipeline_id INTEGER NOT NULL, window_start INTEGER NOT NULL, key_json TEXT NOT NULL,"
    "  window_end INTEGER NOT NULL, closed INTEGER NOT NULL, revision INTEGER NOT NULL, event_count INTEGER NOT NULL,"
    "  json TEXT NOT NULL);"
    "CREATE UNIQUE INDEX results_by_window ON results(pipeline_id, window_start DESC, key_json);"
    "CREATE TABLE dead_letters("
    "  id INTEGER PRIMARY KEY, source TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,"
    "  pipeline TEXT NOT NULL, time INTEGER NOT NULL, reason TEXT NOT NULL, stored_at INTEGER NOT NULL,"
    "  detail TEXT NOT NULL, raw BLOB NOT NULL);"
    "CREATE UNIQUE INDEX dead_letters_by_place ON dead_letters(source, partition, offset, pipeline);"
    "CREATE INDEX dead_letters_by_time ON dead_letters(time);"
    "CREATE TABLE epoch(id INTEGER PRIMARY KEY CHECK(id = 1), epoch INTEGER NOT NULL);"
    "CREATE TABLE positions("
    "  source TEXT NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL, position_max_time INTEGER NOT NULL,"
    "  base INTEGER NOT NULL, base_watermark INTEGER NOT NULL, PRIMARY KEY(source, partition)) WITHOUT ROWID;"
    "CREATE TABLE pipeline_progress("
    "  pipeline TEXT NOT NULL PRIMARY KEY, definition_hash INTEGER NOT NULL, closed_through INTEGER NOT NULL) WITHOUT ROWID;"
    /* Lives of the process; ids of a life are above its base, and at most the next one's. */
    "CREATE TABLE boots(boot INTEGER PRIMARY KEY, base INTEGER NOT NULL UNIQUE);"
    /* The largest id that was ever deleted by age. */
    "CREATE TABLE expired(id INTEGER PRIMARY KEY CHECK(id = 1), result_id INTEGER NOT NULL);"
    "INSERT INTO expired VALUES (1, 0);"
    /* How old rows are: by then, ids up to this one had been written. Event times say nothing of it: they may be years ago. */
    "CREATE TABLE milestones(stored_at INTEGER PRIMARY KEY, result_id INTEGER NOT NULL);",
    /* What a record has beside its text: null where it has none. `headers` is the array that is shown, as JSON. */
    "ALTER TABLE dead_letters ADD COLUMN topic TEXT;"
    "ALTER TABLE dead_letters ADD COLUMN record_key BLOB;"
    "ALTER TABLE dead_letters ADD COLUMN headers TEXT;",
};

enum { NEWEST_VERSION = sizeof migrations / sizeof *migrations };

static enum status read_pragma(struct store_connection *connection, const char *text, int64_t *value,
                               struct error *error)
{
    sqlite3_stmt *statement = NULL;
    enum status status = STATUS_OK;
    if (sqlite3_prepare_v2(connection->handle, text, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        *value = sqlite3_column_int64(statement, 0);
    else
        status = store_fail(connection, "read", error);
    sqlite3_finalize(statement);
    return status;
}

static enum status run_text(struct store_connection *connection, const char *text, struct error *error)
{
    if (sqlite3_exec(connection->handle, text, NULL, NULL, NULL) == SQLITE_OK)
        return STATUS_OK;
    return store_fail(connection, "set up", error);
}

/* The version of the tables; refuses a file that is not ours or is from the future. */
static enum status check_version(struct store_connection *connection, int64_t *version, struct error *error)
{
    int64_t application = 0, tables = 0;
    enum status status = read_pragma(connection, "PRAGMA user_version", version, error);
    if (status == STATUS_OK)
        status = read_pragma(connection, "PRAGMA application_id", &application, error);
    if (status == STATUS_OK)
        status = read_pragma(connection, "SELECT count(*) FROM sqlite_schema", &tables, error);
    if (status != STATUS_OK)
        return status;
    if (tables > 0 && application != APPLICATION_ID) {
        error_set(error, "%s is a database of another program; choose another data_dir", connection->path);
        return STATUS_INVALID;
    }
    if (*version > NEWEST_VERSION || *version < 0) {
        error_set(
            error,
            "%s has version %lld and this weir knows versions up to %d; use the newer weir, or another data_dir",
            connection->path, (long long)*version, NEWEST_VERSION);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status store_migrate(struct store_connection *connection, struct error *error)
{
    int64_t version = 0;
    enum status status = check_version(connection, &version, error);
    if (status != STATUS_OK || version == NEWEST_VERSION)
        return status;
    char finish[96];
    snprintf(finish, sizeof finish, "PRAGMA user_version=%d; PRAGMA application_id=%d; COMMIT",
             NEWEST_VERSION, APPLICATION_ID);
    status = run_text(connection, "BEGIN IMMEDIATE", error);
    for (int64_t i = version; status == STATUS_OK && i < NEWEST_VERSION; i++)
        status = run_text(connection, migrations[i], error);
    if (status == STATUS_OK)
        status = run_text(connection, finish, error);
    if (status != STATUS_OK)
        sqlite3_exec(connection->handle, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
