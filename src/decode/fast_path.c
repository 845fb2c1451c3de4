/* One pass without a structure index: at every place the shape says what to expect, so most branches are foreseen. What
 * is checked is everything: a known key is valid text, and met twice in one object it has the object's stamp already.
 *
 * Nothing looks for the end of the document on the way. A document that is cut short reads on into the padding or the next
 * record, and is found out at its end or at the next member that was not foreseen. */
#include "decode/fast_path.h"

#include "decode/json_string.h"

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

enum { STEADY_RUN = 32 };

struct fast_reader {
    struct shape *shape;
    struct row_writer *writer;
    const char *end;
};

static const char *read_value(struct fast_reader *reader, struct shape_place *place, const char *at);

static inline const char *skip_space(const char *at)
{
    while (!LIKELY((unsigned char)*at > ' ')) {
        if (!json_is_space(*at))
            return at;
        at++;
    }
    return at;
}

/* Whether the literal of `member`, but for its first `skip` bytes, is at `at`. */
static inline bool has_literal(const struct shape_member *member, const char *at, uint32_t skip)
{
#ifdef __SSE2__
    __m128i text = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i literal = _mm_loadu_si128((const __m128i *)(const void *)(member->literal + skip));
    uint32_t mask = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(text, literal)),
             want = member->first_mask >> skip;
    return (mask & want) == want &&
           (LIKELY(member->literal_size <= 16) ||
            memcmp(at + 16 - skip, member->literal + 16, member->literal_size - 16) == 0);
#else
    return member->literal_size && memcmp(at, member->literal + skip, member->literal_size - skip) == 0;
#endif
}

/* The member whose key begins at `key`, a quote, when it is not the predicted one. */
static __attribute__((noinline)) struct shape_member *find_member(const struct fast_reader *reader,
                                                                  const struct shape_place *place,
                                                                  const char *key)
{
    if (*key++ != '"')
        return NULL;
    const char *end = json_skip_plain(key);
    while ((unsigned char)*end >= 0x80) /* a known key is known to be UTF-8 */
        end = json_skip_plain(end + 1);
    if (*end != '"' || end >= reader->end)
        return NULL;
    return shape_find(reader->shape, place, (struct slice){key, (size_t)(end - key)});
}

/* The end of the leaf at `begin`, which is known to be `end`. Where a document goes on depends on where each of its leaves
 * ends, one after the other, and this chain is what a document costs. Many leaves (identities, times, codes) always
 * have the same size. For those the processor is made to go on from the foreseen end, and compares with the found one
 * meanwhile: the empty asm keeps the compiler from seeing that the two are equal. */
static inline const char *steady_end(struct shape_place *place, const char *begin, const char *end)
{
    size_t size = (size_t)(end - begin), foreseen = place->leaf_size;
    if (place->leaf_size_run >= STEADY_RUN) {
        size_t compared = foreseen;
        __asm__("" : "+r"(compared));
        if (LIKELY(size == compared))
            return begin + foreseen;
        place->leaf_size_run = 0;
        return end;
    }
    place->leaf_size_run = size == foreseen ? place->leaf_size_run + 1 : 0;
    place->leaf_size = (uint32_t)size;
    return end;
}

static __attribute__((noinline)) const char *read_odd_string(struct fast_reader *reader,
                                                             const struct shape_place *place,
                                                             const char *begin)
{
    bool is_wanted = place->column != COLUMN_NONE, has_escapes;
    struct buffer *unescaped = &reader->writer->unescaped;
    size_t unescaped_begin = unescaped->size;
    const char *quote = json_string_read(begin, reader->end, is_wanted ? unescaped : NULL, &has_escapes);
    if (quote && is_wanted) {
        if (has_escapes) {
            row_put_unescaped(reader->writer, place->column, unescaped_begin);
        } else {
            row_put_text(reader->writer, place->column, VALUE_STRING, begin, (size_t)(quote - begin));
        }
    }
    return quote ? quote + 1 : NULL;
}

static inline const char *read_string(struct fast_reader *reader, struct shape_place *place, const char *at)
{
    const char *begin = at + 1;
    const char *quote = json_skip_plain(begin);
    if (!LIKELY(*quote == '"'))
        return read_odd_string(reader, place, begin);
    if (place->column != COLUMN_NONE)
        row_put_text(reader->writer, place->column, VALUE_STRING, begin, (size_t)(quote - begin));
    return steady_end(place, begin, quote) + 1;
}

static inline const char *put_number(struct fast_reader *reader, const struct shape_place *place,
                                     const struct json_number *number, const char *end)
{
    if (end && place->column != COLUMN_NONE)
        row_put_number(reader->writer, place->column, number);
    return end;
}

static __attribute__((noinline)) const char *read_long_number(struct fast_reader *reader,
                                                              const struct shape_place *place, const char *at)
{
    struct json_number number;
    const char *end = json_parse_number(at, &number);
    return put_number(reader, place, &number, end);
}

