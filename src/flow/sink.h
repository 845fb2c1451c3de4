/* What every kind of sink is to the engine: something that result blocks are written to, by one outlet thread. A kind is one file
 * in sink/ and one line in the list of kinds. A sink may see a block again after a restart: records replace each other by id. */
#pragma once

#include "base/error.h"
#include "flow/result.h"

struct sink;

struct sink_operations {
    const char *kind; /* "file", "console", "blackhole" */
    bool needs_json;  /* blocks must be encoded before write() */
    /* Takes the block's rows, perhaps into a buffer; the reference stays the caller's. On failure nothing of the block
     * may be kept in the buffer: the outlet offers the same block again after a pause. */
    enum status (*write)(struct sink *sink, const struct result_block *block, struct error *error);
    /* What was written is durable (as far as the kind can promise) when this returns STATUS_OK. Retried likewise. */
    enum status (*flush)(struct sink *sink, struct error *error);
    void (*close)(struct sink *sink);
};

/* First member of every kind's own struct. */
struct sink {
    const struct sink_operations *operations;
};

static inline enum status sink_write(struct sink *sink, const struct result_block *block, struct error *error)
{
    return sink->operations->write(sink, block, error);
}

static inline enum status sink_flush(struct sink *sink, struct error *error)
{
    return sink->operations->flush(sink, error);
}

static inline void sink_close(struct sink *sink)
{
    sink->operations->close(sink);
}
