/* Lines of a file as records. See file.h.
 *
 * Bytes are read into a chunk of the reader's own. The lines found in it are copied to the batch in one piece,
 * newlines included, and the records point into that: one memcpy per batch instead of one per line. Only a line
 * that does not fit a chunk is put together in the batch bit by bit.
 *
 *   chunk:  [ used | complete lines ... | start of a line | free ]
 *                  next                                   size */
#include "source/file.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/file_input.h"

enum { RATE_STEP_US = 1000, RATE_BURST_US = 1000 * 1000, PIPE_STEP_US = 10 * 1000 };

struct file_reader {
    struct source_reader reader;
    struct file_reader_options options;
    char *path;
    struct file_input *input;
    char *chunk;
    size_t next, size;       /* bytes of the chunk that are not delivered: [next, size) */
    size_t searched;         /* no newline in [next, searched) */
    int64_t line;            /* number of the line at `next`, counted over loops */
    int64_t skip_to;         /* lines below are not delivered */
    int64_t loop_start_line; /* first line of this pass through the file */
    bool is_inside_line;     /* the start of the line at `next` was skipped */
    bool is_at_end;          /* the input has no more bytes */
    bool has_failed;         /* where the input stands is not known: it must be read from its beginning */
    bool is_ended;
    double allowance;     /* lines that the rate allows now */
    int64_t allowance_us; /* when that was reckoned; INT64_MIN = not yet */
};

/* --- bytes -------------------------------------------------------------------------------------------------------- */

/* Moves what is left to the front and adds to it. The chunk must not be full of one line. */
static enum status fill_chunk(struct file_reader *file, struct error *error)
{
    if (file->next > 0) {
        memmove(file->chunk, file->chunk + file->next, file->size - file->next);
        file->size -= file->next;
        file->searched -= file->next;
        file->next = 0;
    }
    size_t got = 0;
    enum status status =
        file_input_read(file->input, file->chunk + file->size, FILE_CHUNK_SIZE - file->size, &got, error);
    if (status == STATUS_END) {
        file->is_at_end = true;
        return STATUS_OK;
    }
    if (status == STATUS_OK)
        file->size += got;
    else
        file->has_failed = true;
    return status;
}

/* The newline of the line at `next`, or NULL when it is not in the chunk. */
static const char *find_newline(struct file_reader *file)
{
    const char *newline = file->searched < file->size
                              ? memchr(file->chunk + file->searched, '\n', file->size - file->searched)
                              : NULL;
    if (!newline)
        file->searched = file->size;
    return newline;
}

static void pass_to(struct file_reader *file, size_t next)
{
    file->next = file->searched = next;
}

/* At the end of the file: begins again if it loops. STATUS_END when that was all. */
static enum status end_file(struct file_reader *file, struct error *error)
{
    bool is_empty = file->line == file->loop_start_line;
    if (!file->options.loop || is_empty) {
        if (file->line < file->skip_to) {
            error_set(
                error,
                "\"%s\" has %lld lines, but reading was to go on at line %lld; was the file replaced by a shorter one? "
                "put the old one back, or use a new data_dir",
                file->path, (long long)file->line, (long long)file->skip_to);
            return STATUS_INVALID;
        }
        file->is_ended = true;
        return STATUS_END;
    }
    /* The number of lines is known now, so whole passes need not be read to be skipped. */
    int64_t lines = file->line - file->loop_start_line;
    if (file->skip_to > file->line)
        file->line += (file->skip_to - file->line) / lines * lines;
    file->loop_start_line = file->line;
    file->is_at_end = false;
    file->size = 0;
    pass_to(file, 0);
    return file_input_rewind(file->input, error);
}

/* --- skipping ----------------------------------------------------------------------------------------------------- */

