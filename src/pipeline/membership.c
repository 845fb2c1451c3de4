/* The thread of a membership. See membership.h. */
#include "pipeline/membership.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/crash.h"
#include "base/log.h"
#include "base/memory.h"
#include "pipeline/membership_internal.h"

enum {
    POLL_STEP_US = 50 * 1000,
    COMMIT_INTERVAL_US = 500 * 1000,
    COMMIT_TIMEOUT_US = 10 * 1000 * 1000,
    LEAVE_TIMEOUT_US = 2 * 1000 * 1000, /* for the last commit, when the process ends */
    DURABLE_TIMEOUT_US =
        5 * 1000 * 1000, /* for what was sent to become durable before partitions are given up */
    RETRY_US = 500 * 1000,
    EMPTY_PATIENCE_US = 3 * 1000 * 1000,
    WATCH_INTERVAL_US = 1000 * 1000,
};

static int64_t now_us(const struct membership *membership)
{
    return clock_monotonic_us(membership->engine->clock);
}

static void pause_us(int64_t time_us)
{
    nanosleep(&(struct timespec){.tv_nsec = time_us * 1000}, NULL);
}

static bool should_stop(const struct membership *membership)
{
    return atomic_load_explicit(&membership->engine->should_stop, memory_order_acquire);
}

void membership_report(struct membership *membership, enum health_state state, const char *reason)
{
    bool is_same = state == membership->reported_state &&
                   (state == HEALTH_OK || strcmp(reason, membership->reported_reason.text) == 0);
    if (is_same)
        return;
    membership->reported_state = state;
    error_set(&membership->reported_reason, "%s", reason ? reason : "");
    health_report(membership->engine->health, membership->health_name, state,
                  state == HEALTH_OK ? NULL : "%s", reason);
}

static void raise_to(_Atomic uint64_t *value, uint64_t least)
{
    uint64_t now = atomic_load_explicit(value, memory_order_relaxed);
    while (now < least && !atomic_compare_exchange_weak_explicit(value, &now, least, memory_order_release,
                                                                 memory_order_relaxed))
        ;
}

/* Nothing more of the run is written. Any thread. */
static void drop_run(struct membership *membership, uint64_t run)
{
    raise_to(&membership->engine->dropped_run, run);
    for (uint32_t i = 0; i < membership->engine->outlet_count; i++)
        waker_wake(&membership->engine->outlets[i].waker);
}

/* --- committing ---------------------------------------------------------------------------------------------------- */

/* A broker has taken this member's commit, so nobody else owned its partitions a moment ago. */
static void note_proof(struct membership *membership)
{
    atomic_store_explicit(&membership->proven_us, now_us(membership), memory_order_release);
}

void membership_note_commit(struct membership *membership)
{
    note_proof(membership);
}

void membership_commit_begins(struct membership *membership)
{
    pthread_mutex_lock(&membership->commit_lock);
}

void membership_commit_ends(struct membership *membership, const struct progress_mark *mark)
{
    if (mark) {
        progress_mark_destroy(membership->transacted);
        membership->transacted = progress_mark_copy(mark, membership->engine->plan->pipeline_count);
        note_proof(membership);
    }
    pthread_mutex_unlock(&membership->commit_lock);
}

static enum status commit_mark(struct membership *membership, const struct progress_mark *mark,
                               int64_t timeout_us, struct error *error)
{
    struct kafka_position *positions = memory_allocate_array(mark->position_count + 1, sizeof *positions);
    struct buffer texts = {0};
    size_t *starts = memory_allocate_array(mark->position_count + 1, sizeof *starts);
    uint32_t count = 0;
    for (uint32_t i = 0; i < mark->position_count; i++) {
        const struct partition_position *position = &mark->positions[i];
        if (!position->topic || !membership_has_source(membership, position->source_index))
            continue;
        starts[count] = texts.size;
        kafka_progress_write(&texts, membership->engine, membership, mark, position);
        positions[count++] = (struct kafka_position){
            .id = {position->source_index, position->topic, position->topic_partition},
            .offset = position->base,
        };
    }
    for (uint32_t i = 0; i < count; i++)
        positions[i].metadata = texts.data + starts[i];
    crash_point("kafka_before_commit");
    enum status status = kafka_consumer_commit(membership->consumer, positions, count, timeout_us, error);
    if (status == STATUS_OK)
        crash_point("kafka_after_commit");
    buffer_deinit(&texts);
    free(starts);
    free(positions);
    return status;
}

