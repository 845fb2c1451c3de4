/* The producers of transactional sinks: one per cluster, shared by all transactional sinks that write to it, so that their results and
 * the source's positions are one transaction.
 *
 * What the engine does with it: creates it before its sinks and destroys it after them; hands sinks of one transaction
 * (sink_operations.transaction) to one outlet thread; offers the blocks in order, then calls commit() of one of those sinks with the
 * positions and the consumer's group metadata; on SINK_COMMIT_AGAIN calls only that again; on SINK_COMMIT_ABORTED or _FENCED drops
 * what it holds for them and goes back to the positions that the group has committed. A write() that fails with STATUS_IO asks for
 * that commit() or abort(). The metadata is that of the consumer that read the events: its generation is what keeps a process that has
 * lost a partition from committing for it; the transactional id only ends what an earlier life of the same process left. Control
 * thread, but for the producers. */
#pragma once

#include "config/config.h"
#include "net/kafka_producer.h"

struct kafka_transactions;

/* `instance`: names this process among those of the consumer group, and is the same after its restart, so that the new one ends the
 * transaction that the old one left: it follows the prefix in the transactional id. Copied. */
struct kafka_transactions *kafka_transactions_create(const char *instance);
void kafka_transactions_destroy(struct kafka_transactions *transactions);
/* The producer for the sink's cluster. STATUS_INVALID: librdkafka refuses a setting, or another transactional sink of this cluster has
 * other settings. */
NODISCARD
enum status kafka_transactions_acquire(struct kafka_transactions *transactions,
                                       const struct config_sink *sink, struct kafka_producer **out,
                                       struct error *error);
/* Destroys it with its last user. */
void kafka_transactions_release(struct kafka_transactions *transactions, struct kafka_producer *producer);
