/* From a YAML file to tests that can run: everything that can be wrong is told at once, each with its place. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/arguments.h"
#include "app/pipeline_test.h"
#include "base/memory.h"
#include "config/options.h"
#include "flow/event_time.h"

/* Keys of a test; those of the first row may stand beside `tests` too, for all of them. */
static const char *const shared_keys[] = {"config", "pipeline", "source", "now"};
static const char *const test_keys[] = {
    "config",
    "pipeline",
    "source",
    "now",
    "name",
    "events",
    "advance_time",
    "steps",
    "expect",
    "partial",
    "revisions",
    "keep_open",
    "expect_dead_letters",
    "expect_counters",
};
static const char *const step_keys[] = {"events", "advance_time", "expect"};
static const char *const event_keys[] = {"at_partition", "at_source", "at_time", "at_key", "at_raw"};
enum {
    SHARED_KEY_COUNT = sizeof shared_keys / sizeof *shared_keys,
    TEST_KEY_COUNT = sizeof test_keys / sizeof *test_keys,
    STEP_KEY_COUNT = sizeof step_keys / sizeof *step_keys,
    EVENT_KEY_COUNT = sizeof event_keys / sizeof *event_keys,
};

/* One test while it is read. */
struct reading {
    struct test_file *file;
    struct config_errors *errors;
    const struct node *root, *node; /* root: of the file; NULL unless it has `tests` */
    struct pipeline_test *test;
    uint32_t step_capacity;
    uint32_t default_source; /* UINT32_MAX: each event has to say */
};

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, words[i]) == 0)
            return true;
    }
    return false;
}

