/* Reads a file of one JSON object per line: plain, gzip or zstd (told by its first bytes), `-` = standard input.
 * The offset of a record is the number of its line, from 0; blank lines count and are not delivered. A CR before
 * the newline is dropped. The last line needs no newline. Of a line longer than RECORD_MAX_SIZE the rest is
 * skipped (record.cut_size). Records have no time of their own.
 *
 * Of a file with partition_by every shard opens one reader (a pipe has one in all); it delivers all lines, and the shard deals
 * them to its partitions. */
#pragma once

#include "flow/source.h"

enum {
    FILE_CHUNK_SIZE = 256 * 1024, /* read at a time */
    FILE_SKIP_STEP_SIZE =
        64 * 1024 * 1024, /* bytes that one read() skips at most on the way to its start offset */
};

enum file_read_rate {
    FILE_READ_MAX,
    FILE_READ_PER_SECOND,
    FILE_READ_REALTIME, /* one record per read(): the shard holds it until it is due */
};

struct file_reader_options {
    enum file_read_rate rate;
    double
        rate_per_second; /* lines; FILE_READ_PER_SECOND only. Offsets that are replayed (a finite end_offset) are not slowed down */
    bool loop;            /* begins again at the end; offsets go on. An empty file ends all the same */
    bool never_waits;     /* read() gives STATUS_AGAIN while a pipe has nothing; else it waits */
    bool is_empty;        /* delivers nothing: the reader of a partition that no line belongs to */
    int64_t start_offset; /* first line to deliver; a file with fewer lines is an error at read() */
    const struct clock *clock;
};

/* Opens the file. STATUS_NOT_FOUND or STATUS_IO with an error that names the path. read() gives STATUS_IO for
 * damaged compressed data and STATUS_INVALID for a file that is shorter than start_offset. Any thread; then the
 * shard's. */
NODISCARD
enum status file_reader_open(const char *path, const struct file_reader_options *options,
                             struct source_reader **out, struct error *error);
