/* Any body is either refused whole or cut into records that lie in it, in order, apart from each other, none blank; and a
 * body of lines is cut as a plain search for newlines would cut it. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "pipeline/ingest_split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!memchr(" \t\r\n", text[i], 4))
            return false;
    }
    return true;
}

static uint32_t count_lines(const char *text, size_t size)
{
    uint32_t count = 0;
    while (size > 0) {
        const char *newline = memchr(text, '\n', size);
        size_t line_size = newline ? (size_t)(newline - text) : size;
        count += !is_blank(text, line_size);
        text += newline ? line_size + 1 : line_size;
        size -= newline ? line_size + 1 : line_size;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct body_splitter splitter;
    const char *failure = body_splitter_init(&splitter, (struct slice){text, size});
    if (failure) {
        assert(strlen(failure) > 0);
        return 0;
    }
    const char *last_end = text;
    struct slice record;
    uint32_t index, count = 0;
    int64_t last_index = -1;
    while (body_splitter_next(&splitter, &record, &index)) {
        assert(record.data >= last_end && record.data + record.size <= text + size);
        assert(!is_blank(record.data, record.size));
        assert((int64_t)index > last_index);
        last_end = record.data + record.size;
        last_index = index;
        count++;
    }
    if (!splitter.is_array)
        assert(count == count_lines(text, size));
    return 0;
}