/* "a, b or c" */
static const char *listed(struct arena *arena, const char *const *words, size_t count)
{
    struct buffer text = {0};
    for (size_t i = 0; i < count; i++)
        buffer_format(&text, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", words[i]);
    const char *copy = arena_copy(arena, buffer_slice(&text)).data;
    buffer_deinit(&text);
    return copy;
}

static void refuse_word(struct test_file *file, struct config_place place, const char *what, const char *word,
                        const char *const *words, size_t count)
{
    const char *near = suggest(word, words, count);
    if (near)
        problem_add(&file->problems, place, "unknown %s `%s`; did you mean `%s`?", what, word, near);
    else
        problem_add(&file->problems, place, "unknown %s `%s`; there is %s", what, word,
                    count ? listed(&file->arena, words, count) : "none");
}

static bool check_keys(struct test_file *file, const struct node *map, const char *const *keys, size_t count)
{
    bool is_good = true;
    for (const struct node *child = map->first; child; child = child->next) {
        if (is_one_of(child->key, keys, count))
            continue;
        refuse_word(file, child->key_place, "key", child->key, keys, count);
        is_good = false;
    }
    return is_good;
}

/* Of the test, or of the file for all tests. */
static const struct node *find_shared(const struct reading *reading, const char *key)
{
    const struct node *own = node_find(reading->node, key);
    return own ? own : node_find(reading->root, key);
}

static const char *text_of(const struct reading *reading, const struct node *node)
{
    if (node && node->kind == NODE_SCALAR && !node_is_null(node))
        return node->text;
    if (node)
        problem_add(&reading->file->problems, node->place, "%s: expected a text", node->key);
    return NULL;
}

static bool read_flag(const struct reading *reading, const char *key)
{
    const struct node *node = node_find(reading->node, key);
    if (!node || (node->kind == NODE_SCALAR && strcmp(node->text, "false") == 0))
        return false;
    if (node->kind == NODE_SCALAR && strcmp(node->text, "true") == 0)
        return true;
    problem_add(&reading->file->problems, node->place, "%s: expected true or false", key);
    return false;
}

/* ISO-8601, or a number whose unit is told by its size, as event times. */
static int64_t read_time(const struct reading *reading, const struct node *node)
{
    int64_t time_us = TIME_NONE;
    double number;
    const char *text = text_of(reading, node);
    if (!text)
        return TIME_NONE;
    enum status status = native_double_parse(text, strlen(text), &number)
                             ? event_time_from_double(number, TIME_UNIT_AUTO, &time_us)
                             : event_time_from_text(slice_of(text), &time_us);
    if (status == STATUS_OK)
        return time_us;
    problem_add(&reading->file->problems, node->place,
                "%s: `%.40s` is no time; write 2026-01-31T12:00:00Z or a number of the epoch", node->key,
                text);
    return TIME_NONE;
}

/* --- config and pipeline ------------------------------------------------------------------------------------------------ */

/* The path is relative to the test file. */
static struct config *load_file(const struct reading *reading, const struct node *node)
{
    struct test_file *file = reading->file;
    const char *slash = strrchr(file->path, '/');
    const char *path = node->text;
    if (slash && path[0] != '/')
        path = arena_format(&file->arena, "%.*s/%s", (int)(slash - file->path), file->path, path);
    if (strcmp(path, file->path) == 0) {
        problem_add(&file->problems, node->place, "config: this is the test file itself");
        return NULL;
    }
    struct config_errors errors;
    config_errors_init(&errors, path);
    struct config *config = config_load(path, NULL, NULL, 0, &errors);
    if (!config) {
        print_config_errors(&errors);
        problem_add(&file->problems, node->place, "config: `%.200s` has errors, see above", node->text);
    }
    config_errors_deinit(&errors);
    return config;
}

/* Tests that name the same config share it. */
static struct config *load_config_of(const struct reading *reading, const struct node *node)
{
    struct test_file *file = reading->file;
    for (uint32_t i = 0; i < file->config_count; i++) {
        if (file->configs[i] && file->configs[i]->tree == node)
            return file->configs[i];
    }
    struct config *config = NULL;
    if (node == file->bad_config)
        return NULL;
    if (node->kind == NODE_MAP)
        config = config_load_tree(file->path, (struct node *)(uintptr_t)node, reading->errors);
    else if (text_of(reading, node))
        config = load_file(reading, node);
    if (!config) {
        file->bad_config = node; /* told once, however many tests name it */
        return NULL;
    }
    config->tree = node;
    file->configs =
        memory_resize_array(file->configs, (size_t)file->config_count + 1, sizeof(struct config *));
    file->configs[file->config_count++] = config;
    return config;
}

static void select_pipeline(const struct reading *reading, const struct node *node)
{
    struct config *config = &reading->test->config;
    const char *names[CONFIG_MAX_PIPELINES];
    const char *name = text_of(reading, node);
    for (uint32_t i = 0; i < config->pipeline_count; i++)
        names[i] = config->pipelines[i].name;
    for (uint32_t i = 0; name && i < config->pipeline_count; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        config_keep_pipeline(config, i, &reading->file->arena);
        reading->test->pipeline = name;
        return;
    }
    if (name)
        refuse_word(reading->file, node->place, "pipeline", name, names, config->pipeline_count);
}

static uint32_t find_source(const struct reading *reading, const struct node *node)
{
    const struct config *config = &reading->test->config;
    const char *names[CONFIG_MAX_SOURCES];
    const char *name = text_of(reading, node);
    for (uint32_t i = 0; i < config->source_count; i++) {
        names[i] = config->sources[i].name;
        if (name && strcmp(name, names[i]) == 0)
            return i;
    }
    if (name)
        refuse_word(reading->file, node->place, "source", name, names, config->source_count);
    return UINT32_MAX;
}

/* The only one that the tested pipelines read. */
static uint32_t only_source(const struct config *config)
{
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < config->pipeline_count; i++) {
        const struct config_pipeline *pipeline = &config->pipelines[i];
        for (uint32_t s = 0; s < pipeline->source_count; s++) {
            if (found != UINT32_MAX && found != pipeline->sources[s])
                return UINT32_MAX;
            found = pipeline->sources[s];
        }
    }
    return found;
}

static bool read_config(struct reading *reading)
{
    struct test_file *file = reading->file;
    const struct node *config_node = find_shared(reading, "config");
    const struct node *pipeline_node = find_shared(reading, "pipeline");
    const struct node *source_node = find_shared(reading, "source");
    if (!config_node) {
        problem_add(&file->problems, reading->node->place,
                    "`config` is missing: the path of a config, or a mapping with `sources` and `pipelines`");
        return false;
    }
    const struct config *config = load_config_of(reading, config_node);
    if (!config)
        return false;
    reading->test->config = *config;
    reading->test->partition_counts =
        arena_allocate_zeroed(&file->arena, (config->source_count + 1) * sizeof(uint32_t));
    if (pipeline_node)
        select_pipeline(reading, pipeline_node);
    reading->default_source =
        source_node ? find_source(reading, source_node) : only_source(&reading->test->config);
    return true;
}

