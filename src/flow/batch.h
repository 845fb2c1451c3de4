/* The one currency between source and window: records of ONE source partition in log order, and, once decoded, typed
 * columns over the good ones.
 *
 *   bytes:  [ raw text of the records ............ | 64 bytes of padding | side area: unescaped strings ... ]
 *            0                                 text_size               side_start                    capacity
 *
 * A record that has key or headers has them directly before its text (record_metadata.h), unless the source keeps them until somebody asks:
 *
 *   ... [ metadata of record i | text of record i ] [ text of record i + 1, which has none ] ...
 *                              text_offset
 *
 * A source fills text and records; the decoder fills everything from `row_count` on. A batch has one owner at a time;
 * buffers are kept over batch_reset(), so a pool of batches allocates nothing after warm-up. */
#pragma once

#include "base/arena.h"
#include "base/slice.h"
#include "flow/record_metadata.h"
#include "flow/value.h"

enum {
    BATCH_DEFAULT_ROWS = 1024, /* records per batch unless engine.batch_size says otherwise */
    BATCH_MAX_ROWS = 8192,
    BATCH_TEXT_SIZE = 256 * 1024,       /* a source stops adding records here: fits L2 */
    EVENT_MAX_SIZE = 1024 * 1024,       /* a larger event is bad: too_big */
    RECORD_MAX_SIZE = 16 * 1024 * 1024, /* bytes of a record that are kept (dead letters); the rest is cut */
    EVENT_MAX_DEPTH = 64,
    BATCH_PADDING_SIZE = 64, /* readable bytes behind the text, for wide loads */
};

#define TIME_NONE INT64_MIN /* no time; also the watermark of a partition that has seen nothing */
#define TIME_MAX  INT64_MAX /* the watermark of a partition that has ended */

/* One record as the source delivered it. */
struct record {
    uint32_t text_offset;
    uint32_t text_size;
    uint32_t
        cut_size; /* bytes beyond RECORD_MAX_SIZE or METADATA_MAX_SIZE that were not kept; 0 nearly always */
    uint32_t metadata_size; /* key and headers, directly before the text; 0 = neither */
    int64_t offset;         /* in its partition's log; grows, gaps allowed */
    int64_t time_us;        /* the record's own time (Kafka timestamp, http arrival); TIME_NONE for files */
};

/* Why an event is bad. The names (bad_reason_name) are part of the API: bad_by_reason, dead letters, metrics. */
enum bad_reason {
    BAD_NOT_JSON,   /* not_json: no JSON text, text behind the value, bad UTF-8, lone surrogate, NUL, BOM */
    BAD_NOT_OBJECT, /* not_object: valid JSON but no object */
    BAD_DUPLICATE_KEY, /* duplicate_key */
    BAD_TOO_BIG,       /* too_big */
    BAD_TOO_DEEP,      /* too_deep */
    BAD_NO_TIME,       /* no_time: the time path is missing or null */
    BAD_ABSURD_TIME,   /* absurd_time: not a time, or outside years 1 to 9999 */
    BAD_FUTURE_TIME,   /* future_time: beyond max_future_skew of the record's own time */
    BAD_SCHEMA,        /* schema: violates the declared schema */
    BAD_REASON_COUNT
};
const char *bad_reason_name(enum bad_reason reason);

struct bad_record {
    uint32_t record_index;
    enum bad_reason reason;
    const char *detail; /* static or in the batch's arena; may be NULL */
};

/* A source that keeps the key and headers of its records. `read` copies those of a record into `arena` as record_metadata.h has them;
 * valid until the source is read again. */
struct batch_metadata {
    struct slice (*read)(const void *source, uint32_t record_index, struct arena *arena);
    const void *source;
};

struct batch {
    uint32_t source_index;
    uint32_t partition;
    bool is_replay;           /* its effects are already durable: rebuild state, show nothing */
    const char *topic;        /* of all records, interned: outlives the batch; NULL: the source has none */
    uint32_t topic_partition; /* within the topic, which need not be `partition`; set by batch_set_topic() */
    int64_t arrival_us;       /* monotonic clock when the source had the newest record; one per batch */
    int64_t arrival_wall_us;  /* the same moment on the wall clock */

    char *bytes;
    size_t capacity;
    size_t text_size;
    size_t side_start; /* set by the decoder: text_size + padding, rounded */
    size_t side_size;
    uint32_t open_metadata_size;    /* put for the record that batch_append() adds next */
    uint32_t open_cut_size;         /* of that, bytes that found no room */
    struct batch_metadata metadata; /* `read` NULL: key and headers are with the texts */

