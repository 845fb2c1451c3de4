/* One consumer group that this process is a member of: which partitions it reads, from where, and what is committed.
 *
 *   group gives partitions ─▶ where to go on (the broker's record or the store's, whichever is newer)
 *                          ─▶ shards and merger rest, windows are emptied, partitions taken up ─▶ replay in silence up to P ─▶ live
 *   group takes some away  ─▶ shards and merger rest, what was sent becomes durable, offsets are committed ─▶ given up
 *
 * Any change of partitions is a recovery: there is one way to come to a state, and it is tested by every restart. One thread per
 * membership, which alone speaks with the group. */
#pragma once

#include "base/error.h"
#include "pipeline/engine_internal.h"

/* Groups the kafka sources of the configuration by brokers and group. A pipeline whose sources belong to two groups is an error. */
NODISCARD
enum status memberships_create(struct engine *engine, struct error *error);
/* When the shards are there: makes the clients, which join in the background. */
NODISCARD
enum status memberships_open(struct engine *engine, struct error *error);
void memberships_start(struct engine *engine);
/* After the outlets have ended: tells the threads to commit what is durable, to leave the groups and to end. */
void memberships_stop(struct engine *engine);
pthread_t membership_thread(const struct membership *membership);
void memberships_destroy(struct engine *engine);
bool membership_has_source(const struct membership *membership, uint32_t source_index);
/* Every membership has taken up its partitions once, or knows that it has none. Any thread. */
bool memberships_are_joined(const struct engine *engine);

/* What was written of the run since the last commit is undone: go back to what the group has committed. Nothing happens when the run
 * has been given up already. Any thread. */
void membership_go_back(struct membership *membership, uint64_t run, const char *reason);
/* A transactional outlet, around a commit until its outcome is known, so that the membership, which sometimes commits to prove that it
 * is one, never takes the group back behind it. `mark`: what was committed; NULL: nothing was. */
void membership_commit_begins(struct membership *membership);
void membership_commit_ends(struct membership *membership, const struct progress_mark *mark);
/* The broker has just taken a commit of this member. */
void membership_note_commit(struct membership *membership);
/* The consumer whose offsets a transactional sink commits. */
struct kafka_consumer *membership_consumer(const struct membership *membership);
/* An outlet, before it makes anything of the current run durable: true while this process is a member for sure. Otherwise asks the
 * broker, and may wait for it. False: what is in hand must not be written. */
bool membership_is_current(struct membership *membership, uint64_t run);
