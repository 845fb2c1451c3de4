/* The store seen from outside: which record stays, how lists are paged and filtered, what can be resumed, what grows old, who may open it. */
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store_fixture.h"

static void put(struct fixture *fixture, const char *pipeline, uint64_t first_sequence,
                const struct row_spec *rows, uint32_t count)
{
    if (put_rows(fixture->store, pipeline, first_sequence, rows, count, &fixture->error) != STATUS_OK)
        fail_msg("%s", fixture->error.text);
}

static void reopen(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = open_store(fixture->data_dir);
}

/* All rows of a pipeline, by pages; what `seen` holds is the list. */
static const char *list(struct fixture *fixture, struct store_results_query query)
{
    struct buffer cursor = {0}, next = {0};
    forget(&fixture->seen);
    if (!query.pipeline)
        query.pipeline = "p";
    if (!query.to_us) {
        query.from_us = INT64_MIN;
        query.to_us = INT64_MAX;
    }
    if (!query.limit)
        query.limit = 100;
    do {
        uint32_t before = fixture->seen.count;
        query.cursor = buffer_slice(&cursor);
        assert_int_equal(
            store_read_results(fixture->reader, &query, see, &fixture->seen, &next, &fixture->error),
            STATUS_OK);
        assert_true(fixture->seen.count - before <= query.limit);
        assert_true(!next.size || fixture->seen.count - before == query.limit);
        buffer_clear(&cursor);
        buffer_append_slice(&cursor, buffer_slice(&next));
    } while (cursor.size);
    buffer_deinit(&cursor);
    buffer_deinit(&next);
    return seen_text(&fixture->seen);
}

/* --- which record stays ------------------------------------------------------------------------------------------- */

static void record_replaces_by_closed_then_revision_then_events(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        struct row_spec row;
        bool replaces;
    } steps[] = {
        {{0, "FR", EMIT_EARLY, 0, 5}, true},  {{0, "FR", EMIT_EARLY, 0, 5}, false},
        {{0, "FR", EMIT_EARLY, 0, 4}, false}, {{0, "FR", EMIT_EARLY, 0, 9}, true},
        {{0, "FR", EMIT_FINAL, 0, 7}, true},  {{0, "FR", EMIT_EARLY, 0, 20}, false},
        {{0, "FR", EMIT_FINAL, 0, 7}, false}, {{0, "FR", EMIT_UPDATE, 0, 8}, true},
        {{0, "FR", EMIT_UPDATE, 2, 9}, true}, {{0, "FR", EMIT_UPDATE, 1, 99}, false},
        {{0, "FR", EMIT_FINAL, 0, 7}, false}, {{0, "FR", EMIT_UPDATE, 3, 9}, true},
    };
    char previous[512] = "";
    for (uint32_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        put(fixture, "p", 100 + i, &steps[i].row, 1);
        assert_string_equal(list(fixture, (struct store_results_query){0}), "0[\"FR\"]");
        struct buffer *json = &fixture->seen.last_json;
        buffer_append_char(json, '\0');
        if ((strcmp(json->data, previous) != 0) != steps[i].replaces)
            fail_msg("step %u: %s", i, json->data);
        if (steps[i].replaces)
            assert_int_equal(fixture->seen.last_sequence, 100 + i);
        snprintf(previous, sizeof previous, "%s", json->data);
    }
}

static void repeats_within_one_block_keep_the_best(void **state)
{
    struct fixture *fixture = *state;
    struct row_spec rows[70];
    for (uint32_t i = 0; i < 70; i++)
        rows[i] = (struct row_spec){0, "FR", EMIT_UPDATE, i == 40 ? 100 : i, 200};
    put(fixture, "p", 1, rows, 70);
    list(fixture, (struct store_results_query){0});
    assert_int_equal(fixture->seen.count, 1);
    assert_int_equal(fixture->seen.last_sequence, 41);
}

