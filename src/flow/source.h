/* What every kind of source is to the engine: a number of partitions, each a log that is read in order by one reader
 * on the shard that owns the partition. A kind is one file in source/ and one line in the list of kinds. */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/waker.h"
#include "flow/batch.h"

/* Where a reader starts. */
struct source_position {
    int64_t offset; /* first offset to deliver; 0 = from the beginning */
};

struct source_reader;

struct source_reader_operations {
    const char *kind; /* "file", "http", "generator", "kafka" */
    /* Appends records to the empty batch, in offset order: at most `max_records`, none with an offset >= `end_offset`,
     * stopping near BATCH_TEXT_SIZE of text. Sets arrival_us/arrival_wall_us. STATUS_OK: at least one record.
     * STATUS_AGAIN: nothing now; `*next_us` (monotonic) says when to look again, or INT64_MAX when only the waker
     * will tell. STATUS_NOT_FOUND: there will be no record below the finite `end_offset` any more. STATUS_END: the partition has ended for good. STATUS_IO and others: error says what; the shard retries
     * after a pause and reports it in /health. Never blocks for long. Thread: the shard's. */
    enum status (*read)(struct source_reader *reader, uint32_t max_records, int64_t end_offset,
                        struct batch *batch, int64_t *next_us, struct error *error);
    /* Offset one past the newest record in the log, for lag, or one past the last that was read when nothing is behind it; -1 when
     * unknown. Thread: the shard's. */
    int64_t (*end_offset)(struct source_reader *reader);
    /* Everything below `offset` will never be asked for again (a log may trim it). May be NULL. */
    void (*release)(struct source_reader *reader, int64_t offset);
    /* Nobody will ask this reader until its next read, which may never come: what it has read ahead must not stand in the way of
     * others. May be NULL. Thread: the shard's. */
    void (*hold)(struct source_reader *reader);
    void (*close)(struct source_reader *reader);
};

/* First member of every kind's own struct. */
struct source_reader {
    const struct source_reader_operations *operations;
};

static inline enum status source_read(struct source_reader *reader, uint32_t max_records, int64_t end_offset,
                                      struct batch *batch, int64_t *next_us, struct error *error)
{
    return reader->operations->read(reader, max_records, end_offset, batch, next_us, error);
}
