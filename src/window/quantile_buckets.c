/* Counters by magnitude. See quantile_buckets.h. */
#include "window/quantile_buckets.h"

#include <assert.h>

#include "window/pane_wire.h"

enum { FIRST_SLOTS_LOG2 = 3 };
_Static_assert((BUCKET_SPAN_MAX & (BUCKET_SPAN_MAX - 1)) == 0, "slots are a power of two");
_Static_assert(BUCKET_SPAN_MAX * sizeof(uint64_t) <= PANE_BLOCK_MAX_SIZE,
               "a block must hold the widest range");

static uint32_t block_class(const struct bucket_range *range)
{
    return pane_block_class((size_t)(range->is_wide ? sizeof(uint64_t) : sizeof(uint32_t))
                            << range->slots_log2);
}

static inline uint32_t slot_of(const struct bucket_range *range, uint32_t index)
{
    return index & ((UINT32_C(1) << range->slots_log2) - 1);
}

static inline uint64_t read_slot(const struct pane *pane, const struct bucket_range *range, uint32_t index)
{
    const void *slots = pane_blocks_at(&pane->blocks, range->block);
    uint32_t slot = slot_of(range, index);
    return range->is_wide ? ((const uint64_t *)slots)[slot] : ((const uint32_t *)slots)[slot];
}

/* The count fits the width. */
static inline void write_slot(struct pane *pane, const struct bucket_range *range, uint32_t index,
                              uint64_t count)
{
    void *slots = pane_blocks_at(&pane->blocks, range->block);
    uint32_t slot = slot_of(range, index);
    if (range->is_wide)
        ((uint64_t *)slots)[slot] = count;
    else
        ((uint32_t *)slots)[slot] = (uint32_t)count;
}

/* The same counts in other slots, or wider ones. */
static void resize(struct pane *pane, struct bucket_range *range, uint32_t slots_log2, bool is_wide)
{
    struct bucket_range old = *range;
    range->slots_log2 = (uint8_t)slots_log2;
    range->is_wide = is_wide;
    range->block = pane_blocks_take(&pane->blocks, block_class(range));
    for (uint32_t i = 0; i < old.span; i++)
        write_slot(pane, range, old.low + i, read_slot(pane, &old, old.low + i));
    if (old.block)
        pane_blocks_give(&pane->blocks, old.block, block_class(&old));
}

static void add_to_slot(struct pane *pane, struct bucket_range *range, uint32_t index, uint64_t count)
{
    uint64_t sum = read_slot(pane, range, index) + count;
    if (sum > UINT32_MAX && !range->is_wide)
        resize(pane, range, range->slots_log2, true);
    write_slot(pane, range, index, sum);
}

/* Empties the buckets below the floor and returns what was in them. */
static uint64_t cut_below(struct pane *pane, struct bucket_range *range, uint32_t floor)
{
    uint64_t sum = 0;
    while (range->span > 0 && range->low < floor) {
        sum += read_slot(pane, range, range->low);
        write_slot(pane, range, range->low, 0);
        range->low++;
        range->span--;
    }
    return sum;
}

/* Makes a bucket outside of the span a used one; returns the bucket that its values go to. */
static uint32_t stretch(struct pane *pane, struct bucket_range *range, uint32_t index)
{
    uint32_t high = range->low + range->span - 1;
    uint32_t new_high = index > high ? index : high;
    uint32_t floor = new_high >= BUCKET_SPAN_MAX - 1 ? new_high - (BUCKET_SPAN_MAX - 1) : 0;
    if (index < floor)
        index = floor;
    uint64_t below = cut_below(pane, range, floor);
    uint32_t new_low = below ? floor : index < range->low ? index : range->low;
    uint32_t span = new_high - new_low + 1, slots_log2 = range->slots_log2;
    while (UINT32_C(1) << slots_log2 < span)
        slots_log2++;
    if (slots_log2 != range->slots_log2)
        resize(pane, range, slots_log2, range->is_wide);
    range->low = new_low;
    range->span = (uint16_t)span;
    if (below)
        add_to_slot(pane, range, floor, below);
    return index;
}

