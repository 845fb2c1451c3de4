/* Dead letters of a kafka source in a topic beside its own, `<topic>.dlq`: key, headers and bytes of the record as they came, and why
 * it was judged bad in further headers:
 *
 *   weir.source     the source's name in the configuration
 *   weir.reason     bad_reason_name(), or too_late
 *   weir.detail     in words; not there when there is nothing to say
 *   weir.topic, weir.partition, weir.offset   where the record stood: a letter that comes twice after a restart has the same
 *   weir.time       milliseconds since 1970 of the judgement, or the record's own time where it is known
 *   weir.truncated  its former size, when the topic does not take the record whole; what is there is its beginning
 *
 * Where a record already has such headers (it came from a dead-letter topic itself), the last of a name are the newest. The message's
 * own time is that of its sending, so that retention counts from there. One thread at a time. */
#pragma once

#include "config/config.h"
#include "flow/dead_letter.h"
#include "net/kafka_producer.h"

enum {
    KAFKA_DEAD_LETTER_TOPICS_MAX = 64, /* made when they are missing; further ones must be there */
    /* Headers of a record that are kept; the rest is left out. */
    KAFKA_DEAD_LETTER_HEADERS_MAX = 256
};

struct kafka_dead_letters;

/* `source` and its name outlive it. STATUS_INVALID: librdkafka refuses a setting. Does not wait for a connection. Only for sources
 * whose dead_letter_topic is not "". */
NODISCARD
enum status kafka_dead_letters_open(const struct config_source *source, struct kafka_dead_letters **out,
                                    struct error *error);
void kafka_dead_letters_close(struct kafka_dead_letters *letters);
/* Takes a copy. On failure offer the same letter again after a pause; the error says what is wrong. */
NODISCARD
enum status kafka_dead_letters_write(struct kafka_dead_letters *letters, const struct dead_letter *letter,
                                     struct error *error);
/* STATUS_OK: all are acknowledged, and the source's progress may pass them. Else again after a pause. */
NODISCARD
enum status kafka_dead_letters_flush(struct kafka_dead_letters *letters, struct error *error);
/* Now and then while there is nothing to write. */
void kafka_dead_letters_idle(struct kafka_dead_letters *letters);
/* The producer of it. Any thread, as long as it is open. */
struct kafka_producer *kafka_dead_letters_producer(const struct kafka_dead_letters *letters);
/* What is wrong at present, for /health. Any thread. */
bool kafka_dead_letters_trouble(struct kafka_dead_letters *letters, struct error *error);
