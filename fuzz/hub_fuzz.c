/* Messages of clients, line by line, to a hub that delivers in between. A line that begins with '!' is no message but an
 * order to the world: `!r` emits results, `!e` events, `!t` lets time pass, `!s` stalls the socket, `!d` drains it,
 * `!h` lets the store answer, `!n` is a second client's turn. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/hub.h"

enum { CLIENT_COUNT = 2, QUEUE_SIZE = 64 * 1024 };

struct fake {
    struct hub_client *client;
    size_t queued_size;
    bool is_stalled, is_closed;
};

struct world {
    struct hub *hub;
    struct hub_input input;
    struct fake fakes[CLIENT_COUNT];
    int64_t now_us;
    uint64_t next_sequence, ticket;
    unsigned speaker;
};

static const char *const pipelines[] = {"p", "q"};
static const char *const sources[] = {"s"};
static const struct result_shape shapes[] = {
    {.pipeline = "p",
     .pipeline_index = 0,
     .key_count = 1,
     .key_names = {"k"},
     .value_count = 1,
     .value_names = {"n"}},
    {.pipeline = "q",
     .pipeline_index = 1,
     .key_count = 1,
     .key_names = {"k"},
     .value_count = 1,
     .value_names = {"n"}},
};

static void take_frame(void *context, struct frame *frame)
{
    struct fake *fake = context;
    assert(!fake->is_closed);
    /* Every block is whole WebSocket text frames. */
    for (size_t at = 0; at < frame->size;) {
        const unsigned char *head = (const unsigned char *)frame->data + at;
        assert(frame->size - at >= 2 && head[0] == 0x81);
        size_t size = head[1], head_size = size < 126 ? 2 : size == 126 ? 4 : 10;
        if (head_size > 2)
            size = 0;
        for (size_t i = 2; i < head_size; i++)
            size = size << 8 | head[i];
        assert(size > 1 && size <= frame->size - at - head_size);
        assert(head[head_size] == '{' && head[head_size + size - 1] == '}');
        at += head_size + size;
    }
    if (fake->is_stalled)
        fake->queued_size += frame->size;
    assert(fake->queued_size <= QUEUE_SIZE);
    frame_release(frame);
}

static size_t queued(const void *context)
{
    return ((const struct fake *)context)->queued_size;
}

static void take_close(void *context, uint16_t code, const char *reason)
{
    struct fake *fake = context;
    assert(!fake->is_closed && code == 1013 && reason);
    fake->is_closed = true;
}

static const struct hub_connection_operations connection = {take_frame, queued, take_close};

static void write_object(void *context, struct buffer *out)
{
    (void)context;
    buffer_append_text(out, "{\"x\":1}");
}

static bool read_history(void *context, uint64_t ticket, uint64_t boot_id, uint64_t sequence, uint32_t limit)
{
    (void)boot_id;
    (void)sequence;
    assert(limit > 0);
    ((struct world *)context)->ticket = ticket;
    return true;
}

static const struct hub_server_operations server = {
    .write_metrics = write_object, .write_system_status = write_object, .read_history = read_history};

static void emit_results(struct world *world)
{
    enum { ROW_COUNT = 20 };
    struct result_block *block = result_block_create(&shapes[world->next_sequence % 2], ROW_COUNT);
    block->first_sequence = world->next_sequence;
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        block->window_starts_us[i] = (int64_t)(world->next_sequence / 8) * 1000;
        block->window_ends_us[i] = block->window_starts_us[i] + 1000;
        block->emits[i] = (uint8_t)(world->next_sequence % 3);
        block->causes[i] = CLOSED_BY_WATERMARK;
        block->revisions[i] = i;
        block->on_time[i] = i;
        block->late_accepted[i] = block->late_dropped[i] = block->type_errors[i] = 0;
        block->watermarks_us[i] = TIME_NONE;
        block->keys[0].kinds[i] = block->values[0].kinds[i] = VALUE_INT;
        block->keys[0].values[i].i = i % 7;
        block->values[0].values[i].i = (int64_t)world->next_sequence++;
        block->row_count++;
    }
    result_block_encode(block);
    if (!ring_push(&world->input.results, block))
        result_block_release(block);
}

