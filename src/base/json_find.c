/* Members by walking: answers are small, and each is looked at once. */
#include "base/json_find.h"

static bool is_container(const struct native_json_node *node)
{
    return node->event == NATIVE_JSON_OBJECT_BEGIN || node->event == NATIVE_JSON_ARRAY_BEGIN;
}

static bool is_end(const struct native_json_node *node)
{
    return node->event == NATIVE_JSON_OBJECT_END || node->event == NATIVE_JSON_ARRAY_END;
}

const struct native_json_node *json_first(const struct native_json_node *container)
{
    if (!container || !is_container(container) || is_end(container + 1))
        return NULL;
    return container + 1;
}

const struct native_json_node *json_next(const struct native_json_document *document,
                                         const struct native_json_node *child)
{
    const struct native_json_node *value = child->event == NATIVE_JSON_KEY ? child + 1 : child;
    const struct native_json_node *next = is_container(value) ? &document->nodes[value->next] : value + 1;
    return is_end(next) ? NULL : next;
}

const struct native_json_node *json_find(const struct native_json_document *document,
                                         const struct native_json_node *object, const char *name)
{
    if (!object || object->event != NATIVE_JSON_OBJECT_BEGIN)
        return NULL;
    for (const struct native_json_node *key = json_first(object); key; key = json_next(document, key)) {
        if (slice_equal_text((struct slice){key->value.text, key->size}, name))
            return key + 1;
    }
    return NULL;
}

struct slice json_find_text(const struct native_json_document *document,
                            const struct native_json_node *object, const char *name)
{
    const struct native_json_node *node = json_find(document, object, name);
    if (!node || node->event != NATIVE_JSON_STRING)
        return (struct slice){0};
    return (struct slice){node->value.text, node->size};
}

double json_find_number(const struct native_json_document *document, const struct native_json_node *object,
                        const char *name, double otherwise)
{
    const struct native_json_node *node = json_find(document, object, name);
    if (node && node->event == NATIVE_JSON_INT)
        return (double)node->value.integer;
    return node && node->event == NATIVE_JSON_DOUBLE ? node->value.number : otherwise;
}

bool json_find_true(const struct native_json_document *document, const struct native_json_node *object,
                    const char *name)
{
    const struct native_json_node *node = json_find(document, object, name);
    return node && node->event == NATIVE_JSON_TRUE;
}
