/* `weir bench fanout`: what a broadcast costs the server, CPU time per message and client. Events go through the hub as live
 * events do, to WebSocket connections over loopback TCP that all have the same subscription; a child process reads and
 * counts, so that its CPU time is not the server's. Each turn waits until the sockets have taken the one before. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "app/fanout_readers.h"
#include "base/memory.h"
#include "hub/hub.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/outbox.h"

enum {
    CLIENTS_LIMIT = 20000,
    MESSAGE_SIZE_LIMIT = 60000,
    PER_TURN_LIMIT = 10000,
    QUEUE_SIZE = 64 * 1024 * 1024,
    CONNECT_TIMEOUT_MS = 10000
};

struct fanout_job {
    uint64_t client_count, message_count, message_size, per_turn;
    const char *format;
    struct loop loop;
    struct hub *hub;
    struct hub_input input;
    struct fanout_client *clients;
    uint64_t unflushed_count; /* clients whose socket was full */
    uint64_t text_count;      /* frames of text that every reader has to see */
    int64_t next_offset;
    size_t pad_size; /* makes a message as large as was asked for */
    int64_t cpu_us, wall_us;
    bool has_failed;
};

struct fanout_client {
    struct loop_watch watch; /* first */
    struct fanout_job *job;
    struct outbox outbox;
    struct hub_client *hub_client;
    bool is_full;
};

static void flush(struct fanout_client *client)
{
    enum status status = outbox_flush(&client->outbox, client->watch.descriptor);
    bool is_full = status == STATUS_AGAIN;
    client->job->has_failed |= status == STATUS_CLOSED;
    if (is_full != client->is_full) {
        client->is_full = is_full;
        client->job->unflushed_count += is_full ? 1 : (uint64_t)-1;
        loop_change(&client->job->loop, &client->watch, is_full ? (uint32_t)EPOLLOUT : 0);
    }
    hub_client_drained(client->hub_client);
}

static void writable(struct loop_watch *watch, uint32_t events)
{
    struct fanout_client *client = (struct fanout_client *)watch;
    client->job->has_failed |= (events & (EPOLLHUP | EPOLLERR)) != 0;
    flush(client);
}

static void send_frame(void *context, struct frame *frame)
{
    outbox_push(&((struct fanout_client *)context)->outbox, frame);
}

static size_t queued_size(const void *context)
{
    return ((const struct fanout_client *)context)->outbox.size;
}

static void close_client(void *context, uint16_t code, const char *reason)
{
    (void)code;
    (void)reason;
    ((struct fanout_client *)context)->job->has_failed = true;
}

static const struct hub_connection_operations operations = {
    .send = send_frame,
    .queued_size = queued_size,
    .close = close_client,
};

/* One turn as the server makes it: the hub hands out, every connection is written once. */
static void turn(struct fanout_job *job)
{
    struct loop *loop = &job->loop;
    while (hub_turn(job->hub, loop->now_us, loop->wall_now_us) <= loop->now_us)
        ;
    for (uint64_t i = 0; i < job->client_count; i++)
        flush(&job->clients[i]);
    while (job->unflushed_count > 0 && !job->has_failed)
        loop_turn(loop, -1);
    loop_turn(loop, 0);
}

static void push_events(struct fanout_job *job, uint32_t count)
{
    struct event_block *block = memory_allocate(sizeof *block);
    size_t text_size = job->pad_size + strlen("{\"m\":\"\"}");
    *block = (struct event_block){.source = "bench", .event_count = count, .arrival_us = job->loop.now_us};
    block->texts = memory_allocate_array(count, sizeof *block->texts);
    block->offsets = memory_allocate_array(count, sizeof *block->offsets);
    block->event_times_us = memory_allocate_array(count, sizeof *block->event_times_us);
    buffer_reserve(&block->bytes, text_size * count);
    for (uint32_t i = 0; i < count; i++) {
        block->texts[i] = (struct slice){block->bytes.data + block->bytes.size, text_size};
        block->offsets[i] = job->next_offset++;
        block->event_times_us[i] = job->loop.wall_now_us;
        buffer_append_text(&block->bytes, "{\"m\":\"");
        memset(buffer_reserve(&block->bytes, job->pad_size), 'm', job->pad_size);
        block->bytes.size += job->pad_size;
        buffer_append_text(&block->bytes, "\"}");
    }
    hub_input_push_events(&job->input, block);
    job->text_count += count;
}

