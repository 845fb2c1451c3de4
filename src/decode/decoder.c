/* A record is tried on the fast path, else read by the slow one; then its time is judged, and it becomes a row or a bad
 * record. Everything but the reading itself is common to both paths.
 *
 * A source whose documents the fast path never knows (keys made of ids, say) would pay for both: after a run of failures
 * only every few documents are tried. */
#include "decode/decoder.h"

#include <stdlib.h>

#include "base/memory.h"
#include "decode/event_check.h"
#include "decode/fast_path.h"
#include "decode/record_fields.h"
#include "decode/slow_path.h"

enum { FAILURES_UNTIL_SPARE = 64, SPARE_EVERY = 8, UNESCAPED_KEPT_SIZE = BATCH_TEXT_SIZE };

struct decoder {
    struct decoder_options options;
    struct arena arena;
    struct shape shape;
    struct slow_path slow;
    struct row_writer writer;
    struct record_fields fields;
    bool time_is_field;   /* the event time is a field of the record, not of its document */
    uint32_t failure_run; /* documents since the fast path last read one */
    uint32_t full_count;  /* slow documents since the shape has been full */
    struct decoder_counters counters;
};

struct decoder *decoder_create(const struct decoder_options *options)
{
    struct decoder *decoder = memory_allocate(sizeof *decoder);
    decoder->options = *options;
    arena_init(&decoder->arena, 0);
    const struct column_node *columns = column_tree_build(
        &decoder->arena, options->schema, options->check ? event_check_marks(options->check) : NULL);
    decoder->writer.tells_null = options->check != NULL;
    shape_init(&decoder->shape, columns);
    slow_path_init(&decoder->slow, columns);
    record_fields_init(&decoder->fields, options->schema, &decoder->arena);
    decoder->time_is_field = options->time_column != UINT32_MAX &&
                             options->schema->paths[options->time_column].origin != PATH_DOCUMENT;
    return decoder;
}

void decoder_destroy(struct decoder *decoder)
{
    if (!decoder)
        return;
    slow_path_deinit(&decoder->slow);
    shape_deinit(&decoder->shape);
    arena_deinit(&decoder->arena);
    buffer_deinit(&decoder->writer.unescaped);
    free(decoder);
}

struct decoder_counters decoder_counters(const struct decoder *decoder)
{
    return decoder->counters;
}

/* Between the lines of a file there may be empty ones; a record of a topic was sent by somebody, so an empty one is bad. */
static bool is_blank_line(const struct batch *batch, struct slice text)
{
    if (batch->topic)
        return false;
    size_t at = 0;
    while (at < text.size && json_is_space(text.data[at]))
        at++;
    return at == text.size;
}

/* Undoes what a path has written to the row. */
static void clear_row(struct row_writer *writer, size_t unescaped_size)
{
    for (uint32_t i = 0; i < writer->batch->column_count; i++)
        writer->batch->columns[i].kinds[writer->row] = VALUE_NULL;
    writer->unescaped.size = unescaped_size;
}

static void teach(struct decoder *decoder, const char *text)
{
    struct shape *shape = &decoder->shape;
    if (shape_is_full(shape)) {
        if (++decoder->full_count < DECODER_FORGET_AFTER)
            return;
        decoder->counters.places_forgotten += shape->place_count - 1;
        decoder->full_count = 0;
        shape_forget(shape);
    }
    decoder->counters.places_learned += slow_path_teach(&decoder->slow, shape, text);
}

static bool try_fast_path(struct decoder *decoder, struct slice text)
{
    if (!decoder->options.use_shapes)
        return false;
    bool is_spared = decoder->failure_run >= FAILURES_UNTIL_SPARE && decoder->failure_run % SPARE_EVERY;
    size_t unescaped_size = decoder->writer.unescaped.size;
    if (!is_spared && fast_path_read(&decoder->shape, &decoder->writer, text.data, text.size)) {
        decoder->failure_run = 0;
        decoder->counters.fast_documents++;
        return true;
    }
    if (!is_spared)
        clear_row(&decoder->writer, unescaped_size);
    decoder->failure_run++;
    return false;
}

/* The document of one record into the row. False when it is bad. */
static bool read_document(struct decoder *decoder, const struct record *record, struct slice text,
                          struct bad_record *bad)
{
    bool is_text_too_big = text.size > EVENT_MAX_SIZE;
    if (is_text_too_big || record->cut_size || record->metadata_size > EVENT_MAX_SIZE) {
        bad->reason = BAD_TOO_BIG;
        bad->detail = is_text_too_big ? "larger than 1 MiB" : "its key and headers are larger than 1 MiB";
        return false;
    }
    if (try_fast_path(decoder, text))
        return true;
    decoder->counters.slow_documents++;
    decoder->writer.batch->slow_count++;
    if (!slow_path_read(&decoder->slow, &decoder->writer, text.data, text.size, bad))
        return false;
    if (decoder->options.use_shapes)
        teach(decoder, text.data);
    return true;
}

static enum status time_from_column(const struct decoder *decoder, const struct column *column,
                                    int64_t *time_us)
{
    union value value = column->values[decoder->writer.row];
    enum time_unit unit = decoder->options.time_unit;
    switch ((enum value_kind)column->kinds[decoder->writer.row]) {
    case VALUE_INT: return event_time_from_int(value.i, unit, time_us);
    case VALUE_DOUBLE: return event_time_from_double(value.d, unit, time_us);
    case VALUE_STRING: return event_time_from_text(row_text(&decoder->writer, value.s), time_us);
    case ROW_WRITTEN_NULL:
    case VALUE_NULL: return STATUS_NOT_FOUND;
    default: return STATUS_INVALID;
    }
}

