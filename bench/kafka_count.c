/* The floor of everything that reads Kafka: a librdkafka consumer that only counts.
 *
 *     kafka_count BROKERS TOPIC PARTITIONS MESSAGES
 *
 * Prints one JSON line; the CPU time is that of the whole process. */
#include "kafka_common.h"

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: kafka_count BROKERS TOPIC PARTITIONS MESSAGES\n");
        return 2;
    }
    uint64_t wanted = strtoull(argv[4], NULL, 10), messages = 0, bytes = 0;
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue = kafka_consume(argv[1], argv[2], atoi(argv[3]), 0, &handle);
    rd_kafka_message_t *taken[KAFKA_BATCH_MESSAGES];
    int64_t started = clock_ns(CLOCK_MONOTONIC);
    while (messages < wanted) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, KAFKA_WAIT_MS, taken, KAFKA_BATCH_MESSAGES);
        for (ssize_t i = 0; i < count; i++) {
            if (taken[i]->err)
                kafka_fail(argv[2], rd_kafka_message_errstr(taken[i]));
            bytes += taken[i]->len;
            messages++;
            rd_kafka_message_destroy(taken[i]);
        }
    }
    double wall = (double)(clock_ns(CLOCK_MONOTONIC) - started) / 1e9;
    double cpu = (double)clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
    printf("{\"messages\":%llu,\"bytes\":%llu,\"cpu_seconds\":%.6f,\"wall_seconds\":%.6f}\n",
           (unsigned long long)messages, (unsigned long long)bytes, cpu, wall);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(handle);
    return 0;
}
