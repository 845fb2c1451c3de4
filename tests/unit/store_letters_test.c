/* What dead letters keep of a record beside its bytes, and a database whose tables were made before they did. */
#include <sqlite3.h>
#include <sys/stat.h>

#include "store_fixture.h"

/* Version 1 of the tables, as it was. */
static const char version_1[] =
    "CREATE TABLE pipelines(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE results("
    "  id INTEGER PRIMARY KEY, pipeline_id INTEGER NOT NULL, window_start INTEGER NOT NULL, key_json TEXT NOT NULL,"
    "  window_end INTEGER NOT NULL, closed INTEGER NOT NULL, revision INTEGER NOT NULL, event_count INTEGER NOT NULL,"
    "  json TEXT NOT NULL);"
    "CREATE UNIQUE INDEX results_by_window ON results(pipeline_id, window_start DESC, key_json);"
    "CREATE TABLE dead_letters("
    "  id INTEGER PRIMARY KEY, source TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,"
    "  pipeline TEXT NOT NULL, time INTEGER NOT NULL, reason TEXT NOT NULL, stored_at INTEGER NOT NULL,"
    "  detail TEXT NOT NULL, raw BLOB NOT NULL);"
    "CREATE UNIQUE INDEX dead_letters_by_place ON dead_letters(source, partition, offset, pipeline);"
    "CREATE INDEX dead_letters_by_time ON dead_letters(time);"
    "CREATE TABLE epoch(id INTEGER PRIMARY KEY CHECK(id = 1), epoch INTEGER NOT NULL);"
    "CREATE TABLE positions("
    "  source TEXT NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL, position_max_time INTEGER NOT NULL,"
    "  base INTEGER NOT NULL, base_watermark INTEGER NOT NULL, PRIMARY KEY(source, partition)) WITHOUT ROWID;"
    "CREATE TABLE pipeline_progress("
    "  pipeline TEXT NOT NULL PRIMARY KEY, definition_hash INTEGER NOT NULL, closed_through INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE boots(boot INTEGER PRIMARY KEY, base INTEGER NOT NULL UNIQUE);"
    "CREATE TABLE expired(id INTEGER PRIMARY KEY CHECK(id = 1), result_id INTEGER NOT NULL);"
    "INSERT INTO expired VALUES (1, 0);"
    "CREATE TABLE milestones(stored_at INTEGER PRIMARY KEY, result_id INTEGER NOT NULL);"
    "PRAGMA user_version=1; PRAGMA application_id=0x77656972;";

static void put_letter(struct fixture *fixture, int64_t offset, const char *topic, struct slice metadata)
{
    static const char *const sources[] = {"s"};
    struct dead_letter_block *block = dead_letter_block_create();
    dead_letter_block_add(block, &(struct dead_letter){.offset = offset,
                                                       .reason = "not_json",
                                                       .pipeline_index = UINT32_MAX,
                                                       .topic = topic,
                                                       .raw = SLICE("raw"),
                                                       .metadata = metadata});
    assert_int_equal(store_begin(fixture->store, &fixture->error), STATUS_OK);
    assert_int_equal(store_put_dead_letters(fixture->store, block, sources, NULL, 5, &fixture->error),
                     STATUS_OK);
    assert_int_equal(store_commit(fixture->store, &fixture->error), STATUS_OK);
    dead_letter_block_release(block);
}

/* The items of all letters, newest first. */
static void check_letters(struct fixture *fixture, const char *expected)
{
    struct buffer out = {0}, next = {0};
    if (store_read_dead_letters(fixture->reader, NULL, NULL, 100, (struct slice){0}, &out, &next,
                                &fixture->error))
        fail_msg("%s", fixture->error.text);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, expected);
    buffer_deinit(&out);
    buffer_deinit(&next);
}

#define ITEM(offset)                                       \
    "{\"source\":\"s\",\"partition\":0,\"offset\":" offset \
    ",\"time\":0,\"reason\":\"not_json\",\"detail\":\"\",\"raw_base64\":\"cmF3\""

