/* All schemas that a config can name: the built-in ones, those under `schemas:`, and the files of the folder `schemas` beside
 * the config. A name and a version belong to one of them. Nothing is looked for unless the config speaks of schemas, so a folder of
 * that name that belongs to somebody else does no harm. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "config/schema_internal.h"

enum { VERSION_MAX_DIGITS = 9 };

/* NAME or NAME@VERSION. `version` stays as it is without one. False when it is neither. */
static bool split_title(struct arena *arena, const char *text, const char **name, uint32_t *version)
{
    size_t size = strcspn(text, "@");
    *name = arena_copy(arena, (struct slice){text, size}).data;
    if (text[size] == '\0')
        return true;
    const char *digits = text + size + 1;
    size_t digit_count = strspn(digits, "0123456789");
    if (digit_count == 0 || digit_count > VERSION_MAX_DIGITS || digits[digit_count] != '\0' || *digits == '0')
        return false;
    *version = (uint32_t)strtoul(digits, NULL, 10);
    return true;
}

static struct schema_entry *find_entry(struct schema_registry *registry, const char *name, uint32_t version)
{
    struct schema_entry *found = NULL;
    for (uint32_t i = 0; i < registry->count; i++) {
        struct schema_entry *entry = &registry->entries[i];
        if (strcmp(entry->schema.name, name) != 0 || (version && entry->schema.version != version))
            continue;
        if (!found || entry->schema.version > found->schema.version)
            found = entry;
    }
    return found;
}

static const char *place_text(struct arena *arena, const struct event_schema *schema)
{
    if (schema->is_builtin)
        return "built in";
    if (schema->place.file)
        return arena_format(arena, "in %s", schema->place.file);
    return arena_format(arena, "in line %u", schema->place.line);
}

static void add_entry(struct schema_registry *registry, const struct node *node, bool is_json,
                      bool is_builtin)
{
    struct loader *loader = registry->loader;
    struct schema_entry entry = {.node = node, .is_json = is_json};
    entry.schema = (struct event_schema){.version = 1, .is_builtin = is_builtin};
    if (!is_builtin)
        entry.schema.place = node->key_place;
    if (!split_title(loader->arena, node->key, &entry.schema.name, &entry.schema.version)) {
        problem_add(&loader->problems, node->key_place,
                    "`%s` is not NAME or NAME@VERSION, where the version is a whole number from 1 on",
                    node->key);
        return;
    }
    struct node name = {.key = entry.schema.name, .key_place = node->key_place};
    if (!name_is_valid(loader, &name))
        return;
    const struct schema_entry *other = find_entry(registry, entry.schema.name, entry.schema.version);
    if (other)
        problem_add(
            &loader->problems, node->key_place,
            "there already is a version %u of schema `%s`, %s; give this one another version, as in `%s@%u`",
            entry.schema.version, entry.schema.name, place_text(loader->arena, &other->schema),
            entry.schema.name, entry.schema.version + 1);
    else if (registry->count == CONFIG_MAX_SCHEMAS)
        problem_add(&loader->problems, node->key_place, "more than %d schemas", CONFIG_MAX_SCHEMAS);
    else
        registry->entries[registry->count++] = entry;
}

/* --- where they come from --- */

static void add_builtin(struct schema_registry *registry)
{
    struct problems problems = {.arena = registry->loader->arena};
    const struct node *map = yaml_parse(&problems, builtin_schemas, strlen(builtin_schemas));
    for (const struct node *node = map ? map->first : NULL; node; node = node->next)
        add_entry(registry, node, false, true);
}

static void set_file(struct node *node, const char *file)
{
    node->place.file = node->key_place.file = file;
    for (struct node *child = node->first; child; child = child->next)
        set_file(child, file);
}

/* The rest of the file's problems, with the file's name. */
static void take_problems(struct loader *loader, struct problems *problems, const char *file)
{
    for (const struct problem *problem = problems->newest; problem; problem = problem->next) {
        struct config_place place = problem->place;
        place.file = file;
        problem_add(&loader->problems, place, "%s", problem->message);
    }
}

/* Tabs between the tokens of JSON are only that; YAML would not have them. Inside of its strings there are none. */
static void replace_tabs(struct buffer *text)
{
    for (size_t i = 0; i < text->size; i++)
        if (text->data[i] == '\t')
            text->data[i] = ' ';
}