/* --- steps ----------------------------------------------------------------------------------------------------------------- */

static struct test_step *add_step(struct reading *reading, enum test_step_kind kind,
                                  struct config_place place)
{
    struct pipeline_test *test = reading->test;
    if (test->step_count == TEST_STEPS_MAX) {
        problem_add(&reading->file->problems, place, "a test has at most %d events and steps",
                    TEST_STEPS_MAX);
        return NULL;
    }
    if (test->step_count == reading->step_capacity) {
        reading->step_capacity = reading->step_capacity ? reading->step_capacity * 2 : 16;
        test->steps = memory_resize_array(test->steps, reading->step_capacity, sizeof *test->steps);
    }
    struct test_step *step = &test->steps[test->step_count++];
    *step = (struct test_step){.kind = kind, .place = place};
    return step;
}

static void add_advance(struct reading *reading, const struct node *node)
{
    int64_t duration_us = 0;
    struct error reason = {{0}};
    const char *text = text_of(reading, node);
    if (!text)
        return;
    if (!duration_parse(text, &duration_us, &reason)) {
        problem_add(&reading->file->problems, node->place, "advance_time: %s", reason.text);
        return;
    }
    struct test_step *step = add_step(reading, TEST_ADVANCE, node->place);
    if (step)
        step->duration_us = duration_us;
}

static uint32_t read_partition(const struct reading *reading, const struct node *node)
{
    const char *text = text_of(reading, node);
    char *end = NULL;
    unsigned long value = text && *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    if (text && (!end || *end || value >= CONFIG_MAX_PARTITIONS))
        problem_add(&reading->file->problems, node->place,
                    "at_partition: expected a whole number from 0 to %d", CONFIG_MAX_PARTITIONS - 1);
    return value < CONFIG_MAX_PARTITIONS ? (uint32_t)value : 0;
}

static void read_event_options(const struct reading *reading, const struct node *item,
                               struct rehearsal_event *event)
{
    for (const struct node *child = item->first; child; child = child->next) {
        if (strncmp(child->key, "at_", 3) != 0)
            continue;
        if (strcmp(child->key, "at_partition") == 0)
            event->partition = read_partition(reading, child);
        else if (strcmp(child->key, "at_source") == 0)
            event->source_index = find_source(reading, child);
        else if (strcmp(child->key, "at_time") == 0)
            event->time_us = read_time(reading, child);
        else if (strcmp(child->key, "at_key") == 0)
            event->key = slice_of(text_of(reading, child));
        else if (strcmp(child->key, "at_raw") == 0)
            event->text = slice_of(text_of(reading, child));
        else
            refuse_word(reading->file, child->key_place, "key", child->key, event_keys, EVENT_KEY_COUNT);
    }
}

/* An event that is only its text, or the JSON of its fields. */
static void read_event_text(const struct reading *reading, const struct node *item,
                            struct rehearsal_event *event)
{
    if (event->text.data)
        return;
    if (item->kind == NODE_SCALAR) {
        event->text = slice_of(item->text);
        return;
    }
    struct buffer json = {0};
    test_value_write(&json, item, true);
    event->text = arena_copy(&reading->file->arena, buffer_slice(&json));
    buffer_deinit(&json);
}

static void check_event_source(const struct reading *reading, const struct node *item,
                               const struct rehearsal_event *event)
{
    const struct pipeline_test *test = reading->test;
    struct problems *problems = &reading->file->problems;
    if (event->source_index == UINT32_MAX) {
        if (!node_find(item, "at_source") && !find_shared(reading, "source"))
            problem_add(
                problems, item->place,
                "of which source is this event? add `at_source: NAME`, or `source: NAME` to the test");
        return;
    }
    const struct config_source *source = &test->config.sources[event->source_index];
    if (!source->time.text && event->time_us == TIME_NONE && test->start_us == TIME_NONE)
        problem_add(problems, item->place,
                    "source `%s` has no `time`, so the event needs `at_time` (the record's own time), or the "
                    "test `now`",
                    source->name);
    if (event->partition >= test->partition_counts[event->source_index])
        test->partition_counts[event->source_index] = event->partition + 1;
}

