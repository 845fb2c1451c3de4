/* The stored dead letters of one source partition in the order of their offsets, with their original bytes: for replaying them and for
 * sending them back. Reads only; a server may be running on the same data_dir, and what it adds meanwhile is not seen. One thread. */
#pragma once

#include "flow/source.h"

/* Valid until the next call. */
struct stored_letter {
    int64_t offset;
    int64_t time_us; /* see struct dead_letter; TIME_NONE */
    struct slice reason, raw;
    struct slice topic, key;             /* `data` NULL: none */
    const struct record_header *headers; /* as they came */
    uint32_t header_count;
};

struct dead_letter_scan;

/* The partitions of `source` that have dead letters (with `reason`, unless it is NULL), smallest first, into `partitions`; *count is how many
 * there are, which may be more than `room`. STATUS_NOT_FOUND: nothing was ever stored in data_dir. */
NODISCARD
enum status dead_letter_partitions(const char *data_dir, const char *source, const char *reason,
                                   uint32_t *partitions, uint32_t room, uint32_t *count, struct error *error);

/* The texts must live as long as the scan. */
NODISCARD
enum status dead_letter_scan_open(const char *data_dir, const char *source, uint32_t partition,
                                  const char *reason, struct dead_letter_scan **out, struct error *error);
void dead_letter_scan_close(struct dead_letter_scan *scan);
/* A letter that several pipelines have judged comes once. STATUS_END behind the last. */
NODISCARD
enum status dead_letter_scan_next(struct dead_letter_scan *scan, struct stored_letter *letter,
                                  struct error *error);

/* The same as a source's reader, which gives records their keys, headers and topics back. `has_time`: they have the letter's time, else
 * none. */
NODISCARD
enum status dead_letter_reader_open(const char *data_dir, const char *source, uint32_t partition,
                                    const char *reason, bool has_time, struct source_reader **out,
                                    struct error *error);
