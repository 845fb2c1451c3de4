/* Results of a replay in their printed order: pipeline by name, window start, key. A window's emissions are kept (as
 * references to blocks) until the watermark has passed its end and lateness; then its keys are sorted, the last
 * record of each is printed, and the blocks are let go. With revisions each step's emissions are printed at once.
 *
 * Events of a pipeline without a window come partition by partition in turns; they are spooled as they come, and copied from there in the
 * order of partitions at the end. */
#include "pipeline/replay_output.h"

#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "flow/event_time.h"

struct entry {
    struct result_block *block;
    uint32_t row;
};

struct entry_list {
    struct entry *entries;
    size_t count, capacity;
};

/* The emissions of one window. Every entry holds a reference to its block. */
struct window_group {
    int64_t start_us, end_us;
    struct entry_list list;
};

/* Consecutive lines of one partition in a spool. */
struct extent {
    uint32_t source_index, partition;
    off_t start;
    size_t size;
};

struct pipeline_output {
    const struct plan_pipeline *pipeline;
    struct window_group *groups; /* ordered by start */
    size_t group_count, group_capacity;
    struct entry_list step; /* emissions of the current step, when revisions are shown */
    FILE *file;             /* the output itself, or a spool */
    struct extent *extents; /* of a spool of events */
    size_t extent_count, extent_capacity;
    off_t spool_size;
};

struct replay_output {
    FILE *file;
    bool shows_revisions;
    bool has_failed;
    uint64_t emission_count;
    struct pipeline_output *pipelines; /* by pipeline index */
    uint32_t *order;                   /* pipeline indices by name */
    uint32_t pipeline_count;
};

static int compare_names(const void *a, const void *b, void *context)
{
    const struct replay_output *output = context;
    return strcmp(output->pipelines[*(const uint32_t *)a].pipeline->shape.pipeline,
                  output->pipelines[*(const uint32_t *)b].pipeline->shape.pipeline);
}

struct replay_output *replay_output_create(const struct plan *plan, FILE *file, bool shows_revisions)
{
    struct replay_output *output = memory_allocate(sizeof *output);
    *output = (struct replay_output){.file = file, .shows_revisions = shows_revisions};
    output->pipeline_count = plan->pipeline_count;
    output->pipelines = memory_allocate_array(plan->pipeline_count, sizeof *output->pipelines);
    output->order = memory_allocate_array(plan->pipeline_count, sizeof *output->order);
    for (uint32_t i = 0; i < plan->pipeline_count; i++) {
        output->pipelines[i].pipeline = &plan->pipelines[i];
        output->order[i] = i;
    }
    qsort_r(output->order, plan->pipeline_count, sizeof *output->order, compare_names, output);
    /* Emissions "as they happen" and results of the first pipeline need no spool. */
    for (uint32_t i = 0; file && i < plan->pipeline_count; i++) {
        struct pipeline_output *pipeline = &output->pipelines[output->order[i]];
        bool is_first = i == 0 && pipeline->pipeline->has_window;
        pipeline->file = is_first || shows_revisions ? file : tmpfile();
    }
    return output;
}

static void add_entry(struct entry_list *list, struct result_block *block, uint32_t row)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->entries = memory_resize_array(list->entries, list->capacity, sizeof *list->entries);
    }
    list->entries[list->count++] = (struct entry){result_block_acquire(block), row};
}

static void clear_entries(struct entry_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        result_block_release(list->entries[i].block);
    list->count = 0;
}

static void free_entries(struct entry_list *list)
{
    clear_entries(list);
    free(list->entries);
    *list = (struct entry_list){0};
}

void replay_output_destroy(struct replay_output *output)
{
    if (!output)
        return;
    for (uint32_t i = 0; i < output->pipeline_count; i++) {
        struct pipeline_output *pipeline = &output->pipelines[i];
        for (size_t g = 0; g < pipeline->group_count; g++)
            free_entries(&pipeline->groups[g].list);
        free(pipeline->groups);
        free(pipeline->extents);
        free_entries(&pipeline->step);
        if (pipeline->file && pipeline->file != output->file)
            fclose(pipeline->file);
    }
    free(output->pipelines);
    free(output->order);
    free(output);
}

/* The group of the window, put in its place when it is new. Emissions come mostly in window order, so the search
 * starts at the end. */
