/* Between the files that read schemas: schema_registry.c finds them and puts them in order, schema_fields.c reads `fields:`,
 * json_schema.c reads JSON Schema, schema_evolution.c compares versions. */
#pragma once

#include "config/event_schema.h"
#include "config/options.h"

/* One schema on its way from the file into the config. */
struct schema_entry {
    struct event_schema schema;
    const struct node *node;
    bool is_json;
    bool is_being_read, is_read;
};

struct schema_registry {
    struct loader *loader;
    struct schema_entry entries[CONFIG_MAX_SCHEMAS];
    uint32_t count;
};

/* The text of built-in schemas: what could stand under `schemas:`. */
extern const char *const builtin_schemas;

/* The rules of `extends`, or NULL when there are none to be had, which has been told then. Reads that schema first. */
const struct event_rule *schema_registry_base(struct schema_registry *registry,
                                              const struct schema_entry *entry,
                                              const struct config_text *extends);

/* Reads the mapping of an entry. NULL after a problem. */
const struct event_rule *schema_fields_read(struct schema_registry *registry,
                                            const struct schema_entry *entry);
const struct event_rule *json_schema_read(struct loader *loader, const struct schema_entry *entry);

/* A rule that asks for nothing; and one that is put behind the members of another. */
struct event_rule event_rule_of_anything(struct config_place place);
struct event_rule *event_rule_add(struct arena *arena, struct event_rule *parent, const char *name,
                                  struct config_place place);
struct event_rule *event_rule_find(const struct event_rule *parent, const char *name);
/* Adds a problem when there are more than SCHEMA_MAX_FIELDS. */
bool event_rules_fit(struct loader *loader, const struct schema_entry *entry, const struct event_rule *root);

/* A scalar without quotes that is a number by JSON's grammar. */
bool event_number_parse(const struct node *node, struct event_number *out);
/* The values of a list of scalars. False after a problem. */
bool event_constants_read(struct loader *loader, const struct node *list, struct event_constant **out,
                          uint32_t *count);

/* Warns of what `newer` breaks for producers and consumers of `older`. */
void schema_evolution_warn(struct loader *loader, const struct event_schema *older,
                           const struct event_schema *newer);
