/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Size in bytes of the valid sequence at `text`, or 0 when there is none within `size` bytes. */
size_t utf8_sequence_size(const char *text, size_t size);
bool utf8_valid(const char *text, size_t size);
/* Writes 1-4 bytes for a code point that is not a surrogate; returns how many. */
size_t utf8_encode(uint32_t code_point, char *out);
