/* Files by line: offsets, line ends, packings, rates, loops, and what is wrong with a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buffer.h"
#include "base/random.h"
#include "source/file.h"
#include "temporary_folder.h"

static struct temporary_folder folder;

static const char *write_file(const char *name, const char *data, size_t size)
{
    const char *path = temporary_path(&folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

static struct source_reader *open_reader(const char *path, struct file_reader_options options)
{
    struct source_reader *reader = NULL;
    struct error error = {{0}};
    if (!options.clock)
        options.clock = &clock_system;
    enum status status = file_reader_open(path, &options, &reader, &error);
    if (status != STATUS_OK)
        fail_msg("%s", error.text);
    return reader;
}

static void close_reader(struct source_reader *reader)
{
    reader->operations->close(reader);
}

/* Everything as `offset:text|`, with batches of `max_records`. */
static void read_all(struct source_reader *reader, uint32_t max_records, struct buffer *out)
{
    struct batch *batch = batch_create();
    struct error error = {{0}};
    int64_t next_us = 0;
    enum status status;
    while ((status = source_read(reader, max_records, INT64_MAX, batch, &next_us, &error)) == STATUS_OK) {
        assert_in_range(batch->record_count, 1, max_records);
        for (uint32_t i = 0; i < batch->record_count; i++) {
            buffer_format(out, "%lld:", (long long)batch->records[i].offset);
            buffer_append_slice(out, batch_record_text(batch, i));
            buffer_append_char(out, '|');
            assert_true(batch->records[i].time_us == TIME_NONE);
        }
        batch_reset(batch);
    }
    if (status != STATUS_END)
        fail_msg("%s: %s", status_name(status), error.text);
    batch_destroy(batch);
}

static void assert_reads(const char *path, struct file_reader_options options, uint32_t max_records,
                         const char *want)
{
    struct source_reader *reader = open_reader(path, options);
    struct buffer got = {0};
    read_all(reader, max_records, &got);
    buffer_append_char(&got, 0);
    assert_string_equal(got.data, want);
    buffer_deinit(&got);
    close_reader(reader);
}

/* The first status that is not OK. */
static enum status read_until_failure(struct source_reader *reader, struct error *error, uint64_t *records)
{
    struct batch *batch = batch_create();
    int64_t next_us = 0;
    enum status status;
    while ((status = source_read(reader, 1024, INT64_MAX, batch, &next_us, error)) == STATUS_OK) {
        *records += batch->record_count;
        batch_reset(batch);
    }
    batch_destroy(batch);
    return status;
}

#define TEXT(text) text, sizeof(text) - 1

static void offset_is_line_number_and_blank_lines_count(void **state)
{
    (void)state;
    const char *path = write_file("a", TEXT("{}\n\n\r\n{\"a\":1}\r\n \n3"));
    for (uint32_t max = 1; max < 5; max++)
        assert_reads(path, (struct file_reader_options){0}, max, "0:{}|3:{\"a\":1}|4: |5:3|");
}

static void empty_file_ends_even_when_it_loops(void **state)
{
    (void)state;
    const char *path = write_file("a", "", 0);
    assert_reads(path, (struct file_reader_options){0}, 10, "");
    assert_reads(path, (struct file_reader_options){.loop = true}, 10, "");
}

static void reading_starts_at_the_offset(void **state)
{
    (void)state;
    const char *path = write_file("a", TEXT("0\n1\n\n3\n4"));
    assert_reads(path, (struct file_reader_options){.start_offset = 1}, 10, "1:1|3:3|4:4|");
    assert_reads(path, (struct file_reader_options){.start_offset = 4}, 10, "4:4|");
    assert_reads(path, (struct file_reader_options){.start_offset = 5}, 10, "");
}

static void file_shorter_than_the_offset_is_an_error_that_says_so(void **state)
{
    (void)state;
    struct source_reader *reader =
        open_reader(write_file("a", TEXT("0\n1\n")), (struct file_reader_options){.start_offset = 3});
    struct error error = {{0}};
    uint64_t records = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(read_until_failure(reader, &error, &records), STATUS_INVALID);
        assert_non_null(strstr(error.text, "has 2 lines"));
    }
    close_reader(reader);
}