/* Commits what the store has recorded of this run. Where a sink is transactional, it commits the offsets, with its results. */
static enum status commit_durable(struct membership *membership, int64_t timeout_us, struct error *error)
{
    struct progress_mark *mark = engine_durable(membership->engine);
    enum status status = STATUS_OK;
    bool is_ours = mark && mark->run == membership->run && membership->run > 0;
    if (is_ours && mark->epoch > membership->committed_epoch && !membership->engine->has_transactional_sink) {
        status = commit_mark(membership, mark, timeout_us, error);
        if (status == STATUS_OK) {
            membership->committed_epoch = mark->epoch;
            note_proof(membership);
        }
    }
    progress_mark_destroy(mark);
    return status;
}

/* Sends panes to a leader, which alone commits. */
static bool is_sender(const struct membership *membership)
{
    return membership->round && !membership->engine->merger.share.is_leader;
}

static bool is_dropped(const struct membership *membership)
{
    return membership->run <= atomic_load_explicit(&membership->engine->dropped_run, memory_order_acquire);
}

/* Commits again what was committed last of this run, which changes nothing and is taken from members only. After the run it would take
 * the group back behind those who go on, and so it would from a sender, which knows only where the round began; nobody waits for
 * their proof. */
static enum status prove(struct membership *membership, struct error *error)
{
    if (is_dropped(membership) || is_sender(membership))
        return STATUS_OK;
    struct progress_mark *durable = engine_durable(membership->engine);
    const struct progress_mark *newest = membership->started;
    const struct progress_mark *others[] = {durable, membership->transacted};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        bool is_ours = others[i] && others[i]->run == membership->run && membership->run > 0;
        if (is_ours && (!newest || others[i]->epoch > newest->epoch))
            newest = others[i];
    }
    enum status status = STATUS_OK;
    if (newest) {
        status = commit_mark(membership, newest, COMMIT_TIMEOUT_US, error);
        if (status == STATUS_OK) {
            if (newest != membership->started)
                membership->committed_epoch = newest->epoch;
            note_proof(membership);
        }
    }
    progress_mark_destroy(durable);
    return status;
}

static void answer_proof(struct membership *membership)
{
    if (!atomic_load_explicit(&membership->wants_proof, memory_order_acquire))
        return;
    if (pthread_mutex_trylock(&membership->commit_lock) != 0)
        return; /* a transaction is being committed: its answer is the proof */
    struct error error = {{0}};
    enum status status = prove(membership, &error);
    pthread_mutex_unlock(&membership->commit_lock);
    if (status == STATUS_CLOSED)
        membership_lose(membership, error.text);
    if (status == STATUS_OK || status == STATUS_CLOSED)
        atomic_store_explicit(&membership->wants_proof, false, memory_order_release);
}

bool membership_is_current(struct membership *membership, uint64_t run)
{
    struct engine *engine = membership->engine;
    for (;;) {
        if (run <= atomic_load_explicit(&engine->dropped_run, memory_order_acquire))
            return false;
        int64_t proven_us = atomic_load_explicit(&membership->proven_us, memory_order_acquire);
        if (now_us(membership) - proven_us < membership->lease_us)
            return true;
        if (engine_has_abandoned(engine)) {
            drop_run(membership, run); /* what is behind must not be written without it */
            return false;
        }
        atomic_store_explicit(&membership->wants_proof, true, memory_order_release);
        pause_us(WAIT_STEP_US);
    }
}

