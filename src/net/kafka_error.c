/* What errors of librdkafka and of brokers mean to the person who runs weir, and what to do. The library's own text stands in
 * parentheses: it has the address, the topic, the number. */
#include "net/kafka_client.h"

#include <string.h>

struct words {
    rd_kafka_resp_err_t code;
    const char *part; /* of the reason, where one code means several things; NULL: any */
    const char *what, *remedy;
};

/* The first that fits. */
static const struct words all_words[] = {
    {RD_KAFKA_RESP_ERR__TRANSPORT, "security.protocol", "the broker hangs up",
     "its port probably wants `tls` or `sasl`, or wants none of it"},
    {RD_KAFKA_RESP_ERR__TRANSPORT, "APIVERSION_QUERY", "the broker hangs up at the first request",
     "its port probably wants `tls`; or another kind of server listens there"},
    {RD_KAFKA_RESP_ERR__TRANSPORT, "PLAINTEXT broker", "the broker hangs up",
     "its port does not speak TLS: remove `tls`, or give the port that does"},
    {RD_KAFKA_RESP_ERR__TRANSPORT, "SSL connection closed", "the broker hangs up",
     "its port probably does not speak TLS: remove `tls`, or give the port that does"},
    {RD_KAFKA_RESP_ERR__TRANSPORT, "onnection refused", "nothing listens at the broker's address",
     "start the broker, or correct `brokers`"},
    {RD_KAFKA_RESP_ERR__TRANSPORT, NULL, "the broker cannot be reached",
     "check that it runs, that `brokers` is right, and that no firewall is between"},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, NULL, "no broker can be reached",
     "check that they run, that `brokers` is right, and that no firewall is between"},
    {RD_KAFKA_RESP_ERR__RESOLVE, NULL, "the name of the broker is unknown",
     "correct `brokers`, or the name server; brokers also name each other by advertised.listeners"},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, "the broker did not answer in time",
     "it is tried again; look at the load of the brokers and of the network"},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, NULL, "the broker did not finish in time",
     "it is tried again; look at the load of the brokers"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, "OAUTHBEARER token", "no token can be had",
     "check token_url, client_id and client_secret under `sasl`"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, NULL, "the broker refuses the login",
     "check mechanism, username and password under `sasl`"},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, NULL, "the broker refuses the login",
     "check mechanism, username and password under `sasl`"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, NULL, "the broker does not know the mechanism of `sasl`",
     "take one that it has"},
    {RD_KAFKA_RESP_ERR__SSL, "certificate verify failed", "the broker's certificate is not trusted",
     "give the file of its authority in `tls.ca`; the name in `brokers` must stand in the certificate"},
    {RD_KAFKA_RESP_ERR__SSL, "ca.location", "the file of the authority cannot be used", "correct `tls.ca`"},
    {RD_KAFKA_RESP_ERR__SSL, "certificate required", "the broker wants a certificate",
     "give `tls.certificate` and `tls.key`"},
    {RD_KAFKA_RESP_ERR__SSL, NULL, "no encrypted connection can be made",
     "check `tls`, and that the broker's port speaks TLS"},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, NULL, "the user may not use the topic",
     "let its administrator allow reading (sources) or writing (sinks), and describing"},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, NULL, "the user may not use the consumer group",
     "let its administrator allow reading the group, or change `group`"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, NULL, "the user may not do this on the cluster",
     "let its administrator allow it (idempotent writing needs it before Kafka 3.0)"},
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, NULL,
     "the user may not use the transactional id",
     "let its administrator allow writing with it, or change `transactional_id`"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, NULL, "the topic does not exist",
     "create it (weir topics create), or correct its name"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, NULL, "the topic does not exist",
     "create it (weir topics create), or correct its name"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, NULL, "the partition does not exist",
     "it was there before: see the topic"},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, NULL, "the broker does not take that name of a topic", "correct it"},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, NULL, "the message is larger than the broker takes",
     "raise max.message.bytes of the topic"},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, NULL,
     "the messages of a request are larger than the broker takes",
     "raise max.message.bytes of the topic, or lower batch.size in `properties`"},
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, NULL, "the topic does not take the time of the message",
     "see its message.timestamp.before.max.ms and message.timestamp.after.max.ms"},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, NULL, "the topic does not take such a message",
     "see its cleanup.policy (a compacted topic takes none without a key)"},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, NULL, "too few replicas of the topic are in step",
     "start the brokers that are away, or lower min.insync.replicas"},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, NULL, "too few replicas of the topic are in step",
     "start the brokers that are away, or lower min.insync.replicas"},
    {RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, NULL, "the records at the position to go on from are deleted",
     "keep them longer (retention.ms of the topic) than weir may be away"},
    {RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, NULL, "the records at the position to go on from are deleted",
     "keep them longer (retention.ms of the topic) than weir may be away"},
    {RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT, NULL, "the broker does not take that session timeout",
     "give a `session_timeout` within its group.min.session.timeout.ms and group.max.session.timeout.ms"},
    {RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, NULL,
     "the members of the group do not agree how to share",
     "give all of them the same group_protocol and partition.assignment.strategy, or change `group`"},
    {RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED, NULL, "the group is full",
     "raise group.max.size of the brokers"},
    {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, NULL, "another process came with the same group_instance_id",
     "give each process its own"},
    {RD_KAFKA_RESP_ERR_UNRELEASED_INSTANCE_ID, NULL, "the group_instance_id is still in use",
     "give each process its own, or wait until the session of the old one ends"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, NULL, "the broker is too old for this",
     "`group_protocol: consumer` needs Kafka 4.0"},
    {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, NULL, "the broker is too old for this",
     "`group_protocol: consumer` needs Kafka 4.0"},
    {RD_KAFKA_RESP_ERR__FENCED, NULL, "another process uses the same transactional id",
     "give each group its own `transactional_id`"},
    {RD_KAFKA_RESP_ERR_PRODUCER_FENCED, NULL, "another process uses the same transactional id",
     "give each group its own `transactional_id`"},
    {RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, NULL, "the broker does not take that transaction timeout",
     "lower transaction.timeout.ms, or raise transaction.max.timeout.ms of the broker"},
    {RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED, NULL, "weir took too long over its records and left the group",
     "it joins again; see why it is slow, or raise max.poll.interval.ms in `properties`"},
    {RD_KAFKA_RESP_ERR__BAD_MSG, NULL, "the broker sent a damaged record", "look at the broker's disk"},
};

static const struct words *find(rd_kafka_resp_err_t code, const char *reason)
{
    for (size_t i = 0; i < sizeof all_words / sizeof *all_words; i++)
        if (all_words[i].code == code && (!all_words[i].part || strstr(reason, all_words[i].part)))
            return &all_words[i];
    return NULL;
}

void kafka_error_text(rd_kafka_resp_err_t code, const char *reason, struct error *error)
{
    const char *text = reason && *reason ? reason : rd_kafka_err2str(code);
    const struct words *words = find(code, text);
    if (words)
        error_set(error, "%s (%s); %s", words->what, text, words->remedy);
    else if (text == reason)
        error_set(error, "%s (%s)", rd_kafka_err2str(code), text);
    else
        error_set(error, "%s", text);
}
