/* The walk over the tree: every key is looked up in the option table, every value goes to its row's parser, and what a
 * mapping must have is asked for at its end. Sources and sinks are read before pipelines, which refer to them by name. */
#include "config/options.h"

/* A row of any scope with that name: the key stands in the wrong mapping. */
static const struct option *find_elsewhere(enum option_scope scope, const char *key)
{
    const struct option *found = NULL;
    for (uint32_t i = 0; i < option_count; i++)
        if (options[i].type != OPTION_LATER && strcmp(option_name(&options[i]), key) == 0 &&
            (!found || options[i].scope == scope))
            found = &options[i];
    return found;
}

static void refuse_key(struct loader *loader, enum option_scope scope, const char *group,
                       const struct node *node)
{
    static const char *const scope_names[] = {
        "", "sources.NAME.", "pipelines.NAME.", "sinks.NAME.", "schemas.NAME.", "schemas.NAME.fields.PATH."};
    const char *path = node_path(loader->arena, node);
    const char *names[64];
    uint32_t count = 0;
    for (uint32_t i = 0; i < option_count && count < 64; i++)
        if (options[i].type != OPTION_LATER && option_is_member(&options[i], scope, group))
            names[count++] = option_name(&options[i]);
    size_t word_size = strcspn(node->key, " {[");
    const char *word = arena_copy(loader->arena, (struct slice){node->key, word_size}).data;
    if (node->key[word_size] != '\0' &&
        option_find(scope, *group ? arena_format(loader->arena, "%s.%s", group, word) : word)) {
        problem_add(&loader->problems, node->key_place, "a colon is missing behind `%s`, as in `key: value`",
                    word);
        return;
    }
    const char *near = suggest(node->key, names, count);
    const struct option *elsewhere = find_elsewhere(scope, node->key);
    if (elsewhere && (elsewhere->scope == scope || !near))
        problem_add(&loader->problems, node->key_place, "unknown key `%s`; `%s` belongs in `%s%s`", path,
                    node->key, scope_names[elsewhere->scope], elsewhere->path);
    else if (near)
        problem_add(&loader->problems, node->key_place, "unknown key `%s`; did you mean `%s`?", path, near);
    else {
        const char *all = "";
        for (uint32_t i = 0; i < count; i++)
            all = arena_format(loader->arena, "%s%s%s", all, i ? ", " : "", names[i]);
        problem_add(&loader->problems, node->key_place, "unknown key `%s`; known here: %s", path, all);
    }
}

static bool is_member_name(enum option_scope scope, const char *group, const char *key)
{
    for (uint32_t i = 0; i < option_count; i++)
        if (option_is_member(&options[i], scope, group) && strcmp(option_name(&options[i]), key) == 0)
            return true;
    return false;
}

/* A key of a later version has been told; what it stands in the place of is then not missed as well. */
static bool has_later_key(enum option_scope scope, const char *group, const struct node *map)
{
    for (uint32_t i = 0; i < option_count; i++)
        if (options[i].type == OPTION_LATER && option_is_member(&options[i], scope, group) &&
            node_find(map, option_name(&options[i])))
            return true;
    return false;
}

bool config_is_misspelled(enum option_scope scope, const char *group, const struct node *map,
                          const char *name)
{
    for (const struct node *child = map->first; child; child = child->next) {
        size_t size = strcspn(child->key, " {[");
        bool is_word = child->key[size] != '\0' && slice_equal_text((struct slice){child->key, size}, name);
        if (is_word || (!is_member_name(scope, group, child->key) && suggest(child->key, &name, 1)))
            return true;
    }
    return false;
}

static void check_missing(struct loader *loader, enum option_scope scope, const char *group,
                          const struct node *map)
{
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        bool is_required = option_is_always_required(option) ||
                           (option->flags & OPTION_REQUIRED && node_find(map, "window"));
        if (!option_is_member(option, scope, group) || !is_required || node_find(map, option_name(option)) ||
            has_later_key(scope, group, map) || config_is_misspelled(scope, group, map, option_name(option)))
            continue;
        problem_add(&loader->problems, map->key ? map->key_place : map->place, "%s: `%s` is missing (%s)",
                    node_path(loader->arena, map), option_name(option), option->help);
    }
}

