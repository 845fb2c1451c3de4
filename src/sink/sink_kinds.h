/* The list of the kinds of sinks. Each sink is used by one outlet thread; those of one transaction (sink_operations.transaction) by
 * the same one. */
#pragma once

#include "config/config.h"
#include "flow/sink.h"

struct kafka_transactions;
struct kafka_producer;

/* Opens the sink that the configuration describes. A file that cannot be written: STATUS_IO or STATUS_NOT_FOUND, the error names it.
 * `transactions`: what transactional sinks share; it outlives them; NULL when there are none. Control thread. */
NODISCARD
enum status sink_open(const struct config_sink *config, struct kafka_transactions *transactions,
                      struct sink **out, struct error *error);
/* The producer behind a kafka sink, which sinks of one transaction share; NULL: the sink is of another kind. Any thread, as long as the
 * sink is open. */
struct kafka_producer *sink_producer(const struct sink *sink);
