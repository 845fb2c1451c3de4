/* Whether an event keeps a schema, judged on its decoded columns: each rule's path is a column, and most rules are done with
 * one look at the kind of its value. What columns cannot tell, members that a closed object may not have, the column tree
 * tells the readers of documents. Immutable once made; any number of decoders may use it. */
#pragma once

#include "config/event_schema.h"
#include "decode/column_tree.h"
#include "decode/row_writer.h"
#include "flow/schema.h"

struct event_check;

/* Where a problem with a schema goes. */
struct event_check_report {
    void (*add)(void *context, struct config_place place, const char *message);
    void *context;
};

/* Adds the schema's paths to `columns` and compiles its patterns; the rules of the schema and `columns` outlive the check. NULL after a report: a wrong pattern, too
 * many paths, a member that a field of the record hides. */
struct event_check *event_check_create(const struct event_schema *schema, struct schema *columns,
                                       const struct event_check_report *report);
void event_check_destroy(struct event_check *check);

/* For column_tree_build(). */
const struct column_marks *event_check_marks(const struct event_check *check);

/* NULL when the row, read from the document `text`, keeps the schema. Else what is wrong, the first of it in the order of the schema:
 * path, what was expected, what is there; in the batch's arena. The writer has told null from missing. */
const char *event_check_row(const struct event_check *check, const struct row_writer *writer,
                            struct slice text);
