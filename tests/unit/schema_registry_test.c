/* Where schemas come from, what people get wrong in them, and what a new version breaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/event_schema.h"
#include "pipeline/plan.h"
#include "temporary_folder.h"

#define SOURCE    "sources: {s: {http: {}}}\n"
#define FIELDS    SOURCE "schemas:\n  s:\n    fields:\n      "
#define JSON(...) "{" __VA_ARGS__ "}\n"

struct mistake {
    const char *text;
    unsigned line, column;
    const char *part; /* of the message */
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* The file's configuration and its plan; NULL when anything is wrong with either. */
static struct config *load(const char *file, const char *text, struct config_errors *errors)
{
    config_errors_init(errors, file);
    struct config *config = config_load_partly(file, text, NULL, 0, errors);
    if (config)
        plan_destroy(plan_create(config, NULL, errors));
    buffer_append_char(&errors->text, '\0');
    if (!errors->count)
        return config;
    config_destroy(config);
    return NULL;
}

static bool is_told(const struct config_errors *errors, const char *place, const char *part)
{
    const char *told = strstr(errors->text.data, place);
    return errors->count == 1 && told && strstr(told, part);
}

static const struct mistake mistakes[] = {
    {"sources: {s: {http: {}, schema: }}\n", 1, 32, "expected the name of a schema"},
    {"sources: {s: {http: {}, schema: user_acton}}\n", 1, 33,
     "no schema `user_acton`; did you mean `user_action`?"},
    {"sources: {s: {http: {}, schema: nothing}}\n", 1, 33, "or in schemas/nothing.yaml beside the config"},
    {"sources: {s: {http: {}, schema: base_event@2}}\n", 1, 33, "has no version `2`; there is 1"},
    {"sources: {s: {http: {}, schema: base_event@x}}\n", 1, 33, "has no version `x`"},
    {SOURCE "schemas: [a]\n", 2, 10, "expected a mapping"},
    {SOURCE "schemas: {a: }\n", 2, 11, "nothing usable follows"},
    {SOURCE "schemas: {a: {}}\n", 2, 11, "`fields` is missing"},
    {SOURCE "schemas: {a: {feilds: {}}}\n", 2, 15, "did you mean `fields`?"},
    {SOURCE "schemas: {a: {fields: [x]}}\n", 2, 23, "expected a mapping"},
    {SOURCE "schemas: {a b: {fields: {}}}\n", 2, 11, "names are 1 to 64 letters"},
    {SOURCE "schemas: {a@0: {fields: {}}}\n", 2, 11, "`a@0` is not NAME or NAME@VERSION"},
    {SOURCE "schemas: {a@1x: {fields: {}}}\n", 2, 11, "is not NAME or NAME@VERSION"},
    {SOURCE "schemas:\n  a: {fields: {}}\n  a@1: {fields: {}}\n", 4, 3,
     "already is a version 1 of schema `a`, in line 3; give this one another version, as in `a@2`"},
    {SOURCE "schemas: {base_event: {fields: {}}}\n", 2, 11, "built in; give this one another version"},
    {SOURCE "schemas: {a: {extends: b, fields: {}}}\n", 2, 24, "there is no schema `b`"},
    {SOURCE "schemas: {a: {extends: a, fields: {}}}\n", 2, 24, "`a@1` extends itself; name another"},
    {SOURCE "schemas:\n  a: {extends: b, fields: {}}\n  b: {extends: a, fields: {}}\n", 4, 16,
     "`b@1` extends itself by way of others"},
    {SOURCE "schemas: {a: {extends: [b], fields: {}}}\n", 2, 24, "found a list"},
    {FIELDS "x:\n", 5, 7, "nothing follows"},
    {FIELDS "x: string\n", 5, 10, "expected a mapping"},
    {FIELDS "x: {}\n", 5, 7, "`type` is missing"},
    {FIELDS "x: {type: strng}\n", 5, 17, "`strng` is no type; did you mean `string`?"},
    {FIELDS "x: {type: float}\n", 5, 17, "types are string, integer, number"},
    {FIELDS "x: {type: []}\n", 5, 17, "give at least one type"},
    {FIELDS "x: {type: [string, flag]}\n", 5, 26, "`flag` is no type"},
    {FIELDS "x: {type: string, require: true}\n", 5, 25, "did you mean `required`?"},
    {FIELDS "x: {type: string, required: yes}\n", 5, 35, "neither true nor false"},
    {FIELDS "x: {type: string, min: 1}\n", 5, 25, "`min` means nothing for a value of type string"},
    {FIELDS "x: {type: number, pattern: a}\n", 5, 25, "`pattern` means nothing for a value of type number"},
    {FIELDS "x: {type: array, non_empty: true}\n", 5, 24, "`non_empty` means nothing"},
    {FIELDS "x: {type: number, min: low}\n", 5, 30, "`low` is not a number"},
    {FIELDS "x: {type: number, min: 0x10}\n", 5, 30, "`0x10` is not a number"},
    {FIELDS "x: {type: number, min: 2, max: 1}\n", 5, 38, "`1` is less than `min`"},
    {FIELDS "x: {type: string, min_length: 2, max_length: 1}\n", 5, 52, "less than `min_length`"},
    {FIELDS "x: {type: string, max_length: 1048577}\n", 5, 37, "allowed are 0 to 1048576"},
    {FIELDS "x: {type: string, enum: a}\n", 5, 31, "expected a list of 1 to 1000 values"},
    {FIELDS "x: {type: string, enum: []}\n", 5, 31, "expected a list"},
    {FIELDS "x: {type: string, enum: [a, [b]]}\n", 5, 35, "not a list"},
    {FIELDS "x: {type: string, enum: [a, 5]}\n", 5, 35, "5 is not of type string; put it in quotes"},
    {FIELDS "x: {type: integer, enum: ['5']}\n", 5, 34, "\"5\" is not of type integer"},
    {FIELDS "x: {type: string, enum: [a, null]}\n", 5, 35, "null is the same as a missing field"},
    {FIELDS "x: {type: string, pattern: 'a('}\n", 5, 35, "`a(` is no regular expression (RE2): missing )"},
    {FIELDS "x[0]: {type: string}\n", 5, 7, "is no path of members such as payload.page"},
    {FIELDS "x..y: {type: string}\n", 5, 7, "is no path of members"},
    {FIELDS "x.: {type: string}\n", 5, 7, "is no path of members"},
    {FIELDS "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q: {type: string}\n", 5, 7, "deeper than 16 members"},
    {FIELDS "x: {type: string}\n      x.y: {type: string}\n", 6, 7,
     "`x` has a field in it, `x.y`, but is of type string; make it an object"},
    {"sources: {s: {kafka: {brokers: b:1, topics: t}, schema: a}}\nschemas: {a: {fields: {_key: {type: string}}}}\n",
     2, 24, "`_key` is a field of the record, not of the event"},
};

