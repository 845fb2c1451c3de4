/* Result blocks: one allocation for all columns, text beside them, and their JSON. The constant parts of a record are put together once
 * per block; what changes per row is appended between them. */
#include "flow/result.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "flow/event_time.h"

const char *emit_kind_name(enum emit_kind kind)
{
    static const char *const names[] = {
        [EMIT_EARLY] = "early", [EMIT_FINAL] = "final", [EMIT_UPDATE] = "update"};
    return names[kind];
}

const char *close_cause_name(enum close_cause cause)
{
    static const char *const names[] = {
        [CLOSED_BY_WATERMARK] = "watermark",   [CLOSED_BY_IDLE] = "idle",
        [CLOSED_BY_WALL_CLOCK] = "wall_clock", [CLOSED_BY_END_OF_INPUT] = "end_of_input",
        [CLOSED_BY_SHUTDOWN] = "shutdown",
    };
    return names[cause];
}

/* --- blocks ------------------------------------------------------------------------------------------------------------- */

/* The next `size` bytes of the slab; with a NULL slab only counts. */
static void *carve(char *slab, size_t *used, size_t size)
{
    char *place = slab ? slab + *used : NULL;
    *used += (size + 7) & ~(size_t)7;
    return place;
}

static size_t lay_out(struct result_block *block, char *slab, uint32_t capacity)
{
    const struct result_shape *shape = block->shape;
    size_t used = 0;
    block->window_starts_us = carve(slab, &used, capacity * sizeof(int64_t));
    block->window_ends_us = carve(slab, &used, capacity * sizeof(int64_t));
    block->on_time = carve(slab, &used, capacity * sizeof(uint64_t));
    block->late_accepted = carve(slab, &used, capacity * sizeof(uint64_t));
    block->late_dropped = carve(slab, &used, capacity * sizeof(uint64_t));
    block->type_errors = carve(slab, &used, capacity * sizeof(uint64_t));
    block->watermarks_us = carve(slab, &used, capacity * sizeof(int64_t));
    block->key_hashes = carve(slab, &used, capacity * sizeof(uint64_t));
    block->revisions = carve(slab, &used, capacity * sizeof(uint32_t));
    block->emits = carve(slab, &used, capacity);
    block->causes = carve(slab, &used, capacity);
    for (uint32_t i = 0; i < shape->key_count; i++) {
        block->keys[i].values = carve(slab, &used, capacity * sizeof(union value));
        block->keys[i].kinds = carve(slab, &used, capacity);
    }
    for (uint32_t i = 0; i < shape->value_count; i++) {
        block->values[i].values = carve(slab, &used, capacity * sizeof(union value));
        block->values[i].kinds = carve(slab, &used, capacity);
    }
    return used;
}

struct result_block *result_block_create(const struct result_shape *shape, uint32_t capacity)
{
    struct result_block *block = memory_allocate(sizeof *block);
    atomic_init(&block->reference_count, 1);
    block->shape = shape;
    block->capacity = capacity;
    size_t size = lay_out(block, NULL, capacity);
    lay_out(block, memory_resize(NULL, size), capacity);
    return block;
}

struct result_block *result_block_acquire(struct result_block *block)
{
    atomic_fetch_add_explicit(&block->reference_count, 1, memory_order_relaxed);
    return block;
}

void result_block_release(struct result_block *block)
{
    if (!block || atomic_fetch_sub_explicit(&block->reference_count, 1, memory_order_acq_rel) != 1)
        return;
    free(block->window_starts_us); /* the slab */
    free(block->merged_into_us);
    buffer_deinit(&block->bytes);
    buffer_deinit(&block->json);
    buffer_deinit(&block->key_json);
    free(block->json_offsets);
    free(block->key_json_offsets);
    free(block);
}

void result_block_set_merged(struct result_block *block, uint32_t row, int64_t into_start_us)
{
    if (!block->merged_into_us) {
        block->merged_into_us = memory_resize_array(NULL, block->capacity, sizeof *block->merged_into_us);
        for (uint32_t i = 0; i < block->capacity; i++)
            block->merged_into_us[i] = TIME_NONE;
    }
    block->merged_into_us[row] = into_start_us;
}

/* --- values ------------------------------------------------------------------------------------------------------------- */

/* Raw JSON on one line: outside of its strings there may be line ends, inside there can be none. */
static void append_raw_json(struct buffer *out, const char *text, uint32_t size)
{
    char *to = buffer_reserve(out, size);
    for (uint32_t i = 0; i < size; i++)
        to[i] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
    out->size += size;
}

/* Seconds with up to six decimals, as CEL writes a duration: "1.5s". */
static void append_duration(struct buffer *out, int64_t duration_us)
{
    uint64_t size_us = duration_us < 0 ? 0 - (uint64_t)duration_us : (uint64_t)duration_us;
    uint64_t fraction = size_us % 1000000;
    buffer_format(out, "\"%s%llu", duration_us < 0 ? "-" : "", (unsigned long long)(size_us / 1000000));
    if (fraction) {
        buffer_format(out, ".%06llu", (unsigned long long)fraction);
        while (out->data[out->size - 1] == '0')
            out->size--;
    }
    buffer_append_text(out, "s\"");
}

