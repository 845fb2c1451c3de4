/* Panes as messages. Everything is little endian; varints and values are those of pane_wire.h.
 *
 *    0  "wpn"                      16  window start, us         48  marks    the first signed, then distances
 *    3  format version             24  window end, us               origins  partition, signed offset, signed watermark
 *    4  kind of pane               32  number of rows               rows     see below
 *    5  1 = replay                 36  overflow row + 1, or 0       xxh3 of all that is before it, 8 bytes
 *    6  0, 2 bytes                 40  number of origins
 *    8  definition of the          44  number of marks
 *       pipeline, hash
 *
 * Late and dropped panes of sliding windows have two times more behind the marks: the last window ends that were reached, and
 * that were gone, or TIME_NONE.
 *
 *   row:  event count │ type errors │ a value for each key │ a state for each aggregate that has its own, by its `save`
 *
 * A row of a session has its span behind the counts:
 *
 *   layer, 1 = replay │ start │ end - start │ link │ link end │ hold │ partition │ first offset │ watermark before it
 *
 * Rows of dropped events have no states. The hash of a row is not sent: every process has a seed of its own, and a hash that
 * somebody else has made would have to be trusted. PANE_MARKS has no window: start and end are TIME_NONE.
 *
 * The reader trusts nothing but the checksum's order: version first, since another version may have another checksum; then the
 * checksum, so that damage is called damage; then what two processes can disagree about. Behind that every count is
 * compared with the bytes that are left before memory is taken for it, so that a message costs memory in proportion. */
#include "window/pane_codec.h"

#include <string.h>

#include "base/hash.h"
#include "window/pane_wire.h"
#include "window/session_table.h"

enum {
    FORMAT_VERSION = 1,
    VERSION_OFFSET = 3,
    COUNTS_OFFSET = 32, /* patched when the message is full */
    HEADER_SIZE = 48,
    CHECKSUM_SIZE = 8,
    ROW_HEADER_ROOM = 2 * VARINT_ROOM,
    ORIGIN_ROOM = 3 * VARINT_ROOM,
    TAG_SIZE = 2 * sizeof(int64_t),
    SPAN_ROOM = 2 + 8 * VARINT_ROOM,
    /* Origins take at most this part of a message that repeats them; more go ahead in messages of their own. */
    ORIGINS_SHARE = 64,
};
static const char magic[VERSION_OFFSET] = {'w', 'p', 'n'};

struct message_counts {
    uint32_t rows, overflow_row, origins, marks;
};

/* --- encoding --------------------------------------------------------------------------------------------------------- */

void pane_encoder_init(struct pane_encoder *encoder, const struct pane_codec *codec)
{
    *encoder = (struct pane_encoder){.codec = *codec, .is_done = true};
    size_t size_max = codec->message_size_max;
    if (!size_max || size_max > PANE_MESSAGE_SIZE_MAX)
        encoder->codec.message_size_max = PANE_MESSAGE_SIZE_MAX;
}

void pane_encoder_deinit(struct pane_encoder *encoder)
{
    buffer_deinit(&encoder->message);
}

void pane_encode(struct pane_encoder *encoder, const struct pane *pane)
{
    encoder->pane = pane;
    encoder->next_mark = encoder->next_origin = encoder->next_row = 0;
    encoder->is_done = false;
}

static bool has_room(const struct pane_encoder *encoder, size_t size)
{
    return encoder->message.size + size + CHECKSUM_SIZE <= encoder->codec.message_size_max;
}

static void put_header(struct pane_encoder *encoder, enum pane_kind kind, const struct message_counts *counts)
{
    const struct pane *pane = encoder->pane;
    bool has_window = kind != PANE_MARKS;
    char *at = encoder->message.data;
    memcpy(at, magic, sizeof magic);
    at = wire_put_byte(at + sizeof magic, FORMAT_VERSION);
    at = wire_put_byte(at, (uint8_t)kind);
    at = wire_put_byte(at, pane->is_replay);
    at = wire_put_byte(wire_put_byte(at, 0), 0);
    at = wire_put_fixed64(at, encoder->codec.definition_hash);
    at = wire_put_fixed64(at, (uint64_t)(has_window ? pane->start_us : TIME_NONE));
    at = wire_put_fixed64(at, (uint64_t)(has_window ? pane->end_us : TIME_NONE));
    at = wire_put_fixed32(at, counts->rows);
    at = wire_put_fixed32(at, counts->overflow_row);
    at = wire_put_fixed32(at, counts->origins);
    (void)wire_put_fixed32(at, counts->marks);
}

