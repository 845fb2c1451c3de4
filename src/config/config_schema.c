/* The JSON Schema of a config file (draft 2020-12), for editors and other checkers. It accepts every file that
 * weir accepts; what a schema cannot say (names that refer to each other, expressions) only weir itself checks. */
#include <ctype.h>
#include <stdio.h>

#include "config/json_writer.h"
#include "config/options.h"

/* A ${VAR} may stand for any scalar, so each type also takes a text that contains one. */
static const char *const variable_pattern = "\\$\\{";
static const char *const name_pattern = "^[A-Za-z0-9_-]{1,64}$";

static const char *const scope_names[SCOPE_COUNT] = {"root", "source", "pipeline", "sink", "schema", "field"};

/* {"type": "string", "pattern": ...} as a member of an array. */
static void write_pattern(struct json_writer *writer, const char *pattern)
{
    json_open(writer, NULL, '{');
    json_text(writer, "type", "string");
    json_text(writer, "pattern", pattern);
    json_close(writer, '}');
}

/* A value that is text with a pattern, but may be written as the number 0 too where 0 is in the range. */
static void write_measure(struct json_writer *writer, const struct option *option, const char *pattern)
{
    json_open(writer, "anyOf", '[');
    if (option->least <= 0)
        json_raw(writer, NULL, "{\"const\": 0}");
    write_pattern(writer, pattern);
    write_pattern(writer, variable_pattern);
    json_close(writer, ']');
}

static void write_integer(struct json_writer *writer, const struct option *option, const char *word)
{
    json_open(writer, "anyOf", '[');
    json_open(writer, NULL, '{');
    json_text(writer, "type", "integer");
    bool has_range = option->least != 0 || option->most != 0;
    json_number(writer, "minimum", option->least);
    if (has_range)
        json_number(writer, "maximum", option->most);
    json_close(writer, '}');
    if (word) {
        json_open(writer, NULL, '{');
        json_text(writer, "const", word);
        json_close(writer, '}');
    }
    write_pattern(writer, "^[0-9]+$");
    write_pattern(writer, variable_pattern);
    json_close(writer, ']');
}

static void write_words(struct json_writer *writer, const struct option *option)
{
    struct slice word;
    json_open(writer, "anyOf", '[');
    json_open(writer, NULL, '{');
    json_open(writer, "enum", '[');
    for (uint32_t i = 0; (word = option_word(option, i)).size > 0; i++) {
        char text[CONFIG_MAX_NAME_SIZE + 1] = {0};
        memcpy(text, word.data, word.size < CONFIG_MAX_NAME_SIZE ? word.size : CONFIG_MAX_NAME_SIZE);
        if (text[0] != '!')
            json_text(writer, NULL, text);
    }
    json_close(writer, ']');
    json_close(writer, '}');
    write_pattern(writer, variable_pattern);
    json_close(writer, ']');
}

/* As members of an array. */
static void write_bool(struct json_writer *writer)
{
    json_raw(writer, NULL, "{\"type\": \"boolean\"}");
    write_pattern(writer, "^(true|false)$|\\$\\{");
}

/* Words in any mix of small and capital letters. */
static void write_words_of_any_case(struct json_writer *writer, const struct option *option)
{
    struct buffer pattern = {0};
    buffer_append_text(&pattern, "^(");
    for (const char *at = option->words; *at; at++)
        if (isalpha((unsigned char)*at))
            buffer_format(&pattern, "[%c%c]", *at, toupper((unsigned char)*at));
        else
            buffer_append_char(&pattern, *at);
    buffer_append_text(&pattern, ")$");
    buffer_append_char(&pattern, '\0');
    json_open(writer, "anyOf", '[');
    write_pattern(writer, pattern.data);
    write_pattern(writer, variable_pattern);
    json_close(writer, ']');
    buffer_deinit(&pattern);
}

static void write_scalar_type(struct json_writer *writer)
{
    json_raw(writer, "type", "[\"string\", \"number\", \"boolean\"]");
}

static const char *const scalar_schema =
    "{\"type\": [\"string\", \"number\", \"boolean\"], \"minLength\": 1}";

