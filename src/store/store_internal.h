/* What the parts of src/store share: a connection with its statements, and the mapping of SQLite's answers. Only the sources of
 * src/store include this.
 *
 *   store.c (life, transactions) ── store_write.c ─┐
 *   store_schema.c, data_dir_lock.c                 ├─ store_sql.c (all SQL, statement reuse) ── SQLite
 *   store_read.c (pages), dead_letter_table.c ──────┘ */
#pragma once

#include <sqlite3.h>

#include "store/store.h"

enum {
    STORE_ROWS_PER_UPSERT = 32,             /* rows of one statement: 9 parameters each */
    STORE_MAX_PIPELINES = 4096,             /* names that one store knows at once in memory */
    STORE_PAGE_MAX_SIZE = 16 * 1024 * 1024, /* bytes of rows that one page holds, give or take a row */
    STORE_PAGE_MAX_SCAN = 250 * 1000,    /* rows that one page looks at to find those that pass its filter */
    STORE_MAX_BOOTS = 10000,             /* lives of the process that positions may refer to */
    STORE_CACHE_SIZE = 16 * 1024 * 1024, /* pages that the writer keeps */
    STORE_READER_CACHE_SIZE = 2 * 1024 * 1024,
    STORE_WAL_PAGES = 4000,                 /* log pages after which a commit moves them into the database */
    STORE_WAL_KEPT_SIZE = 64 * 1024 * 1024, /* the log file shrinks to this when it starts over */
};

enum store_statement {
    STORE_BEGIN_WRITE,
    STORE_BEGIN_READ,
    STORE_COMMIT,
    STORE_ROLLBACK,
    STORE_PIPELINE_ID,
    STORE_ADD_PIPELINE,
    STORE_UPSERT_ROW,
    STORE_UPSERT_ROWS, /* STORE_ROWS_PER_UPSERT of them */
    STORE_ADD_DEAD_LETTER,
    STORE_SET_EPOCH,
    STORE_SET_POSITION,
    STORE_SET_PIPELINE_PROGRESS,
    STORE_GET_EPOCH,
    STORE_GET_POSITIONS,
    STORE_GET_PIPELINE_PROGRESS,
    STORE_ADD_BOOT,
    STORE_FORGET_BOOTS,
    STORE_ADD_MILESTONE,
    STORE_FORGET_MILESTONES,
    STORE_EXPIRE_RESULTS,
    STORE_EXPIRE_DEAD_LETTERS,
    STORE_NOTE_EXPIRED,
    STORE_READ_WINDOW_REST, /* the window that the page before ended in, behind its last key */
    STORE_READ_WINDOWS,
    STORE_READ_SINCE,
    STORE_BASES_FROM,
    STORE_EXPIRED_ID,
    STORE_READ_DEAD_LETTERS,
    STORE_DEAD_LETTER_PARTITIONS,
    STORE_SCAN_DEAD_LETTERS,
    STORE_STATEMENT_COUNT
};

/* A connection of one thread. Statements are prepared at their first use and kept. */
struct store_connection {
    sqlite3 *handle;
    const char *path; /* for messages; the owner's */
    sqlite3_stmt *statements[STORE_STATEMENT_COUNT];
};

struct store {
    struct store_connection connection;
    char *path;
    int lock_descriptor;
    uint64_t boot_id;
    int64_t base; /* ids of this life are base + 1 + sequence */
    bool is_in_transaction;
    bool has_rows;  /* in this transaction: the crash point behind the rows is still to come */
    bool is_broken; /* an fsync failed: nothing that this connection believes can be trusted */
    struct {
        const char *name; /* of the shape that was last seen: lives as long as the process */
        int64_t id;
    } pipelines[STORE_MAX_PIPELINES];
    uint32_t pipeline_count;
};

/* Opens data_dir/weir.db; `is_writer` creates it. On failure nothing is left open. */
NODISCARD
enum status store_connect(struct store_connection *connection, const char *path, bool is_writer,
                          struct error *error);
void store_disconnect(struct store_connection *connection);

/* The kept statement, reset and without bindings; NULL when it cannot be prepared: store_fail() tells why. */
sqlite3_stmt *store_prepare(struct store_connection *connection, enum store_statement statement);
/* Status for SQLite's last answer on this connection, with a message: what was tried, the file, the reason, the remedy. */
enum status store_fail(const struct store_connection *connection, const char *what, struct error *error);
/* Steps a statement that gives no row, and resets it. */
NODISCARD
enum status store_run(struct store_connection *connection, sqlite3_stmt *statement, const char *what,
                      struct error *error);
/* Prepares and runs a statement without parameters. */
NODISCARD
enum status store_execute(struct store_connection *connection, enum store_statement statement,
                          const char *what, struct error *error);
/* Text that stays where it is until the statement has run. */
void store_bind_text(sqlite3_stmt *statement, int index, struct slice text);
struct slice store_column_text(sqlite3_stmt *statement, int index);

/* The crash point between rows and progress, once per transaction. */
void store_pass_rows(struct store *store);

/* Creates the tables of a new database or brings those of an older version up to date, in one transaction. */
NODISCARD
enum status store_migrate(struct store_connection *connection, struct error *error);

/* Creates data_dir (0700, parents too) and takes its lock, which holds until the descriptor is closed. */
NODISCARD
enum status data_dir_lock(const char *data_dir, int *descriptor, struct error *error);

/* What the record's "key" object must hold, compiled from a query. */
struct key_filter {
    struct buffer texts; /* per condition: "name" as JSON, "value" as JSON, value as it is */
    struct {
        struct slice name, quoted, plain;
    } conditions[STORE_KEY_FILTER_COUNT];
    uint32_t condition_count;
};
void key_filter_init(struct key_filter *filter, const struct store_results_query *query);
void key_filter_deinit(struct key_filter *filter);
bool key_filter_passes(const struct key_filter *filter, struct slice record);

/* Cursors are text for a URL: version, then what the next page starts behind. */
void result_cursor_write(struct buffer *out, int64_t window_start_us, struct slice key_json);
/* `key_json` goes to `storage`. STATUS_INVALID when it is none. */
NODISCARD
enum status result_cursor_read(struct slice cursor, int64_t *window_start_us, struct buffer *key_json);
void dead_letter_cursor_write(struct buffer *out, int64_t id);
NODISCARD
enum status dead_letter_cursor_read(struct slice cursor, int64_t *id);

struct store_reader {
    struct store_connection connection;
    char *path;
};
/* A read transaction: every statement until store_read_end() sees the same state. */
NODISCARD
enum status store_read_begin(struct store_reader *reader, struct error *error);
void store_read_end(struct store_reader *reader);
