/* Splits the text of an expression into tokens. Strings are unescaped here, into the expression's arena, so that later
 * stages see plain UTF-8. Names may hold $ and @ and any letter beyond ASCII, as paths do; a name with other characters
 * (a dash would be a minus) stands in backquotes or, behind its parent, in ["..."]. */
#include "expr/expr_lexer.h"

#include "base/native.h"
#include "base/utf8.h"

static bool is_name_start(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '@' || c >= 0x80;
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static int peek(const struct lexer *lexer, size_t ahead)
{
    size_t at = lexer->position + ahead;
    struct slice text = lexer->compilation->text;
    return at < text.size ? (unsigned char)text.data[at] : -1;
}

static int hex_value(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool read_code_point(struct lexer *lexer, unsigned digits, uint32_t *out)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < digits; i++) {
        int digit = hex_value(peek(lexer, 0));
        if (digit < 0)
            return expr_reject(lexer->compilation, lexer->position,
                               "expected %u hexadecimal digits in the escape", digits);
        value = value << 4 | (uint32_t)digit;
        lexer->position++;
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF) || value == 0)
        return expr_reject(lexer->compilation, lexer->position - digits,
                           "the escape is no character of Unicode");
    *out = value;
    return true;
}

/* The position is behind the backslash; appends to `out`. */
static bool read_escape(struct lexer *lexer, char *out, size_t *out_size)
{
    static const char simple[] = "n\nt\tr\rb\bf\fa\av\v\\\\\"\"''``//";
    size_t start = lexer->position;
    int c = peek(lexer, 0);
    lexer->position++;
    for (size_t i = 0; i + 1 < sizeof simple; i += 2)
        if (c == simple[i]) {
            out[(*out_size)++] = simple[i + 1];
            return true;
        }
    unsigned digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (!digits)
        return expr_reject(
            lexer->compilation, start - 1,
            "unknown escape in the string; a backslash itself is written \\\\, or use r\"...\"");
    uint32_t code_point = 0;
    if (!read_code_point(lexer, digits, &code_point))
        return false;
    *out_size += utf8_encode(code_point, out + *out_size);
    return true;
}

/* Bytes to the closing quote: unescaping never makes text longer. */
static size_t string_size(const struct lexer *lexer, char quote, bool is_raw)
{
    size_t size = 0;
    for (int c; (c = peek(lexer, size)) >= 0 && c != quote; size++)
        if (c == '\\' && !is_raw)
            size++;
    return size;
}

/* The position is behind the opening quote. */
static bool read_string(struct lexer *lexer, char quote, bool is_raw)
{
    char *out = arena_allocate(&lexer->compilation->expr->arena, string_size(lexer, quote, is_raw) + 1);
    size_t out_size = 0;
    for (;;) {
        int c = peek(lexer, 0);
        if (c < 0)
            return expr_reject(lexer->compilation, lexer->token.offset, "the string has no closing %c",
                               quote);
        lexer->position++;
        if (c == quote)
            break;
        if (c == '\\' && !is_raw) {
            if (!read_escape(lexer, out, &out_size))
                return false;
        } else {
            out[out_size++] = (char)c;
        }
    }
    lexer->token.text = (struct slice){out, out_size};
    return true;
}

static bool read_hexadecimal(struct lexer *lexer)
{
    uint64_t value = 0;
    size_t start = lexer->position += 2;
    for (int digit; (digit = hex_value(peek(lexer, 0))) >= 0; lexer->position++) {
        if (value >> 59)
            return expr_reject(lexer->compilation, lexer->token.offset, "the number does not fit 64 bits");
        value = value << 4 | (uint64_t)digit;
    }
    if (lexer->position == start)
        return expr_reject(lexer->compilation, start, "expected hexadecimal digits after 0x");
    lexer->token.kind = TOKEN_INT;
    lexer->token.integer = value;
    return true;
}

static void skip_digits(struct lexer *lexer)
{
    while (peek(lexer, 0) >= 0 && is_digit((unsigned char)peek(lexer, 0)))
        lexer->position++;
}

static bool read_integer(struct lexer *lexer, struct slice text)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (value > (UINT64_C(1) << 63) / 10 || value * 10 > (UINT64_C(1) << 63) - digit)
            return expr_reject(lexer->compilation, lexer->token.offset,
                               "the number does not fit 64 bits; write %.*s.0 for a double", SLICE_ARG(text));
        value = value * 10 + digit;
    }
    lexer->token.kind = TOKEN_INT;
    lexer->token.integer = value;
    return true;
}