static bool is_usable_map(struct loader *loader, const struct option *option, const struct node *node)
{
    if (node->kind == NODE_MAP || (option->type == OPTION_KIND && node_is_null(node)))
        return true;
    if (node->kind == NODE_SCALAR && node_is_null(node))
        problem_add(&loader->problems, node->key_place,
                    "%s: nothing follows; indent its keys below it, or remove it",
                    node_path(loader->arena, node));
    else
        value_problem(loader, node, "expected a mapping of keys (%s)", option->help);
    return false;
}

/* `key: true` of a switch; its mapping means true as well, and is left to the caller. */
static bool is_switch_alone(struct loader *loader, const struct option *option, const struct node *node,
                            void *owner)
{
    if (option->type != OPTION_SWITCH)
        return false;
    *(bool *)((char *)owner + option->offset) = node->kind == NODE_MAP;
    if (node->kind == NODE_MAP)
        return false;
    option_parse(loader, option, node, owner);
    return true;
}

static void check_map(struct loader *loader, enum option_scope scope, const char *group,
                      const struct node *map, void *owner)
{
    for (const struct node *child = map->first; child; child = child->next) {
        const char *path = *group ? arena_format(loader->arena, "%s.%s", group, child->key) : child->key;
        const struct option *option = option_find(scope, path);
        if (!option)
            refuse_key(loader, scope, group, child);
        else if (option->type == OPTION_LATER)
            problem_add(&loader->problems, child->key_place,
                        "`%s` (%s) is not available in this version yet; remove it",
                        node_path(loader->arena, child), option->help);
        else if (option->type == OPTION_COLLECTION)
            continue;
        else if (!option_has_members(option))
            option_parse(loader, option, child, owner);
        else if (is_switch_alone(loader, option, child, owner))
            continue;
        else if (is_usable_map(loader, option, child))
            check_map(loader, scope, path, child, owner);
    }
    check_missing(loader, scope, group, map);
}

/* Defaults go through the same parsers, so a row whose default is wrong cannot pass the tests. */
static void set_defaults(struct loader *loader, enum option_scope scope, void *owner)
{
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        if (option->scope != scope || !option->fallback)
            continue;
        struct node *node = node_create(loader->arena, NODE_SCALAR, (struct config_place){0});
        node->text = option->fallback;
        node->is_plain = true;
        if (option->fallback[0] == '[')
            node = yaml_parse(&loader->problems, option->fallback, strlen(option->fallback));
        /* Errors of a default are told by its row. */
        struct node *parent = node_create(loader->arena, NODE_MAP, (struct config_place){0});
        node_add(parent, node, option->path, (struct config_place){0});
        option_parse(loader, option, node, owner);
    }
}

/* Exactly one of the kinds, which is stored. */
static void check_kind(struct loader *loader, enum option_scope scope, const struct node *map, void *owner)
{
    const struct node *chosen = NULL;
    const char *all = "";
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        if (option->scope != scope || option->type != OPTION_KIND)
            continue;
        const struct node *child = node_find(map, option->path);
        all = arena_format(loader->arena, "%s%s%s", all, *all ? ", " : "", option->path);
        if (child && chosen)
            problem_add(&loader->problems, child->key_place,
                        "%s has two kinds, `%s` and `%s`; keep one, or make two of it",
                        node_path(loader->arena, map), chosen->key, child->key);
        if (!child || chosen)
            continue;
        chosen = child;
        *(uint32_t *)((char *)owner + option->offset) = (uint32_t)option->least;
    }
    if (!chosen && !has_later_key(scope, "", map))
        problem_add(&loader->problems, map->key_place, "%s has no kind; give it one of %s",
                    node_path(loader->arena, map), all);
}

/* Results of a window and single events have keys of their own. Where `window` was misspelled, that has been told. */
static void check_window_keys(struct loader *loader, const struct node *map, bool has_window)
{
    for (const struct node *child = map->first; child; child = child->next) {
        const struct option *option = option_find(SCOPE_PIPELINE, child->key);
        if (option && has_window && option->flags & OPTION_WITHOUT_WINDOW)
            problem_add(
                &loader->problems, child->key_place,
                "`%s` is for pipelines without a `window`, whose events go out one by one; what results of "
                "windows hold are `aggregates`",
                node_path(loader->arena, child));
        if (option && !has_window && option->flags & OPTION_WITH_WINDOW)
            problem_add(
                &loader->problems, child->key_place,
                "`%s` needs a window; `window` is missing, such as `window: {tumbling: 10s}` (a pipeline "
                "without one passes events on, with `select` for their fields)",
                node_path(loader->arena, child));
    }
}

