/* The store when things go wrong: the process is killed at the named points, the disk is full, an fsync fails, somebody else holds the
 * database. What was committed is there, what was not can be put again.
 *
 * Crash points read the environment once per process, so whatever passes them here runs in a child. */
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "store_fixture.h"

static const struct row_spec first_rows[] = {{10, "a", EMIT_FINAL, 0, 1}, {10, "b", EMIT_FINAL, 0, 1}};
static const struct row_spec second_rows[] = {{10, "a", EMIT_UPDATE, 1, 2}, {20, "c", EMIT_FINAL, 0, 1}};

/* Rows and the progress that covers them, as the engine commits them. */
static enum status put_with_progress(struct store *store, uint64_t epoch, const struct row_spec *rows,
                                     uint32_t count)
{
    static const struct result_shape shape = {.pipeline = "p"};
    struct error error;
    struct result_block *block = block_make(&shape, epoch * 100, rows, count);
    struct store_position position = {"s", 0, (int64_t)epoch, TIME_NONE, 0, TIME_NONE};
    struct store_progress progress = {.epoch = epoch, .positions = &position, .position_count = 1};
    enum status status = store_begin(store, &error);
    if (status == STATUS_OK)
        status = store_put_results(store, block, &error);
    if (status == STATUS_OK)
        status = store_put_progress(store, &progress, &error);
    if (status == STATUS_OK)
        status = store_commit(store, &error);
    if (status != STATUS_OK)
        store_rollback(store);
    block_free(block);
    return status;
}

static void write_twice(const char *data_dir)
{
    struct error error;
    struct store *store;
    bool is_done = store_open(data_dir, &store, &error) == STATUS_OK &&
                   put_with_progress(store, 1, first_rows, 2) == STATUS_OK &&
                   put_with_progress(store, 2, second_rows, 2) == STATUS_OK;
    _exit(is_done ? 0 : 1);
}

static int run_writer(const char *data_dir, const char *crash_at)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (crash_at)
            setenv("WEIR_CRASH_AT", crash_at, 1);
        write_twice(data_dir);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void check_state(const char *data_dir, uint64_t epoch, const char *rows)
{
    struct store *store = open_store(data_dir);
    struct store_reader *reader = open_reader(data_dir);
    struct arena arena;
    struct store_progress progress;
    struct error error;
    struct seen seen = {0};
    arena_init(&arena, 0);
    assert_int_equal(store_load_progress(store, &arena, &progress, &error), STATUS_OK);
    assert_int_equal(progress.epoch, epoch);
    assert_int_equal(progress.position_count, epoch ? 1 : 0);
    if (epoch)
        assert_int_equal(progress.positions[0].position, epoch);
    assert_int_equal(store_read_newest(reader, "p", 100, see, &seen, &error), STATUS_OK);
    assert_string_equal(seen_text(&seen), rows);
    forget(&seen);
    arena_deinit(&arena);
    store_reader_close(reader);
    store_close(store);
}

static void killed_at_a_crash_point_all_or_nothing_of_the_transaction_is_there(void **state)
{
    (void)state;
    static const struct {
        const char *crash_at;
        uint64_t epoch;
        const char *rows;
    } points[] = {
        {"store_after_rows", 0, ""},
        {"store_before_commit", 0, ""},
        {"store_after_commit", 1, "10[\"a\"] 10[\"b\"]"},
        {"store_after_rows:2", 1, "10[\"a\"] 10[\"b\"]"},
        {"store_before_commit:2", 1, "10[\"a\"] 10[\"b\"]"},
        {"store_after_commit:2", 2, "20[\"c\"] 10[\"a\"] 10[\"b\"]"},
    };
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        char *data_dir = make_data_dir();
        int status = run_writer(data_dir, points[i].crash_at);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            fail_msg("%s: the process ended with %d", points[i].crash_at, status);
        check_state(data_dir, points[i].epoch, points[i].rows);
        /* The same work again, as after a restart: nothing twice, nothing lost. */
        assert_int_equal(run_writer(data_dir, NULL), 0);
        check_state(data_dir, 2, "20[\"c\"] 10[\"a\"] 10[\"b\"]");
        remove_tree(data_dir);
        free(data_dir);
    }
}

static void locked_database_is_busy_and_usable_again(void **state)
{
    (void)state;
    char *data_dir = make_data_dir(), path[256];
    struct store *store = open_store(data_dir);
    struct error error;
    sqlite3 *other;
    snprintf(path, sizeof path, "%s/weir.db", data_dir);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(store_begin(store, &error), STATUS_BUSY);
    assert_non_null(strstr(error.text, "another process holds the database"));
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(put_rows(store, "p", 1, first_rows, 2, &error), STATUS_OK);
    store_close(store);
    remove_tree(data_dir);
    free(data_dir);
}

