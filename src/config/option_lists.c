/* Values of pipelines and sources that are lists or mappings: keys, aggregates, where events come from and where results
 * go. Where the file may say one thing or a list of them, one thing is a list of one. */
#include <ctype.h>

#include "config/options.h"

/* The elements of a list, or the node itself when it is no list. */
static const struct node *first_element(const struct node *node)
{
    return node->kind == NODE_LIST ? node->first : node;
}

static const struct node *next_element(const struct node *list, const struct node *element)
{
    return list->kind == NODE_LIST ? element->next : NULL;
}

static uint32_t element_count(const struct node *node)
{
    return node->kind == NODE_LIST ? node->child_count : 1;
}

void parse_texts(struct loader *loader, const struct option *option, const struct node *node, void *owner)
{
    const char **texts = arena_allocate(loader->arena, (element_count(node) + 1) * sizeof *texts);
    uint32_t count = 0;
    if (node->kind == NODE_MAP) {
        value_text(loader, option, node);
        return;
    }
    if (element_count(node) == 0 && option->flags & OPTION_REQUIRED)
        value_problem(loader, node, "the list is empty; give at least one");
    for (const struct node *element = first_element(node); element; element = next_element(node, element)) {
        const char *text = value_text(loader, option, element);
        if (text)
            texts[count++] = text;
    }
    *(const char ***)((char *)owner + option->offset) = texts;
    *(uint32_t *)((char *)owner + option->count_offset) = count;
}

static bool starts_name(char c)
{
    return isalpha((unsigned char)c) || c == '_' || c == '$' || c == '@' || (unsigned char)c >= 0x80;
}

const char *config_key_name(struct arena *arena, const char *path)
{
    struct slice name = {0};
    const char *at = path;
    for (bool first = true; *at; first = false) {
        if (at[0] == '[' && !first) {
            bool is_quoted = at[1] == '"' || at[1] == '\'';
            const char *start = at + 1 + is_quoted;
            size_t size =
                is_quoted ? strcspn(start, (char[]){at[1], '\\', '\0'}) : strspn(start, "0123456789");
            if (size == 0 || (is_quoted && start[size] != at[1]) || start[size + is_quoted] != ']')
                return NULL;
            if (is_quoted)
                name = (struct slice){start, size};
            at = start + size + is_quoted + 1;
            continue;
        }
        if (!first && *at++ != '.')
            return NULL;
        if (!starts_name(*at))
            return NULL;
        const char *start = at;
        while (starts_name(*at) || isdigit((unsigned char)*at))
            at++;
        name = (struct slice){start, (size_t)(at - start)};
    }
    return name.size > 0 ? arena_copy(arena, name).data : NULL;
}

/* Names of keys and aggregates stand in result records and in filters such as key.country. */
static bool member_name_is_valid(struct loader *loader, struct config_place place, const char *name)
{
    size_t size = strlen(name);
    bool valid = size > 0 && size <= CONFIG_MAX_NAME_SIZE;
    for (size_t i = 0; i < size; i++)
        valid = valid && (unsigned char)name[i] >= ' ' && name[i] != 0x7f;
    if (!valid)
        problem_add(&loader->problems, place, "`%s` is not a usable name; give 1 to %d printable characters",
                    name, CONFIG_MAX_NAME_SIZE);
    return valid;
}

static bool name_is_taken(const struct config_named_text *taken, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(taken[i].name, name) == 0)
            return true;
    return false;
}

static bool take_key(struct loader *loader, const struct option *option, const struct node *element,
                     bool from_map, struct config_named_text *keys, uint32_t count)
{
    const char *text = value_text(loader, option, element);
    if (!text)
        return false;
    const char *name = from_map ? element->key : config_key_name(loader->arena, text);
    if (!name) {
        value_problem(loader, element,
                      "`%s` is more than a path, so its key needs a name: `key: {name: ...}`", text);
        return false;
    }
    if (!member_name_is_valid(loader, from_map ? element->key_place : element->place, name))
        return false;
    if (name_is_taken(keys, count, name)) {
        value_problem(loader, element, "two keys are named `%s`; name them: `key: {%s: ..., other: ...}`",
                      name, name);
        return false;
    }
    keys[count] = (struct config_named_text){name, {text, element->place}};
    return true;
}