static void commit_now_and_then(struct membership *membership)
{
    if (!membership->is_running || now_us(membership) < membership->next_commit_us)
        return;
    membership->next_commit_us = now_us(membership) + COMMIT_INTERVAL_US;
    struct error error = {{0}};
    enum status status = commit_durable(membership, COMMIT_TIMEOUT_US, &error);
    if (status == STATUS_CLOSED)
        membership_lose(membership, error.text);
    else if (status != STATUS_OK)
        membership_report(membership, HEALTH_DEGRADED, error.text);
}

/* --- the end of a run ---------------------------------------------------------------------------------------------- */

/* While shards and merger come to rest. The merger may wait for an outlet, and that for a proof or a sink: it gets the proof, and when
 * it takes too long the run is dropped, which frees the outlets of what came of it. */
struct coming_to_rest {
    struct membership *membership;
    int64_t deadline_us;
};

static void serve_rest(void *context)
{
    const struct coming_to_rest *rest = context;
    answer_proof(rest->membership);
    if (now_us(rest->membership) > rest->deadline_us)
        drop_run(rest->membership, rest->membership->run);
}

/* Waits until the store has recorded all that the merger has sent in this run. */
static void wait_until_durable(struct membership *membership, int64_t deadline_us)
{
    struct engine *engine = membership->engine;
    if (!engine->merger.last_mark)
        return;
    while (now_us(membership) < deadline_us && !engine_has_abandoned(engine)) {
        struct progress_mark *mark = engine_durable(engine);
        bool is_done = mark && mark->epoch >= engine->merger.epoch;
        progress_mark_destroy(mark);
        if (is_done || is_dropped(membership))
            return;
        answer_proof(membership);
        pause_us(WAIT_STEP_US / 10);
    }
}

/* With everything at rest: the partitions are no longer read, and their windows are empty. */
static void take_down(struct membership *membership)
{
    struct engine *engine = membership->engine;
    merger_forget_coming(&engine->merger);
    for (uint32_t i = 0; i < engine->partition_count; i++) {
        struct engine_partition *partition = &engine->partitions[i];
        if (!partition->is_kafka || !membership_has_source(membership, partition->state.source_index))
            continue;
        if (partition->reader)
            partition->reader->operations->close(partition->reader);
        partition->reader = NULL;
        partition->kafka = (struct kafka_partition){0};
        partition->is_own = false;
    }
    for (uint32_t i = 0; i < engine->shard_count; i++)
        kafka_feed_clear(membership->feeds[i]);
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++) {
        if (engine->pipeline_memberships[i] == membership)
            engine_reset_pipeline(engine, i);
    }
}

void membership_lose(struct membership *membership, const char *reason)
{
    if (!membership->is_running)
        return;
    log_write(LOG_WARN, "kafka", "group %s: %s; nothing more of this assignment is written",
              membership->group, reason);
    drop_run(membership, membership->run);
    raise_to(&membership->run_to_end, membership->run);
}

/* `is_lost`: others may have the partitions already, so nothing of it is written any more. */
void membership_end_run(struct membership *membership, bool is_lost)
{
    struct engine *engine = membership->engine;
    if (!membership->is_running)
        return;
    membership->is_running = false;
    /* What a member has sent to the leader is the leader's to record. */
    if (is_sender(membership))
        is_lost = true;
    if (is_lost)
        drop_run(membership, membership->run);
    struct coming_to_rest rest = {membership, now_us(membership) + DURABLE_TIMEOUT_US};
    if (!engine_rest_begin(engine, serve_rest, &rest)) {
        /* The engine stops, and outlets may be at work until that is done; by then the partitions may be others'. */
        drop_run(membership, membership->run);
        return;
    }
    /* Not before: a shard reads a partition on that it had set aside. What was fetched until now is outdated by this. */
    kafka_consumer_pause(membership->consumer);
    if (!is_lost)
        wait_until_durable(membership, rest.deadline_us);
    struct error error = {{0}};
    if (!is_lost && commit_durable(membership, COMMIT_TIMEOUT_US, &error) != STATUS_OK)
        log_write(LOG_WARN, "kafka", "group %s: the last offsets are not committed: %s", membership->group,
                  error.text);
    drop_run(membership, membership->run);
    take_down(membership);
    membership->round = 0;
    engine->merger.share.membership = NULL;
    engine->merger.share.member_count = 0;
    engine_rest_end(engine);
}

