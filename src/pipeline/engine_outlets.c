/* From the sinks of the configuration to outlets: the store's first, then one for each sink, but one for all sinks of a transaction, and
 * one for dead-letter topics. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/random.h"
#include "pipeline/engine_internal.h"
#include "pipeline/membership.h"
#include "sink/kafka_transactions.h"
#include "sink/sink_kinds.h"

enum { INSTANCE_SIZE = 16 };

/* A name for this data_dir that no other has and that stays: made at the first start. */
static enum status read_instance(const struct engine *engine, char instance[INSTANCE_SIZE + 1],
                                 struct error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/instance", engine->config->data_dir);
    memset(instance, 0, INSTANCE_SIZE + 1);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    ssize_t size = file < 0 ? -1 : read(file, instance, INSTANCE_SIZE);
    if (size >= 0 && size < INSTANCE_SIZE) {
        snprintf(instance, INSTANCE_SIZE + 1, "%016" PRIx64, random_seed_from_system());
        size = pwrite(file, instance, INSTANCE_SIZE, 0);
        if (size == INSTANCE_SIZE && fsync(file) != 0)
            size = -1;
    }
    int code = errno;
    if (file >= 0)
        close(file);
    if (size == INSTANCE_SIZE)
        return STATUS_OK;
    error_set(error, "cannot read or write \"%s\": %s", path, strerror(code));
    return STATUS_IO;
}

static bool has_transactional(const struct config *config)
{
    for (uint32_t i = 0; i < config->sink_count; i++) {
        if (config->sinks[i].kind == SINK_KAFKA && config->sinks[i].kafka.transactional)
            return true;
    }
    return false;
}

/* The outlet whose sinks write into the same transaction. */
static struct outlet *find_transaction(struct engine *engine, const struct sink *sink)
{
    for (uint32_t i = 1; i < engine->outlet_count; i++) {
        struct outlet *outlet = &engine->outlets[i];
        const struct sink *other = outlet->target_count ? outlet->targets[0].sink : NULL;
        if (other && other->operations->transaction &&
            other->operations->transaction(other) == sink->operations->transaction(sink))
            return outlet;
    }
    return NULL;
}

/* The group whose offsets the outlet commits: that of the pipelines that write to it. */
static enum status find_group(struct engine *engine, struct outlet *outlet, struct error *error)
{
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++) {
        if (!outlet->pipelines[i])
            continue;
        struct membership *membership = engine->pipeline_memberships[i];
        if (!membership || (outlet->membership && outlet->membership != membership)) {
            error_set(
                error,
                "sink %s is transactional: every pipeline that writes to it must read from kafka, in one group; "
                "pipeline %s does not",
                outlet->name, engine->pipeline_names[i]);
            return STATUS_INVALID;
        }
        outlet->membership = membership;
    }
    return STATUS_OK;
}

static enum status check_takes_events(const struct engine *engine, const struct sink *sink,
                                      uint32_t sink_index, struct error *error)
{
    for (uint32_t i = 0; i < engine->plan->pipeline_count && !sink->operations->write_output; i++) {
        const struct config_pipeline *pipeline = &engine->config->pipelines[i];
        for (uint32_t s = 0; s < pipeline->sink_count && !pipeline->has_window; s++) {
            if (pipeline->sinks[s] != sink_index)
                continue;
            error_set(
                error,
                "sink %s is of kind %s, which takes results of windows only, and pipeline %s has no window",
                engine->config->sinks[sink_index].name, sink->operations->kind, pipeline->name);
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

static enum status open_sink(struct engine *engine, uint32_t sink_index, struct error *error)
{
    const struct config_sink *config = &engine->config->sinks[sink_index];
    struct sink *sink = NULL;
    enum status status = sink_open(config, engine->transactions, &sink, error);
    if (status != STATUS_OK)
        return status;
    status = check_takes_events(engine, sink, sink_index, error);
    if (status != STATUS_OK) {
        sink_close(sink);
        return status;
    }
    bool is_transactional = sink->operations->commit != NULL;
    struct outlet *outlet = is_transactional ? find_transaction(engine, sink) : NULL;
    if (!outlet) {
        outlet = &engine->outlets[engine->outlet_count++];
        outlet_init(outlet, engine, config->name, "sink.");
        outlet->handle = is_transactional ? transaction_outlet_handle : NULL;
    }
    outlet_add_sink(outlet, sink, sink_index);
    return is_transactional ? find_group(engine, outlet, error) : STATUS_OK;
}

static enum status open_letters(struct engine *engine, struct error *error)
{
    bool is_needed;
    struct outlet *outlet = &engine->outlets[engine->outlet_count];
    enum status status = letter_outlet_open(outlet, engine, &is_needed, error);
    if (status != STATUS_OK || !is_needed)
        return status;
    engine->letter_outlet = outlet;
    engine->outlet_count++;
    return STATUS_OK;
}

/* The store's outlet gets dead letters and progress even when no pipeline writes to it. */
enum status engine_open_outlets(struct engine *engine, struct error *error)
{
    const struct config *config = engine->config;
    engine->outlets = memory_allocate_array(config->sink_count + 2, sizeof *engine->outlets);
    outlet_init(&engine->outlets[0], engine, "store", "");
    engine->outlets[0].takes_json = true;
    engine->outlet_count = 1;
    for (uint32_t i = 0; i < config->pipeline_count; i++)
        engine->outlets[0].pipelines[i] = config->pipelines[i].to_store;
    enum status status = read_instance(engine, engine->instance, error);
    if (status == STATUS_OK && has_transactional(config)) {
        engine->transactions = kafka_transactions_create(engine->instance);
        engine->has_transactional_sink = true;
    }
    for (uint32_t i = 0; i < config->sink_count && status == STATUS_OK; i++)
        status = open_sink(engine, i, error);
    return status == STATUS_OK ? open_letters(engine, error) : status;
}