static bool read_number(struct lexer *lexer)
{
    size_t start = lexer->position;
    if (peek(lexer, 0) == '0' && (peek(lexer, 1) | 0x20) == 'x')
        return read_hexadecimal(lexer);
    bool is_double = false;
    skip_digits(lexer);
    if (peek(lexer, 0) == '.' && peek(lexer, 1) >= 0 && is_digit((unsigned char)peek(lexer, 1))) {
        is_double = true;
        lexer->position++;
        skip_digits(lexer);
    }
    if ((peek(lexer, 0) | 0x20) == 'e') {
        size_t sign = peek(lexer, 1) == '+' || peek(lexer, 1) == '-';
        int digit = peek(lexer, 1 + sign);
        if (digit >= 0 && is_digit((unsigned char)digit)) {
            is_double = true;
            lexer->position += 1 + sign;
            skip_digits(lexer);
        }
    }
    struct slice text = {lexer->compilation->text.data + start, lexer->position - start};
    int next = peek(lexer, 0);
    if (next >= 0 && is_name_start((unsigned char)next))
        return expr_reject(lexer->compilation, start,
                           "\"%.*s%c\" is no number; units are written as duration(\"10s\")", SLICE_ARG(text),
                           next < 0x80 ? next : '?');
    if (!is_double)
        return read_integer(lexer, text);
    lexer->token.kind = TOKEN_DOUBLE;
    if (!native_double_parse(text.data, text.size, &lexer->token.number) ||
        lexer->token.number > 1.7976931348623157e308)
        return expr_reject(lexer->compilation, start, "the number is too large for a double");
    return true;
}

static bool read_symbol(struct lexer *lexer)
{
    static const char *const symbols[] = {"==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "+", "-",
                                          "*",  "/",  "%",  "?",  ":",  "(",  ")", "[", "]", ",", "."};
    struct slice rest = {lexer->compilation->text.data + lexer->position,
                         lexer->compilation->text.size - lexer->position};
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        struct slice symbol = slice_of(symbols[i]);
        if (rest.size >= symbol.size && memcmp(rest.data, symbol.data, symbol.size) == 0) {
            lexer->position += symbol.size;
            lexer->token.kind = TOKEN_SYMBOL;
            lexer->token.text = symbol;
            return true;
        }
    }
    const char *advice = rest.data[0] == '='   ? "; compare with =="
                         : rest.data[0] == '&' ? "; and is written &&"
                         : rest.data[0] == '|' ? "; or is written ||"
                                               : "";
    if ((unsigned char)rest.data[0] < 0x20 || rest.data[0] == 0x7F)
        return expr_reject(lexer->compilation, lexer->position, "a control character is not allowed here");
    return expr_reject(lexer->compilation, lexer->position, "unexpected \"%c\"%s", rest.data[0], advice);
}

static void skip_space(struct lexer *lexer)
{
    for (int c; (c = peek(lexer, 0)) == ' ' || c == '\t' || c == '\n' || c == '\r';)
        lexer->position++;
}

bool lexer_next(struct lexer *lexer)
{
    skip_space(lexer);
    lexer->token = (struct token){.kind = TOKEN_END, .offset = lexer->position};
    int c = peek(lexer, 0);
    if (c < 0)
        return true;
    if (c == '"' || c == '\'') {
        lexer->position++;
        lexer->token.kind = TOKEN_STRING;
        return read_string(lexer, (char)c, false);
    }
    if ((c == 'r' || c == 'R') && (peek(lexer, 1) == '"' || peek(lexer, 1) == '\'')) {
        lexer->position += 2;
        lexer->token.kind = TOKEN_STRING;
        return read_string(lexer, lexer->compilation->text.data[lexer->position - 1], true);
    }
    if (c == '`') {
        lexer->position++;
        lexer->token.kind = TOKEN_ODD_NAME;
        return read_string(lexer, '`', true);
    }
    if (is_name_start((unsigned char)c)) {
        size_t start = lexer->position;
        while (peek(lexer, 0) >= 0 &&
               (is_name_start((unsigned char)peek(lexer, 0)) || is_digit((unsigned char)peek(lexer, 0))))
            lexer->position++;
        lexer->token.kind = TOKEN_NAME;
        lexer->token.text = (struct slice){lexer->compilation->text.data + start, lexer->position - start};
        return true;
    }
    if (is_digit((unsigned char)c) ||
        (c == '.' && peek(lexer, 1) >= 0 && is_digit((unsigned char)peek(lexer, 1))))
        return read_number(lexer);
    return read_symbol(lexer);
}
