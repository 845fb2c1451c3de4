/* The leaves of JSON text, for whoever walks it himself: where a string ends, what a number is. Header only and valid as
 * C++, because the structure parser (native.cc) and the decoder's loop both want these inlined and must agree.
 *
 * Every function reads on until it meets a byte that ends the leaf, at most 15 bytes beyond it. The caller sees to it that
 * such a byte comes: the text is followed by NATIVE_JSON_PADDING readable bytes, the first of them NUL or white space, or is
 * known to be closed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/native.h"

enum json_number_kind { JSON_NUMBER_INT, JSON_NUMBER_DOUBLE };

struct json_number {
    int64_t integer;
    double real;
    enum json_number_kind kind;
};

static inline bool json_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* First byte at or after `text` that is a quote, a backslash, a control character or not ASCII. */
static inline const char *json_skip_plain(const char *text)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
    for (;; text += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)text);
        /* Signed and saturating: below a space the difference is negative, and so it is from 0x80 on. */
        __m128i stops =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                         _mm_subs_epi8(bytes, space));
        unsigned mask = (unsigned)_mm_movemask_epi8(stops);
        if (mask)
            return text + (unsigned)__builtin_ctz(mask);
    }
#else
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
    for (;; text += 8) {
        uint64_t word;
        memcpy(&word, text, sizeof word);
        uint64_t quotes = word ^ ones * '"', backslashes = word ^ ones * '\\';
        uint64_t stops = ((quotes - ones) & ~quotes) | ((backslashes - ones) & ~backslashes) |
                         ((word - ones * ' ') & ~word) | word;
        if (stops & highs)
            break;
    }
    while (*text != '"' && *text != '\\' && (unsigned char)(*text - ' ') < 0x80 - ' ')
        text++;
    return text;
#endif
}

/* First quote or backslash at or after `text`; for strings that are known to be closed and otherwise valid. */
static inline const char *json_skip_unescaped(const char *text)
{
    for (;; text++) {
        text = json_skip_plain(text);
        if (*text == '"' || *text == '\\')
            return text;
    }
}

/* 10^0 .. 10^22: the powers of ten that are doubles. */
static const double json_exact_powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                           1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                           1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { JSON_LARGEST_EXACT_POWER = 22, JSON_EXACT_DIGIT_COUNT = 19 };

static inline bool json_is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* The exponent part at `text`, which is an 'e' or 'E'. Returns its end, or NULL when it is none. Large ones saturate. */
static inline const char *json_parse_exponent(const char *text, int *exponent)
{
    text++;
    bool is_negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    if (!json_is_digit(*text))
        return NULL;
    int value = 0;
    for (; json_is_digit(*text); text++) {
        if (value < 100000)
            value = value * 10 + (*text - '0');
    }
    *exponent = is_negative ? -value : value;
    return text;
}

#ifdef __SSE2__
/* The value of 1 to 8 digits: neighbours are joined to pairs, pairs to fours, fours to the whole. */
static inline uint64_t json_digits_value(const char *digits, unsigned count)
{
    uint64_t word;
    memcpy(&word, digits, sizeof word);
    word = (word - UINT64_C(0x3030303030303030))
           << (8 * (8 - count)); /* zeros in front, what follows is gone */
    word = (word * 10 + (word >> 8)) & UINT64_C(0x00FF00FF00FF00FF);
    word = (word * 100 + (word >> 16)) & UINT64_C(0x0000FFFF0000FFFF);
    return (word * 10000 + (word >> 32)) & UINT32_MAX;
}

/* The usual numbers, without a branch per digit: at most 15 digits, or 8 on each side of a point and 14 in all. NULL for
 * all others, good and bad. */
