/* The fast path: one strict pass over a document whose keys are all known. */
#pragma once

#include "decode/row_writer.h"
#include "decode/shape.h"

/* Reads the document [text, text + size) into the row of `writer`, whose columns are all null. False when the document is
 * bad or surprising, which is the slow path's to tell; columns of the row may have been written then. At least
 * BATCH_PADDING_SIZE bytes behind it are readable and end in NUL. */
bool fast_path_read(struct shape *shape, struct row_writer *writer, const char *text, size_t size);
