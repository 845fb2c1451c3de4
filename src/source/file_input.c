/* Unpacking behind read(2). See file_input.h.
 *
 * The packing is told by the first bytes and not by the name, so that standard input may be packed as well; no
 * JSON text begins with either magic number. Both libraries keep their state over refills of one buffer of
 * packed bytes. */
#include "source/file_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/memory.h"

enum packing { PACKING_UNKNOWN, PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };
enum { MAGIC_SIZE = 4, GZIP_WINDOW_BITS = 15 + 16 };

struct file_input {
    char *path; /* for errors */
    int descriptor;
    enum packing packing;
    z_stream gzip;
    ZSTD_DStream *zstd;
    bool is_inside; /* of a member or frame: the end of the file would cut it short */
    bool is_at_end; /* of the file */
    char packed[FILE_INPUT_PACKED_SIZE];
    size_t packed_start, packed_size; /* what is not used yet: [start, size) */
};

enum status file_input_open(const char *path, struct file_input **out, struct error *error)
{
    bool is_standard = strcmp(path, "-") == 0;
    int descriptor = is_standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        error_set(error, "cannot open \"%s\": %s%s", path, strerror(errno),
                  errno == ENOENT ? "; is the path right, seen from where weir was started?" : "");
        return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
    }
    struct stat info;
    if (fstat(descriptor, &info) == 0 && S_ISDIR(info.st_mode)) {
        error_set(error, "cannot read \"%s\": it is a folder; name a file in it", path);
        close(descriptor);
        return STATUS_IO;
    }
    struct file_input *input = memory_allocate(sizeof *input);
    input->path = memory_copy_text(path, strlen(path));
    input->descriptor = descriptor;
    *out = input;
    return STATUS_OK;
}

bool file_input_is_ready(const struct file_input *input)
{
    struct pollfd ready = {.fd = input->descriptor, .events = POLLIN};
    return input->packed_start < input->packed_size || input->is_at_end || poll(&ready, 1, 0) != 0;
}

static void end_packing(struct file_input *input)
{
    if (input->packing == PACKING_GZIP)
        inflateEnd(&input->gzip);
    if (input->packing == PACKING_ZSTD)
        ZSTD_freeDStream(input->zstd);
    input->packing = PACKING_UNKNOWN;
}

void file_input_close(struct file_input *input)
{
    if (!input)
        return;
    end_packing(input);
    close(input->descriptor);
    free(input->path);
    free(input);
}

enum status file_input_rewind(struct file_input *input, struct error *error)
{
    if (lseek(input->descriptor, 0, SEEK_SET) != 0) {
        error_set(error, "cannot read \"%s\" from its beginning again: %s; only a regular file can be",
                  input->path, strerror(errno));
        return STATUS_IO;
    }
    end_packing(input);
    input->is_inside = input->is_at_end = false;
    input->packed_start = input->packed_size = 0;
    return STATUS_OK;
}

static enum status read_some(struct file_input *input, char *data, size_t size, size_t *got,
                             struct error *error)
{
    ssize_t count;
    do
        count = read(input->descriptor, data, size);
    while (count < 0 && errno == EINTR);
    if (count < 0) {
        error_set(error, "cannot read \"%s\": %s", input->path, strerror(errno));
        return STATUS_IO;
    }
    *got = (size_t)count;
    if (count == 0)
        input->is_at_end = true;
    return STATUS_OK;
}

/* Adds to the packed bytes, which are all at the front. */
static enum status fill(struct file_input *input, struct error *error)
{
    if (input->packed_start == input->packed_size)
        input->packed_start = input->packed_size = 0;
    size_t got = 0;
    enum status status = read_some(input, input->packed + input->packed_size,
                                   sizeof input->packed - input->packed_size, &got, error);
    input->packed_size += got;
    return status;
}

/* An empty file is empty whatever its name. */
static bool is_named(const struct file_input *input, const char *ending)
{
    size_t path_size = strlen(input->path), size = strlen(ending);
    return input->packed_size > 0 && path_size >= size && strcmp(input->path + path_size - size, ending) == 0;
}

