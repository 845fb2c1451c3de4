/* Walks over the flat nodes that native_json_parse() makes of a document. See hub_document.h. */
#include "hub/hub_document.h"

#include <assert.h>

enum { TEXT_KEPT_SIZE = 64 * 1024 };

void hub_document_init(struct hub_document *document, size_t max_size, unsigned max_depth)
{
    *document = (struct hub_document){.max_depth = max_depth, .max_size = max_size};
    document->parser = native_json_create(max_size);
}

void hub_document_deinit(struct hub_document *document)
{
    native_json_destroy(document->parser);
    buffer_deinit(&document->text);
}

void hub_document_set(struct hub_document *document, struct slice text)
{
    document->source = text;
    document->state = DOCUMENT_FRESH;
    document->parsed = (struct native_json_document){0};
}

static void parse(struct hub_document *document)
{
    document->state = DOCUMENT_REFUSED;
    document->parsed.message = "the message is too large";
    if (document->source.size > document->max_size)
        return;
    buffer_clear(&document->text);
    if (document->text.capacity > TEXT_KEPT_SIZE)
        buffer_deinit(&document->text);
    char *text = buffer_reserve(&document->text, document->source.size + NATIVE_JSON_PADDING);
    if (document->source.size)
        memcpy(text, document->source.data, document->source.size);
    memset(text + document->source.size, 0, NATIVE_JSON_PADDING);
    document->text.size = document->source.size;
    if (native_json_parse(document->parser, text, document->source.size, document->max_depth,
                          &document->parsed) == NATIVE_JSON_OK &&
        document->parsed.node_count > 0)
        document->state = DOCUMENT_PARSED;
}

const struct native_json_node *hub_document_root(struct hub_document *document, const char **message)
{
    if (document->state == DOCUMENT_FRESH)
        parse(document);
    if (document->state == DOCUMENT_PARSED)
        return &document->parsed.nodes[0];
    if (message)
        *message = document->parsed.message ? document->parsed.message : "the message is nested too deeply";
    return NULL;
}

const struct native_json_node *hub_document_after(const struct hub_document *document,
                                                  const struct native_json_node *value)
{
    return &document->parsed.nodes[value->next];
}

const struct native_json_node *hub_document_member(const struct hub_document *document,
                                                   const struct native_json_node *object, struct slice name)
{
    if (object->event != NATIVE_JSON_OBJECT_BEGIN)
        return NULL;
    for (const struct native_json_node *key = object + 1; key->event != NATIVE_JSON_OBJECT_END;
         key = hub_document_after(document, key + 1)) {
        assert(key->event == NATIVE_JSON_KEY);
        if (slice_equal(hub_node_text(key), name))
            return key + 1;
    }
    return NULL;
}

static const struct native_json_node *element(const struct hub_document *document,
                                              const struct native_json_node *array, uint32_t index)
{
    if (array->event != NATIVE_JSON_ARRAY_BEGIN)
        return NULL;
    for (const struct native_json_node *value = array + 1; value->event != NATIVE_JSON_ARRAY_END;
         value = hub_document_after(document, value)) {
        if (index-- == 0)
            return value;
    }
    return NULL;
}

const struct native_json_node *hub_document_find(struct hub_document *document, const struct path *path)
{
    const struct native_json_node *node = hub_document_root(document, NULL);
    for (uint32_t i = 0; node && i < path->step_count; i++) {
        const struct path_step *step = &path->steps[i];
        node = step->name.data ? hub_document_member(document, node, step->name)
                               : element(document, node, step->index);
    }
    return node;
}

struct slice hub_document_raw(const struct hub_document *document, const struct native_json_node *node)
{
    return (struct slice){document->text.data + node->offset, node->size};
}
