/* Static checks: what can be known wrong is refused at load, with the place. Paths are EXPR_ANY and fit everywhere. Parts without a
 * path are computed here, once; if such a part can only be null (1 / 0, timestamp("soon")) that is an error of the author too. */
#include "base/memory.h"
#include "expr/expr_internal.h"

const char *expr_type_name(enum expr_type type)
{
    static const char *const names[] = {"any",    "bool", "int",       "double",   "number",
                                        "string", "list", "timestamp", "duration", "null"};
    return names[type];
}

static bool is_open(enum expr_type type)
{
    return type == EXPR_ANY || type == EXPR_NULL;
}

static bool is_number(enum expr_type type)
{
    return type == EXPR_INT || type == EXPR_DOUBLE || type == EXPR_NUMBER;
}

static bool is_time(enum expr_type type)
{
    return type == EXPR_TIMESTAMP || type == EXPR_DURATION;
}

static bool type_fits(enum expr_type type, enum expr_type want)
{
    return is_open(type) || want == type || (want == EXPR_NUMBER && is_number(type)) ||
           (is_number(want) && type == EXPR_NUMBER) || (want == EXPR_ANY && type != EXPR_LIST);
}

/* The type of a value that comes from either of two parts. */
static enum expr_type type_join(enum expr_type a, enum expr_type b)
{
    if (a == b || b == EXPR_NULL)
        return a;
    if (a == EXPR_NULL)
        return b;
    return is_number(a) && is_number(b) ? EXPR_NUMBER : EXPR_ANY;
}

static enum expr_type constant_type(const struct scalar *constant)
{
    static const enum expr_type types[VALUE_KIND_COUNT] = {
        [VALUE_NULL] = EXPR_NULL,           [VALUE_BOOL] = EXPR_BOOL,        [VALUE_INT] = EXPR_INT,
        [VALUE_DOUBLE] = EXPR_DOUBLE,       [VALUE_STRING] = EXPR_STRING,    [VALUE_JSON] = EXPR_ANY,
        [VALUE_TIMESTAMP] = EXPR_TIMESTAMP, [VALUE_DURATION] = EXPR_DURATION};
    return types[constant->kind];
}

static bool check_condition(struct expr_compilation *compilation, const struct expr_node *node)
{
    return type_fits(node->type, EXPR_BOOL) ||
           expr_reject(compilation, node->offset, "expected a condition (bool), got %s",
                       expr_type_name(node->type));
}

static const char *operator_symbol(enum expr_operation operation)
{
    static const char *const symbols[] = {
        [OP_NOT] = "!",           [OP_NEGATE] = "-", [OP_ADD] = "+",         [OP_SUBTRACT] = "-",
        [OP_MULTIPLY] = "*",      [OP_DIVIDE] = "/", [OP_REMAINDER] = "%",   [OP_EQUAL] = "==",
        [OP_NOT_EQUAL] = "!=",    [OP_LESS] = "<",   [OP_LESS_EQUAL] = "<=", [OP_GREATER] = ">",
        [OP_GREATER_EQUAL] = ">="};
    return symbols[operation];
}

static bool reject_operands(struct expr_compilation *compilation, const struct expr_node *node)
{
    return expr_reject(compilation, node->offset, "\"%s\" does not work on %s and %s",
                       operator_symbol(node->operation), expr_type_name(node->children[0]->type),
                       expr_type_name(node->children[1]->type));
}

/* Type of a sum or difference that a time or duration takes part in; EXPR_NULL when there is none. */
static enum expr_type time_sum_type(enum expr_operation operation, enum expr_type a, enum expr_type b)
{
    if (is_open(a) || is_open(b))
        return (is_open(a) || is_time(a)) && (is_open(b) || is_time(b)) ? EXPR_ANY : EXPR_NULL;
    if (!is_time(a) || !is_time(b))
        return EXPR_NULL;
    if (operation == OP_ADD)
        return a == EXPR_DURATION ? b : b == EXPR_DURATION ? a : EXPR_NULL;
    if (b == EXPR_DURATION)
        return a;
    return a == EXPR_TIMESTAMP ? EXPR_DURATION : EXPR_NULL;
}

