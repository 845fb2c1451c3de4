/* Key and headers in a batch: what a source puts is what readers get, whatever the bytes, also when the batch moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "flow/batch.h"
#include "flow/dead_letter.h"

static struct record_header header(struct slice name, struct slice value)
{
    return (struct record_header){name, value};
}

/* Equal bytes, and both null or neither. */
static bool same(struct slice a, struct slice b)
{
    return !a.data == !b.data && slice_equal(a, b);
}

static void record_has_exactly_what_was_put_for_it(void **state)
{
    (void)state;
    struct batch *batch = batch_create();
    batch_append(batch, SLICE("{}"), 0, TIME_NONE);
    batch_put_key(batch, SLICE("k\0\xff"));
    batch_put_header(batch, header(SLICE("a"), SLICE("1")));
    batch_put_header(batch, header(SLICE(""), SLICE("")));
    batch_put_header(batch, header(SLICE("a"), (struct slice){0}));
    batch_append(batch, SLICE("{\"x\":1}"), 1, TIME_NONE);
    batch_append(batch, SLICE("{}"), 2, TIME_NONE);
    batch_put_header(batch, header(SLICE("b"), SLICE("2")));
    batch_append(batch, SLICE(""), 3, TIME_NONE);

    assert_int_equal(batch_record_metadata(batch, 0).size, 0);
    assert_int_equal(batch_record_metadata(batch, 2).size, 0);
    assert_true(slice_equal_text(batch_record_text(batch, 1), "{\"x\":1}"));
    assert_true(slice_equal_text(batch_record_text(batch, 2), "{}"));
    assert_int_equal(batch_record_text(batch, 3).size, 0);

    struct slice metadata = batch_record_metadata(batch, 1);
    assert_true(same(metadata_key(metadata), SLICE("k\0\xff")));
    struct slice rest = metadata_headers(metadata);
    struct record_header got;
    assert_true(metadata_next_header(&rest, &got) && same(got.name, SLICE("a")) &&
                same(got.value, SLICE("1")));
    assert_true(metadata_next_header(&rest, &got) && same(got.name, SLICE("")) && same(got.value, SLICE("")));
    assert_true(metadata_next_header(&rest, &got) && same(got.name, SLICE("a")) && !got.value.data);
    assert_false(metadata_next_header(&rest, &got));

    metadata = batch_record_metadata(batch, 3);
    assert_null(metadata_key(metadata).data);
    assert_true(same(metadata_header(metadata, SLICE("b")), SLICE("2")));
    batch_destroy(batch);
}

static void empty_key_is_not_no_key(void **state)
{
    (void)state;
    struct batch *batch = batch_create();
    batch_put_key(batch, (struct slice){0});
    batch_append(batch, SLICE("{}"), 0, TIME_NONE);
    batch_put_key(batch, SLICE(""));
    batch_append(batch, SLICE("{}"), 1, TIME_NONE);
    assert_null(metadata_key(batch_record_metadata(batch, 0)).data);
    struct slice key = metadata_key(batch_record_metadata(batch, 1));
    assert_non_null(key.data);
    assert_int_equal(key.size, 0);
    batch_destroy(batch);
}

static void last_header_of_a_name_counts(void **state)
{
    (void)state;
    struct batch *batch = batch_create();
    batch_put_header(batch, header(SLICE("a"), SLICE("1")));
    batch_put_header(batch, header(SLICE("b"), SLICE("2")));
    batch_put_header(batch, header(SLICE("a"), SLICE("3")));
    batch_put_header(batch, header(SLICE("b"), (struct slice){0}));
    batch_put_header(batch, header(SLICE("aa"), SLICE("4")));
    batch_append(batch, SLICE("{}"), 0, TIME_NONE);
    struct slice metadata = batch_record_metadata(batch, 0);
    assert_true(same(metadata_header(metadata, SLICE("a")), SLICE("3")));
    assert_null(metadata_header(metadata, SLICE("b")).data);
    assert_null(metadata_header(metadata, SLICE("c")).data);
    batch_destroy(batch);
}

/* Deterministic parts of record `i`. */
static struct slice part(char *to, uint32_t i, uint32_t which)
{
    struct random random = random_seeded(i * 7 + which + 1);
    size_t size = random_below(&random, 40);
    for (size_t at = 0; at < size; at++)
        to[at] = (char)random_below(&random, 256);
    return (struct slice){size || i % 3 ? to : NULL, size};
}

