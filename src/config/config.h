/* The configuration of one process: typed, complete (defaults filled in), and with the place of everything that is
 * checked later (expressions), so that a later error still points into the file. Filled by config_load() from the option
 * table (options.c); immutable afterwards; lives in its arena until config_destroy(). Control thread writes, all read. */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"

enum {
    CONFIG_MAX_SOURCES = 64,
    CONFIG_MAX_PIPELINES = 256,
    CONFIG_MAX_SINKS = 64,
    CONFIG_MAX_SHARDS = 64,
    CONFIG_MAX_WINDOW_PANES = 65536, /* of a sliding window */
    CONFIG_MAX_PARTITIONS = 1024, /* per source */
    CONFIG_MAX_BATCH_SIZE = 8192, /* = BATCH_MAX_ROWS */
    CONFIG_MAX_KEYS = 16,         /* per pipeline; = RESULT_MAX_KEYS */
    CONFIG_MAX_AGGREGATES = 64,   /* per pipeline; = RESULT_MAX_AGGREGATES */
    CONFIG_MAX_SELECTS = 64,      /* fields of `select`; = RESULT_MAX_AGGREGATES */
    CONFIG_MAX_SCHEMAS = 256,     /* versions of schemas, the built-in ones and those in files too */
    CONFIG_MAX_NAME_SIZE = 64,
    CONFIG_MAX_ERRORS = 20,
    CONFIG_MAX_PROPERTIES = 64,         /* of one Kafka connection */
    CONFIG_MAX_SECRET_SIZE = 64 * 1024, /* bytes of a `*_file` */
};

/* A place in the file; line 0 = it came from a default, a flag or the environment (then `variable` may name it). */
struct config_place {
    uint32_t line, column; /* from 1 */
    const char *variable;
    const char *file; /* a file beside the config; NULL = the config itself */
};

/* Text to be parsed later (an expression, a path), with the place of its first character in the file. NULL text: absent. */
struct config_text {
    const char *text;
    struct config_place place;
};

struct config_named_text {
    const char *name;
    struct config_text value;
};

enum source_kind { SOURCE_KAFKA, SOURCE_HTTP, SOURCE_FILE, SOURCE_GENERATOR };
enum on_bad { ON_BAD_DLQ, ON_BAD_SKIP, ON_BAD_FAIL };
enum file_rate { FILE_RATE_MAX, FILE_RATE_REALTIME, FILE_RATE_PER_SECOND };
enum config_time_unit { CONFIG_TIME_AUTO, CONFIG_TIME_S, CONFIG_TIME_MS, CONFIG_TIME_US, CONFIG_TIME_NS };

enum kafka_profile { KAFKA_HIGH_THROUGHPUT, KAFKA_LOW_LATENCY };
enum kafka_sasl {
    KAFKA_SASL_NONE,
    KAFKA_SASL_PLAIN,
    KAFKA_SASL_SCRAM_SHA_256,
    KAFKA_SASL_SCRAM_SHA_512,
    KAFKA_SASL_OAUTHBEARER
};
enum kafka_group_protocol { KAFKA_CLASSIC, KAFKA_CONSUMER };
enum kafka_start { KAFKA_START_EARLIEST, KAFKA_START_LATEST };
enum kafka_compression {
    KAFKA_COMPRESSION_PROFILE, /* absent: as the profile says */
    KAFKA_COMPRESSION_NONE,
    KAFKA_COMPRESSION_GZIP,
    KAFKA_COMPRESSION_SNAPPY,
    KAFKA_COMPRESSION_LZ4,
    KAFKA_COMPRESSION_ZSTD
};

/* How to reach a cluster: the same rows for sources and sinks. Secrets are resolved (`*_file` read); "" = absent is NULL. */
struct config_kafka_connection {
    const char **brokers;
    uint32_t broker_count;
    bool tls;                                       /* `tls: true`, or any member of `tls:` given */
    const char *tls_ca, *tls_certificate, *tls_key; /* paths */
    const char *tls_key_password;
    bool tls_insecure_skip_verify;
    enum kafka_sasl sasl;
    const char *sasl_username, *sasl_password;
    const char *oauth_token_url, *oauth_client_id, *oauth_client_secret, *oauth_scope;
    struct config_named_text *properties; /* any librdkafka setting; wins over all else */
    uint32_t property_count;
};

