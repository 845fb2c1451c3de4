/* The list of the kinds of sinks. Each sink is used by one outlet thread. */
#pragma once

#include "config/config.h"
#include "flow/sink.h"

/* Opens the sink that the configuration describes. A file that cannot be written: STATUS_IO or STATUS_NOT_FOUND,
 * the error names it. Control thread. */
NODISCARD
enum status sink_open(const struct config_sink *config, struct sink **out, struct error *error);
