/* The least that can be between Kafka and a WebSocket client: consume, frame, send.
 *
 *     kafka_relay BROKERS TOPIC PARTITIONS
 *
 * Prints its port, waits for one client, and sends it what comes into the topic from then on, one frame per record; the frames of
 * one take from the consumer's queue leave in one write. Ends when the client does. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kafka_common.h"

enum { REQUEST_SIZE_MAX = 4096, FRAMES_SIZE = KAFKA_BATCH_MESSAGES * 512 };

static const char upgrade[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

static int accept_one(void)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        kafka_fail("listen", "refused");
    printf("{\"port\":%d}\n", ntohs(address.sin_port));
    fflush(stdout);
    int client = accept(listener, NULL, NULL);
    char request[REQUEST_SIZE_MAX];
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (read(client, request, sizeof request) <= 0 || write(client, upgrade, sizeof upgrade - 1) < 0)
        kafka_fail("upgrade", "refused");
    return client;
}

static size_t frame(char *to, const rd_kafka_message_t *message)
{
    char head[] = {(char)0x81, 126, (char)(message->len >> 8), (char)message->len};
    memcpy(to, head, sizeof head);
    memcpy(to + sizeof head, message->payload, message->len);
    return sizeof head + message->len;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return fprintf(stderr, "usage: kafka_relay BROKERS TOPIC PARTITIONS\n"), 2;
    static char frames[FRAMES_SIZE];
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue = kafka_consume(argv[1], argv[2], atoi(argv[3]), 1, &handle);
    int client = accept_one();
    rd_kafka_message_t *taken[KAFKA_BATCH_MESSAGES];
    for (;;) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, 1, taken, KAFKA_BATCH_MESSAGES);
        size_t size = 0;
        for (ssize_t i = 0; i < count; i++) {
            if (!taken[i]->err && taken[i]->len >= 126)
                size += frame(frames + size, taken[i]);
            rd_kafka_message_destroy(taken[i]);
        }
        for (size_t sent = 0; sent < size;) {
            ssize_t step = send(client, frames + sent, size - sent, MSG_NOSIGNAL);
            if (step <= 0)
                return 0;
            sent += (size_t)step;
        }
    }
}