void bucket_range_add(struct pane *pane, struct bucket_range *range, uint32_t index, uint64_t count)
{
    if (__builtin_expect(index - range->low >= range->span, 0)) {
        if (range->span == 0) {
            if (!range->block)
                resize(pane, range, FIRST_SLOTS_LOG2, false);
            range->low = index;
            range->span = 1;
        } else {
            index = stretch(pane, range, index);
        }
    }
    add_to_slot(pane, range, index, count);
}

uint64_t bucket_range_count(const struct pane *pane, const struct bucket_range *range, uint32_t index)
{
    return index - range->low < range->span ? read_slot(pane, range, index) : 0;
}

/* Buckets (low, high) of a range that covers them, from the top; returns the first that is left to be added one by one. */
static uint32_t merge_narrow(struct pane *pane, const struct bucket_range *range,
                             const struct pane *from_pane, const struct bucket_range *from, uint32_t low,
                             uint32_t high)
{
    uint32_t *into = pane_blocks_at(&pane->blocks, range->block);
    const uint32_t *counts = pane_blocks_at(&from_pane->blocks, from->block);
    while (high > low + 1) {
        uint32_t *slot = &into[slot_of(range, high - 1)];
        uint64_t sum = (uint64_t)*slot + counts[slot_of(from, high - 1)];
        if (sum > UINT32_MAX)
            break;
        *slot = (uint32_t)sum;
        high--;
    }
    return high;
}

void bucket_range_merge(struct pane *pane, struct bucket_range *range, const struct pane *from_pane,
                        const struct bucket_range *from)
{
    uint32_t low = from->low, high = from->low + from->span; /* [low, high) */
    while (high > low && !read_slot(from_pane, from, high - 1))
        high--;
    while (high > low && !read_slot(from_pane, from, low))
        low++;
    if (low == high)
        return;
    /* The ends go first, from the top, so that the span is stretched and cut at most once on each side. */
    high--;
    bucket_range_add(pane, range, high, read_slot(from_pane, from, high));
    if (low == high)
        return;
    bucket_range_add(pane, range, low, read_slot(from_pane, from, low));
    bool is_covered = low - range->low < range->span && high - range->low < range->span;
    if (is_covered && !range->is_wide && !from->is_wide)
        high = merge_narrow(pane, range, from_pane, from, low, high);
    for (; high > low + 1; high--) {
        uint64_t count = read_slot(from_pane, from, high - 1);
        if (count)
            bucket_range_add(pane, range, high - 1, count);
    }
}

void bucket_range_reset(struct pane *pane, struct bucket_range *range)
{
    if (range->block)
        pane_blocks_give(&pane->blocks, range->block, block_class(range));
    *range = (struct bucket_range){0};
}

void bucket_range_save(const struct pane *pane, const struct bucket_range *range, struct buffer *out)
{
    uint32_t used = 0, before = 0;
    for (uint32_t i = 0; i < range->span; i++)
        used += read_slot(pane, range, range->low + i) > 0;
    wire_end(out, wire_put_varint(wire_room(out, VARINT_ROOM), used));
    for (uint32_t i = 0; i < range->span; i++) {
        uint64_t count = read_slot(pane, range, range->low + i);
        if (!count)
            continue;
        char *at = wire_put_varint(wire_room(out, 2 * VARINT_ROOM), range->low + i - before);
        wire_end(out, wire_put_varint(at, count));
        before = range->low + i;
    }
}

bool bucket_range_load(struct pane *pane, struct bucket_range *range, struct slice *in, uint64_t *total)
{
    uint32_t used, index = 0, distance;
    uint64_t count;
    if (!wire_get_varint32(in, &used) || used > BUCKET_SPAN_MAX)
        return false;
    for (uint32_t i = 0; i < used; i++) {
        if (!wire_get_varint32(in, &distance) || !wire_get_varint(in, &count))
            return false;
        if (distance == 0 || distance >= BUCKET_INDEX_END - index || !count || count > INT64_MAX - *total)
            return false;
        index += distance;
        if (index < BUCKET_INDEX_MIN || (i > 0 && index - range->low >= BUCKET_SPAN_MAX))
            return false;
        bucket_range_add(pane, range, index, count);
        *total += count;
    }
    return true;
}
