/* The places of letters that were sent, in a small database beside the store: the store belongs to the running server. Two tables:
 *
 *   sent     source, partition, offset → is it an echo?
 *   awaited  source, hash of the bytes → how many letters with these bytes the server refused again and will have stored anew
 *
 * A letter in a new place whose bytes are awaited is such an echo. Without this, each run would send again what the run before
 * had sent in vain. */
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "app/redrive.h"
#include "base/memory.h"

enum statement { BEGIN, COMMIT, FIND, NOTE, AWAIT, TAKE_AWAITED, STATEMENT_COUNT };

static const char *const texts[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN",
    [COMMIT] = "COMMIT",
    [FIND] = "SELECT is_echo FROM sent WHERE source = ?1 AND partition = ?2 AND offset = ?3",
    [NOTE] = "INSERT OR REPLACE INTO sent(source, partition, offset, is_echo) VALUES (?1, ?2, ?3, ?4)",
    [AWAIT] = "INSERT INTO awaited(source, hash, count) VALUES (?1, ?2, 1) "
              "ON CONFLICT(source, hash) DO UPDATE SET count = count + 1",
    [TAKE_AWAITED] =
        "UPDATE awaited SET count = count - 1 WHERE source = ?1 AND hash = ?2 AND count > 0 RETURNING 1",
};

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS sent(source TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, "
    "is_echo INTEGER NOT NULL, PRIMARY KEY(source, partition, offset)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS awaited(source TEXT NOT NULL, hash INTEGER NOT NULL, count INTEGER NOT NULL, "
    "PRIMARY KEY(source, hash)) WITHOUT ROWID;";

struct redrive_log {
    sqlite3 *handle; /* NULL: a dry run before any redrive */
    sqlite3_stmt *statements[STATEMENT_COUNT];
    char *path;
    bool is_read_only, has_begun;
};

static enum status fail(struct redrive_log *log, const char *what, struct error *error)
{
    int code = sqlite3_errcode(log->handle);
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
        error_set(error, "%s is in use: another weir redrive is at work; wait for it to end", log->path);
        return STATUS_BUSY;
    }
    error_set(error, "cannot %s %s: %s", what, log->path, sqlite3_errmsg(log->handle));
    return STATUS_IO;
}

static enum status run(struct redrive_log *log, enum statement statement, bool *has_row, struct error *error)
{
    sqlite3_stmt *prepared = log->statements[statement];
    int code, rows = 0;
    while ((code = sqlite3_step(prepared)) == SQLITE_ROW)
        rows++;
    enum status status = code == SQLITE_DONE ? STATUS_OK : fail(log, "write", error);
    sqlite3_reset(prepared);
    if (has_row)
        *has_row = rows > 0;
    return status;
}

static enum status set_up(struct redrive_log *log, struct error *error)
{
    /* Exclusive from the first read on and until it is closed: a second redrive would send the same letters. */
    const char *mode =
        log->is_read_only
            ? "PRAGMA query_only=ON"
            : "PRAGMA main.locking_mode=EXCLUSIVE; PRAGMA synchronous=FULL; BEGIN EXCLUSIVE; COMMIT";
    if (sqlite3_exec(log->handle, mode, NULL, NULL, NULL) != SQLITE_OK)
        return fail(log, "open", error);
    if (!log->is_read_only && sqlite3_exec(log->handle, tables, NULL, NULL, NULL) != SQLITE_OK)
        return fail(log, "set up", error);
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v2(log->handle, texts[i], -1, &log->statements[i], NULL) != SQLITE_OK)
            return fail(log, "read", error);
    }
    return STATUS_OK;
}

