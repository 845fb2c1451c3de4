/* The stored dead letters as they are read back: in the order of offsets, once each, with all that came with them. */
#include "store/dead_letter_scan.h"
#include "store_fixture.h"

static void put(struct fixture *fixture, uint32_t source, uint32_t partition, int64_t offset,
                uint32_t pipeline, const char *reason, const char *topic, struct slice metadata)
{
    static const char *const sources[] = {"s", "t"}, *const pipelines[] = {"p", "q"};
    struct dead_letter_block *block = dead_letter_block_create();
    char raw[32];
    snprintf(raw, sizeof raw, "raw %lld", (long long)offset);
    dead_letter_block_add(block, &(struct dead_letter){.source_index = source,
                                                       .partition = partition,
                                                       .offset = offset,
                                                       .time_us = offset * 1000,
                                                       .reason = reason,
                                                       .pipeline_index = pipeline,
                                                       .topic = topic,
                                                       .raw = slice_of(raw),
                                                       .metadata = metadata});
    assert_int_equal(store_begin(fixture->store, &fixture->error), STATUS_OK);
    assert_int_equal(store_put_dead_letters(fixture->store, block, sources, pipelines, 5, &fixture->error),
                     STATUS_OK);
    assert_int_equal(store_commit(fixture->store, &fixture->error), STATUS_OK);
    dead_letter_block_release(block);
}

static void put_plain(struct fixture *fixture, uint32_t source, uint32_t partition, int64_t offset,
                      const char *reason)
{
    put(fixture, source, partition, offset, UINT32_MAX, reason, NULL, (struct slice){0});
}

/* "1 2 3": the offsets of what the scan gives. */
static void check_offsets(struct fixture *fixture, uint32_t partition, const char *reason,
                          const char *expected)
{
    struct dead_letter_scan *scan = NULL;
    struct stored_letter letter;
    struct buffer seen = {0};
    assert_int_equal(dead_letter_scan_open(fixture->data_dir, "s", partition, reason, &scan, &fixture->error),
                     STATUS_OK);
    enum status status;
    while ((status = dead_letter_scan_next(scan, &letter, &fixture->error)) == STATUS_OK)
        buffer_format(&seen, "%s%lld", seen.size ? " " : "", (long long)letter.offset);
    assert_int_equal(status, STATUS_END);
    buffer_append_char(&seen, '\0');
    assert_string_equal(seen.data, expected);
    buffer_deinit(&seen);
    dead_letter_scan_close(scan);
}

static void letters_come_in_the_order_of_offsets_by_source_partition_and_reason(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t offsets[] = {30, 7, 100, 9};
    for (size_t i = 0; i < 4; i++)
        put_plain(fixture, 0, 2, offsets[i], i % 2 ? "schema" : "not_json");
    put_plain(fixture, 0, 1, 8, "schema");
    put_plain(fixture, 1, 2, 8, "schema");
    check_offsets(fixture, 2, NULL, "7 9 30 100");
    check_offsets(fixture, 2, "schema", "7 9");
    check_offsets(fixture, 1, NULL, "8");
    check_offsets(fixture, 0, NULL, "");
}

static void letter_that_two_pipelines_judged_comes_once(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 0, 0, 5, 0, "too_late", NULL, (struct slice){0});
    put(fixture, 0, 0, 5, 1, "too_late", NULL, (struct slice){0});
    put(fixture, 0, 0, 6, 1, "too_late", NULL, (struct slice){0});
    check_offsets(fixture, 0, NULL, "5 6");
}

static void partitions_are_those_with_letters(void **state)
{
    struct fixture *fixture = *state;
    uint32_t partitions[2] = {77, 77}, count = 0;
    put_plain(fixture, 0, 9, 1, "schema");
    put_plain(fixture, 0, 4, 1, "not_json");
    put_plain(fixture, 0, 6, 1, "schema");
    put_plain(fixture, 1, 1, 1, "schema");
    assert_int_equal(
        dead_letter_partitions(fixture->data_dir, "s", NULL, partitions, 2, &count, &fixture->error),
        STATUS_OK);
    assert_int_equal(count, 3);
    assert_int_equal(partitions[0], 4);
    assert_int_equal(partitions[1], 6);
    assert_int_equal(
        dead_letter_partitions(fixture->data_dir, "s", "schema", partitions, 2, &count, &fixture->error),
        STATUS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(partitions[1], 9);
}

static void data_dir_without_a_store_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct dead_letter_scan *scan = NULL;
    uint32_t count = 0;
    assert_int_equal(dead_letter_partitions("/nonexistent", "s", NULL, NULL, 0, &count, &fixture->error),
                     STATUS_NOT_FOUND);
    assert_non_null(strstr(fixture->error.text, "/nonexistent"));
    assert_int_equal(dead_letter_scan_open("/nonexistent", "s", 0, NULL, &scan, &fixture->error),
                     STATUS_NOT_FOUND);
}