static inline const char *read_number(struct fast_reader *reader, struct shape_place *place, const char *at)
{
#ifdef __SSE2__
    struct json_number number;
    const char *end = json_parse_short_number(at, &number);
    if (LIKELY(end))
        return put_number(reader, place, &number, steady_end(place, at, end));
#endif
    return read_long_number(reader, place, at);
}

struct found_member {
    struct shape_member *member;
    const char *at; /* behind the colon; without a member behind the object, or NULL */
};

/* A member that is not what or where was foreseen: spaces, another key, the end. `at` is behind the opening
 * brace when `is_first`, else behind a value. */
static __attribute__((noinline)) struct found_member find_next(const struct fast_reader *reader,
                                                               const struct shape_place *place,
                                                               struct shape_member **likely, bool is_first,
                                                               const char *at)
{
    const struct found_member none = {NULL, NULL};
    at = skip_space(at);
    if (*at == '}')
        return (struct found_member){NULL, at + 1};
    if (!is_first) {
        if (*at != ',')
            return none;
        at = skip_space(at + 1);
    }
    if (at >= reader->end)
        return none;
    struct shape_member *member = *likely;
    if (!has_literal(member, at, reader->shape->lead_size)) {
        member = find_member(reader, place, at);
        if (!member)
            return none;
        *likely = member;
    }
    at = skip_space(at + member->key_size + 2);
    return *at == ':' ? (struct found_member){member, at + 1} : none;
}

static const char *read_object(struct fast_reader *reader, struct shape_place *place, const char *at)
{
    uint64_t stamp = ++reader->shape->stamp;
    struct shape_member **likely = &place->first;
    at++;
    for (uint32_t skip = reader->shape->lead_size;; skip = 0) {
        struct shape_member *member = *likely;
        if (LIKELY(has_literal(member, at, skip))) {
            at += member->literal_size - skip;
        } else {
            if (*at == '}')
                return at + 1;
            struct found_member found = find_next(reader, place, likely, skip != 0, at);
            if (!found.member)
                return found.at;
            member = found.member;
            at = found.at;
        }
        if (member->stamp == stamp)
            return NULL;
        member->stamp = stamp;
        likely = &member->next;
        if (LIKELY(*at == '"')) {
            at = read_string(reader, &member->value, at);
        } else if (json_is_digit(*at)) {
            at = read_number(reader, &member->value, at);
        } else {
            at = read_value(reader, &member->value, skip_space(at));
        }
        if (!at)
            return NULL;
    }
}

static const char *read_array(struct fast_reader *reader, struct shape_place *place, const char *at)
{
    at = skip_space(at + 1);
    if (*at == ']')
        return at + 1;
    for (uint32_t index = 0; at < reader->end; index++) {
        struct shape_place *element = shape_element(place, index);
        if (!element)
            return NULL;
        at = read_value(reader, element, at);
        if (!at)
            return NULL;
        at = skip_space(at);
        if (*at != ',')
            return *at == ']' ? at + 1 : NULL;
        at = skip_space(at + 1);
    }
    return NULL;
}

static const char *read_word(struct fast_reader *reader, const struct shape_place *place, const char *at)
{
    bool is_true = memcmp(at, "true", 4) == 0, is_false = memcmp(at, "false", 5) == 0;
    if (!is_true && !is_false) {
        if (memcmp(at, "null", 4) != 0)
            return NULL;
        if (place->column != COLUMN_NONE && reader->writer->tells_null)
            row_put(reader->writer, place->column, ROW_WRITTEN_NULL);
        return at + 4;
    }
    if (place->column != COLUMN_NONE)
        row_put(reader->writer, place->column, VALUE_BOOL)->i = is_true;
    return at + (is_true ? 4 : 5);
}

static const char *read_value(struct fast_reader *reader, struct shape_place *place, const char *at)
{
    if (*at == '"')
        return read_string(reader, place, at);
    if (*at == '{' || *at == '[') {
        if (place->depth >= EVENT_MAX_DEPTH)
            return NULL;
        const char *end = *at == '{' ? read_object(reader, place, at) : read_array(reader, place, at);
        if (end && place->column != COLUMN_NONE)
            row_put_text(reader->writer, place->column, VALUE_JSON, at, (size_t)(end - at));
        return end;
    }
    if (*at >= 'a')
        return read_word(reader, place, at);
    return read_number(reader, place, at);
}

bool fast_path_read(struct shape *shape, struct row_writer *writer, const char *text, size_t size)
{
    struct fast_reader reader = {shape, writer, text + size};
    const char *at = skip_space(text);
    if (*at != '{')
        return false;
    at = read_object(&reader, shape->root, at);
    if (!at)
        return false;
    while (at < reader.end && json_is_space(*at))
        at++;
    return at == reader.end;
}
