/* A small table under a lock. Reports are rare, so a linear search by name is all it needs; a state that stays the same
 * is not logged again, whatever its reason says meanwhile. */
#include "monitor/health.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

const char *health_state_name(enum health_state state)
{
    static const char *const names[] = {
        [HEALTH_OK] = "ok", [HEALTH_DEGRADED] = "degraded", [HEALTH_DOWN] = "down"};
    assert((unsigned)state < sizeof names / sizeof *names);
    return names[state];
}

void health_init(struct health *health)
{
    *health = (struct health){0};
    int failed = pthread_mutex_init(&health->lock, NULL);
    assert(failed == 0);
    (void)failed;
}

void health_deinit(struct health *health)
{
    pthread_mutex_destroy(&health->lock);
}

static struct health_component *find(struct health *health, const char *name)
{
    for (uint32_t i = 0; i < health->component_count; i++)
        if (strcmp(health->components[i].name, name) == 0)
            return &health->components[i];
    return NULL;
}

/* The component, added when it is new; NULL when the table is full. */
static struct health_component *find_or_add(struct health *health, const char *name)
{
    char kept[HEALTH_NAME_SIZE];
    snprintf(kept, sizeof kept, "%s", name);
    struct health_component *component = find(health, kept);
    if (component || health->component_count == HEALTH_MAX_COMPONENTS)
        return component;
    component = &health->components[health->component_count++];
    memcpy(component->name, kept, sizeof kept);
    return component;
}

void health_report(struct health *health, const char *component, enum health_state state, const char *format,
                   ...)
{
    char reason[HEALTH_REASON_SIZE] = "";
    if (state != HEALTH_OK && format) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(reason, sizeof reason, format, arguments);
        va_end(arguments);
    }
    pthread_mutex_lock(&health->lock);
    struct health_component *found = find_or_add(health, component);
    bool is_changed = found && found->state != state;
    if (found) {
        found->state = state;
        memcpy(found->reason, reason, sizeof reason);
    }
    pthread_mutex_unlock(&health->lock);
    if (!found)
        log_write(LOG_ERROR, "health", "%s is %s (%s), but the list of components is full", component,
                  health_state_name(state), reason);
    else if (is_changed && state == HEALTH_OK)
        log_write(LOG_INFO, "health", "%s is ok again", component);
    else if (is_changed)
        log_write(state == HEALTH_DOWN ? LOG_ERROR : LOG_WARN, "health", "%s is %s: %s", component,
                  health_state_name(state), reason);
}

void health_set_ready(struct health *health, bool is_ready)
{
    pthread_mutex_lock(&health->lock);
    health->is_ready = is_ready;
    pthread_mutex_unlock(&health->lock);
}

bool health_is_ready(struct health *health)
{
    pthread_mutex_lock(&health->lock);
    bool is_ready = health->is_ready;
    pthread_mutex_unlock(&health->lock);
    return is_ready;
}

/* With the lock held. */
static enum health_state worst_state(const struct health *health)
{
    enum health_state worst = HEALTH_OK;
    for (uint32_t i = 0; i < health->component_count; i++)
        if (health->components[i].state > worst)
            worst = health->components[i].state;
    return worst;
}

enum health_state health_overall(struct health *health)
{
    pthread_mutex_lock(&health->lock);
    enum health_state worst = worst_state(health);
    pthread_mutex_unlock(&health->lock);
    return worst;
}

static void write_component(struct buffer *out, const struct health_component *component)
{
    buffer_format(out, "{\"status\":\"%s\"", health_state_name(component->state));
    if (component->reason[0]) {
        buffer_append_text(out, ",\"reason\":");
        buffer_json_string(out, slice_of(component->reason));
    }
    buffer_append_char(out, '}');
}

void health_write_json(struct health *health, struct buffer *out, int64_t uptime_us)
{
    pthread_mutex_lock(&health->lock);
    buffer_format(out, "{\"status\":\"%s\",\"components\":{", health_state_name(worst_state(health)));
    for (uint32_t i = 0; i < health->component_count; i++) {
        if (i > 0)
            buffer_append_char(out, ',');
        buffer_json_string(out, slice_of(health->components[i].name));
        buffer_append_char(out, ':');
        write_component(out, &health->components[i]);
    }
    pthread_mutex_unlock(&health->lock);
    buffer_format(out, "},\"version\":\"%s\",\"uptime_s\":%lld}", WEIR_VERSION,
                  (long long)(uptime_us / 1000000));
}

enum status health_write_component(struct health *health, const char *name, struct buffer *out)
{
    pthread_mutex_lock(&health->lock);
    const struct health_component *component = find(health, name);
    if (component)
        write_component(out, component);
    pthread_mutex_unlock(&health->lock);
    return component ? STATUS_OK : STATUS_NOT_FOUND;
}
