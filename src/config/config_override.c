/* Values from outside the file: variables WEIR_A__B and flags with a path a.b. Their names are matched against the option
 * table and the names in the file, so one that means nothing is an error and not a silent typo; their values replace
 * nodes of the tree, and so are checked like anything else. */
#include <ctype.h>
#include <unistd.h>

#include "config/options.h"

/* Variables of this prefix that are no options; a `*` stands for any rest. They belong to tests and builds. */
static const char *const reserved_variables[] = {
    "WEIR_CRASH_AT", "WEIR_TEST_*",   "WEIR_BENCH_*", "WEIR_BIN",  "WEIR_BUILD_DIR",
    "WEIR_SANITIZE", "WEIR_CHROMIUM", "WEIR_SEED",    "WEIR_LONG", NULL,
};

static bool is_reserved(const char *name, size_t size)
{
    for (const char *const *reserved = reserved_variables; *reserved; reserved++) {
        size_t length = strlen(*reserved);
        bool is_prefix = (*reserved)[length - 1] == '*';
        if (is_prefix ? size >= length - 1 && memcmp(name, *reserved, length - 1) == 0
                      : size == length && memcmp(name, *reserved, length) == 0)
            return true;
    }
    return false;
}

/* Where the walk along one name stands. */
struct target {
    struct loader *loader;
    const char *rest;      /* of the name */
    const char *separator; /* "__" or "." */
    struct config_place place;
    const char *value;
    enum option_scope scope;
    const char *group; /* within the scope */
    struct node *map;
};

enum { TARGET_MAX_CANDIDATES = CONFIG_MAX_CHILDREN + 64 };

/* Size of the candidate at the start of the rest, 0 when it is not there. Variables know no case and no `-`. */
static size_t match(const struct target *target, const char *candidate)
{
    bool is_exact = target->separator[0] == '.';
    size_t size = strlen(candidate);
    for (size_t i = 0; i < size; i++) {
        char given = target->rest[i], wanted = candidate[i];
        if (given == '\0')
            return 0;
        if (is_exact
                ? given != wanted
                : toupper((unsigned char)given) != (wanted == '-' ? '_' : toupper((unsigned char)wanted)))
            return 0;
    }
    const char *behind = target->rest + size;
    return *behind == '\0' || strncmp(behind, target->separator, strlen(target->separator)) == 0 ? size : 0;
}

static const char *first_segment(const struct target *target)
{
    const char *end = strstr(target->rest, target->separator);
    size_t size = end ? (size_t)(end - target->rest) : strlen(target->rest);
    return arena_copy(target->loader->arena, (struct slice){target->rest, size}).data;
}

/* The longest candidate that matches; NULL after a problem. `what` is "option" or "source". */
static const char *choose(const struct target *target, const char *const *candidates, size_t count,
                          const char *what)
{
    const char *best = NULL;
    bool is_ambiguous = false;
    for (size_t i = 0; i < count; i++) {
        size_t size = match(target, candidates[i]);
        if (size == 0)
            continue;
        is_ambiguous = best && strlen(best) == size && strcmp(best, candidates[i]) != 0;
        if (!best || size > strlen(best))
            best = candidates[i];
    }
    struct loader *loader = target->loader;
    const char *parent = target->map->parent ? node_path(loader->arena, target->map) : "the config";
    if (best && !is_ambiguous)
        return best;
    if (best) {
        problem_add(&loader->problems, target->place, "%s has more than one %s of that name; rename one",
                    parent, what);
        return NULL;
    }
    const char *segment = first_segment(target);
    const char *near = suggest(segment, candidates, count);
    if (near) {
        problem_add(&loader->problems, target->place, "%s has no %s `%s`; did you mean `%s`?", parent, what,
                    segment, near);
        return NULL;
    }
    const char *all = "";
    for (size_t i = 0; i < count && i < 20; i++)
        all = arena_format(loader->arena, "%s%s`%s`", all, i ? ", " : "", candidates[i]);
    problem_add(&loader->problems, target->place, "%s has no %s `%s`; there %s %s", parent, what, segment,
                count == 1 ? "is" : "are", count ? all : "none");
    return NULL;
}

static void set_place(struct node *node, struct config_place place)
{
    node->place = node->key_place = place;
    for (struct node *child = node->first; child; child = child->next)
        set_place(child, place);
}

/* The value as a node. Only where the option can be more than a scalar do brackets mean what they mean in YAML. */
static struct node *value_node(const struct target *target, const struct option *option)
{
    struct loader *loader = target->loader;
    bool is_structure =
        (target->value[0] == '[' || target->value[0] == '{') && option && !option_is_scalar(option);
    struct node *node = NULL;
    if (is_structure) {
        struct problems problems = {.arena = loader->arena};
        node = yaml_parse(&problems, target->value, strlen(target->value));
        if (problems.count > 0) {
            problem_add(&loader->problems, target->place, "`%s` is not what YAML calls a list or mapping: %s",
                        target->value, problems.newest->message);
            return NULL;
        }
    }
    if (!node) {
        node = node_create(loader->arena, NODE_SCALAR, target->place);
        node->text = arena_copy_text(loader->arena, target->value);
    }
    set_place(node, target->place);
    return node;
}