static void emit_event(struct world *world)
{
    static const char text[] = "{\"a\":{\"b\":[1,\"x\"]},\"k\":\"v\\u00e9\",\"n\":1.5}";
    struct batch *batch = batch_create();
    batch_append(batch, slice_of(text), 0, TIME_NONE);
    batch_prepare_columns(batch, 0);
    batch->row_count = 1;
    batch->row_records[0] = 0;
    batch->offsets[0] = 0;
    batch->event_times_us[0] = 0;
    hub_input_push_events(&world->input, event_block_create("s", batch, &(uint32_t){0}, 1));
    batch_destroy(batch);
}

static void answer_history(struct world *world)
{
    struct store_result row = {.json = SLICE("{\"key\":{\"k\":3},\"values\":{\"n\":4},\"emit\":\"final\"}"),
                               .pipeline = SLICE("p"),
                               .key_json = SLICE("[3]"),
                               .boot_id = 1,
                               .sequence = 7};
    hub_history_answer(world->hub, world->ticket, world->ticket % 3 ? STATUS_OK : STATUS_NOT_FOUND, &row, 1);
}

static void obey(struct world *world, char order)
{
    struct fake *fake = &world->fakes[world->speaker];
    switch (order) {
    case 'r': emit_results(world); break;
    case 'e': emit_event(world); break;
    case 't': world->now_us += 600 * 1000; break;
    case 's': fake->is_stalled = true; break;
    case 'd':
        fake->queued_size /= 2;
        fake->is_stalled = fake->queued_size > 0;
        hub_client_drained(fake->client);
        break;
    case 'h': answer_history(world); break;
    case 'n': world->speaker = (world->speaker + 1) % CLIENT_COUNT; break;
    default: break;
    }
    for (int i = 0; i < 100 && hub_turn(world->hub, world->now_us, world->now_us) <= world->now_us; i++) {}
}

static void say(struct world *world, const uint8_t *text, size_t size)
{
    char *copy = malloc(size ? size : 1);
    memcpy(copy, text, size);
    hub_client_message(world->fakes[world->speaker].client, (struct slice){copy, size}, world->now_us,
                       world->now_us);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *world = calloc(1, sizeof *world);
    hub_input_init(&world->input, NULL, NULL);
    world->hub = hub_create(&(struct hub_options){.boot_id = 2,
                                                  .seed = 1,
                                                  .pipelines = pipelines,
                                                  .pipeline_count = 2,
                                                  .sources = sources,
                                                  .source_count = 1,
                                                  .client_queue_size = QUEUE_SIZE,
                                                  .server = &server,
                                                  .server_context = world});
    hub_add_input(world->hub, &world->input);
    for (int i = 0; i < CLIENT_COUNT; i++)
        world->fakes[i].client = hub_client_create(world->hub, &connection, &world->fakes[i]);
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t line_size = end ? (size_t)(end - (data + at)) : size - at;
        if (line_size == 2 && data[at] == '!')
            obey(world, (char)data[at + 1]);
        else
            say(world, data + at, line_size);
        at += line_size + 1;
    }
    obey(world, 't');
    struct buffer description = {0};
    for (int i = 0; i < CLIENT_COUNT; i++) {
        hub_client_describe(world->fakes[i].client, &description);
        hub_client_destroy(world->fakes[i].client);
    }
    buffer_deinit(&description);
    struct hub_statistics statistics = hub_statistics(world->hub);
    assert(statistics.clients == 0 && statistics.subscriptions == 0 && statistics.groups == 0);
    hub_destroy(world->hub);
    hub_input_deinit(&world->input);
    free(world);
    return 0;
}