void value_json(struct buffer *out, enum value_kind kind, union value value, const char *bytes)
{
    switch (kind) {
    case VALUE_BOOL: buffer_json_bool(out, value.i != 0); return;
    case VALUE_INT: buffer_json_int(out, value.i); return;
    case VALUE_DOUBLE: buffer_json_double(out, value.d); return;
    case VALUE_STRING: buffer_json_string(out, value_slice(bytes, value)); return;
    case VALUE_JSON: append_raw_json(out, bytes + value.s.offset, value.s.size); return;
    case VALUE_TIMESTAMP:
        buffer_append_char(out, '"');
        event_time_format(out, value.i);
        buffer_append_char(out, '"');
        return;
    case VALUE_DURATION: append_duration(out, value.i); return;
    case VALUE_NULL:
    case VALUE_KIND_COUNT: break;
    }
    buffer_append_text(out, "null");
}

/* --- records ------------------------------------------------------------------------------------------------------------ */

/* `,"name":` of every key and value, and the name of the pipeline, as JSON text. */
struct record_parts {
    struct buffer text;
    uint32_t key_ends[RESULT_MAX_KEYS], value_ends[RESULT_MAX_AGGREGATES];
    struct buffer id_start; /* {"id":"revenue| */
    struct buffer after_id; /* ","pipeline":"revenue","window_start": */
    struct buffer window;   /* start, end and what is between, up to the key */
    int64_t start_us, end_us;
    bool has_window;
};

static void append_name(struct buffer *out, const char *name, bool is_first)
{
    if (!is_first)
        buffer_append_char(out, ',');
    buffer_json_string(out, slice_of(name));
    buffer_append_char(out, ':');
}

static void parts_init(struct record_parts *parts, const struct result_shape *shape)
{
    for (uint32_t i = 0; i < shape->key_count; i++) {
        append_name(&parts->text, shape->key_names[i], i == 0);
        parts->key_ends[i] = (uint32_t)parts->text.size;
    }
    for (uint32_t i = 0; i < shape->value_count; i++) {
        append_name(&parts->text, shape->value_names[i], i == 0);
        parts->value_ends[i] = (uint32_t)parts->text.size;
    }
    buffer_json_string(&parts->after_id, slice_of(shape->pipeline));
    buffer_append_text(&parts->id_start, "{\"id\":");
    buffer_append(&parts->id_start, parts->after_id.data, parts->after_id.size - 1);
    buffer_append_char(&parts->id_start, '|');
    buffer_clear(&parts->after_id);
    buffer_append_text(&parts->after_id, "\",\"pipeline\":");
    buffer_json_string(&parts->after_id, slice_of(shape->pipeline));
    buffer_append_text(&parts->after_id, ",\"window_start\":");
}

static void parts_deinit(struct record_parts *parts)
{
    buffer_deinit(&parts->text);
    buffer_deinit(&parts->id_start);
    buffer_deinit(&parts->after_id);
    buffer_deinit(&parts->window);
}

/* Room was reserved: literals and numbers of a receipt follow without a check for each. */
static inline char *put(char *to, const char *text, size_t size)
{
    return (char *)memcpy(to, text, size) + size;
}
#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

static char *put_count(char *to, uint64_t value)
{
    char digits[20];
    size_t start = sizeof digits;
    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return put(to, digits + start, sizeof digits - start);
}

static int64_t milliseconds(int64_t time_us)
{
    return event_time_floor(time_us, 1000) / 1000;
}

/* Most records of a block are of one window: its part of the text is kept. */
static void set_window(struct record_parts *parts, int64_t start_us, int64_t end_us)
{
    if (parts->has_window && parts->start_us == start_us && parts->end_us == end_us)
        return;
    parts->has_window = true;
    parts->start_us = start_us;
    parts->end_us = end_us;
    buffer_clear(&parts->window);
    buffer_append_char(&parts->window, '|');
    buffer_json_int(&parts->window, milliseconds(start_us));
    buffer_append(&parts->window, parts->after_id.data, parts->after_id.size);
    buffer_json_int(&parts->window, milliseconds(start_us));
    buffer_append_text(&parts->window, ",\"window_end\":");
    if (end_us == TIME_MAX)
        buffer_append_text(&parts->window, "null");
    else
        buffer_json_int(&parts->window, milliseconds(end_us));
    buffer_append_text(&parts->window, ",\"key\":{");
}

/* JSON text as the inside of a JSON string: only quotes and backslashes need escapes, control characters there are none. */
static void append_escaped(struct buffer *out, const char *text, size_t size)
{
    char *to = buffer_reserve(out, size * 2);
    size_t length = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"' || text[i] == '\\')
            to[length++] = '\\';
        to[length++] = text[i];
    }
    out->size += length;
}

