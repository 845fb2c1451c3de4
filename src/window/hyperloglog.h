/* HyperLogLog over hashes of 64 bits: 2^14 registers, each the greatest number of leading zeros (and 1) of the hashes that chose it.
 * The relative standard error is 1.04 / sqrt(2^14) = 0.8125 %. What is in the registers depends on the set of hashes alone.
 *
 * Source of the estimator: O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284 (2017),
 * section 4: without bias over the whole range, so neither a table of corrections nor another method for small numbers is needed. */
#pragma once

#include <stdint.h>

enum {
    HYPERLOGLOG_INDEX_BITS = 14,
    HYPERLOGLOG_REGISTERS = 1 << HYPERLOGLOG_INDEX_BITS,
    HYPERLOGLOG_LAST_RANK = 64 - HYPERLOGLOG_INDEX_BITS + 1,
};

static inline void hyperloglog_add(uint8_t *registers, uint64_t hash)
{
    /* A one behind the last bit ends the zeros of a hash that has nothing but zeros. */
    uint64_t rest = hash << HYPERLOGLOG_INDEX_BITS | UINT64_C(1) << (HYPERLOGLOG_INDEX_BITS - 1);
    uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
    uint8_t *place = &registers[hash >> (64 - HYPERLOGLOG_INDEX_BITS)];
    if (rank > *place)
        *place = rank;
}

void hyperloglog_merge(uint8_t *registers, const uint8_t *from);
double hyperloglog_estimate(const uint8_t *registers);
