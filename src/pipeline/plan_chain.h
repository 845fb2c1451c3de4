/* Results of pipelines as sources of others, in a plan. For plan.c. */
#pragma once

#include "pipeline/plan.h"

/* The derived plan: a source for each pipeline that some other reads, without feeds yet. NULL when no pipeline is read. */
struct plan *plan_chain_create(const struct plan *plan);
/* Frees what is the derived plan's own. NULL is allowed. */
void plan_chain_destroy(struct plan *derived);
/* The source that the pipeline's results are. */
struct plan_source *plan_chain_source(const struct plan *plan, uint32_t pipeline_index);
/* Every field that the pipeline reads, of those that the source has from column `first` on, is one that results of its upstreams have. */
void plan_chain_check(const struct plan *plan, const struct plan_pipeline *pipeline,
                      const struct plan_source *source, uint32_t first, struct config_errors *errors);

/* plan.c: expressions and schema. */
void plan_source_deinit(struct plan_source *source);
