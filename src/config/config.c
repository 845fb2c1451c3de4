/* Loading, from the outside: the tree is read, overridden and checked, and what is wrong is told in the order of the file.
 * Everything a configuration points to, the tree too, lives in its one arena. */
#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "config/options.h"

struct config *config_load_partly(const char *file, const char *text, const struct config_override *overrides,
                                  uint32_t override_count, struct config_errors *errors)
{
    struct config *config = memory_allocate(sizeof *config);
    arena_init(&config->arena, ARENA_DEFAULT_BLOCK_SIZE);
    config->file = arena_copy_text(&config->arena, file);
    struct loader loader = {.arena = &config->arena,
                            .problems = {.arena = &config->arena},
                            .config = config,
                            .has_folder = text == NULL};
    struct node *root = config_read_tree(&loader, file, text, overrides, override_count);
    if (root)
        config_check(&loader, root);
    config->tree = root;
    problems_report(&loader.problems, errors);
    if (root)
        return config;
    config_destroy(config);
    return NULL;
}

struct config *config_load(const char *file, const char *text, const struct config_override *overrides,
                           uint32_t override_count, struct config_errors *errors)
{
    uint32_t errors_before = errors->count;
    struct config *config = config_load_partly(file, text, overrides, override_count, errors);
    if (errors->count == errors_before)
        return config;
    config_destroy(config);
    return NULL;
}

struct config *config_load_tree(const char *file, struct node *root, struct config_errors *errors)
{
    uint32_t errors_before = errors->count;
    struct config *config = memory_allocate(sizeof *config);
    arena_init(&config->arena, ARENA_DEFAULT_BLOCK_SIZE);
    config->file = arena_copy_text(&config->arena, file);
    config->tree = root;
    struct loader loader = {.arena = &config->arena,
                            .problems = {.arena = &config->arena},
                            .config = config,
                            .has_folder = true};
    root->parent = NULL; /* what is in it is named from here */
    config_complete_tree(&loader, root, NULL, 0);
    config_check(&loader, root);
    problems_report(&loader.problems, errors);
    if (errors->count == errors_before)
        return config;
    config_destroy(config);
    return NULL;
}

void config_destroy(struct config *config)
{
    if (!config)
        return;
    arena_deinit(&config->arena);
    free(config);
}

void config_errors_init(struct config_errors *errors, const char *file)
{
    *errors = (struct config_errors){.file = file};
}

void config_errors_deinit(struct config_errors *errors)
{
    buffer_deinit(&errors->text);
}

static bool comes_before(struct config_place a, struct config_place b)
{
    int order = strcmp(a.file ? a.file : "", b.file ? b.file : "");
    if (order != 0)
        return order < 0;
    return a.line != b.line ? a.line < b.line : a.column < b.column;
}

/* Puts the line where its place belongs, behind lines of the same place: expressions are checked after everything
 * else, and their errors are to stand between the others. */
static void insert_line(struct config_errors *errors, struct config_place place, struct slice line)
{
    uint32_t index = errors->line_count;
    size_t offset = errors->text.size;
    while (index > 0 && comes_before(place, errors->places[index - 1])) {
        index--;
        offset -= errors->line_sizes[index];
        errors->places[index + 1] = errors->places[index];
        errors->line_sizes[index + 1] = errors->line_sizes[index];
    }
    buffer_reserve(&errors->text, line.size);
    memmove(errors->text.data + offset + line.size, errors->text.data + offset, errors->text.size - offset);
    memcpy(errors->text.data + offset, line.data, line.size);
    errors->text.size += line.size;
    errors->places[index] = place;
    errors->line_sizes[index] = line.size;
    errors->line_count++;
}

/* A value that is quoted in a message may hold anything; one message stays one line, and a terminal stays as it is. */
static void replace_control_characters(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

PRINTF_LIKE(4, 0)
static void add_line(struct config_errors *errors, struct config_place place, const char *word,
                     const char *format, va_list arguments)
{
    char message[ERROR_TEXT_SIZE];
    struct buffer line = {0};
    vsnprintf(message, sizeof message, format, arguments);
    replace_control_characters(message);
    if (place.line > 0)
        buffer_format(&line, "%s:%u:%u: %s: %s\n", place.file ? place.file : errors->file, place.line,
                      place.column, word, message);
    else
        buffer_format(&line, "%s: %s: %s\n", place.variable ? place.variable : errors->file, word, message);
    insert_line(errors, place, buffer_slice(&line));
    buffer_deinit(&line);
}

void config_error_add(struct config_errors *errors, struct config_place place, const char *format, ...)
{
    if (errors->count++ >= CONFIG_MAX_ERRORS)
        return;
    va_list arguments;
    va_start(arguments, format);
    add_line(errors, place, "error", format, arguments);
    va_end(arguments);
}

void config_warning_add(struct config_errors *errors, struct config_place place, const char *format, ...)
{
    if (errors->warning_count++ >= CONFIG_MAX_ERRORS)
        return;
    va_list arguments;
    va_start(arguments, format);
    add_line(errors, place, "warning", format, arguments);
    va_end(arguments);
}

struct config_place config_text_place(const struct config_text *text, size_t offset)
{
    struct config_place place = text->place;
    if (place.line == 0 || !text->text)
        return place;
    for (size_t i = 0; i < offset && text->text[i]; i++) {
        if (text->text[i] == '\n') /* a block under `|`: its lines begin in one column */
            place = (struct config_place){.line = place.line + 1,
                                          .column = text->place.column,
                                          .variable = place.variable,
                                          .file = place.file};
        else if (((unsigned char)text->text[i] & 0xc0) != 0x80)
            place.column++;
    }
    return place;
}
