/* The watermark of one source partition: largest event time seen minus max_out_of_orderness. Everything about being
 * late follows from it, so it depends on the partition's log alone. */
#pragma once

#include "flow/batch.h"

struct watermark {
    int64_t delay_us;          /* max_out_of_orderness */
    int64_t max_event_time_us; /* TIME_NONE before the first event */
};

static inline int64_t watermark_us(const struct watermark *watermark)
{
    return watermark->max_event_time_us == TIME_NONE ? TIME_NONE
                                                     : watermark->max_event_time_us - watermark->delay_us;
}

/* Moves the watermark over the rows of a batch and writes, per row, the watermark just before that row was seen
 * (`before_us[row_count]`): the one by which that row is on time or late. */
void watermark_advance(struct watermark *watermark, const struct batch *batch, int64_t *before_us);