static void add_event(struct reading *reading, const struct node *item)
{
    if (item->kind == NODE_MAP && item->child_count == 1 && strcmp(item->first->key, "advance_time") == 0) {
        add_advance(reading, item->first);
        return;
    }
    struct test_step *step = add_step(reading, TEST_EVENT, item->place);
    if (!step)
        return;
    step->event = (struct rehearsal_event){.source_index = reading->default_source, .time_us = TIME_NONE};
    if (item->kind == NODE_MAP)
        read_event_options(reading, item, &step->event);
    read_event_text(reading, item, &step->event);
    check_event_source(reading, item, &step->event);
}

static bool is_list(const struct reading *reading, const struct node *node, const char *of)
{
    if (node->kind == NODE_LIST)
        return true;
    problem_add(&reading->file->problems, node->place, "%s: expected a list of %s", node->key, of);
    return false;
}

static const struct node *read_expected(const struct reading *reading, const char *key,
                                        const struct node *from)
{
    const struct node *list = node_find(from, key);
    if (!list || !is_list(reading, list, "records"))
        return NULL;
    for (const struct node *item = list->first; item; item = item->next) {
        if (item->kind != NODE_MAP)
            problem_add(&reading->file->problems, item->place,
                        "%s: a record is a mapping, such as {values: {orders: 3}}", key);
    }
    return list;
}

/* `events`, then `advance_time`, of a test or a step. */
static void read_input(struct reading *reading, const struct node *from)
{
    const struct node *events = node_find(from, "events"), *time = node_find(from, "advance_time");
    if (events && is_list(reading, events, "events")) {
        for (const struct node *item = events->first; item; item = item->next)
            add_event(reading, item);
    }
    if (time)
        add_advance(reading, time);
}

static void read_steps(struct reading *reading)
{
    const struct node *steps = node_find(reading->node, "steps");
    if (!steps || !is_list(reading, steps, "steps"))
        return;
    if (node_find(reading->node, "events") || node_find(reading->node, "advance_time"))
        problem_add(&reading->file->problems, steps->key_place,
                    "a test has `events` and `advance_time`, or `steps` with these in them, not both");
    for (const struct node *item = steps->first; item; item = item->next) {
        if (item->kind != NODE_MAP) {
            problem_add(&reading->file->problems, item->place, "a step is a mapping with %s",
                        listed(&reading->file->arena, step_keys, STEP_KEY_COUNT));
            continue;
        }
        check_keys(reading->file, item, step_keys, STEP_KEY_COUNT);
        read_input(reading, item);
        const struct node *expected = read_expected(reading, "expect", item);
        struct test_step *step = expected ? add_step(reading, TEST_EXPECT, expected->key_place) : NULL;
        if (step)
            step->expected = expected;
    }
}

static bool expects_something(const struct pipeline_test *test)
{
    for (uint32_t i = 0; i < test->step_count; i++) {
        if (test->steps[i].kind == TEST_EXPECT)
            return true;
    }
    return test->expected || test->letters || test->counters;
}

static void read_test(struct reading *reading)
{
    struct pipeline_test *test = reading->test;
    struct problems *problems = &reading->file->problems;
    const struct node *name = node_find(reading->node, "name"), *now = find_shared(reading, "now");
    uint32_t problems_before = problems->count;
    test->start_us = now ? read_time(reading, now) : TIME_NONE;
    test->place = reading->node->place;
    test->name = text_of(reading, name);
    if (!read_config(reading))
        return;
    read_input(reading, reading->node);
    read_steps(reading);
    test->expected = read_expected(reading, "expect", reading->node);
    test->letters = read_expected(reading, "expect_dead_letters", reading->node);
    test->counters = node_find(reading->node, "expect_counters");
    if (test->counters && test->counters->kind != NODE_MAP)
        problem_add(problems, test->counters->place, "expect_counters: expected a mapping of sources");
    test->is_partial = read_flag(reading, "partial");
    test->has_revisions = read_flag(reading, "revisions");
    test->keeps_open = read_flag(reading, "keep_open");
    if (problems->count == problems_before && !expects_something(test))
        problem_add(
            problems, test->place,
            "a test that expects nothing cannot fail; add `expect` (`expect: []`: nothing comes out)");
}

