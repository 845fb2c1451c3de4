/* The outlet of dead-letter topics: each kafka source's bad records go to `<topic>.dlq`, and progress passes them only when the broker has
 * them. The store gets the same letters; the topic is for others, and for sending them back. */
#include <stdlib.h>

#include "base/memory.h"
#include "pipeline/engine_internal.h"
#include "sink/kafka_dead_letters.h"

enum status letter_outlet_open(struct outlet *outlet, struct engine *engine, bool *is_needed,
                               struct error *error)
{
    const struct config *config = engine->config;
    *is_needed = false;
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        bool has_topic = !source->kafka.dead_letter_topic || source->kafka.dead_letter_topic[0];
        if (source->kind != SOURCE_KAFKA || !has_topic)
            continue;
        if (!*is_needed) {
            outlet_init(outlet, engine, "dead letters", "");
            outlet->handle = letter_outlet_handle;
            outlet->letters =
                memory_allocate_array(config->source_count + 1, sizeof(struct kafka_dead_letters *));
            *is_needed = true;
        }
        enum status status = kafka_dead_letters_open(source, &outlet->letters[i], error);
        if (status != STATUS_OK) {
            outlet_deinit(outlet);
            return status;
        }
    }
    return STATUS_OK;
}

void letter_outlet_close(struct outlet *outlet)
{
    for (uint32_t i = 0; outlet->letters && i < outlet->engine->config->source_count; i++) {
        if (outlet->letters[i])
            kafka_dead_letters_close(outlet->letters[i]);
    }
    free(outlet->letters);
    outlet->letters = NULL;
}

void letter_outlet_idle(struct outlet *outlet)
{
    for (uint32_t i = 0; outlet->letters && i < outlet->engine->config->source_count; i++) {
        if (outlet->letters[i])
            kafka_dead_letters_idle(outlet->letters[i]);
    }
}

static bool write(struct outlet *outlet, const struct dead_letter *letter)
{
    struct kafka_dead_letters *letters = outlet->letters[letter->source_index];
    while (letters) {
        struct error error = {{0}};
        if (kafka_dead_letters_write(letters, letter, &error) == STATUS_OK)
            break;
        if (!outlet_should_retry(outlet, &error))
            return false;
    }
    return true;
}

static bool flush(struct outlet *outlet)
{
    for (uint32_t i = 0; i < outlet->engine->config->source_count; i++) {
        while (outlet->letters[i]) {
            struct error error = {{0}};
            if (kafka_dead_letters_flush(outlet->letters[i], &error) == STATUS_OK)
                break;
            if (!outlet_should_retry(outlet, &error))
                return false;
        }
    }
    outlet_is_well(outlet);
    return true;
}

bool letter_outlet_handle(struct outlet *outlet, struct outlet_item *item)
{
    switch (item->kind) {
    case OUTLET_DEAD_LETTERS:
        for (uint32_t i = 0; i < item->dead_letters->letter_count; i++) {
            if (!write(outlet, &item->dead_letters->letters[i]))
                return false;
        }
        return true;
    case OUTLET_MARK:
        if (!flush(outlet))
            return false;
        outlet_set_durable(outlet, item->mark->epoch);
        return true;
    case OUTLET_STOP: flush(outlet); return false;
    case OUTLET_RESULTS:
    case OUTLET_OUTPUT: break;
    }
    return true;
}
