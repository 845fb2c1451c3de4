/* The writer of the event log. See event_log.h.
 *
 * Records are gathered in blocks, one chain per partition. A commit writes each block as a row, in one
 * transaction, and then hands the very same blocks to the readers, so that a reader that keeps up never touches
 * the database. Offsets are given at commit: a group that fails leaves no gap. */
#include "source/event_log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/crash.h"
#include "base/log.h"
#include "base/memory.h"
#include "source/event_log_internal.h"

struct log_block *log_block_create(void)
{
    return memory_allocate(sizeof(struct log_block));
}

void log_block_destroy(struct log_block *block)
{
    buffer_deinit(&block->records);
    free(block);
}

static void destroy_chain(struct log_block *block)
{
    while (block) {
        struct log_block *next = block->next;
        log_block_destroy(block);
        block = next;
    }
}

/* --- open and close ----------------------------------------------------------------------------------------------- */

static void create_partitions(struct event_log *log)
{
    log->sources = memory_allocate_array(log->config->source_count, sizeof *log->sources);
    for (uint32_t s = 0; s < log->config->source_count; s++) {
        if (log->config->sources[s].kind != SOURCE_HTTP)
            continue;
        struct log_source *source = &log->sources[s];
        source->partition_count = log->config->sources[s].partitions;
        source->partitions = memory_allocate_array(source->partition_count, sizeof *source->partitions);
        for (uint32_t p = 0; p < source->partition_count; p++)
            pthread_mutex_init(&source->partitions[p].lock, NULL);
    }
}

static enum status measure(struct event_log *log, struct error *error)
{
    sqlite3_stmt *statement = log->database.page_counts;
    uint64_t size = 0;
    if (sqlite3_step(statement) == SQLITE_ROW)
        size = (uint64_t)sqlite3_column_int64(statement, 0);
    int code = sqlite3_reset(statement);
    if (code != SQLITE_OK)
        return log_database_error(log->database.handle, log->path, "measure", code, error);
    atomic_store_explicit(&log->size, size, memory_order_relaxed);
    return STATUS_OK;
}

enum status event_log_open(const struct config *config, struct event_log **out, struct error *error)
{
    struct event_log *log = memory_allocate(sizeof *log);
    log->config = config;
    log->path = log_database_path(config);
    pthread_mutex_init(&log->read_lock, NULL);
    create_partitions(log);
    enum status status = log_database_open(log, error);
    if (status == STATUS_OK)
        status = measure(log, error);
    if (status != STATUS_OK) {
        event_log_close(log);
        return status;
    }
    for (uint32_t s = 0; s < config->source_count; s++) {
        for (uint32_t p = 0; p < log->sources[s].partition_count; p++)
            atomic_init(&log->sources[s].partitions[p].end_offset, log->sources[s].partitions[p].next_offset);
    }
    *out = log;
    return STATUS_OK;
}

/* So that a change of the number of partitions can be judged at the next start. */
static void store_released(struct event_log *log)
{
    struct log_database *database = &log->database;
    for (uint32_t s = 0; s < log->config->source_count; s++) {
        for (uint32_t p = 0; p < log->sources[s].partition_count; p++) {
            sqlite3_bind_int64(database->set_released, 1, log->sources[s].id);
            sqlite3_bind_int64(database->set_released, 2, p);
            sqlite3_bind_int64(
                database->set_released, 3,
                atomic_load_explicit(&log->sources[s].partitions[p].released_offset, memory_order_acquire));
            sqlite3_step(database->set_released);
            sqlite3_reset(database->set_released);
        }
    }
}

void event_log_close(struct event_log *log)
{
    if (!log)
        return;
    event_log_discard(log);
    struct error error = {{0}};
    if (log->database.handle && log_database_run(log, log->database.begin, "close", &error) == STATUS_OK) {
        store_released(log);
        if (log_database_run(log, log->database.commit, "close", &error) != STATUS_OK)
            log_write(LOG_WARN, "source", "%s", error.text);
    }
    sqlite3_finalize(log->read_row);
    sqlite3_close(log->read_handle);
    log_database_close(&log->database);
    for (uint32_t s = 0; s < log->config->source_count; s++) {
        for (uint32_t p = 0; p < log->sources[s].partition_count; p++) {
            destroy_chain(log->sources[s].partitions[p].tail);
            pthread_mutex_destroy(&log->sources[s].partitions[p].lock);
        }
        free(log->sources[s].partitions);
    }
    pthread_mutex_destroy(&log->read_lock);
    free(log->sources);
    free(log->path);
    free(log);
}

