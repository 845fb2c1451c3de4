/* Works on the flat nodes of a parsed document: one sweep for duplicate keys, one descent into the subtrees that a path
 * leads to. Independent of what the fast path remembers, so that each can be held against the other. */
#include "decode/slow_path.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/utf8.h"

enum { KEY_SLOTS_KEPT = 4096, DETAIL_KEY_SIZE = 64 };

void slow_path_init(struct slow_path *slow, const struct column_node *columns)
{
    *slow = (struct slow_path){
        .json = native_json_create(EVENT_MAX_SIZE),
        .columns = columns,
        .hash_seed = random_seed_from_system(),
    };
}

void slow_path_deinit(struct slow_path *slow)
{
    native_json_destroy(slow->json);
    free(slow->key_slots);
}

static struct slice node_text(const struct native_json_node *node)
{
    return (struct slice){node->value.text, node->size};
}

/* Empty slots for `count` keys, at least half of them to stay empty. Returns how many, a power of two. */
static uint32_t prepare_key_slots(struct slow_path *slow, uint32_t count)
{
    uint32_t slots = 16;
    while (slots < 2 * count)
        slots *= 2;
    bool is_wasteful = slow->key_slot_capacity > KEY_SLOTS_KEPT && slots <= KEY_SLOTS_KEPT;
    if (slots > slow->key_slot_capacity || is_wasteful) {
        free(slow->key_slots);
        slow->key_slots = memory_resize_array(NULL, slots, sizeof *slow->key_slots);
        slow->key_slot_capacity = slots;
    }
    memset(slow->key_slots, 0, slots * sizeof *slow->key_slots);
    return slots;
}

/* The first key of the object at `object` that was there before, or NULL. */
static const struct native_json_node *find_duplicate(struct slow_path *slow,
                                                     const struct native_json_node *nodes, uint32_t object)
{
    uint32_t end = nodes[object].next - 1, count = 0;
    for (uint32_t key = object + 1; key < end; key = nodes[key + 1].next)
        count++;
    if (count < 2)
        return NULL;
    uint32_t mask = prepare_key_slots(slow, count) - 1;
    for (uint32_t key = object + 1; key < end; key = nodes[key + 1].next) {
        struct slice text = node_text(&nodes[key]);
        uint32_t slot = (uint32_t)hash_bytes(text.data, text.size, slow->hash_seed) & mask;
        for (; slow->key_slots[slot]; slot = (slot + 1) & mask) {
            if (slice_equal(text, node_text(&nodes[slow->key_slots[slot]])))
                return &nodes[key];
        }
        slow->key_slots[slot] = key;
    }
    return NULL;
}

static const char *duplicate_detail(struct batch *batch, struct slice key)
{
    size_t shown = 0;
    while (shown < key.size) {
        size_t size = utf8_sequence_size(key.data + shown, key.size - shown);
        if (!size || shown + size > DETAIL_KEY_SIZE)
            break;
        shown += size;
    }
    return arena_format(&batch->arena, "the key \"%.*s\"%s comes twice in one object", (int)shown, key.data,
                        shown < key.size ? "..." : "");
}

static bool has_duplicate(struct slow_path *slow, struct batch *batch, struct bad_record *bad)
{
    const struct native_json_document *document = &slow->document;
    for (uint32_t i = 0; i < document->node_count; i++) {
        if (document->nodes[i].event != NATIVE_JSON_OBJECT_BEGIN)
            continue;
        const struct native_json_node *key = find_duplicate(slow, document->nodes, i);
        if (key) {
            bad->reason = BAD_DUPLICATE_KEY;
            bad->detail = duplicate_detail(batch, node_text(key));
            return true;
        }
    }
    return false;
}

static void put_string(struct row_writer *writer, uint32_t column, const struct native_json_node *node)
{
    if (!node->is_escaped) {
        row_put_text(writer, column, VALUE_STRING, node->value.text, node->size);
        return;
    }
    size_t begin = writer->unescaped.size;
    buffer_append(&writer->unescaped, node->value.text, node->size);
    row_put_unescaped(writer, column, begin);
}

static void put_value(struct row_writer *writer, uint32_t column, const char *text,
                      const struct native_json_node *node)
{
    switch (node->event) {
    case NATIVE_JSON_OBJECT_BEGIN:
    case NATIVE_JSON_ARRAY_BEGIN:
        row_put_text(writer, column, VALUE_JSON, text + node->offset, node->size);
        break;
    case NATIVE_JSON_STRING: put_string(writer, column, node); break;
    case NATIVE_JSON_INT: row_put(writer, column, VALUE_INT)->i = node->value.integer; break;
    case NATIVE_JSON_DOUBLE: row_put(writer, column, VALUE_DOUBLE)->d = node->value.number; break;
    case NATIVE_JSON_TRUE:
    case NATIVE_JSON_FALSE: row_put(writer, column, VALUE_BOOL)->i = node->event == NATIVE_JSON_TRUE; break;
    case NATIVE_JSON_NULL:
        if (writer->tells_null)
            row_put(writer, column, ROW_WRITTEN_NULL);
        break;
    case NATIVE_JSON_KEY:
    case NATIVE_JSON_OBJECT_END:
    case NATIVE_JSON_ARRAY_END: break;
    }
}

