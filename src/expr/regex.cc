// RE2 behind a C face. RE2 runs automata and never backtracks, so no text can make a pattern slow; what a pattern may take of memory is
// bounded when it is compiled. Nothing here throws: RE2 is built without exceptions and reports by return values.
#include "expr/regex.h"

#include <cstdio>
#include <new>

#include <re2/re2.h>

struct regex {
    re2::RE2 pattern;

    regex(re2::StringPiece text, const re2::RE2::Options &options) : pattern(text, options)
    {
    }
};

struct regex *regex_create(const char *pattern, size_t pattern_size, char *message, size_t message_size)
{
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(REGEX_MAX_MEMORY_SIZE);
    struct regex *made = new (std::nothrow) regex(re2::StringPiece(pattern, pattern_size), options);
    if (made && made->pattern.ok())
        return made;
    std::snprintf(message, message_size, "%s", made ? made->pattern.error().c_str() : "not enough memory");
    delete made;
    return nullptr;
}

void regex_destroy(struct regex *regex)
{
    delete regex;
}

bool regex_search(const struct regex *regex, const char *text, size_t text_size)
{
    return regex->pattern.Match(re2::StringPiece(text, text_size), 0, text_size, re2::RE2::UNANCHORED,
                                nullptr, 0);
}
