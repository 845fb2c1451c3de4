/* What a new version of a schema means for those who have not heard of it. Old producers break where the new version refuses
 * what the old one allowed, and old consumers where the old one would refuse what the new one allows: one comparison,
 * made both ways. It knows of what the two schemas say, not of what events really hold, so all of it is a warning. */
#include <stdio.h>

#include "config/schema_internal.h"

struct comparison {
    struct loader *loader;
    const struct event_schema *older, *newer;
    bool is_for_producers; /* `wide` is the older version; else the newer one */
};

/* `rule` is of the newer version, or the nearest that it has. */
static void warn(const struct comparison *comparison, const struct event_rule *rule, const char *path,
                 const char *what)
{
    struct arena *arena = comparison->loader->arena;
    const char *older = event_schema_title(arena, comparison->older);
    const char *newer = event_schema_title(arena, comparison->newer);
    struct config_place place = rule->name && rule->place.line ? rule->place : comparison->newer->place;
    const char *subject = *path ? arena_format(arena, "`%s` ", path) : "the event ";
    problem_add_warning(&comparison->loader->problems, place, "%s breaks %s of %s: %s%s", newer,
                        comparison->is_for_producers ? "producers" : "consumers", older, subject, what);
}

/* The same difference in the words of either side. */
static void warn_either(const struct comparison *comparison, const struct event_rule *wide,
                        const struct event_rule *narrow, const char *for_producers, const char *for_consumers)
{
    warn(comparison, comparison->is_for_producers ? narrow : wide, narrow->path,
         comparison->is_for_producers ? for_producers : for_consumers);
}

static bool is_tighter(const struct event_bound *bound, const struct event_bound *than, int sign)
{
    if (!bound->is_given || !than->is_given)
        return bound->is_given;
    int order = sign * event_number_compare(bound->number, than->number);
    return order < 0 || (order == 0 && bound->is_exclusive && !than->is_exclusive);
}

static void compare_bounds(const struct comparison *comparison, const struct event_rule *wide,
                           const struct event_rule *narrow)
{
    struct arena *arena = comparison->loader->arena;
    if (!(wide->types & (EVENT_TYPE_NUMBER | EVENT_TYPE_INTEGER)))
        return;
    if (is_tighter(&narrow->least, &wide->least, -1)) {
        const char *text = event_number_text(arena, narrow->least.number);
        bool is_exclusive = narrow->least.is_exclusive;
        warn_either(comparison, wide, narrow,
                    arena_format(arena, "must be %s %s now", is_exclusive ? "above" : "at least", text),
                    arena_format(arena, "may be %s %s now", is_exclusive ? "as low as" : "below", text));
    }
    if (is_tighter(&narrow->most, &wide->most, 1)) {
        const char *text = event_number_text(arena, narrow->most.number);
        bool is_exclusive = narrow->most.is_exclusive;
        warn_either(comparison, wide, narrow,
                    arena_format(arena, "must be %s %s now", is_exclusive ? "below" : "at most", text),
                    arena_format(arena, "may be %s %s now", is_exclusive ? "as high as" : "above", text));
    }
}

static void compare_sizes(const struct comparison *comparison, const struct event_rule *wide,
                          const struct event_rule *narrow)
{
    struct arena *arena = comparison->loader->arena;
    bool is_text = wide->types & EVENT_TYPE_STRING, is_object = wide->types & EVENT_TYPE_OBJECT;
    if (is_text && narrow->least_length > wide->least_length)
        warn_either(comparison, wide, narrow,
                    arena_format(arena, "must have %u characters or more now", narrow->least_length),
                    arena_format(arena, "may have fewer than %u characters now", narrow->least_length));
    if (is_text && narrow->most_length < wide->most_length)
        warn_either(comparison, wide, narrow,
                    arena_format(arena, "must have %u characters or fewer now", narrow->most_length),
                    arena_format(arena, "may have more than %u characters now", narrow->most_length));
    if (is_object && narrow->least_members > wide->least_members)
        warn_either(comparison, wide, narrow,
                    arena_format(arena, "must have %u members or more now", narrow->least_members),
                    arena_format(arena, "may have fewer than %u members now", narrow->least_members));
}

