/* Where the next page starts, as text that needs no escaping in a URL. The digit is the version: a cursor of another one is refused, not
 * misread.
 *
 *   results       r1 + window start (16 hex digits) + key JSON (hex)
 *   dead letters  d1 + id (16 hex digits) */
#include "store/store_internal.h"

enum { PREFIX_SIZE = 2, NUMBER_SIZE = 16 };

static void write_number(struct buffer *out, const char *prefix, int64_t number)
{
    buffer_format(out, "%s%016llx", prefix, (unsigned long long)number);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_number(struct slice cursor, const char *prefix, int64_t *number)
{
    if (cursor.size < PREFIX_SIZE + NUMBER_SIZE || memcmp(cursor.data, prefix, PREFIX_SIZE) != 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < NUMBER_SIZE; i++) {
        int digit = hex_digit(cursor.data[PREFIX_SIZE + i]);
        if (digit < 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *number = (int64_t)value;
    return true;
}

void result_cursor_write(struct buffer *out, int64_t window_start_us, struct slice key_json)
{
    static const char digits[] = "0123456789abcdef";
    write_number(out, "r1", window_start_us);
    for (size_t i = 0; i < key_json.size; i++) {
        buffer_append_char(out, digits[(unsigned char)key_json.data[i] >> 4]);
        buffer_append_char(out, digits[key_json.data[i] & 0xF]);
    }
}

enum status result_cursor_read(struct slice cursor, int64_t *window_start_us, struct buffer *key_json)
{
    if (!read_number(cursor, "r1", window_start_us) || cursor.size % 2)
        return STATUS_INVALID;
    for (size_t i = PREFIX_SIZE + NUMBER_SIZE; i < cursor.size; i += 2) {
        int high = hex_digit(cursor.data[i]), low = hex_digit(cursor.data[i + 1]);
        if (high < 0 || low < 0)
            return STATUS_INVALID;
        buffer_append_char(key_json, (char)(high << 4 | low));
    }
    return STATUS_OK;
}

void dead_letter_cursor_write(struct buffer *out, int64_t id)
{
    write_number(out, "d1", id);
}

enum status dead_letter_cursor_read(struct slice cursor, int64_t *id)
{
    return read_number(cursor, "d1", id) && cursor.size == PREFIX_SIZE + NUMBER_SIZE ? STATUS_OK
                                                                                     : STATUS_INVALID;
}