/* A place in the tree as if the file's content stood under `schemas: {STEM: ...}`, which is how messages speak of it. */
static struct node *hang_in(struct loader *loader, struct node *content, const char *stem, const char *file)
{
    struct config_place start = {.line = 1, .column = 1, .file = file};
    struct node *root = node_create(loader->arena, NODE_MAP, start);
    struct node *schemas = node_create(loader->arena, NODE_MAP, start);
    node_add(root, schemas, "schemas", start);
    node_add(schemas, content, stem, start);
    return content;
}

static void add_file(struct schema_registry *registry, const char *file, const char *stem, bool is_json)
{
    struct loader *loader = registry->loader;
    struct buffer text = {0};
    struct problems problems = {.arena = loader->arena};
    struct config_place place = {.line = 1, .column = 1, .file = file};
    int failure = config_read_file(file, &text);
    if (failure)
        problem_add(&loader->problems, place, "cannot be read: %s", strerror(failure));
    if (is_json)
        replace_tabs(&text);
    struct node *content = failure ? NULL : yaml_parse(&problems, text.data ? text.data : "", text.size);
    take_problems(loader, &problems, file);
    if (!failure && !problems.count && (!content || content->kind != NODE_MAP)) {
        problem_add(&loader->problems, place,
                    "a schema is a mapping: `fields:` in YAML, a JSON Schema in JSON");
    } else if (content && !problems.count) {
        set_file(content, file);
        add_entry(registry, hang_in(loader, content, stem, file), is_json, false);
    }
    buffer_deinit(&text);
}

static const char *suffix_of(const struct dirent *item)
{
    static const char *const suffixes[] = {".yaml", ".yml", ".json"};
    size_t size = strlen(item->d_name);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t suffix_size = strlen(suffixes[i]);
        if (item->d_name[0] != '.' && size > suffix_size &&
            strcmp(item->d_name + size - suffix_size, suffixes[i]) == 0)
            return suffixes[i];
    }
    return NULL;
}

static int is_schema_file(const struct dirent *item)
{
    return suffix_of(item) != NULL;
}

/* By name, so that messages and which of two equal names is refused do not depend on the file system. */
static void add_folder(struct schema_registry *registry, const char *config_file)
{
    struct loader *loader = registry->loader;
    const char *slash = strrchr(config_file, '/');
    size_t folder_size = slash ? (size_t)(slash - config_file) + 1 : 0;
    const char *folder = arena_format(loader->arena, "%.*sschemas", (int)folder_size, config_file);
    struct dirent **items = NULL;
    int count = scandir(folder, &items, is_schema_file, alphasort);
    struct config_place place = {.line = 1, .column = 1, .file = folder};
    if (count < 0 && errno != ENOENT && errno != ENOTDIR)
        problem_add(&loader->problems, place, "cannot be read: %s", strerror(errno));
    if (count > SCHEMA_MAX_FILES)
        problem_add(&loader->problems, place, "has %d schemas; the most are %d", count, SCHEMA_MAX_FILES);
    for (int i = 0; i < count; i++) {
        const char *suffix = suffix_of(items[i]);
        struct slice stem = {items[i]->d_name, strlen(items[i]->d_name) - strlen(suffix)};
        if (count <= SCHEMA_MAX_FILES)
            add_file(registry, arena_format(loader->arena, "%s/%s", folder, items[i]->d_name),
                     arena_copy(loader->arena, stem).data, strcmp(suffix, ".json") == 0);
        free(items[i]);
    }
    free(items);
}

static void add_given(struct schema_registry *registry, const struct node *map)
{
    struct loader *loader = registry->loader;
    const struct option *option = option_find(SCOPE_ROOT, "schemas");
    if (!map || !config_is_mapping(loader, option, map))
        return;
    for (const struct node *node = map->first; node; node = node->next) {
        if (node->kind != NODE_MAP)
            problem_add(&loader->problems, node->key_place,
                        "%s: nothing usable follows; indent `fields:` below it",
                        node_path(loader->arena, node));
        else
            add_entry(registry, node, false, false);
    }
}

/* --- names --- */

static const char *versions_text(struct schema_registry *registry, const char *name)
{
    struct arena *arena = registry->loader->arena;
    const char *text = "";
    for (uint32_t i = 0; i < registry->count; i++)
        if (strcmp(registry->entries[i].schema.name, name) == 0)
            text =
                arena_format(arena, "%s%s%u", text, *text ? ", " : "", registry->entries[i].schema.version);
    return text;
}

