/* UTF-8 sequences, one at a time. Bulk validation of JSON text is simdjson's. See utf8.h. */
#include "base/utf8.h"

static bool is_continuation(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

size_t utf8_sequence_size(const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    if (size == 0)
        return 0;
    unsigned char lead = bytes[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2)
        return 0;
    if (lead < 0xE0)
        return size >= 2 && is_continuation(bytes[1]) ? 2 : 0;
    if (lead < 0xF0) {
        if (size < 3 || !is_continuation(bytes[1]) || !is_continuation(bytes[2]))
            return 0;
        if (lead == 0xE0 && bytes[1] < 0xA0)
            return 0;
        if (lead == 0xED && bytes[1] > 0x9F)
            return 0;
        return 3;
    }
    if (lead > 0xF4 || size < 4)
        return 0;
    if (!is_continuation(bytes[1]) || !is_continuation(bytes[2]) || !is_continuation(bytes[3]))
        return 0;
    if (lead == 0xF0 && bytes[1] < 0x90)
        return 0;
    if (lead == 0xF4 && bytes[1] > 0x8F)
        return 0;
    return 4;
}

bool utf8_valid(const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t length = utf8_sequence_size(text + i, size - i);
        if (!length)
            return false;
        i += length;
    }
    return true;
}

size_t utf8_encode(uint32_t code_point, char *out)
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xC0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (char)(0xE0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code_point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code_point & 0x3F));
    return 4;
}