/* What late rows of sliding windows were late for. */
static bool has_tag(const struct pane_layout *layout, enum pane_kind kind)
{
    return layout->spec->kind == WINDOW_SLIDING && (kind == PANE_LATE || kind == PANE_DROPPED);
}

static void put_tag(struct pane_encoder *encoder)
{
    const struct pane *pane = encoder->pane;
    char *at = wire_room(&encoder->message, TAG_SIZE);
    at = wire_put_fixed64(at, (uint64_t)pane->reached_us);
    wire_end(&encoder->message, wire_put_fixed64(at, (uint64_t)pane->gone_us));
}

/* As many as there is room for, at least one if there is one. */
static uint32_t put_marks(struct pane_encoder *encoder)
{
    const struct pane *pane = encoder->pane;
    uint32_t first = encoder->next_mark, next = first;
    for (; next < pane->mark_count && (next == first || has_room(encoder, VARINT_ROOM)); next++) {
        char *at = wire_room(&encoder->message, VARINT_ROOM);
        at = next == first
                 ? wire_put_signed(at, pane->marks[next])
                 : wire_put_varint(at, (uint64_t)pane->marks[next] - (uint64_t)pane->marks[next - 1]);
        wire_end(&encoder->message, at);
    }
    encoder->next_mark = next;
    return next - first;
}

/* All of them when they are few. Else as put_marks. */
static uint32_t put_origins(struct pane_encoder *encoder)
{
    const struct pane *pane = encoder->pane;
    const struct pane_partition_map *partitions = &encoder->codec.partitions;
    bool are_few = pane->origin_count <= PANE_MESSAGE_SIZE_MAX / ORIGINS_SHARE / ORIGIN_ROOM;
    uint32_t first = are_few ? 0 : encoder->next_origin, next = first;
    for (; next < pane->origin_count && (are_few || next == first || has_room(encoder, ORIGIN_ROOM));
         next++) {
        const struct pane_origin *origin = &pane->origins[next];
        uint32_t partition =
            partitions->map ? partitions->map(partitions->context, origin->partition) : origin->partition;
        char *at = wire_room(&encoder->message, ORIGIN_ROOM);
        at = wire_put_varint(at, partition);
        at = wire_put_signed(at, origin->offset);
        wire_end(&encoder->message, wire_put_signed(at, origin->watermark_us));
    }
    encoder->next_origin = next;
    return next - first;
}

static inline void put_keys(struct buffer *out, const struct pane *pane, const struct pane_row *row)
{
    for (uint32_t k = 0; k < pane->layout->spec->shape->key_count; k++) {
        const struct key_cell *cell = &row->keys[k];
        union value value = {.i = cell->i};
        if (wire_is_text(cell->kind))
            value.s.size = cell->size;
        wire_put_value(out, cell->kind, value, key_cell_text(pane, cell));
    }
}

static void put_span(const struct aggregate_save *save, const struct session_span *span)
{
    const struct pane_partition_map *partitions = save->partitions;
    uint32_t partition =
        partitions->map ? partitions->map(partitions->context, span->partition) : span->partition;
    char *at = wire_room(save->out, SPAN_ROOM);
    at = wire_put_byte(wire_put_byte(at, span->layer), span->is_replay);
    at = wire_put_signed(at, span->start_us);
    at = wire_put_varint(at, (uint64_t)(span->end_us - span->start_us));
    at = wire_put_signed(wire_put_signed(at, span->link_us), span->link_end_us);
    at = wire_put_signed(at, span->hold_us);
    at = wire_put_varint(at, partition);
    wire_end(save->out, wire_put_signed(wire_put_signed(at, span->first_offset), span->first_watermark_us));
}