void event_log_skip_to(struct event_log *log, uint32_t source_index, uint32_t partition_index, int64_t offset)
{
    struct log_partition *partition = log_partition_of(log, source_index, partition_index);
    if (offset <= partition->next_offset)
        return;
    log_write(LOG_WARN, "source",
              "source %s, partition %u: the event log ends at offset %" PRId64
              ", but results of the events up to %" PRId64
              " are stored; was log.db deleted? new events get offsets from there",
              log->config->sources[source_index].name, partition_index, partition->next_offset, offset);
    partition->next_offset = offset;
    atomic_store(&partition->end_offset, offset);
}

uint64_t event_log_size(const struct event_log *log)
{
    return atomic_load_explicit(&log->size, memory_order_relaxed);
}

/* --- the pending group -------------------------------------------------------------------------------------------- */

void event_log_append(struct event_log *log, uint32_t source_index, uint32_t partition_index,
                      struct slice record)
{
    assert(!log->is_pending_in_doubt);
    struct log_partition *partition = log_partition_of(log, source_index, partition_index);
    struct log_block *block = partition->last_pending;
    if (!block || block->records.size >= EVENT_LOG_ROW_SIZE) {
        block = log_block_create();
        if (partition->last_pending)
            partition->last_pending->next = block;
        else
            partition->pending = block;
        partition->last_pending = block;
    }
    uint32_t size = (uint32_t)record.size;
    const unsigned char prefix[EVENT_LOG_SIZE_PREFIX] = {(unsigned char)size, (unsigned char)(size >> 8),
                                                         (unsigned char)(size >> 16),
                                                         (unsigned char)(size >> 24)};
    buffer_append(&block->records, prefix, sizeof prefix);
    buffer_append_slice(&block->records, record);
    block->record_count++;
    log->pending_size += sizeof prefix + record.size;
}

void event_log_discard(struct event_log *log)
{
    for (uint32_t s = 0; s < log->config->source_count; s++) {
        for (uint32_t p = 0; p < log->sources[s].partition_count; p++) {
            struct log_partition *partition = &log->sources[s].partitions[p];
            destroy_chain(partition->pending);
            partition->pending = partition->last_pending = NULL;
        }
    }
    log->pending_size = 0;
    log->is_pending_in_doubt = false;
}

/* Hands the blocks to the reader. What does not fit the tails is dropped: it is read from the database. */
static void publish_partition(struct event_log *log, struct log_partition *partition)
{
    pthread_mutex_lock(&partition->lock);
    for (struct log_block *block = partition->pending, *next; block; block = next) {
        next = block->next;
        block->next = NULL;
        partition->next_offset = block->first_offset + block->record_count;
        size_t tail_size =
            atomic_fetch_add_explicit(&log->tail_size, block->records.capacity, memory_order_relaxed);
        if (tail_size + block->records.capacity > EVENT_LOG_TAIL_MAX_SIZE) {
            atomic_fetch_sub_explicit(&log->tail_size, block->records.capacity, memory_order_relaxed);
            log_block_destroy(block);
            continue;
        }
        if (partition->last_tail)
            partition->last_tail->next = block;
        else
            partition->tail = block;
        partition->last_tail = block;
    }
    pthread_mutex_unlock(&partition->lock);
    partition->pending = partition->last_pending = NULL;
    atomic_store_explicit(&partition->end_offset, partition->next_offset, memory_order_release);
    if (partition->waker)
        waker_wake(partition->waker);
}

/* The group is durable. */
static void publish(struct event_log *log)
{
    for (uint32_t s = 0; s < log->config->source_count; s++) {
        for (uint32_t p = 0; p < log->sources[s].partition_count; p++) {
            if (log->sources[s].partitions[p].pending)
                publish_partition(log, &log->sources[s].partitions[p]);
        }
    }
    log->pending_size = 0;
}

/* --- commit ------------------------------------------------------------------------------------------------------- */

static void give_offsets(struct log_partition *partition, int64_t arrival_us, int64_t arrival_wall_us)
{
    int64_t offset = partition->next_offset;
    for (struct log_block *block = partition->pending; block; block = block->next) {
        block->first_offset = offset;
        block->arrival_us = arrival_us;
        block->arrival_wall_us = arrival_wall_us;
        offset += block->record_count;
    }
}

