/* Key and headers of one record, in one compact encoding that travels with it: in a batch's text area directly before the record's
 * text, and in dead letters. Sizes are 32 bits, in the machine's byte order, at any alignment; METADATA_NONE as a size: none.
 *
 *   [key size][key bytes] ([name size][value size][name bytes][value bytes])*
 *
 * There are as many headers as fit the size of the whole, in the order of the record, repeated names too. Nothing of it (size 0) is a
 * record without key and headers. Bytes are kept as they came: neither keys nor values need to be UTF-8. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

#define METADATA_NONE UINT32_MAX

enum {
    METADATA_MAX_SIZE =
        16 * 1024 * 1024,       /* bytes of a record's key and headers that are kept; the rest is left out */
    METADATA_KEY_HEAD_SIZE = 4, /* bytes before a key */
    METADATA_HEADER_HEAD_SIZE = 8 /* bytes before a header's name */
};

struct record_header {
    struct slice name;
    struct slice value; /* `data` is NULL: a null value, which is not an empty one */
};

/* The key; `data` is NULL when there is none, and is not NULL for an empty one. Points into `metadata`. */
struct slice metadata_key(struct slice metadata);

/* What is behind the key: the headers, for metadata_next_header(). */
struct slice metadata_headers(struct slice metadata);
/* Takes the next header off `rest`; false at the end. */
bool metadata_next_header(struct slice *rest, struct record_header *header);
/* The value of the last header of that name; `data` is NULL when there is none, or its value is null. */
struct slice metadata_header(struct slice metadata, struct slice name);

/* Writers: bytes that a key or a header takes, and the writing of it to `to`, which has room. `data` NULL: none. */
static inline size_t metadata_key_size(struct slice key)
{
    return METADATA_KEY_HEAD_SIZE + key.size;
}
static inline size_t metadata_header_size(const struct record_header *header)
{
    return METADATA_HEADER_HEAD_SIZE + header->name.size + header->value.size;
}
void metadata_write_key(char *to, struct slice key);
void metadata_write_header(char *to, const struct record_header *header);