static void put(struct target *target, const char *key, const struct option *option)
{
    struct node *node = value_node(target, option);
    if (node)
        node_replace(target->map, node, arena_copy_text(target->loader->arena, key), target->place);
}

/* The mapping below `key`, made when it is not there; NULL when something else is, which the check will tell. */
static struct node *enter(struct target *target, const char *key, bool is_switch)
{
    struct node *child = node_find(target->map, key);
    if (!child) {
        child = node_create(target->loader->arena, NODE_MAP, target->place);
        node_add(target->map, child, key, target->place);
    }
    /* `key: true` of a switch gives way to what is said more exactly. */
    if (node_is_null(child) || (is_switch && child->kind == NODE_SCALAR))
        child->kind = NODE_MAP;
    return child->kind == NODE_MAP ? child : NULL;
}

static size_t collect_children(const struct node *map, const char **names)
{
    size_t count = 0;
    for (const struct node *child = map->first; child && count < TARGET_MAX_CANDIDATES; child = child->next)
        names[count++] = child->key;
    return count;
}

static bool skip(struct target *target, const char *key)
{
    target->rest += strlen(key);
    if (*target->rest == '\0')
        return false;
    target->rest += strlen(target->separator);
    return true;
}

/* From a collection into one of its members: they have to be in the file. */
static bool enter_member(struct target *target, const struct option *collection, const char **names)
{
    const char *name = choose(target, names, collect_children(target->map, names), "entry");
    if (!name)
        return false;
    target->map = enter(target, name, false);
    target->scope = (enum option_scope)collection->least;
    target->group = "";
    if (!skip(target, name)) {
        problem_add(&target->loader->problems, target->place,
                    "this names all of `%s`; name one value below it", collection->path);
        return false;
    }
    return target->map != NULL;
}

/* A name that ends at, or goes below, an option whose value is a mapping of the user's own names. */
static void put_named(struct target *target, const char *key, const struct option *option, const char **names)
{
    if (!skip(target, key)) {
        put(target, key, option);
        return;
    }
    struct node *child = node_find(target->map, key);
    if (option->type != OPTION_KEYS && option->type != OPTION_AGGREGATES && option->type != OPTION_SELECT &&
        option->type != OPTION_PROPERTIES) {
        problem_add(&target->loader->problems, target->place,
                    "`%s` is one value; there is nothing below it as in `%s`", option->path, target->rest);
        return;
    }
    if (!child || child->kind != NODE_MAP) {
        problem_add(&target->loader->problems, target->place, "`%s` has no named entries to override",
                    option->path);
        return;
    }
    target->map = child;
    const char *name = choose(target, names, collect_children(child, names), "entry");
    if (name && !skip(target, name))
        put(target, name, NULL);
    else if (name)
        problem_add(&target->loader->problems, target->place, "there is nothing below `%s`", name);
}

static void override(struct target *target)
{
    struct arena *arena = target->loader->arena;
    const char **names = arena_allocate(arena, TARGET_MAX_CANDIDATES * sizeof *names);
    for (;;) {
        size_t count = 0;
        for (uint32_t i = 0; i < option_count && count < TARGET_MAX_CANDIDATES; i++)
            if (option_is_member(&options[i], target->scope, target->group))
                names[count++] = option_name(&options[i]);
        const char *key = choose(target, names, count, "option");
        if (!key)
            return;
        const char *path = *target->group ? arena_format(arena, "%s.%s", target->group, key) : key;
        const struct option *option = option_find(target->scope, path);
        if (!option_has_members(option) && option->type != OPTION_COLLECTION) {
            put_named(target, key, option, names);
            return;
        }
        if (!skip(target, key)) {
            put(target, key, option);
            return;
        }
        target->map = enter(target, key, option->type == OPTION_SWITCH);
        if (!target->map)
            return;
        target->group = path;
        if (option->type == OPTION_COLLECTION && !enter_member(target, option, names))
            return;
    }
}

void config_apply_overrides(struct loader *loader, struct node *root, const struct config_override *overrides,
                            uint32_t override_count)
{
    for (char **variable = environ; variable && *variable; variable++) {
        const char *equals = strchr(*variable, '=');
        if (!equals || strncmp(*variable, "WEIR_", 5) != 0 ||
            is_reserved(*variable, (size_t)(equals - *variable)))
            continue;
        const char *name =
            arena_copy(loader->arena, (struct slice){*variable, (size_t)(equals - *variable)}).data;
        override(&(struct target){.loader = loader,
                                  .rest = name + 5,
                                  .separator = "__",
                                  .place = {.variable = name},
                                  .value = equals + 1,
                                  .group = "",
                                  .map = root});
    }
    for (uint32_t i = 0; i < override_count; i++)
        override(&(struct target){
            .loader = loader,
            .rest = overrides[i].path,
            .separator = ".",
            .place = {.variable = arena_format(loader->arena, "--set %s", overrides[i].path)},
            .value = overrides[i].value,
            .group = "",
            .map = root});
}
