/* See session_output.h. */
#include "window/session_output.h"

#include <stdlib.h>

#include "base/memory.h"

enum { RUN_ROWS = 256, SCRATCH_TEXT_SIZE = 16 * 1024 * 1024 };

void session_output_init(struct session_output *output, const struct window_spec *spec,
                         struct pane_pool *pool, window_emit emit, void *context)
{
    *output = (struct session_output){.scratch = pane_create(pool, PANE_SESSIONS, 0, 0)};
    emission_init(&output->emission, spec, pool, emit, context);
}

void session_output_deinit(struct session_output *output)
{
    emission_deinit(&output->emission);
    pane_destroy(output->scratch);
    free(output->records);
}

uint32_t session_output_sum(struct session_output *output, const struct pane *pane, const uint32_t *rows,
                            uint32_t count, uint32_t key_row)
{
    struct pane *scratch = output->scratch;
    char *into = (char *)pane_append_row(scratch, pane, pane_row_at(pane, key_row));
    for (uint32_t i = 0; i < count; i++) {
        const char *from = (const char *)pane_row_at(pane, rows[i]);
        pane_merge_rows(scratch, &into, pane, &from, 1);
    }
    return scratch->row_count - 1;
}

void session_output_add(struct session_output *output, const struct pane *pane,
                        const struct session_record *record)
{
    if (output->count == output->capacity) {
        output->capacity = output->capacity ? output->capacity * 2 : 64;
        output->records = memory_resize_array(output->records, output->capacity, sizeof *output->records);
    }
    output->records[output->count++] = *record;
    if (output->count == SESSION_OUTPUT_MAX_ROWS || output->scratch->text.size > SCRATCH_TEXT_SIZE)
        session_output_flush(output, pane);
}

static const struct pane_row *row_of(const struct session_output *output, const struct pane *pane,
                                     const struct session_record *record)
{
    return pane_row_at(record->is_scratch ? output->scratch : pane, record->row);
}

static void write_receipt(struct result_block *block, uint32_t to, const struct session_record *record,
                          const struct pane_row *row)
{
    block->window_starts_us[to] = record->start_us;
    block->window_ends_us[to] = record->end_us;
    block->emits[to] = (uint8_t)record->emit;
    block->causes[to] = (uint8_t)record->cause;
    block->watermarks_us[to] = record->watermark_us;
    block->on_time[to] = record->on_time;
    block->late_accepted[to] = record->late_accepted;
    block->revisions[to] = record->revision;
    block->late_dropped[to] = record->late_dropped;
    block->type_errors[to] = row->type_errors;
    /* 32 bits of a good hash, spread over 64. */
    block->key_hashes[to] = row->hash * UINT64_C(0x9E3779B97F4A7C15);
    if (record->merged_into_us != TIME_NONE)
        result_block_set_merged(block, to, record->merged_into_us);
}

/* Records from `from` on that are in the same pane. */
static uint32_t run_length(const struct session_output *output, uint32_t from)
{
    uint32_t count = 1;
    while (count < RUN_ROWS && from + count < output->count &&
           output->records[from + count].is_scratch == output->records[from].is_scratch)
        count++;
    return count;
}

void session_output_flush(struct session_output *output, const struct pane *pane)
{
    const char *entries[RUN_ROWS];
    emission_expect(&output->emission, output->count);
    for (uint32_t from = 0; from < output->count;) {
        struct result_block *block = emission_block(&output->emission);
        uint32_t count = run_length(output, from), first = block->row_count, room = block->capacity - first;
        count = count < room ? count : room;
        const struct pane *source = output->records[from].is_scratch ? output->scratch : pane;
        /* Values of first() and last() can be long, and a block refers to its text by 32 bits. */
        if (source->text.size > SCRATCH_TEXT_SIZE)
            count = 1;
        for (uint32_t i = 0; i < count; i++) {
            const struct session_record *record = &output->records[from + i];
            const struct pane_row *row = row_of(output, pane, record);
            entries[i] = (const char *)row;
            write_receipt(block, first + i, record, row);
        }
        emission_write_keys(block, first, source, entries, count);
        emission_write_values(block, first, source, entries, count);
        block->row_count += count;
        output->emission.result_count += count;
        from += count;
    }
    emission_flush(&output->emission);
    output->count = 0;
    pane_clear_rows(output->scratch);
}