/* A first event without padding shows how large the rest of a message is. */
static void calibrate(struct fanout_job *job)
{
    enum { FRAME_HEADER_SIZE = 4 };
    job->next_offset = 100000; /* as many digits as the offsets that follow */
    uint64_t before = hub_statistics(job->hub).delivered_bytes;
    push_events(job, 1);
    turn(job);
    uint64_t bare_size =
        (hub_statistics(job->hub).delivered_bytes - before) / job->client_count - FRAME_HEADER_SIZE;
    if (job->message_size > bare_size)
        job->pad_size = job->message_size - bare_size;
    job->message_size = bare_size + job->pad_size;
}

static void broadcast(struct fanout_job *job)
{
    int64_t cpu_us = clock_process_cpu_us(), start_us = clock_monotonic_us(&clock_system);
    for (uint64_t sent = 0; sent < job->message_count && !job->has_failed;) {
        uint64_t left = job->message_count - sent;
        uint32_t count = (uint32_t)(left < job->per_turn ? left : job->per_turn);
        push_events(job, count);
        turn(job);
        sent += count;
    }
    job->cpu_us = clock_process_cpu_us() - cpu_us;
    job->wall_us = clock_monotonic_us(&clock_system) - start_us;
}

static bool wait_readable(int descriptor)
{
    struct pollfd wait_for = {.fd = descriptor, .events = POLLIN};
    return poll(&wait_for, 1, CONNECT_TIMEOUT_MS) == 1;
}

static bool accept_clients(struct fanout_job *job, int listener)
{
    const struct slice subscribe = SLICE("{\"type\":\"subscribe\",\"data\":{\"type\":\"events\"}}");
    for (uint64_t i = 0; i < job->client_count;) {
        struct fanout_client *client = &job->clients[i];
        char address[LISTENER_ADDRESS_SIZE];
        int descriptor = listener_accept(listener, address);
        if (descriptor < 0 && errno == EAGAIN && wait_readable(listener))
            continue;
        if (descriptor < 0)
            return false;
        client->watch = (struct loop_watch){.descriptor = descriptor, .ready = writable};
        client->job = job;
        loop_add(&job->loop, &client->watch, 0);
        client->hub_client = hub_client_create(job->hub, &operations, client);
        hub_client_message(client->hub_client, subscribe, job->loop.now_us, job->loop.wall_now_us);
        i++;
    }
    job->text_count++;
    return true;
}

static void create_hub(struct fanout_job *job)
{
    static const char *const sources[] = {"bench"};
    loop_init(&job->loop, &clock_system);
    hub_input_init(&job->input, NULL, NULL);
    job->hub = hub_create(&(struct hub_options){
        .boot_id = 1,
        .sources = sources,
        .source_count = 1,
        .client_queue_size = QUEUE_SIZE,
        .now_us = job->loop.now_us,
        .wall_now_us = job->loop.wall_now_us,
    });
    hub_add_input(job->hub, &job->input);
    job->clients = memory_allocate_array(job->client_count, sizeof *job->clients);
}

static void destroy_hub(struct fanout_job *job)
{
    for (uint64_t i = 0; i < job->client_count; i++) {
        struct fanout_client *client = &job->clients[i];
        if (client->hub_client) {
            int descriptor = client->watch.descriptor;
            hub_client_destroy(client->hub_client);
            loop_remove(&job->loop, &client->watch);
            close(descriptor);
        }
        outbox_deinit(&client->outbox);
    }
    free(job->clients);
    hub_destroy(job->hub);
    hub_input_deinit(&job->input);
    loop_deinit(&job->loop);
}

