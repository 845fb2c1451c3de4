/* See kafka_kept.h. A message is one allocation: the node, its headers, then all bytes one behind the other. */
#include "net/kafka_kept.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

static size_t message_size(const struct kafka_message *message)
{
    size_t size = strlen(message->topic) + 1 + message->key.size + message->value.size;
    for (uint32_t i = 0; i < message->header_count; i++)
        size += message->headers[i].name.size + message->headers[i].value.size;
    return size;
}

/* A slice without data stays one: none is not the same as empty. */
static struct slice copy_slice(char **next, struct slice slice)
{
    if (!slice.data)
        return slice;
    char *copy = *next;
    if (slice.size)
        memcpy(copy, slice.data, slice.size);
    *next += slice.size;
    return (struct slice){copy, slice.size};
}

static void append(struct kafka_kept *kept, struct kafka_kept_message *message)
{
    message->next = NULL;
    if (kept->last) {
        kept->last->next = message;
    } else {
        kept->first = message;
    }
    kept->last = message;
    kept->count++;
    kept->size += message->size;
}

void kafka_kept_add(struct kafka_kept *kept, const struct kafka_message *message, rd_kafka_resp_err_t code)
{
    size_t bytes_size = message_size(message);
    size_t head_size =
        sizeof(struct kafka_kept_message) + (message->header_count + 1) * sizeof(struct kafka_header);
    struct kafka_kept_message *copy = memory_allocate(head_size + bytes_size);
    char *next = (char *)copy + head_size;
    copy->message = *message;
    copy->message.topic = copy_slice(&next, (struct slice){message->topic, strlen(message->topic) + 1}).data;
    copy->message.key = copy_slice(&next, message->key);
    copy->message.value = copy_slice(&next, message->value);
    for (uint32_t i = 0; i < message->header_count; i++) {
        copy->headers[i].name = copy_slice(&next, message->headers[i].name);
        copy->headers[i].value = copy_slice(&next, message->headers[i].value);
    }
    copy->message.headers = copy->headers;
    copy->code = code;
    copy->size = head_size + bytes_size;
    append(kept, copy);
}

_Static_assert(sizeof(uintptr_t) == sizeof(uint64_t), "a mark is a time and a bit");

void *kafka_kept_mark(const struct kafka_message *message)
{
    return (void *)(uintptr_t)((uint64_t)message->time_ms << 1 |
                               (message->partition != RD_KAFKA_PARTITION_UA));
}

void kafka_kept_add_delivery(struct kafka_kept *kept, const rd_kafka_message_t *delivery)
{
    uint64_t mark = (uint64_t)(uintptr_t)delivery->_private;
    rd_kafka_headers_t *from = NULL;
    size_t count = rd_kafka_message_headers(delivery, &from) ? 0 : rd_kafka_header_cnt(from);
    struct kafka_header *headers = count ? memory_allocate_array(count, sizeof *headers) : NULL;
    for (size_t i = 0; i < count; i++) {
        const char *name = NULL;
        const void *value = NULL;
        size_t size = 0;
        if (rd_kafka_header_get_all(from, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR)
            headers[i] = (struct kafka_header){slice_of(name), {value, value ? size : 0}};
    }
    struct kafka_message message = {.topic = rd_kafka_topic_name(delivery->rkt),
                                    .partition = mark & 1 ? delivery->partition : RD_KAFKA_PARTITION_UA,
                                    .key = {delivery->key, delivery->key_len},
                                    .value = {delivery->payload, delivery->len},
                                    .headers = headers,
                                    .header_count = (uint32_t)count,
                                    .time_ms = (int64_t)mark >> 1};
    kafka_kept_add(kept, &message, delivery->err);
    free(headers);
}

struct kafka_kept_message *kafka_kept_take(struct kafka_kept *kept)
{
    struct kafka_kept_message *message = kept->first;
    if (!message)
        return NULL;
    kept->first = message->next;
    if (!kept->first)
        kept->last = NULL;
    kept->count--;
    kept->size -= message->size;
    return message;
}

void kafka_kept_put(struct kafka_kept *kept, struct kafka_kept_message *message)
{
    append(kept, message);
}

void kafka_kept_clear(struct kafka_kept *kept)
{
    for (struct kafka_kept_message *message; (message = kafka_kept_take(kept));)
        free(message);
}

void kafka_kept_cut(struct kafka_kept_message *kept, const char *name)
{
    struct kafka_message *message = &kept->message;
    bool is_marked = false;
    for (uint32_t i = 0; i < message->header_count; i++)
        is_marked = is_marked || slice_equal_text(kept->headers[i].name, name);
    if (!is_marked) {
        snprintf(kept->cut_text, sizeof kept->cut_text, "%zu", message->value.size);
        kept->headers[message->header_count++] =
            (struct kafka_header){slice_of(name), slice_of(kept->cut_text)};
    }
    message->value.size /= 2;
    message->key.size /= 2;
}