static void put_row(const struct aggregate_save *save, const struct pane_row *row)
{
    const struct pane_layout *layout = save->pane->layout;
    char *at = wire_room(save->out, ROW_HEADER_ROOM);
    at = wire_put_varint(at, row->event_count);
    wire_end(save->out, wire_put_varint(at, row->type_errors));
    if (layout->span_offset)
        put_span(save, session_span(save->pane, row));
    put_keys(save->out, save->pane, row);
    if (save->pane->kind == PANE_DROPPED)
        return;
    for (uint32_t a = 0; a < layout->spec->aggregate_count; a++) {
        const struct aggregate_kind *kind = layout->spec->aggregates[a].kind;
        if (layout->sharers[a] && kind->save)
            kind->save((const char *)row + layout->state_offsets[a], save);
    }
}

/* A row that turns out to be too long for what is left waits for the next message. */
static void put_rows(struct pane_encoder *encoder, struct message_counts *counts)
{
    const struct pane *pane = encoder->pane;
    const struct aggregate_save save = {pane, &encoder->codec.partitions, &encoder->message};
    for (; encoder->next_row < pane->row_count; encoder->next_row++) {
        size_t size_before = encoder->message.size;
        put_row(&save, pane_row_at(pane, encoder->next_row));
        if (counts->rows > 0 && !has_room(encoder, 0)) {
            encoder->message.size = size_before;
            return;
        }
        counts->rows++;
        if (pane->overflow_row == encoder->next_row + 1)
            counts->overflow_row = counts->rows;
    }
}

bool pane_encoder_next(struct pane_encoder *encoder, struct slice *message)
{
    if (encoder->is_done)
        return false;
    const struct pane *pane = encoder->pane;
    struct buffer *out = &encoder->message;
    struct message_counts counts = {0};
    buffer_clear(out);
    wire_end(out, wire_room(out, HEADER_SIZE) + HEADER_SIZE);
    counts.marks = put_marks(encoder);
    bool has_all_marks = encoder->next_mark == pane->mark_count;
    if (has_all_marks && has_tag(pane->layout, pane->kind))
        put_tag(encoder);
    if (has_all_marks)
        counts.origins = put_origins(encoder);
    bool has_all_origins = has_all_marks && encoder->next_origin == pane->origin_count;
    if (has_all_origins)
        put_rows(encoder, &counts);
    put_header(encoder, has_all_marks ? pane->kind : PANE_MARKS, &counts);
    uint64_t checksum = hash_bytes(out->data, out->size, 0);
    wire_end(out, wire_put_fixed64(wire_room(out, CHECKSUM_SIZE), checksum));
    encoder->is_done = has_all_origins && encoder->next_row == pane->row_count;
    *message = buffer_slice(out);
    return true;
}

/* --- decoding: what the message is -------------------------------------------------------------------------------------- */

struct pane_header {
    uint8_t kind, is_replay;
    int64_t start_us, end_us;
    struct message_counts counts;
};

struct pane_reader {
    const struct pane_layout *layout;
    const struct pane_codec *codec;
    struct pane_header header;
    struct slice in;
    struct error *error;
};

/* For what no sender of this version makes; an index tells the place. */
static bool invalid(struct pane_reader *reader, const char *what, uint32_t index)
{
    error_set(reader->error,
              "a pane of pipeline \"%s\" is refused though its checksum is right: %s (number %u); "
              "run the same version of weir with the same config in all processes of the group",
              reader->layout->spec->shape->pipeline, what, index);
    return false;
}

