/* A rule is compiled to two sets of kinds: those that are good whatever the value, and those whose value has to be looked at. A kind in
 * neither breaks the rule, unless it is a missing member of an object that is not there itself. */
#include "decode/event_check.h"

#include <math.h>
#include <stdlib.h>

#include "base/json_text.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "expr/regex.h"

#define NO_PARENT UINT32_MAX

enum { PATH_SHOWN_SIZE = 120, VALUE_SHOWN_SIZE = 60, CONSTANTS_SHOWN = 8 };

struct check_rule {
    uint32_t column;
    uint32_t good_kinds, open_kinds; /* bits of enum value_kind and ROW_WRITTEN_NULL */
    uint32_t parent;                 /* rule of the object around it; NO_PARENT: the event */
    const struct event_rule *rule;
    struct slice path;
    struct regex *pattern;
    struct slice *texts; /* allowed strings, sorted */
    uint32_t text_count;
};

struct event_check {
    struct arena arena;
    const struct event_rule *root;
    struct check_rule *rules;
    uint32_t rule_count;
    struct column_marks marks;
};

/* --- making --- */

struct check_builder {
    struct event_check *check;
    struct schema *columns;
    const struct event_check_report *report;
    uint32_t report_count;
    struct path path; /* of the rule at hand */
    uint8_t *column_marks;
};

static void report(struct check_builder *builder, struct config_place place, const struct error *error)
{
    builder->report_count++;
    builder->report->add(builder->report->context, place, error->text);
}

static void add_kind(struct check_rule *made, bool is_allowed, bool is_open, uint32_t kind)
{
    if (is_allowed)
        *(is_open ? &made->open_kinds : &made->good_kinds) |= 1u << kind;
}

static void choose_kinds(struct check_rule *made, const struct event_rule *rule)
{
    const unsigned types = rule->types, numbers = EVENT_TYPE_INTEGER | EVENT_TYPE_NUMBER,
                   containers = EVENT_TYPE_OBJECT | EVENT_TYPE_ARRAY;
    bool is_listed = rule->constant_count > 0, has_bound = rule->least.is_given || rule->most.is_given;
    bool has_length = rule->least_length > 0 || rule->most_length != UINT32_MAX;
    bool null_is_value = !rule->null_is_missing;
    add_kind(made, !rule->is_required, false, VALUE_NULL);
    add_kind(made, null_is_value ? types & EVENT_TYPE_NULL : !rule->is_required, null_is_value && is_listed,
             ROW_WRITTEN_NULL);
    add_kind(made, types & EVENT_TYPE_BOOLEAN, is_listed, VALUE_BOOL);
    add_kind(made, types & numbers, is_listed || has_bound, VALUE_INT);
    add_kind(made, types & numbers, is_listed || has_bound || !(types & EVENT_TYPE_NUMBER), VALUE_DOUBLE);
    add_kind(made, types & EVENT_TYPE_STRING, is_listed || has_length || rule->pattern.text, VALUE_STRING);
    add_kind(made, types & containers,
             is_listed || rule->least_members > 0 || (types & containers) != containers, VALUE_JSON);
}

static int by_bytes(const void *left, const void *right)
{
    return slice_compare(*(const struct slice *)left, *(const struct slice *)right);
}

static void collect_texts(struct check_builder *builder, struct check_rule *made)
{
    const struct event_rule *rule = made->rule;
    made->texts = arena_allocate(&builder->check->arena, (rule->constant_count + 1) * sizeof *made->texts);
    for (uint32_t i = 0; i < rule->constant_count; i++)
        if (rule->constants[i].type == EVENT_TYPE_STRING)
            made->texts[made->text_count++] = rule->constants[i].text;
    qsort(made->texts, made->text_count, sizeof *made->texts, by_bytes);
}

static void compile_pattern(struct check_builder *builder, struct check_rule *made)
{
    const struct config_text *pattern = &made->rule->pattern;
    char message[256];
    struct error error;
    if (!pattern->text)
        return;
    made->pattern = regex_create(pattern->text, strlen(pattern->text), message, sizeof message);
    if (made->pattern)
        return;
    error_set(&error, "`%.200s` is no regular expression (RE2): %s", pattern->text, message);
    report(builder, pattern->place, &error);
}

