/* Counts of the values of top(x, k), for all k of one column together.
 *
 *   up to TOP_EXACT_MAX different values:  a counter for each, exact
 *   beyond:                                the same counters as a Space-Saving summary, which says who may be frequent, and
 *                                          a count-min sketch, which says how frequent
 *
 *   table of counters, open addressing:  [ hash | count | value ] [ free ] [ hash | count | value ] ...
 *
 * When the table is full, the count of its (TOP_KEPT + 1)th counter is taken from all, and those that had no more go. Each time
 * at least TOP_KEPT + 1 counters pay that count, so no value loses more than 1 / (TOP_KEPT + 1) of all values: whoever has more is in
 * the table, in whatever order values came and parts were merged (Misra and Gries 1982; Agarwal et al., "Mergeable summaries", PODS
 * 2012, who also show that Space-Saving is the same). What is left in a counter does depend on that order, so it is not shown: a value's
 * count is read from the sketch (Cormode and Muthukrishnan 2005), which is a sum and depends on the values alone, and only values
 * are shown that have more than 1 / TOP_SHARE by it. A count by the sketch is never too small; it is too large by more than
 * 1 / 512 of all values with a probability below 0.4 %, since that takes four collisions with such a mass. */
#pragma once

#include "window/value_identity.h"

enum {
    TOP_EXACT_MAX = 768, /* three quarters of the largest table */
    TOP_KEPT = TOP_EXACT_MAX / 2,
    TOP_SHARE = 200, /* more than 0.5 %: well above what a value needs to be sure of its counter, 0.26 % */
    TOP_VALUE_SIZE = 256, /* bytes of a text that are kept and shown */
    TOP_SKETCH_ROWS = 4,
    TOP_SKETCH_WIDTH_LOG2 = 11,
    TOP_SKETCH_WIDTH = 1 << TOP_SKETCH_WIDTH_LOG2,
    TOP_TABLE_LOG2 = 10,
};

struct top_counter {
    uint64_t hash;  /* of the whole value */
    uint64_t count; /* 0: the place is free */
    union {
        union value value;
        char text[8];
        uint32_t block; /* of longer text */
    };
    uint32_t size; /* of the text that is kept */
    uint8_t kind;
    uint8_t is_cut; /* the text was longer */
    uint8_t unused[2];
};

struct top_state {
    uint64_t count;         /* of values */
    uint32_t table, sketch; /* blocks; no sketch while counts are exact */
    uint16_t used;          /* counters */
    uint8_t table_log2;
    uint8_t unused[5];
};

/* A value on its way to a counter: canonical, its text (not yet cut) at `text`. */
struct top_value {
    uint64_t hash;
    union value value;
    const char *text;
    uint32_t size;
    uint8_t kind, is_cut;
};

enum {
    TOP_BLOCKS_SIZE =
        (32 << TOP_TABLE_LOG2) + TOP_SKETCH_ROWS * TOP_SKETCH_WIDTH * 8 + TOP_EXACT_MAX * TOP_VALUE_SIZE
};

void top_state_add(struct pane *pane, struct top_state *state, const struct top_value *value);
void top_state_merge(struct pane *pane, struct top_state *into, const struct pane *from_pane,
                     const struct top_state *from);
void top_state_reset(struct pane *pane, struct top_state *state);
void top_state_save(const struct pane *pane, const struct top_state *state, struct buffer *out);
NODISCARD
bool top_state_load(struct pane *pane, struct top_state *state, struct slice *in);

static inline const struct top_counter *top_state_counter(const struct pane *pane,
                                                          const struct top_state *state, uint32_t place)
{
    return (const struct top_counter *)pane_blocks_at(&pane->blocks, state->table) + place;
}

/* Number of places in the table; those with count 0 are free. */
static inline uint32_t top_state_place_count(const struct top_state *state)
{
    return state->table ? UINT32_C(1) << state->table_log2 : 0;
}

static inline const char *top_counter_text(const struct pane *pane, const struct top_counter *counter)
{
    return counter->size <= sizeof counter->text ? counter->text
                                                 : pane_blocks_at(&pane->blocks, counter->block);
}

/* How often the value came, as far as it may be told; 0 for one that is not frequent enough to be told of. */
uint64_t top_state_count(const struct pane *pane, const struct top_state *state,
                         const struct top_counter *counter);
