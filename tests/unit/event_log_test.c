/* The event log: what is committed is there, in order and once. */
#include "event_log_testing.h"

#include <sqlite3.h>
#include <string.h>

static void committed_records_have_consecutive_offsets_and_survive_a_restart(void **state)
{
    (void)state;
    struct event_log *log = open_log();
    append(log, 0, "a");
    append(log, 1, "b");
    append(log, 0, "");
    commit(log, 5);
    append(log, 0, "c");
    commit(log, 6);
    assert_holds(log, 0, 0, "0=a 1= 2=c ");
    assert_holds(log, 1, 0, "0=b ");
    event_log_close(log);
    log = open_log();
    append(log, 0, "d");
    commit(log, 7);
    assert_holds(log, 0, 1, "1= 2=c 3=d ");
    event_log_close(log);
}

static void what_is_not_committed_is_not_seen(void **state)
{
    (void)state;
    struct event_log *log = open_log();
    struct source_reader *reader = open_reader(log, 0, 0);
    append(log, 0, "a");
    struct buffer got = {0};
    assert_int_equal(read_some(reader, 10, &got), STATUS_AGAIN);
    assert_int_equal(got.size, 0);
    event_log_discard(log);
    append(log, 0, "b");
    commit(log, 1);
    assert_int_equal(read_some(reader, 10, &got), STATUS_AGAIN);
    assert_memory_equal(got.data, "0=b ", 4);
    assert_int_equal(reader->operations->end_offset(reader), 1);
    buffer_deinit(&got);
    reader->operations->close(reader);
    event_log_close(log);
}

static void commit_wakes_the_reader(void **state)
{
    (void)state;
    struct event_log *log = open_log();
    struct waker waker;
    waker_open(&waker);
    struct source_reader *reader = event_log_reader_open(log, 0, 0, (struct source_position){0}, &waker);
    waker_prepare(&waker);
    append(log, 1, "other partition");
    commit(log, 1);
    assert_true(atomic_load(&waker.is_sleeping));
    append(log, 0, "a");
    commit(log, 1);
    assert_false(atomic_load(&waker.is_sleeping));
    waker_close(&waker);
    reader->operations->close(reader);
    event_log_close(log);
}

/* More than the tail and a row hold, so that a reader that is behind goes from database to tail and back. */
static void reader_that_is_behind_gets_everything_in_order(void **state)
{
    (void)state;
    struct event_log *log = open_log();
    struct source_reader *reader = open_reader(log, 0, 0);
    enum { RECORDS = 300, SIZE = 100 * 1000 };
    char *text = malloc(SIZE + 1);
    memset(text, 'x', SIZE);
    text[SIZE] = 0;
    for (int i = 0; i < RECORDS; i++) {
        append(log, 0, text);
        if (i % 7 == 0)
            commit(log, i);
    }
    commit(log, RECORDS);
    struct batch *batch = batch_create();
    struct error error;
    int64_t next_us, offset = 0;
    while (source_read(reader, 2, INT64_MAX, batch, &next_us, &error) == STATUS_OK) {
        for (uint32_t i = 0; i < batch->record_count; i++) {
            assert_int_equal(batch->records[i].offset, offset++);
            assert_int_equal(batch->records[i].text_size, SIZE);
        }
        batch_reset(batch);
    }
    assert_int_equal(offset, RECORDS);
    batch_destroy(batch);
    free(text);
    reader->operations->close(reader);
    event_log_close(log);
}

static void end_offset_cuts_a_batch(void **state)
{
    (void)state;
    struct event_log *log = open_log();
    for (int i = 0; i < 5; i++)
        append(log, 0, "x");
    commit(log, 1);
    struct source_reader *reader = open_reader(log, 0, 1);
    struct batch *batch = batch_create();
    struct error error;
    int64_t next_us;
    assert_int_equal(source_read(reader, 10, 3, batch, &next_us, &error), STATUS_OK);
    assert_int_equal(batch->record_count, 2);
    assert_int_equal(batch->records[0].time_us, 1);
    batch_destroy(batch);
    reader->operations->close(reader);
    event_log_close(log);
}

/* --- trimming and size -------------------------------------------------------------------------------------------- */

static void only_what_is_released_and_old_is_trimmed(void **state)
{
    (void)state;
    config.store.events_retention_us = 100;
    struct event_log *log = open_log();
    for (int64_t i = 0; i < 4; i++) {
        append(log, 0, "x");
        commit(log, 1000 + i * 100);
    }
    struct error error;
    bool more;
    assert_int_equal(event_log_trim(log, 5000, &more, &error), STATUS_OK);
    assert_holds(log, 0, 0, "0=x 1=x 2=x 3=x "); /* old, but not released */
    struct source_reader *reader = open_reader(log, 0, 3);
    reader->operations->release(reader, 3);
    reader->operations->close(reader);
    assert_int_equal(event_log_trim(log, 1250, &more, &error), STATUS_OK);
    assert_holds(log, 0, 0, "2=x 3=x ");
    config.store.events_retention_us = 0;
    assert_int_equal(event_log_trim(log, 5000, &more, &error), STATUS_OK);
    assert_holds(log, 0, 0, "2=x 3=x "); /* for ever */
    event_log_close(log);
    log = open_log();
    append(log, 0, "y");
    commit(log, 9);
    assert_holds(log, 0, 3, "3=x 4=y ");
    event_log_close(log);
}