/* Passes lines below skip_to. STATUS_AGAIN when that is not done after FILE_SKIP_STEP_SIZE bytes. */
static enum status skip_lines(struct file_reader *file, struct error *error)
{
    size_t skipped_size = 0;
    while (file->line < file->skip_to) {
        const char *newline = find_newline(file);
        if (newline) {
            size_t next = (size_t)(newline + 1 - file->chunk);
            skipped_size += next - file->next;
            pass_to(file, next);
            file->line++;
            file->is_inside_line = false;
            continue;
        }
        if (file->is_at_end) {
            file->line += file->is_inside_line || file->size > file->next;
            file->is_inside_line = false;
            file->next = file->size;
            if (file->line >= file->skip_to)
                break;
            enum status status = end_file(file, error);
            if (status != STATUS_OK)
                return status;
            continue;
        }
        if (skipped_size >= FILE_SKIP_STEP_SIZE)
            return STATUS_AGAIN;
        if (file->next == 0 && file->size == FILE_CHUNK_SIZE) {
            skipped_size += file->size; /* part of a long line */
            file->size = file->searched = 0;
            file->is_inside_line = true;
        }
        enum status status = fill_chunk(file, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* After a read error: from the beginning up to the line that was next. */
static enum status start_again(struct file_reader *file, struct error *error)
{
    enum status status = file_input_rewind(file->input, error);
    if (status != STATUS_OK)
        return status;
    file->skip_to = file->line > file->skip_to ? file->line : file->skip_to;
    file->line = file->loop_start_line;
    file->size = 0;
    pass_to(file, 0);
    file->has_failed = file->is_at_end = file->is_inside_line = false;
    return STATUS_OK;
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

/* What a read() may still deliver. */
struct quota {
    uint32_t records;
    int64_t end_line;
};

static bool is_spent(const struct file_reader *file, const struct batch *batch, const struct quota *quota)
{
    return batch->record_count >= quota->records || batch->text_size >= BATCH_TEXT_SIZE ||
           file->line >= quota->end_line;
}

/* `last` is the last byte of the line, when it has one. */
static void add_line(struct batch *batch, size_t text_offset, size_t size, size_t cut_size, int64_t line,
                     char last)
{
    if (size && !cut_size && last == '\r')
        size--;
    if (size == 0)
        return;
    *batch_add_record(batch) =
        (struct record){.text_offset = (uint32_t)text_offset,
                        .text_size = (uint32_t)size,
                        .cut_size = cut_size < UINT32_MAX ? (uint32_t)cut_size : UINT32_MAX,
                        .offset = line,
                        .time_us = TIME_NONE};
}

/* Delivers the complete lines of the chunk. */
static void take_lines(struct file_reader *file, struct batch *batch, const struct quota *quota)
{
    size_t span_start = file->next, text_start = batch->text_size;
    char *text = batch_reserve_text(batch, file->size - file->next);
    const char *newline;
    while (!is_spent(file, batch, quota) && (newline = find_newline(file))) {
        size_t start = file->next, size = (size_t)(newline - file->chunk) - start;
        pass_to(file, start + size + 1);
        batch->text_size = text_start + file->next - span_start;
        add_line(batch, text_start + start - span_start, size, 0, file->line++, size ? newline[-1] : 0);
    }
    memcpy(text, file->chunk + span_start, file->next - span_start);
}

/* What of the long line has gone to the batch, and what was cut. */
struct long_line {
    size_t text_offset, size, cut_size;
};

static void append_part(struct batch *batch, struct long_line *line, const char *data, size_t size)
{
    size_t kept = RECORD_MAX_SIZE - line->size;
    if (kept > size)
        kept = size;
    memcpy(batch_reserve_text(batch, kept), data, kept);
    batch->text_size += kept;
    line->size += kept;
    line->cut_size += size - kept;
}

/* Delivers the line at `next`, which fills the chunk or is the last and has no newline. */
static enum status take_long_line(struct file_reader *file, struct batch *batch, struct error *error)
{
    struct long_line line = {.text_offset = batch->text_size};
    for (;;) {
        const char *newline = find_newline(file);
        size_t end = newline ? (size_t)(newline - file->chunk) : file->size;
        append_part(batch, &line, file->chunk + file->next, end - file->next);
        pass_to(file, newline ? end + 1 : end);
        if (newline || file->is_at_end)
            break;
        enum status status = fill_chunk(file, error);
        if (status != STATUS_OK) {
            batch->text_size = line.text_offset; /* the whole line is read again */
            return status;
        }
    }
    add_line(batch, line.text_offset, line.size, line.cut_size, file->line,
             line.size ? batch->bytes[line.text_offset + line.size - 1] : 0);
    file->line++;
    return STATUS_OK;
}

static enum status take_chunk(struct file_reader *file, struct batch *batch, const struct quota *quota,
                              struct error *error)
{
    take_lines(file, batch, quota);
    if (is_spent(file, batch, quota))
        return STATUS_OK;
    if (file->is_at_end && file->next == file->size)
        return batch->record_count ? STATUS_OK : end_file(file, error);
    bool is_full = file->next == 0 && file->size == FILE_CHUNK_SIZE;
    if (is_full || file->is_at_end)
        return take_long_line(file, batch, error);
    if (file->options.never_waits && !file_input_is_ready(file->input))
        return STATUS_AGAIN;
    return fill_chunk(file, error);
}

/* --- the rate ----------------------------------------------------------------------------------------------------- */

/* Whole lines that may be delivered now; `*next_us` says when there is more. An unused allowance is kept for a
 * second, so that a reader that was held up for a moment catches up and one that was paused for long does not
 * flood. */
static uint32_t allowed_lines(struct file_reader *file, int64_t now_us, int64_t *next_us)
{
    double rate = file->options.rate_per_second;
    if (file->allowance_us == INT64_MIN)
        file->allowance = 1;
    else
        file->allowance += (double)(now_us - file->allowance_us) * rate / 1e6;
    file->allowance_us = now_us;
    double burst = rate * RATE_BURST_US / 1e6;
    if (burst < 1)
        burst = 1;
    if (file->allowance > burst)
        file->allowance = burst;
    int64_t wait_us = (int64_t)((1 - file->allowance) / rate * 1e6) + 1;
    *next_us = now_us + (wait_us > RATE_STEP_US ? wait_us : RATE_STEP_US);
    return (uint32_t)(file->allowance < UINT32_MAX ? file->allowance : UINT32_MAX);
}

static enum status find_quota(struct file_reader *file, uint32_t max_records, int64_t now_us,
                              struct quota *quota, int64_t *next_us)
{
    quota->records = max_records;
    bool is_replay = quota->end_line != INT64_MAX;
    if (file->options.rate == FILE_READ_REALTIME)
        quota->records = 1;
    if (file->options.rate != FILE_READ_PER_SECOND || is_replay)
        return STATUS_OK;
    uint32_t allowed = allowed_lines(file, now_us, next_us);
    if (allowed < quota->records)
        quota->records = allowed;
    return allowed ? STATUS_OK : STATUS_AGAIN;
}

/* --- the source --------------------------------------------------------------------------------------------------- */

static enum status file_read(struct source_reader *reader, uint32_t max_records, int64_t end_offset,
                             struct batch *batch, int64_t *next_us, struct error *error)
{
    struct file_reader *file = (struct file_reader *)reader;
    if (file->is_ended)
        return STATUS_END;
    int64_t now_us = clock_monotonic_us(file->options.clock);
    struct quota quota = {.end_line = end_offset};
    enum status status = find_quota(file, max_records, now_us, &quota, next_us);
    if (status == STATUS_OK && file->has_failed)
        status = start_again(file, error);
    if (status == STATUS_OK)
        status = skip_lines(file, error);
    if (status == STATUS_AGAIN && file->line < file->skip_to)
        *next_us = now_us;
    bool was_ready = status == STATUS_OK;
    while (status == STATUS_OK && !is_spent(file, batch, &quota) &&
           !(file->is_at_end && batch->record_count && file->next == file->size))
        status = take_chunk(file, batch, &quota, error);
    batch->arrival_us = now_us;
    batch->arrival_wall_us = clock_wall_us(file->options.clock);
    /* An error or the end that was met behind good lines is met again by the next call. */
    if (batch->record_count) {
        file->allowance -= batch->record_count;
        file->is_ended = false;
        return STATUS_OK;
    }
    if (was_ready && status == STATUS_AGAIN)
        *next_us = now_us + PIPE_STEP_US;
    if (status != STATUS_OK)
        return status;
    *next_us = now_us; /* only blank lines up to end_offset */
    return STATUS_AGAIN;
}

static int64_t file_end_offset(struct source_reader *reader)
{
    const struct file_reader *file = (struct file_reader *)reader;
    return file->is_ended ? file->line : -1;
}

static void file_close(struct source_reader *reader)
{
    struct file_reader *file = (struct file_reader *)reader;
    file_input_close(file->input);
    free(file->chunk);
    free(file->path);
    free(file);
}

static const struct source_reader_operations file_operations = {
    .kind = "file", .read = file_read, .end_offset = file_end_offset, .close = file_close};

enum status file_reader_open(const char *path, const struct file_reader_options *options,
                             struct source_reader **out, struct error *error)
{
    struct file_input *input;
    enum status status = file_input_open(path, &input, error);
    if (status != STATUS_OK)
        return status;
    struct file_reader *file = memory_allocate(sizeof *file);
    file->reader.operations = &file_operations;
    file->options = *options;
    file->path = memory_copy_text(path, strlen(path));
    file->input = input;
    file->chunk = memory_resize(NULL, FILE_CHUNK_SIZE);
    file->skip_to = options->start_offset;
    file->is_ended = options->is_empty;
    file->allowance_us = INT64_MIN;
    *out = &file->reader;
    return STATUS_OK;
}
