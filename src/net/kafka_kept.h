/* Copies of messages that a broker has refused, oldest first, until they are sent again. Only for errors: what goes well is never
 * copied here. */
#pragma once

#include "net/kafka_producer.h"

enum { KAFKA_CUT_TEXT_SIZE = 24 };

struct kafka_kept_message {
    struct kafka_kept_message *next;
    struct kafka_message message; /* points into the bytes behind it */
    rd_kafka_resp_err_t code;     /* why it was refused */
    size_t size;                  /* of its bytes */
    char cut_text[KAFKA_CUT_TEXT_SIZE];
    struct kafka_header headers[]; /* one more than there are, for kafka_kept_cut() */
};

struct kafka_kept {
    struct kafka_kept_message *first, *last;
    uint32_t count;
    size_t size;
};

/* Copies it to the end. */
void kafka_kept_add(struct kafka_kept *kept, const struct kafka_message *message, rd_kafka_resp_err_t code);
/* What a message's private pointer has to be, so that its delivery report tells what it does not tell by itself: the message's time
 * (librdkafka withholds that of failed ones), and whether its partition was given. */
void *kafka_kept_mark(const struct kafka_message *message);
/* The same for what a delivery report hands back. */
void kafka_kept_add_delivery(struct kafka_kept *kept, const rd_kafka_message_t *delivery);
/* Takes the oldest off the list; NULL when there is none. Free with free(). */
struct kafka_kept_message *kafka_kept_take(struct kafka_kept *kept);
/* Puts what was taken back, as the newest. */
void kafka_kept_put(struct kafka_kept *kept, struct kafka_kept_message *message);
void kafka_kept_clear(struct kafka_kept *kept);
/* Halves value and key; the first time the header `name` with the value's former size is added. */
void kafka_kept_cut(struct kafka_kept_message *message, const char *name);
