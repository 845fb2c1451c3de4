/* The readers of the event log. See event_log.h.
 *
 * A reader takes blocks from its partition's tail as the writer left them. Where the tail has a gap, or begins
 * behind the reader's place, the row is read from the database, through one connection that all readers share:
 * only those who are behind meet there. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "source/event_log_internal.h"

struct log_reader {
    struct source_reader reader;
    struct event_log *log;
    struct log_partition *partition;
    int64_t source_id;
    uint32_t partition_index;
    int64_t next_offset;
    struct log_block *block; /* being delivered */
    uint32_t next_record;    /* in the block */
    size_t next_byte;
};

static void drop_block(struct log_reader *reader)
{
    if (reader->block)
        log_block_destroy(reader->block);
    reader->block = NULL;
}

/* Takes over a block and passes the records below next_offset. */
static void take_block(struct log_reader *reader, struct log_block *block)
{
    reader->block = block;
    reader->next_record = 0;
    reader->next_byte = 0;
    if (block->first_offset > reader->next_offset)
        reader->next_offset = block->first_offset; /* trimmed */
    while (block->first_offset + reader->next_record < reader->next_offset) {
        reader->next_byte += EVENT_LOG_SIZE_PREFIX + log_record_size(block->records.data + reader->next_byte);
        reader->next_record++;
    }
}

/* The tail's block that holds next_offset, or NULL. Blocks before it are dropped. */
static struct log_block *pop_tail(struct log_reader *reader)
{
    struct log_partition *partition = reader->partition;
    struct log_block *found = NULL;
    pthread_mutex_lock(&partition->lock);
    while (!found && partition->tail && partition->tail->first_offset <= reader->next_offset) {
        struct log_block *block = partition->tail;
        partition->tail = block->next;
        if (!partition->tail)
            partition->last_tail = NULL;
        block->next = NULL;
        atomic_fetch_sub_explicit(&reader->log->tail_size, block->records.capacity, memory_order_relaxed);
        if (block->first_offset + block->record_count > reader->next_offset)
            found = block;
        else
            log_block_destroy(block);
    }
    pthread_mutex_unlock(&partition->lock);
    return found;
}

/* --- the database ------------------------------------------------------------------------------------------------- */

/* The row that holds ?3, else the first one behind it. */
static const char row_query[] =
    "SELECT first_offset, record_count, arrival_us, records FROM record WHERE source = ?1 AND partition = ?2 AND "
    "first_offset >= COALESCE((SELECT first_offset FROM record WHERE source = ?1 AND partition = ?2 AND "
    "first_offset <= ?3 AND first_offset + record_count > ?3 ORDER BY first_offset DESC LIMIT 1), ?3) "
    "ORDER BY first_offset LIMIT 1";

static enum status prepare_connection(struct event_log *log, struct error *error)
{
    if (log->read_row)
        return STATUS_OK;
    enum status status = log_database_open_reader(log->path, &log->read_handle, error);
    if (status == STATUS_OK)
        status = log_database_prepare(log->read_handle, log->path, row_query, &log->read_row, error);
    return status;
}

static void close_connection(struct event_log *log)
{
    sqlite3_finalize(log->read_row);
    sqlite3_close(log->read_handle);
    log->read_row = NULL;
    log->read_handle = NULL;
}

static struct log_block *copy_row(sqlite3_stmt *row)
{
    struct log_block *block = log_block_create();
    block->first_offset = sqlite3_column_int64(row, 0);
    block->record_count = (uint32_t)sqlite3_column_int64(row, 1);
    block->arrival_wall_us = sqlite3_column_int64(row, 2);
    buffer_append(&block->records, sqlite3_column_blob(row, 3), (size_t)sqlite3_column_bytes(row, 3));
    /* When it arrived by the clock of this life of the process. */
    int64_t now_us = clock_monotonic_us(&clock_system);
    int64_t age_us = clock_wall_us(&clock_system) - block->arrival_wall_us;
    block->arrival_us = now_us - (age_us > 0 ? age_us : 0);
    return block;
}

