/* The event log: what is committed is there, in order and once, whatever fails or dies in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "source/event_log.h"
#include "temporary_folder.h"

static struct temporary_folder folder;
static struct config_source sources[2];
static struct config config;

static struct event_log *open_log(void)
{
    struct event_log *log = NULL;
    struct error error = {{0}};
    if (event_log_open(&config, &log, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return log;
}

static void append(struct event_log *log, uint32_t partition, const char *text)
{
    event_log_append(log, 0, partition, slice_of(text));
}

static void commit(struct event_log *log, int64_t wall_us)
{
    struct error error = {{0}};
    if (event_log_commit(log, 1, wall_us, &error) != STATUS_OK)
        fail_msg("%s", error.text);
}

static struct source_reader *open_reader(struct event_log *log, uint32_t partition, int64_t offset)
{
    return event_log_reader_open(log, 0, partition, (struct source_position){offset}, NULL);
}

/* Appends what there is to `out` as offset=text, and gives the status that ended it. */
static enum status read_some(struct source_reader *reader, uint32_t max_records, struct buffer *out)
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

static void assert_holds(struct event_log *log, uint32_t partition, int64_t from, const char *want)
{
    struct source_reader *reader = open_reader(log, partition, from);
    for (uint32_t max = 1; max <= 3; max += 2) {
        struct buffer got = {0};
        assert_int_equal(read_some(reader, max, &got), STATUS_AGAIN);
        buffer_append_char(&got, 0);
        assert_string_equal(got.data, want);
        buffer_deinit(&got);
        reader->operations->close(reader);
        reader = open_reader(log, partition, from); /* the second time from the database: the tail was used up */
    }
    reader->operations->close(reader);
}

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
    buffer_format(&scan->text, "%u/%u/%lld=%.*s ", entry->source_index, entry->partition, (long long)entry->offset,
                  SLICE_ARG(entry->record));
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

/* --- failures ----------------------------------------------------------------------------------------------------- */

