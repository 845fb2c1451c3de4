/* The table itself. Rows are in the order of the reference page: a group, then its members. */
#include "config/options.h"

#include <stddef.h>

#include "config/event_schema.h"

#define ROOT(field)     offsetof(struct config, field)
#define SOURCE(field)   offsetof(struct config_source, field)
#define PIPELINE(field) offsetof(struct config_pipeline, field)
#define SINK(field)     offsetof(struct config_sink, field)
#define FIELD(field)    offsetof(struct event_rule, field)
#define MILLISECONDS    INT64_C(1000)
#define SECONDS         INT64_C(1000000)
#define DAYS            (86400 * SECONDS)
#define KIBIBYTES       INT64_C(1024)
#define MEBIBYTES       (1024 * KIBIBYTES)
#define TEBIBYTES       (1024 * 1024 * MEBIBYTES)
#define ANY             0, 0, NULL

/* clang-format off */
/* How a cluster is reached: the same rows for sources and sinks. */
#define KAFKA_CONNECTION_ROWS(scope, FIELD) \
    {scope, "kafka.brokers", OPTION_TEXTS, FIELD(kafka.connection.brokers), FIELD(kafka.connection.broker_count), OPTION_REQUIRED, NULL, ANY, \
     "host:port of one or more brokers, from which the others are learned"}, \
    {scope, "kafka.properties", OPTION_PROPERTIES, FIELD(kafka.connection.properties), FIELD(kafka.connection.property_count), 0, NULL, ANY, \
     "any setting of librdkafka, as in `{socket.timeout.ms: 10000}`; goes before everything else"}, \
    {scope, "kafka.tls", OPTION_SWITCH, FIELD(kafka.connection.tls), 0, 0, "false", ANY, \
     "encrypted connections: `tls: true` trusts the system's authorities; or a mapping"}, \
    {scope, "kafka.tls.ca", OPTION_TEXT, FIELD(kafka.connection.tls_ca), 0, 0, NULL, ANY, \
     "PEM file of the authorities that are trusted; absent = the system's"}, \
    {scope, "kafka.tls.certificate", OPTION_TEXT, FIELD(kafka.connection.tls_certificate), 0, 0, NULL, ANY, \
     "PEM file of weir's own certificate, where the brokers ask for one"}, \
    {scope, "kafka.tls.key", OPTION_TEXT, FIELD(kafka.connection.tls_key), 0, 0, NULL, ANY, "PEM file of its private key"}, \
    {scope, "kafka.tls.key_password", OPTION_TEXT, FIELD(kafka.connection.tls_key_password), 0, OPTION_SECRET, NULL, ANY, "password of the key"}, \
    {scope, "kafka.tls.key_password_file", OPTION_SECRET_FILE, FIELD(kafka.connection.tls_key_password), 0, 0, NULL, ANY, \
     "file that holds the password of the key"}, \
    {scope, "kafka.tls.insecure_skip_verify", OPTION_BOOL, FIELD(kafka.connection.tls_insecure_skip_verify), 0, 0, "false", ANY, \
     "do not check who the brokers are: for tests only"}, \
    {scope, "kafka.sasl", OPTION_GROUP, OPTION_NO_FIELD, 0, 0, NULL, ANY, "authentication at the brokers"}, \
    {scope, "kafka.sasl.mechanism", OPTION_ENUM, FIELD(kafka.connection.sasl), 0, OPTION_REQUIRED | OPTION_ANY_CASE, NULL, KAFKA_SASL_PLAIN, 0, \
     "plain|scram-sha-256|scram-sha-512|oauthbearer", "how weir shows who it is; small or capital letters"}, \
    {scope, "kafka.sasl.username", OPTION_TEXT, FIELD(kafka.connection.sasl_username), 0, 0, NULL, ANY, "plain, scram"}, \
    {scope, "kafka.sasl.password", OPTION_TEXT, FIELD(kafka.connection.sasl_password), 0, OPTION_SECRET, NULL, ANY, "plain, scram"}, \
    {scope, "kafka.sasl.password_file", OPTION_SECRET_FILE, FIELD(kafka.connection.sasl_password), 0, 0, NULL, ANY, "file that holds the password"}, \
    {scope, "kafka.sasl.token_url", OPTION_TEXT, FIELD(kafka.connection.oauth_token_url), 0, 0, NULL, ANY, \
     "oauthbearer: where tokens are fetched (client credentials of OAuth 2.0)"}, \
    {scope, "kafka.sasl.client_id", OPTION_TEXT, FIELD(kafka.connection.oauth_client_id), 0, 0, NULL, ANY, "oauthbearer"}, \
    {scope, "kafka.sasl.client_secret", OPTION_TEXT, FIELD(kafka.connection.oauth_client_secret), 0, OPTION_SECRET, NULL, ANY, "oauthbearer"}, \
    {scope, "kafka.sasl.client_secret_file", OPTION_SECRET_FILE, FIELD(kafka.connection.oauth_client_secret), 0, 0, NULL, ANY, \
     "file that holds the client secret"}, \
    {scope, "kafka.sasl.scope", OPTION_TEXT, FIELD(kafka.connection.oauth_scope), 0, 0, NULL, ANY, "oauthbearer: scope that is asked for"}

