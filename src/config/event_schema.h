/* Schemas of events: what a source's `schema` asks of each of its events. A schema is a tree of rules, one per member that it
 * speaks of; `fields:` of the config and JSON Schema files both become such trees (schema_fields.c, json_schema.c), so that
 * checking events (decode/event_check.c) and comparing versions (schema_evolution.c) know one thing only. Lives in the config's arena. */
#pragma once

#include "config/config.h"

enum {
    SCHEMA_MAX_FIELDS = 200, /* rules of a schema; fewer than SCHEMA_MAX_COLUMNS, pipelines need some too */
    SCHEMA_MAX_DEPTH = 16,   /* objects within each other; = SCHEMA_MAX_PATH_DEPTH */
    SCHEMA_MAX_CONSTANTS = 1000,           /* values of one `enum` */
    SCHEMA_MAX_LENGTH = 1024 * 1024,       /* bound that a length can be given: EVENT_MAX_SIZE */
    SCHEMA_MAX_FILES = CONFIG_MAX_SCHEMAS, /* in the folder `schemas` */
};

/* What a value can be, as JSON Schema has it: 1.0 is an integer, and integers are numbers. */
enum {
    EVENT_TYPE_NULL = 1,
    EVENT_TYPE_BOOLEAN = 2,
    EVENT_TYPE_INTEGER = 4,
    EVENT_TYPE_NUMBER = 8, /* rules that have it have EVENT_TYPE_INTEGER too */
    EVENT_TYPE_STRING = 16,
    EVENT_TYPE_OBJECT = 32,
    EVENT_TYPE_ARRAY = 64,
    EVENT_TYPE_ALL = 127,
};

struct event_number {
    bool is_integer; /* `integer` holds it; else `real` */
    int64_t integer;
    double real;
};

struct event_bound {
    bool is_given, is_exclusive;
    struct event_number number;
};

/* A value that `enum` allows. */
struct event_constant {
    unsigned type; /* one of null, boolean, number, string */
    bool boolean;
    struct event_number number;
    struct slice text;
};

struct event_rule {
    const char *name; /* of the member; NULL: the event itself */
    const char *path; /* for messages; "" for the event itself */
    struct config_place place;
    unsigned types;       /* any of these */
    bool is_required;     /* where the object around it is there */
    bool null_is_missing; /* `fields:`; in JSON Schema null is a value */
    bool is_implied;      /* not spoken of, but for a member of it */
    bool is_unlisted;  /* known by `required` alone: a closed object may not have it, as little as lack it */
    bool is_closed;    /* no members but the listed ones of `members` */
    bool is_non_empty; /* as `fields:` says it; what it means is in the next two */
    uint32_t least_members;
    uint32_t least_length, most_length; /* characters */
    struct event_bound least, most;
    struct config_text pattern;
    struct event_constant *constants;
    uint32_t constant_count; /* 0: any value */
    struct event_rule *members, *next;
};

struct event_schema {
    const char *name;
    uint32_t version;
    bool is_builtin;
    struct config_text extends;    /* as given */
    struct config_place place;     /* of its name */
    const struct event_rule *root; /* NULL when something is wrong with it, which has been told */
};

/* "order@2". */
const char *event_schema_title(struct arena *arena, const struct event_schema *schema);
/* <0, 0, >0; exact, though one is an integer and the other a double. */
int event_number_compare(struct event_number a, struct event_number b);
const char *event_number_text(struct arena *arena, struct event_number number);
/* "string or integer", for messages; "anything" for all of them. */
const char *event_types_text(struct arena *arena, unsigned types);
/* Whether `enum` has the value: 1 is 1.0, but nothing else equals across types. */
bool event_constants_have(const struct event_constant *constants, uint32_t count,
                          const struct event_constant *value);
const char *event_constant_text(struct arena *arena, const struct event_constant *constant);
