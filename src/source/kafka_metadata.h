/* Key and headers of the client library's messages, in the encoding of record_metadata.h. */
#pragma once

#include <librdkafka/rdkafka.h>

#include "flow/batch.h"

/* For the record that is appended next. */
void kafka_metadata_put(const rd_kafka_message_t *message, struct batch *batch);
/* A copy in the arena; empty when it has neither. What goes beyond METADATA_MAX_SIZE is left out. */
struct slice kafka_metadata_read(const rd_kafka_message_t *message, struct arena *arena);
