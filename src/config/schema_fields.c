/* Schemas in weir's own words: paths and what their values can be. A path's parents need not be listed; those that are not
 * are objects, required where a member of theirs is. */
#include <stdlib.h>

#include "base/native.h"
#include "config/schema_internal.h"

struct event_rule event_rule_of_anything(struct config_place place)
{
    return (struct event_rule){
        .path = "", .place = place, .types = EVENT_TYPE_ALL, .most_length = UINT32_MAX};
}

struct event_rule *event_rule_find(const struct event_rule *parent, const char *name)
{
    for (struct event_rule *rule = parent->members; rule; rule = rule->next)
        if (strcmp(rule->name, name) == 0)
            return rule;
    return NULL;
}

static void add_member(struct event_rule *parent, struct event_rule *rule)
{
    struct event_rule **end = &parent->members;
    while (*end)
        end = &(*end)->next;
    *end = rule;
}

struct event_rule *event_rule_add(struct arena *arena, struct event_rule *parent, const char *name,
                                  struct config_place place)
{
    struct event_rule *rule = arena_allocate(arena, sizeof *rule);
    *rule = event_rule_of_anything(place);
    rule->name = name;
    rule->path = *parent->path ? arena_format(arena, "%s.%s", parent->path, name) : name;
    add_member(parent, rule);
    return rule;
}

static uint32_t count_rules(const struct event_rule *parent)
{
    uint32_t count = 0;
    for (const struct event_rule *rule = parent->members; rule; rule = rule->next)
        count += 1 + count_rules(rule);
    return count;
}

bool event_rules_fit(struct loader *loader, const struct schema_entry *entry, const struct event_rule *root)
{
    uint32_t count = count_rules(root);
    if (count <= SCHEMA_MAX_FIELDS)
        return true;
    problem_add(&loader->problems, entry->schema.place, "schema `%s` has %u fields; the most are %d",
                entry->schema.name, count, SCHEMA_MAX_FIELDS);
    return false;
}

/* --- values of options --- */

static bool is_json_number(const char *text)
{
    const char *at = text + (*text == '-');
    size_t digits = strspn(at, "0123456789");
    if (digits == 0 || (digits > 1 && *at == '0'))
        return false;
    at += digits;
    if (*at == '.') {
        digits = strspn(++at, "0123456789");
        if (digits == 0)
            return false;
        at += digits;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        digits = strspn(at, "0123456789");
        if (digits == 0)
            return false;
        at += digits;
    }
    return *at == '\0';
}

bool event_number_parse(const struct node *node, struct event_number *out)
{
    const char *text = node->kind == NODE_SCALAR && node->is_plain ? node->text : "";
    if (!is_json_number(text))
        return false;
    size_t size = strlen(text);
    char *end;
    *out = (struct event_number){.is_integer = strcspn(text, ".eE") == size && size <= 18};
    if (out->is_integer)
        out->integer = strtoll(text, &end, 10);
    else if (!native_double_parse(text, size, &out->real))
        return false;
    return true;
}

void parse_number(struct loader *loader, const struct option *option, const struct node *node, void *owner)
{
    const char *text = value_text(loader, option, node);
    struct event_bound bound = {.is_given = true};
    struct node plain = *node;
    plain.is_plain = true; /* the value of a variable counts as quoted */
    if (text && !event_number_parse(&plain, &bound.number))
        value_problem(loader, node, "`%s` is not a number, such as 0, 99.5 or 1e6", text);
    else if (text)
        *(struct event_bound *)((char *)owner + option->offset) = bound;
}

static const struct {
    const char *name;
    unsigned types;
} type_names[] = {
    {"string", EVENT_TYPE_STRING},
    {"integer", EVENT_TYPE_INTEGER},
    {"number", EVENT_TYPE_NUMBER | EVENT_TYPE_INTEGER},
    {"boolean", EVENT_TYPE_BOOLEAN},
    {"object", EVENT_TYPE_OBJECT},
    {"array", EVENT_TYPE_ARRAY},
    {"any", EVENT_TYPE_ALL},
};
enum { TYPE_NAME_COUNT = sizeof type_names / sizeof *type_names };

static unsigned parse_type(struct loader *loader, const struct option *option, const struct node *node)
{
    const char *text = value_text(loader, option, node), *names[TYPE_NAME_COUNT];
    for (size_t i = 0; i < TYPE_NAME_COUNT; i++) {
        names[i] = type_names[i].name;
        if (text && strcmp(text, names[i]) == 0)
            return type_names[i].types;
    }
    const char *near = text ? suggest(text, names, TYPE_NAME_COUNT) : NULL;
    if (near)
        value_problem(loader, node, "`%s` is no type; did you mean `%s`?", text, near);
    else if (text)
        value_problem(loader, node,
                      "`%s` is no type; types are string, integer, number, boolean, object, array, any",
                      text);
    return 0;
}

