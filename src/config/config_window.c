/* Windows of pipelines: exactly one kind, and only what has a meaning with it. */
#include "config/options.h"

static const char *const kind_names[] = {[CONFIG_WINDOW_TUMBLING] = "tumbling",
                                         [CONFIG_WINDOW_SLIDING] = "sliding",
                                         [CONFIG_WINDOW_SESSION] = "session",
                                         [CONFIG_WINDOW_GLOBAL] = "global"};
enum { KIND_COUNT = sizeof kind_names / sizeof *kind_names };

const char *config_window_kind_name(enum config_window_kind kind)
{
    return kind_names[kind];
}

/* The node of the kind, which is stored; NULL when there is none. */
static const struct node *choose_kind(struct loader *loader, const struct node *map,
                                      struct config_window *window)
{
    const struct node *chosen = NULL;
    bool is_misspelled = false;
    for (const struct node *child = map->first; child; child = child->next) {
        for (uint32_t i = 0; i < KIND_COUNT; i++) {
            if (strcmp(child->key, kind_names[i]) != 0)
                continue;
            if (chosen)
                problem_add(&loader->problems, child->key_place,
                            "%s has two kinds, `%s` and `%s`; keep one, or make two pipelines",
                            node_path(loader->arena, map), chosen->key, child->key);
            else
                window->kind = (enum config_window_kind)i;
            chosen = chosen ? chosen : child;
        }
    }
    for (uint32_t i = 0; i < KIND_COUNT; i++)
        is_misspelled = is_misspelled || config_is_misspelled(SCOPE_PIPELINE, "window", map, kind_names[i]);
    if (!chosen && !is_misspelled)
        problem_add(&loader->problems, map->key_place,
                    "%s has no kind; give it one of tumbling, sliding, session, global, such as "
                    "`window: {tumbling: 10s}`",
                    node_path(loader->arena, map));
    return chosen;
}

static int64_t greatest_common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void check_sliding(struct loader *loader, const struct node *map, const struct node *sliding,
                          const struct config_pipeline *pipeline)
{
    const struct config_window *window = &pipeline->window;
    const struct node *emit = node_find(map, "emit"), *count = emit ? node_find(emit, "count") : NULL;
    if (count)
        problem_add(
            &loader->problems, count->key_place,
            "`%s` has no meaning with sliding windows: an event is in several and would be counted in each "
            "of them; use `emit: {every: 1s}`",
            node_path(loader->arena, count));
    if (!window->size_us || !window->slide_us)
        return;
    int64_t pane_us = greatest_common_divisor(window->size_us, window->slide_us);
    if (window->size_us / pane_us > CONFIG_MAX_WINDOW_PANES)
        problem_add(
            &loader->problems, sliding->key_place,
            "%s: windows of %s every %s are put together from %lld panes of %s; the most are %d; take a slide that "
            "divides the size, or has a larger common divisor with it",
            node_path(loader->arena, sliding), duration_text(loader->arena, window->size_us),
            duration_text(loader->arena, window->slide_us), (long long)(window->size_us / pane_us),
            duration_text(loader->arena, pane_us), CONFIG_MAX_WINDOW_PANES);
}

static void check_session(struct loader *loader, const struct node *map, const struct node *session,
                          const struct config_window *window)
{
    const struct node *close_after = node_find(map, "close_after"), *emit = node_find(map, "emit");
    const struct node *count = emit ? node_find(emit, "count") : NULL;
    if (close_after)
        problem_add(&loader->problems, close_after->key_place,
                    "`%s` is not available with session windows: when one ends, only event time can tell; "
                    "`idle_timeout` of the source lets it go on without events",
                    node_path(loader->arena, close_after));
    if (count)
        problem_add(&loader->problems, count->key_place,
                    "`%s` is not available with session windows; use `emit: {every: 1s}`",
                    node_path(loader->arena, count));
    const struct node *longest = session->kind == NODE_MAP ? node_find(session, "max_duration") : NULL;
    if (longest && window->gap_us && window->max_duration_us < window->gap_us)
        value_problem(loader, longest, "`%s` is shorter than the gap, which one event alone fills",
                      longest->text);
}

