/* Reading back the progress, at start, and deleting rows that have grown old. Both are the writer's, on its own connection. */
#include <assert.h>

#include "store/store_internal.h"

static enum status load_epoch(struct store *store, struct store_progress *progress, struct error *error)
{
    sqlite3_stmt *get = store_prepare(&store->connection, STORE_GET_EPOCH);
    int code = get ? sqlite3_step(get) : SQLITE_ERROR;
    if (code == SQLITE_ROW)
        progress->epoch = (uint64_t)sqlite3_column_int64(get, 0);
    enum status status =
        code == SQLITE_ROW || code == SQLITE_DONE ? STATUS_OK : store_fail(&store->connection, "read", error);
    sqlite3_reset(get);
    return status;
}

static const char *copy_column(struct arena *arena, sqlite3_stmt *statement, int index)
{
    return arena_copy(arena, store_column_text(statement, index)).data;
}

static enum status load_positions(struct store *store, struct arena *arena, struct store_progress *progress,
                                  struct error *error)
{
    sqlite3_stmt *get = store_prepare(&store->connection, STORE_GET_POSITIONS);
    int code;
    while (get && (code = sqlite3_step(get)) == SQLITE_ROW) {
        if (!progress->positions)
            progress->positions =
                arena_allocate(arena, (size_t)sqlite3_column_int64(get, 6) * sizeof *progress->positions);
        progress->positions[progress->position_count++] = (struct store_position){
            .source = copy_column(arena, get, 0),
            .partition = (uint32_t)sqlite3_column_int64(get, 1),
            .position = sqlite3_column_int64(get, 2),
            .position_max_time_us = sqlite3_column_int64(get, 3),
            .base = sqlite3_column_int64(get, 4),
            .base_watermark_us = sqlite3_column_int64(get, 5),
        };
    }
    enum status status =
        get && code == SQLITE_DONE ? STATUS_OK : store_fail(&store->connection, "read", error);
    sqlite3_reset(get);
    return status;
}

static enum status load_pipelines(struct store *store, struct arena *arena, struct store_progress *progress,
                                  struct error *error)
{
    sqlite3_stmt *get = store_prepare(&store->connection, STORE_GET_PIPELINE_PROGRESS);
    int code;
    while (get && (code = sqlite3_step(get)) == SQLITE_ROW) {
        if (!progress->pipelines)
            progress->pipelines =
                arena_allocate(arena, (size_t)sqlite3_column_int64(get, 3) * sizeof *progress->pipelines);
        progress->pipelines[progress->pipeline_count++] = (struct store_pipeline_progress){
            .pipeline = copy_column(arena, get, 0),
            .definition_hash = (uint64_t)sqlite3_column_int64(get, 1),
            .closed_through_us = sqlite3_column_int64(get, 2),
        };
    }
    enum status status =
        get && code == SQLITE_DONE ? STATUS_OK : store_fail(&store->connection, "read", error);
    sqlite3_reset(get);
    return status;
}

enum status store_load_progress(struct store *store, struct arena *arena, struct store_progress *progress,
                                struct error *error)
{
    *progress = (struct store_progress){0};
    enum status status = load_epoch(store, progress, error);
    if (status == STATUS_OK)
        status = load_positions(store, arena, progress, error);
    if (status == STATUS_OK)
        status = load_pipelines(store, arena, progress, error);
    return status;
}

static enum status note_expired(struct store *store, int64_t id, struct error *error)
{
    sqlite3_stmt *note = store_prepare(&store->connection, STORE_NOTE_EXPIRED);
    if (!note)
        return store_fail(&store->connection, "write to", error);
    sqlite3_bind_int64(note, 1, id);
    return store_run(&store->connection, note, "write to", error);
}

static enum status run_with_times(struct store *store, enum store_statement which, int64_t first_us,
                                  int64_t second_us, struct error *error)
{
    sqlite3_stmt *statement = store_prepare(&store->connection, which);
    if (!statement)
        return store_fail(&store->connection, "write to", error);
    sqlite3_bind_int64(statement, 1, first_us);
    if (sqlite3_bind_parameter_count(statement) > 1)
        sqlite3_bind_int64(statement, 2, second_us);
    return store_run(&store->connection, statement, "write to", error);
}

/* Deletes up to `*room` old rows, and notes up to where positions have lost rows. */
static enum status delete_results(struct store *store, int64_t before_us, int64_t *room, struct error *error)
{
    sqlite3_stmt *expire = store_prepare(&store->connection, STORE_EXPIRE_RESULTS);
    if (!expire)
        return store_fail(&store->connection, "write to", error);
    sqlite3_bind_int64(expire, 1, before_us);
    sqlite3_bind_int64(expire, 2, *room);
    int64_t newest_id = 0;
    int code;
    for (; (code = sqlite3_step(expire)) == SQLITE_ROW; (*room)--)
        if (sqlite3_column_int64(expire, 0) > newest_id)
            newest_id = sqlite3_column_int64(expire, 0);
    enum status status = code == SQLITE_DONE ? STATUS_OK : store_fail(&store->connection, "write to", error);
    sqlite3_reset(expire);
    return status == STATUS_OK && newest_id ? note_expired(store, newest_id, error) : status;
}

/* Ids grow as rows are written, so a few milestones tell the age of every row, to a thousandth of the age that counts. */
static enum status expire_results(struct store *store, int64_t now_us, int64_t age_us, int64_t *room,
                                  struct error *error)
{
    enum { MILESTONES_PER_AGE = 1000 };
    enum status status =
        run_with_times(store, STORE_ADD_MILESTONE, now_us, age_us / MILESTONES_PER_AGE, error);
    if (status == STATUS_OK)
        status = delete_results(store, now_us - age_us, room, error);
    if (status == STATUS_OK && *room > 0)
        status = run_with_times(store, STORE_FORGET_MILESTONES, now_us - age_us, 0, error);
    return status;
}

static enum status expire_dead_letters(struct store *store, int64_t before_us, int64_t *room,
                                       struct error *error)
{
    sqlite3_stmt *expire = store_prepare(&store->connection, STORE_EXPIRE_DEAD_LETTERS);
    if (!expire)
        return store_fail(&store->connection, "write to", error);
    sqlite3_bind_int64(expire, 1, before_us);
    sqlite3_bind_int64(expire, 2, *room);
    enum status status = store_run(&store->connection, expire, "write to", error);
    *room -= sqlite3_changes(store->connection.handle);
    return status;
}

enum status store_expire(struct store *store, int64_t now_us, int64_t results_age_us,
                         int64_t dead_letters_age_us, bool *more, struct error *error)
{
    int64_t results_room = STORE_EXPIRE_ROWS, letters_room = STORE_EXPIRE_ROWS;
    *more = false;
    if (!results_age_us && !dead_letters_age_us)
        return STATUS_OK;
    enum status status = store_begin(store, error);
    if (status != STATUS_OK)
        return status;
    if (results_age_us)
        status = expire_results(store, now_us, results_age_us, &results_room, error);
    if (status == STATUS_OK && dead_letters_age_us)
        status = expire_dead_letters(store, now_us - dead_letters_age_us, &letters_room, error);
    if (status == STATUS_OK)
        status = store_commit(store, error);
    if (status != STATUS_OK)
        store_rollback(store);
    *more = status == STATUS_OK && (results_room <= 0 || letters_room <= 0);
    return status;
}
