/* distinct_count(x): how many different values. Up to DISTINCT_EXACT_MAX of them their hashes are kept and counted; beyond, a HyperLogLog
 * of the same hashes counts. Both, and the moment of the change, depend on the set of values alone, not on order or merging.
 *
 * The table of hashes at its largest is as large as the registers, so going on exactly for so long costs no memory. */
#include <stdlib.h>

#include "window/hyperloglog.h"
#include "window/pane_wire.h"
#include "window/state_access.h"
#include "window/value_identity.h"

enum {
    DISTINCT_EXACT_MAX = 1024,
    FIRST_SLOTS_LOG2 = 2,
    REGISTER_BITS = 6,
    /* Four registers are three bytes in a message. */
    REGISTERS_SAVED_SIZE = HYPERLOGLOG_REGISTERS * REGISTER_BITS / 8,
};

struct distinct_state {
    uint32_t count; /* of hashes */
    uint32_t block; /* hashes in open addressing, 0 = free; or registers */
    uint8_t slots_log2;
    uint8_t is_sketch;
    uint8_t unused[6];
};

static uint32_t block_class(const struct distinct_state *state)
{
    return pane_block_class(state->is_sketch ? HYPERLOGLOG_REGISTERS : sizeof(uint64_t) << state->slots_log2);
}

static void give_block(struct pane *pane, const struct distinct_state *state)
{
    if (state->block)
        pane_blocks_give(&pane->blocks, state->block, block_class(state));
}

/* --- the table of hashes ------------------------------------------------------------------------------------------------ */

/* The slot with the hash, or the free one where it would be put. */
static inline uint64_t *find_slot(const struct pane *pane, const struct distinct_state *state, uint64_t hash)
{
    uint64_t *slots = pane_blocks_at(&pane->blocks, state->block);
    uint32_t mask = (UINT32_C(1) << state->slots_log2) - 1, place = (uint32_t)hash & mask;
    while (slots[place] && slots[place] != hash)
        place = (place + 1) & mask;
    return &slots[place];
}

static void move_hashes(struct pane *pane, struct distinct_state *state, const struct distinct_state *old)
{
    for (uint32_t i = 0; old->block && i < UINT32_C(1) << old->slots_log2; i++) {
        uint64_t hash = ((const uint64_t *)pane_blocks_at(&pane->blocks, old->block))[i];
        if (hash && state->is_sketch)
            hyperloglog_add(pane_blocks_at(&pane->blocks, state->block), hash);
        else if (hash)
            *find_slot(pane, state, hash) = hash;
    }
    give_block(pane, old);
}

static void grow_table(struct pane *pane, struct distinct_state *state)
{
    const struct distinct_state old = *state;
    state->slots_log2 = old.block ? (uint8_t)(old.slots_log2 + 1) : FIRST_SLOTS_LOG2;
    state->block = pane_blocks_take(&pane->blocks, block_class(state));
    move_hashes(pane, state, &old);
}

static void become_sketch(struct pane *pane, struct distinct_state *state)
{
    const struct distinct_state old = *state;
    *state = (struct distinct_state){.is_sketch = true};
    state->block = pane_blocks_take(&pane->blocks, block_class(state));
    move_hashes(pane, state, &old);
}

static void add_hash(struct pane *pane, struct distinct_state *state, uint64_t hash)
{
    hash += hash == 0; /* 0 is a free slot */
    if (!state->is_sketch) {
        if (state->block && *find_slot(pane, state, hash))
            return;
        if (state->count < DISTINCT_EXACT_MAX) {
            uint32_t slot_count = UINT32_C(1) << state->slots_log2;
            if (!state->block || state->count + 1 > slot_count / 4 * 3)
                grow_table(pane, state);
            *find_slot(pane, state, hash) = hash;
            state->count++;
            return;
        }
        become_sketch(pane, state);
    }
    hyperloglog_add(pane_blocks_at(&pane->blocks, state->block), hash);
}

/* --- the aggregate ------------------------------------------------------------------------------------------------------ */

static void distinct_add(struct aggregate_input *input)
{
    const struct column *column = input->column;
    for (uint32_t i = 0; i < input->count; i++) {
        uint32_t row = input->rows[i];
        uint8_t kind = column->kinds[row];
        union value value = column->values[row];
        if (value_is_missing(kind, value))
            continue;
        kind = value_canonical(kind, &value);
        add_hash(input->pane, input_state(input, i), value_hash(kind, value, input->batch->bytes));
    }
}

static void merge_state(struct pane *pane, struct distinct_state *into, const struct pane *from_pane,
                        const struct distinct_state *from)
{
    if (!from->block)
        return;
    if (from->is_sketch) {
        if (!into->is_sketch)
            become_sketch(pane, into);
        hyperloglog_merge(pane_blocks_at(&pane->blocks, into->block),
                          pane_blocks_at(&from_pane->blocks, from->block));
        return;
    }
    for (uint32_t i = 0; i < UINT32_C(1) << from->slots_log2; i++) {
        uint64_t hash = ((const uint64_t *)pane_blocks_at(&from_pane->blocks, from->block))[i];
        if (hash)
            add_hash(pane, into, hash);
    }
}

