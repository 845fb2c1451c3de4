/* Final results on their way into other pipelines. See chain.h. */
#include "pipeline/chain.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

/* A final record that waits. */
struct chain_row {
    struct result_block *block; /* each row has a reference */
    uint32_t row;
};

/* What records from `first_offset` on, up to the next of these, may rest on. */
struct chain_note {
    int64_t first_offset;
    struct chain_base *bases;
    uint32_t count;
};

/* One pipeline that is read. */
struct chain_link {
    uint32_t pipeline_index;
    const struct plan_source *source;
    struct partition_state state;
    struct processor processor;
    int64_t next_offset;
    enum close_cause cause; /* of the last move of its watermark */
    struct chain_row *rows;
    size_t row_count, row_capacity;
    struct chain_note *notes; /* by first_offset */
    uint32_t note_count, note_capacity;
};

struct chain {
    const struct plan *plan;
    struct window_merger **mergers;
    struct batch *batch;
    struct chain_link *links; /* [plan->derived->source_count] */
    uint32_t link_count;
};

static void open_link(struct chain_link *link, const struct plan *derived, uint32_t index)
{
    link->pipeline_index = derived->derived_pipelines[index];
    link->source = &derived->sources[index];
    link->state =
        (struct partition_state){.source_index = index, .watermark = {.max_event_time_us = TIME_NONE}};
    processor_init(&link->processor, derived, false);
}

struct chain *chain_create(const struct plan *plan, struct window_merger **mergers)
{
    if (!plan->derived)
        return NULL;
    struct chain *chain = memory_allocate(sizeof *chain);
    chain->plan = plan;
    chain->mergers = mergers;
    chain->batch = batch_create();
    chain->link_count = plan->derived->source_count;
    chain->links = memory_allocate_array(chain->link_count, sizeof *chain->links);
    for (uint32_t i = 0; i < chain->link_count; i++)
        open_link(&chain->links[i], plan->derived, i);
    return chain;
}

static void drop_rows(struct chain_link *link)
{
    for (size_t i = 0; i < link->row_count; i++)
        result_block_release(link->rows[i].block);
    link->row_count = 0;
}

static void drop_notes(struct chain_link *link)
{
    for (uint32_t i = 0; i < link->note_count; i++)
        free(link->notes[i].bases);
    link->note_count = 0;
}

void chain_destroy(struct chain *chain)
{
    if (!chain)
        return;
    for (uint32_t i = 0; i < chain->link_count; i++) {
        struct chain_link *link = &chain->links[i];
        drop_rows(link);
        drop_notes(link);
        processor_deinit(&link->processor);
        free(link->rows);
        free(link->notes);
    }
    free(chain->links);
    batch_destroy(chain->batch);
    free(chain);
}

static struct chain_link *find_link(const struct chain *chain, uint32_t pipeline_index)
{
    for (uint32_t i = 0; chain && i < chain->link_count; i++) {
        if (chain->links[i].pipeline_index == pipeline_index)
            return &chain->links[i];
    }
    return NULL;
}

bool chain_is_read(const struct chain *chain, uint32_t pipeline_index)
{
    return find_link(chain, pipeline_index) != NULL;
}

/* --- records ------------------------------------------------------------------------------------------------------------------ */

void chain_take(struct chain *chain, struct result_block *block)
{
    struct chain_link *link = find_link(chain, block->shape->pipeline_index);
    if (link && !block->json_offsets)
        result_block_encode(block); /* now, since nothing may change once the block is shared */
    for (uint32_t row = 0; link && row < block->row_count; row++) {
        if (block->emits[row] != EMIT_FINAL)
            continue;
        if (link->row_count == link->row_capacity) {
            link->row_capacity = link->row_capacity ? link->row_capacity * 2 : 64;
            link->rows = memory_resize_array(link->rows, link->row_capacity, sizeof *link->rows);
        }
        link->rows[link->row_count++] = (struct chain_row){result_block_acquire(block), row};
    }
}

