/* Error messages and status names. See error.h and status.h. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *status_name(enum status status)
{
    switch (status) {
    case STATUS_OK: return "ok";
    case STATUS_INVALID: return "invalid";
    case STATUS_NOT_FOUND: return "not found";
    case STATUS_FULL: return "full";
    case STATUS_AGAIN: return "try again";
    case STATUS_END: return "end";
    case STATUS_IO: return "input/output error";
    case STATUS_CLOSED: return "closed";
    case STATUS_LIMIT: return "too large";
    case STATUS_BUSY: return "busy";
    }
    return "unknown";
}

void error_set(struct error *error, const char *format, ...)
{
    if (!error)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
}

void error_prefix(struct error *error, const char *format, ...)
{
    if (!error)
        return;
    char context[ERROR_TEXT_SIZE / 2];
    char message[ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);
    memcpy(message, error->text, sizeof message);
    snprintf(error->text, sizeof error->text, "%s: %.*s", context, ERROR_TEXT_SIZE / 2 - 4, message);
}
