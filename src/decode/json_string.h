/* Strings that are not plain ASCII: UTF-8 is checked, escapes are checked and undone. By the same rules as simdjson. */
#pragma once

#include "base/buffer.h"

/* `begin` is behind the opening quote. Returns the closing quote, or NULL when there is none before `end` or the string is
 * bad. `*has_escapes` tells whether text and value differ; then the value has been appended to `out`, unless that
 * is NULL. After NULL some of it may have been. */
const char *json_string_read(const char *begin, const char *end, struct buffer *out, bool *has_escapes);