static int compare_times(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* Windows close in the order of their ends, so this is one order over all that is ever passed, in whatever portions. */
static int compare_rows(const void *left, const void *right)
{
    const struct chain_row *a = left, *b = right;
    int order = compare_times(a->block->window_ends_us[a->row], b->block->window_ends_us[b->row]);
    if (!order)
        order = compare_times(a->block->window_starts_us[a->row], b->block->window_starts_us[b->row]);
    return order ? order : result_key_compare(a->block, a->row, b->block, b->row);
}

static void apply_batch(struct chain *chain, struct chain_link *link)
{
    struct batch *batch = chain->batch;
    processor_decode(&link->processor, &link->state, batch);
    if (batch->bad_count)
        log_write(
            LOG_WARN, "engine",
            "pipeline %s: %u results are no events for the pipelines that read it: %s (%s); larger than 1 MiB?",
            link->source->config->name, batch->bad_count, bad_reason_name(batch->bad[0].reason),
            batch->bad[0].detail ? batch->bad[0].detail : "no more is known");
    processor_apply(&link->processor, &link->state, batch);
}

static void begin_batch(struct chain *chain, const struct chain_link *link, bool is_replay)
{
    batch_reset(chain->batch);
    chain->batch->source_index = link->state.source_index;
    chain->batch->is_replay = is_replay;
}

static void apply_rows(struct chain *chain, struct chain_link *link, bool is_replay)
{
    if (link->row_count > 1)
        qsort(link->rows, link->row_count, sizeof *link->rows, compare_rows);
    begin_batch(chain, link, is_replay);
    for (size_t i = 0; i < link->row_count; i++) {
        struct result_block *block = link->rows[i].block;
        uint32_t row = link->rows[i].row;
        batch_append(chain->batch, result_block_json(block, row), link->next_offset++,
                     block->window_ends_us[row] - 1);
        bool is_full =
            chain->batch->record_count == CHAIN_BATCH_RECORDS || chain->batch->text_size >= BATCH_TEXT_SIZE;
        if (is_full || i + 1 == link->row_count) {
            apply_batch(chain, link);
            begin_batch(chain, link, is_replay);
        }
    }
    drop_rows(link);
}

static void pass_panes(struct chain *chain, struct chain_link *link)
{
    int64_t until_us = link->state.is_ended ? TIME_MAX : watermark_us(&link->state.watermark);
    for (uint32_t f = 0; f < link->source->feed_count; f++) {
        uint32_t pipeline_index = link->source->feeds[f].pipeline_index;
        struct window_operator *operator= link->processor.operators[pipeline_index];
        const struct window_spec *window = &chain->plan->pipelines[pipeline_index].window;
        bool flush_open = window->emit_every_us || window->close_after_us;
        for (struct pane *pane; operator&&(pane = window_operator_take(operator, until_us, flush_open));)
            window_merger_add(chain->mergers[pipeline_index], pane, 0);
    }
}

/* What the clock has decided above is decided by it below as well. */
static enum close_cause cause_of_rows(const struct chain_link *link, enum close_cause cause)
{
    for (size_t i = 0; i < link->row_count; i++) {
        if (link->rows[i].block->causes[link->rows[i].row] == CLOSED_BY_WALL_CLOCK)
            return CLOSED_BY_WALL_CLOCK;
    }
    return cause;
}

void chain_pass(struct chain *chain, uint32_t pipeline_index, enum close_cause cause, bool is_ended,
                bool is_replay)
{
    struct chain_link *link = find_link(chain, pipeline_index);
    if (!link)
        return;
    int64_t closed_us = window_merger_stats(chain->mergers[pipeline_index]).closed_through_us;
    bool is_moved = closed_us != TIME_NONE && closed_us > link->state.watermark.max_event_time_us;
    if (!link->row_count && !is_moved && is_ended == link->state.is_ended)
        return;
    if (is_moved)
        link->cause = cause_of_rows(link, cause);
    apply_rows(chain, link, is_replay);
    if (is_moved)
        link->state.watermark.max_event_time_us = closed_us;
    link->state.is_ended = is_ended;
    pass_panes(chain, link);
}

struct pipeline_clock chain_clock(const struct chain *chain, uint32_t pipeline_index)
{
    struct pipeline_clock time = pipeline_clock_none();
    for (uint32_t i = 0; chain && i < chain->link_count; i++) {
        const struct chain_link *link = &chain->links[i];
        for (uint32_t f = 0; f < link->source->feed_count; f++) {
            if (link->source->feeds[f].pipeline_index != pipeline_index)
                continue;
            if (!link->state.is_ended && watermark_us(&link->state.watermark) < time.all_us)
                time.cause = link->cause;
            pipeline_clock_add_partition(&time, &link->state);
        }
    }
    return time;
}

static bool has_windows_below(const struct chain *chain, uint32_t pipeline_index)
{
    const struct chain_link *link = find_link(chain, pipeline_index);
    for (uint32_t f = 0; link && f < link->source->feed_count; f++) {
        const struct plan_feed *feed = &link->source->feeds[f];
        const struct window_operator *operator= link->processor.operators[feed->pipeline_index];
        int64_t unused_us;
        if (operator&&
            window_operator_oldest_offset(operator, feed->first_partition, &unused_us) != INT64_MAX)
            return true;
        if (window_merger_stats(chain->mergers[feed->pipeline_index]).open_windows ||
            has_windows_below(chain, feed->pipeline_index))
            return true;
    }
    return false;
}

int64_t chain_next_us(const struct chain *chain, uint32_t pipeline_index, const struct pipeline_clock *time,
                      int64_t now_us)
{
    bool goes_on = pipeline_clock_is_idle(time) && has_windows_below(chain, pipeline_index);
    return goes_on ? now_us + IDLE_STEP_US : INT64_MAX;
}

void chain_reset(struct chain *chain, uint32_t pipeline_index)
{
    struct chain_link *link = find_link(chain, pipeline_index);
    if (!link)
        return;
    drop_rows(link);
    drop_notes(link);
    link->state.watermark.max_event_time_us = TIME_NONE;
    link->state.is_ended = false;
    for (uint32_t f = 0; f < link->source->feed_count; f++) {
        if (link->processor.operators[link->source->feeds[f].pipeline_index])
            processor_reset_pipeline(&link->processor, link->source->feeds[f].pipeline_index);
    }
}

struct feed_counts chain_counts(const struct chain *chain, uint32_t pipeline_index)
{
    struct feed_counts counts = {0};
    for (uint32_t i = 0; chain && i < chain->link_count; i++) {
        const struct chain_link *link = &chain->links[i];
        for (uint32_t f = 0; f < link->source->feed_count; f++) {
            const struct feed_counts *feed = &link->processor.sources[link->state.source_index].feeds[f];
            if (link->source->feeds[f].pipeline_index != pipeline_index)
                continue;
            counts.used += feed->used;
            counts.filtered += feed->filtered;
            counts.too_late += feed->too_late;
        }
    }
    return counts;
}

/* --- recovery ------------------------------------------------------------------------------------------------------------------- */

static void merge_base(struct chain_note *note, const struct chain_base *base)
{
    for (uint32_t i = 0; i < note->count; i++) {
        struct chain_base *own = &note->bases[i];
        if (own->source_index != base->source_index || own->partition != base->partition)
            continue;
        if (base->offset < own->offset)
            *own = *base;
        return;
    }
    note->bases[note->count++] = *base;
}

/* Every second note goes; the one before it stands for its records too, and so reaches back as far as either. */
static void thin_notes(struct chain_link *link)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < link->note_count; i += 2) {
        struct chain_note *note = &link->notes[kept++];
        *note = link->notes[i];
        if (i + 1 == link->note_count)
            break;
        struct chain_note *next = &link->notes[i + 1];
        note->bases = memory_resize_array(note->bases, note->count + next->count + 1, sizeof *note->bases);
        for (uint32_t b = 0; b < next->count; b++)
            merge_base(note, &next->bases[b]);
        free(next->bases);
    }
    link->note_count = kept;
}

