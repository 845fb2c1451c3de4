/* What has to fit together in a source or a sink of Kafka, and between them. A row of the option table knows only its own value;
 * here it is told that a mechanism lacks its password, that a name cannot be a topic, that a transaction would span two clusters. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/kafka_properties.h"
#include "config/options.h"

enum { KAFKA_TOPIC_MAX_SIZE = 249 }; /* the broker's own limit */

/* The mapping under `kafka:` of one source or sink, and what was read from it. */
struct connection {
    struct loader *loader;
    const struct node *node;
    const struct config_kafka_connection *values;
    unsigned use; /* enum kafka_property_use */
};

static const struct node *member(const struct node *map, const char *key)
{
    return map && map->kind == NODE_MAP ? node_find(map, key) : NULL;
}

/* NULL when the file has nothing there to be judged. */
static const struct node *kafka_node(const struct node *root, const char *collection, const char *name)
{
    const struct node *node = member(member(member(root, collection), name), "kafka");
    return node && node->kind == NODE_MAP ? node : NULL;
}

static void tell_missing(struct loader *loader, const struct node *map, const char *key, const char *why)
{
    problem_add(&loader->problems, map->key_place, "%s: `%s` is missing (%s)", node_path(loader->arena, map),
                key, why);
}

/* The elements of a list, or the one text in its place. */
static void each_text(struct loader *loader, const struct node *node,
                      void (*check)(struct loader *, const struct node *))
{
    if (!node || node->kind == NODE_MAP)
        return;
    for (const struct node *at = node->kind == NODE_LIST ? node->first : node; at;
         at = node->kind == NODE_LIST ? at->next : NULL)
        if (at->kind == NODE_SCALAR && at->text[0] != '\0' && !node_is_null(at) && !at->is_broken)
            check(loader, at);
}

static void check_broker(struct loader *loader, const struct node *node)
{
    const char *text = node->text, *colon = strrchr(text, ':'), *scheme = strstr(text, "://");
    size_t port_size = colon ? strlen(colon + 1) : 0;
    if (strpbrk(text, ", \t"))
        value_problem(loader, node,
                      "`%s` is more than one broker; write a list: [\"host:9092\", \"other:9092\"]", text);
    else if (scheme)
        value_problem(loader, node,
                      "`%s` is a URL; write host:port (`tls` and `sasl` say how it is spoken to)", text);
    else if (!colon || colon == text || port_size == 0 || port_size > 5 ||
             strspn(colon + 1, "0123456789") != port_size || strtoul(colon + 1, NULL, 10) > UINT16_MAX ||
             strtoul(colon + 1, NULL, 10) == 0 || (text[0] != '[' && strchr(text, ':') != colon))
        value_problem(loader, node, "`%s` is not host:port, such as 127.0.0.1:9092 or [::1]:9092", text);
}