struct config_kafka_source {
    struct config_kafka_connection connection;
    const char **topics; /* a name, or a pattern that begins with ^ */
    uint32_t topic_count;
    const char *group;
    enum kafka_profile profile;
    enum kafka_group_protocol group_protocol;
    const char *group_instance_id; /* static membership; NULL = none */
    enum kafka_start start;        /* of a new group */
    int64_t session_timeout_us;    /* 0 = as the profile says; classic only */
    uint64_t buffer_size;          /* bytes fetched ahead, all partitions of the source together */
    const char *
        partials_topic; /* through which several processes of the group share windows; NULL = weir.GROUP.partials */
    const char *dead_letter_topic; /* NULL = TOPIC.dlq of the record's topic; "" = none, the store alone */
};

/* What of a pipeline goes to a topic is decided by the pipeline: results of windows, or events. */
struct config_kafka_sink {
    struct config_kafka_connection connection;
    const char *topic;
    enum kafka_profile profile;
    enum kafka_compression compression;
    bool transactional;           /* results and offsets in one transaction */
    const char *transactional_id; /* prefix; NULL = weir.SINK */
};

struct config_file_source {
    const char *path;
    enum file_rate rate;
    double rate_per_second; /* FILE_RATE_PER_SECOND only */
    bool loop;
};

/* Seeded test traffic; see source/generator.h for the events it makes. Shares are 0..1 of the events. */
struct config_generator_source {
    uint64_t seed;
    double rate_per_second; /* 0 = as fast as it can */
    uint64_t count;         /* events in all; 0 = endless */
    uint32_t users;
    int64_t start_us;    /* event time of the first event; TIME_NONE (INT64_MIN) = now */
    int64_t disorder_us; /* events are out of order by up to this */
    double disorder_share, late_share, bad_share, future_share;
};

struct config_source {
    const char *name;
    struct config_place place;
    enum source_kind kind;
    struct config_kafka_source kafka;
    struct config_file_source file;
    struct config_generator_source generator;
    uint32_t partitions;             /* file, http, generator; default 1 */
    struct config_text partition_by; /* path; absent = round robin by request (http), partition 0 (file) */
    struct config_text time;         /* path of the event time; absent = the message's own time */
    enum config_time_unit time_unit;
    int64_t max_out_of_orderness_us, idle_timeout_us, max_future_skew_us;
    enum on_bad on_bad;
    struct config_text schema_name;    /* NAME or NAME@VERSION; absent = events of any shape */
    const struct event_schema *schema; /* of that name, from event_schema.h; NULL when absent or unknown */
};

enum config_window_kind {
    CONFIG_WINDOW_TUMBLING,
    CONFIG_WINDOW_SLIDING,
    CONFIG_WINDOW_SESSION,
    CONFIG_WINDOW_GLOBAL
};
const char *config_window_kind_name(enum config_window_kind kind); /* "tumbling" "sliding" ... */
enum late_policy { LATE_UPDATE, LATE_DROP, LATE_DLQ };

struct config_window {
    enum config_window_kind kind;
    int64_t size_us, offset_us;      /* tumbling, sliding */
    int64_t slide_us;                /* sliding; tumbling: the size */
    int64_t gap_us, max_duration_us; /* session */
};

struct config_pipeline {
    const char *name;
    struct config_place place;
    uint32_t *sources; /* indices into config->sources; none when it reads pipelines */
    uint32_t source_count;
    uint32_t *upstreams; /* indices into config->pipelines: those whose final results are its events */
    uint32_t upstream_count;
    struct config_place from_place;
    bool is_read;   /* it is some other pipeline's upstream */
    bool is_hidden; /* runs only because another needs it: its results are not shown (replay, tests) */
    struct config_text where;
    struct config_named_text *keys; /* expression per key; name given or last path component */
    uint32_t key_count;
    bool has_window; /* else event in, event out: of what follows only `selects` and `sinks` have a meaning */
    struct config_window window;
    int64_t allowed_lateness_us;
    enum late_policy late;
    int64_t emit_every_us;                /* 0 = no early results by time */
    uint64_t emit_count;                  /* 0 = no early results by count */
    bool emit_empty;
    int64_t close_after_us;               /* 0 = never by the wall clock */
    uint64_t key_limit;                   /* default 10,000,000 */
    struct config_named_text *aggregates; /* "revenue" → "sum(properties.amount)" */
    uint32_t aggregate_count;
    struct config_named_text *selects; /* "user" → "user_id"; none = the event as it came */
    uint32_t select_count;
    bool to_store, to_live;
    uint32_t *sinks; /* indices into config->sinks */
    uint32_t sink_count;
};

enum sink_kind { SINK_FILE, SINK_CONSOLE, SINK_BLACKHOLE, SINK_KAFKA };

