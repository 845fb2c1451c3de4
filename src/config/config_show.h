/* Parts of `weir config show` that are files of their own. */
#pragma once

#include "config/config.h"
#include "config/json_writer.h"

/* What librdkafka is given for each source and sink: lines of comments, or the member `kafka_settings` of the open object. */
void config_show_kafka(struct config *config, bool as_json, struct json_writer *json);