static enum status time_from_record(const struct record *record, int64_t *time_us)
{
    *time_us = record->time_us;
    if (*time_us == TIME_NONE)
        return STATUS_NOT_FOUND;
    return *time_us < EVENT_TIME_MIN_US || *time_us > EVENT_TIME_MAX_US ? STATUS_INVALID : STATUS_OK;
}

/* False when the event's time is none that can be used. */
static bool judge_time(struct decoder *decoder, const struct record *record, int64_t *time_us,
                       struct bad_record *bad)
{
    const struct decoder_options *options = &decoder->options;
    struct batch *batch = decoder->writer.batch;
    bool has_column = options->time_column != UINT32_MAX;
    if (decoder->time_is_field)
        record_fields_put(&decoder->fields, &decoder->writer, options->time_column, record);
    const char *name = has_column ? options->schema->paths[options->time_column].text.data : "the record";
    enum status status = has_column
                             ? time_from_column(decoder, &batch->columns[options->time_column], time_us)
                             : time_from_record(record, time_us);
    if (status == STATUS_NOT_FOUND) {
        bad->reason = BAD_NO_TIME;
        bad->detail =
            arena_format(&batch->arena, has_column ? "%s is missing or null" : "%s has no time", name);
        return false;
    }
    if (status) {
        bad->reason = BAD_ABSURD_TIME;
        bad->detail = arena_format(&batch->arena,
                                   "%s is not a time (ISO-8601 or a number) of the years 1 to 9999", name);
        return false;
    }
    int64_t latest_us;
    if (record->time_us != TIME_NONE &&
        !__builtin_add_overflow(record->time_us, options->max_future_skew_us, &latest_us) &&
        *time_us > latest_us) {
        bad->reason = BAD_FUTURE_TIME;
        bad->detail = arena_format(&batch->arena,
                                   "%s is further ahead of the record's time than "
                                   "max_future_skew allows",
                                   name);
        return false;
    }
    return true;
}

static bool judge_schema(const struct decoder *decoder, struct slice text, struct bad_record *bad)
{
    if (!decoder->options.check)
        return true;
    bad->detail = event_check_row(decoder->options.check, &decoder->writer, text);
    bad->reason = BAD_SCHEMA;
    return bad->detail == NULL;
}

static void decode_record(struct decoder *decoder, uint32_t record_index)
{
    struct row_writer *writer = &decoder->writer;
    struct batch *batch = writer->batch;
    const struct record *record = &batch->records[record_index];
    struct slice text = batch_record_text(batch, record_index);
    if (!record->cut_size && (!text.size || json_is_space(*text.data)) && is_blank_line(batch, text))
        return;
    size_t unescaped_size = writer->unescaped.size;
    struct bad_record bad = {.record_index = record_index};
    int64_t time_us;
    if (read_document(decoder, record, text, &bad) && judge_time(decoder, record, &time_us, &bad) &&
        judge_schema(decoder, text, &bad)) {
        batch->row_records[writer->row] = record_index;
        batch->event_times_us[writer->row] = time_us;
        batch->offsets[writer->row] = record->offset;
        writer->row++;
        return;
    }
    clear_row(writer, unescaped_size);
    writer->stranger.name.data = NULL; /* an event that has one is always bad */
    batch->bad[batch->bad_count++] = bad;
}

/* From here on, null and missing are the same. */
static void forget_nulls(struct column *column, uint32_t row_count)
{
    uint8_t *at = column->kinds, *end = at + row_count;
    while ((at = memchr(at, ROW_WRITTEN_NULL, (size_t)(end - at))))
        *at++ = VALUE_NULL;
}

static void collect_kinds(struct column *column, uint32_t row_count)
{
    for (int kind = VALUE_NULL; kind <= VALUE_JSON; kind++) {
        if (memchr(column->kinds, kind, row_count))
            column->kind_mask |= value_kind_bit((enum value_kind)kind);
    }
}

void decoder_run(struct decoder *decoder, struct batch *batch)
{
    struct row_writer *writer = &decoder->writer;
    batch_prepare_columns(batch, decoder->options.schema->column_count);
    for (uint32_t i = 0; i < batch->column_count; i++)
        memset(batch->columns[i].kinds, VALUE_NULL, batch->record_count);
    writer->batch = batch;
    writer->row = 0;
    record_fields_begin(&decoder->fields, writer);
    for (uint32_t i = 0; i < batch->record_count; i++)
        decode_record(decoder, i);
    record_fields_finish(&decoder->fields, writer);
    batch->row_count = writer->row;
    for (uint32_t i = 0; i < batch->column_count; i++) {
        if (writer->tells_null)
            forget_nulls(&batch->columns[i], batch->row_count);
        collect_kinds(&batch->columns[i], batch->row_count);
    }
    if (writer->unescaped.size) {
        uint32_t side = batch_reserve_side(batch, writer->unescaped.size);
        memcpy(batch->bytes + side, writer->unescaped.data, writer->unescaped.size);
    }
    buffer_clear(&writer->unescaped);
    if (writer->unescaped.capacity > UNESCAPED_KEPT_SIZE)
        buffer_deinit(&writer->unescaped);
    writer->batch = NULL;
}
