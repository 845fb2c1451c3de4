/* A hub with two pipelines and two sources, connections that keep what they are sent, and a store made of an array. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "hub/hub.h"

enum { MS = 1000, SECOND = 1000 * 1000, WALL_OFFSET = 1000 * SECOND, FAKE_QUEUE = 256 * 1024 };

static const char *const fixture_pipelines[] = {"revenue", "visits"};
static const char *const fixture_sources[] = {"clicks", "orders"};
static const struct result_shape fixture_shapes[] = {
    {.pipeline = "revenue",
     .pipeline_index = 0,
     .key_count = 1,
     .key_names = {"country"},
     .value_count = 1,
     .value_names = {"n"}},
    {.pipeline = "visits",
     .pipeline_index = 1,
     .key_count = 1,
     .key_names = {"country"},
     .value_count = 1,
     .value_names = {"n"}},
};

struct fake_connection {
    struct hub_client *client;
    struct buffer bytes; /* all that was sent */
    size_t read_at;      /* of the bytes, by fake_next */
    size_t written;      /* of the bytes, to the imagined socket */
    size_t most_queued;
    bool is_stalled; /* its socket takes nothing */
    uint32_t frame_count;
    const struct frame *last_frame;
    uint16_t close_code;
    const char *close_reason;
    struct buffer message; /* the one fake_next returned last */
};

struct asked_history {
    uint64_t ticket, boot_id, sequence;
    uint32_t limit;
};

struct hub_fixture {
    struct hub *hub;
    struct hub_input input;
    int64_t now_us;
    uint64_t boot_id, next_sequence;
    bool is_stored[2];
    bool wanted[2];
    uint32_t metrics_count, sent_blocks;
    bool has_store;
    struct asked_history asked[256];
    uint32_t asked_count;
};

static inline void fixture_want_events(void *context, uint32_t source_index, bool is_wanted)
{
    ((struct hub_fixture *)context)->wanted[source_index] = is_wanted;
}

static inline void fixture_metrics(void *context, struct buffer *out)
{
    buffer_format(out, "{\"count\":%u}", ++((struct hub_fixture *)context)->metrics_count);
}

static inline void fixture_status(void *context, struct buffer *out)
{
    (void)context;
    buffer_append_text(out, "{\"status\":\"ok\"}");
}

static inline bool fixture_history(void *context, uint64_t ticket, uint64_t boot_id, uint64_t sequence,
                                   uint32_t limit)
{
    struct hub_fixture *fixture = context;
    assert_true(fixture->asked_count < 256);
    if (fixture->has_store)
        fixture->asked[fixture->asked_count++] = (struct asked_history){ticket, boot_id, sequence, limit};
    return fixture->has_store;
}

static inline void fixture_sent(void *context, int64_t arrival_us, int64_t emitted_us)
{
    assert_true(arrival_us <= emitted_us);
    ((struct hub_fixture *)context)->sent_blocks++;
}

static const struct hub_server_operations fixture_server = {.want_events = fixture_want_events,
                                                            .write_metrics = fixture_metrics,
                                                            .write_system_status = fixture_status,
                                                            .read_history = fixture_history,
                                                            .results_sent = fixture_sent};

static inline void fixture_open(struct hub_fixture *fixture, uint64_t boot_id, uint32_t rate_limit)
{
    *fixture = (struct hub_fixture){
        .now_us = 5 * SECOND, .boot_id = boot_id, .is_stored = {true, true}, .has_store = true};
    hub_input_init(&fixture->input, NULL, NULL);
    fixture->hub = hub_create(&(struct hub_options){.boot_id = boot_id,
                                                    .seed = 7,
                                                    .pipelines = fixture_pipelines,
                                                    .pipeline_is_stored = fixture->is_stored,
                                                    .pipeline_count = 2,
                                                    .sources = fixture_sources,
                                                    .source_count = 2,
                                                    .client_queue_size = FAKE_QUEUE,
                                                    .rate_limit_per_minute = rate_limit,
                                                    .server = &fixture_server,
                                                    .server_context = fixture,
                                                    .now_us = fixture->now_us,
                                                    .wall_now_us = fixture->now_us + WALL_OFFSET});
    hub_add_input(fixture->hub, &fixture->input);
}

static inline void fixture_close(struct hub_fixture *fixture)
{
    assert_int_equal(hub_statistics(fixture->hub).clients, 0);
    assert_int_equal(hub_statistics(fixture->hub).subscriptions, 0);
    assert_int_equal(hub_statistics(fixture->hub).groups, 0);
    hub_destroy(fixture->hub);
    hub_input_deinit(&fixture->input);
}

