/* Made-up traffic: the same events wherever a reader begins, in the shares and at the rate that were asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/buffer.h"
#include "decode/decoder.h"
#include "source/generator.h"

#define START_US INT64_C(1700000000000000)
enum { SECOND_US = 1000000 };

static struct config_generator_source traffic(uint64_t count)
{
    return (struct config_generator_source){
        .seed = 7, .count = count, .users = 100, .start_us = START_US, .disorder_us = 2 * SECOND_US};
}

static struct source_reader *open_reader(const struct config_generator_source *config, uint32_t partition,
                                         uint32_t partitions, int64_t offset)
{
    return generator_reader_open(config, partition, partitions, (struct source_position){offset},
                                 &clock_system);
}

/* All records as text, until the end. */
static uint64_t read_all(struct source_reader *reader, uint32_t max_records, struct buffer *out)
{
    struct batch *batch = batch_create();
    int64_t next_us;
    uint64_t count = 0;
    enum status status;
    while ((status = source_read(reader, max_records, INT64_MAX, batch, &next_us, NULL)) == STATUS_OK) {
        for (uint32_t i = 0; i < batch->record_count; i++) {
            buffer_format(out, "%lld %lld ", (long long)batch->records[i].offset,
                          (long long)batch->records[i].time_us);
            buffer_append_slice(out, batch_record_text(batch, i));
            buffer_append_char(out, '\n');
        }
        count += batch->record_count;
        batch_reset(batch);
    }
    assert_int_equal(status, STATUS_END);
    batch_destroy(batch);
    reader->operations->close(reader);
    return count;
}

static void same_seed_gives_same_events_from_any_offset(void **state)
{
    (void)state;
    struct config_generator_source config = traffic(1000);
    config.disorder_share = config.late_share = config.bad_share = config.future_share = 0.1;
    struct buffer whole = {0}, again = {0}, rest = {0}, other = {0};
    read_all(open_reader(&config, 0, 1, 0), 1000, &whole);
    read_all(open_reader(&config, 0, 1, 0), 7, &again);
    assert_int_equal(whole.size, again.size);
    assert_memory_equal(whole.data, again.data, whole.size);
    assert_int_equal(read_all(open_reader(&config, 0, 1, 600), 100, &rest), 400);
    assert_memory_equal(rest.data, whole.data + (whole.size - rest.size), rest.size);
    config.seed = 8;
    read_all(open_reader(&config, 0, 1, 0), 1000, &other);
    assert_true(other.size != whole.size || memcmp(other.data, whole.data, whole.size) != 0);
    buffer_deinit(&whole);
    buffer_deinit(&again);
    buffer_deinit(&rest);
    buffer_deinit(&other);
}

static void count_is_of_all_partitions_together(void **state)
{
    (void)state;
    struct config_generator_source config = traffic(10);
    uint64_t counts[4], total = 0;
    for (uint32_t i = 0; i < 4; i++) {
        struct buffer text = {0};
        counts[i] = read_all(open_reader(&config, i, 4, 0), 100, &text);
        total += counts[i];
        buffer_deinit(&text);
    }
    assert_int_equal(total, 10);
    assert_int_equal(counts[0], 3);
    assert_int_equal(counts[3], 2);
}

/* Counts as the decoder sees them. */
struct tally {
    uint64_t rows, bad, future, disordered, late, kinds_of_bad;
    uint64_t bad_by_reason[BAD_REASON_COUNT];
    uint64_t purchases, amounts;
};

static void add_batch(struct tally *tally, const struct batch *batch, uint32_t type, uint32_t amount)
{
    tally->rows += batch->row_count;
    tally->bad += batch->bad_count;
    for (uint32_t i = 0; i < batch->bad_count; i++)
        tally->bad_by_reason[batch->bad[i].reason]++;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        int64_t behind_us = batch->records[batch->row_records[row]].time_us - batch->event_times_us[row];
        tally->disordered += behind_us > 1000 && behind_us <= 2 * SECOND_US + 1000;
        tally->late += behind_us > 2 * SECOND_US + 1000;
        assert_int_equal(batch->columns[type].kinds[row], VALUE_STRING);
        bool is_purchase =
            slice_equal_text(batch_text(batch, batch->columns[type].values[row].s), "purchase");
        tally->purchases += is_purchase;
        tally->amounts += is_purchase && batch->columns[amount].kinds[row] == VALUE_DOUBLE;
    }
}