/* The column of builder->path. False after a report. */
static bool add_column(struct check_builder *builder, struct check_rule *made)
{
    struct error error = {{0}};
    enum path_origin origin;
    enum status status = schema_origin(builder->columns, &builder->path, &origin, &error);
    if (status == STATUS_OK && origin != PATH_DOCUMENT) {
        error_set(
            &error,
            "the source is of Kafka, where `%s` is a field of the record, not of the event, and cannot be checked",
            made->rule->path);
        status = STATUS_INVALID;
    }
    if (status == STATUS_OK)
        status = schema_add(builder->columns, &builder->path, &made->column);
    if (status == STATUS_LIMIT)
        error_set(&error,
                  "a source can have at most %d different paths in use, those of its schema among them",
                  SCHEMA_MAX_COLUMNS);
    if (status != STATUS_OK) {
        report(builder, made->rule->place, &error);
        return false;
    }
    made->path = builder->columns->paths[made->column].text;
    builder->column_marks[made->column] =
        (made->rule->is_unlisted ? 0 : COLUMN_LISTED) | (made->rule->is_closed ? COLUMN_CLOSED : 0);
    return true;
}

static uint32_t count_rules(const struct event_rule *parent)
{
    uint32_t count = 0;
    for (const struct event_rule *rule = parent->members; rule; rule = rule->next)
        count += 1 + count_rules(rule);
    return count;
}

/* As deep as a schema, which is SCHEMA_MAX_DEPTH. */
static void add_members(struct check_builder *builder, const struct event_rule *rule, uint32_t parent)
{
    struct event_check *check = builder->check;
    for (const struct event_rule *member = rule->members; member; member = member->next) {
        struct error error;
        if (builder->path.step_count == SCHEMA_MAX_PATH_DEPTH) {
            error_set(&error, "`%.100s` goes deeper than %d members", member->path, SCHEMA_MAX_PATH_DEPTH);
            report(builder, member->place, &error);
            return;
        }
        builder->path.steps[builder->path.step_count++] = (struct path_step){.name = slice_of(member->name)};
        builder->path.text = (struct slice){0};
        uint32_t index = check->rule_count++;
        struct check_rule *made = &check->rules[index];
        *made = (struct check_rule){.rule = member, .parent = parent};
        if (add_column(builder, made)) {
            choose_kinds(made, member);
            collect_texts(builder, made);
            compile_pattern(builder, made);
            add_members(builder, member, index);
        }
        builder->path.step_count--;
    }
}

struct event_check *event_check_create(const struct event_schema *schema, struct schema *columns,
                                       const struct event_check_report *report_to)
{
    struct event_check *check = memory_allocate(sizeof *check);
    arena_init(&check->arena, 0);
    check->root = schema->root;
    check->rules =
        arena_allocate_zeroed(&check->arena, (count_rules(schema->root) + 1) * sizeof *check->rules);
    struct check_builder builder = {.check = check, .columns = columns, .report = report_to};
    builder.column_marks = arena_allocate_zeroed(&check->arena, SCHEMA_MAX_COLUMNS);
    add_members(&builder, schema->root, NO_PARENT);
    check->marks =
        (struct column_marks){.root_is_closed = schema->root->is_closed, .of_columns = builder.column_marks};
    if (!builder.report_count)
        return check;
    event_check_destroy(check);
    return NULL;
}

void event_check_destroy(struct event_check *check)
{
    if (!check)
        return;
    for (uint32_t i = 0; i < check->rule_count; i++)
        regex_destroy(check->rules[i].pattern);
    arena_deinit(&check->arena);
    free(check);
}

const struct column_marks *event_check_marks(const struct event_check *check)
{
    return &check->marks;
}

/* --- looking at values --- */

/* Members of the object whose text begins at `text`; the text is known to be good. Stops at `enough`. */
static uint32_t count_members(struct slice text, uint32_t enough)
{
    const char *at = text.data, *end = text.data + text.size;
    uint32_t count = 0, depth = 0;
    for (; at < end && count < enough; at++) {
        if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            depth--;
        } else if (*at == ':') {
            count += depth == 1;
        } else if (*at == '"') {
            at = json_skip_unescaped(at + 1);
            while (*at == '\\')
                at = json_skip_unescaped(at + 2);
        }
    }
    return count;
}

static bool is_in_bounds(const struct event_rule *rule, struct event_number number)
{
    const struct event_bound *least = &rule->least, *most = &rule->most;
    if (least->is_given) {
        int order = event_number_compare(number, least->number);
        if (order < 0 || (order == 0 && least->is_exclusive))
            return false;
    }
    if (most->is_given) {
        int order = event_number_compare(number, most->number);
        if (order > 0 || (order == 0 && most->is_exclusive))
            return false;
    }
    return true;
}

