/* Pipelines over events that are handed in one by one, under a clock that only the caller moves: what `weir test` runs. Decoding, windows
 * and closing are those of the engine and of replay; there is one thread, and nothing is stored or sent.
 *
 * After each event its partition hands over what is complete, and every pipeline goes on as far as its partitions have come. So the
 * order of the events over all partitions is the order in which they are read. One thread at a time. */
#pragma once

#include "pipeline/plan.h"

enum {
    REHEARSAL_RECORDS_MAX =
        20 * 1000, /* results, events that go out, and dead letters of one rehearsal together */
    REHEARSAL_STEPS_MAX = 1000 * 1000, /* of the clock in one advance; longer ones take longer steps */
};

struct rehearsal;

struct rehearsal_options {
    const struct config *config;
    const uint32_t *partition_counts; /* [source_count]; 0: the source holds nobody back */
    int64_t start_us; /* the clock at the beginning; TIME_NONE: some time that nobody asks for */
};

/* One event as its source delivers it. */
struct rehearsal_event {
    uint32_t source_index, partition; /* below the source's count */
    struct slice text, key;           /* key.data NULL: none */
    int64_t time_us;                  /* the record's own; TIME_NONE: it has none */
};

enum rehearsal_record_kind { REHEARSAL_RESULT, REHEARSAL_OUTPUT, REHEARSAL_LETTER };

/* Something that came out, in the order in which it did. */
struct rehearsal_record {
    enum rehearsal_record_kind kind;
    uint32_t pipeline_index; /* UINT32_MAX: a letter that is of no pipeline */
    struct slice json;       /* one object. A letter: source, partition, offset, reason, detail, raw */
    bool is_replaced;        /* a result of which a newer state came */
    /* Of a result, by which it is told whether it is newer. */
    struct slice key;
    int64_t start_us;
    bool is_early;
    uint32_t revision;
    uint64_t event_count;
};

/* NULL when the configuration has errors. */
struct rehearsal *rehearsal_create(const struct rehearsal_options *options, struct config_errors *errors);
void rehearsal_destroy(struct rehearsal *rehearsal);

/* STATUS_INVALID: the event is bad and its source says `on_bad: fail`; or there are too many records. `error` says so. */
NODISCARD
enum status rehearsal_add(struct rehearsal *rehearsal, const struct rehearsal_event *event,
                          struct error *error);
/* Lets time go by without events. Fails as rehearsal_add() does. */
NODISCARD
enum status rehearsal_advance(struct rehearsal *rehearsal, int64_t duration_us, struct error *error);
/* The input is over: every window closes. Fails as rehearsal_add() does. */
NODISCARD
enum status rehearsal_finish(struct rehearsal *rehearsal, struct error *error);

int64_t rehearsal_now_us(const struct rehearsal *rehearsal);
/* What has come out so far. Valid until the next call that lets more come. */
const struct rehearsal_record *rehearsal_records(const struct rehearsal *rehearsal, uint32_t *count);
/* The counters of every source, as replay's summary has them: {"NAME":{...},...}. */
void rehearsal_write_counters(const struct rehearsal *rehearsal, struct buffer *json);
