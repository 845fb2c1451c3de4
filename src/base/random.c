/* A seed from the kernel. See random.h. */
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

uint64_t random_seed_from_system(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) {
        perror("weir: getrandom");
        abort();
    }
    return seed;
}