static void check_topic(struct loader *loader, const struct node *node)
{
    static const char *const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *text = node->text;
    size_t size = strlen(text), good = strspn(text, allowed);
    if (text[0] == '^')
        value_problem(loader, node, "`%s` is a pattern; give the name of one topic", text);
    else if (good < size && text[good] == ',')
        value_problem(loader, node, "`%s` is more than one topic; write a list: [a, b]", text);
    else if (good < size || size > KAFKA_TOPIC_MAX_SIZE || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        value_problem(
            loader, node, "`%.260s` cannot be a topic; names are 1 to %d letters, digits, `.`, `_` and `-`%s",
            text, KAFKA_TOPIC_MAX_SIZE, strpbrk(text, "*+()[]|\\$") ? "; a pattern begins with ^" : "");
}

static void check_topic_or_pattern(struct loader *loader, const struct node *node)
{
    if (node->text[0] != '^') {
        check_topic(loader, node);
        return;
    }
    regex_t pattern;
    char reason[128];
    int failure = regcomp(&pattern, node->text, REG_EXTENDED | REG_NOSUB);
    if (!failure) {
        regfree(&pattern);
        return;
    }
    regerror(failure, &pattern, reason, sizeof reason);
    value_problem(loader, node, "`%s` is no regular expression: %s", node->text, reason);
}

static void check_properties(const struct connection *connection)
{
    struct loader *loader = connection->loader;
    const struct node *map = member(connection->node, "properties");
    for (const struct node *node = map ? map->first : NULL; node; node = node->next) {
        struct error reason;
        if (node->kind != NODE_SCALAR || node_is_null(node) || node->is_broken || !node->key)
            continue;
        enum kafka_property_verdict verdict =
            kafka_property_check(node->key, node->text, connection->use, loader->arena, &reason);
        if (verdict != KAFKA_PROPERTY_OK)
            problem_add(&loader->problems,
                        verdict == KAFKA_PROPERTY_WRONG_NAME ? node->key_place : node->place, "%s: %s",
                        node_path(loader->arena, node), reason.text);
    }
}

static bool has_property(const struct config_kafka_connection *values, const char *beginning)
{
    for (uint32_t i = 0; i < values->property_count; i++)
        if (strncmp(values->properties[i].name, beginning, strlen(beginning)) == 0)
            return true;
    return false;
}

static void check_tls(const struct connection *connection)
{
    const struct node *tls = member(connection->node, "tls");
    struct loader *loader = connection->loader;
    const struct node *password = member(tls, "key_password");
    if (!password)
        password = member(tls, "key_password_file");
    bool has_key = member(tls, "key") || has_property(connection->values, "ssl.key.");
    bool has_certificate = member(tls, "certificate") || has_property(connection->values, "ssl.certificate.");
    if (has_certificate && tls && tls->kind == NODE_MAP && !has_key)
        tell_missing(loader, tls, "key", "a certificate is only of use with its private key");
    else if (member(tls, "key") && !has_certificate)
        tell_missing(loader, tls, "certificate", "a key is only of use with its certificate");
    else if (password && !has_key)
        tell_missing(loader, tls, "key", "there is a password, and no key");
}

static const char *mechanism_name(enum kafka_sasl mechanism)
{
    static const char *const names[] = {"none", "plain", "scram-sha-256", "scram-sha-512", "oauthbearer"};
    return names[mechanism];
}

static void check_sasl(const struct connection *connection)
{
    static const char *const of_oauth[] = {"token_url", "client_id", "client_secret", "client_secret_file",
                                           "scope"};
    static const char *const of_password[] = {"username", "password", "password_file"};
    struct loader *loader = connection->loader;
    const struct node *sasl = member(connection->node, "sasl");
    enum kafka_sasl mechanism = connection->values->sasl;
    if (!sasl || sasl->kind != NODE_MAP || mechanism == KAFKA_SASL_NONE)
        return;
    bool is_oauth = mechanism == KAFKA_SASL_OAUTHBEARER;
    const char *const *foreign = is_oauth ? of_password : of_oauth;
    for (size_t i = 0; i < (is_oauth ? 3 : 5); i++) {
        const struct node *node = member(sasl, foreign[i]);
        if (node)
            problem_add(&loader->problems, node->key_place, "%s: is not used by `%s`; remove it, or take %s",
                        node_path(loader->arena, node), mechanism_name(mechanism),
                        is_oauth ? "plain or scram" : "oauthbearer");
    }
    const char *why = arena_format(loader->arena, "%s needs it", mechanism_name(mechanism));
    if (!is_oauth && !member(sasl, "username") && !has_property(connection->values, "sasl.username"))
        tell_missing(loader, sasl, "username", why);
    if (!is_oauth && !member(sasl, "password") && !member(sasl, "password_file") &&
        !has_property(connection->values, "sasl.password"))
        tell_missing(loader, sasl, "password", arena_format(loader->arena, "%s, or `password_file`", why));
    if (!is_oauth || has_property(connection->values, "sasl.oauthbearer.") ||
        has_property(connection->values, "enable.sasl.oauthbearer."))
        return;
    if (!member(sasl, "token_url"))
        tell_missing(loader, sasl, "token_url", "oauthbearer fetches its tokens there");
    if (!member(sasl, "client_id"))
        tell_missing(loader, sasl, "client_id", why);
    if (!member(sasl, "client_secret") && !member(sasl, "client_secret_file"))
        tell_missing(loader, sasl, "client_secret",
                     arena_format(loader->arena, "%s, or `client_secret_file`", why));
}

static void check_token_url(const struct connection *connection)
{
    const struct node *url = member(member(connection->node, "sasl"), "token_url");
    const char *text = connection->values->oauth_token_url;
    if (url && text && strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0)
        value_problem(connection->loader, url, "`%s` is not a URL such as https://auth.example.org/token",
                      text);
}

static void check_connection(const struct connection *connection)
{
    each_text(connection->loader, member(connection->node, "brokers"), check_broker);
    check_properties(connection);
    check_tls(connection);
    check_sasl(connection);
    check_token_url(connection);
}

/* A topic that weir writes for this source must not be one that it reads, or it would read its own words for ever. */
static void check_own_topic(struct loader *loader, const struct config_kafka_source *source,
                            const struct node *node)
{
    if (!node || node->kind != NODE_SCALAR || node->text[0] == '\0' || node->is_broken)
        return;
    uint32_t problems_before = loader->problems.count;
    check_topic(loader, node);
    for (uint32_t i = 0; i < source->topic_count && loader->problems.count == problems_before; i++)
        if (strcmp(source->topics[i], node->text) == 0)
            value_problem(loader, node, "the source reads `%s` itself; give another topic", node->text);
}

static void check_source(struct loader *loader, const struct config_source *source, const struct node *node)
{
    const struct config_kafka_source *kafka = &source->kafka;
    bool is_classic = kafka->group_protocol == KAFKA_CLASSIC;
    const struct node *instance = member(node, "group_instance_id"),
                      *timeout = member(node, "session_timeout");
    check_connection(
        &(struct connection){loader, node, &kafka->connection,
                             KAFKA_PROPERTY_OF_SOURCE | (is_classic ? KAFKA_PROPERTY_OF_CLASSIC_GROUP
                                                                    : KAFKA_PROPERTY_OF_CONSUMER_GROUP)});
    each_text(loader, member(node, "topics"), check_topic_or_pattern);
    check_own_topic(loader, kafka, member(node, "partials_topic"));
    check_own_topic(loader, kafka, member(node, "dead_letter_topic"));
    if (instance && !is_classic)
        problem_add(
            &loader->problems, instance->key_place,
            "%s: goes with `group_protocol: classic` only: with `consumer`, a process that was killed "
            "could not come back before its session has ended; remove one of the two",
            node_path(loader->arena, instance));
    if (timeout && !is_classic)
        problem_add(
            &loader->problems, timeout->key_place,
            "%s: with `group_protocol: consumer` the broker decides it "
            "(group.consumer.session.timeout.ms, or consumer.session.timeout.ms of the group); remove it",
            node_path(loader->arena, timeout));
}

static void check_sink(struct loader *loader, const struct config_sink *sink, const struct node *node)
{
    const struct node *id = member(node, "transactional_id");
    check_connection(&(struct connection){loader, node, &sink->kafka.connection, KAFKA_PROPERTY_OF_SINK});
    each_text(loader, member(node, "topic"), check_topic);
    if (id && !sink->kafka.transactional)
        problem_add(&loader->problems, id->key_place, "%s: is of use with `transactional: true` only",
                    node_path(loader->arena, id));
}

static bool has_broker(const struct config_kafka_connection *connection, const char *broker)
{
    for (uint32_t i = 0; i < connection->broker_count; i++)
        if (strcmp(connection->brokers[i], broker) == 0)
            return true;
    return false;
}

/* The same brokers, in any order: what weir can know of "the same cluster" before it connects. */
static bool is_same_cluster(const struct config_kafka_connection *a, const struct config_kafka_connection *b)
{
    bool same = true;
    for (uint32_t i = 0; i < a->broker_count; i++)
        same = same && has_broker(b, a->brokers[i]);
    for (uint32_t i = 0; i < b->broker_count; i++)
        same = same && has_broker(a, b->brokers[i]);
    return same;
}

static bool share_topic(const struct config_kafka_source *a, const struct config_kafka_source *b,
                        const char **topic)
{
    for (uint32_t i = 0; i < a->topic_count; i++)
        for (uint32_t j = 0; j < b->topic_count; j++)
            if (strcmp(a->topics[i], b->topics[j]) == 0) {
                *topic = a->topics[i];
                return true;
            }
    return false;
}

/* Two sources of one group share the partitions of a topic: each would see only some of the events. */
static void check_shared_topics(struct loader *loader, uint32_t index)
{
    const struct config *config = loader->config;
    const struct config_source *source = &config->sources[index];
    for (uint32_t i = 0; i < index; i++) {
        const struct config_source *other = &config->sources[i];
        const char *topic;
        if (other->kind != SOURCE_KAFKA ||
            !is_same_cluster(&source->kafka.connection, &other->kafka.connection) ||
            strcmp(source->kafka.group, other->kafka.group) != 0 ||
            !share_topic(&source->kafka, &other->kafka, &topic))
            continue;
        problem_add(
            &loader->problems, source->place,
            "sources `%s` and `%s` both read topic `%s` in group `%s`, so each would get only a part of "
            "its events; give one of them a `group` of its own",
            other->name, source->name, topic, source->kafka.group);
        return;
    }
}

/* What keeps the results of `source` out of a transaction of `sink`; NULL when nothing does. `first` is the source whose
 * group all others must have. */
static const char *transaction_obstacle(struct arena *arena, const struct config_sink *sink,
                                        const struct config_source *source, const struct config_source *first)
{
    if (source->kind != SOURCE_KAFKA)
        return arena_format(arena, "source `%s` is not kafka, so it has no offsets there", source->name);
    if (!is_same_cluster(&source->kafka.connection, &sink->kafka.connection))
        return arena_format(arena, "source `%s` has other brokers", source->name);
    if (first && strcmp(first->kafka.group, source->kafka.group) != 0)
        return arena_format(arena, "sources `%s` and `%s` are in different groups", first->name,
                            source->name);
    return NULL;
}

/* A transaction is of one cluster and commits the offsets of one group. */
static void check_transactions(struct loader *loader, const struct node *root)
{
    const struct config *config = loader->config;
    const struct config_sink *first_sink = NULL;
    const struct config_source *first_source = NULL;
    for (uint32_t i = 0; i < config->sink_count; i++) {
        const struct config_sink *sink = &config->sinks[i];
        const struct node *node = member(kafka_node(root, "sinks", sink->name), "transactional");
        if (sink->kind != SINK_KAFKA || !sink->kafka.transactional || !node)
            continue;
        if (first_sink && !is_same_cluster(&first_sink->kafka.connection, &sink->kafka.connection)) {
            value_problem(
                loader, node,
                "transactional sinks `%s` and `%s` have different brokers; one transaction cannot span "
                "two clusters: make one of them `transactional: false`",
                first_sink->name, sink->name);
            continue;
        }
        first_sink = first_sink ? first_sink : sink;
        const char *obstacle = NULL;
        for (uint32_t j = 0; j < config->pipeline_count; j++) {
            const struct config_pipeline *pipeline = &config->pipelines[j];
            bool writes = false;
            uint32_t roots[CONFIG_MAX_SOURCES], root_count = config_root_sources(config, j, roots);
            for (uint32_t k = 0; k < pipeline->sink_count; k++)
                writes = writes || pipeline->sinks[k] == i;
            for (uint32_t k = 0; writes && !obstacle && k < root_count; k++) {
                const struct config_source *source = &config->sources[roots[k]];
                obstacle = transaction_obstacle(loader->arena, sink, source, first_source);
                first_source = first_source || obstacle ? first_source : source;
                if (obstacle)
                    value_problem(
                        loader, node,
                        "pipeline `%s` writes to it, but %s; results and offsets go into one transaction "
                        "only within one cluster and group: change the source, or leave "
                        "`transactional` out",
                        pipeline->name, obstacle);
            }
        }
    }
}

void config_check_kafka(struct loader *loader, const struct node *root)
{
    const struct config *config = loader->config;
    uint32_t problems_before = loader->problems.count;
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct node *node = kafka_node(root, "sources", config->sources[i].name);
        if (node && config->sources[i].kind == SOURCE_KAFKA)
            check_source(loader, &config->sources[i], node);
    }
    for (uint32_t i = 0; i < config->sink_count; i++) {
        const struct node *node = kafka_node(root, "sinks", config->sinks[i].name);
        if (node && config->sinks[i].kind == SINK_KAFKA)
            check_sink(loader, &config->sinks[i], node);
    }
    /* What goes on between them is told when each of them is right. */
    if (loader->problems.count > problems_before)
        return;
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->sources[i].kind == SOURCE_KAFKA)
            check_shared_topics(loader, i);
    check_transactions(loader, root);
}

