/* See kafka_metadata.h. */
#include "source/kafka_metadata.h"

#include <string.h>

static rd_kafka_headers_t *headers_of(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    rd_kafka_resp_err_t code = rd_kafka_message_headers(message, &headers);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? headers : NULL;
}

static bool next_header(const rd_kafka_headers_t *headers, size_t index, struct record_header *header)
{
    const void *value;
    if (rd_kafka_header_get_all(headers, index, &header->name.data, &value, &header->value.size) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    header->name.size = strlen(header->name.data);
    header->value.data = value;
    return true;
}

void kafka_metadata_put(const rd_kafka_message_t *message, struct batch *batch)
{
    const rd_kafka_headers_t *headers = headers_of(message);
    struct record_header header;
    if (message->key)
        batch_put_key(batch, (struct slice){message->key, message->key_len});
    for (size_t i = 0; headers && next_header(headers, i, &header); i++)
        batch_put_header(batch, header);
}

/* Of the key and of as many headers as fit. */
static size_t kept_size(struct slice key, const rd_kafka_headers_t *headers, size_t *header_count)
{
    struct record_header header;
    size_t size = metadata_key_size(key);
    *header_count = 0;
    while (headers && next_header(headers, *header_count, &header)) {
        if (metadata_header_size(&header) > METADATA_MAX_SIZE - size)
            break;
        size += metadata_header_size(&header);
        ++*header_count;
    }
    return size;
}

struct slice kafka_metadata_read(const rd_kafka_message_t *message, struct arena *arena)
{
    const rd_kafka_headers_t *headers = headers_of(message);
    struct slice key = {message->key, message->key ? message->key_len : 0};
    if (metadata_key_size(key) > METADATA_MAX_SIZE)
        key = (struct slice){0};
    if (!key.data && !headers)
        return (struct slice){0};
    size_t header_count, size = kept_size(key, headers, &header_count);
    char *bytes = arena_allocate(arena, size), *to = bytes;
    metadata_write_key(to, key);
    to += metadata_key_size(key);
    struct record_header header;
    for (size_t i = 0; i < header_count && next_header(headers, i, &header); i++) {
        metadata_write_header(to, &header);
        to += metadata_header_size(&header);
    }
    return (struct slice){bytes, size};
}