static inline const char *json_parse_short_number(const char *text, struct json_number *number)
{
    static const uint64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
    bool is_negative = *text == '-';
    text += is_negative;
    __m128i bytes = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(const void *)text), _mm_set1_epi8('0'));
    __m128i small = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(9)), bytes);
    uint32_t others = ~(uint32_t)_mm_movemask_epi8(small);
    unsigned whole = (unsigned)__builtin_ctz(others);
    if (whole - 1 >= 15 || (*text == '0' && whole > 1))
        return NULL;
    if (text[whole] != '.') {
        uint64_t value = json_digits_value(text, whole < 8 ? whole : 8);
        if (whole > 8)
            value = value * powers[whole - 8] + json_digits_value(text + 8, whole - 8);
        number->kind = JSON_NUMBER_INT;
        number->integer = is_negative ? -(int64_t)value : (int64_t)value;
        return (value == 0 && is_negative) || (text[whole] | 0x20) == 'e' ? NULL : text + whole;
    }
    unsigned fraction = (unsigned)__builtin_ctz(others >> (whole + 1));
    unsigned size = whole + 1 + fraction;
    if (whole > 8 || fraction - 1 >= 8 || size >= 16 || (text[size] | 0x20) == 'e')
        return NULL;
    uint64_t digits =
        json_digits_value(text, whole) * powers[fraction] + json_digits_value(text + whole + 1, fraction);
    /* Both are exact doubles, so the quotient is rounded once. */
    double value = (double)(int64_t)digits / json_exact_powers[fraction];
    number->kind = JSON_NUMBER_DOUBLE;
    number->real = is_negative ? -value : value;
    return text + size;
}
#endif

/* The number that begins at `text` by JSON's grammar. Returns its end, or NULL when there is none. What follows is the
 * caller's to judge. Integers that fit int64 are integers, except -0, which is the double -0.0 so that it keeps its sign; all
 * else is the nearest double, beyond the range an infinity. */
static inline const char *json_parse_number(const char *text, struct json_number *number)
{
    const char *begin = text;
#ifdef __SSE2__
    const char *end = json_parse_short_number(text, number);
    if (end)
        return end;
#endif
    bool is_negative = *text == '-';
    text += is_negative;
    const char *first_digit = text;
    uint64_t digits = 0;
    for (; json_is_digit(*text); text++)
        digits = digits * 10 + (uint64_t)(*text - '0');
    ptrdiff_t digit_count = text - first_digit;
    if (digit_count == 0 || (*first_digit == '0' && digit_count > 1))
        return NULL;

    int scale = 0;
    bool is_integer = *text != '.' && (*text | 0x20) != 'e';
    if (is_integer) {
        if (digit_count <= JSON_EXACT_DIGIT_COUNT && digits <= (uint64_t)INT64_MAX + is_negative &&
            (digits != 0 || !is_negative)) {
            number->kind = JSON_NUMBER_INT;
            number->integer = (int64_t)(is_negative ? 0 - digits : digits);
            return text;
        }
    } else {
        if (*text == '.') {
            const char *fraction = ++text;
            for (; json_is_digit(*text); text++)
                digits = digits * 10 + (uint64_t)(*text - '0');
            if (text == fraction)
                return NULL;
            digit_count += text - fraction;
            scale = fraction - text < -1000 ? -1000 : (int)(fraction - text);
        }
        if ((*text | 0x20) == 'e') {
            int exponent;
            text = json_parse_exponent(text, &exponent);
            if (!text)
                return NULL;
            scale += exponent;
        }
    }
    number->kind = JSON_NUMBER_DOUBLE;
    /* Clinger's case: both the digits and the power of ten are exact doubles, so one operation rounds once. */
    if (digit_count <= JSON_EXACT_DIGIT_COUNT && digits <= UINT64_C(1) << 53 &&
        scale >= -JSON_LARGEST_EXACT_POWER && scale <= JSON_LARGEST_EXACT_POWER) {
        double value = (double)digits;
        value = scale < 0 ? value / json_exact_powers[-scale] : value * json_exact_powers[scale];
        number->real = is_negative ? -value : value;
        return text;
    }
    return native_double_parse(begin, (size_t)(text - begin), &number->real) ? text : NULL;
}
