/* Which values are the same to distinct_count(x) and top(x, k): those that are one key, so 1 and 1.0 but not "1"; of objects and
 * arrays the text decides. Values are told apart by a hash of 64 bits, of which the chance that any two of a thousand agree is 3e-14. Its
 * seed is fixed: sketches of other processes and earlier lives must fit together. */
#pragma once

#include <math.h>

#include "base/hash.h"
#include "window/window_internal.h"

static inline bool value_is_missing(uint8_t kind, union value value)
{
    return kind == VALUE_NULL || (kind == VALUE_DOUBLE && isnan(value.d));
}

static inline bool value_is_text(uint8_t kind)
{
    return kind == VALUE_STRING || kind == VALUE_JSON;
}

/* The kind that stands for all that are the same; infinities, which as keys are null, are values here. */
static inline uint8_t value_canonical(uint8_t kind, union value *value)
{
    return kind == VALUE_DOUBLE && isfinite(value->d) ? pane_key_canonical(kind, value) : kind;
}

/* Of a canonical value; `bytes` is what its text lies in. */
static inline uint64_t value_hash(uint8_t kind, union value value, const char *bytes)
{
    if (value_is_text(kind)) {
        struct slice text = value_slice(bytes, value);
        return hash_bytes(text.data, text.size, kind);
    }
    return hash_bytes(&value, sizeof value, kind);
}
