/* The paths of a schema as a tree, so that a document is matched with all of them in one walk. */
#pragma once

#include "base/arena.h"
#include "flow/schema.h"

#define COLUMN_NONE UINT32_MAX

struct column_node {
    struct slice name;                  /* of a member; `data` is NULL for an element of an array */
    uint32_t index;                     /* of that element */
    uint32_t column;                    /* what the value itself goes to, or COLUMN_NONE */
    const struct column_node *children; /* elements first, by index; then members, by name */
    uint32_t child_count;
    uint32_t element_count; /* how many of the children are elements */
};

/* Of the schema's paths into documents. The root stands for the document. Lives in the arena; refers to the names of the schema. */
const struct column_node *column_tree_build(struct arena *arena, const struct schema *schema);

/* The child, or NULL when no path goes there. `node` may be NULL. */
const struct column_node *column_node_member(const struct column_node *node, struct slice name);
const struct column_node *column_node_element(const struct column_node *node, uint32_t index);
