/* The option table: one row per key of the file. Parsing, checking, `config show`, the JSON Schema and docs/CONFIG.md are
 * all made from these rows; a new option is a row here and a field in config.h. */
#pragma once

#include "config/yaml_tree.h"

/* Which mapping a row's path starts in, and so which struct its field is in. */
enum option_scope {
    SCOPE_ROOT,
    SCOPE_SOURCE,
    SCOPE_PIPELINE,
    SCOPE_SINK,
    SCOPE_SCHEMA,
    SCOPE_FIELD, /* of a schema */
    SCOPE_COUNT
};

enum option_type {
    OPTION_GROUP,  /* a mapping of further options */
    OPTION_KIND,   /* a group that also says what kind the source or sink is; `least` is the kind */
    OPTION_SWITCH, /* bool; true, or a mapping of further options, which means true as well */
    OPTION_COLLECTION, /* a mapping of names to sources, pipelines, sinks, schemas or fields; `least` is the scope of each */
    OPTION_BOOL,     /* bool */
    OPTION_COUNT32,  /* uint32_t */
    OPTION_COUNT64,  /* uint64_t */
    OPTION_SHARE,    /* double, 0 to 1 */
    OPTION_DURATION, /* int64_t, microseconds */
    OPTION_SIZE,     /* uint64_t, bytes */
    OPTION_TEXT,     /* const char * */
    OPTION_TEXTS,    /* const char **, and how many at count_offset; one text may stand for a list of one */
    OPTION_ENUM,     /* an enum: the position of the word in `words`, `least` added */
    OPTION_SECRET_FILE, /* const char *: what is in the file of that name, in the field of the row without `_file` */
    OPTION_PROPERTIES,   /* mapping of names that weir does not know to scalars; how many at count_offset */
    OPTION_PATH,         /* struct config_text */
    OPTION_EXPRESSION,   /* struct config_text */
    OPTION_KEYS,         /* keys of a pipeline: path, list of paths, or mapping of names to expressions */
    OPTION_AGGREGATES,   /* mapping of names to calls */
    OPTION_SELECT,       /* mapping of names to expressions */
    OPTION_SOURCES,      /* name of a source, or a list of them */
    OPTION_DESTINATIONS, /* store, live, names of sinks */
    OPTION_LISTEN,       /* host:port */
    OPTION_SHARDS,       /* auto or a number */
    OPTION_FILE_RATE,    /* max, realtime or N/s */
    OPTION_RATE,         /* double; max or N/s */
    OPTION_TIME,         /* int64_t, microseconds; now or an ISO-8601 time */
    OPTION_SCHEMA,       /* struct config_text: NAME or NAME@VERSION of a schema */
    OPTION_PATTERN,      /* struct config_text: a regular expression */
    OPTION_EVENT_TYPES,  /* unsigned: types of values that a field of a schema can have */
    OPTION_NUMBER,       /* struct event_bound */
    OPTION_CONSTANTS,    /* values that a field of a schema can have; how many at count_offset */
    OPTION_LATER,        /* a key that this version knows of and refuses */
    OPTION_TYPE_COUNT,
};

enum {
    OPTION_REQUIRED = 1, /* its mapping must have it */
    OPTION_SECRET = 2,   /* shown as *** */
    OPTION_ANY_CASE = 4, /* enum: capitals do not matter */
    OPTION_MAY_BE_EMPTY = 8,
    OPTION_WITH_WINDOW = 16,    /* of pipelines with a window only; required: in those */
    OPTION_WITHOUT_WINDOW = 32, /* of pipelines without one only */
    OPTION_NO_FIELD = UINT16_MAX,
};

struct option {
    enum option_scope scope;
    const char *path; /* within the scope: "server.listen", "file.path" */
    enum option_type type;
    uint16_t offset, count_offset; /* in the scope's struct */
    unsigned flags;
    const char *fallback; /* as it would be written in the file; NULL: absent */
    int64_t least, most;  /* inclusive, in the stored unit; both 0: any value of the type */
    const char *words;    /* enum: "dlq|skip|fail"; "!jwt" is a word of later versions */
    const char *help;     /* one line */
};

extern const struct option options[];
extern const uint32_t option_count;

/* The row for a path within a scope, or NULL. */
const struct option *option_find(enum option_scope scope, const char *path);
/* The last member of a row's path. */
const char *option_name(const struct option *option);
/* True when `option` is a direct member of the group at `path` of its scope ("" = the scope itself). */
bool option_is_member(const struct option *option, enum option_scope scope, const char *path);
/* True for the types that are mappings of further rows. */
bool option_has_members(const struct option *option);
/* True for the types whose value in the file is always one scalar. */
bool option_is_scalar(const struct option *option);
/* True when every mapping of its kind must have it. */
static inline bool option_is_always_required(const struct option *option)
{
    return (option->flags & (OPTION_REQUIRED | OPTION_WITH_WINDOW)) == OPTION_REQUIRED;
}
/* The word number `index` of a row's words; empty beyond the last. */
struct slice option_word(const struct option *option, uint32_t index);

/* Everything one load needs. */
struct loader {
    struct arena *arena;
    struct problems problems;
    struct config *config;
    bool has_folder; /* the config is a file, so that others may lie beside it */
};

