/* Looking up members of parsed JSON: answers of a server, statistics of a library. */
#pragma once

#include "base/native.h"
#include "base/slice.h"

/* The value of a member of an object node; NULL when `object` is NULL or no object, or has no such member. */
const struct native_json_node *json_find(const struct native_json_document *document,
                                         const struct native_json_node *object, const char *name);
/* Text of a string member; empty when there is none. */
struct slice json_find_text(const struct native_json_document *document,
                            const struct native_json_node *object, const char *name);
/* A number member; `otherwise` when it is missing, null, or no number. */
double json_find_number(const struct native_json_document *document, const struct native_json_node *object,
                        const char *name, double otherwise);
bool json_find_true(const struct native_json_document *document, const struct native_json_node *object,
                    const char *name);

/* The first child of an object (a key) or array (an element), and the one behind it; NULL at the end. */
const struct native_json_node *json_first(const struct native_json_node *container);
const struct native_json_node *json_next(const struct native_json_document *document,
                                         const struct native_json_node *child);