static enum status write_partition(struct event_log *log, uint32_t source_index, uint32_t partition_index,
                                   struct error *error)
{
    struct log_database *database = &log->database;
    const struct log_partition *partition = log_partition_of(log, source_index, partition_index);
    int64_t source_id = log->sources[source_index].id;
    int64_t next_offset = partition->next_offset;
    for (const struct log_block *block = partition->pending; block; block = block->next) {
        sqlite3_bind_int64(database->insert, 1, source_id);
        sqlite3_bind_int64(database->insert, 2, partition_index);
        sqlite3_bind_int64(database->insert, 3, block->first_offset);
        sqlite3_bind_int64(database->insert, 4, block->record_count);
        sqlite3_bind_int64(database->insert, 5, block->arrival_wall_us);
        sqlite3_bind_blob64(database->insert, 6, block->records.data, block->records.size, SQLITE_STATIC);
        enum status status = log_database_run(log, database->insert, "write to", error);
        sqlite3_clear_bindings(database->insert);
        if (status != STATUS_OK)
            return status;
        next_offset = block->first_offset + block->record_count;
    }
    sqlite3_bind_int64(database->set_next, 1, source_id);
    sqlite3_bind_int64(database->set_next, 2, partition_index);
    sqlite3_bind_int64(database->set_next, 3, next_offset);
    return log_database_run(log, database->set_next, "write to", error);
}

static enum status write_group(struct event_log *log, int64_t arrival_us, int64_t arrival_wall_us,
                               struct error *error)
{
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < log->config->source_count; s++) {
        for (uint32_t p = 0; p < log->sources[s].partition_count && status == STATUS_OK; p++) {
            if (!log->sources[s].partitions[p].pending)
                continue;
            give_offsets(&log->sources[s].partitions[p], arrival_us, arrival_wall_us);
            status = write_partition(log, s, p, error);
        }
    }
    if (status == STATUS_OK) {
        sqlite3_bind_int64(log->database.set_commit_id, 1, log->commit_id + 1);
        status = log_database_run(log, log->database.set_commit_id, "write to", error);
    }
    return status;
}

/* Ends a failed transaction. After STATUS_IO the connection is not trusted any more. */
static void give_up(struct event_log *log, enum status status)
{
    if (!sqlite3_get_autocommit(log->database.handle)) {
        sqlite3_step(log->database.rollback);
        sqlite3_reset(log->database.rollback);
    }
    if (status == STATUS_IO)
        log_database_close(&log->database);
}

/* The last transaction took hold although its COMMIT failed. Readers find its rows in the database. */
static void adopt(struct event_log *log)
{
    for (uint32_t s = 0; s < log->config->source_count; s++) {
        for (uint32_t p = 0; p < log->sources[s].partition_count; p++) {
            struct log_partition *partition = &log->sources[s].partitions[p];
            if (partition->next_offset == atomic_load_explicit(&partition->end_offset, memory_order_relaxed))
                continue;
            atomic_store_explicit(&partition->end_offset, partition->next_offset, memory_order_release);
            if (partition->waker)
                waker_wake(partition->waker);
        }
    }
    if (log->is_pending_in_doubt)
        event_log_discard(log); /* it is what was committed */
}

/* A new connection after a failure. A transaction in doubt that turns out to have taken hold is made durable by a
 * checkpoint, because what failed may have been the sync. */
static enum status reconnect(struct event_log *log, struct error *error)
{
    int64_t commit_id = log->commit_id;
    enum status status = log_database_open(log, error);
    bool is_committed = status == STATUS_OK && log->is_in_doubt && log->commit_id == commit_id + 1;
    if (is_committed) {
        int code = sqlite3_wal_checkpoint_v2(log->database.handle, NULL, SQLITE_CHECKPOINT_FULL, NULL, NULL);
        if (code != SQLITE_OK) {
            status = log_database_error(log->database.handle, log->path, "write to", code, error);
            log_database_close(&log->database);
        }
    }
    if (status != STATUS_OK) {
        log->commit_id = commit_id;
        return status;
    }
    if (is_committed)
        adopt(log);
    log->is_in_doubt = log->is_pending_in_doubt = false;
    return STATUS_OK;
}

static enum status make_room(struct event_log *log, struct error *error);

