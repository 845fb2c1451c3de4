/* Decode, judge, select, add to panes or pass on; a batch at a time. See processor.h. */
#include "pipeline/processor.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"

void processor_init(struct processor *processor, const struct plan *plan, bool keeps_dead_letters)
{
    *processor = (struct processor){.plan = plan, .keeps_dead_letters = keeps_dead_letters};
    processor->decoders = memory_allocate_array(plan->source_count, sizeof *processor->decoders);
    processor->operators = memory_allocate_array(plan->pipeline_count, sizeof *processor->operators);
    event_output_init(&processor->output, plan);
    processor->sources = memory_allocate_array(plan->source_count, sizeof *processor->sources);
    processor->pipelines = memory_allocate_array(plan->pipeline_count, sizeof *processor->pipelines);
    for (uint32_t i = 0; i < plan->source_count; i++) {
        processor->sources[i].feeds =
            memory_allocate_array(plan->sources[i].feed_count, sizeof *processor->sources[i].feeds);
    }
}

void processor_deinit(struct processor *processor)
{
    for (uint32_t i = 0; i < processor->plan->source_count; i++) {
        if (processor->decoders[i])
            decoder_destroy(processor->decoders[i]);
        free(processor->sources[i].feeds);
    }
    for (uint32_t i = 0; i < processor->plan->pipeline_count; i++) {
        if (processor->operators[i])
            window_operator_destroy(processor->operators[i]);
    }
    if (processor->dead_letters)
        dead_letter_block_release(processor->dead_letters);
    event_output_deinit(&processor->output);
    free(processor->decoders);
    free(processor->operators);
    free(processor->sources);
    free(processor->pipelines);
}

struct window_operator *processor_operator(struct processor *processor, uint32_t pipeline_index)
{
    if (!processor->operators[pipeline_index]) {
        processor->operators[pipeline_index] =
            window_operator_create(&processor->plan->pipelines[pipeline_index].window);
    }
    return processor->operators[pipeline_index];
}

void processor_reset_pipeline(struct processor *processor, uint32_t pipeline_index)
{
    window_operator_destroy(processor->operators[pipeline_index]);
    processor->operators[pipeline_index] = NULL;
}

static struct decoder *source_decoder(struct processor *processor, uint32_t source_index)
{
    if (!processor->decoders[source_index]) {
        struct decoder_options options;
        plan_decoder_options(&processor->plan->sources[source_index], &options);
        processor->decoders[source_index] = decoder_create(&options);
    }
    return processor->decoders[source_index];
}

static void add_dead_letter(struct processor *processor, struct batch *batch, uint32_t record_index,
                            const char *reason, const char *detail, uint32_t pipeline_index)
{
    if (!processor->dead_letters)
        processor->dead_letters = dead_letter_block_create();
    const struct record *record = &batch->records[record_index];
    struct dead_letter letter = {
        .source_index = batch->source_index,
        .partition = batch->partition,
        .offset = record->offset,
        .time_us = record->time_us != TIME_NONE ? record->time_us : batch->arrival_wall_us,
        .reason = reason,
        .pipeline_index = pipeline_index,
        .detail = slice_of(detail),
        .topic = batch->topic,
        .topic_partition = batch->topic_partition,
        .raw = batch_record_text(batch, record_index),
        .metadata = batch_record_metadata(batch, record_index),
    };
    dead_letter_block_add(processor->dead_letters, &letter);
}

static void count_documents(struct source_counts *counts, const struct batch *batch)
{
    counts->slow_documents += batch->slow_count;
    counts->fast_documents += batch->record_count - batch->slow_count;
}

void processor_decode(struct processor *processor, const struct partition_state *partition,
                      struct batch *batch)
{
    decoder_run(source_decoder(processor, partition->source_index), batch);
    /* Every shard decodes all lines of a file that is dealt; the one that has partition 0 counts them. */
    bool is_counted_elsewhere = partition->is_dealt && partition->partition != 0;
    if (!batch->is_replay && !is_counted_elsewhere)
        count_documents(&processor->sources[partition->source_index], batch);
}

enum status processor_judge(struct processor *processor, struct batch *batch, struct error *error)
{
    const struct plan_source *source = &processor->plan->sources[batch->source_index];
    if (!batch->bad_count)
        return STATUS_OK;
    if (source->config->on_bad == ON_BAD_FAIL) {
        const struct bad_record *bad = &batch->bad[0];
        error_set(
            error,
            "source %s: the record at partition %u, offset %lld is bad: %s%s%s; the source says `on_bad: fail` "
            "(use dlq to keep such records aside and go on)",
            source->config->name, batch->partition, (long long)batch->records[bad->record_index].offset,
            bad_reason_name(bad->reason), bad->detail ? ", " : "", bad->detail ? bad->detail : "");
        return STATUS_INVALID;
    }
    if (source->config->on_bad != ON_BAD_DLQ || !processor->keeps_dead_letters || batch->is_replay)
        return STATUS_OK;
    for (uint32_t i = 0; i < batch->bad_count; i++) {
        const struct bad_record *bad = &batch->bad[i];
        add_dead_letter(processor, batch, bad->record_index, bad_reason_name(bad->reason), bad->detail,
                        UINT32_MAX);
    }
    return STATUS_OK;
}