/* A pipe may give fewer bytes than the magic number has. */
static enum status find_packing(struct file_input *input, struct error *error)
{
    while (input->packed_size < MAGIC_SIZE && !input->is_at_end) {
        enum status status = fill(input, error);
        if (status != STATUS_OK)
            return status;
    }
    static const unsigned char gzip_magic[] = {0x1f, 0x8b}, zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    input->packing = PACKING_NONE;
    if (input->packed_size >= sizeof gzip_magic &&
        memcmp(input->packed, gzip_magic, sizeof gzip_magic) == 0) {
        input->packing = PACKING_GZIP;
        memset(&input->gzip, 0, sizeof input->gzip);
        if (inflateInit2(&input->gzip, GZIP_WINDOW_BITS) != Z_OK)
            abort(); /* out of memory, as memory.h does */
    } else if (input->packed_size >= sizeof zstd_magic &&
               memcmp(input->packed, zstd_magic, sizeof zstd_magic) == 0) {
        input->packing = PACKING_ZSTD;
        input->zstd = ZSTD_createDStream();
        if (!input->zstd)
            abort();
    } else if (is_named(input, ".gz") || is_named(input, ".zst")) {
        error_set(error, "cannot read \"%s\": it is not packed as its name says; unpack it, or rename it",
                  input->path);
        return STATUS_IO;
    }
    return STATUS_OK;
}

static enum status damaged(const struct file_input *input, const char *what, const char *reason,
                           struct error *error)
{
    error_set(error,
              "cannot read \"%s\": its %s data is damaged (%s); pack it again, or give the unpacked file",
              input->path, what, reason);
    return STATUS_IO;
}

/* One call of inflate. *got may be 0. */
static enum status unpack_gzip(struct file_input *input, char *data, size_t size, size_t *got,
                               struct error *error)
{
    z_stream *gzip = &input->gzip;
    gzip->next_in = (Bytef *)input->packed + input->packed_start;
    gzip->avail_in = (uInt)(input->packed_size - input->packed_start);
    gzip->next_out = (Bytef *)data;
    gzip->avail_out = (uInt)size;
    int code = inflate(gzip, Z_NO_FLUSH);
    input->packed_start = input->packed_size - gzip->avail_in;
    *got = size - gzip->avail_out;
    input->is_inside = code != Z_STREAM_END;
    if (code == Z_STREAM_END)
        inflateReset(gzip); /* perhaps another member follows */
    else if (code != Z_OK && code != Z_BUF_ERROR)
        return damaged(input, "gzip", gzip->msg ? gzip->msg : zError(code), error);
    return STATUS_OK;
}

static enum status unpack_zstd(struct file_input *input, char *data, size_t size, size_t *got,
                               struct error *error)
{
    ZSTD_inBuffer in = {input->packed, input->packed_size, input->packed_start};
    ZSTD_outBuffer out = {data, size, 0};
    size_t code = ZSTD_decompressStream(input->zstd, &out, &in);
    input->packed_start = in.pos;
    *got = out.pos;
    if (ZSTD_isError(code))
        return damaged(input, "zstd", ZSTD_getErrorName(code), error);
    input->is_inside = code != 0;
    return STATUS_OK;
}

static enum status read_plain(struct file_input *input, char *data, size_t size, size_t *got,
                              struct error *error)
{
    size_t left = input->packed_size - input->packed_start;
    if (left == 0) {
        enum status status = read_some(input, data, size, got, error);
        return status == STATUS_OK && *got == 0 ? STATUS_END : status;
    }
    *got = left < size ? left : size;
    memcpy(data, input->packed + input->packed_start, *got);
    input->packed_start += *got;
    return STATUS_OK;
}

enum status file_input_read(struct file_input *input, char *data, size_t size, size_t *got,
                            struct error *error)
{
    enum status status = input->packing == PACKING_UNKNOWN ? find_packing(input, error) : STATUS_OK;
    if (status == STATUS_OK && input->packing == PACKING_NONE)
        return read_plain(input, data, size, got, error);
    *got = 0;
    while (status == STATUS_OK && *got == 0) {
        if (input->packed_start == input->packed_size && !input->is_at_end)
            status = fill(input, error);
        if (status != STATUS_OK)
            return status;
        bool is_drained = input->packed_start == input->packed_size;
        if (is_drained && !input->is_inside)
            return STATUS_END;
        status = input->packing == PACKING_GZIP ? unpack_gzip(input, data, size, got, error)
                                                : unpack_zstd(input, data, size, got, error);
        if (status == STATUS_OK && *got == 0 && is_drained && input->is_inside)
            return damaged(input, input->packing == PACKING_GZIP ? "gzip" : "zstd", "the file ends too early",
                           error);
    }
    return status;
}
