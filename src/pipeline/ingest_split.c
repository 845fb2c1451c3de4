/* Bodies into records. See ingest_split.h.
 *
 * A bad element is rejected alone, so an array is not parsed here but cut at the commas of its own level:
 * brackets are counted and strings are stepped over. What lies between two commas is the decoder's to judge. */
#include "pipeline/ingest_split.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *skip_spaces(const char *text, const char *end)
{
    while (text < end && is_space(*text))
        text++;
    return text;
}

/* Behind the closing quote of the string whose opening quote is at `text`; NULL when it does not end. */
static const char *skip_string(const char *text, const char *end)
{
    for (text++; text < end; text++) {
        if (*text == '\\')
            text++;
        else if (*text == '"')
            return text + 1;
    }
    return NULL;
}

/* The comma or bracket behind the element at `text`, or NULL when the array is broken there. */
static const char *find_element_end(const char *text, const char *end)
{
    uint32_t depth = 0;
    while (text && text < end) {
        switch (*text) {
        case '"': text = skip_string(text, end); continue;
        case '[':
        case '{': depth++; break;
        case ']':
        case '}':
            if (depth == 0)
                return *text == ']' ? text : NULL;
            depth--;
            break;
        case ',':
            if (depth == 0)
                return text;
            break;
        default: break;
        }
        text++;
    }
    return NULL;
}

static const char not_closed[] =
    "the body begins with [ but is no JSON array: an element, or the array, is not closed";
static const char empty_element[] =
    "the body begins with [ but is no JSON array: there is nothing where an element should be";
static const char text_behind[] = "the body begins with [ but is no JSON array: there is text behind its end";

static const char empty_body[] = "the body is empty; send one JSON object per line, or an array of objects";

/* `text` is behind the opening bracket. */
static const char *check_array(const char *text, const char *end)
{
    const char *start = skip_spaces(text, end);
    if (start < end && *start == ']')
        return skip_spaces(start + 1, end) == end ? NULL : text_behind;
    for (;;) {
        start = skip_spaces(text, end);
        const char *stop = find_element_end(start, end);
        if (!stop)
            return not_closed;
        if (stop == start)
            return empty_element;
        text = stop + 1;
        if (*stop == ']')
            return skip_spaces(text, end) == end ? NULL : text_behind;
    }
}

const char *body_splitter_init(struct body_splitter *splitter, struct slice body)
{
    *splitter = (struct body_splitter){.next = body.data, .end = body.data};
    if (!body.size)
        return empty_body;
    const char *end = splitter->end = body.data + body.size;
    const char *start = skip_spaces(body.data, end);
    if (start == end)
        return empty_body;
    if (*start != '[')
        return NULL;
    splitter->is_array = true;
    splitter->next = start + 1;
    return check_array(splitter->next, end);
}

static bool next_line(struct body_splitter *splitter, struct slice *record, uint32_t *index)
{
    while (splitter->next < splitter->end) {
        const char *start = splitter->next;
        const char *newline = memchr(start, '\n', (size_t)(splitter->end - start));
        const char *stop = newline ? newline : splitter->end;
        splitter->next = newline ? newline + 1 : stop;
        *index = splitter->next_index++;
        if (stop > start && stop[-1] == '\r')
            stop--;
        if (skip_spaces(start, stop) == stop)
            continue;
        *record = (struct slice){start, (size_t)(stop - start)};
        return true;
    }
    return false;
}

static bool next_element(struct body_splitter *splitter, struct slice *record, uint32_t *index)
{
    const char *start = skip_spaces(splitter->next, splitter->end);
    if (start == splitter->end || *start == ']')
        return false;
    const char *stop = find_element_end(start, splitter->end);
    splitter->next = *stop == ',' ? stop + 1 : stop;
    while (is_space(stop[-1]))
        stop--;
    *record = (struct slice){start, (size_t)(stop - start)};
    *index = splitter->next_index++;
    return true;
}

bool body_splitter_next(struct body_splitter *splitter, struct slice *record, uint32_t *index)
{
    return splitter->is_array ? next_element(splitter, record, index) : next_line(splitter, record, index);
}
