/* Batch mode by rounds. See replay.h.
 *
 *   shard thread: for each of its partitions: read a round → decode → panes ─┐ (one struct round per shard and round)
 *   main thread:  round of every shard → merge panes in partition order → advance the watermark → output
 */
#include "pipeline/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/thread.h"
#include "pipeline/replay_internal.h"
#include "source/file.h"

struct round_pane {
    uint32_t partition_index; /* in replay->partitions */
    uint32_t pipeline_index;
    struct pane *pane;
};

/* What one shard did in one round. */
struct round {
    struct round_pane *panes;
    size_t pane_count, pane_capacity;
    struct output_list *outputs; /* [partition_count] events of pipelines without a window */
    int64_t *watermarks_us;      /* [partition_count], set for the shard's own */
    bool *is_ended;              /* likewise: had no more records at the end of this round */
    uint32_t partition_count;
    bool is_last;
    bool has_failed;
};

/* --- the shards' side ------------------------------------------------------------------------------------------- */

static void take_panes(struct replay_partition *partition, uint32_t partition_index, int64_t watermark_us,
                       struct round *round)
{
    const struct processor *processor = &partition->processor;
    for (uint32_t i = 0; i < processor->plan->pipeline_count; i++) {
        if (!processor->operators[i])
            continue;
        for (struct pane *pane;
             (pane = window_operator_take(processor->operators[i], watermark_us, false));) {
            if (round->pane_count == round->pane_capacity) {
                round->pane_capacity = round->pane_capacity ? round->pane_capacity * 2 : 8;
                round->panes = memory_resize_array(round->panes, round->pane_capacity, sizeof *round->panes);
            }
            round->panes[round->pane_count++] = (struct round_pane){partition_index, i, pane};
        }
    }
}

/* Reads and applies one round of the partition. Sets is_ended at the end of the file. */
static enum status run_partition(struct replay *replay, struct replay_partition *partition,
                                 struct batch *batch, struct error *error)
{
    uint32_t left = REPLAY_ROUND_RECORDS;
    while (left > 0) {
        uint32_t want =
            left < replay->options->config->batch_size ? left : replay->options->config->batch_size;
        int64_t next_us = 0;
        batch_reset(batch);
        batch->source_index = partition->state.source_index;
        batch->partition = partition->state.partition;
        enum status status = source_read(partition->reader, want, INT64_MAX, batch, &next_us, error);
        if (status == STATUS_END) {
            partition->state.is_ended = true;
            return STATUS_OK;
        }
        if (status != STATUS_OK)
            return status;
        left -= batch->record_count < left ? batch->record_count : left;
        atomic_fetch_add_explicit(&replay->record_count, batch->record_count, memory_order_relaxed);
        processor_decode(&partition->processor, &partition->state, batch);
        status = processor_judge(&partition->processor, batch, error);
        if (status != STATUS_OK)
            return status;
        processor_apply(&partition->processor, &partition->state, batch);
    }
    return STATUS_OK;
}

static struct round *round_create(uint32_t partition_count)
{
    struct round *round = memory_allocate(sizeof *round);
    round->watermarks_us = memory_allocate_array(partition_count, sizeof *round->watermarks_us);
    round->is_ended = memory_allocate_array(partition_count, sizeof *round->is_ended);
    round->outputs = memory_allocate_array(partition_count, sizeof *round->outputs);
    round->partition_count = partition_count;
    return round;
}

static void round_destroy(struct round *round)
{
    for (size_t i = 0; i < round->pane_count; i++) {
        if (round->panes[i].pane)
            pane_destroy(round->panes[i].pane);
    }
    for (uint32_t i = 0; i < round->partition_count; i++)
        output_list_deinit(&round->outputs[i]);
    free(round->outputs);
    free(round->panes);
    free(round->watermarks_us);
    free(round->is_ended);
    free(round);
}

/* One round over the partitions of this shard. */
static struct round *run_round(struct replay_shard *shard, struct batch *batch)
{
    struct replay *replay = shard->replay;
    struct round *round = round_create(replay->partition_count);
    round->is_last = true;
    for (uint32_t i = shard->index; i < replay->partition_count; i += replay->shard_count) {
        struct replay_partition *partition = &replay->partitions[i];
        if (!partition->state.is_ended) {
            if (run_partition(replay, partition, batch, &shard->error) != STATUS_OK) {
                round->has_failed = round->is_last = true;
                return round;
            }
            event_output_take(&partition->processor.output, &round->outputs[i]);
            take_panes(partition, i, watermark_us(&partition->state.watermark), round);
            /* What is still open travels behind what the watermark closed. */
            if (partition->state.is_ended)
                take_panes(partition, i, TIME_MAX, round);
        }
        round->watermarks_us[i] = watermark_us(&partition->state.watermark);
        round->is_ended[i] = partition->state.is_ended;
        round->is_last = round->is_last && partition->state.is_ended;
    }
    return round;
}

