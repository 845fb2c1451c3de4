/* The paths of a source's events that somebody uses. Each becomes a column of the batch; all else is checked but
 * not kept. Built at load by the pipelines (expressions, keys, partition keys, subscribers), frozen before the first
 * batch is decoded. */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

enum { SCHEMA_MAX_COLUMNS = 256, SCHEMA_MAX_PATH_DEPTH = 16 };

/* One step of a path: a member name, or an array index when `name.data` is NULL. */
struct path_step {
    struct slice name;
    uint32_t index;
};

/* What a path stands for. Records of sources that have more than JSON text show it under reserved names. */
enum path_origin {
    PATH_DOCUMENT,
    PATH_KEY,       /* _key: string */
    PATH_HEADER,    /* _headers.NAME: string */
    PATH_TOPIC,     /* _topic: string */
    PATH_PARTITION, /* _partition: int */
    PATH_OFFSET,    /* _offset: int */
    PATH_TIMESTAMP, /* _timestamp: int, epoch milliseconds */
};

struct path {
    struct path_step steps[SCHEMA_MAX_PATH_DEPTH];
    uint32_t step_count;
    struct slice text;       /* canonical text: a.b[0] */
    enum path_origin origin; /* of the paths of a schema */
};

struct schema {
    struct arena arena;
    struct path *paths; /* [column_count], in the order they were added */
    uint32_t column_count;
    bool
        has_record_fields; /* reserved names hide members of the document; set before the first path is added */
};

void schema_init(struct schema *schema);
void schema_deinit(struct schema *schema);

/* Parses `a.b`, `a["odd name"]`, `a[0].b`. Names: letters, digits, _ - $ @ and any non-ASCII, not empty. */
NODISCARD
enum status path_parse(struct arena *arena, struct slice text, struct path *path, struct error *error);

/* What the path stands for in this schema. STATUS_INVALID when it uses a reserved name as that cannot be used. */
NODISCARD
enum status schema_origin(const struct schema *schema, const struct path *path, enum path_origin *origin,
                          struct error *error);
/* Whether any column is of the key or the headers of records. */
bool schema_reads_metadata(const struct schema *schema);
/* Index of the column for that path, which is added when it is new. STATUS_LIMIT at SCHEMA_MAX_COLUMNS, STATUS_INVALID when
 * schema_origin() refuses it. */
NODISCARD
enum status schema_add(struct schema *schema, const struct path *path, uint32_t *column_index);
/* The same from text. */
NODISCARD
enum status schema_add_text(struct schema *schema, struct slice text, uint32_t *column_index,
                            struct error *error);
