/* Durations (`250ms 10s 5m 1h 30d`, also `1h30m`) and sizes (`64KiB 1MiB`). A number always carries its unit: a bare
 * `10` means seconds to one reader and milliseconds to another. Wrong spellings get the right one in the message. */
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "config/options.h"

struct unit {
    const char *name;
    double factor;
    const char *misspelled; /* "|sec|secs|", any case */
};

static const struct unit duration_units[] = {
    {"us", 1, "|µs|usec|micros|microseconds|"},
    {"ms", 1e3, "|msec|msecs|millis|millisecond|milliseconds|"},
    {"s", 1e6, "|sec|secs|second|seconds|"},
    {"m", 60e6, "|min|mins|minute|minutes|"},
    {"h", 3600e6, "|hr|hrs|hour|hours|"},
    {"d", 86400e6, "|day|days|"},
    {NULL, 0, NULL},
};

static const struct unit size_units[] = {
    {"B", 1, "|byte|bytes|"},     {"KiB", 0x1p10, "|k|kb|ki|"}, {"MiB", 0x1p20, "|m|mb|mi|"},
    {"GiB", 0x1p30, "|g|gb|gi|"}, {"TiB", 0x1p40, "|t|tb|ti|"}, {NULL, 0, NULL},
};

static const struct unit *find_unit(const struct unit *units, const char *text, size_t size)
{
    for (const struct unit *unit = units; unit->name; unit++)
        if (strlen(unit->name) == size && memcmp(unit->name, text, size) == 0)
            return unit;
    return NULL;
}

static const struct unit *find_misspelled(const struct unit *units, const char *text, size_t size)
{
    char wanted[32];
    if (size + 3 > sizeof wanted)
        return NULL;
    wanted[0] = '|';
    memcpy(wanted + 1, text, size);
    memcpy(wanted + 1 + size, "|", 2);
    for (const struct unit *unit = units; unit->name; unit++)
        if (strcasestr(unit->misspelled, wanted) ||
            (strlen(unit->name) == size && strncasecmp(unit->name, text, size) == 0))
            return unit;
    return NULL;
}

static bool explain_unit(const struct unit *units, const char *all, const char *text, const char *number,
                         const char *unit, size_t unit_size, struct error *reason)
{
    int number_size = (int)(unit - number);
    while (number_size > 0 && number[number_size - 1] == ' ')
        number_size--;
    const struct unit *meant = find_misspelled(units, unit, unit_size);
    const struct unit *exact = find_unit(units, unit, unit_size);
    if (unit_size == 0)
        error_set(reason, "`%s` has no unit; write it directly behind the number: %s", text, all);
    else if (exact)
        error_set(reason, "`%s` has a space in it; write `%.*s%s`", text, number_size, number, exact->name);
    else if (meant)
        error_set(reason, "`%s` has no unit that is known here; write `%.*s%s`", text, number_size, number,
                  meant->name);
    else
        error_set(reason, "`%s` has an unknown unit `%.*s`; units are %s", text, (int)unit_size, unit, all);
    return false;
}

/* One or more of number and unit; the parts add up. */
static bool parse_units(const struct unit *units, const char *all, const char *text, int64_t *out,
                        struct error *reason)
{
    bool is_negative = text[0] == '-';
    const char *at = text + is_negative;
    double total = 0;
    if (strcmp(text, "0") == 0) {
        *out = 0;
        return true;
    }
    do {
        const char *number = at;
        size_t digits = strspn(at, "0123456789.");
        if (digits == 0 || at[0] == '.') {
            error_set(reason, "`%s` is not a number with a unit (%s)", text, all);
            return false;
        }
        char *end;
        double value = strtod(at, &end);
        if (end != at + digits) {
            error_set(reason, "`%s` has a number with two points in it", text);
            return false;
        }
        at += digits;
        const char *unit = at + strspn(at, " ");
        size_t unit_size = strcspn(unit, " 0123456789.-");
        const struct unit *found = find_unit(units, at, unit_size);
        if (!found || unit_size == 0)
            return explain_unit(units, all, text, number, unit, unit_size, reason);
        total += value * found->factor;
        at += unit_size;
    } while (*at);
    if (total >= 0x1p62) {
        error_set(reason, "`%s` is too large", text);
        return false;
    }
    *out = (int64_t)llround(is_negative ? -total : total);
    return true;
}

bool duration_parse(const char *text, int64_t *out_us, struct error *reason)
{
    return parse_units(duration_units, "us, ms, s, m, h, d", text, out_us, reason);
}

bool size_parse(const char *text, int64_t *out, struct error *reason)
{
    return parse_units(size_units, "B, KiB, MiB, GiB, TiB", text, out, reason);
}

static const char *in_units(struct arena *arena, const struct unit *units, int64_t value)
{
    const struct unit *best = units;
    for (const struct unit *unit = units; unit->name; unit++)
        if (value % (int64_t)unit->factor == 0)
            best = unit;
    return arena_format(arena, "%lld%s", (long long)(value / (int64_t)best->factor), best->name);
}

const char *duration_text(struct arena *arena, int64_t value_us)
{
    return value_us == 0 ? "0s" : in_units(arena, duration_units, value_us);
}

const char *size_text(struct arena *arena, int64_t value)
{
    return in_units(arena, size_units, value);
}
