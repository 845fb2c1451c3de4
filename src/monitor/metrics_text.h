/* Families and samples in Prometheus' text format 0.0.4 or in OpenMetrics 1.0, which differ in how counters are named in TYPE lines.
 * The samples of a family stand together, as both formats want. Only the sources of this folder include it. */
#pragma once

#include "monitor/stats.h"

struct metrics_writer {
    struct buffer *out;
    const struct stats_snapshot *snapshot;
    bool is_openmetrics;
    const char *name; /* of the family under way, without the suffix of counters */
    const char *suffix;
    bool has_label;
};

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM, METRICS_SUMMARY, METRICS_INFO };

/* HELP and TYPE. A counter is named without `_total` here; samples get it. */
void metrics_family(struct metrics_writer *writer, const char *name, enum metrics_kind kind,
                    const char *help);

/* A sample is begun, gets its labels, then its value. Samples of histograms and summaries have a suffix of their own. */
void metrics_begin(struct metrics_writer *writer);
void metrics_begin_part(struct metrics_writer *writer, const char *suffix);
void metrics_label(struct metrics_writer *writer, const char *name, const char *value);
void metrics_label_number(struct metrics_writer *writer, const char *name, uint32_t value);
void metrics_count(struct metrics_writer *writer, uint64_t value);
void metrics_seconds(struct metrics_writer *writer, int64_t value_us);

/* One sample without labels. */
void metrics_single(struct metrics_writer *writer, const char *name, enum metrics_kind kind, const char *help,
                    uint64_t value);

/* stats_metrics_kafka.c */
void metrics_write_kafka(struct metrics_writer *writer);
