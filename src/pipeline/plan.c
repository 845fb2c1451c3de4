/* From configuration to plan: compiles every expression against the schema of each source that feeds it. */
#include "pipeline/plan.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "decode/decoder.h"
#include "decode/event_check.h"
#include "pipeline/plan_chain.h"

struct planner {
    struct plan *plan;
    struct config_errors *errors;
};

static void report(const struct planner *planner, const struct config_text *text,
                   const struct expr_error *error)
{
    config_error_add(planner->errors, config_text_place(text, error->offset), "%s", error->message);
}

static struct expr *compile(const struct planner *planner, struct schema *schema,
                            const struct config_text *text, enum expr_type want)
{
    struct expr *expr = NULL;
    struct expr_error error = {0};
    if (expr_compile(slice_of(text->text), schema, want, &expr, &error) != STATUS_OK)
        report(planner, text, &error);
    return expr;
}

static uint32_t path_column(const struct planner *planner, struct schema *schema,
                            const struct config_text *text)
{
    if (!text->text)
        return PLAN_NO_COLUMN;
    uint32_t column = PLAN_NO_COLUMN;
    struct error error = {{0}};
    if (schema_add_text(schema, slice_of(text->text), &column, &error) != STATUS_OK) {
        config_error_add(planner->errors, text->place, "%s", error.text);
    }
    return column;
}

/* `time: _timestamp` is what is done without a path: the record's own time, whose unit need not be guessed. */
static uint32_t time_column(const struct planner *planner, struct plan_source *source)
{
    uint32_t column = path_column(planner, &source->schema, &source->config->time);
    bool is_own_time = column != PLAN_NO_COLUMN && source->schema.paths[column].origin == PATH_TIMESTAMP;
    return is_own_time ? PLAN_NO_COLUMN : column;
}

static bool is_number_type(enum expr_type type)
{
    return type == EXPR_ANY || type == EXPR_INT || type == EXPR_DOUBLE || type == EXPR_NUMBER ||
           type == EXPR_NULL;
}

/* The text of an aggregate's argument as a config_text of its own, so that errors point into the line. */
static struct config_text argument_text(struct planner *planner, const struct config_text *whole,
                                        struct slice argument)
{
    struct config_text text = *whole;
    text.place = config_text_place(whole, (size_t)(argument.data - whole->text));
    text.text = arena_copy(&planner->plan->arena, argument).data;
    return text;
}

/* Index of the input with that text; a new one is put at the end. */
static uint32_t find_input(struct config_text *inputs, uint32_t *input_count, const struct config_text *text)
{
    for (uint32_t i = 0; i < *input_count; i++) {
        if (strcmp(inputs[i].text, text->text) == 0)
            return i;
    }
    inputs[*input_count] = *text;
    return (*input_count)++;
}

/* What the aggregates of a pipeline ask for, whichever source feeds it. */
struct aggregate_inputs {
    struct config_text texts[RESULT_MAX_AGGREGATES];
    bool wants_number[RESULT_MAX_AGGREGATES];
    const char *functions[RESULT_MAX_AGGREGATES];
    uint32_t count;
};

