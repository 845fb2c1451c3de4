/* Recursive descent over the tokens; operators by precedence climbing, as CEL orders them:
 *   ?:   ||   &&   == != < <= > >= in   + -   * / %   ! -   . [] ()
 * Nesting is bounded by EXPR_MAX_DEPTH, the tree by EXPR_MAX_NODES, so that text from outside can neither exhaust the stack nor
 * the memory. A dotted name becomes one path node here; whether `a.b(` is a method is seen by the parenthesis. */
#include "expr/expr_lexer.h"

enum { PRECEDENCE_OR = 1, PRECEDENCE_AND, PRECEDENCE_RELATION, PRECEDENCE_SUM, PRECEDENCE_PRODUCT };

struct parser {
    struct lexer lexer;
    struct expr_compilation *compilation;
};

static struct expr_node *parse_expression(struct parser *parser);
static struct expr_node *parse_unary(struct parser *parser);

static bool at_symbol(const struct parser *parser, const char *symbol)
{
    const struct token *token = &parser->lexer.token;
    return token->kind == TOKEN_SYMBOL && slice_equal_text(token->text, symbol);
}

static bool at_word(const struct parser *parser, const char *word)
{
    const struct token *token = &parser->lexer.token;
    return token->kind == TOKEN_NAME && slice_equal_text(token->text, word);
}

static bool reject_token(struct parser *parser, const char *expected)
{
    const struct token *token = &parser->lexer.token;
    switch (token->kind) {
    case TOKEN_END:
        return expr_reject(parser->compilation, token->offset, "expected %s, but the expression ends here",
                           expected);
    case TOKEN_STRING:
        return expr_reject(parser->compilation, token->offset, "expected %s, got a string", expected);
    case TOKEN_INT:
    case TOKEN_DOUBLE:
        return expr_reject(parser->compilation, token->offset, "expected %s, got a number", expected);
    default:
        return expr_reject(parser->compilation, token->offset, "expected %s, got \"%.*s\"", expected,
                           (int)(token->text.size < 64 ? token->text.size : 64), token->text.data);
    }
}

static bool expect_symbol(struct parser *parser, const char *symbol, const char *expected)
{
    if (!at_symbol(parser, symbol))
        return reject_token(parser, expected);
    return lexer_next(&parser->lexer);
}

static struct expr_node *node_create(struct parser *parser, enum expr_operation operation, size_t offset,
                                     uint32_t child_count)
{
    if (++parser->compilation->node_count > EXPR_MAX_NODES) {
        expr_reject(parser->compilation, offset, "the expression has more than %d parts", EXPR_MAX_NODES);
        return NULL;
    }
    struct arena *arena = &parser->compilation->expr->arena;
    struct expr_node *node = arena_allocate_zeroed(arena, sizeof *node);
    node->operation = operation;
    node->offset = (uint32_t)offset;
    node->column = UINT32_MAX;
    node->child_count = child_count;
    if (child_count)
        node->children = arena_allocate_zeroed(arena, child_count * sizeof *node->children);
    return node;
}

static struct expr_node *constant_create(struct parser *parser, struct scalar constant)
{
    struct expr_node *node = node_create(parser, OP_CONSTANT, parser->lexer.token.offset, 0);
    if (!node || !lexer_next(&parser->lexer))
        return NULL;
    node->constant = constant;
    return node;
}

