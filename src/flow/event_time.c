/* Event times from text and numbers. Text is read by position, without libc, because it is read once per event; the calendar
 * is the proleptic Gregorian one, counted in eras of 400 years from 1 March so that the leap day comes last. */
#include "flow/event_time.h"

#include <math.h>

#include "base/clock.h"

enum { DAYS_PER_ERA = 146097, DAYS_BEFORE_1970 = 719468, SECONDS_PER_DAY = 86400 };

static enum status in_range(int64_t value_us, int64_t *time_us)
{
    if (value_us < EVENT_TIME_MIN_US || value_us > EVENT_TIME_MAX_US)
        return STATUS_INVALID;
    *time_us = value_us;
    return STATUS_OK;
}

static enum time_unit unit_by_magnitude(double magnitude)
{
    if (magnitude < 1e11)
        return TIME_UNIT_SECONDS;
    if (magnitude < 1e14)
        return TIME_UNIT_MILLISECONDS;
    if (magnitude < 1e17)
        return TIME_UNIT_MICROSECONDS;
    return TIME_UNIT_NANOSECONDS;
}

enum status event_time_from_int(int64_t value, enum time_unit unit, int64_t *time_us)
{
    if (unit == TIME_UNIT_AUTO) {
        uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
        unit = magnitude < UINT64_C(100000000000)         ? TIME_UNIT_SECONDS
               : magnitude < UINT64_C(100000000000000)    ? TIME_UNIT_MILLISECONDS
               : magnitude < UINT64_C(100000000000000000) ? TIME_UNIT_MICROSECONDS
                                                          : TIME_UNIT_NANOSECONDS;
    }
    int64_t value_us = value;
    switch (unit) {
    case TIME_UNIT_SECONDS:
        if (__builtin_mul_overflow(value, INT64_C(1000000), &value_us))
            return STATUS_INVALID;
        break;
    case TIME_UNIT_MILLISECONDS:
        if (__builtin_mul_overflow(value, INT64_C(1000), &value_us))
            return STATUS_INVALID;
        break;
    case TIME_UNIT_NANOSECONDS: value_us = value / 1000 - (value % 1000 < 0); break;
    case TIME_UNIT_MICROSECONDS:
    case TIME_UNIT_AUTO: break;
    }
    return in_range(value_us, time_us);
}

enum status event_time_from_double(double value, enum time_unit unit, int64_t *time_us)
{
    if (!isfinite(value))
        return STATUS_INVALID;
    /* 1700000000.0 is the integer, also where the product below would not be exact any more. */
    if (fabs(value) < 0x1p53 && value == rint(value))
        return event_time_from_int((int64_t)value, unit, time_us);
    if (unit == TIME_UNIT_AUTO)
        unit = unit_by_magnitude(fabs(value));
    double value_us = value;
    switch (unit) {
    case TIME_UNIT_SECONDS: value_us = value * 1e6; break;
    case TIME_UNIT_MILLISECONDS: value_us = value * 1e3; break;
    case TIME_UNIT_NANOSECONDS: value_us = value / 1e3; break;
    case TIME_UNIT_MICROSECONDS:
    case TIME_UNIT_AUTO: break;
    }
    /* 2^63 is far outside the range but the last double that can be converted. */
    if (!(fabs(value_us) < 0x1p62))
        return STATUS_INVALID;
    /* 1700000000.123456 is not a double: the nearest one may lie below the microsecond that was meant. What is as
     * near to a whole microsecond as doubles of its size lie to each other is that microsecond. */
    double nearest = rint(value_us);
    double spacing = fabs(value_us) * 0x1p-52;
    double whole = fabs(value_us - nearest) <= spacing ? nearest : floor(value_us);
    return in_range((int64_t)whole, time_us);
}

/* Days from 1970-01-01; month 1-12, day 1-31. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
    if (month <= 2)
        year--;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + (int64_t)day_of_era - DAYS_BEFORE_1970;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (unsigned)(month == 2 && is_leap);
}

/* Two digits as a number, or something above 99. */
static unsigned two_digits(const char *text)
{
    unsigned high = (unsigned char)(text[0] - '0'), low = (unsigned char)(text[1] - '0');
    return high > 9 || low > 9 ? 100 : high * 10 + low;
}

