/* The summary of a replay: what became of every record, and how fast. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "flow/event_time.h"
#include "pipeline/replay_internal.h"

/* The partitions' counters of one source, added up. `counts->feeds` has room for the source's feeds. */
static void sum_counts(const struct replay *replay, uint32_t source_index, struct source_counts *counts)
{
    for (uint32_t p = 0; p < replay->partition_count; p++) {
        if (replay->partitions[p].state.source_index != source_index)
            continue;
        const struct source_counts *part = &replay->partitions[p].processor.sources[source_index];
        counts->in += part->in;
        counts->bad += part->bad;
        counts->fast_documents += part->fast_documents;
        counts->slow_documents += part->slow_documents;
        for (uint32_t r = 0; r < BAD_REASON_COUNT; r++)
            counts->bad_by_reason[r] += part->bad_by_reason[r];
        for (uint32_t f = 0; f < replay->plan->sources[source_index].feed_count; f++) {
            counts->feeds[f].used += part->feeds[f].used;
            counts->feeds[f].filtered += part->feeds[f].filtered;
            counts->feeds[f].too_late += part->feeds[f].too_late;
        }
    }
}

static void summarize_source(const struct replay *replay, uint32_t source_index, struct buffer *json,
                             struct buffer *text)
{
    const struct plan_source *source = &replay->plan->sources[source_index];
    struct source_counts counts = {0};
    counts.feeds = memory_allocate_array(source->feed_count, sizeof *counts.feeds);
    sum_counts(replay, source_index, &counts);
    buffer_format(json, "\"%s\":{\"counters\":{\"in\":%" PRIu64 ",\"bad\":%" PRIu64 "},\"bad_by_reason\":{",
                  source->config->name, counts.in, counts.bad);
    buffer_format(text, "source %s: %" PRIu64 " in, %" PRIu64 " bad", source->config->name, counts.in,
                  counts.bad);
    const char *comma = "";
    for (uint32_t r = 0; r < BAD_REASON_COUNT; r++) {
        if (!counts.bad_by_reason[r])
            continue;
        buffer_format(json, "%s\"%s\":%" PRIu64, comma, bad_reason_name((enum bad_reason)r),
                      counts.bad_by_reason[r]);
        buffer_format(text, "%s%s %" PRIu64, *comma ? ", " : " (", bad_reason_name((enum bad_reason)r),
                      counts.bad_by_reason[r]);
        comma = ",";
    }
    buffer_append_text(text, *comma ? ")\n" : "\n");
    buffer_append_text(json, "},\"pipelines\":{");
    for (uint32_t f = 0; f < source->feed_count; f++) {
        const char *name = replay->plan->pipelines[source->feeds[f].pipeline_index].shape.pipeline;
        const struct feed_counts *feed = &counts.feeds[f];
        buffer_format(json,
                      "%s\"%s\":{\"used\":%" PRIu64 ",\"filtered\":%" PRIu64 ",\"too_late\":%" PRIu64 "}",
                      f ? "," : "", name, feed->used, feed->filtered, feed->too_late);
        buffer_format(text, "  pipeline %s: %" PRIu64 " used, %" PRIu64 " filtered, %" PRIu64 " too late\n",
                      name, feed->used, feed->filtered, feed->too_late);
    }
    buffer_append_text(json, "},\"partitions\":[");
    comma = "";
    for (uint32_t p = 0; p < replay->partition_count; p++) {
        const struct partition_state *state = &replay->partitions[p].state;
        if (state->source_index != source_index)
            continue;
        int64_t now_us = watermark_us(&state->watermark);
        buffer_format(json, "%s{\"partition\":%u,\"offset\":%" PRId64 ",\"watermark\":", comma,
                      state->partition, state->next_offset);
        if (now_us == TIME_NONE) {
            buffer_append_text(json, "null");
        } else {
            buffer_json_int(json, event_time_floor(now_us, 1000) / 1000);
        }
        buffer_append_text(json, ",\"idle\":false,\"lag\":0}");
        comma = ",";
    }
    buffer_append_text(json, "]}");
    free(counts.feeds);
}

void replay_write_summary(const struct replay *replay, int64_t wall_us, int64_t cpu_us)
{
    struct buffer json = {0}, text = {0};
    buffer_append_text(&json, "{\"sources\":{");
    for (uint32_t i = 0; i < replay->plan->source_count; i++) {
        if (i)
            buffer_append_char(&json, ',');
        summarize_source(replay, i, &json, &text);
    }
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
