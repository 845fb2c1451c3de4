/* Reading and writing of the encoding in record_metadata.h. It is only ever made here, so that readers trust its sizes. */
#include "flow/record_metadata.h"

#include <assert.h>

static uint32_t load_size(const char *from)
{
    uint32_t size;
    memcpy(&size, from, sizeof size);
    return size;
}

static char *store_size(char *to, struct slice part)
{
    uint32_t size = part.data ? (uint32_t)part.size : METADATA_NONE;
    memcpy(to, &size, sizeof size);
    return to + sizeof size;
}

static char *store_bytes(char *to, struct slice part)
{
    if (part.size)
        memcpy(to, part.data, part.size);
    return to + part.size;
}

/* Takes a part of the size that was read before off `rest`. */
static struct slice take_part(struct slice *rest, uint32_t size)
{
    if (size == METADATA_NONE)
        return (struct slice){0};
    assert(size <= rest->size);
    struct slice part = {rest->data, size};
    rest->data += size;
    rest->size -= size;
    return part;
}

static struct slice take_key(struct slice *rest)
{
    if (!rest->size)
        return (struct slice){0};
    assert(rest->size >= METADATA_KEY_HEAD_SIZE);
    uint32_t size = load_size(rest->data);
    rest->data += METADATA_KEY_HEAD_SIZE;
    rest->size -= METADATA_KEY_HEAD_SIZE;
    return take_part(rest, size);
}

struct slice metadata_key(struct slice metadata)
{
    return take_key(&metadata);
}

struct slice metadata_headers(struct slice metadata)
{
    take_key(&metadata);
    return metadata;
}

bool metadata_next_header(struct slice *rest, struct record_header *header)
{
    if (!rest->size)
        return false;
    assert(rest->size >= METADATA_HEADER_HEAD_SIZE);
    uint32_t name_size = load_size(rest->data), value_size = load_size(rest->data + sizeof name_size);
    rest->data += METADATA_HEADER_HEAD_SIZE;
    rest->size -= METADATA_HEADER_HEAD_SIZE;
    header->name = take_part(rest, name_size);
    header->value = take_part(rest, value_size);
    return true;
}

struct slice metadata_header(struct slice metadata, struct slice name)
{
    struct slice rest = metadata_headers(metadata), value = {0};
    struct record_header header;
    while (metadata_next_header(&rest, &header)) {
        if (slice_equal(header.name, name))
            value = header.value;
    }
    return value;
}

void metadata_write_key(char *to, struct slice key)
{
    store_bytes(store_size(to, key), key);
}

void metadata_write_header(char *to, const struct record_header *header)
{
    struct slice name = {header->name.data ? header->name.data : "", header->name.size};
    to = store_size(store_size(to, name), header->value);
    store_bytes(store_bytes(to, name), header->value);
}