static void warn_of_connection(struct loader *loader, struct config_place place, const char *name,
                               const struct config_kafka_connection *connection)
{
    if (connection->sasl == KAFKA_SASL_PLAIN && !connection->tls &&
        !has_property(connection, "security.protocol"))
        problem_add_warning(&loader->problems, place,
                            "`%s` sends its password unencrypted: `sasl` is plain and there is no `tls`; add "
                            "`tls: true`, or take scram-sha-256",
                            name);
    if (connection->tls_insecure_skip_verify)
        problem_add_warning(
            &loader->problems, place,
            "`%s` does not check who the brokers are (insecure_skip_verify); give `ca` instead", name);
}

/* Results that go where events come from become events. */
static void warn_of_loop(struct loader *loader, const struct config_pipeline *pipeline,
                         const struct config_sink *sink)
{
    const struct config *config = loader->config;
    for (uint32_t i = 0; i < pipeline->source_count; i++) {
        const struct config_source *source = &config->sources[pipeline->sources[i]];
        if (source->kind != SOURCE_KAFKA ||
            !is_same_cluster(&source->kafka.connection, &sink->kafka.connection))
            continue;
        for (uint32_t j = 0; j < source->kafka.topic_count; j++)
            if (strcmp(source->kafka.topics[j], sink->kafka.topic) == 0)
                problem_add_warning(&loader->problems, pipeline->place,
                                    "`%s` writes its results to topic `%s`, which it also reads",
                                    pipeline->name, sink->kafka.topic);
    }
}

void config_warn_kafka(struct loader *loader)
{
    const struct config *config = loader->config;
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->sources[i].kind == SOURCE_KAFKA)
            warn_of_connection(loader, config->sources[i].place, config->sources[i].name,
                               &config->sources[i].kafka.connection);
    for (uint32_t i = 0; i < config->sink_count; i++)
        if (config->sinks[i].kind == SINK_KAFKA)
            warn_of_connection(loader, config->sinks[i].place, config->sinks[i].name,
                               &config->sinks[i].kafka.connection);
    for (uint32_t i = 0; i < config->pipeline_count; i++)
        for (uint32_t j = 0; j < config->pipelines[i].sink_count; j++) {
            const struct config_sink *sink = &config->sinks[config->pipelines[i].sinks[j]];
            if (sink->kind == SINK_KAFKA)
                warn_of_loop(loader, &config->pipelines[i], sink);
        }
}
