/* Any bytes as a message with a pane: refused, or a pane that encodes to bytes which decode to the same bytes again, and that a
 * merger takes, twice, into windows whose records can be written. Inputs are messages without their checksum, which is put behind
 * them, since hardly any change would come past it; as they are, they must be refused. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "window/pane_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AGGREGATES = 11, CHECKSUM_SIZE = 8 };
static struct result_shape shape = {
    .pipeline = "p", .key_count = 2, .key_names = {"a", "b"}, .value_count = AGGREGATES};
static struct window_spec spec = {
    .shape = &shape,
    .size_us = 1000,
    .allowed_lateness_us = 1000,
    .emit_every_us = 1,
    .key_limit = 3,
    .aggregate_count = AGGREGATES,
    .input_count = 1,
    .partition_count = 3,
    .hash_seed = 7,
};
static const struct pane_codec codec = {.definition_hash = 0};

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static void fill_spec(void)
{
    static const char *const names[AGGREGATES] = {"count",  "count",      "sum",      "mean",  "min", "max",
                                                  "stddev", "stddev_pop", "variance", "first", "last"};
    for (uint32_t i = 0; i < AGGREGATES; i++) {
        struct error error;
        shape.value_names[i] = names[i];
        spec.aggregates[i].kind = aggregate_kind_find(slice_of(names[i]), i > 0, &error);
        spec.aggregates[i].input = i > 0 ? 0 : -1;
        expect(spec.aggregates[i].kind != NULL);
    }
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
    fill_spec();
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