static void distinct_merge(const struct aggregate_merge *merge)
{
    for (uint32_t i = 0; i < merge->count; i++)
        merge_state(merge->into_pane, merge_into(merge, i), merge->from_pane, merge_from(merge, i));
}

static void distinct_reset(struct pane *pane, char *state)
{
    struct distinct_state *distinct = (struct distinct_state *)(void *)state;
    give_block(pane, distinct);
    *distinct = (struct distinct_state){0};
}

/* There are more than would have been counted exactly, which also tells a reader which it is. */
static int64_t sketch_count(const uint8_t *registers)
{
    int64_t count = llround(hyperloglog_estimate(registers));
    return count > DISTINCT_EXACT_MAX ? count : DISTINCT_EXACT_MAX + 1;
}

static void distinct_finish(const struct aggregate_finish *finish)
{
    for (uint32_t i = 0; i < finish->count; i++) {
        const struct distinct_state *state = finish_state(finish, i);
        int64_t count = state->count;
        if (state->is_sketch)
            count = sketch_count(pane_blocks_at(&finish->pane->blocks, state->block));
        finish_int(finish, i, count);
    }
}

/* --- bytes -------------------------------------------------------------------------------------------------------------- */

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void save_registers(const uint8_t *registers, struct buffer *out)
{
    char *at = wire_room(out, REGISTERS_SAVED_SIZE);
    for (uint32_t i = 0; i < HYPERLOGLOG_REGISTERS; i += 4) {
        uint32_t four = registers[i] | (uint32_t)registers[i + 1] << 6 | (uint32_t)registers[i + 2] << 12 |
                        (uint32_t)registers[i + 3] << 18;
        at = wire_put_byte(wire_put_byte(wire_put_byte(at, (uint8_t)four), (uint8_t)(four >> 8)),
                           (uint8_t)(four >> 16));
    }
    wire_end(out, at);
}

/* Number of hashes * 2 │ the hashes, ascending      or      1 │ registers of 6 bits */
static void distinct_save(const char *bytes, const struct aggregate_save *save)
{
    const struct distinct_state *state = (const struct distinct_state *)(const void *)bytes;
    char *at = wire_room(save->out, VARINT_ROOM);
    wire_end(save->out, wire_put_varint(at, (uint64_t)state->count << 1 | state->is_sketch));
    if (!state->block)
        return;
    const void *block = pane_blocks_at(&save->pane->blocks, state->block);
    if (state->is_sketch) {
        save_registers(block, save->out);
        return;
    }
    uint64_t hashes[DISTINCT_EXACT_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < UINT32_C(1) << state->slots_log2; i++) {
        if (((const uint64_t *)block)[i])
            hashes[count++] = ((const uint64_t *)block)[i];
    }
    qsort(hashes, count, sizeof *hashes, compare_hashes);
    at = wire_room(save->out, count * sizeof *hashes);
    for (uint32_t i = 0; i < count; i++)
        at = wire_put_fixed64(at, hashes[i]);
    wire_end(save->out, at);
}

static bool load_registers(struct aggregate_load *load, struct distinct_state *state)
{
    const char *saved;
    if (!wire_get_bytes(&load->in, REGISTERS_SAVED_SIZE, &saved))
        return false;
    become_sketch(load->pane, state);
    uint8_t *registers = pane_blocks_at(&load->pane->blocks, state->block);
    for (uint32_t i = 0; i < HYPERLOGLOG_REGISTERS; i += 4, saved += 3) {
        uint32_t four = (uint32_t)(uint8_t)saved[0] | (uint32_t)(uint8_t)saved[1] << 8 |
                        (uint32_t)(uint8_t)saved[2] << 16;
        for (uint32_t r = 0; r < 4; r++) {
            registers[i + r] = four >> r * REGISTER_BITS & ((1 << REGISTER_BITS) - 1);
            if (registers[i + r] > HYPERLOGLOG_LAST_RANK)
                return false;
        }
    }
    return true;
}

static bool distinct_load(char *bytes, struct aggregate_load *load)
{
    struct distinct_state *state = (struct distinct_state *)(void *)bytes;
    uint64_t header, hash, before = 0;
    if (!wire_get_varint(&load->in, &header))
        return false;
    if (header & 1)
        return header == 1 && load_registers(load, state);
    if (header >> 1 > DISTINCT_EXACT_MAX)
        return false;
    for (uint64_t i = 0; i < header >> 1; i++, before = hash) {
        if (!wire_get_fixed64(&load->in, &hash) || hash <= before)
            return false;
        add_hash(load->pane, state, hash);
    }
    return true;
}

const struct aggregate_kind distinct_count_aggregate = {
    .name = "distinct_count",
    .argument_count = 1,
    .state_size = sizeof(struct distinct_state),
    .blocks_size_max = HYPERLOGLOG_REGISTERS,
    .add = distinct_add,
    .merge = distinct_merge,
    .reset = distinct_reset,
    .finish = distinct_finish,
    .save = distinct_save,
    .load = distinct_load,
};
