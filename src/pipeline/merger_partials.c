/* Windows that several processes share: a member's merger sends the panes of its shards, and events that go out, to the leader's, in the order in which it
 * would have merged them, each followed by clocks and positions. So what is true of rings is true of the topic: what a position leaves
 * out is behind it.
 *
 * The leader merges nothing of a member before the positions behind it have come: a late event that was shown, or an event that was
 * written, while the mark still stands before it, would be there twice after the next recovery. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "pipeline/membership.h"
#include "pipeline/partials.h"
#include "window/pane_codec.h"

enum { RECEIVE_TURN_MESSAGES = 64 };

/* --- sending ------------------------------------------------------------------------------------------------------- */

static bool has_ended(const struct merger *merger)
{
    const struct engine *engine = merger->engine;
    return atomic_load_explicit(&engine->should_stop, memory_order_acquire) ||
           atomic_load_explicit(&engine->run, memory_order_relaxed) <=
               atomic_load_explicit(&engine->dropped_run, memory_order_acquire);
}

/* The leader is not run over: it acknowledges what it has merged. */
static bool wait_for_window(struct merger *merger)
{
    struct merger_share *share = &merger->share;
    while (share->sequence >=
           atomic_load_explicit(&share->acknowledged, memory_order_acquire) + PARTIALS_WINDOW_MESSAGES) {
        if (has_ended(merger))
            return false;
        partials_serve(share->partials, 0);
        waker_prepare(&merger->waker);
        waker_wait(&merger->waker, WAIT_STEP_US / 4);
    }
    return true;
}

/* False when the run ends: then the new owner of the partitions makes the panes again. */
static bool send_message(struct merger *merger, struct slice message)
{
    if (!wait_for_window(merger))
        return false;
    for (;;) {
        struct error error = {{0}};
        enum status status = partials_send(merger->share.partials, message, &error);
        if (status == STATUS_OK)
            return true;
        if (status == STATUS_IO)
            membership_go_back(merger->share.membership,
                               atomic_load_explicit(&merger->engine->run, memory_order_relaxed), error.text);
        if (has_ended(merger))
            return false;
        partials_serve(merger->share.partials, WAIT_STEP_US / 4);
    }
}

static bool send_body(struct merger *merger, enum partials_kind kind, uint32_t pipeline_index,
                      struct slice body)
{
    struct merger_share *share = &merger->share;
    buffer_clear(&share->message);
    partials_write_head(&share->message, kind, share->round, merger->engine->instance, ++share->sequence,
                        pipeline_index);
    buffer_append_slice(&share->message, body);
    return send_message(merger, buffer_slice(&share->message));
}

static struct pane_codec codec_of(const struct merger *merger, uint32_t pipeline_index)
{
    return (struct pane_codec){.definition_hash =
                                   merger->engine->plan->pipelines[pipeline_index].definition_hash};
}

static bool send_pane(struct merger *merger, uint32_t pipeline_index, const struct pane *pane)
{
    struct pane_encoder encoder;
    struct pane_codec codec = codec_of(merger, pipeline_index);
    pane_encoder_init(&encoder, &codec);
    pane_encode(&encoder, pane);
    struct slice body;
    bool is_sent = true;
    while (is_sent && pane_encoder_next(&encoder, &body))
        is_sent = send_body(merger, PARTIALS_PANE, pipeline_index, body);
    pane_encoder_deinit(&encoder);
    return is_sent;
}

void merger_send_panes(struct merger *merger, struct shard_update *update)
{
    for (uint32_t i = 0; i < update->pane_count; i++) {
        struct update_pane *pane = &update->panes[i];
        if (!engine_sends_pipeline(merger->engine, pane->pipeline_index))
            continue;
        if (!has_ended(merger) && !send_pane(merger, pane->pipeline_index, pane->pane))
            log_write(LOG_DEBUG, "kafka", "panes of an assignment that has ended were not sent");
        pane_destroy(pane->pane);
        pane->pane = NULL;
    }
}

void merger_send_output(struct merger *merger, struct output_block *block)
{
    struct buffer body = {0};
    output_block_encode(&body, block);
    if (!has_ended(merger) && !send_body(merger, PARTIALS_OUTPUT, block->pipeline_index, buffer_slice(&body)))
        log_write(LOG_DEBUG, "kafka", "events of an assignment that has ended were not sent");
    buffer_deinit(&body);
    output_block_release(block);
}

/* One update for all shards. */
void merger_send_update(struct merger *merger)
{
    struct engine *engine = merger->engine;
    struct merger_share *share = &merger->share;
    if (!share->membership || share->is_leader || has_ended(merger))
        return;
    struct shard_update sum = {.is_live = true, .is_ended = true, .arrival_us = merger->arrival_us};
    uint32_t position_count = 0;
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        const struct shard_update *update = merger->latest[i];
        if (!update)
            return;
        sum.is_live &= update->is_live;
        sum.is_ended &= update->is_ended;
        position_count += update->position_count;
    }
    sum.clocks = memory_allocate_array(engine->plan->pipeline_count + 1, sizeof *sum.clocks);
    sum.positions = memory_allocate_array(position_count + 1, sizeof *sum.positions);
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++)
        sum.clocks[i] = merger_pipeline_clock(merger, i);
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        const struct shard_update *update = merger->latest[i];
        memcpy(sum.positions + sum.position_count, update->positions,
               sizeof *sum.positions * update->position_count);
        sum.position_count += update->position_count;
    }
    struct buffer body = {0};
    partials_write_update(&body, engine, share->membership, &sum, clock_monotonic_us(engine->clock));
    if (!send_body(merger, PARTIALS_UPDATE, 0, buffer_slice(&body)))
        log_write(LOG_DEBUG, "kafka", "an update of an assignment that has ended was not sent");
    buffer_deinit(&body);
    partials_serve(share->partials, 0);
    free(sum.clocks);
    free(sum.positions);
}

