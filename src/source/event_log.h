/* The durable log of http sources: one SQLite database, data_dir/log.db (WAL, synchronous=FULL), that an event
 * is in before its request is answered. A row holds the records of one partition that were logged together:
 *
 *   position | source | partition | first_offset | record_count | arrival_us | records: (size, 4 bytes little endian; text)...
 *
 * Offsets are consecutive per partition, from 0; positions grow over the whole log. Threads: one writer (ingest)
 * appends and commits; one reader per partition on its shard; scanners look back on threads of their own; the
 * control thread opens and closes. What was just committed reaches the readers through memory; who is behind
 * reads the database.
 *
 * The directory is locked by the store. A second writer of log.db, should there be one, gets STATUS_BUSY. */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/slice.h"
#include "base/waker.h"
#include "config/config.h"
#include "flow/source.h"

enum {
    EVENT_LOG_ROW_SIZE = 256 * 1024, /* a row ends with the record that reaches this */
    EVENT_LOG_TAIL_MAX_SIZE =
        16 * 1024 * 1024, /* bytes kept for readers that are not behind; what does not fit is read back */
    EVENT_LOG_TRIM_ROWS = 512,       /* rows that one event_log_trim() deletes at most */
    EVENT_LOG_BUSY_TIMEOUT_MS = 250, /* another process holds the database; then STATUS_BUSY */
};

struct event_log;

/* Creates or opens the log of the configuration's http sources, and data_dir if it is missing. Refused, with
 * nothing changed: a log of a newer version; fewer partitions than before while those that would go hold events
 * that were not released. More partitions than before, and logged sources that are no longer configured, are
 * warned about. Control thread. */
NODISCARD
enum status event_log_open(const struct config *config, struct event_log **out, struct error *error);
/* After the writer, the readers and the scanners have ended. */
void event_log_close(struct event_log *log);

/* --- the writer --- */

/* Puts a copy of the record into the pending group; memory only. `source_index` as in the configuration. */
void event_log_append(struct event_log *log, uint32_t source_index, uint32_t partition, struct slice record);

/* Makes the pending group durable in one transaction, then wakes the readers. On failure the group stays pending
 * and nothing of it is visible: call again, or discard it.
 *   STATUS_FULL: the log has reached store.max_log_size and nothing in it may be trimmed.
 *   STATUS_BUSY: another process holds the database. STATUS_IO: it cannot be written (a full disk, too).
 * After a failed fsync the connection is given up: the next call opens a new one, finds out whether the
 * transaction had taken hold, and does not log a group twice. `arrival_wall_us` becomes the time of the records,
 * `arrival_us` (monotonic) goes to readers. Crash points: log_before_commit, log_after_commit. */
NODISCARD
enum status event_log_commit(struct event_log *log, int64_t arrival_us, int64_t arrival_wall_us,
                             struct error *error);
void event_log_discard(struct event_log *log);

/* Deletes up to EVENT_LOG_TRIM_ROWS of the oldest rows that were released and arrived before now -
 * store.retention.events. `*more`: there are more of them. The writer calls it now and then; commit itself trims
 * when the log is full, and then whatever is released, however young. */
NODISCARD
enum status event_log_trim(struct event_log *log, int64_t now_wall_us, bool *more, struct error *error);

/* Bytes that rows take on disk, as last seen by the writer. Any thread. */
uint64_t event_log_size(const struct event_log *log);

/* --- readers --- */

/* The reader of a partition, at most one at a time. `waker` is woken when there is more to read. Records below
 * `position` that are still there are not delivered; trimmed ones are passed over. Offsets up to `position`
 * count as taken even if the log is newer than that. Control thread, before the writer starts. */
struct source_reader *event_log_reader_open(struct event_log *log, uint32_t source_index, uint32_t partition,
                                            struct source_position position, struct waker *waker);

/* Offsets below `offset` count as taken: what is logged next gets that one or a later one. For a log that was
 * lost while results of it are stored. Control thread, before the writer starts. */
void event_log_skip_to(struct event_log *log, uint32_t source_index, uint32_t partition, int64_t offset);

/* --- looking back --- */

struct event_log_entry {
    uint32_t source_index, partition;
    int64_t offset;
    int64_t arrival_wall_us;
    struct slice record; /* valid during the call, with BATCH_PADDING_SIZE readable bytes behind it */
};
/* false ends the scan. */
typedef bool event_log_visitor(void *context, const struct event_log_entry *entry);

struct event_log_scanner;
/* A connection for one thread's scans. */
NODISCARD
enum status event_log_scanner_open(const struct config *config, struct event_log_scanner **out,
                                   struct error *error);
void event_log_scanner_close(struct event_log_scanner *scanner);
/* Calls `visit` for the records of a source (UINT32_MAX: of all configured http sources), newest log position
 * first, bad ones too, down to those that arrived before `since_wall_us` (INT64_MIN: all that are kept). */
NODISCARD
enum status event_log_scan(struct event_log_scanner *scanner, uint32_t source_index, int64_t since_wall_us,
                           event_log_visitor *visit, void *context, struct error *error);
