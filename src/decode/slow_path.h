/* The slow path: any document, by simdjson. It alone says what is wrong with a bad one, and teaches the shape. */
#pragma once

#include "base/native.h"
#include "decode/row_writer.h"
#include "decode/shape.h"

struct slow_path {
    struct native_json *json;
    const struct column_node *columns;
    struct native_json_document document; /* of the last slow_path_read */
    uint32_t *key_slots;                  /* set of the keys of one object, for duplicates */
    uint32_t key_slot_capacity;
    uint64_t hash_seed;
};

void slow_path_init(struct slow_path *slow, const struct column_node *columns);
void slow_path_deinit(struct slow_path *slow);

/* Reads the document into the row of `writer`, whose columns are all null. False when it is bad: then `*bad` has reason
 * and detail, and no column was written. Readable bytes behind the text as NATIVE_JSON_PADDING says. */
bool slow_path_read(struct slow_path *slow, struct row_writer *writer, const char *text, size_t size,
                    struct bad_record *bad);

/* Adds the places of the document just read from `text`, which was good, as far as there is room. Returns how many were new. */
uint32_t slow_path_teach(const struct slow_path *slow, struct shape *shape, const char *text);
