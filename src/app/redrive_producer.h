/* The producer of `weir redrive`: waits where a server would go on with other work, and gives up after a while. One thread. */
#pragma once

#include "app/redrive.h"
#include "net/kafka_producer.h"

struct redrive_producer;

/* For the cluster of a kafka source. Idempotent, acknowledged by all replicas in sync. */
NODISCARD
enum status redrive_producer_open(const struct config_source *source, struct redrive_producer **out,
                                  struct error *error);
void redrive_producer_close(struct redrive_producer *producer);
NODISCARD
enum status redrive_producer_send(struct redrive_producer *producer, const struct kafka_message *message,
                                  struct error *error);
/* STATUS_OK: all that was sent is acknowledged. */
NODISCARD
enum status redrive_producer_flush(struct redrive_producer *producer, struct error *error);

/* redrive_store.c: dead letters of a kafka source that has no dead-letter topic, out of the store. */
NODISCARD
enum status redrive_kafka_store(const struct redrive *redrive, struct redrive_counts *counts,
                                struct error *error);
