/* What the parts of src/expr share: the tree, single values, columns on the way. Only the sources of src/expr include this.
 *
 *   text --expr_lexer--> tokens --expr_parser--> nodes --expr_check--> typed, folded, bound to columns
 *   nodes + batch --expr_evaluate / expr_select--> columns / rows */
#pragma once

#include "base/arena.h"
#include "expr/expr.h"
#include "expr/regex.h"

enum {
    EXPR_MAX_LIST_SIZE = 256,                /* elements of a list literal */
    EXPR_MAX_TEXT_RESULT_SIZE = 1024 * 1024, /* a longer string result is null */
    EXPR_MAX_SIDE_SIZE = 256 * 1024 * 1024,  /* side area of a batch beyond which string results are null */
    EXPR_NUMBER_TEXT_SIZE = 64,              /* any number, time or duration as text */
};

enum expr_operation {
    OP_CONSTANT,
    OP_PATH,
    OP_LIST,
    OP_NOT,
    OP_NEGATE,
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_DIVIDE,
    OP_REMAINDER,
    OP_EQUAL,
    OP_NOT_EQUAL,
    OP_LESS,
    OP_LESS_EQUAL,
    OP_GREATER,
    OP_GREATER_EQUAL,
    OP_AND,
    OP_OR,
    OP_CONDITIONAL,
    OP_IN,
    OP_CALL,
};

/* One value outside any column. `text` (strings and raw JSON) is a view into the batch or the expression. */
struct scalar {
    enum value_kind kind;
    union {
        int64_t i;
        double d;
        struct slice text;
    };
};

struct expr_node;

/* One row of a function; arguments may be null. Writes no text: functions that make text are kernels of their own. */
typedef void (*expr_apply)(const struct expr_node *node, const struct scalar *arguments, struct scalar *out);

enum expr_call_form { CALL_FUNCTION = 1, CALL_METHOD = 2 };

struct expr_function {
    const char *name;
    unsigned forms;                      /* enum expr_call_form: size(x), x.size() */
    uint32_t argument_min, argument_max; /* the receiver of a method is the first */
    enum expr_type
        argument_type;          /* of the first; the others too unless the check of the function says else */
    enum expr_type result_type; /* EXPR_ANY: that of the arguments */
    const char *usage;          /* for messages */
    expr_apply apply;           /* NULL: string(), has() and matches() are treated by name of the kernel */
};

struct expr_node {
    enum expr_operation operation;
    enum expr_type type; /* after the check */
    uint32_t offset;     /* in the text */
    uint32_t child_count;
    struct expr_node **children;
    struct scalar constant;               /* OP_CONSTANT */
    struct path *path;                    /* OP_PATH */
    uint32_t column;                      /* OP_PATH, after binding */
    const struct expr_function *function; /* OP_CALL, after the check */
    struct slice name;                    /* OP_CALL: the name as written */
    bool is_method;                       /* OP_CALL */
    struct regex *regex;                  /* OP_CALL of matches */
};

struct expr {
    struct arena arena;
    struct expr_node *root;
    struct regex **regexes; /* owned; in the arena, freed one by one */
    uint32_t regex_count;
    char *path_name; /* NULL unless the root is a path */
};

/* Everything that is needed while an expression is made. */
struct expr_compilation {
    struct expr *expr;
    struct slice text;
    struct schema *schema;
    struct expr_error *error;
    uint32_t node_count;
    uint32_t depth;
};

/* Records the first error only; returns false, so that callers can `return expr_reject(...)`. */
bool expr_reject(struct expr_compilation *compilation, size_t offset, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Tree of the whole text, or NULL. */
struct expr_node *expr_parse(struct expr_compilation *compilation);
/* Types, functions, regular expressions, constant folding; false on error. */
bool expr_check(struct expr_compilation *compilation, struct expr_node **root, enum expr_type want);

const struct expr_function *expr_function_find(struct slice name);
/* Name of the function that `name` looks most like, or NULL. */
const char *expr_function_suggest(struct slice name);
/* Is this the function of that name; for the few that the kernels treat themselves. */
bool expr_function_is(const struct expr_node *node, const char *name);

/* One row of an operator or function that makes no text. */
void expr_apply_row(const struct expr_node *node, const struct scalar *arguments, struct scalar *out);
/* Arithmetic of two numbers, times or durations; everything else gives null. */
void expr_arithmetic(enum expr_operation operation, const struct scalar *a, const struct scalar *b,
                     struct scalar *out);
/* OP_EQUAL ... OP_GREATER_EQUAL by the rules of docs/EXPRESSIONS.md. */
void expr_compare(enum expr_operation operation, const struct scalar *a, const struct scalar *b,
                  struct scalar *out);
bool expr_equal(const struct scalar *a, const struct scalar *b);
/* Text of a number, bool, time or duration in `out`; 0 when there is none (null). */
size_t expr_format_scalar(const struct scalar *value, char out[EXPR_NUMBER_TEXT_SIZE]);

/* Elements or members at the top level of valid JSON text of an array or object; -1 when it is neither. */
int64_t expr_json_size(struct slice json);
/* Is `value` equal to an element of the JSON array? False when it is no array. */
bool expr_json_contains(struct slice json, const struct scalar *value);

/* Values of a node over some rows: one constant, or a column that is filled at those rows only. */
struct operand {
    bool is_constant;
    struct scalar constant;
    struct column column;
};

/* `rows` NULL: all rows 0..row_count-1. */
struct operand expr_evaluate_node(const struct expr_node *node, struct batch *batch, const uint32_t *rows,
                                  uint32_t row_count);
/* The constant in every row of the batch; its text is copied to the side area. */
struct column expr_repeat(const struct scalar *constant, struct batch *batch);
/* Rows for which the node is true; `selected` may be `rows` itself. */
uint32_t expr_select_node(const struct expr_node *node, struct batch *batch, const uint32_t *rows,
                          uint32_t row_count, uint32_t *selected);
/* Those of `rows` that are not in `chosen` (an ascending part of them). */
uint32_t expr_rows_without(const uint32_t *rows, uint32_t row_count, const uint32_t *chosen,
                           uint32_t chosen_count, uint32_t *rest);

static inline bool scalar_is_number(const struct scalar *value)
{
    return value->kind == VALUE_INT || value->kind == VALUE_DOUBLE;
}

static inline double scalar_double(const struct scalar *value)
{
    return value->kind == VALUE_INT ? (double)value->i : value->d;
}

static inline struct scalar operand_load(const struct operand *operand, const struct batch *batch,
                                         uint32_t row)
{
    if (operand->is_constant)
        return operand->constant;
    struct scalar value = {.kind = operand->column.kinds[row]};
    if (value.kind == VALUE_STRING || value.kind == VALUE_JSON)
        value.text = batch_text(batch, operand->column.values[row].s);
    else if (value.kind != VALUE_NULL)
        value.i = operand->column.values[row].i;
    return value;
}

static inline uint32_t operand_kind_mask(const struct operand *operand)
{
    return operand->is_constant ? value_kind_bit(operand->constant.kind) : operand->column.kind_mask;
}
