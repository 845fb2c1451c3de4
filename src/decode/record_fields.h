/* Columns that do not come from documents: key, headers, topic, partition, offset, time of the record. */
#pragma once

#include "decode/row_writer.h"
#include "flow/schema.h"

struct record_fields {
    const struct schema *schema;
    uint32_t *columns; /* [count] those whose path is no PATH_DOCUMENT */
    uint32_t count;
    bool has_topic;
    struct text_reference topic; /* of the batch at hand */
};

void record_fields_init(struct record_fields *fields, const struct schema *schema, struct arena *arena);

/* Before the records of a batch are read: puts what all of them share aside. */
void record_fields_begin(struct record_fields *fields, struct row_writer *writer);
/* Puts one field into the row of `writer`, for whoever needs it before the others; null is left alone. */
void record_fields_put(const struct record_fields *fields, struct row_writer *writer, uint32_t column,
                       const struct record *record);
/* Puts all fields of the first writer->row rows, a column at a time. */
void record_fields_finish(const struct record_fields *fields, struct row_writer *writer);
