/* Settings of librdkafka by name: what a user may give in `properties`, and what is shown of it. */
#pragma once

#include "base/arena.h"
#include "base/error.h"

enum kafka_property_use {
    KAFKA_PROPERTY_OF_SOURCE = 1,
    KAFKA_PROPERTY_OF_CLASSIC_GROUP = 2,
    KAFKA_PROPERTY_OF_CONSUMER_GROUP = 4,
    KAFKA_PROPERTY_OF_SINK = 8,
};

enum kafka_property_verdict { KAFKA_PROPERTY_OK, KAFKA_PROPERTY_WRONG_NAME, KAFKA_PROPERTY_WRONG_VALUE };

/* Whether librdkafka has the setting and takes the value, and weir does not rely on another one. `use` says of what. Else `reason`
 * holds why and what to do; it never quotes a secret. Any thread. */
enum kafka_property_verdict kafka_property_check(const char *name, const char *value, unsigned use,
                                                 struct arena *arena, struct error *reason);
/* Several settings have two names, such as retries and message.send.max.retries: the one that weir's own rows have. */
const char *kafka_property_name(const char *name);
/* True when the value may be a password, a key or a token. */
bool kafka_property_is_secret(const char *name);