static void on_revoked(void *context, bool is_lost)
{
    struct membership *membership = context;
    membership->changed_us = now_us(membership);
    if (is_lost)
        log_write(LOG_WARN, "kafka", "group %s: the partitions are lost to other members", membership->group);
    membership_end_run(membership, is_lost);
}

static void on_assigned(void *context)
{
    struct membership *membership = context;
    membership->has_assignment = true;
    membership->changed_us = now_us(membership);
    membership->should_start = true;
    membership->next_try_us = 0;
    membership_end_run(membership, false);
    cluster_note_change(membership);
}

void membership_go_back(struct membership *membership, uint64_t run, const char *reason)
{
    if (run <= atomic_load_explicit(&membership->engine->dropped_run, memory_order_acquire))
        return;
    log_write(LOG_WARN, "kafka", "group %s: %s; going back to the committed offsets", membership->group,
              reason);
    drop_run(membership, run);
    raise_to(&membership->run_to_end, run);
}

enum status membership_commit_started(struct membership *membership, struct error *error)
{
    enum status status = commit_mark(membership, membership->started, COMMIT_TIMEOUT_US, error);
    if (status == STATUS_OK)
        note_proof(membership);
    return status == STATUS_OK ? STATUS_OK : STATUS_AGAIN;
}

enum status membership_open(struct membership *membership, struct error *error)
{
    struct engine *engine = membership->engine;
    const struct kafka_consumer_options options = {
        .config = engine->config,
        .source_indices = membership->source_indices,
        .source_count = membership->source_count,
        .clock = engine->clock,
        .context = membership,
        .revoked = on_revoked,
        .assigned = on_assigned,
    };
    enum status status = kafka_consumer_create(&options, &membership->consumer, error);
    if (status != STATUS_OK)
        return status;
    membership->feeds = memory_allocate_array(engine->shard_count, sizeof(struct kafka_feed *));
    for (uint32_t i = 0; i < engine->shard_count; i++)
        membership->feeds[i] = kafka_feed_create(membership->consumer, &engine->shards[i].waker);
    return STATUS_OK;
}

/* Decides whether this process has all partitions, and then takes them up; else the members have to agree. */
static enum status begin_run(struct membership *membership, struct error *error)
{
    const struct kafka_partition *known;
    uint32_t known_count, assigned_count;
    enum status status = kafka_consumer_partitions(membership->consumer, &known, &known_count, error);
    if (status != STATUS_OK)
        return status;
    status = retention_check(membership, known, known_count, error);
    if (status != STATUS_OK)
        return status;
    const struct kafka_partition *assignment =
        kafka_consumer_assignment(membership->consumer, &assigned_count);
    membership->is_clustered = assigned_count < known_count;
    if (!membership->is_clustered)
        return run_begin_alone(membership, assignment, assigned_count, error);
    return assigned_count ? cluster_enter(membership, error) : STATUS_OK;
}

/* --- the loop ------------------------------------------------------------------------------------------------------ */

static void go_back_if_told(struct membership *membership)
{
    if (!membership->is_running ||
        membership->run > atomic_load_explicit(&membership->run_to_end, memory_order_acquire))
        return; /* or it has ended meanwhile */
    membership_end_run(membership, true);
    membership->should_start = true;
    membership->next_try_us = now_us(membership) + RETRY_US;
}

