/* What a subscription wants to see: exact conditions on paths (`filters`) and one expression (`where`), judged over the JSON
 * that would be delivered. I/O thread. */
#pragma once

#include "expr/expr.h"
#include "hub/hub_document.h"

enum { HUB_REASON_SIZE = 400 };

struct filter_value {
    enum native_json_event kind; /* STRING, INT, DOUBLE, TRUE, FALSE, NULL */
    union {
        int64_t integer;
        double number;
    };
    struct slice text;
};

/* True when the value at the path equals one of the values. Missing is null. */
struct filter_condition {
    struct path path;
    struct filter_value *values;
    uint32_t value_count;
};

struct hub_filter {
    struct arena arena;
    struct filter_condition *conditions; /* by path */
    uint32_t condition_count;
    struct slice where_text;
    struct expr *where;   /* NULL: none */
    struct schema schema; /* paths of `where` */
};

struct hub_filter *hub_filter_create(void);
void hub_filter_destroy(struct hub_filter *filter);
/* Reads the object `filters` of a client's message. Paths of which the first name is not in `roots` (NULL = any may be)
 * are refused. On STATUS_INVALID `reason` says what is wrong. */
NODISCARD
enum status hub_filter_read(struct hub_filter *filter, const struct hub_document *message,
                            const struct native_json_node *filters, const char *const *roots,
                            char reason[HUB_REASON_SIZE]);
NODISCARD
enum status hub_filter_set_where(struct hub_filter *filter, struct slice text, const char *const *roots,
                                 char reason[HUB_REASON_SIZE]);
/* One text for all filters that mean the same by the same words in any order. */
void hub_filter_canonical(const struct hub_filter *filter, struct buffer *out);
/* The condition on exactly this path, or NULL. */
const struct filter_condition *hub_filter_condition(const struct hub_filter *filter, const char *path);
/* Is `name` one of the values? */
bool filter_condition_takes(const struct filter_condition *condition, struct slice name);
/* Does it look at anything but the condition on `ignored` (NULL: at anything)? */
bool hub_filter_is_trivial(const struct hub_filter *filter, const char *ignored);
/* Judges the document; `scratch` is a batch for the expression's columns. */
bool hub_filter_match(const struct hub_filter *filter, struct hub_document *document, struct batch *scratch);