static void rolled_back_rows_are_gone_and_can_be_put_again(void **state)
{
    struct fixture *fixture = *state;
    static const struct result_shape shape = {.pipeline = "p"};
    struct row_spec row = {0, "FR", EMIT_FINAL, 0, 1};
    struct result_block *block = block_make(&shape, 1, &row, 1);
    for (int attempt = 0; attempt < 2; attempt++) {
        assert_int_equal(store_begin(fixture->store, &fixture->error), STATUS_OK);
        assert_int_equal(store_put_results(fixture->store, block, &fixture->error), STATUS_OK);
        assert_string_equal(list(fixture, (struct store_results_query){0}), "");
        if (attempt == 0)
            store_rollback(fixture->store);
    }
    assert_int_equal(store_commit(fixture->store, &fixture->error), STATUS_OK);
    assert_string_equal(list(fixture, (struct store_results_query){0}), "0[\"FR\"]");
    block_free(block);
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

static const struct row_spec spread[] = {
    {10, "b", EMIT_FINAL, 0, 1},           {30, "a", EMIT_FINAL, 0, 1}, {20, "c", EMIT_FINAL, 0, 1},
    {20, "a", EMIT_FINAL, 0, 1},           {20, "b", EMIT_FINAL, 0, 1}, {-10, "a", EMIT_FINAL, 0, 1},
    {30, "\xC3\xA9\"x", EMIT_FINAL, 0, 1},
};
enum { SPREAD_COUNT = sizeof spread / sizeof *spread };
static const char spread_text[] =
    "30[\"a\"] 30[\"\xC3\xA9\\\"x\"] 20[\"a\"] 20[\"b\"] 20[\"c\"] 10[\"b\"] -10[\"a\"]";

static void pages_of_any_size_give_each_record_once_in_order(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "p", 1, spread, SPREAD_COUNT);
    put(fixture, "q", 50, spread, 3);
    for (uint32_t limit = 1; limit <= SPREAD_COUNT + 1; limit++)
        assert_string_equal(list(fixture, (struct store_results_query){.limit = limit}), spread_text);
    assert_string_equal(list(fixture, (struct store_results_query){.pipeline = "q"}),
                        "30[\"a\"] 20[\"c\"] 10[\"b\"]");
    assert_string_equal(list(fixture, (struct store_results_query){.pipeline = "none"}), "");
}

static void range_is_half_open_on_every_page(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "p", 1, spread, SPREAD_COUNT);
    for (uint32_t limit = 1; limit <= 3; limit++) {
        assert_string_equal(
            list(fixture, (struct store_results_query){.from_us = 10, .to_us = 30, .limit = limit}),
            "20[\"a\"] 20[\"b\"] 20[\"c\"] 10[\"b\"]");
        assert_string_equal(
            list(fixture, (struct store_results_query){.from_us = 11, .to_us = 20, .limit = limit}), "");
        assert_string_equal(
            list(fixture, (struct store_results_query){.from_us = INT64_MIN, .to_us = 10, .limit = limit}),
            "-10[\"a\"]");
    }
}

static struct store_results_query with_key(const char *name, const char *value)
{
    return (struct store_results_query){
        .key = {{slice_of(name), slice_of(value)}}, .key_count = 1, .limit = 2};
}

