/* YAML by libfyaml's event parser, as a tree of our own. Events and not libfyaml's documents: they carry the place of
 * each token, they cannot recurse, and duplicate keys get a message that names both places. What libfyaml finds wrong
 * is said again in the words of somebody who writes a config, with the likely cause: a tab, a missing colon or space. */
#include "config/yaml_tree.h"

#include <assert.h>
#include <libfyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"

PRINTF_LIKE(4, 0)
static void add(struct problems *problems, struct config_place place, bool is_warning, const char *format,
                va_list arguments)
{
    char text[ERROR_TEXT_SIZE];
    *(is_warning ? &problems->warning_count : &problems->count) += 1;
    if (problems->kept_count == CONFIG_MAX_PROBLEMS)
        return;
    vsnprintf(text, sizeof text, format, arguments);
    struct problem *problem = arena_allocate(problems->arena, sizeof *problem);
    *problem = (struct problem){.next = problems->newest,
                                .place = place,
                                .sequence = problems->kept_count++,
                                .is_warning = is_warning,
                                .message = arena_copy_text(problems->arena, text)};
    problems->newest = problem;
}

void problem_add(struct problems *problems, struct config_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(problems, place, false, format, arguments);
    va_end(arguments);
}

void problem_add_warning(struct problems *problems, struct config_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(problems, place, true, format, arguments);
    va_end(arguments);
}

static int by_place(const void *a, const void *b)
{
    const struct problem *const *first = a, *const *second = b;
    const struct config_place *x = &(*first)->place, *y = &(*second)->place;
    int order = strcmp(x->file ? x->file : "", y->file ? y->file : "");
    if (order != 0)
        return order;
    if (x->line != y->line)
        return (x->line > y->line) - (x->line < y->line);
    if (x->column != y->column)
        return (x->column > y->column) - (x->column < y->column);
    return ((*first)->sequence > (*second)->sequence) - ((*first)->sequence < (*second)->sequence);
}

void problems_report(struct problems *problems, struct config_errors *errors)
{
    uint32_t total = problems->kept_count, index = total;
    if (total == 0)
        return;
    struct problem **sorted = memory_allocate_array(total, sizeof *sorted);
    for (struct problem *problem = problems->newest; problem; problem = problem->next)
        sorted[--index] = problem;
    qsort(sorted, total, sizeof *sorted, by_place);
    for (uint32_t i = 0; i < total; i++) {
        if (sorted[i]->is_warning)
            config_warning_add(errors, sorted[i]->place, "%s", sorted[i]->message);
        else
            config_error_add(errors, sorted[i]->place, "%s", sorted[i]->message);
    }
    free(sorted);
    problems->newest = NULL;
    problems->count = problems->warning_count = problems->kept_count = 0;
}

struct node *node_create(struct arena *arena, enum node_kind kind, struct config_place place)
{
    struct node *node = arena_allocate_zeroed(arena, sizeof *node);
    node->kind = kind;
    node->place = place;
    return node;
}

void node_add(struct node *parent, struct node *child, const char *key, struct config_place key_place)
{
    child->parent = parent;
    child->key = key;
    child->key_place = key_place;
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->child_count++;
}

struct node *node_find(const struct node *map, const char *key)
{
    for (struct node *child = map ? map->first : NULL; child; child = child->next)
        if (child->key && strcmp(child->key, key) == 0)
            return child;
    return NULL;
}

void node_replace(struct node *map, struct node *child, const char *key, struct config_place key_place)
{
    struct node *previous = NULL, *old = map->first;
    while (old && strcmp(old->key, key) != 0) {
        previous = old;
        old = old->next;
    }
    if (!old) {
        node_add(map, child, key, key_place);
        return;
    }
    child->parent = map;
    child->key = old->key;
    child->key_place = key_place;
    child->next = old->next;
    *(previous ? &previous->next : &map->first) = child;
    if (map->last == old)
        map->last = child;
}

bool node_is_null(const struct node *node)
{
    if (node->kind != NODE_SCALAR || !node->is_plain)
        return false;
    return node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0;
}

const char *node_path(struct arena *arena, const struct node *node)
{
    if (!node->parent)
        return "the config";
    if (!node->key)
        return node_path(arena, node->parent);
    if (!node->parent->parent)
        return node->key;
    return arena_format(arena, "%s.%s", node_path(arena, node->parent), node->key);
}