/* Checks the value against the row and stores it in `owner` (the struct of the row's scope). Wrong: a problem is added and
 * the field stays as it was. */
void option_parse(struct loader *loader, const struct option *option, const struct node *node, void *owner);
/* "a duration such as 250ms, 10s, 5m, 1h or 30d": what a value of this row looks like. */
const char *option_type_text(const struct option *option);
/* "duration": the same for a table. */
const char *option_type_name(const struct option *option);

/* The candidate nearest to `word`, or NULL when none is near enough to be a slip of the pen. */
const char *suggest(const char *word, const char *const *candidates, size_t candidate_count);

/* One mapping of a scope into its struct: defaults, then what is given, then what is missing. */
void config_check_entry(struct loader *loader, enum option_scope scope, const struct node *map, void *owner);
/* False after a problem: nothing follows the key, or no mapping. */
bool config_is_mapping(struct loader *loader, const struct option *option, const struct node *node);
/* Reads the whole tree into loader->config. */
void config_check(struct loader *loader, const struct node *root);
/* An unknown key that was probably meant to be `name` has been told; the name is then not missing as well. */
bool config_is_misspelled(enum option_scope scope, const char *group, const struct node *map,
                          const char *name);
/* What a pipeline's window is, and what does not go with it; part of config_check(). */
void config_check_window(struct loader *loader, const struct node *map, struct config_pipeline *pipeline);
/* What is allowed of a window, and hardly meant. */
void config_warn_window(struct loader *loader, const struct config_pipeline *pipeline);
/* What pipelines that read pipelines must keep to: no circles, and only results of windows. */
void config_check_chains(struct loader *loader);
/* The sources behind a pipeline, its own or those of the pipelines that it reads. `sources` has room for all; returns how many. */
uint32_t config_root_sources(const struct config *config, uint32_t pipeline_index, uint32_t *sources);
/* What has to fit together in sources and sinks of Kafka; the last part of config_check(). */
void config_check_kafka(struct loader *loader, const struct node *root);
/* Warnings about what is right in itself, and hardly meant. */
void config_warn_kafka(struct loader *loader);
/* Reads all of a file, but no more than a little over CONFIG_MAX_FILE_SIZE. 0, or an errno. */
int config_read_file(const char *file, struct buffer *text);
/* Finds and reads all schemas, and gives sources theirs (schema_registry.c). */
void config_check_schemas(struct loader *loader, const struct node *root);
/* YAML of the file or text, substituted and overridden. NULL when it cannot be read at all. */
struct node *config_read_tree(struct loader *loader, const char *file, const char *text,
                              const struct config_override *overrides, uint32_t override_count);
/* The same for a tree that has been parsed: substitutes and overrides. */
void config_complete_tree(struct loader *loader, struct node *root, const struct config_override *overrides,
                          uint32_t override_count);
/* Puts WEIR_A__B variables of the process and flag overrides, in this order, into the tree. */
void config_apply_overrides(struct loader *loader, struct node *root, const struct config_override *overrides,
                            uint32_t override_count);

/* Names a key of a pipeline gets from its text when that is a bare path; NULL otherwise. */
const char *config_key_name(struct arena *arena, const char *path);

/* Where a problem with one value is reported: the row's full name in front, the value's place. */
void value_problem(struct loader *loader, const struct node *node, const char *format, ...) PRINTF_LIKE(3, 4);
/* The scalar's text, or NULL after a problem was added: a mapping, a list, nothing at all. */
const char *value_text(struct loader *loader, const struct option *option, const struct node *node);
/* Names of sources, pipelines and sinks. Adds a problem at the key's place when it is none. */
bool name_is_valid(struct loader *loader, const struct node *node);

/* Values that are more than one scalar (option_lists.c). */
void parse_texts(struct loader *loader, const struct option *option, const struct node *node, void *owner);
void parse_keys(struct loader *loader, const struct option *option, const struct node *node, void *owner);
void parse_aggregates(struct loader *loader, const struct option *option, const struct node *node,
                      void *owner);
void parse_select(struct loader *loader, const struct option *option, const struct node *node, void *owner);
void parse_sources(struct loader *loader, const struct option *option, const struct node *node, void *owner);
void parse_destinations(struct loader *loader, const struct option *option, const struct node *node,
                        void *owner);

void parse_properties(struct loader *loader, const struct option *option, const struct node *node,
                      void *owner);
/* Values of fields of schemas (schema_fields.c). */
void parse_event_types(struct loader *loader, const struct option *option, const struct node *node,
                       void *owner);
void parse_number(struct loader *loader, const struct option *option, const struct node *node, void *owner);
void parse_constants(struct loader *loader, const struct option *option, const struct node *node,
                     void *owner);
void parse_secret_file(struct loader *loader, const struct option *option, const struct node *node,
                       void *owner);

/* Durations and sizes, as in the file. On failure `reason` says what is wrong with the text, remedy included. */
bool duration_parse(const char *text, int64_t *out_us, struct error *reason);
bool size_parse(const char *text, int64_t *out, struct error *reason);
/* The other way round, in the largest unit that divides the value. */
const char *duration_text(struct arena *arena, int64_t value_us);
const char *size_text(struct arena *arena, int64_t value);
