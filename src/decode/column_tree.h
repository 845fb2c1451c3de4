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
    bool is_listed;         /* a schema that events must keep speaks of it */
    bool is_closed;         /* the schema allows no members but those that are listed */
};

/* What a schema that events must keep says of columns. */
enum { COLUMN_LISTED = 1, COLUMN_CLOSED = 2 };
struct column_marks {
    bool root_is_closed;
    const uint8_t *of_columns; /* [SCHEMA_MAX_COLUMNS] */
};

/* Of the schema's paths into documents. The root stands for the document. Lives in the arena; refers to the names of the schema.
 * `marks` may be NULL. */
const struct column_node *column_tree_build(struct arena *arena, const struct schema *schema,
                                            const struct column_marks *marks);

/* The child, or NULL when no path goes there. `node` may be NULL. */
const struct column_node *column_node_member(const struct column_node *node, struct slice name);
/* Whether `object` may not have a member, whose node is `child` or NULL. `object` may be NULL too. */
static inline bool column_node_refuses(const struct column_node *object, const struct column_node *child)
{
    return object && object->is_closed && !(child && child->is_listed);
}
const struct column_node *column_node_element(const struct column_node *node, uint32_t index);