/* *block stays NULL when there is no such row. */
static enum status read_row(struct log_reader *reader, struct log_block **block, struct error *error)
{
    struct event_log *log = reader->log;
    pthread_mutex_lock(&log->read_lock);
    enum status status = prepare_connection(log, error);
    if (status == STATUS_OK) {
        sqlite3_bind_int64(log->read_row, 1, reader->source_id);
        sqlite3_bind_int64(log->read_row, 2, reader->partition_index);
        sqlite3_bind_int64(log->read_row, 3, reader->next_offset);
        if (sqlite3_step(log->read_row) == SQLITE_ROW)
            *block = copy_row(log->read_row);
        int code = sqlite3_reset(log->read_row);
        if (code != SQLITE_OK)
            status = log_database_error(log->read_handle, log->path, "read", code, error);
    }
    if (status == STATUS_IO)
        close_connection(log);
    pthread_mutex_unlock(&log->read_lock);
    return status;
}

/* STATUS_AGAIN: there is nothing at or behind next_offset. */
static enum status next_block(struct log_reader *reader, struct error *error)
{
    int64_t end = atomic_load_explicit(&reader->partition->end_offset, memory_order_acquire);
    if (reader->next_offset >= end)
        return STATUS_AGAIN;
    struct log_block *block = pop_tail(reader);
    enum status status = block ? STATUS_OK : read_row(reader, &block, error);
    if (status != STATUS_OK)
        return status;
    if (!block) {
        reader->next_offset = end; /* offsets that were never logged: event_log_skip_to() */
        return STATUS_AGAIN;
    }
    take_block(reader, block);
    return STATUS_OK;
}

/* --- the source --------------------------------------------------------------------------------------------------- */

static bool is_spent(const struct log_reader *reader, const struct batch *batch, uint32_t max_records,
                     int64_t end_offset)
{
    return batch->record_count >= max_records || batch->text_size >= BATCH_TEXT_SIZE ||
           reader->next_offset >= end_offset;
}

static enum status log_read(struct source_reader *base, uint32_t max_records, int64_t end_offset,
                            struct batch *batch, int64_t *next_us, struct error *error)
{
    struct log_reader *reader = (struct log_reader *)base;
    *next_us = INT64_MAX;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !is_spent(reader, batch, max_records, end_offset)) {
        struct log_block *block = reader->block;
        if (!block) {
            status = next_block(reader, error);
            continue;
        }
        const char *stored = block->records.data + reader->next_byte;
        struct slice text = {stored + EVENT_LOG_SIZE_PREFIX, log_record_size(stored)};
        batch_append(batch, text, reader->next_offset++, block->arrival_wall_us);
        batch->arrival_us = block->arrival_us;
        batch->arrival_wall_us = block->arrival_wall_us;
        reader->next_byte += EVENT_LOG_SIZE_PREFIX + text.size;
        if (++reader->next_record == block->record_count)
            drop_block(reader);
    }
    if (batch->record_count)
        return STATUS_OK; /* an error that was met behind them is met again */
    return status == STATUS_OK ? STATUS_AGAIN : status;
}

static int64_t log_end_offset(struct source_reader *base)
{
    const struct log_reader *reader = (struct log_reader *)base;
    int64_t end = atomic_load_explicit(&reader->partition->end_offset, memory_order_acquire);
    /* The database may show a transaction before the writer has told of it. */
    return end > reader->next_offset ? end : reader->next_offset;
}

static void log_release(struct source_reader *base, int64_t offset)
{
    struct log_reader *reader = (struct log_reader *)base;
    if (offset > atomic_load_explicit(&reader->partition->released_offset, memory_order_relaxed))
        atomic_store_explicit(&reader->partition->released_offset, offset, memory_order_release);
}

static void log_close(struct source_reader *base)
{
    struct log_reader *reader = (struct log_reader *)base;
    drop_block(reader);
    free(reader);
}

static const struct source_reader_operations log_operations = {.kind = "http",
                                                               .read = log_read,
                                                               .end_offset = log_end_offset,
                                                               .release = log_release,
                                                               .close = log_close};

struct source_reader *event_log_reader_open(struct event_log *log, uint32_t source_index, uint32_t partition,
                                            struct source_position position, struct waker *waker)
{
    struct log_reader *reader = memory_allocate(sizeof *reader);
    reader->reader.operations = &log_operations;
    reader->log = log;
    reader->partition = log_partition_of(log, source_index, partition);
    reader->source_id = log->sources[source_index].id;
    reader->partition_index = partition;
    reader->next_offset = position.offset;
    reader->partition->waker = waker;
    event_log_skip_to(log, source_index, partition, position.offset);
    return &reader->reader;
}
