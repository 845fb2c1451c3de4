/* Tokens of an expression. */
#pragma once

#include "expr/expr_internal.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,     /* also true, false, null, in: the parser knows where they are words */
    TOKEN_ODD_NAME, /* `any name` in backquotes */
    TOKEN_INT,
    TOKEN_DOUBLE,
    TOKEN_STRING,
    TOKEN_SYMBOL, /* one of the operators; text is the symbol */
};

struct token {
    enum token_kind kind;
    size_t offset;
    struct slice text; /* as written; of a string or odd name: unescaped, in the arena */
    uint64_t integer;  /* TOKEN_INT: magnitude, at most 2^63 */
    double number;     /* TOKEN_DOUBLE */
};

struct lexer {
    struct expr_compilation *compilation;
    size_t position;
    struct token token; /* the current one */
};

/* Reads the next token into lexer->token; false (error recorded) when there is none that is valid. */
bool lexer_next(struct lexer *lexer);