static void plan_aggregate(struct planner *planner, const struct config_named_text *config,
                           struct plan_pipeline *pipeline, struct aggregate_inputs *inputs)
{
    struct expr_call call;
    struct expr_error error = {0};
    if (expr_split_call(slice_of(config->value.text), &call, &error) != STATUS_OK) {
        report(planner, &config->value, &error);
        return;
    }
    struct error reason = {{0}};
    const struct aggregate_kind *kind = aggregate_kind_find(call.function, call.argument_count, &reason);
    if (!kind) {
        config_error_add(planner->errors,
                         config_text_place(&config->value, (size_t)(call.function.data - config->value.text)),
                         "%s", reason.text);
        return;
    }
    struct window_aggregate *aggregate = &pipeline->window.aggregates[pipeline->window.aggregate_count];
    aggregate->kind = kind;
    aggregate->input = -1;
    struct slice constant = call.argument_count > 1 ? call.arguments[1] : (struct slice){0};
    if (!aggregate_kind_read_parameter(kind, constant, &aggregate->parameter, &reason)) {
        config_error_add(planner->errors,
                         config_text_place(&config->value, (size_t)(constant.data - config->value.text)),
                         "%s", reason.text);
        return;
    }
    if (call.argument_count > 0) {
        struct config_text text = argument_text(planner, &config->value, call.arguments[0]);
        uint32_t index = find_input(inputs->texts, &inputs->count, &text);
        aggregate->input = (int32_t)index;
        if (aggregate_kind_wants_number(kind)) {
            inputs->wants_number[index] = true;
            inputs->functions[index] = arena_copy(&planner->plan->arena, call.function).data;
        }
    }
    pipeline->shape.value_names[pipeline->window.aggregate_count++] = config->name;
}

static uint64_t definition_hash(const struct plan *plan, const struct config_pipeline *config)
{
    struct buffer text = {0};
    if (!config->has_window)
        buffer_append_text(&text, "event|");
    for (uint32_t i = 0; i < config->select_count; i++)
        buffer_format(&text, "s %s %s|", config->selects[i].name, config->selects[i].value.text);
    buffer_format(&text, "1|%lld|%lld|%lld|%d|%s", (long long)config->window.size_us,
                  (long long)config->window.offset_us, (long long)config->allowed_lateness_us,
                  (int)config->late, config->where.text ? config->where.text : "");
    /* Of tumbling windows this says nothing, so that their pipelines go on from where older versions were. */
    const struct config_window *window = &config->window;
    if (config->emit_empty)
        buffer_append_text(&text, "|empty");
    if (config->has_window && window->kind == CONFIG_WINDOW_SLIDING)
        buffer_format(&text, "|sliding %lld", (long long)window->slide_us);
    if (config->has_window && window->kind == CONFIG_WINDOW_SESSION)
        buffer_format(&text, "|session %lld %lld", (long long)window->gap_us,
                      (long long)window->max_duration_us);
    if (config->has_window && window->kind == CONFIG_WINDOW_GLOBAL)
        buffer_append_text(&text, "|global");
    for (uint32_t i = 0; i < config->key_count; i++)
        buffer_format(&text, "|k %s", config->keys[i].value.text);
    for (uint32_t i = 0; i < config->aggregate_count; i++)
        buffer_format(&text, "|a %s", config->aggregates[i].value.text);
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        const struct plan_pipeline *upstream = &plan->pipelines[config->upstreams[i]];
        buffer_format(&text, "|f %s %llu", upstream->shape.pipeline,
                      (unsigned long long)upstream->definition_hash);
    }
    uint64_t hash = hash_bytes(text.data, text.size, 0);
    buffer_deinit(&text);
    return hash;
}

static void plan_window(const struct config_pipeline *config, struct plan_pipeline *pipeline,
                        uint64_t hash_seed)
{
    static const enum window_kind kinds[] = {[CONFIG_WINDOW_TUMBLING] = WINDOW_TUMBLING,
                                             [CONFIG_WINDOW_SLIDING] = WINDOW_SLIDING,
                                             [CONFIG_WINDOW_SESSION] = WINDOW_SESSION,
                                             [CONFIG_WINDOW_GLOBAL] = WINDOW_GLOBAL};
    struct window_spec *window = &pipeline->window;
    static const enum window_late late[] = {
        [LATE_UPDATE] = WINDOW_LATE_UPDATE, [LATE_DROP] = WINDOW_LATE_DROP, [LATE_DLQ] = WINDOW_LATE_DLQ};
    window->shape = &pipeline->shape;
    window->kind = kinds[config->window.kind];
    window->size_us = config->window.size_us;
    window->offset_us = config->window.offset_us;
    window->slide_us = config->window.slide_us;
    window->gap_us = config->window.gap_us;
    window->max_duration_us =
        config->window.max_duration_us ? config->window.max_duration_us : SESSION_DURATION_MAX_US;
    /* Final results of a window come in the order of their ends, so none of them is ever late. */
    window->allowed_lateness_us = config->upstream_count ? 0 : config->allowed_lateness_us;
    window->late = late[config->late];
    window->emit_count = config->emit_count;
    window->emit_every_us = config->emit_every_us;
    window->close_after_us = config->close_after_us;
    window->emit_empty = config->emit_empty;
    window->key_limit = config->key_limit;
    window->hash_seed = hash_seed;
}

