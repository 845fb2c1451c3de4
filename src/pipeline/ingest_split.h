/* Cuts a request's body into records. The body tells its shape: `[` is a JSON array, all else is lines, one
 * record each. What a record holds is not looked at, beyond what it takes to find its end. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

struct body_splitter {
    const char *next, *end;
    uint32_t next_index;
    bool is_array;
};

/* NULL, or why the body as a whole cannot be taken: it is empty, or an array that is broken between its
 * elements. A lower-case sentence. Reads an array to its end, so that the splitter cannot fail later. */
const char *body_splitter_init(struct body_splitter *splitter, struct slice body);
/* The next line that is not blank, or element, without white space around it (lines keep theirs, but for the
 * line's end). `index`: its number among all lines or elements, from 0. False at the end. */
bool body_splitter_next(struct body_splitter *splitter, struct slice *record, uint32_t *index);
