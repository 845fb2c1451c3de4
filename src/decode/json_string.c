/* Plain stretches are skipped 16 bytes at a time; only what lies between them is looked at by the byte. */
#include "decode/json_string.h"

#include "base/json_text.h"
#include "base/utf8.h"

/* The value of four hexadecimal digits, or a number above 0xFFFF. */
static uint32_t read_hex(const char *text)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = text[i], lower = (char)(c | 0x20);
        bool is_letter = lower >= 'a' && lower <= 'f';
        if (!json_is_digit(c) && !is_letter)
            return UINT32_MAX;
        value = value << 4 | (uint32_t)(is_letter ? lower - 'a' + 10 : c - '0');
    }
    return value;
}

/* The code point of the \u escape at `text`, a surrogate pair taken together. Returns behind it, NULL when it is bad. */
static const char *read_unicode(const char *text, uint32_t *code_point)
{
    enum { HIGH_FIRST = 0xD800, LOW_FIRST = 0xDC00, LOW_LAST = 0xDFFF };
    uint32_t value = read_hex(text + 2);
    if (value > 0xFFFF || (value >= LOW_FIRST && value <= LOW_LAST))
        return NULL;
    text += 6;
    if (value >= HIGH_FIRST && value < LOW_FIRST) {
        if (text[0] != '\\' || text[1] != 'u')
            return NULL;
        uint32_t low = read_hex(text + 2);
        if (low < LOW_FIRST || low > LOW_LAST)
            return NULL;
        value = 0x10000 + ((value - HIGH_FIRST) << 10) + (low - LOW_FIRST);
        text += 6;
    }
    *code_point = value;
    return text;
}

/* The escape at `text`, a backslash. Puts 1-4 bytes to `unescaped`. Returns behind it, NULL when it is bad. */
static const char *read_escape(const char *text, char *unescaped, size_t *size)
{
    static const char values[] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                  ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    unsigned char c = (unsigned char)text[1];
    if (c == 'u') {
        uint32_t code_point;
        text = read_unicode(text, &code_point);
        if (text)
            *size = utf8_encode(code_point, unescaped);
        return text;
    }
    if (c >= sizeof values || !values[c])
        return NULL;
    *unescaped = values[c];
    *size = 1;
    return text + 2;
}

const char *json_string_read(const char *begin, const char *end, struct buffer *out, bool *has_escapes)
{
    const char *at = begin, *copied = begin; /* all before `copied` is in `out` */
    *has_escapes = false;
    for (;;) {
        at = json_skip_plain(at);
        if (at >= end)
            return NULL;
        if (*at == '"')
            break;
        if (*at == '\\') {
            char unescaped[4];
            size_t size = 0;
            const char *behind = read_escape(at, unescaped, &size);
            if (!behind)
                return NULL;
            if (out) {
                buffer_append(out, copied, (size_t)(at - copied));
                buffer_append(out, unescaped, size);
            }
            *has_escapes = true;
            at = copied = behind;
            continue;
        }
        size_t size = (unsigned char)*at < 0x80 ? 0 : utf8_sequence_size(at, (size_t)(end - at));
        if (!size)
            return NULL;
        at += size;
    }
    if (*has_escapes && out)
        buffer_append(out, copied, (size_t)(at - copied));
    return at;
}
