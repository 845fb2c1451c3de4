/* Filters are read into a canonical form: conditions ordered by path, values ordered and without repetition. So subscriptions that
 * mean the same share one group whatever order their client wrote them in. See hub_filter.h. */
#include "hub/hub_filter.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "hub/hub.h"

enum { FILTER_ARENA_SIZE = 1024 };

struct hub_filter *hub_filter_create(void)
{
    struct hub_filter *filter = memory_allocate(sizeof *filter);
    arena_init(&filter->arena, FILTER_ARENA_SIZE);
    schema_init(&filter->schema);
    return filter;
}

void hub_filter_destroy(struct hub_filter *filter)
{
    if (!filter)
        return;
    if (filter->where)
        expr_destroy(filter->where);
    schema_deinit(&filter->schema);
    arena_deinit(&filter->arena);
    free(filter);
}

/* --- reading --- */

static int compare_values(const void *left, const void *right)
{
    const struct filter_value *a = left, *b = right;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    switch (a->kind) {
    case NATIVE_JSON_STRING: return slice_compare(a->text, b->text);
    case NATIVE_JSON_INT: return (a->integer > b->integer) - (a->integer < b->integer);
    case NATIVE_JSON_DOUBLE: return (a->number > b->number) - (a->number < b->number);
    default: return 0;
    }
}

static int compare_conditions(const void *left, const void *right)
{
    const struct filter_condition *a = left, *b = right;
    return slice_compare(a->path.text, b->path.text);
}

static bool read_value(struct hub_filter *filter, const struct native_json_node *node,
                       struct filter_value *value)
{
    *value = (struct filter_value){.kind = node->event};
    switch (node->event) {
    case NATIVE_JSON_STRING: value->text = arena_copy(&filter->arena, hub_node_text(node)); return true;
    case NATIVE_JSON_INT: value->integer = node->value.integer; return true;
    case NATIVE_JSON_DOUBLE:
        value->number = node->value.number;
        /* 7.0 and 7 are the same number and have to be the same filter. */
        if (value->number == trunc(value->number) && fabs(value->number) < 0x1p53)
            *value = (struct filter_value){.kind = NATIVE_JSON_INT, .integer = (int64_t)value->number};
        return true;
    case NATIVE_JSON_TRUE:
    case NATIVE_JSON_FALSE:
    case NATIVE_JSON_NULL: return true;
    default: return false;
    }
}

static enum status read_values(struct hub_filter *filter, const struct hub_document *message,
                               const struct native_json_node *node, struct filter_condition *condition,
                               char reason[HUB_REASON_SIZE])
{
    bool is_list = node->event == NATIVE_JSON_ARRAY_BEGIN;
    uint32_t count = 1;
    if (is_list) {
        count = 0;
        for (const struct native_json_node *value = node + 1; value->event != NATIVE_JSON_ARRAY_END;
             value = hub_document_after(message, value))
            count++;
    }
    if (count > HUB_FILTER_VALUES_MAX) {
        snprintf(reason, HUB_REASON_SIZE, "filters: \"%.100s\" has more than %d values",
                 condition->path.text.data, HUB_FILTER_VALUES_MAX);
        return STATUS_INVALID;
    }
    condition->values = arena_allocate(&filter->arena, (count + 1) * sizeof *condition->values);
    const struct native_json_node *value = is_list ? node + 1 : node;
    for (uint32_t i = 0; i < count; i++, value = hub_document_after(message, value)) {
        if (!read_value(filter, value, &condition->values[i])) {
            snprintf(reason, HUB_REASON_SIZE,
                     "filters: \"%.100s\" must be a string, a number, a boolean, null or an array of these",
                     condition->path.text.data);
            return STATUS_INVALID;
        }
    }
    qsort(condition->values, count, sizeof *condition->values, compare_values);
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 ||
            compare_values(&condition->values[i], &condition->values[condition->value_count - 1]) != 0)
            condition->values[condition->value_count++] = condition->values[i];
    }
    return STATUS_OK;
}

static bool is_root(const char *const *roots, struct slice name)
{
    if (!roots)
        return true;
    for (; *roots; roots++) {
        if (slice_equal_text(name, *roots))
            return true;
    }
    return false;
}

static enum status refuse_root(const char *what, struct slice name, const char *const *roots,
                               char reason[HUB_REASON_SIZE])
{
    int size = snprintf(reason, HUB_REASON_SIZE, "%s: \"%.*s\" is not part of what is delivered; there are",
                        what, (int)(name.size < 100 ? name.size : 100), name.data);
    for (; *roots && size < HUB_REASON_SIZE; roots++)
        size += snprintf(reason + size, (size_t)(HUB_REASON_SIZE - size), " %s", *roots);
    return STATUS_INVALID;
}