static void key_conditions_compare_text(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "p", 1, spread, SPREAD_COUNT);
    assert_string_equal(list(fixture, with_key("country", "a")), "30[\"a\"] 20[\"a\"] -10[\"a\"]");
    assert_string_equal(list(fixture, with_key("country", "\xC3\xA9\"x")), "30[\"\xC3\xA9\\\"x\"]");
    static const char *const nothing[][2] = {
        {"country", "\"a\""}, {"country", ""}, {"n", "8"},
        {"n", "7.0"},         {"none", "x"},   {"missing", "null"},
        {"values", "1"},      {"id", "x"},     {"country", "a' OR 1=1 --"}};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        assert_string_equal(list(fixture, with_key(nothing[i][0], nothing[i][1])), "");
    static const char *const all[][2] = {{"n", "7"}, {"none", "null"}, {"o\"dd", "true"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_string_equal(list(fixture, with_key(all[i][0], all[i][1])), spread_text);
    struct store_results_query both = with_key("country", "b");
    both.key[1].name = SLICE("n");
    both.key[1].value = SLICE("7");
    both.key_count = 2;
    assert_string_equal(list(fixture, both), "20[\"b\"] 10[\"b\"]");
    both.key[1].value = SLICE("8");
    assert_string_equal(list(fixture, both), "");
}

static void foreign_cursors_are_refused(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "p", 1, spread, SPREAD_COUNT);
    static const char *const bad[] = {"garbage!",
                                      "r1",
                                      "r1000000000000000",
                                      "r10000000000000000f",
                                      "r2000000000000001e5b5d",
                                      "d10000000000000001",
                                      "r1000000000000001eZZ",
                                      "R1000000000000001e"};
    struct buffer next = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct store_results_query query = {.pipeline = "p",
                                            .from_us = INT64_MIN,
                                            .to_us = INT64_MAX,
                                            .limit = 1,
                                            .cursor = slice_of(bad[i])};
        assert_int_equal(
            store_read_results(fixture->reader, &query, see, &fixture->seen, &next, &fixture->error),
            STATUS_INVALID);
        assert_non_null(strstr(fixture->error.text, "cursor"));
    }
    struct buffer out = {0};
    assert_int_equal(store_read_dead_letters(fixture->reader, NULL, NULL, 1, SLICE("r1000000000000001e"),
                                             &out, &next, &fixture->error),
                     STATUS_INVALID);
    assert_int_equal(fixture->seen.count, 0);
    buffer_deinit(&next);
    buffer_deinit(&out);
}

static void newest_rows_end_at_the_limit_or_when_the_visitor_has_enough(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "p", 1, spread, SPREAD_COUNT);
    assert_int_equal(store_read_newest(fixture->reader, "p", 3, see, &fixture->seen, &fixture->error),
                     STATUS_OK);
    assert_string_equal(seen_text(&fixture->seen), "30[\"a\"] 30[\"\xC3\xA9\\\"x\"] 20[\"a\"]");
    forget(&fixture->seen);
    fixture->seen.stop_after = 2;
    assert_int_equal(store_read_newest(fixture->reader, "p", 100, see, &fixture->seen, &fixture->error),
                     STATUS_OK);
    assert_int_equal(fixture->seen.count, 2);
}

/* --- resuming ----------------------------------------------------------------------------------------------------- */

static const char *since(struct fixture *fixture, uint64_t boot, uint64_t sequence, uint32_t limit)
{
    forget(&fixture->seen);
    enum status status =
        store_read_since(fixture->reader, boot, sequence, limit, see, &fixture->seen, &fixture->error);
    if (status == STATUS_NOT_FOUND)
        return "unknown";
    assert_int_equal(status, STATUS_OK);
    return seen_text(&fixture->seen);
}

static void since_gives_the_newest_state_of_what_was_written_later(void **state)
{
    struct fixture *fixture = *state;
    uint64_t boot = store_boot_id(fixture->store);
    static const struct row_spec rows[] = {
        {10, "a", EMIT_FINAL, 0, 1}, {10, "b", EMIT_FINAL, 0, 1}, {20, "a", EMIT_FINAL, 0, 1}};
    static const struct row_spec update = {10, "a", EMIT_UPDATE, 1, 2};
    put(fixture, "p", 0, rows, 3);
    assert_string_equal(since(fixture, boot, 0, 100), "10[\"b\"] 20[\"a\"]");
    put(fixture, "q", 3, &update, 1);
    put(fixture, "p", 4, &update, 1);
    assert_string_equal(since(fixture, boot, 0, 100), "10[\"b\"] 20[\"a\"] 10[\"a\"] 10[\"a\"]");
    assert_int_equal(fixture->seen.last_sequence, 4);
    assert_int_equal(fixture->seen.last_boot, boot);
    assert_string_equal(since(fixture, boot, 1, 2), "20[\"a\"] 10[\"a\"]");
    assert_string_equal(since(fixture, boot, 4, 100), "");
    assert_string_equal(since(fixture, boot, 4000, 100), "");
}