static void full_log_takes_events_again_once_others_are_released(void **state)
{
    (void)state;
    config.store.max_log_size = 300 * 1000;
    struct event_log *log = open_log();
    char text[20001];
    memset(text, 'x', 20000);
    text[20000] = 0;
    struct error error = {{0}};
    enum status status = STATUS_OK;
    int64_t count = -1;
    while (status == STATUS_OK) {
        append(log, 0, text);
        status = event_log_commit(log, 1, 1, &error);
        count++;
    }
    assert_int_equal(status, STATUS_FULL);
    assert_in_range(count, 10, 15);
    assert_non_null(strstr(error.text, "max_log_size"));
    struct source_reader *reader = open_reader(log, 0, 0);
    reader->operations->release(reader, count);
    commit(log, 1); /* the same group */
    assert_int_equal(reader->operations->end_offset(reader), count + 1);
    reader->operations->close(reader);
    event_log_close(log);
}

/* --- partitions --------------------------------------------------------------------------------------------------- */

static void fewer_partitions_are_refused_while_they_hold_events(void **state)
{
    (void)state;
    struct event_log *log = open_log();
    append(log, 1, "a");
    commit(log, 1);
    event_log_close(log);
    sources[0].partitions = 1;
    struct error error = {{0}};
    assert_int_equal(event_log_open(&config, &log, &error), STATUS_INVALID);
    assert_non_null(strstr(error.text, "partitions: 2"));
    sources[0].partitions = 4;
    log = open_log();
    append(log, 3, "b");
    commit(log, 1);
    assert_holds(log, 1, 0, "0=a ");
    for (uint32_t i = 1; i < 4; i++) {
        struct source_reader *reader = open_reader(log, i, 1);
        reader->operations->release(reader, 1);
        reader->operations->close(reader);
    }
    event_log_close(log);
    sources[0].partitions = 1;
    event_log_close(open_log());
}

static void sources_do_not_mix_and_their_order_does_not_matter(void **state)
{
    (void)state;
    struct event_log *log = open_log();
    event_log_append(log, 0, 0, SLICE("first"));
    event_log_append(log, 1, 0, SLICE("second"));
    commit(log, 1);
    event_log_close(log);
    const char *name = sources[0].name;
    sources[0].name = sources[1].name;
    sources[1].name = name;
    log = open_log();
    assert_holds(log, 0, 0, "0=second ");
    event_log_close(log);
}

static void lost_log_goes_on_behind_the_stored_position(void **state)
{
    (void)state;
    struct event_log *log = open_log();
    event_log_skip_to(log, 0, 0, 10);
    append(log, 0, "a");
    commit(log, 1);
    assert_holds(log, 0, 4, "10=a ");
    event_log_close(log);
}

static void newer_format_is_refused(void **state)
{
    (void)state;
    event_log_close(open_log());
    sqlite3 *database;
    assert_int_equal(sqlite3_open(temporary_path(&folder, "data/log.db"), &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    struct event_log *log;
    struct error error = {{0}};
    assert_int_equal(event_log_open(&config, &log, &error), STATUS_INVALID);
    assert_non_null(strstr(error.text, "newer version"));
}

/* --- looking back ------------------------------------------------------------------------------------------------- */

struct scan {
    struct buffer text;
    uint32_t left;
};

static bool note(void *context, const struct event_log_entry *entry)
{
    struct scan *scan = context;
    buffer_format(&scan->text, "%u/%u/%lld=%.*s ", entry->source_index, entry->partition,
                  (long long)entry->offset, SLICE_ARG(entry->record));
    return --scan->left > 0;
}

static void assert_scans(struct event_log_scanner *scanner, uint32_t source, int64_t since, uint32_t limit,
                         const char *want)
{
    struct scan scan = {.left = limit};
    struct error error;
    assert_int_equal(event_log_scan(scanner, source, since, note, &scan, &error), STATUS_OK);
    buffer_append_char(&scan.text, 0);
    assert_string_equal(scan.text.data, want);
    buffer_deinit(&scan.text);
}

static void scan_gives_the_newest_first(void **state)
{
    (void)state;
    struct event_log *log = open_log();
    struct event_log_scanner *scanner;
    struct error error;
    assert_int_equal(event_log_scanner_open(&config, &scanner, &error), STATUS_OK);
    append(log, 0, "a");
    append(log, 0, "b");
    commit(log, 100);
    event_log_append(log, 1, 0, SLICE("c"));
    commit(log, 200);
    append(log, 1, "d");
    commit(log, 300);
    assert_scans(scanner, UINT32_MAX, INT64_MIN, 100, "0/1/0=d 1/0/0=c 0/0/1=b 0/0/0=a ");
    assert_scans(scanner, 0, INT64_MIN, 100, "0/1/0=d 0/0/1=b 0/0/0=a ");
    assert_scans(scanner, UINT32_MAX, 200, 100, "0/1/0=d 1/0/0=c ");
    assert_scans(scanner, 0, INT64_MIN, 2, "0/1/0=d 0/0/1=b ");
    event_log_scanner_close(scanner);
    event_log_close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(committed_records_have_consecutive_offsets_and_survive_a_restart),
        TEST(what_is_not_committed_is_not_seen),
        TEST(commit_wakes_the_reader),
        TEST(reader_that_is_behind_gets_everything_in_order),
        TEST(end_offset_cuts_a_batch),
        TEST(only_what_is_released_and_old_is_trimmed),
        TEST(full_log_takes_events_again_once_others_are_released),
        TEST(fewer_partitions_are_refused_while_they_hold_events),
        TEST(sources_do_not_mix_and_their_order_does_not_matter),
        TEST(lost_log_goes_on_behind_the_stored_position),
        TEST(newer_format_is_refused),
        TEST(scan_gives_the_newest_first),
    };
    return cmocka_run_group_tests_name("event_log", tests, NULL, NULL);
}
