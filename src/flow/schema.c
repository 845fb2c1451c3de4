/* Paths and the list of those that become columns. A schema has at most SCHEMA_MAX_COLUMNS of them and is built once, so it
 * is searched from front to back. */
#include "flow/schema.h"

#include "base/buffer.h"

void schema_init(struct schema *schema)
{
    *schema = (struct schema){0};
    arena_init(&schema->arena, 0);
}

void schema_deinit(struct schema *schema)
{
    arena_deinit(&schema->arena);
    *schema = (struct schema){0};
}

/* Names that need no quotes: letters, digits, _ - $ @ and all that is not ASCII. */
static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '$' || c == '@' || (unsigned char)c >= 0x80;
}

struct path_reader {
    struct arena *arena;
    struct slice text;
    size_t at;
    struct error *error;
};

static char peek(const struct path_reader *reader)
{
    return reader->at < reader->text.size ? reader->text.data[reader->at] : '\0';
}

static enum status refuse(const struct path_reader *reader, const char *reason)
{
    error_set(reader->error, "path \"%.*s\": %s at character %zu", SLICE_ARG(reader->text), reason,
              reader->at + 1);
    return STATUS_INVALID;
}

static enum status read_plain_name(struct path_reader *reader, struct path_step *step)
{
    size_t begin = reader->at;
    while (reader->at < reader->text.size && is_name_char(reader->text.data[reader->at]))
        reader->at++;
    if (reader->at == begin)
        return refuse(reader, "expected a name");
    *step = (struct path_step){
        .name = arena_copy(reader->arena, (struct slice){reader->text.data + begin, reader->at - begin})};
    return STATUS_OK;
}

/* After the opening quote, which may be " or '. A backslash takes the next character as it is. */
static enum status read_quoted_name(struct path_reader *reader, struct path_step *step)
{
    char quote = reader->text.data[reader->at++];
    char *name = arena_allocate(reader->arena, reader->text.size);
    size_t size = 0;
    while (peek(reader) != quote) {
        if (peek(reader) == '\\')
            reader->at++;
        if (reader->at >= reader->text.size)
            return refuse(reader, "a quoted name is not closed");
        name[size++] = reader->text.data[reader->at++];
    }
    reader->at++;
    if (size == 0)
        return refuse(reader, "a name is empty");
    *step = (struct path_step){.name = {name, size}};
    return STATUS_OK;
}

static enum status read_index(struct path_reader *reader, struct path_step *step)
{
    uint32_t index = 0;
    size_t begin = reader->at;
    for (; peek(reader) >= '0' && peek(reader) <= '9'; reader->at++) {
        if (index > (UINT32_MAX - 9) / 10)
            return refuse(reader, "an index is too large");
        index = index * 10 + (uint32_t)(peek(reader) - '0');
    }
    if (reader->at == begin)
        return refuse(reader, "expected an index or a quoted name");
    *step = (struct path_step){.index = index};
    return STATUS_OK;
}

static enum status read_bracket(struct path_reader *reader, struct path_step *step)
{
    reader->at++;
    bool is_quoted = peek(reader) == '"' || peek(reader) == '\'';
    enum status status = is_quoted ? read_quoted_name(reader, step) : read_index(reader, step);
    if (status)
        return status;
    if (peek(reader) != ']')
        return refuse(reader, "expected ]");
    reader->at++;
    return STATUS_OK;
}

static bool is_plain(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (!is_name_char(name.data[i]))
            return false;
    }
    return true;
}

/* The one spelling of a path, so that equal paths have equal texts. */
static struct slice canonical_text(struct arena *arena, const struct path *path)
{
    struct buffer text = {0};
    for (uint32_t i = 0; i < path->step_count; i++) {
        const struct path_step *step = &path->steps[i];
        if (!step->name.data) {
            buffer_format(&text, "[%u]", step->index);
        } else if (is_plain(step->name)) {
            if (i > 0)
                buffer_append_char(&text, '.');
            buffer_append_slice(&text, step->name);
        } else {
            buffer_append_text(&text, "[\"");
            for (size_t at = 0; at < step->name.size; at++) {
                char c = step->name.data[at];
                if (c == '"' || c == '\\')
                    buffer_append_char(&text, '\\');
                buffer_append_char(&text, c);
            }
            buffer_append_text(&text, "\"]");
        }
    }
    struct slice copy = arena_copy(arena, buffer_slice(&text));
    buffer_deinit(&text);
    return copy;
}