static void positions_go_on_over_restarts(void **state)
{
    struct fixture *fixture = *state;
    uint64_t first = store_boot_id(fixture->store);
    put(fixture, "p", 1, &(struct row_spec){10, "a", EMIT_FINAL, 0, 1}, 1);
    reopen(fixture);
    reopen(fixture);
    uint64_t third = store_boot_id(fixture->store);
    assert_int_equal(third, first + 2);
    put(fixture, "p", 1, (struct row_spec[]){{20, "a", EMIT_FINAL, 0, 1}, {30, "a", EMIT_FINAL, 0, 1}}, 2);
    assert_string_equal(since(fixture, first, 0, 100), "10[\"a\"] 20[\"a\"] 30[\"a\"]");
    assert_string_equal(since(fixture, first, 1, 100), "20[\"a\"] 30[\"a\"]");
    /* Positions beyond what that life got to store. */
    assert_string_equal(since(fixture, first, 500, 100), "20[\"a\"] 30[\"a\"]");
    assert_string_equal(since(fixture, first, INT64_MAX, 100), "20[\"a\"] 30[\"a\"]");
    assert_string_equal(since(fixture, first + 1, 7, 100), "20[\"a\"] 30[\"a\"]");
    assert_string_equal(since(fixture, third, 1, 100), "30[\"a\"]");
    assert_int_equal(fixture->seen.last_boot, third);
    assert_int_equal(fixture->seen.last_sequence, 2);
    assert_string_equal(since(fixture, third + 1, 0, 100), "unknown");
    assert_string_equal(since(fixture, 0, 0, 100), "unknown");
    assert_string_equal(since(fixture, UINT64_MAX, UINT64_MAX, 100), "unknown");
}

/* --- growing old -------------------------------------------------------------------------------------------------- */

static bool expire(struct fixture *fixture, int64_t now_us, int64_t results_age_us, int64_t letters_age_us)
{
    bool more = false;
    assert_int_equal(
        store_expire(fixture->store, now_us, results_age_us, letters_age_us, &more, &fixture->error),
        STATUS_OK);
    return more;
}

static void results_go_when_they_were_written_longer_ago_than_their_age(void **state)
{
    struct fixture *fixture = *state;
    uint64_t boot = store_boot_id(fixture->store);
    static const struct row_spec rows[] = {
        {100, "a", EMIT_FINAL, 0, 1}, {10, "b", EMIT_FINAL, 0, 1}, {20, "c", EMIT_FINAL, 0, 1}};
    static const struct row_spec update = {20, "c", EMIT_UPDATE, 1, 2};
    put(fixture, "p", 1, rows, 3);
    assert_false(expire(fixture, 1000000, 0, 0));
    assert_false(expire(fixture, 1000000, 1000, 0)); /* windows of long ago, but written just now */
    put(fixture, "q", 4, rows, 1);
    put(fixture, "p", 5, &update, 1);
    assert_false(expire(fixture, 1001000, 1000, 0));
    assert_string_equal(list(fixture, (struct store_results_query){0}), "100[\"a\"] 20[\"c\"] 10[\"b\"]");
    assert_false(expire(fixture, 1001001, 1000, 0));
    assert_string_equal(list(fixture, (struct store_results_query){0}), "20[\"c\"]");
    assert_string_equal(since(fixture, boot, 0, 100), "unknown");
    assert_string_equal(since(fixture, boot, 1, 100), "unknown");
    assert_string_equal(since(fixture, boot, 2, 100), "100[\"a\"] 20[\"c\"]");
    reopen(fixture);
    assert_string_equal(since(fixture, boot, 1, 100), "unknown");
    assert_false(expire(fixture, 1003000, 1000, 0));
    assert_string_equal(list(fixture, (struct store_results_query){.pipeline = "q"}), "");
    assert_string_equal(since(fixture, boot, 4, 100), "unknown");
    assert_string_equal(since(fixture, boot, 5, 100), "");
    /* Numbers of rows that are gone are not given out again. */
    reopen(fixture);
    put(fixture, "p", 0, &(struct row_spec){100, "z", EMIT_FINAL, 0, 1}, 1);
    assert_string_equal(since(fixture, boot, 5, 100), "100[\"z\"]");
    assert_string_equal(since(fixture, store_boot_id(fixture->store), 0, 100), "");
}