/* Nothing closes it and nothing is late for it. */
static void check_global(struct loader *loader, const struct node *map, const struct node *global)
{
    static const char *const lateness[] = {"allowed_lateness", "late"};
    const struct node *close_after = node_find(map, "close_after"), *emit = node_find(map, "emit");
    if (!emit)
        problem_add(&loader->problems, global->key_place,
                    "%s: a global window never closes, so nothing would ever be shown; say when, such as "
                    "`emit: {every: 1s}` or `emit: {count: 1000}`",
                    node_path(loader->arena, global));
    else if (emit->kind == NODE_MAP && !emit->child_count)
        problem_add(&loader->problems, emit->key_place,
                    "%s: a global window needs `every` or `count`, or nothing would ever be shown",
                    node_path(loader->arena, emit));
    if (close_after)
        problem_add(&loader->problems, close_after->key_place,
                    "`%s` has no meaning: a global window never closes; remove it",
                    node_path(loader->arena, close_after));
    for (size_t i = 0; i < sizeof lateness / sizeof *lateness; i++) {
        const struct node *node = node_find(map, lateness[i]);
        if (node)
            problem_add(&loader->problems, node->key_place,
                        "`%s` has no meaning: no event is late for a global window; remove it",
                        node_path(loader->arena, node));
    }
}

void config_check_window(struct loader *loader, const struct node *map, struct config_pipeline *pipeline)
{
    const struct node *node = node_find(map, "window");
    struct config_window *window = &pipeline->window;
    if (node->kind != NODE_MAP)
        return;
    const struct node *kind = choose_kind(loader, node, window), *offset = node_find(node, "offset");
    if (!kind)
        return;
    if (window->kind == CONFIG_WINDOW_TUMBLING)
        window->slide_us = window->size_us;
    if (window->kind == CONFIG_WINDOW_SLIDING)
        check_sliding(loader, map, kind, pipeline);
    if (window->kind == CONFIG_WINDOW_SESSION)
        check_session(loader, map, kind, window);
    if (window->kind == CONFIG_WINDOW_GLOBAL)
        check_global(loader, map, kind);
    bool is_aligned = window->kind == CONFIG_WINDOW_TUMBLING || window->kind == CONFIG_WINDOW_SLIDING;
    const struct node *empty = node_find(map, "emit_empty");
    if (empty && pipeline->emit_empty && window->kind != CONFIG_WINDOW_TUMBLING)
        problem_add(&loader->problems, empty->key_place, "`%s` is for tumbling windows; remove it",
                    node_path(loader->arena, empty));
    if (offset && !is_aligned)
        problem_add(&loader->problems, offset->key_place,
                    "`%s` is for tumbling and sliding windows, which all begin at the same times; remove it",
                    node_path(loader->arena, offset));
}

void config_warn_window(struct loader *loader, const struct config_pipeline *pipeline)
{
    const struct config_window *window = &pipeline->window;
    if (!pipeline->has_window)
        return;
    bool is_aligned = window->kind == CONFIG_WINDOW_TUMBLING || window->kind == CONFIG_WINDOW_SLIDING;
    if (is_aligned && (window->offset_us >= window->slide_us || window->offset_us <= -window->slide_us))
        problem_add_warning(&loader->problems, pipeline->place,
                            "the window offset of `%s` is not smaller than its %s; only the rest counts",
                            pipeline->name, window->kind == CONFIG_WINDOW_SLIDING ? "slide" : "size");
    if (window->kind == CONFIG_WINDOW_SLIDING && window->slide_us > window->size_us)
        problem_add_warning(
            &loader->problems, pipeline->place,
            "the windows of `%s` do not meet, since the slide is longer than the size; events between them "
            "are in none, and count as filtered",
            pipeline->name);
}