static void compare_patterns(const struct comparison *comparison, const struct event_rule *wide,
                             const struct event_rule *narrow)
{
    struct arena *arena = comparison->loader->arena;
    const char *pattern = narrow->pattern.text;
    if (!pattern || (wide->pattern.text && strcmp(wide->pattern.text, pattern) == 0) ||
        !(wide->types & EVENT_TYPE_STRING))
        return;
    warn_either(comparison, wide, narrow, arena_format(arena, "must match `%.60s` now", pattern),
                arena_format(arena, "need not match `%.60s` any more", pattern));
}

static void compare_constants(const struct comparison *comparison, const struct event_rule *wide,
                              const struct event_rule *narrow)
{
    struct arena *arena = comparison->loader->arena;
    if (!narrow->constant_count)
        return;
    if (!wide->constant_count)
        warn_either(comparison, wide, narrow, "may only have the values of `enum` now",
                    "may have values besides those of `enum` now");
    for (uint32_t i = 0; i < wide->constant_count; i++) {
        if (event_constants_have(narrow->constants, narrow->constant_count, &wide->constants[i]))
            continue;
        const char *text = event_constant_text(arena, &wide->constants[i]);
        warn_either(comparison, wide, narrow, arena_format(arena, "may not be %.60s any more", text),
                    arena_format(arena, "may be %.60s now", text));
    }
}

static void compare_members(const struct comparison *comparison, const struct event_rule *wide,
                            const struct event_rule *narrow);

static void compare_rules(const struct comparison *comparison, const struct event_rule *wide,
                          const struct event_rule *narrow)
{
    struct arena *arena = comparison->loader->arena;
    unsigned lost = wide->types & ~narrow->types;
    if (narrow->is_required && !wide->is_required)
        warn_either(comparison, wide, narrow, "is required now", "need not be there any more");
    if (lost) {
        bool is_fraction = lost == EVENT_TYPE_NUMBER && narrow->types & EVENT_TYPE_INTEGER;
        const char *text = is_fraction ? "number with a fraction" : event_types_text(arena, lost);
        warn_either(comparison, wide, narrow, arena_format(arena, "may not be of type %s any more", text),
                    arena_format(arena, "may be of type %s now", text));
    }
    compare_bounds(comparison, wide, narrow);
    compare_sizes(comparison, wide, narrow);
    compare_patterns(comparison, wide, narrow);
    compare_constants(comparison, wide, narrow);
    compare_members(comparison, wide, narrow);
}

static void compare_members(const struct comparison *comparison, const struct event_rule *wide,
                            const struct event_rule *narrow)
{
    const struct event_rule *newer = comparison->is_for_producers ? narrow : wide;
    if (narrow->is_closed && !wide->is_closed)
        warn_either(comparison, wide, narrow, "may not have members besides the listed ones any more",
                    "may have members besides the listed ones now");
    for (const struct event_rule *rule = wide->members; rule && narrow->is_closed; rule = rule->next)
        if (!rule->is_unlisted && !event_rule_find(narrow, rule->name))
            warn(comparison, comparison->is_for_producers ? newer : rule, rule->path,
                 comparison->is_for_producers ? "may not be there any more" : "may be there now");
    for (const struct event_rule *rule = narrow->members; rule; rule = rule->next) {
        const struct event_rule *other = event_rule_find(wide, rule->name);
        if (other)
            compare_rules(comparison, other, rule);
        else if (rule->is_required)
            warn(comparison, comparison->is_for_producers ? rule : newer, rule->path,
                 comparison->is_for_producers ? "is required now"
                                              : "is not spoken of any more; it was required");
    }
}

void schema_evolution_warn(struct loader *loader, const struct event_schema *older,
                           const struct event_schema *newer)
{
    struct comparison comparison = {loader, older, newer, true};
    compare_rules(&comparison, older->root, newer->root);
    comparison.is_for_producers = false;
    compare_rules(&comparison, newer->root, older->root);
}
