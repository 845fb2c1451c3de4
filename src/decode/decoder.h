/* JSON records → columns, event times and verdicts. Strict: the whole document is checked whatever is used of it. Fast: a
 * document whose keys have been met before is read in one pass that compares keys with the remembered ones and parses
 * only values; all others go through simdjson. Both paths give the same columns and the same verdict for every input
 * (fuzz/decode_fuzz.c). One decoder per thread and source. */
#pragma once

#include "flow/batch.h"
#include "flow/event_time.h"
#include "flow/schema.h"

struct event_check;

enum {
    DECODER_MAX_PLACES = 1024,  /* places of documents that are remembered: members and array elements */
    DECODER_MAX_KEY_SIZE = 56,  /* longer keys are not remembered */
    DECODER_FORGET_AFTER = 4096 /* slow documents with no room to learn from, then all places are forgotten */
};

struct decoder_options {
    const struct schema *schema; /* outlives the decoder; frozen */
    uint32_t time_column;        /* UINT32_MAX: the record's own time */
    enum time_unit time_unit;
    int64_t max_future_skew_us; /* compared with the record's own time, when it has one; INT64_MAX = off */
    const struct event_check
        *check; /* what good events keep; its paths are in `schema`; NULL: nothing. Outlives the decoder */
    bool use_shapes; /* false: simdjson only (tests, bench) */
};

struct decoder;

struct decoder *decoder_create(const struct decoder_options *options);
void decoder_destroy(struct decoder *decoder);

/* Decodes every record of the batch: rows, columns, event_times_us, offsets, bad. May add to the side area. A record that
 * is only white space is neither row nor bad (an empty line), unless it comes from a topic. Never fails: trouble is a bad record, and its reason is
 * the first that holds of too_big, not_json, not_object, too_deep, duplicate_key, no_time, absurd_time, future_time, schema. */
void decoder_run(struct decoder *decoder, struct batch *batch);

struct decoder_counters {
    uint64_t fast_documents, slow_documents;
    uint64_t places_learned, places_forgotten;
};
struct decoder_counters decoder_counters(const struct decoder *decoder);
