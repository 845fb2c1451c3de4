/* The child reads with plain blocking calls behind epoll and looks at frame headers only. See fanout_readers.h. */
#include "app/fanout_readers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"

enum { READ_SIZE = 256 * 1024, EVENTS_PER_TURN = 256, HEADER_SIZE = 10 };

struct reader {
    int socket;
    uint64_t skip_size; /* of the payload that is passing */
    uint8_t header[HEADER_SIZE];
    size_t header_size;
    uint64_t text_count;
};

static size_t header_size_of(const uint8_t *header)
{
    return header[1] == 126 ? 4 : header[1] == 127 ? 10 : 2;
}

static uint64_t payload_size_of(const uint8_t *header)
{
    if (header[1] < 126)
        return header[1];
    uint64_t size = 0;
    for (size_t i = 2; i < header_size_of(header); i++)
        size = size << 8 | header[i];
    return size;
}

static void count(struct reader *reader, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        if (reader->skip_size > 0) {
            size_t step = reader->skip_size < size ? (size_t)reader->skip_size : size;
            reader->skip_size -= step;
            bytes += step;
            size -= step;
            continue;
        }
        reader->header[reader->header_size++] = *bytes++;
        size--;
        if (reader->header_size >= 2 && reader->header_size == header_size_of(reader->header)) {
            reader->skip_size = payload_size_of(reader->header);
            reader->text_count += reader->header[0] == 0x81;
            reader->header_size = 0;
        }
    }
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0)
        _exit(1);
    return descriptor;
}

static uint64_t read_all(uint16_t port, uint64_t reader_count)
{
    struct reader *readers = memory_allocate_array(reader_count, sizeof *readers);
    uint8_t *bytes = memory_allocate(READ_SIZE);
    int poll = epoll_create1(0);
    for (uint64_t i = 0; i < reader_count; i++) {
        readers[i].socket = connect_to(port);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &readers[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, readers[i].socket, &event);
    }
    uint64_t total = 0;
    for (uint64_t open_count = reader_count; open_count > 0;) {
        struct epoll_event events[EVENTS_PER_TURN];
        int ready = epoll_wait(poll, events, EVENTS_PER_TURN, -1);
        for (int i = 0; i < ready; i++) {
            struct reader *reader = events[i].data.ptr;
            ssize_t got = read(reader->socket, bytes, READ_SIZE);
            if (got > 0) {
                count(reader, bytes, (size_t)got);
                continue;
            }
            total += reader->text_count;
            epoll_ctl(poll, EPOLL_CTL_DEL, reader->socket, NULL);
            close(reader->socket);
            open_count--;
        }
    }
    return total;
}

bool fanout_readers_start(struct fanout_readers *readers, uint16_t port, uint64_t reader_count)
{
    int ends[2];
    if (pipe(ends) != 0)
        return false;
    readers->process = fork();
    if (readers->process == 0) {
        close(ends[0]);
        uint64_t total = read_all(port, reader_count);
        _exit(write(ends[1], &total, sizeof total) == sizeof total ? 0 : 1);
    }
    close(ends[1]);
    readers->result = ends[0];
    if (readers->process > 0)
        return true;
    close(ends[0]);
    return false;
}

uint64_t fanout_readers_finish(struct fanout_readers *readers)
{
    uint64_t total = 0;
    ssize_t got = read(readers->result, &total, sizeof total);
    close(readers->result);
    waitpid(readers->process, NULL, 0);
    return got == sizeof total ? total : 0;
}