/* Magic, version, checksum; leaves the rest in reader->in. */
static bool open_message(struct pane_reader *reader, struct slice message)
{
    if (message.size < VERSION_OFFSET + 1 || memcmp(message.data, magic, sizeof magic) != 0) {
        error_set(reader->error,
                  "this is no message with a pane: it has %zu bytes and does not begin with \"%.*s\"",
                  message.size, (int)sizeof magic, magic);
        return false;
    }
    uint8_t version = (uint8_t)message.data[VERSION_OFFSET];
    if (version != FORMAT_VERSION) {
        error_set(reader->error,
                  "the pane has format version %u, this process reads version %d; run the same version of "
                  "weir in all processes of the group",
                  version, FORMAT_VERSION);
        return false;
    }
    uint64_t checksum = 0;
    bool is_whole = message.size >= HEADER_SIZE + CHECKSUM_SIZE;
    if (is_whole) {
        struct slice end = {message.data + message.size - CHECKSUM_SIZE, CHECKSUM_SIZE};
        is_whole = wire_get_fixed64(&end, &checksum) &&
                   checksum == hash_bytes(message.data, message.size - CHECKSUM_SIZE, 0);
    }
    if (!is_whole) {
        error_set(reader->error, "a message with a pane is damaged: the checksum does not fit its %zu bytes",
                  message.size);
        return false;
    }
    reader->in = (struct slice){message.data + VERSION_OFFSET + 1,
                                message.size - (VERSION_OFFSET + 1) - CHECKSUM_SIZE};
    return true;
}

static bool read_header(struct pane_reader *reader)
{
    struct pane_header *header = &reader->header;
    uint8_t zeros[2];
    uint64_t definition_hash, start_us, end_us;
    if (!wire_get_byte(&reader->in, &header->kind) || !wire_get_byte(&reader->in, &header->is_replay) ||
        !wire_get_byte(&reader->in, &zeros[0]) || !wire_get_byte(&reader->in, &zeros[1]) ||
        !wire_get_fixed64(&reader->in, &definition_hash) || !wire_get_fixed64(&reader->in, &start_us) ||
        !wire_get_fixed64(&reader->in, &end_us) || !wire_get_fixed32(&reader->in, &header->counts.rows) ||
        !wire_get_fixed32(&reader->in, &header->counts.overflow_row) ||
        !wire_get_fixed32(&reader->in, &header->counts.origins) ||
        !wire_get_fixed32(&reader->in, &header->counts.marks))
        return invalid(reader, "its header is cut", 0);
    if (definition_hash != reader->codec->definition_hash) {
        error_set(
            reader->error,
            "a pane of another definition of pipeline \"%s\" came (%016llx, here it is %016llx); run the "
            "same config in all processes of the group",
            reader->layout->spec->shape->pipeline, (unsigned long long)definition_hash,
            (unsigned long long)reader->codec->definition_hash);
        return false;
    }
    if (header->kind > PANE_SESSIONS || header->is_replay > 1 || zeros[0] || zeros[1])
        return invalid(reader, "unknown kind of pane", header->kind);
    header->start_us = (int64_t)start_us;
    header->end_us = (int64_t)end_us;
    return true;
}

static bool window_is_valid(const struct pane_reader *reader)
{
    const struct pane_header *header = &reader->header;
    const struct window_grid *grid = &reader->layout->grid;
    if (header->kind == PANE_MARKS)
        return header->start_us == TIME_NONE && header->end_us == TIME_NONE;
    if (reader->layout->spec->kind == WINDOW_GLOBAL)
        return header->start_us == 0 && header->end_us == TIME_MAX;
    if (header->kind == PANE_SESSIONS || reader->layout->span_offset)
        return header->kind == PANE_SESSIONS && reader->layout->span_offset && header->start_us == 0 &&
               header->end_us == 0;
    return wire_time_is_sane(header->start_us) && wire_time_is_sane(header->end_us) &&
           header->end_us - header->start_us == grid->pane_us &&
           grid_pane_start(grid, header->start_us) == header->start_us;
}

/* Every part of a row takes a byte at least. */
static uint32_t row_size_min(const struct pane_reader *reader)
{
    const struct window_spec *spec = reader->layout->spec;
    uint32_t size = 2 + spec->shape->key_count;
    for (uint32_t a = 0; a < spec->aggregate_count && reader->header.kind != PANE_DROPPED; a++)
        size += reader->layout->sharers[a] && spec->aggregates[a].kind->save;
    return size;
}

