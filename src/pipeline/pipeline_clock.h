/* How far the partitions behind a pipeline have come, and what follows for its windows: they go on by records, without the partitions
 * that are idle, and with the wall clock when all are. The engine and a rehearsal close windows by these rules and no others. */
#pragma once

#include "pipeline/processor.h"

enum { IDLE_STEP_US = 50 * 1000 }; /* event time moves on in such steps while all partitions are idle */

struct pipeline_clock {
    int64_t
        active_us; /* smallest watermark of partitions that are neither idle nor ended; TIME_MAX when there are none */
    int64_t all_us;        /* the same with the idle ones */
    int64_t ahead_us;      /* largest watermark of any partition, TIME_NONE when none has seen an event ... */
    int64_t ahead_seen_us; /* ... and the monotonic clock when its event arrived */
    bool has_partitions;
    enum close_cause
        cause; /* why all_us moved: CLOSED_BY_WATERMARK, unless the partitions are results that came by the clock */
};

/* Of no partition at all. */
struct pipeline_clock pipeline_clock_none(void);
void pipeline_clock_add_partition(struct pipeline_clock *clock, const struct partition_state *state);
void pipeline_clock_add(struct pipeline_clock *clock, const struct pipeline_clock *part);

/* Every partition is idle, so that event time goes on with the wall clock. */
bool pipeline_clock_is_idle(const struct pipeline_clock *time);
/* The watermark that pipeline_clock_advance() would move to; TIME_MAX: everything would close. */
int64_t pipeline_clock_target_us(const struct pipeline_clock *time, int64_t now_us);

/* Moves the pipeline's watermark to where the clock says it is; `*cause`: why it is there. `*arrival_us` becomes 0 before windows close because time goes by, and not
 * because an event came. Returns when to look again although nothing comes (monotonic), INT64_MAX for never. */
int64_t pipeline_clock_advance(const struct pipeline_clock *time, struct window_merger *windows,
                               const struct clock *clock, int64_t now_us, int64_t *arrival_us,
                               enum close_cause *cause);
