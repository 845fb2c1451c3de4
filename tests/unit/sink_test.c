/* Sinks: whole lines or none, also after a full disk and after a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sink/sink_kinds.h"
#include "temporary_folder.h"

static struct temporary_folder folder;

/* A block as result_block_encode() leaves it, as far as a sink looks. */
struct encoded {
    struct result_block block;
    uint32_t offsets[8];
};

static void encode(struct encoded *encoded, const char *const *records, uint32_t count)
{
    memset(encoded, 0, sizeof *encoded);
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_text(&encoded->block.json, records[i]);
        encoded->offsets[i + 1] = (uint32_t)encoded->block.json.size;
    }
    encoded->block.row_count = count;
    encoded->block.json_offsets = encoded->offsets;
}

static struct sink *open_sink(enum sink_kind kind, const char *path)
{
    struct config_sink config = {.name = "trail", .kind = kind, .path = path};
    struct sink *sink = NULL;
    struct error error = {{0}};
    if (sink_open(&config, NULL, &sink, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return sink;
}

static void write_records(struct sink *sink, const char *const *records, uint32_t count)
{
    struct encoded encoded;
    struct error error = {{0}};
    encode(&encoded, records, count);
    assert_int_equal(sink_write(sink, &encoded.block, &error), STATUS_OK);
    assert_int_equal(sink_flush(sink, &error), STATUS_OK);
    buffer_deinit(&encoded.block.json);
}

static void assert_content(const char *path, const char *want)
{
    struct buffer got = {0};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        buffer_append_char(&got, (char)c);
    fclose(file);
    buffer_append_char(&got, 0);
    assert_string_equal(got.data, want);
    buffer_deinit(&got);
}

static const char *const two[] = {"{\"a\":1}", "{\"a\":2}"};

static void file_gets_a_line_per_record_and_is_appended_to(void **state)
{
    (void)state;
    const char *path = temporary_path(&folder, "out.ndjson");
    for (int run = 0; run < 2; run++) {
        struct sink *sink = open_sink(SINK_FILE, path);
        write_records(sink, two, 2);
        sink_close(sink);
    }
    assert_content(path, "{\"a\":1}\n{\"a\":2}\n{\"a\":1}\n{\"a\":2}\n");
}

static void an_event_is_one_line_in_a_file_however_many_it_came_on(void **state)
{
    (void)state;
    const char *path = temporary_path(&folder, "out.ndjson");
    static const char *const events[] = {"{\"a\":1}", "{\n  \"a\":\r\n2}", "{\"b\":\"\\n\"}"};
    struct output_block *block = output_block_create(0);
    for (size_t i = 0; i < 3; i++) {
        output_block_begin_row(block, 0);
        buffer_append_text(&block->text, events[i]);
        output_block_end_row(block);
    }
    struct error error = {{0}};
    struct sink *sink = open_sink(SINK_FILE, path);
    assert_int_equal(sink_write_output(sink, block, &error), STATUS_OK);
    assert_int_equal(sink_flush(sink, &error), STATUS_OK);
    sink_close(sink);
    output_block_release(block);
    assert_content(path, "{\"a\":1}\n{   \"a\":  2}\n{\"b\":\"\\n\"}\n");
}

static void torn_last_line_is_cut_at_the_next_start(void **state)
{
    (void)state;
    const char *path = temporary_path(&folder, "out.ndjson");
    FILE *file = fopen(path, "wb");
    fputs("{\"a\":0}\n", file);
    for (int i = 0; i < 10000; i++)
        fputc('x', file);
    fclose(file);
    struct sink *sink = open_sink(SINK_FILE, path);
    write_records(sink, two, 1);
    sink_close(sink);
    assert_content(path, "{\"a\":0}\n{\"a\":1}\n");
    file = fopen(path, "wb");
    fputs("no newline", file);
    fclose(file);
    sink_close(open_sink(SINK_FILE, path));
    assert_content(path, "");
}

static void write_that_fails_leaves_no_half_line(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    const char *path = temporary_path(&folder, "out.ndjson");
    struct sink *sink = open_sink(SINK_FILE, path);
    write_records(sink, two, 2);
    struct rlimit before, small = {.rlim_cur = 20};
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    struct encoded encoded;
    struct error error = {{0}};
    encode(&encoded, two, 2);
    enum status status = sink_write(sink, &encoded.block, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_not_equal(status, STATUS_OK);
    assert_non_null(strstr(error.text, "out.ndjson"));
    assert_content(path, "{\"a\":1}\n{\"a\":2}\n");
    buffer_deinit(&encoded.block.json);
    write_records(sink, two, 2);
    sink_close(sink);
    assert_content(path, "{\"a\":1}\n{\"a\":2}\n{\"a\":1}\n{\"a\":2}\n");
}

static void file_that_cannot_be_opened_is_an_error_that_names_it(void **state)
{
    (void)state;
    struct config_sink config = {
        .name = "trail", .kind = SINK_FILE, .path = temporary_path(&folder, "no/such/out")};
    struct sink *sink;
    struct error error = {{0}};
    assert_int_not_equal(sink_open(&config, NULL, &sink, &error), STATUS_OK);
    assert_non_null(strstr(error.text, "no/such/out"));
    assert_non_null(strstr(error.text, "trail"));
}

static void console_writes_lines_to_standard_output(void **state)
{
    (void)state;
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    const char *path = temporary_path(&folder, "stdout");
    int file = open(path, O_WRONLY | O_CREAT, 0600);
    dup2(file, STDOUT_FILENO);
    close(file);
    struct sink *sink = open_sink(SINK_CONSOLE, NULL);
    write_records(sink, two, 2);
    sink_close(sink);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    assert_content(path, "{\"a\":1}\n{\"a\":2}\n");
}

static void blackhole_needs_no_json(void **state)
{
    (void)state;
    struct sink *sink = open_sink(SINK_BLACKHOLE, NULL);
    assert_false(sink->operations->needs_json);
    struct result_block block = {.row_count = 3};
    struct error error;
    assert_int_equal(sink_write(sink, &block, &error), STATUS_OK);
    assert_int_equal(sink_flush(sink, &error), STATUS_OK);
    sink_close(sink);
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
        TEST(file_gets_a_line_per_record_and_is_appended_to),
        TEST(an_event_is_one_line_in_a_file_however_many_it_came_on),
        TEST(torn_last_line_is_cut_at_the_next_start),
        TEST(write_that_fails_leaves_no_half_line),
        TEST(file_that_cannot_be_opened_is_an_error_that_names_it),
        TEST(console_writes_lines_to_standard_output),
        TEST(blackhole_needs_no_json),
    };
    return cmocka_run_group_tests_name("sink", tests, NULL, NULL);
}