static bool counts_are_valid(const struct pane_reader *reader)
{
    const struct message_counts *counts = &reader->header.counts;
    uint64_t row_size = row_size_min(reader), rows_size = counts->rows * row_size;
    if (reader->header.kind == PANE_MARKS && (counts->rows || counts->origins))
        return false;
    /* Only a message with a single row may be longer than the limit. */
    return rows_size <= reader->in.size && rows_size <= PANE_MESSAGE_SIZE_MAX + row_size &&
           counts->overflow_row <= counts->rows && counts->marks <= WINDOW_MARKS_MAX &&
           counts->marks <= reader->in.size && counts->origins <= reader->layout->spec->partition_count &&
           counts->origins <= reader->in.size;
}

/* --- decoding: what is in it -------------------------------------------------------------------------------------------- */

static bool read_marks(struct pane_reader *reader, struct pane *pane)
{
    int64_t mark_us = 0;
    for (uint32_t i = 0; i < reader->header.counts.marks; i++) {
        uint64_t distance_us = 0;
        if (i == 0 ? !wire_get_signed(&reader->in, &mark_us)
                   : !wire_get_varint(&reader->in, &distance_us) || distance_us > INT64_MAX / 2)
            return invalid(reader, "a mark is none", i);
        if (!wire_time_is_sane(mark_us) || !wire_time_is_sane(mark_us + (int64_t)distance_us))
            return invalid(reader, "a mark is out of range", i);
        mark_us += (int64_t)distance_us;
        pane_note_mark(pane, mark_us);
    }
    return true;
}

static bool tag_time_is_valid(const struct window_grid *grid, int64_t time_us)
{
    return time_us == TIME_NONE || (wire_time_is_sane(time_us) && grid_last_end(grid, time_us) == time_us);
}

static bool read_tag(struct pane_reader *reader, struct pane *pane)
{
    const struct window_grid *grid = &reader->layout->grid;
    uint64_t reached_us, gone_us;
    if (!has_tag(reader->layout, pane->kind))
        return true;
    if (!wire_get_fixed64(&reader->in, &reached_us) || !wire_get_fixed64(&reader->in, &gone_us) ||
        !tag_time_is_valid(grid, (int64_t)reached_us) || !tag_time_is_valid(grid, (int64_t)gone_us))
        return invalid(reader, "what its rows are late for is no window end", 0);
    pane->reached_us = (int64_t)reached_us;
    pane->gone_us = (int64_t)gone_us;
    return true;
}

static bool read_origins(struct pane_reader *reader, struct pane *pane)
{
    for (uint32_t i = 0; i < reader->header.counts.origins; i++) {
        struct pane_origin origin;
        if (!wire_get_varint32(&reader->in, &origin.partition) ||
            !wire_get_signed(&reader->in, &origin.offset) ||
            !wire_get_signed(&reader->in, &origin.watermark_us))
            return invalid(reader, "an origin is none", i);
        if (!wire_map_partition(&reader->codec->partitions, pane, &origin.partition))
            return invalid(reader, "an origin is of a partition that this process does not know", i);
        pane_note_origin(pane, &origin);
    }
    return true;
}

/* TIME_NONE and TIME_MAX have a meaning there. */
static bool is_bound(int64_t time_us)
{
    return time_us == TIME_NONE || time_us == TIME_MAX || wire_time_is_sane(time_us);
}

static bool read_span(struct pane_reader *reader, struct aggregate_load *load, struct session_span *span)
{
    uint8_t is_replay;
    uint64_t size_us;
    if (!wire_get_byte(&load->in, &span->layer) || span->layer > SESSION_HOLD ||
        !wire_get_byte(&load->in, &is_replay) || is_replay > 1 ||
        !wire_get_signed(&load->in, &span->start_us) || !wire_get_varint(&load->in, &size_us) ||
        !wire_get_signed(&load->in, &span->link_us) || !wire_get_signed(&load->in, &span->link_end_us) ||
        !wire_get_signed(&load->in, &span->hold_us) || !wire_get_varint32(&load->in, &span->partition) ||
        !wire_get_signed(&load->in, &span->first_offset) ||
        !wire_get_signed(&load->in, &span->first_watermark_us))
        return false;
    if (!wire_time_is_sane(span->start_us) || size_us > INT64_MAX / 4 || !is_bound(span->link_us) ||
        !is_bound(span->link_end_us) || !is_bound(span->hold_us) ||
        !wire_map_partition(&reader->codec->partitions, load->pane, &span->partition))
        return false;
    span->is_replay = is_replay;
    span->is_used = 1;
    span->end_us = span->start_us + (int64_t)size_us;
    span->cell_end_us = session_cell_end(load->pane->layout->spec, span->start_us);
    return true;
}