/* Forgets letters that the store has no longer, so that this database does not outgrow it. */
static enum status prune(struct redrive_log *log, const char *data_dir, struct error *error)
{
    static const char drop[] =
        "DELETE FROM sent WHERE NOT EXISTS (SELECT 1 FROM store.dead_letters AS letter WHERE "
        "letter.source = sent.source AND letter.partition = sent.partition AND "
        "letter.offset = sent.offset);"
        "DELETE FROM awaited WHERE count <= 0; DETACH store";
    sqlite3_stmt *attach = NULL;
    struct buffer path = {0};
    buffer_format(&path, "%s/weir.db", data_dir);
    bool is_attached =
        sqlite3_prepare_v2(log->handle, "ATTACH ?1 AS store", -1, &attach, NULL) == SQLITE_OK &&
        sqlite3_bind_text(attach, 1, path.data, (int)path.size, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(attach) == SQLITE_DONE;
    sqlite3_finalize(attach);
    buffer_deinit(&path);
    if (is_attached && sqlite3_exec(log->handle, drop, NULL, NULL, NULL) == SQLITE_OK)
        return STATUS_OK;
    return fail(log, "tidy", error);
}

enum status redrive_log_open(const char *data_dir, bool is_read_only, struct redrive_log **out,
                             struct error *error)
{
    struct redrive_log *log = memory_allocate(sizeof *log);
    struct buffer path = {0};
    buffer_format(&path, "%s/redrive.db", data_dir);
    buffer_append_char(&path, '\0');
    log->path = path.data;
    log->is_read_only = is_read_only;
    *out = log;
    if (is_read_only && access(log->path, F_OK) != 0)
        return STATUS_OK;
    int flags = is_read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    enum status status = sqlite3_open_v2(log->path, &log->handle, flags, NULL) == SQLITE_OK
                             ? set_up(log, error)
                             : fail(log, "open", error);
    if (status == STATUS_OK && !is_read_only)
        status = prune(log, data_dir, error);
    if (status != STATUS_OK) {
        redrive_log_close(log);
        *out = NULL;
    }
    return status;
}

void redrive_log_close(struct redrive_log *log)
{
    if (!log)
        return;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(log->statements[i]);
    sqlite3_close(log->handle);
    free(log->path);
    free(log);
}

static enum status begin(struct redrive_log *log, struct error *error)
{
    if (log->has_begun)
        return STATUS_OK;
    log->has_begun = true;
    return run(log, BEGIN, NULL, error);
}

static sqlite3_stmt *bind_place(struct redrive_log *log, enum statement statement, const char *source,
                                uint32_t partition, int64_t offset)
{
    sqlite3_stmt *prepared = log->statements[statement];
    sqlite3_bind_text(prepared, 1, source, -1, SQLITE_STATIC);
    sqlite3_bind_int64(prepared, 2, partition);
    sqlite3_bind_int64(prepared, 3, offset);
    return prepared;
}

static void bind_bytes(struct redrive_log *log, enum statement statement, const char *source,
                       struct slice raw)
{
    sqlite3_bind_text(log->statements[statement], 1, source, -1, SQLITE_STATIC);
    sqlite3_bind_int64(log->statements[statement], 2, (int64_t)XXH3_64bits(raw.data, raw.size));
}

static enum status note(struct redrive_log *log, const char *source, uint32_t partition, int64_t offset,
                        bool is_echo, struct error *error)
{
    sqlite3_bind_int(bind_place(log, NOTE, source, partition, offset), 4, is_echo);
    return run(log, NOTE, NULL, error);
}

enum status redrive_log_find(struct redrive_log *log, const char *source, uint32_t partition, int64_t offset,
                             struct slice raw, enum redrive_known *known, struct error *error)
{
    *known = REDRIVE_NEW;
    if (!log->handle)
        return STATUS_OK;
    sqlite3_stmt *find = bind_place(log, FIND, source, partition, offset);
    int code = sqlite3_step(find);
    if (code == SQLITE_ROW)
        *known = sqlite3_column_int(find, 0) ? REDRIVE_ECHO : REDRIVE_SENT;
    enum status status = code == SQLITE_ROW || code == SQLITE_DONE ? STATUS_OK : fail(log, "read", error);
    sqlite3_reset(find);
    if (status != STATUS_OK || *known != REDRIVE_NEW || log->is_read_only)
        return status;
    bool is_echo = false;
    status = begin(log, error);
    if (status != STATUS_OK)
        return status;
    bind_bytes(log, TAKE_AWAITED, source, raw);
    status = run(log, TAKE_AWAITED, &is_echo, error);
    if (status != STATUS_OK || !is_echo)
        return status;
    *known = REDRIVE_ECHO;
    return note(log, source, partition, offset, true, error);
}

enum status redrive_log_note(struct redrive_log *log, const char *source, uint32_t partition, int64_t offset,
                             struct slice raw, bool is_rejected, struct error *error)
{
    enum status status = begin(log, error);
    if (status == STATUS_OK)
        status = note(log, source, partition, offset, false, error);
    if (status != STATUS_OK || !is_rejected)
        return status;
    bind_bytes(log, AWAIT, source, raw);
    return run(log, AWAIT, NULL, error);
}

enum status redrive_log_commit(struct redrive_log *log, struct error *error)
{
    if (!log->has_begun)
        return STATUS_OK;
    log->has_begun = false;
    return run(log, COMMIT, NULL, error);
}
