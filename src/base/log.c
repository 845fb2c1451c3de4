/* Log lines, built in a local buffer and written at once. See log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"

enum { LOG_MESSAGE_SIZE = 2048 };

/* Written by log_configure() before any thread starts, read-only after. */
static struct {
    enum log_format format;
    enum log_level lowest;
    bool use_colour;
} settings = {LOG_FORMAT_PRETTY, LOG_INFO, false};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_colours[] = {"\033[2m", "\033[36m", "\033[33m", "\033[31m"};

void log_configure(enum log_format format, enum log_level lowest)
{
    settings.format = format;
    settings.lowest = lowest;
    const char *no_colour = getenv("NO_COLOR");
    settings.use_colour = isatty(STDERR_FILENO) && !(no_colour && *no_colour);
}

static void append_time(struct buffer *line, int64_t now_us)
{
    time_t seconds = (time_t)(now_us / MICROSECONDS_PER_SECOND);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    char text[32];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    buffer_format(line, "%s.%03dZ", text,
                  (int)(now_us % MICROSECONDS_PER_SECOND / MICROSECONDS_PER_MILLISECOND));
}

static void append_line(struct buffer *line, enum log_level level, const char *component, const char *message)
{
    int64_t now_us = clock_wall_us(&clock_system);
    switch (settings.format) {
    case LOG_FORMAT_PRETTY:
        append_time(line, now_us);
        buffer_format(line, " %s%-5s%s %-8s %s\n", settings.use_colour ? level_colours[level] : "",
                      level_names[level], settings.use_colour ? "\033[0m" : "", component, message);
        break;
    case LOG_FORMAT_LOGFMT:
        buffer_append_text(line, "time=");
        append_time(line, now_us);
        buffer_format(line, " level=%s component=%s message=", level_names[level], component);
        buffer_json_string(line, slice_of(message));
        buffer_append_char(line, '\n');
        break;
    case LOG_FORMAT_JSON:
        buffer_append_text(line, "{\"time\":\"");
        append_time(line, now_us);
        buffer_format(line, "\",\"level\":\"%s\",\"component\":\"%s\",\"message\":", level_names[level],
                      component);
        buffer_json_string(line, slice_of(message));
        buffer_append_text(line, "}\n");
        break;
    }
}

static void write_message(enum log_level level, const char *component, const char *message)
{
    struct buffer line = {0};
    append_line(&line, level, component, message);
    ssize_t written = write(STDERR_FILENO, line.data, line.size);
    (void)written; /* a log that cannot be written has nowhere to complain */
    buffer_deinit(&line);
}

void log_write(enum log_level level, const char *component, const char *format, ...)
{
    if (level < settings.lowest)
        return;
    char message[LOG_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    write_message(level, component, message);
}

void log_limited(struct log_limiter *limiter, enum log_level level, const char *component, const char *format,
                 ...)
{
    if (level < settings.lowest)
        return;
    int64_t now_us = clock_monotonic_us(&clock_system);
    int64_t next_us = atomic_load_explicit(&limiter->next_us, memory_order_relaxed);
    if (now_us < next_us ||
        !atomic_compare_exchange_strong(&limiter->next_us, &next_us, now_us + MICROSECONDS_PER_SECOND)) {
        atomic_fetch_add_explicit(&limiter->suppressed, 1, memory_order_relaxed);
        return;
    }
    char message[LOG_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    uint64_t suppressed = atomic_exchange(&limiter->suppressed, 0);
    if (suppressed && size > 0 && (size_t)size < sizeof message) {
        snprintf(message + size, sizeof message - (size_t)size, " (%llu more like this)",
                 (unsigned long long)suppressed);
    }
    write_message(level, component, message);
}
