/* A YAML text as a small tree in an arena, each value with its place, before anything is known of what the keys mean.
 * Strict on purpose: one document, no tags, no merge keys, no key twice in a mapping. An alias is a copy of its anchor's value. */
#pragma once

#include "config/config.h"

enum {
    CONFIG_MAX_FILE_SIZE = 1024 * 1024, /* bytes of a config file */
    CONFIG_MAX_DEPTH = 16,              /* mappings and lists within each other */
    CONFIG_MAX_CHILDREN = 1024,         /* keys of a mapping, elements of a list */
    CONFIG_MAX_ANCHORS = 256,
    CONFIG_MAX_COPIES = 10000,  /* values that aliases copy */
    CONFIG_MAX_PROBLEMS = 1000, /* kept before the first CONFIG_MAX_ERRORS by place are told */
};

enum node_kind { NODE_SCALAR, NODE_MAP, NODE_LIST };

struct node {
    enum node_kind kind;
    bool is_broken; /* scalar whose ${VAR} has been told to be wrong: nothing more to say about it */
    bool is_plain;  /* scalar without quotes: may be null, a number, true */
    struct config_place place; /* first character of the value (behind an opening quote) */
    struct config_place key_place;
    const char *key;  /* within a mapping; NULL within a list and for the root */
    const char *text; /* scalar, NUL-terminated */
    struct node *parent, *first, *last, *next;
    uint32_t child_count;
};

/* Problems are collected and told in the order of the file, whatever the order of the checks. */
struct problem {
    struct problem *next;
    struct config_place place;
    uint32_t sequence; /* equal places keep the order in which they were found */
    bool is_warning;
    const char *message;
};

struct problems {
    struct arena *arena; /* messages; and everything else that lives as long as the load */
    struct problem *newest;
    uint32_t count, warning_count;
    uint32_t kept_count; /* problems in the list */
};

void problem_add(struct problems *problems, struct config_place place, const char *format, ...)
    PRINTF_LIKE(3, 4);
void problem_add_warning(struct problems *problems, struct config_place place, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Moves everything to `errors`, by place. */
void problems_report(struct problems *problems, struct config_errors *errors);

/* NULL when the text is no YAML of the kind above (then problems have grown), or when it holds nothing at all. */
struct node *yaml_parse(struct problems *problems, const char *text, size_t size);

/* The child of a mapping by key, or NULL. */
struct node *node_find(const struct node *map, const char *key);
struct node *node_create(struct arena *arena, enum node_kind kind, struct config_place place);
/* Puts the child at the end; `key` NULL in lists. */
void node_add(struct node *parent, struct node *child, const char *key, struct config_place key_place);
/* The same, in the place of the child that has this key, if there is one. */
void node_replace(struct node *map, struct node *child, const char *key, struct config_place key_place);
/* True for `key:` with nothing behind it, `~` and `null`. */
bool node_is_null(const struct node *node);
/* "sources.events.time", for messages; in the arena. */
const char *node_path(struct arena *arena, const struct node *node);
