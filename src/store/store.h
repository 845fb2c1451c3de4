/* The embedded store: results, dead letters and progress in one SQLite database, data_dir/weir.db (WAL, synchronous=FULL). One writer (the store's
 * outlet thread), any number of readers (one per thread that asks). What commits together is one transaction, so progress never
 * says more than the rows do. Every value is bound, never pasted into SQL. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "flow/dead_letter.h"
#include "flow/result.h"

enum {
    STORE_PAGE_MAX_ROWS = 10000, /* of one page of a list */
    STORE_KEY_FILTER_COUNT = 16, /* key.x=… conditions of one query */
    STORE_EXPIRE_ROWS = 5000,    /* rows that one store_expire() deletes from each table at most */
    STORE_BUSY_TIMEOUT_MS = 250, /* another process holds the database; then STATUS_BUSY */
};

/* Position of one source partition; see docs/ARCHITECTURE.md, "Recovery". */
struct store_position {
    const char *source;
    uint32_t partition;
    int64_t position;             /* P: effects of the offsets below are durable */
    int64_t position_max_time_us; /* largest event time below P; TIME_NONE */
    int64_t base;                 /* B: where reading starts again; <= P */
    int64_t base_watermark_us;    /* the partition's watermark just before B; TIME_NONE */
};

struct store_pipeline_progress {
    const char *pipeline;
    uint64_t definition_hash;
    int64_t closed_through_us; /* windows that end at or before this are final in every sink; TIME_NONE */
};

struct store_progress {
    uint64_t epoch;
    struct store_position *positions;
    uint32_t position_count;
    struct store_pipeline_progress *pipelines;
    uint32_t pipeline_count;
};

struct store;

/* Creates or migrates the database and takes data_dir's lock (data_dir/weir.lock, flock): a second process on the same directory is
 * STATUS_BUSY with an error that names the holder. A database of a newer version is refused. Control thread. */
NODISCARD
enum status store_open(const char *data_dir, struct store **out, struct error *error);
void store_close(struct store *store);
/* Number of this life of the process: larger than that of every earlier one in this data_dir. */
uint64_t store_boot_id(const struct store *store);

/* One transaction: begin, any number of puts, commit. STATUS_BUSY (locked), STATUS_FULL (disk), STATUS_IO: the transaction must be rolled
 * back and may be tried again with the same blocks; after a failed fsync (STATUS_IO at commit) the connection is
 * reopened by the next begin. A result replaces the stored one of the same id only by (closed over early, revision, events).
 * Crash points: store_before_commit (before COMMIT), store_after_rows (in begin..commit, after the rows and before progress),
 * store_after_commit. Blocks must be encoded (result_block_encode). */
NODISCARD
enum status store_begin(struct store *store, struct error *error);
NODISCARD
enum status store_put_results(struct store *store, const struct result_block *block, struct error *error);
/* `sources` and `pipelines`: names by index. The same letter again (source, partition, offset, pipeline) is ignored. */
NODISCARD
enum status store_put_dead_letters(struct store *store, const struct dead_letter_block *block,
                                   const char *const *sources, const char *const *pipelines, int64_t now_us,
                                   struct error *error);
/* Sources, partitions and pipelines that are not named keep what they had. */
NODISCARD
enum status store_put_progress(struct store *store, const struct store_progress *progress,
                               struct error *error);
NODISCARD
enum status store_commit(struct store *store, struct error *error);
void store_rollback(struct store *store);

/* The newest committed progress, in `arena`; position_count 0 in a new store. */
NODISCARD
enum status store_load_progress(struct store *store, struct arena *arena, struct store_progress *progress,
                                struct error *error);

/* Deletes at most STORE_EXPIRE_ROWS rows per table that are older than the given ages (0 = keep for ever): results by when
 * they were written (noticed by these calls, so to the time between two of them or a thousandth of the age), dead letters by their
 * time, both against the wall clock `now_us`. `*more`: there is more to delete. */
NODISCARD
enum status store_expire(struct store *store, int64_t now_us, int64_t results_age_us,
                         int64_t dead_letters_age_us, bool *more, struct error *error);

/* --- readers: one per thread; see a consistent state per call --- */

struct store_reader;
NODISCARD
enum status store_reader_open(const char *data_dir, struct store_reader **out, struct error *error);
void store_reader_close(struct store_reader *reader);

/* One stored result. Slices are valid during the callback. */
struct store_result {
    struct slice json; /* the record of spec section 6 */
    struct slice pipeline;
    struct slice key_json; /* ["FR"] */
    int64_t window_start_us;
    uint64_t boot_id, sequence;
};
/* false ends the reading. */
typedef bool store_result_visitor(void *context, const struct store_result *result);

struct store_results_query {
    const char *pipeline;
    int64_t from_us, to_us; /* window_start in [from, to); open: INT64_MIN and INT64_MAX */
    struct {
        struct slice name, value;
    } key[STORE_KEY_FILTER_COUNT]; /* key member's text equals; null is "null" */
    uint32_t key_count;
    uint32_t limit;      /* 1..STORE_PAGE_MAX_ROWS */
    struct slice cursor; /* of the page before; empty = first page. STATUS_INVALID when it is none of ours */
};
/* Newest window first, then by key. `next_cursor` is left empty at the end; a page may be shorter than its limit before that, when it has
 * looked at very many rows or holds very many bytes. */
NODISCARD
enum status store_read_results(struct store_reader *reader, const struct store_results_query *query,
                               store_result_visitor *visit, void *context, struct buffer *next_cursor,
                               struct error *error);
/* Rows written after a position, over all pipelines, oldest first (the newest state of each id). STATUS_NOT_FOUND when this store never
 * had that boot, or rows after it have been expired: then the gap cannot be filled. */
NODISCARD
enum status store_read_since(struct store_reader *reader, uint64_t boot_id, uint64_t sequence, uint32_t limit,
                             store_result_visitor *visit, void *context, struct error *error);
/* Rows of a pipeline, newest window first, for filling tables of current rows at start. */
NODISCARD
enum status store_read_newest(struct store_reader *reader, const char *pipeline, uint32_t limit,
                              store_result_visitor *visit, void *context, struct error *error);

/* Dead letters, newest first, as JSON items {source,partition,offset,time,reason,detail,raw_base64} appended to `out`
 * (comma-separated), with topic, key_base64 and headers [{name,value_base64}] where the record has them. `source`, `reason` NULL = all. */
NODISCARD
enum status store_read_dead_letters(struct store_reader *reader, const char *source, const char *reason,
                                    uint32_t limit, struct slice cursor, struct buffer *out,
                                    struct buffer *next_cursor, struct error *error);
