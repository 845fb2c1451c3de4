/* What stddev, stddev_pop and variance share: Welford's mean and sum of squared differences, merged by Chan's formula, both
 * carried in two doubles, so that neither a large mean nor many values cost digits. */
#pragma once

#include "window/state_access.h"

struct variance_state {
    double mean, mean_rest;
    double squares, squares_rest; /* sum of (x - mean)^2 */
    uint64_t count;
};

void variance_add(struct aggregate_input *input);
void variance_merge(const struct aggregate_merge *merge);
/* Varint count; then, if there is a value, the four doubles. */
void variance_save(const char *state, const struct aggregate_save *save);
bool variance_load(char *state, struct aggregate_load *load);

/* Sum of squared differences by (count - freedom), or its root; null when that is not positive. */
void variance_finish_by(const struct aggregate_finish *finish, uint64_t freedom, bool is_root);
