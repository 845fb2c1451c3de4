/* The engine in small: partitions with a processor each, a merger per pipeline, and a clock that stands still. See rehearsal.h. */
#include "pipeline/rehearsal.h"

#include <stdlib.h>

#include "base/memory.h"
#include "pipeline/chain.h"
#include "pipeline/source_summary.h"

/* Recoverable times are counted from the epoch, and 0 means "never" to some; no event is near the first day. */
#define START_DEFAULT_US INT64_C(86400000000)

struct rehearsed_partition {
    struct partition_state state;
    struct processor processor;
    int64_t idle_timeout_us;
};

struct rehearsal {
    struct plan *plan;
    struct clock clock;
    struct batch *batch;
    struct rehearsed_partition *partitions; /* by source, then partition */
    uint32_t partition_count;
    uint32_t *first_partitions; /* [source_count] */
    struct window_merger **mergers;
    struct chain *chain; /* NULL: no pipeline reads another */
    struct rehearsal_record *records;
    uint32_t record_count, record_capacity;
    bool is_full;
    struct arena arena; /* texts of records */
};

/* --- records ------------------------------------------------------------------------------------------------------ */

/* NULL when there is no room. */
static struct rehearsal_record *add_record(struct rehearsal *rehearsal, enum rehearsal_record_kind kind,
                                           uint32_t pipeline_index, struct slice json)
{
    if (rehearsal->record_count == REHEARSAL_RECORDS_MAX) {
        rehearsal->is_full = true;
        return NULL;
    }
    if (rehearsal->record_count == rehearsal->record_capacity) {
        rehearsal->record_capacity = rehearsal->record_capacity ? rehearsal->record_capacity * 2 : 64;
        rehearsal->records =
            memory_resize_array(rehearsal->records, rehearsal->record_capacity, sizeof *rehearsal->records);
    }
    struct rehearsal_record *record = &rehearsal->records[rehearsal->record_count++];
    *record = (struct rehearsal_record){
        .kind = kind, .pipeline_index = pipeline_index, .json = arena_copy(&rehearsal->arena, json)};
    return record;
}

static bool is_same_result(const struct rehearsal_record *a, const struct rehearsal_record *b)
{
    return a->kind == REHEARSAL_RESULT && b->kind == REHEARSAL_RESULT &&
           a->pipeline_index == b->pipeline_index && a->start_us == b->start_us &&
           slice_equal(a->key, b->key);
}

/* As the store does it: closed over early, then the revision, then the events. */
static bool replaces(const struct rehearsal_record *newer, const struct rehearsal_record *older)
{
    if (newer->is_early != older->is_early)
        return older->is_early;
    if (newer->revision != older->revision)
        return newer->revision > older->revision;
    return newer->event_count >= older->event_count;
}

/* At most one earlier state of a result is not replaced yet, and it is mostly near. */
static void replace_older(struct rehearsal *rehearsal, struct rehearsal_record *record)
{
    for (struct rehearsal_record *older = record; older-- > rehearsal->records;) {
        if (older->is_replaced || !is_same_result(older, record))
            continue;
        *(replaces(record, older) ? &older->is_replaced : &record->is_replaced) = true;
        return;
    }
}

static void take_results(void *context, struct result_block *block)
{
    struct rehearsal *rehearsal = context;
    bool is_hidden = rehearsal->plan->pipelines[block->shape->pipeline_index].config->is_hidden;
    result_block_encode(block);
    chain_take(rehearsal->chain, block);
    for (uint32_t row = 0; !is_hidden && row < block->row_count; row++) {
        struct rehearsal_record *record = add_record(
            rehearsal, REHEARSAL_RESULT, block->shape->pipeline_index, result_block_json(block, row));
        if (!record)
            break;
        record->key = arena_copy(&rehearsal->arena, result_block_key_json(block, row));
        record->start_us = block->window_starts_us[row];
        record->is_early = block->emits[row] == EMIT_EARLY;
        record->revision = block->revisions[row];
        record->event_count = result_block_event_count(block, row);
        replace_older(rehearsal, record);
    }
    result_block_release(block);
}