/* The line's text, without its end. Lines count from 1; beyond the last one it is empty. */
static struct slice line_text(const char *text, size_t size, uint32_t line)
{
    const char *at = text, *end = text + size;
    for (uint32_t i = 1; i < line && at < end; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    const char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    return (struct slice){at, (size_t)((newline ? newline : end) - at)};
}

/* The tree under construction: the open mappings and lists, innermost last, and the key that waits for its value. */
struct builder {
    struct problems *problems;
    struct slice text; /* all of it */
    struct node *root;
    struct node *open[CONFIG_MAX_DEPTH];
    uint32_t depth;
    const char *key;
    struct config_place key_place;
    bool stopped;
    const char *anchor; /* of the value that comes next; NULL mostly */
    struct anchor {
        const char *name;
        struct node *node;
    } anchors[CONFIG_MAX_ANCHORS];
    uint32_t anchor_count;
    uint32_t copied_count; /* nodes that aliases have copied */
};

/* An empty value has no token; it is behind its key then. */
static struct config_place place_behind_key(const struct builder *builder)
{
    struct config_place place = builder->key_place;
    if (builder->key)
        place.column += (uint32_t)strlen(builder->key) + 1;
    return place;
}

static struct config_place mark_place(const struct fy_mark *mark)
{
    if (!mark)
        return (struct config_place){.line = 1, .column = 1};
    return (struct config_place){.line = (uint32_t)mark->line + 1, .column = (uint32_t)mark->column + 1};
}

static void refuse(struct builder *builder, struct config_place place, const char *message)
{
    problem_add(builder->problems, place, "%s", message);
    builder->stopped = true;
}

static bool expects_key(const struct builder *builder)
{
    return builder->depth > 0 && builder->open[builder->depth - 1]->kind == NODE_MAP && !builder->key;
}

/* An anchor that is given again means the newest value, as YAML has it. */
static void note_anchor(struct builder *builder, struct node *node)
{
    if (!builder->anchor)
        return;
    if (builder->anchor_count == CONFIG_MAX_ANCHORS)
        refuse(builder, node->place, "more than 256 anchors");
    else
        builder->anchors[builder->anchor_count++] = (struct anchor){builder->anchor, node};
    builder->anchor = NULL;
}

static void place_node(struct builder *builder, struct node *node)
{
    note_anchor(builder, node);
    if (builder->depth == 0) {
        builder->root = node;
        return;
    }
    struct node *parent = builder->open[builder->depth - 1];
    if (parent->child_count == CONFIG_MAX_CHILDREN) {
        refuse(builder, node->place, "too many entries here; nothing in a config has more than 1024");
        return;
    }
    const struct node *earlier = builder->key ? node_find(parent, builder->key) : NULL;
    if (earlier)
        problem_add(builder->problems, builder->key_place, "`%s` is given twice; the first is in line %u",
                    builder->key, earlier->key_place.line);
    node_add(parent, node, builder->key, builder->key_place);
    builder->key = NULL;
}

/* libfyaml marks the first line of a block, but not the column in which its lines begin. */
static uint32_t block_column(const struct builder *builder, uint32_t line)
{
    const char *end = builder->text.data + builder->text.size;
    const char *start = line_text(builder->text.data, builder->text.size, line).data;
    for (const char *at = start; at < end; at++) {
        if (*at == '\n')
            start = at + 1;
        else if (*at != ' ')
            return (uint32_t)(at - start) + 1;
    }
    return 1;
}

static void take_scalar(struct builder *builder, struct fy_event *event, struct config_place place)
{
    struct fy_token *token = event->scalar.value;
    size_t size = 0;
    const char *text = token ? fy_token_get_text(token, &size) : "";
    enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;
    if (size && memchr(text, '\0', size)) {
        refuse(builder, place, "a NUL character is not allowed here");
        return;
    }
    if (size == 0 && style != FYSS_SINGLE_QUOTED && style != FYSS_DOUBLE_QUOTED)
        place = place_behind_key(builder);
    if (style == FYSS_LITERAL || style == FYSS_FOLDED)
        place.column = block_column(builder, place.line);
    char *copy = (char *)(uintptr_t)arena_copy(builder->problems->arena, (struct slice){text, size}).data;
    if (expects_key(builder)) {
        builder->key = copy;
        builder->key_place = place;
        return;
    }
    struct node *node = node_create(builder->problems->arena, NODE_SCALAR, place);
    node->text = copy;
    node->is_plain = style == FYSS_PLAIN || style == FYSS_ANY;
    place_node(builder, node);
}

static void open_node(struct builder *builder, enum node_kind kind, struct config_place place)
{
    if (expects_key(builder)) {
        refuse(builder, place, "a key has to be plain text; quote a value that begins with `{` or `[`");
        return;
    }
    if (builder->depth == CONFIG_MAX_DEPTH) {
        refuse(builder, place, "nested too deep; nothing in a config goes deeper than 16 levels");
        return;
    }
    struct node *node = node_create(builder->problems->arena, kind, place);
    place_node(builder, node);
    builder->open[builder->depth++] = node;
}

static struct fy_token *tag_of(const struct fy_event *event)
{
    switch (event->type) {
    case FYET_SCALAR: return event->scalar.tag;
    case FYET_MAPPING_START: return event->mapping_start.tag;
    case FYET_SEQUENCE_START: return event->sequence_start.tag;
    default: return NULL;
    }
}

static struct fy_token *anchor_of(const struct fy_event *event)
{
    switch (event->type) {
    case FYET_ALIAS: return event->alias.anchor;
    case FYET_SCALAR: return event->scalar.anchor;
    case FYET_MAPPING_START: return event->mapping_start.anchor;
    case FYET_SEQUENCE_START: return event->sequence_start.anchor;
    default: return NULL;
    }
}

/* Depth and width of what is copied are bounded by the limits of the original, their product by CONFIG_MAX_COPIES. */
static struct node *copy_node(struct builder *builder, const struct node *from)
{
    struct node *node = node_create(builder->problems->arena, from->kind, from->place);
    node->text = from->text;
    node->is_plain = from->is_plain;
    builder->copied_count++;
    for (const struct node *child = from->first; child && builder->copied_count < CONFIG_MAX_COPIES;
         child = child->next)
        node_add(node, copy_node(builder, child), child->key, child->key_place);
    return node;
}

static void take_alias(struct builder *builder, const char *name, struct config_place place)
{
    const struct node *found = NULL;
    for (uint32_t i = 0; i < builder->anchor_count; i++)
        if (strcmp(builder->anchors[i].name, name) == 0)
            found = builder->anchors[i].node;
    for (uint32_t i = 0; i < builder->depth; i++)
        if (builder->open[i] == found)
            found = NULL;
    if (!found) {
        refuse(builder, place,
               "there is no anchor of this name above; a value that begins with `*` has to be in quotes");
    } else if (expects_key(builder)) {
        refuse(builder, place, "a key has to be plain text");
    } else if (builder->copied_count >= CONFIG_MAX_COPIES) {
        refuse(builder, place, "aliases make this config too large");
    } else {
        place_node(builder, copy_node(builder, found));
    }
}

static void take_event(struct builder *builder, struct fy_event *event)
{
    struct config_place place = mark_place(fy_event_start_mark(event));
    if (tag_of(event)) {
        refuse(builder, mark_place(fy_token_start_mark(tag_of(event))),
               "a value that begins with `!` means something else to YAML; put it in quotes");
        return;
    }
    struct fy_token *anchor = anchor_of(event);
    const char *anchor_name = NULL;
    if (anchor) {
        size_t size = 0;
        const char *text = fy_token_get_text(anchor, &size);
        anchor_name = arena_copy(builder->problems->arena, (struct slice){text, size}).data;
        /* libfyaml's mark is behind the first character. */
        if (event->type == FYET_ALIAS)
            place = mark_place(fy_token_start_mark(anchor));
    }
    builder->anchor = anchor_name;
    switch (event->type) {
    case FYET_ALIAS:
        builder->anchor = NULL;
        place.column -= place.column > 1;
        take_alias(builder, anchor_name ? anchor_name : "", place);
        break;
    case FYET_DOCUMENT_START:
        if (builder->root)
            refuse(builder, place,
                   "a second YAML document begins here; a config is one document, remove the `---`");
        break;
    case FYET_SCALAR: take_scalar(builder, event, place); break;
    case FYET_MAPPING_START: open_node(builder, NODE_MAP, place); break;
    case FYET_SEQUENCE_START: open_node(builder, NODE_LIST, place); break;
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        if (builder->depth > 0)
            builder->depth--;
        break;
    default: break;
    }
}

static bool indented_by_tab(struct slice line)
{
    for (size_t i = 0; i < line.size && (line.data[i] == ' ' || line.data[i] == '\t'); i++)
        if (line.data[i] == '\t')
            return true;
    return false;
}

/* `key value` or `key:value`: the two ways in which a colon goes missing. */
static const char *colon_hint(struct slice line)
{
    size_t start = 0;
    while (start < line.size && (line.data[start] == ' ' || line.data[start] == '-'))
        start++;
    size_t end = start;
    while (end < line.size && (line.data[end] == '_' || (line.data[end] >= 'a' && line.data[end] <= 'z')))
        end++;
    if (end == start || end == line.size)
        return NULL;
    if (line.data[end] == ':' && end + 1 < line.size && line.data[end + 1] != ' ')
        return "a space is missing behind the colon";
    if (line.data[end] == ' ' && !memchr(line.data, ':', line.size))
        return "a colon is missing behind the key";
    return NULL;
}

/* What libfyaml says, and what it means to the person who wrote the file. */
static const struct {
    const char *said, *meant;
} explanations[] = {
    {"multiline plain key", "a colon is missing behind a key in this line, as in `key: value`"},
    {"indentation in mapping",
     "this line is indented differently from its neighbours; all keys of one mapping begin in "
     "the same column"},
    {"nested block mapping",
     "there is one `: ` too many in this line; put a value that contains it in quotes"},
    {"trailing content after",
     "text follows the closing quote; put the whole value in quotes of the other kind, as in "
     "'name == \"x\"'"},
    {"cannot start with", "a value cannot begin with this character; put it in quotes"},
    {"quoted scalar", "a quote is opened here and not closed"},
    {"flow", "a bracket or brace is not closed, or a comma is missing, here or in the line above"},
    {"block sequence",
     "this line does not belong to the list above it; begin it with `- ` or indent it less"},
};

static void explain(struct problems *problems, const char *text, size_t size, struct config_place place,
                    const char *message)
{
    /* libfyaml often notices only in the line behind the one that has to be mended. */
    for (uint32_t back = 0; back < 2 && back < place.line; back++) {
        struct slice line = line_text(text, size, place.line - back);
        if (indented_by_tab(line)) {
            const char *tab = memchr(line.data, '\t', line.size);
            struct config_place there = {.line = place.line - back,
                                         .column = (uint32_t)(tab - line.data) + 1};
            problem_add(problems, there, "a tab indents this line; YAML is indented with spaces");
            return;
        }
    }
    for (uint32_t back = 0; back < 2 && back < place.line; back++) {
        const char *hint = colon_hint(line_text(text, size, place.line - back));
        if (hint) {
            place.line -= back;
            place.column = back ? 1 : place.column;
            problem_add(problems, place, "not valid YAML: %s, as in `key: value`", hint);
            return;
        }
    }
    for (size_t i = 0; i < sizeof explanations / sizeof *explanations; i++) {
        if (strstr(message, explanations[i].said)) {
            problem_add(problems, place, "not valid YAML: %s", explanations[i].meant);
            return;
        }
    }
    problem_add(problems, place,
                "not valid YAML: %s; look at the indentation, brackets and quotes here and above", message);
}

static bool text_is_usable(struct problems *problems, const char *text, size_t size)
{
    struct config_place place = {.line = 1, .column = 1};
    if (size > CONFIG_MAX_FILE_SIZE) {
        problem_add(problems, place, "the file is larger than %d bytes, too large for a config",
                    CONFIG_MAX_FILE_SIZE);
        return false;
    }
    for (size_t i = 0; i < size;) {
        size_t step = utf8_sequence_size(text + i, size - i);
        if (step == 0 || text[i] == '\0') {
            problem_add(problems, place, "byte 0x%02x is not UTF-8 text", (unsigned char)text[i]);
            return false;
        }
        place.column++;
        if (text[i] == '\n')
            place = (struct config_place){.line = place.line + 1, .column = 1};
        i += step;
    }
    return true;
}

static void report_syntax(struct problems *problems, struct fy_diag *diag, const char *text, size_t size)
{
    void *iterator = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &iterator);
    if (!error) {
        problem_add(problems, (struct config_place){.line = 1, .column = 1}, "not valid YAML");
        return;
    }
    struct config_place place = {.line = error->line > 0 ? (uint32_t)error->line : 1,
                                 .column = error->column > 0 ? (uint32_t)error->column : 1};
    explain(problems, text, size, place, error->msg);
}

struct node *yaml_parse(struct problems *problems, const char *text, size_t size)
{
    if (!text_is_usable(problems, text, size))
        return NULL;
    struct builder builder = {.problems = problems, .text = {text, size}};
    struct fy_diag_cfg diag_configuration;
    fy_diag_cfg_default(&diag_configuration);
    struct fy_diag *diag = fy_diag_create(&diag_configuration);
    assert(diag);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg configuration = {.flags = FYPCF_QUIET | FYPCF_ALLOW_DUPLICATE_KEYS, .diag = diag};
    struct fy_parser *parser = fy_parser_create(&configuration);
    assert(parser);
    bool done = size == 0 || fy_parser_set_string(parser, text, size) != 0;
    while (!done && !builder.stopped) {
        struct fy_event *event = fy_parser_parse(parser);
        if (!event) {
            if (fy_diag_got_error(diag)) {
                report_syntax(problems, diag, text, size);
                builder.stopped = true;
            }
            break;
        }
        done = event->type == FYET_STREAM_END;
        take_event(&builder, event);
        fy_parser_event_free(parser, event);
    }
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return builder.stopped ? NULL : builder.root;
}
