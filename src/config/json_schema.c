/* JSON Schema as far as it says the same as `fields:` can. What a keyword of another kind would ask of events is not guessed
 * at and not left out: the schema is refused, and the keyword named. Keywords that ask for nothing are allowed. */
#include <stdlib.h>

#include "config/schema_internal.h"

struct json_reader {
    struct loader *loader;
    uint32_t depth;
};

static void read_schema(struct json_reader *reader, const struct node *node, struct event_rule *rule);

/* The text of a scalar that is plain (a number, true) or quoted (a string); NULL after a problem. */
static const char *scalar_of(struct json_reader *reader, const struct node *node, bool is_plain,
                             const char *expected)
{
    if (node->kind == NODE_SCALAR && node->is_plain == is_plain)
        return node->text;
    value_problem(reader->loader, node, "expected %s", expected);
    return NULL;
}

static unsigned type_of(struct json_reader *reader, const struct node *node)
{
    static const struct {
        const char *name;
        unsigned types;
    } names[] = {
        {"string", EVENT_TYPE_STRING},   {"number", EVENT_TYPE_NUMBER | EVENT_TYPE_INTEGER},
        {"integer", EVENT_TYPE_INTEGER}, {"boolean", EVENT_TYPE_BOOLEAN},
        {"object", EVENT_TYPE_OBJECT},   {"array", EVENT_TYPE_ARRAY},
        {"null", EVENT_TYPE_NULL},
    };
    const char *text = scalar_of(reader, node, false, "a type, such as \"string\"");
    for (size_t i = 0; text && i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i].name) == 0)
            return names[i].types;
    if (text)
        value_problem(reader->loader, node,
                      "`%s` is no type; types are string, number, integer, boolean, object, array, null",
                      text);
    return 0;
}

static void read_type(struct json_reader *reader, const struct node *node, struct event_rule *rule)
{
    unsigned types = 0;
    if (node->kind == NODE_LIST && !node->first)
        value_problem(reader->loader, node, "the list is empty; give at least one type");
    if (node->kind == NODE_LIST)
        for (const struct node *element = node->first; element; element = element->next)
            types |= type_of(reader, element);
    else
        types = type_of(reader, node);
    rule->types = types;
}

static bool read_flag(struct json_reader *reader, const struct node *node, bool *out)
{
    const char *text = scalar_of(reader, node, true, "true or false");
    if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        value_problem(reader->loader, node, "expected true or false");
        return false;
    }
    *out = text && text[0] == 't';
    return text != NULL;
}

/* Members may have been made by `required` before, or be asked for again by it. */
static struct event_rule *member_of(struct json_reader *reader, struct event_rule *rule, const char *name,
                                    struct config_place place)
{
    struct event_rule *member = event_rule_find(rule, name);
    return member ? member : event_rule_add(reader->loader->arena, rule, name, place);
}

static void read_properties(struct json_reader *reader, const struct node *node, struct event_rule *rule)
{
    if (node->kind != NODE_MAP) {
        value_problem(reader->loader, node, "expected an object of properties");
        return;
    }
    for (const struct node *child = node->first; child; child = child->next) {
        struct event_rule *member = member_of(reader, rule, child->key, child->key_place);
        member->place = child->key_place;
        member->is_unlisted = false;
        if (child->kind == NODE_SCALAR && child->is_plain && strcmp(child->text, "true") == 0)
            continue;
        read_schema(reader, child, member);
    }
}

static void read_required(struct json_reader *reader, const struct node *node, struct event_rule *rule)
{
    if (node->kind != NODE_LIST) {
        value_problem(reader->loader, node, "expected an array of names of properties");
        return;
    }
    for (const struct node *child = node->first; child; child = child->next) {
        const char *name = scalar_of(reader, child, false, "the name of a property in quotes");
        if (!name)
            continue;
        bool is_unlisted = !event_rule_find(rule, name);
        struct event_rule *member = member_of(reader, rule, name, child->place);
        member->is_required = true;
        member->is_unlisted = member->is_unlisted || is_unlisted;
    }
}

static void read_additional(struct json_reader *reader, const struct node *node, struct event_rule *rule)
{
    bool is_open = true;
    if (node->kind == NODE_SCALAR)
        read_flag(reader, node, &is_open);
    else
        value_problem(reader->loader, node,
                      "only true and false are supported here; a schema for other members is not");
    rule->is_closed = !is_open;
}

/* The tighter of two bounds holds, as where `minimum` and `exclusiveMinimum` are both given. `sign` is 1 for upper ones. */
static void tighten(struct event_bound *bound, const struct event_bound *other, int sign)
{
    int order = bound->is_given ? sign * event_number_compare(other->number, bound->number) : -1;
    if (order < 0 || (order == 0 && other->is_exclusive))
        *bound = *other;
}

static void read_bound(struct json_reader *reader, const struct node *node, struct event_rule *rule)
{
    struct event_bound bound = {.is_given = true, .is_exclusive = node->key[0] == 'e'};
    bool is_upper = strstr(node->key, "ax") != NULL;
    if (!event_number_parse(node, &bound.number))
        value_problem(reader->loader, node, "expected a number");
    else
        tighten(is_upper ? &rule->most : &rule->least, &bound, is_upper ? 1 : -1);
}

