/* The topic through which the members of a group share windows: made when a second member appears, two partitions, kept for an hour.
 * See partials_message.h for what is said. */
#pragma once

#include "net/kafka_producer.h"
#include "pipeline/partials_message.h"

struct partials;

struct partials_options {
    const struct config_kafka_source *source; /* whose connection is used */
    const char *topic;
    const struct clock *clock;
    struct waker *merger_waker; /* woken when panes have come */
};

/* Makes the topic where it is missing, and listens to control messages from now on. Waits for the brokers, some seconds at most. Thread of
 * the membership. */
NODISCARD
enum status partials_open(const struct partials_options *options, struct partials **out, struct error *error);
void partials_close(struct partials *partials);

/* --- control: the membership's thread --- */

NODISCARD
enum status partials_tell(struct partials *partials, struct slice text, struct error *error);
/* The next control message, valid until the next call; false when there is none now. `*offset` names it. */
bool partials_hear(struct partials *partials, struct slice *text, int64_t *offset);
/* Where the panes of a round that is about to begin will be: asked before the others are told. */
NODISCARD
enum status partials_end(struct partials *partials, int64_t *offset, struct error *error);
/* Forgets what a round before has left in the producer. While the merger rests. */
NODISCARD
enum status partials_begin_sending(struct partials *partials, struct error *error);
/* Panes from that offset on are received. While the merger rests. */
NODISCARD
enum status partials_listen(struct partials *partials, int64_t offset, struct error *error);

/* --- panes: the merger's thread --- */

/* STATUS_AGAIN: no room now; after partials_serve() again. STATUS_IO: the broker has refused an earlier one, so the round is spoilt. */
NODISCARD
enum status partials_send(struct partials *partials, struct slice message, struct error *error);
void partials_serve(struct partials *partials, int64_t timeout_us);
/* The next message, valid until the next call; false when there is none now. */
bool partials_receive(struct partials *partials, struct slice *message);
