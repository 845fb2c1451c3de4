/* HTTP by libcurl, which librdkafka brings along anyway: one handle, so one connection that is kept between questions. A proxy of the
 * environment is not for talking to one's own server and is passed by. */
#include "app/http_client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_find.h"
#include "base/memory.h"

enum { HTTP_CLIENT_DEPTH_MAX = 16, HTTP_CLIENT_PROBLEM_SIZE_MAX = 64 * 1024 };

struct http_client {
    CURL *curl;
    char *base; /* the URL without a slash at its end */
    struct curl_slist *headers;
    struct buffer *answer;
    char reason[CURL_ERROR_SIZE];
};

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct http_client *client = context;
    if (client->answer->size + size * count > HTTP_CLIENT_ANSWER_SIZE_MAX)
        return 0;
    buffer_append(client->answer, data, size * count);
    return size * count;
}

static bool is_http_url(const char *url)
{
    CURLU *parts = curl_url();
    char *scheme = NULL;
    bool is_good = parts && curl_url_set(parts, CURLUPART_URL, url, CURLU_DEFAULT_SCHEME) == CURLUE_OK &&
                   curl_url_get(parts, CURLUPART_SCHEME, &scheme, CURLU_DEFAULT_SCHEME) == CURLUE_OK &&
                   (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_url_cleanup(parts);
    return is_good;
}

static void add_header(struct http_client *client, const char *name, const char *value)
{
    struct buffer line = {0};
    buffer_format(&line, "%s: %s", name, value);
    buffer_append_char(&line, '\0');
    client->headers = curl_slist_append(client->headers, line.data);
    buffer_deinit(&line);
}

enum status http_client_open(const char *url, const char *token, struct http_client **out,
                             struct error *error)
{
    /* A bare host:port would be read as a scheme. */
    struct buffer full = {0};
    buffer_format(&full, "%s%s", strstr(url, "://") ? "" : "http://", url);
    while (full.size && full.data[full.size - 1] == '/')
        full.size--;
    buffer_append_char(&full, '\0');
    if (!is_http_url(full.data)) {
        error_set(error, "\"%s\" is no address; write http://host:port", url);
        buffer_deinit(&full);
        return STATUS_INVALID;
    }
    struct http_client *client = memory_allocate(sizeof *client);
    client->base = full.data;
    client->curl = curl_easy_init();
    if (!client->curl) {
        error_set(error, "out of memory");
        http_client_close(client);
        return STATUS_IO;
    }
    add_header(client, "Content-Type", "application/x-ndjson");
    add_header(client, "Expect", ""); /* else large bodies wait a second for 100 Continue */
    if (token) {
        struct buffer value = {0};
        buffer_format(&value, "Bearer %s", token);
        buffer_append_char(&value, '\0');
        add_header(client, "Authorization", value.data);
        buffer_deinit(&value);
    }
    *out = client;
    return STATUS_OK;
}

void http_client_close(struct http_client *client)
{
    if (!client)
        return;
    if (client->curl)
        curl_easy_cleanup(client->curl);
    curl_slist_free_all(client->headers);
    free(client->base);
    free(client);
}

static void set_options(struct http_client *client, const struct slice *body, int64_t timeout_us)
{
    CURL *curl = client->curl;
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->reason);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, client);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout_us / 1000));
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->data);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->size);
    } else {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    }
}

enum status http_client_ask(struct http_client *client, const char *path, const struct slice *body,
                            int64_t timeout_us, int *code, struct buffer *answer, struct error *error)
{
    struct buffer url = {0};
    buffer_format(&url, "%s%s", client->base, path);
    buffer_append_char(&url, '\0');
    buffer_clear(answer);
    client->answer = answer;
    client->reason[0] = '\0';
    set_options(client, body, timeout_us);
    curl_easy_setopt(client->curl, CURLOPT_URL, url.data);
    CURLcode result = curl_easy_perform(client->curl);
    enum status status = STATUS_OK;
    if (result == CURLE_COULDNT_CONNECT) {
        long reason = 0;
        curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &reason);
        error_set(error, "cannot connect to %s: %s; is weir running there?", client->base,
                  reason ? strerror((int)reason) : client->reason);
        status = STATUS_IO;
    } else if (result != CURLE_OK) {
        error_set(error, "no answer from %s: %s", client->base,
                  client->reason[0] ? client->reason : curl_easy_strerror(result));
        status = STATUS_IO;
    }
    long answered = 0;
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &answered);
    *code = (int)answered;
    memset(buffer_reserve(answer, NATIVE_JSON_PADDING), 0, NATIVE_JSON_PADDING);
    buffer_deinit(&url);
    return status;
}

void http_client_problem(const char *path, int code, const struct buffer *answer, struct error *error)
{
    struct native_json *json = native_json_create(HTTP_CLIENT_PROBLEM_SIZE_MAX);
    struct native_json_document document;
    struct slice detail = {0};
    if (native_json_parse(json, answer->data, answer->size, HTTP_CLIENT_DEPTH_MAX, &document) ==
        NATIVE_JSON_OK)
        detail = json_find_text(&document, document.nodes, "detail");
    error_set(error, "the server answered %s with %d%s%.*s", path, code, detail.size ? ": " : "",
              SLICE_ARG(detail));
    native_json_destroy(json);
}

enum status http_client_get(struct http_client *client, const char *path, int64_t timeout_us,
                            struct buffer *answer, struct error *error)
{
    int code = 0;
    enum status status = http_client_ask(client, path, NULL, timeout_us, &code, answer, error);
    if (status != STATUS_OK || code == 200)
        return status;
    http_client_problem(path, code, answer, error);
    return STATUS_INVALID;
}