/* One scalar or a list of them. */
static void write_list(struct json_writer *writer, unsigned least, bool is_unique, const char *map)
{
    json_open(writer, "anyOf", '[');
    json_raw(writer, NULL, scalar_schema);
    json_open(writer, NULL, '{');
    json_text(writer, "type", "array");
    json_number(writer, "minItems", least);
    json_raw(writer, "items", scalar_schema);
    if (is_unique)
        json_raw(writer, "uniqueItems", "true");
    json_close(writer, '}');
    if (map)
        json_raw(writer, NULL, map);
    json_close(writer, ']');
}

/* One type of a field, or a list of them. */
static void write_event_types(struct json_writer *writer)
{
    static const char *const words =
        "{\"enum\": [\"string\", \"integer\", \"number\", \"boolean\", \"object\", \"array\", \"any\"]}";
    json_open(writer, "anyOf", '[');
    json_raw(writer, NULL, words);
    json_open(writer, NULL, '{');
    json_text(writer, "type", "array");
    json_number(writer, "minItems", 1);
    json_open(writer, "items", '{');
    json_open(writer, "anyOf", '[');
    json_raw(writer, NULL, words);
    write_pattern(writer, variable_pattern);
    json_close(writer, ']');
    json_close(writer, '}');
    json_close(writer, '}');
    write_pattern(writer, variable_pattern);
    json_close(writer, ']');
}

/* Types that are one text of this form. */
static const char *const pattern_of[OPTION_TYPE_COUNT] = {
    [OPTION_LISTEN] = "^(127\\.[0-9.]+|localhost|\\[::1\\]):[0-9]{1,6}$|\\$\\{",
    [OPTION_FILE_RATE] = "^(max|realtime|[0-9]+(\\.[0-9]*)?/s)$|\\$\\{",
    [OPTION_RATE] = "^(max|[0-9]+(\\.[0-9]*)?/s)$|\\$\\{",
    [OPTION_TIME] = "^(now|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(T[0-9:]+Z)?)$|\\$\\{",
};

static void write_value_type(struct json_writer *writer, const struct option *option)
{
    static const char *const duration = "^(0|([0-9]+(\\.[0-9]*)?(us|ms|s|m|h|d))+)$";
    static const char *const signed_duration = "^(0|-?([0-9]+(\\.[0-9]*)?(us|ms|s|m|h|d))+)$";
    static const char *const size = "^(0|([0-9]+(\\.[0-9]*)?(B|KiB|MiB|GiB|TiB))+)$";
    switch (option->type) {
    case OPTION_BOOL:
        json_open(writer, "anyOf", '[');
        write_bool(writer);
        json_close(writer, ']');
        break;
    case OPTION_COUNT32:
    case OPTION_COUNT64: write_integer(writer, option, NULL); break;
    case OPTION_SHARDS: write_integer(writer, option, "auto"); break;
    case OPTION_SHARE:
        json_raw(
            writer, "anyOf",
            "[{\"type\": \"number\", \"minimum\": 0, \"maximum\": 1}, {\"type\": \"string\", \"pattern\": \"^[0-9]|\\\\$\\\\{\"}]");
        break;
    case OPTION_DURATION:
        write_measure(writer, option, option->least < 0 ? signed_duration : duration);
        break;
    case OPTION_SIZE: write_measure(writer, option, size); break;
    case OPTION_ENUM:
        if (option->flags & OPTION_ANY_CASE)
            write_words_of_any_case(writer, option);
        else
            write_words(writer, option);
        break;
    case OPTION_PROPERTIES:
        json_text(writer, "type", "object");
        json_number(writer, "maxProperties", CONFIG_MAX_PROPERTIES);
        json_raw(writer, "additionalProperties", "{\"type\": [\"string\", \"number\", \"boolean\"]}");
        break;
    case OPTION_TEXT:
        if (option->words)
            write_words(writer, option);
        else
            write_scalar_type(writer);
        break;
    case OPTION_TEXTS: write_list(writer, option->flags & OPTION_REQUIRED ? 1 : 0, false, NULL); break;
    case OPTION_SOURCES:
    case OPTION_DESTINATIONS: write_list(writer, 1, true, NULL); break;
    case OPTION_KEYS:
        write_list(
            writer, 0, false,
            "{\"type\": \"object\", \"additionalProperties\": {\"type\": [\"string\", \"number\", \"boolean\"]}}");
        break;
    case OPTION_NUMBER:
        json_raw(writer, "anyOf",
                 "[{\"type\": \"number\"}, {\"type\": \"string\", \"pattern\": \"^-?[0-9]|\\\\$\\\\{\"}]");
        break;
    case OPTION_EVENT_TYPES: write_event_types(writer); break;
    case OPTION_CONSTANTS:
        json_text(writer, "type", "array");
        json_number(writer, "minItems", 1);
        json_raw(writer, "items", "{\"type\": [\"string\", \"number\", \"boolean\"]}");
        break;
    case OPTION_AGGREGATES:
    case OPTION_SELECT:
        json_text(writer, "type", "object");
        json_number(writer, "minProperties", 1);
        json_number(writer, "maxProperties",
                    option->type == OPTION_SELECT ? CONFIG_MAX_SELECTS : CONFIG_MAX_AGGREGATES);
        json_raw(writer, "additionalProperties",
                 "{\"type\": [\"string\", \"number\", \"boolean\"], \"minLength\": 1}");
        break;
    default:
        if (pattern_of[option->type]) {
            json_text(writer, "type", "string");
            json_text(writer, "pattern", pattern_of[option->type]);
        } else {
            write_scalar_type(writer);
        }
    }
}