static void take_outputs(struct rehearsal *rehearsal, struct processor *processor)
{
    struct output_list list = {0};
    event_output_take(&processor->output, &list);
    for (uint32_t i = 0; i < list.count; i++) {
        const struct output_block *block = list.blocks[i];
        for (uint32_t row = 0; row < block->row_count; row++)
            (void)add_record(rehearsal, REHEARSAL_OUTPUT, block->pipeline_index,
                             output_block_value(block, row));
    }
    output_list_deinit(&list);
}

static void take_letters(struct rehearsal *rehearsal, struct processor *processor)
{
    struct dead_letter_block *block = processor->dead_letters;
    struct buffer json = {0};
    processor->dead_letters = NULL;
    for (uint32_t i = 0; block && i < block->letter_count; i++) {
        const struct dead_letter *letter = &block->letters[i];
        buffer_clear(&json);
        buffer_append_text(&json, "{\"source\":");
        buffer_json_string(&json, slice_of(rehearsal->plan->sources[letter->source_index].config->name));
        buffer_format(&json,
                      ",\"partition\":%u,\"offset\":%lld,\"reason\":\"%s\",\"detail\":", letter->partition,
                      (long long)letter->offset, letter->reason);
        buffer_json_string(&json, letter->detail);
        buffer_append_text(&json, ",\"raw\":");
        buffer_json_string(&json, letter->raw);
        buffer_append_char(&json, '}');
        (void)add_record(rehearsal, REHEARSAL_LETTER, letter->pipeline_index, buffer_slice(&json));
    }
    buffer_deinit(&json);
    if (block)
        dead_letter_block_release(block);
}

/* --- the turn ------------------------------------------------------------------------------------------------------- */

/* An event that met a window which is gone was too late after all; the operator cannot know. */
static void merge_pane(struct rehearsal *rehearsal, struct rehearsed_partition *partition, uint32_t feed,
                       struct pane *pane)
{
    uint32_t source_index = partition->state.source_index;
    uint32_t pipeline_index = rehearsal->plan->sources[source_index].feeds[feed].pipeline_index;
    struct window_merger *merger = rehearsal->mergers[pipeline_index];
    uint64_t gone_before = window_merger_stats(merger).gone_events;
    window_merger_add(merger, pane, 0);
    uint64_t gone = window_merger_stats(merger).gone_events - gone_before;
    struct feed_counts *counts = &partition->processor.sources[source_index].feeds[feed];
    counts->used -= gone < counts->used ? gone : counts->used;
    counts->too_late += gone;
}

static void take_panes(struct rehearsal *rehearsal, struct rehearsed_partition *partition, bool flush_open)
{
    const struct plan_source *source = &rehearsal->plan->sources[partition->state.source_index];
    bool holds_back = !partition->state.is_idle && !partition->state.is_ended;
    int64_t until_us = holds_back ? watermark_us(&partition->state.watermark) : TIME_MAX;
    for (uint32_t f = 0; f < source->feed_count; f++) {
        struct window_operator *operator= partition->processor.operators[source->feeds[f].pipeline_index];
        if (!operator)
            continue;
        for (struct pane *pane; (pane = window_operator_take(operator, until_us, flush_open));)
            merge_pane(rehearsal, partition, f, pane);
    }
}

