/* The guide's table and formula. A power of two, so that the number can be doubled later and hashes of keys still spread evenly. */
#include "app/topic_presets.h"

#include <math.h>
#include <string.h>

static const struct topic_preset presets[] = {
    {"high_throughput",
     "a day of data, acknowledged by the leader alone; a broker that fails may lose some",
     {{"cleanup.policy", "delete"},
      {"retention.ms", "86400000"},
      {"segment.ms", "3600000"},
      {"compression.type", "lz4"},
      {"min.insync.replicas", "1"},
      {"unclean.leader.election.enable", "true"}}},
    {"high_durability",
     "a week of data, on two brokers before it is acknowledged",
     {{"cleanup.policy", "delete"},
      {"retention.ms", "604800000"},
      {"segment.ms", "86400000"},
      {"compression.type", "gzip"},
      {"min.insync.replicas", "2"},
      {"unclean.leader.election.enable", "false"}}},
};

const char *const topic_default_names[] = {"analytics-events", "streaming-metrics",    "streaming-alerts",
                                           "ml-predictions",   "analytics-events.dlq", NULL};

const struct topic_preset *topic_preset_find(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    }
    return NULL;
}

bool topic_plan_calculate(struct topic_plan *plan)
{
    double by_throughput = ceil(plan->mb_per_second / plan->mb_per_partition);
    if (!(by_throughput <= TOPIC_PARTITIONS_MAX) || plan->consumers > TOPIC_PARTITIONS_MAX)
        return false;
    plan->by_throughput = (uint64_t)by_throughput;
    uint64_t wanted = plan->by_throughput > plan->consumers ? plan->by_throughput : plan->consumers;
    for (plan->partitions = 1; plan->partitions < wanted;)
        plan->partitions *= 2;
    return true;
}
