/* `weir config show`: the options in effect, in the order of the table. A value is shown as it was written, with its
 * origin: file:line, the variable, the flag, or the default. Kinds that are not used have no values to show. */
#include <stdio.h>
#include <stdlib.h>

#include "config/config_show.h"
#include "config/json_writer.h"
#include "config/kafka_properties.h"
#include "config/options.h"
#include "config/schema_internal.h"

enum { SHOW_COMMENT_COLUMN = 48 };

enum show_format { SHOW_YAML, SHOW_JSON_VALUES, SHOW_JSON_ORIGINS };

struct shower {
    enum show_format format;
    struct json_writer json; /* json.out is the output of every format */
    struct arena *arena;
    const char *file;
    uint32_t depth;
};

static const char *origin(struct shower *shower, const struct node *node)
{
    if (!node)
        return "default";
    if (node->place.line > 0)
        return arena_format(shower->arena, "%s:%u", shower->file, node->place.line);
    return node->place.variable;
}

/* Types whose text is a number or true or false in JSON and YAML as well. */
static bool is_number_or_bool(const struct option *option, const char *text)
{
    bool is_digits = text[strspn(text, "0123456789")] == '\0';
    return option &&
           (option->type == OPTION_BOOL || option->type == OPTION_SWITCH || option->type == OPTION_SHARE ||
            ((option->type == OPTION_COUNT32 || option->type == OPTION_COUNT64 ||
              option->type == OPTION_SHARDS) &&
             is_digits));
}

/* True when YAML reads the text back as the same text without quotes, in any context. */
static bool is_plain_text(const char *text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    static const char *const safe =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./+-()<>=*&|!?: ";
    size_t size = strlen(text);
    if (size == 0 || !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./", text[0]) ||
        strspn(text, safe) != size || strstr(text, ": ") || text[size - 1] == ':' || text[size - 1] == ' ')
        return false;
    if (strspn(text, "0123456789.+-e:") == size)
        return strchr(text, ':') && strchr(text, '.');
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0)
            return false;
    return true;
}

static void append_text(struct shower *shower, const char *text)
{
    if (shower->format == SHOW_YAML && is_plain_text(text))
        buffer_append_text(shower->json.out, text);
    else
        buffer_json_string(shower->json.out, slice_of(text));
}

static void append_scalar(struct shower *shower, const struct option *option, const char *text)
{
    if (option && option->flags & OPTION_SECRET)
        append_text(shower, "***");
    else if (!is_number_or_bool(option, text))
        append_text(shower, text);
    else if (option->type == OPTION_BOOL || option->type == OPTION_SWITCH)
        buffer_append_text(shower->json.out, text);
    else if (option->type == OPTION_SHARE)
        buffer_json_double(shower->json.out, strtod(text, NULL));
    else
        buffer_format(shower->json.out, "%llu", strtoull(text, NULL, 10));
}

/* Bounds and allowed values of fields: numbers, true and false are another thing than the text of them. */
static bool is_json_value(const struct option *option, const struct node *node)
{
    struct event_number number;
    if (!option || (option->type != OPTION_NUMBER && option->type != OPTION_CONSTANTS))
        return false;
    return option->type == OPTION_NUMBER || event_number_parse(node, &number) ||
           (node->is_plain && (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0));
}

static void append_element(struct shower *shower, const struct option *option, const struct node *node)
{
    if (is_json_value(option, node))
        buffer_append_text(shower->json.out, node->text);
    else
        append_scalar(shower, option, node->text);
}

static void append_value(struct shower *shower, const struct option *option, const struct node *node)
{
    if (node->kind == NODE_SCALAR) {
        append_element(shower, option, node);
        return;
    }
    buffer_append_char(shower->json.out, '[');
    for (const struct node *element = node->first; element; element = element->next) {
        append_element(shower, option, element);
        if (element->next)
            buffer_append_text(shower->json.out, ", ");
    }
    buffer_append_char(shower->json.out, ']');
}

static void begin_yaml_line(struct shower *shower, const char *key)
{
    for (uint32_t i = 0; i < shower->depth; i++)
        buffer_append_text(shower->json.out, "  ");
    append_text(shower, key);
    buffer_append_char(shower->json.out, ':');
}

/* `path` is the full name, for the list of origins. */
static void show_value(struct shower *shower, const struct option *option, const char *key, const char *path,
                       const struct node *node, const struct node *value)
{
    struct buffer *out = shower->json.out;
    if (shower->format == SHOW_JSON_ORIGINS) {
        json_text(&shower->json, path, origin(shower, node));
    } else if (shower->format == SHOW_JSON_VALUES) {
        json_raw(&shower->json, key, "");
        append_value(shower, option, value);
    } else {
        size_t start = out->size;
        begin_yaml_line(shower, key);
        buffer_append_char(out, ' ');
        append_value(shower, option, value);
        do
            buffer_append_char(out, ' ');
        while (out->size - start < SHOW_COMMENT_COLUMN);
        buffer_format(out, "# %s\n", origin(shower, node));
    }
}

static void open_mapping(struct shower *shower, const char *key)
{
    if (shower->format == SHOW_JSON_VALUES)
        json_open(&shower->json, key, '{');
    if (shower->format == SHOW_YAML) {
        begin_yaml_line(shower, key);
        buffer_append_char(shower->json.out, '\n');
    }
    shower->depth++;
}

