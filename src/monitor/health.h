/* What is well and what is not, by component, each with its reason in words. Any thread reports (rarely: on change);
 * readers take a copy. */
#pragma once

#include <pthread.h>

#include "base/buffer.h"
#include "base/status.h"

enum health_state { HEALTH_OK, HEALTH_DEGRADED, HEALTH_DOWN };
const char *health_state_name(enum health_state state); /* "ok" "degraded" "down" */

enum { HEALTH_MAX_COMPONENTS = 160, HEALTH_NAME_SIZE = 80, HEALTH_REASON_SIZE = 256 };

struct health_component {
    char name[HEALTH_NAME_SIZE];
    enum health_state state;
    char reason[HEALTH_REASON_SIZE]; /* empty when ok */
};

struct health {
    pthread_mutex_t lock;
    struct health_component components[HEALTH_MAX_COMPONENTS];
    uint32_t component_count;
    bool is_ready; /* sources recovered, server listening */
};

void health_init(struct health *health);
void health_deinit(struct health *health);
/* Adds the component at its first report. Logs changes of state. `format` NULL or "" for HEALTH_OK. */
void health_report(struct health *health, const char *component, enum health_state state, const char *format,
                   ...) PRINTF_LIKE(4, 5);
void health_set_ready(struct health *health, bool is_ready);
bool health_is_ready(struct health *health);
/* The worst state of all components. */
enum health_state health_overall(struct health *health);
/* {"status":"ok","components":{"store":{"status":"ok"},...},"version":...,"uptime_s":...}. */
void health_write_json(struct health *health, struct buffer *out, int64_t uptime_us);
/* One component: {"status":...,"reason":...}; STATUS_NOT_FOUND. */
NODISCARD
enum status health_write_component(struct health *health, const char *name, struct buffer *out);
