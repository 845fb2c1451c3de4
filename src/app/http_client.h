/* One HTTP exchange with a running weir, for the commands that ask one. Every call ends by its deadline. One thread. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

enum { HTTP_CLIENT_ANSWER_SIZE_MAX = 32 * 1024 * 1024 };

struct http_client;

/* `url` is http://host[:port] or https://host[:port]; `token` NULL = none, else sent as a bearer token. STATUS_INVALID: it is no such URL. */
NODISCARD
enum status http_client_open(const char *url, const char *token, struct http_client **out,
                             struct error *error);
void http_client_close(struct http_client *client);

/* GET when `body` is NULL, else POST. STATUS_OK: an answer came, whatever its code; `answer` is replaced by its body, with
 * NATIVE_JSON_PADDING readable bytes behind it. STATUS_IO: none came in `timeout_us`; error says why. */
NODISCARD
enum status http_client_ask(struct http_client *client, const char *path, const struct slice *body,
                            int64_t timeout_us, int *code, struct buffer *answer, struct error *error);
/* The same for a GET that must be answered 200; STATUS_INVALID and the `detail` of the problem when it is not. */
NODISCARD
enum status http_client_get(struct http_client *client, const char *path, int64_t timeout_us,
                            struct buffer *answer, struct error *error);
/* "the server answered 404: there is no source ..." from an answer that is a problem document. */
void http_client_problem(const char *path, int code, const struct buffer *answer, struct error *error);
