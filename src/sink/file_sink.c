/* Records appended to a file, one per line.
 *
 * A line is whole or not there: a write that fails is taken back by truncating to the size before it, and a line
 * without its newline, which a crash left at the end, is cut when the file is opened. What is not a regular file
 * (a pipe, a terminal) is only written to. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "sink/sink_internal.h"

enum { TAIL_STEP_SIZE = 4096 };

struct file_sink {
    struct sink sink;
    char *path;
    int descriptor;
    bool is_regular;
    bool is_torn; /* bytes behind `size` could not be cut; that comes before the next write */
    off_t size;   /* up to here all lines are whole */
    struct buffer lines;
};

static enum status fail(const struct file_sink *file, const char *doing, struct error *error)
{
    int code = errno;
    error_set(error, "cannot %s \"%s\": %s%s", doing, file->path, strerror(code),
              code == ENOSPC   ? "; make room on its disk"
              : code == ENOENT ? "; does its folder exist?"
                               : "");
    return code == ENOSPC || code == EDQUOT ? STATUS_FULL : STATUS_IO;
}

static enum status write_all(struct file_sink *file, struct error *error)
{
    for (size_t written = 0; written < file->lines.size;) {
        ssize_t count = write(file->descriptor, file->lines.data + written, file->lines.size - written);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fail(file, "write to", error);
        written += (size_t)count;
    }
    return STATUS_OK;
}

static enum status mend(struct file_sink *file, struct error *error)
{
    if (!file->is_torn)
        return STATUS_OK;
    if (ftruncate(file->descriptor, file->size) != 0)
        return fail(file, "take back half a line of", error);
    file->is_torn = false;
    return STATUS_OK;
}

static enum status write_lines(struct file_sink *file, struct error *error)
{
    enum status status = mend(file, error);
    if (status != STATUS_OK)
        return status;
    status = write_all(file, error);
    if (status == STATUS_OK) {
        file->size += (off_t)file->lines.size;
        return STATUS_OK;
    }
    if (file->is_regular) {
        file->is_torn = true;
        enum status unused = mend(file, NULL);
        (void)unused; /* tried again before the next write */
    }
    return status;
}

static enum status file_write(struct sink *sink, const struct result_block *block, struct error *error)
{
    struct file_sink *file = (struct file_sink *)sink;
    buffer_clear(&file->lines);
    sink_append_lines(&file->lines, block);
    return write_lines(file, error);
}

static enum status file_write_output(struct sink *sink, const struct output_block *block, struct error *error)
{
    struct file_sink *file = (struct file_sink *)sink;
    buffer_clear(&file->lines);
    sink_append_output_lines(&file->lines, block);
    return write_lines(file, error);
}

static enum status file_flush(struct sink *sink, struct error *error)
{
    struct file_sink *file = (struct file_sink *)sink;
    if (!file->is_regular)
        return STATUS_OK;
    return fdatasync(file->descriptor) == 0 ? STATUS_OK
                                            : fail(file, "make durable what was written to", error);
}

static void file_close(struct sink *sink)
{
    struct file_sink *file = (struct file_sink *)sink;
    if (file->descriptor >= 0)
        close(file->descriptor);
    buffer_deinit(&file->lines);
    free(file->path);
    free(file);
}

/* Size of the file up to and with its last newline. */
static off_t whole_lines_size(int descriptor, off_t size)
{
    char bytes[TAIL_STEP_SIZE];
    while (size > 0) {
        size_t step = size < TAIL_STEP_SIZE ? (size_t)size : TAIL_STEP_SIZE;
        if (pread(descriptor, bytes, step, size - (off_t)step) != (ssize_t)step)
            return -1;
        const char *newline = memrchr(bytes, '\n', step);
        if (newline)
            return size - (off_t)step + (newline + 1 - bytes);
        size -= (off_t)step;
    }
    return 0;
}

static enum status cut_torn_line(struct file_sink *file, struct error *error)
{
    struct stat info;
    if (fstat(file->descriptor, &info) != 0)
        return fail(file, "look at", error);
    file->is_regular = S_ISREG(info.st_mode);
    if (!file->is_regular)
        return STATUS_OK;
    file->size = whole_lines_size(file->descriptor, info.st_size);
    if (file->size < 0)
        return fail(file, "read", error);
    if (file->size == info.st_size)
        return STATUS_OK;
    log_write(LOG_WARN, "sink", "%s ended with half a line, %lld bytes, which are cut off", file->path,
              (long long)(info.st_size - file->size));
    file->is_torn = true;
    return mend(file, error);
}

static const struct sink_operations file_operations = {.kind = "file",
                                                       .needs_json = true,
                                                       .write = file_write,
                                                       .write_output = file_write_output,
                                                       .flush = file_flush,
                                                       .close = file_close};

enum status file_sink_open(const struct config_sink *config, struct sink **out, struct error *error)
{
    struct file_sink *file = memory_allocate(sizeof *file);
    file->sink.operations = &file_operations;
    file->path = memory_copy_text(config->path, strlen(config->path));
    file->descriptor = open(config->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    enum status status = file->descriptor < 0 ? fail(file, "open", error) : cut_torn_line(file, error);
    if (status == STATUS_OK) {
        *out = &file->sink;
        return STATUS_OK;
    }
    error_prefix(error, "sink \"%s\"", config->name);
    file_close(&file->sink);
    return status;
}