void parse_keys(struct loader *loader, const struct option *option, const struct node *node, void *owner)
{
    struct config_pipeline *pipeline = owner;
    uint32_t total = node->kind == NODE_SCALAR ? 1 : node->child_count, count = 0;
    if (total > CONFIG_MAX_KEYS) {
        value_problem(loader, node, "%u keys are too many; the most are %d", total, CONFIG_MAX_KEYS);
        return;
    }
    pipeline->keys = arena_allocate(loader->arena, (total + 1) * sizeof *pipeline->keys);
    const struct node *element = node->kind == NODE_SCALAR ? node : node->first;
    for (; element; element = node->kind == NODE_SCALAR ? NULL : element->next)
        count += take_key(loader, option, element, node->kind == NODE_MAP, pipeline->keys, count);
    pipeline->key_count = count;
}

/* A mapping of names that stand in records to texts; `what` and `example` are for messages. */
static void parse_named(struct loader *loader, const struct option *option, const struct node *node,
                        void *owner, const char *what, const char *example, uint32_t most)
{
    if (node->kind != NODE_MAP) {
        value_problem(loader, node, "expected %s", option_type_text(option));
        return;
    }
    if (node->child_count == 0 || node->child_count > most) {
        value_problem(loader, node, "has %u %s; give 1 to %u", node->child_count, what, most);
        return;
    }
    struct config_named_text *texts = arena_allocate(loader->arena, node->child_count * sizeof *texts);
    uint32_t count = 0;
    for (const struct node *child = node->first; child; child = child->next) {
        if (child->kind != NODE_SCALAR || node_is_null(child) || child->text[0] == '\0')
            value_problem(loader, child, "expected %s", example);
        else if (member_name_is_valid(loader, child->key_place, child->key))
            texts[count++] = (struct config_named_text){child->key, {child->text, child->place}};
    }
    *(struct config_named_text **)((char *)owner + option->offset) = texts;
    *(uint32_t *)((char *)owner + option->count_offset) = count;
}

void parse_aggregates(struct loader *loader, const struct option *option, const struct node *node,
                      void *owner)
{
    parse_named(loader, option, node, owner, "aggregates", "a call such as count() or sum(properties.amount)",
                CONFIG_MAX_AGGREGATES);
}

void parse_select(struct loader *loader, const struct option *option, const struct node *node, void *owner)
{
    parse_named(loader, option, node, owner, "fields", "an expression such as user_id or price * count",
                CONFIG_MAX_SELECTS);
}

void parse_properties(struct loader *loader, const struct option *option, const struct node *node,
                      void *owner)
{
    if (node->kind != NODE_MAP) {
        value_problem(loader, node, "expected %s", option_type_text(option));
        return;
    }
    if (node->child_count > CONFIG_MAX_PROPERTIES) {
        value_problem(loader, node, "%u are too many; the most are %d", node->child_count,
                      CONFIG_MAX_PROPERTIES);
        return;
    }
    struct config_named_text *properties =
        arena_allocate(loader->arena, (node->child_count + 1) * sizeof *properties);
    uint32_t count = 0;
    for (const struct node *child = node->first; child; child = child->next) {
        if (child->is_broken)
            continue;
        if (child->kind != NODE_SCALAR || node_is_null(child))
            value_problem(loader, child, "expected one value: text, a number, true or false");
        else
            properties[count++] = (struct config_named_text){child->key, {child->text, child->place}};
    }
    *(struct config_named_text **)((char *)owner + option->offset) = properties;
    *(uint32_t *)((char *)owner + option->count_offset) = count;
}

/* Says that `name` is none of `names`. */
static void refuse_name(struct loader *loader, const struct node *node, const char *what,
                        const char *const *names, uint32_t count)
{
    const char *near = suggest(node->text, names, count);
    if (near) {
        value_problem(loader, node, "there is no %s `%s`; did you mean `%s`?", what, node->text, near);
        return;
    }
    const char *all = "";
    for (uint32_t i = 0; i < count && i < 10; i++)
        all = arena_format(loader->arena, "%s%s`%s`", all, i ? ", " : "", names[i]);
    value_problem(loader, node, "there is no %s `%s`; there %s %s", what, node->text,
                  count == 1 ? "is" : "are", count ? all : "none");
}