static void each_mistake_is_told_at_its_place_and_alone(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct config_errors errors;
        char place[64];
        snprintf(place, sizeof place, "weir.yaml:%u:%u: error: ", mistakes[i].line, mistakes[i].column);
        struct config *config = load("weir.yaml", mistakes[i].text, &errors);
        if (config || !is_told(&errors, place, mistakes[i].part)) {
            print_error("in:\n%s\nwant %s... %s ...\ngot  %s\n", mistakes[i].text, place, mistakes[i].part,
                        errors.text.data);
            failed++;
        }
        config_destroy(config);
        config_errors_deinit(&errors);
    }
    assert_int_equal(failed, 0);
}

static const struct mistake json_mistakes[] = {
    {"[]", 1, 1, "a schema is a mapping"},
    {"", 1, 1, "a schema is a mapping"},
    {"{\"type\": \"object\"", 2, 1, "a bracket or brace is not closed"},
    {JSON("\"typ\": \"object\""), 1, 3, "`typ` is not supported; did you mean `type`?"},
    {JSON("\"allOf\": []"), 1, 3, "the keyword `allOf` is not supported; supported are type, required"},
    {JSON("\"$ref\": \"#/x\""), 1, 3, "`$ref` is not supported"},
    {JSON("\"type\": \"string\""), 1, 11, "an event is always an object"},
    {JSON("\"type\": \"any\""), 1, 11, "`any` is no type"},
    {JSON("\"type\": 1"), 1, 10, "expected a type"},
    {JSON("\"type\": []"), 1, 10, "give at least one type"},
    {JSON("\"enum\": [1]"), 1, 10, "an event is an object, which is none of these"},
    {JSON("\"required\": \"a\""), 1, 15, "expected an array of names"},
    {JSON("\"required\": [1]"), 1, 15, "the name of a property in quotes"},
    {JSON("\"properties\": []"), 1, 16, "expected an object of properties"},
    {JSON("\"properties\": {\"a\": 1}"), 1, 22, "expected a schema, which is an object"},
    {JSON("\"properties\": {\"a\": false}"), 1, 22, "expected a schema"},
    {JSON("\"properties\": {\"a\": {\"items\": {}}}"), 1, 24, "a: the keyword `items` is not supported"},
    {JSON("\"properties\": {\"a\": {\"format\": \"date\"}}"), 1, 24, "`format` is not supported"},
    {JSON("\"properties\": {\"a\":\n  {\"minimum\": \"1\"}}"), 2, 16, "expected a number"},
    {JSON("\"properties\": {\"a\":\n  {\"exclusiveMinimum\": true}}"), 2, 24, "expected a number"},
    {JSON("\"properties\": {\"a\":\n  {\"minLength\": -1}}"), 2, 17, "a whole number from 0"},
    {JSON("\"properties\": {\"a\":\n  {\"minLength\": 1.5}}"), 2, 17, "a whole number from 0"},
    {JSON("\"properties\": {\"a\":\n  {\"enum\": [{}]}}"), 2, 13, "not a mapping"},
    {JSON("\"properties\": {\"a\":\n  {\"pattern\": \"a(\"}}"), 2, 16, "is no regular expression"},
    {JSON("\"properties\": {\"a\":\n  {\"pattern\": 5}}"), 2, 15, "a regular expression in quotes"},
    {JSON("\"additionalProperties\": {}"), 1, 26, "only true and false are supported"},
    {JSON("\"additionalProperties\": \"no\""), 1, 27, "expected true or false"},
    {JSON("\"minProperties\": \"1\""), 1, 20, "a whole number"},
};

