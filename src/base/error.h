/* The message of a start-up or configuration failure, written for the person who has to mend it:
 * lower case, names the thing, quotes the value, gives the reason and the remedy. */
#pragma once

#include "base/status.h"

enum { ERROR_TEXT_SIZE = 1024 };

struct error {
    char text[ERROR_TEXT_SIZE];
};

/* Replaces the message; cuts what does not fit. `error` may be NULL: then nothing happens. */
void error_set(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts "context: " in front of the message, for callers that know more. */
void error_prefix(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);