/* --- the file ---------------------------------------------------------------------------------------------------------------- */

static void read_one(struct test_file *file, const struct node *root, const struct node *node, uint32_t index,
                     struct config_errors *errors)
{
    struct reading reading = {.file = file, .errors = errors, .root = root, .node = node};
    reading.test = &file->tests[index];
    if (node->kind != NODE_MAP) {
        problem_add(&file->problems, node->place, "a test is a mapping with `events` and `expect`");
        return;
    }
    check_keys(file, node, test_keys, TEST_KEY_COUNT);
    read_test(&reading);
    if (!reading.test->name) {
        const char *slash = strrchr(file->path, '/'), *base = slash ? slash + 1 : file->path;
        reading.test->name = root ? arena_format(&file->arena, "test %u", index + 1) : base;
    }
}

static void read_root(struct test_file *file, const struct node *root, struct config_errors *errors)
{
    const char *keys[SHARED_KEY_COUNT + 1] = {"tests"};
    memcpy(keys + 1, shared_keys, sizeof shared_keys);
    const struct node *tests = node_find(root, "tests");
    if (root->kind != NODE_MAP) {
        problem_add(
            &file->problems, root->place,
            "a test file is a mapping: one test (`config`, `events`, `expect`), or `tests` with a list");
        return;
    }
    if (tests)
        check_keys(file, root, keys, SHARED_KEY_COUNT + 1);
    if (tests && (tests->kind != NODE_LIST || !tests->child_count)) {
        problem_add(&file->problems, tests->place, "tests: expected a list of tests");
        return;
    }
    file->test_count = tests ? tests->child_count : 1;
    file->tests = memory_allocate_array(file->test_count, sizeof *file->tests);
    if (!tests) {
        read_one(file, NULL, root, 0, errors);
        return;
    }
    uint32_t index = 0;
    for (const struct node *node = tests->first; node; node = node->next)
        read_one(file, root, node, index++, errors);
}

/* All of the file; one that is too large is told by the parser, which gets a little more than it takes. */
static bool read_text(struct test_file *file, struct buffer *text)
{
    FILE *stream = fopen(file->path, "re");
    size_t got = 1;
    while (stream && got > 0 && text->size <= CONFIG_MAX_FILE_SIZE) {
        got = fread(buffer_reserve(text, CONFIG_MAX_FILE_SIZE / 16), 1, CONFIG_MAX_FILE_SIZE / 16, stream);
        text->size += got;
    }
    bool is_good = stream && !ferror(stream);
    if (!is_good)
        problem_add(&file->problems, (struct config_place){0},
                    "cannot be read: %s; give the path of a test file", strerror(errno));
    if (stream)
        fclose(stream);
    return is_good;
}

bool test_file_read(struct test_file *file, const char *path, struct config_errors *errors)
{
    *file = (struct test_file){.path = path};
    arena_init(&file->arena, ARENA_DEFAULT_BLOCK_SIZE);
    file->problems.arena = &file->arena;
    uint32_t errors_before = errors->count;
    struct buffer text = {0};
    if (read_text(file, &text)) {
        const struct node *root = yaml_parse(&file->problems, text.data ? text.data : "", text.size);
        if (root)
            read_root(file, root, errors);
        else if (!file->problems.count)
            problem_add(&file->problems, (struct config_place){.line = 1, .column = 1},
                        "the file is empty; a test has `config`, `events` and `expect`");
    }
    buffer_deinit(&text);
    problems_report(&file->problems, errors);
    return errors->count == errors_before;
}

void test_file_close(struct test_file *file)
{
    for (uint32_t i = 0; i < file->test_count; i++)
        free(file->tests[i].steps);
    for (uint32_t i = 0; i < file->config_count; i++)
        config_destroy(file->configs[i]);
    free(file->configs);
    free(file->tests);
    arena_deinit(&file->arena);
}