/* Values up to `closing`, as children of `node` behind those it has already. The opening bracket is read. */
static bool parse_arguments(struct parser *parser, struct expr_node *node, const char *closing,
                            uint32_t limit, const char *what)
{
    struct expr_node *items[EXPR_MAX_LIST_SIZE + 1];
    uint32_t count = 0;
    while (!at_symbol(parser, closing)) {
        if (node->child_count + count >= limit)
            return expr_reject(parser->compilation, parser->lexer.token.offset, "more than %u %s", limit,
                               what);
        if (!(items[count] = parse_expression(parser)))
            return false;
        count++;
        if (at_symbol(parser, closing))
            break;
        if (!at_symbol(parser, ","))
            return reject_token(parser, *closing == ')' ? "\",\" or \")\"" : "\",\" or \"]\"");
        if (!lexer_next(&parser->lexer))
            return false;
    }
    struct expr_node **children =
        arena_allocate(&parser->compilation->expr->arena, (node->child_count + count + 1) * sizeof *children);
    for (uint32_t i = 0; i < node->child_count; i++)
        children[i] = node->children[i];
    for (uint32_t i = 0; i < count; i++)
        children[node->child_count + i] = items[i];
    node->children = children;
    node->child_count += count;
    return lexer_next(&parser->lexer);
}

/* name(…) or receiver.name(…); the token is the opening parenthesis. */
static struct expr_node *parse_call(struct parser *parser, struct slice name, size_t offset,
                                    struct expr_node *receiver)
{
    struct expr_node *node = node_create(parser, OP_CALL, offset, receiver ? 1 : 0);
    if (!node || !lexer_next(&parser->lexer))
        return NULL;
    node->name = name;
    node->is_method = receiver != NULL;
    if (receiver)
        node->children[0] = receiver;
    return parse_arguments(parser, node, ")", EXPR_MAX_ARGUMENTS, "arguments") ? node : NULL;
}

static bool path_add_step(struct parser *parser, struct path *path, struct path_step step, size_t offset)
{
    if (path->step_count == SCHEMA_MAX_PATH_DEPTH)
        return expr_reject(parser->compilation, offset, "the path has more than %d steps",
                           SCHEMA_MAX_PATH_DEPTH);
    path->steps[path->step_count++] = step;
    return true;
}

/* [index] or ["name"]; the token is the bracket. */
static bool parse_index(struct parser *parser, struct path *path)
{
    if (!lexer_next(&parser->lexer))
        return false;
    const struct token *token = &parser->lexer.token;
    struct path_step step = {0};
    if (token->kind == TOKEN_STRING && token->text.size) {
        step.name = token->text;
    } else if (token->kind == TOKEN_INT && token->integer < UINT32_MAX) {
        step.index = (uint32_t)token->integer;
    } else {
        return expr_reject(
            parser->compilation, token->offset,
            "expected an index such as [0] or a name such as [\"odd name\"]; an index cannot be computed");
    }
    return path_add_step(parser, path, step, token->offset) && lexer_next(&parser->lexer) &&
           expect_symbol(parser, "]", "\"]\"");
}

/* Steps behind a value: members and indices while `node` is a path, methods on anything. */
static struct expr_node *parse_postfix(struct parser *parser, struct expr_node *node)
{
    for (;;) {
        if (at_symbol(parser, "[")) {
            if (node->operation != OP_PATH) {
                expr_reject(parser->compilation, parser->lexer.token.offset, "only a field can be indexed");
                return NULL;
            }
            if (!parse_index(parser, node->path))
                return NULL;
        } else if (at_symbol(parser, ".")) {
            if (!lexer_next(&parser->lexer))
                return NULL;
            struct token name = parser->lexer.token;
            if ((name.kind != TOKEN_NAME && name.kind != TOKEN_ODD_NAME) || !name.text.size) {
                reject_token(parser, "a name after \".\"");
                return NULL;
            }
            if (!lexer_next(&parser->lexer))
                return NULL;
            if (at_symbol(parser, "(")) {
                if (!(node = parse_call(parser, name.text, name.offset, node)))
                    return NULL;
            } else if (node->operation != OP_PATH) {
                expr_reject(parser->compilation, name.offset, "only a field has members");
                return NULL;
            } else if (!path_add_step(parser, node->path, (struct path_step){.name = name.text},
                                      name.offset)) {
                return NULL;
            }
        } else {
            return node;
        }
    }
}

