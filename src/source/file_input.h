/* The bytes of a file, whatever it is packed with: plain, gzip (several members too) or zstd (several frames
 * too), told by its first bytes; `-` is standard input. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { FILE_INPUT_PACKED_SIZE = 128 * 1024 }; /* packed bytes that are read at a time */

struct file_input;

NODISCARD
enum status file_input_open(const char *path, struct file_input **out, struct error *error);
/* STATUS_OK: 1..size bytes in `data`. STATUS_END. STATUS_IO: the file cannot be read, or its packing is damaged
 * or cut short. */
NODISCARD
enum status file_input_read(struct file_input *input, char *data, size_t size, size_t *got,
                            struct error *error);
/* The next read gives the first byte again. STATUS_IO for what has no beginning (a pipe). */
NODISCARD
enum status file_input_rewind(struct file_input *input, struct error *error);
/* False when a read would have to wait for somebody who writes to a pipe. */
bool file_input_is_ready(const struct file_input *input);
void file_input_close(struct file_input *input);