/* Sources keep their events, and subscriptions of type events show them; a pipeline without a window adds sinks. */
static void check_event_destinations(struct loader *loader, const struct node *map)
{
    const struct node *to = node_find(map, "to");
    if (!to) {
        problem_add(
            &loader->problems, map->key_place,
            "%s has no `window`, so its events go to sinks, and `to` is missing: name one, as in `to: [NAME]` "
            "(to count or sum, give it a `window` and `aggregates`)",
            node_path(loader->arena, map));
        return;
    }
    for (const struct node *name = to->kind == NODE_LIST ? to->first : to; name;
         name = to->kind == NODE_LIST ? name->next : NULL) {
        if (name->kind != NODE_SCALAR)
            continue;
        if (strcmp(name->text, "store") == 0)
            value_problem(loader, name,
                          "the store keeps results of windows; events without a window are kept by "
                          "their source; name a sink");
        if (strcmp(name->text, "live") == 0)
            value_problem(loader, name,
                          "events without a window go to sinks only; subscribe to the events of the "
                          "source to see them live; name a sink");
    }
}

static void check_pipeline(struct loader *loader, const struct node *map, struct config_pipeline *pipeline)
{
    pipeline->has_window = node_find(map, "window") != NULL;
    if (!pipeline->has_window && config_is_misspelled(SCOPE_PIPELINE, "", map, "window"))
        return;
    check_window_keys(loader, map, pipeline->has_window);
    if (pipeline->has_window) {
        config_check_window(loader, map, pipeline);
        return;
    }
    if (!node_find(map, "aggregates"))
        check_event_destinations(loader, map);
    pipeline->to_store = pipeline->to_live = false;
}

/* The children of a collection, each into its struct of the array; those with unusable values are kept, so that
 * references to them are not errors too. Returns how many. */
static uint32_t check_collection(struct loader *loader, const struct option *option, const struct node *root,
                                 uint32_t most, size_t size, void *(*set_name)(void *, const struct node *),
                                 void **out)
{
    const struct node *map = node_find(root, option->path);
    enum option_scope scope = (enum option_scope)option->least;
    if (!map || !is_usable_map(loader, option, map))
        return 0;
    if (map->child_count > most) {
        value_problem(loader, map, "%u are too many; the most are %u", map->child_count, most);
        return 0;
    }
    if (map->child_count == 0 && option->flags & OPTION_REQUIRED)
        value_problem(loader, map, "is empty; %s", option->help);
    char *structs = arena_allocate_zeroed(loader->arena, (map->child_count + 1) * size);
    uint32_t count = 0;
    for (const struct node *child = map->first; child; child = child->next) {
        void *owner = structs + count++ * size;
        set_name(owner, child);
        set_defaults(loader, scope, owner);
        if (!name_is_valid(loader, child))
            continue;
        if (child->kind != NODE_MAP) {
            problem_add(&loader->problems, child->key_place,
                        "%s: nothing usable follows; indent its keys below it",
                        node_path(loader->arena, child));
            continue;
        }
        if (scope != SCOPE_PIPELINE)
            check_kind(loader, scope, child, owner);
        check_map(loader, scope, "", child, owner);
        if (scope == SCOPE_PIPELINE)
            check_pipeline(loader, child, owner);
    }
    *out = structs;
    return count;
}

static void *set_source_name(void *owner, const struct node *node)
{
    struct config_source *source = owner;
    source->name = node->key;
    source->place = node->key_place;
    return owner;
}

static void *set_pipeline_name(void *owner, const struct node *node)
{
    struct config_pipeline *pipeline = owner;
    pipeline->name = node->key;
    pipeline->place = node->key_place;
    return owner;
}

static void *set_sink_name(void *owner, const struct node *node)
{
    struct config_sink *sink = owner;
    sink->name = node->key;
    sink->place = node->key_place;
    return owner;
}