/* Turns until the hub is content, then moves the clock. */
static inline void fixture_turn(struct hub_fixture *fixture, int64_t step_us)
{
    while (hub_turn(fixture->hub, fixture->now_us, fixture->now_us + WALL_OFFSET) <= fixture->now_us) {}
    fixture->now_us += step_us;
}

/* --- connections --- */

static inline void fake_send(void *context, struct frame *frame)
{
    struct fake_connection *fake = context;
    assert_int_equal(fake->close_code, 0);
    assert_true(frame->size > 0);
    buffer_append(&fake->bytes, frame->data, frame->size);
    fake->frame_count++;
    fake->last_frame = frame;
    if (!fake->is_stalled)
        fake->written = fake->bytes.size;
    if (fake->bytes.size - fake->written > fake->most_queued)
        fake->most_queued = fake->bytes.size - fake->written;
    frame_release(frame);
}

static inline size_t fake_queued(const void *context)
{
    const struct fake_connection *fake = context;
    return fake->bytes.size - fake->written;
}

static inline void fake_close(void *context, uint16_t code, const char *reason)
{
    struct fake_connection *fake = context;
    assert_int_equal(fake->close_code, 0);
    fake->close_code = code;
    fake->close_reason = reason;
}

static const struct hub_connection_operations fake_operations = {fake_send, fake_queued, fake_close};

static inline void fake_open(struct hub_fixture *fixture, struct fake_connection *fake)
{
    *fake = (struct fake_connection){0};
    fake->client = hub_client_create(fixture->hub, &fake_operations, fake);
}

static inline void fake_leave(struct fake_connection *fake)
{
    hub_client_destroy(fake->client);
    buffer_deinit(&fake->bytes);
    buffer_deinit(&fake->message);
}

/* The socket takes up to `size` bytes more. */
static inline void fake_drain(struct fake_connection *fake, size_t size)
{
    size_t left = fake->bytes.size - fake->written;
    fake->written += left < size ? left : size;
    hub_client_drained(fake->client);
}

static inline void fake_say(struct hub_fixture *fixture, struct fake_connection *fake, const char *text)
{
    /* Exactly its bytes on the heap, so that a read behind them is seen. */
    size_t size = strlen(text);
    char *copy = malloc(size + 1);
    memcpy(copy, text, size);
    char *exact = realloc(copy, size ? size : 1);
    hub_client_message(fake->client, (struct slice){exact, size}, fixture->now_us,
                       fixture->now_us + WALL_OFFSET);
    free(exact);
}

/* The next whole message, NUL-terminated, or NULL. */
static inline const char *fake_next(struct fake_connection *fake)
{
    if (fake->read_at == fake->bytes.size)
        return NULL;
    const unsigned char *at = (const unsigned char *)fake->bytes.data + fake->read_at;
    assert_int_equal(at[0], 0x81);
    size_t size = at[1], head = 2;
    if (size >= 126) {
        unsigned count = size == 126 ? 2 : 8;
        size = 0;
        for (unsigned i = 0; i < count; i++)
            size = size << 8 | at[2 + i];
        assert_true(size >= (count == 2 ? 126u : 65536u));
        head += count;
    }
    assert_true(fake->read_at + head + size <= fake->bytes.size);
    buffer_clear(&fake->message);
    buffer_append(&fake->message, at + head, size);
    buffer_append_char(&fake->message, '\0');
    fake->read_at += head + size;
    return fake->message.data;
}

static inline const char *fake_expect(struct fake_connection *fake, const char *part)
{
    const char *message = fake_next(fake);
    if (!message || !strstr(message, part))
        fail_msg("expected a message with %s, got %s", part, message ? message : "none");
    return message;
}

static inline void fake_expect_none(struct fake_connection *fake)
{
    const char *message = fake_next(fake);
    if (message)
        fail_msg("expected no message, got %s", message);
}

/* Copies the text of a string member of the newest message. */
static inline void fake_member(const struct fake_connection *fake, const char *name, char *out, size_t size)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":\"", name);
    const char *begin = strstr(fake->message.data, quoted);
    if (!begin)
        fail_msg("no %s in %s", name, fake->message.data);
    begin += strlen(quoted);
    snprintf(out, size, "%.*s", (int)strcspn(begin, "\""), begin);
}