static struct pipeline_clock clock_of(const struct rehearsal *rehearsal, uint32_t pipeline_index)
{
    if (rehearsal->plan->pipelines[pipeline_index].config->upstream_count)
        return chain_clock(rehearsal->chain, pipeline_index);
    struct pipeline_clock time = pipeline_clock_none();
    for (uint32_t p = 0; p < rehearsal->partition_count; p++) {
        const struct partition_state *state = &rehearsal->partitions[p].state;
        const struct plan_source *source = &rehearsal->plan->sources[state->source_index];
        for (uint32_t f = 0; f < source->feed_count; f++) {
            if (source->feeds[f].pipeline_index == pipeline_index)
                pipeline_clock_add_partition(&time, state);
        }
    }
    return time;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Returns when the first of the partitions that are not idle becomes so. */
static int64_t judge_idle(struct rehearsal *rehearsal)
{
    int64_t next_us = INT64_MAX;
    for (uint32_t p = 0; p < rehearsal->partition_count; p++) {
        struct rehearsed_partition *partition = &rehearsal->partitions[p];
        int64_t idle_at_us = partition->state.last_record_us + partition->idle_timeout_us;
        if (partition->state.is_ended || partition->state.is_idle)
            continue;
        if (idle_at_us > rehearsal->clock.fixed_us) {
            next_us = earlier(next_us, idle_at_us);
            continue;
        }
        partition->state.is_idle = true;
        take_panes(rehearsal, partition, false);
    }
    return next_us;
}

/* Everything that is due by now. Returns when something will be without an event. */
static int64_t settle(struct rehearsal *rehearsal)
{
    int64_t now_us = rehearsal->clock.fixed_us, unused_us = 0;
    int64_t next_us = judge_idle(rehearsal);
    for (uint32_t k = 0; k < rehearsal->plan->pipeline_count; k++) {
        uint32_t i = rehearsal->plan->order[k];
        enum close_cause cause;
        if (!rehearsal->plan->pipelines[i].has_window)
            continue;
        struct pipeline_clock time = clock_of(rehearsal, i);
        next_us = earlier(next_us, pipeline_clock_advance(&time, rehearsal->mergers[i], &rehearsal->clock,
                                                          now_us, &unused_us, &cause));
        next_us = earlier(next_us, window_merger_tick(rehearsal->mergers[i], &rehearsal->clock));
        chain_pass(rehearsal->chain, i, cause, time.has_partitions && time.all_us == TIME_MAX, false);
        next_us = earlier(next_us, chain_next_us(rehearsal->chain, i, &time, now_us));
    }
    return next_us;
}

static enum status result_of(const struct rehearsal *rehearsal, struct error *error)
{
    if (!rehearsal->is_full)
        return STATUS_OK;
    error_set(error, "more than %d records came out; a test is for fewer events", REHEARSAL_RECORDS_MAX);
    return STATUS_INVALID;
}

/* --- what the caller does ------------------------------------------------------------------------------------------ */

static void append(struct rehearsal *rehearsal, const struct rehearsal_event *event,
                   const struct rehearsed_partition *partition)
{
    struct batch *batch = rehearsal->batch;
    batch_reset(batch);
    batch->source_index = event->source_index;
    batch->partition = event->partition;
    batch->arrival_us = batch->arrival_wall_us = rehearsal->clock.fixed_us;
    if (event->key.data)
        batch_put_key(batch, event->key);
    batch_append(batch, event->text, partition->state.next_offset, event->time_us);
}

enum status rehearsal_add(struct rehearsal *rehearsal, const struct rehearsal_event *event,
                          struct error *error)
{
    struct rehearsed_partition *partition =
        &rehearsal->partitions[rehearsal->first_partitions[event->source_index] + event->partition];
    struct batch *batch = rehearsal->batch;
    append(rehearsal, event, partition);
    processor_decode(&partition->processor, &partition->state, batch);
    enum status status = processor_judge(&partition->processor, batch, error);
    if (status != STATUS_OK)
        return status;
    processor_apply(&partition->processor, &partition->state, batch);
    partition->state.last_record_us = rehearsal->clock.fixed_us;
    partition->state.is_idle = false;
    take_outputs(rehearsal, &partition->processor);
    take_letters(rehearsal, &partition->processor);
    take_panes(rehearsal, partition, false);
    (void)settle(rehearsal);
    return result_of(rehearsal, error);
}

enum status rehearsal_advance(struct rehearsal *rehearsal, int64_t duration_us, struct error *error)
{
    int64_t until_us = rehearsal->clock.fixed_us + duration_us;
    int64_t step_us = duration_us / REHEARSAL_STEPS_MAX + 1;
    /* What is open is handed over as it is, so that it can be shown or closed; no event comes before the time is over. */
    for (uint32_t p = 0; p < rehearsal->partition_count; p++)
        take_panes(rehearsal, &rehearsal->partitions[p], true);
    for (;;) {
        int64_t next_us = settle(rehearsal), now_us = rehearsal->clock.fixed_us;
        if (now_us >= until_us)
            break;
        rehearsal->clock.fixed_us =
            earlier(next_us > now_us + step_us ? next_us : now_us + step_us, until_us);
    }
    return result_of(rehearsal, error);
}

enum status rehearsal_finish(struct rehearsal *rehearsal, struct error *error)
{
    for (uint32_t p = 0; p < rehearsal->partition_count; p++) {
        rehearsal->partitions[p].state.is_ended = true;
        take_panes(rehearsal, &rehearsal->partitions[p], false);
    }
    (void)settle(rehearsal);
    return result_of(rehearsal, error);
}

int64_t rehearsal_now_us(const struct rehearsal *rehearsal)
{
    return rehearsal->clock.fixed_us;
}

const struct rehearsal_record *rehearsal_records(const struct rehearsal *rehearsal, uint32_t *count)
{
    *count = rehearsal->record_count;
    return rehearsal->records;
}

void rehearsal_write_counters(const struct rehearsal *rehearsal, struct buffer *json)
{
    struct buffer text = {0};
    struct summary_partition *partitions =
        memory_allocate_array(rehearsal->partition_count + 1, sizeof *partitions);
    for (uint32_t p = 0; p < rehearsal->partition_count; p++) {
        partitions[p] =
            (struct summary_partition){&rehearsal->partitions[p].state, &rehearsal->partitions[p].processor};
    }
    buffer_append_char(json, '{');
    for (uint32_t i = 0; i < rehearsal->plan->source_count; i++) {
        buffer_append_text(json, i ? "," : "");
        source_summary_write(rehearsal->plan, i, partitions, rehearsal->partition_count, json, &text);
    }
    buffer_append_char(json, '}');
    buffer_deinit(&text);
    free(partitions);
}

/* --- set-up --------------------------------------------------------------------------------------------------------- */

static void open_partitions(struct rehearsal *rehearsal, const uint32_t *counts)
{
    const struct plan *plan = rehearsal->plan;
    for (uint32_t s = 0; s < plan->source_count; s++) {
        rehearsal->first_partitions[s] = rehearsal->partition_count;
        rehearsal->partition_count += counts[s];
    }
    rehearsal->partitions =
        memory_allocate_array(rehearsal->partition_count + 1, sizeof *rehearsal->partitions);
    for (uint32_t s = 0; s < plan->source_count; s++) {
        const struct config_source *source = plan->sources[s].config;
        for (uint32_t p = 0; p < counts[s]; p++) {
            struct rehearsed_partition *partition =
                &rehearsal->partitions[rehearsal->first_partitions[s] + p];
            partition->idle_timeout_us = source->idle_timeout_us;
            partition->state = (struct partition_state){
                .source_index = s,
                .partition = p,
                .watermark = {source->max_out_of_orderness_us, TIME_NONE},
                .last_record_us = rehearsal->clock.fixed_us,
                .max_time_seen_us = rehearsal->clock.fixed_us,
            };
            processor_init(&partition->processor, plan, true);
        }
    }
}

struct rehearsal *rehearsal_create(const struct rehearsal_options *options, struct config_errors *errors)
{
    struct plan *plan = plan_create(options->config, options->partition_counts, errors);
    if (!plan)
        return NULL;
    struct rehearsal *rehearsal = memory_allocate(sizeof *rehearsal);
    rehearsal->plan = plan;
    rehearsal->clock = clock_manual(options->start_us == TIME_NONE ? START_DEFAULT_US : options->start_us);
    rehearsal->batch = batch_create();
    arena_init(&rehearsal->arena, ARENA_DEFAULT_BLOCK_SIZE);
    rehearsal->first_partitions =
        memory_allocate_array(plan->source_count + 1, sizeof *rehearsal->first_partitions);
    open_partitions(rehearsal, options->partition_counts);
    rehearsal->mergers = memory_allocate_array(plan->pipeline_count + 1, sizeof *rehearsal->mergers);
    for (uint32_t i = 0; i < plan->pipeline_count; i++)
        rehearsal->mergers[i] = window_merger_create(&plan->pipelines[i].window, take_results, rehearsal);
    rehearsal->chain = chain_create(plan, rehearsal->mergers);
    return rehearsal;
}

void rehearsal_destroy(struct rehearsal *rehearsal)
{
    if (!rehearsal)
        return;
    for (uint32_t p = 0; p < rehearsal->partition_count; p++)
        processor_deinit(&rehearsal->partitions[p].processor);
    chain_destroy(rehearsal->chain);
    for (uint32_t i = 0; i < rehearsal->plan->pipeline_count; i++)
        window_merger_destroy(rehearsal->mergers[i]);
    batch_destroy(rehearsal->batch);
    arena_deinit(&rehearsal->arena);
    free(rehearsal->partitions);
    free(rehearsal->first_partitions);
    free(rehearsal->mergers);
    free(rehearsal->records);
    plan_destroy(rehearsal->plan);
    free(rehearsal);
}