static void *shard_main(void *argument)
{
    struct replay_shard *shard = argument;
    struct batch *batch = batch_create();
    for (bool is_last = false; !is_last;) {
        struct round *round = run_round(shard, batch);
        is_last = round->is_last || atomic_load_explicit(&shard->replay->should_stop, memory_order_relaxed);
        round->is_last = is_last;
        ring_push_wait(&shard->rounds, round);
    }
    batch_destroy(batch);
    return NULL;
}

/* --- the merger's side (main thread) ----------------------------------------------------------------------------- */

/* Progress of the input as the merger knows it. */
struct input_state {
    int64_t *watermarks_us;
    bool *is_ended, *was_ended; /* now; before this round */
    bool *is_shard_done;
};

static void merge_panes(struct replay *replay, struct round **rounds)
{
    /* By partition, whichever shard had it: the order of additions must not depend on the number of shards. */
    size_t *next = memory_allocate_array(replay->shard_count, sizeof *next);
    for (uint32_t p = 0; p < replay->partition_count; p++) {
        struct round *round = rounds[p % replay->shard_count];
        size_t *place = &next[p % replay->shard_count];
        while (round && *place < round->pane_count && round->panes[*place].partition_index == p) {
            struct round_pane *item = &round->panes[(*place)++];
            window_merger_add(replay->mergers[item->pipeline_index], item->pane, 0);
            item->pane = NULL;
        }
    }
    free(next);
}

static void pass_outputs(struct replay *replay, struct round **rounds)
{
    for (uint32_t p = 0; p < replay->partition_count; p++) {
        struct round *round = rounds[p % replay->shard_count];
        const struct partition_state *state = &replay->partitions[p].state;
        for (uint32_t i = 0; round && i < round->outputs[p].count; i++)
            replay_output_events(replay->output, state->source_index, state->partition,
                                 round->outputs[p].blocks[i]);
        if (round)
            round->outputs[p].count = 0;
    }
}

/* Smallest watermark over the pipeline's partitions that had not ended before this round; TIME_MAX when none is left. */
static int64_t pipeline_watermark(const struct replay *replay, const struct input_state *input,
                                  uint32_t pipeline_index)
{
    int64_t smallest_us = TIME_MAX;
    for (uint32_t p = 0; p < replay->partition_count; p++) {
        if (input->was_ended[p])
            continue;
        const struct plan_source *source = &replay->plan->sources[replay->partitions[p].state.source_index];
        for (uint32_t f = 0; f < source->feed_count; f++) {
            if (source->feeds[f].pipeline_index != pipeline_index)
                continue;
            if (input->watermarks_us[p] < smallest_us)
                smallest_us = input->watermarks_us[p];
        }
    }
    return smallest_us;
}

static void advance_pipelines(struct replay *replay, const struct input_state *input)
{
    for (uint32_t k = 0; k < replay->plan->pipeline_count; k++) {
        uint32_t i = replay->plan->order[k];
        bool is_chained = replay->plan->pipelines[i].config->upstream_count > 0;
        int64_t watermark_us =
            is_chained ? chain_clock(replay->chain, i).all_us : pipeline_watermark(replay, input, i);
        if (watermark_us == TIME_MAX)
            continue;
        window_merger_advance(replay->mergers[i], watermark_us, CLOSED_BY_WATERMARK, &clock_system);
        chain_pass(replay->chain, i, CLOSED_BY_WATERMARK, false, false);
        replay_output_step(replay->output, i, watermark_us);
    }
}

static void close_pipelines(struct replay *replay)
{
    for (uint32_t k = 0; k < replay->plan->pipeline_count && !replay->options->keeps_open; k++) {
        uint32_t i = replay->plan->order[k];
        window_merger_advance(replay->mergers[i], TIME_MAX, CLOSED_BY_END_OF_INPUT, &clock_system);
        chain_pass(replay->chain, i, CLOSED_BY_END_OF_INPUT, true, false);
        replay_output_step(replay->output, i, TIME_MAX);
    }
}

static void show_progress(const struct replay *replay, int64_t *next_us)
{
    int64_t now_us = clock_monotonic_us(&clock_system);
    if (!replay->options->shows_progress || now_us < *next_us)
        return;
    *next_us = now_us + MICROSECONDS_PER_SECOND / 4;
    fprintf(stderr, "\r%" PRIuFAST64 " events read, %" PRIu64 " results\033[K",
            atomic_load(&replay->record_count), replay_output_count(replay->output));
}