static void print_job(const struct fanout_job *job)
{
    uint64_t deliveries = job->message_count * job->client_count;
    double cpu_seconds = (double)job->cpu_us / 1e6, wall_seconds = (double)job->wall_us / 1e6;
    if (strcmp(job->format, "json") == 0) {
        printf("{\"deliveries\":%" PRIu64 ",\"cpu_seconds\":%.6f,\"wall_seconds\":%.6f,\"clients\":%" PRIu64
               ",\"messages\":%" PRIu64 ",\"message_size\":%" PRIu64 ",\"per_turn\":%" PRIu64 "}\n",
               deliveries, cpu_seconds, wall_seconds, job->client_count, job->message_count,
               job->message_size, job->per_turn);
        return;
    }
    printf("%" PRIu64 " messages of %" PRIu64 " bytes to %" PRIu64 " clients, %" PRIu64
           " a turn: %.0f ns of CPU per "
           "delivery, %.2f million deliveries per CPU-second\n",
           job->message_count, job->message_size, job->client_count, job->per_turn,
           (double)job->cpu_us * 1e3 / (double)deliveries, (double)deliveries / (double)job->cpu_us);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run_job(struct fanout_job *job)
{
    int listener;
    uint16_t port;
    struct error error;
    raise_descriptor_limit();
    if (listener_open("127.0.0.1", 0, &listener, &port, &error) != STATUS_OK)
        return command_error("%s", error.text);
    struct fanout_readers readers;
    if (!fanout_readers_start(&readers, port, job->client_count)) {
        close(listener);
        return command_error("the reading process cannot be started: %s", strerror(errno));
    }
    create_hub(job);
    bool is_connected = accept_clients(job, listener);
    int code = errno;
    close(listener);
    if (is_connected) {
        calibrate(job);
        broadcast(job);
    }
    destroy_hub(job);
    uint64_t read_count = fanout_readers_finish(&readers);
    if (!is_connected)
        return command_error("clients cannot be accepted: %s", strerror(code));
    if (job->has_failed || read_count != job->text_count * job->client_count)
        return command_error("%" PRIu64 " of %" PRIu64 " messages arrived", read_count,
                             job->text_count * job->client_count);
    print_job(job);
    return EXIT_OK;
}

int bench_fanout(int argc, char **argv)
{
    struct fanout_job job = {
        .client_count = 500, .message_count = 6400, .message_size = 300, .per_turn = 64, .format = "text"};
    const struct argument arguments[] = {
        {"--clients", "N", "WebSocket connections; default 500", ARGUMENT_NUMBER, &job.client_count, NULL},
        {"--messages", "N", "messages to each of them; default 6400", ARGUMENT_NUMBER, &job.message_count,
         NULL},
        {"--size", "BYTES", "of a message; default 300, and not less than its frame needs", ARGUMENT_NUMBER,
         &job.message_size, NULL},
        {"--per-turn", "N", "messages that leave together; default 64", ARGUMENT_NUMBER, &job.per_turn, NULL},
        {"--format", "text|json", "how the result is printed; default text", ARGUMENT_CHOICE, &job.format,
         "text|json"},
    };
    const struct usage usage = {
        "weir bench fanout",
        "Broadcasts live events to many WebSocket clients on this machine and prints what that "
        "costs the server in CPU time.",
        NULL, arguments, sizeof arguments / sizeof arguments[0]};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    if (job.client_count < 1 || job.client_count > CLIENTS_LIMIT)
        return usage_error("weir bench fanout", "--clients has to be from 1 to %d", CLIENTS_LIMIT);
    if (job.message_count < 1 || job.message_count > 100000000)
        return usage_error("weir bench fanout", "--messages has to be from 1 to 100000000");
    if (job.message_size > MESSAGE_SIZE_LIMIT)
        return usage_error("weir bench fanout", "--size has to be at most %d", MESSAGE_SIZE_LIMIT);
    if (job.per_turn < 1 || job.per_turn > PER_TURN_LIMIT)
        return usage_error("weir bench fanout", "--per-turn has to be from 1 to %d", PER_TURN_LIMIT);
    return run_job(&job);
}