static bool check_arithmetic(struct expr_compilation *compilation, struct expr_node *node)
{
    enum expr_type a = node->children[0]->type, b = node->children[1]->type;
    bool is_sum = node->operation == OP_ADD || node->operation == OP_SUBTRACT;
    if (node->operation == OP_ADD && (a == EXPR_STRING || b == EXPR_STRING)) {
        if (!type_fits(a, EXPR_STRING) || !type_fits(b, EXPR_STRING))
            return expr_reject(compilation, node->offset,
                               "\"+\" does not work on %s and %s; convert with string(x)", expr_type_name(a),
                               expr_type_name(b));
        node->type = EXPR_STRING;
        return true;
    }
    if (is_sum && (is_time(a) || is_time(b))) {
        node->type = time_sum_type(node->operation, a, b);
        return node->type != EXPR_NULL || reject_operands(compilation, node);
    }
    if (!type_fits(a, EXPR_NUMBER) || !type_fits(b, EXPR_NUMBER))
        return reject_operands(compilation, node);
    if (a == EXPR_DOUBLE || b == EXPR_DOUBLE)
        node->type = EXPR_DOUBLE;
    else if (a == EXPR_INT && b == EXPR_INT)
        node->type = EXPR_INT;
    else
        node->type = node->operation == OP_ADD && is_open(a) && is_open(b)        ? EXPR_ANY
                     : node->operation == OP_SUBTRACT && is_open(a) && is_open(b) ? EXPR_ANY
                                                                                  : EXPR_NUMBER;
    return true;
}

static bool check_comparison(struct expr_compilation *compilation, struct expr_node *node)
{
    enum expr_type a = node->children[0]->type, b = node->children[1]->type;
    bool is_equality = node->operation == OP_EQUAL || node->operation == OP_NOT_EQUAL;
    node->type = EXPR_BOOL;
    if (a == EXPR_LIST || b == EXPR_LIST)
        return expr_reject(compilation, node->offset, "a list can only stand to the right of \"in\"");
    if (!is_equality && (a == EXPR_BOOL || b == EXPR_BOOL || a == EXPR_NULL || b == EXPR_NULL))
        return expr_reject(compilation, node->offset, "%s has no order; compare with == or !=",
                           a == EXPR_BOOL || b == EXPR_BOOL ? "a bool" : "null");
    if (is_open(a) || is_open(b) || a == b || (is_number(a) && is_number(b)))
        return true;
    return expr_reject(compilation, node->offset, "cannot compare %s with %s: they are never equal",
                       expr_type_name(a), expr_type_name(b));
}

static bool check_in(struct expr_compilation *compilation, struct expr_node *node)
{
    enum expr_type list = node->children[1]->type;
    node->type = EXPR_BOOL;
    if (node->children[0]->type == EXPR_LIST)
        return expr_reject(compilation, node->children[0]->offset, "a list cannot be an element of a list");
    if (list == EXPR_LIST || list == EXPR_ANY)
        return true;
    return expr_reject(compilation, node->children[1]->offset,
                       "expected a list or a field right of \"in\", got %s%s", expr_type_name(list),
                       list == EXPR_STRING ? "; for parts of a string use x.contains(y)" : "");
}

static bool check_conditional(struct expr_compilation *compilation, struct expr_node *node)
{
    enum expr_type a = node->children[1]->type, b = node->children[2]->type;
    if (!check_condition(compilation, node->children[0]))
        return false;
    if (a == EXPR_LIST || b == EXPR_LIST)
        return expr_reject(compilation, node->offset, "a list can only stand to the right of \"in\"");
    node->type = type_join(a, b);
    return true;
}

static bool check_call_form(struct expr_compilation *compilation, struct expr_node *node)
{
    const struct expr_function *function = node->function = expr_function_find(node->name);
    int name_size = (int)(node->name.size < 64 ? node->name.size : 64);
    if (!function) {
        const char *suggestion = expr_function_suggest(node->name);
        return expr_reject(compilation, node->offset, "unknown function \"%.*s\"%s%s%s", name_size,
                           node->name.data, suggestion ? "; did you mean \"" : "",
                           suggestion ? suggestion : "", suggestion ? "\"?" : "");
    }
    if (!(function->forms & (node->is_method ? CALL_METHOD : CALL_FUNCTION)) ||
        node->child_count < function->argument_min || node->child_count > function->argument_max)
        return expr_reject(compilation, node->offset, "\"%s\" is written as %s", function->name,
                           function->usage);
    return true;
}

static bool check_arguments(struct expr_compilation *compilation, struct expr_node *node)
{
    const struct expr_function *function = node->function;
    enum expr_type result = function->argument_type == EXPR_NUMBER ? EXPR_NULL : EXPR_ANY;
    bool is_size = expr_function_is(node, "size");
    for (uint32_t i = 0; i < node->child_count; i++) {
        enum expr_type type = node->children[i]->type;
        if (!type_fits(type, function->argument_type) && !(is_size && type == EXPR_LIST))
            return expr_reject(
                compilation, node->children[i]->offset, "%s expects a %s, got %s", function->name,
                function->argument_type == EXPR_ANY ? "value" : expr_type_name(function->argument_type),
                expr_type_name(type));
        result = type_join(result, type == EXPR_ANY ? EXPR_NUMBER : type);
    }
    node->type = function->result_type == EXPR_ANY ? result : function->result_type;
    return true;
}