static void append_columns(struct buffer *out, const struct record_parts *parts, const uint32_t *ends,
                           uint32_t start, const struct result_block *block,
                           const struct result_column *columns, uint32_t count, uint32_t row)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t from = i ? ends[i - 1] : start;
        buffer_append(out, parts->text.data + from, ends[i] - from);
        value_json(out, (enum value_kind)columns[i].kinds[row], columns[i].values[row], block->bytes.data);
    }
}

/* The id of the window that this one is a part of now. */
static void append_merged(struct buffer *out, const struct result_block *block,
                          const struct record_parts *parts, uint32_t row)
{
    static const char id_name[] = "{\"id\":";
    struct slice key = result_block_key_json(block, row);
    buffer_append_text(out, ",\"merged_into\":");
    buffer_append(out, parts->id_start.data + sizeof id_name - 1,
                  parts->id_start.size - (sizeof id_name - 1));
    append_escaped(out, key.data, key.size);
    buffer_append_char(out, '|');
    buffer_json_int(out, milliseconds(block->merged_into_us[row]));
    buffer_append_char(out, '"');
}

static void append_receipt(struct buffer *out, const struct result_block *block,
                           const struct record_parts *parts, uint32_t row)
{
    enum { RECEIPT_SIZE = 320 }; /* all literals, and twenty digits for each number */
    const char *emit = emit_kind_name((enum emit_kind)block->emits[row]);
    const char *cause = close_cause_name((enum close_cause)block->causes[row]);
    char *to = buffer_reserve(out, RECEIPT_SIZE);
    to = PUT(to, "},\"emit\":\"");
    to = put(to, emit, strlen(emit));
    to = PUT(to, "\",\"revision\":");
    to = put_count(to, block->revisions[row]);
    if (result_block_is_merged(block, row)) {
        out->size = (size_t)(to - out->data);
        append_merged(out, block, parts, row);
        to = buffer_reserve(out, RECEIPT_SIZE);
    }
    to = PUT(to, ",\"receipt\":{\"on_time\":");
    to = put_count(to, block->on_time[row]);
    to = PUT(to, ",\"late_accepted\":");
    to = put_count(to, block->late_accepted[row]);
    to = PUT(to, ",\"late_dropped\":");
    to = put_count(to, block->late_dropped[row]);
    to = PUT(to, ",\"type_errors\":");
    to = put_count(to, block->type_errors[row]);
    to = PUT(to, ",\"closed_by\":\"");
    to = put(to, cause, strlen(cause));
    to = PUT(to, "\",\"watermark\":");
    out->size = (size_t)(to - out->data);
    if (block->watermarks_us[row] == TIME_NONE)
        buffer_append_text(out, "null");
    else
        buffer_json_int(out, milliseconds(block->watermarks_us[row]));
    buffer_append(out, "}}", 2);
}

static void append_key_array(struct buffer *out, const struct result_block *block, uint32_t row)
{
    buffer_append_char(out, '[');
    for (uint32_t i = 0; i < block->shape->key_count; i++) {
        if (i)
            buffer_append_char(out, ',');
        value_json(out, (enum value_kind)block->keys[i].kinds[row], block->keys[i].values[row],
                   block->bytes.data);
    }
    buffer_append_char(out, ']');
}

static void append_record(struct result_block *block, struct record_parts *parts, uint32_t row)
{
    const struct result_shape *shape = block->shape;
    struct buffer *out = &block->json;
    struct slice key = result_block_key_json(block, row);
    set_window(parts, block->window_starts_us[row], block->window_ends_us[row]);
    buffer_append(out, parts->id_start.data, parts->id_start.size);
    append_escaped(out, key.data, key.size);
    buffer_append(out, parts->window.data, parts->window.size);
    append_columns(out, parts, parts->key_ends, 0, block, block->keys, shape->key_count, row);
    buffer_append_text(out, "},\"values\":{");
    uint32_t values_start = shape->key_count ? parts->key_ends[shape->key_count - 1] : 0;
    append_columns(out, parts, parts->value_ends, values_start, block, block->values, shape->value_count,
                   row);
    append_receipt(out, block, parts, row);
}

void result_block_encode(struct result_block *block)
{
    if (block->json_offsets)
        return;
    struct record_parts parts = {0};
    parts_init(&parts, block->shape);
    block->json_offsets =
        memory_resize_array(NULL, (size_t)block->row_count + 1, sizeof *block->json_offsets);
    block->key_json_offsets =
        memory_resize_array(NULL, (size_t)block->row_count + 1, sizeof *block->key_json_offsets);
    for (uint32_t row = 0; row < block->row_count; row++) {
        block->json_offsets[row] = (uint32_t)block->json.size;
        block->key_json_offsets[row] = (uint32_t)block->key_json.size;
        append_key_array(&block->key_json, block, row);
        block->key_json_offsets[row + 1] = (uint32_t)block->key_json.size;
        append_record(block, &parts, row);
    }
    assert(block->json.size <= UINT32_MAX);
    block->json_offsets[block->row_count] = (uint32_t)block->json.size;
    block->key_json_offsets[block->row_count] = (uint32_t)block->key_json.size;
    parts_deinit(&parts);
}
