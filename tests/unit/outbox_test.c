/* Frames on their way into a socket: shared, counted, in order, whatever the socket takes at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/outbox.h"

enum { FRAME_COUNT = 300, READ_SIZE = 3000 };

static struct frame *frame_of(const char *text, size_t size)
{
    struct buffer buffer = {0};
    buffer_append(&buffer, text, size);
    return frame_from_buffer(&buffer);
}

static void make_pair(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    int size = 1;
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static void one_frame_in_two_outboxes_is_freed_with_the_last_write(void **state)
{
    (void)state;
    int ends[2];
    make_pair(ends);
    struct outbox a = {0}, b = {0};
    struct frame *frame = frame_of("hello", 5);
    outbox_push(&a, frame_acquire(frame));
    outbox_push(&b, frame);
    assert_int_equal(frame->reference_count, 2);
    assert_int_equal(outbox_flush(&a, ends[0]), STATUS_OK);
    assert_int_equal(frame->reference_count, 1);
    assert_int_equal(a.size, 0);
    assert_int_equal(a.written_size, 5);
    outbox_deinit(&a);
    outbox_deinit(&b); /* the leak checker of the sanitized build sees the rest */
    close(ends[0]);
    close(ends[1]);
}

static void bytes_arrive_in_order_through_a_socket_that_takes_a_few_at_a_time(void **state)
{
    (void)state;
    int ends[2];
    make_pair(ends);
    struct outbox outbox = {0};
    struct buffer sent = {0}, received = {0};
    for (unsigned i = 0; i < FRAME_COUNT; i++) {
        char text[997];
        size_t size = i * 37 % sizeof text;
        for (size_t k = 0; k < size; k++)
            text[k] = (char)(i * 31 + k);
        buffer_append(&sent, text, size);
        outbox_push(&outbox, frame_of(text, size));
    }
    assert_int_equal(outbox.size, sent.size);
    bool was_full = false;
    for (enum status status = STATUS_AGAIN; status != STATUS_OK || received.size < sent.size;) {
        status = outbox_flush(&outbox, ends[0]);
        assert_true(status == STATUS_OK || status == STATUS_AGAIN);
        was_full |= status == STATUS_AGAIN;
        char *place = buffer_reserve(&received, READ_SIZE);
        ssize_t got = read(ends[1], place, READ_SIZE);
        assert_true(got > 0);
        received.size += (size_t)got;
    }
    assert_true(was_full);
    assert_int_equal(received.size, sent.size);
    assert_memory_equal(received.data, sent.data, sent.size);
    assert_int_equal(outbox.written_size, sent.size);
    buffer_deinit(&sent);
    buffer_deinit(&received);
    outbox_deinit(&outbox);
    close(ends[0]);
    close(ends[1]);
}

static void clearing_keeps_the_frame_that_is_half_written(void **state)
{
    (void)state;
    int ends[2];
    make_pair(ends);
    struct outbox outbox = {0};
    enum { BIG = 1 << 20 };
    char *big = calloc(1, BIG);
    outbox_push(&outbox, frame_of(big, BIG));
    outbox_push(&outbox, frame_of("dropped", 7));
    assert_int_equal(outbox_flush(&outbox, ends[0]), STATUS_AGAIN);
    assert_true(outbox.written_size > 0);
    outbox_clear(&outbox);
    assert_int_equal(outbox.count, 1);
    assert_int_equal(outbox.size, BIG - outbox.written_size);
    outbox_push(&outbox, frame_of("end", 3));
    size_t total = 0;
    char text[65536], last[3] = "";
    while (total < BIG + 3) {
        ssize_t got = read(ends[1], text, sizeof text);
        if (got > 0) {
            total += (size_t)got;
            memcpy(last, text + got - 3, 3);
        }
        (void)!outbox_flush(&outbox, ends[0]);
    }
    assert_int_equal(total, BIG + 3);
    assert_memory_equal(last, "end", 3);
    free(big);
    outbox_deinit(&outbox);
    close(ends[0]);
    close(ends[1]);
}

static void other_side_that_is_gone_is_a_status_and_no_signal(void **state)
{
    (void)state;
    int ends[2];
    make_pair(ends);
    close(ends[1]);
    struct outbox outbox = {0};
    outbox_push(&outbox, frame_borrow("x", 1));
    assert_int_equal(outbox_flush(&outbox, ends[0]), STATUS_CLOSED);
    outbox_deinit(&outbox);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_frame_in_two_outboxes_is_freed_with_the_last_write),
        cmocka_unit_test(bytes_arrive_in_order_through_a_socket_that_takes_a_few_at_a_time),
        cmocka_unit_test(clearing_keeps_the_frame_that_is_half_written),
        cmocka_unit_test(other_side_that_is_gone_is_a_status_and_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