static void expiry_goes_on_in_steps(void **state)
{
    struct fixture *fixture = *state;
    enum { COUNT = STORE_EXPIRE_ROWS + 10 };
    struct row_spec *rows = memory_allocate_array(COUNT, sizeof *rows);
    for (int i = 0; i < COUNT; i++)
        rows[i] = (struct row_spec){i, "a", EMIT_FINAL, 0, 1};
    put(fixture, "p", 1, rows, COUNT);
    assert_false(expire(fixture, 1000, 1, 0));
    assert_true(expire(fixture, 2000, 1, 0));
    list(fixture, (struct store_results_query){.limit = STORE_PAGE_MAX_ROWS});
    assert_int_equal(fixture->seen.count, 10);
    assert_false(expire(fixture, 3000, 1, 0));
    assert_string_equal(list(fixture, (struct store_results_query){0}), "");
    free(rows);
}

/* --- dead letters ------------------------------------------------------------------------------------------------- */

static void put_letters(struct fixture *fixture, int64_t first_offset, uint32_t count, const char *reason,
                        uint32_t pipeline, int64_t time_us)
{
    static const char *const sources[] = {"s"}, *const pipelines[] = {"p", "q"};
    struct dead_letter_block *block = dead_letter_block_create();
    for (uint32_t i = 0; i < count; i++)
        dead_letter_block_add(block, &(struct dead_letter){.partition = 3,
                                                           .offset = first_offset + i,
                                                           .time_us = time_us,
                                                           .reason = reason,
                                                           .pipeline_index = pipeline,
                                                           .detail = SLICE("at byte 3"),
                                                           .raw = {"a\0\xff", 3}});
    assert_int_equal(store_begin(fixture->store, &fixture->error), STATUS_OK);
    assert_int_equal(store_put_dead_letters(fixture->store, block, sources, pipelines, 5, &fixture->error),
                     STATUS_OK);
    assert_int_equal(store_commit(fixture->store, &fixture->error), STATUS_OK);
    dead_letter_block_release(block);
}

/* Offsets of all letters that pass, by pages. */
static void check_letters(struct fixture *fixture, const char *source, const char *reason, uint32_t limit,
                          const char *expected)
{
    struct buffer cursor = {0}, next = {0}, offsets = {0};
    do {
        struct buffer page = {0};
        assert_int_equal(store_read_dead_letters(fixture->reader, source, reason, limit,
                                                 buffer_slice(&cursor), &page, &next, &fixture->error),
                         STATUS_OK);
        buffer_append_char(&page, '\0');
        for (const char *at = page.data; (at = strstr(at, "\"offset\":")); at++)
            buffer_format(&offsets, "%s%ld", offsets.size ? " " : "", strtol(at + 9, NULL, 10));
        buffer_deinit(&page);
        buffer_clear(&cursor);
        buffer_append_slice(&cursor, buffer_slice(&next));
    } while (cursor.size);
    buffer_append_char(&offsets, '\0');
    assert_string_equal(offsets.data, expected);
    buffer_deinit(&cursor);
    buffer_deinit(&next);
    buffer_deinit(&offsets);
}

static void dead_letters_are_listed_newest_first_with_their_bytes(void **state)
{
    struct fixture *fixture = *state;
    put_letters(fixture, 1, 4, "not_json", UINT32_MAX, -1500);
    put_letters(fixture, 1, 1, "too_late", 0, 7000);
    for (uint32_t limit = 1; limit <= 6; limit++) {
        check_letters(fixture, NULL, NULL, limit, "1 4 3 2 1");
        check_letters(fixture, "s", "not_json", limit, "4 3 2 1");
        check_letters(fixture, "t", NULL, limit, "");
    }
    struct buffer out = {0}, next = {0};
    buffer_append_text(&out, "[");
    assert_int_equal(store_read_dead_letters(fixture->reader, NULL, "not_json", 2, (struct slice){0}, &out,
                                             &next, &fixture->error),
                     STATUS_OK);
    buffer_append_char(&out, '\0');
    assert_string_equal(
        out.data,
        "[{\"source\":\"s\",\"partition\":3,\"offset\":4,\"time\":-2,\"reason\":\"not_json\",\"detail\":\"at byte 3\",\"raw_base64\":\"YQD/\"},"
        "{\"source\":\"s\",\"partition\":3,\"offset\":3,\"time\":-2,\"reason\":\"not_json\",\"detail\":\"at byte 3\",\"raw_base64\":\"YQD/\"}");
    buffer_deinit(&out);
    buffer_deinit(&next);
}

