/* Groups, producers and connections of Kafka. Every client of the process has the labels `role` and `client`: the name of its group, of its
 * sink, or of the source whose dead letters it writes. */
#include <stddef.h>

#include "monitor/metrics_text.h"

static void label_client(struct metrics_writer *writer, const struct kafka_client_stats *client)
{
    metrics_label(writer, "role", kafka_role_name(client->role));
    metrics_label(writer, "client", client->name);
}

/* --- groups -------------------------------------------------------------------------------------------------------- */

static uint64_t rebalances(const struct kafka_client_stats *client)
{
    return client->member.rebalance_count;
}

static uint64_t joined(const struct kafka_client_stats *client)
{
    return client->member.is_member;
}

static uint64_t assigned(const struct kafka_client_stats *client)
{
    return client->member.assigned_count;
}

static uint64_t commit_failures(const struct kafka_client_stats *client)
{
    return client->member.commit_failure_count;
}

static const struct {
    const char *name, *help;
    enum metrics_kind kind;
    uint64_t (*value)(const struct kafka_client_stats *client);
} group_families[] = {
    {"weir_kafka_rebalances", "Times that the group gave partitions to this process or took some away.",
     METRICS_COUNTER, rebalances},
    {"weir_kafka_group_joined",
     "1 while this process is a member of the group and no rebalance is under way.", METRICS_GAUGE, joined},
    {"weir_kafka_assigned_partitions", "Partitions that the group has given to this process.", METRICS_GAUGE,
     assigned},
    {"weir_kafka_commit_failures", "Commits of offsets that failed or had no answer in time.",
     METRICS_COUNTER, commit_failures},
};

static void write_groups(struct metrics_writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    for (size_t f = 0; f < sizeof group_families / sizeof *group_families; f++) {
        metrics_family(writer, group_families[f].name, group_families[f].kind, group_families[f].help);
        for (uint32_t i = 0; i < snapshot->kafka_client_count; i++) {
            const struct kafka_client_stats *client = &snapshot->kafka_clients[i];
            if (client->role != KAFKA_ROLE_CONSUMER)
                continue;
            metrics_begin(writer);
            metrics_label(writer, "group", client->name);
            metrics_count(writer, group_families[f].value(client));
        }
    }
}

static void write_commits(struct metrics_writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    metrics_family(writer, "weir_kafka_commit_seconds", METRICS_SUMMARY,
                   "Time that commits of offsets took; those within transactions of a sink are not counted.");
    for (uint32_t i = 0; i < snapshot->kafka_client_count; i++) {
        const struct kafka_client_stats *client = &snapshot->kafka_clients[i];
        if (client->role != KAFKA_ROLE_CONSUMER)
            continue;
        metrics_begin_part(writer, "_sum");
        metrics_label(writer, "group", client->name);
        metrics_seconds(writer, client->member.commit_time_us);
        metrics_begin_part(writer, "_count");
        metrics_label(writer, "group", client->name);
        metrics_count(writer, client->member.commit_count);
    }
}

/* --- messages ------------------------------------------------------------------------------------------------------ */

static void write_fetched(struct metrics_writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    for (int is_bytes = 0; is_bytes < 2; is_bytes++) {
        metrics_family(writer, is_bytes ? "weir_kafka_fetched_bytes" : "weir_kafka_fetched_messages",
                       METRICS_COUNTER,
                       is_bytes ? "Bytes of keys and values of the messages that were read."
                                : "Messages that were read, those included that were read again.");
        for (uint32_t i = 0; i < snapshot->source_count; i++) {
            const struct source_stats *source = &snapshot->sources[i];
            if (!source->client)
                continue;
            metrics_begin(writer);
            metrics_label(writer, "source", source->name);
            metrics_label(writer, "group", source->client->name);
            metrics_count(writer, is_bytes ? source->fetched_bytes : source->fetched_messages);
        }
    }
}

static void write_produced(struct metrics_writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    for (int is_bytes = 0; is_bytes < 2; is_bytes++) {
        metrics_family(
            writer, is_bytes ? "weir_kafka_produced_bytes" : "weir_kafka_produced_messages", METRICS_COUNTER,
            is_bytes ? "Bytes of keys and values of the messages that brokers have acknowledged."
                     : "Messages that brokers have acknowledged; of transactions, when they are committed.");
        for (uint32_t i = 0; i < snapshot->kafka_client_count; i++) {
            const struct kafka_client_stats *client = &snapshot->kafka_clients[i];
            if (client->role == KAFKA_ROLE_CONSUMER)
                continue;
            metrics_begin(writer);
            label_client(writer, client);
            metrics_count(writer, is_bytes ? client->produced_bytes : client->produced_messages);
        }
    }
}

/* --- connections --------------------------------------------------------------------------------------------------- */

static void write_quantile(struct metrics_writer *writer, const struct kafka_client_stats *client,
                           const struct kafka_broker_figures *broker, const char *quantile, int64_t value_us)
{
    if (value_us < 0)
        return;
    metrics_begin_part(writer, "");
    label_client(writer, client);
    metrics_label(writer, "broker", broker->name);
    metrics_label(writer, "quantile", quantile);
    metrics_seconds(writer, value_us);
}

static void write_broker(struct metrics_writer *writer, const struct kafka_client_stats *client,
                         const struct kafka_broker_figures *broker)
{
    write_quantile(writer, client, broker, "0.5", broker->p50_us);
    write_quantile(writer, client, broker, "0.99", broker->p99_us);
    metrics_begin_part(writer, "_sum");
    label_client(writer, client);
    metrics_label(writer, "broker", broker->name);
    metrics_seconds(writer, broker->answer_time_us);
    metrics_begin_part(writer, "_count");
    label_client(writer, client);
    metrics_label(writer, "broker", broker->name);
    metrics_count(writer, broker->answer_count);
}

static void write_brokers(struct metrics_writer *writer)
{
    const struct stats_snapshot *snapshot = writer->snapshot;
    metrics_family(
        writer, "weir_kafka_broker_rtt_seconds", METRICS_SUMMARY,
        "Time from a request to its answer, per connection; quantiles of the last seconds. A consumer's fetches "
        "wait at the broker for records, so look at its GroupCoordinator.");
    for (uint32_t i = 0; i < snapshot->kafka_client_count; i++) {
        const struct kafka_client_stats *client = &snapshot->kafka_clients[i];
        for (uint32_t b = 0; b < client->figures->broker_count; b++)
            write_broker(writer, client, &client->figures->brokers[b]);
    }
}

/* Nothing at all where Kafka is not used. */
void metrics_write_kafka(struct metrics_writer *writer)
{
    if (!writer->snapshot->kafka_client_count)
        return;
    write_groups(writer);
    write_commits(writer);
    write_fetched(writer);
    write_produced(writer);
    write_brokers(writer);
}
