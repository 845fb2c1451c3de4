/* What a decoder remembers of the documents it has met: for each place (the root, a member of it, an element of that ...)
 * the keys that objects had there, and which key followed which. Whole documents repeat often but not always: fields
 * are left out, arrays differ in length, some writers shuffle. So it is not whole documents that are remembered but steps:
 * the predicted next key costs one comparison, any other known key one look-up. */
#pragma once

#include "base/arena.h"
#include "decode/column_tree.h"
#include "decode/decoder.h"

enum {
    SHAPE_LITERAL_SIZE =
        80, /* comma, key, colon, spaces; then zeros, to be loaded by 16 bytes from anywhere */
    SHAPE_SLOT_COUNT = 2 * DECODER_MAX_PLACES
};

struct shape_member;

/* A value's position in documents. */
struct shape_place {
    uint32_t column;                  /* of this value, or COLUMN_NONE */
    uint32_t id;                      /* tells equal keys of different places apart */
    uint32_t depth;                   /* containers around it */
    uint32_t leaf_size;               /* of the last string or number here ... */
    uint32_t leaf_size_run;           /* ... and how many in a row had it */
    const struct column_node *wanted; /* NULL when no path leads here */
    struct shape_member *first;       /* likely first member */
    struct shape_place *element;      /* of arrays, when elements have been met here */
    struct shape_place *
        *wanted_elements; /* [wanted->element_count] those with columns; NULL entries: not met */
};

struct shape_member {
    _Alignas(16) char literal[SHAPE_LITERAL_SIZE]; /* ,"key": with the spaces of this source */
    uint32_t literal_size;                         /* 0: stands for no member */
    uint32_t first_mask; /* a bit for each of the first 16 bytes that count; bit 31: never equal */
    uint32_t key_size;
    uint32_t parent_id;        /* of the place whose objects have it */
    uint64_t stamp;            /* the object in which it was met last: twice in one is a duplicate */
    struct shape_member *next; /* likely successor */
    struct shape_place value;
};

struct shape {
    struct arena arena;
    const struct column_node *columns;
    struct shape_place *root;
    uint32_t
        lead_size; /* of literals before the opening quote: 2 when the source puts a space behind commas, or 1 */
    uint32_t tail_size;         /* the same of colons, behind the closing quote */
    struct shape_member nobody; /* where no member is likely yet; equal to no text */
    uint32_t place_count;
    uint64_t stamp; /* counts objects */
    uint64_t hash_seed;
    struct shape_member *slots[SHAPE_SLOT_COUNT];
};

void shape_init(struct shape *shape, const struct column_node *columns);
void shape_deinit(struct shape *shape);
/* Forgets every place but the root. */
void shape_forget(struct shape *shape);
static inline bool shape_is_full(const struct shape *shape)
{
    return shape->place_count >= DECODER_MAX_PLACES;
}

/* The member with that key, spelled as in the document, without its quotes; NULL when it is not known. */
struct shape_member *shape_find(const struct shape *shape, const struct shape_place *place, struct slice key);
/* The same; adds it when it is new. NULL when the key is too long, the shape is full, or a closed object
 * may not have it: then only the slow path reads the document, which has to tell. */
struct shape_member *shape_add_member(struct shape *shape, struct shape_place *place, struct slice key);

/* The place of the element of that index, NULL when it is not known. */
static inline struct shape_place *shape_element(const struct shape_place *place, uint32_t index)
{
    if (!place->wanted || !place->wanted->element_count)
        return place->element;
    const struct column_node *wanted = column_node_element(place->wanted, index);
    return wanted ? place->wanted_elements[wanted - place->wanted->children] : place->element;
}
/* The same; adds it when it is new. NULL when the shape is full. */
struct shape_place *shape_add_element(struct shape *shape, struct shape_place *place, uint32_t index);