/* The default as JSON: a number, true or false, a list, or text. */
static void write_default(struct json_writer *writer, const struct option *option)
{
    const char *text = option->fallback;
    bool is_number = text[strspn(text, "0123456789.")] == '\0' && option->type != OPTION_TEXT;
    if (strcmp(text, "[store, live]") == 0)
        json_raw(writer, "default", "[\"store\", \"live\"]");
    else if (is_number || option->type == OPTION_BOOL || option->type == OPTION_SWITCH || text[0] == '[')
        json_raw(writer, "default", text);
    else
        json_text(writer, "default", text);
}

static void write_collection(struct json_writer *writer, const struct option *option)
{
    char reference[64];
    snprintf(reference, sizeof reference, "{\"$ref\": \"#/$defs/%s\"}", scope_names[option->least]);
    json_text(writer, "type", "object");
    if (option->flags & OPTION_REQUIRED)
        json_number(writer, "minProperties", 1);
    static const char *const name_patterns[SCOPE_COUNT] = {
        [SCOPE_SCHEMA] = "^[A-Za-z0-9_-]{1,64}(@[1-9][0-9]{0,8})?$", [SCOPE_FIELD] = "^[^.]+(\\.[^.]+)*$"};
    const char *pattern = name_patterns[option->least];
    json_open(writer, "propertyNames", '{');
    json_text(writer, "pattern", pattern ? pattern : name_pattern);
    json_close(writer, '}');
    json_raw(writer, "additionalProperties", reference);
}

static uint32_t required_count(enum option_scope scope, const char *group)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < option_count; i++)
        count += option_is_member(&options[i], scope, group) && option_is_always_required(&options[i]);
    return count;
}

/* What a pipeline may have depends on whether it has a window. */
static void write_window_rules(struct json_writer *writer)
{
    json_open(writer, "dependentRequired", '{');
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        if (option->scope != SCOPE_PIPELINE || !(option->flags & OPTION_WITH_WINDOW) ||
            strcmp(option->path, "window") == 0)
            continue;
        json_open(writer, option->path, '[');
        json_text(writer, NULL, "window");
        json_close(writer, ']');
    }
    json_raw(writer, "window", "[\"aggregates\"]");
    json_close(writer, '}');
    json_raw(writer, "anyOf",
             "[{\"required\": [\"window\"], \"not\": {\"required\": [\"select\"]}}, "
             "{\"required\": [\"to\"], \"not\": {\"required\": [\"window\"]}}]");
}

