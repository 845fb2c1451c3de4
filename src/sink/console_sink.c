/* Records on standard output, one per line, for people and for pipes. Standard output is the command's data;
 * logs go elsewhere. What a reader of the pipe has not taken is lost with it: there is nothing to make durable. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "sink/sink_internal.h"

struct console_sink {
    struct sink sink;
    struct buffer lines;
    bool is_torn; /* the last write broke off in the middle of a line */
};

/* A block that was offered again begins with the lines that are out already, which does no harm, but never in
 * the middle of one: a broken line is ended first. */
static struct buffer *begin_lines(struct console_sink *console)
{
    buffer_clear(&console->lines);
    if (console->is_torn)
        buffer_append_char(&console->lines, '\n');
    return &console->lines;
}

static enum status write_lines(struct console_sink *console, struct error *error)
{
    for (size_t written = 0; written < console->lines.size;) {
        ssize_t count = write(STDOUT_FILENO, console->lines.data + written, console->lines.size - written);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            console->is_torn = written && console->lines.data[written - 1] != '\n';
            error_set(error, "cannot write to standard output: %s", strerror(errno));
            return STATUS_IO;
        }
        written += (size_t)count;
    }
    console->is_torn = false;
    return STATUS_OK;
}

static enum status console_write(struct sink *sink, const struct result_block *block, struct error *error)
{
    struct console_sink *console = (struct console_sink *)sink;
    sink_append_lines(begin_lines(console), block);
    return write_lines(console, error);
}

static enum status console_write_output(struct sink *sink, const struct output_block *block,
                                        struct error *error)
{
    struct console_sink *console = (struct console_sink *)sink;
    sink_append_output_lines(begin_lines(console), block);
    return write_lines(console, error);
}

static enum status console_flush(struct sink *sink, struct error *error)
{
    (void)sink;
    (void)error;
    return STATUS_OK;
}

static void console_close(struct sink *sink)
{
    struct console_sink *console = (struct console_sink *)sink;
    buffer_deinit(&console->lines);
    free(console);
}

static const struct sink_operations console_operations = {.kind = "console",
                                                          .needs_json = true,
                                                          .write = console_write,
                                                          .write_output = console_write_output,
                                                          .flush = console_flush,
                                                          .close = console_close};

struct sink *console_sink_open(void)
{
    struct console_sink *console = memory_allocate(sizeof *console);
    console->sink.operations = &console_operations;
    return &console->sink;
}