/* Conversions that can never succeed. */
static bool check_conversion(struct expr_compilation *compilation, const struct expr_node *node)
{
    enum expr_type type = node->children[0]->type;
    bool is_wrong = false;
    if (expr_function_is(node, "int") || expr_function_is(node, "double"))
        is_wrong = type == EXPR_BOOL;
    else if (expr_function_is(node, "timestamp"))
        is_wrong = type == EXPR_BOOL || type == EXPR_DURATION;
    else if (expr_function_is(node, "size"))
        is_wrong = type != EXPR_STRING && type != EXPR_LIST && !is_open(type);
    return !is_wrong || expr_reject(compilation, node->children[0]->offset, "%s cannot be made of a %s",
                                    node->function->usage, expr_type_name(type));
}

static bool compile_regex(struct expr_compilation *compilation, struct expr_node *node)
{
    const struct expr_node *pattern = node->children[1];
    char message[128];
    if (pattern->operation != OP_CONSTANT || pattern->constant.kind != VALUE_STRING)
        return expr_reject(compilation, pattern->offset, "the pattern of matches must be a string literal");
    if (pattern->constant.text.size > EXPR_MAX_REGEX_SIZE)
        return expr_reject(compilation, pattern->offset, "the pattern has more than %d bytes",
                           EXPR_MAX_REGEX_SIZE);
    node->regex =
        regex_create(pattern->constant.text.data, pattern->constant.text.size, message, sizeof message);
    if (!node->regex)
        return expr_reject(compilation, pattern->offset, "bad pattern: %s", message);
    struct expr *expr = compilation->expr;
    expr->regexes = memory_resize_array(expr->regexes, expr->regex_count + 1, sizeof(struct regex *));
    expr->regexes[expr->regex_count++] = node->regex;
    return true;
}

static bool check_call(struct expr_compilation *compilation, struct expr_node *node)
{
    if (!check_call_form(compilation, node) || !check_arguments(compilation, node) ||
        !check_conversion(compilation, node))
        return false;
    if (expr_function_is(node, "has") && node->children[0]->operation != OP_PATH)
        return expr_reject(compilation, node->children[0]->offset, "has expects a field such as has(a.b)");
    return !expr_function_is(node, "matches") || compile_regex(compilation, node);
}

static bool check_list(struct expr_compilation *compilation, struct expr_node *node)
{
    node->type = EXPR_LIST;
    for (uint32_t i = 0; i < node->child_count; i++)
        if (node->children[i]->type == EXPR_LIST)
            return expr_reject(compilation, node->children[i]->offset,
                               "a list cannot be an element of a list");
    return true;
}

static bool check_negate(struct expr_compilation *compilation, struct expr_node *node)
{
    enum expr_type type = node->children[0]->type;
    node->type = type == EXPR_DURATION || type == EXPR_ANY ? type : type_join(type, type);
    return type_fits(type, EXPR_NUMBER) || type == EXPR_DURATION ||
           expr_reject(compilation, node->offset, "\"-\" does not work on %s", expr_type_name(type));
}

/* Paths into documents are EXPR_ANY; what else a record has is of one type, or null. */
static bool check_path(struct expr_compilation *compilation, struct expr_node *node)
{
    enum path_origin origin;
    struct error error;
    if (schema_origin(compilation->schema, node->path, &origin, &error) != STATUS_OK)
        return expr_reject(compilation, node->offset, "%.240s", error.text);
    switch (origin) {
    case PATH_DOCUMENT: node->type = EXPR_ANY; break;
    case PATH_KEY:
    case PATH_HEADER:
    case PATH_TOPIC: node->type = EXPR_STRING; break;
    case PATH_PARTITION:
    case PATH_OFFSET:
    case PATH_TIMESTAMP: node->type = EXPR_INT; break;
    }
    return true;
}