const struct option options[] = {
    {SCOPE_ROOT, "server", OPTION_GROUP, OPTION_NO_FIELD, 0, 0, NULL, ANY, "HTTP, WebSocket and the page"},
    {SCOPE_ROOT, "server.listen", OPTION_LISTEN, ROOT(server), 0, 0, "127.0.0.1:8765", ANY,
     "address and port; port 0 takes any free one; only loopback addresses in this version"},
    {SCOPE_ROOT, "server.allowed_origins", OPTION_TEXTS, ROOT(server.allowed_origins), ROOT(server.allowed_origin_count), 0, "[]", ANY,
     "web origins that may connect besides the page's own; \"*\" = any"},
    {SCOPE_ROOT, "server.max_connections", OPTION_COUNT32, ROOT(server.max_connections), 0, 0, "10000", 1, 1000000, NULL,
     "WebSocket connections at a time"},
    {SCOPE_ROOT, "server.client_queue", OPTION_SIZE, ROOT(server.client_queue_size), 0, 0, "1MiB", 64 * KIBIBYTES, 1024 * MEBIBYTES, NULL,
     "bytes that may wait for one WebSocket client"},
    {SCOPE_ROOT, "server.rate_limit_per_minute", OPTION_COUNT32, ROOT(server.rate_limit_per_minute), 0, 0, "60", 0, 1000000, NULL,
     "messages one WebSocket client may send in any 60 s; 0 = no limit"},
    {SCOPE_ROOT, "server.tls", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "certificate and key"},
    {SCOPE_ROOT, "auth", OPTION_GROUP, OPTION_NO_FIELD, 0, 0, NULL, ANY, "who may connect"},
    {SCOPE_ROOT, "auth.mode", OPTION_ENUM, OPTION_NO_FIELD, 0, 0, "none", 0, 0, "none|!jwt",
     "none = everybody who can reach the address"},
    {SCOPE_ROOT, "auth.issuer", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "expected issuer of tokens"},
    {SCOPE_ROOT, "auth.audience", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "expected audience of tokens"},
    {SCOPE_ROOT, "auth.leeway", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "tolerated difference of clocks"},
    {SCOPE_ROOT, "auth.keys", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "keys that sign tokens"},
    {SCOPE_ROOT, "auth.jwks", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "where keys are fetched"},
    {SCOPE_ROOT, "auth.protect_metrics", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "ask for a token at /metrics too"},
    {SCOPE_ROOT, "data_dir", OPTION_TEXT, ROOT(data_dir), 0, 0, "./weir-data", ANY,
     "folder of the embedded store and the event log"},
    {SCOPE_ROOT, "engine", OPTION_GROUP, OPTION_NO_FIELD, 0, 0, NULL, ANY, "threads and memory"},
    {SCOPE_ROOT, "engine.shards", OPTION_SHARDS, ROOT(shards), 0, 0, "auto", 1, CONFIG_MAX_SHARDS, NULL,
     "worker threads; auto = one per processor"},
    {SCOPE_ROOT, "engine.batch_size", OPTION_COUNT32, ROOT(batch_size), 0, 0, "1024", 1, CONFIG_MAX_BATCH_SIZE, NULL,
     "events that are worked on at a time; results do not depend on it"},
    {SCOPE_ROOT, "engine.memory_limit", OPTION_SIZE, ROOT(memory_limit), 0, 0, "2GiB", 64 * MEBIBYTES, 64 * TEBIBYTES, NULL,
     "memory of the process that is planned with"},
    {SCOPE_ROOT, "store", OPTION_GROUP, OPTION_NO_FIELD, 0, 0, NULL, ANY, "what is kept in data_dir, and for how long"},
    {SCOPE_ROOT, "store.results_retention", OPTION_DURATION, ROOT(store.results_retention_us), 0, 0, "30d", 0, 36500 * DAYS, NULL,
     "results, by when they were written; 0s = for ever"},
    {SCOPE_ROOT, "store.events_retention", OPTION_DURATION, ROOT(store.events_retention_us), 0, 0, "7d", 0, 36500 * DAYS, NULL,
     "events of http sources, by arrival, once they are processed; 0s = for ever"},
    {SCOPE_ROOT, "store.dead_letters_retention", OPTION_DURATION, ROOT(store.dead_letters_retention_us), 0, 0, "30d", 0, 36500 * DAYS, NULL,
     "dead letters, by arrival; 0s = for ever"},
    {SCOPE_ROOT, "store.max_log_size", OPTION_SIZE, ROOT(store.max_log_size), 0, 0, "8GiB", MEBIBYTES, 64 * TEBIBYTES, NULL,
     "size of the event log on disk from which http sources answer 429"},
    {SCOPE_ROOT, "sources", OPTION_COLLECTION, OPTION_NO_FIELD, 0, OPTION_REQUIRED, NULL, SCOPE_SOURCE, 0, NULL,
     "where events come from, by name; each has exactly one of kafka, http, file, generator"},
    {SCOPE_ROOT, "pipelines", OPTION_COLLECTION, OPTION_NO_FIELD, 0, 0, NULL, SCOPE_PIPELINE, 0, NULL,
     "what is computed, by name"},
    {SCOPE_ROOT, "sinks", OPTION_COLLECTION, OPTION_NO_FIELD, 0, 0, NULL, SCOPE_SINK, 0, NULL,
     "where results go besides store and live, by name; each has exactly one of file, console, blackhole, kafka"},
    {SCOPE_ROOT, "schemas", OPTION_COLLECTION, OPTION_NO_FIELD, 0, 0, NULL, SCOPE_SCHEMA, 0, NULL,
     "what events have to look like, by NAME or NAME@VERSION (without one: version 1); more of them may be in files of the folder `schemas` beside the config"},
    {SCOPE_ROOT, "models", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "models that score events"},
    {SCOPE_ROOT, "alerts", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "conditions that notify"},
    {SCOPE_ROOT, "channels", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "where alerts go"},
    {SCOPE_ROOT, "slo", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "objectives with error budgets"},

    {SCOPE_SOURCE, "kafka", OPTION_KIND, SOURCE(kind), 0, 0, NULL, SOURCE_KAFKA, 0, NULL, "topics of a Kafka cluster, read as a member of a consumer group"},
    {SCOPE_SOURCE, "kafka.topics", OPTION_TEXTS, SOURCE(kafka.topics), SOURCE(kafka.topic_count), OPTION_REQUIRED, NULL, ANY,
     "topics to read; one that begins with ^ is a regular expression over the topics there are"},
    {SCOPE_SOURCE, "kafka.group", OPTION_TEXT, SOURCE(kafka.group), 0, 0, "weir", ANY, "consumer group; its members share the partitions"},
    {SCOPE_SOURCE, "kafka.profile", OPTION_ENUM, SOURCE(kafka.profile), 0, 0, "high_throughput", 0, 0, "high_throughput|low_latency",
     "set of consumer settings, see Kafka profiles below"},
    {SCOPE_SOURCE, "kafka.group_protocol", OPTION_ENUM, SOURCE(kafka.group_protocol), 0, 0, "classic", 0, 0, "classic|consumer",
     "how members agree: classic = among themselves, any broker; consumer = the broker decides, Kafka 4.0 and later"},
    {SCOPE_SOURCE, "kafka.group_instance_id", OPTION_TEXT, SOURCE(kafka.group_instance_id), 0, 0, NULL, ANY,
     "static membership: a restart within session_timeout keeps the partitions; must differ between processes; classic only"},
    {SCOPE_SOURCE, "kafka.start", OPTION_ENUM, SOURCE(kafka.start), 0, 0, "earliest", 0, 0, "earliest|latest",
     "where a group without offsets begins"},
    {SCOPE_SOURCE, "kafka.session_timeout", OPTION_DURATION, SOURCE(kafka.session_timeout_us), 0, 0, NULL, SECONDS, 3600 * SECONDS, NULL,
     "silence after which a member's partitions go to others; absent = as the profile says; classic only"},
    {SCOPE_SOURCE, "kafka.buffer_size", OPTION_SIZE, SOURCE(kafka.buffer_size), 0, 0, "64MiB", MEBIBYTES, 1024 * MEBIBYTES, NULL,
     "records fetched ahead, all partitions of the source together"},
    {SCOPE_SOURCE, "kafka.partials_topic", OPTION_TEXT, SOURCE(kafka.partials_topic), 0, 0, NULL, ANY,
     "topic through which processes of the group share windows; absent = weir.GROUP.partials"},
    {SCOPE_SOURCE, "kafka.dead_letter_topic", OPTION_TEXT, SOURCE(kafka.dead_letter_topic), 0, OPTION_MAY_BE_EMPTY, NULL, ANY,
     "topic of bad events; absent = the record's topic with .dlq behind it; \"\" = none, they are only in the store"},
    KAFKA_CONNECTION_ROWS(SCOPE_SOURCE, SOURCE),
    {SCOPE_SOURCE, "http", OPTION_KIND, SOURCE(kind), 0, 0, NULL, SOURCE_HTTP, 0, NULL,
     "POST /api/v1/sources/NAME/events, durable before the answer"},
    {SCOPE_SOURCE, "http.partitions", OPTION_COUNT32, SOURCE(partitions), 0, 0, "1", 1, CONFIG_MAX_PARTITIONS, NULL, "partitions of the log"},
    {SCOPE_SOURCE, "http.partition_by", OPTION_PATH, SOURCE(partition_by), 0, 0, NULL, ANY,
     "path whose value chooses the partition; absent = requests take turns"},
    {SCOPE_SOURCE, "file", OPTION_KIND, SOURCE(kind), 0, 0, NULL, SOURCE_FILE, 0, NULL, "a file of one JSON object per line"},
    {SCOPE_SOURCE, "file.path", OPTION_TEXT, SOURCE(file.path), 0, OPTION_REQUIRED, NULL, ANY, "the file; .gz and .zst too; - = standard input"},
    {SCOPE_SOURCE, "file.rate", OPTION_FILE_RATE, SOURCE(file), 0, 0, "max", ANY, "lines per second; realtime = as the event times say"},
    {SCOPE_SOURCE, "file.loop", OPTION_BOOL, SOURCE(file.loop), 0, 0, "false", ANY, "begin again at the end of the file"},
    {SCOPE_SOURCE, "file.partitions", OPTION_COUNT32, SOURCE(partitions), 0, 0, "1", 1, CONFIG_MAX_PARTITIONS, NULL,
     "partitions the lines are dealt to by partition_by"},
    {SCOPE_SOURCE, "file.partition_by", OPTION_PATH, SOURCE(partition_by), 0, 0, NULL, ANY,
     "path whose value chooses the partition; absent = all lines in partition 0"},
    {SCOPE_SOURCE, "generator", OPTION_KIND, SOURCE(kind), 0, 0, NULL, SOURCE_GENERATOR, 0, NULL,
     "made-up traffic of a shop: views, carts, purchases; the same seed gives the same events"},
    {SCOPE_SOURCE, "generator.seed", OPTION_COUNT64, SOURCE(generator.seed), 0, 0, "1", ANY, "start of the random numbers"},
    {SCOPE_SOURCE, "generator.rate", OPTION_RATE, SOURCE(generator.rate_per_second), 0, 0, "1000/s", ANY, "events per second, all partitions together"},
    {SCOPE_SOURCE, "generator.count", OPTION_COUNT64, SOURCE(generator.count), 0, 0, "0", ANY, "events in all; 0 = endless"},
    {SCOPE_SOURCE, "generator.users", OPTION_COUNT32, SOURCE(generator.users), 0, 0, "1000", 1, 100000000, NULL, "different users"},
    {SCOPE_SOURCE, "generator.start", OPTION_TIME, SOURCE(generator.start_us), 0, 0, "now", ANY, "event time of the first event"},
    {SCOPE_SOURCE, "generator.partitions", OPTION_COUNT32, SOURCE(partitions), 0, 0, "1", 1, CONFIG_MAX_PARTITIONS, NULL, "partitions that are made"},
    {SCOPE_SOURCE, "generator.disorder", OPTION_DURATION, SOURCE(generator.disorder_us), 0, 0, "2s", 0, DAYS, NULL,
     "how far back an event out of order may lie"},
    {SCOPE_SOURCE, "generator.disorder_share", OPTION_SHARE, SOURCE(generator.disorder_share), 0, 0, "0.2", ANY, "share of events out of order"},
    {SCOPE_SOURCE, "generator.late_share", OPTION_SHARE, SOURCE(generator.late_share), 0, 0, "0", ANY,
     "share of events that are late by more than disorder"},
    {SCOPE_SOURCE, "generator.bad_share", OPTION_SHARE, SOURCE(generator.bad_share), 0, 0, "0", ANY, "share of records that are no usable event"},
    {SCOPE_SOURCE, "generator.future_share", OPTION_SHARE, SOURCE(generator.future_share), 0, 0, "0", ANY, "share of events from the far future"},
    {SCOPE_SOURCE, "format", OPTION_ENUM, OPTION_NO_FIELD, 0, 0, "json", 0, 0, "json", "one JSON object per event"},
    {SCOPE_SOURCE, "time", OPTION_PATH, SOURCE(time), 0, 0, NULL, ANY, "path of the event time; absent = the record's own time"},
    {SCOPE_SOURCE, "time_unit", OPTION_ENUM, SOURCE(time_unit), 0, 0, "auto", 0, 0, "auto|s|ms|us|ns",
     "unit of event times that are numbers; auto = by magnitude"},
    {SCOPE_SOURCE, "max_out_of_orderness", OPTION_DURATION, SOURCE(max_out_of_orderness_us), 0, 0, "5s", 0, 3650 * DAYS, NULL,
     "how far the watermark stays behind the largest event time of a partition"},
    {SCOPE_SOURCE, "idle_timeout", OPTION_DURATION, SOURCE(idle_timeout_us), 0, 0, "30s", MILLISECONDS, 3650 * DAYS, NULL,
     "silence after which a partition no longer holds back the others"},
    {SCOPE_SOURCE, "max_future_skew", OPTION_DURATION, SOURCE(max_future_skew_us), 0, 0, "5m", 0, 3650 * DAYS, NULL,
     "an event time this far beyond the record's own time is bad; a file has none"},
    {SCOPE_SOURCE, "on_bad", OPTION_ENUM, SOURCE(on_bad), 0, 0, "dlq", 0, 0, "dlq|skip|fail",
     "what happens to a bad event: kept as a dead letter, only counted, or the process stops"},
    {SCOPE_SOURCE, "schema", OPTION_SCHEMA, SOURCE(schema_name), 0, 0, NULL, ANY,
     "schema that events must keep, else they are bad; NAME is its newest version, NAME@VERSION that one; absent = any JSON object"},

    {SCOPE_PIPELINE, "from", OPTION_SOURCES, PIPELINE(sources), PIPELINE(source_count), OPTION_REQUIRED, NULL, ANY, "a source or a list of them; or pipelines with a window, whose final results are then the events"},
    {SCOPE_PIPELINE, "where", OPTION_EXPRESSION, PIPELINE(where), 0, 0, NULL, ANY, "condition; null is false; absent = every event"},
    {SCOPE_PIPELINE, "key", OPTION_KEYS, PIPELINE(keys), PIPELINE(key_count), 0, NULL, ANY,
     "path, list of paths, or mapping of names to expressions; absent = one group; without a window: key of the message in Kafka, absent = the key the event came with"},
    {SCOPE_PIPELINE, "window", OPTION_GROUP, OPTION_NO_FIELD, 0, OPTION_WITH_WINDOW, NULL, ANY,
     "how event time is cut, one of tumbling, sliding, session, global; absent = event in, event out: each event goes to the sinks by itself, whole or as `select` says"},
    {SCOPE_PIPELINE, "window.tumbling", OPTION_DURATION, PIPELINE(window.size_us), 0, 0, NULL, MILLISECONDS, 3650 * DAYS, NULL,
     "size of windows that follow each other, aligned to 1970-01-01 UTC"},
    {SCOPE_PIPELINE, "window.offset", OPTION_DURATION, PIPELINE(window.offset_us), 0, 0, "0s", -3650 * DAYS, 3650 * DAYS, NULL,
     "tumbling, sliding: moves the alignment; may be negative"},
    {SCOPE_PIPELINE, "window.sliding", OPTION_KIND, OPTION_NO_FIELD, 0, 0, NULL, ANY,
     "windows that overlap, aligned to 1970-01-01 UTC: an event is in every one that covers it"},
    {SCOPE_PIPELINE, "window.sliding.size", OPTION_DURATION, PIPELINE(window.size_us), 0, OPTION_REQUIRED, NULL, MILLISECONDS, 3650 * DAYS, NULL,
     "how long a window is"},
    {SCOPE_PIPELINE, "window.sliding.slide", OPTION_DURATION, PIPELINE(window.slide_us), 0, OPTION_REQUIRED, NULL, MILLISECONDS, 3650 * DAYS, NULL,
     "how long after the one before it a window begins; need not divide the size"},
    {SCOPE_PIPELINE, "window.session", OPTION_KIND, OPTION_NO_FIELD, 0, 0, NULL, ANY, "a window per key that ends with a gap in its events"},
    {SCOPE_PIPELINE, "window.session.gap", OPTION_DURATION, PIPELINE(window.gap_us), 0, OPTION_REQUIRED, NULL, MILLISECONDS, 3650 * DAYS, NULL,
     "a new session begins when the distance between events is longer"},
    {SCOPE_PIPELINE, "window.session.max_duration", OPTION_DURATION, PIPELINE(window.max_duration_us), 0, 0, NULL, MILLISECONDS, 3650 * DAYS, NULL,
     "a session that gets longer is cut, at multiples of this since 1970-01-01 UTC; absent = it is not cut"},
    {SCOPE_PIPELINE, "window.global", OPTION_KIND, OPTION_NO_FIELD, 0, 0, NULL, ANY, "one window per key that never closes; needs `emit`"},
    {SCOPE_PIPELINE, "allowed_lateness", OPTION_DURATION, PIPELINE(allowed_lateness_us), 0, OPTION_WITH_WINDOW, "10s", 0, 3650 * DAYS, NULL,
     "how long a closed window is kept for late events"},
    {SCOPE_PIPELINE, "late", OPTION_ENUM, PIPELINE(late), 0, OPTION_WITH_WINDOW, "update", 0, 0, "update|drop|dlq",
     "late events: the window is emitted again, or they are dropped, or they become dead letters"},
    {SCOPE_PIPELINE, "emit", OPTION_GROUP, OPTION_NO_FIELD, 0, OPTION_WITH_WINDOW, NULL, ANY, "early results of open windows, for keys that changed"},
    {SCOPE_PIPELINE, "emit.every", OPTION_DURATION, PIPELINE(emit_every_us), 0, 0, NULL, 10 * MILLISECONDS, DAYS, NULL, "by the wall clock"},
    {SCOPE_PIPELINE, "emit.count", OPTION_COUNT64, PIPELINE(emit_count), 0, 0, NULL, 1, 1000000000000, NULL, "after so many events of a key"},
    {SCOPE_PIPELINE, "emit_empty", OPTION_BOOL, PIPELINE(emit_empty), 0, OPTION_WITH_WINDOW, "false", ANY,
     "tumbling: windows without events of a key have a record of it, too, for the 60 windows behind its last event"},
    {SCOPE_PIPELINE, "close_after", OPTION_DURATION, PIPELINE(close_after_us), 0, OPTION_WITH_WINDOW, NULL, 10 * MILLISECONDS, 3650 * DAYS, NULL,
     "wall-clock time after which a window closes although its watermark stands still; absent = never"},
    {SCOPE_PIPELINE, "key_limit", OPTION_COUNT64, PIPELINE(key_limit), 0, OPTION_WITH_WINDOW, "10000000", 1, 1000000000, NULL,
     "keys in open windows; further ones go to the group \"__overflow__\""},
    {SCOPE_PIPELINE, "aggregates", OPTION_AGGREGATES, PIPELINE(aggregates), PIPELINE(aggregate_count), OPTION_REQUIRED | OPTION_WITH_WINDOW, NULL, ANY,
     "names and what they hold, as in `revenue: sum(properties.amount)`"},
    {SCOPE_PIPELINE, "to", OPTION_DESTINATIONS, PIPELINE(to_store), 0, 0, "[store, live]", ANY,
     "store, live, names of sinks; without a window: names of sinks only, required"},
    {SCOPE_PIPELINE, "predict", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "score each event with a model"},
    {SCOPE_PIPELINE, "select", OPTION_SELECT, PIPELINE(selects), PIPELINE(select_count), OPTION_WITHOUT_WINDOW, NULL, ANY,
     "names and expressions of what goes out of each event, as in `user: user_id`; absent = the event as it came"},
    {SCOPE_PIPELINE, "where_after", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "condition over scores"},

    {SCOPE_SINK, "file", OPTION_KIND, SINK(kind), 0, 0, NULL, SINK_FILE, 0, NULL, "one record per line, appended"},
    {SCOPE_SINK, "file.path", OPTION_TEXT, SINK(path), 0, OPTION_REQUIRED, NULL, ANY, "the file"},
    {SCOPE_SINK, "console", OPTION_KIND, SINK(kind), 0, 0, NULL, SINK_CONSOLE, 0, NULL, "one record per line on standard output"},
    {SCOPE_SINK, "blackhole", OPTION_KIND, SINK(kind), 0, 0, NULL, SINK_BLACKHOLE, 0, NULL, "counts and drops, for measuring"},
    {SCOPE_SINK, "kafka", OPTION_KIND, SINK(kind), 0, 0, NULL, SINK_KAFKA, 0, NULL, "one message per result, to a topic of a Kafka cluster"},
    {SCOPE_SINK, "kafka.topic", OPTION_TEXT, SINK(kafka.topic), 0, OPTION_REQUIRED, NULL, ANY, "topic to write to"},
    {SCOPE_SINK, "kafka.profile", OPTION_ENUM, SINK(kafka.profile), 0, 0, "high_throughput", 0, 0, "high_throughput|low_latency",
     "set of producer settings, see Kafka profiles below"},
    {SCOPE_SINK, "kafka.compression", OPTION_ENUM, SINK(kafka.compression), 0, 0, NULL, KAFKA_COMPRESSION_NONE, 0, "none|gzip|snappy|lz4|zstd",
     "of messages; absent = as the profile says"},
    {SCOPE_SINK, "kafka.transactional", OPTION_BOOL, SINK(kafka.transactional), 0, 0, "false", ANY,
     "results and the offsets of their events in one transaction: each result exactly once, read with isolation.level=read_committed"},
    {SCOPE_SINK, "kafka.transactional_id", OPTION_TEXT, SINK(kafka.transactional_id), 0, 0, NULL, ANY,
     "beginning of the ids of its transactions; absent = weir.NAME; must differ between groups"},
    KAFKA_CONNECTION_ROWS(SCOPE_SINK, SINK),
    {SCOPE_SINK, "postgres", OPTION_LATER, OPTION_NO_FIELD, 0, 0, NULL, ANY, "a PostgreSQL database"},

    {SCOPE_SCHEMA, "extends", OPTION_SCHEMA, offsetof(struct event_schema, extends), 0, 0, NULL, ANY,
     "schema whose fields this one has too; a field given here takes the place of the same one there"},
    {SCOPE_SCHEMA, "fields", OPTION_COLLECTION, OPTION_NO_FIELD, 0, OPTION_REQUIRED, NULL, SCOPE_FIELD, 0, NULL,
     "members of the event by their path, as in `payload.page`; members that are not listed are allowed"},

    {SCOPE_FIELD, "type", OPTION_EVENT_TYPES, FIELD(types), 0, OPTION_REQUIRED, NULL, ANY,
     "string, integer, number, boolean, object, array or any; 1.0 is an integer, integers are numbers"},
    {SCOPE_FIELD, "required", OPTION_BOOL, FIELD(is_required), 0, 0, "false", ANY,
     "whether it must be there; null is the same as missing"},
    {SCOPE_FIELD, "min", OPTION_NUMBER, FIELD(least), 0, 0, NULL, ANY, "smallest number"},
    {SCOPE_FIELD, "max", OPTION_NUMBER, FIELD(most), 0, 0, NULL, ANY, "largest number"},
    {SCOPE_FIELD, "min_length", OPTION_COUNT32, FIELD(least_length), 0, 0, NULL, 0, SCHEMA_MAX_LENGTH, NULL, "fewest characters of a string"},
    {SCOPE_FIELD, "max_length", OPTION_COUNT32, FIELD(most_length), 0, 0, NULL, 0, SCHEMA_MAX_LENGTH, NULL, "most characters of a string"},
    {SCOPE_FIELD, "non_empty", OPTION_BOOL, FIELD(is_non_empty), 0, 0, "false", ANY, "an object needs a member, a string a character"},
    {SCOPE_FIELD, "pattern", OPTION_PATTERN, FIELD(pattern), 0, 0, NULL, ANY,
     "regular expression (RE2) that a part of the string must match; begin with ^ and end with $ for all of it"},
    {SCOPE_FIELD, "enum", OPTION_CONSTANTS, FIELD(constants), FIELD(constant_count), 0, NULL, ANY, "the values that are allowed, as in `[EUR, USD]`"},
};
/* clang-format on */

