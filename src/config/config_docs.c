/* docs/CONFIG.md: what holds for the whole file, then a table per group of the option table. */
#include <ctype.h>

#include "config/kafka_settings.h"
#include "config/options.h"

static const char *const introduction =
    "# Configuration\n"
    "\n"
    "One YAML file. This page is made from the table that the program reads its options by: `weir config docs` prints it,\n"
    "`weir config schema` prints the same as a JSON Schema for editors ([config.schema.json](config.schema.json)), `weir config show FILE` prints the\n"
    "values in effect, each with where it comes from, and `weir check FILE` checks a file without running it.\n"
    "\n"
    "## Rules\n"
    "\n"
    "- An unknown key is an error, and so is a key given twice, a value of a wrong type or out of its range, a name that refers to nothing. All errors are\n"
    "  told at once (the first 20), each as `file:line:column: error: ...`; the exit code is 78.\n"
    "- Durations carry a unit: `250us`, `250ms`, `10s`, `5m`, `1h`, `30d`, also added up as in `1h30m`. Sizes: `512B`, `64KiB`, `1MiB`, `2GiB`, `1TiB`. Rates: `5000/s`.\n"
    "- `${NAME}` in a value is replaced by the environment variable, `${NAME:-default}` has a default for one that is unset or empty, `$${` is a plain `${`. Inside `{ }`\n"
    "  put the value in quotes. What a variable holds cannot change the structure of the file.\n"
    "- Every option can be overridden by an environment variable: `WEIR_` and its path in capitals, with two underscores between the parts:\n"
    "  `WEIR_SERVER__LISTEN=127.0.0.1:9000`, `WEIR_SOURCES__CLICKS__TIME=ts`. Lists are written as in YAML: `WEIR_PIPELINES__P__TO='[store, live]'`. A `-` in a name is\n"
    "  an underscore in the variable. A variable that begins with `WEIR_` and names no option is an error.\n"
    "- Flags (`--set server.listen=127.0.0.1:9000`) override variables, variables override the file, the file overrides defaults.\n"
    "- Names of sources, pipelines and sinks are 1 to 64 letters, digits, `_` and `-`.\n"
    "- Relative paths are relative to the folder in which weir is started.\n"
    "\n"
    "```yaml\n"
    "server: { listen: 127.0.0.1:8765 }\n"
    "data_dir: ./weir-data\n"
    "sources:\n"
    "  clicks:\n"
    "    http: {}                 # POST /api/v1/sources/clicks/events\n"
    "    time: ts\n"
    "pipelines:\n"
    "  revenue:\n"
    "    from: clicks\n"
    "    where: type == \"purchase\" && amount > 0\n"
    "    key: [country]\n"
    "    window: { tumbling: 10s }\n"
    "    aggregates: { orders: count(), revenue: sum(amount) }\n"
    "    to: [store, live, trail]\n"
    "  large:                     # no window: event in, event out\n"
    "    from: clicks\n"
    "    where: amount > 1000\n"
    "    select: { user: user_id, amount: amount }\n"
    "    to: [trail]\n"
    "sinks:\n"
    "  trail: { file: { path: results.ndjson } }\n"
    "```\n";

static const char *const scope_prefixes[SCOPE_COUNT] = {
    "", "sources.NAME", "pipelines.NAME", "sinks.NAME", "schemas.NAME", "schemas.NAME.fields.PATH"};

static const char *range_text(struct arena *arena, const struct option *option)
{
    if (option->least == 0 && option->most == 0)
        return "";
    switch (option->type) {
    case OPTION_DURATION:
        return arena_format(arena, "%s to %s", duration_text(arena, option->least),
                            duration_text(arena, option->most));
    case OPTION_SIZE:
        return arena_format(arena, "%s to %s", size_text(arena, option->least),
                            size_text(arena, option->most));
    case OPTION_COUNT32:
    case OPTION_COUNT64:
    case OPTION_SHARDS:
        return arena_format(arena, "%lld to %lld", (long long)option->least, (long long)option->most);
    default: return "";
    }
}

static void write_words(struct buffer *out, const struct option *option)
{
    struct slice word;
    for (uint32_t i = 0; (word = option_word(option, i)).size > 0; i++)
        if (word.data[0] != '!')
            buffer_format(out, "%s`%.*s`", i ? ", " : "", SLICE_ARG(word));
}

static void write_row(struct buffer *out, struct arena *arena, const struct option *option)
{
    buffer_format(out, "| `%s` | ", option_name(option));
    if (option->words)
        write_words(out, option);
    else
        buffer_append_text(out, option_type_name(option));
    const char *range = range_text(arena, option);
    if (*range)
        buffer_format(out, ", %s", range);
    buffer_append_text(out, " | ");
    if (option->flags & OPTION_REQUIRED && option->flags & OPTION_WITH_WINDOW)
        buffer_append_text(out, "required with `window`");
    else if (option->flags & OPTION_REQUIRED)
        buffer_append_text(out, "required");
    else if (option->fallback)
        buffer_format(out, "`%s`", option->fallback);
    buffer_format(out, " | %s%s |\n", option->help,
                  option->flags & OPTION_WITHOUT_WINDOW ? "; only without `window`" : "");
}

