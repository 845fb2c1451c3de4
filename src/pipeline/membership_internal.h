/* What the files of a membership share: membership.c (its thread), membership_run.c (taking up partitions), memberships.c (the list). */
#pragma once

#include "pipeline/kafka_progress.h"
#include "pipeline/membership.h"

struct membership {
    struct engine *engine;
    const char *group;
    char health_name[HEALTH_NAME_SIZE];
    uint32_t *source_indices;
    uint32_t source_count;
    struct kafka_consumer *consumer;
    struct kafka_feed **feeds; /* [shard_count] */
    pthread_t thread;
    int64_t lease_us; /* how long a proof of membership holds: less than any session time-out */

    /* The membership's thread alone. */
    bool has_assignment, should_start, is_running;
    uint64_t run;             /* of the engine's count, when it was taken up */
    uint64_t committed_epoch; /* of the mark that was committed last */
    struct progress_mark *started; /* positions with which the run began */
    int64_t next_try_us, next_commit_us, next_watch_us, changed_us;
    enum health_state reported_state;
    struct error reported_reason;

    _Atomic int64_t proven_us;  /* monotonic; release by the membership, acquire by outlets */
    atomic_bool wants_proof;    /* release by an outlet, acquire by the membership, which clears it */
    atomic_bool should_go_back; /* the same */
    atomic_bool is_joined;      /* release by the membership, acquire by whoever asks */
    atomic_bool should_leave;   /* release by memberships_stop */
};

bool membership_has_source(const struct membership *membership, uint32_t source_index);
void membership_report(struct membership *membership, enum health_state state, const char *reason);
/* This process is no longer of the group: nothing of the run is written any more, and it ends at the next turn. */
void membership_lose(struct membership *membership, const char *reason);
/* membership.c: makes the client and the feeds. */
NODISCARD
enum status membership_open(struct membership *membership, struct error *error);
void *membership_main(void *membership);
/* Commits the positions that the run begins with, which also proves that this process is a member. */
NODISCARD
enum status membership_commit_started(struct membership *membership, struct error *error);

/* membership_run.c: takes up what is assigned. STATUS_INVALID: it cannot be done without losing results; the error says what to do.
 * Others: not now; tried again. */
NODISCARD
enum status membership_begin_run(struct membership *membership, struct error *error);