static struct round *wait_for_round(struct replay_shard *shard)
{
    struct round *round;
    while (!(round = ring_pop_wait(&shard->rounds, -1)))
        continue;
    return round;
}

/* Takes up one round of every shard that is not done. False when all are done or one has failed. */
static bool merge_round(struct replay *replay, struct input_state *input)
{
    struct round **rounds = memory_allocate_array(replay->shard_count, sizeof *rounds);
    bool has_failed = false, is_done = true;
    memcpy(input->was_ended, input->is_ended, replay->partition_count * sizeof *input->was_ended);
    for (uint32_t s = 0; s < replay->shard_count; s++) {
        if (input->is_shard_done[s])
            continue;
        rounds[s] = wait_for_round(&replay->shards[s]);
        has_failed = has_failed || rounds[s]->has_failed;
        input->is_shard_done[s] = rounds[s]->is_last;
        is_done = is_done && rounds[s]->is_last;
        for (uint32_t p = s; p < replay->partition_count; p += replay->shard_count) {
            input->watermarks_us[p] = rounds[s]->watermarks_us[p];
            input->is_ended[p] = rounds[s]->is_ended[p];
        }
    }
    if (!has_failed) {
        merge_panes(replay, rounds);
        pass_outputs(replay, rounds);
        advance_pipelines(replay, input);
    }
    for (uint32_t s = 0; s < replay->shard_count; s++) {
        if (rounds[s])
            round_destroy(rounds[s]);
    }
    free(rounds);
    if (has_failed)
        atomic_store_explicit(&replay->should_stop, true, memory_order_relaxed);
    return !is_done && !has_failed;
}

/* After a failure the other shards may wait for room in their rings. */
static void drain_shards(struct replay *replay, const struct input_state *input)
{
    for (uint32_t s = 0; s < replay->shard_count; s++) {
        for (bool is_done = input->is_shard_done[s]; !is_done;) {
            struct round *round = wait_for_round(&replay->shards[s]);
            is_done = round->is_last;
            round_destroy(round);
        }
    }
}

static enum status merge_all(struct replay *replay, struct error *error)
{
    struct input_state input = {
        .watermarks_us = memory_allocate_array(replay->partition_count, sizeof *input.watermarks_us),
        .is_ended = memory_allocate_array(replay->partition_count, sizeof *input.is_ended),
        .was_ended = memory_allocate_array(replay->partition_count, sizeof *input.was_ended),
        .is_shard_done = memory_allocate_array(replay->shard_count, sizeof *input.is_shard_done),
    };
    int64_t next_progress_us = 0;
    while (merge_round(replay, &input))
        show_progress(replay, &next_progress_us);
    drain_shards(replay, &input);
    free(input.watermarks_us);
    free(input.is_ended);
    free(input.was_ended);
    free(input.is_shard_done);
    if (replay->options->shows_progress)
        fputs("\r\033[K", stderr);
    for (uint32_t s = 0; s < replay->shard_count; s++) {
        if (!replay->shards[s].error.text[0])
            continue;
        *error = replay->shards[s].error;
        return STATUS_INVALID;
    }
    close_pipelines(replay);
    if (replay_output_finish(replay->output) == STATUS_OK)
        return STATUS_OK;
    error_set(error, "cannot write the results: %s; is the disk full?", strerror(errno));
    return STATUS_IO;
}

/* --- set-up ------------------------------------------------------------------------------------------------------ */

static enum status open_partitions(struct replay *replay, struct error *error)
{
    uint32_t *next_partition = memory_allocate_array(replay->plan->source_count, sizeof *next_partition);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < replay->partition_count && status == STATUS_OK; i++) {
        struct replay_partition *partition = &replay->partitions[i];
        const struct plan_source *source = &replay->plan->sources[replay->options->inputs[i].source_index];
        partition->input = &replay->options->inputs[i];
        partition->state = (struct partition_state){
            .source_index = partition->input->source_index,
            .partition = partition->input->open ? partition->input->partition
                                                : next_partition[partition->input->source_index]++,
            .watermark = {source->config->max_out_of_orderness_us, TIME_NONE},
        };
        processor_init(&partition->processor, replay->plan, false);
        struct file_reader_options options = {.rate = FILE_READ_MAX, .clock = &clock_system};
        status = partition->input->open
                     ? partition->input->open(partition->input, &partition->reader, error)
                     : file_reader_open(partition->input->path, &options, &partition->reader, error);
    }
    free(next_partition);
    return status;
}