static void dead_letter_late(struct processor *processor, struct batch *batch, const uint32_t *rows,
                             uint32_t row_count, uint32_t pipeline_index)
{
    if (!processor->keeps_dead_letters || batch->is_replay)
        return;
    for (uint32_t i = 0; i < row_count; i++) {
        add_dead_letter(processor, batch, batch->row_records[rows[i]], "too_late",
                        "its windows had closed by the watermark of its partition", pipeline_index);
    }
}

static void select_rows(const struct plan_feed *feed, struct batch *batch, struct window_rows *rows)
{
    uint32_t *selected = arena_allocate(&batch->arena, sizeof *selected * (batch->row_count + 1));
    if (feed->where) {
        rows->row_count = expr_select(feed->where, batch, NULL, batch->row_count, selected);
    } else {
        for (uint32_t i = 0; i < batch->row_count; i++)
            selected[i] = i;
        rows->row_count = batch->row_count;
    }
    rows->rows = selected;
}

/* Nothing is late here: an event goes out by itself, once, whatever its time. */
static void pass_on(struct processor *processor, const struct plan_feed *feed, struct feed_counts *counts,
                    const struct window_rows *rows, struct batch *batch)
{
    if (batch->is_replay)
        return;
    event_output_add(&processor->output, feed, batch, rows->rows, rows->row_count);
    counts->used += rows->row_count;
    counts->filtered += batch->row_count - rows->row_count;
    processor->pipelines[feed->pipeline_index].events_out += rows->row_count;
}

static void add_to_windows(struct processor *processor, const struct plan_feed *feed,
                           struct feed_counts *counts, struct window_rows *rows, struct batch *batch)
{
    const struct plan_pipeline *pipeline = &processor->plan->pipelines[feed->pipeline_index];
    struct column keys[RESULT_MAX_KEYS], inputs[RESULT_MAX_AGGREGATES];
    for (uint32_t i = 0; i < feed->key_count; i++)
        expr_evaluate(feed->keys[i], batch, &keys[i]);
    for (uint32_t i = 0; i < feed->input_count; i++)
        expr_evaluate(feed->inputs[i], batch, &inputs[i]);
    rows->keys = keys;
    rows->inputs = inputs;
    rows->partition = feed->first_partition + batch->partition;

    uint32_t *too_late = arena_allocate(&batch->arena, sizeof *too_late * (batch->row_count + 1));
    uint32_t too_late_count = 0;
    struct window_counts added = {0};
    window_operator_add(processor_operator(processor, feed->pipeline_index), rows, &added, too_late,
                        &too_late_count);
    if (batch->is_replay)
        return;
    counts->used += added.used;
    counts->too_late += added.too_late;
    counts->filtered += batch->row_count - rows->row_count + added.uncovered;
    struct pipeline_counts *totals = &processor->pipelines[feed->pipeline_index];
    totals->late_accepted += added.late_accepted;
    totals->type_errors += added.type_errors;
    totals->overflow_events += added.overflow_events;
    if (pipeline->window.late == WINDOW_LATE_DLQ) {
        dead_letter_late(processor, batch, too_late, too_late_count, feed->pipeline_index);
    }
}

static void apply_feed(struct processor *processor, const struct plan_feed *feed, struct feed_counts *counts,
                       struct window_rows *rows, struct batch *batch)
{
    select_rows(feed, batch, rows);
    if (processor->plan->pipelines[feed->pipeline_index].has_window)
        add_to_windows(processor, feed, counts, rows, batch);
    else
        pass_on(processor, feed, counts, rows, batch);
}

static void count_batch(struct source_counts *counts, const struct batch *batch)
{
    counts->in += batch->row_count + batch->bad_count;
    counts->bad += batch->bad_count;
    for (uint32_t i = 0; i < batch->bad_count; i++)
        counts->bad_by_reason[batch->bad[i].reason]++;
}

void processor_apply(struct processor *processor, struct partition_state *partition, struct batch *batch)
{
    const struct plan_source *source = &processor->plan->sources[partition->source_index];
    struct source_counts *counts = &processor->sources[partition->source_index];
    if (!batch->is_replay)
        count_batch(counts, batch);
    if (batch->record_count)
        partition->next_offset = batch->records[batch->record_count - 1].offset + 1;
    if (!batch->row_count)
        return;

    int64_t *before_us = arena_allocate(&batch->arena, sizeof *before_us * batch->row_count);
    int64_t largest_before_us = partition->watermark.max_event_time_us;
    watermark_advance(&partition->watermark, batch, before_us);
    if (partition->watermark.max_event_time_us != largest_before_us)
        partition->max_time_seen_us = batch->arrival_us;
    struct window_rows rows = {
        .batch = batch,
        .watermarks_us = before_us,
        .watermark_after_us = watermark_us(&partition->watermark),
    };
    for (uint32_t i = 0; i < source->feed_count; i++) {
        apply_feed(processor, &source->feeds[i], &counts->feeds[i], &rows, batch);
    }
}