struct config_sink {
    const char *name;
    struct config_place place;
    enum sink_kind kind;
    const char *path; /* file */
    struct config_kafka_sink kafka;
};

struct config_server {
    const char *listen_host; /* as written; IPv6 without brackets */
    uint16_t listen_port;    /* 0 = any free port */
    struct config_place listen_place;
    const char **allowed_origins;
    uint32_t allowed_origin_count;
    uint32_t max_connections;       /* WebSockets */
    uint64_t client_queue_size;     /* bytes */
    uint32_t rate_limit_per_minute; /* client messages; 0 = off */
};

struct config_store {
    int64_t results_retention_us, events_retention_us, dead_letters_retention_us; /* 0 = for ever */
    uint64_t max_log_size; /* bytes of undelivered and retained http events on disk before 429 */
};

struct node; /* yaml_tree.h */
struct event_schema;

struct config {
    struct arena arena;
    const struct node *tree; /* what it was read from; for config_show */
    const char *file;        /* as given; "(built-in)" for the demo */
    struct config_server server;
    const char *data_dir;
    uint32_t shards;       /* engine.shards; auto is resolved to a number */
    uint32_t batch_size;   /* engine.batch_size, rows per batch */
    uint64_t memory_limit; /* bytes */
    struct config_store store;
    struct config_source *sources;
    uint32_t source_count;
    struct config_pipeline *pipelines;
    uint32_t pipeline_count;
    struct config_sink *sinks;
    uint32_t sink_count;
    struct event_schema
        *schemas; /* by name, then version; none where no source asks for one and none is given */
    uint32_t schema_count;
};

/* Errors and warnings are collected, up to CONFIG_MAX_ERRORS of each, as lines "file:line:col: error: message" in `text`, in
 * the order of their places. `count` and `warning_count` also count those that found no room. */
struct config_errors {
    struct buffer text;
    uint32_t count;
    uint32_t warning_count;
    const char *file;
    uint32_t line_count;
    struct config_place places[2 * CONFIG_MAX_ERRORS]; /* of each line of `text` */
    size_t line_sizes[2 * CONFIG_MAX_ERRORS];
};

/* A flag given on the command line as an override: path "server.listen", value text. */
struct config_override {
    const char *path, *value;
};

/* Reads, substitutes ${VAR}, applies WEIR_A__B and flag overrides, checks against the option table. `text` non-NULL: use it instead
 * of reading `file` (the demo). NULL on any error; then `errors` says everything (a missing file too). */
struct config *config_load(const char *file, const char *text, const struct config_override *overrides,
                           uint32_t override_count, struct config_errors *errors);
/* The same, but what could be read is returned in spite of errors, so that the expressions in it can be checked as well and all
 * errors told at once. Never to be run when `errors` has grown. NULL only when there is no YAML to read. */
struct config *config_load_partly(const char *file, const char *text, const struct config_override *overrides,
                                  uint32_t override_count, struct config_errors *errors);
/* The same for a mapping within another file (its places are of that file). The tree is changed, and must outlive what is returned. */
struct config *config_load_tree(const char *file, struct node *root, struct config_errors *errors);
void config_destroy(struct config *config);

/* Leaves only that pipeline in the configuration, and those it reads from, which are hidden. Arrays are made in `arena`. */
void config_keep_pipeline(struct config *config, uint32_t pipeline_index, struct arena *arena);
/* The pipelines in an order in which each is behind those it reads from. `order` has room for all. */
void config_order_pipelines(const struct config *config, uint32_t *order);

void config_errors_init(struct config_errors *errors, const char *file);
void config_errors_deinit(struct config_errors *errors);
/* Adds "file:line:col: error: ..." (or "WEIR_X: error: ..." for a variable). Beyond the maximum only counts. */
void config_error_add(struct config_errors *errors, struct config_place place, const char *format, ...)
    PRINTF_LIKE(3, 4);
void config_warning_add(struct config_errors *errors, struct config_place place, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The place `offset` bytes into a config_text, for expression errors. */
struct config_place config_text_place(const struct config_text *text, size_t offset);

/* `weir config show|schema|docs`. show: effective YAML, each value with its origin (default, file:line, WEIR_X, flag), secrets as "***". */
NODISCARD
enum status config_show(const char *file, const struct config_override *overrides, uint32_t override_count,
                        bool as_json, struct buffer *out, struct config_errors *errors);
void config_write_schema(struct buffer *out); /* JSON Schema draft 2020-12 */
void config_write_docs(struct buffer *out);   /* docs/CONFIG.md */
