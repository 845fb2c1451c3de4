/* Event time as spec'd: ISO-8601 text with offset or Z (no zone = UTC), or a number whose unit is told by its
 * magnitude. Held as int64 microseconds since 1970. */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"

enum time_unit {
    TIME_UNIT_AUTO,
    TIME_UNIT_SECONDS,
    TIME_UNIT_MILLISECONDS,
    TIME_UNIT_MICROSECONDS,
    TIME_UNIT_NANOSECONDS
};

#define EVENT_TIME_MIN_US INT64_C(-62135596800000000) /* 0001-01-01T00:00:00Z */
#define EVENT_TIME_MAX_US INT64_C(253402300799999999) /* 9999-12-31T23:59:59.999999Z */

/* |x| < 1e11 seconds, < 1e14 milliseconds, < 1e17 microseconds, else nanoseconds. Rounds down to microseconds.
 * STATUS_INVALID outside EVENT_TIME_MIN_US..MAX_US. */
NODISCARD
enum status event_time_from_int(int64_t value, enum time_unit unit, int64_t *time_us);
/* The same for numbers with a fraction or exponent; NaN and infinities are STATUS_INVALID. */
NODISCARD
enum status event_time_from_double(double value, enum time_unit unit, int64_t *time_us);
/* 2026-11-23, 2026-11-23T18:00[:00[.123456789]][Z|+02:00|+0200|+02], also with a space or lower-case t/z; leap second :60
 * counts as the next second; digits beyond microseconds are cut. Text of digits only is STATUS_INVALID. */
NODISCARD
enum status event_time_from_text(struct slice text, int64_t *time_us);
/* 2026-11-23T18:00:00.123Z (fraction only when there is one). */
void event_time_format(struct buffer *out, int64_t time_us);

/* Floor division: the start of the window of `size_us`, aligned to the epoch plus offset, that holds `time_us`. */
static inline int64_t event_time_floor(int64_t time_us, int64_t size_us)
{
    int64_t remainder = time_us % size_us;
    return time_us - (remainder < 0 ? remainder + size_us : remainder);
}