static void another_process_that_writes_is_busy(void **state)
{
    (void)state;
    struct event_log *log = open_log();
    sqlite3 *other;
    assert_int_equal(sqlite3_open(temporary_path(&folder, "data/log.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    append(log, 0, "a");
    struct error error = {{0}};
    assert_int_equal(event_log_commit(log, 1, 1, &error), STATUS_BUSY);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    commit(log, 1);
    assert_holds(log, 0, 0, "0=a ");
    event_log_close(log);
}

static void full_disk_fails_the_group_and_keeps_it(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    struct event_log *log = open_log();
    append(log, 0, "a");
    commit(log, 1);
    struct rlimit before, small = {.rlim_cur = 64 * 1024};
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    char *text = calloc(1, 200001);
    memset(text, 'x', 200000);
    append(log, 0, text);
    struct error error = {{0}};
    for (int i = 0; i < 3; i++)
        assert_int_equal(event_log_commit(log, 1, 1, &error), STATUS_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    commit(log, 1);
    struct source_reader *reader = open_reader(log, 0, 0);
    assert_int_equal(reader->operations->end_offset(reader), 2);
    reader->operations->close(reader);
    free(text);
    event_log_close(log);
}

/* A file system whose sync can be made to fail, in front of the real one. */
enum { SHIM_METHODS = 4 };
static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    sqlite3_io_methods methods[SHIM_METHODS]; /* of each kind of file, with our sync ... */
    const sqlite3_io_methods *real_methods[SHIM_METHODS]; /* ... and as they were */
    int failing_syncs; /* so many of the next ones fail */
    int sync_count;
} shim;

static int shim_sync(sqlite3_file *file, int flags)
{
    shim.sync_count++;
    if (shim.failing_syncs > 0) {
        shim.failing_syncs--;
        return SQLITE_IOERR_FSYNC;
    }
    return shim.real_methods[file->pMethods - shim.methods]->xSync(file, flags);
}

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    (void)vfs;
    int code = shim.real->xOpen(shim.real, name, file, flags, out_flags);
    if (code != SQLITE_OK)
        return code;
    int i = 0;
    while (shim.real_methods[i] && shim.real_methods[i] != file->pMethods)
        assert_int_not_equal(++i, SHIM_METHODS);
    shim.real_methods[i] = file->pMethods;
    shim.methods[i] = *file->pMethods;
    shim.methods[i].xSync = shim_sync;
    file->pMethods = &shim.methods[i];
    return code;
}

static void install_shim(void)
{
    shim.real = sqlite3_vfs_find(NULL);
    shim.vfs = *shim.real;
    shim.vfs.pNext = NULL;
    shim.vfs.zName = "shim";
    shim.vfs.xOpen = shim_open;
    assert_int_equal(sqlite3_vfs_register(&shim.vfs, 1), SQLITE_OK);
}

static void failed_sync_is_not_acknowledged_and_the_group_is_logged_once(void **state)
{
    (void)state;
    install_shim();
    struct event_log *log = open_log();
    append(log, 0, "a");
    commit(log, 1);
    struct error error = {{0}};
    for (int i = 1; i <= 3; i++) {
        append(log, 0, "b");
        shim.failing_syncs = i;
        int failures = 0;
        while (event_log_commit(log, 1, 1, &error) != STATUS_OK) {
            failures++;
            assert_in_range(failures, 1, 20);
        }
        assert_true(failures > 0);
    }
    shim.failing_syncs = 0;
    append(log, 0, "lost");
    shim.failing_syncs = 1;
    assert_int_not_equal(event_log_commit(log, 1, 1, &error), STATUS_OK);
    event_log_discard(log);
    append(log, 0, "c");
    commit(log, 1);
    sqlite3_vfs_unregister(&shim.vfs);
    assert_holds(log, 0, 0, "0=a 1=b 2=b 3=b 4=c ");
    event_log_close(log);
}

static void every_commit_is_synced(void **state)
{
    (void)state;
    install_shim();
    struct event_log *log = open_log();
    for (int i = 0; i < 5; i++) {
        int before = shim.sync_count;
        append(log, 0, "a");
        commit(log, 1);
        assert_true(shim.sync_count > before);
    }
    event_log_close(log);
    sqlite3_vfs_unregister(&shim.vfs);
}

/* The child commits one record after the other and tells of each that it may acknowledge, until it is killed. */
static int64_t run_until_crash(const char *point)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("WEIR_CRASH_AT", point, 1);
        struct event_log *log = open_log();
        for (;;) {
            append(log, 0, "x");
            commit(log, 1);
            if (write(ends[1], "x", 1) != 1)
                _exit(1);
        }
    }
    close(ends[1]);
    int64_t acknowledged = 0;
    char byte;
    while (read(ends[0], &byte, 1) == 1)
        acknowledged++;
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return acknowledged;
}

static void kill_at_each_crash_point_loses_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    const struct {
        const char *point;
        int64_t unacknowledged;
    } cases[] = {{"log_before_commit:4", 0}, {"log_after_commit:4", 1}};
    int64_t total = 0;
    for (size_t i = 0; i < 2; i++) {
        int64_t acknowledged = run_until_crash(cases[i].point);
        assert_int_equal(acknowledged, 3);
        total += acknowledged + cases[i].unacknowledged;
        struct event_log *log = open_log();
        struct source_reader *reader = open_reader(log, 0, 0);
        struct buffer got = {0};
        assert_int_equal(read_some(reader, 10, &got), STATUS_AGAIN);
        assert_int_equal(reader->operations->end_offset(reader), total);
        assert_int_equal(got.size, total * 4); /* "0=x " */
        buffer_deinit(&got);
        reader->operations->close(reader);
        event_log_close(log);
    }
}

static int set_up(void **state)
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

static int tear_down(void **state)
{
    (void)state;
    temporary_folder_close(&folder);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, because a process looks up WEIR_CRASH_AT once, at its first commit. */
        TEST(kill_at_each_crash_point_loses_nothing_that_was_acknowledged),
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
        TEST(another_process_that_writes_is_busy),
        TEST(full_disk_fails_the_group_and_keeps_it),
        TEST(failed_sync_is_not_acknowledged_and_the_group_is_logged_once),
        TEST(every_commit_is_synced),
    };
    return cmocka_run_group_tests_name("event_log", tests, NULL, NULL);
}