void parse_event_types(struct loader *loader, const struct option *option, const struct node *node,
                       void *owner)
{
    unsigned types = 0;
    if (node->kind == NODE_LIST && !node->first)
        value_problem(loader, node, "the list is empty; give at least one type");
    if (node->kind == NODE_LIST)
        for (const struct node *element = node->first; element; element = element->next)
            types |= parse_type(loader, option, element);
    else
        types = parse_type(loader, option, node);
    if (types)
        *(unsigned *)((char *)owner + option->offset) = types;
}

static struct event_constant read_constant(const struct node *node)
{
    struct event_constant constant = {.type = EVENT_TYPE_STRING, .text = slice_of(node->text)};
    if (!node->is_plain)
        return constant;
    if (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0)
        constant = (struct event_constant){.type = EVENT_TYPE_BOOLEAN, .boolean = node->text[0] == 't'};
    else if (node_is_null(node))
        constant.type = EVENT_TYPE_NULL;
    else if (event_number_parse(node, &constant.number))
        constant.type = EVENT_TYPE_NUMBER;
    return constant;
}

bool event_constants_read(struct loader *loader, const struct node *list, struct event_constant **out,
                          uint32_t *count)
{
    if (list->kind != NODE_LIST || !list->first || list->child_count > SCHEMA_MAX_CONSTANTS) {
        value_problem(loader, list, "expected a list of 1 to %d values, as in [EUR, USD]",
                      SCHEMA_MAX_CONSTANTS);
        return false;
    }
    struct event_constant *constants = arena_allocate(loader->arena, list->child_count * sizeof *constants);
    uint32_t taken = 0;
    for (const struct node *element = list->first; element; element = element->next) {
        if (element->is_broken)
            return false;
        if (element->kind != NODE_SCALAR) {
            value_problem(loader, element,
                          "an allowed value is a string, a number, true, false or null here, not a %s",
                          element->kind == NODE_MAP ? "mapping" : "list");
            return false;
        }
        constants[taken++] = read_constant(element);
    }
    *out = constants;
    *count = taken;
    return true;
}

void parse_constants(struct loader *loader, const struct option *option, const struct node *node, void *owner)
{
    event_constants_read(loader, node, (struct event_constant **)(void *)((char *)owner + option->offset),
                         (uint32_t *)(void *)((char *)owner + option->count_offset));
}

/* --- what has to fit together in a field --- */

static void need_type(struct loader *loader, const struct node *map, const struct event_rule *rule,
                      const char *key, unsigned types)
{
    const struct node *node = node_find(map, key);
    if (node && !(rule->types & types))
        problem_add(&loader->problems, node->key_place, "%s: `%s` means nothing for a value of type %s",
                    node_path(loader->arena, map), key, event_types_text(loader->arena, rule->types));
}

static void check_constants(struct loader *loader, const struct node *map, const struct event_rule *rule)
{
    const struct node *list = node_find(map, "enum");
    const struct node *element = list ? list->first : NULL;
    for (uint32_t i = 0; element && i < rule->constant_count; i++, element = element->next) {
        const struct event_constant *constant = &rule->constants[i];
        unsigned types =
            constant->type == EVENT_TYPE_NUMBER ? EVENT_TYPE_NUMBER | EVENT_TYPE_INTEGER : constant->type;
        bool is_text = !(constant->type & (EVENT_TYPE_STRING | EVENT_TYPE_NULL));
        if (constant->type == EVENT_TYPE_NULL)
            value_problem(loader, element,
                          "null is the same as a missing field; leave it out, and `required` too");
        else if (!(rule->types & types))
            value_problem(loader, element, "%s is not of type %s%s",
                          event_constant_text(loader->arena, constant),
                          event_types_text(loader->arena, rule->types),
                          is_text && rule->types & EVENT_TYPE_STRING ? "; put it in quotes" : "");
    }
}

static void check_field(struct loader *loader, const struct node *map, struct event_rule *rule)
{
    const unsigned numbers = EVENT_TYPE_NUMBER | EVENT_TYPE_INTEGER;
    need_type(loader, map, rule, "min", numbers);
    need_type(loader, map, rule, "max", numbers);
    need_type(loader, map, rule, "min_length", EVENT_TYPE_STRING);
    need_type(loader, map, rule, "max_length", EVENT_TYPE_STRING);
    need_type(loader, map, rule, "pattern", EVENT_TYPE_STRING);
    if (rule->is_non_empty)
        need_type(loader, map, rule, "non_empty", EVENT_TYPE_STRING | EVENT_TYPE_OBJECT);
    check_constants(loader, map, rule);
    if (rule->least.is_given && rule->most.is_given &&
        event_number_compare(rule->least.number, rule->most.number) > 0)
        value_problem(loader, node_find(map, "max"), "`%s` is less than `min`, so no number would do",
                      node_find(map, "max")->text);
    if (rule->least_length > rule->most_length)
        value_problem(loader, node_find(map, "max_length"), "`%s` is less than `min_length`",
                      node_find(map, "max_length")->text);
    if (rule->is_non_empty && rule->least_length == 0)
        rule->least_length = 1;
    rule->least_members = rule->is_non_empty;
}

