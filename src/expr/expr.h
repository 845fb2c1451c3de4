/* Expressions: a documented subset of CEL, type-checked at load, evaluated a column at a time. A compiled expression is
 * immutable and may be shared by threads; each evaluating thread brings a batch and its arena. */
#pragma once

#include "flow/batch.h"
#include "flow/schema.h"

enum {
    EXPR_MAX_SIZE = 4096, /* bytes of text */
    EXPR_MAX_NODES = 512,
    EXPR_MAX_DEPTH = 32,
    EXPR_MAX_REGEX_SIZE = 256,
};

/* Static type of an expression. A path is EXPR_ANY: its rows are looked at one by one. */
enum expr_type {
    EXPR_ANY,
    EXPR_BOOL,
    EXPR_INT,
    EXPR_DOUBLE,
    EXPR_NUMBER /* int or double */,
    EXPR_STRING,
    EXPR_LIST,
    EXPR_TIMESTAMP,
    EXPR_DURATION,
    EXPR_NULL
};
const char *expr_type_name(enum expr_type type);

struct expr_error {
    size_t offset; /* byte of the expression's text where the trouble is */
    char message[256];
};

struct expr;

/* Parses and type-checks; paths are added to `schema`, which must outlive nothing: the expression keeps column indices.
 * `want` EXPR_BOOL: the result must be able to be a bool; EXPR_ANY: whatever. */
NODISCARD
enum status expr_compile(struct slice text, struct schema *schema, enum expr_type want, struct expr **out,
                         struct expr_error *error);
void expr_destroy(struct expr *expr);
enum expr_type expr_result_type(const struct expr *expr);
/* The column index when the whole expression is a bare path, else UINT32_MAX. */
uint32_t expr_path_column(const struct expr *expr);
/* The name a bare path gives to a key: its last member name; NULL when it is no bare path. */
const char *expr_path_name(const struct expr *expr);

/* Values for all rows of the batch. The column is the batch's own (a bare path) or in batch->arena; text it refers to
 * is in the batch (batch_reserve_side may move batch->bytes). Runtime trouble - a wrong type, division by zero, overflow - gives null. */
void expr_evaluate(const struct expr *expr, struct batch *batch, struct column *out);

/* Rows (of the given ascending ones, or of all when `rows` is NULL) for which the expression is true; null is no.
 * Writes to `selected` (room for as many), returns how many. */
uint32_t expr_select(const struct expr *expr, struct batch *batch, const uint32_t *rows, uint32_t row_count,
                     uint32_t *selected);

/* Splits a call such as "percentile(properties.amount, 95)" at the top level without compiling its arguments: function name and argument
 * texts (slices of `text`). For aggregates, whose functions are not part of the expression language. */
enum { EXPR_MAX_ARGUMENTS = 8 };
struct expr_call {
    struct slice function;
    struct slice arguments[EXPR_MAX_ARGUMENTS];
    uint32_t argument_count;
};
NODISCARD
enum status expr_split_call(struct slice text, struct expr_call *call, struct expr_error *error);
