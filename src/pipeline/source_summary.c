/* The counters of a source from the partitions that were read. See source_summary.h. */
#include "pipeline/source_summary.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "flow/event_time.h"

/* The partitions' counters of one source, added up. `counts->feeds` has room for the source's feeds. */
static void sum_counts(const struct plan *plan, uint32_t source_index,
                       const struct summary_partition *partitions, uint32_t partition_count,
                       struct source_counts *counts)
{
    for (uint32_t p = 0; p < partition_count; p++) {
        if (partitions[p].state->source_index != source_index)
            continue;
        const struct source_counts *part = &partitions[p].processor->sources[source_index];
        counts->in += part->in;
        counts->bad += part->bad;
        counts->fast_documents += part->fast_documents;
        counts->slow_documents += part->slow_documents;
        for (uint32_t r = 0; r < BAD_REASON_COUNT; r++)
            counts->bad_by_reason[r] += part->bad_by_reason[r];
        for (uint32_t f = 0; f < plan->sources[source_index].feed_count; f++) {
            counts->feeds[f].used += part->feeds[f].used;
            counts->feeds[f].filtered += part->feeds[f].filtered;
            counts->feeds[f].too_late += part->feeds[f].too_late;
        }
    }
}

void source_summary_write(const struct plan *plan, uint32_t source_index,
                          const struct summary_partition *partitions, uint32_t partition_count,
                          struct buffer *json, struct buffer *text)
{
    const struct plan_source *source = &plan->sources[source_index];
    struct source_counts counts = {0};
    counts.feeds = memory_allocate_array(source->feed_count, sizeof *counts.feeds);
    sum_counts(plan, source_index, partitions, partition_count, &counts);
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
        const char *name = plan->pipelines[source->feeds[f].pipeline_index].shape.pipeline;
        const struct feed_counts *feed = &counts.feeds[f];
        buffer_format(json,
                      "%s\"%s\":{\"used\":%" PRIu64 ",\"filtered\":%" PRIu64 ",\"too_late\":%" PRIu64 "}",
                      f ? "," : "", name, feed->used, feed->filtered, feed->too_late);
        buffer_format(text, "  pipeline %s: %" PRIu64 " used, %" PRIu64 " filtered, %" PRIu64 " too late\n",
                      name, feed->used, feed->filtered, feed->too_late);
    }
    buffer_append_text(json, "},\"partitions\":[");
    comma = "";
    for (uint32_t p = 0; p < partition_count; p++) {
        const struct partition_state *state = partitions[p].state;
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
        buffer_format(json, ",\"idle\":%s,\"lag\":0}", state->is_idle ? "true" : "false");
        comma = ",";
    }
    buffer_append_text(json, "]}");
    free(counts.feeds);
}
