/* Log lines on stderr, for people (pretty) or machines (logfmt, json). Any thread; one write per line, so lines do not
 * mix. Never called per event. A call site that may repeat uses log_limited(), which lets one line a second through. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_FORMAT_PRETTY, LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

/* Before the first thread starts. Colour is used on a terminal unless NO_COLOR is set. */
void log_configure(enum log_format format, enum log_level lowest);

/* `component` is the folder or thing that speaks ("store", "http"); the message is lower case, without a full stop. */
void log_write(enum log_level level, const char *component, const char *format, ...) PRINTF_LIKE(3, 4);

struct log_limiter {
    _Atomic int64_t next_us;
    _Atomic uint64_t suppressed;
};

/* At most one line a second per limiter; says how many were held back. */
void log_limited(struct log_limiter *limiter, enum log_level level, const char *component, const char *format,
                 ...) PRINTF_LIKE(4, 5);
