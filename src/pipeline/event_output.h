/* Pipelines without a window: event in, event out. What passed `where` is evaluated a column at a time and encoded once, into blocks that
 * travel to the sinks in the order in which the events were read. */
#pragma once

#include "flow/output.h"
#include "pipeline/plan.h"

/* Blocks in the order in which they were begun. Zeroed is empty. */
struct output_list {
    struct output_block **blocks;
    uint32_t count, capacity;
    size_t size; /* bytes of text */
};

void output_list_add(struct output_list *list, struct output_block *block);
/* Releases what is in it. */
void output_list_deinit(struct output_list *list);

/* What the events of one thread's partitions have become since it was last taken. */
struct event_output {
    const struct plan *plan;
    struct output_list list;
    struct output_block **open; /* [pipeline_count] the block in the list that is being filled; NULL = none */
};

void event_output_init(struct event_output *output, const struct plan *plan);
void event_output_deinit(struct event_output *output);
/* Adds the rows, as the pipeline of the feed, which has no window, says. */
void event_output_add(struct event_output *output, const struct plan_feed *feed, struct batch *batch,
                      const uint32_t *rows, uint32_t row_count);
/* Moves what there is to `list`, which is the caller's then. */
void event_output_take(struct event_output *output, struct output_list *list);