static void each_mistake_in_a_json_schema_is_told_with_its_file(void **state)
{
    (void)state;
    struct temporary_folder folder;
    unsigned failed = 0;
    temporary_folder_open(&folder);
    mkdir(temporary_path(&folder, "schemas"), 0700);
    char schema[128], config_file[128];
    snprintf(schema, sizeof schema, "%s/schemas/a@2.json", folder.path);
    snprintf(config_file, sizeof config_file, "%s/weir.yaml", folder.path);
    write_file(config_file, SOURCE "schemas: {}\n");
    for (size_t i = 0; i < sizeof json_mistakes / sizeof *json_mistakes; i++) {
        struct config_errors errors;
        char place[256];
        snprintf(place, sizeof place, "%s:%u:%u: error: ", schema, json_mistakes[i].line,
                 json_mistakes[i].column);
        write_file(schema, json_mistakes[i].text);
        struct config *config = load(config_file, NULL, &errors);
        if (config || !is_told(&errors, place, json_mistakes[i].part)) {
            print_error("in:\n%s\nwant %s... %s ...\ngot  %s\n", json_mistakes[i].text, place,
                        json_mistakes[i].part, errors.text.data);
            failed++;
        }
        config_destroy(config);
        config_errors_deinit(&errors);
    }
    temporary_folder_close(&folder);
    assert_int_equal(failed, 0);
}

static struct config *load_good(const char *file, const char *text)
{
    struct config_errors errors;
    struct config *config = load(file, text, &errors);
    if (!config)
        fail_msg("%s", errors.text.data);
    config_errors_deinit(&errors);
    return config;
}

static void files_beside_the_config_are_schemas_by_their_names(void **state)
{
    (void)state;
    struct temporary_folder folder;
    temporary_folder_open(&folder);
    mkdir(temporary_path(&folder, "schemas"), 0700);
    write_file(temporary_path(&folder, "schemas/a.yaml"), "fields: {x: {type: string}}\n");
    write_file(temporary_path(&folder, "schemas/a@3.json"),
               "{\n\t\"title\":\"tabs\",\"properties\":{\"x\\u0041\":{}}}\n");
    write_file(temporary_path(&folder, "schemas/b@12.yml"), "extends: a\nfields: {}\n");
    write_file(temporary_path(&folder, "schemas/README.md"), "not a schema");
    write_file(temporary_path(&folder, "schemas/.a.yaml"), "neither");
    write_file(temporary_path(&folder, "weir.yaml"),
               "sources: {s: {http: {}, schema: a}, t: {http: {}, schema: a@1}, u: {http: {}, schema: b}}\n");
    struct config *config = load_good(folder.file, NULL);
    assert_int_equal(config->sources[0].schema->version, 3);
    assert_int_equal(config->sources[1].schema->version, 1);
    assert_int_equal(config->sources[2].schema->version, 12);
    assert_string_equal(config->sources[0].schema->root->members->name, "xA");
    assert_string_equal(config->sources[2].schema->root->members->name, "xA");
    config_destroy(config);
    temporary_folder_close(&folder);
}

