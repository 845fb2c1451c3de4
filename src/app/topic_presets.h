/* What the performance guide says of topics: presets of settings, and how many partitions a load wants. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOPIC_PRESET_SETTINGS = 6, TOPIC_PARTITIONS_MAX = 65536 };

struct topic_setting {
    const char *name, *value;
};

struct topic_preset {
    const char *name, *purpose;
    struct topic_setting settings[TOPIC_PRESET_SETTINGS];
};

/* NULL when there is none of that name. */
const struct topic_preset *topic_preset_find(const char *name);

/* Topics that `weir topics create --defaults` makes; NULL behind the last. */
extern const char *const topic_default_names[];

struct topic_plan {
    double mb_per_second, mb_per_partition; /* MB = 1,000,000 bytes */
    uint64_t consumers;
    uint64_t by_throughput; /* mb_per_second / mb_per_partition, rounded up */
    uint64_t partitions;    /* the larger of it and `consumers`, rounded up to a power of two; at least 1 */
};

/* Fills the two last members from the others. False when more than TOPIC_PARTITIONS_MAX would be wanted. */
bool topic_plan_calculate(struct topic_plan *plan);
