/* Estimates from registers. See hyperloglog.h; names as in the paper. */
#include "window/hyperloglog.h"

#include <math.h>

void hyperloglog_merge(uint8_t *registers, const uint8_t *from)
{
    for (uint32_t i = 0; i < HYPERLOGLOG_REGISTERS; i++)
        registers[i] = registers[i] > from[i] ? registers[i] : from[i];
}

/* x + sum of x^(2^k) 2^(k-1): what registers that are still zero stand for. Each series ends when its terms no longer change the sum. */
static double sigma(double x)
{
    if (x >= 1)
        return (double)INFINITY;
    double weight = 1, sum = x, before;
    do {
        x *= x;
        before = sum;
        sum += x * weight;
        weight += weight;
    } while (sum > before);
    return sum;
}

/* The same for registers that can grow no more. */
static double tau(double x)
{
    if (x <= 0 || x >= 1)
        return 0;
    double weight = 1, sum = 1 - x, before;
    do {
        x = sqrt(x);
        before = sum;
        weight *= 0.5;
        sum -= (1 - x) * (1 - x) * weight;
    } while (sum < before);
    return sum / 3;
}

double hyperloglog_estimate(const uint8_t *registers)
{
    static const double alpha = 0.72134752044448170368; /* 1 / (2 ln 2) */
    const double m = HYPERLOGLOG_REGISTERS;
    uint32_t counts[HYPERLOGLOG_LAST_RANK + 1] = {0};
    for (uint32_t i = 0; i < HYPERLOGLOG_REGISTERS; i++)
        counts[registers[i]]++;
    double z = m * tau(1 - counts[HYPERLOGLOG_LAST_RANK] / m);
    for (uint32_t k = HYPERLOGLOG_LAST_RANK - 1; k > 0; k--)
        z = 0.5 * (z + counts[k]);
    z += m * sigma(counts[0] / m);
    return alpha * m * m / z;
}
