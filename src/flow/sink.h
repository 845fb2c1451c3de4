/* What every kind of sink is to the engine: something that result blocks, and blocks of events, are written to, by one outlet thread. A kind is one file
 * in sink/ and one line in the list of kinds. A sink may see a block again after a restart: records replace each other by id. */
#pragma once

#include "base/error.h"
#include "flow/output.h"
#include "flow/result.h"

struct sink;

/* A position of the source that a transactional sink commits together with what it was given. */
struct sink_offset {
    const char *topic;
    int32_t partition;
    int64_t offset;
    const char *metadata; /* text; what recovery needs beside the offset */
};

/* What came of a commit. */
enum sink_commit {
    SINK_COMMITTED,
    SINK_COMMIT_AGAIN,   /* nothing is decided yet; the same call again after a pause */
    SINK_COMMIT_ABORTED, /* what was written since the last commit is gone, and may be written again */
    SINK_COMMIT_FENCED,  /* the same, and another member owns the positions now: do not write it again */
};

struct sink_operations {
    const char *kind; /* "file", "console", "blackhole" */
    bool needs_json;  /* blocks must be encoded before write() */
    /* Takes the block's rows, perhaps into a buffer; the reference stays the caller's. On failure nothing of the block
     * may be kept in the buffer: the outlet offers the same block again after a pause. */
    enum status (*write)(struct sink *sink, const struct result_block *block, struct error *error);
    /* The same for events of pipelines without a window. NULL: the kind takes results only, and the engine refuses others at its start.
     * An event has no id, so a block that is offered again after a restart is there twice, unless the kind is transactional. */
    enum status (*write_output)(struct sink *sink, const struct output_block *block, struct error *error);
    /* What was written is durable (as far as the kind can promise) when this returns STATUS_OK. Retried likewise. */
    enum status (*flush)(struct sink *sink, struct error *error);
    /* Transactional kinds, else NULL: what was written since the last commit becomes visible together with the offsets, all or
     * nothing. `group`: the consumer's rd_kafka_consumer_group_metadata_t. `error` says why when it is not committed. After ABORTED
     * and FENCED the source goes back to the positions that its group has committed, never to what memory holds: the answer to a
     * commit may have been lost, and then it was one. */
    enum sink_commit (*commit)(struct sink *sink, const struct sink_offset *offsets, uint32_t offset_count,
                               const void *group, struct error *error);
    /* Transactional kinds, else NULL: what was written since the last commit is undone. */
    void (*abort)(struct sink *sink);
    /* Transactional kinds, else NULL: sinks with the same answer write into one transaction. They share a thread, and commit() or
     * abort() of one of them is that of all. */
    const void *(*transaction)(const struct sink *sink);
    /* Or NULL. Called now and then while there is nothing to write: for what the kind's connection has to say. */
    void (*idle)(struct sink *sink);
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

static inline enum status sink_write_output(struct sink *sink, const struct output_block *block,
                                            struct error *error)
{
    return sink->operations->write_output(sink, block, error);
}

static inline enum status sink_flush(struct sink *sink, struct error *error)
{
    return sink->operations->flush(sink, error);
}

static inline void sink_close(struct sink *sink)
{
    sink->operations->close(sink);
}