static bool parse_date(const char *text, int64_t *days)
{
    unsigned century = two_digits(text), year_of_century = two_digits(text + 2);
    unsigned month = two_digits(text + 5), day = two_digits(text + 8);
    if (century > 99 || year_of_century > 99 || text[4] != '-' || text[7] != '-')
        return false;
    unsigned year = century * 100 + year_of_century;
    if (month - 1 > 11 || day < 1 || day > days_in_month(year, month))
        return false;
    *days = days_from_date(year, month, day);
    return true;
}

/* `.123456789`: microseconds, further digits cut. Returns behind it, NULL when there is no digit. */
static const char *parse_fraction(const char *text, const char *end, int64_t *microseconds)
{
    const char *first = ++text;
    int64_t value = 0;
    for (; text < end && (unsigned char)(*text - '0') <= 9; text++) {
        if (text - first < 6)
            value = value * 10 + (*text - '0');
    }
    if (text == first)
        return NULL;
    for (ptrdiff_t digits = text - first; digits < 6; digits++)
        value *= 10;
    *microseconds = value;
    return text;
}

/* `Z`, nothing, `+02:00`, `+0200` or `+02` up to `end`. */
static bool parse_zone(const char *text, const char *end, int64_t *offset_seconds)
{
    ptrdiff_t size = end - text;
    *offset_seconds = 0;
    if (size == 0)
        return true;
    if (*text == 'Z' || *text == 'z')
        return size == 1;
    if ((*text != '+' && *text != '-') || (size != 3 && size != 5 && size != 6))
        return false;
    if (size == 6 && text[3] != ':')
        return false;
    unsigned hours = two_digits(text + 1), minutes = size == 3 ? 0 : two_digits(end - 2);
    if (hours > 23 || minutes > 59)
        return false;
    int64_t seconds = hours * 3600 + minutes * 60;
    *offset_seconds = *text == '-' ? -seconds : seconds;
    return true;
}

enum status event_time_from_text(struct slice text, int64_t *time_us)
{
    const char *at = text.data, *end = text.data + text.size;
    int64_t days;
    if (text.size < 10 || !parse_date(at, &days))
        return STATUS_INVALID;
    int64_t seconds = days * SECONDS_PER_DAY, microseconds = 0;
    if (text.size > 10) {
        if (text.size < 16 || (at[10] != 'T' && at[10] != 't' && at[10] != ' ') || at[13] != ':')
            return STATUS_INVALID;
        unsigned hour = two_digits(at + 11), minute = two_digits(at + 14), second = 0;
        at += 16;
        if (at < end && *at == ':') {
            if (end - at < 3)
                return STATUS_INVALID;
            second = two_digits(at + 1);
            at += 3;
            if (at < end && *at == '.' && !(at = parse_fraction(at, end, &microseconds)))
                return STATUS_INVALID;
        }
        int64_t offset_seconds;
        if (hour > 23 || minute > 59 || second > 60 || !parse_zone(at, end, &offset_seconds))
            return STATUS_INVALID;
        seconds += hour * 3600 + minute * 60 + second - offset_seconds;
    }
    return in_range(seconds * MICROSECONDS_PER_SECOND + microseconds, time_us);
}

void event_time_format(struct buffer *out, int64_t time_us)
{
    int64_t second_us = event_time_floor(time_us, MICROSECONDS_PER_SECOND);
    unsigned fraction_us = (unsigned)(time_us - second_us);
    int64_t seconds = second_us / MICROSECONDS_PER_SECOND;
    int64_t day_start = event_time_floor(seconds, SECONDS_PER_DAY);
    unsigned second_of_day = (unsigned)(seconds - day_start);

    int64_t days = day_start / SECONDS_PER_DAY + DAYS_BEFORE_1970;
    int64_t era = event_time_floor(days, DAYS_PER_ERA) / DAYS_PER_ERA;
    unsigned day_of_era = (unsigned)(days - era * DAYS_PER_ERA);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    int64_t year = (int64_t)year_of_era + era * 400 + (month <= 2);

    buffer_format(out, "%04lld-%02u-%02uT%02u:%02u:%02u", (long long)year, month, day, second_of_day / 3600,
                  second_of_day / 60 % 60, second_of_day % 60);
    if (fraction_us % 1000) {
        buffer_format(out, ".%06u", fraction_us);
    } else if (fraction_us) {
        buffer_format(out, ".%03u", fraction_us / 1000);
    }
    buffer_append_char(out, 'Z');
}