static bool is_listed(const struct event_rule *rule, const struct event_constant *value)
{
    return !rule->constant_count || event_constants_have(rule->constants, rule->constant_count, value);
}

static bool number_is_good(const struct event_rule *rule, struct event_number number)
{
    bool is_whole = number.is_integer || (isfinite(number.real) && number.real == floor(number.real));
    struct event_constant constant = {.type = EVENT_TYPE_NUMBER, .number = number};
    return (is_whole || rule->types & EVENT_TYPE_NUMBER) && is_in_bounds(rule, number) &&
           is_listed(rule, &constant);
}

static uint32_t count_characters(struct slice text)
{
    uint32_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

/* A character has one to four bytes, so the size alone tells most of the time. */
static bool length_is_good(const struct event_rule *rule, struct slice text)
{
    if (text.size <= rule->most_length && (text.size + 3) / 4 >= rule->least_length)
        return true;
    uint32_t count = count_characters(text);
    return count >= rule->least_length && count <= rule->most_length;
}

static bool text_is_good(const struct check_rule *made, struct slice text)
{
    const struct event_rule *rule = made->rule;
    if (rule->constant_count && !bsearch(&text, made->texts, made->text_count, sizeof *made->texts, by_bytes))
        return false;
    return length_is_good(rule, text) &&
           (!made->pattern || regex_search(made->pattern, text.data, text.size));
}

static bool container_is_good(const struct event_rule *rule, struct slice text)
{
    bool is_object = *text.data == '{';
    if (rule->constant_count || !(rule->types & (is_object ? EVENT_TYPE_OBJECT : EVENT_TYPE_ARRAY)))
        return false;
    return !is_object || !rule->least_members ||
           count_members(text, rule->least_members) >= rule->least_members;
}

static bool value_is_good(const struct check_rule *made, const struct row_writer *writer)
{
    const struct column *column = &writer->batch->columns[made->column];
    union value value = column->values[writer->row];
    switch (column->kinds[writer->row]) {
    case ROW_WRITTEN_NULL: return is_listed(made->rule, &(struct event_constant){.type = EVENT_TYPE_NULL});
    case VALUE_BOOL:
        return is_listed(made->rule,
                         &(struct event_constant){.type = EVENT_TYPE_BOOLEAN, .boolean = value.i != 0});
    case VALUE_INT:
        return number_is_good(made->rule, (struct event_number){.is_integer = true, .integer = value.i});
    case VALUE_DOUBLE: return number_is_good(made->rule, (struct event_number){.real = value.d});
    case VALUE_STRING: return text_is_good(made, row_text(writer, value.s));
    case VALUE_JSON: return container_is_good(made->rule, row_text(writer, value.s));
    default: return false;
    }
}

/* What is not there cannot lack a member. */
static bool is_excused(const struct event_check *check, const struct check_rule *made,
                       const struct row_writer *writer, uint32_t kind)
{
    if (kind != VALUE_NULL || made->parent == NO_PARENT)
        return false;
    const struct column *parent = &writer->batch->columns[check->rules[made->parent].column];
    return parent->kinds[writer->row] != VALUE_JSON ||
           *row_text(writer, parent->values[writer->row].s).data != '{';
}

/* --- saying what is wrong --- */

static int shown_size(struct slice text, size_t most)
{
    size_t shown = 0;
    while (shown < text.size) {
        size_t size = utf8_sequence_size(text.data + shown, text.size - shown);
        if (!size || shown + size > most)
            break;
        shown += size;
    }
    return (int)shown;
}

static const char *shown_text(struct arena *arena, struct slice text, const char *quote)
{
    int size = shown_size(text, VALUE_SHOWN_SIZE);
    return arena_format(arena, "%s%.*s%s%s", quote, size, text.data, quote,
                        (size_t)size < text.size ? "..." : "");
}

static const char *shown_value(const struct row_writer *writer, uint32_t column_index)
{
    struct arena *arena = &writer->batch->arena;
    const struct column *column = &writer->batch->columns[column_index];
    union value value = column->values[writer->row];
    switch (column->kinds[writer->row]) {
    case VALUE_NULL: return "nothing";
    case VALUE_BOOL: return value.i ? "true" : "false";
    case VALUE_INT:
        return event_number_text(arena, (struct event_number){.is_integer = true, .integer = value.i});
    case VALUE_DOUBLE: return event_number_text(arena, (struct event_number){.real = value.d});
    case VALUE_STRING: return shown_text(arena, row_text(writer, value.s), "\"");
    case VALUE_JSON: return shown_text(arena, row_text(writer, value.s), "");
    default: return "null";
    }
}

static const char *expected_constants(struct arena *arena, const struct event_rule *rule)
{
    const char *text = "one of ";
    for (uint32_t i = 0; i < rule->constant_count && i < CONSTANTS_SHOWN; i++)
        text = arena_format(arena, "%s%s%.60s", text, i ? ", " : "",
                            event_constant_text(arena, &rule->constants[i]));
    return rule->constant_count > CONSTANTS_SHOWN ? arena_format(arena, "%s, ...", text) : text;
}

static void add_bound(struct arena *arena, const char **text, const struct event_bound *bound, bool is_upper,
                      bool is_second)
{
    static const char *const words[2][2] = {{"at least", "above"}, {"at most", "below"}};
    if (bound->is_given)
        *text = arena_format(arena, "%s%s %s %s", *text, is_second ? " and" : "",
                             words[is_upper][bound->is_exclusive], event_number_text(arena, bound->number));
}

/* The part of the rule that speaks of values of this kind. */
static const char *expected(struct arena *arena, const struct check_rule *made, uint32_t kind)
{
    const struct event_rule *rule = made->rule;
    if (!(made->open_kinds & 1u << kind) && (kind != VALUE_NULL || !rule->constant_count))
        return event_types_text(arena, rule->types);
    if (rule->constant_count)
        return expected_constants(arena, rule);
    const char *text = event_types_text(arena, rule->types);
    if (kind == VALUE_INT || kind == VALUE_DOUBLE) {
        add_bound(arena, &text, &rule->least, false, false);
        add_bound(arena, &text, &rule->most, true, rule->least.is_given);
    } else if (kind == VALUE_STRING) {
        if (rule->least_length)
            text = arena_format(arena, "%s of %u character%s or more", text, rule->least_length,
                                rule->least_length == 1 ? "" : "s");
        if (rule->most_length != UINT32_MAX)
            text = arena_format(arena, "%s of %u character%s or fewer", text, rule->most_length,
                                rule->most_length == 1 ? "" : "s");
        if (made->pattern)
            text = arena_format(arena, "%s that matches %.60s", text, rule->pattern.text);
    } else if (kind == VALUE_JSON && rule->least_members) {
        text = arena_format(arena, "%s with %u member%s or more", text, rule->least_members,
                            rule->least_members == 1 ? "" : "s");
    }
    return text;
}

static const char *explain(const struct check_rule *made, const struct row_writer *writer, uint32_t kind)
{
    struct arena *arena = &writer->batch->arena;
    const char *want = expected(arena, made, kind);
    int path_size = shown_size(made->path, PATH_SHOWN_SIZE);
    if (kind == VALUE_NULL)
        return arena_format(arena, "%.*s is missing, expected %s", path_size, made->path.data, want);
    return arena_format(arena, "%.*s: expected %s, found %s", path_size, made->path.data, want,
                        shown_value(writer, made->column));
}

static const char *explain_stranger(const struct event_check *check, const struct row_writer *writer)
{
    struct arena *arena = &writer->batch->arena;
    struct slice owner = {0};
    for (uint32_t i = 0; i < check->rule_count; i++)
        if (check->rules[i].column == writer->stranger.column)
            owner = check->rules[i].path;
    const char *name = shown_text(arena, writer->stranger.name, "\"");
    if (!owner.size)
        return arena_format(arena, "expected no members besides those of the schema, found %s", name);
    return arena_format(arena, "%.*s: expected no members besides those of the schema, found %s",
                        shown_size(owner, PATH_SHOWN_SIZE), owner.data, name);
}

const char *event_check_row(const struct event_check *check, const struct row_writer *writer,
                            struct slice text)
{
    if (writer->stranger.name.data)
        return explain_stranger(check, writer);
    uint32_t least = check->root->least_members;
    if (least && count_members(text, least) < least)
        return arena_format(&writer->batch->arena, "expected an object with %u member%s or more", least,
                            least == 1 ? "" : "s");
    for (uint32_t i = 0; i < check->rule_count; i++) {
        const struct check_rule *made = &check->rules[i];
        uint32_t kind = writer->batch->columns[made->column].kinds[writer->row], bit = 1u << kind;
        if (__builtin_expect((made->good_kinds & bit) != 0, 1))
            continue;
        bool is_good =
            made->open_kinds & bit ? value_is_good(made, writer) : is_excused(check, made, writer, kind);
        if (!is_good)
            return explain(made, writer, kind);
    }
    return NULL;
}