/* A whole number of characters or members. */
static bool read_count(struct json_reader *reader, const struct node *node, uint32_t *out)
{
    struct event_number number, zero = {.is_integer = true}, most = {true, SCHEMA_MAX_LENGTH, 0};
    bool is_number = event_number_parse(node, &number);
    bool is_in_range =
        is_number && !number.is_integer && number.real >= 0 && number.real <= SCHEMA_MAX_LENGTH;
    if (is_in_range && number.real == (double)(int64_t)number.real)
        number = (struct event_number){true, (int64_t)number.real, 0};
    if (!is_number || !number.is_integer || event_number_compare(number, zero) < 0 ||
        event_number_compare(number, most) > 0) {
        value_problem(reader->loader, node, "expected a whole number from 0 to %d", SCHEMA_MAX_LENGTH);
        return false;
    }
    *out = (uint32_t)number.integer;
    return true;
}

static void read_length(struct json_reader *reader, const struct node *node, struct event_rule *rule)
{
    read_count(reader, node, node->key[1] == 'a' ? &rule->most_length : &rule->least_length);
}

static void read_least_members(struct json_reader *reader, const struct node *node, struct event_rule *rule)
{
    read_count(reader, node, &rule->least_members);
}

static void read_pattern(struct json_reader *reader, const struct node *node, struct event_rule *rule)
{
    const char *text = scalar_of(reader, node, false, "a regular expression in quotes");
    rule->pattern = (struct config_text){text, node->place};
}

static void read_enum(struct json_reader *reader, const struct node *node, struct event_rule *rule)
{
    event_constants_read(reader->loader, node, &rule->constants, &rule->constant_count);
}

static void read_nothing(struct json_reader *reader, const struct node *node, struct event_rule *rule)
{
    (void)reader, (void)node, (void)rule;
}

static const struct {
    const char *name;
    void (*read)(struct json_reader *, const struct node *, struct event_rule *);
} keywords[] = {
    {"type", read_type},
    {"required", read_required},
    {"properties", read_properties},
    {"additionalProperties", read_additional},
    {"enum", read_enum},
    {"minimum", read_bound},
    {"maximum", read_bound},
    {"exclusiveMinimum", read_bound},
    {"exclusiveMaximum", read_bound},
    {"pattern", read_pattern},
    {"minLength", read_length},
    {"maxLength", read_length},
    {"minProperties", read_least_members},
    {"$schema", read_nothing},
    {"$id", read_nothing},
    {"$comment", read_nothing},
    {"title", read_nothing},
    {"description", read_nothing},
    {"default", read_nothing},
    {"examples", read_nothing},
    {"deprecated", read_nothing},
    {"readOnly", read_nothing},
    {"writeOnly", read_nothing},
};
enum { KEYWORD_COUNT = sizeof keywords / sizeof *keywords, LAST_TOLD_KEYWORD = 12 };

static void refuse_keyword(struct json_reader *reader, const struct node *node)
{
    struct loader *loader = reader->loader;
    const char *names[KEYWORD_COUNT], *all = "";
    for (size_t i = 0; i < KEYWORD_COUNT; i++) {
        names[i] = keywords[i].name;
        if (i <= LAST_TOLD_KEYWORD)
            all = arena_format(loader->arena, "%s%s%s", all, i ? ", " : "", names[i]);
    }
    const char *near = suggest(node->key, names, KEYWORD_COUNT);
    if (near)
        problem_add(&loader->problems, node->key_place,
                    "%s: the keyword `%s` is not supported; did you mean `%s`?",
                    node_path(loader->arena, node->parent), node->key, near);
    else
        problem_add(&loader->problems, node->key_place,
                    "%s: the keyword `%s` is not supported; supported are %s",
                    node_path(loader->arena, node->parent), node->key, all);
}

static void read_schema(struct json_reader *reader, const struct node *node, struct event_rule *rule)
{
    if (node->kind != NODE_MAP) {
        value_problem(reader->loader, node,
                      "expected a schema, which is an object such as {\"type\": \"string\"}");
        return;
    }
    if (reader->depth > SCHEMA_MAX_DEPTH) {
        value_problem(reader->loader, node, "goes deeper than %d members", SCHEMA_MAX_DEPTH);
        return;
    }
    reader->depth++;
    for (const struct node *child = node->first; child; child = child->next) {
        size_t i = 0;
        while (i < KEYWORD_COUNT && strcmp(keywords[i].name, child->key) != 0)
            i++;
        if (i < KEYWORD_COUNT)
            keywords[i].read(reader, child, rule);
        else
            refuse_keyword(reader, child);
    }
    reader->depth--;
}

const struct event_rule *json_schema_read(struct loader *loader, const struct schema_entry *entry)
{
    struct json_reader reader = {.loader = loader};
    uint32_t problems_before = loader->problems.count;
    struct event_rule *root = arena_allocate(loader->arena, sizeof *root);
    *root = event_rule_of_anything(entry->schema.place);
    read_schema(&reader, entry->node, root);
    const struct node *type = node_find(entry->node, "type");
    if (type && loader->problems.count == problems_before && !(root->types & EVENT_TYPE_OBJECT))
        value_problem(loader, type, "an event is always an object, so no event would do");
    if (root->constant_count)
        value_problem(loader, node_find(entry->node, "enum"),
                      "an event is an object, which is none of these");
    event_rules_fit(loader, entry, root);
    return loader->problems.count == problems_before ? root : NULL;
}