static uint32_t count_members(const struct hub_document *message, const struct native_json_node *object)
{
    uint32_t count = 0;
    for (const struct native_json_node *key = object + 1; key->event != NATIVE_JSON_OBJECT_END;
         key = hub_document_after(message, key + 1))
        count++;
    return count;
}

enum status hub_filter_read(struct hub_filter *filter, const struct hub_document *message,
                            const struct native_json_node *filters, const char *const *roots,
                            char reason[HUB_REASON_SIZE])
{
    if (filters->event != NATIVE_JSON_OBJECT_BEGIN) {
        snprintf(reason, HUB_REASON_SIZE, "filters must be an object of paths and values");
        return STATUS_INVALID;
    }
    uint32_t count = count_members(message, filters);
    if (count > HUB_FILTER_CONDITIONS_MAX) {
        snprintf(reason, HUB_REASON_SIZE, "filters: more than %d paths", HUB_FILTER_CONDITIONS_MAX);
        return STATUS_INVALID;
    }
    filter->conditions = arena_allocate_zeroed(&filter->arena, (count + 1) * sizeof *filter->conditions);
    for (const struct native_json_node *key = filters + 1; key->event != NATIVE_JSON_OBJECT_END;
         key = hub_document_after(message, key + 1)) {
        struct filter_condition *condition = &filter->conditions[filter->condition_count];
        struct error error;
        if (path_parse(&filter->arena, hub_node_text(key), &condition->path, &error)) {
            snprintf(reason, HUB_REASON_SIZE, "filters: %.300s", error.text);
            return STATUS_INVALID;
        }
        if (!is_root(roots, condition->path.steps[0].name))
            return refuse_root("filters", condition->path.steps[0].name, roots, reason);
        enum status status = read_values(filter, message, key + 1, condition, reason);
        if (status)
            return status;
        filter->condition_count++;
    }
    qsort(filter->conditions, filter->condition_count, sizeof *filter->conditions, compare_conditions);
    for (uint32_t i = 1; i < filter->condition_count; i++) {
        if (slice_equal(filter->conditions[i - 1].path.text, filter->conditions[i].path.text)) {
            snprintf(reason, HUB_REASON_SIZE, "filters: \"%.100s\" is given twice",
                     filter->conditions[i].path.text.data);
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

enum status hub_filter_set_where(struct hub_filter *filter, struct slice text, const char *const *roots,
                                 char reason[HUB_REASON_SIZE])
{
    struct expr_error error = {0};
    filter->where_text = arena_copy(&filter->arena, text);
    if (expr_compile(filter->where_text, &filter->schema, EXPR_BOOL, &filter->where, &error)) {
        snprintf(reason, HUB_REASON_SIZE, "where: %s at character %zu", error.message, error.offset + 1);
        return STATUS_INVALID;
    }
    for (uint32_t i = 0; i < filter->schema.column_count; i++) {
        struct slice name = filter->schema.paths[i].steps[0].name;
        if (!is_root(roots, name))
            return refuse_root("where", name, roots, reason);
    }
    return STATUS_OK;
}

/* --- canonical text --- */

static void append_value(struct buffer *out, const struct filter_value *value)
{
    switch (value->kind) {
    case NATIVE_JSON_STRING: buffer_json_string(out, value->text); break;
    case NATIVE_JSON_INT: buffer_json_int(out, value->integer); break;
    case NATIVE_JSON_DOUBLE: buffer_json_double(out, value->number); break;
    case NATIVE_JSON_TRUE: buffer_append_text(out, "true"); break;
    case NATIVE_JSON_FALSE: buffer_append_text(out, "false"); break;
    default: buffer_append_text(out, "null"); break;
    }
}

void hub_filter_canonical(const struct hub_filter *filter, struct buffer *out)
{
    buffer_append_char(out, '{');
    for (uint32_t i = 0; i < filter->condition_count; i++) {
        const struct filter_condition *condition = &filter->conditions[i];
        buffer_append_text(out, i ? "," : "");
        buffer_json_string(out, condition->path.text);
        buffer_append_text(out, ":[");
        for (uint32_t v = 0; v < condition->value_count; v++) {
            buffer_append_text(out, v ? "," : "");
            append_value(out, &condition->values[v]);
        }
        buffer_append_char(out, ']');
    }
    buffer_append_char(out, '}');
    buffer_append_slice(out, filter->where_text);
}

const struct filter_condition *hub_filter_condition(const struct hub_filter *filter, const char *path)
{
    for (uint32_t i = 0; i < filter->condition_count; i++) {
        if (slice_equal_text(filter->conditions[i].path.text, path))
            return &filter->conditions[i];
    }
    return NULL;
}

bool filter_condition_takes(const struct filter_condition *condition, struct slice name)
{
    for (uint32_t i = 0; i < condition->value_count; i++) {
        if (condition->values[i].kind == NATIVE_JSON_STRING && slice_equal(condition->values[i].text, name))
            return true;
    }
    return false;
}

bool hub_filter_is_trivial(const struct hub_filter *filter, const char *ignored)
{
    uint32_t counted = ignored && hub_filter_condition(filter, ignored) ? 1 : 0;
    return !filter->where && filter->condition_count == counted;
}

/* --- judging --- */

static bool value_equals(const struct filter_value *value, const struct native_json_node *node)
{
    enum native_json_event kind = node ? node->event : NATIVE_JSON_NULL;
    switch (kind) {
    case NATIVE_JSON_STRING: return value->kind == kind && slice_equal(value->text, hub_node_text(node));
    case NATIVE_JSON_INT:
        return value->kind == NATIVE_JSON_INT
                   ? value->integer == node->value.integer
                   : value->kind == NATIVE_JSON_DOUBLE && value->number == (double)node->value.integer;
    case NATIVE_JSON_DOUBLE:
        return value->kind == NATIVE_JSON_DOUBLE
                   ? value->number == node->value.number
                   : value->kind == NATIVE_JSON_INT && (double)value->integer == node->value.number;
    case NATIVE_JSON_TRUE:
    case NATIVE_JSON_FALSE:
    case NATIVE_JSON_NULL: return value->kind == kind;
    default: return false;
    }
}

static bool condition_match(const struct filter_condition *condition, struct hub_document *document)
{
    const struct native_json_node *node = hub_document_find(document, &condition->path);
    for (uint32_t i = 0; i < condition->value_count; i++) {
        if (value_equals(&condition->values[i], node))
            return true;
    }
    return false;
}

static void set_text(struct batch *batch, struct column *column, enum value_kind kind, struct slice text)
{
    uint32_t offset = batch_reserve_side(batch, text.size);
    if (text.size)
        memcpy(batch->bytes + offset, text.data, text.size);
    column->kinds[0] = (uint8_t)kind;
    column->values[0].s = (struct text_reference){.offset = offset, .size = (uint32_t)text.size};
}

/* Row 0 of the column from a node of the document; NULL and JSON null are null. */
static void fill_column(struct batch *batch, struct column *column, const struct hub_document *document,
                        const struct native_json_node *node)
{
    column->kinds[0] = VALUE_NULL;
    switch (node ? node->event : NATIVE_JSON_NULL) {
    case NATIVE_JSON_STRING: set_text(batch, column, VALUE_STRING, hub_node_text(node)); break;
    case NATIVE_JSON_INT:
        column->kinds[0] = VALUE_INT;
        column->values[0].i = node->value.integer;
        break;
    case NATIVE_JSON_DOUBLE:
        column->kinds[0] = VALUE_DOUBLE;
        column->values[0].d = node->value.number;
        break;
    case NATIVE_JSON_TRUE:
    case NATIVE_JSON_FALSE:
        column->kinds[0] = VALUE_BOOL;
        column->values[0].i = node->event == NATIVE_JSON_TRUE;
        break;
    case NATIVE_JSON_OBJECT_BEGIN:
    case NATIVE_JSON_ARRAY_BEGIN:
        set_text(batch, column, VALUE_JSON, hub_document_raw(document, node));
        break;
    default: break;
    }
    column->kind_mask = value_kind_bit(column->kinds[0]);
}

static bool where_match(const struct hub_filter *filter, struct hub_document *document, struct batch *batch)
{
    batch_reset(batch);
    batch_append(batch, (struct slice){0}, 0, TIME_NONE);
    batch_prepare_columns(batch, filter->schema.column_count);
    batch->row_count = 1;
    batch->row_records[0] = 0;
    batch->event_times_us[0] = TIME_NONE;
    batch->offsets[0] = 0;
    batch->column_count = filter->schema.column_count;
    for (uint32_t i = 0; i < filter->schema.column_count; i++) {
        const struct native_json_node *node = hub_document_find(document, &filter->schema.paths[i]);
        fill_column(batch, &batch->columns[i], document, node);
    }
    uint32_t selected;
    return expr_select(filter->where, batch, NULL, 1, &selected) == 1;
}

bool hub_filter_match(const struct hub_filter *filter, struct hub_document *document, struct batch *scratch)
{
    const struct native_json_node *root = hub_document_root(document, NULL);
    if (!root || root->event != NATIVE_JSON_OBJECT_BEGIN)
        return false;
    for (uint32_t i = 0; i < filter->condition_count; i++) {
        if (!condition_match(&filter->conditions[i], document))
            return false;
    }
    return !filter->where || where_match(filter, document, scratch);
}