/* In a child: the limit on file sizes stands for the end of the disk. */
static void fill_disk(const char *data_dir)
{
    enum { COUNT = 2000, FILE_SIZE = 400 * 1024 };
    static char names[COUNT][64];
    static struct row_spec rows[COUNT];
    struct error error = {{0}};
    struct store *store;
    struct rlimit limit, small;
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "a country with a long name %u", i);
        rows[i] = (struct row_spec){10, names[i], EMIT_FINAL, 0, 1};
    }
    signal(SIGXFSZ, SIG_IGN);
    if (store_open(data_dir, &store, &error) != STATUS_OK || getrlimit(RLIMIT_FSIZE, &limit) != 0)
        _exit(1);
    if (put_rows(store, "p", 1, first_rows, 2, &error) != STATUS_OK)
        _exit(2);
    small = (struct rlimit){FILE_SIZE, limit.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    for (int attempt = 0; attempt < 3; attempt++)
        if (put_rows(store, "p", 10, rows, COUNT, &error) != STATUS_FULL ||
            !strstr(error.text, "the disk is full"))
            _exit(3);
    setrlimit(RLIMIT_FSIZE, &limit);
    if (put_rows(store, "p", 10, rows, COUNT, &error) != STATUS_OK)
        _exit(4);
    store_close(store);
    _exit(0);
}

static bool count_row(void *context, const struct store_result *result)
{
    (void)result;
    ++*(uint32_t *)context;
    return true;
}

static void full_disk_is_told_and_the_same_block_goes_in_later(void **state)
{
    (void)state;
    char *data_dir = make_data_dir();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        fill_disk(data_dir);
    int status = 0;
    uint32_t count = 0;
    struct error error;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct store_reader *reader = open_reader(data_dir);
    assert_int_equal(store_read_newest(reader, "p", 10000, count_row, &count, &error), STATUS_OK);
    assert_int_equal(count, 2002);
    store_reader_close(reader);
    remove_tree(data_dir);
    free(data_dir);
}

/* --- a disk whose fsync fails: SQLite's own file layer with one function of ours ------------------------------------ */

static sqlite3_vfs failing_vfs;
enum { METHODS_COUNT = 4 }; /* SQLite has one table per way of locking */
static const sqlite3_io_methods *real_methods[METHODS_COUNT];
static sqlite3_io_methods failing_methods[METHODS_COUNT];
static int (*real_sync)(sqlite3_file *, int);
static int syncs_to_fail, sync_count;

static int failing_sync(sqlite3_file *file, int flags)
{
    sync_count++;
    if (syncs_to_fail > 0) {
        syncs_to_fail--;
        return SQLITE_IOERR_FSYNC;
    }
    return real_sync(file, flags);
}

static int failing_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    sqlite3_vfs *real = vfs->pAppData;
    int code = real->xOpen(real, name, file, flags, out_flags);
    if (code != SQLITE_OK || !file->pMethods)
        return code;
    size_t i = 0;
    while (real_methods[i] && real_methods[i] != file->pMethods)
        i++;
    if (!real_methods[i]) {
        real_methods[i] = file->pMethods;
        failing_methods[i] = *file->pMethods;
        failing_methods[i].xSync = failing_sync;
        real_sync = file->pMethods->xSync;
    }
    file->pMethods = &failing_methods[i];
    return code;
}

static void failed_fsync_reopens_and_empties_the_log_before_anything_else(void **state)
{
    (void)state;
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    failing_vfs = *real;
    failing_vfs.zName = "failing";
    failing_vfs.pNext = NULL;
    failing_vfs.xOpen = failing_open;
    failing_vfs.pAppData = real;
    assert_int_equal(sqlite3_vfs_register(&failing_vfs, 1), SQLITE_OK);
    char *data_dir = make_data_dir();
    struct store *store = open_store(data_dir);
    struct error error;
    assert_int_equal(put_rows(store, "p", 1, first_rows, 2, &error), STATUS_OK);
    syncs_to_fail = 1000;
    assert_int_equal(put_rows(store, "p", 3, second_rows, 2, &error), STATUS_IO);
    for (int attempt = 0; attempt < 3; attempt++)
        assert_int_equal(store_begin(store, &error), STATUS_IO);
    syncs_to_fail = 0;
    int before = sync_count;
    assert_int_equal(put_rows(store, "p", 3, second_rows, 2, &error), STATUS_OK);
    assert_true(sync_count >= before + 2); /* the database, before the log goes, and the new commit */
    store_close(store);
    assert_int_equal(sqlite3_vfs_register(real, 1), SQLITE_OK);
    assert_int_equal(sqlite3_vfs_unregister(&failing_vfs), SQLITE_OK);
    check_state(data_dir, 0, "20[\"c\"] 10[\"a\"] 10[\"b\"]");
    remove_tree(data_dir);
    free(data_dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: the parent must not have passed a crash point. */
        cmocka_unit_test(killed_at_a_crash_point_all_or_nothing_of_the_transaction_is_there),
        cmocka_unit_test(full_disk_is_told_and_the_same_block_goes_in_later),
        cmocka_unit_test(locked_database_is_busy_and_usable_again),
        cmocka_unit_test(failed_fsync_reopens_and_empties_the_log_before_anything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
