/* A statement that stays open while its rows are taken, so all of them are of one moment. See dead_letter_scan.h. */
#include "store/dead_letter_scan.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/native.h"
#include "store/store_internal.h"

enum {
    SCAN_HEADERS_SIZE = 2 * METADATA_MAX_SIZE, /* of the JSON of one letter's headers: base64 and names */
    SCAN_HEADERS_DEPTH = 3,
};

struct dead_letter_scan {
    struct store_reader *reader;
    sqlite3_stmt *rows;
    struct native_json *json; /* made when the first letter with headers comes */
    struct buffer text;       /* JSON of its headers, with padding */
    struct arena arena;       /* their bytes */
    int64_t last_offset;
    bool has_last;
};

/* SQLite would say of a missing file only that it cannot open it. */
static enum status open_store(const char *data_dir, struct store_reader **out, struct error *error)
{
    struct buffer path = {0};
    buffer_format(&path, "%s/weir.db", data_dir);
    buffer_append_char(&path, '\0');
    bool exists = access(path.data, F_OK) == 0;
    buffer_deinit(&path);
    if (exists)
        return store_reader_open(data_dir, out, error);
    error_set(error, "there is no store in %s; weir has not run with this data_dir yet, or it is another one",
              data_dir);
    return STATUS_NOT_FOUND;
}

static void bind_reason(sqlite3_stmt *statement, int index, const char *reason)
{
    if (reason)
        store_bind_text(statement, index, slice_of(reason));
    else
        sqlite3_bind_null(statement, index);
}

enum status dead_letter_partitions(const char *data_dir, const char *source, const char *reason,
                                   uint32_t *partitions, uint32_t room, uint32_t *count, struct error *error)
{
    struct store_reader *reader = NULL;
    *count = 0;
    enum status status = open_store(data_dir, &reader, error);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *rows = store_prepare(&reader->connection, STORE_DEAD_LETTER_PARTITIONS);
    int code = SQLITE_ERROR;
    if (rows) {
        store_bind_text(rows, 1, slice_of(source));
        bind_reason(rows, 2, reason);
        while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
            if (*count < room)
                partitions[*count] = (uint32_t)sqlite3_column_int64(rows, 0);
            ++*count;
        }
    }
    if (code != SQLITE_DONE)
        status = store_fail(&reader->connection, "read", error);
    store_reader_close(reader);
    return status;
}

enum status dead_letter_scan_open(const char *data_dir, const char *source, uint32_t partition,
                                  const char *reason, struct dead_letter_scan **out, struct error *error)
{
    struct store_reader *reader = NULL;
    enum status status = open_store(data_dir, &reader, error);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *rows = store_prepare(&reader->connection, STORE_SCAN_DEAD_LETTERS);
    if (!rows) {
        status = store_fail(&reader->connection, "read", error);
        store_reader_close(reader);
        return status;
    }
    store_bind_text(rows, 1, slice_of(source));
    sqlite3_bind_int64(rows, 2, partition);
    bind_reason(rows, 3, reason);
    struct dead_letter_scan *scan = memory_allocate(sizeof *scan);
    *scan = (struct dead_letter_scan){.reader = reader, .rows = rows};
    arena_init(&scan->arena, ARENA_DEFAULT_BLOCK_SIZE);
    *out = scan;
    return STATUS_OK;
}

