/* Puts the events of the benchmarks into a Kafka topic: about 200 bytes of JSON, by 100,000 users in 50 countries, at most 2 s out of
 * order, keyed by user. Seeded: the same arguments give the same events.
 *
 *     kafka_load BROKERS TOPIC COUNT            60 us of event time each: 10 s windows by user give one result for two events
 *     kafka_load BROKERS TOPIC COUNT RATE       RATE events per second, at times fixed beforehand whatever happens
 *
 * With RATE, an event's `sent_ns` is the monotonic clock at which it was due, so that a delay of the producer or the broker counts as
 * latency too. Prints one JSON line. */
#include "kafka_common.h"

enum {
    USERS = 100000,
    COUNTRIES = 50,
    DISORDER_MS = 2000,
    EVENT_US = 60,
    EVENT_SIZE_MAX = 320,
    WARM_UP_EVENTS = 100
};

static const int64_t start_ms = 1700000000000;
static const char *const types[] = {"purchase", "page_view", "click", "add_to_cart", "search"};
static const char *const pages[] = {"/home",     "/search",       "/cart",
                                    "/checkout", "/product/1178", "/product/20417"};

static uint64_t failed_count;

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    (void)handle;
    (void)context;
    failed_count += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static uint32_t draw(uint64_t *state, uint32_t bound)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)((*state >> 32) * bound >> 32);
}

static size_t write_event(char *to, uint64_t *state, uint64_t number, int64_t time_ms, int64_t sent_ns,
                          char *key)
{
    unsigned country = draw(state, COUNTRIES), cents = 100 + draw(state, 99900);
    sprintf(key, "user-%06u", draw(state, USERS));
    int size = sprintf(
        to,
        "{\"event_id\":\"evt-%012llu\",\"event_type\":\"%s\",\"user_id\":\"%s\",\"session_id\":\"sess-%010u\","
        "\"timestamp\":%lld,\"properties\":{\"amount\":%u.%02u,\"page\":\"%s\",\"country\":\"%c%c\"}",
        (unsigned long long)number, types[draw(state, 5)], key, draw(state, 1000000),
        (long long)time_ms - draw(state, DISORDER_MS), cents / 100, cents % 100, pages[draw(state, 6)],
        "ABCDE"[country / 10], "KLMNOPRSTV"[country % 10]);
    if (sent_ns)
        size += sprintf(to + size, ",\"sent_ns\":%lld", (long long)sent_ns);
    to[size++] = '}';
    return (size_t)size;
}

static rd_kafka_t *open_producer(const char *brokers, int is_paced)
{
    rd_kafka_conf_t *settings = rd_kafka_conf_new();
    kafka_set(settings, "bootstrap.servers", brokers);
    kafka_set(settings, "enable.idempotence", "true");
    kafka_set(settings, "linger.ms", is_paced ? "0" : "20");
    kafka_set(settings, "compression.type", is_paced ? "none" : "lz4");
    kafka_set(settings, "batch.size", "1000000");
    kafka_set(settings, "socket.nagle.disable", "true");
    kafka_set(settings, "queue.buffering.max.messages", "500000");
    rd_kafka_conf_set_dr_msg_cb(settings, on_delivery);
    return kafka_open(RD_KAFKA_PRODUCER, settings);
}

static void put(rd_kafka_topic_t *topic, rd_kafka_t *handle, char *event, size_t size, const char *key)
{
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, event, size, key, strlen(key),
                            NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            kafka_fail("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(handle, 10);
    }
}

/* Connections and the producer's id are there before the clock starts: else the first second would come as one burst. */
static void warm_up(rd_kafka_t *handle, rd_kafka_topic_t *topic)
{
    uint64_t state = 1;
    for (uint64_t i = 0; i < WARM_UP_EVENTS; i++) {
        char event[EVENT_SIZE_MAX], key[16];
        size_t size = write_event(event, &state, i, clock_ns(CLOCK_REALTIME) / 1000000, 0, key);
        put(topic, handle, event, size, key);
    }
    rd_kafka_flush(handle, 120000);
}

static void wait_for(rd_kafka_t *handle, int64_t due_ns)
{
    while (clock_ns(CLOCK_MONOTONIC) < due_ns) {
        struct timespec nap = {.tv_nsec = 200 * 1000};
        rd_kafka_poll(handle, 0);
        nanosleep(&nap, NULL);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: kafka_load BROKERS TOPIC COUNT [RATE]\n");
        return 2;
    }
    uint64_t count = strtoull(argv[3], NULL, 10), state = 88172645463325252u;
    double interval_ns = argc == 5 ? 1e9 / strtod(argv[4], NULL) : 0;
    rd_kafka_t *handle = open_producer(argv[1], argc == 5);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, argv[2], NULL);
    if (argc == 5)
        warm_up(handle, topic);
    int64_t started = clock_ns(CLOCK_MONOTONIC), wall_ms = clock_ns(CLOCK_REALTIME) / 1000000, due_ns = 0;
    for (uint64_t i = 0; i < count; i++) {
        char event[EVENT_SIZE_MAX], key[16];
        int64_t time_ms = start_ms + (int64_t)(i * EVENT_US / 1000);
        if (argc == 5) {
            due_ns = started + (int64_t)((double)i * interval_ns);
            time_ms = wall_ms + (due_ns - started) / 1000000;
            wait_for(handle, due_ns);
        }
        size_t size = write_event(event, &state, i, time_ms, due_ns, key);
        put(topic, handle, event, size, key);
        if (i % 1024 == 0)
            rd_kafka_poll(handle, 0);
    }
    rd_kafka_flush(handle, 120000);
    double wall = (double)(clock_ns(CLOCK_MONOTONIC) - started) / 1e9;
    printf("{\"messages\":%llu,\"failed\":%llu,\"wall_seconds\":%.6f}\n", (unsigned long long)count,
           (unsigned long long)failed_count, wall);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(handle);
    return failed_count != 0;
}