static void missing_file_and_folder_are_errors(void **state)
{
    (void)state;
    struct source_reader *reader = NULL;
    struct error error = {{0}};
    struct file_reader_options options = {.clock = &clock_system};
    assert_int_equal(file_reader_open(temporary_path(&folder, "none"), &options, &reader, &error),
                     STATUS_NOT_FOUND);
    assert_non_null(strstr(error.text, "none"));
    assert_int_equal(file_reader_open(folder.path, &options, &reader, &error), STATUS_IO);
}

static void no_record_reaches_the_end_offset(void **state)
{
    (void)state;
    struct source_reader *reader =
        open_reader(write_file("a", TEXT("0\n1\n2\n3\n")), (struct file_reader_options){0});
    struct batch *batch = batch_create();
    struct error error;
    int64_t next_us;
    assert_int_equal(source_read(reader, 100, 3, batch, &next_us, &error), STATUS_OK);
    assert_int_equal(batch->record_count, 3);
    batch_reset(batch);
    assert_int_equal(source_read(reader, 100, INT64_MAX, batch, &next_us, &error), STATUS_OK);
    assert_int_equal(batch->records[0].offset, 3);
    batch_destroy(batch);
    close_reader(reader);
}

/* Lines of all lengths around the chunk's, against a plain split. */
static void random_lines_are_split_as_they_were_joined(void **state)
{
    (void)state;
    uint64_t seed = random_seed_from_system();
    print_message("seed %llu\n", (unsigned long long)seed);
    struct random random = random_seeded(seed);
    struct buffer text = {0}, want = {0}, got = {0};
    for (int line = 0; line < 300; line++) {
        size_t size = random_below(&random, 8) ? random_below(&random, 3000)
                                               : random_below(&random, 3 * FILE_CHUNK_SIZE);
        if (line % 50 == 7)
            size = FILE_CHUNK_SIZE - 1 + random_below(&random, 3);
        if (size)
            buffer_format(&want, "%d:", line);
        char *at = buffer_reserve(&text, size);
        memset(at, 'a' + line % 26, size);
        buffer_append(&want, at, size);
        text.size += size;
        buffer_append_char(&text, '\n');
        if (size)
            buffer_append_char(&want, '|');
    }
    const char *path = write_file("a", text.data, text.size - (random_below(&random, 2) ? 1 : 0));
    struct source_reader *reader = open_reader(path, (struct file_reader_options){0});
    read_all(reader, (uint32_t)(1 + random_below(&random, 64)), &got);
    close_reader(reader);
    assert_int_equal(got.size, want.size);
    assert_memory_equal(got.data, want.data, want.size);
    int64_t start = (int64_t)random_below(&random, 300);
    reader = open_reader(path, (struct file_reader_options){.start_offset = start});
    buffer_clear(&got);
    read_all(reader, 100, &got);
    close_reader(reader);
    assert_true(got.size <= want.size);
    assert_memory_equal(got.data, want.data + (want.size - got.size), got.size);
    buffer_deinit(&text);
    buffer_deinit(&want);
    buffer_deinit(&got);
}

static void line_over_the_limit_is_cut_and_the_next_is_whole(void **state)
{
    (void)state;
    size_t size = RECORD_MAX_SIZE + 1000;
    struct buffer text = {0};
    memset(buffer_reserve(&text, size), 'x', size);
    text.size = size;
    buffer_append_text(&text, "\nnext\n");
    struct source_reader *reader =
        open_reader(write_file("a", text.data, text.size), (struct file_reader_options){0});
    struct batch *batch = batch_create();
    struct error error;
    int64_t next_us;
    assert_int_equal(source_read(reader, 100, INT64_MAX, batch, &next_us, &error), STATUS_OK);
    assert_int_equal(batch->record_count, 1);
    assert_int_equal(batch->records[0].text_size, RECORD_MAX_SIZE);
    assert_int_equal(batch->records[0].cut_size, 1000);
    batch_reset(batch);
    assert_int_equal(source_read(reader, 100, INT64_MAX, batch, &next_us, &error), STATUS_OK);
    assert_int_equal(batch->records[0].offset, 1);
    assert_true(slice_equal_text(batch_record_text(batch, 0), "next"));
    batch_destroy(batch);
    close_reader(reader);
    buffer_deinit(&text);
}