static void plan_aggregates(struct planner *planner, const struct config_pipeline *config,
                            struct plan_pipeline *pipeline, struct aggregate_inputs *inputs)
{
    for (uint32_t i = 0; i < config->aggregate_count; i++)
        plan_aggregate(planner, &config->aggregates[i], pipeline, inputs);
    pipeline->shape.value_count = pipeline->window.aggregate_count;
    pipeline->window.input_count = inputs->count;
}

/* Fields of events stand in the place of aggregates: a value each. */
static void plan_fields(struct planner *planner, const struct config_pipeline *config,
                        struct plan_pipeline *pipeline, struct aggregate_inputs *inputs)
{
    struct arena *arena = &planner->plan->arena;
    struct buffer text = {0};
    pipeline->field_names = arena_allocate(arena, (config->select_count + 1) * sizeof *pipeline->field_names);
    for (uint32_t i = 0; i < config->select_count; i++) {
        buffer_clear(&text);
        buffer_append_char(&text, i ? ',' : '{');
        buffer_json_string(&text, slice_of(config->selects[i].name));
        buffer_append_char(&text, ':');
        pipeline->field_names[i] = arena_copy(arena, buffer_slice(&text));
        pipeline->shape.value_names[i] = config->selects[i].name;
        inputs->texts[inputs->count++] = config->selects[i].value;
    }
    pipeline->shape.value_count = config->select_count;
    buffer_deinit(&text);
}

static void compile_feed(struct planner *planner, struct plan_source *source,
                         const struct plan_pipeline *pipeline, const struct aggregate_inputs *inputs,
                         struct plan_feed *feed)
{
    const struct config_pipeline *config = pipeline->config;
    if (config->where.text)
        feed->where = compile(planner, &source->schema, &config->where, EXPR_BOOL);
    feed->key_count = config->key_count;
    for (uint32_t i = 0; i < config->key_count; i++) {
        feed->keys[i] = compile(planner, &source->schema, &config->keys[i].value, EXPR_ANY);
    }
    feed->input_count = inputs->count;
    for (uint32_t i = 0; i < inputs->count; i++) {
        struct expr *input = feed->inputs[i] = compile(planner, &source->schema, &inputs->texts[i], EXPR_ANY);
        if (input && inputs->wants_number[i] && !is_number_type(expr_result_type(input))) {
            config_error_add(
                planner->errors, inputs->texts[i].place,
                "%s() needs a number, but \"%s\" is a %s; convert it with double(...) or count it",
                inputs->functions[i], inputs->texts[i].text, expr_type_name(expr_result_type(input)));
        }
    }
}

/* The same mistake would be told once per source; the first is enough. */
static bool feed_pipeline(struct planner *planner, struct plan_source *source, struct plan_pipeline *pipeline,
                          const struct aggregate_inputs *inputs)
{
    uint32_t errors_before = planner->errors->count, columns_before = source->schema.column_count;
    struct plan_feed *feed = &source->feeds[source->feed_count++];
    feed->pipeline_index = pipeline->shape.pipeline_index;
    feed->first_partition = pipeline->window.partition_count;
    pipeline->window.partition_count += source->partition_count;
    compile_feed(planner, source, pipeline, inputs, feed);
    if (pipeline->config->upstream_count)
        plan_chain_check(planner->plan, pipeline, source, columns_before, planner->errors);
    return planner->errors->count == errors_before;
}

