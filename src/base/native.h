/* The C face of the one C++ file: JSON documents by simdjson, numbers by <charconv>. It knows JSON, not events. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { NATIVE_DOUBLE_TEXT_SIZE = 32 };

/* Shortest text that reads back as `value` (finite), as JSON: integral values below 2^53 are written
 * without a fraction ("345"), others as std::to_chars gives them, exponents as "1e+300". Writes at most
 * NATIVE_DOUBLE_TEXT_SIZE bytes, no NUL; returns how many. Any thread. */
size_t native_double_format(double value, char *out);

/* The double nearest to the whole of `text` (JSON number grammar is the caller's to check). A magnitude beyond the
 * range gives an infinity of the right sign, one too small gives 0. False when text is not a number. Any thread. */
bool native_double_parse(const char *text, size_t size, double *out);

/* A parser keeps its memory; one per thread. */
struct native_json;
struct native_json *native_json_create(size_t max_document_size);
void native_json_destroy(struct native_json *json);

enum native_json_event {
    NATIVE_JSON_OBJECT_BEGIN, /* value or root */
    NATIVE_JSON_OBJECT_END,
    NATIVE_JSON_ARRAY_BEGIN,
    NATIVE_JSON_ARRAY_END,
    NATIVE_JSON_KEY,    /* text = unescaped key */
    NATIVE_JSON_STRING, /* text = unescaped string */
    NATIVE_JSON_INT,    /* fits int64 */
    NATIVE_JSON_DOUBLE, /* everything else that is a number; integers beyond 64 bits too */
    NATIVE_JSON_TRUE,
    NATIVE_JSON_FALSE,
    NATIVE_JSON_NULL,
};

struct native_json_token {
    enum native_json_event event;
    const char *text;     /* key or string: valid until the next parse */
    size_t size;
    int64_t integer;
    double number;
    size_t raw_offset;    /* where the token begins in the document */
};

enum native_json_result {
    NATIVE_JSON_OK = 0,
    NATIVE_JSON_STOPPED,   /* the visitor returned false */
    NATIVE_JSON_NOT_JSON,  /* *message says what simdjson found wrong */
    NATIVE_JSON_TOO_DEEP,
    NATIVE_JSON_TOO_BIG,
};

/* Parses the whole document (`text` has NATIVE_JSON_PADDING readable bytes behind it) and only when all of it is
 * valid - UTF-8, no lone surrogates, nothing behind the value - calls `visit` for each token in document order.
 * Duplicate keys are not noticed here. `message` gets a static string on failure. */
enum { NATIVE_JSON_PADDING = 64 };
enum native_json_result native_json_visit(struct native_json *json, const char *text, size_t size, unsigned max_depth,
                                          bool (*visit)(void *context, const struct native_json_token *token),
                                          void *context, const char **message);

#ifdef __cplusplus
}
#endif