static void start_if_due(struct membership *membership)
{
    if (!membership->should_start || now_us(membership) < membership->next_try_us)
        return;
    struct error error = {{0}};
    enum status status = begin_run(membership, &error);
    if (status == STATUS_OK) {
        membership->should_start = false;
        uint32_t assigned_count;
        kafka_consumer_assignment(membership->consumer, &assigned_count);
        /* A new member of a cooperative group gets nothing at first, and then its share. */
        bool may_get_some =
            !assigned_count && now_us(membership) - membership->changed_us < EMPTY_PATIENCE_US;
        if (membership->is_clustered && may_get_some) {
            membership->should_start = true;
            membership->next_try_us = now_us(membership) + RETRY_US;
            return;
        }
        if (membership->is_clustered && assigned_count) {
            membership_report(membership, HEALTH_DEGRADED,
                              "waiting until the processes of the group agree on where to begin");
            return;
        }
        note_proof(membership);
        /* The brokers have taken a commit, and the topics are there: what the client had to complain of is over. */
        kafka_client_well(kafka_consumer_client(membership->consumer));
        atomic_store_explicit(&membership->is_joined, true, memory_order_release);
        membership_report(membership, HEALTH_OK, NULL);
        return;
    }
    membership_end_run(membership, true);
    membership->next_try_us = now_us(membership) + RETRY_US;
    membership_report(membership, status == STATUS_INVALID ? HEALTH_DOWN : HEALTH_DEGRADED, error.text);
    if (status == STATUS_INVALID && !atomic_load_explicit(&membership->is_joined, memory_order_relaxed))
        engine_fail(membership->engine, &error);
}

/* With the protocol `consumer` a member that gets no partition is told nothing. */
static void notice_empty_share(struct membership *membership)
{
    if (membership->has_assignment || kafka_consumer_generation(membership->consumer) <= 0)
        return;
    int64_t now = now_us(membership);
    if (!membership->joined_us)
        membership->joined_us = now;
    if (now - membership->joined_us < EMPTY_PATIENCE_US)
        return;
    membership->has_assignment = membership->should_start = true;
    membership->changed_us = membership->joined_us;
}

/* A topic that is not there yet keeps the library silent: nothing is assigned, and no error is told. */
static void watch(struct membership *membership)
{
    if (now_us(membership) < membership->next_watch_us)
        return;
    membership->next_watch_us = now_us(membership) + WATCH_INTERVAL_US;
    struct error error = {{0}};
    if (kafka_client_trouble(kafka_consumer_client(membership->consumer), &error)) {
        membership_report(membership, HEALTH_DEGRADED, error.text);
        return;
    }
    if (membership->is_running) {
        if (!cluster_is_unheard(membership))
            membership_report(membership, HEALTH_OK, NULL);
        return;
    }
    const struct kafka_partition *partitions;
    uint32_t count;
    if (!membership->should_start &&
        kafka_consumer_partitions(membership->consumer, &partitions, &count, &error) != STATUS_OK)
        membership_report(membership, HEALTH_DEGRADED, error.text);
}

void *membership_main(void *argument)
{
    struct membership *membership = argument;
    while (!atomic_load_explicit(&membership->should_leave, memory_order_acquire)) {
        kafka_consumer_poll(membership->consumer, POLL_STEP_US);
        answer_proof(membership);
        if (should_stop(membership))
            continue; /* what is sent becomes durable; then this thread is told to leave */
        go_back_if_told(membership);
        notice_empty_share(membership);
        start_if_due(membership);
        if (membership->is_clustered && !membership->should_start)
            cluster_turn(membership);
        commit_now_and_then(membership);
        watch(membership);
    }
    struct error error = {{0}};
    if (!is_dropped(membership) && commit_durable(membership, LEAVE_TIMEOUT_US, &error) != STATUS_OK)
        log_write(LOG_WARN, "kafka", "group %s: the last offsets are not committed: %s", membership->group,
                  error.text);
    membership->is_running = false;
    kafka_consumer_leave(membership->consumer);
    return NULL;
}
