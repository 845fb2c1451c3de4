/* The order of keys: that of a list a person reads, and the same for every run. */
#include "window/window.h"

/* null < bool < number < string < JSON; times come between numbers and strings. */
static int rank(uint8_t kind)
{
    static const int ranks[VALUE_KIND_COUNT] = {
        [VALUE_NULL] = 0,      [VALUE_BOOL] = 1,     [VALUE_INT] = 2,    [VALUE_DOUBLE] = 2,
        [VALUE_TIMESTAMP] = 3, [VALUE_DURATION] = 4, [VALUE_STRING] = 5, [VALUE_JSON] = 6,
    };
    return ranks[kind];
}

/* Keys that are equal as numbers are the same key, so a double here has a fraction or is beyond int64. */
static int compare_numbers(uint8_t kind_a, union value a, uint8_t kind_b, union value b)
{
    if (kind_a == VALUE_INT && kind_b == VALUE_INT)
        return (a.i > b.i) - (a.i < b.i);
    if (kind_a == VALUE_DOUBLE && kind_b == VALUE_DOUBLE)
        return (a.d > b.d) - (a.d < b.d);
    if (kind_a == VALUE_DOUBLE)
        return -compare_numbers(kind_b, b, kind_a, a);
    if (b.d >= 0x1p63 || b.d < -0x1p63)
        return b.d > 0 ? -1 : 1;
    int64_t whole = (int64_t)b.d;
    if (a.i != whole)
        return a.i < whole ? -1 : 1;
    double rest = b.d - (double)whole;
    return (rest < 0) - (rest > 0);
}

static int compare_values(const struct result_block *a, uint8_t kind_a, union value value_a,
                          const struct result_block *b, uint8_t kind_b, union value value_b)
{
    if (rank(kind_a) != rank(kind_b))
        return rank(kind_a) < rank(kind_b) ? -1 : 1;
    switch (kind_a) {
    case VALUE_NULL: return 0;
    case VALUE_INT:
    case VALUE_DOUBLE: return compare_numbers(kind_a, value_a, kind_b, value_b);
    case VALUE_STRING:
    case VALUE_JSON:
        return slice_compare(value_slice(a->bytes.data, value_a), value_slice(b->bytes.data, value_b));
    default: return (value_a.i > value_b.i) - (value_a.i < value_b.i);
    }
}

int result_key_compare(const struct result_block *a, uint32_t row_a, const struct result_block *b,
                       uint32_t row_b)
{
    for (uint32_t k = 0; k < a->shape->key_count; k++) {
        int order = compare_values(a, a->keys[k].kinds[row_a], a->keys[k].values[row_a], b,
                                   b->keys[k].kinds[row_b], b->keys[k].values[row_b]);
        if (order)
            return order;
    }
    return 0;
}
