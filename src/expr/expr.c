/* The public face: compile, describe, evaluate; and the splitting of an aggregate's call, which shares the tokens but not the
 * functions of the language. */
#include "expr/expr.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "expr/expr_lexer.h"

bool expr_reject(struct expr_compilation *compilation, size_t offset, const char *format, ...)
{
    struct expr_error *error = compilation->error;
    if (error->message[0])
        return false;
    error->offset = offset < compilation->text.size ? offset : compilation->text.size;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return false;
}

/* Size and encoding, before anything else looks at the text. */
static bool check_text(struct expr_compilation *compilation)
{
    struct slice text = compilation->text;
    if (text.size > EXPR_MAX_SIZE)
        return expr_reject(compilation, EXPR_MAX_SIZE, "the expression has more than %d bytes",
                           EXPR_MAX_SIZE);
    for (size_t at = 0, size; at < text.size; at += size)
        if (!(size = utf8_sequence_size(text.data + at, text.size - at)))
            return expr_reject(compilation, at, "the expression is not valid UTF-8");
    return true;
}

static struct expr *expr_create(void)
{
    struct expr *expr = memory_allocate(sizeof *expr);
    arena_init(&expr->arena, 0);
    return expr;
}

void expr_destroy(struct expr *expr)
{
    if (!expr)
        return;
    for (uint32_t i = 0; i < expr->regex_count; i++)
        regex_destroy(expr->regexes[i]);
    free(expr->regexes);
    arena_deinit(&expr->arena);
    free(expr);
}

/* The last step that has a name: items[0] is called items. */
static void name_path(struct expr *expr)
{
    if (expr->root->operation != OP_PATH)
        return;
    const struct path *path = expr->root->path;
    for (uint32_t i = path->step_count; i-- > 0 && !expr->path_name;)
        if (path->steps[i].name.data)
            expr->path_name = (char *)arena_copy(&expr->arena, path->steps[i].name).data;
}

enum status expr_compile(struct slice text, struct schema *schema, enum expr_type want, struct expr **out,
                         struct expr_error *error)
{
    struct expr *expr = expr_create();
    *error = (struct expr_error){0};
    *out = NULL;
    struct expr_compilation compilation = {.expr = expr, .text = text, .schema = schema, .error = error};
    if (check_text(&compilation)) {
        /* Names and patterns stay in use, so the expression keeps a text of its own. */
        compilation.text = arena_copy(&expr->arena, text);
        expr->root = expr_parse(&compilation);
    }
    if (!expr->root || !expr_check(&compilation, &expr->root, want)) {
        expr_destroy(expr);
        return STATUS_INVALID;
    }
    name_path(expr);
    *out = expr;
    return STATUS_OK;
}

enum expr_type expr_result_type(const struct expr *expr)
{
    return expr->root->type;
}

uint32_t expr_path_column(const struct expr *expr)
{
    return expr->root->operation == OP_PATH ? expr->root->column : UINT32_MAX;
}

const char *expr_path_name(const struct expr *expr)
{
    return expr->path_name;
}

void expr_evaluate(const struct expr *expr, struct batch *batch, struct column *out)
{
    struct operand operand = expr_evaluate_node(expr->root, batch, NULL, batch->row_count);
    *out = operand.is_constant ? expr_repeat(&operand.constant, batch) : operand.column;
}

uint32_t expr_select(const struct expr *expr, struct batch *batch, const uint32_t *rows, uint32_t row_count,
                     uint32_t *selected)
{
    return expr_select_node(expr->root, batch, rows, row_count, selected);
}

static bool is_symbol(const struct lexer *lexer, const char *symbol)
{
    return lexer->token.kind == TOKEN_SYMBOL && slice_equal_text(lexer->token.text, symbol);
}

/* One argument: everything up to a comma or closing parenthesis of this level, which becomes the current token. */
static bool split_argument(struct lexer *lexer, struct slice *argument)
{
    struct expr_compilation *compilation = lexer->compilation;
    size_t start = lexer->token.offset, end = start;
    unsigned depth = 0;
    while (depth || (!is_symbol(lexer, ",") && !is_symbol(lexer, ")"))) {
        if (lexer->token.kind == TOKEN_END)
            return expr_reject(compilation, lexer->token.offset, "expected \")\", but the text ends here");
        if (is_symbol(lexer, "(") || is_symbol(lexer, "["))
            depth++;
        else if (depth && (is_symbol(lexer, ")") || is_symbol(lexer, "]")))
            depth--;
        end = lexer->position;
        if (!lexer_next(lexer))
            return false;
    }
    if (end == start)
        return expr_reject(compilation, start, "expected an argument");
    *argument = (struct slice){compilation->text.data + start, end - start};
    return true;
}

static bool split_call(struct lexer *lexer, struct expr_call *call)
{
    struct expr_compilation *compilation = lexer->compilation;
    if (!check_text(compilation) || !lexer_next(lexer))
        return false;
    if (lexer->token.kind != TOKEN_NAME)
        return expr_reject(compilation, lexer->token.offset, "expected a function call such as sum(amount)");
    call->function = lexer->token.text;
    if (!lexer_next(lexer))
        return false;
    if (!is_symbol(lexer, "("))
        return expr_reject(compilation, lexer->token.offset,
                           "expected \"(\": a function is called, as in sum(amount)");
    if (!lexer_next(lexer))
        return false;
    while (call->argument_count || !is_symbol(lexer, ")")) {
        if (call->argument_count == EXPR_MAX_ARGUMENTS)
            return expr_reject(compilation, lexer->token.offset, "more than %d arguments",
                               EXPR_MAX_ARGUMENTS);
        if (!split_argument(lexer, &call->arguments[call->argument_count]))
            return false;
        call->argument_count++;
        if (is_symbol(lexer, ")"))
            break;
        if (!lexer_next(lexer))
            return false;
    }
    if (!lexer_next(lexer))
        return false;
    return lexer->token.kind == TOKEN_END ||
           expr_reject(compilation, lexer->token.offset,
                       "expected nothing behind the call; compute inside its argument");
}

enum status expr_split_call(struct slice text, struct expr_call *call, struct expr_error *error)
{
    struct expr *expr = expr_create();
    *call = (struct expr_call){0};
    *error = (struct expr_error){0};
    struct expr_compilation compilation = {.expr = expr, .text = text, .error = error};
    struct lexer lexer = {.compilation = &compilation};
    bool is_split = split_call(&lexer, call);
    expr_destroy(expr);
    return is_split ? STATUS_OK : STATUS_INVALID;
}