static bool contains(const uint32_t *indices, uint32_t count, uint32_t index)
{
    for (uint32_t i = 0; i < count; i++)
        if (indices[i] == index)
            return true;
    return false;
}

static uint32_t find_name(const char *const *names, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return UINT32_MAX;
}

/* Names that a pipeline may read from: sources, then all pipelines of the mapping it is in. Returns how many. */
static uint32_t names_of_inputs(const struct config *config, const struct node *pipelines, const char **names)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < config->source_count; i++)
        names[count++] = config->sources[i].name;
    for (const struct node *child = pipelines ? pipelines->first : NULL;
         child && count < config->source_count + CONFIG_MAX_PIPELINES; child = child->next)
        names[count++] = child->key;
    return count;
}

/* The names without the pipeline's own, which is no way out. */
static void refuse_input(struct loader *loader, const struct node *node, const char *own,
                         const char *const *names, uint32_t count)
{
    const char *others[CONFIG_MAX_SOURCES + CONFIG_MAX_PIPELINES];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!own || strcmp(names[i], own) != 0)
            others[kept++] = names[i];
    }
    refuse_name(loader, node, "source or pipeline", others, kept);
}

/* Of a source and a pipeline with the same name, the source is meant. */
void parse_sources(struct loader *loader, const struct option *option, const struct node *node, void *owner)
{
    struct config_pipeline *pipeline = owner;
    const struct config *config = loader->config;
    const char *names[CONFIG_MAX_SOURCES + CONFIG_MAX_PIPELINES];
    uint32_t count = names_of_inputs(config, node->parent ? node->parent->parent : NULL, names);
    if (node->kind == NODE_MAP || (node->kind == NODE_LIST && node->child_count == 0)) {
        value_problem(loader, node, "expected %s", option_type_text(option));
        return;
    }
    pipeline->from_place = node->place;
    pipeline->sources = arena_allocate(loader->arena, element_count(node) * sizeof *pipeline->sources);
    pipeline->upstreams = arena_allocate(loader->arena, element_count(node) * sizeof *pipeline->upstreams);
    for (const struct node *element = first_element(node); element; element = next_element(node, element)) {
        const char *name = value_text(loader, option, element);
        if (!name)
            continue;
        uint32_t index = find_name(names, count, name), upstream = index - config->source_count;
        bool is_source = index < config->source_count;
        if (index == UINT32_MAX)
            refuse_input(loader, element, pipeline->name, names, count);
        else if (is_source ? contains(pipeline->sources, pipeline->source_count, index)
                           : contains(pipeline->upstreams, pipeline->upstream_count, upstream))
            value_problem(loader, element, "%s `%s` is given twice", is_source ? "source" : "pipeline", name);
        else if (is_source)
            pipeline->sources[pipeline->source_count++] = index;
        else
            pipeline->upstreams[pipeline->upstream_count++] = upstream;
    }
}

void parse_destinations(struct loader *loader, const struct option *option, const struct node *node,
                        void *owner)
{
    struct config_pipeline *pipeline = owner;
    const struct config *config = loader->config;
    const char *names[CONFIG_MAX_SINKS + 2] = {"store", "live"};
    for (uint32_t i = 0; i < config->sink_count; i++)
        names[i + 2] = config->sinks[i].name;
    if (node->kind == NODE_MAP || (node->kind == NODE_LIST && node->child_count == 0)) {
        value_problem(loader, node, "expected %s; a sink `blackhole` drops results",
                      option_type_text(option));
        return;
    }
    pipeline->sinks = arena_allocate(loader->arena, element_count(node) * sizeof *pipeline->sinks);
    pipeline->sink_count = 0;
    pipeline->to_store = pipeline->to_live = false;
    for (const struct node *element = first_element(node); element; element = next_element(node, element)) {
        const char *name = value_text(loader, option, element);
        if (!name)
            continue;
        uint32_t index = find_name(names, config->sink_count + 2, name);
        if (index == UINT32_MAX)
            refuse_name(loader, element, "sink", names, config->sink_count + 2);
        else if (index == 0)
            pipeline->to_store = true;
        else if (index == 1)
            pipeline->to_live = true;
        else if (contains(pipeline->sinks, pipeline->sink_count, index - 2))
            value_problem(loader, element, "sink `%s` is given twice", name);
        else
            pipeline->sinks[pipeline->sink_count++] = index - 2;
    }
}
