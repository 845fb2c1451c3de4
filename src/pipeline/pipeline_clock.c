/* Watermarks of many partitions put together. See pipeline_clock.h. */
#include "pipeline/pipeline_clock.h"

struct pipeline_clock pipeline_clock_none(void)
{
    return (struct pipeline_clock){.active_us = TIME_MAX, .all_us = TIME_MAX, .ahead_us = TIME_NONE};
}

void pipeline_clock_add_partition(struct pipeline_clock *clock, const struct partition_state *state)
{
    clock->has_partitions = true;
    int64_t now_us = watermark_us(&state->watermark);
    if (now_us != TIME_NONE && now_us > clock->ahead_us) {
        clock->ahead_us = now_us;
        clock->ahead_seen_us = state->max_time_seen_us;
    }
    if (state->is_ended)
        return;
    if (now_us < clock->all_us)
        clock->all_us = now_us;
    if (!state->is_idle && now_us < clock->active_us)
        clock->active_us = now_us;
}

void pipeline_clock_add(struct pipeline_clock *clock, const struct pipeline_clock *part)
{
    if (!part->has_partitions)
        return;
    clock->has_partitions = true;
    if (part->active_us < clock->active_us)
        clock->active_us = part->active_us;
    if (part->all_us < clock->all_us)
        clock->all_us = part->all_us;
    if (part->ahead_us > clock->ahead_us) {
        clock->ahead_us = part->ahead_us;
        clock->ahead_seen_us = part->ahead_seen_us;
    }
}

bool pipeline_clock_is_idle(const struct pipeline_clock *time)
{
    return time->has_partitions && time->all_us != TIME_MAX && time->active_us == TIME_MAX &&
           time->ahead_us != TIME_NONE;
}

int64_t pipeline_clock_target_us(const struct pipeline_clock *time, int64_t now_us)
{
    if (!time->has_partitions)
        return TIME_NONE;
    if (time->all_us == TIME_MAX || time->active_us != TIME_MAX)
        return time->active_us > time->all_us ? time->active_us : time->all_us;
    int64_t ahead_us =
        time->ahead_us == TIME_NONE ? TIME_NONE : time->ahead_us + (now_us - time->ahead_seen_us);
    return ahead_us > time->all_us ? ahead_us : time->all_us;
}

int64_t pipeline_clock_advance(const struct pipeline_clock *time, struct window_merger *windows,
                               const struct clock *clock, int64_t now_us, int64_t *arrival_us,
                               enum close_cause *cause)
{
    *cause = time->cause;
    if (!time->has_partitions)
        return INT64_MAX;
    if (time->all_us == TIME_MAX) {
        *cause = CLOSED_BY_END_OF_INPUT;
        window_merger_advance(windows, TIME_MAX, CLOSED_BY_END_OF_INPUT, clock);
        return INT64_MAX;
    }
    window_merger_advance(windows, time->all_us, time->cause, clock);
    if (time->active_us == time->all_us)
        return INT64_MAX;
    *cause = CLOSED_BY_IDLE;
    if (time->active_us != TIME_MAX) {
        window_merger_advance(windows, time->active_us, CLOSED_BY_IDLE, clock);
        return INT64_MAX;
    }
    if (time->ahead_us == TIME_NONE)
        return INT64_MAX;
    *arrival_us = 0;
    window_merger_advance(windows, time->ahead_us + (now_us - time->ahead_seen_us), CLOSED_BY_IDLE, clock);
    struct window_merger_stats stats = window_merger_stats(windows);
    return stats.open_windows + stats.held_windows ? now_us + IDLE_STEP_US : INT64_MAX;
}