static void pack_gzip(struct buffer *out, const char *data, size_t size)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&stream, (uLong)size);
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)size;
    stream.next_out = (Bytef *)buffer_reserve(out, bound);
    stream.avail_out = (uInt)bound;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out->size += stream.total_out;
    deflateEnd(&stream);
}

static void pack_zstd(struct buffer *out, const char *data, size_t size)
{
    size_t bound = ZSTD_compressBound(size);
    size_t packed = ZSTD_compress(buffer_reserve(out, bound), bound, data, size, 3);
    assert_false(ZSTD_isError(packed));
    out->size += packed;
}

static void packed_files_are_unpacked_whatever_their_name(void **state)
{
    (void)state;
    void (*const packers[])(struct buffer *, const char *, size_t) = {pack_gzip, pack_zstd};
    for (size_t i = 0; i < 2; i++) {
        struct buffer packed = {0};
        packers[i](&packed, TEXT("0\n1"));
        packers[i](&packed, TEXT("1\n2\n")); /* a second member or frame, in the middle of a line */
        const char *path = write_file("a", packed.data, packed.size);
        assert_reads(path, (struct file_reader_options){0}, 10, "0:0|1:11|2:2|");
        assert_reads(path, (struct file_reader_options){.start_offset = 2}, 10, "2:2|");
        buffer_deinit(&packed);
    }
}

static void damaged_or_cut_packing_is_an_error_behind_the_good_lines(void **state)
{
    (void)state;
    struct buffer text = {0};
    struct random random = random_seeded(1);
    for (int i = 0; i < 60000; i++)
        buffer_format(&text, "{\"a\":%llu}\n", (unsigned long long)random_next(&random));
    void (*const packers[])(struct buffer *, const char *, size_t) = {pack_gzip, pack_zstd};
    for (size_t i = 0; i < 4; i++) {
        struct buffer packed = {0};
        packers[i % 2](&packed, text.data, text.size);
        size_t size = i < 2 ? packed.size - 100 : packed.size;
        if (i >= 2)
            memset(packed.data + size - 5000, 0xff, 4900);
        struct source_reader *reader =
            open_reader(write_file("a", packed.data, size), (struct file_reader_options){0});
        struct error error = {{0}};
        uint64_t records = 0;
        assert_int_equal(read_until_failure(reader, &error, &records), STATUS_IO);
        assert_non_null(strstr(error.text, "damaged"));
        assert_in_range(records, 1, 59999);
        /* Asked again it says the same and delivers nothing twice. */
        uint64_t again = 0;
        assert_int_equal(read_until_failure(reader, &error, &again), STATUS_IO);
        assert_int_equal(again, 0);
        close_reader(reader);
        buffer_deinit(&packed);
    }
    buffer_deinit(&text);
}

static void loop_goes_on_counting_and_starts_anywhere(void **state)
{
    (void)state;
    const char *path = write_file("a", TEXT("0\n1\n2"));
    for (int64_t start = 0; start < 20; start++) {
        struct source_reader *reader =
            open_reader(path, (struct file_reader_options){.loop = true, .start_offset = start});
        struct batch *batch = batch_create();
        struct error error;
        int64_t next_us;
        int64_t offset = start;
        while (offset < start + 10) {
            assert_int_equal(source_read(reader, 2, INT64_MAX, batch, &next_us, &error), STATUS_OK);
            for (uint32_t i = 0; i < batch->record_count; i++, offset++) {
                assert_int_equal(batch->records[i].offset, offset);
                assert_int_equal(*batch_record_text(batch, i).data, '0' + offset % 3);
            }
            batch_reset(batch);
        }
        batch_destroy(batch);
        close_reader(reader);
    }
}

