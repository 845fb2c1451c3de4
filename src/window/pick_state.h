/* What first and last share: a value of any type and its place in time. Text sits in the pane; a later pick that is
 * not longer overwrites it, so a key costs its longest value, not all of them. */
#pragma once

#include "window/state_access.h"

enum { PICK_TEXT_UNIT = 16, PICK_TEXT_MAX_SIZE = PICK_TEXT_UNIT * 0xFFFFFF };

struct pick_state {
    int64_t time_us;
    int64_t offset;
    union value value;
    uint32_t partition;
    uint32_t kind : 8; /* VALUE_NULL: nothing picked yet */
    uint32_t
        text_room : 24; /* at value.s.offset, in PICK_TEXT_UNITs; kept while kind is null, 0 with a number */
};

/* <0 when a is earlier: by time, then partition, then offset. */
static inline int pick_compare(const struct pick_state *a, const struct pick_state *b)
{
    if (a->time_us != b->time_us)
        return a->time_us < b->time_us ? -1 : 1;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

/* sign 1: the earliest stays (first); -1: the latest (last). */
void pick_add(struct aggregate_input *input, int sign);
void pick_merge(const struct aggregate_merge *merge, int sign);
/* Empty again, but the room for text stays the state's. */
void pick_reset(struct pane *pane, char *state);
void pick_finish(const struct aggregate_finish *finish);
/* The value; after a value its time since the start of the pane, partition and offset. */
void pick_save(const char *state, const struct aggregate_save *save);
bool pick_load(char *state, struct aggregate_load *load);