/* The entry that a text names, or NULL after a problem. */
static struct schema_entry *resolve(struct schema_registry *registry, const char *text,
                                    struct config_place place, const char *path)
{
    struct loader *loader = registry->loader;
    const char *name, *names[CONFIG_MAX_SCHEMAS];
    uint32_t version = 0;
    bool is_title = split_title(loader->arena, text, &name, &version);
    struct schema_entry *entry = is_title ? find_entry(registry, name, version) : NULL;
    if (entry)
        return entry;
    for (uint32_t i = 0; i < registry->count; i++)
        names[i] = registry->entries[i].schema.name;
    const char *near = suggest(name, names, registry->count);
    if (find_entry(registry, name, 0))
        problem_add(&loader->problems, place, "%s: schema `%s` has no version `%s`; there is %s", path, name,
                    text + strlen(name) + 1, versions_text(registry, name));
    else if (near)
        problem_add(&loader->problems, place, "%s: there is no schema `%s`; did you mean `%s`?", path, name,
                    near);
    else
        problem_add(
            &loader->problems, place,
            "%s: there is no schema `%s`; define it under `schemas:` or in schemas/%s.yaml beside the config, or "
            "take one that is built in: base_event, user_action, system_event, ml_prediction, business_event, "
            "metric_event",
            path, name, name);
    return NULL;
}

/* --- reading, each after those that it extends --- */

static void read_entry(struct schema_registry *registry, struct schema_entry *entry)
{
    if (entry->is_read)
        return;
    entry->is_being_read = true;
    entry->schema.root =
        entry->is_json ? json_schema_read(registry->loader, entry) : schema_fields_read(registry, entry);
    entry->is_being_read = false;
    entry->is_read = true;
}

const struct event_rule *schema_registry_base(struct schema_registry *registry,
                                              const struct schema_entry *entry,
                                              const struct config_text *extends)
{
    struct loader *loader = registry->loader;
    const char *path = arena_format(loader->arena, "%s.extends", node_path(loader->arena, entry->node));
    struct schema_entry *base = resolve(registry, extends->text, extends->place, path);
    if (!base)
        return NULL;
    if (base->is_being_read) {
        problem_add(&loader->problems, extends->place,
                    "%s: `%s` extends itself%s; name another schema, or another version as in `%s@1`", path,
                    event_schema_title(loader->arena, &entry->schema),
                    base == entry ? "" : " by way of others", base->schema.name);
        return NULL;
    }
    read_entry(registry, base);
    return base->schema.root;
}

static int by_title(const void *left, const void *right)
{
    const struct event_schema *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : (a->version > b->version) - (a->version < b->version);
}

static void take_schemas(struct schema_registry *registry)
{
    struct loader *loader = registry->loader;
    struct config *config = loader->config;
    config->schemas = arena_allocate(loader->arena, (registry->count + 1) * sizeof *config->schemas);
    config->schema_count = registry->count;
    for (uint32_t i = 0; i < registry->count; i++)
        config->schemas[i] = registry->entries[i].schema;
    qsort(config->schemas, config->schema_count, sizeof *config->schemas, by_title);
}

static void resolve_sources(struct schema_registry *registry)
{
    struct config *config = registry->loader->config;
    for (uint32_t i = 0; i < config->source_count; i++) {
        struct config_source *source = &config->sources[i];
        if (!source->schema_name.text)
            continue;
        const char *path = arena_format(registry->loader->arena, "sources.%s.schema", source->name);
        const struct schema_entry *entry =
            resolve(registry, source->schema_name.text, source->schema_name.place, path);
        if (entry)
            source->schema = bsearch(&entry->schema, config->schemas, config->schema_count,
                                     sizeof *config->schemas, by_title);
    }
}

static bool speaks_of_schemas(const struct config *config, const struct node *root)
{
    bool found = node_find(root, "schemas") != NULL;
    for (uint32_t i = 0; i < config->source_count; i++)
        found = found || config->sources[i].schema_name.text;
    return found;
}

void config_check_schemas(struct loader *loader, const struct node *root)
{
    if (!speaks_of_schemas(loader->config, root))
        return;
    struct schema_registry *registry = memory_allocate(sizeof *registry);
    registry->loader = loader;
    add_builtin(registry);
    add_given(registry, node_find(root, "schemas"));
    if (loader->has_folder)
        add_folder(registry, loader->config->file);
    for (uint32_t i = 0; i < registry->count; i++)
        read_entry(registry, &registry->entries[i]);
    take_schemas(registry);
    resolve_sources(registry);
    const struct config *config = loader->config;
    for (uint32_t i = 1; i < config->schema_count; i++) {
        const struct event_schema *older = &config->schemas[i - 1], *newer = &config->schemas[i];
        if (strcmp(older->name, newer->name) == 0 && older->root && newer->root)
            schema_evolution_warn(loader, older, newer);
    }
    free(registry);
}