    struct record *records;
    uint32_t record_count;
    uint32_t record_capacity;

    /* From here on: by the decoder. Rows are the good records, in order. */
    uint32_t row_count;
    uint32_t *row_records;   /* [row_count] index into records */
    int64_t *event_times_us; /* [row_count] */
    int64_t *offsets;        /* [row_count] copied from the records */
    struct column *columns;  /* [column_count] by schema order */
    uint32_t column_count;
    uint32_t column_capacity;
    uint32_t row_capacity;
    struct bad_record *bad; /* [bad_count] in record order */
    uint32_t bad_count;
    uint32_t slow_count; /* documents that took the slow path: a statistic */

    struct arena arena; /* scratch with the batch's lifetime: expression results, messages */
};

struct batch *batch_create(void);
void batch_destroy(struct batch *batch);
/* Empty again; keeps buffers (but gives back text beyond a few BATCH_TEXT_SIZE that one huge record needed). */
void batch_reset(struct batch *batch);

/* Room for `size` more bytes of text plus padding, for a source that reads straight into the batch. Only before
 * decoding. Returns where they go; the source then moves text_size. Moving the buffer is fine: references are offsets. */
char *batch_reserve_text(struct batch *batch, size_t size) __attribute__((returns_nonnull));
void batch_grow_records(struct batch *batch);
/* Adds a record, whose text was already put at [text_offset, +text_size), and returns it for the caller to fill, whole: a copy
 * of a record that was just written would wait for its parts. */
static inline struct record *batch_add_record(struct batch *batch)
{
    if (__builtin_expect(batch->record_count == batch->record_capacity, 0))
        batch_grow_records(batch);
    return &batch->records[batch->record_count++];
}
/* What the next batch_append() adds comes with this key and these headers: at most one key, then headers in their order. Bytes are
 * copied and may be any; `data` NULL is no key, or a null value. What goes beyond METADATA_MAX_SIZE in all is left out and counts as cut. */
void batch_put_key(struct batch *batch, struct slice key);
void batch_put_header(struct batch *batch, struct record_header header);
/* Copies the text and adds the record. Cuts at RECORD_MAX_SIZE. */
void batch_append(struct batch *batch, struct slice text, int64_t offset, int64_t time_us);

/* Decoder: room for `rows` rows of `columns` columns; sets side_start. */
void batch_prepare_columns(struct batch *batch, uint32_t columns);
/* Decoded batch: row i becomes what row `order[i]` was, for all `row_count` rows; `order` is a permutation. */
void batch_arrange_rows(struct batch *batch, const uint32_t *order);
/* Decoded batch: shows `count` rows from `first` on, reckoned from the present first row, as if they were all its rows. A
 * negative `first` goes back; before batch_reset() and batch_destroy() the sum of all must be 0. `kind_mask` may then name
 * kinds that no shown row has, which is allowed: it only chooses loops. */
void batch_show_rows(struct batch *batch, int64_t first, uint32_t count);
/* Decoder: room for `size` bytes in the side area; returns their offset for a text_reference. May move batch->bytes. */
uint32_t batch_reserve_side(struct batch *batch, size_t size);

/* The topic and its partition that all records of the batch are from. */
static inline void batch_set_topic(struct batch *batch, const char *topic, uint32_t partition)
{
    batch->topic = topic;
    batch->topic_partition = partition;
}

static inline struct slice batch_text(const struct batch *batch, struct text_reference reference)
{
    return (struct slice){batch->bytes + reference.offset, reference.size};
}

static inline struct slice batch_record_text(const struct batch *batch, uint32_t record_index)
{
    const struct record *record = &batch->records[record_index];
    return (struct slice){batch->bytes + record->text_offset, record->text_size};
}

/* Key and headers, to be read by record_metadata.h; empty when it has neither. Moves with batch->bytes, or is in the batch's arena. */
static inline struct slice batch_record_metadata(struct batch *batch, uint32_t record_index)
{
    if (batch->metadata.read)
        return batch->metadata.read(batch->metadata.source, record_index, &batch->arena);
    const struct record *record = &batch->records[record_index];
    if (!record->metadata_size)
        return (struct slice){0};
    return (struct slice){batch->bytes + record->text_offset - record->metadata_size, record->metadata_size};
}
