/* Batch mode: files in, the last state of every window out, in an order and with bytes that depend on the input alone.
 *
 * Each file is one partition. Partitions are read in rounds of REPLAY_ROUND_RECORDS records; shards work on their partitions in
 * parallel, and the merger takes up a round when every shard has finished it. Operators are per partition, so sums are added up in the
 * same order whatever the number of shards or the batch size. */
#pragma once

#include <stdio.h>

#include "config/config.h"

enum { REPLAY_ROUND_RECORDS = 4096, REPLAY_RING_ROUNDS = 4 };

struct source_reader;

struct replay_input {
    uint32_t source_index;
    const char *path; /* "-" = stdin; one per run */
    /* Instead of a file, when not NULL: opens a reader whose records may have times of their own, as the source's partition
     * `partition`. The reader is closed by the replay. */
    enum status (*open)(const struct replay_input *input, struct source_reader **out, struct error *error);
    const void *context; /* of open */
    uint32_t partition;  /* of open; below CONFIG_MAX_PARTITIONS, each once per source */
};

struct replay_options {
    const struct config *config;
    const struct replay_input *inputs; /* partitions of a source in the order given */
    uint32_t input_count;
    FILE *output;         /* NULL: results are counted and dropped */
    bool shows_revisions; /* every emission, as it happens */
    bool keeps_open;      /* windows still open at the end are not closed */
    bool summary_as_json;
    bool shows_progress; /* on stderr */
};

/* Writes results to output and the summary to stderr. STATUS_INVALID: `errors` (configuration) or `error` says why. */
NODISCARD
enum status replay_run(const struct replay_options *options, struct config_errors *errors,
                       struct error *error);