/* An empty mapping is `{}`, or YAML would read it as null. */
static void close_mapping(struct shower *shower, size_t size_when_open)
{
    shower->depth--;
    if (shower->format == SHOW_JSON_VALUES)
        json_close(&shower->json, '}');
    if (shower->format == SHOW_YAML && shower->json.out->size == size_when_open) {
        shower->json.out->size--;
        buffer_append_text(shower->json.out, " {}\n");
    }
}

/* Keys, aggregates, properties: names that are not in the table. */
static void show_named(struct shower *shower, const char *key, const char *path, const struct node *map,
                       bool is_property)
{
    static const struct option secret = {.type = OPTION_TEXT, .flags = OPTION_SECRET};
    open_mapping(shower, key);
    size_t size = shower->json.out->size;
    for (const struct node *child = map->first; child; child = child->next)
        show_value(shower, is_property && kafka_property_is_secret(child->key) ? &secret : NULL, child->key,
                   arena_format(shower->arena, "%s.%s", path, child->key), child, child);
    close_mapping(shower, size);
}

static bool has_something_to_show(const struct option *group)
{
    for (uint32_t i = 0; i < option_count; i++)
        if (option_is_member(&options[i], group->scope, group->path) && options[i].fallback)
            return true;
    return false;
}

static void show_members(struct shower *shower, enum option_scope scope, const char *group, const char *path,
                         const struct node *map);

static void show_collection(struct shower *shower, const struct option *option, const char *path,
                            const struct node *map)
{
    open_mapping(shower, option->path);
    size_t size = shower->json.out->size;
    for (const struct node *child = map->first; child; child = child->next) {
        open_mapping(shower, child->key);
        size_t child_size = shower->json.out->size;
        show_members(shower, (enum option_scope)option->least, "",
                     arena_format(shower->arena, "%s.%s.", path, child->key), child);
        close_mapping(shower, child_size);
    }
    close_mapping(shower, size);
}

static void show_default(struct shower *shower, const struct option *option, const char *path)
{
    struct problems problems = {.arena = shower->arena};
    struct node *value =
        option->fallback[0] == '[' ? yaml_parse(&problems, option->fallback, strlen(option->fallback)) : NULL;
    if (!value) {
        value = node_create(shower->arena, NODE_SCALAR, (struct config_place){0});
        value->text = option->fallback;
    }
    show_value(shower, option, option_name(option), path, NULL, value);
}

static void show_option(struct shower *shower, const struct option *option, const char *prefix,
                        const struct node *node)
{
    const char *path = arena_format(shower->arena, "%s%s", prefix, option->path);
    bool is_scalar_switch = option->type == OPTION_SWITCH && (!node || node->kind == NODE_SCALAR);
    if (option->type == OPTION_COLLECTION) {
        if (node)
            show_collection(shower, option, path, node);
    } else if (option_has_members(option) && !is_scalar_switch) {
        if (!node && (option->type == OPTION_KIND || !has_something_to_show(option)))
            return;
        open_mapping(shower, option_name(option));
        size_t size = shower->json.out->size;
        show_members(shower, option->scope, option->path, prefix, node);
        close_mapping(shower, size);
    } else if (node && node->kind == NODE_MAP) {
        show_named(shower, option_name(option), path, node, option->type == OPTION_PROPERTIES);
    } else if (node) {
        show_value(shower, option, option_name(option), path, node, node);
    } else if (option->fallback) {
        show_default(shower, option, path);
    }
}

/* As deep as groups nest in the table. */
static void show_members(struct shower *shower, enum option_scope scope, const char *group, const char *path,
                         const struct node *map)
{
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        if (option->type == OPTION_LATER || !option_is_member(option, scope, group))
            continue;
        bool is_meaningless =
            option->flags & OPTION_WITH_WINDOW && *group == '\0' && !node_find(map, "window");
        if (!is_meaningless)
            show_option(shower, option, path, map ? node_find(map, option_name(option)) : NULL);
    }
}

static void show_tree(struct config *config, const struct node *root, bool as_json, struct buffer *out)
{
    struct shower shower = {.json.out = out, .arena = &config->arena, .file = config->file};
    if (!as_json) {
        show_members(&shower, SCOPE_ROOT, "", "", root);
        config_show_kafka(config, false, &shower.json);
        return;
    }
    json_open(&shower.json, NULL, '{');
    shower.format = SHOW_JSON_VALUES;
    json_open(&shower.json, "config", '{');
    show_members(&shower, SCOPE_ROOT, "", "", root);
    json_close(&shower.json, '}');
    shower.format = SHOW_JSON_ORIGINS;
    json_open(&shower.json, "origins", '{');
    show_members(&shower, SCOPE_ROOT, "", "", root);
    json_close(&shower.json, '}');
    config_show_kafka(config, true, &shower.json);
    json_close(&shower.json, '}');
}

enum status config_show(const char *file, const struct config_override *overrides, uint32_t override_count,
                        bool as_json, struct buffer *out, struct config_errors *errors)
{
    struct config *config = config_load(file, NULL, overrides, override_count, errors);
    if (!config)
        return STATUS_INVALID;
    show_tree(config, config->tree, as_json, out);
    config_destroy(config);
    return STATUS_OK;
}