static void parts_stay_where_they_are_while_the_batch_grows(void **state)
{
    (void)state;
    enum { RECORDS = 5000 };
    struct batch *batch = batch_create();
    char bytes[4][64];
    for (uint32_t i = 0; i < RECORDS; i++) {
        batch_put_key(batch, part(bytes[0], i, 0));
        for (uint32_t h = 0; h < i % 4; h++)
            batch_put_header(batch, header(part(bytes[1], i, 1), part(bytes[2], i, 2)));
        batch_append(batch, part(bytes[3], i, 3), i, TIME_NONE);
    }
    batch_prepare_columns(batch, 1);
    uint32_t side = batch_reserve_side(batch, 100000);
    memset(batch->bytes + side, 'x', 100000);
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct slice metadata = batch_record_metadata(batch, i), rest = metadata_headers(metadata);
        assert_true(same(metadata_key(metadata), part(bytes[0], i, 0)));
        struct record_header got;
        uint32_t count = 0;
        while (metadata_next_header(&rest, &got)) {
            assert_true(slice_equal(got.name, part(bytes[1], i, 1)));
            assert_true(same(got.value, part(bytes[2], i, 2)));
            count++;
        }
        assert_int_equal(count, i % 4);
        assert_true(slice_equal(batch_record_text(batch, i), part(bytes[3], i, 3)));
    }
    batch_destroy(batch);
}

static void what_finds_no_room_is_left_out_and_counted_as_cut(void **state)
{
    (void)state;
    struct batch *batch = batch_create();
    char *value = calloc(1, METADATA_MAX_SIZE + 1);
    batch_put_key(batch, SLICE("key"));
    batch_put_header(batch, header(SLICE("h"), (struct slice){value, METADATA_MAX_SIZE - 100}));
    batch_put_header(batch, header(SLICE("h"), (struct slice){value, 100}));
    batch_put_header(batch, header(SLICE("i"), SLICE("1")));
    batch_append(batch, SLICE("{}"), 0, TIME_NONE);
    batch_put_key(batch, (struct slice){value, METADATA_MAX_SIZE});
    batch_put_header(batch, header(SLICE("j"), SLICE("2")));
    batch_append(batch, SLICE("{}"), 1, TIME_NONE);
    batch_append(batch, SLICE("{}"), 2, TIME_NONE);

    struct slice metadata = batch_record_metadata(batch, 0);
    assert_int_equal(batch->records[0].cut_size, 100 + 1 + METADATA_HEADER_HEAD_SIZE);
    assert_true(same(metadata_key(metadata), SLICE("key")));
    assert_int_equal(metadata_header(metadata, SLICE("h")).size, METADATA_MAX_SIZE - 100);
    assert_true(same(metadata_header(metadata, SLICE("i")), SLICE("1")));
    assert_int_equal(batch->records[1].cut_size, METADATA_MAX_SIZE + METADATA_KEY_HEAD_SIZE);
    assert_null(metadata_key(batch_record_metadata(batch, 1)).data);
    assert_true(same(metadata_header(batch_record_metadata(batch, 1), SLICE("j")), SLICE("2")));
    assert_int_equal(batch->records[2].cut_size, 0);
    assert_int_equal(batch_record_metadata(batch, 2).size, 0);
    free(value);
    batch_destroy(batch);
}

static void reset_forgets_topic_and_what_was_put(void **state)
{
    (void)state;
    struct batch *batch = batch_create();
    batch_set_topic(batch, "t", 3);
    batch_put_key(batch, SLICE("key"));
    batch_reset(batch);
    assert_null(batch->topic);
    assert_int_equal(batch->topic_partition, 0);
    batch_append(batch, SLICE("{}"), 0, TIME_NONE);
    assert_int_equal(batch_record_metadata(batch, 0).size, 0);
    batch_destroy(batch);
}

static void dead_letter_owns_key_headers_and_topic(void **state)
{
    (void)state;
    struct batch *batch = batch_create();
    struct dead_letter_block *block = dead_letter_block_create();
    char topic[] = "orders";
    batch_put_key(batch, SLICE("k"));
    batch_put_header(batch, header(SLICE("h"), SLICE("v")));
    batch_append(batch, SLICE("oops"), 5, TIME_NONE);
    dead_letter_block_add(block, &(struct dead_letter){.reason = "not_json",
                                                       .topic = topic,
                                                       .topic_partition = 2,
                                                       .metadata = batch_record_metadata(batch, 0)});
    dead_letter_block_add(block, &(struct dead_letter){.reason = "not_json"});
    batch_destroy(batch);
    memset(topic, 'x', sizeof topic - 1);
    assert_string_equal(block->letters[0].topic, "orders");
    assert_int_equal(block->letters[0].topic_partition, 2);
    assert_true(same(metadata_key(block->letters[0].metadata), SLICE("k")));
    assert_true(same(metadata_header(block->letters[0].metadata, SLICE("h")), SLICE("v")));
    assert_null(block->letters[1].topic);
    assert_null(metadata_key(block->letters[1].metadata).data);
    dead_letter_block_release(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_has_exactly_what_was_put_for_it),
        cmocka_unit_test(empty_key_is_not_no_key),
        cmocka_unit_test(last_header_of_a_name_counts),
        cmocka_unit_test(parts_stay_where_they_are_while_the_batch_grows),
        cmocka_unit_test(what_finds_no_room_is_left_out_and_counted_as_cut),
        cmocka_unit_test(reset_forgets_topic_and_what_was_put),
        cmocka_unit_test(dead_letter_owns_key_headers_and_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
