/* The summary of a replay: what became of every record, and how fast. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "pipeline/replay_internal.h"
#include "pipeline/source_summary.h"

void replay_write_summary(const struct replay *replay, int64_t wall_us, int64_t cpu_us)
{
    struct buffer json = {0}, text = {0};
    buffer_append_text(&json, "{\"sources\":{");
    struct summary_partition *partitions =
        memory_allocate_array(replay->partition_count + 1, sizeof *partitions);
    for (uint32_t p = 0; p < replay->partition_count; p++) {
        partitions[p] =
            (struct summary_partition){&replay->partitions[p].state, &replay->partitions[p].processor};
    }
    for (uint32_t i = 0; i < replay->plan->source_count; i++) {
        if (i)
            buffer_append_char(&json, ',');
        source_summary_write(replay->plan, i, partitions, replay->partition_count, &json, &text);
    }
    free(partitions);
    uint64_t events = atomic_load(&replay->record_count);
    double seconds = (double)(wall_us ? wall_us : 1) / 1e6, cpu_seconds = (double)(cpu_us ? cpu_us : 1) / 1e6;
    buffer_format(
        &json, "},\"results\":%" PRIu64 ",\"records\":%" PRIu64 ",\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n",
        replay_output_count(replay->output), events, seconds, cpu_seconds);
    buffer_format(&text, "%" PRIu64 " results in %.2f s (%.0f events/s, %.0f events per CPU-second)\n",
                  replay_output_count(replay->output), seconds, (double)events / seconds,
                  (double)events / cpu_seconds);
    const struct buffer *chosen = replay->options->summary_as_json ? &json : &text;
    fwrite(chosen->data, 1, chosen->size, stderr);
    buffer_deinit(&json);
    buffer_deinit(&text);
}
