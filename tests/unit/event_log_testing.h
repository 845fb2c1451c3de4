/* A log of two http sources, s and t, of two partitions each, in a folder of its own for each test. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/event_log.h"
#include "temporary_folder.h"

static struct temporary_folder folder;
static struct config_source sources[2];
static struct config config;

static inline struct event_log *open_log(void)
{
    struct event_log *log = NULL;
    struct error error = {{0}};
    if (event_log_open(&config, &log, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return log;
}

static inline void append(struct event_log *log, uint32_t partition, const char *text)
{
    event_log_append(log, 0, partition, slice_of(text));
}

static inline void commit(struct event_log *log, int64_t wall_us)
{
    struct error error = {{0}};
    if (event_log_commit(log, 1, wall_us, &error) != STATUS_OK)
        fail_msg("%s", error.text);
}

static inline struct source_reader *open_reader(struct event_log *log, uint32_t partition, int64_t offset)
{
    return event_log_reader_open(log, 0, partition, (struct source_position){offset}, NULL);
}

/* Appends what there is to `out` as offset=text, and gives the status that ended it. */
static inline enum status read_some(struct source_reader *reader, uint32_t max_records, struct buffer *out)
{
    struct batch *batch = batch_create();
    struct error error = {{0}};
    int64_t next_us = 0;
    enum status status;
    while ((status = source_read(reader, max_records, INT64_MAX, batch, &next_us, &error)) == STATUS_OK) {
        for (uint32_t i = 0; i < batch->record_count; i++) {
            buffer_format(out, "%lld=", (long long)batch->records[i].offset);
            buffer_append_slice(out, batch_record_text(batch, i));
            buffer_append_char(out, ' ');
        }
        batch_reset(batch);
    }
    batch_destroy(batch);
    return status;
}

static inline void assert_holds(struct event_log *log, uint32_t partition, int64_t from, const char *want)
{
    struct source_reader *reader = open_reader(log, partition, from);
    for (uint32_t max = 1; max <= 3; max += 2) {
        struct buffer got = {0};
        assert_int_equal(read_some(reader, max, &got), STATUS_AGAIN);
        buffer_append_char(&got, 0);
        assert_string_equal(got.data, want);
        buffer_deinit(&got);
        reader->operations->close(reader);
        reader =
            open_reader(log, partition, from); /* the second time from the database: the tail was used up */
    }
    reader->operations->close(reader);
}

static inline int set_up(void **state)
{
    (void)state;
    temporary_folder_open(&folder);
    static char data_dir[80];
    snprintf(data_dir, sizeof data_dir, "%s/data", folder.path);
    sources[0] = (struct config_source){.name = "s", .kind = SOURCE_HTTP, .partitions = 2};
    sources[1] = (struct config_source){.name = "t", .kind = SOURCE_HTTP, .partitions = 2};
    config = (struct config){.data_dir = data_dir, .sources = sources, .source_count = 2};
    config.store.max_log_size = UINT64_C(1) << 30;
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    temporary_folder_close(&folder);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
