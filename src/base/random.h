/* Seeded randomness (splitmix64, Steele et al. 2014): the same seed gives the same run everywhere. Not for secrets. */
#pragma once

#include <stdint.h>

struct random {
    uint64_t state;
};

static inline struct random random_seeded(uint64_t seed)
{
    return (struct random){seed};
}

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* Uniform in [0, 1). */
static inline double random_unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

/* Uniform in [0, limit); limit > 0. The bias of the multiply-shift is below 2^-32 for limits below 2^32. */
static inline uint64_t random_below(struct random *random, uint64_t limit)
{
    __extension__ typedef unsigned __int128 uint128;
    return (uint64_t)(((uint128)random_next(random) * limit) >> 64);
}

/* From the system, for identities (boot id, hash seed). */
uint64_t random_seed_from_system(void);
