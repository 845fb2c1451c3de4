/* From a file to the tree that is checked: read, parse, replace ${VAR}, lay overrides over it. Variables are replaced in
 * parsed values and not in the text of the file, so that no value of the environment can change its structure. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/options.h"

int config_read_file(const char *file, struct buffer *text)
{
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t got = descriptor < 0 ? -1 : 1;
    while (got > 0 && text->size <= CONFIG_MAX_FILE_SIZE) {
        got = read(descriptor, buffer_reserve(text, CONFIG_MAX_FILE_SIZE / 16), CONFIG_MAX_FILE_SIZE / 16);
        if (got > 0)
            text->size += (size_t)got;
    }
    int failure = got < 0 ? errno : 0;
    if (descriptor >= 0)
        close(descriptor);
    return failure;
}

/* False after a problem. */
static bool read_file(struct loader *loader, const char *file, struct buffer *text)
{
    int failure = config_read_file(file, text);
    if (failure)
        problem_add(&loader->problems, (struct config_place){0}, "cannot be read: %s; %s", strerror(failure),
                    failure == ENOENT ? "give the path of a config file" : "a config is a readable file");
    return failure == 0;
}

static bool is_name_character(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* One ${...} at `at`, appended to `out`. Returns what is behind it, or NULL after a problem. */
static const char *substitute_one(struct loader *loader, const struct node *node, const char *at,
                                  struct buffer *out)
{
    struct config_text text = {node->text, node->place};
    struct config_place place = config_text_place(&text, (size_t)(at - node->text));
    const char *name = at + 2, *name_end = name;
    while (is_name_character(*name_end))
        name_end++;
    bool has_default = name_end[0] == ':' && name_end[1] == '-';
    const char *end = has_default ? strchr(name_end, '}') : name_end;
    if (name_end == name || !end || *end != '}') {
        problem_add(&loader->problems, place,
                    "%s: `%.40s` is no variable; write ${NAME} or ${NAME:-default}, and $${ for a plain ${",
                    node_path(loader->arena, node), at);
        return NULL;
    }
    const char *variable = arena_copy(loader->arena, (struct slice){name, (size_t)(name_end - name)}).data;
    const char *value = getenv(variable);
    if (has_default && (!value || !*value)) {
        buffer_append(out, name_end + 2, (size_t)(end - name_end) - 2);
    } else if (value && strlen(value) <= CONFIG_MAX_FILE_SIZE) {
        buffer_append_text(out, value);
    } else {
        problem_add(&loader->problems, place,
                    value ? "%s: the value of the variable `%s` is too long"
                          : "%s: the variable `%s` is not set; set it, or give a default: ${NAME:-default}",
                    node_path(loader->arena, node), variable);
        return NULL;
    }
    return end + 1;
}

static void substitute_scalar(struct loader *loader, struct node *node)
{
    struct buffer out = {0};
    const char *at = node->text;
    while (at && *at) {
        if (strncmp(at, "$${", 3) == 0) {
            buffer_append_text(&out, "${");
            at += 3;
        } else if (strncmp(at, "${", 2) == 0) {
            at = substitute_one(loader, node, at, &out);
        } else {
            buffer_append_char(&out, *at++);
        }
    }
    if (at) {
        node->text = arena_copy(loader->arena, buffer_slice(&out)).data;
        node->is_plain = false;
    } else {
        node->is_broken = true;
    }
    buffer_deinit(&out);
}

static void substitute(struct loader *loader, struct node *node)
{
    if (node->kind == NODE_SCALAR && strstr(node->text, "${"))
        substitute_scalar(loader, node);
    for (struct node *child = node->first; child; child = child->next)
        substitute(loader, child);
}

struct node *config_read_tree(struct loader *loader, const char *file, const char *text,
                              const struct config_override *overrides, uint32_t override_count)
{
    struct buffer content = {0};
    struct node *root = NULL;
    if (text)
        buffer_append_text(&content, text);
    if (text || read_file(loader, file, &content)) {
        uint32_t problems_before = loader->problems.count;
        root = yaml_parse(&loader->problems, content.data ? content.data : "", content.size);
        if (!root && loader->problems.count == problems_before)
            root = node_create(loader->arena, NODE_MAP, (struct config_place){.line = 1, .column = 1});
    }
    buffer_deinit(&content);
    if (root)
        config_complete_tree(loader, root, overrides, override_count);
    return root;
}

void config_complete_tree(struct loader *loader, struct node *root, const struct config_override *overrides,
                          uint32_t override_count)
{
    if (node_is_null(root)) {
        root->kind = NODE_MAP;
        root->text = NULL;
    }
    substitute(loader, root);
    if (root->kind == NODE_MAP)
        config_apply_overrides(loader, root, overrides, override_count);
}