const uint32_t option_count = sizeof options / sizeof *options;

const struct option *option_find(enum option_scope scope, const char *path)
{
    for (uint32_t i = 0; i < option_count; i++)
        if (options[i].scope == scope && strcmp(options[i].path, path) == 0)
            return &options[i];
    return NULL;
}

const char *option_name(const struct option *option)
{
    const char *dot = strrchr(option->path, '.');
    return dot ? dot + 1 : option->path;
}

bool option_is_member(const struct option *option, enum option_scope scope, const char *path)
{
    if (option->scope != scope)
        return false;
    size_t size = strlen(path);
    const char *rest = option->path;
    if (size > 0) {
        if (strncmp(rest, path, size) != 0 || rest[size] != '.')
            return false;
        rest += size + 1;
    }
    return strchr(rest, '.') == NULL;
}

bool option_has_members(const struct option *option)
{
    return option->type == OPTION_GROUP || option->type == OPTION_KIND || option->type == OPTION_SWITCH;
}

bool option_is_scalar(const struct option *option)
{
    switch (option->type) {
    case OPTION_GROUP:
    case OPTION_KIND:
    case OPTION_SWITCH:
    case OPTION_COLLECTION:
    case OPTION_PROPERTIES:
    case OPTION_TEXTS:
    case OPTION_KEYS:
    case OPTION_AGGREGATES:
    case OPTION_SELECT:
    case OPTION_SOURCES:
    case OPTION_DESTINATIONS:
    case OPTION_LATER: return false;
    default: return true;
    }
}

struct slice option_word(const struct option *option, uint32_t index)
{
    const char *at = option->words;
    for (; at && index > 0; index--) {
        at = strchr(at, '|');
        at = at ? at + 1 : NULL;
    }
    return (struct slice){at, at ? strcspn(at, "|") : 0};
}
