/* The picture of `weir top`: a snapshot as lines of text that fit a terminal. Knows no terminal, so that tests can look at it. */
#pragma once

#include "app/top_snapshot.h"
#include "base/buffer.h"

struct top_frame {
    const char *url;
    const char *notice; /* why there is nothing newer; NULL = all is well */
    uint32_t width;     /* columns; longer lines are cut, and tables leave out their last columns */
    uint32_t height;    /* lines; 0 = as many as it takes */
    bool has_colour;
};

/* Appends the lines, each with its newline; at most `height`. `snapshot` NULL: there was none yet. */
void top_view_write(const struct top_frame *frame, const struct top_snapshot *snapshot, struct buffer *out);

/* "12.3k", "4.56M"; "-" when it is not known. */
void top_write_number(double value, char *out, size_t size);
/* "25 ms", "3.2 s", "4m 10s", "2h 3m"; "-" when it is not known. */
void top_write_duration(double ms, char *out, size_t size);
