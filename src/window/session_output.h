/* Records of sessions on their way to result blocks: gathered, so that blocks are made no larger than needed and columns are written
 * for many rows at a time. */
#pragma once

#include "window/merged_window.h"

enum { SESSION_OUTPUT_MAX_ROWS = RESULT_BLOCK_ROWS };

struct session_record {
    int64_t start_us, end_us, watermark_us;
    int64_t merged_into_us; /* TIME_NONE: it is a result */
    uint64_t on_time, late_accepted, late_dropped;
    uint32_t revision;
    uint32_t row; /* in the table's pane, or in the scratch pane */
    bool is_scratch;
    enum emit_kind emit;
    enum close_cause cause;
};

struct session_output {
    struct emission emission;
    struct pane *scratch; /* rows that are put together for a record */
    struct session_record *records;
    uint32_t count, capacity;
};

void session_output_init(struct session_output *output, const struct window_spec *spec,
                         struct pane_pool *pool, window_emit emit, void *context);
void session_output_deinit(struct session_output *output);
/* Rows of `pane` must stay until the next flush, which comes by itself when there are many records. */
void session_output_add(struct session_output *output, const struct pane *pane,
                        const struct session_record *record);
/* A row for the key of `row`, the sum of these rows; returns its index in output->scratch. */
uint32_t session_output_sum(struct session_output *output, const struct pane *pane, const uint32_t *rows,
                            uint32_t count, uint32_t key_row);
void session_output_flush(struct session_output *output, const struct pane *pane);
