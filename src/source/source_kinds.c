/* One line per kind of source. See source_kinds.h. */
#include "source/source_kinds.h"

#include <assert.h>
#include <sys/stat.h>

#include "source/file.h"
#include "source/generator.h"

static enum status open_file(const struct source_reader_request *request, struct source_reader **out,
                             struct error *error)
{
    static const enum file_read_rate rates[] = {[FILE_RATE_MAX] = FILE_READ_MAX,
                                                [FILE_RATE_REALTIME] = FILE_READ_REALTIME,
                                                [FILE_RATE_PER_SECOND] = FILE_READ_PER_SECOND};
    const struct config_file_source *file = &request->source->file;
    struct file_reader_options options = {.rate = rates[file->rate],
                                          .rate_per_second = file->rate_per_second,
                                          .loop = file->loop,
                                          .never_waits = true,
                                          .is_empty =
                                              request->partition > 0 && !request->source->partition_by.text,
                                          .start_offset = request->position.offset,
                                          .clock = request->clock};
    return file_reader_open(file->path, &options, out, error);
}

enum status source_reader_open(const struct source_reader_request *request, struct source_reader **out,
                               struct error *error)
{
    switch (request->source->kind) {
    case SOURCE_FILE: return open_file(request, out, error);
    case SOURCE_HTTP:
        assert(request->log);
        *out = event_log_reader_open(request->log, request->source_index, request->partition,
                                     request->position, request->waker);
        return STATUS_OK;
    case SOURCE_GENERATOR:
        *out = generator_reader_open(&request->source->generator, request->partition,
                                     request->source->partitions, request->position, request->clock);
        return STATUS_OK;
    case SOURCE_KAFKA: break;
    }
    error_set(error,
              "kafka cannot be read by this version; use http, file or generator to run, or `weir replay`");
    return STATUS_INVALID;
}

/* What a pipe has given it does not give again. */
static bool is_pipe(const char *path)
{
    struct stat info;
    return slice_equal_text(slice_of(path), "-") || (stat(path, &info) == 0 && !S_ISREG(info.st_mode));
}

bool source_is_resumable(const struct config_source *source)
{
    switch (source->kind) {
    case SOURCE_FILE: return !is_pipe(source->file.path);
    case SOURCE_GENERATOR: return source->generator.start_us != TIME_NONE;
    case SOURCE_HTTP:
    case SOURCE_KAFKA: break;
    }
    return true;
}