void dead_letter_scan_close(struct dead_letter_scan *scan)
{
    if (!scan)
        return;
    store_reader_close(scan->reader);
    if (scan->json)
        native_json_destroy(scan->json);
    buffer_deinit(&scan->text);
    arena_deinit(&scan->arena);
    free(scan);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* What buffer_base64() wrote, back as bytes. */
static struct slice read_base64(struct arena *arena, const char *text, size_t size)
{
    char *bytes = arena_allocate(arena, size / 4 * 3 + 3);
    size_t count = 0;
    uint32_t bits = 0, bit_count = 0;
    for (size_t i = 0; i < size && base64_value(text[i]) >= 0; i++) {
        bits = bits << 6 | (uint32_t)base64_value(text[i]);
        bit_count += 6;
        if (bit_count < 8)
            continue;
        bit_count -= 8;
        bytes[count++] = (char)(bits >> bit_count & 0xFF);
    }
    return (struct slice){bytes, count};
}

/* [{"name":"a","value_base64":"eA=="},...] as store_write.c writes it. */
static enum status read_headers(struct dead_letter_scan *scan, struct slice text,
                                struct stored_letter *letter, struct error *error)
{
    struct native_json_document document;
    if (!scan->json)
        scan->json = native_json_create(SCAN_HEADERS_SIZE);
    buffer_clear(&scan->text);
    buffer_append_slice(&scan->text, text);
    memset(buffer_reserve(&scan->text, NATIVE_JSON_PADDING), 0, NATIVE_JSON_PADDING);
    if (native_json_parse(scan->json, scan->text.data, scan->text.size, SCAN_HEADERS_DEPTH, &document) !=
        NATIVE_JSON_OK) {
        error_set(error, "the headers of the dead letter at offset %lld are damaged in %s",
                  (long long)letter->offset, scan->reader->path);
        return STATUS_IO;
    }
    struct record_header *headers =
        arena_allocate_zeroed(&scan->arena, (document.node_count / 2 + 1) * sizeof *headers);
    for (uint32_t i = 0; i + 1 < document.node_count; i++) {
        const struct native_json_node *key = &document.nodes[i], *value = key + 1;
        if (document.nodes[i].event == NATIVE_JSON_OBJECT_END)
            letter->header_count++;
        if (key->event != NATIVE_JSON_KEY || value->event != NATIVE_JSON_STRING)
            continue;
        struct record_header *header = &headers[letter->header_count];
        if (slice_equal_text((struct slice){key->value.text, key->size}, "name"))
            header->name = arena_copy(&scan->arena, (struct slice){value->value.text, value->size});
        else
            header->value = read_base64(&scan->arena, value->value.text, value->size);
    }
    letter->headers = headers;
    return STATUS_OK;
}

/* NULL and empty are not the same here. */
static struct slice column_or_none(sqlite3_stmt *row, int column)
{
    struct slice bytes = store_column_text(row, column);
    if (sqlite3_column_type(row, column) != SQLITE_NULL && !bytes.data)
        bytes.data = "";
    return bytes;
}

enum status dead_letter_scan_next(struct dead_letter_scan *scan, struct stored_letter *letter,
                                  struct error *error)
{
    int code;
    while ((code = sqlite3_step(scan->rows)) == SQLITE_ROW) {
        int64_t offset = sqlite3_column_int64(scan->rows, 0);
        if (scan->has_last && offset == scan->last_offset)
            continue;
        scan->has_last = true;
        scan->last_offset = offset;
        *letter = (struct stored_letter){.offset = offset,
                                         .time_us = sqlite3_column_int64(scan->rows, 1),
                                         .reason = store_column_text(scan->rows, 2),
                                         .raw = store_column_text(scan->rows, 3),
                                         .topic = column_or_none(scan->rows, 4),
                                         .key = column_or_none(scan->rows, 5)};
        arena_reset(&scan->arena);
        struct slice headers = store_column_text(scan->rows, 6);
        return headers.size ? read_headers(scan, headers, letter, error) : STATUS_OK;
    }
    return code == SQLITE_DONE ? STATUS_END : store_fail(&scan->reader->connection, "read", error);
}

/* --- as a source --------------------------------------------------------------------------------------------------- */

struct letter_reader {
    struct source_reader reader;
    struct dead_letter_scan *scan;
    uint32_t partition;
    bool has_time, is_over;
    bool has_next; /* a letter that the batch before had no place for */
    struct stored_letter next;
    struct arena topics;
    const char *topic; /* of the records of the batch; in the arena */
};

/* False at the end and on failure. */
static bool look_ahead(struct letter_reader *letters, enum status *status, struct error *error)
{
    *status = STATUS_OK;
    if (!letters->has_next && !letters->is_over) {
        *status = dead_letter_scan_next(letters->scan, &letters->next, error);
        letters->has_next = *status == STATUS_OK;
        letters->is_over = *status == STATUS_END;
    }
    return letters->has_next;
}

/* A batch has one topic. False: the letter is of another than those that are in the batch. */
static bool set_topic(struct letter_reader *letters, struct batch *batch)
{
    struct slice topic = letters->next.topic;
    bool is_same = topic.data ? letters->topic && slice_equal_text(topic, letters->topic) : !letters->topic;
    if (batch->record_count)
        return is_same;
    if (!is_same)
        letters->topic = topic.data ? arena_copy(&letters->topics, topic).data : NULL;
    if (letters->topic)
        batch_set_topic(batch, letters->topic, letters->partition);
    return true;
}

static void append_letter(struct letter_reader *letters, struct batch *batch)
{
    const struct stored_letter *letter = &letters->next;
    if (letter->key.data)
        batch_put_key(batch, letter->key);
    for (uint32_t i = 0; i < letter->header_count; i++)
        batch_put_header(batch, letter->headers[i]);
    batch_append(batch, letter->raw, letter->offset, letters->has_time ? letter->time_us : TIME_NONE);
    letters->has_next = false;
}

static enum status read_letters(struct source_reader *reader, uint32_t max_records, int64_t end_offset,
                                struct batch *batch, int64_t *next_us, struct error *error)
{
    struct letter_reader *letters = (struct letter_reader *)reader;
    enum status status = STATUS_OK;
    *next_us = INT64_MAX;
    while (batch->record_count < max_records && batch->text_size < BATCH_TEXT_SIZE &&
           look_ahead(letters, &status, error) && letters->next.offset < end_offset &&
           set_topic(letters, batch))
        append_letter(letters, batch);
    batch->arrival_us = clock_monotonic_us(&clock_system);
    batch->arrival_wall_us = clock_wall_us(&clock_system);
    if (status != STATUS_OK && status != STATUS_END)
        return status;
    return batch->record_count ? STATUS_OK : STATUS_END;
}

static int64_t unknown_end(struct source_reader *reader)
{
    (void)reader;
    return -1;
}

static void close_letters(struct source_reader *reader)
{
    struct letter_reader *letters = (struct letter_reader *)reader;
    dead_letter_scan_close(letters->scan);
    arena_deinit(&letters->topics);
    free(letters);
}

enum status dead_letter_reader_open(const char *data_dir, const char *source, uint32_t partition,
                                    const char *reason, bool has_time, struct source_reader **out,
                                    struct error *error)
{
    static const struct source_reader_operations operations = {
        .kind = "dead letters", .read = read_letters, .end_offset = unknown_end, .close = close_letters};
    struct dead_letter_scan *scan = NULL;
    enum status status = dead_letter_scan_open(data_dir, source, partition, reason, &scan, error);
    if (status != STATUS_OK)
        return status;
    struct letter_reader *letters = memory_allocate(sizeof *letters);
    *letters = (struct letter_reader){
        .reader = {&operations}, .scan = scan, .partition = partition, .has_time = has_time};
    arena_init(&letters->topics, 0);
    *out = &letters->reader;
    return STATUS_OK;
}
