/* The oldest of many offsets of one partition, for the recovery position B: sessions begin and end in any order, and there can be
 * millions. Offsets are counted in cohorts, ranges of the log that grow when there would be too many of them, so the answer may be a
 * little older than it must be: some records more are read again, none is missed. */
#pragma once

#include <stdint.h>

enum { ORIGIN_COHORTS_MAX = 1024 };

struct origin_cohort {
    int64_t offset;       /* first of the range; counted are those from here to the next cohort */
    int64_t watermark_us; /* of the partition before it */
    uint64_t count;
};

/* All zeros is empty. */
struct origin_ledger {
    struct origin_cohort *cohorts;   /* by offset */
    uint32_t first, count, capacity; /* [first, first + count) */
    int64_t range;                   /* offsets that a new cohort is away from the last at least */
    int64_t largest;                 /* of the offsets: what is smaller is in a cohort that is there */
};

void origin_ledger_deinit(struct origin_ledger *ledger);
void origin_ledger_add(struct origin_ledger *ledger, int64_t offset, int64_t watermark_us);
/* An offset that was added. */
void origin_ledger_remove(struct origin_ledger *ledger, int64_t offset);
/* INT64_MAX when nothing is counted. */
int64_t origin_ledger_oldest(const struct origin_ledger *ledger, int64_t *watermark_us);
