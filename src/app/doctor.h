/* The report of `weir doctor`, to which parts in files of their own add. */
#pragma once

#include "base/buffer.h"
#include "config/config.h"

enum doctor_verdict { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor_report {
    struct buffer out;
    bool as_json, has_items;
    bool has_failure;
};

void doctor_add(struct doctor_report *report, enum doctor_verdict verdict, const char *what,
                const char *format, ...) PRINTF_LIKE(4, 5);

/* Connects to the brokers of a source or sink and looks at topics, rights and the group. Joins nothing, writes nothing. Takes at most
 * DOCTOR_KAFKA_MAX_US per request, and ends sooner when the connection is refused. */
void doctor_check_kafka_source(struct doctor_report *report, const struct config_source *source);
void doctor_check_kafka_sink(struct doctor_report *report, const struct config_sink *sink);