static bool read_key(struct aggregate_load *load, struct key_cell *cell)
{
    union value value = {.i = 0};
    const char *text = NULL;
    if (!wire_get_value(&load->in, &cell->kind, &value, &text))
        return false;
    if (wire_is_text(cell->kind))
        return pane_set_key_text(load->pane, cell, text, value.s.size);
    if (cell->kind == VALUE_DOUBLE && pane_key_canonical(VALUE_DOUBLE, &value) != VALUE_DOUBLE)
        return false;
    cell->i = value.i;
    return true;
}

static bool read_states(struct aggregate_load *load, char *row)
{
    const struct pane_layout *layout = load->pane->layout;
    for (uint32_t a = 0; a < layout->spec->aggregate_count; a++) {
        const struct aggregate_kind *kind = layout->spec->aggregates[a].kind;
        if (layout->sharers[a] && kind->load && !kind->load(row + layout->state_offsets[a], load))
            return false;
    }
    return true;
}

static bool read_row(struct pane_reader *reader, struct aggregate_load *load, uint32_t index)
{
    struct pane_row *row = pane_add_row(load->pane);
    uint64_t event_count;
    if (!wire_get_varint(&load->in, &event_count) || event_count > INT64_MAX ||
        !wire_get_varint32(&load->in, &row->type_errors))
        return invalid(reader, "the counts of a row are none", index);
    row->event_count = event_count & INT64_MAX;
    if (load->pane->layout->span_offset && !read_span(reader, load, session_span(load->pane, row)))
        return invalid(reader,
                       "the session of a row is none, or is of a partition that this process does not know",
                       index);
    for (uint32_t k = 0; k < load->pane->layout->spec->shape->key_count; k++) {
        if (!read_key(load, &row->keys[k]))
            return invalid(reader, "the key of a row is none", index);
    }
    if (load->pane->kind != PANE_DROPPED && !read_states(load, (char *)row))
        return invalid(reader,
                       "an aggregate of a row is none, or is from a partition that this process "
                       "does not know",
                       index);
    return true;
}

static bool read_rows(struct pane_reader *reader, struct pane *pane)
{
    struct aggregate_load load = {pane, &reader->codec->partitions, reader->in};
    for (uint32_t i = 0; i < reader->header.counts.rows; i++) {
        if (!read_row(reader, &load, i))
            return false;
    }
    if (load.in.size > 0)
        return invalid(reader, "bytes are left behind its rows", reader->header.counts.rows);
    pane->overflow_row = reader->header.counts.overflow_row;
    return pane_enter_rows(pane) ||
           invalid(reader, "a key comes twice, or the overflow row has another key", pane->overflow_row);
}

enum status pane_decode(struct pane_pool *pool, const struct pane_codec *codec, struct slice message,
                        struct pane **out, struct error *error)
{
    struct pane_reader reader = {.layout = pane_pool_layout(pool), .codec = codec, .error = error};
    *out = NULL;
    if (!open_message(&reader, message) || !read_header(&reader))
        return STATUS_INVALID;
    const struct pane_header *header = &reader.header;
    if (!window_is_valid(&reader) || !counts_are_valid(&reader)) {
        (void)invalid(&reader, "its window or its counts are none of this pipeline's", header->kind);
        return STATUS_INVALID;
    }
    struct pane *pane =
        pane_create(pool, (enum pane_kind)header->kind, header->start_us, header->counts.rows);
    pane->is_replay = header->is_replay;
    if (!read_marks(&reader, pane) || !read_tag(&reader, pane) || !read_origins(&reader, pane) ||
        !read_rows(&reader, pane)) {
        pane_destroy(pane);
        return STATUS_INVALID;
    }
    *out = pane;
    return STATUS_OK;
}
