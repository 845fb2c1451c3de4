/* Where both paths of the decoder put the values of the document at hand: one row of a batch's columns. Strings that had
 * escapes are gathered aside and go to the side area once the batch is done, so that the text does not move meanwhile. */
#pragma once

#include "base/buffer.h"
#include "base/json_text.h"
#include "flow/batch.h"

/* A null that stands in the document, where somebody has to tell it from a missing member. Only within the decoder: it is VALUE_NULL
 * once the batch is done. */
#define ROW_WRITTEN_NULL VALUE_KIND_COUNT

struct row_writer {
    struct batch *batch;
    struct buffer unescaped; /* becomes the side area */
    uint32_t row;
    bool tells_null; /* nulls are put as ROW_WRITTEN_NULL */
    /* The first member of the document that a closed object (column_tree.h) may not have; no name: there is none. Only the slow
     * path meets such members: the fast one is never taught them. */
    struct {
        uint32_t column; /* of the object, COLUMN_NONE for the event */
        struct slice name;
    } stranger;
};

static inline union value *row_put(struct row_writer *writer, uint32_t column, enum value_kind kind)
{
    struct column *to = &writer->batch->columns[column];
    to->kinds[writer->row] = (uint8_t)kind;
    return &to->values[writer->row];
}

static inline void row_put_number(struct row_writer *writer, uint32_t column,
                                  const struct json_number *number)
{
    if (number->kind == JSON_NUMBER_INT) {
        row_put(writer, column, VALUE_INT)->i = number->integer;
    } else {
        row_put(writer, column, VALUE_DOUBLE)->d = number->real;
    }
}

/* `text` lies in the batch's bytes. */
static inline void row_put_text(struct row_writer *writer, uint32_t column, enum value_kind kind,
                                const char *text, size_t size)
{
    uint32_t offset = (uint32_t)(text - writer->batch->bytes);
    row_put(writer, column, kind)->s = (struct text_reference){offset, (uint32_t)size};
}

/* The string is what was appended to `unescaped` from `begin` on. */
static inline void row_put_unescaped(struct row_writer *writer, uint32_t column, size_t begin)
{
    row_put(writer, column, VALUE_STRING)->s = (struct text_reference){
        (uint32_t)(writer->batch->side_start + begin), (uint32_t)(writer->unescaped.size - begin)};
}

/* The bytes of a string that was put, before and after it has gone to the side area. */
static inline struct slice row_text(const struct row_writer *writer, struct text_reference reference)
{
    if (reference.offset < writer->batch->side_start)
        return batch_text(writer->batch, reference);
    return (struct slice){writer->unescaped.data + (reference.offset - writer->batch->side_start),
                          reference.size};
}
