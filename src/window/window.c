/* Which kind of window an operator or a merger is of. See window.h. */
#include "base/memory.h"
#include "window/window_internal.h"

static const struct {
    const struct window_operator_kind *operator;
    const struct window_merger_kind *merger;
} kinds[] = {
    [WINDOW_TUMBLING] = {&aligned_operator_kind, &aligned_merger_kind},
    [WINDOW_SESSION] = {&session_operator_kind, &session_merger_kind},
    [WINDOW_GLOBAL] = {&aligned_operator_kind, &aligned_merger_kind},
    [WINDOW_SLIDING] = {&aligned_operator_kind, &sliding_merger_kind},
};

int64_t window_memory_us(bool emit_empty, int64_t size_us)
{
    return emit_empty ? WINDOW_EMPTY_MAX * size_us : 0;
}

struct window_operator *window_operator_create(const struct window_spec *spec)
{
    struct window_operator *op = kinds[spec->kind].operator->create(spec);
    op->kind = kinds[spec->kind].operator;
    return op;
}

void window_operator_destroy(struct window_operator *op)
{
    if (op)
        op->kind->destroy(op);
}

void window_operator_add(struct window_operator *op, const struct window_rows *rows,
                         struct window_counts *counts, uint32_t *too_late, uint32_t *too_late_count)
{
    op->kind->add(op, rows, counts, too_late, too_late_count);
}

struct pane *window_operator_take(struct window_operator *op, int64_t watermark_us, bool flush_open)
{
    return op->kind->take(op, watermark_us, flush_open);
}

int64_t window_operator_oldest_offset(const struct window_operator *op, uint32_t partition,
                                      int64_t *watermark_us)
{
    return op->kind->oldest_offset(op, partition, watermark_us);
}

void window_operator_set_horizon(struct window_operator *op, int64_t closed_through_us)
{
    op->kind->set_horizon(op, closed_through_us);
}

struct window_merger *window_merger_create(const struct window_spec *spec, window_emit emit, void *context)
{
    struct window_merger *merger = kinds[spec->kind].merger->create(spec, emit, context);
    merger->kind = kinds[spec->kind].merger;
    return merger;
}

void window_merger_destroy(struct window_merger *merger)
{
    if (merger)
        merger->kind->destroy(merger);
}

void window_merger_add(struct window_merger *merger, struct pane *pane, int64_t arrival_us)
{
    merger->kind->add(merger, pane, arrival_us);
}

enum status window_merger_decode(struct window_merger *merger, const struct pane_codec *codec,
                                 struct slice message, struct pane **pane, struct error *error)
{
    return merger->kind->decode(merger, codec, message, pane, error);
}

void window_merger_advance(struct window_merger *merger, int64_t watermark_us, enum close_cause cause,
                           const struct clock *clock)
{
    merger->kind->advance(merger, watermark_us, cause, clock);
}

int64_t window_merger_tick(struct window_merger *merger, const struct clock *clock)
{
    return merger->kind->tick(merger, clock);
}

void window_merger_reset(struct window_merger *merger)
{
    merger->kind->reset(merger);
}

void window_merger_recover(struct window_merger *merger, int64_t closed_through_us)
{
    merger->kind->recover(merger, closed_through_us);
}

void window_merger_go_live(struct window_merger *merger)
{
    merger->kind->go_live(merger);
}

int64_t window_merger_oldest_offset(const struct window_merger *merger, uint32_t partition,
                                    int64_t *watermark_us)
{
    return merger->kind->oldest_offset(merger, partition, watermark_us);
}

struct window_merger_stats window_merger_stats(const struct window_merger *merger)
{
    return merger->kind->stats(merger);
}

/* A key may be in every pane that sliding windows hold, with the sum of it in the older half of an open window, and once more for all
 * of them; see sliding_stack.h. */
static size_t rows_of_key(const struct window_spec *spec)
{
    if (spec->kind != WINDOW_SLIDING)
        return 1;
    struct window_grid grid = window_grid_of(spec);
    return (size_t)((grid.size_us + grid.size_us / 2 + spec->allowed_lateness_us) / grid.pane_us) + 2;
}

size_t window_key_memory_bound(const struct window_spec *spec)
{
    enum { SLOTS_PER_ROW_MAX = 4, KEY_TEXT_TYPICAL = 32, SLIDING_ROW_EXTRA = 20 };
    struct pane_pool *pool = pane_pool_create(spec);
    struct pane *pane = pane_create(pool, PANE_MARKS, TIME_NONE, 0);
    /* Arrays double when they grow, so up to half of each is room. */
    size_t size = pane->layout->row_size * 2 + SLOTS_PER_ROW_MAX * sizeof *pane->slots +
                  spec->shape->key_count * (size_t)KEY_TEXT_TYPICAL * 2;
    if (spec->kind == WINDOW_SLIDING)
        size = rows_of_key(spec) * (size + SLIDING_ROW_EXTRA);
    pane_destroy(pane);
    pane_pool_release(pool);
    return size + window_key_sketch_bound(spec);
}

size_t window_key_sketch_bound(const struct window_spec *spec)
{
    size_t size = 0;
    struct pane_pool *pool = pane_pool_create(spec);
    const struct pane_layout *layout = pane_pool_layout(pool);
    /* The memory of blocks doubles, too. */
    for (uint32_t a = 0; a < spec->aggregate_count; a++)
        size += layout->sharers[a] ? spec->aggregates[a].kind->blocks_size_max * 2 : 0;
    pane_pool_release(pool);
    return rows_of_key(spec) * (size);
}