static void plan_pipeline(struct planner *planner, uint32_t pipeline_index, uint64_t hash_seed)
{
    struct plan *plan = planner->plan;
    struct plan_pipeline *pipeline = &plan->pipelines[pipeline_index];
    const struct config_pipeline *config = &plan->config->pipelines[pipeline_index];
    pipeline->config = config;
    pipeline->has_window = config->has_window;
    pipeline->shape.pipeline = config->name;
    pipeline->shape.pipeline_index = pipeline_index;
    pipeline->shape.key_count = config->key_count;
    for (uint32_t i = 0; i < config->key_count; i++)
        pipeline->shape.key_names[i] = config->keys[i].name;
    plan_window(config, pipeline, hash_seed);
    struct aggregate_inputs inputs = {0};
    if (config->has_window)
        plan_aggregates(planner, config, pipeline, &inputs);
    else
        plan_fields(planner, config, pipeline, &inputs);
    for (uint32_t i = 0; i < config->source_count; i++) {
        if (!feed_pipeline(planner, &plan->sources[config->sources[i]], pipeline, &inputs))
            break;
    }
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        if (!feed_pipeline(planner, plan_chain_source(plan, config->upstreams[i]), pipeline, &inputs))
            break;
    }
    pipeline->definition_hash = definition_hash(plan, config);
}

static void report_check(void *context, struct config_place place, const char *message)
{
    if (context)
        config_error_add(context, place, "%s", message);
}

struct event_check *plan_event_check(const struct config_source *source, struct schema *columns,
                                     struct config_errors *errors)
{
    struct event_check_report to_errors = {report_check, errors};
    return source->schema && source->schema->root ? event_check_create(source->schema, columns, &to_errors)
                                                  : NULL;
}

/* Whether all that schemas say can be checked; those that no source uses too. */
static bool check_schemas(const struct planner *planner)
{
    uint32_t errors_before = planner->errors->count;
    struct event_check_report to_errors = {report_check, planner->errors};
    for (uint32_t i = 0; i < planner->plan->config->schema_count; i++) {
        struct schema columns;
        schema_init(&columns);
        if (planner->plan->config->schemas[i].root)
            event_check_destroy(event_check_create(&planner->plan->config->schemas[i], &columns, &to_errors));
        schema_deinit(&columns);
    }
    return planner->errors->count == errors_before;
}

static void plan_source(struct planner *planner, uint32_t source_index, const uint32_t *partition_counts,
                        bool schemas_are_good)
{
    struct plan *plan = planner->plan;
    struct plan_source *source = &plan->sources[source_index];
    source->config = &plan->config->sources[source_index];
    source->partition_count = partition_counts ? partition_counts[source_index] : source->config->partitions;
    if (!partition_counts && source->config->kind == SOURCE_KAFKA)
        source->partition_count = CONFIG_MAX_PARTITIONS; /* slots: the brokers know how many there are */
    schema_init(&source->schema);
    source->schema.has_record_fields = source->config->kind == SOURCE_KAFKA;
    source->time_column = time_column(planner, source);
    source->partition_column = path_column(planner, &source->schema, &source->config->partition_by);
    /* What is wrong with a schema in itself has been told. */
    if (schemas_are_good)
        source->check = plan_event_check(source->config, &source->schema, planner->errors);
    source->feeds =
        arena_allocate_zeroed(&plan->arena, sizeof *source->feeds * (plan->config->pipeline_count + 1));
}