/* --- the tree --- */

static struct event_rule *copy_rules(struct arena *arena, const struct event_rule *from)
{
    struct event_rule *copy = arena_allocate(arena, sizeof *copy);
    *copy = *from;
    copy->members = copy->next = NULL;
    for (const struct event_rule *rule = from->members; rule; rule = rule->next)
        add_member(copy, copy_rules(arena, rule));
    return copy;
}

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            !strchr("_-$@", c) && (unsigned char)c < 0x80)
            return false;
    }
    return name.size > 0;
}

/* The rule for a path, made with its parents where they are missing. NULL after a problem. */
static struct event_rule *rule_at(struct loader *loader, struct event_rule *root, const struct node *node)
{
    struct event_rule *rule = root;
    uint32_t depth = 0;
    for (const char *at = node->key; *at; depth++) {
        struct slice name = {at, strcspn(at, ".")};
        at += name.size + (at[name.size] == '.' && at[name.size + 1] != '\0');
        if (!is_name(name) || *at == '.') {
            problem_add(
                &loader->problems, node->key_place,
                "`%s` is no path of members such as payload.page; names are letters, digits, _ - $ @, "
                "and elements of arrays have no rules",
                node->key);
            return NULL;
        }
        if (depth == SCHEMA_MAX_DEPTH) {
            problem_add(&loader->problems, node->key_place, "`%.40s...` goes deeper than %d members",
                        node->key, SCHEMA_MAX_DEPTH);
            return NULL;
        }
        const char *text = arena_copy(loader->arena, name).data;
        struct event_rule *next = event_rule_find(rule, text);
        if (!next) {
            next = event_rule_add(loader->arena, rule, text, node->key_place);
            next->types = EVENT_TYPE_OBJECT;
            next->is_implied = next->null_is_missing = true;
        }
        rule = next;
    }
    return rule;
}

static void read_field(struct loader *loader, struct event_rule *root, const struct node *node)
{
    const struct option *fields = option_find(SCOPE_SCHEMA, "fields");
    if (*node->key == '\0') {
        problem_add(&loader->problems, node->key_place, "a field has no name");
        return;
    }
    struct event_rule *rule = rule_at(loader, root, node);
    if (!rule || !config_is_mapping(loader, fields, node))
        return;
    struct event_rule given = event_rule_of_anything(node->key_place);
    given.null_is_missing = true;
    config_check_entry(loader, SCOPE_FIELD, node, &given);
    check_field(loader, node, &given);
    given.name = rule->name;
    given.path = rule->path;
    given.members = rule->members;
    given.next = rule->next;
    *rule = given;
}

/* Members need an object around them; and where nobody has spoken of that object, it is there when they have to be. */
static bool finish_rules(struct loader *loader, struct event_rule *parent)
{
    bool has_required = false;
    for (struct event_rule *rule = parent->members; rule; rule = rule->next) {
        bool needs = finish_rules(loader, rule);
        if (rule->is_implied)
            rule->is_required = needs;
        has_required = has_required || rule->is_required;
        if (rule->members && !(rule->types & EVENT_TYPE_OBJECT))
            problem_add(&loader->problems, rule->members->place,
                        "`%s` has a field in it, `%s`, but is of type %s; make it an object", rule->path,
                        rule->members->path, event_types_text(loader->arena, rule->types));
    }
    return has_required;
}

const struct event_rule *schema_fields_read(struct schema_registry *registry,
                                            const struct schema_entry *entry)
{
    struct loader *loader = registry->loader;
    uint32_t problems_before = loader->problems.count;
    struct event_schema given = entry->schema;
    config_check_entry(loader, SCOPE_SCHEMA, entry->node, &given);
    const struct config_text *extends = &given.extends;
    const struct event_rule *base = extends->text ? schema_registry_base(registry, entry, extends) : NULL;
    if (extends->text && !base)
        return NULL;
    struct event_rule anything = event_rule_of_anything(entry->schema.place);
    struct event_rule *root = copy_rules(loader->arena, base ? base : &anything);
    root->types = EVENT_TYPE_OBJECT;
    const struct node *fields = node_find(entry->node, "fields");
    if (fields && config_is_mapping(loader, option_find(SCOPE_SCHEMA, "fields"), fields))
        for (const struct node *field = fields->first; field; field = field->next)
            read_field(loader, root, field);
    finish_rules(loader, root);
    event_rules_fit(loader, entry, root);
    return loader->problems.count == problems_before ? root : NULL;
}
