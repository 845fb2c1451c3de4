/* Where replay's results go: collected per window until nothing can change it any more, then printed in key order;
 * and events of pipelines without a window, in the order of their partitions. */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "flow/output.h"
#include "pipeline/plan.h"

struct replay_output;

/* `file` NULL: counts only. Results of several pipelines are spooled to unnamed temporary files, since they are
 * printed pipeline by pipeline (in order of name). */
struct replay_output *replay_output_create(const struct plan *plan, FILE *file, bool shows_revisions);
void replay_output_destroy(struct replay_output *output);

/* A window_emit: context is the output. Takes the block. */
void replay_output_emit(void *context, struct result_block *block);
/* Events of a pipeline without a window, in the order of their partition. They are printed by source, partition and offset; with revisions
 * at once. Takes the block. */
void replay_output_events(struct replay_output *output, uint32_t source_index, uint32_t partition,
                          struct output_block *block);
/* The emissions of one merger step are complete; windows that end (with lateness) at or before watermark_us can change no more. */
void replay_output_step(struct replay_output *output, uint32_t pipeline_index, int64_t watermark_us);
/* Prints what is left and all spools. STATUS_IO: the output cannot be written; errno says why. */
NODISCARD
enum status replay_output_finish(struct replay_output *output);
uint64_t replay_output_count(const struct replay_output *output); /* emissions */