static void folder_is_left_alone_when_no_schema_is_spoken_of(void **state)
{
    (void)state;
    struct temporary_folder folder;
    temporary_folder_open(&folder);
    mkdir(temporary_path(&folder, "schemas"), 0700);
    write_file(temporary_path(&folder, "schemas/other.json"), "{\"allOf\": []}");
    write_file(temporary_path(&folder, "weir.yaml"), SOURCE);
    struct config *config = load_good(folder.file, NULL);
    assert_int_equal(config->schema_count, 0);
    config_destroy(config);
    temporary_folder_close(&folder);
}

static void version_is_newest_by_number_and_not_by_text(void **state)
{
    (void)state;
    struct config *config =
        load_good("f", "sources: {s: {http: {}, schema: a}}\n"
                       "schemas: {a@9: {fields: {}}, a@10: {fields: {}}, a: {fields: {}}}\n");
    assert_int_equal(config->sources[0].schema->version, 10);
    config_destroy(config);
}

static void field_takes_the_place_of_the_one_that_is_extended(void **state)
{
    (void)state;
    struct config *config =
        load_good("f", "sources: {s: {http: {}, schema: a}}\n"
                       "schemas:\n"
                       "  a: {extends: user_action, fields: {user_id: {type: string}, "
                       "payload.page: {type: string}, payload.element: {type: string}}}\n");
    const struct event_rule *payload = NULL, *user = NULL;
    for (const struct event_rule *rule = config->sources[0].schema->root->members; rule; rule = rule->next) {
        payload = strcmp(rule->name, "payload") == 0 ? rule : payload;
        user = strcmp(rule->name, "user_id") == 0 ? rule : user;
    }
    assert_false(user->is_required);
    assert_int_equal(user->types, EVENT_TYPE_STRING);
    assert_true(payload->is_required && payload->least_members == 1);
    assert_false(payload->members->is_required);
    /* And what was extended is as it was. */
    for (uint32_t i = 0; i < config->schema_count; i++) {
        const struct event_schema *schema = &config->schemas[i];
        for (const struct event_rule *rule = schema->root->members;
             strcmp(schema->name, "user_action") == 0 && rule; rule = rule->next)
            assert_true(strcmp(rule->name, "user_id") != 0 || rule->is_required);
    }
    config_destroy(config);
}

/* --- what a new version breaks --- */

static const struct change {
    const char *older, *newer;
    const char *producers, *consumers; /* parts of the warnings; NULL: none */
} changes[] = {
    {"x: {type: string}", "x: {type: string}", NULL, NULL},
    {"x: {type: string}", "x: {type: string}\n      y: {type: string}", NULL, NULL},
    {"x: {type: string}", "x: {type: string}\n      y: {type: string, required: true}", "`y` is required now",
     NULL},
    {"x: {type: string}", "x: {type: string, required: true}", "`x` is required now", NULL},
    {"x: {type: string, required: true}", "x: {type: string}", NULL, "`x` need not be there any more"},
    {"x: {type: string}\n      y: {type: string, required: true}", "x: {type: string}", NULL,
     "`y` is not spoken of any more; it was required"},
    {"x: {type: string}\n      y: {type: string}", "x: {type: string}", NULL, NULL},
    {"x: {type: [string, boolean]}", "x: {type: string}", "`x` may not be of type boolean any more", NULL},
    {"x: {type: number}", "x: {type: integer}", "`x` may not be of type number with a fraction any more",
     NULL},
    {"x: {type: integer}", "x: {type: number}", NULL, "`x` may be of type number with a fraction now"},
    {"x: {type: string}", "x: {type: integer}", "may not be of type string any more",
     "may be of type integer now"},
    {"x: {type: number}", "x: {type: number, min: 0}", "`x` must be at least 0 now", NULL},
    {"x: {type: number, min: 0}", "x: {type: number, min: -1}", NULL, "`x` may be below 0 now"},
    {"x: {type: number, max: 5}", "x: {type: number, max: 4}", "`x` must be at most 4 now", NULL},
    {"x: {type: number, max: 5}", "x: {type: number}", NULL, "`x` may be above 5 now"},
    {"x: {type: string}", "x: {type: string, max_length: 3}", "`x` must have 3 characters or fewer now",
     NULL},
    {"x: {type: string, min_length: 3}", "x: {type: string}", NULL,
     "`x` may have fewer than 3 characters now"},
    {"x: {type: object}", "x: {type: object, non_empty: true}", "`x` must have 1 member", NULL},
    {"x: {type: string}", "x: {type: string, pattern: a}", "`x` must match `a` now", NULL},
    {"x: {type: string, pattern: a}", "x: {type: string}", NULL, "`x` need not match `a` any more"},
    {"x: {type: string, pattern: a}", "x: {type: string, pattern: b}", "must match `b` now",
     "need not match `a`"},
    {"x: {type: string, enum: [a, b]}", "x: {type: string, enum: [b]}", "`x` may not be \"a\" any more",
     NULL},
    {"x: {type: string, enum: [b]}", "x: {type: string, enum: [a, b]}", NULL, "`x` may be \"a\" now"},
    {"x: {type: string}", "x: {type: string, enum: [b]}", "only have the values of `enum` now", NULL},
    {"x: {type: string, enum: [b]}", "x: {type: string}", NULL, "values besides those of `enum` now"},
    {"x.y: {type: integer}", "x.y: {type: integer, min: 1}", "`x.y` must be at least 1 now", NULL},
};

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end ? end + 1 : line + strlen(line);
}

