/* Any bytes as a message with a pane: refused, or a pane that encodes to bytes which decode to the same bytes again, and that a
 * merger takes, twice, into windows whose records can be written. Inputs are messages without their checksum, which is put behind
 * them, since hardly any change would come past it; as they are, they must be refused. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "window/pane_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AGGREGATE_ROOM = 16, CHECKSUM_SIZE = 8, DEFINITION_OFFSET = 8 };
static struct result_shape shape = {.pipeline = "p", .key_count = 2, .key_names = {"a", "b"}};
static struct window_spec spec = {
    .shape = &shape,
    .size_us = 1000,
    .allowed_lateness_us = 1000,
    .emit_every_us = 1,
    .key_limit = 3,
    .input_count = 1,
    .partition_count = 3,
    .hash_seed = 7,
};
static struct pane_codec codec;

static void expect(bool holds)
{
    if (!holds)
        abort();
}

/* Which pipeline it is: that of the definition 0, with small states, or that of 1, with those that have blocks. */
static void fill_spec(uint64_t definition_hash)
{
    static const struct {
        const char *name;
        uint32_t argument_count;
        double parameter;
    } aggregates[2][AGGREGATE_ROOM] = {
        {{"count", 0, 0},
         {"count", 1, 0},
         {"sum", 1, 0},
         {"mean", 1, 0},
         {"min", 1, 0},
         {"max", 1, 0},
         {"stddev", 1, 0},
         {"stddev_pop", 1, 0},
         {"variance", 1, 0},
         {"first", 1, 0},
         {"last", 1, 0}},
        {{"median", 1, 0}, {"percentile", 2, 99.5}, {"distinct_count", 1, 0}, {"top", 2, 3}, {"rate", 0, 0}},
    };
    codec.definition_hash = definition_hash;
    spec.aggregate_count = 0;
    for (uint32_t i = 0; aggregates[definition_hash][i].name; i++) {
        const char *name = aggregates[definition_hash][i].name;
        uint32_t argument_count = aggregates[definition_hash][i].argument_count;
        struct error error;
        shape.value_names[i] = name;
        spec.aggregates[i] = (struct window_aggregate){
            .kind = aggregate_kind_find(slice_of(name), argument_count, &error),
            .input = argument_count > 0 ? 0 : -1,
            .parameter = aggregates[definition_hash][i].parameter,
        };
        expect(spec.aggregates[i].kind != NULL);
        spec.aggregate_count++;
    }
    shape.value_count = spec.aggregate_count;
}

static void drop_block(void *context, struct result_block *block)
{
    (void)context;
    result_block_encode(block);
    result_block_release(block);
}

static struct pane *decode(struct window_merger *merger, struct slice message)
{
    struct error error = {""};
    struct pane *pane;
    enum status status = window_merger_decode(merger, &codec, message, &pane, &error);
    expect(status == STATUS_OK ? pane && !error.text[0] : status == STATUS_INVALID && !pane && error.text[0]);
    return pane;
}

/* One message is enough for what was one message. */
static void encode(const struct pane *pane, struct buffer *out)
{
    struct pane_encoder encoder;
    struct slice message;
    pane_encoder_init(&encoder, &codec);
    pane_encode(&encoder, pane);
    expect(pane_encoder_next(&encoder, &message));
    buffer_append_slice(out, message);
    expect(!pane_encoder_next(&encoder, &message));
    pane_encoder_deinit(&encoder);
}

static void check_round_trip(struct window_merger *merger, struct pane *pane)
{
    struct buffer first = {0}, second = {0};
    encode(pane, &first);
    struct pane *again = decode(merger, buffer_slice(&first));
    expect(again != NULL);
    encode(again, &second);
    expect(slice_equal(buffer_slice(&first), buffer_slice(&second)));
    window_merger_add(merger, again, 0);
    buffer_deinit(&first);
    buffer_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fill_spec(size > DEFINITION_OFFSET && data[DEFINITION_OFFSET] == 1);
    struct window_merger *merger = window_merger_create(&spec, drop_block, NULL);
    struct clock clock = clock_manual(1000);
    char *message = malloc(size + CHECKSUM_SIZE); /* of this size, so that a read behind it is seen */
    if (size)
        memcpy(message, data, size);
    uint64_t checksum = hash_bytes(message, size, 0);
    for (uint32_t i = 0; i < CHECKSUM_SIZE; i++)
        message[size + i] = (char)(checksum >> i * 8);
    expect(decode(merger, (struct slice){(const char *)data, size}) == NULL);
    struct pane *pane = decode(merger, (struct slice){message, size + CHECKSUM_SIZE});
    if (pane) {
        check_round_trip(merger, pane);
        window_merger_add(merger, pane, 0);
        (void)window_merger_tick(merger, &clock);
        window_merger_advance(merger, TIME_MAX, CLOSED_BY_END_OF_INPUT, &clock);
    }
    free(message);
    window_merger_destroy(merger);
    return 0;
}