static struct expr_node *parse_name(struct parser *parser)
{
    struct token name = parser->lexer.token;
    if (name.kind == TOKEN_NAME) {
        if (at_word(parser, "true") || at_word(parser, "false"))
            return constant_create(parser, (struct scalar){.kind = VALUE_BOOL, .i = at_word(parser, "true")});
        if (at_word(parser, "null"))
            return constant_create(parser, (struct scalar){.kind = VALUE_NULL});
    }
    if (!name.text.size || at_word(parser, "in")) {
        reject_token(parser, "a value");
        return NULL;
    }
    if (!lexer_next(&parser->lexer))
        return NULL;
    if (at_symbol(parser, "("))
        return parse_call(parser, name.text, name.offset, NULL);
    struct expr_node *node = node_create(parser, OP_PATH, name.offset, 0);
    if (!node)
        return NULL;
    node->path = arena_allocate_zeroed(&parser->compilation->expr->arena, sizeof *node->path);
    return path_add_step(parser, node->path, (struct path_step){.name = name.text}, name.offset) ? node
                                                                                                 : NULL;
}

static struct expr_node *parse_primary(struct parser *parser)
{
    const struct token *token = &parser->lexer.token;
    struct expr_node *node;
    switch (token->kind) {
    case TOKEN_NAME:
    case TOKEN_ODD_NAME: return parse_name(parser);
    case TOKEN_STRING:
        return constant_create(parser, (struct scalar){.kind = VALUE_STRING, .text = token->text});
    case TOKEN_DOUBLE:
        return constant_create(parser, (struct scalar){.kind = VALUE_DOUBLE, .d = token->number});
    case TOKEN_INT:
        if (token->integer > INT64_MAX) {
            expr_reject(parser->compilation, token->offset, "the number does not fit 64 bits");
            return NULL;
        }
        return constant_create(parser, (struct scalar){.kind = VALUE_INT, .i = (int64_t)token->integer});
    default: break;
    }
    if (at_symbol(parser, "[")) {
        if (!(node = node_create(parser, OP_LIST, token->offset, 0)) || !lexer_next(&parser->lexer))
            return NULL;
        return parse_arguments(parser, node, "]", EXPR_MAX_LIST_SIZE, "elements in a list") ? node : NULL;
    }
    if (at_symbol(parser, "(")) {
        if (!lexer_next(&parser->lexer) || !(node = parse_expression(parser)))
            return NULL;
        return expect_symbol(parser, ")", "\")\"") ? node : NULL;
    }
    reject_token(parser, "a value");
    return NULL;
}

/* -9223372036854775808 has no positive twin, so a minus in front of a literal belongs to the literal. */
static struct expr_node *parse_negated(struct parser *parser, size_t offset)
{
    const struct token *token = &parser->lexer.token;
    if (token->kind == TOKEN_INT) {
        struct expr_node *node =
            constant_create(parser, (struct scalar){.kind = VALUE_INT, .i = (int64_t)(0 - token->integer)});
        return node ? parse_postfix(parser, node) : NULL;
    }
    struct expr_node *node = node_create(parser, OP_NEGATE, offset, 1);
    return node && (node->children[0] = parse_unary(parser)) ? node : NULL;
}

static bool enter(struct parser *parser)
{
    if (++parser->compilation->depth <= EXPR_MAX_DEPTH)
        return true;
    return expr_reject(parser->compilation, parser->lexer.token.offset,
                       "the expression is nested deeper than %d", EXPR_MAX_DEPTH);
}

static void leave(struct parser *parser)
{
    parser->compilation->depth--;
}

static struct expr_node *parse_operand_of_unary(struct parser *parser, bool is_minus, size_t offset)
{
    if (is_minus)
        return parse_negated(parser, offset);
    struct expr_node *node = node_create(parser, OP_NOT, offset, 1);
    return node && (node->children[0] = parse_unary(parser)) ? node : NULL;
}

