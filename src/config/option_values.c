/* One parser per type of option that is a single scalar. Each takes the text of a node, which may be the file's, an
 * environment variable's, a flag's or the row's own default: all of them go the same way, so a default is as valid as
 * anything else. A wrong value adds a problem and leaves the field alone. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/thread.h"
#include "config/options.h"

_Static_assert(sizeof(enum on_bad) == sizeof(uint32_t), "enums of options are stored as 32 bits");

void value_problem(struct loader *loader, const struct node *node, const char *format, ...)
{
    char text[ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    problem_add(&loader->problems, node->place, "%s: %s", node_path(loader->arena, node), text);
}

enum { SHORT_VALUE_SIZE = 200 };

/* Types with no long values: what is longer is not quoted in full, or the message would lose its end. */
static bool is_short_type(enum option_type type)
{
    return type != OPTION_TEXT && type != OPTION_TEXTS && type != OPTION_PATH && type != OPTION_EXPRESSION &&
           type != OPTION_KEYS && type != OPTION_AGGREGATES && type != OPTION_SELECT &&
           type != OPTION_SECRET_FILE && type != OPTION_PROPERTIES && type != OPTION_PATTERN &&
           type != OPTION_CONSTANTS;
}

const char *value_text(struct loader *loader, const struct option *option, const struct node *node)
{
    if (node->is_broken)
        return NULL;
    if (node->kind != NODE_SCALAR)
        value_problem(loader, node, "expected %s, found a %s", option_type_text(option),
                      node->kind == NODE_MAP ? "mapping" : "list");
    else if (node_is_null(node) || (node->text[0] == '\0' && !(option->flags & OPTION_MAY_BE_EMPTY)))
        value_problem(loader, node, "has no value; expected %s", option_type_text(option));
    else if (is_short_type(option->type) && strlen(node->text) > SHORT_VALUE_SIZE)
        value_problem(loader, node, "`%.40s...` is not %s", node->text, option_type_text(option));
    else
        return node->text;
    return NULL;
}

