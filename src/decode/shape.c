/* Places lie in an arena; members are found through one table of open addressing over all places. Nothing is ever removed
 * alone: a full shape that no longer fits its documents is forgotten as a whole and learned anew within a few of
 * them. The hash is seeded, so keys from outside cannot be chosen to collide. */
#include "decode/shape.h"

#include "base/hash.h"
#include "base/random.h"

static void init_place(struct shape *shape, struct shape_place *place, const struct column_node *wanted,
                       uint32_t depth)
{
    *place = (struct shape_place){
        .column = wanted ? wanted->column : COLUMN_NONE,
        .id = shape->place_count++,
        .depth = depth,
        .wanted = wanted,
        .first = &shape->nobody,
    };
    if (wanted && wanted->element_count) {
        size_t size = wanted->element_count * sizeof *place->wanted_elements;
        place->wanted_elements = arena_allocate_zeroed(&shape->arena, size);
    }
}

static void add_root(struct shape *shape)
{
    shape->root = arena_allocate(&shape->arena, sizeof *shape->root);
    init_place(shape, shape->root, shape->columns, 0);
}

void shape_init(struct shape *shape, const struct column_node *columns)
{
    *shape = (struct shape){.columns = columns, .hash_seed = random_seed_from_system()};
    shape->nobody.first_mask = 1u << 31;
    shape->lead_size = shape->tail_size = 1;
    arena_init(&shape->arena, 0);
    add_root(shape);
}

void shape_deinit(struct shape *shape)
{
    arena_deinit(&shape->arena);
}

void shape_forget(struct shape *shape)
{
    arena_reset(&shape->arena);
    memset(shape->slots, 0, sizeof shape->slots);
    shape->place_count = 0;
    add_root(shape);
}

static bool has_key(const struct shape *shape, const struct shape_member *member,
                    const struct shape_place *place, struct slice key)
{
    return member->key_size == key.size && member->parent_id == place->id &&
           memcmp(member->literal + shape->lead_size + 1, key.data, key.size) == 0;
}

/* The slot that holds the key, or the empty one where it would go. There always is an empty one. */
static uint32_t find_slot(const struct shape *shape, const struct shape_place *place, struct slice key)
{
    uint32_t slot = (uint32_t)hash_bytes(key.data, key.size, shape->hash_seed + place->id);
    for (;; slot++) {
        slot &= SHAPE_SLOT_COUNT - 1;
        const struct shape_member *member = shape->slots[slot];
        if (!member || has_key(shape, member, place, key))
            return slot;
    }
}

struct shape_member *shape_find(const struct shape *shape, const struct shape_place *place, struct slice key)
{
    return shape->slots[find_slot(shape, place, key)];
}

struct shape_member *shape_add_member(struct shape *shape, struct shape_place *place, struct slice key)
{
    uint32_t slot = find_slot(shape, place, key);
    struct shape_member *member = shape->slots[slot];
    if (member || key.size > DECODER_MAX_KEY_SIZE || shape_is_full(shape))
        return member;
    const struct column_node *wanted = column_node_member(place->wanted, key);
    if (column_node_refuses(place->wanted, wanted))
        return NULL;
    member = arena_allocate_zeroed(&shape->arena, sizeof *member);
    char *out = mempcpy(member->literal, shape->lead_size == 2 ? ", " : ",", shape->lead_size);
    *out++ = '"';
    out = mempcpy(out, key.data, key.size);
    *out++ = '"';
    out = mempcpy(out, shape->tail_size == 2 ? ": " : ":", shape->tail_size);
    member->literal_size = (uint32_t)(out - member->literal);
    member->key_size = (uint32_t)key.size;
    member->first_mask = member->literal_size >= 16 ? 0xFFFF : (1u << member->literal_size) - 1;
    member->parent_id = place->id;
    member->next = &shape->nobody;
    init_place(shape, &member->value, wanted, place->depth + 1);
    shape->slots[slot] = member;
    return member;
}

struct shape_place *shape_add_element(struct shape *shape, struct shape_place *place, uint32_t index)
{
    struct shape_place *known = shape_element(place, index);
    if (known || shape_is_full(shape))
        return known;
    const struct column_node *wanted = column_node_element(place->wanted, index);
    struct shape_place *element = arena_allocate(&shape->arena, sizeof *element);
    init_place(shape, element, wanted, place->depth + 1);
    if (wanted) {
        place->wanted_elements[wanted - place->wanted->children] = element;
    } else {
        place->element = element;
    }
    return element;
}
