/* count() is the row's own count of events and needs no state; count(x) counts the values that are not null. */
#include "window/pane_wire.h"
#include "window/state_access.h"

static void count_finish(const struct aggregate_finish *finish)
{
    for (uint32_t i = 0; i < finish->count; i++)
        finish_int(finish, i,
                   (int64_t)((const struct pane_row *)(const void *)finish->entries[i])->event_count);
}

const struct aggregate_kind count_aggregate = {
    .name = "count",
    .finish = count_finish,
};

static void count_value_add(struct aggregate_input *input)
{
    const struct column *column = input->column;
    for (uint32_t i = 0; i < input->count; i++) {
        uint32_t row = input->rows[i];
        uint8_t kind = column->kinds[row];
        bool is_value = kind != VALUE_NULL && !(kind == VALUE_DOUBLE && isnan(column->values[row].d));
        *(uint64_t *)input_state(input, i) += is_value;
    }
}

static void count_value_merge(const struct aggregate_merge *merge)
{
    for (uint32_t i = 0; i < merge->count; i++)
        *(uint64_t *)merge_into(merge, i) += *(const uint64_t *)merge_from(merge, i);
}

static void count_value_finish(const struct aggregate_finish *finish)
{
    for (uint32_t i = 0; i < finish->count; i++)
        finish_int(finish, i, (int64_t) * (const uint64_t *)finish_state(finish, i));
}

static void count_value_save(const char *state, const struct aggregate_save *save)
{
    char *at = wire_room(save->out, VARINT_ROOM);
    wire_end(save->out, wire_put_varint(at, *(const uint64_t *)(const void *)state));
}

static bool count_value_load(char *state, struct aggregate_load *load)
{
    return wire_get_varint(&load->in, (uint64_t *)(void *)state);
}

const struct aggregate_kind count_value_aggregate = {
    .name = "count",
    .argument_count = 1,
    .state_size = sizeof(uint64_t),
    .add = count_value_add,
    .merge = count_value_merge,
    .finish = count_value_finish,
    .save = count_value_save,
    .load = count_value_load,
};
