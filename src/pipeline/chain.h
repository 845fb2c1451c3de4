/* What runs between pipelines: final results of one become events of another.
 *
 *   windows of A close ─▶ final records, by end, start and key ─▶ decode, where, keys ─▶ panes of B ─▶ windows of B
 *
 * Records of one link are one partition. Its watermark is that up to which A's windows are closed, and the time of a record is the last
 * microsecond of its window: so no record is ever late, and a record of [0 s, 10 s) is in the minute [0 s, 60 s). Only `final` records count:
 * what late events change in A afterwards changes nothing in B.
 *
 * Whoever owns the window mergers owns the chain; for each pipeline, in plan->order:
 *   its own windows are advanced (by chain_clock() if it reads pipelines), then chain_pass().                                             */
#pragma once

#include "pipeline/pipeline_clock.h"

enum {
    CHAIN_BATCH_RECORDS = 1024,
    CHAIN_BASES_MAX = 1024, /* remembered per link; beyond, two neighbours become one */
};

struct chain;

/* `mergers` [pipeline_count] outlive the chain, but may be made after it. NULL when no pipeline reads another. */
struct chain *chain_create(const struct plan *plan, struct window_merger **mergers);
void chain_destroy(struct chain *chain);

/* Every function below does nothing, or gives nothing, when `chain` is NULL or the pipeline has no part in it. */

/* A block that the pipeline's merger has emitted, before it is shared; kept by reference until chain_pass(). */
void chain_take(struct chain *chain, struct result_block *block);
/* Hands what was taken from the pipeline to those that read it. `cause`: why its watermark moved last. `is_ended`: nothing more will come of
 * it. `is_replay`: its records were counted in an earlier life. */
void chain_pass(struct chain *chain, uint32_t pipeline_index, enum close_cause cause, bool is_ended,
                bool is_replay);
/* How far a pipeline that reads others has come. */
struct pipeline_clock chain_clock(const struct chain *chain, uint32_t pipeline_index);
/* When the pipeline has to be looked at again because of those that read it, at whatever depth: while time goes by without events,
 * it moves on as long as they have windows. INT64_MAX: never. */
int64_t chain_next_us(const struct chain *chain, uint32_t pipeline_index, const struct pipeline_clock *time,
                      int64_t now_us);
/* Forgets everything between the pipeline and those that read it. */
void chain_reset(struct chain *chain, uint32_t pipeline_index);

/* The counters of what the pipeline has read from others. */
struct feed_counts chain_counts(const struct chain *chain, uint32_t pipeline_index);

/* --- recovery ------------------------------------------------------------------------------------------------------------------- */

/* The first offset of a partition that some record rests on, and the partition's watermark before it. */
struct chain_base {
    uint32_t source_index, partition;
    int64_t offset, watermark_us;
};

/* Whether somebody reads the pipeline's results, so that chain_note() is asked for. */
bool chain_is_read(const struct chain *chain, uint32_t pipeline_index);
/* Before windows of the pipeline close: what it holds now rests on these, and so may the records that come. Copied. */
void chain_note(struct chain *chain, uint32_t pipeline_index, const struct chain_base *bases, uint32_t count);
/* Calls `visit` for bases that records in open windows of pipelines rest on, of one partition perhaps several times. Records that went into
 * windows which are closed are forgotten by it. `of_pipeline` UINT32_MAX: of all pipelines that read others, else of this one. */
void chain_visit_bases(struct chain *chain, uint32_t of_pipeline,
                       void (*visit)(void *context, const struct chain_base *base), void *context);