bool name_is_valid(struct loader *loader, const struct node *node)
{
    size_t size = strlen(node->key);
    size_t valid = strspn(node->key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    if (size > 0 && size <= CONFIG_MAX_NAME_SIZE && valid == size)
        return true;
    problem_add(&loader->problems, node->key_place,
                "`%s` is not a usable name; names are 1 to %d letters, digits, `_` and `-`", node->key,
                CONFIG_MAX_NAME_SIZE);
    return false;
}

static void *field(const struct option *option, void *owner)
{
    return (char *)owner + option->offset;
}

static bool in_range(struct loader *loader, const struct option *option, const struct node *node,
                     int64_t value)
{
    if ((option->least == 0 && option->most == 0) || (value >= option->least && value <= option->most))
        return true;
    struct arena *arena = loader->arena;
    if (option->type == OPTION_DURATION && value < 0 && option->least >= 0)
        value_problem(loader, node, "`%s` is negative; a duration here cannot be", node->text);
    else if (option->type == OPTION_DURATION)
        value_problem(loader, node, "`%s` is out of range; allowed are %s to %s", node->text,
                      duration_text(arena, option->least), duration_text(arena, option->most));
    else if (option->type == OPTION_SIZE)
        value_problem(loader, node, "`%s` is out of range; allowed are %s to %s", node->text,
                      size_text(arena, option->least), size_text(arena, option->most));
    else
        value_problem(loader, node, "`%s` is out of range; allowed are %lld to %lld", node->text,
                      (long long)option->least, (long long)option->most);
    return false;
}

static void parse_bool(struct loader *loader, const struct option *option, const struct node *node,
                       void *owner)
{
    const char *text = value_text(loader, option, node);
    if (!text)
        return;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        value_problem(loader, node, "`%s` is neither true nor false", text);
    else
        *(bool *)field(option, owner) = text[0] == 't';
}

/* Digits only; false after a problem. */
static bool parse_integer(struct loader *loader, const struct option *option, const struct node *node,
                          uint64_t *out)
{
    const char *text = value_text(loader, option, node);
    if (!text)
        return false;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != '\0') {
        value_problem(loader, node, "`%s` is not %s", text, option_type_text(option));
        return false;
    }
    errno = 0;
    unsigned long long value = strtoull(text, NULL, 10);
    bool too_large = errno == ERANGE || (option->most > 0 && value > INT64_MAX);
    if (too_large) {
        value_problem(loader, node, "`%s` is too large", text);
        return false;
    }
    *out = value;
    return in_range(loader, option, node, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

static void parse_count32(struct loader *loader, const struct option *option, const struct node *node,
                          void *owner)
{
    uint64_t value;
    if (!parse_integer(loader, option, node, &value))
        return;
    if (value > UINT32_MAX)
        value_problem(loader, node, "`%s` is too large", node->text);
    else
        *(uint32_t *)field(option, owner) = (uint32_t)value;
}

static void parse_count64(struct loader *loader, const struct option *option, const struct node *node,
                          void *owner)
{
    uint64_t value;
    if (parse_integer(loader, option, node, &value))
        *(uint64_t *)field(option, owner) = value;
}

/* A plain decimal number at the start of `text`; `*end` is behind it. Never hex, exponents, inf or nan. */
static bool decimal_parse(const char *text, const char **end, double *out)
{
    size_t size = strspn(text, "0123456789.");
    char *number_end;
    *out = strtod(text, &number_end);
    *end = number_end;
    return size > 0 && text[0] != '.' && number_end == text + size;
}

static void parse_share(struct loader *loader, const struct option *option, const struct node *node,
                        void *owner)
{
    const char *text = value_text(loader, option, node);
    if (!text)
        return;
    const char *end;
    double value;
    if (!decimal_parse(text, &end, &value) || *end != '\0' || value > 1)
        value_problem(loader, node, "`%s` is not a share from 0 to 1, such as 0.05 for 5 %%", text);
    else
        *(double *)field(option, owner) = value;
}

static void parse_duration(struct loader *loader, const struct option *option, const struct node *node,
                           void *owner)
{
    struct error reason;
    int64_t value = 0;
    const char *text = value_text(loader, option, node);
    if (!text)
        return;
    if (!duration_parse(text, &value, &reason))
        value_problem(loader, node, "%s", reason.text);
    else if (in_range(loader, option, node, value))
        *(int64_t *)field(option, owner) = value;
}

static void parse_size(struct loader *loader, const struct option *option, const struct node *node,
                       void *owner)
{
    struct error reason;
    int64_t value = 0;
    const char *text = value_text(loader, option, node);
    if (!text)
        return;
    if (!size_parse(text, &value, &reason))
        value_problem(loader, node, "%s", reason.text);
    else if (in_range(loader, option, node, value))
        *(uint64_t *)field(option, owner) = (uint64_t)value;
}

static bool is_word(const struct option *option, struct slice word, const char *text)
{
    if (option->flags & OPTION_ANY_CASE)
        return strlen(text) == word.size && strncasecmp(word.data, text, word.size) == 0;
    return slice_equal_text(word, text);
}

/* Index of the word, or UINT32_MAX after a problem. */
static uint32_t parse_word(struct loader *loader, const struct option *option, const struct node *node)
{
    const char *text = value_text(loader, option, node);
    if (!text)
        return UINT32_MAX;
    const char *words[16];
    uint32_t count = 0;
    struct slice word;
    for (uint32_t i = 0; (word = option_word(option, i)).size > 0; i++) {
        if (word.data[0] == '!' && slice_equal_text((struct slice){word.data + 1, word.size - 1}, text)) {
            value_problem(loader, node, "`%s` is not available in this version yet; remove it", text);
            return UINT32_MAX;
        }
        if (word.data[0] == '!')
            continue;
        words[count++] = arena_copy(loader->arena, word).data;
        if (is_word(option, word, text))
            return i;
    }
    const char *near = suggest(text, words, count);
    const char *all = "";
    for (uint32_t i = 0; i < count; i++)
        all = arena_format(loader->arena, "%s%s%s", all, i ? ", " : "", words[i]);
    if (near)
        value_problem(loader, node, "`%s` is not one of %s; did you mean `%s`?", text, all, near);
    else
        value_problem(loader, node, "`%s` is not one of %s", text, all);
    return UINT32_MAX;
}

static void parse_text(struct loader *loader, const struct option *option, const struct node *node,
                       void *owner)
{
    const char *text = value_text(loader, option, node);
    if (text && (!option->words || parse_word(loader, option, node) != UINT32_MAX))
        *(const char **)field(option, owner) = text;
}

static void parse_enum(struct loader *loader, const struct option *option, const struct node *node,
                       void *owner)
{
    uint32_t index = parse_word(loader, option, node);
    if (index != UINT32_MAX && option->offset != OPTION_NO_FIELD)
        *(uint32_t *)field(option, owner) = index + (uint32_t)option->least;
}

/* A path or expression is only kept here, with its place; expr/ and decode/ judge it. */
static void parse_expression(struct loader *loader, const struct option *option, const struct node *node,
                             void *owner)
{
    const char *text = value_text(loader, option, node);
    if (text)
        *(struct config_text *)field(option, owner) = (struct config_text){text, node->place};
}

static bool host_is_loopback(const char *host)
{
    struct in_addr address;
    if (inet_pton(AF_INET, host, &address) == 1)
        return ntohl(address.s_addr) >> 24 == 127;
    return strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

static void parse_listen(struct loader *loader, const struct option *option, const struct node *node,
                         void *owner)
{
    struct config_server *server = field(option, owner);
    const char *text = value_text(loader, option, node);
    if (!text)
        return;
    const char *colon = strrchr(text, ':');
    const char *port_text = colon ? colon + 1 : "";
    bool is_bracketed = text[0] == '[' && colon && colon > text && colon[-1] == ']';
    if (!colon || *port_text == '\0' || strspn(port_text, "0123456789") != strlen(port_text) ||
        (!is_bracketed && memchr(text, ':', (size_t)(colon - text)))) {
        value_problem(loader, node, "`%s` is not host:port, such as 127.0.0.1:8765 or [::1]:8765", text);
        return;
    }
    unsigned long port = strlen(port_text) > 6 ? 1000000 : strtoul(port_text, NULL, 10);
    if (port > UINT16_MAX) {
        value_problem(loader, node, "port %s is out of range; ports are 0 to 65535", port_text);
        return;
    }
    const char *host = arena_copy(loader->arena, (struct slice){text + is_bracketed,
                                                                (size_t)(colon - text) - 2 * is_bracketed})
                           .data;
    if (!host_is_loopback(host)) {
        value_problem(
            loader, node,
            "`%s` is not a loopback address: other machines could connect, and with `auth: {mode: none}` "
            "nobody is asked who they are; listen on 127.0.0.1:%lu, behind a proxy that authenticates",
            text, port);
        return;
    }
    server->listen_host = host;
    server->listen_port = (uint16_t)port;
    server->listen_place = node->place;
}

static void parse_shards(struct loader *loader, const struct option *option, const struct node *node,
                         void *owner)
{
    uint32_t *shards = field(option, owner);
    uint64_t value;
    if (node->kind == NODE_SCALAR && strcmp(node->text, "auto") == 0) {
        unsigned processors = thread_processor_count();
        *shards = processors > CONFIG_MAX_SHARDS ? CONFIG_MAX_SHARDS : processors;
    } else if (parse_integer(loader, option, node, &value)) {
        *shards = (uint32_t)value;
    }
}

/* "5000/s"; false after a problem. */
static bool parse_per_second(struct loader *loader, const struct option *option, const struct node *node,
                             double *out)
{
    const char *end;
    double value;
    bool is_number = decimal_parse(node->text, &end, &value) && value > 0 && value <= 1e9;
    if (is_number && strcmp(end, "/s") == 0) {
        *out = value;
        return true;
    }
    if (is_number && *end == '\0')
        value_problem(loader, node, "`%s` has no unit; write `%s/s`", node->text, node->text);
    else
        value_problem(loader, node, "`%s` is not %s", node->text, option_type_text(option));
    return false;
}

static void parse_file_rate(struct loader *loader, const struct option *option, const struct node *node,
                            void *owner)
{
    struct config_file_source *file = field(option, owner);
    const char *text = value_text(loader, option, node);
    if (!text)
        return;
    if (strcmp(text, "max") == 0)
        file->rate = FILE_RATE_MAX;
    else if (strcmp(text, "realtime") == 0)
        file->rate = FILE_RATE_REALTIME;
    else if (parse_per_second(loader, option, node, &file->rate_per_second))
        file->rate = FILE_RATE_PER_SECOND;
}

static void parse_rate(struct loader *loader, const struct option *option, const struct node *node,
                       void *owner)
{
    const char *text = value_text(loader, option, node);
    if (text && strcmp(text, "max") == 0)
        *(double *)field(option, owner) = 0;
    else if (text)
        parse_per_second(loader, option, node, field(option, owner));
}

/* now, or a date, or a date and time in UTC: what the start of made-up traffic needs, not what events may hold. */
static void parse_time(struct loader *loader, const struct option *option, const struct node *node,
                       void *owner)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"};
    const char *text = value_text(loader, option, node);
    if (!text)
        return;
    if (strcmp(text, "now") == 0) {
        *(int64_t *)field(option, owner) = INT64_MIN;
        return;
    }
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct tm parts = {.tm_mday = 1};
        const char *end = strptime(text, formats[i], &parts);
        if (end && *end == '\0' && parts.tm_year >= 0 && parts.tm_year < 8000) {
            *(int64_t *)field(option, owner) = (int64_t)timegm(&parts) * 1000000;
            return;
        }
    }
    value_problem(loader, node, "`%s` is not %s", text, option_type_text(option));
}

static const struct {
    const char *text, *name;
    void (*parse)(struct loader *, const struct option *, const struct node *, void *);
} types[OPTION_TYPE_COUNT] = {
    /* what a value looks like, for messages; its name, for the reference page */
    [OPTION_LATER] = {"nothing in this version", "nothing in this version", NULL},
    [OPTION_GROUP] = {"a mapping", "a mapping", NULL},
    [OPTION_KIND] = {"a mapping", "a mapping", NULL},
    [OPTION_SWITCH] = {"true, false or a mapping", "`true`, `false` or a mapping", parse_bool},
    [OPTION_COLLECTION] = {"a mapping of names", "a mapping of names", NULL},
    [OPTION_BOOL] = {"true or false", "`true`, `false`", parse_bool},
    [OPTION_COUNT32] = {"a whole number", "whole number", parse_count32},
    [OPTION_COUNT64] = {"a whole number", "whole number", parse_count64},
    [OPTION_SHARE] = {"a share from 0 to 1", "share", parse_share},
    [OPTION_DURATION] = {"a duration such as 250ms, 10s, 5m, 1h or 30d", "duration", parse_duration},
    [OPTION_SIZE] = {"a size such as 64KiB, 1MiB or 2GiB", "size", parse_size},
    [OPTION_TEXT] = {"text", "text", parse_text},
    [OPTION_TEXTS] = {"a list of texts", "list of texts", parse_texts},
    [OPTION_ENUM] = {"one word", "one word", parse_enum},
    [OPTION_SECRET_FILE] = {"the path of a file", "path of a file", parse_secret_file},
    [OPTION_PROPERTIES] = {"a mapping such as {socket.timeout.ms: 10000}", "mapping of names to values",
                           parse_properties},
    [OPTION_PATH] = {"a path such as properties.amount", "path", parse_expression},
    [OPTION_EXPRESSION] = {"an expression in text, such as amount > 0", "expression", parse_expression},
    [OPTION_KEYS] = {"a path, a list of paths, or a mapping of names to expressions",
                     "path, list of paths, or mapping of names to expressions", parse_keys},
    [OPTION_AGGREGATES] = {"a mapping such as {orders: count()}", "mapping of names to calls",
                           parse_aggregates},
    [OPTION_SELECT] = {"a mapping such as {user: user_id, total: price * count}",
                       "mapping of names to expressions", parse_select},
    [OPTION_SOURCES] = {"the name of a source or pipeline, or a list of them", "name, or list of names", parse_sources},
    [OPTION_DESTINATIONS] = {"a list of store, live and names of sinks", "list of names", parse_destinations},
    [OPTION_LISTEN] = {"an address host:port", "host:port", parse_listen},
    [OPTION_SHARDS] = {"auto or a whole number", "`auto` or whole number", parse_shards},
    [OPTION_FILE_RATE] = {"max, realtime or a rate such as 5000/s", "`max`, `realtime` or rate",
                          parse_file_rate},
    [OPTION_RATE] = {"max or a rate such as 5000/s", "`max` or rate", parse_rate},
    [OPTION_TIME] = {"now, a date such as 2024-01-31, or a time such as 2024-01-31T12:00:00Z",
                     "`now`, date or time", parse_time},
    [OPTION_SCHEMA] = {"the name of a schema, as in user_action or order@2", "name, or name@version",
                       parse_expression},
    [OPTION_PATTERN] = {"a regular expression", "regular expression", parse_expression},
    [OPTION_EVENT_TYPES] = {"string, integer, number, boolean, object, array, any, or a list of them",
                            "type, or list of types", parse_event_types},
    [OPTION_NUMBER] = {"a number", "number", parse_number},
    [OPTION_CONSTANTS] = {"a list of values", "list of values", parse_constants},
};

const char *option_type_text(const struct option *option)
{
    return types[option->type].text;
}

const char *option_type_name(const struct option *option)
{
    return types[option->type].name;
}

void option_parse(struct loader *loader, const struct option *option, const struct node *node, void *owner)
{
    types[option->type].parse(loader, option, node, owner);
}
