/* "did you mean": the nearest of a few words by edit distance with transpositions (optimal string alignment). */
#include <ctype.h>

#include "config/options.h"

enum { SUGGEST_MAX_SIZE = 64 };

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Case and `-` against `_` do not count. */
static char folded(char c)
{
    return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

static unsigned edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned rows[3][SUGGEST_MAX_SIZE + 1];
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3], *second_above = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            bool equal = folded(a[i - 1]) == folded(b[j - 1]);
            row[j] = smaller(smaller(above[j] + 1, row[j - 1] + 1), above[j - 1] + (equal ? 0 : 1));
            if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
                folded(a[i - 2]) == folded(b[j - 1]))
                row[j] = smaller(row[j], second_above[j - 2] + 1);
        }
    }
    return rows[a_size % 3][b_size];
}

const char *suggest(const char *word, const char *const *candidates, size_t candidate_count)
{
    const char *best = NULL;
    size_t size = strlen(word);
    if (size == 0 || size > SUGGEST_MAX_SIZE)
        return NULL;
    /* One slip in a short word, more in longer ones; never as many as the word has letters. */
    unsigned best_distance = (unsigned)(size < 2 ? 0 : size < 4 ? 1 : 1 + size / 4) + 1;
    for (size_t i = 0; i < candidate_count; i++) {
        size_t candidate_size = strlen(candidates[i]);
        if (candidate_size > SUGGEST_MAX_SIZE)
            continue;
        unsigned distance = edit_distance(word, size, candidates[i], candidate_size);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidates[i];
        }
    }
    return best;
}