static void same_dead_letter_again_is_ignored(void **state)
{
    struct fixture *fixture = *state;
    put_letters(fixture, 1, 3, "not_json", UINT32_MAX, 1);
    put_letters(fixture, 2, 3, "not_json", UINT32_MAX, 1);
    put_letters(fixture, 2, 1, "too_late", 0, 1);
    put_letters(fixture, 2, 1, "too_late", 1, 1);
    put_letters(fixture, 2, 1, "too_late", 1, 1);
    check_letters(fixture, NULL, NULL, 10, "2 2 4 3 2 1");
}

static void dead_letters_grow_old_by_their_time(void **state)
{
    struct fixture *fixture = *state;
    put_letters(fixture, 1, 1, "not_json", UINT32_MAX, 5000);
    put_letters(fixture, 2, 1, "not_json", UINT32_MAX, 4000);
    assert_false(expire(fixture, 5500, 0, 0));
    assert_false(expire(fixture, 5500, 0, 1000));
    check_letters(fixture, NULL, NULL, 10, "1");
}

/* --- progress ----------------------------------------------------------------------------------------------------- */

static void put_progress(struct fixture *fixture, uint64_t epoch, struct store_position *positions,
                         uint32_t position_count, struct store_pipeline_progress *pipelines,
                         uint32_t pipeline_count)
{
    struct store_progress progress = {epoch, positions, position_count, pipelines, pipeline_count};
    assert_int_equal(store_begin(fixture->store, &fixture->error), STATUS_OK);
    assert_int_equal(store_put_progress(fixture->store, &progress, &fixture->error), STATUS_OK);
    assert_int_equal(store_commit(fixture->store, &fixture->error), STATUS_OK);
}