static void rate_follows_the_clock(void **state)
{
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < 10000; i++)
        buffer_format(&text, "%d\n", i);
    struct clock clock = clock_manual(1000000);
    struct source_reader *reader = open_reader(
        write_file("a", text.data, text.size),
        (struct file_reader_options){.rate = FILE_READ_PER_SECOND, .rate_per_second = 100, .clock = &clock});
    struct batch *batch = batch_create();
    struct error error;
    int64_t next_us = 0;
    uint64_t records = 0;
    while (clock.fixed_us < 1000000 + 5 * MICROSECONDS_PER_SECOND) {
        enum status status = source_read(reader, 1000, INT64_MAX, batch, &next_us, &error);
        records += batch->record_count;
        batch_reset(batch);
        if (status == STATUS_OK)
            continue;
        assert_int_equal(status, STATUS_AGAIN);
        assert_true(next_us > clock.fixed_us);
        clock.fixed_us = next_us;
    }
    assert_in_range(records, 499, 502);
    clock.fixed_us += 3600 * (int64_t)MICROSECONDS_PER_SECOND;
    assert_int_equal(source_read(reader, 1000, INT64_MAX, batch, &next_us, &error), STATUS_OK);
    assert_int_equal(batch->record_count, 100); /* no flood after a pause */
    batch_reset(batch);
    assert_int_equal(source_read(reader, 1000, INT64_MAX, batch, &next_us, &error), STATUS_AGAIN);
    batch_reset(batch);
    assert_int_equal(source_read(reader, 1000, 5000, batch, &next_us, &error),
                     STATUS_OK); /* a replay is not slowed */
    assert_int_equal(batch->record_count, 1000);
    batch_destroy(batch);
    close_reader(reader);
    buffer_deinit(&text);
}

static void realtime_gives_one_record_at_a_time(void **state)
{
    (void)state;
    struct source_reader *reader = open_reader(write_file("a", TEXT("0\n1\n")),
                                               (struct file_reader_options){.rate = FILE_READ_REALTIME});
    struct batch *batch = batch_create();
    struct error error;
    int64_t next_us;
    assert_int_equal(source_read(reader, 1000, INT64_MAX, batch, &next_us, &error), STATUS_OK);
    assert_int_equal(batch->record_count, 1);
    batch_destroy(batch);
    close_reader(reader);
}

static void pipe_that_has_nothing_does_not_hold_up_the_shard(void **state)
{
    (void)state;
    const char *path = temporary_path(&folder, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    int writer = open(path, O_RDWR);
    struct source_reader *reader = open_reader(path, (struct file_reader_options){.never_waits = true});
    struct batch *batch = batch_create();
    struct error error = {{0}};
    int64_t next_us = 0;
    assert_int_equal(source_read(reader, 10, INT64_MAX, batch, &next_us, &error), STATUS_AGAIN);
    assert_true(next_us > clock_monotonic_us(&clock_system));
    assert_int_equal(write(writer, "first\nsec", 9), 9);
    assert_int_equal(source_read(reader, 10, INT64_MAX, batch, &next_us, &error), STATUS_OK);
    assert_int_equal(batch->record_count, 1);
    batch_reset(batch);
    assert_int_equal(source_read(reader, 10, INT64_MAX, batch, &next_us, &error), STATUS_AGAIN);
    assert_int_equal(write(writer, "ond", 3), 3);
    close(writer);
    assert_int_equal(source_read(reader, 10, INT64_MAX, batch, &next_us, &error), STATUS_OK);
    assert_true(slice_equal_text(batch_record_text(batch, 0), "second"));
    assert_int_equal(batch->records[0].offset, 1);
    batch_reset(batch);
    assert_int_equal(source_read(reader, 10, INT64_MAX, batch, &next_us, &error), STATUS_END);
    batch_destroy(batch);
    close_reader(reader);
}

static int open_folder(void **state)
{
    (void)state;
    temporary_folder_open(&folder);
    return 0;
}

static int close_folder(void **state)
{
    (void)state;
    temporary_folder_close(&folder);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_folder, close_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(offset_is_line_number_and_blank_lines_count),
        TEST(empty_file_ends_even_when_it_loops),
        TEST(reading_starts_at_the_offset),
        TEST(file_shorter_than_the_offset_is_an_error_that_says_so),
        TEST(missing_file_and_folder_are_errors),
        TEST(no_record_reaches_the_end_offset),
        TEST(random_lines_are_split_as_they_were_joined),
        TEST(line_over_the_limit_is_cut_and_the_next_is_whole),
        TEST(packed_files_are_unpacked_whatever_their_name),
        TEST(damaged_or_cut_packing_is_an_error_behind_the_good_lines),
        TEST(loop_goes_on_counting_and_starts_anywhere),
        TEST(rate_follows_the_clock),
        TEST(realtime_gives_one_record_at_a_time),
        TEST(pipe_that_has_nothing_does_not_hold_up_the_shard),
    };
    return cmocka_run_group_tests_name("file_reader", tests, NULL, NULL);
}