static void record_without_key_headers_and_topic_has_no_members_for_them(void **state)
{
    struct fixture *fixture = *state;
    put_letter(fixture, 1, NULL, (struct slice){0});
    check_letters(fixture, ITEM("1") "}");
}

static void key_headers_and_topic_are_members_when_there_are_any(void **state)
{
    struct fixture *fixture = *state;
    struct batch *batch = batch_create();
    batch_put_key(batch, SLICE("k\0\xff"));
    batch_put_header(batch, (struct record_header){SLICE("a\""), SLICE("\xff\xfe")});
    batch_put_header(batch, (struct record_header){SLICE("n"), {0}});
    batch_put_header(batch, (struct record_header){SLICE("e"), SLICE("")});
    batch_append(batch, SLICE("raw"), 1, TIME_NONE);
    batch_put_key(batch, SLICE(""));
    batch_append(batch, SLICE("raw"), 2, TIME_NONE);
    batch_put_header(batch, (struct record_header){SLICE("h"), SLICE("v")});
    batch_append(batch, SLICE("raw"), 3, TIME_NONE);
    put_letter(fixture, 1, "orders", batch_record_metadata(batch, 0));
    put_letter(fixture, 2, NULL, batch_record_metadata(batch, 1));
    put_letter(fixture, 3, NULL, batch_record_metadata(batch, 2));
    put_letter(fixture, 4, "t", (struct slice){0});
    check_letters(
        fixture,
        ITEM("4") ",\"topic\":\"t\"}," ITEM("3") ",\"headers\":[{\"name\":\"h\",\"value_base64\":\"dg==\"}]}," ITEM(
            "2") ",\"key_base64\":\"\"}," ITEM("1") ",\"topic\":\"orders\",\"key_base64\":\"awD/\",\"headers\":["
                                                    "{\"name\":\"a\\\"\",\"value_base64\":\"//4=\"},{\"name\":\"n\",\"value_base64\":null},"
                                                    "{\"name\":\"e\",\"value_base64\":\"\"}]}");
    batch_destroy(batch);
}

static void make_version_1(struct fixture *fixture, const char *rows)
{
    store_reader_close(fixture->reader);
    store_close(fixture->store);
    remove_tree(fixture->data_dir);
    assert_int_equal(mkdir(fixture->data_dir, 0700), 0);
    struct buffer path = {0};
    sqlite3 *handle;
    buffer_format(&path, "%s/weir.db%c", fixture->data_dir, 0);
    assert_int_equal(sqlite3_open(path.data, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, version_1, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, rows, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(handle);
    buffer_deinit(&path);
    fixture->store = open_store(fixture->data_dir);
    fixture->reader = open_reader(fixture->data_dir);
}

static void database_of_version_1_keeps_its_letters_and_takes_new_ones(void **state)
{
    struct fixture *fixture = *state;
    make_version_1(
        fixture,
        "INSERT INTO dead_letters(source, partition, offset, pipeline, time, reason, stored_at, detail, "
        "raw) VALUES ('s', 0, 1, '', 0, 'not_json', 5, '', 'raw');");
    check_letters(fixture, ITEM("1") "}");
    put_letter(fixture, 2, "t", (struct slice){0});
    check_letters(fixture, ITEM("2") ",\"topic\":\"t\"}," ITEM("1") "}");
    put_letter(fixture, 1, "t", (struct slice){0});
    check_letters(fixture, ITEM("2") ",\"topic\":\"t\"}," ITEM("1") "}");
    /* Once is enough: the next opening finds nothing to do. */
    store_close(fixture->store);
    fixture->store = open_store(fixture->data_dir);
    check_letters(fixture, ITEM("2") ",\"topic\":\"t\"}," ITEM("1") "}");
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(record_without_key_headers_and_topic_has_no_members_for_them),
        STORE_TEST(key_headers_and_topic_are_members_when_there_are_any),
        STORE_TEST(database_of_version_1_keeps_its_letters_and_takes_new_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
