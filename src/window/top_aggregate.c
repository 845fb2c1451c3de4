/* top(x, k): the k most frequent values and how often they came, as a list of {"value", "count"}; of equally frequent ones the
 * lesser first: false, true, numbers, text. See top_counters.h. */
#include "window/extreme_state.h"
#include "window/top_counters.h"

enum { TOP_K_MAX = 100 };

static void top_add(struct aggregate_input *input)
{
    const struct column *column = input->column;
    for (uint32_t i = 0; i < input->count; i++) {
        uint32_t row = input->rows[i];
        struct top_value value = {.kind = column->kinds[row], .value = column->values[row]};
        if (value_is_missing(value.kind, value.value))
            continue;
        value.kind = value_canonical(value.kind, &value.value);
        value.hash = value_hash(value.kind, value.value, input->batch->bytes);
        if (value_is_text(value.kind)) {
            struct slice text = value_slice(input->batch->bytes, value.value);
            value.text = text.data;
            value.size = (uint32_t)text.size;
        }
        top_state_add(input->pane, input_state(input, i), &value);
    }
}

static void top_merge(const struct aggregate_merge *merge)
{
    for (uint32_t i = 0; i < merge->count; i++)
        top_state_merge(merge->into_pane, merge_into(merge, i), merge->from_pane, merge_from(merge, i));
}

static void top_reset(struct pane *pane, char *state)
{
    top_state_reset(pane, (struct top_state *)(void *)state);
}

/* --- the list ----------------------------------------------------------------------------------------------------------- */

struct ranked {
    const struct top_counter *counter;
    uint64_t count;
};

static uint8_t rank_of_kind(uint8_t kind)
{
    return kind == VALUE_DOUBLE ? VALUE_INT : kind;
}

/* <0 when a comes first. */
static int compare_ranked(const struct pane *pane, const struct ranked *a, const struct ranked *b)
{
    const struct top_counter *x = a->counter, *y = b->counter;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    if (rank_of_kind(x->kind) != rank_of_kind(y->kind))
        return rank_of_kind(x->kind) < rank_of_kind(y->kind) ? -1 : 1;
    int order = 0;
    if (value_is_text(x->kind))
        order = slice_compare((struct slice){top_counter_text(pane, x), x->size},
                              (struct slice){top_counter_text(pane, y), y->size});
    else if (rank_of_kind(x->kind) == VALUE_INT)
        order = extreme_compare(x->kind, x->value, y->kind, y->value);
    else
        order = (x->value.i > y->value.i) - (x->value.i < y->value.i);
    return order ? order : (x->hash > y->hash) - (x->hash < y->hash);
}

/* Fills list with the first `room` in order; returns how many there are. */
static uint32_t rank_counters(const struct pane *pane, const struct top_state *state, struct ranked *list,
                              uint32_t room)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < top_state_place_count(state); i++) {
        struct ranked next = {.counter = top_state_counter(pane, state, i)};
        next.count = next.counter->count ? top_state_count(pane, state, next.counter) : 0;
        if (!next.count || (count == room && compare_ranked(pane, &list[count - 1], &next) < 0))
            continue;
        uint32_t place = count < room ? count++ : count - 1;
        for (; place > 0 && compare_ranked(pane, &next, &list[place - 1]) < 0; place--)
            list[place] = list[place - 1];
        list[place] = next;
    }
    return count;
}

/* A text that was cut is shown as a string that ends in an ellipsis, also when it was the JSON of an object. */
static void write_value(struct buffer *out, const struct pane *pane, const struct top_counter *counter)
{
    static const char ellipsis[] = "\xE2\x80\xA6";
    if (!value_is_text(counter->kind)) {
        value_json(out, (enum value_kind)counter->kind, counter->value, "");
        return;
    }
    const char *text = top_counter_text(pane, counter);
    if (!counter->is_cut) {
        value_json(out, (enum value_kind)counter->kind, (union value){.s = {0, counter->size}}, text);
        return;
    }
    char cut[TOP_VALUE_SIZE + sizeof ellipsis];
    memcpy(cut, text, counter->size);
    memcpy(cut + counter->size, ellipsis, sizeof ellipsis - 1);
    buffer_json_string(out, (struct slice){cut, counter->size + sizeof ellipsis - 1});
}

static void write_list(struct buffer *out, const struct pane *pane, const struct top_state *state, uint32_t k)
{
    struct ranked list[TOP_K_MAX];
    uint32_t count = rank_counters(pane, state, list, k);
    buffer_append_char(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_text(out, i ? ",{\"value\":" : "{\"value\":");
        write_value(out, pane, list[i].counter);
        buffer_append_text(out, ",\"count\":");
        buffer_json_int(out, (int64_t)list[i].count);
        buffer_append_char(out, '}');
    }
    buffer_append_char(out, ']');
}

static void top_finish(const struct aggregate_finish *finish)
{
    for (uint32_t i = 0; i < finish->count; i++) {
        size_t offset = finish->bytes->size;
        write_list(finish->bytes, finish->pane, finish_state(finish, i), (uint32_t)finish->parameter);
        finish->kinds[i] = VALUE_JSON;
        finish->values[i].s =
            (struct text_reference){(uint32_t)offset, (uint32_t)(finish->bytes->size - offset)};
    }
}

static void top_save(const char *state, const struct aggregate_save *save)
{
    top_state_save(save->pane, (const struct top_state *)(const void *)state, save->out);
}

static bool top_load(char *state, struct aggregate_load *load)
{
    return top_state_load(load->pane, (struct top_state *)(void *)state, &load->in);
}

static const struct aggregate_parameter top_k = {
    .name = "k",
    .smallest = 1,
    .largest = TOP_K_MAX,
    .example = 10,
};

const struct aggregate_kind top_aggregate = {
    .name = "top",
    .argument_count = 2,
    .parameter = &top_k,
    .state_size = sizeof(struct top_state),
    .blocks_size_max = TOP_BLOCKS_SIZE,
    .add = top_add,
    .merge = top_merge,
    .reset = top_reset,
    .finish = top_finish,
    .save = top_save,
    .load = top_load,
};
