/* See origin_ledger.h. Offsets nearly always come at the end, and go at the beginning. */
#include "window/origin_ledger.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "flow/batch.h"

void origin_ledger_deinit(struct origin_ledger *ledger)
{
    free(ledger->cohorts);
    *ledger = (struct origin_ledger){0};
}

/* The cohort of the offset; -1 for one before the first. */
static int64_t find_cohort(const struct origin_ledger *ledger, int64_t offset)
{
    int64_t low = ledger->first, high = (int64_t)ledger->first + ledger->count;
    if (high > low && ledger->cohorts[high - 1].offset <= offset)
        return high - 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (ledger->cohorts[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low == ledger->first ? -1 : low - 1;
}

/* Two cohorts become one. */
static void widen(struct origin_ledger *ledger)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ledger->count; i++) {
        if (i % 2 == 0)
            ledger->cohorts[kept++] = ledger->cohorts[i];
        else
            ledger->cohorts[kept - 1].count += ledger->cohorts[i].count;
    }
    ledger->count = kept;
    ledger->range = ledger->range * 2 + 1;
}

static void make_room(struct origin_ledger *ledger)
{
    if (ledger->first + ledger->count < ledger->capacity)
        return;
    if (ledger->first > 0) {
        memmove(ledger->cohorts, ledger->cohorts + ledger->first, ledger->count * sizeof *ledger->cohorts);
        ledger->first = 0;
    }
    if (ledger->count == ORIGIN_COHORTS_MAX)
        widen(ledger);
    if (ledger->count < ledger->capacity)
        return;
    ledger->capacity = ledger->capacity ? ledger->capacity * 2 : 8;
    ledger->cohorts = memory_resize_array(ledger->cohorts, ledger->capacity, sizeof *ledger->cohorts);
}

void origin_ledger_add(struct origin_ledger *ledger, int64_t offset, int64_t watermark_us)
{
    int64_t index = find_cohort(ledger, offset);
    bool is_empty = ledger->count == 0;
    if (is_empty || (offset > ledger->largest && offset - ledger->cohorts[index].offset > ledger->range)) {
        make_room(ledger);
        index = (int64_t)ledger->first + ledger->count++;
        ledger->cohorts[index] = (struct origin_cohort){offset, watermark_us, 0};
    } else if (index < 0) {
        index = ledger->first;
        ledger->cohorts[index].offset = offset;
        ledger->cohorts[index].watermark_us = watermark_us;
    }
    if (is_empty || offset > ledger->largest)
        ledger->largest = offset;
    ledger->cohorts[index].count++;
}

void origin_ledger_remove(struct origin_ledger *ledger, int64_t offset)
{
    int64_t index = find_cohort(ledger, offset);
    assert(index >= 0 && ledger->cohorts[index].count > 0);
    ledger->cohorts[index].count--;
    while (ledger->count > 0 && ledger->cohorts[ledger->first].count == 0) {
        ledger->first++;
        ledger->count--;
    }
    if (ledger->count == 0) {
        ledger->first = 0;
        ledger->range = 0;
    }
}

int64_t origin_ledger_oldest(const struct origin_ledger *ledger, int64_t *watermark_us)
{
    if (!ledger->count) {
        *watermark_us = TIME_NONE;
        return INT64_MAX;
    }
    *watermark_us = ledger->cohorts[ledger->first].watermark_us;
    return ledger->cohorts[ledger->first].offset;
}