static void shares_are_what_was_asked_for(void **state)
{
    (void)state;
    struct config_generator_source config = traffic(20000);
    config.disorder_share = 0.2;
    config.late_share = 0.05;
    config.bad_share = 0.1;
    config.future_share = 0.03;
    struct schema schema;
    schema_init(&schema);
    uint32_t time, type, amount;
    assert_int_equal(schema_add_text(&schema, SLICE("timestamp"), &time, NULL), STATUS_OK);
    assert_int_equal(schema_add_text(&schema, SLICE("event_type"), &type, NULL), STATUS_OK);
    assert_int_equal(schema_add_text(&schema, SLICE("properties.amount"), &amount, NULL), STATUS_OK);
    struct decoder *decoder =
        decoder_create(&(struct decoder_options){.schema = &schema,
                                                 .time_column = time,
                                                 .max_future_skew_us = 300 * INT64_C(1000000),
                                                 .use_shapes = true});
    struct source_reader *reader = open_reader(&config, 0, 1, 0);
    struct batch *batch = batch_create();
    struct tally tally = {0};
    int64_t next_us;
    while (source_read(reader, 1000, INT64_MAX, batch, &next_us, NULL) == STATUS_OK) {
        decoder_run(decoder, batch);
        add_batch(&tally, batch, type, amount);
        batch_reset(batch);
    }
    assert_int_equal(tally.rows + tally.bad, 20000);
    uint64_t future = tally.bad_by_reason[BAD_FUTURE_TIME], bad = tally.bad - future;
    assert_in_range(bad, 1800, 2200);
    assert_in_range(future, 450, 650); /* bad ones among them are bad for another reason */
    assert_in_range(tally.late, 800, 1000);
    assert_in_range(tally.disordered, 3300, 3900);
    const enum bad_reason reasons[] = {BAD_NOT_JSON, BAD_NOT_OBJECT, BAD_DUPLICATE_KEY,
                                       BAD_TOO_DEEP, BAD_NO_TIME,    BAD_ABSURD_TIME};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        assert_true(tally.bad_by_reason[reasons[i]] > 100);
    assert_true(tally.purchases > 1000);
    assert_int_equal(tally.purchases, tally.amounts);
    batch_destroy(batch);
    decoder_destroy(decoder);
    reader->operations->close(reader);
    schema_deinit(&schema);
}

static void rate_follows_the_clock_and_lag_is_what_is_due(void **state)
{
    (void)state;
    struct config_generator_source config = traffic(0);
    config.rate_per_second = 1000;
    struct clock clock = clock_manual(5);
    struct source_reader *reader = generator_reader_open(&config, 1, 2, (struct source_position){0}, &clock);
    struct batch *batch = batch_create();
    int64_t next_us;
    uint64_t count = 0;
    while (clock.fixed_us < 5 + 2 * SECOND_US) {
        if (source_read(reader, 10, INT64_MAX, batch, &next_us, NULL) == STATUS_OK) {
            count += batch->record_count;
            batch_reset(batch);
        } else {
            assert_true(next_us > clock.fixed_us);
            clock.fixed_us = next_us;
        }
    }
    assert_in_range(count, 995, 1005); /* half of 1000/s for 2 s */
    clock.fixed_us += SECOND_US;
    assert_int_equal(source_read(reader, 10, INT64_MAX, batch, &next_us, NULL), STATUS_OK);
    assert_in_range(reader->operations->end_offset(reader) - (int64_t)count, 499, 502);
    batch_destroy(batch);
    reader->operations->close(reader);
}

static void replayed_offsets_are_made_at_once(void **state)
{
    (void)state;
    struct config_generator_source config = traffic(0);
    config.rate_per_second = 1;
    struct clock clock = clock_manual(5);
    struct source_reader *reader =
        generator_reader_open(&config, 0, 1, (struct source_position){100}, &clock);
    struct batch *batch = batch_create();
    int64_t next_us;
    assert_int_equal(source_read(reader, 1000, 150, batch, &next_us, NULL), STATUS_OK);
    assert_int_equal(batch->record_count, 50);
    assert_int_equal(batch->records[0].offset, 100);
    assert_int_equal(batch->records[0].time_us, START_US + 100 * INT64_C(1000000));
    batch_destroy(batch);
    reader->operations->close(reader);
}

static void start_now_never_repeats_an_offset(void **state)
{
    (void)state;
    struct config_generator_source config = traffic(0);
    config.start_us = TIME_NONE;
    struct clock clock = clock_manual(START_US);
    struct batch *batch = batch_create();
    int64_t next_us, last_offset = 0;
    for (int run = 0; run < 2; run++) {
        struct source_reader *reader =
            generator_reader_open(&config, 0, 1, (struct source_position){0}, &clock);
        assert_int_equal(source_read(reader, 1000, INT64_MAX, batch, &next_us, NULL), STATUS_OK);
        assert_true(batch->records[0].offset > last_offset);
        assert_int_equal(batch->records[0].time_us, clock.fixed_us);
        last_offset = batch->records[batch->record_count - 1].offset;
        batch_reset(batch);
        reader->operations->close(reader);
        clock.fixed_us += SECOND_US;
    }
    batch_destroy(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_gives_same_events_from_any_offset),
        cmocka_unit_test(count_is_of_all_partitions_together),
        cmocka_unit_test(shares_are_what_was_asked_for),
        cmocka_unit_test(rate_follows_the_clock_and_lag_is_what_is_due),
        cmocka_unit_test(replayed_offsets_are_made_at_once),
        cmocka_unit_test(start_now_never_repeats_an_offset),
    };
    return cmocka_run_group_tests_name("generator", tests, NULL, NULL);
}