/* Subscribes, reads the confirmation. `options`: further members of data, beginning with a comma. */
static inline void fake_subscribe(struct hub_fixture *fixture, struct fake_connection *fake, const char *type,
                                  const char *options)
{
    struct buffer text = {0};
    buffer_format(&text, "{\"type\":\"subscribe\",\"data\":{\"type\":\"%s\"%s}}", type, options);
    buffer_append_char(&text, '\0');
    fake_say(fixture, fake, text.data);
    buffer_deinit(&text);
    fake_expect(fake, "\"status\":\"subscribed\"");
}

static inline int64_t fake_number(const struct fake_connection *fake, const char *name)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    const char *at = strstr(fake->message.data, quoted);
    if (!at)
        fail_msg("no %s in %s", name, fake->message.data);
    return atoll(at + strlen(quoted));
}

static inline void fake_expect_rows(struct fake_connection *fake, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fake_expect(fake, "\"result\":");
        assert_int_equal(fake_number(fake, "n"), numbers[i]);
    }
    fake_expect_none(fake);
}

/* --- records --- */

struct fixture_row {
    uint32_t pipeline;
    const char *key; /* NULL: null */
    int64_t window;  /* seconds */
    int64_t n;
    enum emit_kind emit;
    uint32_t revision;
};

static inline void fixture_fill_row(struct result_block *block, const struct fixture_row *row)
{
    uint32_t i = block->row_count++;
    block->window_starts_us[i] = row->window * SECOND;
    block->window_ends_us[i] = (row->window + 1) * SECOND;
    block->emits[i] = (uint8_t)row->emit;
    block->causes[i] = CLOSED_BY_WATERMARK;
    block->revisions[i] = row->revision;
    block->on_time[i] = (uint64_t)row->n;
    block->late_accepted[i] = block->late_dropped[i] = block->type_errors[i] = 0;
    block->watermarks_us[i] = TIME_NONE;
    block->keys[0].kinds[i] = row->key ? VALUE_STRING : VALUE_NULL;
    if (row->key) {
        block->keys[0].values[i].s =
            (struct text_reference){(uint32_t)block->bytes.size, (uint32_t)strlen(row->key)};
        buffer_append_text(&block->bytes, row->key);
    }
    block->values[0].kinds[i] = VALUE_INT;
    block->values[0].values[i].i = row->n;
}

static inline void fixture_emit_rows(struct hub_fixture *fixture, const struct fixture_row *rows,
                                     uint32_t count)
{
    struct result_block *block = result_block_create(&fixture_shapes[rows[0].pipeline], count);
    block->first_sequence = fixture->next_sequence;
    block->arrival_us = block->emitted_us = fixture->now_us;
    for (uint32_t i = 0; i < count; i++)
        fixture_fill_row(block, &rows[i]);
    fixture->next_sequence += count;
    result_block_encode(block);
    assert_true(ring_push(&fixture->input.results, block));
}

/* A final row of "revenue". */
static inline void fixture_emit(struct hub_fixture *fixture, const char *key, int64_t window, int64_t n)
{
    struct fixture_row row = {.key = key, .window = window, .n = n, .emit = EMIT_FINAL};
    fixture_emit_rows(fixture, &row, 1);
}

static inline void fixture_event(struct hub_fixture *fixture, uint32_t source, const char *text)
{
    struct batch *batch = batch_create();
    batch->source_index = source;
    batch->partition = 3;
    batch_append(batch, slice_of(text), 41, TIME_NONE);
    batch_prepare_columns(batch, 0);
    batch->row_count = 1;
    batch->row_records[0] = 0;
    batch->offsets[0] = 41;
    batch->event_times_us[0] = 0;
    uint32_t row = 0;
    hub_input_push_events(&fixture->input, event_block_create(fixture_sources[source], batch, &row, 1));
    batch_destroy(batch);
}

/* Answers the oldest history question of the hub. */
static inline void answer(struct hub_fixture *fixture, enum status status, const struct store_result *rows,
                          uint32_t count)
{
    assert_true(fixture->asked_count > 0);
    struct asked_history asked = fixture->asked[0];
    fixture->asked_count--;
    memmove(fixture->asked, fixture->asked + 1, fixture->asked_count * sizeof asked);
    hub_history_answer(fixture->hub, asked.ticket, status, rows, count);
}

static inline struct store_result stored(const char *json, const char *pipeline, const char *key,
                                         int64_t window, uint64_t boot_id, uint64_t sequence)
{
    return (struct store_result){slice_of(json), slice_of(pipeline), slice_of(key), window * SECOND, boot_id,
                                 sequence};
}