/* Key, headers, topic and time go through the store and come back the same bytes. */
static void record_is_delivered_with_all_that_came_with_it(void **state)
{
    struct fixture *fixture = *state;
    struct batch *batch = batch_create();
    batch_put_key(batch, SLICE("k\0\xff"));
    batch_put_header(batch, (struct record_header){SLICE("a\""), SLICE("\xff\xfe\xfd\xfc")});
    batch_put_header(batch, (struct record_header){SLICE("n"), {0}});
    batch_put_header(batch, (struct record_header){SLICE("e"), SLICE("")});
    batch_append(batch, SLICE("raw"), 1, TIME_NONE);
    put(fixture, 0, 3, 10, UINT32_MAX, "schema", "orders", batch_record_metadata(batch, 0));
    put(fixture, 0, 3, 11, UINT32_MAX, "schema", "orders", (struct slice){0});
    put(fixture, 0, 3, 12, UINT32_MAX, "schema", "other", (struct slice){0});
    struct source_reader *reader = NULL;
    assert_int_equal(dead_letter_reader_open(fixture->data_dir, "s", 3, NULL, true, &reader, &fixture->error),
                     STATUS_OK);
    struct batch *read = batch_create();
    int64_t next_us = 0;
    assert_int_equal(source_read(reader, 100, INT64_MAX, read, &next_us, &fixture->error), STATUS_OK);
    /* A batch has one topic. */
    assert_int_equal(read->record_count, 2);
    assert_string_equal(read->topic, "orders");
    assert_int_equal(read->records[0].offset, 10);
    assert_int_equal(read->records[0].time_us, 10000);
    assert_true(slice_equal_text(batch_record_text(read, 0), "raw 10"));
    assert_true(slice_equal(batch_record_metadata(read, 0), batch_record_metadata(batch, 0)));
    assert_int_equal(batch_record_metadata(read, 1).size, 0);
    batch_reset(read);
    assert_int_equal(source_read(reader, 100, INT64_MAX, read, &next_us, &fixture->error), STATUS_OK);
    assert_int_equal(read->record_count, 1);
    assert_string_equal(read->topic, "other");
    batch_reset(read);
    assert_int_equal(source_read(reader, 100, INT64_MAX, read, &next_us, &fixture->error), STATUS_END);
    reader->operations->close(reader);
    batch_destroy(read);
    batch_destroy(batch);
}

static void records_have_no_time_when_their_source_gives_none(void **state)
{
    struct fixture *fixture = *state;
    put_plain(fixture, 0, 0, 1, "schema");
    struct source_reader *reader = NULL;
    struct batch *batch = batch_create();
    int64_t next_us = 0;
    assert_int_equal(
        dead_letter_reader_open(fixture->data_dir, "s", 0, NULL, false, &reader, &fixture->error), STATUS_OK);
    assert_int_equal(source_read(reader, 1, INT64_MAX, batch, &next_us, &fixture->error), STATUS_OK);
    assert_true(batch->records[0].time_us == TIME_NONE);
    reader->operations->close(reader);
    batch_destroy(batch);
}

#define SCAN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCAN_TEST(letters_come_in_the_order_of_offsets_by_source_partition_and_reason),
        SCAN_TEST(letter_that_two_pipelines_judged_comes_once),
        SCAN_TEST(partitions_are_those_with_letters),
        SCAN_TEST(data_dir_without_a_store_is_named),
        SCAN_TEST(record_is_delivered_with_all_that_came_with_it),
        SCAN_TEST(records_have_no_time_when_their_source_gives_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