/* Exactly one of them. */
static void write_window_kinds(struct json_writer *writer)
{
    json_open(writer, "oneOf", '[');
    for (enum config_window_kind kind = CONFIG_WINDOW_TUMBLING; kind <= CONFIG_WINDOW_GLOBAL; kind++) {
        json_open(writer, NULL, '{');
        json_open(writer, "required", '[');
        json_text(writer, NULL, config_window_kind_name(kind));
        json_close(writer, ']');
        json_close(writer, '}');
    }
    json_close(writer, ']');
}

/* type, required and the kinds of a mapping: everything but its properties. */
static void write_mapping_rules(struct json_writer *writer, enum option_scope scope, const char *group,
                                bool is_kind)
{
    uint32_t required = required_count(scope, group);
    if (is_kind && required == 0)
        json_raw(writer, "type", "[\"object\", \"null\"]");
    else
        json_text(writer, "type", "object");
    json_raw(writer, "additionalProperties", "false");
    if (required > 0) {
        json_open(writer, "required", '[');
        for (uint32_t i = 0; i < option_count; i++)
            if (option_is_member(&options[i], scope, group) && option_is_always_required(&options[i]))
                json_text(writer, NULL, option_name(&options[i]));
        json_close(writer, ']');
    }
    if (*group == '\0' && scope == SCOPE_PIPELINE)
        write_window_rules(writer);
    if (strcmp(group, "window") == 0)
        write_window_kinds(writer);
    bool has_kinds = *group == '\0' && (scope == SCOPE_SOURCE || scope == SCOPE_SINK);
    if (has_kinds) {
        json_open(writer, "oneOf", '[');
        for (uint32_t i = 0; i < option_count; i++) {
            if (options[i].scope != scope || options[i].type != OPTION_KIND)
                continue;
            json_open(writer, NULL, '{');
            json_open(writer, "required", '[');
            json_text(writer, NULL, options[i].path);
            json_close(writer, ']');
            json_close(writer, '}');
        }
        json_close(writer, ']');
    }
}

static void write_mapping(struct json_writer *writer, enum option_scope scope, const char *group,
                          bool is_kind);

/* true and false, or the mapping. */
static void write_switch(struct json_writer *writer, const struct option *option)
{
    json_open(writer, "anyOf", '[');
    write_bool(writer);
    json_open(writer, NULL, '{');
    write_mapping(writer, option->scope, option->path, false);
    json_close(writer, '}');
    json_close(writer, ']');
}

/* The inside of a mapping's schema. As deep as groups nest in the table, which is three. */
static void write_mapping(struct json_writer *writer, enum option_scope scope, const char *group,
                          bool is_kind)
{
    write_mapping_rules(writer, scope, group, is_kind);
    json_open(writer, "properties", '{');
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        if (option->type == OPTION_LATER || !option_is_member(option, scope, group))
            continue;
        json_open(writer, option_name(option), '{');
        json_text(writer, "description", option->help);
        if (option->type == OPTION_COLLECTION)
            write_collection(writer, option);
        else if (option->type == OPTION_SWITCH)
            write_switch(writer, option);
        else if (option_has_members(option))
            write_mapping(writer, scope, option->path, option->type == OPTION_KIND);
        else
            write_value_type(writer, option);
        if (option->fallback)
            write_default(writer, option);
        json_close(writer, '}');
    }
    json_close(writer, '}');
}

void config_write_schema(struct buffer *out)
{
    struct json_writer writer = {.out = out};
    json_open(&writer, NULL, '{');
    json_text(&writer, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_text(&writer, "title", "Configuration of weir");
    write_mapping(&writer, SCOPE_ROOT, "", false);
    json_open(&writer, "$defs", '{');
    for (enum option_scope scope = SCOPE_SOURCE; scope < SCOPE_COUNT; scope++) {
        json_open(&writer, scope_names[scope], '{');
        write_mapping(&writer, scope, "", false);
        json_close(&writer, '}');
    }
    json_close(&writer, '}');
    json_close(&writer, '}');
}