/* True when a warning of that kind has the part, or there is none of the kind and `part` is NULL. */
static bool is_warned(const char *text, const char *kind, const char *part)
{
    for (const char *line = text; *line; line = next_line(line)) {
        const char *word = strstr(line, kind), *found = part ? strstr(line, part) : NULL;
        if (word && word < next_line(line))
            return part && found && found < next_line(line);
    }
    return !part;
}

static void new_version_is_told_what_it_breaks(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const struct change *change = &changes[i];
        struct buffer text = {0};
        struct config_errors errors;
        buffer_format(&text,
                      SOURCE "schemas:\n  a@2:\n    fields:\n      %s\n  a@5:\n    fields:\n      %s\n",
                      change->older, change->newer);
        buffer_append_char(&text, '\0');
        struct config *config = load("f", text.data, &errors);
        int want = (change->producers != NULL) + (change->consumers != NULL), got = 0;
        for (const char *line = errors.text.data; (line = strstr(line, "a@5 breaks ")); line++)
            got++;
        if (!config || got != want ||
            !is_warned(errors.text.data, "breaks producers of a@2: ", change->producers) ||
            !is_warned(errors.text.data, "breaks consumers of a@2: ", change->consumers)) {
            print_error("%s\nwant producers %s, consumers %s\ngot\n%s\n", text.data, change->producers,
                        change->consumers, errors.text.data);
            failed++;
        }
        config_destroy(config);
        config_errors_deinit(&errors);
        buffer_deinit(&text);
    }
    assert_int_equal(failed, 0);
}

static void warning_points_at_the_field_of_the_newer_version(void **state)
{
    (void)state;
    struct config_errors errors;
    struct config *config =
        load("f",
             SOURCE "schemas:\n"
                    "  a@2: {extends: a@1, fields: {\n"
                    "    x: {type: string, required: true}}}\n"
                    "  a@1: {fields: {x: {type: string}, y: {type: string, required: true}}}\n",
             &errors);
    assert_string_equal(errors.text.data,
                        "f:1:11: warning: no pipeline reads source `s`\n"
                        "f:4:5: warning: a@2 breaks producers of a@1: `x` is required now\n");
    config_destroy(config);
    config_errors_deinit(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_told_at_its_place_and_alone),
        cmocka_unit_test(each_mistake_in_a_json_schema_is_told_with_its_file),
        cmocka_unit_test(files_beside_the_config_are_schemas_by_their_names),
        cmocka_unit_test(folder_is_left_alone_when_no_schema_is_spoken_of),
        cmocka_unit_test(version_is_newest_by_number_and_not_by_text),
        cmocka_unit_test(field_takes_the_place_of_the_one_that_is_extended),
        cmocka_unit_test(new_version_is_told_what_it_breaks),
        cmocka_unit_test(warning_points_at_the_field_of_the_newer_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