static void newest_progress_is_read_back(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena;
    struct store_progress progress;
    arena_init(&arena, 0);
    assert_int_equal(store_load_progress(fixture->store, &arena, &progress, &fixture->error), STATUS_OK);
    assert_int_equal(progress.position_count + progress.pipeline_count + progress.epoch, 0);
    struct store_position positions[] = {{"s", 1, 10, TIME_NONE, 5, TIME_NONE},
                                         {"s", 0, 20, 7, 20, TIME_MAX}};
    struct store_pipeline_progress pipelines[] = {{"p", UINT64_MAX - 1, TIME_NONE}};
    put_progress(fixture, 1, positions, 2, pipelines, 1);
    positions[0].position = 11;
    pipelines[0].closed_through_us = 99;
    put_progress(fixture, 2, positions, 1, pipelines, 1);
    reopen(fixture);
    assert_int_equal(store_load_progress(fixture->store, &arena, &progress, &fixture->error), STATUS_OK);
    assert_int_equal(progress.epoch, 2);
    assert_int_equal(progress.position_count, 2);
    const struct store_position *kept = &progress.positions[0], *changed = &progress.positions[1];
    assert_true(!strcmp(kept->source, "s") && kept->partition == 0 && kept->position == 20 &&
                kept->position_max_time_us == 7 && kept->base == 20 && kept->base_watermark_us == TIME_MAX);
    assert_true(changed->partition == 1 && changed->position == 11 &&
                changed->position_max_time_us == TIME_NONE && changed->base == 5 &&
                changed->base_watermark_us == TIME_NONE);
    assert_int_equal(progress.pipeline_count, 1);
    assert_string_equal(progress.pipelines[0].pipeline, "p");
    assert_true(progress.pipelines[0].definition_hash == UINT64_MAX - 1 &&
                progress.pipelines[0].closed_through_us == 99);
    arena_deinit(&arena);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static void second_opener_is_told_who_holds_the_directory(void **state)
{
    struct fixture *fixture = *state;
    struct store *second = NULL;
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_int_equal(store_open(fixture->data_dir, &second, &fixture->error), STATUS_BUSY);
    assert_null(second);
    assert_non_null(strstr(fixture->error.text, pid));
    assert_non_null(strstr(fixture->error.text, fixture->data_dir));
    store_close(fixture->store);
    fixture->store = open_store(fixture->data_dir);
}

static void run_sql(struct fixture *fixture, const char *text)
{
    struct buffer path = {0};
    sqlite3 *handle;
    buffer_format(&path, "%s/weir.db%c", fixture->data_dir, 0);
    assert_int_equal(sqlite3_open(path.data, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(handle);
    buffer_deinit(&path);
}

static void check_refusal(struct fixture *fixture, const char *sql, const char *message)
{
    store_close(fixture->store);
    run_sql(fixture, sql);
    assert_int_not_equal(store_open(fixture->data_dir, &fixture->store, &fixture->error), STATUS_OK);
    assert_null(fixture->store);
    assert_non_null(strstr(fixture->error.text, message));
}

static void database_of_a_newer_version_is_refused(void **state)
{
    check_refusal(*state, "PRAGMA user_version=77", "has version 77");
}

static void database_of_another_program_is_refused(void **state)
{
    check_refusal(*state, "PRAGMA application_id=5", "another program");
}

static void file_that_is_no_database_is_refused_with_a_remedy(void **state)
{
    struct fixture *fixture = *state;
    store_reader_close(fixture->reader);
    fixture->reader = NULL;
    store_close(fixture->store);
    struct buffer path = {0};
    buffer_format(&path, "%s/weir.db%c", fixture->data_dir, 0);
    FILE *file = fopen(path.data, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", file);
    fclose(file);
    assert_int_equal(store_open(fixture->data_dir, &fixture->store, &fixture->error), STATUS_IO);
    assert_non_null(strstr(fixture->error.text, "move the file away"));
    buffer_deinit(&path);
}

static void missing_directories_are_made_for_the_owner_alone(void **state)
{
    struct fixture *fixture = *state;
    struct buffer path = {0};
    buffer_format(&path, "%s/x/y%c", fixture->data_dir, 0);
    struct store *store = open_store(path.data);
    struct stat status;
    assert_int_equal(stat(path.data, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    store_close(store);
    remove_tree(path.data);
    path.data[strlen(path.data) - 2] = '\0';
    rmdir(path.data);
    assert_int_equal(store_open("/dev/null/x", &store, &fixture->error), STATUS_IO);
    assert_non_null(strstr(fixture->error.text, "\"/dev/null/x\" cannot be created"));
    buffer_deinit(&path);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(record_replaces_by_closed_then_revision_then_events),
        STORE_TEST(repeats_within_one_block_keep_the_best),
        STORE_TEST(rolled_back_rows_are_gone_and_can_be_put_again),
        STORE_TEST(pages_of_any_size_give_each_record_once_in_order),
        STORE_TEST(range_is_half_open_on_every_page),
        STORE_TEST(key_conditions_compare_text),
        STORE_TEST(foreign_cursors_are_refused),
        STORE_TEST(newest_rows_end_at_the_limit_or_when_the_visitor_has_enough),
        STORE_TEST(since_gives_the_newest_state_of_what_was_written_later),
        STORE_TEST(positions_go_on_over_restarts),
        STORE_TEST(results_go_when_they_were_written_longer_ago_than_their_age),
        STORE_TEST(expiry_goes_on_in_steps),
        STORE_TEST(dead_letters_are_listed_newest_first_with_their_bytes),
        STORE_TEST(same_dead_letter_again_is_ignored),
        STORE_TEST(dead_letters_grow_old_by_their_time),
        STORE_TEST(newest_progress_is_read_back),
        STORE_TEST(second_opener_is_told_who_holds_the_directory),
        STORE_TEST(database_of_a_newer_version_is_refused),
        STORE_TEST(database_of_another_program_is_refused),
        STORE_TEST(file_that_is_no_database_is_refused_with_a_remedy),
        STORE_TEST(missing_directories_are_made_for_the_owner_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
