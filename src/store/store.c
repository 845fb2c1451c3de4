/* The writer: life of the database, transactions, and what is done when the disk fails.
 *
 * After a failed fsync nobody knows what is on the disk, and the system will not tell a second time: it forgets pages that it could not
 * write. So the connection is given up; the next one first moves all of the write-ahead log into the database with an fsync of its own and
 * empties the log. Until that has worked there is no new transaction. */
#include "store/store.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/memory.h"
#include "store/store_internal.h"

/* A new life: its number is one more than the largest so far, the oldest lives are forgotten. */
static enum status add_boot(struct store *store, struct error *error)
{
    struct store_connection *connection = &store->connection;
    sqlite3_stmt *add = store_prepare(connection, STORE_ADD_BOOT);
    if (!add || sqlite3_step(add) != SQLITE_ROW)
        return store_fail(connection, "write", error);
    store->boot_id = (uint64_t)sqlite3_column_int64(add, 0);
    store->base = sqlite3_column_int64(add, 1);
    enum status status = store_run(connection, add, "write", error);
    sqlite3_stmt *forget = store_prepare(connection, STORE_FORGET_BOOTS);
    if (status != STATUS_OK || !forget)
        return status != STATUS_OK ? status : store_fail(connection, "write", error);
    sqlite3_bind_int64(forget, 1, (int64_t)store->boot_id - STORE_MAX_BOOTS);
    return store_run(connection, forget, "write", error);
}

enum status store_open(const char *data_dir, struct store **out, struct error *error)
{
    struct store *store = memory_allocate(sizeof *store);
    struct buffer path = {0};
    buffer_format(&path, "%s/weir.db", data_dir);
    store->path = memory_copy_text(path.data, path.size);
    buffer_deinit(&path);
    store->connection.path = store->path;
    enum status status = data_dir_lock(data_dir, &store->lock_descriptor, error);
    if (status == STATUS_OK)
        status = store_connect(&store->connection, store->path, true, error);
    if (status == STATUS_OK)
        status = store_migrate(&store->connection, error);
    if (status == STATUS_OK)
        status = add_boot(store, error);
    if (status != STATUS_OK) {
        store_close(store);
        store = NULL;
    }
    *out = store;
    return status;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    store_rollback(store);
    store_disconnect(&store->connection);
    if (store->lock_descriptor >= 0)
        close(store->lock_descriptor);
    free(store->path);
    free(store);
}

uint64_t store_boot_id(const struct store *store)
{
    return store->boot_id;
}

static enum status reopen(struct store *store, struct error *error)
{
    store_disconnect(&store->connection);
    enum status status = store_connect(&store->connection, store->path, true, error);
    if (status != STATUS_OK)
        return status;
    if (sqlite3_wal_checkpoint_v2(store->connection.handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
        SQLITE_OK)
        return store_fail(&store->connection, "recover", error);
    store->is_broken = false;
    return STATUS_OK;
}

enum status store_begin(struct store *store, struct error *error)
{
    assert(!store->is_in_transaction);
    if (store->is_broken) {
        enum status status = reopen(store, error);
        if (status != STATUS_OK)
            return status;
    }
    enum status status = store_execute(&store->connection, STORE_BEGIN_WRITE, "write to", error);
    store->is_in_transaction = status == STATUS_OK;
    store->has_rows = false;
    return status;
}

void store_pass_rows(struct store *store)
{
    if (store->has_rows)
        crash_point("store_after_rows");
    store->has_rows = false;
}

enum status store_commit(struct store *store, struct error *error)
{
    assert(store->is_in_transaction);
    store_pass_rows(store);
    crash_point("store_before_commit");
    enum status status = store_execute(&store->connection, STORE_COMMIT, "write to", error);
    if (status == STATUS_OK) {
        crash_point("store_after_commit");
        store->is_in_transaction = false;
    } else if (status == STATUS_IO) {
        store->is_broken = true;
    }
    return status;
}

void store_rollback(struct store *store)
{
    if (!store->is_in_transaction)
        return;
    /* SQLite has already rolled back when the failure was a grave one. */
    if (!sqlite3_get_autocommit(store->connection.handle)) {
        struct error ignored;
        if (store_execute(&store->connection, STORE_ROLLBACK, "roll back", &ignored) != STATUS_OK)
            store->is_broken = true;
    }
    store->is_in_transaction = false;
    store->pipeline_count = 0; /* ids that this transaction gave out are gone */
}