static void start_shards(struct replay *replay)
{
    uint32_t wanted = replay->options->config->shards;
    replay->shard_count = wanted < replay->partition_count ? wanted : replay->partition_count;
    replay->shards = memory_allocate_array(replay->shard_count, sizeof *replay->shards);
    for (uint32_t i = 0; i < replay->shard_count; i++) {
        struct replay_shard *shard = &replay->shards[i];
        shard->replay = replay;
        shard->index = i;
        waker_open(&shard->waker);
        ring_init(&shard->rounds, REPLAY_RING_ROUNDS, &replay->waker, &shard->waker);
    }
    for (uint32_t i = 0; i < replay->shard_count; i++) {
        replay->shards[i].thread = thread_start("weir-shard", shard_main, &replay->shards[i]);
    }
}

/* A window_emit. */
static void take_results(void *context, struct result_block *block)
{
    struct replay *replay = context;
    chain_take(replay->chain, block);
    if (replay->plan->pipelines[block->shape->pipeline_index].config->is_hidden)
        result_block_release(block);
    else
        replay_output_emit(replay->output, block);
}

static void create_mergers(struct replay *replay)
{
    replay->output =
        replay_output_create(replay->plan, replay->options->output, replay->options->shows_revisions);
    replay->mergers = memory_allocate_array(replay->plan->pipeline_count, sizeof *replay->mergers);
    for (uint32_t i = 0; i < replay->plan->pipeline_count; i++) {
        replay->mergers[i] = window_merger_create(&replay->plan->pipelines[i].window, take_results, replay);
    }
    replay->chain = chain_create(replay->plan, replay->mergers);
}

static void replay_deinit(struct replay *replay)
{
    for (uint32_t i = 0; i < replay->shard_count; i++) {
        ring_deinit(&replay->shards[i].rounds);
        waker_close(&replay->shards[i].waker);
    }
    for (uint32_t i = 0; i < replay->partition_count; i++) {
        struct replay_partition *partition = &replay->partitions[i];
        if (partition->reader)
            partition->reader->operations->close(partition->reader);
        if (partition->processor.plan)
            processor_deinit(&partition->processor);
    }
    chain_destroy(replay->chain);
    for (uint32_t i = 0; replay->mergers && i < replay->plan->pipeline_count; i++) {
        window_merger_destroy(replay->mergers[i]);
    }
    replay_output_destroy(replay->output);
    free(replay->mergers);
    free(replay->shards);
    free(replay->partitions);
    plan_destroy(replay->plan);
    waker_close(&replay->waker);
}

/* Files have no time of their own, so a source that is replayed must say where its events have theirs. */
static bool check_inputs(const struct replay_options *options, uint32_t *partition_counts,
                         struct config_errors *errors)
{
    bool is_good = true;
    for (uint32_t i = 0; i < options->input_count; i++) {
        const struct replay_input *input = &options->inputs[i];
        const struct config_source *source = &options->config->sources[input->source_index];
        uint32_t *count = &partition_counts[input->source_index];
        bool is_first = *count == 0;
        *count = input->open && input->partition >= *count ? input->partition + 1 : *count + !input->open;
        if (source->time.text || !is_first || input->open)
            continue;
        config_error_add(
            errors, source->place,
            "source \"%s\" has no `time`, and a file has no time of its own; add `time: PATH` (the field "
            "with the event time) to replay it",
            source->name);
        is_good = false;
    }
    return is_good;
}

enum status replay_run(const struct replay_options *options, struct config_errors *errors,
                       struct error *error)
{
    int64_t wall_start_us = clock_monotonic_us(&clock_system), cpu_start_us = clock_process_cpu_us();
    uint32_t *partition_counts =
        memory_allocate_array(options->config->source_count, sizeof *partition_counts);
    struct replay replay = {.options = options, .partition_count = options->input_count};
    if (check_inputs(options, partition_counts, errors))
        replay.plan = plan_create(options->config, partition_counts, errors);
    free(partition_counts);
    if (!replay.plan) {
        error_set(error, "the configuration does not allow this replay");
        return STATUS_INVALID;
    }
    waker_open(&replay.waker);
    replay.partitions = memory_allocate_array(replay.partition_count, sizeof *replay.partitions);
    enum status status = open_partitions(&replay, error);
    if (status == STATUS_OK) {
        create_mergers(&replay);
        start_shards(&replay);
        status = merge_all(&replay, error);
        for (uint32_t i = 0; i < replay.shard_count; i++)
            thread_join(replay.shards[i].thread);
    }
    if (status == STATUS_OK) {
        replay_write_summary(&replay, clock_monotonic_us(&clock_system) - wall_start_us,
                             clock_process_cpu_us() - cpu_start_us);
    }
    replay_deinit(&replay);
    return status;
}
