/* A data_dir of one test, and result blocks made by hand: what the merger and the encoder would have made. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "store/store.h"

struct row_spec {
    int64_t window_us;
    const char *country;
    enum emit_kind emit;
    uint32_t revision;
    uint64_t events;
};

static inline struct result_block *block_make(const struct result_shape *shape, uint64_t first_sequence,
                                              const struct row_spec *rows, uint32_t count)
{
    struct result_block *block = memory_allocate(sizeof *block);
    block->shape = shape;
    block->row_count = count;
    block->first_sequence = first_sequence;
    block->window_starts_us = memory_allocate_array(count + 1, sizeof(int64_t));
    block->window_ends_us = memory_allocate_array(count + 1, sizeof(int64_t));
    block->emits = memory_allocate_array(count + 1, 1);
    block->revisions = memory_allocate_array(count + 1, sizeof(uint32_t));
    block->on_time = memory_allocate_array(count + 1, sizeof(uint64_t));
    block->late_accepted = memory_allocate_array(count + 1, sizeof(uint64_t));
    block->json_offsets = memory_allocate_array(count + 1, sizeof(uint32_t));
    block->key_json_offsets = memory_allocate_array(count + 1, sizeof(uint32_t));
    for (uint32_t i = 0; i < count; i++) {
        block->window_starts_us[i] = rows[i].window_us;
        block->window_ends_us[i] = rows[i].window_us + 10;
        block->emits[i] = (uint8_t)rows[i].emit;
        block->revisions[i] = rows[i].revision;
        block->late_accepted[i] = rows[i].revision;
        block->on_time[i] = rows[i].events - rows[i].revision;
        block->json_offsets[i] = (uint32_t)block->json.size;
        block->key_json_offsets[i] = (uint32_t)block->key_json.size;
        struct slice country = slice_of(rows[i].country);
        buffer_append_char(&block->key_json, '[');
        buffer_json_string(&block->key_json, country);
        buffer_append_char(&block->key_json, ']');
        buffer_format(&block->json,
                      "{\"id\":\"x\",\"pipeline\":\"%s\",\"key\":{\"country\":", shape->pipeline);
        buffer_json_string(&block->json, country);
        buffer_format(
            &block->json,
            ",\"n\":7,\"none\":null,\"o\\\"dd\":true},\"values\":{\"n\":%llu},\"window_start\":%lld,\"emit\":%d,\"revision\":%u}",
            (unsigned long long)rows[i].events, (long long)rows[i].window_us, rows[i].emit, rows[i].revision);
    }
    block->json_offsets[count] = (uint32_t)block->json.size;
    block->key_json_offsets[count] = (uint32_t)block->key_json.size;
    return block;
}

static inline void block_free(struct result_block *block)
{
    free(block->window_starts_us);
    free(block->window_ends_us);
    free(block->emits);
    free(block->revisions);
    free(block->on_time);
    free(block->late_accepted);
    free(block->json_offsets);
    free(block->key_json_offsets);
    buffer_deinit(&block->json);
    buffer_deinit(&block->key_json);
    free(block);
}

static inline void remove_tree(const char *path)
{
    static const char *const names[] = {"weir.db", "weir.db-wal", "weir.db-shm", "weir.lock"};
    char file[512];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        unlink(file);
    }
    rmdir(path);
}

static inline char *make_data_dir(void)
{
    char *path = memory_copy_text("/var/tmp/store_test_XXXXXX", 26);
    assert_non_null(mkdtemp(path));
    return path;
}

static inline struct store *open_store(const char *data_dir)
{
    struct error error = {{0}};
    struct store *store = NULL;
    if (store_open(data_dir, &store, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return store;
}

static inline struct store_reader *open_reader(const char *data_dir)
{
    struct error error = {{0}};
    struct store_reader *reader = NULL;
    if (store_reader_open(data_dir, &reader, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return reader;
}

/* One transaction with these rows; their sequences start at `first_sequence`. */
static inline enum status put_rows(struct store *store, const char *pipeline, uint64_t first_sequence,
                                   const struct row_spec *rows, uint32_t count, struct error *error)
{
    struct result_shape shape = {.pipeline = pipeline};
    struct result_block *block = block_make(&shape, first_sequence, rows, count);
    enum status status = store_begin(store, error);
    if (status == STATUS_OK)
        status = store_put_results(store, block, error);
    if (status == STATUS_OK)
        status = store_commit(store, error);
    if (status != STATUS_OK)
        store_rollback(store);
    block_free(block);
    return status;
}

/* What a visitor saw, as text: one "window/key" per row, and the JSON of the last. */
struct seen {
    struct buffer text;
    struct buffer last_json;
    uint32_t count;
    uint32_t stop_after; /* 0: never */
    uint64_t last_boot, last_sequence;
};

static inline bool see(void *context, const struct store_result *result)
{
    struct seen *seen = context;
    buffer_format(&seen->text, "%s%lld%.*s", seen->count ? " " : "", (long long)result->window_start_us,
                  SLICE_ARG(result->key_json));
    buffer_clear(&seen->last_json);
    buffer_append_slice(&seen->last_json, result->json);
    seen->last_boot = result->boot_id;
    seen->last_sequence = result->sequence;
    return ++seen->count != seen->stop_after;
}

static inline void forget(struct seen *seen)
{
    buffer_deinit(&seen->text);
    buffer_deinit(&seen->last_json);
    *seen = (struct seen){0};
}

static inline const char *seen_text(struct seen *seen)
{
    buffer_append_char(&seen->text, '\0');
    return seen->text.data;
}

/* A store that is open for writing and for reading, for one test. */
struct fixture {
    char *data_dir;
    struct store *store;
    struct store_reader *reader;
    struct seen seen;
    struct error error;
};

static inline int setup(void **state)
{
    struct fixture *fixture = memory_allocate(sizeof *fixture);
    fixture->data_dir = make_data_dir();
    fixture->store = open_store(fixture->data_dir);
    fixture->reader = open_reader(fixture->data_dir);
    *state = fixture;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *fixture = *state;
    forget(&fixture->seen);
    store_reader_close(fixture->reader);
    store_close(fixture->store);
    remove_tree(fixture->data_dir);
    free(fixture->data_dir);
    free(fixture);
    return 0;
}