void chain_note(struct chain *chain, uint32_t pipeline_index, const struct chain_base *bases, uint32_t count)
{
    struct chain_link *link = find_link(chain, pipeline_index);
    if (!link)
        return;
    /* No record has come since the note before: it is of records that come now. */
    if (link->note_count && link->notes[link->note_count - 1].first_offset == link->next_offset)
        free(link->notes[--link->note_count].bases);
    if (link->note_count == CHAIN_BASES_MAX)
        thin_notes(link);
    if (link->note_count == link->note_capacity) {
        link->note_capacity = link->note_capacity ? link->note_capacity * 2 : 16;
        link->notes = memory_resize_array(link->notes, link->note_capacity, sizeof *link->notes);
    }
    struct chain_note *note = &link->notes[link->note_count++];
    *note = (struct chain_note){.first_offset = link->next_offset, .count = count};
    note->bases = memory_allocate_array(count + 1, sizeof *note->bases);
    if (count)
        memcpy(note->bases, bases, count * sizeof *bases);
}

/* First record of the link that is in an open window of one pipeline, or of any (UINT32_MAX); INT64_MAX: none. */
static int64_t oldest_record(const struct chain *chain, const struct chain_link *link, uint32_t of_pipeline)
{
    int64_t oldest = INT64_MAX, unused_us;
    for (uint32_t f = 0; f < link->source->feed_count; f++) {
        const struct plan_feed *feed = &link->source->feeds[f];
        if (of_pipeline != UINT32_MAX && feed->pipeline_index != of_pipeline)
            continue;
        const struct window_operator *operator= link->processor.operators[feed->pipeline_index];
        int64_t held = window_merger_oldest_offset(chain->mergers[feed->pipeline_index],
                                                   feed->first_partition, &unused_us);
        int64_t open = operator? window_operator_oldest_offset(operator, feed->first_partition, &unused_us)
                               : INT64_MAX;
        oldest = held < oldest ? held : oldest;
        oldest = open < oldest ? open : oldest;
    }
    return oldest;
}

/* The newest note stays: records may still come that belong to it. */
static void forget_notes(struct chain_link *link, int64_t oldest)
{
    uint32_t gone = 0;
    while (gone + 1 < link->note_count && link->notes[gone + 1].first_offset <= oldest)
        free(link->notes[gone++].bases);
    link->note_count -= gone;
    memmove(link->notes, link->notes + gone, link->note_count * sizeof *link->notes);
}

void chain_visit_bases(struct chain *chain, uint32_t of_pipeline,
                       void (*visit)(void *context, const struct chain_base *base), void *context)
{
    for (uint32_t i = 0; chain && i < chain->link_count; i++) {
        struct chain_link *link = &chain->links[i];
        int64_t oldest = oldest_record(chain, link, of_pipeline);
        if (of_pipeline == UINT32_MAX)
            forget_notes(link, oldest);
        if (oldest == INT64_MAX)
            continue;
        for (uint32_t n = 0; n < link->note_count; n++) {
            bool is_before = n + 1 < link->note_count && link->notes[n + 1].first_offset <= oldest;
            for (uint32_t b = 0; !is_before && b < link->notes[n].count; b++)
                visit(context, &link->notes[n].bases[b]);
        }
    }
}
