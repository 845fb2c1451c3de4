/* Heads are built from parts that cannot contain a line end, except `headers`, which only this program's own code
 * writes: nothing a client sent is ever copied into a head. See http_response.h. */
#include "net/http_response.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"

const char *http_status_phrase(int status)
{
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
    }
}

void http_date(int64_t wall_us, char text[HTTP_DATE_SIZE])
{
    /* strftime would take the names from the locale. */
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(wall_us / MICROSECONDS_PER_SECOND);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    snprintf(text, HTTP_DATE_SIZE, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * (parts.tm_wday % 7),
             (unsigned)parts.tm_mday % 100, months + 3 * (parts.tm_mon % 12),
             (unsigned)(parts.tm_year + 1900) % 10000, (unsigned)parts.tm_hour % 100,
             (unsigned)parts.tm_min % 100, (unsigned)parts.tm_sec % 100);
}

void http_head_write(struct buffer *out, const struct http_head *head)
{
    buffer_format(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", head->status, http_status_phrase(head->status),
                  head->date);
    if (head->content_type)
        buffer_format(out, "Content-Type: %s\r\n", head->content_type);
    if (head->status >= 200 && head->status != 204 && head->status != 304)
        buffer_format(out, "Content-Length: %zu\r\n", head->content_length);
    if (head->status >= 200 && !head->keep_alive)
        buffer_append_text(out, "Connection: close\r\n");
    else if (head->status >= 200 && head->is_http_1_0)
        buffer_append_text(out, "Connection: keep-alive\r\n");
    buffer_append_slice(out, head->headers);
    buffer_append_text(out, "\r\n");
}

void http_problem_write(struct buffer *out, int status, struct slice detail)
{
    buffer_append_text(out, "{\"type\":\"about:blank\",\"title\":");
    buffer_json_string(out, slice_of(http_status_phrase(status)));
    buffer_format(out, ",\"status\":%d,\"detail\":", status);
    buffer_json_string(out, detail);
    buffer_append_text(out, "}\n");
}
