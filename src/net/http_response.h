/* The head of an HTTP/1.1 answer, and problem documents (RFC 9457) as the body of a refusal. Knows no socket. */
#pragma once

#include "base/buffer.h"

enum { HTTP_DATE_SIZE = 30 };

/* "OK", "Not Found"; "Unknown" for a status that nothing here sends. */
const char *http_status_phrase(int status);
/* "Mon, 23 Nov 2026 23:41:33 GMT", NUL-terminated. */
void http_date(int64_t wall_us, char text[HTTP_DATE_SIZE]);

struct http_head {
    int status;
    const char *date;         /* of http_date() */
    const char *content_type; /* NULL: no Content-Type */
    size_t content_length;    /* always written, except with status 1xx, 204 and 304 */
    struct slice headers;     /* further lines, each with its CRLF */
    bool keep_alive;
    bool is_http_1_0; /* then staying open has to be said */
};

/* Appends status line, headers and the empty line. */
void http_head_write(struct buffer *out, const struct http_head *head);

/* Appends {"type":"about:blank","title":…,"status":…,"detail":…}. Content type: HTTP_PROBLEM_TYPE. */
#define HTTP_PROBLEM_TYPE "application/problem+json"
void http_problem_write(struct buffer *out, int status, struct slice detail);
