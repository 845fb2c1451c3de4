/* Plain escape sequences that every terminal of the last decades knows. Signals are taken by a descriptor, so that waiting for the time,
 * a key and a signal is one poll(). */
#include "app/top_screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"

static const char enter[] = "\033[?1049h\033[?25l\033[?7l"; /* alternate screen, no cursor, no wrapping */
static const char leave[] = "\033[?7h\033[?25h\033[?1049l";

/* The process has one terminal, and what puts it right after a crash is a signal handler: so this is static. */
static struct {
    volatile sig_atomic_t is_open;
    bool has_keys; /* standard input is a terminal too */
    bool is_input_over;
    struct termios before;
    int signals;
} screen;

static void write_all(const char *data, size_t size)
{
    while (size) {
        ssize_t written = write(STDOUT_FILENO, data, size);
        if (written < 0 && errno != EINTR)
            return;
        if (written > 0) {
            data += written;
            size -= (size_t)written;
        }
    }
}

/* Only calls that a signal handler may make. */
static void restore(void)
{
    if (!screen.is_open)
        return;
    screen.is_open = 0;
    write_all(leave, sizeof leave - 1);
    if (screen.has_keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &screen.before);
}

/* The handler is gone by then (SA_RESETHAND), so the signal ends the process as it would have. */
static void restore_and_die(int number)
{
    restore();
    raise(number);
}

static void catch_crashes(void)
{
    static const int crashes[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = restore_and_die, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        sigaction(crashes[i], &action, NULL);
}

static void set_keys(void)
{
    screen.has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &screen.before) == 0;
    if (!screen.has_keys)
        return;
    struct termios keys = screen.before;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    keys.c_cc[VMIN] = 0;
    keys.c_cc[VTIME] = 0;
    keys.c_cc[VSUSP] = _POSIX_VDISABLE; /* a stopped process would leave the alternate screen behind */
    tcsetattr(STDIN_FILENO, TCSANOW, &keys);
}

enum status top_screen_open(struct error *error)
{
    sigset_t signals;
    sigemptyset(&signals);
    static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        sigaddset(&signals, taken[i]);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    screen.signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (screen.signals < 0) {
        error_set(error, "cannot wait for signals: %s", strerror(errno));
        return STATUS_IO;
    }
    set_keys();
    screen.is_open = 1;
    catch_crashes();
    atexit(restore);
    write_all(enter, sizeof enter - 1);
    return STATUS_OK;
}

void top_screen_close(void)
{
    restore();
    close(screen.signals);
}

void top_screen_size(uint32_t *width, uint32_t *height)
{
    struct winsize size = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *width = size.ws_col ? size.ws_col : 80;
    *height = size.ws_row ? size.ws_row : 24;
}

void top_screen_show(const struct buffer *lines)
{
    struct buffer out = {0};
    buffer_append_text(&out, "\033[H");
    /* Each line clears what is behind it; no newline behind the last line, which would scroll. */
    for (size_t i = 0; i < lines->size; i++) {
        if (lines->data[i] != '\n')
            buffer_append_char(&out, lines->data[i]);
        else
            buffer_append_text(&out, i + 1 < lines->size ? "\033[K\r\n" : "\033[K");
    }
    buffer_append_text(&out, "\033[J");
    write_all(out.data, out.size);
    buffer_deinit(&out);
}

/* Reads what has come; true when it says to leave. */
static bool take_keys(void)
{
    char keys[64];
    ssize_t got = read(STDIN_FILENO, keys, sizeof keys);
    screen.is_input_over = got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
    for (ssize_t i = 0; i < got; i++) {
        if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == '\003' || keys[i] == '\004')
            return true;
    }
    return false;
}

enum top_event top_screen_wait(int64_t until_us)
{
    for (;;) {
        int64_t left_us = until_us - clock_monotonic_us(&clock_system);
        struct pollfd waited[] = {{screen.signals, POLLIN, 0},
                                  {screen.has_keys && !screen.is_input_over ? STDIN_FILENO : -1, POLLIN, 0}};
        int ready = poll(waited, 2, left_us > 0 ? (int)(left_us / 1000) + 1 : 0);
        if (ready == 0)
            return TOP_EVENT_TIME;
        struct signalfd_siginfo signal = {0};
        if (read(screen.signals, &signal, sizeof signal) == (ssize_t)sizeof signal)
            return signal.ssi_signo == SIGWINCH ? TOP_EVENT_RESIZED : TOP_EVENT_QUIT;
        if (waited[1].revents && take_keys())
            return TOP_EVENT_QUIT;
    }
}
