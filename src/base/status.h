/* What a call that can fail returns. Bad input is not a status: it is data, counted and dead-lettered. */
#pragma once

#define NODISCARD                              __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_index) __attribute__((format(printf, format_index, first_index)))

enum status {
    STATUS_OK = 0,
    STATUS_INVALID, /* the input is wrong and stays wrong */
    STATUS_NOT_FOUND,
    STATUS_FULL,   /* a named limit is reached; try again when it is not */
    STATUS_AGAIN,  /* nothing to be had now; a waker will tell */
    STATUS_END,    /* the input has ended */
    STATUS_IO,     /* the operating system said no; errno tells */
    STATUS_CLOSED, /* the other side is gone */
    STATUS_LIMIT,  /* the one item is larger than its named limit */
    STATUS_BUSY,   /* somebody else holds it (a locked database) */
};

/* A short lower-case word for logs. Never NULL. */
const char *status_name(enum status status);
