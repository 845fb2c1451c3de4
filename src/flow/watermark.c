/* The running maximum over a batch. See watermark.h. */
#include "flow/watermark.h"

void watermark_advance(struct watermark *watermark, const struct batch *batch, int64_t *before_us)
{
    int64_t max_us = watermark->max_event_time_us;
    int64_t delay_us = watermark->delay_us;
    uint32_t row = 0;
    /* TIME_NONE is the smallest number, so only the rows before the first event time need to be told apart. */
    for (; row < batch->row_count && max_us == TIME_NONE; row++) {
        before_us[row] = TIME_NONE;
        max_us = batch->event_times_us[row];
    }
    for (; row < batch->row_count; row++) {
        before_us[row] = max_us - delay_us;
        int64_t time_us = batch->event_times_us[row];
        max_us = time_us > max_us ? time_us : max_us;
    }
    watermark->max_event_time_us = max_us;
}
