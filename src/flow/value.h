/* What a field of an event can hold. JSON's types are kept per row: the same path may be a number here and a string
 * there, and nobody guesses a schema from the first events. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

enum value_kind {
    VALUE_NULL = 0,      /* JSON null and a missing field are the same */
    VALUE_BOOL = 1,      /* .i is 0 or 1 */
    VALUE_INT = 2,       /* .i; JSON integers that fit int64 */
    VALUE_DOUBLE = 3,    /* .d; other JSON numbers; -0 is kept; may be infinite (1e999) */
    VALUE_STRING = 4,    /* .s: unescaped UTF-8 */
    VALUE_JSON = 5,      /* .s: raw text of an object or array */
    VALUE_TIMESTAMP = 6, /* .i: microseconds since 1970; only from expressions and event times */
    VALUE_DURATION = 7,  /* .i: microseconds; only from expressions */
    VALUE_KIND_COUNT
};

/* Bytes in a batch: batch->bytes + offset. */
struct text_reference {
    uint32_t offset;
    uint32_t size;
};

union value {
    int64_t i;
    double d;
    struct text_reference s;
};

/* One value per row. A column is dense: row r of the batch is element r. */
struct column {
    uint8_t *kinds;      /* enum value_kind */
    union value *values; /* undefined where the kind is VALUE_NULL */
    uint32_t kind_mask;  /* OR of 1u << kind over all rows: kernels choose their loop by it */
};

/* A string or JSON value whose text lies in `bytes`, which is NULL where all texts so far are empty. */
static inline struct slice value_slice(const char *bytes, union value value)
{
    return value.s.size ? (struct slice){bytes + value.s.offset, value.s.size} : (struct slice){"", 0};
}

static inline uint32_t value_kind_bit(enum value_kind kind)
{
    return 1u << kind;
}
