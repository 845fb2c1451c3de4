/* Paths are sorted step by step; those that share a beginning are then neighbours, and each run of neighbours becomes a
 * node. Children keep that order, so they are found by halving. */
#include "decode/column_tree.h"

#include <stdlib.h>

static int compare_steps(const struct path_step *a, const struct path_step *b)
{
    if (!a->name.data || !b->name.data) {
        if (a->name.data || b->name.data)
            return a->name.data ? 1 : -1;
        return (a->index > b->index) - (a->index < b->index);
    }
    return slice_compare(a->name, b->name);
}

static int compare_paths(const void *left, const void *right)
{
    const struct path *a = *(const struct path *const *)left, *b = *(const struct path *const *)right;
    for (uint32_t i = 0; i < a->step_count && i < b->step_count; i++) {
        int order = compare_steps(&a->steps[i], &b->steps[i]);
        if (order)
            return order;
    }
    return (a->step_count > b->step_count) - (a->step_count < b->step_count);
}

struct tree_builder {
    struct arena *arena;
    const struct schema *schema;
    const struct column_marks *marks;
};

/* How many paths from `paths` on share their step at `depth` with the first one. */
static uint32_t run_size(const struct path **paths, uint32_t path_count, uint32_t depth)
{
    uint32_t size = 1;
    while (size < path_count && compare_steps(&paths[0]->steps[depth], &paths[size]->steps[depth]) == 0)
        size++;
    return size;
}

/* Fills `node` from sorted paths that all lead through it; its own step is the one before `depth`. */
static void build_node(const struct tree_builder *builder, struct column_node *node,
                       const struct path **paths, uint32_t path_count, uint32_t depth)
{
    *node = (struct column_node){.column = COLUMN_NONE};
    if (path_count && depth > 0) {
        node->name = paths[0]->steps[depth - 1].name;
        node->index = paths[0]->steps[depth - 1].index;
    }
    while (path_count && paths[0]->step_count == depth) {
        node->column = (uint32_t)(paths[0] - builder->schema->paths);
        unsigned marks = builder->marks ? builder->marks->of_columns[node->column] : 0;
        node->is_listed = marks & COLUMN_LISTED;
        node->is_closed = marks & COLUMN_CLOSED;
        paths++;
        path_count--;
    }
    for (uint32_t i = 0; i < path_count; i += run_size(paths + i, path_count - i, depth))
        node->child_count++;
    struct column_node *children =
        arena_allocate_zeroed(builder->arena, node->child_count * sizeof *children + 1);
    node->children = children;
    for (uint32_t i = 0, child = 0; i < path_count; child++) {
        uint32_t size = run_size(paths + i, path_count - i, depth);
        build_node(builder, &children[child], paths + i, size, depth + 1);
        node->element_count += !children[child].name.data;
        i += size;
    }
}

const struct column_node *column_tree_build(struct arena *arena, const struct schema *schema,
                                            const struct column_marks *marks)
{
    const struct path *paths[SCHEMA_MAX_COLUMNS];
    uint32_t path_count = 0;
    for (uint32_t i = 0; i < schema->column_count; i++) {
        if (schema->paths[i].origin == PATH_DOCUMENT)
            paths[path_count++] = &schema->paths[i];
    }
    qsort(paths, path_count, sizeof *paths, compare_paths);
    struct tree_builder builder = {arena, schema, marks};
    struct column_node *root = arena_allocate(arena, sizeof *root);
    build_node(&builder, root, paths, path_count, 0);
    root->is_closed = marks && marks->root_is_closed;
    return root;
}

static const struct column_node *find_child(const struct column_node *node, const struct path_step *step,
                                            uint32_t from, uint32_t to)
{
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        const struct column_node *child = &node->children[middle];
        struct path_step child_step = {.name = child->name, .index = child->index};
        int order = compare_steps(step, &child_step);
        if (order == 0)
            return child;
        if (order < 0) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    return NULL;
}

const struct column_node *column_node_member(const struct column_node *node, struct slice name)
{
    if (!node)
        return NULL;
    struct path_step step = {.name = {name.data ? name.data : "", name.size}};
    return find_child(node, &step, node->element_count, node->child_count);
}

const struct column_node *column_node_element(const struct column_node *node, uint32_t index)
{
    if (!node)
        return NULL;
    struct path_step step = {.index = index};
    return find_child(node, &step, 0, node->element_count);
}
