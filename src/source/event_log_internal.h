/* What the parts of the event log share: the database, the partitions and the blocks that travel from the writer
 * to the readers. Only the event log's own sources include it. */
#pragma once

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "source/event_log.h"

enum { EVENT_LOG_SCHEMA_VERSION = 1, EVENT_LOG_SIZE_PREFIX = 4 };

/* The records of one row. */
struct log_block {
    struct log_block *next;
    int64_t first_offset;
    uint32_t record_count;
    int64_t arrival_us, arrival_wall_us;
    struct buffer records; /* as stored */
};

struct log_block *log_block_create(void);
void log_block_destroy(struct log_block *block);

struct log_partition {
    int64_t next_offset;                      /* the writer's: of the first record of the pending blocks */
    struct log_block *pending, *last_pending; /* the writer's */
    _Atomic int64_t end_offset;               /* committed; release by the writer, acquire by the reader */
    _Atomic int64_t released_offset;          /* release by the reader, acquire by the writer */
    struct waker *waker;                      /* of the reader; set before the writer starts */
    pthread_mutex_t lock;                     /* guards the tail */
    struct log_block *tail, *last_tail; /* committed and not yet read, oldest first; there may be gaps */
};

struct log_source {
    int64_t id; /* in the database; 0 = no http source */
    struct log_partition *partitions;
    uint32_t partition_count;
};

/* The writer's connection. All NULL when it is closed. */
struct log_database {
    sqlite3 *handle;
    sqlite3_stmt *begin, *commit, *rollback;
    sqlite3_stmt *insert, *set_next, *set_commit_id, *set_released;
    sqlite3_stmt *page_counts, *oldest, *delete_row;
};

struct event_log {
    const struct config *config;
    char *path;
    struct log_source *sources; /* [config->source_count] */
    struct log_database database;
    int64_t commit_id;        /* of the newest transaction that is known to have taken hold */
    bool is_in_doubt;         /* the next one may have taken hold as well ... */
    bool is_pending_in_doubt; /* ... and it was the group that is still pending */
    size_t pending_size;
    _Atomic uint64_t size;    /* relaxed: a statistic */
    _Atomic size_t tail_size; /* relaxed: bytes of all tails */

    pthread_mutex_t read_lock; /* guards the two below, which readers that are behind share */
    sqlite3 *read_handle;
    sqlite3_stmt *read_row;
};

/* --- event_log_database.c --- */

/* Opens the connection, creates or checks the schema, registers the sources, loads partitions and commit_id. */
NODISCARD
enum status log_database_open(struct event_log *log, struct error *error);
void log_database_close(struct log_database *database);
/* Fills `error` from the connection and gives the status for the result code. */
enum status log_database_error(sqlite3 *handle, const char *path, const char *doing, int code,
                               struct error *error);
/* A connection that only reads. */
NODISCARD
enum status log_database_open_reader(const char *path, sqlite3 **out, struct error *error);
NODISCARD
enum status log_database_prepare(sqlite3 *handle, const char *path, const char *sql, sqlite3_stmt **out,
                                 struct error *error);
/* Steps a statement that gives no rows, and resets it. */
NODISCARD
enum status log_database_run(struct event_log *log, sqlite3_stmt *statement, const char *doing,
                             struct error *error);
char *log_database_path(const struct config *config);

static inline struct log_partition *log_partition_of(struct event_log *log, uint32_t source_index,
                                                     uint32_t partition)
{
    return &log->sources[source_index].partitions[partition];
}

static inline uint32_t log_record_size(const char *stored)
{
    const unsigned char *bytes = (const unsigned char *)stored;
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}
