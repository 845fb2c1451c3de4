/* Texts are references to where the source put them, so nothing is copied; only the topic, which is no part of the batch's bytes,
 * goes to the side area once per batch. What is not UTF-8 cannot be a string of an expression or of a result: it is null. */
#include "decode/record_fields.h"

#include "base/utf8.h"

void record_fields_init(struct record_fields *fields, const struct schema *schema, struct arena *arena)
{
    *fields = (struct record_fields){.schema = schema};
    fields->columns = arena_allocate(arena, (schema->column_count + 1) * sizeof *fields->columns);
    for (uint32_t i = 0; i < schema->column_count; i++) {
        if (schema->paths[i].origin == PATH_DOCUMENT)
            continue;
        fields->columns[fields->count++] = i;
        fields->has_topic |= schema->paths[i].origin == PATH_TOPIC;
    }
}

void record_fields_begin(struct record_fields *fields, struct row_writer *writer)
{
    const char *topic = writer->batch->topic;
    if (!fields->has_topic || !topic)
        return;
    size_t begin = writer->unescaped.size;
    buffer_append_text(&writer->unescaped, topic);
    fields->topic = (struct text_reference){(uint32_t)(writer->batch->side_start + begin),
                                            (uint32_t)(writer->unescaped.size - begin)};
}

static void put_bytes(struct row_writer *writer, uint32_t column, struct slice bytes)
{
    if (bytes.data && utf8_valid(bytes.data, bytes.size))
        row_put_text(writer, column, VALUE_STRING, bytes.data, bytes.size);
}

static struct slice metadata_of(struct batch *batch, const struct record *record)
{
    return batch_record_metadata(batch, (uint32_t)(record - batch->records));
}

/* Rounded down, whatever the sign. */
static int64_t milliseconds(int64_t time_us)
{
    return time_us / 1000 - (time_us % 1000 < 0);
}

void record_fields_put(const struct record_fields *fields, struct row_writer *writer, uint32_t column,
                       const struct record *record)
{
    struct batch *batch = writer->batch;
    const struct path *path = &fields->schema->paths[column];
    switch (path->origin) {
    case PATH_DOCUMENT: break;
    case PATH_KEY: put_bytes(writer, column, metadata_key(metadata_of(batch, record))); break;
    case PATH_HEADER:
        put_bytes(writer, column, metadata_header(metadata_of(batch, record), path->steps[1].name));
        break;
    case PATH_TOPIC:
        if (batch->topic)
            row_put(writer, column, VALUE_STRING)->s = fields->topic;
        break;
    case PATH_PARTITION:
        row_put(writer, column, VALUE_INT)->i = batch->topic ? batch->topic_partition : batch->partition;
        break;
    case PATH_OFFSET: row_put(writer, column, VALUE_INT)->i = record->offset; break;
    case PATH_TIMESTAMP:
        if (record->time_us != TIME_NONE)
            row_put(writer, column, VALUE_INT)->i = milliseconds(record->time_us);
        break;
    }
}

void record_fields_finish(const struct record_fields *fields, struct row_writer *writer)
{
    const struct batch *batch = writer->batch;
    uint32_t row_count = writer->row;
    for (uint32_t i = 0; i < fields->count; i++) {
        for (writer->row = 0; writer->row < row_count; writer->row++)
            record_fields_put(fields, writer, fields->columns[i],
                              &batch->records[batch->row_records[writer->row]]);
    }
    writer->row = row_count;
}