static enum status commit_group(struct event_log *log, int64_t arrival_us, int64_t arrival_wall_us,
                                struct error *error)
{
    enum status status = make_room(log, error);
    if (status != STATUS_OK)
        return status;
    status = log_database_run(log, log->database.begin, "write to", error);
    if (status != STATUS_OK)
        goto failed;
    status = write_group(log, arrival_us, arrival_wall_us, error);
    if (status != STATUS_OK)
        goto failed;
    crash_point("log_before_commit");
    status = log_database_run(log, log->database.commit, "write to", error);
    if (status == STATUS_OK) {
        crash_point("log_after_commit");
        log->commit_id++;
        return STATUS_OK;
    }
    log->is_in_doubt = log->is_pending_in_doubt = status == STATUS_IO;
failed:
    give_up(log, status);
    return status;
}

enum status event_log_commit(struct event_log *log, int64_t arrival_us, int64_t arrival_wall_us,
                             struct error *error)
{
    if (!log->pending_size)
        return STATUS_OK;
    enum status status = log->database.handle ? STATUS_OK : reconnect(log, error);
    if (status == STATUS_OK && log->pending_size)
        status = commit_group(log, arrival_us, arrival_wall_us, error);
    if (status == STATUS_OK)
        publish(log);
    return status;
}

/* --- trimming ----------------------------------------------------------------------------------------------------- */

/* Collects the oldest rows of the partition that may go, at most as many as there is room for in `positions`. */
static enum status find_trimmable(struct event_log *log, uint32_t source_index, uint32_t partition_index,
                                  int64_t before_wall_us, int64_t *positions, size_t *count,
                                  struct error *error)
{
    sqlite3_stmt *oldest = log->database.oldest;
    int64_t released = atomic_load_explicit(
        &log_partition_of(log, source_index, partition_index)->released_offset, memory_order_acquire);
    sqlite3_bind_int64(oldest, 1, log->sources[source_index].id);
    sqlite3_bind_int64(oldest, 2, partition_index);
    while (*count < EVENT_LOG_TRIM_ROWS && sqlite3_step(oldest) == SQLITE_ROW) {
        if (sqlite3_column_int64(oldest, 1) > released || sqlite3_column_int64(oldest, 2) >= before_wall_us)
            break;
        positions[(*count)++] = sqlite3_column_int64(oldest, 0);
    }
    int code = sqlite3_reset(oldest);
    return code == SQLITE_OK ? STATUS_OK
                             : log_database_error(log->database.handle, log->path, "read", code, error);
}

static enum status trim_before(struct event_log *log, int64_t before_wall_us, bool *more, struct error *error)
{
    int64_t positions[EVENT_LOG_TRIM_ROWS];
    size_t count = 0;
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < log->config->source_count; s++) {
        for (uint32_t p = 0; p < log->sources[s].partition_count && status == STATUS_OK; p++)
            status = find_trimmable(log, s, p, before_wall_us, positions, &count, error);
    }
    *more = count == EVENT_LOG_TRIM_ROWS;
    if (status == STATUS_OK && count == 0)
        return STATUS_OK;
    if (status == STATUS_OK)
        status = log_database_run(log, log->database.begin, "trim", error);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        sqlite3_bind_int64(log->database.delete_row, 1, positions[i]);
        status = log_database_run(log, log->database.delete_row, "trim", error);
    }
    if (status == STATUS_OK) {
        store_released(log);
        status = log_database_run(log, log->database.commit, "trim", error);
    }
    if (status == STATUS_OK)
        return measure(log, error);
    *more = false;
    give_up(log, status);
    return status;
}

enum status event_log_trim(struct event_log *log, int64_t now_wall_us, bool *more, struct error *error)
{
    *more = false;
    int64_t age_us = log->config->store.events_retention_us;
    if (!log->database.handle || age_us == 0)
        return STATUS_OK; /* commit opens it again */
    return trim_before(log, now_wall_us - age_us, more, error);
}

/* What is kept to look back at gives way to what is new. */
static enum status make_room(struct event_log *log, struct error *error)
{
    uint64_t limit = log->config->store.max_log_size;
    enum status status = measure(log, error);
    for (bool more = true; status == STATUS_OK && more && event_log_size(log) + log->pending_size > limit;)
        status = trim_before(log, INT64_MAX, &more, error);
    if (status != STATUS_OK || event_log_size(log) + log->pending_size <= limit)
        return status;
    error_set(error,
              "the event log has reached store.max_log_size (%" PRIu64
              " bytes) with events that are not processed yet; "
              "it takes events again when the pipelines have caught up",
              limit);
    return STATUS_FULL;
}