/* Destinations that are not sinks keep their names to themselves. */
static void check_sink_names(struct loader *loader)
{
    const struct config *config = loader->config;
    for (uint32_t i = 0; i < config->sink_count; i++) {
        const struct config_sink *sink = &config->sinks[i];
        if (strcmp(sink->name, "store") == 0 || strcmp(sink->name, "live") == 0)
            problem_add(&loader->problems, sink->place,
                        "a sink cannot be named `%s`; that name has a meaning in `to`", sink->name);
    }
}

static bool contains(const uint32_t *indices, uint32_t count, uint32_t index)
{
    for (uint32_t i = 0; i < count; i++)
        if (indices[i] == index)
            return true;
    return false;
}

static void warn_of_unused(struct loader *loader)
{
    const struct config *config = loader->config;
    for (uint32_t i = 0; i < config->sink_count; i++) {
        bool is_used = false;
        for (uint32_t j = 0; j < config->pipeline_count; j++)
            is_used = is_used || contains(config->pipelines[j].sinks, config->pipelines[j].sink_count, i);
        if (!is_used)
            problem_add_warning(&loader->problems, config->sinks[i].place, "no pipeline writes to sink `%s`",
                                config->sinks[i].name);
    }
    for (uint32_t i = 0; i < config->source_count; i++) {
        bool is_used = false;
        for (uint32_t j = 0; j < config->pipeline_count; j++)
            is_used = is_used || contains(config->pipelines[j].sources, config->pipelines[j].source_count, i);
        if (!is_used)
            problem_add_warning(&loader->problems, config->sources[i].place, "no pipeline reads source `%s`",
                                config->sources[i].name);
    }
}

/* What is allowed, and hardly meant. */
static void warn_of_meaning(struct loader *loader)
{
    const struct config *config = loader->config;
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        if (source->kind == SOURCE_FILE && !source->time.text)
            problem_add_warning(
                &loader->problems, source->place,
                "source `%s` has no `time`, and lines of a file have no time of their own: every event "
                "will be bad; give the path of the event time",
                source->name);
        if (source->partition_by.text && source->partitions == 1)
            problem_add_warning(&loader->problems, source->partition_by.place,
                                "`partition_by` does nothing with one partition; give `partitions` too");
        if (source->kind == SOURCE_FILE && source->partitions > 1 && !source->partition_by.text)
            problem_add_warning(
                &loader->problems, source->place,
                "source `%s` has %u partitions and no `partition_by`: all lines go to the first",
                source->name, source->partitions);
    }
    for (uint32_t i = 0; i < config->pipeline_count; i++)
        config_warn_window(loader, &config->pipelines[i]);
}

bool config_is_mapping(struct loader *loader, const struct option *option, const struct node *node)
{
    return is_usable_map(loader, option, node);
}

void config_check_entry(struct loader *loader, enum option_scope scope, const struct node *map, void *owner)
{
    set_defaults(loader, scope, owner);
    check_map(loader, scope, "", map, owner);
}

void config_check(struct loader *loader, const struct node *root)
{
    struct config *config = loader->config;
    set_defaults(loader, SCOPE_ROOT, config);
    if (root->kind != NODE_MAP) {
        problem_add(&loader->problems, root->place,
                    "a config is a mapping of keys such as `sources:`, not %s",
                    root->kind == NODE_LIST ? "a list" : "one text");
        return;
    }
    check_map(loader, SCOPE_ROOT, "", root, config);
    void *structs = NULL;
    config->source_count =
        check_collection(loader, option_find(SCOPE_ROOT, "sources"), root, CONFIG_MAX_SOURCES,
                         sizeof *config->sources, set_source_name, &structs);
    config->sources = structs;
    structs = NULL;
    config->sink_count = check_collection(loader, option_find(SCOPE_ROOT, "sinks"), root, CONFIG_MAX_SINKS,
                                          sizeof *config->sinks, set_sink_name, &structs);
    config->sinks = structs;
    structs = NULL;
    config->pipeline_count =
        check_collection(loader, option_find(SCOPE_ROOT, "pipelines"), root, CONFIG_MAX_PIPELINES,
                         sizeof *config->pipelines, set_pipeline_name, &structs);
    config->pipelines = structs;
    config_check_schemas(loader, root);
    check_sink_names(loader);
    config_check_chains(loader);
    config_check_kafka(loader, root);
    if (loader->problems.count > 0)
        return;
    warn_of_unused(loader);
    warn_of_meaning(loader);
    config_warn_kafka(loader);
}