enum status path_parse(struct arena *arena, struct slice text, struct path *path, struct error *error)
{
    struct path_reader reader = {.arena = arena, .text = text, .error = error};
    *path = (struct path){0};
    if (text.size == 0)
        return refuse(&reader, "a path needs at least one name");
    while (reader.at < text.size || path->step_count == 0) {
        if (path->step_count == SCHEMA_MAX_PATH_DEPTH)
            return refuse(&reader, "more than 16 steps");
        struct path_step *step = &path->steps[path->step_count];
        enum status status;
        if (peek(&reader) == '[') {
            status = read_bracket(&reader, step);
        } else {
            if (path->step_count > 0) {
                if (peek(&reader) != '.')
                    return refuse(&reader, "expected . or [");
                reader.at++;
            }
            status = read_plain_name(&reader, step);
        }
        if (status)
            return status;
        path->step_count++;
    }
    if (!path->steps[0].name.data)
        return refuse(&reader, "an event is an object: begin with a name, not an index");
    path->text = canonical_text(arena, path);
    return STATUS_OK;
}

static bool paths_equal(const struct path *a, const struct path *b)
{
    if (a->step_count != b->step_count)
        return false;
    for (uint32_t i = 0; i < a->step_count; i++) {
        const struct path_step *left = &a->steps[i], *right = &b->steps[i];
        if (!left->name.data != !right->name.data)
            return false;
        if (left->name.data ? !slice_equal(left->name, right->name) : left->index != right->index)
            return false;
    }
    return true;
}

enum status schema_origin(const struct schema *schema, const struct path *path, enum path_origin *origin,
                          struct error *error)
{
    static const struct {
        const char *name;
        enum path_origin origin;
    } fields[] = {
        {"_key", PATH_KEY},       {"_topic", PATH_TOPIC},         {"_partition", PATH_PARTITION},
        {"_offset", PATH_OFFSET}, {"_timestamp", PATH_TIMESTAMP},
    };
    *origin = PATH_DOCUMENT;
    if (!schema->has_record_fields)
        return STATUS_OK;
    struct slice name = path->steps[0].name;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!slice_equal_text(name, fields[i].name))
            continue;
        if (path->step_count > 1) {
            error_set(error, "%s is a field of the record with one value, it has no members", fields[i].name);
            return STATUS_INVALID;
        }
        *origin = fields[i].origin;
        return STATUS_OK;
    }
    if (!slice_equal_text(name, "_headers"))
        return STATUS_OK;
    if (path->step_count != 2 || !path->steps[1].name.data) {
        error_set(error, "_headers needs the name of one header and nothing behind it: _headers.trace or "
                         "_headers[\"content-type\"]");
        return STATUS_INVALID;
    }
    *origin = PATH_HEADER;
    return STATUS_OK;
}

enum status schema_add(struct schema *schema, const struct path *path, uint32_t *column_index)
{
    for (uint32_t i = 0; i < schema->column_count; i++) {
        if (paths_equal(&schema->paths[i], path)) {
            *column_index = i;
            return STATUS_OK;
        }
    }
    enum path_origin origin;
    if (schema_origin(schema, path, &origin, NULL) != STATUS_OK)
        return STATUS_INVALID;
    if (schema->column_count == SCHEMA_MAX_COLUMNS)
        return STATUS_LIMIT;
    uint32_t count = schema->column_count;
    if ((count & (count - 1)) == 0) {
        struct path *paths = arena_allocate(&schema->arena, (count ? 2 * count : 1) * sizeof *paths);
        if (count)
            memcpy(paths, schema->paths, count * sizeof *paths);
        schema->paths = paths;
    }
    struct path *copy = &schema->paths[schema->column_count];
    *copy = *path;
    copy->origin = origin;
    for (uint32_t i = 0; i < path->step_count; i++) {
        if (path->steps[i].name.data)
            copy->steps[i].name = arena_copy(&schema->arena, path->steps[i].name);
    }
    copy->text =
        path->text.data ? arena_copy(&schema->arena, path->text) : canonical_text(&schema->arena, copy);
    *column_index = schema->column_count++;
    return STATUS_OK;
}

enum status schema_add_text(struct schema *schema, struct slice text, uint32_t *column_index,
                            struct error *error)
{
    struct path path;
    enum status status = path_parse(&schema->arena, text, &path, error);
    enum path_origin origin;
    if (status == STATUS_OK)
        status = schema_origin(schema, &path, &origin, error);
    if (status)
        return status;
    status = schema_add(schema, &path, column_index);
    if (status == STATUS_LIMIT) {
        error_set(error, "path \"%.*s\": a source can have at most %d different paths in use",
                  SLICE_ARG(text), SCHEMA_MAX_COLUMNS);
    }
    return status;
}

bool schema_reads_metadata(const struct schema *schema)
{
    for (uint32_t i = 0; i < schema->column_count; i++) {
        if (schema->paths[i].origin == PATH_KEY || schema->paths[i].origin == PATH_HEADER)
            return true;
    }
    return false;
}
