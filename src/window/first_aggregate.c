/* first(x): the earliest value by event time. Most of what first and last share is here; see pick_state.h. */
#include "window/pane_wire.h"
#include "window/pick_state.h"

static bool is_text(uint8_t kind)
{
    return kind == VALUE_STRING || kind == VALUE_JSON;
}

/* A pane of empty texts has no bytes to point into. */
static const char *text_of(const struct pick_state *state, const struct pane *pane)
{
    return state->value.s.size ? pane->text.data + state->value.s.offset : "";
}

/* Puts the text where the state's old one was, or at the end of the pane. False when the pane is full of text. */
static bool place_text(struct pick_state *state, struct pane *pane, const char *text, uint32_t size)
{
    if (size <= state->text_room * PICK_TEXT_UNIT) {
        if (size)
            memcpy(pane->text.data + state->value.s.offset, text, size);
        state->value.s.size = size;
        return true;
    }
    if (size > PICK_TEXT_MAX_SIZE)
        return false;
    static const char padding[PICK_TEXT_UNIT] = {0};
    uint32_t room = (size + PICK_TEXT_UNIT - 1) / PICK_TEXT_UNIT, offset, padding_offset;
    if (!pane_add_text(pane, text, size, &offset) ||
        !pane_add_text(pane, padding, room * PICK_TEXT_UNIT - size, &padding_offset))
        return false;
    state->value.s = (struct text_reference){offset, size};
    state->text_room = room & 0xFFFFFF;
    return true;
}

/* `candidate` holds time, place and kind; its value is a number, or is the text. */
static void take(struct pick_state *state, struct pane *pane, const struct pick_state *candidate,
                 const char *text)
{
    if (is_text((uint8_t)candidate->kind)) {
        if (!place_text(state, pane, text, candidate->value.s.size))
            return;
    } else {
        state->text_room = 0;
        state->value = candidate->value;
    }
    state->time_us = candidate->time_us;
    state->offset = candidate->offset;
    state->partition = candidate->partition;
    state->kind = candidate->kind;
}

void pick_add(struct aggregate_input *input, int sign)
{
    const struct batch *batch = input->batch;
    for (uint32_t i = 0; i < input->count; i++) {
        uint32_t row = input->rows[i];
        uint8_t kind = input->column->kinds[row];
        union value value = input->column->values[row];
        if (kind == VALUE_NULL || (kind == VALUE_DOUBLE && isnan(value.d)))
            continue;
        struct pick_state *state = input_state(input, i);
        struct pick_state candidate = {
            .time_us = batch->event_times_us[row],
            .offset = batch->offsets[row],
            .partition = input->partition,
            .value = value,
            .kind = kind,
        };
        if (state->kind == VALUE_NULL || sign * pick_compare(&candidate, state) < 0)
            take(state, input->pane, &candidate, batch->bytes + value.s.offset);
    }
}

void pick_merge(const struct aggregate_merge *merge, int sign)
{
    for (uint32_t i = 0; i < merge->count; i++) {
        const struct pick_state *from = merge_from(merge, i);
        struct pick_state *into = merge_into(merge, i);
        if (from->kind == VALUE_NULL || (into->kind != VALUE_NULL && sign * pick_compare(from, into) > 0))
            continue;
        const char *text = is_text((uint8_t)from->kind) ? text_of(from, merge->from_pane) : NULL;
        take(into, merge->into_pane, from, text);
    }
}

void pick_reset(struct pane *pane, char *state)
{
    (void)pane;
    struct pick_state *pick = (struct pick_state *)(void *)state;
    if (!is_text((uint8_t)pick->kind))
        pick->text_room = 0;
    pick->kind = VALUE_NULL;
}

void pick_finish(const struct aggregate_finish *finish)
{
    for (uint32_t i = 0; i < finish->count; i++) {
        const struct pick_state *state = finish_state(finish, i);
        if (state->kind == VALUE_DOUBLE) {
            finish_double(finish, i, state->value.d);
            continue;
        }
        finish->kinds[i] = (uint8_t)state->kind;
        finish->values[i] = state->value;
        if (!is_text((uint8_t)state->kind))
            continue;
        finish->values[i].s.offset = (uint32_t)finish->bytes->size;
        buffer_append(finish->bytes, text_of(state, finish->pane), state->value.s.size);
    }
}

void pick_save(const char *state, const struct aggregate_save *save)
{
    const struct pick_state *pick = (const struct pick_state *)(const void *)state;
    uint8_t kind = (uint8_t)pick->kind;
    wire_put_value(save->out, kind, pick->value, is_text(kind) ? text_of(pick, save->pane) : "");
    if (kind == VALUE_NULL)
        return;
    const struct pane_partition_map *partitions = save->partitions;
    uint32_t partition =
        partitions->map ? partitions->map(partitions->context, pick->partition) : pick->partition;
    char *at = wire_room(save->out, 3 * VARINT_ROOM);
    at = wire_put_signed(at, (int64_t)((uint64_t)pick->time_us - (uint64_t)save->pane->start_us));
    at = wire_put_varint(at, partition);
    wire_end(save->out, wire_put_signed(at, pick->offset));
}

bool pick_load(char *state, struct aggregate_load *load)
{
    struct pick_state saved = {0};
    uint8_t kind;
    const char *text = NULL;
    int64_t distance_us;
    uint32_t partition;
    if (!wire_get_value(&load->in, &kind, &saved.value, &text))
        return false;
    if (kind == VALUE_NULL)
        return true;
    if (!wire_get_signed(&load->in, &distance_us) || !wire_get_varint32(&load->in, &partition) ||
        !wire_get_signed(&load->in, &saved.offset) ||
        !wire_map_partition(load->partitions, load->pane, &partition))
        return false;
    saved.time_us = (int64_t)((uint64_t)load->pane->start_us + (uint64_t)distance_us);
    saved.partition = partition;
    saved.kind = kind;
    take((struct pick_state *)(void *)state, load->pane, &saved, text);
    return ((const struct pick_state *)(const void *)state)->kind == kind;
}

static void first_add(struct aggregate_input *input)
{
    pick_add(input, 1);
}

static void first_merge(const struct aggregate_merge *merge)
{
    pick_merge(merge, 1);
}

const struct aggregate_kind first_aggregate = {
    .name = "first",
    .argument_count = 1,
    .state_size = sizeof(struct pick_state),
    .add = first_add,
    .merge = first_merge,
    .reset = pick_reset,
    .finish = pick_finish,
    .save = pick_save,
    .load = pick_load,
};