static void note_stranger(struct row_writer *writer, const struct column_node *object,
                          const struct native_json_node *key)
{
    if (writer->stranger.name.data)
        return;
    writer->stranger.column = object->column;
    writer->stranger.name = (struct slice){key->size ? key->value.text : "", key->size};
}

/* Recursion is as deep as the longest path, at most SCHEMA_MAX_PATH_DEPTH. */
static void put_wanted(const struct slow_path *slow, struct row_writer *writer, const char *text,
                       const struct column_node *wanted, uint32_t index)
{
    const struct native_json_node *nodes = slow->document.nodes, *node = &nodes[index];
    if (wanted->column != COLUMN_NONE)
        put_value(writer, wanted->column, text, node);
    bool has_members = wanted->child_count > wanted->element_count || wanted->is_closed;
    if (node->event == NATIVE_JSON_OBJECT_BEGIN && has_members) {
        for (uint32_t key = index + 1; key < node->next - 1; key = nodes[key + 1].next) {
            const struct column_node *child = column_node_member(wanted, node_text(&nodes[key]));
            if (column_node_refuses(wanted, child))
                note_stranger(writer, wanted, &nodes[key]);
            if (child)
                put_wanted(slow, writer, text, child, key + 1);
        }
    } else if (node->event == NATIVE_JSON_ARRAY_BEGIN && wanted->element_count) {
        uint32_t element = index + 1;
        for (uint32_t i = 0; element < node->next - 1; i++, element = nodes[element].next) {
            const struct column_node *child = column_node_element(wanted, i);
            if (child)
                put_wanted(slow, writer, text, child, element);
        }
    }
}

bool slow_path_read(struct slow_path *slow, struct row_writer *writer, const char *text, size_t size,
                    struct bad_record *bad)
{
    enum native_json_result result =
        native_json_parse(slow->json, text, size, EVENT_MAX_DEPTH, &slow->document);
    bad->detail = slow->document.message;
    if (result == NATIVE_JSON_TOO_BIG) {
        bad->reason = BAD_TOO_BIG;
    } else if (result == NATIVE_JSON_NOT_JSON) {
        bad->reason = BAD_NOT_JSON;
    } else if (slow->document.nodes[0].event != NATIVE_JSON_OBJECT_BEGIN) {
        bad->reason = BAD_NOT_OBJECT;
        bad->detail = "an event is a JSON object";
    } else if (result == NATIVE_JSON_TOO_DEEP) {
        bad->reason = BAD_TOO_DEEP;
        bad->detail = "nested more than 64 levels deep";
    } else if (!has_duplicate(slow, writer->batch, bad)) {
        put_wanted(slow, writer, text, slow->columns, 0);
        return true;
    }
    return false;
}

/* Recursion is as deep as the document, at most EVENT_MAX_DEPTH. */
static void teach_value(const struct slow_path *slow, struct shape *shape, struct shape_place *place,
                        uint32_t index)
{
    const struct native_json_node *nodes = slow->document.nodes, *node = &nodes[index];
    if (node->event == NATIVE_JSON_OBJECT_BEGIN) {
        struct shape_member **likely = &place->first;
        for (uint32_t key = index + 1; key < node->next - 1; key = nodes[key + 1].next) {
            struct shape_member *member =
                nodes[key].is_escaped ? NULL : shape_add_member(shape, place, node_text(&nodes[key]));
            if (!member)
                continue;
            *likely = member;
            likely = &member->next;
            teach_value(slow, shape, &member->value, key + 1);
        }
    } else if (node->event == NATIVE_JSON_ARRAY_BEGIN) {
        uint32_t element = index + 1;
        for (uint32_t i = 0; element < node->next - 1; i++, element = nodes[element].next) {
            struct shape_place *known = shape_add_element(shape, place, i);
            if (known)
                teach_value(slow, shape, known, element);
        }
    }
}

/* How the source spaces its tokens, by the second member of the document. */
static void teach_spacing(const struct slow_path *slow, struct shape *shape, const char *text)
{
    const struct native_json_node *nodes = slow->document.nodes;
    if (nodes[1].event != NATIVE_JSON_KEY || nodes[nodes[2].next].event != NATIVE_JSON_KEY)
        return;
    const char *key = text + nodes[nodes[2].next].offset, *value = text + nodes[nodes[2].next + 1].offset;
    shape->lead_size = key[-1] == ' ' && key[-2] == ',' ? 2 : 1;
    shape->tail_size = value[-1] == ' ' && value[-2] == ':' ? 2 : 1;
}

uint32_t slow_path_teach(const struct slow_path *slow, struct shape *shape, const char *text)
{
    uint32_t before = shape->place_count;
    if (before == 1)
        teach_spacing(slow, shape, text);
    teach_value(slow, shape, shape->root, 0);
    return shape->place_count - before;
}