static struct expr_node *parse_unary(struct parser *parser)
{
    size_t offset = parser->lexer.token.offset;
    bool is_minus = at_symbol(parser, "-");
    if (!is_minus && !at_symbol(parser, "!")) {
        struct expr_node *node = parse_primary(parser);
        return node ? parse_postfix(parser, node) : NULL;
    }
    if (!enter(parser) || !lexer_next(&parser->lexer))
        return NULL;
    struct expr_node *node = parse_operand_of_unary(parser, is_minus, offset);
    leave(parser);
    return node;
}

struct binary_operator {
    const char *symbol;
    int precedence;
    enum expr_operation operation;
};

static const struct binary_operator *current_operator(const struct parser *parser)
{
    static const struct binary_operator operators[] = {
        {"||", PRECEDENCE_OR, OP_OR},
        {"&&", PRECEDENCE_AND, OP_AND},
        {"==", PRECEDENCE_RELATION, OP_EQUAL},
        {"!=", PRECEDENCE_RELATION, OP_NOT_EQUAL},
        {"<", PRECEDENCE_RELATION, OP_LESS},
        {"<=", PRECEDENCE_RELATION, OP_LESS_EQUAL},
        {">", PRECEDENCE_RELATION, OP_GREATER},
        {">=", PRECEDENCE_RELATION, OP_GREATER_EQUAL},
        {"+", PRECEDENCE_SUM, OP_ADD},
        {"-", PRECEDENCE_SUM, OP_SUBTRACT},
        {"*", PRECEDENCE_PRODUCT, OP_MULTIPLY},
        {"/", PRECEDENCE_PRODUCT, OP_DIVIDE},
        {"%", PRECEDENCE_PRODUCT, OP_REMAINDER},
    };
    static const struct binary_operator in = {"in", PRECEDENCE_RELATION, OP_IN};
    if (at_word(parser, "in"))
        return &in;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (at_symbol(parser, operators[i].symbol))
            return &operators[i];
    return NULL;
}

static struct expr_node *parse_binary(struct parser *parser, int lowest)
{
    struct expr_node *left = parse_unary(parser);
    const struct binary_operator *operator;
    while (left && (operator= current_operator(parser)) && operator->precedence >= lowest) {
        struct expr_node *node = node_create(parser, operator->operation, parser->lexer.token.offset, 2);
        if (!node || !lexer_next(&parser->lexer))
            return NULL;
        node->children[0] = left;
        if (!(node->children[1] = parse_binary(parser, operator->precedence + 1)))
            return NULL;
        left = node;
    }
    return left;
}

static struct expr_node *parse_conditional(struct parser *parser)
{
    struct expr_node *condition = parse_binary(parser, PRECEDENCE_OR);
    if (!condition || !at_symbol(parser, "?"))
        return condition;
    struct expr_node *node = node_create(parser, OP_CONDITIONAL, parser->lexer.token.offset, 3);
    if (!node || !lexer_next(&parser->lexer))
        return NULL;
    node->children[0] = condition;
    if (!(node->children[1] = parse_expression(parser)) ||
        !expect_symbol(parser, ":", "\":\" and the value for otherwise"))
        return NULL;
    return (node->children[2] = parse_expression(parser)) ? node : NULL;
}

static struct expr_node *parse_expression(struct parser *parser)
{
    if (!enter(parser))
        return NULL;
    struct expr_node *node = parse_conditional(parser);
    leave(parser);
    return node;
}

struct expr_node *expr_parse(struct expr_compilation *compilation)
{
    struct parser parser = {.lexer = {.compilation = compilation}, .compilation = compilation};
    if (!lexer_next(&parser.lexer))
        return NULL;
    if (parser.lexer.token.kind == TOKEN_END) {
        expr_reject(compilation, 0, "the expression is empty");
        return NULL;
    }
    struct expr_node *root = parse_expression(&parser);
    if (root && parser.lexer.token.kind != TOKEN_END) {
        reject_token(&parser, "an operator or the end");
        return NULL;
    }
    return root;
}