static bool check_node(struct expr_compilation *compilation, struct expr_node *node)
{
    switch (node->operation) {
    case OP_CONSTANT: node->type = constant_type(&node->constant); return true;
    case OP_PATH: return check_path(compilation, node);
    case OP_LIST: return check_list(compilation, node);
    case OP_NEGATE: return check_negate(compilation, node);
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
    case OP_DIVIDE:
    case OP_REMAINDER: return check_arithmetic(compilation, node);
    case OP_EQUAL:
    case OP_NOT_EQUAL:
    case OP_LESS:
    case OP_LESS_EQUAL:
    case OP_GREATER:
    case OP_GREATER_EQUAL: return check_comparison(compilation, node);
    case OP_NOT: node->type = EXPR_BOOL; return check_condition(compilation, node->children[0]);
    case OP_AND:
    case OP_OR:
        node->type = EXPR_BOOL;
        return check_condition(compilation, node->children[0]) &&
               check_condition(compilation, node->children[1]);
    case OP_CONDITIONAL: return check_conditional(compilation, node);
    case OP_IN: return check_in(compilation, node);
    case OP_CALL: return check_call(compilation, node);
    }
    return false;
}

static void join_texts(struct arena *arena, const struct scalar *a, const struct scalar *b,
                       struct scalar *out)
{
    char *text = arena_allocate(arena, a->text.size + b->text.size + 1);
    memcpy(text, a->text.data, a->text.size);
    memcpy(text + a->text.size, b->text.data, b->text.size);
    *out = (struct scalar){.kind = VALUE_STRING, .text = {text, a->text.size + b->text.size}};
}

static void compute(struct arena *arena, const struct expr_node *node, const struct scalar *arguments,
                    struct scalar *out)
{
    if (node->operation == OP_ADD && arguments[0].kind == VALUE_STRING && arguments[1].kind == VALUE_STRING) {
        join_texts(arena, &arguments[0], &arguments[1], out);
    } else if (expr_function_is(node, "string")) {
        char text[EXPR_NUMBER_TEXT_SIZE];
        size_t size = expr_format_scalar(arguments, text);
        *out = arguments->kind == VALUE_STRING ? *arguments
               : size                          ? (struct scalar){.kind = VALUE_STRING,
                                                                 .text = arena_copy(arena, (struct slice){text, size})}
                                               : (struct scalar){.kind = VALUE_NULL};
    } else {
        expr_apply_row(node, arguments, out);
    }
}

/* Turns an operator or function over constants into its value. */
static bool fold(struct expr_compilation *compilation, struct expr_node *node)
{
    if (node->operation == OP_CONSTANT || node->operation == OP_PATH || node->operation == OP_LIST ||
        node->operation == OP_CONDITIONAL || node->operation == OP_IN ||
        node->child_count > EXPR_MAX_ARGUMENTS)
        return true;
    struct scalar arguments[EXPR_MAX_ARGUMENTS];
    bool has_null = false;
    for (uint32_t i = 0; i < node->child_count; i++) {
        if (node->children[i]->operation != OP_CONSTANT)
            return true;
        arguments[i] = node->children[i]->constant;
        has_null |= arguments[i].kind == VALUE_NULL;
    }
    struct scalar value;
    compute(&compilation->expr->arena, node, arguments, &value);
    if (value.kind == VALUE_NULL && !has_null)
        return expr_reject(
            compilation, node->offset,
            "this is always null: division by zero, overflow, or text that cannot be converted");
    node->operation = OP_CONSTANT;
    node->constant = value;
    node->type = constant_type(&value);
    return true;
}

static bool check_tree(struct expr_compilation *compilation, struct expr_node *node)
{
    for (uint32_t i = 0; i < node->child_count; i++)
        if (!check_tree(compilation, node->children[i]))
            return false;
    return check_node(compilation, node) && fold(compilation, node);
}

static bool bind_paths(struct expr_compilation *compilation, struct expr_node *node)
{
    if (node->operation == OP_PATH && schema_add(compilation->schema, node->path, &node->column) != STATUS_OK)
        return expr_reject(compilation, node->offset, "a source can have at most %d different paths in use",
                           SCHEMA_MAX_COLUMNS);
    if (node->operation == OP_CONSTANT)
        return true;
    for (uint32_t i = 0; i < node->child_count; i++)
        if (!bind_paths(compilation, node->children[i]))
            return false;
    return true;
}

bool expr_check(struct expr_compilation *compilation, struct expr_node **root, enum expr_type want)
{
    if (!check_tree(compilation, *root))
        return false;
    enum expr_type type = (*root)->type;
    if (want == EXPR_BOOL) {
        if (type == EXPR_NULL || !check_condition(compilation, *root))
            return expr_reject(compilation, (*root)->offset, "expected a condition (bool), got null");
    } else if (!type_fits(type, want)) {
        return type == EXPR_LIST
                   ? expr_reject(compilation, (*root)->offset, "a list can only stand to the right of \"in\"")
                   : expr_reject(compilation, (*root)->offset, "expected %s, got %s", expr_type_name(want),
                                 expr_type_name(type));
    }
    return bind_paths(compilation, *root);
}
