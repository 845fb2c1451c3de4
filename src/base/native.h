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
    const char *text; /* key or string: valid until the next parse */
    size_t size;
    int64_t integer;
    double number;
    size_t raw_offset; /* where the token begins in the document */
};

enum native_json_result {
    NATIVE_JSON_OK = 0,
    NATIVE_JSON_STOPPED,  /* the visitor returned false */
    NATIVE_JSON_NOT_JSON, /* the message says what is wrong */
    NATIVE_JSON_TOO_DEEP, /* otherwise valid */
    NATIVE_JSON_TOO_BIG,
};

/* Parsing checks all of the document (`text` has NATIVE_JSON_PADDING readable bytes behind it): UTF-8, lone surrogates,
 * nothing behind the value. Duplicate keys are not noticed here. Messages are static strings. */
enum { NATIVE_JSON_PADDING = 64 };

/* Calls `visit` for each token in document order, when all of it is valid. `message` may be NULL. */
enum native_json_result native_json_visit(struct native_json *json, const char *text, size_t size,
                                          unsigned max_depth,
                                          bool (*visit)(void *context, const struct native_json_token *token),
                                          void *context, const char **message);

/* The same as a flat array of nodes in document order, for the decoder. */
struct native_json_node {
    enum native_json_event event;
    uint32_t offset; /* of the first byte in the document */
    uint32_t
        size; /* KEY, STRING: of the unescaped text. Else of the raw text; a BEGIN has that of the whole container */
    uint32_t next; /* index behind this one; of a BEGIN, behind its END */
    union {
        const char *text; /* KEY, STRING: in the document, or in the parser when it had escapes */
        int64_t integer;
        double number;
    } value;
    bool is_escaped;
};

struct native_json_document {
    const struct native_json_node *nodes; /* valid until the next parse */
    uint32_t node_count;
    const char *message; /* what is wrong, or NULL */
};

/* `*document` has nodes after NATIVE_JSON_OK and NATIVE_JSON_TOO_DEEP. */
enum native_json_result native_json_parse(struct native_json *json, const char *text, size_t size,
                                          unsigned max_depth, struct native_json_document *document);

#ifdef __cplusplus
}
#endif
