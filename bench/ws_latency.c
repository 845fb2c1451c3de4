/* The client of the latency benchmarks: finds `sent_ns` in what arrives and tells how long ago that was.
 *
 *     ws_latency PORT EVENTS SKIPPED QUIET_MS [TEXT]
 *
 * Sends TEXT (a subscription), prints {"ready":true} once there is an answer (without TEXT at once), and reads until EVENTS events have
 * come or nothing has for QUIET_MS after the first. A frame may hold several events; all of one read() have arrived when it returns.
 * The first SKIPPED are not counted. The clock is the monotonic one, which all processes of a machine share. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ws_client.h"

enum { BUFFER_SIZE = 1 << 21, FIRST_WAIT_MS = 60 * 1000 };

struct reading {
    int64_t *latencies_ns;
    size_t count, capacity;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void note_events(struct reading *reading, const char *text, size_t size, int64_t arrived_ns)
{
    static const char mark[] = "\"sent_ns\":";
    const char *end = text + size;
    while ((text = memmem(text, (size_t)(end - text), mark, sizeof mark - 1)) != NULL) {
        text += sizeof mark - 1;
        if (reading->count < reading->capacity)
            reading->latencies_ns[reading->count++] = arrived_ns - strtoll(text, NULL, 10);
    }
}

/* Notes what is in the whole frames of the buffer; returns how many bytes those are. */
static size_t take_frames(struct reading *reading, const uint8_t *bytes, size_t size, int64_t arrived_ns)
{
    size_t at = 0, header_size;
    uint64_t payload_size;
    while (ws_parse_header(bytes + at, size - at, &header_size, &payload_size)) {
        if (header_size + payload_size > BUFFER_SIZE)
            ws_fail("a frame is too large");
        if (size - at < header_size + payload_size)
            break;
        note_events(reading, (const char *)bytes + at + header_size, payload_size, arrived_ns);
        at += header_size + payload_size;
    }
    return at;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(const int64_t *sorted, size_t count, double part)
{
    return count ? (double)sorted[(size_t)((double)(count - 1) * part)] / 1e6 : -1;
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: ws_latency PORT EVENTS SKIPPED QUIET_MS [TEXT]\n");
        return 2;
    }
    size_t skipped = strtoul(argv[3], NULL, 10);
    struct reading reading = {.capacity = strtoul(argv[2], NULL, 10)};
    reading.latencies_ns = calloc(reading.capacity + 1, sizeof *reading.latencies_ns);
    static uint8_t buffer[BUFFER_SIZE];
    int client = ws_connect((uint16_t)strtoul(argv[1], NULL, 10));
    bool is_ready = argc == 5;
    if (argc == 6)
        ws_send_text(client, argv[5]);
    else
        printf("{\"ready\":true}\n");
    fflush(stdout);
    size_t size = 0;
    int64_t first_ns = 0, last_ns = 0;
    while (reading.count < reading.capacity) {
        struct pollfd wait_for = {.fd = client, .events = POLLIN};
        if (poll(&wait_for, 1, first_ns ? atoi(argv[4]) : FIRST_WAIT_MS) <= 0)
            break;
        ssize_t got = read(client, buffer + size, sizeof buffer - size);
        if (got <= 0)
            break;
        if (!is_ready) {
            printf("{\"ready\":true}\n");
            fflush(stdout);
            is_ready = true;
        }
        size_t before = reading.count;
        int64_t arrived_ns = now_ns();
        size += (size_t)got;
        size_t taken = take_frames(&reading, buffer, size, arrived_ns);
        memmove(buffer, buffer + taken, size -= taken);
        if (reading.count > before)
            last_ns = arrived_ns;
        if (reading.count > 0 && !first_ns)
            first_ns = arrived_ns;
    }
    size_t counted = reading.count > skipped ? reading.count - skipped : 0;
    int64_t *latencies = reading.latencies_ns + (reading.count - counted);
    qsort(latencies, counted, sizeof *latencies, compare);
    printf(
        "{\"events\":%zu,\"seconds\":%.6f,\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f}\n",
        reading.count, (double)(last_ns - first_ns) / 1e9, percentile_ms(latencies, counted, 0.5),
        percentile_ms(latencies, counted, 0.9), percentile_ms(latencies, counted, 0.99),
        percentile_ms(latencies, counted, 0.999), percentile_ms(latencies, counted, 1));
    free(reading.latencies_ns);
    close(client);
    return 0;
}
