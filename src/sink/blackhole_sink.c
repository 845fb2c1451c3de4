/* Takes everything and keeps nothing, for measuring what the way to a sink costs. Blocks need not be encoded for
 * it. */
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "sink/sink_internal.h"

struct blackhole_sink {
    struct sink sink;
    uint64_t row_count;
};

static enum status blackhole_write(struct sink *sink, const struct result_block *block, struct error *error)
{
    (void)error;
    ((struct blackhole_sink *)sink)->row_count += block->row_count;
    return STATUS_OK;
}

static enum status blackhole_write_output(struct sink *sink, const struct output_block *block,
                                          struct error *error)
{
    (void)error;
    ((struct blackhole_sink *)sink)->row_count += block->row_count;
    return STATUS_OK;
}

static enum status blackhole_flush(struct sink *sink, struct error *error)
{
    (void)sink;
    (void)error;
    return STATUS_OK;
}

static void blackhole_close(struct sink *sink)
{
    log_write(LOG_INFO, "sink", "blackhole took %llu records",
              (unsigned long long)((struct blackhole_sink *)sink)->row_count);
    free(sink);
}

static const struct sink_operations blackhole_operations = {.kind = "blackhole",
                                                            .write = blackhole_write,
                                                            .write_output = blackhole_write_output,
                                                            .flush = blackhole_flush,
                                                            .close = blackhole_close};

struct sink *blackhole_sink_open(void)
{
    struct blackhole_sink *blackhole = memory_allocate(sizeof *blackhole);
    blackhole->sink.operations = &blackhole_operations;
    return &blackhole->sink;
}
