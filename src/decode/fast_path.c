/* One pass without a structure index: at every place the shape says what to expect, so most branches are foreseen. What
 * is checked is everything: a known key is valid text, and met twice in one object it has the object's stamp already.
 *
 * Nothing looks for the end of the document on the way. A document that is cut short reads on into the padding or the next
 * record, and is found out at the latest at the end of the member it is in. */
#include "decode/fast_path.h"

#include "decode/json_string.h"

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

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

static inline bool has_literal(const struct shape_member *member, const char *at)
{
#ifdef __SSE2__
    __m128i text = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i literal = _mm_load_si128((const __m128i *)(const void *)member->literal);
    uint32_t mask = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(text, literal));
    return (mask & member->first_mask) == member->first_mask &&
           (LIKELY(member->literal_size <= 16) ||
            memcmp(at + 16, member->literal + 16, member->literal_size - 16) == 0);
#else
    return member->literal_size && memcmp(at, member->literal, member->literal_size) == 0;
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

static inline const char *read_string(struct fast_reader *reader, const struct shape_place *place,
                                      const char *at)
{
    const char *begin = at + 1;
    const char *quote = json_skip_plain(begin);
    if (!LIKELY(*quote == '"'))
        return read_odd_string(reader, place, begin);
    if (place->column != COLUMN_NONE)
        row_put_text(reader->writer, place->column, VALUE_STRING, begin, (size_t)(quote - begin));
    return quote + 1;
}

/* The value behind the key of `member` at `at`, where the colon is not close to the key. NULL when there is none. */
static __attribute__((noinline)) const char *find_value(const struct shape_member *member, const char *at)
{
    at = skip_space(at + member->literal_size - 1);
    return *at == ':' ? at + 1 : NULL;
}

static const char *read_object(struct fast_reader *reader, struct shape_place *place, const char *at)
{
    uint64_t stamp = ++reader->shape->stamp;
    struct shape_member **likely = &place->first;
    at = skip_space(at + 1);
    if (*at == '}')
        return at + 1;
    while (at < reader->end) {
        struct shape_member *member = *likely;
        if (LIKELY(has_literal(member, at))) {
            at += member->literal_size;
        } else {
            /* Writers either put no space between tokens or the same everywhere. */
            at = skip_space(at);
            if (!has_literal(member, at)) {
                member = find_member(reader, place, at);
                if (!member)
                    return NULL;
                *likely = member;
            }
            at = find_value(member, at);
            if (!at)
                return NULL;
        }
        if (member->stamp == stamp)
            return NULL;
        member->stamp = stamp;
        likely = &member->next;
        if (LIKELY(*at == '"')) {
            at = read_string(reader, &member->value, at);
        } else {
            at = read_value(reader, &member->value, skip_space(at));
        }
        if (!at)
            return NULL;
        if (!LIKELY(*at == ',')) {
            at = skip_space(at);
            if (*at != ',')
                return *at == '}' ? at + 1 : NULL;
        }
        at++;
    }
    return NULL;
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
    if (!is_true && !is_false)
        return memcmp(at, "null", 4) == 0 ? at + 4 : NULL;
    if (place->column != COLUMN_NONE)
        row_put(reader->writer, place->column, VALUE_BOOL)->i = is_true;
    return at + (is_true ? 4 : 5);
}

static __attribute__((noinline)) const char *read_number(struct fast_reader *reader,
                                                         const struct shape_place *place, const char *at)
{
    struct json_number number;
    const char *end = json_parse_number(at, &number);
    if (end && place->column != COLUMN_NONE)
        row_put_number(reader->writer, place->column, &number);
    return end;
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
    if (!at || at > reader.end)
        return false;
    while (at < reader.end && json_is_space(*at))
        at++;
    return at == reader.end;
}
