/* Regular expressions in time linear in the text, whatever the pattern: patterns come from configurations and from subscribers. The syntax
 * is RE2's, as CEL has it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { REGEX_MAX_MEMORY_SIZE = 1024 * 1024 }; /* of one compiled pattern; a larger one is refused */

struct regex;

/* Immutable, may be shared by threads. NULL when the pattern is wrong, and then `message` says why. */
struct regex *regex_create(const char *pattern, size_t pattern_size, char *message, size_t message_size);
void regex_destroy(struct regex *regex);
/* Does a part of the text match? Anchor with ^ and $ for the whole. */
bool regex_search(const struct regex *regex, const char *text, size_t text_size);

#ifdef __cplusplus
}
#endif
