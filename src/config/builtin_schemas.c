/* The schemas that are always there, in the words of a config. Identities may be numbers, as many systems have them; the time
 * is whatever an event time can be. */
#include "config/schema_internal.h"

#define REQUIRED(name, type) "    " name ": { type: " type ", required: true }\n"
#define OPTIONAL(name, type) "    " name ": { type: " type " }\n"
#define EXTENSION(name)      name ":\n  extends: base_event\n  fields:\n"
#define IDENTITY             "[string, integer]"

const char *const builtin_schemas =
    "base_event:\n"
    "  fields:\n" REQUIRED("event_id", IDENTITY) REQUIRED("event_type", "string") REQUIRED(
        "event_name", "string") REQUIRED("timestamp", "[string, number]")
        REQUIRED("source_service", "string") "    payload: { type: object, required: true, non_empty: true }\n" OPTIONAL(
            "source_version", "[string, number]") OPTIONAL("trace_id", IDENTITY) OPTIONAL("span_id", IDENTITY)
            OPTIONAL("parent_span_id", IDENTITY) OPTIONAL("metadata", "object") OPTIONAL(
                "schema_version", "[string, number]") EXTENSION("user_action") REQUIRED("user_id", IDENTITY)
                REQUIRED("session_id", IDENTITY) REQUIRED("action", "string") REQUIRED(
                    "payload.page", "string") REQUIRED("payload.element", "string") EXTENSION("system_event")
                    REQUIRED("component", "string") "    severity: { type: string, required: true, enum: [DEBUG, INFO, WARNING, ERROR, CRITICAL] }\n" EXTENSION(
                        "ml_prediction") REQUIRED("model_name", "string")
                        REQUIRED("model_version", "[string, number]") "    confidence_score: { type: number, required: true, min: 0, max: 1 }\n" EXTENSION(
                            "business_event") REQUIRED("entity_type", "string")
                            REQUIRED("entity_id", IDENTITY) REQUIRED("value", "number") REQUIRED(
                                "currency", "string") EXTENSION("metric_event") REQUIRED("metric_name",
                                                                                         "string")
                                REQUIRED("metric_value", "number") "    metric_type: { type: string, required: true, enum: [counter, gauge, histogram, summary] }\n" REQUIRED(
                                    "labels", "object") REQUIRED("unit", "string");
