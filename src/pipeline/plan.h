/* The plan: a checked configuration turned into what the threads execute. Per source the columns to decode; per pipeline the
 * window; per (source, pipeline) pair the expressions, since column numbers differ by source. Immutable once made, shared by all threads. */
#pragma once

#include "config/config.h"
#include "expr/expr.h"
#include "flow/result.h"
#include "flow/schema.h"
#include "window/window.h"

#define PLAN_NO_COLUMN UINT32_MAX

/* One pipeline as one of its sources feeds it. */
struct plan_feed {
    uint32_t pipeline_index;
    uint32_t first_partition; /* of this source among all partitions of the pipeline */
    struct expr *where;       /* NULL = every row */
    struct expr *keys[RESULT_MAX_KEYS];
    struct expr *inputs[RESULT_MAX_AGGREGATES]; /* of aggregates; without a window the fields of `select` */
    uint32_t key_count, input_count;
};

struct event_check;

struct plan_source {
    const struct config_source *config;
    uint32_t partition_count;
    struct schema schema;
    struct event_check *check; /* NULL: events of any shape */
    uint32_t time_column;      /* PLAN_NO_COLUMN = the record's own time */
    uint32_t partition_column; /* PLAN_NO_COLUMN unless partition_by */
    struct plan_feed *feeds;
    uint32_t feed_count;
};

struct plan_pipeline {
    const struct config_pipeline *config;
    struct result_shape shape;
    bool has_window; /* else events go out one by one (event_output.h) and `window` is that of no events */
    struct window_spec window;
    /* Without a window: what stands before each field of a record, `{"user":` and `,"score":`. Empty: the event as it came. */
    struct slice *field_names; /* [shape.value_count] */
    uint64_t definition_hash;  /* changes when state of an earlier run no longer fits */
};

struct plan {
    const struct config *config;
    struct arena arena;
    struct plan_source *sources;
    uint32_t source_count;
    struct plan_pipeline *pipelines;
    uint32_t pipeline_count;
    uint32_t *order; /* [pipeline_count] each behind those whose results it reads */
    /* Pipelines that read pipelines see their results as events of sources that nothing else knows of: a plan with a source per pipeline that
     * is read, and the same pipelines. NULL: there are none. */
    struct plan *derived;
    struct config_source *derived_configs; /* of such a plan: [source_count] */
    uint32_t *derived_pipelines;           /* of such a plan: [source_count] whose results they are */
};

/* `partition_counts` [source_count] overrides the configured numbers (replay: one per file); NULL = as configured.
 * All errors go to `errors` with their places; NULL when there was one. Control thread. */
struct plan *plan_create(const struct config *config, const uint32_t *partition_counts,
                         struct config_errors *errors);
void plan_destroy(struct plan *plan);

/* The check of a source's schema, NULL when it has none or something is wrong with it; adds its paths to `columns`. Reports go to `errors`,
 * which may be NULL where the plan has accepted the same. */
struct event_check *plan_event_check(const struct config_source *source, struct schema *columns,
                                     struct config_errors *errors);

/* The decoder's options for a source of the plan. */
struct decoder_options;
void plan_decoder_options(const struct plan_source *source, struct decoder_options *options);

/* The partition of a row, by the value of the partition column: the same in every process and run. */
uint32_t plan_partition_of(const struct plan_source *source, const struct batch *batch, uint32_t row);
