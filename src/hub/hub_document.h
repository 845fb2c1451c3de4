/* One JSON document at a time, parsed when somebody first looks into it: the messages of clients, and the records that filters
 * are about. I/O thread. */
#pragma once

#include "base/buffer.h"
#include "base/native.h"
#include "flow/schema.h"

struct hub_document {
    struct native_json *parser;
    struct buffer text; /* a copy with padding */
    struct slice source;
    unsigned max_depth;
    size_t max_size;
    enum { DOCUMENT_FRESH, DOCUMENT_PARSED, DOCUMENT_REFUSED } state;
    struct native_json_document parsed;
};

void hub_document_init(struct hub_document *document, size_t max_size, unsigned max_depth);
void hub_document_deinit(struct hub_document *document);
/* The next document; `text` must last until the one after it. */
void hub_document_set(struct hub_document *document, struct slice text);
/* Root value, or NULL when the text is no JSON; `*message` (may be NULL) then says why. */
const struct native_json_node *hub_document_root(struct hub_document *document, const char **message);
/* Value of a member of the object `object`, or NULL. The first one of that name. */
const struct native_json_node *hub_document_member(const struct hub_document *document,
                                                   const struct native_json_node *object, struct slice name);
/* Value at the path below the root, or NULL. */
const struct native_json_node *hub_document_find(struct hub_document *document, const struct path *path);
/* The node that follows a value in its container. */
const struct native_json_node *hub_document_after(const struct hub_document *document,
                                                  const struct native_json_node *value);
/* Raw text of an object or array. */
struct slice hub_document_raw(const struct hub_document *document, const struct native_json_node *node);

static inline struct slice hub_node_text(const struct native_json_node *node)
{
    return (struct slice){node->value.text, node->size};
}