static bool is_row(const struct option *option, enum option_scope scope, const char *group)
{
    return option->type != OPTION_LATER && option->type != OPTION_COLLECTION && !option_has_members(option) &&
           option_is_member(option, scope, group);
}

static void write_table(struct buffer *out, struct arena *arena, enum option_scope scope, const char *group)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < option_count; i++) {
        if (!is_row(&options[i], scope, group))
            continue;
        if (count++ == 0)
            buffer_append_text(out, "\n| key | value | default | meaning |\n|---|---|---|---|\n");
        write_row(out, arena, &options[i]);
    }
}

/* Help as a sentence. */
static void write_sentence(struct buffer *out, const char *help)
{
    buffer_append_char(out, (char)toupper((unsigned char)help[0]));
    buffer_format(out, "%s.\n", help + 1);
}

static void write_collection(struct buffer *out, const struct option *option, const char *prefix)
{
    const char *owner = scope_prefixes[option->scope];
    buffer_format(out, "\n## %s%s%s\n\nIn `%s`: %s.\n", owner, *owner ? "." : "", option->path, prefix,
                  option->help);
}

static void write_scope(struct buffer *out, struct arena *arena, enum option_scope scope)
{
    const char *prefix = scope_prefixes[scope];
    if (scope == SCOPE_ROOT)
        buffer_append_text(out, "\n## Top level\n");
    else
        for (uint32_t i = 0; i < option_count; i++)
            if (options[i].type == OPTION_COLLECTION && options[i].least == (int64_t)scope)
                write_collection(out, &options[i], prefix);
    write_table(out, arena, scope, "");
    for (uint32_t i = 0; i < option_count; i++) {
        if (options[i].scope != scope || !option_has_members(&options[i]))
            continue;
        buffer_format(out, "\n### %s%s%s\n\n", prefix, *prefix ? "." : "", options[i].path);
        write_sentence(out, options[i].help);
        write_table(out, arena, scope, options[i].path);
    }
}

/* A value of the guide and what weir uses instead, or what both mean. */
static void write_profile_value(struct buffer *out, const struct kafka_profile_row *row,
                                enum kafka_profile profile)
{
    const char *guide = row->guide[profile], *value = row->value[profile];
    if (guide && row->reason && (!value || strcmp(guide, value) != 0))
        buffer_format(out, " %s → %s |", guide, value ? value : "not set");
    else
        buffer_format(out, " %s |", value ? value : "librdkafka's default");
}

static void write_profile(struct buffer *out, const struct kafka_profile_row *rows, uint32_t count)
{
    buffer_append_text(
        out, "\n| guide | librdkafka | high_throughput | low_latency | why not the guide's value |\n"
             "|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < count; i++) {
        const struct kafka_profile_row *row = &rows[i];
        buffer_format(out, "| %s | %s |", row->guide_name ? row->guide_name : "", row->name ? row->name : "");
        write_profile_value(out, row, KAFKA_HIGH_THROUGHPUT);
        write_profile_value(out, row, KAFKA_LOW_LATENCY);
        buffer_format(out, " %s |\n", row->reason ? row->reason : "");
    }
}

static void write_profiles(struct buffer *out)
{
    buffer_append_text(
        out,
        "\n## Kafka profiles\n\n"
        "What `profile` sets, after the performance guide. `→` marks what weir does instead where the guide's value "
        "would break a promise. `weir config show`\nprints everything that librdkafka is given for a config, each "
        "with its origin. Precedence: `properties`, then the keys above, then the profile.\n"
        "\n### Sources\n");
    write_profile(out, kafka_consumer_profile, kafka_consumer_profile_count);
    buffer_append_text(
        out, "\n" KAFKA_SETTING_POLL_RECORDS " is weir's own: records that one poll hands over at most. With "
             "`group_protocol: consumer` the session, the\nheartbeat and the assignment are the "
             "broker's, and are not set.\n\n### Sinks\n");
    write_profile(out, kafka_producer_profile, kafka_producer_profile_count);
}

static void write_later(struct buffer *out)
{
    buffer_append_text(
        out, "\n## Not in this version\n\nThese keys have a meaning that this version does not have yet; "
             "they are refused with an error that says so.\n\n| key | for |\n|---|---|\n");
    for (uint32_t i = 0; i < option_count; i++) {
        const char *prefix = scope_prefixes[options[i].scope];
        if (options[i].type == OPTION_LATER)
            buffer_format(out, "| `%s%s%s` | %s |\n", prefix, *prefix ? "." : "", options[i].path,
                          options[i].help);
    }
}

void config_write_docs(struct buffer *out)
{
    struct arena arena;
    arena_init(&arena, ARENA_DEFAULT_BLOCK_SIZE);
    buffer_append_text(out, introduction);
    for (enum option_scope scope = SCOPE_ROOT; scope < SCOPE_COUNT; scope++)
        write_scope(out, &arena, scope);
    write_profiles(out);
    write_later(out);
    arena_deinit(&arena);
}