/* --- receiving ----------------------------------------------------------------------------------------------------- */

void merger_forget_coming(struct merger *merger)
{
    for (uint32_t i = 0; i < PARTIALS_MEMBERS_MAX; i++) {
        shard_update_destroy(merger->share.members[i].coming);
        merger->share.members[i].coming = NULL;
    }
}

static struct shard_update *coming_of(struct remote_member *member)
{
    if (!member->coming)
        member->coming = memory_allocate(sizeof *member->coming);
    return member->coming;
}

static bool find_member(const struct merger *merger, const struct partials_head *head, uint32_t *index)
{
    for (uint32_t i = 0; i < merger->share.member_count; i++) {
        if (memcmp(merger->share.members[i].instance, head->instance, sizeof head->instance) != 0)
            continue;
        *index = i;
        return true;
    }
    return false;
}

static bool is_shared_here(const struct merger *merger, const struct partials_head *head, struct error *error)
{
    const struct engine *engine = merger->engine;
    if (head->pipeline_index < engine->plan->pipeline_count &&
        engine->pipeline_memberships[head->pipeline_index] == merger->share.membership)
        return true;
    error_set(error, "it is of a pipeline that is not here");
    return false;
}

static bool take_output(struct merger *merger, struct remote_member *member, const struct partials_head *head,
                        struct slice body, struct error *error)
{
    struct output_block *block;
    if (!is_shared_here(merger, head, error))
        return false;
    if (!output_block_decode(body, head->pipeline_index, &block)) {
        error_set(error, "it is damaged");
        return false;
    }
    output_list_add(&coming_of(member)->outputs, block);
    return true;
}

static bool take_pane(struct merger *merger, struct remote_member *member, const struct partials_head *head,
                      struct slice body, struct error *error)
{
    if (!is_shared_here(merger, head, error))
        return false;
    struct window_merger *windows = merger->windows[head->pipeline_index];
    struct pane_codec codec = codec_of(merger, head->pipeline_index);
    struct pane *pane = NULL;
    if (window_merger_decode(windows, &codec, body, &pane, error) != STATUS_OK)
        return false;
    shard_update_add_pane(coming_of(member), head->pipeline_index, pane);
    return true;
}

/* What came before the positions, as if it had come with them. */
static void merge_coming(struct merger *merger, struct remote_member *member)
{
    struct shard_update *coming = member->coming;
    if (!coming)
        return;
    for (uint32_t i = 0; i < coming->pane_count; i++) {
        window_merger_add(merger->windows[coming->panes[i].pipeline_index], coming->panes[i].pane, 0);
        coming->panes[i].pane = NULL;
    }
    merger_pass_outputs(merger, coming);
    shard_update_destroy(coming);
    member->coming = NULL;
}

static bool merge_update(struct merger *merger, uint32_t member_index, struct slice body, struct error *error)
{
    struct shard_update *update = partials_read_update(merger->engine, merger->share.membership, body,
                                                       clock_monotonic_us(merger->engine->clock));
    if (!update) {
        error_set(error, "it is damaged");
        return false;
    }
    if (update->arrival_us > merger->arrival_us)
        merger->arrival_us = update->arrival_us;
    merge_coming(merger, &merger->share.members[member_index]);
    uint32_t index = update->shard_index = merger->engine->shard_count + member_index;
    shard_update_destroy(merger->latest[index]);
    merger->latest[index] = update;
    return true;
}

/* A message that is lost or damaged would be missing in windows, so everything begins again from what is committed. */
static void merge_message(struct merger *merger, struct slice message)
{
    struct merger_share *share = &merger->share;
    struct partials_head head;
    struct slice body;
    uint32_t index;
    if (!partials_read_head(message, &head, &body) || head.round != share->round ||
        !find_member(merger, &head, &index) || has_ended(merger))
        return;
    struct remote_member *member = &share->members[index];
    if (head.sequence <= member->sequence)
        return; /* sent twice by a producer that was made anew */
    struct error error = {{0}};
    bool is_next = head.sequence == member->sequence + 1;
    if (!is_next)
        error_set(&error, "message %llu came after %llu", (unsigned long long)head.sequence,
                  (unsigned long long)member->sequence);
    bool is_merged =
        is_next && (head.kind == PARTIALS_UPDATE   ? merge_update(merger, index, body, &error)
                    : head.kind == PARTIALS_OUTPUT ? take_output(merger, member, &head, body, &error)
                                                   : take_pane(merger, member, &head, body, &error));
    if (!is_merged) {
        error_prefix(&error, "what process %s has sent cannot be taken", member->instance);
        uint64_t run = atomic_load_explicit(&merger->engine->run, memory_order_relaxed);
        membership_go_back(share->membership, run, error.text);
        return;
    }
    member->sequence = head.sequence;
    atomic_store_explicit(&member->to_be_told, head.sequence, memory_order_relaxed);
}

bool merger_receive(struct merger *merger)
{
    struct merger_share *share = &merger->share;
    if (!share->membership || !share->is_leader)
        return false;
    struct slice message;
    uint32_t count = 0;
    while (count < RECEIVE_TURN_MESSAGES && partials_receive(share->partials, &message)) {
        merge_message(merger, message);
        count++;
    }
    return count > 0;
}
