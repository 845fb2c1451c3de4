/* The event log when the disk is full, a sync fails, another process writes, or the process is killed: nothing that was
 * acknowledged is lost, and nothing is there twice. */
#include "event_log_testing.h"

#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/random.h"

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
    sqlite3_io_methods methods[SHIM_METHODS];             /* of each kind of file, with our sync ... */
    const sqlite3_io_methods *real_methods[SHIM_METHODS]; /* ... and as they were */
    int failing_syncs;                                    /* so many of the next ones fail */
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

/* What the database holds when a COMMIT takes hold and its answer is an error all the same. */
static void finish_transaction_by_hand(int64_t offset)
{
    char *sql = sqlite3_mprintf("BEGIN IMMEDIATE;"
                                "INSERT INTO record VALUES (NULL, 1, 0, %lld, 1, 1, x'0100000062');"
                                "UPDATE partition SET next_offset = %lld WHERE source = 1 AND partition = 0;"
                                "UPDATE state SET commit_id = commit_id + 1;"
                                "COMMIT",
                                (long long)offset, (long long)offset + 1);
    sqlite3 *other;
    assert_int_equal(sqlite3_open(temporary_path(&folder, "data/log.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    sqlite3_free(sql);
}

static void commit_that_took_hold_in_spite_of_its_error_is_not_repeated(void **state)
{
    (void)state;
    install_shim();
    struct event_log *log = open_log();
    struct waker waker;
    waker_open(&waker);
    struct source_reader *reader = event_log_reader_open(log, 0, 0, (struct source_position){0}, &waker);
    append(log, 0, "a");
    commit(log, 1);
    for (int64_t is_discarded = 0; is_discarded < 2; is_discarded++) {
        struct error error = {{0}};
        append(log, 0, "b");
        shim.failing_syncs = 1;
        assert_int_equal(event_log_commit(log, 1, 1, &error), STATUS_IO);
        finish_transaction_by_hand(1 + is_discarded);
        if (is_discarded) {
            event_log_discard(log);
            append(log, 0, "c");
        }
        waker_prepare(&waker);
        commit(log, 1);
        assert_false(atomic_load(&waker.is_sleeping));
    }
    sqlite3_vfs_unregister(&shim.vfs);
    reader->operations->close(reader);
    waker_close(&waker);
    assert_holds(log, 0, 0, "0=a 1=b 2=b 3=c ");
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

/* The child commits one record after the other and tells of each that it may acknowledge, until it is killed: at the crash
 * point, or by us once it has told of `kill_after`. Returns how many it told of. */
static int64_t run_until_killed(const char *point, int64_t kill_after)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        if (point)
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
    while (read(ends[0], &byte, 1) == 1) {
        if (++acknowledged == kill_after)
            kill(child, SIGKILL);
    }
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return acknowledged;
}

/* How many records the log holds, all of them readable. */
static int64_t count_records(void)
{
    struct event_log *log = open_log();
    struct source_reader *reader = open_reader(log, 0, 0);
    struct buffer got = {0};
    assert_int_equal(read_some(reader, 10, &got), STATUS_AGAIN);
    int64_t count = reader->operations->end_offset(reader), found = 0;
    for (size_t i = 0; i < got.size; i++)
        found += got.data[i] == '=';
    assert_int_equal(found, count);
    buffer_deinit(&got);
    reader->operations->close(reader);
    event_log_close(log);
    return count;
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
        int64_t acknowledged = run_until_killed(cases[i].point, -1);
        assert_int_equal(acknowledged, 3);
        total += acknowledged + cases[i].unacknowledged;
        assert_int_equal(count_records(), total);
    }
}

static void kill_at_any_moment_loses_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    uint64_t seed = random_seed_from_system();
    print_message("seed %llu\n", (unsigned long long)seed);
    struct random random = random_seeded(seed);
    int64_t before = 0;
    for (int round = 0; round < 20; round++) {
        int64_t acknowledged = run_until_killed(NULL, 1 + (int64_t)random_below(&random, 300));
        int64_t count = count_records();
        assert_in_range(count, before + acknowledged, before + acknowledged + 1);
        before = count;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, because a process looks up WEIR_CRASH_AT once, at its first commit. */
        TEST(kill_at_each_crash_point_loses_nothing_that_was_acknowledged),
        TEST(kill_at_any_moment_loses_nothing_that_was_acknowledged),
        TEST(another_process_that_writes_is_busy),
        TEST(full_disk_fails_the_group_and_keeps_it),
        TEST(failed_sync_is_not_acknowledged_and_the_group_is_logged_once),
        TEST(commit_that_took_hold_in_spite_of_its_error_is_not_repeated),
        TEST(every_commit_is_synced),
    };
    return cmocka_run_group_tests_name("event_log_failure", tests, NULL, NULL);
}
