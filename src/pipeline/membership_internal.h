/* What the files of a membership share: membership.c (its thread), membership_run.c (taking up partitions), memberships.c (the list). */
#pragma once

#include "pipeline/kafka_progress.h"
#include "pipeline/membership.h"
#include "pipeline/partials_message.h"

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
    bool is_clustered; /* others have some of the partitions */
    struct partials *partials;
    int64_t panes_from;                    /* leader: where the panes of the round that it has called begin */
    int64_t round;                         /* of the run; 0 = alone */
    char owners[PARTIALS_MEMBERS_MAX][17]; /* processes of the round */
    uint32_t owner_count;
    struct cluster *cluster;           /* cluster.c */
    struct retention_check *retention; /* retention_check.c */
    bool has_assignment, should_start, is_running;
    uint64_t run;                  /* of the engine's count, when it was taken up */
    uint64_t committed_epoch;      /* of the mark that was committed last */
    struct progress_mark *started; /* positions with which the run began */
    int64_t joined_us; /* when it was first seen that the group has taken this process; 0 = not yet */
    int64_t next_try_us, next_commit_us, next_watch_us, changed_us;
    enum health_state reported_state;
    struct error reported_reason;

    pthread_mutex_t commit_lock; /* one commits at a time; an outlet holds it until its outcome is known */
    struct progress_mark *transacted; /* under it: what a transaction has committed last */

    _Atomic int64_t proven_us; /* monotonic; release by the membership, acquire by outlets */
    atomic_bool wants_proof;   /* release by an outlet, acquire by the membership, which clears it */
    _Atomic uint64_t
        run_to_end; /* runs up to this have failed; release by who says so, acquire by the membership */
    atomic_bool is_joined;    /* release by the membership, acquire by whoever asks */
    atomic_bool should_leave; /* release by memberships_stop */
};

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

/* membership_run.c: takes up partitions. STATUS_INVALID: it cannot be done without losing results; the error says what to do.
 * Others: not now; tried again. */
NODISCARD
enum status run_begin_alone(struct membership *membership, const struct kafka_partition *partitions,
                            uint32_t count, struct error *error);
/* The leader's message that begins a round: positions of all partitions and who reads them. */
NODISCARD
enum status run_write_start(struct membership *membership, const struct kafka_partition *partitions,
                            const char *const *owners, uint32_t count, int64_t number, struct buffer *out,
                            struct error *error);
/* What such a message says, as far as it is for this process; ends the run before. STATUS_NOT_FOUND: it is not for this process, and
 * nothing has changed. */
NODISCARD
enum status run_begin_round(struct membership *membership, struct slice text, int64_t round,
                            struct error *error);

/* retention_check.c: STATUS_INVALID when a topic of these partitions does not keep its events for as long as a window may need them. */
NODISCARD
enum status retention_check(struct membership *membership, const struct kafka_partition *known,
                            uint32_t count, struct error *error);
void retention_check_destroy(struct membership *membership);

/* cluster.c: several processes of one group. */
/* Begins to speak with the others. */
NODISCARD
enum status cluster_enter(struct membership *membership, struct error *error);
/* Says what there is to say, listens, and begins and ends runs as it follows. */
void cluster_turn(struct membership *membership);
/* The assignment has changed. */
void cluster_note_change(struct membership *membership);
/* What this process says to the others does not arrive; that has been reported. */
bool cluster_is_unheard(const struct membership *membership);
void cluster_destroy(struct membership *membership);
/* membership.c */
void membership_end_run(struct membership *membership, bool is_lost);