static struct window_group *find_group(struct pipeline_output *pipeline, int64_t start_us, int64_t end_us)
{
    size_t place = pipeline->group_count;
    while (place > 0 && pipeline->groups[place - 1].start_us > start_us)
        place--;
    if (place > 0 && pipeline->groups[place - 1].start_us == start_us)
        return &pipeline->groups[place - 1];
    if (pipeline->group_count == pipeline->group_capacity) {
        pipeline->group_capacity = pipeline->group_capacity ? pipeline->group_capacity * 2 : 16;
        pipeline->groups =
            memory_resize_array(pipeline->groups, pipeline->group_capacity, sizeof *pipeline->groups);
    }
    memmove(&pipeline->groups[place + 1], &pipeline->groups[place],
            (pipeline->group_count - place) * sizeof *pipeline->groups);
    pipeline->group_count++;
    pipeline->groups[place] = (struct window_group){.start_us = start_us, .end_us = end_us};
    return &pipeline->groups[place];
}

void replay_output_emit(void *context, struct result_block *block)
{
    struct replay_output *output = context;
    output->emission_count += block->row_count;
    struct pipeline_output *pipeline = &output->pipelines[block->shape->pipeline_index];
    for (uint32_t row = 0; output->file && row < block->row_count; row++) {
        /* A session can be joined to one that began long before, so their order is known at the end only. */
        bool is_session = pipeline->pipeline->window.kind == WINDOW_SESSION;
        int64_t start_us = is_session ? 0 : block->window_starts_us[row];
        int64_t end_us = is_session ? TIME_MAX : block->window_ends_us[row];
        struct entry_list *list =
            output->shows_revisions ? &pipeline->step : &find_group(pipeline, start_us, end_us)->list;
        add_entry(list, block, row);
    }
    result_block_release(block);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* The order in which records of the same id replace each other. */
static int compare_ranks(const struct entry *a, const struct entry *b)
{
    int order = compare_numbers(a->block->emits[a->row] != EMIT_EARLY, b->block->emits[b->row] != EMIT_EARLY);
    if (!order)
        order = compare_numbers(a->block->revisions[a->row], b->block->revisions[b->row]);
    if (!order) {
        order = compare_numbers(result_block_event_count(a->block, a->row),
                                result_block_event_count(b->block, b->row));
    }
    return order;
}

static int compare_by_key(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = result_key_compare(a->block, a->row, b->block, b->row);
    return order ? order : compare_ranks(a, b);
}

/* Ids have milliseconds. */
static int64_t id_start(const struct entry *entry)
{
    return event_time_floor(entry->block->window_starts_us[entry->row], 1000);
}

static int compare_by_start(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int64_t start_a = id_start(a), start_b = id_start(b);
    if (start_a != start_b)
        return start_a < start_b ? -1 : 1;
    return compare_by_key(left, right);
}

static int compare_by_window(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int64_t start_a = a->block->window_starts_us[a->row], start_b = b->block->window_starts_us[b->row];
    if (start_a != start_b)
        return start_a < start_b ? -1 : 1;
    int order = compare_numbers(a->block->emits[a->row], b->block->emits[b->row]);
    return order ? order : compare_by_key(left, right);
}

static void print_entry(struct replay_output *output, FILE *file, const struct entry *entry)
{
    if (!entry->block->json_offsets)
        result_block_encode(entry->block);
    struct slice json = result_block_json(entry->block, entry->row);
    if (!file || fwrite(json.data, 1, json.size, file) != json.size || putc_unlocked('\n', file) == EOF) {
        output->has_failed = true;
    }
}

static bool is_same_window(const struct entry *a, const struct entry *b)
{
    return id_start(a) == id_start(b) && result_key_compare(a->block, a->row, b->block, b->row) == 0;
}

static void print_last_states(struct replay_output *output, FILE *file, struct entry_list *list)
{
    if (list->count)
        qsort(list->entries, list->count, sizeof *list->entries, compare_by_start);
    for (size_t i = 0; i < list->count; i++) {
        const struct entry *entry = &list->entries[i];
        bool is_last = i + 1 == list->count || !is_same_window(entry, entry + 1);
        if (is_last && !result_block_is_merged(entry->block, entry->row))
            print_entry(output, file, entry);
    }
}

void replay_output_step(struct replay_output *output, uint32_t pipeline_index, int64_t watermark_us)
{
    struct pipeline_output *pipeline = &output->pipelines[pipeline_index];
    if (output->shows_revisions) {
        if (pipeline->step.count)
            qsort(pipeline->step.entries, pipeline->step.count, sizeof *pipeline->step.entries,
                  compare_by_window);
        for (size_t i = 0; i < pipeline->step.count; i++) {
            print_entry(output, pipeline->file, &pipeline->step.entries[i]);
        }
        clear_entries(&pipeline->step);
        return;
    }
    int64_t lateness_us = pipeline->pipeline->window.allowed_lateness_us;
    size_t done = 0;
    while (done < pipeline->group_count && watermark_us != TIME_NONE &&
           (watermark_us == TIME_MAX || pipeline->groups[done].end_us <= watermark_us - lateness_us)) {
        print_last_states(output, pipeline->file, &pipeline->groups[done].list);
        free_entries(&pipeline->groups[done++].list);
    }
    if (!done)
        return;
    pipeline->group_count -= done;
    memmove(pipeline->groups, pipeline->groups + done, pipeline->group_count * sizeof *pipeline->groups);
}

/* --- events -------------------------------------------------------------------------------------------------------- */

static void add_extent(struct pipeline_output *pipeline, struct extent extent)
{
    struct extent *last = pipeline->extent_count ? &pipeline->extents[pipeline->extent_count - 1] : NULL;
    pipeline->spool_size += (off_t)extent.size;
    if (last && last->source_index == extent.source_index && last->partition == extent.partition) {
        last->size += extent.size;
        return;
    }
    if (pipeline->extent_count == pipeline->extent_capacity) {
        pipeline->extent_capacity = pipeline->extent_capacity ? pipeline->extent_capacity * 2 : 64;
        pipeline->extents =
            memory_resize_array(pipeline->extents, pipeline->extent_capacity, sizeof *pipeline->extents);
    }
    pipeline->extents[pipeline->extent_count++] = extent;
}

void replay_output_events(struct replay_output *output, uint32_t source_index, uint32_t partition,
                          struct output_block *block)
{
    struct pipeline_output *pipeline = &output->pipelines[block->pipeline_index];
    output->emission_count += block->row_count;
    if (output->file) {
        struct buffer lines = {0};
        for (uint32_t row = 0; row < block->row_count; row++)
            output_block_append_line(&lines, block, row);
        if (!pipeline->file || fwrite(lines.data, 1, lines.size, pipeline->file) != lines.size)
            output->has_failed = true;
        if (!output->shows_revisions)
            add_extent(pipeline, (struct extent){source_index, partition, pipeline->spool_size, lines.size});
        buffer_deinit(&lines);
    }
    output_block_release(block);
}

static int compare_extents(const void *left, const void *right)
{
    const struct extent *a = left, *b = right;
    if (a->source_index != b->source_index)
        return a->source_index < b->source_index ? -1 : 1;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return (a->start > b->start) - (a->start < b->start);
}

static bool copy_bytes(FILE *from, size_t size, FILE *to)
{
    char chunk[64 * 1024];
    while (size > 0) {
        size_t step = size < sizeof chunk ? size : sizeof chunk;
        if (fread(chunk, 1, step, from) != step || fwrite(chunk, 1, step, to) != step)
            return false;
        size -= step;
    }
    return true;
}

static bool copy_extents(struct pipeline_output *pipeline, FILE *to)
{
    if (pipeline->extent_count)
        qsort(pipeline->extents, pipeline->extent_count, sizeof *pipeline->extents, compare_extents);
    for (size_t i = 0; i < pipeline->extent_count; i++) {
        const struct extent *extent = &pipeline->extents[i];
        if (fseeko(pipeline->file, extent->start, SEEK_SET) != 0 ||
            !copy_bytes(pipeline->file, extent->size, to))
            return false;
    }
    return true;
}

/* --- the end ------------------------------------------------------------------------------------------------------- */

static bool copy_spool(FILE *from, FILE *to)
{
    char chunk[64 * 1024];
    if (fseeko(from, 0, SEEK_SET) != 0)
        return false;
    for (size_t size; (size = fread(chunk, 1, sizeof chunk, from)) > 0;) {
        if (fwrite(chunk, 1, size, to) != size)
            return false;
    }
    return !ferror(from);
}

enum status replay_output_finish(struct replay_output *output)
{
    if (!output->file)
        return STATUS_OK;
    for (uint32_t i = 0; i < output->pipeline_count; i++) {
        struct pipeline_output *pipeline = &output->pipelines[output->order[i]];
        replay_output_step(output, output->order[i], TIME_MAX);
        if (!pipeline->file || pipeline->file == output->file)
            continue;
        bool is_copied = pipeline->pipeline->has_window ? copy_spool(pipeline->file, output->file)
                                                        : copy_extents(pipeline, output->file);
        if (!is_copied)
            output->has_failed = true;
    }
    if (fflush(output->file) != 0)
        output->has_failed = true;
    return output->has_failed ? STATUS_IO : STATUS_OK;
}

uint64_t replay_output_count(const struct replay_output *output)
{
    return output->emission_count;
}