struct plan *plan_create(const struct config *config, const uint32_t *partition_counts,
                         struct config_errors *errors)
{
    struct plan *plan = memory_allocate(sizeof *plan);
    arena_init(&plan->arena, 0);
    plan->config = config;
    plan->source_count = config->source_count;
    plan->pipeline_count = config->pipeline_count;
    plan->sources = memory_allocate_array(config->source_count, sizeof *plan->sources);
    plan->pipelines = memory_allocate_array(config->pipeline_count, sizeof *plan->pipelines);
    struct planner planner = {plan, errors};
    uint32_t errors_before = errors->count;
    uint64_t hash_seed = random_seed_from_system();
    bool schemas_are_good = check_schemas(&planner);
    for (uint32_t i = 0; i < config->source_count; i++)
        plan_source(&planner, i, partition_counts, schemas_are_good);
    plan->order = memory_allocate_array(config->pipeline_count + 1, sizeof *plan->order);
    config_order_pipelines(config, plan->order);
    plan->derived = plan_chain_create(plan);
    for (uint32_t i = 0; i < config->pipeline_count; i++)
        plan_pipeline(&planner, plan->order[i], hash_seed);
    if (errors->count == errors_before)
        return plan;
    plan_destroy(plan);
    return NULL;
}

void plan_source_deinit(struct plan_source *source)
{
    for (uint32_t f = 0; f < source->feed_count; f++) {
        struct plan_feed *feed = &source->feeds[f];
        expr_destroy(feed->where);
        for (uint32_t k = 0; k < feed->key_count; k++)
            expr_destroy(feed->keys[k]);
        for (uint32_t k = 0; k < feed->input_count; k++)
            expr_destroy(feed->inputs[k]);
    }
    event_check_destroy(source->check);
    schema_deinit(&source->schema);
}

void plan_destroy(struct plan *plan)
{
    if (!plan)
        return;
    plan_chain_destroy(plan->derived);
    for (uint32_t i = 0; i < plan->source_count; i++)
        plan_source_deinit(&plan->sources[i]);
    free(plan->sources);
    free(plan->pipelines);
    free(plan->order);
    arena_deinit(&plan->arena);
    free(plan);
}

void plan_decoder_options(const struct plan_source *source, struct decoder_options *options)
{
    static const enum time_unit units[] = {
        [CONFIG_TIME_AUTO] = TIME_UNIT_AUTO,       [CONFIG_TIME_S] = TIME_UNIT_SECONDS,
        [CONFIG_TIME_MS] = TIME_UNIT_MILLISECONDS, [CONFIG_TIME_US] = TIME_UNIT_MICROSECONDS,
        [CONFIG_TIME_NS] = TIME_UNIT_NANOSECONDS,
    };
    *options = (struct decoder_options){
        .schema = &source->schema,
        .time_column = source->time_column == PLAN_NO_COLUMN ? UINT32_MAX : source->time_column,
        .time_unit = units[source->config->time_unit],
        .max_future_skew_us = source->config->max_future_skew_us,
        .check = source->check,
        .use_shapes = true,
    };
}

/* Equal keys go to equal partitions: 1 and 1.0 are the same number. */
uint32_t plan_partition_of(const struct plan_source *source, const struct batch *batch, uint32_t row)
{
    if (source->partition_column == PLAN_NO_COLUMN || source->partition_count <= 1)
        return 0;
    const struct column *column = &batch->columns[source->partition_column];
    enum value_kind kind = column->kinds[row];
    union value value = column->values[row];
    uint64_t hash;
    if (kind == VALUE_STRING || kind == VALUE_JSON) {
        hash = hash_bytes(batch->bytes + value.s.offset, value.s.size, kind);
    } else if (kind == VALUE_NULL) {
        hash = 0;
    } else {
        double number = kind == VALUE_DOUBLE ? value.d : (double)value.i;
        if (number == 0)
            number = 0; /* -0 */
        hash = hash_bytes(&number, sizeof number, kind == VALUE_BOOL);
    }
    return (uint32_t)(hash % source->partition_count);
}
